//! The command line of `slotline loadtest`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::civil::Date;

use crate::arrivals::{Spacing, parse_quantity};
use crate::run::Servers;
use crate::scenario::{LoadModel, Scenario, ScenarioError, SlotChoice, parse_seconds};

/// The load test's own commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Let people log in, register and book, and audit what the server answered.
    Run(Box<RunArgs>),
    /// Show results again, merge several, or judge them by other conditions.
    Report(ReportArgs),
    /// Write the roster CSV of synthetic people.
    People(PeopleArgs),
    /// Verify that the server still stands by everything in a record file.
    Audit(AuditArgs),
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// For machines; described by `loadtest/schema/result.json`.
    Json,
    /// Nothing but the exit code.
    Quiet,
}

/// Where requests go.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    /// The citizens' listener. Repeatable, for several gateways: requests are spread over them, so that
    /// one person goes from one to another.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:1922",
        value_delimiter = ',',
        env = "SLOTLINE_PUBLIC"
    )]
    pub public: Vec<String>,
    /// The operator's listener, for the roster, `--prepare` and the confirmations.
    #[arg(long, value_name = "URL", env = "SLOTLINE_OPERATOR")]
    pub operator: Option<String>,
    /// The operator's token.
    #[arg(long, value_name = "TOKEN", env = "SLOTLINE_OPERATOR_TOKEN", hide_env_values = true)]
    pub operator_token: Option<String>,
    /// Allow a host other than this machine, which you own. Repeatable.
    #[arg(long, value_name = "HOST")]
    pub i_own_this_server: Vec<String>,
}

impl ServerArgs {
    pub(crate) fn servers(&self) -> Servers {
        Servers {
            public: self.public.clone(),
            operator: self.operator.clone(),
            operator_token: self.operator_token.clone(),
            owned_hosts: self.i_own_this_server.clone(),
        }
    }
}

/// How results are written, and judged.
#[derive(Clone, Debug, Args)]
pub struct OutputArgs {
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    pub output_format: OutputFormat,
    /// Write the result to this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Fail when this holds, such as `p99_ms>50` or `dropped>0`. Repeatable.
    #[arg(long, value_name = "CONDITION")]
    pub fail_if: Vec<String>,
}

/// `slotline loadtest run`
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub servers: ServerArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
    /// A scenario file; every flag below takes the place of a value in it.
    #[arg(short, long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Make category, period, sites and slots for this run first (operator).
    #[arg(long)]
    pub prepare: bool,
    /// Do not import the roster: these people are in it already.
    #[arg(long)]
    pub skip_roster: bool,
    /// How many people take part (10k, 1m).
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub people: Option<u64>,
    /// Index of the first person.
    #[arg(long, value_name = "N")]
    pub first: Option<u64>,
    /// Same seed, same people and arrivals.
    #[arg(long)]
    pub seed: Option<u64>,
    /// The period to book.
    #[arg(long, value_name = "NUMBER")]
    pub period: Option<u16>,
    /// Constant arrivals per second (500, 20k).
    #[arg(short = 'q', long, conflicts_with_all = ["stages", "saturate"])]
    pub rate: Option<String>,
    /// Course of the arrivals per second, such as 0s:0,30s:20k,5m:20k.
    #[arg(long, conflicts_with = "saturate")]
    pub stages: Option<String>,
    /// Arrivals at equal distances instead of at random.
    #[arg(long)]
    pub even: bool,
    /// Closed model: every connection sends as soon as it has its answer.
    #[arg(long)]
    pub saturate: bool,
    /// How long people come (30s, 5m).
    #[arg(short = 'z', long, value_name = "TIME", value_parser = parse_seconds)]
    pub duration: Option<u64>,
    /// Bookings at most (10k, 1m).
    #[arg(short = 'n', long, value_name = "N", value_parser = parse_count)]
    pub requests: Option<u64>,
    /// Connections over all threads.
    #[arg(short = 'c', long, value_name = "N")]
    pub connections: Option<usize>,
    /// Threads of the generator.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Ask for the decided outcome, and wait for it this many seconds.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "25")]
    pub wait: Option<u32>,
    /// Which slot people want.
    #[arg(long, value_parser = parse_choice, value_name = "spread|uniform|popular|one")]
    pub slot_choice: Option<SlotChoice>,
    /// Share of requests sent twice under one key.
    #[arg(long, value_name = "SHARE")]
    pub duplicate_share: Option<f64>,
    /// Share of people who book twice at once under two keys.
    #[arg(long, value_name = "SHARE")]
    pub rival_share: Option<f64>,
    /// Share of people who move their booking.
    #[arg(long, value_name = "SHARE")]
    pub move_share: Option<f64>,
    /// Share of people who cancel.
    #[arg(long, value_name = "SHARE")]
    pub cancel_share: Option<f64>,
    /// Sends of one request at most, the first included.
    #[arg(long, value_name = "N")]
    pub attempts: Option<u32>,
    /// Keep every acknowledgement in this file, for `slotline loadtest audit`.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Directory of the text messages sent, to be compared with the confirmations.
    #[arg(long, value_name = "DIR")]
    pub outbox: Option<PathBuf>,
    /// Leave out the audit.
    #[arg(long)]
    pub no_audit: bool,
    /// Plain lines instead of a progress bar.
    #[arg(long)]
    pub no_tui: bool,
}

impl RunArgs {
    /// The scenario with the flags in it.
    pub(crate) fn scenario(&self) -> Result<Scenario, ScenarioError> {
        let mut scenario = match &self.scenario {
            Some(path) => Scenario::load(path)?,
            None => Scenario::default(),
        };
        set(&mut scenario.people.count, self.people);
        set(&mut scenario.people.first, self.first);
        scenario.people.seed = self.seed.or(scenario.people.seed);
        set(&mut scenario.period.number, self.period);
        let load = &mut scenario.load;
        if self.saturate {
            (load.model, load.rate, load.stages) = (LoadModel::Saturate, None, None);
        }
        if self.rate.is_some() || self.stages.is_some() {
            load.model = LoadModel::Open;
            (load.rate, load.stages) = (self.rate.clone(), self.stages.clone());
        }
        if self.even {
            load.spacing = Spacing::Even;
        }
        if self.duration.is_some() && load.model == LoadModel::Open && load.stages.is_some() {
            let reason = "the stages decide how long people come: give -q or --stages with it";
            return Err(ScenarioError::OutOfBounds {
                key: "--duration",
                reason: reason.to_owned(),
            });
        }
        set(&mut load.duration_s, self.duration);
        set(&mut load.requests_max, self.requests);
        set(&mut load.connections, self.connections);
        set(&mut load.threads, self.threads);
        set(&mut load.wait_s, self.wait);
        let behaviour = &mut scenario.behaviour;
        set(&mut behaviour.slot_choice, self.slot_choice);
        set(&mut behaviour.duplicate_share, self.duplicate_share);
        set(&mut behaviour.rival_share, self.rival_share);
        set(&mut behaviour.move_share, self.move_share);
        set(&mut behaviour.cancel_share, self.cancel_share);
        set(&mut scenario.retry.attempts_max, self.attempts);
        scenario.audit.enabled &= !self.no_audit;
        scenario.fail_if.extend(self.output.fail_if.iter().cloned());
        scenario.check()?;
        Ok(scenario)
    }
}

fn set<T>(value: &mut T, flag: Option<T>) {
    if let Some(flag) = flag {
        *value = flag;
    }
}

/// `slotline loadtest report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Results in JSON; several are merged.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

/// `slotline loadtest people`
#[derive(Debug, Args)]
pub struct PeopleArgs {
    /// How many (10k, 1m).
    #[arg(long, value_parser = parse_count)]
    pub count: u64,
    /// Same seed, same people.
    #[arg(long)]
    pub seed: u64,
    /// Index of the first person.
    #[arg(long, default_value_t = 0)]
    pub first: u64,
    /// Nobody is born later; as in the scenario.
    #[arg(long, value_name = "DATE", default_value = "2003-12-31")]
    pub born_on_or_before: Date,
    /// The file; standard output where absent.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `slotline loadtest audit`
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// The record file of a run.
    #[arg(long, value_name = "FILE")]
    pub record: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub servers: ServerArgs,
    /// Directory of the text messages sent, to be compared with the confirmations.
    #[arg(long, value_name = "DIR")]
    pub outbox: Option<PathBuf>,
    /// Others book the same slots: places left need not agree exactly.
    #[arg(long)]
    pub not_alone: bool,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t)]
    pub output_format: OutputFormat,
    /// Connections used.
    #[arg(short = 'c', long, value_name = "N", default_value_t = 64)]
    pub connections: usize,
    /// Every outcome must be known after this long.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, default_value = "120s")]
    pub settle_time: u64,
    /// Confirmations and text messages must all be there after this long.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, default_value = "60s")]
    pub stream_time: u64,
    /// Plain lines instead of a progress bar.
    #[arg(long)]
    pub no_tui: bool,
}

fn parse_count(text: &str) -> Result<u64, String> {
    let number = parse_quantity(text)?;
    if number < 1.0 || number.fract() != 0.0 || number > 1e15 {
        return Err(format!("\"{text}\" is not a whole number of at least 1"));
    }
    Ok(number as u64)
}

fn parse_choice(text: &str) -> Result<SlotChoice, String> {
    match text {
        "spread" => Ok(SlotChoice::Spread),
        "uniform" => Ok(SlotChoice::Uniform),
        "popular" => Ok(SlotChoice::Popular),
        "one" => Ok(SlotChoice::One),
        _ => Err(format!("\"{text}\" is not a choice; use spread, uniform, popular or one")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Whole {
        #[command(subcommand)]
        command: Command,
    }

    fn scenario(flags: &[&str]) -> Result<Scenario, String> {
        let words = ["loadtest", "run"].iter().chain(flags);
        let whole = Whole::try_parse_from(words).map_err(|error| error.to_string())?;
        let Command::Run(args) = whole.command else { return Err("another command".to_owned()) };
        args.scenario().map_err(|error| error.to_string())
    }

    #[test]
    fn flags_take_the_place_of_values() {
        let found = scenario(&[
            "-q",
            "20k",
            "-z",
            "5m",
            "-c",
            "512",
            "-n",
            "1m",
            "--people",
            "10k",
            "--wait",
            "--even",
            "--cancel-share",
            "0.1",
        ])
        .unwrap();
        assert_eq!(found.load.rate.as_deref(), Some("20k"));
        assert_eq!(
            (found.load.duration_s, found.load.connections, found.load.requests_max),
            (300, 512, 1_000_000)
        );
        assert_eq!(
            (found.people.count, found.load.wait_s, found.load.spacing),
            (10_000, 25, Spacing::Even)
        );
        assert_eq!(found.behaviour.cancel_share, 0.1);
        assert_eq!(scenario(&["--wait", "5"]).unwrap().load.wait_s, 5);
        assert_eq!(scenario(&["--saturate"]).unwrap().load.model, LoadModel::Saturate);
    }

    #[test]
    fn several_gateways_may_be_named() {
        let publics = |flags: &[&str]| {
            let words = ["loadtest", "run"].iter().chain(flags);
            match Whole::try_parse_from(words).map(|whole| whole.command) {
                Ok(Command::Run(args)) => args.servers.servers().public,
                _ => Vec::new(),
            }
        };
        assert_eq!(publics(&[]), ["http://127.0.0.1:1922"]);
        assert_eq!(publics(&["--public", "http://a:1", "--public", "http://b:2"]).len(), 2);
        assert_eq!(publics(&["--public", "http://a:1,http://b:2"]).len(), 2);
    }

    #[test]
    fn contradictions_and_bad_values_are_refused() {
        for flags in [
            &["--saturate", "-q", "5"][..],
            &["-q", "5", "--stages", "0s:0,5s:5"],
            &["-z", "5s", "--stages", "0s:0,5s:5"],
            &["-z", "0.5s"],
            &["--people", "2.5"],
            &["--slot-choice", "any"],
            &["--fail-if", "p99>5"],
            &["--wait", "60"],
        ] {
            assert!(scenario(flags).is_err(), "{flags:?}");
        }
    }
}
