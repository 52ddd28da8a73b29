//! What a decided request, a booking and an intent look like as JSON.
//!
//! The words of an outcome are made from the outcome itself and from what was asked, never from how
//! things stand now, so that a repetition gets the same bytes; but for a second registration, which shows
//! the intent as it stands (R8). What this module does not do: status
//! codes of refusals.

use domain::identity::masked;
use domain::view::{IntentView, View};
use domain::{BookingNumber, Intent, Millis, PeriodNumber, PersonKey, Slot, SlotNumber};
use serde_json::{Value, json};
use vault::Contact;

use crate::availability::Places;
use crate::caller::Caller;
use crate::core::Core;
use crate::i18n::Language;
use crate::import::when::date_text;
use crate::problem::{Problem, Slug};
use crate::regions::regions;
use crate::text::{instant, push_minute, push_number, quoted};

/// Bytes of a booking's JSON, usually.
const BOOKING_BYTES: usize = 512;

/// `{"number",…,"vaccine"}` of a booking.
pub(crate) fn booking(
    core: &Core,
    language: Language,
    number: BookingNumber,
    period: PeriodNumber,
    slot: SlotNumber,
) -> String {
    let mut out = String::with_capacity(BOOKING_BYTES);
    out.push_str("{\"number\":");
    push_number(&mut out, number.0);
    out.push_str(",\"period\":");
    push_number(&mut out, period.0);
    out.push_str(",\"slot\":");
    push_number(&mut out, slot.0);
    let published = core.context.availability.published();
    if let Some(copy) = published.places.slot(slot) {
        push_copied(&mut out, &published.places, copy, language);
    } else {
        // Imported a moment ago: not copied yet.
        let view = core.context.view.read();
        if let Some(slot) = view.catalogue.slot(slot) {
            push_fresh(&mut out, &view, slot, language);
        }
    }
    out.push('}');
    out
}

fn push_copied(out: &mut String, places: &Places, slot: &Slot, language: Language) {
    let site = places.site(slot.site).map_or("", |site| site.brief(language));
    push_site_and_times(out, site, slot, places.vaccine(slot));
}

fn push_fresh(out: &mut String, view: &View, slot: &Slot, language: Language) {
    let site = view.catalogue.site(slot.site).map(|site| {
        let name =
            if crate::availability::is_english(language) { &site.name_en } else { &site.name_zh };
        let (id, name, address) = (quoted(&site.id), quoted(name), quoted(&site.address));
        format!("\"id\":{id},\"name\":{name},\"address\":{address}")
    });
    let vaccine = view.catalogue.vaccine_name(slot.vaccine).map(quoted);
    let vaccine = vaccine.as_deref().unwrap_or("null");
    push_site_and_times(out, site.as_deref().unwrap_or_default(), slot, vaccine);
}

fn push_site_and_times(out: &mut String, site: &str, slot: &Slot, vaccine: &str) {
    let date = date_text(slot.day);
    out.push_str(",\"site\":{");
    out.push_str(site);
    out.push_str("},\"starts_at\":\"");
    push_minute(out, slot.day, &date, slot.start_minute);
    out.push_str("\",\"ends_at\":\"");
    push_minute(out, slot.day, &date, slot.end_minute);
    out.push_str("\",\"vaccine\":");
    out.push_str(vaccine);
}

/// `{"outcome":"confirmed","receipt":…}` with one more member, if any.
pub(crate) fn confirmed(receipt: &str, member: Option<(&str, &str)>) -> String {
    let mut out = String::with_capacity(BOOKING_BYTES + 128);
    out.push_str("{\"outcome\":\"confirmed\",\"receipt\":\"");
    out.push_str(receipt);
    out.push('"');
    if let Some((name, value)) = member {
        out.push_str(",\"");
        out.push_str(name);
        out.push_str("\":");
        out.push_str(value);
    }
    out.push('}');
    out
}

/// What is shown of an intent.
pub(crate) struct IntentWords<'a> {
    /// Registration serial number.
    pub(crate) serial: u32,
    /// When it was registered.
    pub(crate) completed_at: Millis,
    /// Masked.
    pub(crate) id_number: String,
    /// As the person wrote it.
    pub(crate) name: &'a str,
    /// Mobile number.
    pub(crate) phone: &'a str,
    /// Region, language and vaccines.
    pub(crate) intent: &'a Intent,
    /// Names of the vaccines.
    pub(crate) vaccines: Vec<&'a str>,
}

impl IntentWords<'_> {
    /// As JSON.
    pub(crate) fn value(&self) -> Value {
        let county = regions().county(self.intent.county);
        let district = regions().district(self.intent.district);
        json!({
            "serial_number": self.serial,
            "completed_at": instant(self.completed_at),
            "id_number": self.id_number,
            "name": self.name,
            "phone": self.phone,
            "county": county.map(|county| county.code),
            "district": district.map(|district| district.code),
            "vaccines": self.vaccines,
            "language": Language::from_number(self.intent.language).tag(),
        })
    }
}

/// The intent that a person holds, as JSON; `None` without one.
///
/// # Errors
/// 500 when the contact data cannot be read.
pub(crate) fn held_intent(core: &Core, caller: &Caller) -> Result<Option<Value>, Problem> {
    let found = {
        let view = core.context.view.read();
        let number = caller.number_in(&view);
        number.and_then(|number| {
            let held = view.intent(number)?;
            let names = view.catalogue.vaccine_names(held.intent.vaccines);
            let names: Vec<String> = names.map(str::to_owned).collect();
            Some((number, held, names))
        })
    };
    let Some((number, held, names)) = found else {
        return Ok(None);
    };
    let contact = contact(core, &caller.key, number)?;
    Ok(Some(intent_value(&held, &names, &contact)))
}

fn intent_value(held: &IntentView, names: &[String], contact: &Contact) -> Value {
    IntentWords {
        serial: held.serial,
        completed_at: held.registered_at,
        id_number: masked(&contact.id_number),
        name: &contact.name,
        phone: &contact.phone,
        intent: &held.intent,
        vaccines: names.iter().map(String::as_str).collect(),
    }
    .value()
}

/// A person's contact data, for its owner.
fn contact(core: &Core, key: &PersonKey, number: domain::PersonNumber) -> Result<Contact, Problem> {
    let failed = |why: String| {
        tracing::error!(reason = %why, "contact data cannot be read");
        Problem::from(Slug::Internal)
    };
    let sealed = core.context.view.contact(number).map_err(failed)?;
    // The view learned of the intent a moment ago; the contact data follow.
    let late = || Problem::from(Slug::CatchingUp).retry_after_s(core.retry_after_s());
    let sealed = sealed.ok_or_else(late)?;
    let opened = core.context.vault.open_contact(&key.0, &sealed);
    opened.map_err(|error| failed(error.to_string()))
}
