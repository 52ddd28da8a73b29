//! Answers for everyone: what is announced, and what is free.
//!
//! A thread of its own makes a new [`Published`] whenever the catalogue changes or a period opens or
//! closes, and swaps it in whole. Within it, answers about free places are made when first asked for
//! and again when older than `refresh_interval_ms`, from live counters that need no lock. The view is
//! read only to copy a changed catalogue, a portion at a time.
//!
//! What this module does not do: answer about one person.

pub(crate) mod notices;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use dashmap::DashMap;
use domain::view::{PeriodEntry, PlacesLeft};
use domain::{
    CountyNumber, Day, DistrictNumber, Millis, PeriodNumber, Sequence, SiteNumber, Slot, SlotNumber,
};
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::config::AvailabilityConfig;
use crate::context::{Context, now};
use crate::i18n::Language;
use crate::import::when::date_text;
use crate::regions::regions;
use crate::reply::Prepared;
use crate::text::{push_minute, push_number, quoted};

use notices::Notices;

/// The publishing thread looks at the clock at least this often.
const LOOK_MS: u64 = 250;

/// Slots copied under one hold of the view's read lock.
const PORTION_SLOTS: u32 = 8_192;

/// Where answers for everyone come from.
pub(crate) struct Availability {
    config: AvailabilityConfig,
    published: ArcSwap<Published>,
    /// The last command that changed the catalogue.
    changed: AtomicU64,
    /// Wakes the publishing thread.
    bell: (Mutex<bool>, Condvar),
    /// Up to which command the catalogue is published.
    through: watch::Sender<u64>,
}

/// One state of what is announced.
pub(crate) struct Published {
    /// The view had absorbed this much when the catalogue was copied.
    sequence: Sequence,
    /// Announcements, and when they next change by themselves.
    pub(crate) notices: Notices,
    /// Sites and slots.
    pub(crate) places: Arc<Places>,
    /// Answers made so far.
    answers: DashMap<Question, Made>,
}

/// Sites and slots, copied from the catalogue.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// The command that last changed the catalogue when this was copied.
    changed: u64,
    /// By number.
    pub(crate) sites: Vec<SiteCopy>,
    /// By number.
    pub(crate) slots: Vec<Slot>,
    /// Names by number, as JSON strings.
    pub(crate) vaccines: Vec<String>,
}

/// A site, ready to be told.
#[derive(Debug)]
pub(crate) struct SiteCopy {
    /// The operator's name for it.
    pub(crate) id: String,
    /// Its county.
    pub(crate) county: CountyNumber,
    /// Its district.
    pub(crate) district: DistrictNumber,
    /// `"id":…,"name":…,"address":…` in Chinese and in English.
    pub(crate) brief: [String; 2],
    /// `"county":…,"district":…`.
    pub(crate) region: String,
    /// Its slots by day and time.
    pub(crate) slots: Vec<SlotNumber>,
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    /// Sites of a period, in a county or a district or anywhere.
    Sites {
        /// Which period.
        period: PeriodNumber,
        /// Only here.
        county: Option<CountyNumber>,
        /// Only here.
        district: Option<DistrictNumber>,
        /// English names instead of Chinese ones.
        english: bool,
    },
    /// Slots of a period at a site, on a day or any day to come.
    Slots {
        /// Which period.
        period: PeriodNumber,
        /// Which site.
        site: SiteNumber,
        /// Only then.
        day: Option<Day>,
    },
}

/// An answer and when it was made.
#[derive(Clone)]
struct Made {
    prepared: Prepared,
    at: Millis,
}

impl Availability {
    /// Nothing is announced yet.
    pub(crate) fn new(config: AvailabilityConfig) -> Availability {
        Availability {
            config,
            published: ArcSwap::from_pointee(Published {
                sequence: Sequence(0),
                notices: Notices::default(),
                places: Arc::default(),
                answers: DashMap::new(),
            }),
            changed: AtomicU64::new(0),
            bell: (Mutex::new(false), Condvar::new()),
            through: watch::Sender::new(0),
        }
    }

    /// For the reader of events: the catalogue changed with this command.
    pub(crate) fn catalogue_changed(&self, sequence: Sequence) {
        self.changed.store(sequence.0, Ordering::Release);
        self.ring();
    }

    /// Wakes the publishing thread, for a change or to stop.
    pub(crate) fn ring(&self) {
        *self.bell.0.lock() = true;
        self.bell.1.notify_one();
    }

    /// What is announced now.
    pub(crate) fn published(&self) -> Guard<Arc<Published>> {
        self.published.load()
    }

    /// Waits until every change of the catalogue that the view knows is announced: an operator's next
    /// read sees the last write.
    pub(crate) async fn all_published(&self) {
        let goal = self.changed.load(Ordering::Acquire);
        let mut through = self.through.subscribe();
        // The sender lives as long as this value.
        let _ = through.wait_for(|through| *through >= goal).await;
    }

    /// The answer to a question, at most `refresh_interval_ms` old; `None` when there is no such
    /// period or site.
    pub(crate) fn answer(&self, question: Question, places: &PlacesLeft) -> Option<Prepared> {
        let at = now();
        let published = self.published.load();
        if let Some(made) = published.answers.get(&question) {
            let age_ms = at.0 - made.at.0;
            if (0..=self.config.refresh_interval_ms as i64).contains(&age_ms) {
                return Some(made.prepared.clone());
            }
        }
        let prepared = Prepared::new(published.make(question, places, at)?);
        let known = published.answers.contains_key(&question);
        if known || published.answers.len() < self.config.entries_max {
            let made = Made { prepared: prepared.clone(), at };
            published.answers.insert(question, made);
        }
        Some(prepared)
    }
}

impl std::fmt::Debug for Availability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Availability").field("changed", &self.changed).finish_non_exhaustive()
    }
}

/// Publishes changes until told to stop. Runs on a thread of its own.
pub(crate) fn run(context: &Context, stop: &AtomicBool) {
    let availability = &context.availability;
    while !stop.load(Ordering::Acquire) {
        let changed = availability.changed.load(Ordering::Acquire);
        let current = availability.published.load();
        let due = current.notices.change_at.is_some_and(|at| at <= now());
        if changed > current.sequence.0 || due {
            drop(current);
            publish(context, changed);
            continue;
        }
        drop(current);
        let mut rung = availability.bell.0.lock();
        if !*rung {
            availability.bell.1.wait_for(&mut rung, Duration::from_millis(LOOK_MS));
        }
        *rung = false;
    }
}

/// Makes and swaps in what is announced now.
fn publish(context: &Context, changed: u64) {
    let availability = &context.availability;
    let before = availability.published.load_full();
    let marked = context.view.is_marked();
    let places = if before.places.changed == changed {
        Arc::clone(&before.places)
    } else {
        Arc::new(Places::copy(context, changed))
    };
    let at = now();
    let notices = {
        let view = context.view.read();
        Notices::of(&view, at)
    };
    availability.published.store(Arc::new(Published {
        sequence: Sequence(changed),
        notices,
        places,
        answers: DashMap::new(),
    }));
    availability.through.send_replace(changed);
    if marked {
        context.view.announced();
    }
}

impl Places {
    /// Copies sites and slots, a portion at a time so that the reader of events never waits long.
    fn copy(context: &Context, changed: u64) -> Places {
        let mut copy = Places { changed, ..Places::default() };
        let (sites, slots) = {
            let view = context.view.read();
            let names = view.catalogue.vaccines().iter();
            copy.vaccines = names.map(|name| quoted(name)).collect();
            (view.catalogue.sites_count(), view.catalogue.slots_count())
        };
        copy.sites.reserve(sites as usize);
        copy.slots.reserve(slots as usize);
        for first in (0..sites).step_by(PORTION_SLOTS as usize) {
            let view = context.view.read();
            let portion = first..sites.min(first + PORTION_SLOTS);
            let found = portion.filter_map(|number| view.catalogue.site(SiteNumber(number)));
            copy.sites.extend(found.map(SiteCopy::of));
        }
        for first in (0..slots).step_by(PORTION_SLOTS as usize) {
            let view = context.view.read();
            let portion = first..slots.min(first + PORTION_SLOTS);
            let found = portion.filter_map(|number| view.catalogue.slot(SlotNumber(number)));
            copy.slots.extend(found.copied());
        }
        copy.sort_slots();
        copy
    }

    /// Gives each site its slots, by day and time.
    fn sort_slots(&mut self) {
        for (number, slot) in (0..).map(SlotNumber).zip(&self.slots) {
            if let Some(site) = self.sites.get_mut(slot.site.index()) {
                site.slots.push(number);
            }
        }
        let slots = &self.slots;
        for site in &mut self.sites {
            site.slots.sort_unstable_by_key(|number| {
                let slot = &slots[number.index()];
                (slot.day, slot.start_minute, slot.end_minute, *number)
            });
        }
    }

    /// A slot, if it was known when this was copied.
    pub(crate) fn slot(&self, number: SlotNumber) -> Option<&Slot> {
        self.slots.get(number.index())
    }

    /// A site, if it was known when this was copied.
    pub(crate) fn site(&self, number: SiteNumber) -> Option<&SiteCopy> {
        self.sites.get(number.index())
    }

    /// A vaccine's name as a JSON string.
    pub(crate) fn vaccine(&self, slot: &Slot) -> &str {
        let place = usize::from(slot.vaccine.0);
        self.vaccines.get(place).map_or("null", String::as_str)
    }
}

impl SiteCopy {
    /// Takes what is told of a site.
    fn of(site: &domain::Site) -> SiteCopy {
        let brief = |name: &str| {
            format!(
                "\"id\":{},\"name\":{},\"address\":{}",
                quoted(&site.id),
                quoted(name),
                quoted(&site.address)
            )
        };
        let county = regions().county(site.county).map_or("", |county| county.code);
        let district = regions().district(site.district).map_or("", |district| district.code);
        SiteCopy {
            id: site.id.clone(),
            county: site.county,
            district: site.district,
            brief: [brief(&site.name_zh), brief(&site.name_en)],
            region: format!("\"county\":{},\"district\":{}", quoted(county), quoted(district)),
            slots: Vec::new(),
        }
    }

    /// Its brief description in a language.
    pub(crate) fn brief(&self, language: Language) -> &str {
        &self.brief[usize::from(is_english(language))]
    }
}

/// True for the languages that are shown English names: all but Chinese.
pub(crate) fn is_english(language: Language) -> bool {
    language != Language::ZH_TW
}

impl Published {
    /// A period that is announced.
    pub(crate) fn period(&self, number: PeriodNumber) -> Option<&PeriodEntry> {
        self.notices.periods.iter().find(|entry| entry.period.number == number)
    }

    fn make(&self, question: Question, places: &PlacesLeft, at: Millis) -> Option<String> {
        match question {
            Question::Sites { period, county, district, english } => {
                self.sites(self.period(period)?, (county, district), english, places, at)
            }
            Question::Slots { period, site, day } => {
                self.slots(self.period(period)?, site, day, places, at)
            }
        }
    }

    /// `{"sites":[…]}`: those that offer the period's vaccines in slots that have not begun.
    fn sites(
        &self,
        period: &PeriodEntry,
        within: (Option<CountyNumber>, Option<DistrictNumber>),
        english: bool,
        places: &PlacesLeft,
        at: Millis,
    ) -> Option<String> {
        let mut out = String::from("{\"sites\":[");
        let here = |site: &&SiteCopy| {
            within.0.is_none_or(|county| site.county == county)
                && within.1.is_none_or(|district| site.district == district)
        };
        let mut first = true;
        for site in self.places.sites.iter().filter(here) {
            let offered = self.offered(period, site, at);
            let sums = offered.map(|(number, _)| u64::from(places.get(number)));
            let Some(left) = sums.reduce(|sum, left| sum + left) else {
                continue;
            };
            out.push_str(if std::mem::take(&mut first) { "{" } else { ",{" });
            out.push_str(&site.brief[usize::from(english)]);
            out.push(',');
            out.push_str(&site.region);
            out.push_str(",\"places_left\":");
            push_number(&mut out, left);
            out.push('}');
        }
        out.push_str("]}");
        Some(out)
    }

    /// `{"slots":[…]}`: those of the site that offer the period's vaccines and have not begun.
    fn slots(
        &self,
        period: &PeriodEntry,
        site: SiteNumber,
        day: Option<Day>,
        places: &PlacesLeft,
        at: Millis,
    ) -> Option<String> {
        let site = self.places.site(site)?;
        let id = quoted(&site.id);
        let mut out = String::from("{\"slots\":[");
        let mut date = (Day(i32::MIN), String::new());
        let offered = self.offered(period, site, at);
        let offered = offered.filter(|(_, slot)| day.is_none_or(|day| slot.day == day));
        for (place, (number, slot)) in offered.enumerate() {
            if date.0 != slot.day {
                date = (slot.day, date_text(slot.day));
            }
            out.push_str(if place == 0 { "{\"number\":" } else { ",{\"number\":" });
            push_number(&mut out, number.0);
            out.push_str(",\"site\":");
            out.push_str(&id);
            out.push_str(",\"date\":\"");
            out.push_str(&date.1);
            out.push_str("\",\"starts_at\":\"");
            push_minute(&mut out, slot.day, &date.1, slot.start_minute);
            out.push_str("\",\"ends_at\":\"");
            push_minute(&mut out, slot.day, &date.1, slot.end_minute);
            out.push_str("\",\"vaccine\":");
            out.push_str(self.places.vaccine(slot));
            out.push_str(",\"capacity\":");
            push_number(&mut out, slot.capacity);
            out.push_str(",\"places_left\":");
            push_number(&mut out, places.get(number));
            out.push('}');
        }
        out.push_str("]}");
        Some(out)
    }

    /// A site's slots that offer the period's vaccines and have not begun.
    fn offered<'p>(
        &'p self,
        period: &PeriodEntry,
        site: &'p SiteCopy,
        at: Millis,
    ) -> impl Iterator<Item = (SlotNumber, &'p Slot)> {
        let vaccines = period.rule.vaccines;
        let today = at.day();
        let from = site.slots.partition_point(|number| {
            self.places.slot(*number).is_some_and(|slot| slot.day < today)
        });
        let coming = site.slots[from..].iter();
        coming.filter_map(move |number| {
            let slot = self.places.slot(*number)?;
            let offered = vaccines.contains(slot.vaccine) && at < slot.starts_at();
            offered.then_some((*number, slot))
        })
    }
}
