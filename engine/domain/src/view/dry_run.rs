//! What a category or a period would change before it is published.
//!
//! A dry run looks at every person once. It goes in portions, so that whoever shares the view with
//! others need not keep it for the whole walk; what changes meanwhile may or may not be counted.

use crate::eligibility::{
    BadPeriod, CATEGORIES_MAX, CategoryRule, PeriodRule, VACCINES_MAX, may_book_from,
};
use crate::rules::PERIOD_OPENINGS_MAX;
use crate::{Category, OperatorRefusal, Period, PersonNumber, VaccineSet};

use super::View;
use super::people::PersonRow;

/// People of one portion when nobody else waits for the view.
const PORTION_PEOPLE: u32 = 1 << 16;

/// A walk over all people under way.
#[derive(Clone, Debug)]
pub struct DryRun {
    /// What is tried out.
    draft: Draft,
    /// The first person not looked at yet.
    next: u32,
    figures: DryRunFigures,
}

/// How many people a draft takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DryRunFigures {
    /// People whom the draft takes.
    pub eligible: u64,
    /// Of them, those whom the published version does not take.
    pub gained: u64,
    /// People whom the published version takes and the draft does not.
    pub lost: u64,
}

#[derive(Clone, Debug)]
enum Draft {
    Period { new: PeriodRule, old: Option<PeriodRule> },
    Category { new: CategoryRule, old: Option<CategoryRule>, bit: usize },
}

impl View {
    /// Starts to count who could book in a period as drafted, window and other bookings aside.
    ///
    /// # Errors
    /// When publishing it would be refused.
    pub fn dry_run_period(&self, period: &Period) -> Result<DryRun, OperatorRefusal> {
        let new = PeriodRule::compile(period, VaccineSet(0), self.catalogue.category_rules());
        if matches!(new, Err(BadPeriod::UnknownCategory)) {
            return Err(OperatorRefusal::UnknownCategory);
        }
        let vaccines = self.drafted_vaccines(&period.vaccines)?;
        let new = match new {
            Ok(rule) if period.number.0 != 0 => PeriodRule { vaccines, ..rule },
            _ => return Err(OperatorRefusal::BadNumber),
        };
        if period.openings.len() > PERIOD_OPENINGS_MAX {
            return Err(OperatorRefusal::TooManyRows);
        }
        let old = self.catalogue.period(period.number).map(|entry| entry.rule.clone());
        Ok(DryRun::new(Draft::Period { new, old }))
    }

    /// Starts to count who belongs to a category as drafted, among those known here: everyone with an
    /// intent, and the members of lists. People of the roster who were never mentioned are not known.
    ///
    /// # Errors
    /// When publishing it would be refused.
    pub fn dry_run_category(&self, category: &Category) -> Result<DryRun, OperatorRefusal> {
        self.drafted_vaccines(&category.vaccines)?;
        let rules = self.catalogue.category_rules();
        let known = rules.iter().position(|rule| rule.number == category.number);
        let bit = known.unwrap_or(rules.len());
        if bit >= CATEGORIES_MAX {
            return Err(OperatorRefusal::TooManyCategories);
        }
        if category.number.0 == 0 {
            return Err(OperatorRefusal::BadNumber);
        }
        let old = known.map(|place| rules[place]);
        Ok(DryRun::new(Draft::Category { new: CategoryRule::compile(category), old, bit }))
    }

    /// How many people could book in a period as drafted; 0 for one that would be refused.
    pub fn count_eligible(&self, period: &Period) -> u64 {
        self.dry_run_period(period).map_or(0, |run| run.finish(self).eligible)
    }

    /// How many known people belong to a category as drafted; 0 for one that would be refused.
    pub fn count_members(&self, category: &Category) -> u64 {
        self.dry_run_category(category).map_or(0, |run| run.finish(self).eligible)
    }

    /// The numbers of the vaccine names of a draft. A name without number is nobody's wish yet.
    fn drafted_vaccines(&self, names: &[String]) -> Result<VaccineSet, OperatorRefusal> {
        let mut set = VaccineSet(0);
        let mut unknown: Vec<&str> = Vec::new();
        for name in names {
            match self.catalogue.vaccine_named(name) {
                Some(vaccine) => set.0 |= 1 << vaccine.0,
                None if !unknown.contains(&name.as_str()) => unknown.push(name),
                None => {}
            }
        }
        if self.catalogue.vaccines().len() + unknown.len() > VACCINES_MAX {
            return Err(OperatorRefusal::TooManyVaccines);
        }
        Ok(set)
    }
}

impl DryRun {
    fn new(draft: Draft) -> DryRun {
        DryRun { draft, next: 0, figures: DryRunFigures::default() }
    }

    /// Looks at up to `people` more. True when all have been looked at.
    pub fn step(&mut self, view: &View, people: u32) -> bool {
        let end = self.next.saturating_add(people).min(view.people.len());
        for number in self.next..end {
            if let Some(row) = view.people.row(PersonNumber(number)) {
                let (new, old) = self.draft.takes(row, view.catalogue.category_rules());
                self.figures.eligible += u64::from(new);
                self.figures.gained += u64::from(new && !old);
                self.figures.lost += u64::from(old && !new);
            }
        }
        self.next = end;
        end == view.people.len()
    }

    /// Looks at everyone left.
    pub fn finish(mut self, view: &View) -> DryRunFigures {
        while !self.step(view, PORTION_PEOPLE) {}
        self.figures
    }

    /// What was counted so far.
    pub fn figures(&self) -> DryRunFigures {
        self.figures
    }
}

impl Draft {
    /// Whether draft and published version take a person.
    fn takes(&self, row: &PersonRow, categories: &[CategoryRule]) -> (bool, bool) {
        let intent = row.intent();
        match self {
            Draft::Period { new, old } => {
                let Some(facts) = intent.map(|held| held.facts()) else {
                    return (false, false);
                };
                let takes = |rule: &PeriodRule| may_book_from(rule, categories, &facts).is_ok();
                (takes(new), old.as_ref().is_some_and(takes))
            }
            Draft::Category { new, old, bit } => {
                let takes = |rule: &CategoryRule| match intent {
                    Some(held) => rule.takes(*bit, held.born_on, row.memberships),
                    None => rule.members && row.memberships >> bit & 1 == 1,
                };
                (takes(new), old.as_ref().is_some_and(takes))
            }
        }
    }
}
