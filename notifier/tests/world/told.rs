//! What people must be told, worked out from the events without the notifier's help.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{Event, EventId, Millis, PersonNumber, Site, Slot};
use notifier::{Details, LANGUAGE_TAGS, MessageKind, Texts};
use serde_json::{Value, json};
use vault::{Contact, Secrets, Vault};

use super::World;

/// The consumer's private key, and the id of its public one.
pub const CONSUMER: [u8; 32] = [7; 32];
const CONSUMER_ID: u8 = 3;

/// A text as it must stand in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    pub reference: String,
    pub to: String,
    pub text: String,
}

/// A booking confirmed, changed or cancelled, and all that is to be said of it.
pub struct Told {
    pub id: EventId,
    pub at: Millis,
    pub kind: MessageKind,
    pub person: PersonNumber,
    pub period: u16,
    pub booking: domain::BookingNumber,
    pub slot_number: u32,
    pub slot: Slot,
    pub site: Site,
    pub vaccine: String,
    /// As it stood when this happened.
    pub contact: Option<Contact>,
}

impl World {
    /// A world whose messages are sealed for [`CONSUMER`].
    pub fn with_consumer(seed: u64) -> World {
        let mut world = World::new(seed);
        let public_key = vault::consumer::public_key(&CONSUMER).unwrap();
        let secrets = Secrets::sample().with_consumer(CONSUMER_ID, public_key);
        world.vault = Arc::new(Vault::new(secrets));
        world
    }

    /// Everything to be told, in order.
    pub fn told(&self) -> Vec<Told> {
        let mut catalogue = domain::view::Catalogue::new();
        let mut contacts: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        let mut keys: BTreeMap<u32, [u8; 16]> = BTreeMap::new();
        let mut told = Vec::new();
        for (id, at, event) in self.events() {
            assert!(catalogue.absorb(&event));
            let (kind, person, period, booking, slot_number) = match event {
                Event::Numbered { person, key } => {
                    keys.insert(person.0, key.0);
                    continue;
                }
                Event::Registered { person, sealed, .. }
                | Event::Modified { person, sealed, .. } => {
                    contacts.insert(person.0, sealed);
                    continue;
                }
                Event::Withdrawn { person, .. } => {
                    contacts.remove(&person.0);
                    continue;
                }
                Event::Confirmed { person, period, booking, slot, .. } => {
                    (MessageKind::Confirmed, person, period, booking, slot)
                }
                Event::Changed { person, period, booking, from, to, .. } if from != to => {
                    (MessageKind::Changed, person, period, booking, to)
                }
                Event::Cancelled { person, period, booking, slot, .. } => {
                    (MessageKind::Cancelled, person, period, booking, slot)
                }
                _ => continue,
            };
            let slot = *catalogue.slot(slot_number).unwrap();
            let sealed = contacts.get(&person.0);
            let open = |sealed| self.vault.open_contact(&keys[&person.0], sealed).ok();
            told.push(Told {
                id,
                at,
                kind,
                person,
                period: period.0,
                booking,
                slot_number: slot_number.0,
                slot,
                site: catalogue.site(slot.site).unwrap().clone(),
                vaccine: catalogue.vaccine_name(slot.vaccine).unwrap().to_owned(),
                contact: sealed.and_then(|sealed| open(sealed)),
            });
        }
        told
    }

    /// The texts owed.
    pub fn owed(&self, prefix: &str) -> Vec<Owed> {
        let mut texts = Texts::read().unwrap();
        let owed = |told: Told| {
            let details = Details {
                site: &told.site,
                slot: &told.slot,
                vaccine: &told.vaccine,
                booking: told.booking,
            };
            let contact = told.contact.unwrap();
            let mut text = String::new();
            texts.push(told.kind, contact.language, &details, &mut text);
            Owed { reference: format!("{prefix}{}", told.id), to: contact.phone.clone(), text }
        };
        self.told().into_iter().map(owed).collect()
    }

    /// What a consumer has at the end: key, and message with the contact in plain.
    pub fn messages(&self) -> Vec<(String, Value)> {
        self.told().iter().map(|told| (told.person.0.to_string(), told.message())).collect()
    }
}

impl Told {
    /// The message, with the contact in plain.
    pub fn message(&self) -> Value {
        let contact = self.contact.as_ref();
        let language = contact.map_or(0, |contact| usize::from(contact.language));
        let kind = match self.kind {
            MessageKind::Confirmed => "confirmed",
            MessageKind::Changed => "changed",
            MessageKind::Cancelled => "cancelled",
        };
        json!({
            "id": self.id.to_string(), "type": kind, "at": in_taiwan(self.at),
            "period": self.period, "booking": self.booking.0, "site": self.site.id,
            "slot": self.slot_number, "starts_at": in_taiwan(self.slot.starts_at()),
            "vaccine": self.vaccine, "language": LANGUAGE_TAGS[language],
            "contact": contact.map(|contact| json!({
                "name": contact.name, "phone": contact.phone, "id_number": contact.id_number,
            })),
        })
    }
}

fn in_taiwan(at: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap();
    let at = at.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(8)));
    let is_whole = at.millisecond() == 0;
    at.strftime(if is_whole { "%FT%T%:z" } else { "%FT%T%.3f%:z" }).to_string()
}
