//! The few values that are no array.

use super::packing::{Fields, Pack, Packer};
use crate::rules::RULES_VERSION_FIRST;
use crate::{Day, Millis, Sequence};

/// Layout of all records of a checkpoint. A change of any of them changes it.
pub(crate) const CHECKPOINT_FORMAT: u8 = 1;

/// Arrays whose lengths stand in a checkpoint.
pub(crate) const COUNTS: usize = 10;

/// Bytes of the globals in a checkpoint.
pub(crate) const GLOBALS_BYTES: usize = 1 + 8 + 8 + 8 + 17 + 4 + 4 + 5 + 4 + 4 * COUNTS;

/// How far the search for no-shows has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sweep {
    /// All no-shows up to this day were announced.
    pub(crate) swept: Day,
    /// The day of the pass under way.
    pub(crate) pass: Option<Day>,
    /// The next booking of the pass.
    pub(crate) cursor: u32,
}

/// Sequence, time, epoch, rules version, sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Globals {
    /// Commands applied.
    pub(crate) sequence: Sequence,
    /// Latest time seen; it starts in 1970.
    pub(crate) now: Millis,
    /// Highest epoch begun.
    pub(crate) epoch: u64,
    /// Whose it is.
    pub(crate) engine: Option<[u8; 16]>,
    /// Rules in force.
    pub(crate) rules_version: u32,
    /// Search for no-shows.
    pub(crate) sweep: Sweep,
}

impl Globals {
    /// Before the first command.
    pub(crate) fn new() -> Globals {
        Globals {
            sequence: Sequence(0),
            now: Millis(0),
            epoch: 0,
            engine: None,
            rules_version: RULES_VERSION_FIRST,
            sweep: Sweep { swept: Day(i32::MIN), pass: None, cursor: 0 },
        }
    }

    /// Reads what [`CountedGlobals`] packs.
    pub(crate) fn unpack(bytes: &[u8]) -> Option<(Globals, [u32; COUNTS])> {
        let mut fields = Fields::of(bytes);
        (fields.u8()? == CHECKPOINT_FORMAT).then_some(())?;
        let sequence = Sequence(fields.u64()?);
        let now = Millis(fields.i64()?);
        let epoch = fields.u64()?;
        let has_engine = fields.bool()?;
        let engine = fields.bytes()?;
        let globals = Globals {
            sequence,
            now,
            epoch,
            engine: has_engine.then_some(engine),
            rules_version: fields.u32()?,
            sweep: Sweep {
                swept: Day(fields.i32()?),
                pass: fields.optional_i32()?.map(Day),
                cursor: fields.u32()?,
            },
        };
        let mut counts = [0; COUNTS];
        for count in &mut counts {
            *count = fields.u32()?;
        }
        fields.end((globals, counts))
    }
}

/// The globals as they stand in a checkpoint, with the lengths of the arrays that belong to it.
pub(crate) struct CountedGlobals<'a>(pub(crate) &'a Globals, pub(crate) [u32; COUNTS]);

impl Pack<GLOBALS_BYTES> for CountedGlobals<'_> {
    fn pack(&self, place: &mut [u8; GLOBALS_BYTES]) {
        let CountedGlobals(globals, counts) = self;
        let packer = Packer::new(place)
            .u8(CHECKPOINT_FORMAT)
            .u64(globals.sequence.0)
            .i64(globals.now.0)
            .u64(globals.epoch)
            .u8(u8::from(globals.engine.is_some()))
            .bytes(globals.engine.unwrap_or_default())
            .u32(globals.rules_version)
            .i32(globals.sweep.swept.0)
            .optional_i32(globals.sweep.pass.map(|day| day.0))
            .u32(globals.sweep.cursor);
        let packer = counts.iter().fold(packer, |packer, count| packer.u32(*count));
        packer.finish();
    }
}
