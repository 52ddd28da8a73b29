//! The query of a request: names and values, decoded, each name once.
//!
//! Parameters that a call does not know are ignored, as caches and trackers add some. What this module
//! does not do: say what a value means.

use std::borrow::Cow;

use crate::import::Reason;
use crate::problem::Problem;

/// Parameters looked at.
const PARAMETERS_MAX: usize = 32;

/// A decoded query.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// More parameters came than are looked at: what the rest says is not known.
    is_cut: bool,
}

impl<'a> Query<'a> {
    /// Decodes a query. What cannot be decoded as UTF-8 is kept as it stands, and then matches nothing.
    pub(crate) fn of(query: Option<&'a str>) -> Query<'a> {
        let mut rest = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pairs = rest.by_ref().take(PARAMETERS_MAX).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Query { pairs: pairs.collect(), is_cut: rest.next().is_some() }
    }

    /// A parameter's value. An empty one is a mistake: who wrote the name meant something.
    ///
    /// # Errors
    /// 422 when it is empty or stands there twice, or when there are too many parameters to tell.
    pub(crate) fn get(&self, name: &'static str) -> Result<Option<&str>, Problem> {
        self.expect_whole()?;
        let mut values = self.pairs.iter().filter(|(own, _)| own == name);
        let first = values.next();
        if values.next().is_some() {
            return Err(Problem::parameter(name, Reason::Repeated));
        }
        match first.map(|(_, value)| value.as_ref()) {
            Some("") => Err(Problem::parameter(name, Reason::Required)),
            value => Ok(value),
        }
    }

    fn expect_whole(&self) -> Result<(), Problem> {
        if !self.is_cut {
            return Ok(());
        }
        let reason = Reason::TooManyEntries { entries_max: PARAMETERS_MAX as u64 };
        Err(Problem::parameter("query", reason))
    }

    /// Refuses every parameter but these, for calls where a misspelt one would do harm.
    ///
    /// # Errors
    /// 422.
    pub(crate) fn only(&self, names: &[&str]) -> Result<(), Problem> {
        self.expect_whole()?;
        match self.pairs.iter().all(|(own, _)| names.contains(&own.as_ref())) {
            true => Ok(()),
            false => Err(Problem::parameter("query", Reason::Unknown)),
        }
    }

    /// A parameter that must be there.
    ///
    /// # Errors
    /// 422.
    pub(crate) fn required(&self, name: &'static str) -> Result<&str, Problem> {
        self.get(name)?.ok_or_else(|| Problem::parameter(name, Reason::Required))
    }

    /// A parameter that `parse` must understand when it is there.
    ///
    /// # Errors
    /// 422 with the reason.
    pub(crate) fn parsed<T>(
        &self,
        name: &'static str,
        reason: Reason,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        match self.get(name)? {
            None => Ok(None),
            Some(value) => parse(value).map(Some).ok_or_else(|| Problem::parameter(name, reason)),
        }
    }

    /// A whole number within a range, if it is there.
    ///
    /// # Errors
    /// 422.
    pub(crate) fn number(
        &self,
        name: &'static str,
        least: u64,
        most: u64,
    ) -> Result<Option<u64>, Problem> {
        self.parsed(name, Reason::OutOfRange { least, most }, |text| {
            let plain = text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = plain.then(|| text.parse().ok()).flatten()?;
            (least..=most).contains(&number).then_some(number)
        })
    }
}

/// Percent-decodes; `+` is a space.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        let escaped = (first == b'%').then(|| tail.get(..2)).flatten();
        let value = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => bytes.push(if first == b'+' { b' ' } else { first }),
        }
    }
    match String::from_utf8(bytes) {
        Ok(decoded) => Cow::Owned(decoded),
        Err(_) => Cow::Borrowed(text),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_odd_escapes_stay_as_they_are() {
        let query = Query::of(Some("a=1%2F2&b=x+y&c=%zz&d=%E8%90%AC&e&f="));
        assert_eq!(query.get("a").unwrap(), Some("1/2"));
        assert_eq!(query.get("b").unwrap(), Some("x y"));
        assert_eq!(query.get("c").unwrap(), Some("%zz"));
        assert_eq!(query.get("d").unwrap(), Some("萬"));
        assert!(query.get("e").is_err(), "no value");
        assert!(query.get("f").is_err(), "an empty value");
        assert_eq!(Query::of(None).get("a").unwrap(), None);
    }

    #[test]
    fn parameters_beyond_the_limit_are_refused_and_not_dropped() {
        let many = |count: usize| format!("{}a=1", "x=1&".repeat(count));
        assert_eq!(Query::of(Some(&many(PARAMETERS_MAX - 1))).get("a").unwrap(), Some("1"));
        let query = many(PARAMETERS_MAX);
        let query = Query::of(Some(&query));
        assert!(query.get("a").is_err() && query.only(&["a", "x"]).is_err());
        // Separators alone are no parameters.
        let query = format!("{}a=1", "&".repeat(PARAMETERS_MAX * 2));
        assert_eq!(Query::of(Some(&query)).get("a").unwrap(), Some("1"));
    }

    #[test]
    fn a_parameter_given_twice_is_refused() {
        assert!(Query::of(Some("a=1&a=1")).get("a").is_err());
    }

    #[test]
    fn numbers_are_plain_digits_within_their_range() {
        for (text, number) in [
            ("n=0", Some(Some(0))),
            ("n=25", Some(Some(25))),
            ("", Some(None)),
            ("n=26", None),
            ("n=-1", None),
            ("n=%2B1", None),
            ("n=99999999999999999999999", None),
        ] {
            assert_eq!(Query::of(Some(text)).number("n", 0, 25).ok(), number, "{text}");
        }
    }
}
