//! A checkpoint of a view with bytes changed anywhere, the checks wrong or made right again: it is
//! refused, or gives a view that answers, takes more events and can be packed. It never panics.
#![no_main]
#![allow(clippy::expect_used)]

use std::sync::LazyLock;

use domain::view::checkpoint::{pack, seal_again, unpack};
use domain::*;
use libfuzzer_sys::fuzz_target;

const AT: Millis = Millis(1_626_148_800_000);

/// What happens before the checkpoint, and what happens behind it.
fn history() -> (Vec<Event>, Vec<Event>) {
    let site = Site {
        id: "S1".into(),
        name_zh: "測試醫院".into(),
        name_en: "Test Hospital".into(),
        county: CountyNumber(0),
        district: DistrictNumber(0),
        address: "1 Test Road".into(),
        kind: "hospital".into(),
    };
    let slot = |minute| Slot {
        site: SiteNumber(0),
        day: Day(AT.day().0 + 1),
        start_minute: minute,
        end_minute: minute + 30,
        vaccine: VaccineNumber(0),
        capacity: 4,
    };
    let slots = vec![(SlotNumber(0), slot(540)), (SlotNumber(1), slot(600))];
    let mut before = vec![
        Event::VaccineNamed { vaccine: VaccineNumber(0), name: "AZ".into() },
        Event::SitesPut { sites: vec![(SiteNumber(0), site)] },
        Event::SlotsPut { slots },
    ];
    let (period, fingerprint) = (PeriodNumber(1), Fingerprint(2));
    let from = SlotNumber(0);
    for number in 0..4_u32 {
        let person = PersonNumber(number);
        let (booking, key) = (BookingNumber(number), KeyHash(u64::from(number)));
        before.push(Event::Numbered { person, key: PersonKey([number as u8; 16]) });
        before.push(Event::Confirmed { person, period, key, fingerprint, booking, slot: from });
    }
    let (person, booking) = (PersonNumber(0), BookingNumber(0));
    let (key, to) = (KeyHash(9), SlotNumber(1));
    before.push(Event::Changed { person, period, key, fingerprint, booking, from, to });
    before.push(Event::NoShow { person: PersonNumber(1), booking: BookingNumber(1) });
    let after = vec![
        Event::Cancelled { person, period, key: KeyHash(10), fingerprint, booking, slot: to },
        Event::Attended { person: PersonNumber(1), booking: BookingNumber(1), attended_at: AT },
        Event::CapacitySet { slot: from, capacity: 3 },
        Event::Malformed,
    ];
    (before, after)
}

fn absorb(view: &mut View, events: &[Event]) {
    for event in events {
        view.absorb(Sequence(view.sequence().0 + 1), AT, event);
    }
}

static CHECKPOINT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut view = View::new();
    absorb(&mut view, &history().0);
    assert_eq!(view.contradictions(), 0);
    pack(&mut view, b"note")
});

fuzz_target!(|input: (Vec<(u16, u8)>, bool)| {
    let (changes, sealed) = input;
    let mut bytes = CHECKPOINT.clone();
    for (place, byte) in &changes {
        let length = bytes.len();
        bytes[usize::from(*place) % length] = *byte;
    }
    if sealed {
        seal_again(&mut bytes);
    }
    let Ok((mut view, _)) = unpack(&bytes) else { return };
    assert!(sealed || bytes == *CHECKPOINT);
    for person in (0..5).map(PersonNumber) {
        let _ =
            (view.intent(person), view.missed_day(person, AT), view.bookings_of(person).count());
        for key in view.recorded_keys() {
            let _ = view.outcome(person, PeriodNumber(1), key);
        }
    }
    let _ = view.bookings_on(SiteNumber(0), Day(AT.day().0 + 1)).count();
    absorb(&mut view, &history().1);
    let again = pack(&mut view, b"");
    assert!(view.contradictions() > 0 || unpack(&again).is_ok());
});
