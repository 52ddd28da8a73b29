//! Loads a checkpoint: one scan on a thread of its own, records into the state on the caller's.

use crossbeam::channel::{Receiver, Sender, bounded};
use domain::State;
use domain::changes::ChangeReader;
use rocksdb::{ReadOptions, WriteBatch};

use super::{BlockName, BlockUse, CheckpointMeta, Store, failed, keys};
use crate::EngineError;

/// Values between the scan and the state.
const VALUES_IN_FLIGHT: usize = 16;
/// How far RocksDB reads ahead of the scan.
const READAHEAD_BYTES: usize = 4 << 20;

/// What loading came to.
pub(crate) enum Loaded {
    /// The state as it was at the checkpoint.
    State(Box<State>),
    /// The checkpoint is not what was written.
    Damaged(String),
}

/// One value of a block.
struct Value {
    name: BlockName,
    sequence: u64,
    bytes: Vec<u8>,
}

impl Store {
    /// Loads the state at a checkpoint, and learns what each block occupies.
    pub(crate) fn load(&mut self, meta: &CheckpointMeta) -> Loaded {
        self.blocks.clear();
        self.base_bytes = 0;
        self.delta_bytes = 0;
        let (send, receive) = bounded(VALUES_IN_FLIGHT);
        let (give_back, emptied) = bounded(VALUES_IN_FLIGHT);
        let db = &self.db;
        let through = meta.sequence;
        let blocks = &mut self.blocks;
        let outcome = std::thread::scope(|scope| {
            let scan = scope.spawn(move || scan(db, through, &send, &emptied));
            let built = build(&receive, &give_back, blocks);
            // The scan ends when it has sent everything, or finds nobody listening.
            drop(receive);
            match scan.join() {
                Ok(scanned) => scanned.and(built),
                Err(_) => Err("the scan panicked".to_owned()),
            }
        });
        for block in self.blocks.values() {
            self.base_bytes += block.base_bytes;
            self.delta_bytes += block.deltas.iter().map(|(_, bytes)| bytes).sum::<u64>();
        }
        match outcome.and_then(|state| check(state, meta)) {
            Ok(state) => Loaded::State(state),
            Err(why) => Loaded::Damaged(why),
        }
    }

    /// Forgets everything that came after a checkpoint, so that new deltas continue from it.
    ///
    /// # Errors
    /// When RocksDB fails.
    pub(crate) fn forget_after(&mut self, sequence: u64) -> Result<(), EngineError> {
        let mut batch = WriteBatch::default();
        let mut entries = self.db.raw_iterator();
        entries.seek([keys::RECORD]);
        while let Some(key) = entries.key() {
            if keys::parse_record(key).is_some_and(|(_, of)| of > sequence) {
                batch.delete(key);
            }
            entries.next();
        }
        entries.status().map_err(|cause| failed("read", &self.path, cause))?;
        drop(entries);
        for meta in self.kept.iter().filter(|meta| meta.sequence > sequence) {
            batch.delete(keys::meta(meta.sequence));
        }
        self.write(batch)?;
        self.flush()?;
        self.kept.retain(|meta| meta.sequence <= sequence);
        for block in self.blocks.values_mut() {
            block.deltas.retain(|(of, _)| *of <= sequence);
        }
        Ok(())
    }
}

/// Sends every value of the checkpoint in order, in buffers that come back.
fn scan(
    db: &rocksdb::DB,
    through: u64,
    send: &Sender<Value>,
    emptied: &Receiver<Vec<u8>>,
) -> Result<(), String> {
    let mut reading = ReadOptions::default();
    reading.set_verify_checksums(true);
    reading.fill_cache(false);
    reading.set_readahead_size(READAHEAD_BYTES);
    let mut entries = db.raw_iterator_opt(reading);
    entries.seek([keys::RECORD]);
    while let Some((key, value)) = entries.item() {
        let (name, sequence) = keys::parse_record(key).ok_or("a key that nobody writes")?;
        if sequence <= through {
            let mut bytes = emptied.try_recv().unwrap_or_default();
            bytes.clear();
            bytes.extend_from_slice(value);
            let value = Value { name, sequence, bytes };
            if send.send(value).is_err() {
                return Ok(());
            }
        }
        entries.next();
    }
    entries.status().map_err(|cause| cause.to_string())
}

/// Puts every record into a new state.
fn build(
    values: &Receiver<Value>,
    give_back: &Sender<Vec<u8>>,
    blocks: &mut std::collections::BTreeMap<BlockName, BlockUse>,
) -> Result<Box<State>, String> {
    let mut state = Box::new(State::new());
    for value in values {
        let block = blocks.entry(value.name).or_default();
        match value.sequence {
            keys::BASE => block.base_bytes = value.bytes.len() as u64,
            sequence => block.deltas.push_back((sequence, value.bytes.len() as u64)),
        }
        for change in ChangeReader::new(&value.bytes) {
            let change = change.map_err(|why| why.to_string())?;
            state
                .load(change.section, change.index, change.bytes)
                .map_err(|why| why.to_string())?;
        }
        // A buffer that finds no room is simply freed.
        let _ = give_back.try_send(value.bytes);
    }
    state.finish_load().map_err(|why| why.to_string())?;
    Ok(state)
}

/// The state must say of itself what the description says.
fn check(state: Box<State>, meta: &CheckpointMeta) -> Result<Box<State>, String> {
    if state.sequence().0 != meta.sequence
        || state.epoch() != meta.epoch
        || state.rules_version() != meta.rules_version
    {
        return Err(format!(
            "records say sequence {}, epoch {}, rules {}; the description says {}, {}, {}",
            state.sequence().0,
            state.epoch(),
            state.rules_version(),
            meta.sequence,
            meta.epoch,
            meta.rules_version
        ));
    }
    Ok(state)
}
