//! Bookings to bytes and back, and the events of one group of them.

use std::hint::black_box;

use benches::nation::{Nation, booking, encode, now};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::codec::{EventGroup, EventGroupWriter, decode_command};
use domain::{
    BookingNumber, Event, Fingerprint, KeyHash, Origin, PeriodNumber, PersonNumber, Sequence,
};

/// Commands of a group at saturation.
const GROUP_COMMANDS: u32 = 160;

fn codec(criterion: &mut Criterion) {
    let nation = Nation::roomy(GROUP_COMMANDS, 1_000);
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(1));
    let mut record = Vec::new();
    group.bench_function("encode_booking", |bencher| {
        bencher.iter(|| {
            record.clear();
            encode(black_box(booking(7, nation.slot(7))), &mut record);
        });
    });
    group.bench_function("decode_booking", |bencher| {
        bencher.iter(|| decode_command(black_box(&record)));
    });

    group.throughput(Throughput::Elements(GROUP_COMMANDS.into()));
    let events: Vec<Event> = (0..GROUP_COMMANDS).map(|person| confirmed(nation, person)).collect();
    let mut packed = Vec::new();
    let mut writer = EventGroupWriter::new(Sequence(1), now());
    group.bench_function("write_events", |bencher| {
        bencher.iter(|| {
            writer.restart(Sequence(1), now());
            for event in &events {
                writer.command(Origin(1), std::slice::from_ref(event));
            }
            packed.clear();
            writer.finish([0; 32], &mut packed);
        });
    });
    group.bench_function("read_events", |bencher| {
        bencher.iter(|| {
            let group = EventGroup::decode(black_box(&packed)).ok()?;
            group.commands().filter_map(Result::ok).map(|command| command.sequence).last()
        });
    });
    group.finish();
}

fn confirmed(nation: Nation, person: u32) -> Event {
    Event::Confirmed {
        person: PersonNumber(person),
        period: PeriodNumber(2),
        key: KeyHash(u64::from(person)),
        fingerprint: Fingerprint(1),
        booking: BookingNumber(person),
        slot: nation.slot(person),
    }
}

criterion_group!(benches, codec);
criterion_main!(benches);
