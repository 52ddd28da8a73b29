//! The listeners' start: what another process holds is not shared with it, and what cannot listen fails.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;

use gateway::{Attachments, GatewayConfig, LimitConfig, ServeError, monitor, serve};
use journal::embedded::{EmbeddedConfig, EmbeddedJournal};
use journal::memory::MemoryConfig;
use journal::{Journal, MemoryJournal};
use support::House;
use vault::{Secrets, Vault};

fn second(
    journal: Arc<dyn Journal>,
    folder: &tempfile::TempDir,
    adjust: impl FnOnce(&mut GatewayConfig),
) -> Result<(), ServeError> {
    let mut config = GatewayConfig {
        public_address: "127.0.0.1:0".parse().unwrap(),
        operator_address: "127.0.0.1:0".parse().unwrap(),
        data_dir: folder.path().join("gateway"),
        cores: 2,
        ..GatewayConfig::default()
    };
    adjust(&mut config);
    let vault = Arc::new(Vault::new(Secrets::sample()));
    serve(config, journal, vault, Attachments::default()).map(drop)
}

#[test]
fn a_port_that_another_listens_on_is_not_shared_with_it() {
    let house = House::empty(|_| {});
    let folder = tempfile::tempdir().unwrap();
    let (public, operator) = (house.public, house.operator);
    let memory = || Arc::new(MemoryJournal::new(MemoryConfig::default()));
    let taken = second(memory(), &folder, |config| config.public_address = public);
    assert!(matches!(&taken, Err(ServeError::Address { address, .. }) if *address == public));
    assert!(taken.unwrap_err().to_string().contains("Is another process using it?"));
    let taken = second(memory(), &folder, |config| config.operator_address = operator);
    assert!(matches!(taken, Err(ServeError::Address { address, .. }) if address == operator));
    let taken = second(memory(), &folder, |config| config.public_address.set_port(operator.port()));
    assert!(matches!(taken, Err(ServeError::Address { .. })), "one listener's port for the other");
    let watched = monitor(operator, &LimitConfig::default(), None, Attachments::default());
    assert!(matches!(watched, Err(ServeError::Address { .. })));
}

#[test]
fn a_start_right_after_an_end_has_the_port_again() {
    let mut house = House::empty(|_| {});
    // The server closes first, so that its side of the connection waits for the client's last word.
    let mut client = house.client();
    assert_eq!(client.get("/v1/home").status, 200);
    (house.config.public_address, house.config.operator_address) = (house.public, house.operator);
    house.stop_gateway();
    house.start_gateway();
    assert_eq!(house.client().get("/v1/home").status, 200);
}

#[test]
fn a_listener_that_cannot_work_fails_the_start() {
    let folder = tempfile::tempdir().unwrap();
    // The second thread of the public listener gets no lane.
    let config = EmbeddedConfig { lanes_max: 1, ..EmbeddedConfig::default() };
    let journal = EmbeddedJournal::open(&folder.path().join("journal"), config).unwrap();
    let started = second(Arc::new(journal), &folder, |_| {});
    assert!(matches!(started, Err(ServeError::Core(_))), "{started:?}");
}
