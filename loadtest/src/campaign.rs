//! Everything a run needs before the first booking: people with tokens, slots, and the requests.

use serde::{Deserialize, Serialize};

use crate::address::Target;
use crate::audit::SlotFacts;
use crate::history::{Action, retry_key};
use crate::people::Population;
use crate::wire::{RequestLine, write_number};

/// A slot that can be booked, and where it is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotOffer {
    /// Number and places.
    pub facts: SlotFacts,
    /// Site of the slot.
    pub site: String,
    /// Its date.
    pub date: String,
}

/// What a campaign is put together from.
#[derive(Debug)]
pub struct CampaignParts {
    /// The citizens' listener.
    pub target: Target,
    /// Part of every retry key.
    pub run: u64,
    /// The people.
    pub people: Population,
    /// The period booked.
    pub period: u16,
    /// The slots.
    pub slots: Vec<SlotOffer>,
    /// Who takes part, by index in rising order, and their tokens.
    pub tokens: Vec<(u64, String)>,
    /// Above 0: ask for the decided outcome, and wait for it so many seconds.
    pub wait_s: u32,
}

/// People with tokens, and slots, ready to book.
#[derive(Debug)]
pub struct Campaign {
    /// The citizens' listener.
    pub target: Target,
    /// Part of every retry key.
    pub run: u64,
    /// The people.
    pub people: Population,
    /// The period booked.
    pub period: u16,
    /// The slots, in the order in which they are given out one after another.
    pub slots: Vec<SlotOffer>,
    /// Indexes of those who take part, in rising order.
    persons: Vec<u64>,
    /// `Bearer …` of each of them.
    authorizations: Vec<Box<str>>,
    book: RequestLine,
    change: RequestLine,
    cancel: RequestLine,
    /// Looks at the slots of one site and date, one for each pair.
    reads: Vec<RequestLine>,
}

impl Campaign {
    /// Writes the requests of these parts once and for all.
    pub fn new(parts: CampaignParts) -> Campaign {
        let CampaignParts { target, run, people, period, slots, tokens, wait_s } = parts;
        let prefer = format!("wait={wait_s}");
        let mut headers = vec![("content-type", "application/json")];
        if wait_s > 0 {
            headers.push(("prefer", prefer.as_str()));
        }
        let mine = format!("/v1/bookings/mine?period={period}");
        let line = |method: &str, path: &str, headers: &[(&str, &str)]| {
            RequestLine::new(method, path, &target.host, headers)
        };
        let (book, change) = (line("POST", "/v1/bookings", &headers), line("PUT", &mine, &headers));
        let cancel = line("DELETE", &mine, &headers[1..]);
        let mut places: Vec<(&str, &str)> =
            slots.iter().map(|slot| (slot.site.as_str(), slot.date.as_str())).collect();
        places.sort_unstable();
        places.dedup();
        let reads = places
            .iter()
            .map(|(site, date)| line("GET", &slots_path(period, site, date), &[]))
            .collect();
        let (persons, authorizations) = tokens
            .into_iter()
            .map(|(person, token)| (person, format!("Bearer {token}").into_boxed_str()))
            .unzip();
        Campaign {
            target,
            run,
            people,
            period,
            slots,
            persons,
            authorizations,
            book,
            change,
            cancel,
            reads,
        }
    }

    /// How many people take part.
    pub fn count(&self) -> u64 {
        self.persons.len() as u64
    }

    /// The index of the person at a place among those who take part.
    pub fn person(&self, place: u64) -> Option<u64> {
        usize::try_from(place).ok().and_then(|place| self.persons.get(place)).copied()
    }

    /// The authorization of a person by index; empty for one who does not take part.
    pub fn authorization(&self, person: u64) -> &str {
        // Indexes are mostly without gaps, so the place is mostly the distance from the first.
        let guess = person.wrapping_sub(self.persons.first().copied().unwrap_or(0)) as usize;
        let place = match self.persons.get(guess) {
            Some(found) if *found == person => Some(guess),
            _ => self.persons.binary_search(&person).ok(),
        };
        place.and_then(|place| self.authorizations.get(place)).map_or("", |text| text)
    }

    /// Appends the request of a person.
    pub fn write(&self, person: u64, ordinal: u16, action: Action, out: &mut Vec<u8>) {
        let key = retry_key(self.run, person, ordinal);
        let headers = [
            ("authorization", self.authorization(person).as_bytes()),
            ("idempotency-key", &key[..]),
        ];
        let mut body = [0u8; 64];
        let mut written = Vec::new();
        let line = match action {
            Action::Book(slot) => {
                let length = booking_body(self.period, slot, &mut body);
                return self.book.write(&headers, &body[..length], out);
            }
            Action::Move(slot) => {
                written.extend_from_slice(b"{\"slot\":");
                write_number(slot.into(), &mut written);
                written.push(b'}');
                &self.change
            }
            Action::Cancel => &self.cancel,
        };
        line.write(&headers, &written, out);
    }

    /// Appends a look at the slots of one site and day, chosen by a random word.
    pub fn write_read(&self, draw: u64, out: &mut Vec<u8>) {
        if !self.reads.is_empty() {
            self.reads[(draw % self.reads.len() as u64) as usize].write(&[], b"", out);
        }
    }

    /// For a bare saturating run: the first booking of the person at `index`, spread over the slots;
    /// false when all people have booked.
    pub fn booking_request(&self, index: u64, out: &mut Vec<u8>) -> bool {
        let Some(person) = self.person(index).filter(|_| !self.slots.is_empty()) else {
            return false;
        };
        let slot = self.slots[(index % self.slots.len() as u64) as usize].facts.number;
        self.write(person, 0, Action::Book(slot), out);
        true
    }

    /// For a long bare run with few people: round after round everybody books, then everybody
    /// cancels. False when all keys are used. A server that limits the commands of one person will
    /// answer 429; with far more people than connections no two requests of one person meet.
    pub fn round_request(&self, index: u64, out: &mut Vec<u8>) -> bool {
        let (count, slots) = (self.count().max(1), self.slots.len().max(1) as u64);
        let (round, place) = (index / count, index % count);
        let Some(person) =
            self.person(place).filter(|_| round < KEYS_MAX && !self.slots.is_empty())
        else {
            return false;
        };
        let slot = self.slots[(place % slots) as usize].facts.number;
        let action = if round.is_multiple_of(2) { Action::Book(slot) } else { Action::Cancel };
        self.write(person, round as u16, action, out);
        true
    }
}

/// Keys that one person may use in one period.
const KEYS_MAX: u64 = 256;

/// The path at which the slots of a site and date are read.
pub(crate) fn slots_path(period: u16, site: &str, date: &str) -> String {
    format!("/v1/periods/{period}/slots?site={}&date={date}", escaped(site))
}

/// A text as it may stand in a query.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Writes `{"period":P,"slot":S}` and says how long it is.
fn booking_body(period: u16, slot: u32, body: &mut [u8; 64]) -> usize {
    use std::io::Write;

    let mut rest: &mut [u8] = body;
    // Two numbers and their names take at most 35 bytes, so this cannot fail.
    let _ = write!(rest, "{{\"period\":{period},\"slot\":{slot}}}");
    64 - rest.len()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::people::PopulationOptions;

    fn campaign() -> Campaign {
        let people = Population::new(PopulationOptions { seed: 1, born_on_or_before: None });
        let offer = |number| SlotOffer {
            facts: SlotFacts { number, capacity: 1, left_before: 1, left_after: None },
            site: "A/1".to_owned(),
            date: "2030-01-01".to_owned(),
        };
        let target = Target::parse("http://127.0.0.1:1922", &[]).unwrap();
        let tokens = vec![(100, "t0".to_owned()), (101, "t1".to_owned())];
        let slots = vec![offer(5), offer(6)];
        Campaign::new(CampaignParts {
            target,
            run: 7,
            people,
            period: 2,
            slots,
            tokens,
            wait_s: 25,
        })
    }

    fn written(action: Action) -> String {
        let mut out = Vec::new();
        campaign().write(101, 3, action, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn requests_stand_as_the_contract_says() {
        assert_eq!(
            written(Action::Book(4_294_967_295)),
            "POST /v1/bookings HTTP/1.1\r\nhost: 127.0.0.1:1922\r\ncontent-type: application/json\r\nprefer: wait=25\r\nauthorization: Bearer t1\r\nidempotency-key: 0000000000000007-00000065-0003\r\ncontent-length: 30\r\n\r\n{\"period\":2,\"slot\":4294967295}"
        );
        let change = written(Action::Move(9));
        assert!(
            change.starts_with("PUT /v1/bookings/mine?period=2 HTTP/1.1\r\n")
                && change.ends_with("\r\n\r\n{\"slot\":9}")
        );
        let cancel = written(Action::Cancel);
        assert!(
            cancel.starts_with("DELETE /v1/bookings/mine?period=2 HTTP/1.1\r\n")
                && cancel.ends_with("content-length: 0\r\n\r\n")
        );
    }

    #[test]
    fn people_with_gaps_between_them_keep_their_tokens() {
        let mut campaign = campaign();
        campaign.persons = vec![100, 105];
        assert_eq!(
            (campaign.authorization(100), campaign.authorization(105)),
            ("Bearer t0", "Bearer t1")
        );
        assert_eq!((campaign.authorization(101), campaign.authorization(99)), ("", ""));
    }

    #[test]
    fn a_bare_run_ends_when_everybody_has_booked() {
        let mut out = Vec::new();
        assert!(campaign().booking_request(1, &mut out));
        assert!(String::from_utf8(out.clone()).unwrap().ends_with("\"slot\":6}"));
        assert!(!campaign().booking_request(2, &mut out));
    }

    #[test]
    fn rounds_book_and_cancel_in_turn_until_the_keys_are_used() {
        let line = |index: u64| {
            let mut out = Vec::new();
            let more = campaign().round_request(index, &mut out);
            let text = String::from_utf8(out).unwrap();
            more.then(|| text.split(' ').next().unwrap_or("").to_owned())
        };
        let methods: Vec<_> = (0..5).filter_map(line).collect();
        assert_eq!(methods, ["POST", "POST", "DELETE", "DELETE", "POST"]);
        assert!(line(511).is_some() && line(512).is_none());
    }

    #[test]
    fn a_read_names_site_and_date_escaped() {
        let mut out = Vec::new();
        campaign().write_read(u64::MAX, &mut out);
        assert!(
            String::from_utf8(out)
                .unwrap()
                .starts_with("GET /v1/periods/2/slots?site=A%2F1&date=2030-01-01 HTTP/1.1")
        );
    }
}
