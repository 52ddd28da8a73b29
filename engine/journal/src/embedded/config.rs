//! What an embedded journal may be told, each limit with its name and default.
//!
//! Does: defaults and a check that the settings fit together. Does not read files: the program does.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::frame::{FRAME_BLOCK_BYTES, HEADER_BYTES};
use super::segment::SEGMENT_HEADER_BYTES;
use crate::JournalError;

/// How groups reach the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteMode {
    /// Direct where a trial write succeeds, else buffered.
    #[default]
    Auto,
    /// Past the page cache, each write durable when it returns: least CPU, shortest wait.
    Direct,
    /// Through the page cache, then a sync: works on every file system.
    Buffered,
}

impl std::str::FromStr for WriteMode {
    type Err = String;
    fn from_str(text: &str) -> Result<WriteMode, String> {
        match text {
            "auto" => Ok(WriteMode::Auto),
            "direct" => Ok(WriteMode::Direct),
            "buffered" => Ok(WriteMode::Buffered),
            _ => Err(format!("`{text}` is none of auto, direct, buffered")),
        }
    }
}

/// The journal's clock: milliseconds since 1970 UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    })
}

/// Settings of an embedded journal.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddedConfig {
    /// How groups reach the disk.
    pub write_mode: WriteMode,
    /// Size of a stream's first segment file; later ones double up to `segment_bytes`, so that a small
    /// installation stays small. A large accepted record goes to the next one that can hold it.
    pub segment_bytes_first: u64,
    /// Size of a segment file. Larger ones rotate less often and take longer to prepare.
    pub segment_bytes: u64,
    /// Most bytes of one group given to `append`.
    pub group_bytes_max: u32,
    /// Most bytes of one group gathered from lanes. Small enough that its copy and checksum stay short
    /// beside its sync, and that readers get it in one bite; large enough that many share the sync.
    pub gather_bytes_max: u32,
    /// Longest record a lane takes.
    pub record_bytes_max: u32,
    /// Most bytes that may wait in one lane to be taken into a group.
    pub lane_bytes_max: u32,
    /// Most lanes open at once in one stream.
    pub lanes_max: u32,
    /// Longest record `append_behind` takes. One such record holds the events of a whole group of
    /// commands, so it may be larger than a group of commands.
    pub behind_record_bytes_max: u32,
    /// Most bytes accepted by `append_behind` and not yet durable.
    pub behind_bytes_max: u64,
    /// Longest time between acceptance by `append_behind` and durability, if the disk keeps up.
    pub behind_sync_interval_ms: u32,
    /// Most bytes of one write call, unless a single group is larger.
    pub write_bytes_max: u32,
    /// Most time between the starts of two groups while requests keep coming; 0 never pauses. The
    /// pause shares a sync among more requests, because every sync costs CPU that requests need.
    pub group_interval_us_max: u32,
    /// Groups of at most this many records are followed at once by the next.
    pub tiny_group_records: u32,
    /// Idle time after which an empty group proves the last one durable.
    pub seal_after_idle_ms: u32,
    /// Most bytes of durable groups kept in memory per stream for readers near the end.
    pub tail_bytes_max: u64,
    /// Bytes a reader far behind reads from a file at once.
    pub read_bytes: u32,
}

impl Default for EmbeddedConfig {
    fn default() -> EmbeddedConfig {
        EmbeddedConfig {
            write_mode: WriteMode::Auto,
            segment_bytes_first: 8 << 20,
            segment_bytes: 128 << 20,
            group_bytes_max: 256 << 10,
            gather_bytes_max: 96 << 10,
            record_bytes_max: 64 << 10,
            lane_bytes_max: 1 << 20,
            lanes_max: 1_024,
            behind_record_bytes_max: 32 << 20,
            behind_bytes_max: 128 << 20,
            behind_sync_interval_ms: 50,
            write_bytes_max: 4 << 20,
            group_interval_us_max: 1_000,
            tiny_group_records: 16,
            seal_after_idle_ms: 1_000,
            tail_bytes_max: 16 << 20,
            read_bytes: 1 << 20,
        }
    }
}

/// Largest size any limit may have: keeps every sum of them far from overflow.
const BYTES_LIMIT: u64 = 1 << 30;

impl EmbeddedConfig {
    /// Checks that the settings are usable together.
    ///
    /// # Errors
    /// [`JournalError::Setting`] naming the first key that is not, and what it must be.
    pub fn validate(&self) -> Result<(), JournalError> {
        let group = u64::from(self.group_bytes_max);
        let gather = u64::from(self.gather_bytes_max);
        let record = u64::from(self.record_bytes_max);
        let largest = self.frame_bytes_max();
        let least = largest + SEGMENT_HEADER_BYTES;
        let least_first = self.segment_slack_bytes() + SEGMENT_HEADER_BYTES;
        let rules: [(&'static str, u64, u64, u64, &'static str); 11] = [
            ("record_bytes_max", record, 1, gather.saturating_sub(4), "gather_bytes_max - 4"),
            ("gather_bytes_max", gather, 512, group, "group_bytes_max"),
            ("group_bytes_max", group, 512, BYTES_LIMIT, "1 GiB"),
            ("lane_bytes_max", self.lane_bytes_max.into(), record + 4, BYTES_LIMIT, "1 GiB"),
            ("lanes_max", self.lanes_max.into(), 1, 65_536, "65536"),
            (
                "behind_record_bytes_max",
                self.behind_record_bytes_max.into(),
                1,
                BYTES_LIMIT,
                "1 GiB",
            ),
            ("behind_bytes_max", self.behind_bytes_max, largest, BYTES_LIMIT, "1 GiB"),
            ("write_bytes_max", self.write_bytes_max.into(), 4_096, BYTES_LIMIT, "1 GiB"),
            (
                "segment_bytes_first",
                self.segment_bytes_first,
                least_first,
                self.segment_bytes,
                "segment_bytes",
            ),
            ("segment_bytes", self.segment_bytes, least, 1 << 40, "1 TiB"),
            ("read_bytes", self.read_bytes.into(), 4_096, BYTES_LIMIT, "1 GiB"),
        ];
        for (key, value, least, most, most_is) in rules {
            if value < least || value > most {
                let why = format!(
                    "{value} is out of range; it must be at least {least} and at most {most_is}"
                );
                return Err(JournalError::Setting { key, why });
            }
        }
        for (key, value) in [
            ("segment_bytes_first", self.segment_bytes_first),
            ("segment_bytes", self.segment_bytes),
        ] {
            if !value.is_multiple_of(4_096) {
                let why = format!("{value} is not a multiple of 4096");
                return Err(JournalError::Setting { key, why });
            }
        }
        self.validate_times()
    }

    fn validate_times(&self) -> Result<(), JournalError> {
        let rules: [(&'static str, u32, u32, u32); 3] = [
            ("behind_sync_interval_ms", self.behind_sync_interval_ms, 1, 600_000),
            ("group_interval_us_max", self.group_interval_us_max, 0, 100_000),
            ("seal_after_idle_ms", self.seal_after_idle_ms, 1, 3_600_000),
        ];
        for (key, value, least, most) in rules {
            if value < least || value > most {
                let why = format!("{value} is out of range; it must be {least} to {most}");
                return Err(JournalError::Setting { key, why });
            }
        }
        Ok(())
    }

    /// Bytes of the largest group with header and padding.
    pub(super) fn frame_bytes_max(&self) -> u64 {
        let body = u64::from(self.group_bytes_max.max(self.behind_record_bytes_max)) + 4;
        padded(HEADER_BYTES as u64 + body)
    }

    /// Bytes that must stay free at a segment's end for it to be continued: a group from lanes always
    /// fits, so a segment is only ever closed early for a large accepted record.
    pub(super) fn segment_slack_bytes(&self) -> u64 {
        padded(HEADER_BYTES as u64 + u64::from(self.group_bytes_max))
    }

    /// Size of the segment that follows one of `current` bytes; `None` for a stream's first.
    pub(super) fn next_segment_bytes(&self, current: Option<u64>) -> u64 {
        current.map_or(self.segment_bytes_first, |bytes| {
            (bytes * 2).clamp(self.segment_bytes_first, self.segment_bytes)
        })
    }
}

/// Rounded up to the largest block a file system may ask for.
fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(4_096.max(FRAME_BLOCK_BYTES as u64))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_defaults_are_usable() {
        EmbeddedConfig::default().validate().unwrap();
    }

    #[test]
    fn settings_that_do_not_fit_together_are_named() {
        type Change = fn(&mut EmbeddedConfig);
        let cases: [(&str, Change); 6] = [
            ("record_bytes_max", |c| c.record_bytes_max = c.gather_bytes_max),
            ("lane_bytes_max", |c| c.lane_bytes_max = 10),
            ("segment_bytes_first", |c| c.segment_bytes_first = 4_096),
            ("segment_bytes_first", |c| c.segment_bytes_first = (8 << 20) + 512),
            ("behind_bytes_max", |c| c.behind_bytes_max = 1),
            ("seal_after_idle_ms", |c| c.seal_after_idle_ms = 0),
        ];
        for (expected, change) in cases {
            let mut config = EmbeddedConfig::default();
            change(&mut config);
            match config.validate() {
                Err(JournalError::Setting { key, .. }) => assert_eq!(key, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }

    #[test]
    fn segments_double_up_to_their_size() {
        let config = EmbeddedConfig::default();
        assert_eq!(config.next_segment_bytes(None), 8 << 20);
        assert_eq!(config.next_segment_bytes(Some(8 << 20)), 16 << 20);
        assert_eq!(config.next_segment_bytes(Some(128 << 20)), 128 << 20);
    }
}
