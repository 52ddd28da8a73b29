//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Slotline: a booking engine with a queue.
#[derive(Debug, Parser)]
#[command(name = "slotline", version, about, propagate_version = true)]
pub(crate) struct Options {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Start everything in one process, with sample data, on this machine only.
    Dev(DevOptions),
    /// Start everything in one process, for production on one machine.
    Run(RunOptions),
    /// Start a gateway of its own: answers citizens and operators. Any number, on Kafka.
    Gateway(RunOptions),
    /// Start an engine of its own: decides. One is active, others stand by, on Kafka.
    Engine(RunOptions),
    /// Start a notifier of its own: sends texts, publishes confirmations. As the engine, on Kafka.
    Notifier(RunOptions),
    /// Check configuration and data files.
    Validate(ValidateOptions),
    /// Rebuild the state from the journal and compare it with the checkpoint.
    Replay(ReplayOptions),
    /// Load a server like a crowd of citizens, and audit what it answers.
    #[command(subcommand)]
    Loadtest(loadtest::cli::Command),
    /// Operate a running server, or make its secrets.
    Admin(AdminOptions),
}

/// `slotline dev`
#[derive(Debug, Args)]
pub(crate) struct DevOptions {
    /// Where everything is kept.
    #[arg(long, default_value = "data")]
    pub(crate) data: PathBuf,
    /// Address of the citizens' listener; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:1922")]
    pub(crate) public: SocketAddr,
    /// Address of the operator's listener; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:1923")]
    pub(crate) operator: SocketAddr,
    /// Start without sample data.
    #[arg(long)]
    pub(crate) empty: bool,
    /// Print one line of JSON once ready, instead of the text.
    #[arg(long)]
    pub(crate) json: bool,
    /// Change a setting, as in the configuration file: `--set gateway.cores=2`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
}

/// `slotline run`, `slotline gateway`, `slotline engine`, `slotline notifier`
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// The configuration file.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Print one line of JSON once ready.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `slotline validate`
#[derive(Debug, Args)]
pub(crate) struct ValidateOptions {
    /// Also look at what the configuration names: connect to Kafka, and check its topics.
    #[arg(long)]
    pub(crate) environment: bool,
    /// Configuration files (.toml) and data files (.csv, recognised by their header).
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// `slotline replay`
#[derive(Debug, Args)]
pub(crate) struct ReplayOptions {
    /// The data directory of a stopped server.
    #[arg(long, default_value = "data", conflicts_with = "config")]
    pub(crate) data: PathBuf,
    /// The configuration of an installation on Kafka; it may be running.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Print the result as one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `slotline admin`
#[derive(Debug, Args)]
pub(crate) struct AdminOptions {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: AdminVerb,
}

/// Where the operator's listener is, and who calls.
#[derive(Debug, Args)]
pub(crate) struct OperatorOptions {
    /// Address of the operator's listener.
    #[arg(long, env = "SLOTLINE_OPERATOR_URL", default_value = "http://127.0.0.1:1923")]
    pub(crate) url: String,
    /// An operator token with the needed role.
    #[arg(long, env = "SLOTLINE_OPERATOR_TOKEN", hide_env_values = true)]
    pub(crate) token: String,
}

/// Which configuration.
#[derive(Debug, Args)]
pub(crate) struct ConfigOptions {
    /// The configuration file.
    #[arg(long)]
    pub(crate) config: PathBuf,
}

/// `slotline admin topics`
#[derive(Debug, Subcommand)]
pub(crate) enum TopicsVerb {
    /// Make the topics that are missing, with the settings on which the promises rest, and check all.
    Create(ConfigOptions),
    /// Check that every topic is there and breaks no promise.
    Check(ConfigOptions),
}

/// `slotline admin migrate`
#[derive(Debug, Args)]
pub(crate) struct MigrateOptions {
    /// The data directory of the stopped installation; it is only read.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// The configuration of the new one, with journal_kind = "kafka".
    #[arg(long)]
    pub(crate) config: PathBuf,
}

/// The commands of `slotline admin`.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminVerb {
    /// Make a new file of secrets. Keep a copy away from the data: without it nobody can be recognised.
    Secrets {
        /// The file to write; it must not exist.
        #[arg(long)]
        output: PathBuf,
    },
    /// Make an operator token, offline, from the file of secrets.
    OperatorToken {
        /// The file of secrets.
        #[arg(long)]
        secrets: PathBuf,
        /// Who will use it; written to the audit log with every call.
        #[arg(long)]
        name: String,
        /// What it may do (repeatable).
        #[arg(long = "role", required = true)]
        roles: Vec<String>,
        /// For how long.
        #[arg(long, default_value_t = 30)]
        days: u32,
    },
    /// Import a CSV file: sites, slots, roster, members or attendance.
    Import {
        #[command(flatten)]
        operator: OperatorOptions,
        /// The category of a members file.
        #[arg(long)]
        category: Option<u16>,
        /// The file; its header says what it holds.
        file: PathBuf,
    },
    /// Create or change a category from a JSON file.
    PutCategory {
        #[command(flatten)]
        operator: OperatorOptions,
        /// The category's number.
        number: u16,
        /// The body as JSON.
        file: PathBuf,
        /// Only say what it would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// Create or change a period from a JSON file.
    PutPeriod {
        #[command(flatten)]
        operator: OperatorOptions,
        /// The period's number.
        number: u16,
        /// The body as JSON.
        file: PathBuf,
        /// Only say what it would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// Set a slot's capacity.
    Capacity {
        #[command(flatten)]
        operator: OperatorOptions,
        /// The slot's number.
        slot: u32,
        /// Places in all.
        capacity: u32,
    },
    /// Print live figures.
    Overview {
        #[command(flatten)]
        operator: OperatorOptions,
    },
    /// Make or check the topics of an installation on Kafka.
    #[command(subcommand)]
    Topics(TopicsVerb),
    /// Carry a stopped installation of one machine into an empty one on Kafka.
    Migrate(MigrateOptions),
    /// Let an engine go on that halted because the journal's time is far ahead of its own clock.
    AcceptTime {
        #[command(flatten)]
        operator: OperatorOptions,
    },
}
