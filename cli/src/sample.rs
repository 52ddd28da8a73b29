//! The sample data of `slotline dev`: what a stranger finds on the first start.
//!
//! It is loaded over HTTP through the operator's and the citizen's own calls, so it passes the same
//! doors as real data, and loading it again changes nothing. The people in it are numbers with valid
//! check digits and nothing more.

mod data;
mod times;

use hyper::Method;
use serde_json::{Value, json};

use crate::http::{CallError, Client};

pub use data::{SampleError, SampleFiles};

/// The sample person of the lines that `slotline dev` prints: the number that forms use as an example.
pub const SAMPLE_ID_NUMBER: &str = "A123456789";
/// That person's card number.
pub const SAMPLE_CARD_NUMBER: &str = "000012345678";
/// The period whose window is open.
pub const SAMPLE_PERIOD: u16 = 2;
/// Where the sample people wish to be vaccinated, as in the manual: Wanhua in Taipei.
const SAMPLE_REGION: (&str, &str) = ("63000", "63000070");

/// Loads what is missing. Slots come last, so that where there are some, all the rest was loaded; what an
/// operator changed since then stays as it is. On a later day the slots of the days that came into reach
/// are added, and a period that has closed meanwhile is opened again.
pub async fn load(operator: &Client, public: &Client) -> Result<(), SampleError> {
    let today = times::today();
    let files = SampleFiles::compiled_in();
    let days = files.slot_days(today)?;
    let missing = days_without_slots(public, &files, &days).await?;
    if missing.len() == days.len() {
        load_rules_and_people(operator, public, &files, today).await?;
    } else if has_closed(public).await? {
        put_periods(operator, &files, today).await?;
    }
    if missing.is_empty() {
        tracing::info!("sample data is up to date");
        return Ok(());
    }
    import(operator, "/v1/slots:import", files.slots(&missing)?).await
}

/// Everything but slots. What is there already stays the same.
async fn load_rules_and_people(
    operator: &Client,
    public: &Client,
    files: &SampleFiles,
    today: jiff::civil::Date,
) -> Result<(), SampleError> {
    for (number, body) in files.categories(today)? {
        put(operator, &format!("/v1/categories/{number}"), &body).await?;
    }
    put_periods(operator, files, today).await?;
    import(operator, "/v1/sites:import", files.sites.to_owned()).await?;
    import(operator, "/v1/roster:import", files.roster.to_owned()).await?;
    import(operator, "/v1/categories/9/members:import", files.members.to_owned()).await?;
    register_people(public, files).await
}

async fn put_periods(
    operator: &Client,
    files: &SampleFiles,
    today: jiff::civil::Date,
) -> Result<(), SampleError> {
    for (number, body) in files.periods(today)? {
        put(operator, &format!("/v1/periods/{number}"), &body).await?;
    }
    Ok(())
}

/// A slot of the open period near the sample person's home.
pub async fn sample_slot(public: &Client) -> Result<Option<u64>, SampleError> {
    let (county, district) = SAMPLE_REGION;
    let path = format!("/v1/periods/{SAMPLE_PERIOD}/sites?county={county}&district={district}");
    let sites = get(public, &path).await?;
    let Some(site) = sites["sites"].as_array().and_then(|all| all.first()) else {
        return Ok(None);
    };
    let path =
        format!("/v1/periods/{SAMPLE_PERIOD}/slots?site={}", site["id"].as_str().unwrap_or(""));
    let slots = get(public, &path).await?;
    Ok(slots["slots"]
        .as_array()
        .and_then(|all| all.first())
        .and_then(|slot| slot["number"].as_u64()))
}

/// The days on which the last site has no slots: those of a day are imported all at once.
async fn days_without_slots(
    public: &Client,
    files: &SampleFiles,
    days: &[jiff::civil::Date],
) -> Result<Vec<jiff::civil::Date>, SampleError> {
    let Some(site) = files.last_site()? else { return Ok(days.to_vec()) };
    let mut missing = Vec::new();
    for date in days {
        let path = format!("/v1/periods/{SAMPLE_PERIOD}/slots?site={site}&date={date}");
        let has_slots = match get(public, &path).await {
            Ok(slots) => slots["slots"].as_array().is_some_and(|all| !all.is_empty()),
            Err(SampleError::Call(CallError::Refused { status: 404 | 422, .. })) => false,
            Err(error) => return Err(error),
        };
        if !has_slots {
            missing.push(*date);
        }
    }
    Ok(missing)
}

/// Whether the window of the sample period has closed.
async fn has_closed(public: &Client) -> Result<bool, SampleError> {
    Ok(get(public, &format!("/v1/periods/{SAMPLE_PERIOD}")).await?["state"] == "closed")
}

/// Every sample person whom a category takes registers an intent, as a citizen would.
async fn register_people(public: &Client, files: &SampleFiles) -> Result<(), SampleError> {
    let (county, district) = SAMPLE_REGION;
    for (place, person) in files.people()?.into_iter().enumerate() {
        let body = person.identity_body().to_string();
        let answer = public
            .call(Method::POST, "/v1/identity", "application/json", body, &[])
            .await
            .map_err(SampleError::Call)?;
        let session: Value = serde_json::from_slice(&answer).map_err(SampleError::answer)?;
        if session["has_intent"] == json!(true) {
            continue;
        }
        let token = format!("Bearer {}", session["token"].as_str().unwrap_or(""));
        let intent = json!({
            "name": format!("示範民眾{:02}", place + 1),
            "phone": format!("09000000{:02}", place),
            "county": county, "district": district,
            "vaccines": ["AZ", "Moderna"], "language": "zh-TW",
        });
        let headers = [("authorization", token.as_str()), ("prefer", "wait=10")];
        let sent = public
            .call(Method::POST, "/v1/intents", "application/json", intent.to_string(), &headers)
            .await;
        match sent {
            // People too young for the category stay without an intent: worth looking at, too.
            Ok(_) | Err(CallError::Refused { status: 409, .. }) => {}
            Err(error) => return Err(SampleError::Call(error)),
        }
    }
    Ok(())
}

async fn put(operator: &Client, path: &str, body: &Value) -> Result<(), SampleError> {
    let sent = operator.call(Method::PUT, path, "application/json", body.to_string(), &[]).await;
    sent.map(|_| ()).map_err(SampleError::Call)
}

async fn import(operator: &Client, path: &str, csv: String) -> Result<(), SampleError> {
    let sent = operator.call(Method::POST, path, "text/csv", csv, &[]).await;
    sent.map(|_| ()).map_err(SampleError::Call)
}

async fn get(client: &Client, path: &str) -> Result<Value, SampleError> {
    let answer = client
        .call(Method::GET, path, "application/json", "", &[])
        .await
        .map_err(SampleError::Call)?;
    serde_json::from_slice(&answer).map_err(SampleError::answer)
}
