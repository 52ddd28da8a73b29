//! A booking desk in memory that speaks the contract, honest or with one chosen sin.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Answer, Call, answer, serve};

/// What the desk does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sin {
    None,
    /// Sells one place more than a slot has.
    Oversells,
    /// Answers some with a receipt that leads nowhere.
    Loses,
    /// Confirms a second booking to who has one.
    BooksTwice,
    /// Answers a repeated request anew.
    ForgetsKeys,
    /// Confirms and does not keep it.
    ForgetsBookings,
    /// Its receipts tell another outcome than the answer did.
    ChangesOutcomes,
    /// Publishes a confirmation twice.
    ConfirmsTwice,
    /// Publishes no confirmation for some.
    ConfirmsNever,
    /// Sends a text message twice.
    TextsTwice,
}

/// Trouble that honest servers have too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    /// Every so many booking calls are answered with 503 before anything is done.
    pub busy_every: u64,
    /// Every so many booking calls are decided, and the connection closed instead of answered.
    pub cut_every: u64,
}

struct Slot {
    site: String,
    date: String,
    capacity: u32,
    taken: u32,
}

#[derive(Clone)]
struct Booking {
    number: u64,
    slot: u32,
}

#[derive(Default)]
struct State {
    roster: HashMap<String, String>,
    tokens: HashMap<String, String>,
    registered: HashMap<String, u64>,
    slots: BTreeMap<u32, Slot>,
    period: Option<Value>,
    bookings: HashMap<String, Booking>,
    next_booking: u64,
    /// By person and key: status and body, as answered the first time.
    answers: HashMap<(String, String), (u16, String)>,
    /// By receipt: owner, and what it leads to.
    receipts: HashMap<String, (String, Option<Value>)>,
    confirmations: Vec<Value>,
    calls: u64,
}

/// The desk.
pub struct Desk {
    sin: Sin,
    trouble: Trouble,
    state: Mutex<State>,
    outbox: Option<std::path::PathBuf>,
}

impl Desk {
    /// Opens the desk; both listeners are one.
    pub fn open(sin: Sin, trouble: Trouble, outbox: Option<std::path::PathBuf>) -> SocketAddr {
        let desk = Arc::new(Desk { sin, trouble, state: Mutex::default(), outbox });
        serve(move |call| {
            let desk = Arc::clone(&desk);
            async move {
                // The connection ends when the handler does: hyper closes it without an answer.
                desk.handle(&call).unwrap_or_else(|| panic!("the connection is cut"))
            }
        })
    }

    fn handle(&self, call: &Call) -> Option<Answer> {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let path: Vec<&str> = call.path.trim_start_matches("/v1/").split('/').collect();
        Some(match (call.method.as_str(), path.as_slice()) {
            ("GET", ["regions"]) => answer(
                200,
                r#"{"counties":[{"code":"63000","names":{"zh-TW":"臺北市","en":"Taipei City"},"districts":[{"code":"1","names":{}},{"code":"2","names":{}}]}]}"#,
            ),
            ("POST", ["roster:import"]) => import_roster(&mut state, &call.body),
            ("PUT", ["categories", _]) | ("POST", ["sites:import"]) => answer(200, "{}"),
            ("POST", ["slots:import"]) => import_slots(&mut state, &call.body),
            ("PUT", ["periods", _]) => {
                state.period = serde_json::from_slice(&call.body).ok();
                answer(200, "{}")
            }
            ("GET", ["periods", number]) => match &state.period {
                Some(period) => answer(
                    200,
                    json!({"number": number, "state": "open", "vaccines": period["vaccines"]})
                        .to_string(),
                ),
                None => answer(404, "{}"),
            },
            ("GET", ["periods", _, "slots"]) => slots(&state, call),
            ("POST", ["identity"]) => identity(&mut state, &call.body),
            ("GET", ["confirmations"]) => confirmations(&state, call),
            _ => return self.personal(&mut state, call, &path),
        })
    }

    fn personal(&self, state: &mut State, call: &Call, path: &[&str]) -> Option<Answer> {
        let token = call.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
        let Some(person) = token.and_then(|token| state.tokens.get(token)).cloned() else {
            return Some(answer(401, "{}"));
        };
        Some(match (call.method.as_str(), path) {
            ("POST", ["intents"]) => {
                let serial = state.registered.len() as u64 + 1;
                state.registered.entry(person).or_insert(serial);
                answer(201, json!({"outcome": "confirmed", "receipt": "i", "intent": {"serial_number": serial}}).to_string())
            }
            ("GET", ["bookings", "mine"]) => match state.bookings.get(&person) {
                Some(booking) => answer(
                    200,
                    json!({"booking": {"number": booking.number, "slot": booking.slot}})
                        .to_string(),
                ),
                None => answer(404, "{}"),
            },
            ("GET", ["requests", receipt]) => self.receipt(state, &person, receipt),
            (_, ["bookings", ..]) => return self.command(state, call, person),
            _ => answer(404, "{}"),
        })
    }

    fn command(&self, state: &mut State, call: &Call, person: String) -> Option<Answer> {
        state.calls += 1;
        if self.trouble.busy_every > 0 && state.calls.is_multiple_of(self.trouble.busy_every) {
            let mut busy = answer(503, r#"{"type":"/problems/overloaded","decided":false}"#);
            busy.headers_mut().insert("retry-after", "0".parse().unwrap());
            return Some(busy);
        }
        let Some(key) = call.header("idempotency-key") else { return Some(answer(400, "{}")) };
        let known = (person.clone(), key.to_owned());
        let (status, body) = match state.answers.get(&known) {
            Some(earlier) if self.sin != Sin::ForgetsKeys => earlier.clone(),
            _ => {
                let (status, outcome) = self.decide(state, call, &person, key);
                let decided = (status, outcome.to_string());
                state.answers.insert(known, decided.clone());
                decided
            }
        };
        if self.trouble.cut_every > 0 && state.calls.is_multiple_of(self.trouble.cut_every) {
            return None;
        }
        let waits = call.header("prefer").is_some();
        if waits {
            return Some(answer(status, body));
        }
        let receipt = format!("r-{key}");
        Some(answer(202, json!({"outcome": "processing", "receipt": receipt, "status_url": format!("/v1/requests/{receipt}")}).to_string()))
    }

    /// Decides a request and keeps the outcome.
    fn decide(&self, state: &mut State, call: &Call, person: &str, key: &str) -> (u16, Value) {
        let wanted = serde_json::from_slice::<Value>(&call.body)
            .ok()
            .and_then(|body| body["slot"].as_u64())
            .map(|slot| slot as u32);
        let held = state.bookings.get(person).cloned();
        let receipt = format!("r-{key}");
        let decision = match (call.method.as_str(), held, wanted) {
            ("POST", Some(_), _) if self.sin != Sin::BooksTwice => Err("already_booked"),
            ("POST", _, Some(slot)) => self.take(state, slot).map(|()| {
                state.next_booking += 1;
                ("confirmed", Some(Booking { number: state.next_booking, slot }))
            }),
            ("PUT", Some(held), Some(slot)) => self.take(state, slot).map(|()| {
                free(state, held.slot);
                ("changed", Some(Booking { slot, ..held }))
            }),
            ("DELETE", Some(held), _) => {
                free(state, held.slot);
                self.confirm(state, "cancelled", &held);
                Ok(("cancelled", None))
            }
            _ => Err("no_booking"),
        };
        let (status, outcome) = match decision {
            Err(reason) => {
                let body = json!({"type": format!("/problems/{reason}"), "reason": reason, "decided": true, "receipt": receipt, "request_id": state.calls});
                (409, body)
            }
            Ok((_, None)) => {
                state.bookings.remove(person);
                (200, json!({"outcome": "confirmed", "receipt": receipt}))
            }
            Ok((kind, Some(booking))) => {
                self.confirm(state, kind, &booking);
                let body = json!({"outcome": "confirmed", "receipt": receipt, "booking": {"number": booking.number, "period": 900, "slot": booking.slot}});
                if self.sin != Sin::ForgetsBookings || !booking.number.is_multiple_of(50) {
                    state.bookings.insert(person.to_owned(), booking);
                }
                (if kind == "confirmed" { 201 } else { 200 }, body)
            }
        };
        let told = match status {
            409 => json!({"outcome": "rejected", "reason": outcome["reason"]}),
            _ => outcome.clone(),
        };
        let lost = self.sin == Sin::Loses && state.calls.is_multiple_of(40);
        if !lost {
            state.receipts.insert(receipt, (person.to_owned(), Some(told)));
        }
        (status, outcome)
    }

    fn take(&self, state: &mut State, slot: u32) -> Result<(), &'static str> {
        let Some(slot) = state.slots.get_mut(&slot) else { return Err("unknown_slot") };
        let places = slot.capacity + u32::from(self.sin == Sin::Oversells);
        if slot.taken >= places {
            return Err("slot_full");
        }
        slot.taken += 1;
        Ok(())
    }

    fn confirm(&self, state: &mut State, kind: &str, booking: &Booking) {
        let place = state.confirmations.len() + 1;
        let line = json!({"id": format!("0-{place}-0"), "type": kind, "period": 900, "booking": booking.number, "slot": booking.slot});
        if self.sin == Sin::ConfirmsNever && booking.number.is_multiple_of(50) {
            return;
        }
        self.text(&line);
        state.confirmations.push(line);
        if self.sin == Sin::ConfirmsTwice && booking.number.is_multiple_of(50) {
            let again = json!({"id": format!("0-{place}-1"), "type": kind, "period": 900, "booking": booking.number, "slot": booking.slot});
            self.text(&again);
            state.confirmations.push(again);
        }
    }

    fn text(&self, confirmation: &Value) {
        use std::io::Write;

        let Some(directory) = &self.outbox else { return };
        let path = directory.join("messages.ndjson");
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        let line = json!({"reference": confirmation["id"], "text": "booked"});
        let twice = self.sin == Sin::TextsTwice
            && confirmation["booking"].as_u64().is_some_and(|number| number.is_multiple_of(50));
        for _ in 0..=u8::from(twice) {
            writeln!(file, "{line}").unwrap();
        }
    }

    fn receipt(&self, state: &State, person: &str, receipt: &str) -> Answer {
        match state.receipts.get(receipt) {
            Some((owner, Some(told))) if owner == person => {
                let confirmed = told["outcome"] == "confirmed"
                    && told["booking"]["number"]
                        .as_u64()
                        .is_some_and(|number| number.is_multiple_of(50));
                if self.sin == Sin::ChangesOutcomes && confirmed {
                    return answer(200, r#"{"outcome":"rejected","reason":"slot_full"}"#);
                }
                answer(200, told.to_string())
            }
            _ => answer(404, "{}"),
        }
    }
}

fn free(state: &mut State, slot: u32) {
    if let Some(slot) = state.slots.get_mut(&slot) {
        slot.taken -= 1;
    }
}

fn import_roster(state: &mut State, body: &[u8]) -> Answer {
    for row in csv::Reader::from_reader(body).records() {
        let row = row.unwrap();
        let document = [&row[2], &row[3], &row[4]]
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap()
            .to_owned();
        for id in [&row[0], &row[1]].into_iter().filter(|id| !id.is_empty()) {
            state.roster.insert(id.to_owned(), format!("{document} {}", &row[0]));
        }
    }
    answer(200, "{}")
}

fn import_slots(state: &mut State, body: &[u8]) -> Answer {
    for row in csv::Reader::from_reader(body).records() {
        let row = row.unwrap();
        let number = state.slots.len() as u32 + 1;
        let capacity = row[5].parse().unwrap();
        state.slots.insert(
            number,
            Slot { site: row[0].to_owned(), date: row[1].to_owned(), capacity, taken: 0 },
        );
    }
    answer(200, "{}")
}

fn slots(state: &State, call: &Call) -> Answer {
    let (site, date) = (call.parameter("site"), call.parameter("date"));
    let found: Vec<Value> = state
        .slots
        .iter()
        .filter(|(_, slot)| Some(&slot.site) == site.as_ref() && Some(&slot.date) == date.as_ref())
        .map(|(number, slot)| {
            json!({"number": number, "site": slot.site, "date": slot.date, "capacity": slot.capacity, "places_left": slot.capacity.saturating_sub(slot.taken)})
        })
        .collect();
    answer(200, json!({"slots": found}).to_string())
}

fn identity(state: &mut State, body: &[u8]) -> Answer {
    let body: Value = serde_json::from_slice(body).unwrap();
    let id = body["id_number"].as_str().unwrap_or("").to_owned();
    let document = ["card_number", "entry_permit_number", "passport_number"]
        .iter()
        .find_map(|name| body[name].as_str())
        .unwrap_or("");
    let Some(known) =
        state.roster.get(&id).filter(|known| known.starts_with(&format!("{document} ")))
    else {
        return answer(401, r#"{"type":"/problems/identity-not-confirmed"}"#);
    };
    let person = known.split(' ').nth(1).unwrap().to_owned();
    let token = format!("token-{person}");
    let has_intent = state.registered.contains_key(&person);
    state.tokens.insert(token.clone(), person);
    answer(201, json!({"token": token, "has_intent": has_intent}).to_string())
}

fn confirmations(state: &State, call: &Call) -> Answer {
    let after = call.parameter("after").unwrap_or_default();
    let from = state
        .confirmations
        .iter()
        .position(|line| line["id"] == after.as_str())
        .map_or(0, |place| place + 1);
    let limit = call.parameter("limit").and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let lines: String =
        state.confirmations[from..].iter().take(limit).map(|line| format!("{line}\n")).collect();
    answer(200, lines)
}
