//! Progress: a bar on a terminal, plain lines elsewhere, nothing when asked for quiet. Always on
//! standard error; results own standard output. No colours, so there is nothing for `NO_COLOR` to
//! switch off beyond what the terminal library does itself.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between two drawings of a bar.
const DRAW_INTERVAL: Duration = Duration::from_millis(200);
/// Between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Counters of the load while it runs.
#[derive(Debug, Default)]
pub struct Live {
    /// Exchanges that ended.
    pub exchanges: AtomicU64,
    /// Requests acknowledged.
    pub acknowledged: AtomicU64,
    /// Exchanges without a usable answer.
    pub errors: AtomicU64,
    /// Arrivals never sent.
    pub dropped: AtomicU64,
}

impl Live {
    /// The counters in one line.
    pub fn line(&self) -> String {
        format!(
            "{} acknowledged, {} exchanges, {} errors, {} dropped",
            self.acknowledged.load(Ordering::Relaxed),
            self.exchanges.load(Ordering::Relaxed),
            self.errors.load(Ordering::Relaxed),
            self.dropped.load(Ordering::Relaxed)
        )
    }
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Bar,
    Lines,
    Quiet,
}

/// Shows progress.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    manner: Manner,
}

impl Progress {
    /// Nothing is shown.
    pub const QUIET: Progress = Progress { manner: Manner::Quiet };

    /// A bar where standard error is a terminal, lines where it is not or `plain` is set.
    pub fn new(quiet: bool, plain: bool) -> Progress {
        let manner = match (quiet, plain || !std::io::stderr().is_terminal()) {
            (true, _) => Manner::Quiet,
            (false, true) => Manner::Lines,
            (false, false) => Manner::Bar,
        };
        Progress { manner }
    }

    /// Says something.
    pub fn say(&self, text: &str) {
        if self.manner != Manner::Quiet {
            eprintln!("{text}");
        }
    }

    /// Does `work` on another thread and meanwhile shows how far `done` has come of `total`; `detail`
    /// is asked for the rest of the line.
    pub fn watch<R: Send>(
        &self,
        name: &str,
        total: u64,
        done: &(dyn Fn() -> u64 + Sync),
        detail: &(dyn Fn() -> String + Sync),
        work: impl FnOnce() -> R + Send,
    ) -> R {
        let here = std::thread::current();
        let started = Instant::now();
        std::thread::scope(|scope| {
            let worker = scope.spawn(move || {
                let result = work();
                here.unpark();
                result
            });
            self.show_until(name, total, done, detail, started, &|| worker.is_finished());
            match worker.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn show_until(
        &self,
        name: &str,
        total: u64,
        done: &dyn Fn() -> u64,
        detail: &dyn Fn() -> String,
        started: Instant,
        finished: &dyn Fn() -> bool,
    ) {
        let bar = match self.manner {
            Manner::Bar => ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr()),
            _ => ProgressBar::hidden(),
        };
        if let Ok(style) =
            ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {elapsed} {msg}")
        {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        let mut next_line = started + LINE_INTERVAL;
        while !finished() {
            std::thread::park_timeout(DRAW_INTERVAL);
            bar.set_position(done().min(total));
            bar.set_message(detail());
            if self.manner == Manner::Lines && Instant::now() >= next_line {
                eprintln!(
                    "{name}: {} of {total} after {} s; {}",
                    done(),
                    started.elapsed().as_secs(),
                    detail()
                );
                next_line += LINE_INTERVAL;
            }
        }
        bar.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        let line = format!("{name}: {} in {seconds:.1} s  {}", done(), detail());
        self.say(line.trim_end());
    }
}
