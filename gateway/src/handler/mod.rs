//! From request to reply: one file per thing a person does.
//!
//! A handler gives a reply or a [`Problem`]; the problem is worded here, in the caller's language. What
//! this module does not do: sockets, limits of the header (`server`, `connection`).

pub(crate) mod booking;
mod home;
mod identity;
mod intent;
mod my_booking;
mod my_intent;
mod periods;
mod places;
mod request;
mod words;

use std::net::{IpAddr, SocketAddr};

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, Request};

use crate::core::Core;
use crate::i18n::Language;
use crate::problem::{Problem, Slug};
use crate::reply::Reply;
use crate::route::Route;
use crate::server::Listener;
use crate::{openapi, operator};

/// Handles a request of either listener.
pub(crate) async fn answer(
    core: &Core,
    listener: Listener,
    from: SocketAddr,
    request: Request<Incoming>,
) -> Reply {
    core.count_request();
    let (head, body) = request.into_parts();
    match listener {
        Listener::Public => public(core, from, &head, body).await,
        Listener::Operator => Box::pin(operator::answer(core, &head, body)).await,
    }
}

async fn public(core: &Core, from: SocketAddr, head: &Parts, body: Incoming) -> Reply {
    let route = Route::find(head.uri.path());
    let result = match route {
        None => Err(Slug::NotFound.into()),
        Some(route) if !route.takes(&head.method) => {
            Err(Problem::from(Slug::MethodNotAllowed).allow(route.allow()))
        }
        Some(route) => match check_address(core, from.ip()) {
            Err(problem) => Err(problem),
            // The one call that comes by the hundred thousand is not boxed.
            Ok(()) if route == Route::Bookings => booking::post(core, head, body).await,
            Ok(()) => Box::pin(dispatch(core, route, head, body)).await,
        },
    };
    let reply = result.unwrap_or_else(|problem| worded(core, head, problem));
    core.counters.answered(route.map(Route::place), reply.status());
    reply
}

/// Words a problem in the caller's language.
pub(crate) fn worded(core: &Core, head: &Parts, problem: Problem) -> Reply {
    problem.into_reply(Language::of(&head.headers), &core.request_id())
}

async fn dispatch(
    core: &Core,
    route: Route<'_>,
    head: &Parts,
    body: Incoming,
) -> Result<Reply, Problem> {
    match (route, &head.method) {
        (Route::Home, _) => home::home(core, head),
        (Route::Regions, _) => Ok(home::regions(head)),
        (Route::Identity, _) => identity::post(core, head, body).await,
        (Route::Intents, _) => intent::post(core, head, body).await,
        (Route::MyIntent, &Method::PUT) => intent::put(core, head, body).await,
        (Route::MyIntent, &Method::DELETE) => my_intent::delete(core, head).await,
        (Route::MyIntent, _) => my_intent::get(core, head).await,
        (Route::Periods, _) => periods::list(core, head).await,
        (Route::Period(number), _) => periods::one(core, head, number).await,
        (Route::Sites(number), _) => places::sites(core, head, number),
        (Route::Slots(number), _) => places::slots(core, head, number),
        (Route::Bookings, _) => booking::post(core, head, body).await,
        (Route::MyBooking, &Method::PUT) => booking::put(core, head, body).await,
        (Route::MyBooking, &Method::DELETE) => my_booking::delete(core, head).await,
        (Route::MyBooking, _) => my_booking::get(core, head).await,
        (Route::Request(receipt), _) => request::get(core, head, receipt).await,
        (Route::OpenApi, _) => Ok(openapi::document(head)),
        (Route::Docs, _) => Ok(openapi::page(head)),
    }
}

/// Counts a request of a client address.
fn check_address(core: &Core, address: IpAddr) -> Result<(), Problem> {
    let rates = &core.context.address_rates;
    let taken = match address.to_canonical() {
        IpAddr::V4(address) => rates.take(&address.octets()),
        // A household has a /64 of its own.
        IpAddr::V6(address) => rates.take(&address.octets()[..8]),
    };
    taken.map_err(Problem::too_many)
}

/// Answers about what is announced wait until the view knows all there was at the start.
///
/// # Errors
/// 503.
fn expect_caught_up(core: &Core) -> Result<(), Problem> {
    if core.context.view.is_caught_up() {
        return Ok(());
    }
    Err(Problem::from(Slug::CatchingUp).retry_after_s(core.retry_after_s()))
}
