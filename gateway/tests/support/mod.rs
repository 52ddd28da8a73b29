//! A whole house for tests: journal in memory, real engine, real gateway on free ports, and a client
//! that speaks plain bytes.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod campaign;
pub mod client;
pub mod matrix;
pub mod shared;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::{Engine, EngineConfig};
use gateway::{
    Attachments, GatewayConfig, GatewayHandle, GroupsBefore, Readiness, ReadyCheck, ServeError,
    serve,
};
use journal::memory::MemoryConfig;
use journal::{Health, Journal, MemoryJournal};
use tempfile::TempDir;
use vault::{Role, Secrets, Vault};

// Each test file uses its own part of these.
#[allow(unused_imports)]
pub use campaign::{COUNTY, DISTRICT, Person, date, document, instant, intent, roster};
use client::Client;
#[allow(unused_imports)]
pub use client::slug;

/// How long a condition may take to come true before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct House {
    pub journal: Arc<dyn Journal>,
    pub vault: Arc<Vault>,
    pub gateway: Option<GatewayHandle>,
    pub public: SocketAddr,
    pub operator: SocketAddr,
    pub config: GatewayConfig,
    engine: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
    /// Other gateways write the same journal.
    shares: Option<GroupsBefore>,
    folder: TempDir,
}

impl House {
    /// A house with nothing in it.
    pub fn empty(adjust: impl FnOnce(&mut GatewayConfig)) -> House {
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new(MemoryConfig::default()));
        House::over(journal, adjust)
    }

    /// A house over a journal.
    pub fn over(journal: Arc<dyn Journal>, adjust: impl FnOnce(&mut GatewayConfig)) -> House {
        let mut house = House::built(journal, adjust);
        house.start_engine();
        house.start_gateway();
        house
    }

    /// A house over a journal that other houses write, too. It has an engine or relies on another's.
    pub fn sharing(
        journal: Arc<dyn Journal>,
        groups_before: GroupsBefore,
        with_engine: bool,
        adjust: impl FnOnce(&mut GatewayConfig),
    ) -> House {
        let mut house = House::unstarted(journal, groups_before, adjust);
        if with_engine {
            house.start_engine();
        }
        house.start_gateway();
        house
    }

    /// A house over such a journal in which nothing runs yet.
    pub fn unstarted(
        journal: Arc<dyn Journal>,
        groups_before: GroupsBefore,
        adjust: impl FnOnce(&mut GatewayConfig),
    ) -> House {
        let mut house = House::built(journal, adjust);
        house.shares = Some(groups_before);
        house
    }

    fn built(journal: Arc<dyn Journal>, adjust: impl FnOnce(&mut GatewayConfig)) -> House {
        let folder = tempfile::tempdir().unwrap();
        let mut config = GatewayConfig {
            public_address: "127.0.0.1:0".parse().unwrap(),
            operator_address: "127.0.0.1:0".parse().unwrap(),
            data_dir: folder.path().join("gateway"),
            cores: 2,
            ..GatewayConfig::default()
        };
        config.request.view_wait_ms_max = 30_000;
        config.limits.person_commands_per_minute_max = 0;
        adjust(&mut config);
        House {
            journal,
            vault: Arc::new(Vault::new(Secrets::sample())),
            gateway: None,
            public: config.public_address,
            operator: config.operator_address,
            config,
            engine: None,
            shares: None,
            folder,
        }
    }

    /// A house with category 9, an open period 2, one site, and people 1 to `people` in the roster.
    /// `slots` gives the capacity of each slot of the day after tomorrow, numbered from 0.
    pub fn furnished(people: u32, slots: &[u32]) -> House {
        House::furnished_with(people, slots, |_| {})
    }

    pub fn furnished_with(
        people: u32,
        slots: &[u32],
        adjust: impl FnOnce(&mut GatewayConfig),
    ) -> House {
        House::empty(adjust).furnish(people, slots)
    }

    /// Puts in what `furnished` describes.
    pub fn furnish(self, people: u32, slots: &[u32]) -> House {
        campaign::furnish(&mut self.operator(), people, slots);
        self
    }

    pub fn start_engine(&mut self) {
        let stop = Arc::new(AtomicBool::new(false));
        let config = EngineConfig::new(self.folder.path().join("engine"), rand_id());
        let engine = Engine::open(config, Arc::clone(&self.journal)).unwrap();
        let told = Arc::clone(&stop);
        // An engine whose journal failed stops with an error; the tests of faults want just that.
        let thread = std::thread::spawn(move || drop(engine.run(told)));
        self.engine = Some((stop, thread));
    }

    pub fn stop_engine(&mut self) {
        if let Some((stop, thread)) = self.engine.take() {
            stop.store(true, Ordering::Release);
            thread.join().unwrap();
        }
    }

    pub fn start_gateway(&mut self) {
        self.try_start_gateway().unwrap();
    }

    /// The same where the journal may fail meanwhile, which a process takes as a reason to start again.
    pub fn try_start_gateway(&mut self) -> Result<(), ServeError> {
        let gateway = serve(
            self.config.clone(),
            Arc::clone(&self.journal),
            Arc::clone(&self.vault),
            Attachments {
                readiness: vec![journal_check(&self.journal)],
                groups_before: self.shares.clone(),
                ..Attachments::default()
            },
        )?;
        self.public = gateway.public;
        self.operator = gateway.operator;
        self.gateway = Some(gateway);
        if self.engine.is_some() {
            self.wait_until_ready();
        }
        Ok(())
    }

    pub fn stop_gateway(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.join();
        }
    }

    pub fn wait_until_ready(&self) {
        let mut client = Client::to(self.operator);
        until("the gateway is ready", || client.get("/readyz").status == 200);
    }

    pub fn client(&self) -> Client {
        Client::to(self.public)
    }

    /// A client with an operator's token.
    pub fn operator(&self) -> Client {
        let token =
            self.vault.mint_operator_token("test", &[Role::Admin], u64::from(u32::MAX)).unwrap();
        Client::to(self.operator).with_token(&token)
    }

    pub fn put_category(&self) {
        campaign::put_category(&mut self.operator());
    }

    /// A period for everyone whose window opens and closes so many seconds from now.
    pub fn put_period(&self, number: u16, opens_in_s: i64, closes_in_s: i64) {
        campaign::put_period(&mut self.operator(), number, opens_in_s, closes_in_s);
    }

    pub fn import(&self, path: &str, csv: &str) {
        campaign::import(&mut self.operator(), path, csv);
    }

    /// A client of a person who proved who they are.
    pub fn logged_in(&self, person: &Person) -> Client {
        campaign::logged_in(self.public, person)
    }

    /// A client of a person who holds an intent.
    pub fn registered(&self, serial: u32) -> Client {
        campaign::registered(self.public, serial)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop_gateway();
        self.stop_engine();
    }
}

/// The check that a process with a journal attaches.
fn journal_check(journal: &Arc<dyn Journal>) -> ReadyCheck {
    let journal = Arc::clone(journal);
    let check = move || match journal.health() {
        Health::Writable => Readiness::ready(),
        Health::Failed(why) | Health::Waiting(why) => Readiness::because(why),
        Health::Closed => Readiness::because("closed"),
    };
    ReadyCheck { name: "journal", check: Arc::new(check) }
}

/// Waits until a condition holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn rand_id() -> [u8; 16] {
    rand::random()
}
