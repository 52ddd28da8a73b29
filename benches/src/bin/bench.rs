//! `make bench`: all figures, one table, one JSON file.
//!
//! Runs every part as a process of its own, one after the other, and gathers their figures.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use benches::figures::{Figure, Summary};
use benches::part::{Part, Run, Scratch};
use benches::process::Load;
use benches::{PARTS, memory};

// As in the product: what memory costs is what its allocator takes.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What the command line asks for.
struct Options {
    /// The JSON file.
    output: PathBuf,
    /// The product's binary.
    product: PathBuf,
    /// Where parts keep their files meanwhile; on the disk whose journal is measured.
    scratch: PathBuf,
    /// Only these parts; all, when empty.
    only: Vec<String>,
    /// One part, in this process: its figures go to the output.
    part: Option<String>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match &words[..] {
        [flag, role, words @ ..] if flag == "--role" => play(role, words),
        words => read_options(words).and_then(|options| match &options.part {
            Some(part) => run_part(part, &options),
            None => run_all(&options),
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("bench: {text}");
            ExitCode::FAILURE
        }
    }
}

fn read_options(words: &[String]) -> Result<Options, String> {
    let mut options = Options {
        output: "target/bench/summary.json".into(),
        product: "target/release/slotline".into(),
        scratch: "target/bench/scratch".into(),
        only: Vec::new(),
        part: None,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--output" => options.output = value()?.into(),
            "--product" => options.product = value()?.into(),
            "--scratch" => options.scratch = value()?.into(),
            "--only" => options.only.extend(value()?.split('|').map(str::to_owned)),
            "--part" => options.part = Some(value()?.clone()),
            _ => return Err(format!("unknown option {word}")),
        }
    }
    options.only.iter().try_for_each(|name| find(name).map(drop))?;
    Ok(options)
}

fn find(name: &str) -> Result<&'static Part, String> {
    PARTS.iter().find(|part| part.name == name).ok_or_else(|| {
        let names: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        format!("no part {name:?}; there are {}", names.join(", "))
    })
}

/// Every part wanted. One that fails is named, and the others' figures are kept.
fn run_all(options: &Options) -> Result<(), String> {
    let began = Instant::now();
    let mut summary = Summary::new();
    let mut failed = Vec::new();
    let wanted =
        |part: &&Part| options.only.is_empty() || options.only.iter().any(|name| name == part.name);
    for part in PARTS.iter().filter(wanted) {
        eprintln!("bench: {} ({}) …", part.title, part.name);
        match in_own_process(part, options) {
            Ok(figures) => summary.figures.extend(figures),
            Err(text) => {
                eprintln!("bench: {}: {text}", part.name);
                failed.push(part.name);
            }
        }
    }
    println!("{}", summary.table());
    summary
        .write(&options.output)
        .map_err(|error| format!("{}: {error}", options.output.display()))?;
    let seconds = began.elapsed().as_secs();
    println!("written to {} after {seconds} s", options.output.display());
    if failed.is_empty() { Ok(()) } else { Err(format!("no figures of {}", failed.join(", "))) }
}

/// Runs a part in a process of its own, and adds how much others disturbed it.
fn in_own_process(part: &Part, options: &Options) -> Result<Vec<Figure>, String> {
    let scratch = Scratch::new(&options.scratch)?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = scratch.path().join("figures.json");
    let (before, began) = (Load::now(), Instant::now());
    let status = Command::new(own)
        .args(["--part", part.name])
        .args([Path::new("--output"), &output])
        .args([Path::new("--product"), &options.product])
        .args([Path::new("--scratch"), &scratch.path().join(part.name)])
        .status()
        .map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("its process ended with {status}"));
    }
    let others = Load::now().others_percent_since(before, began.elapsed());
    let bytes = std::fs::read(&output).map_err(|error| format!("{}: {error}", output.display()))?;
    let summary: Summary = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    let mut figures = summary.figures;
    figures.push(Figure::printed(&format!("{}_others_cpu", part.name), others, "%"));
    figures.push(Figure::printed(
        &format!("{}_took", part.name),
        began.elapsed().as_secs_f64(),
        "s",
    ));
    Ok(figures)
}

/// Runs a part in this process.
fn run_part(name: &str, options: &Options) -> Result<(), String> {
    let part = find(name)?;
    let scratch = Scratch::new(&options.scratch)?;
    let run = Run { product: options.product.clone(), scratch: scratch.path().to_owned() };
    let mut summary = Summary::new();
    (part.measure)(&run, &mut summary)?;
    summary.write(&options.output).map_err(|error| format!("{}: {error}", options.output.display()))
}

/// Does the work of a role in this process.
fn play(name: &str, words: &[String]) -> Result<(), String> {
    let roles = PARTS.iter().flat_map(|part| part.roles);
    let mut roles = roles.chain([&memory::ROLE]);
    let role = roles.find(|role| role.name == name).ok_or_else(|| format!("no role {name:?}"))?;
    (role.work)(words)
}
