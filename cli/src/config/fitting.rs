//! What must fit together across the sections of the configuration.
//!
//! What this module does not do: check a part's own limits; each part does.

use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use domain::rules::IMPORT_EVENT_BYTES_MAX;

use super::Settings;

/// How much longer than the commands of a group their events may be; an import's rows are counted apart.
const EVENT_GROWTH: u64 = 4;

/// Checks settings of different sections against each other.
///
/// # Errors
/// A sentence that names the keys.
pub(super) fn check(settings: &Settings) -> Result<(), String> {
    check_addresses(settings)?;
    check_room_for_events(settings)?;
    check_outbox(settings)?;
    check_log(settings)
}

/// Both listeners share their ports with their own threads, so the system would not refuse the second
/// one: citizens would reach the operator's calls.
fn check_addresses(settings: &Settings) -> Result<(), String> {
    let (public, operator) = (settings.listen.public, settings.listen.operator);
    let (one, other) = (public.ip().to_canonical(), operator.ip().to_canonical());
    let overlap = covers(one, other) || covers(other, one);
    if public.port() != 0 && public.port() == operator.port() && overlap {
        return Err(format!(
            "listen.public: {public} overlaps listen.operator = {operator}; citizens would reach the operator's calls"
        ));
    }
    Ok(())
}

/// True when a listener on the first address also gets connections to the second.
fn covers(listening: IpAddr, called: IpAddr) -> bool {
    let any = listening.is_unspecified() && (listening.is_ipv6() || called.is_ipv4());
    any || listening == called
}

/// The events of the largest import that the rules take, and of what else is in its group, must fit into
/// one record: an engine that cannot write them halts, and halts again at every start.
fn check_room_for_events(settings: &Settings) -> Result<(), String> {
    let (journal, kafka) = (&settings.journal, &settings.kafka);
    for (section, record, group) in [
        ("journal", journal.behind_record_bytes_max, journal.group_bytes_max),
        ("kafka", kafka.behind_record_bytes_max, kafka.group_bytes_max),
    ] {
        let least = IMPORT_EVENT_BYTES_MAX as u64 + EVENT_GROWTH * u64::from(group);
        if u64::from(record) < least {
            return Err(format!(
                "{section}.behind_record_bytes_max: {record} is too small; it must be at least {least} (the events of the largest import, and {EVENT_GROWTH} times {section}.group_bytes_max)"
            ));
        }
    }
    Ok(())
}

fn check_outbox(settings: &Settings) -> Result<(), String> {
    let data = resolved(&settings.data_dir).map_err(|error| format!("data_dir: {error}"))?;
    let named = &settings.sms.outbox_dir;
    let outbox = resolved(named).map_err(|error| format!("sms.outbox_dir: {error}"))?;
    if outbox.starts_with(&data) {
        return Err(format!(
            "sms.outbox_dir: {} lies inside data_dir; plain texts must not be kept with the data",
            named.display()
        ));
    }
    Ok(())
}

/// Where a path leads, links followed; what does not exist yet is taken as it is written.
fn resolved(path: &Path) -> std::io::Result<PathBuf> {
    let mut place = PathBuf::new();
    for component in std::path::absolute(path)?.components() {
        match component {
            Component::CurDir => {}
            // What stands so far has no links, so that its parent is what the system would find.
            Component::ParentDir => {
                place.pop();
            }
            other => {
                place.push(other);
                place = place.canonicalize().unwrap_or(place);
            }
        }
    }
    Ok(place)
}

/// A filter that cannot be read would silently be `info`.
fn check_log(settings: &Settings) -> Result<(), String> {
    match tracing_subscriber::EnvFilter::try_new(&settings.log.level) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("log.level: {:?} is no filter: {error}", settings.log.level)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn listening(public: &str, operator: &str) -> Result<(), String> {
        let mut settings = Settings::default();
        settings.listen.public = public.parse().unwrap();
        settings.listen.operator = operator.parse().unwrap();
        settings.check()
    }

    #[test]
    fn listeners_on_one_address_are_refused_by_both_keys() {
        for (public, operator) in [
            ("127.0.0.1:1922", "127.0.0.1:1922"),
            ("0.0.0.0:1922", "127.0.0.1:1922"),
            ("127.0.0.1:1922", "0.0.0.0:1922"),
            ("[::]:1922", "127.0.0.1:1922"),
            ("[::1]:1922", "[::]:1922"),
            ("[::ffff:127.0.0.1]:1922", "127.0.0.1:1922"),
        ] {
            let said = listening(public, operator).unwrap_err();
            let both = said.contains("listen.public") && said.contains("listen.operator");
            assert!(both, "{public} {operator}: {said}");
        }
        for (public, operator) in [
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("127.0.0.1:1922", "127.0.0.2:1922"),
            ("0.0.0.0:1922", "127.0.0.1:1923"),
            ("0.0.0.0:1922", "[::1]:1922"),
        ] {
            assert_eq!(listening(public, operator), Ok(()), "{public} {operator}");
        }
    }

    #[test]
    fn events_of_the_largest_import_must_fit_a_record() {
        let mut settings = Settings::default();
        settings.journal.behind_record_bytes_max = 29 << 20;
        settings.kafka.behind_record_bytes_max = 29 << 20;
        assert_eq!(settings.check(), Ok(()));
        settings.kafka.behind_record_bytes_max -= 1;
        assert!(settings.check().unwrap_err().starts_with("kafka.behind_record_bytes_max"));
        settings.journal.behind_record_bytes_max -= 1;
        assert!(settings.check().unwrap_err().starts_with("journal.behind_record_bytes_max"));
    }

    #[test]
    fn an_outbox_inside_the_data_directory_is_refused_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir(at("data")).unwrap();
        std::os::unix::fs::symlink(at("data"), at("link")).unwrap();
        let refused = |data: PathBuf, outbox: PathBuf| {
            let mut settings = Settings { data_dir: data, ..Settings::default() };
            settings.sms.outbox_dir = outbox;
            settings.check().is_err_and(|said| said.starts_with("sms.outbox_dir"))
        };
        let here = std::env::current_dir().unwrap();
        assert!(refused("data".into(), "data/outbox".into()));
        assert!(refused("data".into(), "./data/outbox".into()));
        assert!(refused("./data".into(), "data".into()));
        assert!(refused("data".into(), here.join("data/outbox")));
        assert!(refused("data".into(), "a/../data/outbox".into()));
        assert!(refused(at("data"), at("link/outbox")));
        assert!(refused(at("link"), at("data/outbox")));
        assert!(refused(at("link/inner"), at("data/inner/outbox")));
        assert!(!refused(at("data"), at("link/../outbox")));
        assert!(!refused(at("data"), at("data-outbox")));
        assert!(!refused("data".into(), "data/../outbox".into()));
    }

    #[test]
    fn a_log_filter_that_cannot_be_read_is_refused() {
        let mut settings = Settings::default();
        settings.log.level = "warn,engine=debug".to_owned();
        assert_eq!(settings.check(), Ok(()));
        settings.log.level = "=[,".to_owned();
        assert!(settings.check().unwrap_err().starts_with("log.level"));
    }
}
