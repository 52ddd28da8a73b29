//! Brokers that are away for a while: a short outage harms nobody, after a long one processes end
//! themselves as soon as a broker answers, so that the service manager starts them anew.

use std::time::Duration;

use broker::{Cluster, ClusterOptions};

use crate::support::fleet::{Fleet, Kind, Member};
use crate::support::world::{Person, Session, furnish};
use crate::support::{Folder, PATIENCE, call, wait_until};

/// How long a group may be on its way in these tests, its retries included.
const DELIVERY_TIMEOUT_MS: u64 = 15_000;
/// Much less than that: a broker on a slow machine takes a while to wake.
const SHORT: Duration = Duration::from_secs(2);

#[test]
fn a_short_outage_passes_and_a_long_one_ends_in_a_new_start() {
    let folder = Folder::new("separate-outage");
    let cluster = Cluster::start(ClusterOptions::default()).unwrap();
    let mut fleet = Fleet::new(&folder.0, &cluster, "outage.");
    fleet.set("KAFKA__DELIVERY_TIMEOUT_MS", &DELIVERY_TIMEOUT_MS.to_string());
    // So that what is refused is refused soon; until the end of the outage.
    fleet.set("GATEWAY__REQUEST__VIEW_WAIT_MS_MAX", "500");
    let (mut engine, mut notifier, mut gateways) = fleet.start_all(&["gateway"]);
    engine.wait_for_remark("engine", "active");
    let people: Vec<Person> = (1..=3).map(Person::numbered).collect();
    furnish(&gateways[0].operator, &fleet.token, &people);
    let sessions: Vec<Session> =
        people.iter().map(|person| person.session(&gateways[0].public)).collect();
    for session in &sessions {
        assert_eq!(session.register().0, 201);
    }

    // Short: a write under way waits, and is answered when the broker is back.
    cluster.pause_node(1).unwrap();
    let waiting = std::thread::spawn({
        let session = sessions[0].clone();
        move || session.book(0, "short")
    });
    std::thread::sleep(SHORT);
    cluster.resume_node(1).unwrap();
    let (status, booked) = waiting.join().unwrap();
    assert_eq!(status, 201, "{booked}");
    for member in [&mut engine, &mut notifier, &mut gateways[0]] {
        assert!(member.is_running(), "{}: {}", member.name, member.log());
    }

    // Long: the write's fate is unknown, further ones are refused, reads for everyone go on.
    cluster.pause_node(1).unwrap();
    let (status, unknown) = sessions[1].book(1, "long");
    assert_eq!((status, &unknown["type"]), (503, &"/problems/outcome-unknown".into()), "{unknown}");
    let (status, refused) = sessions[2].send_booking(1, "later");
    assert_eq!((status, &refused["type"]), (503, &"/problems/not-writable".into()), "{refused}");
    assert_eq!(call("GET", &format!("{}/v1/periods/2", gateways[0].public), "", &[]).0, 200);
    let (status, late) = sessions[0].get("/v1/bookings/mine?period=2");
    assert_eq!((status, &late["type"]), (503, &"/problems/catching-up".into()), "{late}");
    let (status, ready) = gateways[0].readiness();
    assert_eq!(status, 503, "{ready}");
    assert!(gateways[0].remark("journal").contains("commands"), "{ready}");
    assert!(gateways[0].is_running(), "it waits for a broker");
    // The engine's pulses are lost on the way as well; the notifier had nothing to send.
    wait_until("the engine's pulses are lost", || engine.remark("journal").contains("commands"));
    cluster.resume_node(1).unwrap();
    assert_ends_to_be_started_anew(gateways.remove(0));
    assert_ends_to_be_started_anew(engine);
    fleet.environment.pop();
    let engine = fleet.start(Kind::Engine, "engine");
    let gateway = fleet.start(Kind::Gateway, "gateway");
    engine.wait_for_remark("engine", "active");
    let (status, booked) = sessions[1].at(&gateway.public).book(1, "long");
    assert_eq!(status, 201, "the same key meets the one outcome: {booked}");
    let (status, mine) = sessions[0].at(&gateway.public).get("/v1/bookings/mine?period=2");
    assert_eq!((status, &mine["booking"]["slot"]), (200, &0.into()), "{mine}");
    gateway.stop();
    engine.stop();
    drop(notifier);
}

fn assert_ends_to_be_started_anew(member: Member) {
    let (name, log) = (member.name.clone(), fleet_log(&member));
    assert_eq!(member.end(PATIENCE), Some(1), "{name}");
    let mut said = String::new();
    wait_until("the log is written", || {
        said = std::fs::read_to_string(&log).unwrap_or_default();
        said.contains("started anew")
    });
    assert!(said.contains("takes no more writes"), "{name}: {said}");
}

fn fleet_log(member: &Member) -> std::path::PathBuf {
    member.log_path().to_owned()
}
