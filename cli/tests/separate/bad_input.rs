//! The bad-input matrix, put to gateways that are processes of their own, over a real broker.

use std::net::SocketAddr;

use crate::support::campaign::{self, Person, document};
use crate::support::client::Client;
use crate::support::fleet::{Fleet, Kind, Member};
use crate::support::matrix::{CAPACITIES, Door, PEOPLE, ROWS};
use crate::support::{Folder, wait_until};

fn address(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

/// The token of a person at a gateway whose tokens hold for no time at all.
fn expired_token(gateway: &Member) -> String {
    let person = document(&Person::numbered(PEOPLE));
    let welcome = Client::to(address(&gateway.public)).post("/v1/identity", &person);
    assert_eq!(welcome.status, 201, "{welcome:?}");
    welcome.json["token"].as_str().unwrap().to_owned()
}

#[test]
fn separate_gateways_answer_every_row_of_the_matrix_as_the_contract_says() {
    let folder = Folder::new("separate-bad-input");
    let mut fleet = Fleet::new(&folder.0, broker::shared(1), "bad-input.");
    fleet.set("GATEWAY__LIMITS__PERSON_COMMANDS_PER_MINUTE_MAX", "0");
    let (engine, notifier, gateways) = fleet.start_all(&["gateway-a"]);
    let [here] = &gateways[..] else { panic!("one gateway") };
    let mut operator = Client::to(address(&here.operator)).with_token(&fleet.token);
    campaign::furnish(&mut operator, PEOPLE, &CAPACITIES);

    fleet.set("GATEWAY__IDENTITY__TOKEN_LIFETIME_S", "0");
    let there = fleet.start(Kind::Gateway, "gateway-b");
    let door = Door {
        public: address(&here.public),
        operator: address(&here.operator),
        operator_token: fleet.token.clone(),
        expired_token: expired_token(&there),
    };
    let mut client = door.client();
    wait_until("the period is shown", || client.get("/v1/periods/2").status == 200);
    for (what, put) in ROWS {
        println!("{what}");
        put(&door);
    }
    // What was refused at one gateway is nowhere else, either.
    let (status, found) = fleet.replay();
    assert!(status.success(), "{found}");
    for member in [engine, notifier, there] {
        member.stop();
    }
}
