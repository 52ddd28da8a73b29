//! People who want places, through any of several gateways, as often as it takes until one of them
//! acknowledges; and an operator.

use std::sync::{Arc, Mutex};

use domain::codec::encode_command;
use domain::{
    Attested, Command, Day, Envelope, Fingerprint, KeyHash, Origin, PeriodNumber, PersonRef,
    RetryKey, SlotNumber,
};
use journal::turbulent::TurbulentJournal;
use journal::{Health, Journal, Lane, Settled, Stream};

use crate::support::script::{self, Dice, SLOTS, intent, person};

/// People who want something; few, so that they meet themselves and each other.
const PEOPLE: u64 = 24;
/// Slots that most of them want.
const HOT_SLOTS: u64 = 5;

/// What somebody asks under one key, sent once or more.
pub struct Request {
    pub command: Command,
    pub person: u64,
    pub period: PeriodNumber,
    pub retry: RetryKey,
    /// One of the sent commands was acknowledged.
    is_acknowledged: bool,
}

/// One way into `commands`.
struct Gateway {
    journal: TurbulentJournal,
    lane: Box<dyn Lane>,
    /// Runs that settled.
    news: Arc<Mutex<Vec<Settled>>>,
    /// The sent command of each ticket.
    tickets: Vec<usize>,
}

impl Gateway {
    fn open(journal: TurbulentJournal) -> Gateway {
        let news: Arc<Mutex<Vec<Settled>>> = Arc::default();
        let told = Arc::clone(&news);
        let on_settled = Arc::new(move |settled| told.lock().unwrap().push(settled));
        let lane = journal.lane(Stream::Commands, on_settled).unwrap();
        Gateway { journal, lane, news, tickets: Vec::new() }
    }
}

/// All of them.
pub struct Crowd {
    gateways: Vec<Gateway>,
    operator: TurbulentJournal,
    dice: Dice,
    pub requests: Vec<Request>,
    /// The request of each command sent; a command's origin is its place here, from 1 on.
    pub sent: Vec<usize>,
    /// Origins that a gateway acknowledged.
    pub acknowledged: Vec<u64>,
    registered: Vec<bool>,
}

impl Crowd {
    pub fn new(gateways: Vec<TurbulentJournal>, operator: TurbulentJournal, dice: Dice) -> Crowd {
        Crowd {
            gateways: gateways.into_iter().map(Gateway::open).collect(),
            operator,
            dice,
            requests: Vec::new(),
            sent: Vec::new(),
            acknowledged: Vec::new(),
            registered: vec![false; PEOPLE as usize],
        }
    }

    pub fn journals(&self) -> impl Iterator<Item = &TurbulentJournal> {
        self.gateways.iter().map(|gateway| &gateway.journal)
    }

    /// Somebody does something.
    pub fn step(&mut self) {
        match self.dice.below(100) {
            0..=3 => self.change_a_capacity(),
            4..=19 if !self.requests.is_empty() => {
                let request = self.dice.below(self.requests.len() as u64) as usize;
                self.send(request);
            }
            20..=24 if !self.requests.is_empty() => self.use_a_key_again(),
            _ => {
                let request = self.something_new();
                self.send(request);
                if self.dice.below(3) == 0 {
                    // Impatient: at once through another gateway, too.
                    self.send(request);
                }
            }
        }
    }

    /// Takes in what settled, and opens again what failed.
    pub fn tend(&mut self) {
        for gateway in &mut self.gateways {
            for settled in std::mem::take(&mut *gateway.news.lock().unwrap()) {
                let first = settled.first.0 as usize;
                let run = &gateway.tickets[first..first + settled.count as usize];
                if settled.result.is_ok() {
                    for place in run {
                        self.acknowledged.push(*place as u64 + 1);
                        self.requests[self.sent[*place]].is_acknowledged = true;
                    }
                }
            }
            let is_told = gateway.lane.unsettled() == 0;
            if is_told && matches!(gateway.journal.health(), Health::Failed(_)) {
                *gateway = Gateway::open(gateway.journal.reopen());
            }
        }
    }

    /// Everybody who has no answer asks again; true when all have one and nothing is under way.
    pub fn send_what_is_unanswered(&mut self) -> bool {
        if self
            .gateways
            .iter()
            .any(|gateway| gateway.lane.unsettled() > 0 || !gateway.news.lock().unwrap().is_empty())
        {
            return false;
        }
        let open: Vec<usize> = (0..self.requests.len())
            .filter(|request| !self.requests[*request].is_acknowledged)
            .collect();
        open.iter().for_each(|request| self.send(*request));
        open.is_empty()
    }

    fn send(&mut self, request: usize) {
        let place = self.sent.len();
        let envelope = Envelope {
            origin: Origin(place as u64 + 1),
            command: self.requests[request].command.clone(),
        };
        let mut record = Vec::new();
        encode_command(&envelope, &mut record);
        let count = self.gateways.len() as u64;
        let gateway = &mut self.gateways[self.dice.below(count) as usize];
        // One that fails takes nothing; the person tries again later.
        if gateway.lane.push(&record).is_ok() {
            self.sent.push(request);
            gateway.tickets.push(place);
        }
    }

    fn retry(&mut self) -> RetryKey {
        let number = self.requests.len() as u64 + 1;
        RetryKey { key: KeyHash(number), fingerprint: Fingerprint(number.wrapping_mul(3)) }
    }

    fn add(
        &mut self,
        number: u64,
        period: PeriodNumber,
        retry: RetryKey,
        command: Command,
    ) -> usize {
        self.requests.push(Request {
            command,
            person: number,
            period,
            retry,
            is_acknowledged: false,
        });
        self.requests.len() - 1
    }

    fn something_new(&mut self) -> usize {
        let number = self.dice.below(PEOPLE);
        let retry = self.retry();
        let (key, period) = (PersonRef::Key(person(number)), PeriodNumber(1));
        let intents = PeriodNumber::INTENTS;
        let slot = self.slot();
        if !std::mem::replace(&mut self.registered[number as usize], true) {
            return self.add(number, intents, retry, register(number, retry));
        }
        match self.dice.below(100) {
            0..=59 => {
                let command = Command::Book { person: key, period, slot, retry };
                self.add(number, period, retry, command)
            }
            60..=77 => {
                self.add(number, period, retry, Command::Cancel { person: key, period, retry })
            }
            78..=91 => {
                let command = Command::Move { person: key, period, slot, retry };
                self.add(number, period, retry, command)
            }
            92..=95 => self.add(number, intents, retry, register(number, retry)),
            _ => self.add(number, intents, retry, Command::Withdraw { person: key, retry }),
        }
    }

    fn slot(&mut self) -> SlotNumber {
        let bound = if self.dice.below(3) > 0 { HOT_SLOTS } else { u64::from(SLOTS) };
        SlotNumber(self.dice.below(bound) as u32)
    }

    /// Another wish under a key that stands for an earlier one.
    fn use_a_key_again(&mut self) {
        let earlier = &self.requests[self.dice.below(self.requests.len() as u64) as usize];
        let (number, period) = (earlier.person, earlier.period);
        let fingerprint = Fingerprint(earlier.retry.fingerprint.0 ^ 1);
        let retry = RetryKey { fingerprint, ..earlier.retry };
        let command = if period == PeriodNumber::INTENTS {
            register(number, retry)
        } else {
            Command::Cancel { person: PersonRef::Key(person(number)), period, retry }
        };
        let request = self.add(number, period, retry, command);
        self.send(request);
    }

    fn change_a_capacity(&mut self) {
        let slot = SlotNumber(self.dice.below(HOT_SLOTS) as u32);
        let command = Command::SetCapacity { slot, capacity: 1 + self.dice.below(4) as u32 };
        let mut record = Vec::new();
        encode_command(&Envelope { origin: Origin(0), command }, &mut record);
        script::append_one_group(&self.operator, &[record]);
    }
}

fn register(number: u64, retry: RetryKey) -> Command {
    Command::Register {
        person: person(number),
        attested: Attested { born_on: Day(10_000 - number as i32), roster_version: 1 },
        intent: intent(number),
        sealed: vec![number as u8; 24],
        retry,
    }
}
