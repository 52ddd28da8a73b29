//! What an operator may set, with the limits within which it is sane.

use std::path::PathBuf;

use crate::EngineError;

/// Bounds of `checkpoint_interval_ms`.
const CHECKPOINT_INTERVAL_MS: (u64, u64) = (10, 3_600_000);
/// Bounds of `checkpoint_changes_bytes_max`.
const CHECKPOINT_CHANGES_BYTES: (u64, u64) = (64 << 10, 1 << 30);
/// Bounds of `clock_skew_ms_max`.
const CLOCK_SKEW_MS: (u64, u64) = (10, 3_600_000);
/// Bounds of `pulse_interval_ms`.
const PULSE_INTERVAL_MS: (u64, u64) = (10, 60_000);
/// Bounds of `takeover_ms`; it must also be at least twice the pulse interval.
const TAKEOVER_MS: (u64, u64) = (20, 600_000);
/// Bounds of `events_pending_bytes_max`.
const EVENTS_PENDING_BYTES: (u64, u64) = (1 << 20, 1 << 36);

/// Settings of one engine.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The checkpoint lives in `checkpoint/` below this directory. Losing it costs a replay, no data.
    pub data_dir: PathBuf,
    /// A checkpoint is taken this often while commands come in.
    pub checkpoint_interval_ms: u64,
    /// … and as soon as this much changed, so that a restart never replays for long.
    pub checkpoint_changes_bytes_max: u64,
    /// A live group further ahead of this machine's clock halts the engine before it is applied.
    pub clock_skew_ms_max: u64,
    /// How often the active engine says that it lives, and that time passes.
    pub pulse_interval_ms: u64,
    /// Shared mode: a standby takes over when it has seen no pulse for this long.
    pub takeover_ms: u64,
    /// True when a lock on the data directory already decides that this is the only engine
    /// (embedded journal): it takes over at once. False: standby until the pulse stops.
    pub exclusive: bool,
    /// Names this run of this engine; draw it at random at every start.
    pub engine_id: [u8; 16],
    /// Events computed by a standby and not yet seen in the events stream, at most.
    pub events_pending_bytes_max: u64,
}

impl EngineConfig {
    /// The defaults, for one engine on one machine.
    pub fn new(data_dir: impl Into<PathBuf>, engine_id: [u8; 16]) -> EngineConfig {
        EngineConfig {
            data_dir: data_dir.into(),
            checkpoint_interval_ms: 5_000,
            checkpoint_changes_bytes_max: 32 << 20,
            clock_skew_ms_max: 2_000,
            pulse_interval_ms: 500,
            takeover_ms: 3_000,
            exclusive: true,
            engine_id,
            events_pending_bytes_max: 1 << 30,
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first setting that is not usable, and the values that are.
    pub fn validate(&self) -> Result<(), EngineError> {
        within("checkpoint_interval_ms", self.checkpoint_interval_ms, CHECKPOINT_INTERVAL_MS)?;
        within(
            "checkpoint_changes_bytes_max",
            self.checkpoint_changes_bytes_max,
            CHECKPOINT_CHANGES_BYTES,
        )?;
        within("clock_skew_ms_max", self.clock_skew_ms_max, CLOCK_SKEW_MS)?;
        within("pulse_interval_ms", self.pulse_interval_ms, PULSE_INTERVAL_MS)?;
        within("takeover_ms", self.takeover_ms, TAKEOVER_MS)?;
        within("events_pending_bytes_max", self.events_pending_bytes_max, EVENTS_PENDING_BYTES)?;
        if self.takeover_ms < self.pulse_interval_ms.saturating_mul(2) {
            return Err(EngineError::Setting {
                key: "takeover_ms",
                why: format!(
                    "{} is less than two pulses ({} ms each): a healthy engine would be deposed; set it to at least {}",
                    self.takeover_ms,
                    self.pulse_interval_ms,
                    self.pulse_interval_ms * 2
                ),
            });
        }
        if self.engine_id == [0; 16] {
            return Err(EngineError::Setting {
                key: "engine_id",
                why: "it is all zeros; draw 16 random bytes at every start".to_owned(),
            });
        }
        Ok(())
    }
}

fn within(key: &'static str, value: u64, (low, high): (u64, u64)) -> Result<(), EngineError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(EngineError::Setting { key, why: format!("{value} is not between {low} and {high}") })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn refused_key(change: impl FnOnce(&mut EngineConfig)) -> Option<&'static str> {
        let mut config = EngineConfig::new("data", [1; 16]);
        change(&mut config);
        match config.validate() {
            Ok(()) => None,
            Err(EngineError::Setting { key, .. }) => Some(key),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(refused_key(|_| {}), None);
    }

    #[test]
    fn every_setting_out_of_bounds_is_named() {
        assert_eq!(refused_key(|c| c.checkpoint_interval_ms = 0), Some("checkpoint_interval_ms"));
        assert_eq!(
            refused_key(|c| c.checkpoint_changes_bytes_max = 1),
            Some("checkpoint_changes_bytes_max")
        );
        assert_eq!(refused_key(|c| c.clock_skew_ms_max = 0), Some("clock_skew_ms_max"));
        assert_eq!(refused_key(|c| c.pulse_interval_ms = 0), Some("pulse_interval_ms"));
        assert_eq!(refused_key(|c| c.takeover_ms = u64::MAX), Some("takeover_ms"));
        assert_eq!(
            refused_key(|c| c.events_pending_bytes_max = 0),
            Some("events_pending_bytes_max")
        );
        assert_eq!(refused_key(|c| c.engine_id = [0; 16]), Some("engine_id"));
    }

    #[test]
    fn a_takeover_sooner_than_two_pulses_is_refused() {
        assert_eq!(
            refused_key(|c| {
                c.pulse_interval_ms = 500;
                c.takeover_ms = 999;
            }),
            Some("takeover_ms")
        );
    }
}
