//! What places cost when they are scarce: a move from slot to slot, and a request for a full one.

use benches::apply::World;
use benches::nation::{Nation, PERIOD, now, retry};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use domain::{Command, Envelope, Origin, PersonNumber, PersonRef};

const PEOPLE: u32 = 10_000;
const SLOTS: u32 = 1_000;

fn inventory(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inventory");
    group.throughput(Throughput::Elements(PEOPLE.into()));
    group.bench_function("move", |bencher| {
        let nation = Nation::roomy(PEOPLE, SLOTS);
        let moves: Vec<Envelope> = (0..PEOPLE).map(|person| moving(nation, person)).collect();
        let booked = || {
            let mut world = registered(nation);
            world.book_all();
            world
        };
        bencher.iter_batched_ref(booked, |world| world.take(&moves), BatchSize::PerIteration);
    });
    group.bench_function("refuse_full", |bencher| {
        // One place for ten people: nine of ten requests meet a full slot.
        let nation = Nation { people: PEOPLE, slots: SLOTS, capacity: 1 };
        bencher.iter_batched_ref(|| registered(nation), World::book_all, BatchSize::PerIteration);
    });
    group.finish();
}

fn registered(nation: Nation) -> World {
    let mut world = World::new(nation, now());
    world.register_all();
    world
}

fn moving(nation: Nation, person: u32) -> Envelope {
    let command = Command::Move {
        person: PersonRef::Number(PersonNumber(person)),
        period: PERIOD,
        slot: nation.slot(PEOPLE + person),
        retry: retry(person, 3),
    };
    Envelope { origin: Origin::default(), command }
}

criterion_group!(benches, inventory);
criterion_main!(benches);
