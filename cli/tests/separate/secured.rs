//! Brokers that let in only whom they know, or speak only TLS: every kind of process works with the right
//! settings, and with wrong ones ends in time, in words that name the setting.

use std::path::{Path, PathBuf};
use std::process::Command;

use broker::{Cluster, ClusterOptions, Security};

use super::starts::{CONFIGURATION, assert_ends};
use crate::support::fleet::{FAILED, Fleet};
use crate::support::world::{Person, furnish};
use crate::support::{Folder, wait_until};

/// A broker, and installations that reach for it.
struct Secured {
    cluster: Cluster,
    folder: Folder,
}

impl Secured {
    fn new(security: Security, name: &str) -> Secured {
        let options = ClusterOptions { security, ..ClusterOptions::default() };
        Secured { cluster: Cluster::start(options).unwrap(), folder: Folder::new(name) }
    }

    /// An installation with the settings by which the broker lets in, but for one.
    fn fleet(&self, name: &str, wrong: Option<(&str, &str)>) -> Fleet {
        let folder = self.folder.0.join(name);
        let mut fleet = Fleet::unmade(&folder, self.cluster.bootstrap(), "secured.");
        for (key, value) in self.cluster.client_properties().unwrap() {
            let key = key.replace('.', "_");
            let changed = wrong.filter(|(own, _)| *own == key);
            let value = changed.map_or(value.as_str(), |(_, changed)| changed);
            fleet.set(&format!("KAFKA__CLIENT__{}", key.to_uppercase()), value);
        }
        fleet
    }

    /// One of each kind, and one person's way to the text.
    fn assert_lets_in(&self) {
        let fleet = self.fleet("right", None);
        fleet.make_topics();
        let (engine, notifier, gateways) = fleet.start_all(&["gateway"]);
        let person = Person::numbered(1);
        furnish(&gateways[0].operator, &fleet.token, std::slice::from_ref(&person));
        let session = person.session(&gateways[0].public);
        let (status, registered) = session.register();
        assert_eq!(status, 201, "{registered}");
        let (status, booked) = session.book(0, "first");
        assert_eq!((status, &booked["booking"]["slot"]), (201, &0.into()), "{booked}");
        wait_until("the text is written", || fleet.texts().len() == 1);
        for member in gateways.into_iter().chain([notifier, engine]) {
            member.stop();
        }
    }
}

#[test]
fn a_fleet_works_with_credentials_and_wrong_ones_are_told_from_a_wrong_protocol() {
    let secured = Secured::new(Security::SaslPlaintext, "separate-sasl");
    secured.assert_lets_in();

    let wrong = secured.fleet("password", Some(("sasl_password", "007")));
    let words = ["kafka.client.sasl_password", "refuses these credentials"];
    assert_ends(&wrong, "password", CONFIGURATION, &words);
    let wrong = secured.fleet("protocol", Some(("security_protocol", "PLAINTEXT")));
    let words = ["kafka.client.security_protocol", "no broker answered"];
    assert_ends(&wrong, "protocol", FAILED, &words);
}

#[test]
fn a_fleet_works_over_tls_and_an_authority_that_did_not_sign_is_named() {
    let secured = Secured::new(Security::Ssl, "separate-tls");
    secured.assert_lets_in();

    let stranger = authority(&secured.folder.0);
    let wrong = secured.fleet("stranger", Some(("ssl_ca_location", stranger.to_str().unwrap())));
    let words = ["kafka.client.ssl_ca_location", "no TLS connection comes about"];
    assert_ends(&wrong, "stranger", CONFIGURATION, &words);
    let missing = secured.folder.0.join("no-such-file.pem");
    let wrong = secured.fleet("missing", Some(("ssl_ca_location", missing.to_str().unwrap())));
    let words = ["kafka.client.ssl_ca_location", "no-such-file.pem"];
    assert_ends(&wrong, "missing", CONFIGURATION, &words);
}

/// The certificate of an authority that signed nothing.
fn authority(folder: &Path) -> PathBuf {
    let certificate = folder.join("stranger.pem");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "1", "-subj", "/CN=Stranger", "-keyout"])
        .arg(folder.join("stranger-key.pem"))
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    certificate
}
