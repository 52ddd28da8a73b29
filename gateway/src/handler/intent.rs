//! R5–R8: registering one's intent, and changing it.
//!
//! The body is checked here, field by field; who may register is decided by the writer. Contact data is
//! sealed before it leaves this function.

use domain::identity::{mobile_number, normalised};
use domain::view::{Outcome, OutcomeResult};
use domain::{Attested, Command, Intent, PeriodNumber, VaccineSet};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use serde_json::{Value, json};
use vault::{Contact, IdNumber};

use super::words::{self, IntentWords};
use crate::body;
use crate::caller::Caller;
use crate::core::Core;
use crate::i18n::Language;
use crate::import::Reason;
use crate::import::json::{self, BodyErrors, Fields, Node};
use crate::problem::{Problem, Slug};
use crate::regions::regions;
use crate::reply::{Reply, private_value};
use crate::retry::{Asked, Request, Standing};
use crate::roster::Roster;

/// Characters of a name.
const NAME_CHARS_MAX: usize = 64;

/// Vaccines that can be ticked: all there can be.
const VACCINES_MAX: usize = 16;

/// What a person wrote.
struct Form {
    name: String,
    phone: String,
    intent: Intent,
    /// As ticked, for the answer.
    vaccines: Vec<String>,
}

/// `POST /v1/intents`
pub(crate) async fn post(core: &Core, head: &Parts, body: Incoming) -> Result<Reply, Problem> {
    let (request, form, id_number, attested) = read(core, head, body, Asked::Register).await?;
    let command = Command::Register {
        person: request.caller.key,
        attested,
        intent: form.intent,
        sealed: seal(core, &request.caller, &form, &id_number)?,
        retry: request.retry,
    };
    send(core, command, &request, &form, &id_number).await
}

/// `PUT /v1/intents/mine`
pub(crate) async fn put(core: &Core, head: &Parts, body: Incoming) -> Result<Reply, Problem> {
    let (request, form, id_number, attested) = read(core, head, body, Asked::Modify).await?;
    let command = Command::Modify {
        person: request.caller.reference(),
        attested,
        intent: form.intent,
        sealed: seal(core, &request.caller, &form, &id_number)?,
        retry: request.retry,
    };
    send(core, command, &request, &form, &id_number).await
}

/// Reads and names the request.
async fn read(
    core: &Core,
    head: &Parts,
    body: Incoming,
    asked: Asked,
) -> Result<(Request, Form, IdNumber, Attested), Problem> {
    let caller = core.caller(&head.headers)?;
    body::expect_type(&head.headers, "application/json")?;
    let bytes = body::read(body, core.allowance()).await?;
    // The vaccines that can be ticked are those of the view: it must know the start's categories.
    super::expect_caught_up(core)?;
    let form = json::read(&bytes, |node, errors| Form::read(core, node, errors));
    let form = form.map_err(Problem::body)?;
    let scope = PeriodNumber::INTENTS;
    let request = Request::new(core, caller, &head.headers, scope, asked, &form.canonical())?;
    let id_number = core.context.vault.open_id(&caller.key.0, &caller.sealed_id);
    let id_number = id_number.ok_or(Slug::NotAuthenticated)?;
    let attested = attested(core, &caller)?;
    Ok((request, form, id_number, attested))
}

/// What the roster says of the caller now.
fn attested(core: &Core, caller: &Caller) -> Result<Attested, Problem> {
    match core.context.roster.attested(&caller.key) {
        Ok(Some(attested)) => Ok(attested),
        // The roster no longer knows whom it knew at the identity check.
        Ok(None) => Err(Slug::IdentityNotConfirmed.into()),
        Err(error) => {
            tracing::error!(%error, "the roster cannot be read");
            Err(Slug::Internal.into())
        }
    }
}

fn seal(
    core: &Core,
    caller: &Caller,
    form: &Form,
    id_number: &IdNumber,
) -> Result<Vec<u8>, Problem> {
    let contact = Contact {
        name: form.name.clone(),
        phone: form.phone.clone(),
        id_number: id_number.expose().to_owned(),
        language: form.intent.language.0,
    };
    let sealed = core.context.vault.seal_contact(&caller.key.0, &contact);
    sealed.map_err(|_| Slug::TooLarge.into())
}

async fn send(
    core: &Core,
    command: Command,
    request: &Request,
    form: &Form,
    id_number: &IdNumber,
) -> Result<Reply, Problem> {
    match request.send(core, command).await? {
        Standing::Accepted => Ok(request.accepted(core)),
        Standing::Decided(outcome) => decided(core, request, form, id_number, &outcome),
    }
}

fn decided(
    core: &Core,
    request: &Request,
    form: &Form,
    id_number: &IdNumber,
    outcome: &Outcome,
) -> Result<Reply, Problem> {
    let receipt = request.receipt(core);
    let told = |status, intent: Value| {
        let body = json!({
            "outcome": "confirmed",
            "receipt": receipt.as_str(),
            "intent": intent,
        });
        private_value(status, &body)
    };
    match outcome.result {
        OutcomeResult::Registered { serial } => {
            let words = form.words(serial, outcome.at, id_number);
            Ok(told(StatusCode::CREATED, words))
        }
        OutcomeResult::Modified { serial, registered_at } => {
            let words = form.words(serial, registered_at, id_number);
            Ok(told(StatusCode::OK, words))
        }
        // R8: shown as it stands; what was just written is not taken.
        OutcomeResult::AlreadyRegistered => {
            let intent = words::held_intent(core, &request.caller)?;
            Ok(told(StatusCode::OK, intent.unwrap_or(Value::Null)))
        }
        OutcomeResult::Rejected(reason) => Err(request.rejected(core, outcome, reason)),
        _ => Err(Slug::Internal.into()),
    }
}

impl Form {
    /// Reads the fields; every fault is noted.
    fn read(core: &Core, node: &Node, errors: &mut BodyErrors) -> Option<Form> {
        let mut fields = Fields::of(node, "", errors)?;
        let name = fields.required("name", errors);
        let name = name.and_then(|(pointer, node)| {
            json::words(node, &pointer, NAME_CHARS_MAX, errors).map(str::to_owned)
        });
        let phone = fields.parsed("phone", Reason::Phone, errors, |text| mobile_number(text).ok());
        let county = fields
            .parsed("county", Reason::UnknownCounty, errors, |code| regions().county_by_code(code));
        let district = fields.parsed("district", Reason::UnknownDistrict, errors, |code| {
            regions().district_by_code(code)
        });
        let language = fields.parsed("language", Reason::NotAllowed, errors, Language::by_tag);
        let vaccines = fields.required("vaccines", errors);
        let vaccines =
            vaccines.and_then(|(pointer, node)| Form::vaccines(core, node, &pointer, errors));
        fields.finish(errors);
        let (county, district) = (county?, district?);
        if regions().district(district).is_none_or(|found| found.county != county) {
            errors.push("/district", Reason::DistrictElsewhere);
        }
        let (set, vaccines) = vaccines?;
        Some(Form {
            name: name?,
            phone: phone?,
            intent: Intent { county, district, vaccines: set, language: language?.number() },
            vaccines,
        })
    }

    /// The vaccines ticked: names that are known, at least one.
    fn vaccines(
        core: &Core,
        node: &Node,
        pointer: &str,
        errors: &mut BodyErrors,
    ) -> Option<(VaccineSet, Vec<String>)> {
        let ticked = json::list(node, pointer, 1, VACCINES_MAX, errors)?;
        let view = core.context.view.read();
        let mut set = 0_u16;
        let mut names = Vec::with_capacity(ticked.len());
        for (place, node) in ticked.iter().enumerate() {
            let pointer = format!("{pointer}/{place}");
            let Node::Text(name) = node else {
                errors.push(pointer, Reason::WrongType);
                continue;
            };
            let wanted = normalised(name);
            let offered = view.catalogue.vaccine_named(name).or_else(|| {
                let wanted = wanted?;
                let mut names = view.catalogue.vaccines().iter();
                let known = names.find(|known| normalised(known).as_ref() == Some(&wanted))?;
                view.catalogue.vaccine_named(known)
            });
            match offered {
                None => errors.push(pointer, Reason::UnknownVaccine),
                Some(number) if set >> number.0 & 1 == 1 => errors.push(pointer, Reason::Repeated),
                Some(number) => {
                    set |= 1 << number.0;
                    names.push(view.catalogue.vaccine_name(number).unwrap_or(name).to_owned());
                }
            }
        }
        (names.len() == ticked.len()).then_some((VaccineSet(set), names))
    }

    /// What the fingerprint is made of: every field with its length, so that none runs into the next.
    fn canonical(&self) -> Vec<u8> {
        let intent = &self.intent;
        let mut bytes = Vec::with_capacity(self.name.len() + self.phone.len() + 16);
        for text in [&self.name, &self.phone] {
            bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.push(intent.county.0);
        bytes.extend_from_slice(&intent.district.0.to_le_bytes());
        bytes.extend_from_slice(&intent.vaccines.0.to_le_bytes());
        bytes.push(intent.language.0);
        bytes
    }

    /// The form as the intent it became.
    fn words(&self, serial: u32, completed_at: domain::Millis, id_number: &IdNumber) -> Value {
        IntentWords {
            serial,
            completed_at,
            id_number: domain::identity::masked(id_number.expose()),
            name: &self.name,
            phone: &self.phone,
            intent: &self.intent,
            vaccines: self.vaccines.iter().map(String::as_str).collect(),
        }
        .value()
    }
}
