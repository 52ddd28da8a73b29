//! An installation on a broker: topics, secrets, processes.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use broker::Cluster;
use journal::kafka::{Durability, KafkaConfig, create_topics};
use vault::Secrets;

use crate::server::Server;

/// The settings of an installation whose topics begin with this.
pub(super) fn config(cluster: &Cluster, topic_prefix: &str) -> KafkaConfig {
    KafkaConfig {
        bootstrap_servers: cluster.bootstrap().to_owned(),
        topic_prefix: topic_prefix.to_owned(),
        durability: Durability::SingleBroker,
        ..KafkaConfig::default()
    }
}

/// Makes its topics.
pub(super) fn make_topics(config: &KafkaConfig) -> Result<(), String> {
    create_topics(config).map(drop).map_err(|error| error.to_string())
}

/// Where its processes live.
pub(super) struct Installation {
    product: PathBuf,
    folder: PathBuf,
    /// Secrets of its own: the sample ones are refused outside `slotline dev`.
    pub(super) secrets: Secrets,
}

impl Installation {
    /// Writes its configuration and secrets.
    pub(super) fn new(
        product: &Path,
        folder: &Path,
        kafka: &KafkaConfig,
    ) -> Result<Installation, String> {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let secrets = Secrets::generate();
        let secrets_file = folder.join("secrets.toml");
        let text = format!(
            "journal_kind = \"kafka\"\nsecrets_file = {secrets_file:?}\n[listen]\npublic = \"127.0.0.1:0\"\noperator = \"127.0.0.1:0\"\n[kafka]\nbootstrap_servers = {:?}\ntopic_prefix = {:?}\ndurability = {:?}\n[gateway.limits]\nperson_commands_per_minute_max = 0\n[sms]\nplaintext_outbox = true\noutbox_dir = {:?}\n[log]\nlevel = \"warn\"\n",
            kafka.bootstrap_servers,
            kafka.topic_prefix,
            kafka.durability.name(),
            folder.join("outbox"),
        );
        let write = |path: &Path, bytes: &[u8]| {
            // For nobody else to read, as the product demands of secrets.
            let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            opened
                .and_then(|mut file| file.write_all(bytes))
                .map_err(|error| format!("{}: {error}", path.display()))
        };
        write(&secrets_file, secrets.to_toml().as_bytes())?;
        write(&folder.join("kafka.toml"), text.as_bytes())?;
        Ok(Installation { product: product.to_owned(), folder: folder.to_owned(), secrets })
    }

    /// Starts a part and waits until it is ready; `name` names its data directory.
    pub(super) fn start(&self, part: &str, name: &str) -> Result<Server, String> {
        Server::start(self.command(part, name))
    }

    /// The command that starts a part.
    pub(super) fn command(&self, part: &str, name: &str) -> Command {
        let mut command = Command::new(&self.product);
        command.arg(part).arg("--config").arg(self.folder.join("kafka.toml")).arg("--json");
        command.env("SLOTLINE__DATA_DIR", self.folder.join(name));
        command
    }
}
