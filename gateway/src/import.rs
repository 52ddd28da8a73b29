//! Files and bodies that operators send: bytes in, typed rows out, or a list of what is wrong.
//!
//! Everything here is pure: no clock, no files, no state. The same readers serve the operator's calls
//! and `slotline validate`. A reader looks at the whole file before it gives up, so that one answer
//! names every fault (up to [`Limits::errors_max`]); a file with a fault brings nothing at all.
//!
//! What is read: UTF-8 with or without a byte order mark, lines ended by LF or CRLF, quoted fields,
//! columns in any order but all of them and no others. Blanks around a value are cut.
//!
//! What this module deliberately does not do: repeat a value in an error (it may be personal), look at
//! what already stands (the operator's handlers do, and add their errors to the same list), guess.

pub mod attendance;
pub mod category;
mod cell;
mod csv;
pub mod error;
pub mod json;
pub mod members;
pub mod period;
pub mod roster;
pub mod sites;
pub mod slots;
pub mod when;

use domain::Millis;

pub use error::{BodyError, Reason, RowError};

/// Bytes of a file, unless its kind says otherwise.
const FILE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Bytes of a file of sites: its texts travel on as they are, in one group of events, and the rules refuse an
/// import whose events would be longer than the journal takes.
const SITE_FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Rows of a file of people or slots.
const LARGE_FILE_ROWS_MAX: u32 = 1_000_000;

/// Rows of a file of sites.
const SITE_ROWS_MAX: u32 = 50_000;

/// Rows of a file of attendance: what a day brings to a large county.
const ATTENDANCE_ROWS_MAX: u32 = 100_000;

/// Bytes of a file of attendance: many may be sent at once.
const ATTENDANCE_FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Errors named in one answer, the word that there are more aside.
const ERRORS_MAX: usize = 99;

/// The kinds of CSV files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Places where people are vaccinated.
    Sites,
    /// What they offer.
    Slots,
    /// The people the authority knows.
    Roster,
    /// The people of a category.
    Members,
    /// Who came.
    Attendance,
}

/// How much of a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows after the header.
    pub rows_max: u32,
    /// Bytes in all.
    pub bytes_max: usize,
    /// Errors collected before the reader gives up.
    pub errors_max: usize,
}

/// What a reader may lean on besides the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// How much is read.
    pub limits: Limits,
    /// The moment of the import: nobody is born after it, and nobody came after it.
    pub now: Millis,
}

/// What the caller says to a row: fine, or an error of its own, which joins the list.
pub type RowResult = Result<(), RowError>;

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] =
        [Kind::Sites, Kind::Slots, Kind::Roster, Kind::Members, Kind::Attendance];

    /// The columns, in the order in which the contract names them.
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Kind::Sites => &sites::COLUMNS,
            Kind::Slots => &slots::COLUMNS,
            Kind::Roster => &roster::COLUMNS,
            Kind::Members => &members::COLUMNS,
            Kind::Attendance => &attendance::COLUMNS,
        }
    }

    /// The limits unless configured otherwise.
    pub const fn limits(self) -> Limits {
        let rows_max = match self {
            Kind::Sites => SITE_ROWS_MAX,
            Kind::Slots | Kind::Roster | Kind::Members => LARGE_FILE_ROWS_MAX,
            Kind::Attendance => ATTENDANCE_ROWS_MAX,
        };
        let bytes_max = match self {
            Kind::Sites => SITE_FILE_BYTES_MAX,
            Kind::Attendance => ATTENDANCE_FILE_BYTES_MAX,
            _ => FILE_BYTES_MAX,
        };
        Limits { rows_max, bytes_max, errors_max: ERRORS_MAX }
    }
}

/// The kind of file that has this header line, when it is one of ours: exactly its columns, in any order.
pub fn detect_kind(header: &str) -> Option<Kind> {
    let header = header.strip_prefix('\u{feff}').unwrap_or(header);
    let names = csv::header_names(header)?;
    Kind::ALL.into_iter().find(|kind| {
        let columns = kind.columns();
        names.len() == columns.len()
            && columns.iter().all(|column| names.iter().any(|name| name == column))
    })
}

/// Reads a whole file of this kind and says how many rows it brings, or all that is wrong with it.
///
/// # Errors
/// What is wrong, in the order of the lines.
pub fn validate(kind: Kind, bytes: &[u8]) -> Result<usize, Vec<RowError>> {
    let now = Millis(jiff::Timestamp::now().as_millisecond());
    let reading = Reading { limits: kind.limits(), now };
    let rows = match kind {
        Kind::Sites => sites::read(bytes, &reading, |_, _| Ok(())),
        Kind::Slots => slots::read(bytes, &reading, |_, _| Ok(())),
        Kind::Roster => roster::read(bytes, &reading, |_, _| Ok(())),
        Kind::Members => members::read(bytes, &reading, |_, _| Ok(())),
        Kind::Attendance => attendance::read(bytes, &reading, |_, _| Ok(())),
    }?;
    Ok(rows as usize)
}

#[cfg(test)]
mod tests_support;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_by_its_columns_in_any_order() {
        for kind in Kind::ALL {
            assert_eq!(detect_kind(&kind.columns().join(",")), Some(kind));
            let backwards: Vec<_> = kind.columns().iter().rev().copied().collect();
            assert_eq!(detect_kind(&backwards.join(",")), Some(kind));
        }
        assert_eq!(detect_kind("\u{feff}\"id_number\"\r\n"), Some(Kind::Members));
        assert_eq!(detect_kind(" id_number \n"), Some(Kind::Members));
    }

    #[test]
    fn other_headers_are_of_no_kind() {
        for header in ["", "id_number,phone", "site,date,start,end,vaccine", "id_number,id_number"]
        {
            assert_eq!(detect_kind(header), None, "{header:?}");
        }
    }

    /// Bytes that a site takes in the rules beside its texts.
    const SITE_EVENT_BYTES: usize = 32;

    #[test]
    fn the_largest_file_of_sites_is_an_import_that_the_rules_take() {
        let limits = Kind::Sites.limits();
        let most = limits.bytes_max + limits.rows_max as usize * SITE_EVENT_BYTES;
        assert!(most * 4 <= domain::rules::IMPORT_EVENT_BYTES_MAX * 3, "{most}");
    }

    #[test]
    fn a_file_of_sites_longer_than_the_rules_take_is_refused() {
        let (name, address) = ("長".repeat(100), "長".repeat(200));
        let mut file = format!("{}\n", sites::COLUMNS.join(","));
        for number in 0..30_000 {
            file += &format!("T-{number},{name},{name},63000,63000070,{address},hospital\n");
        }
        let errors = validate(Kind::Sites, file.as_bytes()).unwrap_err();
        assert_eq!(tests_support::codes(Err(errors)).unwrap_err(), ["1::file_too_large"]);
    }

    #[test]
    fn the_sample_files_are_valid() {
        let sites = include_bytes!("../../config/dev/sites.csv");
        let roster = include_bytes!("../../config/dev/roster.csv");
        let members = include_bytes!("../../config/dev/members.csv");
        assert_eq!(validate(Kind::Sites, sites), Ok(2_500));
        assert_eq!(validate(Kind::Roster, roster), Ok(60));
        assert_eq!(validate(Kind::Members, members), Ok(6));
    }
}
