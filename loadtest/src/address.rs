//! Where requests go, and the rule that they go to one's own machine.
//!
//! Loopback is always allowed; another host only when it is named by `--i-own-this-server`. Plain
//! HTTP only: TLS ends in front of the gateway, and would measure something else.

use std::net::{SocketAddr, ToSocketAddrs};

use hyper::Uri;
use thiserror::Error;

/// Why an address was not accepted.
#[derive(Debug, Error)]
pub enum AddressError {
    /// Not of the form `http://host:port`.
    #[error("\"{0}\" is not an address of the form http://host:port")]
    Malformed(String),
    /// The name has no address.
    #[error("the host \"{host}\" cannot be resolved: {reason}")]
    Unresolved {
        /// Host as given.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// Not loopback and not allowed by name.
    #[error(
        "\"{0}\" is not this machine; a load test against another server needs its owner's consent: if it is yours, add --i-own-this-server {0}"
    )]
    NotOwned(String),
}

/// A listener to which requests are sent, or several that answer for the same server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where connections go.
    pub address: SocketAddr,
    /// The `Host` header.
    pub host: String,
    /// Further listeners: connections are spread over all of them, so that what one person does goes
    /// now to this one, now to that one.
    pub others: Vec<SocketAddr>,
}

impl Target {
    /// Reads `http://host:port`, resolves it and applies the rule.
    pub fn parse(url: &str, owned_hosts: &[String]) -> Result<Target, AddressError> {
        let malformed = || AddressError::Malformed(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| malformed())?;
        if uri.scheme_str() != Some("http") || !matches!(uri.path(), "" | "/") {
            return Err(malformed());
        }
        let host = uri.host().ok_or_else(malformed)?;
        let port = uri.port_u16().unwrap_or(80);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let mut found = (bare, port).to_socket_addrs().map_err(|error| {
            AddressError::Unresolved { host: host.to_owned(), reason: error.to_string() }
        })?;
        let address = found.next().ok_or_else(|| AddressError::Unresolved {
            host: host.to_owned(),
            reason: "no address".to_owned(),
        })?;
        let owned = owned_hosts.iter().any(|name| name == bare || name == host);
        if !address.ip().is_loopback() && !owned {
            return Err(AddressError::NotOwned(bare.to_owned()));
        }
        Ok(Target { address, host: format!("{host}:{port}"), others: Vec::new() })
    }

    /// Reads the addresses of all listeners of one server.
    pub fn parse_all(urls: &[String], owned_hosts: &[String]) -> Result<Target, AddressError> {
        let mut targets = urls.iter().map(|url| Target::parse(url, owned_hosts));
        let mut first =
            targets.next().unwrap_or_else(|| Err(AddressError::Malformed(String::new())))?;
        for other in targets {
            first.others.push(other?.address);
        }
        Ok(first)
    }

    /// Where connections go, one after another.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        std::iter::once(self.address).chain(self.others.iter().copied()).collect()
    }

    /// The target as an address to show.
    pub fn url(&self) -> String {
        format!("http://{}", self.host)
    }

    /// All of its addresses, to show.
    pub fn urls(&self) -> String {
        let others = self.others.iter().map(|other| format!(" and http://{other}"));
        self.url() + &others.collect::<String>()
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Target {
        Target { address, host: address.to_string(), others: Vec::new() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_accepted_and_other_hosts_only_by_name() {
        assert_eq!(Target::parse("http://127.0.0.1:1922", &[]).unwrap().host, "127.0.0.1:1922");
        assert!(Target::parse("http://[::1]:1922/", &[]).unwrap().address.is_ipv6());
        let other = "http://192.0.2.7:1922";
        assert!(matches!(Target::parse(other, &[]), Err(AddressError::NotOwned(_))));
        assert!(Target::parse(other, &["192.0.2.7".to_owned()]).is_ok());
    }

    #[test]
    fn several_listeners_are_one_target_and_each_must_be_allowed() {
        let urls = |all: &[&str]| all.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
        let two = urls(&["http://127.0.0.1:1922", "http://127.0.0.1:1932"]);
        let target = Target::parse_all(&two, &[]).unwrap();
        assert_eq!(target.host, "127.0.0.1:1922");
        let ports: Vec<u16> = target.addresses().iter().map(SocketAddr::port).collect();
        assert_eq!(ports, [1_922, 1_932]);
        assert_eq!(target.urls(), "http://127.0.0.1:1922 and http://127.0.0.1:1932");
        let foreign = urls(&["http://127.0.0.1:1922", "http://192.0.2.7:1922"]);
        assert!(matches!(Target::parse_all(&foreign, &[]), Err(AddressError::NotOwned(_))));
        assert!(Target::parse_all(&[], &[]).is_err());
    }

    #[test]
    fn addresses_that_are_not_plain_http_are_refused() {
        for url in
            ["https://127.0.0.1:1922", "127.0.0.1:1922", "http://127.0.0.1:1922/v1", "nonsense", ""]
        {
            assert!(matches!(Target::parse(url, &[]), Err(AddressError::Malformed(_))), "{url}");
        }
    }
}
