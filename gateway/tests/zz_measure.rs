#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::time::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use domain::PersonKey;
use gateway::roster::{RosterView, Roster};
use gateway::roster::record::{Record, Row};
use journal::{Journal, Stream, memory::{MemoryJournal, MemoryConfig}};
use vault::{Vault, Secrets};
fn cpu() -> f64 { let t = std::fs::read_to_string("/proc/self/stat").unwrap(); let f: Vec<&str> = t.rsplit(')').next().unwrap().split_whitespace().collect(); (f[11].parse::<f64>().unwrap()+f[12].parse::<f64>().unwrap())/100.0 }
#[test]
fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new(MemoryConfig::default()));
    let vault = Arc::new(Vault::new(Secrets::sample()));
    let view = Arc::new(RosterView::open(folder.path(), Arc::clone(&journal), Arc::clone(&vault)).unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let (v, s) = (Arc::clone(&view), Arc::clone(&stop));
    let t = std::thread::spawn(move || v.run(&s));
    for round in 0..3_u32 {
        let since = Instant::now(); let c = cpu();
        let mut chunk = Vec::new(); let mut hasher = blake3::Hasher::new();
        let put = |r: Record<'_>| { let mut b = Vec::new(); r.encode(&mut b); journal.append(Stream::Roster, &[&b]).unwrap().next };
        put(Record::Begin { import: 1, base_version: view.version() });
        for n in 0..1_000_000_u32 {
            let h = |k: u8| { let mut x = [0u8; 16]; x.copy_from_slice(&blake3::hash(&[&[k][..], &n.to_le_bytes()].concat()).as_bytes()[..16]); x };
            let key = h(0);
            Row { person: PersonKey(key), id: h(1), former: None, card: Some(h(2)), entry_permit: None, passport: None, born_on: vault.seal_birth(&key, 100 + (round as i32) / 2) }.encode(&mut chunk);
            if chunk.len() > 60_000 || n == 999_999 { hasher.update(&chunk); put(Record::Chunk { import: 1, rows: &chunk }); chunk.clear(); }
        }
        println!("written {:?} cpu {:.1}", since.elapsed(), cpu() - c);
        let (since, c) = (Instant::now(), cpu());
        let end = put(Record::Commit { import: 1, rows: 1_000_000, hash: *hasher.finalize().as_bytes() });
        while view.progress().borrow().position < end { std::thread::sleep(std::time::Duration::from_millis(5)); }
        println!("round {round} committed {:?} cpu {:.1} version {}", since.elapsed(), cpu() - c, view.version());
        let since = Instant::now();
        println!("corrections {} in {:?}", view.corrections().count(), since.elapsed());
        for (what, k) in [("known", 1u8), ("unknown", 9)] {
            let since = Instant::now();
            for n in 0..100_000_u32 { let mut x = [0u8; 16]; let n = n * 7; x.copy_from_slice(&blake3::hash(&[&[k][..], &n.to_le_bytes()].concat()).as_bytes()[..16]); std::hint::black_box(view.credentials(&x).unwrap()); }
            println!("{what} {:.2} us", since.elapsed().as_secs_f64() * 10.0);
        }
    }
    stop.store(true, Ordering::Release); t.join().unwrap();
}
