//! B1, R2, R3: proving who one is.
//!
//! Unknown people and wrong documents get the same answer after the same work, and not before the same
//! time: a look-up that finds nothing is quicker than one that does.

use std::time::Duration;

use domain::PersonKey;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use serde_json::json;
use tokio::time::Instant;
use vault::TokenClaims;

use crate::body;
use crate::context::now;
use crate::core::Core;
use crate::identity::{Claim, Failure, Proven, method};
use crate::import::json::{self as strict, Fields, Node};
use crate::problem::{Problem, Slug};
use crate::reply::{Reply, private_value};
use crate::text::instant;

/// `POST /v1/identity`
pub(crate) async fn post(core: &Core, head: &Parts, body: Incoming) -> Result<Reply, Problem> {
    body::expect_type(&head.headers, "application/json")?;
    let bytes = body::read(body, core.allowance()).await?;
    let claim = strict::read(&bytes, |node, errors| {
        let mut fields = Fields::of(node, "", errors)?;
        let name = match fields.required("method", errors) {
            Some((_, Node::Text(name))) => name.as_str(),
            Some((pointer, _)) => {
                errors.push(pointer, crate::import::Reason::WrongType);
                return None;
            }
            None => "document",
        };
        // An unknown method is a problem of its own, whatever its fields are.
        let Some(method) = method(name) else {
            return Some(None);
        };
        let claim = method.read(&mut fields, errors);
        fields.finish(errors);
        claim.map(Some)
    });
    let claim = claim.map_err(Problem::body)?.ok_or(Slug::IdentityMethodUnsupported)?;
    let came_at = Instant::now();
    let proven = match prove(core, &*claim).await {
        Ok(proven) => proven,
        Err(problem) => {
            let wait = Duration::from_millis(core.context.config.identity.failure_answer_ms);
            tokio::time::sleep_until(came_at + wait).await;
            return Err(problem);
        }
    };
    // Whether the person holds an intent is their own read; a view that is behind delays nobody's
    // login for good.
    let _ = core.view_reached(0).await;
    Ok(welcome(core, &proven))
}

/// Checks the claim, counting failures per ID number. Before a person is refused, the roster has read what
/// other gateways imported until they came.
async fn prove(core: &Core, claim: &dyn Claim) -> Result<Proven, Problem> {
    let context = &core.context;
    let id = claim.attempt_key(&context.vault);
    if let Err(left_s) = context.failures.may_try(&id) {
        return Err(Problem::from(Slug::TooManyFailures).retry_after_s(left_s));
    }
    let seen = context.roster.progress().borrow().position;
    let mut proven = claim.prove(&context.vault, &*context.roster);
    if matches!(proven, Err(Failure::NotConfirmed)) {
        // Counted before the wait: who tries often at once gains no more tries.
        context.failures.fail(&id);
        if context.roster_end.reached(context, seen).await {
            proven = claim.prove(&context.vault, &*context.roster);
        }
    }
    match proven {
        Ok(proven) => {
            context.failures.succeed(&id);
            Ok(proven)
        }
        Err(Failure::NotConfirmed) => Err(Slug::IdentityNotConfirmed.into()),
        Err(Failure::Unavailable(why)) => {
            tracing::error!(reason = %why, "identity cannot be checked");
            Err(Problem::from(Slug::CatchingUp).retry_after_s(core.retry_after_s()))
        }
    }
}

/// 201 with a token.
fn welcome(core: &Core, proven: &Proven) -> Reply {
    let context = &core.context;
    let person = PersonKey(proven.person.0);
    let (number, has_intent, seen) = {
        let view = context.view.read();
        let number = view.person_number(&person);
        let has_intent = number.is_some_and(|number| view.intent(number).is_some());
        (number, has_intent, view.sequence())
    };
    let lifetime_s = context.config.identity.token_lifetime_s;
    let now_s = u64::try_from(now().0 / 1_000).unwrap_or(0);
    let expires_at_s = now_s.saturating_add(lifetime_s);
    let claims = TokenClaims {
        person: person.0,
        number: number.map(|number| number.0),
        seen_sequence: seen.0,
        expires_at_s,
        sealed_id: context.vault.seal_id(&person.0, &proven.id_number),
    };
    let expires_at = i64::try_from(expires_at_s.saturating_mul(1_000)).unwrap_or(i64::MAX);
    let body = json!({
        "token": context.vault.mint_token(&claims),
        "expires_at": instant(domain::Millis(expires_at)),
        "person": { "id_number": domain::identity::masked(proven.id_number.expose()) },
        "has_intent": has_intent,
    });
    private_value(StatusCode::CREATED, &body)
}
