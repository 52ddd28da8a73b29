//! The verdict: evidence collected from the server and judged, right after a run or from its record.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{LoadError, Servers, set_up_sweep};
use crate::answer::Outcome;
use crate::audit::{AuditReport, Confirmation, Evidence, SlotFacts, audit};
use crate::calls::Caller;
use crate::campaign::{Campaign, CampaignParts};
use crate::collect::{CollectOptions, people_of, settle, shown, slots_after};
use crate::crowd::log_in;
use crate::history::History;
use crate::people::Population;
use crate::prepare::SiteDay;
use crate::progress::Progress;
use crate::record::read_record;
use crate::scenario::{AuditSettings, Scenario};
use crate::streams;
use crate::sweep::SweepOptions;

/// Where decisions are published.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams<'a> {
    pub(super) operator: Option<&'a Caller>,
    pub(super) outbox: Option<&'a Path>,
}

/// Collects all evidence and judges it.
#[allow(clippy::too_many_arguments)] // The evidence has this many sources.
pub(super) fn collect_and_judge(
    campaign: &Campaign,
    history: &mut History,
    facts: &[SlotFacts],
    places: &[SiteDay],
    streams: Streams<'_>,
    settings: &AuditSettings,
    sweep: SweepOptions,
    progress: &Progress,
) -> Result<AuditReport, String> {
    let options =
        CollectOptions { sweep, settle_time_max: Duration::from_secs(settings.settle_time_max_s) };
    let receipts = settle(campaign, history, &options, progress)?;
    let shown = shown(campaign, history, &options, progress)?;
    let slots = slots_after(campaign, facts, places, &options)?;
    let mut evidence = Evidence {
        history: std::mem::take(history),
        receipts,
        shown,
        slots,
        alone: settings.alone,
        confirmations: None,
        messages: None,
    };
    let outcome = add_streams(&mut evidence, campaign.period, streams, settings);
    let report = outcome.map(|()| audit(&evidence));
    *history = evidence.history;
    report
}

/// Adds confirmations and text messages to the evidence, where they can be read.
fn add_streams(
    evidence: &mut Evidence,
    period: u16,
    streams: Streams<'_>,
    settings: &AuditSettings,
) -> Result<(), String> {
    let Some(operator) = streams.operator.filter(|_| settings.confirmations) else {
        return match streams.outbox {
            Some(_) => Err("text messages are compared with confirmations: add --operator URL and --operator-token TOKEN".to_owned()),
            None => Ok(()),
        };
    };
    let time_max = Duration::from_secs(settings.stream_time_max_s);
    let confirmed: Vec<_> =
        evidence.history.told.iter().filter(|told| told.outcome == Outcome::Confirmed).collect();
    let requests: HashSet<u32> = confirmed.iter().map(|told| told.request).collect();
    let bookings: HashSet<u64> = confirmed.iter().filter_map(|told| told.booking).collect();
    let ours: HashSet<u32> = evidence.slots.iter().map(|slot| slot.number).collect();
    let mine = |confirmation: &Confirmation| {
        ours.contains(&confirmation.slot) || bookings.contains(&confirmation.booking)
    };
    let confirmations = streams::confirmations(operator, period, requests.len(), time_max, mine)
        .map_err(|error| error.to_string())?;
    if let Some(outbox) = streams.outbox {
        let wanted = confirmations.iter().map(|confirmation| confirmation.id.as_str()).collect();
        evidence.messages = Some(streams::messages(outbox, &wanted, time_max)?);
    }
    evidence.confirmations = Some(confirmations);
    Ok(())
}

/// An audit of a record, after the fact.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// Where the server is now.
    pub servers: Servers,
    /// The record file.
    pub record: PathBuf,
    /// Directory of the text messages sent.
    pub outbox: Option<PathBuf>,
    /// Bounds of the audit.
    pub settings: AuditSettings,
    /// Bounds of its calls.
    pub scenario: Scenario,
}

/// Verifies that the server still stands by everything in the record.
pub fn audit_record(options: &AuditOptions, progress: &Progress) -> Result<AuditReport, LoadError> {
    let (header, mut history) = read_record(&options.record)?;
    let target = options.servers.public()?;
    let operator = options.servers.operator()?;
    let people = Population::new(header.population.clone());
    let indexes = people_of(&history);
    let sweep = set_up_sweep(&options.scenario);
    let found = log_in(&target, &people, &indexes, &sweep, progress).map_err(LoadError::Other)?;
    let mut places: Vec<SiteDay> = Vec::new();
    for slot in &header.slots {
        let place = SiteDay { site: slot.site.clone(), date: slot.date.clone() };
        if places.last() != Some(&place) {
            places.push(place);
        }
    }
    places.sort_by(|left, right| (&left.site, &left.date).cmp(&(&right.site, &right.date)));
    places.dedup();
    let facts: Vec<SlotFacts> = header.slots.iter().map(|slot| slot.facts).collect();
    let wait_s = options.scenario.load.wait_s;
    let campaign = Campaign::new(CampaignParts {
        target,
        run: header.run,
        people,
        period: header.period,
        slots: header.slots,
        tokens: found.into_iter().map(|person| (person.person, person.token)).collect(),
        wait_s,
    });
    let streams = Streams { operator: operator.as_ref(), outbox: options.outbox.as_deref() };
    let settings =
        AuditSettings { alone: header.alone && options.settings.alone, ..options.settings.clone() };
    let report = collect_and_judge(
        &campaign,
        &mut history,
        &facts,
        &places,
        streams,
        &settings,
        sweep,
        progress,
    );
    report.map_err(LoadError::Other)
}
