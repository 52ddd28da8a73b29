//! Collects the auditor's evidence from the server, over HTTP, like the citizens themselves would.
//!
//! First every request without a known end is brought to one: sent again under its key, or asked for
//! by its receipt. Then every receipt, every person's booking and every slot is read once more.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::answer::{self, BookingShown, Outcome};
use crate::audit::{ReceiptState, Shown, SlotFacts};
use crate::campaign::{Campaign, SlotOffer};
use crate::history::{History, Source, Told};
use crate::prepare::{SiteDay, read_slots};
use crate::progress::Progress;
use crate::sweep::{Call, SweepOptions, Verdict, sweep};
use crate::wire::RequestLine;

/// Places left may be this old when they are read.
const AVAILABILITY_AGE_MAX: Duration = Duration::from_secs(2);
/// Requests without a known end are gone through this often at most.
const SETTLE_ROUNDS_MAX: u32 = 3;

/// How evidence is collected.
#[derive(Clone, Debug)]
pub(crate) struct CollectOptions {
    pub(crate) sweep: SweepOptions,
    /// Every outcome must be known after this long.
    pub(crate) settle_time_max: Duration,
}

/// Sends a request again, under its own key.
struct SendAgain<'a> {
    campaign: &'a Campaign,
    history: &'a History,
    requests: &'a [u32],
}

impl Call for SendAgain<'_> {
    type Output = Told;

    fn write(&self, index: usize, out: &mut Vec<u8>) {
        let asked = self.history.asked[self.requests[index] as usize];
        self.campaign.write(asked.person, asked.ordinal, asked.action, out);
    }

    fn read(&self, index: usize, status: u16, body: &[u8]) -> Verdict<Told> {
        if status == 425 || status >= 500 {
            return Verdict::Again(format!("status {status}"));
        }
        let reading = answer::read(status, body);
        Verdict::Done(Told::new(self.requests[index], Source::Send, status, &reading))
    }
}

/// Asks for the outcome of a receipt.
struct AskReceipt<'a> {
    campaign: &'a Campaign,
    receipts: &'a [(u32, u64, String)],
    /// Ask again while it is still being processed.
    wait: bool,
}

/// What a receipt gave.
enum ReceiptAnswer {
    Told(Told),
    Unknown,
}

impl Call for AskReceipt<'_> {
    type Output = ReceiptAnswer;

    fn write(&self, index: usize, out: &mut Vec<u8>) {
        let (_, person, receipt) = &self.receipts[index];
        let wait = if self.wait { "?wait=25" } else { "" };
        let line = RequestLine::new(
            "GET",
            &format!("/v1/requests/{receipt}{wait}"),
            &self.campaign.target.host,
            &[],
        );
        line.write(&[("authorization", self.campaign.authorization(*person).as_bytes())], b"", out);
    }

    fn read(&self, index: usize, status: u16, body: &[u8]) -> Verdict<ReceiptAnswer> {
        let request = self.receipts[index].0;
        match (status, answer::read(status, body)) {
            (404, _) => Verdict::Done(ReceiptAnswer::Unknown),
            (200, reading) if reading.outcome == Outcome::Processing && self.wait => {
                Verdict::Again("still processing".to_owned())
            }
            (200, reading) if reading.outcome.is_decided() => {
                // The receipt stands in the address; the answer need not repeat it.
                let told =
                    Told { receipt: None, ..Told::new(request, Source::Receipt, status, &reading) };
                Verdict::Done(ReceiptAnswer::Told(told))
            }
            _ if status >= 500 => Verdict::Again(format!("status {status}")),
            _ => Verdict::Failed(format!("status {status}")),
        }
    }
}

/// Brings every request to a known end, as far as that is possible, and asks every receipt.
pub(crate) fn settle(
    campaign: &Campaign,
    history: &mut History,
    options: &CollectOptions,
    progress: &Progress,
) -> Result<Vec<(u32, ReceiptState)>, String> {
    let deadline = Instant::now() + options.settle_time_max;
    for _ in 0..SETTLE_ROUNDS_MAX {
        let unknown = never_answered(history);
        if unknown.is_empty() || Instant::now() >= deadline {
            break;
        }
        let told = {
            let call = SendAgain { campaign, history, requests: &unknown };
            run("requests sent again", campaign, &options.sweep, unknown.len(), &call, progress)?
        };
        history.told.extend(told.into_iter().flatten());
    }
    let receipts = receipts(history);
    let undecided: Vec<_> = {
        let decided = decided(history);
        receipts.iter().filter(|(request, ..)| !decided.contains(request)).cloned().collect()
    };
    let time_max = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
    let patient = SweepOptions {
        time_max,
        retry: crate::retry::RetryPolicy {
            attempts_max: u32::MAX,
            backoff_max: Duration::from_secs(1),
            ..options.sweep.retry.clone()
        },
        ..options.sweep.clone()
    };
    let mut states = Vec::new();
    ask(campaign, history, &undecided, true, &patient, "outcomes awaited", &mut states, progress)?;
    // Each receipt is asked once more, also where the outcome is known: it must not have changed.
    states.clear();
    ask(
        campaign,
        history,
        &receipts,
        false,
        &options.sweep,
        "receipts asked",
        &mut states,
        progress,
    )?;
    Ok(states)
}

#[allow(clippy::too_many_arguments)] // One call of two phases that differ in three of them.
fn ask(
    campaign: &Campaign,
    history: &mut History,
    receipts: &[(u32, u64, String)],
    wait: bool,
    options: &SweepOptions,
    name: &str,
    states: &mut Vec<(u32, ReceiptState)>,
    progress: &Progress,
) -> Result<(), String> {
    if receipts.is_empty() {
        return Ok(());
    }
    let call = AskReceipt { campaign, receipts, wait };
    let answers = run(name, campaign, options, receipts.len(), &call, progress)?;
    for (answer, (request, ..)) in answers.into_iter().zip(receipts) {
        match answer {
            Ok(ReceiptAnswer::Told(told)) => history.told.push(told),
            Ok(ReceiptAnswer::Unknown) => states.push((*request, ReceiptState::Unknown)),
            Err(_) => states.push((*request, ReceiptState::Unanswered)),
        }
    }
    Ok(())
}

/// Runs a sweep with its progress.
fn run<C: Call>(
    name: &str,
    campaign: &Campaign,
    options: &SweepOptions,
    count: usize,
    call: &C,
    progress: &Progress,
) -> Result<Vec<Result<C::Output, String>>, String> {
    let done = AtomicU64::new(0);
    let shown = || done.load(Ordering::Relaxed);
    progress
        .watch(name, count as u64, &shown, &String::new, || {
            sweep(&campaign.target, options, count, call, &done)
        })
        .map_err(|error| format!("{name}: {error}"))
}

/// Requests to which nothing was ever said: neither acknowledged nor refused as such.
fn never_answered(history: &History) -> Vec<u32> {
    let mut answered = vec![false; history.asked.len()];
    for told in &history.told {
        answered[told.request as usize] = true;
    }
    (0..history.asked.len() as u32).filter(|request| !answered[*request as usize]).collect()
}

fn decided(history: &History) -> HashSet<u32> {
    history.told.iter().filter(|told| told.outcome.is_decided()).map(|told| told.request).collect()
}

/// The receipt of each request that has one, with its owner.
fn receipts(history: &History) -> Vec<(u32, u64, String)> {
    let mut seen = HashSet::new();
    let mut receipts = Vec::new();
    for told in &history.told {
        if let Some(receipt) = &told.receipt
            && seen.insert(told.request)
        {
            receipts.push((
                told.request,
                history.asked[told.request as usize].person,
                receipt.to_string(),
            ));
        }
    }
    receipts
}

/// The people who asked for anything, in order.
pub(crate) fn people_of(history: &History) -> Vec<u64> {
    let mut people: Vec<u64> = history.asked.iter().map(|asked| asked.person).collect();
    people.sort_unstable();
    people.dedup();
    people
}

#[derive(Deserialize)]
struct MineAnswer {
    booking: MineBooking,
}

#[derive(Deserialize)]
struct MineBooking {
    #[serde(flatten)]
    shown: BookingShown,
    /// A cancelled one may still be shown; it holds no place.
    #[serde(default)]
    status: Option<String>,
}

/// Asks everybody's booking.
struct AskMine<'a> {
    campaign: &'a Campaign,
    line: RequestLine,
    people: &'a [u64],
}

impl Call for AskMine<'_> {
    type Output = Shown;

    fn write(&self, index: usize, out: &mut Vec<u8>) {
        let authorization = self.campaign.authorization(self.people[index]);
        self.line.write(&[("authorization", authorization.as_bytes())], b"", out);
    }

    fn read(&self, index: usize, status: u16, body: &[u8]) -> Verdict<Shown> {
        let person = self.people[index];
        match (status, serde_json::from_slice::<MineAnswer>(body)) {
            (200, Ok(mine)) => {
                let MineBooking { shown, status } = mine.booking;
                let holds = status.as_deref() != Some("cancelled");
                Verdict::Done(Shown {
                    person,
                    booking: holds.then_some((shown.number, shown.slot)),
                })
            }
            (200, Err(error)) => Verdict::Failed(format!("the booking cannot be read: {error}")),
            (404, _) => Verdict::Done(Shown { person, booking: None }),
            (500.., _) => Verdict::Again(format!("status {status}")),
            _ => Verdict::Failed(format!("status {status}")),
        }
    }
}

/// What everybody who asked for anything is shown now. Who cannot be asked is an error: an audit
/// with gaps proves nothing.
pub(crate) fn shown(
    campaign: &Campaign,
    history: &History,
    options: &CollectOptions,
    progress: &Progress,
) -> Result<Vec<Shown>, String> {
    let people = people_of(history);
    let path = format!("/v1/bookings/mine?period={}", campaign.period);
    let line = RequestLine::new("GET", &path, &campaign.target.host, &[]);
    let call = AskMine { campaign, line, people: &people };
    let shown = run("bookings looked up", campaign, &options.sweep, people.len(), &call, progress)?;
    if let Some(message) = crate::sweep::failures("looking up bookings", &shown) {
        return Err(message);
    }
    Ok(shown.into_iter().flatten().collect())
}

/// The slots with the places left now.
pub(crate) fn slots_after(
    campaign: &Campaign,
    facts: &[SlotFacts],
    places: &[SiteDay],
    options: &CollectOptions,
) -> Result<Vec<SlotFacts>, String> {
    std::thread::sleep(AVAILABILITY_AGE_MAX);
    let now = read_slots(&campaign.target, campaign.period, places, false, &options.sweep)?;
    let left: std::collections::HashMap<u32, &SlotOffer> =
        now.iter().map(|offer| (offer.facts.number, offer)).collect();
    Ok(facts
        .iter()
        .map(|facts| {
            let now = left.get(&facts.number).map(|offer| offer.facts);
            // The capacity may have been raised meanwhile; what counts is the one now.
            let capacity = now.map_or(facts.capacity, |now| now.capacity);
            SlotFacts { capacity, left_after: now.map(|now| now.left_before), ..*facts }
        })
        .collect())
}
