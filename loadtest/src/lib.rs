//! The load test: a crowd of synthetic citizens that speaks HTTP and audits what it is answered.
//!
//! It depends on no other part of the product and knows only the HTTP contract, so it can find what
//! the server's own tests cannot. `slotline loadtest` is a thin wrapper around [`run()`]; the benchmarks
//! use [`saturate()`] to drive any server with the same generator, and [`make_ready`] to fill one with people.
//!
//! What it deliberately does not do: TLS, browsers, load against servers of others (loopback only,
//! unless the caller names a host as their own), endless runs (every time and count is bounded).

pub mod address;
pub mod answer;
pub mod arrivals;
pub mod audit;
mod booking;
pub mod calls;
pub mod campaign;
pub mod cli;
mod collect;
pub mod connection;
mod crowd;
mod driver;
pub mod ending;
pub mod history;
pub mod latency;
pub mod people;
mod prepare;
pub mod progress;
pub mod record;
pub mod report;
pub mod result;
pub mod retry;
pub mod roster;
mod run;
pub mod saturate;
pub mod scenario;
mod streams;
mod sweep;
pub mod threshold;
mod timer;
pub mod wire;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use cli::{AuditArgs, Command, OutputArgs, OutputFormat, PeopleArgs, ReportArgs, RunArgs};
use people::{PEOPLE_MAX, Population, PopulationOptions};
use progress::Progress;
use result::{RESULT_FORMAT, RunResult};

pub use run::{
    AuditOptions, LoadError, Ready, RunOptions, Servers, audit_record, make_ready, run_scenario,
};
pub use saturate::{Pace, SaturateOptions, SaturateResult, saturate};

/// All went well, and nothing was found.
const EXIT_PASSED: u8 = 0;
/// Something was found, or the run could not be made.
const EXIT_FAILED: u8 = 1;
/// The command line or a scenario is not usable.
const EXIT_USAGE: u8 = 2;

/// Does what the command line says; the exit code.
pub fn run(command: Command) -> u8 {
    let ended = match command {
        Command::Run(args) => run_command(&args),
        Command::Report(args) => report_command(&args),
        Command::People(args) => people_command(&args),
        Command::Audit(args) => audit_command(&args),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("loadtest: {error}");
        if error.is_usage() { EXIT_USAGE } else { EXIT_FAILED }
    })
}

fn run_command(args: &RunArgs) -> Result<u8, LoadError> {
    let options = RunOptions {
        servers: args.servers.servers(),
        scenario: args.scenario()?,
        prepare: args.prepare,
        skip_roster: args.skip_roster,
        record: args.record.clone(),
        outbox: args.outbox.clone(),
        ending: Arc::default(),
    };
    options.ending.listen().map_err(|error| LoadError::Other(format!("signals: {error}")))?;
    let progress = Progress::new(args.output.output_format == OutputFormat::Quiet, args.no_tui);
    let result = run_scenario(&options, &progress)?;
    write_result(&result, &args.output)?;
    Ok(exit_code(result.passed))
}

fn report_command(args: &ReportArgs) -> Result<u8, LoadError> {
    let mut merged: Option<RunResult> = None;
    for path in &args.files {
        let result = read_result(path)?;
        match &mut merged {
            None => merged = Some(result),
            Some(all) => all.merge(&result),
        }
    }
    let Some(mut result) = merged else {
        return Err(LoadError::Other("no results were given".to_owned()));
    };
    if !args.output.fail_if.is_empty() {
        let thresholds = args
            .output
            .fail_if
            .iter()
            .map(|text| text.parse())
            .collect::<Result<Vec<_>, String>>()
            .map_err(|reason| {
                LoadError::Scenario(scenario::ScenarioError::OutOfBounds {
                    key: "--fail-if",
                    reason,
                })
            })?;
        result.judge(&thresholds);
    }
    write_result(&result, &args.output)?;
    Ok(exit_code(result.passed))
}

fn read_result(path: &Path) -> Result<RunResult, LoadError> {
    let failed =
        |reason: String| LoadError::Other(format!("the result {}: {reason}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let result: RunResult =
        serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
    if result.format != RESULT_FORMAT {
        return Err(failed(format!(
            "its format is \"{}\"; this program reads \"{RESULT_FORMAT}\"",
            result.format
        )));
    }
    Ok(result)
}

fn people_command(args: &PeopleArgs) -> Result<u8, LoadError> {
    if args.first.checked_add(args.count).is_none_or(|end| end > PEOPLE_MAX) {
        let reason = format!("--first and --count together must not exceed {PEOPLE_MAX}");
        return Err(LoadError::Scenario(scenario::ScenarioError::OutOfBounds {
            key: "--count",
            reason,
        }));
    }
    let people = Population::new(PopulationOptions {
        seed: args.seed,
        born_on_or_before: Some(args.born_on_or_before),
    });
    let failed =
        |error: io::Error| LoadError::Other(format!("the roster cannot be written: {error}"));
    let out: Box<dyn Write> = match &args.output {
        Some(path) => Box::new(File::create(path).map_err(failed)?),
        None => Box::new(io::stdout().lock()),
    };
    roster::write_roster(&people, args.first, args.count, BufWriter::new(out)).map_err(failed)?;
    Ok(EXIT_PASSED)
}

fn audit_command(args: &AuditArgs) -> Result<u8, LoadError> {
    let mut scenario = scenario::Scenario::default();
    scenario.people.set_up_connections = args.connections;
    scenario.check()?;
    let settings = scenario::AuditSettings {
        alone: !args.not_alone,
        settle_time_max_s: args.settle_time,
        stream_time_max_s: args.stream_time,
        ..scenario::AuditSettings::default()
    };
    let options = AuditOptions {
        servers: args.servers.servers(),
        record: args.record.clone(),
        outbox: args.outbox.clone(),
        settings,
        scenario,
    };
    let progress = Progress::new(args.output_format == OutputFormat::Quiet, args.no_tui);
    let report = audit_record(&options, &progress)?;
    match args.output_format {
        OutputFormat::Text => print!("{}", report::audit_text(&report)),
        OutputFormat::Json => println!("{}", json(&report)?),
        OutputFormat::Quiet => {}
    }
    Ok(exit_code(report.passed))
}

fn write_result(result: &RunResult, output: &OutputArgs) -> Result<(), LoadError> {
    let text = match output.output_format {
        OutputFormat::Text => report::text(result),
        OutputFormat::Json => json(result)? + "\n",
        OutputFormat::Quiet => String::new(),
    };
    match &output.output {
        Some(path) => std::fs::write(path, text).map_err(|error| {
            LoadError::Other(format!("the result {} cannot be written: {error}", path.display()))
        }),
        None => {
            print!("{text}");
            Ok(())
        }
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, LoadError> {
    serde_json::to_string(value)
        .map_err(|error| LoadError::Other(format!("the result cannot be written: {error}")))
}

fn exit_code(passed: bool) -> u8 {
    if passed { EXIT_PASSED } else { EXIT_FAILED }
}
