//! Imports of several gateways at the same time: their records come in any order, and no two ever mix.

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::*;

/// What an import's rows say: all of them carry its own birth date.
struct Import {
    plan: Plan,
    born_on: i32,
    records: std::collections::VecDeque<Sent>,
}

#[derive(Clone, Copy, Debug)]
enum Sent {
    Begin,
    Chunk(usize),
    Commit,
}

/// A hundred people, all of them in every import.
fn lines(born_on: i32) -> Vec<RosterLine> {
    let numbered = |serial: u32| {
        let digits: Vec<u32> =
            format!("1{serial:07}").bytes().map(|byte| u32::from(byte - b'0')).collect();
        let sum: u32 = digits.iter().zip((1..=8).rev()).map(|(digit, weight)| digit * weight).sum();
        let check = (10 - (sum + 1) % 10) % 10;
        line(&format!("A1{serial:07}{check}"), None, &format!("{serial:012}"), born_on)
    };
    (1..=100).map(numbered).collect()
}

/// Cuts a plan into many chunks, so that there is much to interleave.
fn in_small_chunks(plan: Plan) -> Plan {
    let rows: Vec<_> = plan.chunks.iter().flat_map(|chunk| record::rows(chunk)).flatten().collect();
    let chunks = rows.chunks(20).map(|rows| {
        let mut chunk = Vec::new();
        rows.iter().for_each(|row| row.encode(&mut chunk));
        chunk
    });
    Plan { chunks: chunks.collect(), ..plan }
}

#[test]
fn whatever_the_order_of_their_records_imports_hold_whole_or_not_at_all() {
    let seed = std::env::var("SLOTLINE_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or(4_711);
    println!("seed {seed} (repeat with SLOTLINE_SEED={seed})");
    let mut dice = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let desk = Desk::open();
    let mut taken = 0;
    for round in 0..40 {
        // Several gateways plan on the same version, and write at their own pace.
        let mut imports: Vec<Import> = (0..dice.random_range(2..=3))
            .map(|number| {
                let born_on = round * 10 + number + 1;
                let plan = in_small_chunks(desk.plan(&lines(born_on)).unwrap());
                let chunks = (0..plan.chunks.len()).map(Sent::Chunk);
                let records = [Sent::Begin].into_iter().chain(chunks).chain([Sent::Commit]);
                Import { records: records.collect(), plan, born_on }
            })
            .collect();
        let before = desk.view.version();
        // What must come of it, told naively: the rows gathered since an import's begin.
        let mut under_way: Option<(usize, usize)> = None;
        let mut holds: Option<i32> = None;
        loop {
            let left: Vec<usize> =
                (0..imports.len()).filter(|place| !imports[*place].records.is_empty()).collect();
            let Some(place) = left.choose(&mut dice).copied() else { break };
            let sent = imports[place].records.pop_front().unwrap();
            let (import, plan) = (u64::try_from(place).unwrap() + 1, &imports[place].plan);
            match sent {
                Sent::Begin => {
                    desk.append(&Record::Begin { import, base_version: plan.base_version });
                    under_way = Some((place, 0));
                }
                Sent::Chunk(number) => {
                    desk.append(&Record::Chunk { import, rows: &plan.chunks[number] });
                    if let Some((_, chunks)) = under_way.as_mut().filter(|(own, _)| *own == place) {
                        *chunks += 1;
                    }
                }
                Sent::Commit => {
                    desk.commit(import, plan);
                    let whole = under_way == Some((place, plan.chunks.len()));
                    if whole && holds.is_none() {
                        holds = Some(imports[place].born_on);
                    }
                    if under_way.is_some_and(|(own, _)| own == place) {
                        under_way = None;
                    }
                }
            }
        }
        // The last to begin is whole, unless one that was whole came before it.
        let born_on = holds.expect("one of them holds");
        assert_eq!(desk.view.version(), before + 1, "round {round}");
        for person in lines(0) {
            assert_eq!(desk.born_on(person.id.as_str()), Some(born_on), "round {round}");
        }
        taken += 1;
    }
    assert_eq!((taken, desk.view.import_under_way()), (40, None));
    assert!(desk.view.refused_imports() > 0);
}
