//! The contract as the code has it: an OpenAPI 3.1 document, and a page made from it for reading.
//!
//! Bodies are derived from the structs that answers are made from, or that the tests read every kind
//! of answer with (`schema`); calls stand in one table a listener (`public`, `operator`), which a test
//! compares with the routes. Both listeners serve both parts. The page needs nothing from any network.
//!
//! What this module deliberately does not do: decide what a call does.

mod call;
mod operator;
mod page;
mod public;
mod schema;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use hyper::http::request::Parts;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::server::{ServerBuilder, ServerVariableBuilder};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Server};

use crate::reply::{HTML, JSON, Prepared, Reply};

/// The document changes with a release, not in between.
const AGE_S: u32 = 300;

/// The page loads nothing and runs nothing.
const PAGE_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'");

/// What the document says of itself.
const DESCRIPTION: &str = "Vaccine booking with a queue: requests are decided in the order in which \
they were durably accepted, and every accepted request has exactly one outcome.\n\n\
Times are RFC 3339; answers carry the offset +08:00, requests may carry any. Errors are RFC 9457 \
problems with a stable `type`; their words follow `Accept-Language` (zh-TW, en, ja, id).\n\n\
A write may be sent again with the same `Idempotency-Key`: it never counts twice, and gets the answer \
of the first.";

/// `GET /openapi.json`
pub(crate) fn document(head: &Parts) -> Reply {
    static DOCUMENT: LazyLock<Prepared> = LazyLock::new(|| Prepared::new(json()));
    DOCUMENT.reply(&head.headers, JSON, AGE_S, false)
}

/// `GET /docs`
pub(crate) fn page(head: &Parts) -> Reply {
    static PAGE: LazyLock<Prepared> = LazyLock::new(|| {
        let document = serde_json::from_str(&json()).unwrap_or_default();
        Prepared::new(page::render(&document))
    });
    let mut reply = PAGE.reply(&head.headers, HTML, AGE_S, false);
    reply.headers_mut().insert(CONTENT_SECURITY_POLICY, PAGE_POLICY);
    reply
}

/// The document as text.
fn json() -> String {
    // Every part of it is text, number or list: it can always be written as JSON.
    build().to_pretty_json().unwrap_or_default()
}

/// The whole document.
fn build() -> OpenApi {
    let mut components = ComponentsBuilder::new()
        .schemas_from_iter(schema::all())
        .security_scheme("citizen", bearer("Token of `POST /v1/identity`."))
        .security_scheme(
            "operator",
            bearer(
                "Token of `slotline admin operator-token`, holding the role that the call names.",
            ),
        );
    let mut paths = Paths::new();
    for call in public::calls().into_iter().chain(operator::calls()) {
        components = components.schemas_from_iter(call.schemas());
        call.add_to(&mut paths);
    }
    let tag = |name, text| TagBuilder::new().name(name).description(Some(text)).build();
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Slotline")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(DESCRIPTION))
                .build(),
        )
        .servers(Some([public_server()]))
        .tags(Some([
            tag(public::TAG, "The public listener: what citizens and frontends call."),
            tag(
                operator::TAG,
                "The operator listener: rules, imports, attendance, figures, health.",
            ),
        ]))
        .components(Some(components.build()))
        .paths(paths)
        .build()
}

fn bearer(text: &str) -> SecurityScheme {
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text));
    SecurityScheme::Http(scheme.build())
}

fn public_server() -> Server {
    server("The public listener.", "127.0.0.1:1922")
}

fn operator_server() -> Server {
    server("The operator listener.", "127.0.0.1:1923")
}

fn server(text: &str, address: &str) -> Server {
    let variable = ServerVariableBuilder::new()
        .default_value(address)
        .description(Some("Host and port of the listener."));
    ServerBuilder::new()
        .url("http://{address}")
        .description(Some(text))
        .parameter("address", variable)
        .build()
}
