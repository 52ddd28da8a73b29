//! One person's way through two gateways, to the text message.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::crowd::{Crowd, CrowdSize};
use crate::support::fleet::{Fleet, Kind};
use crate::support::world::{Person, furnish};
use crate::support::{Folder, call, next, seed, wait_until};

#[test]
fn a_person_goes_from_one_gateway_to_another_and_nobody_can_tell() {
    let folder = Folder::new("separate-path");
    let mut fleet = Fleet::new(&folder.0, broker::shared(1), "path.");
    // However little there is, an orderly end writes a checkpoint.
    fleet.set("GATEWAY__VIEW__CHECKPOINT_COMMANDS_MIN", "1");
    fleet.set("GATEWAY__VIEW__CHECKPOINT_GROWTH_PERCENT_MIN", "0");
    let (engine, notifier, gateways) = fleet.start_all(&["gateway-a", "gateway-b"]);
    let [a, b] = &gateways[..] else { panic!("two gateways") };
    let people: Vec<Person> = (1..=20).map(Person::numbered).collect();
    furnish(&a.operator, &fleet.token, &people);
    let (status, welcome) = people[0].log_in(&b.public);
    assert_eq!(status, 201, "the other gateway knows the roster at once: {welcome}");

    for (person, slot) in people.iter().zip((0..3).cycle()) {
        let here = person.session(&a.public);
        let (status, registered) = here.register();
        assert_eq!(status, 201, "{registered}");
        // At once, at the other gateway, by a login of its own and by the first token.
        let (status, welcome) = person.log_in(&b.public);
        assert_eq!((status, &welcome["has_intent"]), (201, &true.into()), "{welcome}");
        let there = here.at(&b.public);
        let (status, intent) = there.get("/v1/intents/mine");
        assert_eq!((status, &intent["intent"]["name"]), (200, &"王小明".into()), "{intent}");
        let (status, booked) = there.book(slot, "first");
        assert_eq!((status, &booked["booking"]["slot"]), (201, &slot.into()), "{booked}");
        let (status, mine) = here.get("/v1/bookings/mine?period=2");
        assert_eq!((status, &mine["booking"]["slot"]), (200, &slot.into()), "{mine}");
        let receipt = booked["receipt"].as_str().unwrap();
        let (status, outcome) = here.outcome(receipt);
        assert_eq!((status, &outcome["outcome"]), (200, &"confirmed".into()), "{outcome}");
        assert_eq!(here.book(slot, "first"), (201, booked), "a retry meets the first answer");
    }

    wait_until("every text is written", || fleet.texts().len() == people.len());
    let text = &fleet.texts()[0];
    assert!(text.contains("0912345678") && text.contains("測試醫院"), "{text}");

    let confirmations = format!("{}/v1/confirmations", b.operator);
    let bearer = format!("authorization: Bearer {}", fleet.token);
    let mut lines = String::new();
    wait_until("the gateway knows every confirmation", || {
        lines = call("GET", &confirmations, "", &[&bearer]).1;
        lines.lines().count() >= people.len()
    });

    let published = published("path.confirmations", people.len());
    let ids = |lines: &[Value]| -> BTreeSet<String> {
        lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
    };
    let read: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(ids(&published), ids(&read), "topic and call give the same messages");

    for member in [&engine, &notifier, a, b] {
        assert!(
            member.remark("journal").starts_with("durability: single_broker"),
            "{}",
            member.name
        );
        let stored = member.metric("slotline_journal_stored_bytes{stream=\"events\"}");
        assert!(stored.is_some_and(|bytes| bytes > 0.0), "{}: {stored:?}", member.name);
        assert_eq!(
            member.metric("slotline_journal_durability{class=\"single_broker\"}"),
            Some(1.0)
        );
    }
    engine.wait_for_remark("engine", "active");
    notifier.wait_for_remark("notifier", "active");
    for (member, stream) in [(&engine, "events"), (&notifier, "deliveries"), (a, "commands")] {
        let groups =
            member.metric(&format!("slotline_journal_groups_total{{stream=\"{stream}\"}}"));
        assert!(groups.is_some_and(|groups| groups > 0.0), "{}: {groups:?}", member.name);
    }

    for member in gateways {
        member.stop();
    }
    // A gateway goes on at the offset that its checkpoint names, and reads nothing before it.
    let again = fleet.start(Kind::Gateway, "gateway-a");
    let figure = |name: &str| again.metric(&format!("slotline_view_{name}")).unwrap();
    let (loaded, read) = (figure("loaded_sequence"), figure("groups_total"));
    let since = figure("sequence") - loaded;
    println!("{read} groups for {since} commands behind {loaded}");
    assert!(loaded >= people.len() as f64 && read <= since, "{read} {since} {loaded}");
    let (status, mine) = people[0].session(&again.public).get("/v1/bookings/mine?period=2");
    assert_eq!((status, &mine["booking"]["slot"]), (200, &0.into()), "{mine}");
    again.stop();
    notifier.stop();
    engine.stop();
    let again = fleet.start(Kind::Engine, "engine");
    again.wait_for_remark("engine", "active");
    again.stop();
}

/// The first messages of a topic, as Kafka's own console consumer reads them.
fn published(topic: &str, count: usize) -> Vec<Value> {
    let count = count.to_string();
    let words =
        ["--topic", topic, "--from-beginning", "--max-messages", &count, "--timeout-ms", "100000"];
    let output = broker::shared(1).tool("console-consumer", &words).unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_crowd_spread_over_two_gateways_is_told_the_truth_by_both() {
    let mut random = seed();
    let folder = Folder::new("separate-crowd");
    let fleet = Fleet::new(&folder.0, broker::shared(1), "crowd.");
    let (engine, notifier, gateways) = fleet.start_all(&["gateway-a", "gateway-b"]);
    let publics: Vec<String> = gateways.iter().map(|member| member.public.clone()).collect();
    let size = CrowdSize { people: 600, rate: 200 };
    let stage = gateways[0].stage(&fleet, &publics);
    Crowd::on(stage, &folder.0, size, next(&mut random) >> 1).assert_audit_passes();
    for gateway in gateways {
        gateway.stop();
    }
    notifier.stop();
    engine.stop();
    let (status, found) = fleet.replay();
    assert!(status.success(), "{found}");
}
