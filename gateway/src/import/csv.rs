//! From the bytes of a CSV file to rows of checked text, with the line on which each one begins.
//!
//! The `csv` crate splits; this file adds what an operator needs: all faults at once, the right line
//! even after blank lines and quoted line breaks, and bounds. What it does not do: know a column.

use csv::{ByteRecord, ReaderBuilder};

use super::cell::Cells;
use super::error::{Reason, RowError, RowErrors};
use super::{Limits, RowResult};

/// What some programs put in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// No file of ours has more columns.
const COLUMNS_MAX: usize = 8;

/// Header cells that are looked at.
const HEADER_CELLS_MAX: usize = 64;

/// The trimmed names of a header line.
pub(super) fn header_names(header: &str) -> Option<Vec<String>> {
    let mut reader = ReaderBuilder::new().has_headers(false).from_reader(header.as_bytes());
    let record = reader.records().next()?.ok()?;
    Some(record.iter().take(HEADER_CELLS_MAX).map(|cell| cell.trim().to_owned()).collect())
}

/// Gives every row to `each`, which reads its cells and may refuse it. Rows with a fault found here
/// (count of cells, bytes that are no text) are not given.
pub(super) fn read_rows(
    bytes: &[u8],
    columns: &'static [&'static str],
    limits: &Limits,
    mut each: impl FnMut(&mut Cells<'_, '_>) -> Option<RowResult>,
) -> Result<u32, Vec<RowError>> {
    let mut errors = RowErrors::new(limits.errors_max);
    if bytes.len() > limits.bytes_max {
        let reason = Reason::FileTooLarge { bytes_max: limits.bytes_max as u64 };
        errors.push(RowError { line: 1, field: "", reason });
        return errors.finish(0);
    }
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut rows = Rows::new(bytes);
    let Some(order) = read_header(&mut rows, columns, &mut errors) else {
        return errors.finish(0);
    };
    let mut count = 0;
    while !errors.is_full() && rows.advance(&mut errors) {
        if count == limits.rows_max {
            let reason = Reason::TooManyRows { rows_max: u64::from(limits.rows_max) };
            errors.push(RowError { line: rows.line, field: "", reason });
            break;
        }
        count += 1;
        let Some(texts) = row_texts(&rows, columns, &order, &mut errors) else { continue };
        let line = rows.line;
        let answer = each(&mut Cells { line, columns, texts: &texts, errors: &mut errors });
        if let Some(Err(error)) = answer {
            errors.push(error);
        }
    }
    if count == 0 {
        errors.push(RowError { line: 1, field: "", reason: Reason::NoRows });
    }
    errors.finish(count)
}

/// Records and the lines on which they begin.
struct Rows<'b> {
    bytes: &'b [u8],
    reader: csv::Reader<&'b [u8]>,
    record: ByteRecord,
    /// Line of `record`.
    line: u32,
    /// Bytes whose line ends are in `lines_before`.
    counted: usize,
    /// Line ends before `counted`.
    lines_before: u32,
}

impl<'b> Rows<'b> {
    fn new(bytes: &'b [u8]) -> Rows<'b> {
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
        Rows { bytes, reader, record: ByteRecord::new(), line: 1, counted: 0, lines_before: 0 }
    }

    /// The next record that is not blank; false at the end.
    fn advance(&mut self, errors: &mut RowErrors) -> bool {
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => {}
            Ok(false) => return false,
            // Reading from memory with any number of cells a row has no error to give.
            Err(_) => {
                errors.push(RowError { line: self.line, field: "", reason: Reason::NotUtf8 });
                return false;
            }
        }
        let start = self.record.position().map_or(0, |position| position.byte());
        self.line = self.line_at(usize::try_from(start).unwrap_or(usize::MAX));
        true
    }

    /// The line of the first text at or after `start`; `start` grows from call to call.
    fn line_at(&mut self, start: usize) -> u32 {
        let blanks = self.bytes.get(start..).unwrap_or_default();
        let start = start + blanks.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        for place in self.counted..start.min(self.bytes.len()) {
            let ends_line = match self.bytes[place] {
                b'\n' => true,
                b'\r' => self.bytes.get(place + 1) != Some(&b'\n'),
                _ => false,
            };
            self.lines_before = self.lines_before.saturating_add(u32::from(ends_line));
        }
        self.counted = start;
        self.lines_before.saturating_add(1)
    }
}

/// For each of our columns, its place in the file; `None` when the header is not ours.
fn read_header(
    rows: &mut Rows<'_>,
    columns: &'static [&'static str],
    errors: &mut RowErrors,
) -> Option<[usize; COLUMNS_MAX]> {
    if !rows.advance(errors) {
        errors.push(RowError { line: 1, field: "", reason: Reason::NoHeader });
        return None;
    }
    let line = rows.line;
    let mut order = [usize::MAX; COLUMNS_MAX];
    let mut good = true;
    for (place, cell) in rows.record.iter().enumerate().take(HEADER_CELLS_MAX) {
        let Ok(name) = std::str::from_utf8(cell) else {
            errors.push(RowError { line, field: "", reason: Reason::NotUtf8 });
            return None;
        };
        let known = columns.iter().position(|column| *column == name.trim());
        let (field, reason) = match known {
            Some(column) if order[column] == usize::MAX => {
                order[column] = place;
                continue;
            }
            Some(column) => (columns[column], Reason::RepeatedColumn),
            None => ("", Reason::UnknownColumn { place: place as u64 + 1 }),
        };
        errors.push(RowError { line, field, reason });
        good = false;
    }
    for (column, name) in columns.iter().enumerate() {
        if order[column] == usize::MAX {
            errors.push(RowError { line, field: name, reason: Reason::MissingColumn });
            good = false;
        }
    }
    good.then_some(order)
}

/// The row's cells in our order, trimmed; `None` when one of them is no text.
fn row_texts<'r>(
    rows: &'r Rows<'_>,
    columns: &'static [&'static str],
    order: &[usize; COLUMNS_MAX],
    errors: &mut RowErrors,
) -> Option<[&'r str; COLUMNS_MAX]> {
    let (record, line) = (&rows.record, rows.line);
    if record.len() != columns.len() {
        let (expected, found) = (columns.len() as u64, record.len() as u64);
        let reason = Reason::WrongCellCount { expected, found };
        errors.push(RowError { line, field: "", reason });
        return None;
    }
    let mut texts = [""; COLUMNS_MAX];
    let mut good = true;
    for (column, name) in columns.iter().enumerate() {
        let cell = record.get(order[column]).unwrap_or_default();
        let reason = match std::str::from_utf8(cell) {
            Ok(text) if !text.chars().any(is_forbidden) => {
                texts[column] = text.trim();
                continue;
            }
            Ok(_) => Reason::ControlCharacter,
            Err(_) => Reason::NotUtf8,
        };
        errors.push(RowError { line, field: name, reason });
        good = false;
    }
    good.then_some(texts)
}

/// Characters that have no business in a value: controls, line breaks (a quotation mark left open
/// swallows them), the invisible, and those that turn the direction of what follows.
pub(super) fn is_forbidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const COLUMNS: [&str; 2] = ["one", "two"];
    const LIMITS: Limits = Limits { rows_max: 5, bytes_max: 200, errors_max: 3 };

    /// Rows as `line:one|two`, or errors as `line:field:code`.
    fn read(bytes: &[u8]) -> Result<Vec<String>, Vec<String>> {
        let mut rows = Vec::new();
        let result = read_rows(bytes, &COLUMNS, &LIMITS, |cells| {
            rows.push(format!("{}:{}|{}", cells.line, cells.texts[0], cells.texts[1]));
            None
        });
        match result {
            Ok(count) => {
                assert_eq!(count as usize, rows.len());
                Ok(rows)
            }
            Err(errors) => Err(errors
                .iter()
                .map(|error| format!("{}:{}:{}", error.line, error.field, error.reason.code()))
                .collect()),
        }
    }

    #[test]
    fn rows_are_read_with_their_lines() {
        let table: [(&[u8], &[&str]); 9] = [
            (b"one,two\na,b\n", &["2:a|b"]),
            (b"one,two\na,b", &["2:a|b"]),
            (b"one,two\r\na,b\r\nc,d\r\n", &["2:a|b", "3:c|d"]),
            (b"one,two\ra,b\rc,d", &["2:a|b", "3:c|d"]),
            (b"\xef\xbb\xbfone,two\na,b\n", &["2:a|b"]),
            (b"two,one\na,b\n", &["2:b|a"]),
            (b"\n\none,two\r\n\r\n\r\na,b\n\nc,d\n", &["6:a|b", "8:c|d"]),
            (b"one,two\n\"a,\"\"x\"\"\", b \n\"c\",\"d\"\n", &["2:a,\"x\"|b", "3:c|d"]),
            ("one,two\n\u{3000}甲 ,\n".as_bytes(), &["2:甲|"]),
        ];
        for (bytes, expected) in table {
            assert_eq!(read(bytes).unwrap(), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn faults_of_the_file_are_named_with_their_lines() {
        let table: [(&[u8], &[&str]); 14] = [
            (b"", &["1::no_header"]),
            (b"\xef\xbb\xbf\n", &["1::no_header"]),
            (b"one,two\n", &["1::no_rows"]),
            (b"one\na\n", &["1:two:missing_column"]),
            (b"one,two,three\na,b,c\n", &["1::unknown_column"]),
            (b"one,one\na,b\n", &["1:one:repeated_column", "1:two:missing_column"]),
            (b"One,two\na,b\n", &["1::unknown_column", "1:one:missing_column"]),
            (b"\xff\xfeo\0n\0e\0", &["1::not_utf8"]),
            (b"one,two\na\nb,c,d\ne,f\n", &["2::wrong_cell_count", "3::wrong_cell_count"]),
            (b"one,two\na,\xa4\xa4\n", &["2:two:not_utf8"]),
            (b"one,two\na,b\0\n", &["2:two:control_character"]),
            (b"one,two\n\na,\"b\nc,d\n", &["3:two:control_character"]),
            (
                "one,two\na\u{202e},b\u{200b}\n".as_bytes(),
                &["2:one:control_character", "2:two:control_character"],
            ),
            (b"one,two\n1,\n2,\n3,\n4,\n5,\n6,\n7,\n", &["7::too_many_rows"]),
        ];
        for (bytes, expected) in table {
            assert_eq!(read(bytes).unwrap_err(), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_file_larger_than_allowed_is_not_looked_at() {
        let bytes = format!("one,two\n{}", "a,b\n".repeat(60));
        assert_eq!(read(bytes.as_bytes()).unwrap_err(), ["1::file_too_large"]);
    }

    #[test]
    fn errors_are_collected_up_to_the_maximum_and_the_last_one_says_so() {
        let errors = read(b"one,two\na\nb\nc\nd\ne\n").unwrap_err();
        assert_eq!(
            errors,
            [
                "2::wrong_cell_count",
                "3::wrong_cell_count",
                "4::wrong_cell_count",
                "5::too_many_errors"
            ]
        );
    }

    #[test]
    fn the_callers_own_error_joins_the_list() {
        let result = read_rows(b"one,two\na,b\nc,d\n", &COLUMNS, &LIMITS, |cells| {
            let (line, reason) = (cells.line, Reason::UnknownSite);
            Some(Err(RowError { line, field: "one", reason }))
        });
        assert_eq!(result.unwrap_err().len(), 2);
    }
}
