//! Strict JSON: a key twice, an unknown key or a wrong type is an error with its pointer.
//!
//! A body is first read into a small tree (`serde_json` does the reading), then field by field, so that
//! one answer names every fault. What this module does not do: speed; it serves rare operator calls.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::cell::words_fault;
use super::error::{BodyError, Reason};

/// Objects and lists within each other.
pub const DEPTH_MAX: usize = 8;

/// Errors named in one answer.
const ERRORS_MAX: usize = 100;

/// One JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without fraction that fits.
    Integer(i64),
    /// Any other number.
    OtherNumber,
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in the order given, each key once.
    Object(Vec<(String, Node)>),
}

/// The faults of one body.
#[derive(Debug, Default)]
pub struct BodyErrors(Vec<BodyError>);

impl BodyErrors {
    /// Notes a fault; beyond a bound they are not kept.
    pub fn push(&mut self, pointer: impl Into<String>, reason: Reason) {
        if self.0.len() < ERRORS_MAX {
            self.0.push(BodyError { pointer: pointer.into(), reason });
        }
    }
}

/// Reads a body with `fill`, which notes what is wrong and gives the value when it can.
///
/// # Errors
/// All that is wrong, with pointers.
pub fn read<T>(
    bytes: &[u8],
    fill: impl FnOnce(&Node, &mut BodyErrors) -> Option<T>,
) -> Result<T, Vec<BodyError>> {
    let faults = RefCell::new(BodyErrors::default());
    let node = parse(bytes, &faults);
    let mut errors = faults.into_inner();
    let value = match node {
        Ok(node) => fill(&node, &mut errors),
        Err(reason) => {
            errors.push("", reason);
            None
        }
    };
    match value {
        Some(value) if errors.0.is_empty() => Ok(value),
        _ => Err(errors.0),
    }
}

/// The body as a tree; keys that stand twice are noted, and the first one is kept.
fn parse(bytes: &[u8], faults: &RefCell<BodyErrors>) -> Result<Node, Reason> {
    if std::str::from_utf8(bytes).is_err() {
        return Err(Reason::NotUtf8);
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let seed = NodeSeed { pointer: String::new(), depth: 0, faults };
    let node = seed.deserialize(&mut reader).and_then(|node| reader.end().map(|()| node));
    node.map_err(|error| match error.is_data() {
        true => Reason::TooDeep { depth_max: DEPTH_MAX as u64 },
        false => Reason::NotJson { line: error.line() as u64, column: error.column() as u64 },
    })
}

/// One reference token of a pointer, escaped (RFC 6901) and bounded, since it may be the client's own.
fn token(key: &str) -> String {
    let short: String = key.chars().filter(|character| !character.is_control()).take(64).collect();
    short.replace('~', "~0").replace('/', "~1")
}

struct NodeSeed<'e> {
    pointer: String,
    depth: usize,
    faults: &'e RefCell<BodyErrors>,
}

impl NodeSeed<'_> {
    fn child(&self, token: &str) -> NodeSeed<'_> {
        let pointer = format!("{}/{token}", self.pointer);
        NodeSeed { pointer, depth: self.depth + 1, faults: self.faults }
    }
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(i64::try_from(value).map_or(Node::OtherNumber, Node::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::OtherNumber)
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        if self.depth >= DEPTH_MAX {
            return Err(A::Error::custom("too deep"));
        }
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element_seed(self.child(&nodes.len().to_string()))? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        if self.depth >= DEPTH_MAX {
            return Err(A::Error::custom("too deep"));
        }
        let mut entries: Vec<(String, Node)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let child = self.child(&token(&key));
            let pointer = child.pointer.clone();
            let node = map.next_value_seed(child)?;
            if entries.iter().any(|(known, _)| *known == key) {
                self.faults.borrow_mut().push(pointer, Reason::Repeated);
                continue;
            }
            entries.push((key, node));
        }
        Ok(Node::Object(entries))
    }
}

/// The fields of one object, taken one by one; what is left at the end is unknown.
pub struct Fields<'n> {
    pointer: String,
    entries: Vec<(&'n str, &'n Node)>,
}

impl<'n> Fields<'n> {
    /// The fields, when the node is an object.
    pub fn of(node: &'n Node, pointer: &str, errors: &mut BodyErrors) -> Option<Fields<'n>> {
        let Node::Object(entries) = node else {
            errors.push(pointer, Reason::WrongType);
            return None;
        };
        let entries = entries.iter().map(|(key, node)| (key.as_str(), node)).collect();
        Some(Fields { pointer: pointer.to_owned(), entries })
    }

    /// Takes a field that may be absent or null.
    pub fn optional(&mut self, key: &str) -> Option<(String, &'n Node)> {
        let place = self.entries.iter().position(|(known, _)| *known == key)?;
        let (_, node) = self.entries.swap_remove(place);
        (*node != Node::Null).then(|| (format!("{}/{key}", self.pointer), node))
    }

    /// Takes a field that must be there.
    pub fn required(&mut self, key: &str, errors: &mut BodyErrors) -> Option<(String, &'n Node)> {
        let found = self.optional(key);
        if found.is_none() {
            errors.push(format!("{}/{key}", self.pointer), Reason::Required);
        }
        found
    }

    /// Takes a whole number within a range.
    pub fn number(
        &mut self,
        key: &str,
        least: u32,
        most: u32,
        errors: &mut BodyErrors,
    ) -> Option<u32> {
        let (pointer, node) = self.required(key, errors)?;
        number(node, &pointer, least, most, errors)
    }

    /// Takes a text that must be there and that `parse` understands.
    pub fn parsed<T>(
        &mut self,
        key: &str,
        reason: Reason,
        errors: &mut BodyErrors,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let (pointer, node) = self.required(key, errors)?;
        parsed(node, pointer, reason, errors, parse)
    }

    /// Takes a text that may be absent or null; `Some(None)` then.
    pub fn optional_parsed<T>(
        &mut self,
        key: &str,
        reason: Reason,
        errors: &mut BodyErrors,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.optional(key) {
            None => Some(None),
            Some((pointer, node)) => parsed(node, pointer, reason, errors, parse).map(Some),
        }
    }

    /// Takes `true` or `false`; absent or null means false.
    pub fn flag(&mut self, key: &str, errors: &mut BodyErrors) -> Option<bool> {
        match self.optional(key) {
            None => Some(false),
            Some((_, Node::Bool(value))) => Some(*value),
            Some((pointer, _)) => {
                errors.push(pointer, Reason::WrongType);
                None
            }
        }
    }

    /// Notes every field that nobody took.
    pub fn finish(self, errors: &mut BodyErrors) {
        for (key, _) in self.entries {
            errors.push(format!("{}/{}", self.pointer, token(key)), Reason::Unknown);
        }
    }
}

fn parsed<T>(
    node: &Node,
    pointer: String,
    reason: Reason,
    errors: &mut BodyErrors,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let Node::Text(text) = node else {
        errors.push(pointer, Reason::WrongType);
        return None;
    };
    let value = parse(text.as_str());
    if value.is_none() {
        errors.push(pointer, reason);
    }
    value
}

/// A whole number within a range.
pub fn number(
    node: &Node,
    pointer: &str,
    least: u32,
    most: u32,
    errors: &mut BodyErrors,
) -> Option<u32> {
    let Node::Integer(number) = node else {
        errors.push(pointer, Reason::WrongType);
        return None;
    };
    let number = u32::try_from(*number).ok().filter(|number| (least..=most).contains(number));
    if number.is_none() {
        let reason = Reason::OutOfRange { least: u64::from(least), most: u64::from(most) };
        errors.push(pointer, reason);
    }
    number
}

/// A list with a number of entries within a range.
pub fn list<'n>(
    node: &'n Node,
    pointer: &str,
    least: usize,
    most: usize,
    errors: &mut BodyErrors,
) -> Option<&'n [Node]> {
    let Node::List(entries) = node else {
        errors.push(pointer, Reason::WrongType);
        return None;
    };
    if entries.len() < least {
        errors.push(pointer, Reason::EmptyList);
        return None;
    }
    if entries.len() > most {
        errors.push(pointer, Reason::TooManyEntries { entries_max: most as u64 });
        return None;
    }
    Some(entries)
}

/// Words for people: not empty, bounded, nothing hidden, nothing that a spreadsheet would run.
pub fn words<'n>(
    node: &'n Node,
    pointer: &str,
    chars_max: usize,
    errors: &mut BodyErrors,
) -> Option<&'n str> {
    let Node::Text(text) = node else {
        errors.push(pointer, Reason::WrongType);
        return None;
    };
    let text = text.trim();
    let fault = if text.is_empty() { Some(Reason::Required) } else { words_fault(text, chars_max) };
    match fault {
        None => Some(text),
        Some(reason) => {
            errors.push(pointer, reason);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::body_codes;
    use super::*;

    fn read_number(body: &[u8]) -> Result<u32, Vec<String>> {
        let result = read(body, |node, errors| {
            let mut fields = Fields::of(node, "", errors)?;
            let number = fields.number("number", 1, 9, errors);
            fields.finish(errors);
            number
        });
        result.map_err(|errors| body_codes(&errors))
    }

    #[test]
    fn a_strict_body_is_read() {
        assert_eq!(read_number(b" {\"number\" : 7}\n"), Ok(7));
    }

    #[test]
    fn every_fault_has_its_pointer() {
        let deep = format!("{{\"number\":{}1{}}}", "[".repeat(8), "]".repeat(8));
        let endless = "[".repeat(100_000);
        for (body, expected) in [
            ("", ":not_json"),
            ("{", ":not_json"),
            ("{\"number\":7}x", ":not_json"),
            ("{\"number\":7,}", ":not_json"),
            ("{\"number\":NaN}", ":not_json"),
            ("{\"number\":07}", ":not_json"),
            ("{\"number\":1e999}", ":not_json"),
            ("{\"number\":\"\u{1}\"}", ":not_json"),
            ("7", ":wrong_type"),
            ("[]", ":wrong_type"),
            ("null", ":wrong_type"),
            ("{}", "/number:required"),
            ("{\"number\":null}", "/number:required"),
            ("{\"number\":\"7\"}", "/number:wrong_type"),
            ("{\"number\":7.0}", "/number:wrong_type"),
            ("{\"number\":99999999999999999999}", "/number:wrong_type"),
            ("{\"number\":0}", "/number:out_of_range"),
            ("{\"number\":-7}", "/number:out_of_range"),
            ("{\"number\":10}", "/number:out_of_range"),
            ("{\"number\":7,\"number\":8}", "/number:repeated"),
            ("{\"number\":7,\"num\\u0062er\":8}", "/number:repeated"),
            ("{\"number\":7,\"a/b~c\":8}", "/a~1b~0c:unknown"),
            (&deep, ":too_deep"),
            (&endless, ":too_deep"),
        ] {
            assert_eq!(read_number(body.as_bytes()), Err(vec![expected.to_owned()]), "{body:.60}");
        }
        assert_eq!(read_number(b"{\"number\":\"\xff\"}"), Err(vec![":not_utf8".to_owned()]));
    }

    #[test]
    fn all_faults_are_named_together() {
        let errors = read_number(b"{\"a\":1,\"b\":2,\"number\":0}");
        assert_eq!(errors.map_err(|errors| errors.len()), Err(3));
    }
}
