//! Which events answer a citizen's command, and with what.

use domain::view::{Outcome, OutcomeResult, View};
use domain::{Event, KeyHash, Millis, PeriodNumber, PersonNumber, Sequence};

use crate::outcomes::Decision;

/// An event that answers a citizen's command.
pub(super) struct KeyedAnswer<'a> {
    pub(super) person: PersonNumber,
    pub(super) period: PeriodNumber,
    pub(super) key: KeyHash,
    event: &'a Event,
}

/// The event's answer, if it is one.
pub(super) fn answer(event: &Event) -> Option<KeyedAnswer<'_>> {
    let (person, period, key) = match *event {
        Event::Confirmed { person, period, key, .. }
        | Event::Changed { person, period, key, .. }
        | Event::Cancelled { person, period, key, .. }
        | Event::Rejected { person, period, key, .. }
        | Event::Repeated { person, period, key, .. }
        | Event::KeyReused { person, period, key, .. } => (person, period, key),
        Event::Registered { person, key, .. }
        | Event::AlreadyRegistered { person, key, .. }
        | Event::Modified { person, key, .. }
        | Event::Withdrawn { person, key, .. } => (person, PeriodNumber::INTENTS, key),
        _ => return None,
    };
    Some(KeyedAnswer { person, period, key, event })
}

impl KeyedAnswer<'_> {
    /// What the waiting request is told. `None` when a repeated key's outcome is not known, which no
    /// journal of this product says.
    pub(super) fn decide(&self, sequence: Sequence, at: Millis, view: &View) -> Option<Decision> {
        use OutcomeResult as R;
        let (fingerprint, result) = match *self.event {
            Event::Confirmed { fingerprint, booking, slot, .. } => {
                (fingerprint, R::Confirmed { booking, slot })
            }
            Event::Changed { fingerprint, booking, from, to, .. } => {
                (fingerprint, R::Changed { booking, from, to })
            }
            Event::Cancelled { fingerprint, booking, slot, .. } => {
                (fingerprint, R::Cancelled { booking, slot })
            }
            Event::Rejected { fingerprint, reason, .. } => (fingerprint, R::Rejected(reason)),
            Event::Registered { fingerprint, serial, .. } => {
                (fingerprint, R::Registered { serial })
            }
            Event::AlreadyRegistered { fingerprint, .. } => (fingerprint, R::AlreadyRegistered),
            Event::Withdrawn { fingerprint, serial, .. } => (fingerprint, R::Withdrawn { serial }),
            Event::KeyReused { .. } => return Some(Decision::KeyReused),
            // What a repetition was told first; and a change, whose event does not say of which intent.
            _ => {
                let first = view.outcome(self.person, self.period, self.key);
                return first.map(Decision::Outcome);
            }
        };
        Some(Decision::Outcome(Outcome { sequence, at, fingerprint, result }))
    }
}
