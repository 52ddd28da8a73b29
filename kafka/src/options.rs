//! What a cluster is started with.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process;

/// How a cluster is made; the default is one node without secrets in a temporary folder.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// How many nodes: 1, or 3 with every record on at least two of them.
    pub nodes: u8,
    /// What clients must speak.
    pub security: Security,
    /// Server settings that win over those of the templates.
    pub settings: Vec<(String, String)>,
    /// Where data and logs are kept. A folder that held a cluster is used again. `None` is a new
    /// temporary folder, removed at the end.
    pub dir: Option<PathBuf>,
    /// Options of the Java machine behind the script's own, separated by blanks; nothing leaves those of
    /// `SLOTLINE_KAFKA_JAVA_OPTIONS`.
    pub java_options: String,
}

impl Default for ClusterOptions {
    fn default() -> ClusterOptions {
        ClusterOptions {
            nodes: 1,
            security: Security::Plaintext,
            settings: Vec::new(),
            dir: None,
            java_options: String::new(),
        }
    }
}

impl ClusterOptions {
    /// The script's words for them, except for the folder.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut words = vec!["--nodes".to_owned(), self.nodes.to_string()];
        words.extend(["--security".to_owned(), self.security.name().to_owned()]);
        for (key, value) in &self.settings {
            words.extend(["--set".to_owned(), format!("{key}={value}")]);
        }
        words
    }
}

/// What clients must speak. Brokers among themselves always speak plain text on the loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Nothing.
    Plaintext,
    /// A user and a password, generated with the cluster (SASL PLAIN, no encryption).
    SaslPlaintext,
    /// TLS, with a certificate authority made for this cluster.
    Ssl,
}

impl Security {
    fn name(self) -> &'static str {
        match self {
            Security::Plaintext => "plaintext",
            Security::SaslPlaintext => "sasl_plaintext",
            Security::Ssl => "ssl",
        }
    }
}

/// Makes a folder that nobody else has.
pub(crate) fn temporary_dir() -> Result<PathBuf, String> {
    for number in 0..10_000 {
        let name = format!("slotline-kafka-{}-{number}", process::id());
        let dir = env::temp_dir().join(name);
        match fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {}
            Err(cause) => return Err(format!("{} cannot be made: {cause}", dir.display())),
        }
    }
    Err(format!("{} is full of clusters; remove slotline-kafka-*", env::temp_dir().display()))
}
