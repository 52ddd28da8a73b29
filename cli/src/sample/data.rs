//! The files under `config/dev`, compiled in, and what they mean on a given day.

use std::fmt::Write as _;

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::times;
use crate::http::CallError;

/// The sample files as text.
pub struct SampleFiles {
    /// CSV for `/v1/sites:import`.
    pub sites: &'static str,
    /// CSV for `/v1/roster:import`.
    pub roster: &'static str,
    /// CSV for `/v1/categories/9/members:import`.
    pub members: &'static str,
    categories: &'static str,
    periods: &'static str,
    slots: &'static str,
}

/// Why the sample data could not be loaded.
#[derive(Debug, Error)]
pub enum SampleError {
    /// A call failed.
    #[error(transparent)]
    Call(CallError),
    /// An answer was not what the contract says.
    #[error("an answer is not as documented: {0}")]
    Answer(String),
    /// A file of the sample data is not usable.
    #[error("sample file {file}: {why}")]
    File {
        /// Which.
        file: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl SampleError {
    pub(super) fn answer(error: serde_json::Error) -> SampleError {
        SampleError::Answer(error.to_string())
    }
}

/// One row of the sample roster.
pub struct SamplePerson {
    id_number: String,
    document: (&'static str, String),
}

impl SamplePerson {
    /// The body of `POST /v1/identity`.
    pub fn identity_body(&self) -> Value {
        let (name, number) = &self.document;
        json!({ "method": "document", "id_number": self.id_number, *name: number })
    }
}

/// `slots.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SlotPlan {
    first_day: i64,
    days: i64,
    slot: Vec<SlotPattern>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SlotPattern {
    kind: String,
    start: String,
    end: String,
    vaccine: String,
    capacity: u32,
}

impl SampleFiles {
    /// The files of this build.
    pub fn compiled_in() -> SampleFiles {
        SampleFiles {
            sites: include_str!("../../../config/dev/sites.csv"),
            roster: include_str!("../../../config/dev/roster.csv"),
            members: include_str!("../../../config/dev/members.csv"),
            categories: include_str!("../../../config/dev/categories.toml"),
            periods: include_str!("../../../config/dev/periods.toml"),
            slots: include_str!("../../../config/dev/slots.toml"),
        }
    }

    /// Numbers and bodies for `PUT /v1/categories/{number}`.
    pub fn categories(&self, today: Date) -> Result<Vec<(u64, Value)>, SampleError> {
        bodies("categories.toml", self.categories, "category", today)
    }

    /// Numbers and bodies for `PUT /v1/periods/{number}`.
    pub fn periods(&self, today: Date) -> Result<Vec<(u64, Value)>, SampleError> {
        bodies("periods.toml", self.periods, "period", today)
    }

    /// The coming days on which there are slots.
    pub fn slot_days(&self, today: Date) -> Result<Vec<Date>, SampleError> {
        let plan = self.slot_plan()?;
        (plan.first_day..plan.first_day + plan.days).map(|day| slot_day(today, day)).collect()
    }

    /// CSV for `/v1/slots:import`: every site's slots of these days.
    pub fn slots(&self, days: &[Date]) -> Result<String, SampleError> {
        let plan = self.slot_plan()?;
        let mut csv = String::from("site,date,start,end,vaccine,capacity\n");
        for date in days {
            for (site, kind) in self.site_kinds()? {
                for slot in plan.slot.iter().filter(|slot| slot.kind == kind) {
                    let SlotPattern { start, end, vaccine, capacity, .. } = slot;
                    // Writing to a string cannot fail.
                    let _ = writeln!(csv, "{site},{date},{start},{end},{vaccine},{capacity}");
                }
            }
        }
        Ok(csv)
    }

    /// The site of the last slot that [`SampleFiles::slots`] makes for a day.
    pub fn last_site(&self) -> Result<Option<String>, SampleError> {
        Ok(self.site_kinds()?.pop().map(|(site, _)| site))
    }

    /// The people of the roster.
    pub fn people(&self) -> Result<Vec<SamplePerson>, SampleError> {
        let mut people = Vec::new();
        for row in csv::Reader::from_reader(self.roster.as_bytes()).into_records() {
            let row = row.map_err(|error| file_error("roster.csv", &error))?;
            let cell = |place: usize| row.get(place).unwrap_or("").to_owned();
            let document = [(2, "card_number"), (3, "entry_permit_number"), (4, "passport_number")]
                .into_iter()
                .map(|(place, name)| (name, cell(place)))
                .find(|(_, number)| !number.is_empty())
                .ok_or_else(|| file_error("roster.csv", &"a row has no document number"))?;
            people.push(SamplePerson { id_number: cell(0), document });
        }
        Ok(people)
    }

    fn slot_plan(&self) -> Result<SlotPlan, SampleError> {
        toml::from_str(self.slots).map_err(|error| file_error("slots.toml", &error))
    }

    /// Id and kind of every site.
    fn site_kinds(&self) -> Result<Vec<(String, String)>, SampleError> {
        csv::Reader::from_reader(self.sites.as_bytes())
            .into_records()
            .map(|row| {
                let row = row.map_err(|error| file_error("sites.csv", &error))?;
                Ok((row.get(0).unwrap_or("").to_owned(), row.get(6).unwrap_or("").to_owned()))
            })
            .collect()
    }
}

fn file_error(file: &'static str, why: &dyn std::fmt::Display) -> SampleError {
    SampleError::File { file, why: why.to_string() }
}

fn slot_day(today: Date, days: i64) -> Result<Date, SampleError> {
    times::day_after(today, days).map_err(|why| file_error("slots.toml", &why))
}

/// Reads a list of tables, makes its times absolute and takes the number out of each.
fn bodies(
    file: &'static str,
    text: &str,
    list: &str,
    today: Date,
) -> Result<Vec<(u64, Value)>, SampleError> {
    let mut document: Map<String, Value> =
        toml::from_str(text).map_err(|error| file_error(file, &error))?;
    let Some(Value::Array(tables)) = document.remove(list) else {
        return Err(file_error(file, &format!("has no [[{list}]]")));
    };
    let mut out = Vec::new();
    for mut table in tables {
        make_absolute(&mut table, today).map_err(|why| file_error(file, &why))?;
        let number = table
            .as_object_mut()
            .and_then(|fields| fields.remove("number"))
            .and_then(|number| number.as_u64())
            .ok_or_else(|| file_error(file, &format!("a [[{list}]] has no number")))?;
        out.push((number, table));
    }
    Ok(out)
}

/// Replaces the text of every key that ends in `_at` or `_before`.
fn make_absolute(value: &mut Value, today: Date) -> Result<(), String> {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                match field {
                    Value::String(text) if key.ends_with("_at") || key == "registered_before" => {
                        *text = times::absolute(text, today)?;
                    }
                    other => make_absolute(other, today)?,
                }
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| make_absolute(item, today)),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn the_sample_is_as_large_as_promised() {
        let files = SampleFiles::compiled_in();
        let today = date(2021, 7, 13);
        assert_eq!(files.site_kinds().unwrap().len(), 2_500);
        let days = files.slot_days(today).unwrap();
        assert_eq!(files.slots(&days).unwrap().lines().count(), 1 + 2_500 * 7 * 2);
        assert_eq!(files.people().unwrap().len(), 60);
        let (site, day) = (files.last_site().unwrap().unwrap(), days[6]);
        assert!(files.slots(&days[6..]).unwrap().contains(&format!("{site},{day},")));
    }

    #[test]
    fn bodies_carry_absolute_times_and_no_number() {
        let files = SampleFiles::compiled_in();
        let periods = files.periods(date(2021, 7, 13)).unwrap();
        assert_eq!(periods[0].0, 2);
        assert_eq!(periods[0].1["opens_at"], "2021-07-12T10:00:00+08:00");
        assert_eq!(periods[1].1["openings"][2]["opens_at"], "2021-07-15T14:00:00+08:00");
        assert!(periods[0].1.get("number").is_none());
        assert_eq!(files.categories(date(2021, 7, 13)).unwrap()[0].0, 9);
    }
}
