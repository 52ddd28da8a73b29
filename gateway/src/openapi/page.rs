//! The document as one page of plain HTML: no script, nothing loaded.

use std::fmt::Write as _;

use serde_json::Value;

/// How deep a schema is written out before it is only named.
const DEPTH_MAX: usize = 6;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;color:#1b1b1b;background:#fff}\
h1,h2,h3{line-height:1.2}h3{border-top:1px solid #ccc;padding-top:1rem}code,pre{font:14px/1.4 ui-monospace,monospace;background:#f3f3f3}\
pre{padding:.5rem;overflow:auto}code{padding:0 .2rem}table{border-collapse:collapse;width:100%}td,th{border:1px solid #ccc;padding:.3rem;text-align:left;vertical-align:top}\
.m{display:inline-block;min-width:4.5rem;font-weight:bold}nav ul{list-style:none;padding:0}\
@media(prefers-color-scheme:dark){body{background:#161616;color:#eee}code,pre{background:#2a2a2a}a{color:#8ab4ff}td,th{border-color:#555}}";

/// The page.
pub(super) fn render(document: &Value) -> String {
    let mut out = String::with_capacity(128 * 1024);
    let info = &document["info"];
    let title = format!("{} {}", text(&info["title"]), text(&info["version"]));
    out.push_str("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width\">");
    let _ = write!(out, "<title>{title}</title><style>{STYLE}</style></head><body>");
    let _ = write!(out, "<h1>{title}</h1>{}", paragraphs(&info["description"]));
    out.push_str("<p><a href=\"/openapi.json\">OpenAPI document</a></p>");
    let calls = calls(document);
    let tags = document["tags"].as_array().map_or(&[][..], Vec::as_slice);
    out.push_str("<nav>");
    for tag in tags {
        let _ =
            write!(out, "<h2>{}</h2>{}<ul>", text(&tag["name"]), paragraphs(&tag["description"]));
        for call in calls.iter().filter(|call| call.operation["tags"][0] == tag["name"]) {
            let (id, summary) =
                (text(&call.operation["operationId"]), text(&call.operation["summary"]));
            let _ = write!(out, "<li><a href=\"#{id}\">{}</a> {summary}</li>", call.title());
        }
        out.push_str("</ul>");
    }
    out.push_str("</nav><main>");
    calls.iter().for_each(|call| push_call(call, &mut out));
    out.push_str("<h2>Bodies</h2>");
    if let Some(schemas) = document["components"]["schemas"].as_object() {
        for (name, schema) in schemas {
            push_schema(name, schema, &mut out);
        }
    }
    out.push_str("</main></body></html>");
    out
}

/// One call of the document.
struct Call<'d> {
    path: &'d str,
    method: &'d str,
    operation: &'d Value,
}

impl Call<'_> {
    fn title(&self) -> String {
        let method = self.method.to_uppercase();
        format!("<span class=\"m\">{method}</span> <code>{}</code>", escaped(self.path))
    }
}

fn calls(document: &Value) -> Vec<Call<'_>> {
    let paths = document["paths"].as_object();
    let items = paths.into_iter().flatten().flat_map(|(path, item)| {
        let operations = item.as_object().into_iter().flatten();
        operations.map(move |(method, operation)| Call { path, method, operation })
    });
    items.filter(|call| call.operation.get("responses").is_some()).collect()
}

fn push_call(call: &Call<'_>, out: &mut String) {
    let operation = call.operation;
    let _ = write!(out, "<h3 id=\"{}\">{}</h3>", text(&operation["operationId"]), call.title());
    let _ = write!(out, "<p><strong>{}</strong></p>", text(&operation["summary"]));
    out.push_str(&paragraphs(&operation["description"]));
    let schemes: Vec<String> = operation["security"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|scheme| {
            scheme
                .as_object()
                .and_then(|one| one.keys().next())
                .map_or("none".to_owned(), |name| escaped(name))
        })
        .collect();
    let _ = write!(out, "<p>Token: {}</p>", schemes.join(" or "));
    if let Some(parameters) = operation["parameters"].as_array() {
        out.push_str("<table><tr><th>parameter</th><th>in</th><th>required</th><th></th></tr>");
        for parameter in parameters {
            let required = if parameter["required"] == true { "yes" } else { "" };
            let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
            let words = text(&parameter["description"]);
            let _ = write!(
                out,
                "<tr><td><code>{name}</code></td><td>{place}</td><td>{required}</td><td>{words}</td></tr>"
            );
        }
        out.push_str("</table>");
    }
    push_content("Body", &operation["requestBody"]["content"], out);
    out.push_str("<table><tr><th>answer</th><th></th><th>body</th></tr>");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let bodies = contents(&response["content"]).join(", ");
        let words = text(&response["description"]);
        let _ =
            write!(out, "<tr><td>{}</td><td>{words}</td><td>{bodies}</td></tr>", escaped(status));
    }
    out.push_str("</table>");
}

fn push_content(title: &str, content: &Value, out: &mut String) {
    let all = contents(content);
    if !all.is_empty() {
        let _ = write!(out, "<p>{title}: {}</p>", all.join(" or "));
    }
    for (_, media) in content.as_object().into_iter().flatten() {
        out.push_str(&paragraphs(&media["schema"]["description"]));
    }
}

/// Content types with links to their bodies.
fn contents(content: &Value) -> Vec<String> {
    let all = content.as_object().into_iter().flatten();
    all.map(|(kind, media)| {
        let name = shape(&media["schema"], 0);
        format!("<code>{}</code> {name}", escaped(kind))
    })
    .collect()
}

fn push_schema(name: &str, schema: &Value, out: &mut String) {
    let name = escaped(name);
    let _ = write!(out, "<h3 id=\"body-{name}\">{name}</h3>{}", paragraphs(&schema["description"]));
    let Some(properties) = schema["properties"].as_object() else {
        let _ = write!(out, "<p>{}</p>", shape(schema, 0));
        return;
    };
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    out.push_str("<table><tr><th>field</th><th>type</th><th>required</th><th></th></tr>");
    for (field, property) in properties {
        let must = if required.iter().any(|name| name == field) { "yes" } else { "" };
        let words = words_of(property);
        let _ = write!(
            out,
            "<tr><td><code>{}</code></td><td>{}</td><td>{must}</td><td>{words}</td></tr>",
            escaped(field),
            shape(property, 0)
        );
    }
    out.push_str("</table>");
}

/// What a field means; where it may be null, the words stand beside the reference.
pub(super) fn words_of(property: &Value) -> String {
    let own = text(&property["description"]);
    let parts = property["oneOf"].as_array().into_iter().flatten();
    let inner = || parts.map(|part| text(&part["description"])).find(|words| !words.is_empty());
    if own.is_empty() { inner().unwrap_or_default() } else { own }
}

/// What a schema is, in a few words, with links.
fn shape(schema: &Value, depth: usize) -> String {
    if depth > DEPTH_MAX {
        return "…".to_owned();
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let name = escaped(reference.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#body-{name}\">{name}</a>");
    }
    for (keyword, word) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        if let Some(all) = schema[keyword].as_array() {
            let all: Vec<String> = all.iter().map(|one| shape(one, depth + 1)).collect();
            return all.join(word);
        }
    }
    let kinds: Vec<String> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect(),
        kind => vec![text(kind)],
    };
    let mut words = kinds.join(" or ");
    if let Some(properties) = schema["properties"].as_object() {
        let fields: Vec<String> = properties
            .iter()
            .map(|(name, one)| format!("<code>{}</code>: {}", escaped(name), shape(one, depth + 1)))
            .collect();
        let _ = write!(words, " {{ {} }}", fields.join(", "));
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> =
            values.iter().map(|value| format!("<code>{}</code>", text(value))).collect();
        let _ = write!(words, " ({})", values.join(", "));
    }
    if schema["items"].is_object() {
        let _ = write!(words, " of {}", shape(&schema["items"], depth + 1));
    }
    if let Some(format) = schema["format"].as_str() {
        let _ = write!(words, " ({})", escaped(format));
    }
    if !schema["example"].is_null() {
        let _ = write!(words, ", e.g. <code>{}</code>", text(&schema["example"]));
    }
    words
}

/// A text of the document, with its `code` marked.
fn text(value: &Value) -> String {
    let plain = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut out = String::with_capacity(plain.len());
    for (place, part) in plain.split('`').enumerate() {
        let part = escaped(part);
        if place % 2 == 1 {
            let _ = write!(out, "<code>{part}</code>");
        } else {
            out.push_str(&part);
        }
    }
    out
}

fn paragraphs(value: &Value) -> String {
    let Some(plain) = value.as_str() else { return String::new() };
    let parts = plain.split("\n\n").map(|part| format!("<p>{}</p>", text(&Value::from(part))));
    parts.collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
