//! Which call a path of the public listener is. A closed list: what is not here is 404, what is here
//! with another method is 405 and says which it takes.
//!
//! What this module does not do: read queries or bodies.

use hyper::Method;

/// The calls of the public listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// `/v1/home`
    Home,
    /// `/v1/regions`
    Regions,
    /// `/v1/identity`
    Identity,
    /// `/v1/intents`
    Intents,
    /// `/v1/intents/mine`
    MyIntent,
    /// `/v1/periods`
    Periods,
    /// `/v1/periods/{number}`
    Period(&'a str),
    /// `/v1/periods/{number}/sites`
    Sites(&'a str),
    /// `/v1/periods/{number}/slots`
    Slots(&'a str),
    /// `/v1/bookings`
    Bookings,
    /// `/v1/bookings/mine`
    MyBooking,
    /// `/v1/requests/{receipt}`
    Request(&'a str),
    /// `/openapi.json`
    OpenApi,
    /// `/docs`
    Docs,
}

impl<'a> Route<'a> {
    /// How many there are.
    pub(crate) const COUNT: usize = 14;

    /// Each of them once, with its path as the documentation writes it.
    #[cfg(test)]
    pub(crate) const ALL: [(Route<'static>, &'static str); Route::COUNT] = [
        (Route::Home, "/v1/home"),
        (Route::Regions, "/v1/regions"),
        (Route::Identity, "/v1/identity"),
        (Route::Intents, "/v1/intents"),
        (Route::MyIntent, "/v1/intents/mine"),
        (Route::Periods, "/v1/periods"),
        (Route::Period("{number}"), "/v1/periods/{number}"),
        (Route::Sites("{number}"), "/v1/periods/{number}/sites"),
        (Route::Slots("{number}"), "/v1/periods/{number}/slots"),
        (Route::Bookings, "/v1/bookings"),
        (Route::MyBooking, "/v1/bookings/mine"),
        (Route::Request("{receipt}"), "/v1/requests/{receipt}"),
        (Route::OpenApi, "/openapi.json"),
        (Route::Docs, "/docs"),
    ];

    /// Their names in the metrics, by [`Route::place`].
    pub(crate) const NAMES: [&'static str; Route::COUNT] = [
        "home",
        "regions",
        "identity",
        "intents",
        "my_intent",
        "periods",
        "period",
        "sites",
        "slots",
        "bookings",
        "my_booking",
        "request",
        "openapi",
        "docs",
    ];

    /// The call of a path; `None` when it is none of ours.
    pub(crate) fn find(path: &'a str) -> Option<Route<'a>> {
        let Some(rest) = path.strip_prefix("/v1/") else {
            return match path {
                "/openapi.json" => Some(Route::OpenApi),
                "/docs" => Some(Route::Docs),
                _ => None,
            };
        };
        if rest == "bookings" {
            return Some(Route::Bookings);
        }
        let mut parts = rest.split('/');
        let route = match (parts.next()?, parts.next(), parts.next()) {
            ("home", None, None) => Route::Home,
            ("regions", None, None) => Route::Regions,
            ("identity", None, None) => Route::Identity,
            ("intents", None, None) => Route::Intents,
            ("intents", Some("mine"), None) => Route::MyIntent,
            ("periods", None, None) => Route::Periods,
            ("periods", Some(number), None) => Route::Period(number),
            ("periods", Some(number), Some("sites")) => Route::Sites(number),
            ("periods", Some(number), Some("slots")) => Route::Slots(number),
            ("bookings", Some("mine"), None) => Route::MyBooking,
            ("requests", Some(receipt), None) => Route::Request(receipt),
            _ => return None,
        };
        parts.next().is_none().then_some(route)
    }

    /// The methods it takes, as `Allow` says them.
    pub(crate) const fn allow(self) -> &'static str {
        match self {
            Route::Identity | Route::Intents | Route::Bookings => "POST",
            Route::MyIntent | Route::MyBooking => "GET, HEAD, PUT, DELETE",
            Route::Home
            | Route::Regions
            | Route::Periods
            | Route::Period(_)
            | Route::Sites(_)
            | Route::Slots(_)
            | Route::Request(_)
            | Route::OpenApi
            | Route::Docs => "GET, HEAD",
        }
    }

    /// True when the call takes this method.
    pub(crate) fn takes(self, method: &Method) -> bool {
        self.allow().split(", ").any(|allowed| allowed == method.as_str())
    }

    /// Its place in the list, for counters.
    pub(crate) const fn place(self) -> usize {
        match self {
            Route::Home => 0,
            Route::Regions => 1,
            Route::Identity => 2,
            Route::Intents => 3,
            Route::MyIntent => 4,
            Route::Periods => 5,
            Route::Period(_) => 6,
            Route::Sites(_) => 7,
            Route::Slots(_) => 8,
            Route::Bookings => 9,
            Route::MyBooking => 10,
            Route::Request(_) => 11,
            Route::OpenApi => 12,
            Route::Docs => 13,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_calls_and_others_find_none() {
        for (path, route) in [
            ("/v1/bookings", Some(Route::Bookings)),
            ("/v1/bookings/mine", Some(Route::MyBooking)),
            ("/v1/periods/2", Some(Route::Period("2"))),
            ("/v1/periods/2/slots", Some(Route::Slots("2"))),
            ("/v1/requests/abc", Some(Route::Request("abc"))),
            ("/v1/bookings/", None),
            ("/v1/bookings/mine/x", None),
            ("/v1/periods/2/slots/1", None),
            ("/v1/captcha", None),
            ("/v1/kiosk/requests", None),
            ("/v2/home", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(Route::find(path), route, "{path}");
        }
    }

    #[test]
    fn every_call_is_listed_in_its_place() {
        for (place, (route, path)) in Route::ALL.into_iter().enumerate() {
            assert_eq!(Route::find(path), Some(route));
            assert_eq!(route.place(), place);
        }
    }

    #[test]
    fn only_the_named_methods_are_taken() {
        assert!(Route::Bookings.takes(&Method::POST));
        assert!(!Route::Bookings.takes(&Method::GET));
        assert!(Route::Home.takes(&Method::HEAD));
        assert!(!Route::Home.takes(&Method::DELETE));
        assert!(Route::MyBooking.takes(&Method::DELETE));
    }
}
