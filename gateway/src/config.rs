//! Every limit of the gateway, by name, with its default.
//!
//! What this module does not do: read files or the environment; the command line does that and hands
//! over a [`GatewayConfig`]. Values out of range are refused by [`GatewayConfig::check`] with the key.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// hyper's own bound on the number of header fields; a larger one would cost an allocation a request.
pub const HEADER_FIELDS_MAX: usize = 100;

/// Cores that an origin can name; the last one is the operator listener's.
pub const CORES_MAX: usize = 255;

/// The longest wait that the contract promises anybody.
const WAIT_S_MAX: u32 = 25;

/// All settings of one gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Where citizens call.
    pub public_address: SocketAddr,
    /// Where operators and monitoring call.
    pub operator_address: SocketAddr,
    /// Where the disk views (contacts, roster) and the checkpoints of the outcomes view live; each in
    /// a folder of its own.
    pub data_dir: PathBuf,
    /// Threads of the public listener; 0 = one a CPU.
    pub cores: usize,
    /// Sizes, patience and numbers of connections.
    pub limits: LimitConfig,
    /// How commands travel and how long answers are awaited.
    pub request: RequestConfig,
    /// Proof of identity and tokens.
    pub identity: IdentityConfig,
    /// Snapshots of what is free.
    pub availability: AvailabilityConfig,
    /// Checkpoints of the outcomes view.
    pub view: ViewConfig,
}

/// Sizes, patience and numbers of connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitConfig {
    /// Request line and header fields together; beyond: 431.
    pub header_bytes_max: usize,
    /// Body of a public call; beyond: 413.
    pub body_bytes_max: usize,
    /// Body of an operator's import; beyond: 413. A kind of file may have a lower limit of its own.
    pub import_body_bytes_max: usize,
    /// Rows of an operator's import; beyond: 422. A kind of file may have a lower limit of its own.
    pub import_rows_max: u32,
    /// From the first byte of a request to the end of its header; beyond: closed.
    pub header_wait_ms_max: u64,
    /// From the end of the header to the end of the body; beyond: 408. Also how long an operator's import may
    /// stand still.
    pub body_wait_ms_max: u64,
    /// The same for an operator's import.
    pub import_body_wait_ms_max: u64,
    /// Between two requests of a connection; beyond: closed.
    pub idle_wait_ms_max: u64,
    /// Open connections of the public listener; beyond: 503 and closed.
    pub connections_max: usize,
    /// Open connections of the operator listener.
    pub operator_connections_max: usize,
    /// How long a drain waits for answers under way before it closes every connection.
    pub drain_ms_max: u64,
    /// Requests a second and client address, over all cores; 0 = no limit.
    pub address_requests_per_second_max: u32,
    /// Commands a minute and person; 0 = no limit.
    pub person_commands_per_minute_max: u32,
    /// Addresses and people remembered for the two limits above.
    pub rate_entries_max: usize,
}

/// How commands travel and how long answers are awaited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestConfig {
    /// Longest `Prefer: wait` and `?wait`.
    pub wait_s_max: u32,
    /// Longest `Idempotency-Key`.
    pub idempotency_key_bytes_max: usize,
    /// How long a command may take to become durable; beyond: 503 `outcome-unknown`.
    pub durable_wait_ms_max: u64,
    /// How long a person's own read waits for the view to know all that was admitted before it; and a
    /// login that would be refused for the rosters that other gateways imported before it.
    pub view_wait_ms_max: u64,
    /// Least time between two looks at what other gateways wrote; the own reads in between share one.
    pub look_interval_ms: u64,
    /// How long an operator's write waits until it is applied.
    pub applied_wait_ms_max: u64,
    /// How long an import of the roster waits until this gateway's view has taken it.
    pub roster_wait_ms_max: u64,
    /// Requests awaiting an answer, per core; beyond: 503.
    pub in_flight_max: usize,
    /// Windows are shed only when they are shut by more than this; nearer, the writer decides.
    pub clock_skew_ms_max: i64,
}

/// Proof of identity and tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityConfig {
    /// How long a token is good for.
    pub token_lifetime_s: u64,
    /// Failed proofs per ID within the window; from then on: 429.
    pub failures_max: u32,
    /// The window of the failures.
    pub failure_window_s: u64,
    /// IDs remembered for it; the memory is bounded by this.
    pub failure_entries_max: usize,
    /// A failed proof is answered no sooner than this after it came, so that the time taken does not
    /// tell strangers from people with another document.
    pub failure_answer_ms: u64,
}

/// Snapshots of what is free.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AvailabilityConfig {
    /// Age at which an answer is made anew.
    pub refresh_interval_ms: u64,
    /// Answers kept ready; beyond, they are made per request.
    pub entries_max: usize,
}

/// Checkpoints of the outcomes view: a restarted gateway reads only the events since the last one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ViewConfig {
    /// Least time between two checkpoints.
    pub checkpoint_interval_ms: u64,
    /// Commands since the last checkpoint before another is taken; also at an orderly end.
    pub checkpoint_commands_min: u64,
    /// The same in per cent of all commands, as a checkpoint holds the whole view: it bounds how much
    /// is written over time, and how much a start has to read.
    pub checkpoint_growth_percent_min: u32,
    /// How fast one is written, so that journal and requests have the disk and the CPUs; 0 = no limit.
    pub checkpoint_bytes_per_second_max: u64,
    /// Memory for rows that change while one is written; beyond, it is given up and tried again later.
    pub checkpoint_memory_bytes_max: u64,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        GatewayConfig {
            public_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1922)),
            operator_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1923)),
            data_dir: PathBuf::from("data/gateway"),
            cores: 0,
            limits: LimitConfig::default(),
            request: RequestConfig::default(),
            identity: IdentityConfig::default(),
            availability: AvailabilityConfig::default(),
            view: ViewConfig::default(),
        }
    }
}

impl Default for LimitConfig {
    fn default() -> Self {
        LimitConfig {
            header_bytes_max: 16 * 1024,
            body_bytes_max: 16 * 1024,
            import_body_bytes_max: 128 * 1024 * 1024,
            import_rows_max: 1_000_000,
            header_wait_ms_max: 5_000,
            body_wait_ms_max: 10_000,
            import_body_wait_ms_max: 300_000,
            idle_wait_ms_max: 60_000,
            connections_max: 50_000,
            operator_connections_max: 1_000,
            drain_ms_max: 10_000,
            address_requests_per_second_max: 0,
            person_commands_per_minute_max: 60,
            rate_entries_max: 1 << 18,
        }
    }
}

impl Default for RequestConfig {
    fn default() -> Self {
        RequestConfig {
            wait_s_max: 25,
            idempotency_key_bytes_max: 128,
            durable_wait_ms_max: 10_000,
            view_wait_ms_max: 2_000,
            look_interval_ms: 5,
            applied_wait_ms_max: 30_000,
            roster_wait_ms_max: 300_000,
            in_flight_max: 1 << 16,
            clock_skew_ms_max: 2_000,
        }
    }
}

impl Default for IdentityConfig {
    fn default() -> Self {
        IdentityConfig {
            token_lifetime_s: 2 * 3_600,
            failures_max: 5,
            failure_window_s: 15 * 60,
            failure_entries_max: 1 << 18,
            failure_answer_ms: 10,
        }
    }
}

impl Default for AvailabilityConfig {
    fn default() -> Self {
        AvailabilityConfig { refresh_interval_ms: 1_000, entries_max: 200_000 }
    }
}

impl Default for ViewConfig {
    fn default() -> Self {
        ViewConfig {
            checkpoint_interval_ms: 60_000,
            checkpoint_commands_min: 100_000,
            checkpoint_growth_percent_min: 20,
            checkpoint_bytes_per_second_max: 64 * 1024 * 1024,
            checkpoint_memory_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gateway.{key}: {why}")]
pub struct BadSetting {
    /// Which one.
    pub key: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

impl GatewayConfig {
    /// Refuses values that could not work, naming the key.
    ///
    /// # Errors
    /// The first such value.
    pub fn check(&self) -> Result<(), BadSetting> {
        let limits = &self.limits;
        let rules: [(bool, &'static str, &'static str); 13] = [
            (
                self.cores < CORES_MAX,
                "cores",
                "at most 254 threads can be named in an answer's origin",
            ),
            (limits.header_bytes_max >= 8_192, "limits.header_bytes_max", "must be at least 8192"),
            (limits.body_bytes_max >= 1_024, "limits.body_bytes_max", "must be at least 1024"),
            (
                limits.header_wait_ms_max > 0 && limits.body_wait_ms_max > 0,
                "limits.header_wait_ms_max",
                "must not be 0: slow clients would hold connections for ever",
            ),
            (
                limits.idle_wait_ms_max > 0,
                "limits.idle_wait_ms_max",
                "must not be 0: idle clients would hold connections for ever",
            ),
            (
                limits.connections_max > 0 && limits.operator_connections_max > 0,
                "limits.connections_max",
                "must not be 0",
            ),
            (
                self.request.wait_s_max <= WAIT_S_MAX,
                "request.wait_s_max",
                "must be at most 25: proxies give up on longer waits",
            ),
            (
                self.request.look_interval_ms <= self.request.view_wait_ms_max / 2,
                "request.look_interval_ms",
                "must be at most half of view_wait_ms_max: own reads would wait in vain",
            ),
            (
                self.request.in_flight_max > 0 && self.request.in_flight_max < (1 << 24) - 1,
                "request.in_flight_max",
                "must be between 1 and 16777214",
            ),
            (
                self.identity.failures_max > 0,
                "identity.failures_max",
                "must not be 0: nobody could log in",
            ),
            (
                self.availability.refresh_interval_ms <= 1_000,
                "availability.refresh_interval_ms",
                "must be at most 1000: figures are promised to be at most a second old",
            ),
            (
                self.view.checkpoint_commands_min > 0,
                "view.checkpoint_commands_min",
                "must not be 0: a checkpoint of nothing new would follow another without end",
            ),
            (
                self.view.checkpoint_memory_bytes_max >= 1 << 20,
                "view.checkpoint_memory_bytes_max",
                "must be at least 1048576",
            ),
        ];
        match rules.iter().find(|(holds, ..)| !holds) {
            None => Ok(()),
            Some(&(_, key, why)) => Err(BadSetting { key, why }),
        }
    }

    /// Threads of the public listener.
    pub fn public_cores(&self) -> usize {
        if self.cores > 0 {
            return self.cores;
        }
        std::thread::available_parallelism().map_or(1, |cpus| cpus.get().min(CORES_MAX - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_usable() {
        assert_eq!(GatewayConfig::default().check(), Ok(()));
    }

    #[test]
    fn a_wait_longer_than_promised_is_refused_by_name() {
        let mut config = GatewayConfig::default();
        config.request.wait_s_max = 26;
        assert_eq!(config.check().map_err(|bad| bad.key), Err("request.wait_s_max"));
    }

    #[test]
    fn a_refresh_slower_than_promised_is_refused_by_name() {
        let mut config = GatewayConfig::default();
        config.availability.refresh_interval_ms = 1_001;
        assert_eq!(config.check().map_err(|bad| bad.key), Err("availability.refresh_interval_ms"));
    }
}
