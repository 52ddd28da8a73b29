//! Changes the rules, and the bytes of events, from here on.
//!
//! An engine that reads a version above [`RULES_VERSION_KNOWN`] must halt before it applies the
//! command: a newer build accepted what this one would refuse.

use crate::state::State;
use crate::{Event, OperatorRefusal};

use super::{RULES_VERSION_KNOWN, refuse_operator};

/// Decides an `ActivateRules`.
pub(crate) fn apply(state: &mut State, version: u32, events: &mut Vec<Event>) {
    apply_with(state, version, RULES_VERSION_KNOWN, events);
}

fn apply_with(state: &mut State, version: u32, known: u32, events: &mut Vec<Event>) {
    if version <= state.globals.rules_version || version > known {
        return refuse_operator(0, OperatorRefusal::UnknownRules, events);
    }
    state.globals.rules_version = version;
    events.push(Event::RulesActivated { version });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RULES_VERSION_FIRST;

    #[test]
    fn only_a_known_and_newer_version_can_be_activated() {
        let refused = [Event::OperatorRefused { row: 0, reason: OperatorRefusal::UnknownRules }];
        let cases = [(0, 1, false), (1, 1, false), (4, 1, false), (3, 3, true), (2, 3, false)];
        let mut state = State::new();
        assert_eq!(state.rules_version(), RULES_VERSION_FIRST);
        for (version, in_force, activated) in cases {
            let mut events = Vec::new();
            apply_with(&mut state, version, 3, &mut events);
            if activated {
                assert_eq!(events, [Event::RulesActivated { version }]);
            } else {
                assert_eq!(events, refused);
            }
            assert_eq!(state.rules_version(), in_force, "after {version}");
        }
    }
}
