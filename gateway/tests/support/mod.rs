//! A whole house for tests: journal in memory, real engine, real gateway on free ports, and a client
//! that speaks plain bytes.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod client;
pub mod faraway;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::{Engine, EngineConfig};
use gateway::{
    Attachments, GatewayConfig, GatewayHandle, GroupsBefore, Readiness, ReadyCheck, serve,
};
use journal::memory::MemoryConfig;
use journal::{Health, Journal, MemoryJournal};
use serde_json::{Value, json};
use tempfile::TempDir;
use vault::{Role, Secrets, Vault};

use client::{Answer, Client};

/// How long a condition may take to come true before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The county and district of the sample site and people: 臺北市 萬華區.
pub const COUNTY: &str = "63000";
pub const DISTRICT: &str = "63000070";

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

/// A person of the roster.
#[derive(Clone, Debug)]
pub struct Person {
    pub id_number: String,
    pub card_number: String,
}

impl Person {
    /// The person of this serial number, with a right check digit.
    pub fn numbered(serial: u32) -> Person {
        // The letter A counts as 10: 1 × 1 + 0 × 9.
        let digits: Vec<u32> =
            format!("1{serial:07}").bytes().map(|byte| u32::from(byte - b'0')).collect();
        let sum: u32 =
            1 + digits.iter().zip((1..=8).rev()).map(|(digit, weight)| digit * weight).sum::<u32>();
        let check = (10 - sum % 10) % 10;
        Person { id_number: format!("A1{serial:07}{check}"), card_number: format!("{serial:012}") }
    }
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
        let mut house = House::built(journal, adjust);
        house.shares = Some(groups_before);
        if with_engine {
            house.start_engine();
        }
        house.start_gateway();
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
        let house = self;
        house.put_category();
        house.put_period(2, -3_600, 86_400);
        if people > 0 {
            house.import("/v1/roster:import", &roster(1..=people));
        }
        house.import(
            "/v1/sites:import",
            &format!("id,name_zh,name_en,county,district,address,kind\nS1,測試醫院,Test Hospital,{COUNTY},{DISTRICT},測試路1號,hospital\n"),
        );
        let date = date(2);
        let rows = slots.iter().enumerate().map(|(place, capacity)| {
            format!("S1,{date},{:02}:00,{:02}:00,AZ,{capacity}\n", 8 + place, 9 + place)
        });
        let rows: String = rows.collect();
        if !slots.is_empty() {
            house.import(
                "/v1/slots:import",
                &format!("site,date,start,end,vaccine,capacity\n{rows}"),
            );
        }
        house
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
        let gateway = serve(
            self.config.clone(),
            Arc::clone(&self.journal),
            Arc::clone(&self.vault),
            Attachments {
                readiness: vec![journal_check(&self.journal)],
                groups_before: self.shares.clone(),
                ..Attachments::default()
            },
        )
        .unwrap();
        self.public = gateway.public;
        self.operator = gateway.operator;
        self.gateway = Some(gateway);
        if self.engine.is_some() {
            self.wait_until_ready();
        }
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
        let body = json!({
            "names": { "zh-TW": "第9類", "en": "Category 9" },
            "born_on_or_before": "2003-12-31",
            "members": true,
            "opens_at": instant(-86_400),
            "closes_at": null,
            "vaccines": ["AZ", "Moderna"],
        });
        let answer = self.operator().put("/v1/categories/9", &body);
        assert!(answer.status < 300, "{answer:?}");
    }

    /// A period for everyone whose window opens and closes so many seconds from now.
    pub fn put_period(&self, number: u16, opens_in_s: i64, closes_in_s: i64) {
        let body = json!({
            "names": { "zh-TW": format!("第{number}期"), "en": format!("Period {number}") },
            "vaccines": ["AZ"],
            "registered_before": null,
            "counties": null,
            "categories": null,
            "born_on_or_before": null,
            "opens_at": instant(opens_in_s),
            "closes_at": instant(closes_in_s),
            "openings": [],
            "identity_methods": ["document"],
        });
        let answer = self.operator().put(&format!("/v1/periods/{number}"), &body);
        assert!(answer.status < 300, "{answer:?}");
    }

    pub fn import(&self, path: &str, csv: &str) {
        let mut operator = self.operator();
        let answer = operator.send("POST", path, &[("content-type", "text/csv")], csv.as_bytes());
        assert!(answer.status < 300, "{answer:?}");
    }

    /// A client of a person who proved who they are.
    pub fn logged_in(&self, person: &Person) -> Client {
        let answer = self.client().post("/v1/identity", &document(person));
        assert_eq!(answer.status, 201, "{answer:?}");
        let token = answer.json["token"].as_str().unwrap();
        Client::to(self.public).with_token(token)
    }

    /// A client of a person who holds an intent.
    pub fn registered(&self, serial: u32) -> Client {
        let person = Person::numbered(serial);
        let mut client = self.logged_in(&person);
        let answer = client.waited("POST", "/v1/intents", "register", &intent());
        assert_eq!(answer.status, 201, "{answer:?}");
        client
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
        Health::Failed(why) => Readiness::because(why),
        Health::Closed => Readiness::because("closed"),
    };
    ReadyCheck { name: "journal", check: Arc::new(check) }
}

/// The body of an identity check.
pub fn document(person: &Person) -> Value {
    json!({ "method": "document", "id_number": person.id_number, "card_number": person.card_number })
}

/// The body of a registration.
pub fn intent() -> Value {
    json!({
        "name": "王小明",
        "phone": "0912345678",
        "county": COUNTY,
        "district": DISTRICT,
        "vaccines": ["AZ", "Moderna"],
        "language": "zh-TW",
    })
}

/// The roster's CSV of these people, all born in 1980.
pub fn roster(serials: impl Iterator<Item = u32>) -> String {
    let header =
        "id_number,former_id_number,card_number,entry_permit_number,passport_number,birth_date\n";
    let rows = serials.map(|serial| {
        let person = Person::numbered(serial);
        format!("{},,{},,,1980-05-20\n", person.id_number, person.card_number)
    });
    header.to_owned() + &rows.collect::<String>()
}

/// An instant so many seconds from now, in UTC.
pub fn instant(in_s: i64) -> String {
    let now = jiff::Timestamp::now().as_second() + in_s;
    jiff::Timestamp::from_second(now).unwrap().to_string()
}

/// The date in Taiwan so many days from now.
pub fn date(in_days: i64) -> String {
    let at = jiff::Timestamp::now().as_second() + 8 * 3_600 + in_days * 86_400;
    jiff::Timestamp::from_second(at).unwrap().to_string()[..10].to_owned()
}

/// Waits until a condition holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The problem's slug.
pub fn slug(answer: &Answer) -> &str {
    let kind = answer.json["type"].as_str().unwrap_or_default();
    kind.strip_prefix("/problems/").unwrap_or_default()
}

fn rand_id() -> [u8; 16] {
    rand::random()
}
