//! `make bench`: all figures, one table, one JSON file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use benches::figures::Summary;
use benches::{echo, http};

/// Where the table goes as JSON unless told otherwise.
const SUMMARY_FILE: &str = "target/bench/summary.json";

/// What the command line asks for.
struct Options {
    /// The JSON file.
    output: PathBuf,
    /// The product's binary.
    product: PathBuf,
    /// Only figures whose part has one of these names; all, when empty.
    only: Vec<String>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // The ceiling runs as a process of its own, so that its CPU time can be read like the product's.
    if let [flag, size] = &words[..]
        && flag == "--echo"
    {
        return serve_echo(size.parse().unwrap_or(200));
    }
    match read_options(&words).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("bench: {text}");
            ExitCode::FAILURE
        }
    }
}

fn read_options(words: &[String]) -> Result<Options, String> {
    let mut options = Options {
        output: SUMMARY_FILE.into(),
        product: "target/release/slotline".into(),
        only: Vec::new(),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--output" => options.output = value()?.into(),
            "--product" => options.product = value()?.into(),
            "--only" => options.only.push(value()?.clone()),
            _ => return Err(format!("unknown option {word}")),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    let mut summary = Summary::new();
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let wanted =
        |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let scratch = Scratch::new()?;
    if wanted("http") {
        eprintln!("bench: bookings over HTTP beside a bare echo …");
        http::measure(&mut summary, &options.product, &own, &scratch.path("http"))?;
    }
    println!("{}", summary.table());
    summary
        .write(&options.output)
        .map_err(|error| format!("{}: {error}", options.output.display()))?;
    println!("written to {}", options.output.display());
    Ok(())
}

/// Serves the echo on a free port and says where.
fn serve_echo(body_bytes: usize) -> ExitCode {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let Ok(address) = free else { return ExitCode::FAILURE };
    announce(address);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match echo::serve(address, cores, body_bytes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The same line as the product's `--json`; the listener follows within the generator's first retry.
fn announce(address: SocketAddr) {
    println!("{{\"public\":\"http://{address}\"}}");
}

/// A folder on the same disk as the build, removed at the end.
struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    fn new() -> Result<Scratch, String> {
        let folder = Path::new("target/bench/scratch").to_path_buf();
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Scratch { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
