//! What becomes of a request that is sent, answered, lost and sent again.

#![allow(clippy::unwrap_used, clippy::expect_used)]

//! The traffic driven by hand: no sockets, no clock but the one the tests turn.

use super::*;
use crate::address::Target;
use crate::answer::Reason;
use crate::audit::SlotFacts;
use crate::campaign::{CampaignParts, SlotOffer};
use crate::people::{Population, PopulationOptions};
use crate::retry::RetrySettings;
use crate::scenario::SlotChoice;

const CONFIRMED: &str = r#"{"outcome":"confirmed","receipt":"r","booking":{"number":7,"slot":1}}"#;
const FULL: &str = r#"{"reason":"slot_full","decided":true,"receipt":"r"}"#;

fn campaign(people: usize) -> Campaign {
    let offer = |number| SlotOffer {
        facts: SlotFacts { number, capacity: 9, left_before: 9, left_after: None },
        site: "S".to_owned(),
        date: "2030-01-01".to_owned(),
    };
    let target = Target::parse("http://127.0.0.1:9", &[]).unwrap();
    let population = Population::new(PopulationOptions { seed: 1, born_on_or_before: None });
    let (slots, tokens) = (
        (1..=5).map(offer).collect(),
        (0..people as u64).map(|person| (person, "t".to_owned())).collect(),
    );
    Campaign::new(CampaignParts {
        target,
        run: 1,
        people: population,
        period: 2,
        slots,
        tokens,
        wait_s: 25,
    })
}

struct World {
    campaign: Campaign,
    chooser: Chooser,
    live: Live,
    start: Instant,
    ending: Ending,
}

impl World {
    fn new(people: usize) -> World {
        World {
            campaign: campaign(people),
            chooser: Chooser::new((1..=5).collect(), SlotChoice::Uniform, 1),
            live: Live::default(),
            start: Instant::now(),
            ending: Ending::default(),
        }
    }

    fn options<'a>(&'a self, behaviour: &'a BehaviourSettings) -> BookingOptions<'a> {
        let retry = RetrySettings {
            attempts_max: 3,
            backoff_first_ms: 100,
            backoff_max_ms: 60_000,
            ..RetrySettings::default()
        };
        BookingOptions {
            campaign: &self.campaign,
            behaviour,
            retry: retry.policy(),
            seed: 1,
            chooser: &self.chooser,
            live: &self.live,
            start: self.start,
            until: self.start + Duration::from_secs(1_000),
            drained: self.start + Duration::from_secs(2_000),
            drop_after: Duration::from_secs(10),
            arrivals_max: u64::MAX,
            ending: &self.ending,
        }
    }
}

/// What was sent: the ticket and the text of the request.
fn sent(traffic: &mut BookingTraffic<'_>, now: Instant) -> (u64, String) {
    let mut out = Vec::new();
    match traffic.next(now, &mut out) {
        Next::Send(ticket) => (ticket, String::from_utf8(out).unwrap()),
        other => panic!("nothing was sent: {other:?}"),
    }
}

fn idle(traffic: &mut BookingTraffic<'_>, now: Instant) -> Next {
    let mut out = Vec::new();
    let next = traffic.next(now, &mut out);
    assert!(!matches!(next, Next::Send(_)), "{}", String::from_utf8(out).unwrap());
    next
}

fn answer(
    traffic: &mut BookingTraffic<'_>,
    ticket: u64,
    now: Instant,
    status: u16,
    retry_after_s: Option<u32>,
    body: &str,
) {
    traffic.answered(
        ticket,
        Times { sent: now, ended: now },
        Answer { status, retry_after_s, body: body.as_bytes() },
    );
}

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let line = request.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_once(": ").unwrap().1
}

#[test]
fn a_busy_server_gets_the_same_request_again_after_the_pause_it_asked_for() {
    let world = World::new(1);
    let behaviour = BehaviourSettings::default();
    let options = world.options(&behaviour);
    let mut traffic = BookingTraffic::new(&options, None, None, 0, 1);
    let now = world.start;
    let (ticket, first) = sent(&mut traffic, now);
    answer(&mut traffic, ticket, now, 503, Some(4), "{}");
    assert!(matches!(idle(&mut traffic, now + Duration::from_millis(3_900)), Next::At(_)));
    let (ticket, second) = sent(&mut traffic, now + Duration::from_secs(6));
    assert_eq!(first, second);
    answer(&mut traffic, ticket, now + Duration::from_secs(6), 201, None, CONFIRMED);
    assert_eq!(idle(&mut traffic, now + Duration::from_secs(7)), Next::Finished);
    assert_eq!(
        (traffic.counts.confirmed, traffic.counts.retries, traffic.counts.gave_up),
        (1, 1, 0)
    );
    // The person waited six seconds, though each exchange took no time.
    assert!(traffic.counts.response.max_ms() >= 5_990.0);
    assert!(traffic.counts.service.max_ms() < 1.0);
}

#[test]
fn a_request_is_given_up_after_its_attempts() {
    let world = World::new(1);
    let behaviour = BehaviourSettings::default();
    let options = world.options(&behaviour);
    let mut traffic = BookingTraffic::new(&options, None, None, 0, 1);
    let mut now = world.start;
    for _ in 0..3 {
        let (ticket, _) = sent(&mut traffic, now);
        traffic.failed(ticket, Times { sent: now, ended: now }, Failure::ConnectionLost);
        now += Duration::from_secs(5);
    }
    assert_eq!(idle(&mut traffic, now), Next::Finished);
    assert_eq!((traffic.counts.gave_up, traffic.counts.errors["connection_lost"]), (1, 3));
    // Nothing was acknowledged, so nothing is claimed; the request itself is known to the auditor.
    assert!(traffic.history.told.is_empty() && traffic.history.asked.len() == 1);
}

#[test]
fn a_full_slot_makes_the_person_try_another_one_under_a_new_key() {
    let world = World::new(1);
    let behaviour = BehaviourSettings { slot_tries_max: 2, ..BehaviourSettings::default() };
    let options = world.options(&behaviour);
    let mut traffic = BookingTraffic::new(&options, None, None, 0, 1);
    let (ticket, first) = sent(&mut traffic, world.start);
    answer(&mut traffic, ticket, world.start, 409, None, FULL);
    let (ticket, second) = sent(&mut traffic, world.start);
    assert_ne!(header(&first, "idempotency-key"), header(&second, "idempotency-key"));
    assert_ne!(first.lines().last(), second.lines().last());
    answer(&mut traffic, ticket, world.start, 409, None, FULL);
    assert_eq!(idle(&mut traffic, world.start), Next::Finished);
    assert_eq!(traffic.counts.rejected[&Reason::named("slot_full")], 2);
}

#[test]
fn a_confirmed_booking_is_moved_and_then_cancelled_under_keys_of_their_own() {
    let world = World::new(1);
    let behaviour = BehaviourSettings {
        move_share: 1.0,
        cancel_share: 1.0,
        follow_up_delay_ms: 500,
        ..BehaviourSettings::default()
    };
    let options = world.options(&behaviour);
    let mut traffic = BookingTraffic::new(&options, None, None, 0, 1);
    let mut now = world.start;
    let mut methods = Vec::new();
    for _ in 0..3 {
        let (ticket, request) = sent(&mut traffic, now);
        methods.push(request.split(' ').next().unwrap().to_owned());
        answer(&mut traffic, ticket, now, 200, None, CONFIRMED);
        assert!(matches!(
            idle(&mut traffic, now + Duration::from_millis(400)),
            Next::At(_) | Next::Finished
        ));
        now += Duration::from_secs(1);
    }
    assert_eq!(methods, ["POST", "PUT", "DELETE"]);
    let ordinals: Vec<u16> = traffic.history.asked.iter().map(|asked| asked.ordinal).collect();
    assert_eq!(ordinals, [0, 1, 2]);
}

#[test]
fn a_duplicate_is_the_same_request_and_its_answer_is_kept_for_comparison() {
    let world = World::new(1);
    let behaviour = BehaviourSettings {
        duplicate_share: 1.0,
        duplicate_delay_ms_max: 0,
        ..BehaviourSettings::default()
    };
    let options = world.options(&behaviour);
    let mut traffic = BookingTraffic::new(&options, None, None, 0, 1);
    let (first, text) = sent(&mut traffic, world.start);
    let (second, again) = sent(&mut traffic, world.start);
    assert_eq!(text, again);
    answer(&mut traffic, second, world.start, 201, None, CONFIRMED);
    answer(&mut traffic, first, world.start, 409, None, FULL);
    assert_eq!((traffic.counts.duplicates, traffic.history.told.len()), (1, 2));
    assert_eq!((traffic.counts.confirmed, traffic.counts.response.count()), (1, 1));
}

#[test]
fn a_rival_books_twice_at_once_with_two_keys_and_two_slots() {
    let world = World::new(1);
    let behaviour =
        BehaviourSettings { rival_share: 1.0, move_share: 1.0, ..BehaviourSettings::default() };
    let options = world.options(&behaviour);
    let mut traffic = BookingTraffic::new(&options, None, None, 0, 1);
    let (first, one) = sent(&mut traffic, world.start);
    let (second, other) = sent(&mut traffic, world.start);
    assert_ne!(header(&one, "idempotency-key"), header(&other, "idempotency-key"));
    assert_ne!(one.lines().last(), other.lines().last());
    answer(&mut traffic, first, world.start, 201, None, CONFIRMED);
    answer(
        &mut traffic,
        second,
        world.start,
        409,
        None,
        r#"{"reason":"already_booked","decided":true}"#,
    );
    assert_eq!(idle(&mut traffic, world.start), Next::Finished);
}

#[test]
fn arrivals_that_find_no_connection_in_time_are_dropped_and_not_errors() {
    let world = World::new(100);
    let behaviour = BehaviourSettings::default();
    let options = world.options(&behaviour);
    let plan =
        ArrivalPlan::new("0s:10,3s:10".parse().unwrap(), crate::arrivals::Spacing::Even, 1, 0, 1);
    let mut traffic = BookingTraffic::new(&options, Some(plan), None, 0, 1);
    // The first look comes after twelve seconds: whoever was due in the first two has gone.
    let now = world.start + Duration::from_secs(12);
    let mut tickets = Vec::new();
    let mut out = Vec::new();
    while let Next::Send(ticket) = traffic.next(now, &mut out) {
        tickets.push(ticket);
    }
    assert_eq!((tickets.len(), traffic.counts.dropped, traffic.counts.planned), (10, 20, 30));
    for ticket in tickets {
        answer(&mut traffic, ticket, now, 201, None, CONFIRMED);
    }
    assert!(traffic.counts.errors.is_empty());
    assert!(traffic.counts.response.quantile_ms(0.0) > 9_000.0);
    assert!(traffic.counts.send_lag.quantile_ms(0.0) > 9_000.0);
}

#[test]
fn a_run_ends_when_everybody_has_booked() {
    let world = World::new(3);
    let behaviour = BehaviourSettings::default();
    let options = world.options(&behaviour);
    let mut traffic = BookingTraffic::new(&options, None, None, 0, 1);
    let tickets: Vec<u64> = (0..3).map(|_| sent(&mut traffic, world.start).0).collect();
    assert_eq!(idle(&mut traffic, world.start), Next::Waiting);
    for ticket in tickets {
        answer(&mut traffic, ticket, world.start, 201, None, CONFIRMED);
    }
    assert_eq!(idle(&mut traffic, world.start), Next::Finished);
    assert!(traffic.counts.people_exhausted);
}

#[test]
fn a_refusal_of_the_request_as_such_is_not_repeated() {
    let world = World::new(1);
    let behaviour = BehaviourSettings::default();
    let options = world.options(&behaviour);
    let mut traffic = BookingTraffic::new(&options, None, None, 0, 1);
    let (ticket, _) = sent(&mut traffic, world.start);
    answer(&mut traffic, ticket, world.start, 422, None, "{}");
    assert_eq!(idle(&mut traffic, world.start), Next::Finished);
    assert_eq!((traffic.counts.gave_up, traffic.counts.errors["status_422"]), (1, 1));
}

#[test]
fn a_run_that_is_asked_to_end_finishes_what_is_under_way() {
    let world = World::new(100);
    let behaviour = BehaviourSettings::default();
    let options = world.options(&behaviour);
    let mut traffic = BookingTraffic::new(&options, None, None, 0, 1);
    let (ticket, _) = sent(&mut traffic, world.start);
    world.ending.ask();
    assert_eq!(idle(&mut traffic, world.start), Next::Waiting);
    answer(&mut traffic, ticket, world.start, 503, None, "{}");
    let Next::At(again) = idle(&mut traffic, world.start) else { panic!("it is not sent again") };
    let (ticket, _) = sent(&mut traffic, again);
    answer(&mut traffic, ticket, again, 201, None, "{\"outcome\":\"confirmed\"}");
    assert_eq!(idle(&mut traffic, again), Next::Finished);
    assert_eq!(traffic.counts.arrivals, 1);
}

#[test]
fn the_bound_on_arrivals_is_kept_exactly_over_all_threads() {
    let world = World::new(100);
    let behaviour = BehaviourSettings::default();
    let options = BookingOptions { arrivals_max: 7, ..world.options(&behaviour) };
    let mut arrivals = 0;
    for thread in 0..3 {
        let mut traffic = BookingTraffic::new(&options, None, None, thread, 3);
        let mut out = Vec::new();
        while let Next::Send(_) = traffic.next(world.start, &mut out) {}
        assert!(traffic.counts.requests_max_reached && !traffic.counts.people_exhausted);
        arrivals += traffic.counts.arrivals;
    }
    assert_eq!(arrivals, 7);
}
