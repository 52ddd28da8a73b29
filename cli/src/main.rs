//! `slotline`: the one binary of the product.
//!
//! It only reads the command line and the configuration, wires the packages together and turns their
//! ends into exit codes: 0 done (also after SIGTERM or Ctrl-C), 1 failed, 2 usage, 78 configuration.

mod admin;
mod config;
mod dev;
mod http;
mod migrate;
mod options;
mod process;
mod publisher;
mod replay;
mod run;
mod sample;
mod serve;
mod topics;
mod trouble;
mod validate;

use std::process::ExitCode;

use clap::Parser;

use options::{Options, Verb};
use process::Cast;

// One allocator for Rust and for RocksDB's C++: with the system's, RocksDB's buffers fragment.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What a command ended with.
pub(crate) enum End {
    /// All went well.
    Done,
    /// It did not; the reason was printed.
    Failed,
    /// The configuration is not usable; the reason was printed.
    Configuration,
    /// The command line is not usable; the reason was printed.
    Usage,
}

impl From<End> for ExitCode {
    fn from(end: End) -> ExitCode {
        ExitCode::from(match end {
            End::Done => 0,
            End::Failed => 1,
            End::Usage => 2,
            End::Configuration => 78,
        })
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let end = match options.verb {
        Verb::Dev(options) => dev::dev(&options),
        Verb::Run(options) => run::run(Cast::All, &options),
        Verb::Gateway(options) => run::run(Cast::Gateway, &options),
        Verb::Engine(options) => run::run(Cast::Engine, &options),
        Verb::Notifier(options) => run::run(Cast::Notifier, &options),
        Verb::Validate(options) => validate::validate(&options),
        Verb::Replay(options) => replay::replay(&options),
        Verb::Admin(options) => admin::admin(options),
        Verb::Loadtest(command) => return ExitCode::from(loadtest::run(command)),
    };
    end.into()
}
