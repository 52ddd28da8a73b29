//! Counters, one plain set a core, summed when somebody asks.
//!
//! A count is a load and a store by the one thread that owns it: no lock, no label look-up. What this
//! module does not do: keep history or push; Prometheus comes and reads (`GET /metrics`).

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::StatusCode;
use journal::{Journal, Stream};

use crate::route::Route;

/// Adds further metrics in Prometheus' text format; for the parts that run in the same process.
pub type MetricsSource = Arc<dyn Fn(&mut String) + Send + Sync>;

/// A count with one writer.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Adds; only by the owning thread.
    #[inline]
    pub(crate) fn add(&self, more: u64) {
        let count = self.0.load(Ordering::Relaxed).wrapping_add(more);
        self.0.store(count, Ordering::Relaxed);
    }

    /// Replaces; only by the owning thread.
    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// As it stands.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Statuses told apart; the last stands for all others.
const STATUSES: [u16; 22] = [
    200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 408, 409, 413, 414, 415, 422, 425, 429, 431,
    500, 503, 0,
];

/// One core's counts.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Requests per route; the last for paths that are not ours.
    routes: [Count; Route::COUNT + 1],
    /// Answers per status, in the order of `STATUSES`.
    statuses: [Count; STATUSES.len()],
    /// Commands pushed.
    pub(crate) commands: Count,
    /// Requests answered without a command because the rules would say no.
    pub(crate) shed: Count,
    /// Commands the journal did not take.
    pub(crate) refused: Count,
    /// Commands whose fate stayed unknown to the client.
    pub(crate) unknown: Count,
    /// Connections taken.
    pub(crate) connections: Count,
    /// Connections turned away because too many were open.
    pub(crate) connections_refused: Count,
    /// Connections closed because the client was too slow or idle.
    pub(crate) connections_timed_out: Count,
    /// Connections closed after bytes that are not HTTP.
    pub(crate) malformed: Count,
    /// Requests awaiting an answer.
    pub(crate) waiting: Count,
    /// Waits from submission to answer: counts per power of two of microseconds.
    pub(crate) latency: [Count; crate::submitter::LATENCY_BUCKETS],
    /// Their sum in microseconds.
    pub(crate) latency_sum_us: Count,
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            routes: std::array::from_fn(|_| Count::default()),
            statuses: std::array::from_fn(|_| Count::default()),
            commands: Count::default(),
            shed: Count::default(),
            refused: Count::default(),
            unknown: Count::default(),
            connections: Count::default(),
            connections_refused: Count::default(),
            connections_timed_out: Count::default(),
            malformed: Count::default(),
            waiting: Count::default(),
            latency: std::array::from_fn(|_| Count::default()),
            latency_sum_us: Count::default(),
        }
    }
}

impl Counters {
    /// A request came and was answered.
    #[inline]
    pub(crate) fn answered(&self, route: Option<usize>, status: StatusCode) {
        self.routes[route.unwrap_or(Route::COUNT)].add(1);
        self.answered_status(status);
    }

    /// An answer to something that is not one of the public routes.
    #[inline]
    pub(crate) fn answered_status(&self, status: StatusCode) {
        let status = status.as_u16();
        let place = STATUSES.iter().position(|known| *known == status);
        self.statuses[place.unwrap_or(STATUSES.len() - 1)].add(1);
    }
}

/// Appends the sums over all cores.
pub(crate) fn write_counters(cores: &[Arc<Counters>], out: &mut String) {
    let sum = |pick: &dyn Fn(&Counters) -> u64| cores.iter().map(|core| pick(core)).sum::<u64>();
    heading(out, "slotline_http_requests_total", "counter", "Requests by route.");
    for (place, name) in Route::NAMES.iter().copied().chain(["other"]).enumerate() {
        let count = sum(&|core| core.routes[place].get());
        line(out, "slotline_http_requests_total", &[("route", name)], count);
    }
    heading(out, "slotline_http_answers_total", "counter", "Answers by status.");
    for (place, status) in STATUSES.iter().enumerate() {
        let count = sum(&|core| core.statuses[place].get());
        let name = if *status == 0 { "other".to_owned() } else { status.to_string() };
        line(out, "slotline_http_answers_total", &[("status", &name)], count);
    }
    type Pick = fn(&Counters) -> u64;
    let plain: [(&str, &str, &str, Pick); 9] = [
        ("slotline_gateway_commands_total", "counter", "Commands given to the journal.", |c| {
            c.commands.get()
        }),
        (
            "slotline_gateway_shed_total",
            "counter",
            "Requests answered without a command because the rules would refuse it.",
            |c| c.shed.get(),
        ),
        ("slotline_gateway_refused_total", "counter", "Commands the journal did not take.", |c| {
            c.refused.get()
        }),
        (
            "slotline_gateway_unknown_total",
            "counter",
            "Commands answered with outcome-unknown.",
            |c| c.unknown.get(),
        ),
        ("slotline_gateway_waiting", "gauge", "Requests awaiting an answer.", |c| c.waiting.get()),
        ("slotline_connections_total", "counter", "Connections taken.", |c| c.connections.get()),
        (
            "slotline_connections_refused_total",
            "counter",
            "Connections turned away: too many were open.",
            |c| c.connections_refused.get(),
        ),
        (
            "slotline_connections_timed_out_total",
            "counter",
            "Connections closed: the client was slow or idle.",
            |c| c.connections_timed_out.get(),
        ),
        (
            "slotline_connections_malformed_total",
            "counter",
            "Connections closed: not HTTP, or ambiguous.",
            |c| c.malformed.get(),
        ),
    ];
    for (name, kind, help, pick) in plain {
        heading(out, name, kind, help);
        line(out, name, &[], sum(&pick));
    }
    write_latency(cores, out);
}

fn write_latency(cores: &[Arc<Counters>], out: &mut String) {
    let name = "slotline_answer_seconds";
    heading(out, name, "histogram", "From submission of a command to its answer.");
    let mut total = 0;
    for bucket in 0..crate::submitter::LATENCY_BUCKETS {
        total += cores.iter().map(|core| core.latency[bucket].get()).sum::<u64>();
        let last = bucket + 1 == crate::submitter::LATENCY_BUCKETS;
        let bound =
            if last { "+Inf".to_owned() } else { format!("{}", (1_u64 << bucket) as f64 / 1e6) };
        line(out, "slotline_answer_seconds_bucket", &[("le", &bound)], total);
    }
    let sum_us: u64 = cores.iter().map(|core| core.latency_sum_us.get()).sum();
    let _ = writeln!(out, "{name}_sum {}", sum_us as f64 / 1e6);
    line(out, "slotline_answer_seconds_count", &[], total);
}

/// Writes how much each stream of a journal holds.
pub fn write_stored_bytes(journal: &dyn Journal, out: &mut String) {
    let name = "slotline_journal_stored_bytes";
    heading(out, name, "gauge", "Bytes of each stream, as far as this process knows.");
    for stream in Stream::ALL {
        line(out, name, &[("stream", stream.name())], journal.stored_bytes(stream));
    }
}

/// Writes what a metric means.
pub fn heading(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Writes one value.
pub fn line(out: &mut String, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
    out.push_str(name);
    for (place, (label, text)) in labels.iter().enumerate() {
        let open = if place == 0 { '{' } else { ',' };
        let _ = write!(out, "{open}{label}=\"{text}\"");
    }
    if !labels.is_empty() {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}
