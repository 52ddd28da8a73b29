//! One documented call, and how it becomes part of the document.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    Content, HeaderBuilder, Paths, Ref, RefOr, Required, ResponseBuilder, Server,
};

use super::schema::Problem;
use crate::problem::Slug;

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Everyone.
    Everyone,
    /// Everyone; a citizen's token makes the answer personal.
    EveryoneOrCitizen,
    /// A citizen with a token.
    Citizen,
    /// An operator with a token.
    Operator,
}

/// One call.
pub(super) struct Call {
    path: &'static str,
    method: HttpMethod,
    id: &'static str,
    tag: &'static str,
    who: Who,
    server: Option<Server>,
    summary: &'static str,
    description: String,
    parameters: Vec<Parameter>,
    body: Vec<(&'static str, RefOr<Schema>)>,
    answers: Vec<Answer>,
    problems: Vec<Slug>,
    schemas: Vec<(String, RefOr<Schema>)>,
}

/// One good answer.
struct Answer {
    status: u16,
    text: &'static str,
    content: Option<(&'static str, Option<RefOr<Schema>>)>,
    headers: &'static [(&'static str, &'static str)],
}

/// Headers of answers that caches may keep.
const CACHED: &[(&str, &str)] = &[
    ("ETag", "A strong name of exactly these bytes; send it back as `If-None-Match`."),
    ("Cache-Control", "How long a cache may keep the answer."),
];

impl Call {
    pub(super) fn new(
        tag: &'static str,
        method: HttpMethod,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Call {
        Call {
            path,
            method,
            id,
            tag,
            who: Who::Everyone,
            server: None,
            summary,
            description: String::new(),
            parameters: Vec::new(),
            body: Vec::new(),
            answers: Vec::new(),
            problems: Vec::new(),
            schemas: Vec::new(),
        }
    }

    pub(super) fn who(mut self, who: Who) -> Call {
        self.who = who;
        match who {
            Who::Everyone => {}
            Who::EveryoneOrCitizen | Who::Citizen => {
                self.problems.extend([Slug::NotAuthenticated, Slug::TokenExpired]);
            }
            Who::Operator => {
                let slugs = [Slug::NotAuthenticated, Slug::TokenExpired, Slug::NotPermitted];
                self.problems.extend(slugs);
            }
        }
        self
    }

    pub(super) fn server(mut self, server: Server) -> Call {
        self.server = Some(server);
        self
    }

    pub(super) fn says(mut self, text: impl Into<String>) -> Call {
        self.description = text.into();
        self
    }

    pub(super) fn parameter(mut self, parameter: Parameter) -> Call {
        self.parameters.push(parameter);
        self
    }

    pub(super) fn json_body<T: ToSchema>(mut self) -> Call {
        let reference = self.reference::<T>();
        self.body.push(("application/json", reference));
        self.problems.extend([Slug::UnsupportedMediaType, Slug::MalformedJson]);
        self.problems.extend([Slug::InvalidFields, Slug::TooLarge, Slug::SlowRequest]);
        self
    }

    pub(super) fn csv_body(mut self, columns: &[&str]) -> Call {
        let text = format!("Columns, in any order: `{}`.", columns.join(","));
        self.body.push(("text/csv", text_schema(Some(text))));
        self.problems.extend([Slug::UnsupportedMediaType, Slug::InvalidRows]);
        self.problems.extend([Slug::TooLarge, Slug::SlowRequest]);
        self
    }

    pub(super) fn answer<T: ToSchema>(mut self, status: u16, text: &'static str) -> Call {
        let schema = Some(self.reference::<T>());
        let content = Some(("application/json", schema));
        self.answers.push(Answer { status, text, content, headers: &[] });
        self
    }

    /// An answer for everyone, which caches may keep.
    pub(super) fn cached<T: ToSchema>(self, text: &'static str) -> Call {
        let mut call = self.answer::<T>(200, text);
        if let Some(answer) = call.answers.last_mut() {
            answer.headers = CACHED;
        }
        let text = "The caller has these bytes already.";
        call.answers.push(Answer { status: 304, text, content: None, headers: CACHED });
        call
    }

    pub(super) fn text_answer(mut self, kind: &'static str, text: &'static str) -> Call {
        let content = Some((kind, Some(text_schema(None))));
        self.answers.push(Answer { status: 200, text, content, headers: &[] });
        self
    }

    pub(super) fn problems(mut self, slugs: &[Slug]) -> Call {
        self.problems.extend_from_slice(slugs);
        self
    }

    /// The schemas that its bodies refer to.
    pub(super) fn schemas(&self) -> Vec<(String, RefOr<Schema>)> {
        self.schemas.clone()
    }

    fn reference<T: ToSchema>(&mut self) -> RefOr<Schema> {
        T::schemas(&mut self.schemas);
        self.schemas.push((T::name().into_owned(), T::schema()));
        RefOr::Ref(Ref::from_schema_name(T::name()))
    }

    /// Adds the call to the document.
    pub(super) fn add_to(self, paths: &mut Paths) {
        let mut operation = OperationBuilder::new()
            .tag(self.tag)
            .operation_id(Some(self.id))
            .summary(Some(self.summary));
        if !self.description.is_empty() {
            operation = operation.description(Some(self.description));
        }
        for parameter in self.parameters {
            operation = operation.parameter(parameter);
        }
        if !self.body.is_empty() {
            let mut body = RequestBodyBuilder::new().required(Some(Required::True));
            for (kind, schema) in self.body {
                body = body.content(kind, Content::new(Some(schema)));
            }
            operation = operation.request_body(Some(body.build()));
        }
        for answer in self.answers {
            operation = operation.response(answer.status.to_string(), answer.build());
        }
        for (status, slugs) in by_status(&self.problems) {
            operation = operation.response(status.to_string(), problem(&slugs));
        }
        operation = operation.response("default", problem(&[]));
        for requirement in requirements(self.who) {
            operation = operation.security(requirement);
        }
        if let Some(server) = self.server {
            operation = operation.server(server);
        }
        paths.add_path_operation(self.path, vec![self.method], operation.build());
    }
}

impl Answer {
    fn build(self) -> utoipa::openapi::Response {
        let mut response = ResponseBuilder::new().description(self.text);
        if let Some((kind, schema)) = self.content {
            response = response.content(kind, Content::new(schema));
        }
        for (name, text) in self.headers {
            let header = HeaderBuilder::new().description(Some(*text));
            response = response.header(*name, header.schema(Some(text_schema(None))).build());
        }
        response.build()
    }
}

/// The security requirements: an empty one means that no token is needed.
fn requirements(who: Who) -> Vec<SecurityRequirement> {
    let none = SecurityRequirement::default;
    let citizen = || SecurityRequirement::new("citizen", Vec::<String>::new());
    match who {
        Who::Everyone => vec![none()],
        Who::EveryoneOrCitizen => vec![none(), citizen()],
        Who::Citizen => vec![citizen()],
        Who::Operator => vec![SecurityRequirement::new("operator", Vec::<String>::new())],
    }
}

/// Slugs by status, each once.
fn by_status(slugs: &[Slug]) -> BTreeMap<u16, Vec<Slug>> {
    let mut map: BTreeMap<u16, Vec<Slug>> = BTreeMap::new();
    for slug in slugs {
        let list = map.entry(slug.status().as_u16()).or_default();
        if !list.contains(slug) {
            list.push(*slug);
        }
    }
    map
}

/// A problem's answer; without slugs it stands for every other.
fn problem(slugs: &[Slug]) -> utoipa::openapi::Response {
    let names: Vec<String> = slugs.iter().map(|slug| format!("`{}`", slug.name())).collect();
    let text = match names.is_empty() {
        true => "Any other problem.".to_owned(),
        false => names.join(", "),
    };
    let schema = RefOr::Ref(Ref::from_schema_name(Problem::name()));
    let mut response = ResponseBuilder::new()
        .description(text)
        .content("application/problem+json", Content::new(Some(schema)));
    let waits = slugs.iter().any(|slug| matches!(slug.status().as_u16(), 425 | 429 | 503));
    if waits || slugs.is_empty() {
        let text = "Seconds after which to come back, where coming back helps.";
        let header = HeaderBuilder::new().description(Some(text));
        let number = ObjectBuilder::new().schema_type(Type::Integer);
        let schema: RefOr<Schema> = Schema::from(number).into();
        response = response.header("Retry-After", header.schema(Some(schema)).build());
    }
    response.build()
}

/// A plain text.
pub(super) fn text_schema(description: Option<String>) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).description(description);
    Schema::from(text).into()
}

fn parameter(
    place: ParameterIn,
    name: &str,
    required: bool,
    schema: ObjectBuilder,
    text: &str,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(if required { Required::True } else { Required::False })
        .schema(Some(Schema::from(schema)))
        .description(Some(text))
        .build()
}

/// A number in the path.
pub(super) fn path_number(name: &str, text: &str) -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    parameter(ParameterIn::Path, name, true, schema, text)
}

/// A name in the path.
pub(super) fn path_text(name: &str, text: &str) -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    parameter(ParameterIn::Path, name, true, schema, text)
}

/// A text in the query.
pub(super) fn query_text(name: &str, required: bool, text: &str) -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    parameter(ParameterIn::Query, name, required, schema, text)
}

/// A day in the query.
pub(super) fn query_day(name: &str, required: bool, text: &str) -> Parameter {
    let format = SchemaFormat::KnownFormat(KnownFormat::Date);
    let schema = ObjectBuilder::new().schema_type(Type::String).format(Some(format));
    parameter(ParameterIn::Query, name, required, schema, text)
}

/// A number in the query.
pub(super) fn query_number(
    name: &str,
    required: bool,
    least: u64,
    most: u64,
    text: &str,
) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(least as f64))
        .maximum(Some(most as f64));
    parameter(ParameterIn::Query, name, required, schema, text)
}

/// `true` or `false` in the query.
pub(super) fn query_flag(name: &str, text: &str) -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::Boolean);
    parameter(ParameterIn::Query, name, false, schema, text)
}

/// A header field.
pub(super) fn header(name: &str, required: bool, text: &str) -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    parameter(ParameterIn::Header, name, required, schema, text)
}
