//! An engine takes over. The first record of the next epoch wins; every other is void, without event.

use crate::Event;
use crate::state::State;

/// Decides an `Epoch`.
pub(crate) fn apply(state: &mut State, epoch: u64, engine: [u8; 16], events: &mut Vec<Event>) {
    let globals = &mut state.globals;
    if Some(epoch) != globals.epoch.checked_add(1) {
        return;
    }
    globals.epoch = epoch;
    globals.engine = Some(engine);
    events.push(Event::EpochBegan { epoch });
}

#[cfg(test)]
mod tests {
    use super::super::testing::Desk;
    use super::*;
    use crate::Command;

    #[test]
    fn the_first_record_of_the_next_epoch_wins_and_all_others_are_void() {
        let mut desk = Desk::empty();
        let cases = [
            (0, 1, false, 0, None),
            (2, 1, false, 0, None),
            (1, 2, true, 1, Some(2)),
            (1, 3, false, 1, Some(2)),
            (3, 4, false, 1, Some(2)),
            (u64::MAX, 5, false, 1, Some(2)),
            (2, 6, true, 2, Some(6)),
        ];
        for (epoch, engine, wins, expected, holder) in cases {
            let events = desk.apply(Command::Epoch { epoch, engine: [engine; 16] });
            let began = if wins { vec![Event::EpochBegan { epoch }] } else { Vec::new() };
            assert_eq!(events, began);
            assert_eq!(desk.state.epoch(), expected);
            assert_eq!(desk.state.engine(), holder.map(|byte: u8| [byte; 16]));
        }
    }
}
