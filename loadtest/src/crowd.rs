//! The crowd gets ready: everybody logs in and registers, over HTTP like a citizen.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use serde_json::json;

use crate::address::Target;
use crate::answer::{self, Outcome};
use crate::history::retry_key;
use crate::people::Population;
use crate::people::wishes::{Regions, WishModel, wishes};
use crate::progress::Progress;
use crate::sweep::{Call, SweepOptions, Verdict, failures, sweep};
use crate::wire::RequestLine;

/// Ordinal of a registration in the retry keys; bookings count from 0.
const REGISTRATION_ORDINAL: u16 = u16::MAX;
/// Seconds that a registration waits for its outcome.
const REGISTRATION_WAIT: &str = "wait=25";

#[derive(Deserialize)]
struct IdentityAnswer {
    token: String,
    #[serde(default)]
    has_intent: bool,
}

/// Somebody who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoggedIn {
    /// Index in the population.
    pub(crate) person: u64,
    pub(crate) token: String,
    /// Was registered before: by an earlier run, or by another seed whose person has the same number.
    pub(crate) known: bool,
}

/// Logs in.
struct LogIn<'a> {
    line: RequestLine,
    people: &'a Population,
    indexes: &'a [u64],
}

impl Call for LogIn<'_> {
    type Output = LoggedIn;

    fn write(&self, index: usize, out: &mut Vec<u8>) {
        let body = self.people.citizen(self.indexes[index]).identity_body();
        self.line.write(&[], body.as_bytes(), out);
    }

    fn read(&self, index: usize, status: u16, body: &[u8]) -> Verdict<LoggedIn> {
        match (status, serde_json::from_slice::<IdentityAnswer>(body)) {
            (200 | 201, Ok(answer)) => Verdict::Done(LoggedIn {
                person: self.indexes[index],
                token: answer.token,
                known: answer.has_intent,
            }),
            (401, _) => Verdict::Failed(
                "the identity was not confirmed; is the roster of these people imported?"
                    .to_owned(),
            ),
            _ => Verdict::Failed(unexpected(status, body)),
        }
    }
}

/// Logs in the people of these indexes; they stand in the same order.
pub(crate) fn log_in(
    target: &Target,
    people: &Population,
    indexes: &[u64],
    options: &SweepOptions,
    progress: &Progress,
) -> Result<Vec<LoggedIn>, String> {
    let line = RequestLine::new(
        "POST",
        "/v1/identity",
        &target.host,
        &[("content-type", "application/json")],
    );
    let call = LogIn { line, people, indexes };
    let done = AtomicU64::new(0);
    let shown = || done.load(Ordering::Relaxed);
    let tokens = progress
        .watch("people logged in", indexes.len() as u64, &shown, &String::new, || {
            sweep(target, options, indexes.len(), &call, &done)
        })
        .map_err(|error| error.to_string())?;
    match failures("logging in", &tokens) {
        Some(message) => Err(message),
        None => Ok(tokens.into_iter().flatten().collect()),
    }
}

/// Registers.
struct Register<'a> {
    line: RequestLine,
    people: &'a Population,
    crowd: &'a [LoggedIn],
    run: u64,
    regions: &'a Regions,
    model: WishModel,
    vaccines: &'a [String],
}

impl Call for Register<'_> {
    type Output = ();

    fn write(&self, index: usize, out: &mut Vec<u8>) {
        let LoggedIn { person, token, .. } = &self.crowd[index];
        let citizen = self.people.citizen(*person);
        let district = self.regions.district(citizen.district_draw);
        let body = json!({
            "name": citizen.name, "phone": citizen.phone, "county": district.county, "district": district.district,
            "vaccines": wishes(self.model, self.vaccines, citizen.wish_draw), "language": citizen.language,
        });
        let authorization = format!("Bearer {token}");
        let key = retry_key(self.run, *person, REGISTRATION_ORDINAL);
        let headers = [("authorization", authorization.as_bytes()), ("idempotency-key", &key[..])];
        self.line.write(&headers, body.to_string().as_bytes(), out);
    }

    fn read(&self, _index: usize, status: u16, body: &[u8]) -> Verdict<()> {
        match answer::read(status, body).outcome {
            Outcome::Confirmed => Verdict::Done(()),
            Outcome::Processing => {
                Verdict::Again("the registration was not decided in time".to_owned())
            }
            Outcome::Rejected(reason) | Outcome::TurnedAway(reason) => {
                Verdict::Failed(format!("the registration was refused: {reason}"))
            }
            Outcome::Error => Verdict::Failed(unexpected(status, body)),
        }
    }
}

/// What people register for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration<'a> {
    pub(crate) run: u64,
    pub(crate) regions: &'a Regions,
    pub(crate) model: WishModel,
    pub(crate) vaccines: &'a [String],
}

/// Registers the people who are logged in.
pub(crate) fn register(
    target: &Target,
    people: &Population,
    crowd: &[LoggedIn],
    registration: Registration<'_>,
    options: &SweepOptions,
    progress: &Progress,
) -> Result<(), String> {
    let headers = [("content-type", "application/json"), ("prefer", REGISTRATION_WAIT)];
    let line = RequestLine::new("POST", "/v1/intents", &target.host, &headers);
    let Registration { run, regions, model, vaccines } = registration;
    let call = Register { line, people, crowd, run, regions, model, vaccines };
    let done = AtomicU64::new(0);
    let shown = || done.load(Ordering::Relaxed);
    let outcomes = progress
        .watch("people registered", crowd.len() as u64, &shown, &String::new, || {
            sweep(target, options, crowd.len(), &call, &done)
        })
        .map_err(|error| error.to_string())?;
    failures("registering", &outcomes).map_or(Ok(()), Err)
}

/// Asks who holds a booking already.
struct AskHolding<'a> {
    line: RequestLine,
    crowd: &'a [LoggedIn],
}

impl Call for AskHolding<'_> {
    type Output = bool;

    fn write(&self, index: usize, out: &mut Vec<u8>) {
        let authorization = format!("Bearer {}", self.crowd[index].token);
        self.line.write(&[("authorization", authorization.as_bytes())], b"", out);
    }

    fn read(&self, _index: usize, status: u16, body: &[u8]) -> Verdict<bool> {
        match status {
            200 => Verdict::Done(true),
            404 => Verdict::Done(false),
            _ => Verdict::Failed(unexpected(status, body)),
        }
    }
}

/// Leaves out those who hold a booking of the period already: people of an earlier run, or of another
/// seed whose number is the same. Says how many they were.
pub(crate) fn leave_out_booked(
    target: &Target,
    period: u16,
    crowd: &mut Vec<LoggedIn>,
    options: &SweepOptions,
) -> Result<u64, String> {
    let known: Vec<LoggedIn> = crowd.iter().filter(|person| person.known).cloned().collect();
    let path = format!("/v1/bookings/mine?period={period}");
    let line = RequestLine::new("GET", &path, &target.host, &[]);
    let call = AskHolding { line, crowd: &known };
    let holding = sweep(target, options, known.len(), &call, &AtomicU64::new(0))
        .map_err(|error| error.to_string())?;
    if let Some(message) = failures("looking for earlier bookings", &holding) {
        return Err(message);
    }
    let holders: HashSet<u64> = known
        .iter()
        .zip(&holding)
        .filter(|(_, holds)| **holds == Ok(true))
        .map(|(person, _)| person.person)
        .collect();
    crowd.retain(|person| !holders.contains(&person.person));
    Ok(holders.len() as u64)
}

/// The message of an answer nobody planned for.
fn unexpected(status: u16, body: &[u8]) -> String {
    format!("answered with {status}: {}", String::from_utf8_lossy(&body[..body.len().min(300)]))
}
