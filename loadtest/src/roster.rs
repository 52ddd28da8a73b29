//! The roster CSV: what the authority knows of the synthetic people.

use std::io::{self, Write};

use crate::people::{Citizen, Document, Population};

/// The header of the roster import.
pub const ROSTER_HEADER: [&str; 6] = [
    "id_number",
    "former_id_number",
    "card_number",
    "entry_permit_number",
    "passport_number",
    "birth_date",
];

/// Writes header and rows of the people `first..first + count`.
pub fn write_roster(
    people: &Population,
    first: u64,
    count: u64,
    out: impl Write,
) -> io::Result<()> {
    let mut rows = csv::Writer::from_writer(out);
    rows.write_record(ROSTER_HEADER)?;
    for index in first..first + count {
        let citizen = people.citizen(index);
        rows.write_record(row(&citizen))?;
    }
    rows.flush()
}

fn row(citizen: &Citizen) -> [String; 6] {
    let mut row = [
        citizen.id_number.clone(),
        citizen.former_id_number.clone().unwrap_or_default(),
        String::new(),
        String::new(),
        String::new(),
        citizen.birth_date.to_string(),
    ];
    let (place, number) = match &citizen.document {
        Document::Card(number) => (2, number),
        Document::Permit(number) => (3, number),
        Document::Passport(number) => (4, number),
    };
    row[place].clone_from(number);
    row
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::people::PopulationOptions;

    #[test]
    fn every_row_has_an_id_one_document_and_a_birth_date() {
        let people = Population::new(PopulationOptions { seed: 5, born_on_or_before: None });
        let mut bytes = Vec::new();
        write_roster(&people, 10, 2_000, &mut bytes).unwrap();
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), ROSTER_HEADER);
        let mut rows = 0;
        for row in reader.records() {
            let row = row.unwrap();
            assert_eq!(row[0].len(), 10);
            assert_eq!((2..5).filter(|place| !row[*place].is_empty()).count(), 1);
            assert_eq!(row[5].len(), 10);
            rows += 1;
        }
        assert_eq!(rows, 2_000);
    }
}
