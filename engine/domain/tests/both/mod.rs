//! The fast state and the naive twin side by side, and a view of the events.

use domain::codec::{EventGroup, EventGroupWriter, decode_command, encode_command};
use domain::{Command, Envelope, Event, Millis, Origin, Sequence, State, View};

use crate::twin::Twin;
use crate::world;

/// The fast state, the twin, and the view of what they say.
#[derive(Default)]
pub(crate) struct Both {
    pub(crate) state: State,
    pub(crate) twin: Twin,
    pub(crate) view: View,
}

impl Both {
    /// Decides a command twice.
    pub(crate) fn apply(&mut self, command: &Command, at: Millis) -> Vec<Event> {
        let command = through_bytes(command);
        let mut events = Vec::new();
        self.state.apply(&command, at, &mut events);
        let expected = self.twin.apply(&command, at);
        assert_eq!(events, expected, "{:?} at {at:?}: {command:?}", self.state.sequence());
        self.fold(at, &events);
        events
    }

    /// Counts a record that is no command twice.
    pub(crate) fn apply_malformed(&mut self, at: Millis) -> Vec<Event> {
        let mut events = Vec::new();
        self.state.apply_malformed(at, &mut events);
        assert_eq!(events, self.twin.apply_malformed(at));
        self.fold(at, &events);
        events
    }

    /// Shows the events to the view, as a reader would read them.
    fn fold(&mut self, at: Millis, events: &[Event]) {
        let sequence = Sequence(self.twin.sequence);
        assert_eq!((self.state.sequence(), self.state.now()), (sequence, self.twin.now()));
        let mut writer = EventGroupWriter::new(sequence, at);
        writer.command(Origin(1), events);
        let mut bytes = Vec::new();
        writer.finish([0; 32], &mut bytes);
        let group = EventGroup::decode(&bytes).expect("a group just written");
        self.view.prefetch(&group);
        let mut read = Vec::new();
        group
            .for_each(|sequence, _, _, event| {
                read.push(event.clone());
                self.view.absorb(sequence, at, event);
            })
            .expect("events just written");
        assert_eq!(read, events);
        self.view.advance(sequence, at);
    }

    /// Publishes all it takes for so many people to book the one slot there is.
    pub(crate) fn open_a_slot_for(&mut self, people: u32, at: Millis) {
        for command in world::one_slot(people, at) {
            self.apply(&command, at);
        }
    }
}

/// A command as the engine would read it.
fn through_bytes(command: &Command) -> Command {
    let mut bytes = Vec::new();
    let envelope = Envelope { origin: Origin(0), command: command.clone() };
    encode_command(&envelope, &mut bytes);
    decode_command(&bytes).expect("a command just written").command
}
