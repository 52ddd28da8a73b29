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

/// One listener to which requests are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where connections go.
    pub address: SocketAddr,
    /// The `Host` header.
    pub host: String,
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
        Ok(Target { address, host: format!("{host}:{port}") })
    }

    /// The target as an address to show.
    pub fn url(&self) -> String {
        format!("http://{}", self.host)
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Target {
        Target { address, host: address.to_string() }
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
    fn addresses_that_are_not_plain_http_are_refused() {
        for url in
            ["https://127.0.0.1:1922", "127.0.0.1:1922", "http://127.0.0.1:1922/v1", "nonsense", ""]
        {
            assert!(matches!(Target::parse(url, &[]), Err(AddressError::Malformed(_))), "{url}");
        }
    }
}
