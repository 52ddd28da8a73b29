//! The bad-input matrix, put to a gateway in this process. Separate processes over a real broker answer the
//! same rows in the command's tests.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::matrix::{CAPACITIES, Door, PEOPLE, ROWS};
use support::{House, Person, document, until};

#[test]
fn every_row_of_the_matrix_is_answered_as_the_contract_says() {
    let mut house = House::furnished_with(PEOPLE, &CAPACITIES, |config| {
        config.identity.token_lifetime_s = 0;
    });
    let expired = house.client().post("/v1/identity", &document(&Person::numbered(PEOPLE)));
    let lifetime_s = gateway::GatewayConfig::default().identity.token_lifetime_s;
    house.stop_gateway();
    house.config.identity.token_lifetime_s = lifetime_s;
    house.start_gateway();
    let operator_token = house
        .vault
        .mint_operator_token("test", &[vault::Role::Admin], u64::from(u32::MAX))
        .unwrap();
    let door = Door {
        public: house.public,
        operator: house.operator,
        operator_token,
        expired_token: expired.json["token"].as_str().unwrap().to_owned(),
    };
    let mut client = door.client();
    until("the period is shown", || client.get("/v1/periods/2").status == 200);
    for (what, put) in ROWS {
        println!("{what}");
        put(&door);
    }
}
