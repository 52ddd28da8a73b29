//! One durable group, by its size: a synced write costs the same for one command and for thousands.

use benches::nation::{booking, encode, open_journal};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use domain::SlotNumber;
use journal::{Journal, Stream};

const GROUP_COMMANDS: [usize; 4] = [1, 16, 160, 2_048];

fn append(criterion: &mut Criterion) {
    // On the disk of the build, not in a file system that is only memory.
    let Ok(folder) = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")) else { return };
    let Ok(journal) = open_journal(folder.path()) else { return };
    let mut record = Vec::new();
    encode(booking(7, SlotNumber(7)), &mut record);
    let mut group = criterion.benchmark_group("journal");
    group.sample_size(20);
    for commands in GROUP_COMMANDS {
        let records = vec![&record[..]; commands];
        group.throughput(Throughput::Elements(commands as u64));
        group.bench_function(BenchmarkId::new("append_durable", commands), |bencher| {
            bencher.iter(|| journal.append(Stream::Commands, &records));
        });
    }
    group.finish();
    journal.close();
}

criterion_group!(benches, append);
criterion_main!(benches);
