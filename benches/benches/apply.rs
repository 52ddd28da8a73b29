//! Registrations and first bookings by one core, by the number of people: flat is good.

use benches::apply::World;
use benches::nation::{Nation, now};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Few enough for the nearest cache, and too many for any.
const PEOPLE: [u32; 3] = [1_000, 30_000, 1_000_000];
const SLOTS: u32 = 20_000;

fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    group.sample_size(10);
    for people in PEOPLE {
        let nation = Nation::roomy(people, SLOTS);
        group.throughput(Throughput::Elements(people.into()));
        group.bench_function(BenchmarkId::new("register", people), |bencher| {
            let empty = || World::new(nation, now());
            bencher.iter_batched_ref(empty, World::register_all, BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("book", people), |bencher| {
            let registered = || {
                let mut world = World::new(nation, now());
                world.register_all();
                world
            };
            bencher.iter_batched_ref(registered, World::book_all, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, apply);
criterion_main!(benches);
