//! A citizen who books, moves and cancels through any gateway, and again under the same key wherever no
//! outcome came.

use std::net::SocketAddr;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::Process;
use crate::support::House;
use crate::support::client::{Answer, Client};

/// Slots of the sample, all with room for everybody.
pub const SLOTS: u32 = 4;
/// Wishes of one act.
const WISHES: u32 = 12;
/// Tries before a citizen goes where nothing goes wrong.
const TRIES: usize = 4;

pub struct Citizen {
    serial: u32,
    client: Client,
    dice: ChaCha8Rng,
    /// The slot that the last outcome left.
    holds: Option<u32>,
    keys: u32,
    /// Outcomes so far.
    pub outcomes: usize,
}

/// Under one key.
struct Wish {
    method: &'static str,
    path: &'static str,
    key: String,
    body: Value,
    /// What must come of it.
    status: u16,
    holds: Option<u32>,
}

impl Citizen {
    pub fn new(serial: u32, client: Client, dice: ChaCha8Rng) -> Citizen {
        Citizen { serial, client, dice, holds: None, keys: 0, outcomes: 0 }
    }

    /// Several wishes, one after the other. The last address is the one where nothing goes wrong.
    pub fn act(&mut self, gateways: &[SocketAddr]) {
        let mut clients: Vec<Client> =
            gateways.iter().map(|address| self.client.at(*address)).collect();
        for _ in 0..WISHES {
            let wish = self.wish();
            let answer = self.granted(&mut clients, &wish);
            assert_eq!(answer.status, wish.status, "citizen {}: {answer:?}", self.serial);
            let slot = answer.json["booking"]["slot"].as_u64();
            let is_cancelled = wish.holds.is_none();
            let said = slot.filter(|_| !is_cancelled);
            assert_eq!(said, wish.holds.map(u64::from), "citizen {}: {answer:?}", self.serial);
            self.holds = wish.holds;
            self.outcomes += 1;
            // Whoever asks again is told the same, anywhere.
            let again = self.somewhere(&mut clients, &wish);
            if again.status != 503 {
                assert_eq!((again.status, &again.json), (answer.status, &answer.json));
            }
            let place = self.dice.random_range(0..clients.len());
            self.finds(&mut clients[place]);
        }
    }

    fn wish(&mut self) -> Wish {
        self.keys += 1;
        let key = format!("key-{}", self.keys);
        let slot = self.dice.random_range(0..SLOTS);
        let mine = "/v1/bookings/mine?period=2";
        match self.holds {
            None => {
                let body = json!({ "period": 2, "slot": slot });
                let path = "/v1/bookings";
                Wish { method: "POST", path, key, body, status: 201, holds: Some(slot) }
            }
            Some(held) if self.dice.random_bool(0.7) => {
                let slot = (held + 1 + self.dice.random_range(0..SLOTS - 1)) % SLOTS;
                let body = json!({ "slot": slot });
                Wish { method: "PUT", path: mine, key, body, status: 200, holds: Some(slot) }
            }
            Some(_) => {
                let body = Value::Null;
                Wish { method: "DELETE", path: mine, key, body, status: 200, holds: None }
            }
        }
    }

    /// Asks until there is an outcome.
    fn granted(&mut self, clients: &mut [Client], wish: &Wish) -> Answer {
        for _ in 0..TRIES {
            let answer = self.somewhere(clients, wish);
            if answer.status != 503 {
                return answer;
            }
        }
        sent(clients.last_mut().unwrap(), wish)
    }

    fn somewhere(&mut self, clients: &mut [Client], wish: &Wish) -> Answer {
        let place = self.dice.random_range(0..clients.len());
        sent(&mut clients[place], wish)
    }

    /// Reads their own booking: as the last outcome left it, or 503.
    fn finds(&self, client: &mut Client) -> bool {
        let found = client.get("/v1/bookings/mine?period=2");
        if found.status == 503 {
            return false;
        }
        let booking = &found.json["booking"];
        let is_active = found.status == 200 && booking["status"] == "booked";
        let slot = booking["slot"].as_u64().filter(|_| is_active);
        assert_eq!(slot, self.holds.map(u64::from), "citizen {}: {found:?}", self.serial);
        true
    }

    /// At the end every gateway shows it.
    pub fn finds_the_same_everywhere(&mut self, processes: &[Process], steady: &House) {
        let gateways = processes.iter().map(|process| process.house.public);
        for address in gateways.chain([steady.public]) {
            assert!(self.finds(&mut self.client.at(address)), "at rest every gateway answers");
        }
    }
}

fn sent(client: &mut Client, wish: &Wish) -> Answer {
    let headers = [("idempotency-key", wish.key.as_str()), ("prefer", "wait=20")];
    if wish.body.is_null() {
        return client.send(wish.method, wish.path, &headers, b"");
    }
    client.json(wish.method, wish.path, &headers, &wish.body)
}
