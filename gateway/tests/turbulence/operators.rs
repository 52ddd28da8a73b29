//! An operator who publishes categories and sets capacities, and knows what each call must be told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::codec::EventGroup;
use domain::{Admission, Event, Watermark};
use journal::{Journal, Position, Stream, Visibility};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::citizens::SLOTS;
use crate::support::House;
use crate::support::client::Client;

/// Calls of one act.
const CALLS: u32 = 16;
/// A slot that there is not.
const NO_SLOT: u32 = 77;

pub struct Operator {
    /// Of the category that is this operator's own.
    number: u16,
    dice: ChaCha8Rng,
    calls: u32,
    /// The sequence that each publication was answered with, and the name published.
    pub answered: Vec<(u64, String)>,
}

impl Operator {
    pub fn new(number: u16, dice: ChaCha8Rng) -> Operator {
        Operator { number, dice, calls: 0, answered: Vec::new() }
    }

    /// Calls until the gateway writes no more.
    pub fn act(&mut self, mut client: Client) {
        for _ in 0..CALLS {
            self.calls += 1;
            let is_answered = match self.dice.random_range(0..4) {
                0 => self.set_capacity(&mut client, NO_SLOT, 404),
                1 => {
                    let slot = self.dice.random_range(0..SLOTS);
                    self.set_capacity(&mut client, slot, 200)
                }
                _ => self.publish(&mut client),
            };
            if !is_answered {
                return;
            }
        }
    }

    fn set_capacity(&self, client: &mut Client, slot: u32, expected: u16) -> bool {
        let body = json!({ "capacity": 100 + self.calls });
        let answer = client.json("PATCH", &format!("/v1/slots/{slot}"), &[], &body);
        if answer.status != 503 {
            assert_eq!(answer.status, expected, "slot {slot}: {answer:?}");
        }
        answer.status != 503
    }

    fn publish(&mut self, client: &mut Client) -> bool {
        let name = format!("{}-{}", self.number, self.calls);
        let answer = client.put(&format!("/v1/categories/{}", self.number), &category(&name));
        if answer.status == 503 {
            return false;
        }
        assert!(matches!(answer.status, 200 | 201), "{name}: {answer:?}");
        self.answered.push((answer.json["sequence"].as_u64().unwrap(), name));
        true
    }
}

fn category(name: &str) -> serde_json::Value {
    json!({
        "names": { "zh-TW": name, "en": name },
        "born_on_or_before": "2003-12-31",
        "members": false,
        "opens_at": "2021-07-06T00:00:00+08:00",
        "closes_at": null,
        "vaccines": ["AZ"],
    })
}

/// At the sequence that an operator was told stands what that operator published.
pub fn audit(streams: &Arc<dyn Journal>, steady: &House, answered: &[(u64, String)]) {
    let last = steady.operator().put("/v1/categories/99", &category("last"));
    let last = last.json["sequence"].as_u64().unwrap();
    let mut published: HashMap<u64, String> = HashMap::new();
    let mut reader = streams.reader(Stream::Events, Position::START, Visibility::Accepted).unwrap();
    let mut watermark = Watermark::START;
    while watermark.last().0 < last {
        let group = reader.poll(Duration::from_secs(10)).unwrap().expect("the events go on");
        for record in group.records.iter() {
            let events = EventGroup::decode(record).unwrap();
            if watermark.admit(events.first, events.last()) != Admission::Next {
                continue;
            }
            for command in events.commands().map(Result::unwrap) {
                for event in command.events {
                    if let Event::CategoryPut { category, .. } = event {
                        published.insert(command.sequence.0, category.names[0].1.clone());
                    }
                }
            }
        }
    }
    for (sequence, name) in answered {
        let found = published.get(sequence);
        assert_eq!(found, Some(name), "the answer to {name} names sequence {sequence}");
    }
}
