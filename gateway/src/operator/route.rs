//! Which call a path of the operator listener is, and which role it takes.
//!
//! A closed list, like the public one. What this module does not do: read queries or bodies.

use hyper::Method;
use vault::Role;

/// The calls of the operator listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperatorRoute<'a> {
    /// `/v1/categories/{number}`
    Category(&'a str),
    /// `/v1/categories/{number}/members:import`
    ImportMembers(&'a str),
    /// `/v1/periods/{number}`
    Period(&'a str),
    /// `/v1/roster:import`
    ImportRoster,
    /// `/v1/sites:import`
    ImportSites,
    /// `/v1/slots:import`
    ImportSlots,
    /// `/v1/slots/{number}`
    Slot(&'a str),
    /// `/v1/attendance`
    Attendance,
    /// `/v1/sites/{id}/roster`
    DayList(&'a str),
    /// `/v1/overview`
    Overview,
    /// `/v1/confirmations`
    Confirmations,
    /// `/v1/engine:accept-time`
    AcceptTime,
    /// `/metrics`
    Metrics,
    /// `/livez`
    Livez,
    /// `/readyz`
    Readyz,
    /// `/openapi.json`
    OpenApi,
    /// `/docs`
    Docs,
}

impl<'a> OperatorRoute<'a> {
    /// Each of them once, with its path as the documentation writes it.
    pub(crate) const ALL: [(OperatorRoute<'static>, &'static str); 17] = [
        (OperatorRoute::Category("{number}"), "/v1/categories/{number}"),
        (OperatorRoute::ImportMembers("{number}"), "/v1/categories/{number}/members:import"),
        (OperatorRoute::Period("{number}"), "/v1/periods/{number}"),
        (OperatorRoute::ImportRoster, "/v1/roster:import"),
        (OperatorRoute::ImportSites, "/v1/sites:import"),
        (OperatorRoute::ImportSlots, "/v1/slots:import"),
        (OperatorRoute::Slot("{number}"), "/v1/slots/{number}"),
        (OperatorRoute::Attendance, "/v1/attendance"),
        (OperatorRoute::DayList("{id}"), "/v1/sites/{id}/roster"),
        (OperatorRoute::Overview, "/v1/overview"),
        (OperatorRoute::Confirmations, "/v1/confirmations"),
        (OperatorRoute::AcceptTime, "/v1/engine:accept-time"),
        (OperatorRoute::Metrics, "/metrics"),
        (OperatorRoute::Livez, "/livez"),
        (OperatorRoute::Readyz, "/readyz"),
        (OperatorRoute::OpenApi, "/openapi.json"),
        (OperatorRoute::Docs, "/docs"),
    ];

    /// The call of a path; `None` when it is none of ours.
    pub(crate) fn find(path: &'a str) -> Option<OperatorRoute<'a>> {
        match path {
            "/metrics" => return Some(OperatorRoute::Metrics),
            "/livez" => return Some(OperatorRoute::Livez),
            "/readyz" => return Some(OperatorRoute::Readyz),
            "/openapi.json" => return Some(OperatorRoute::OpenApi),
            "/docs" => return Some(OperatorRoute::Docs),
            _ => {}
        }
        let mut parts = path.strip_prefix("/v1/")?.split('/');
        let route = match (parts.next()?, parts.next(), parts.next()) {
            ("categories", Some(number), None) => OperatorRoute::Category(number),
            ("categories", Some(number), Some("members:import")) => {
                OperatorRoute::ImportMembers(number)
            }
            ("periods", Some(number), None) => OperatorRoute::Period(number),
            ("roster:import", None, None) => OperatorRoute::ImportRoster,
            ("sites:import", None, None) => OperatorRoute::ImportSites,
            ("slots:import", None, None) => OperatorRoute::ImportSlots,
            ("slots", Some(number), None) => OperatorRoute::Slot(number),
            ("attendance", None, None) => OperatorRoute::Attendance,
            ("sites", Some(id), Some("roster")) => OperatorRoute::DayList(id),
            ("overview", None, None) => OperatorRoute::Overview,
            ("confirmations", None, None) => OperatorRoute::Confirmations,
            ("engine:accept-time", None, None) => OperatorRoute::AcceptTime,
            _ => return None,
        };
        parts.next().is_none().then_some(route)
    }

    /// The methods it takes, as `Allow` says them.
    pub(crate) const fn allow(self) -> &'static str {
        match self {
            OperatorRoute::Category(_) | OperatorRoute::Period(_) => "PUT",
            OperatorRoute::Slot(_) => "PATCH",
            OperatorRoute::ImportMembers(_)
            | OperatorRoute::ImportRoster
            | OperatorRoute::ImportSites
            | OperatorRoute::ImportSlots
            | OperatorRoute::Attendance
            | OperatorRoute::AcceptTime => "POST",
            OperatorRoute::DayList(_)
            | OperatorRoute::Overview
            | OperatorRoute::Confirmations
            | OperatorRoute::Metrics
            | OperatorRoute::Livez
            | OperatorRoute::Readyz
            | OperatorRoute::OpenApi
            | OperatorRoute::Docs => "GET, HEAD",
        }
    }

    /// True when the call takes this method.
    pub(crate) fn takes(self, method: &Method) -> bool {
        self.allow().split(", ").any(|allowed| allowed == method.as_str())
    }

    /// The role that its token must hold (or `admin`); none for monitoring and documentation.
    pub(crate) const fn role(self) -> Option<Role> {
        match self {
            OperatorRoute::Category(_) | OperatorRoute::Period(_) => Some(Role::Planner),
            OperatorRoute::ImportMembers(_)
            | OperatorRoute::ImportRoster
            | OperatorRoute::ImportSites
            | OperatorRoute::ImportSlots
            | OperatorRoute::Slot(_) => Some(Role::Importer),
            OperatorRoute::Attendance | OperatorRoute::DayList(_) => Some(Role::Site),
            OperatorRoute::Overview => Some(Role::Viewer),
            OperatorRoute::Confirmations => Some(Role::Confirmations),
            OperatorRoute::AcceptTime => Some(Role::Admin),
            OperatorRoute::Metrics
            | OperatorRoute::Livez
            | OperatorRoute::Readyz
            | OperatorRoute::OpenApi
            | OperatorRoute::Docs => None,
        }
    }

    /// True for calls that leave a line in the audit log: they change something or open personal data.
    /// Figures do neither, nor do confirmations, whose contact data stays sealed.
    pub(crate) const fn is_audited(self) -> bool {
        let reads_only = matches!(self, OperatorRoute::Overview | OperatorRoute::Confirmations);
        self.role().is_some() && !reads_only
    }

    /// Its name in logs and documentation.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            OperatorRoute::Category(_) => "put_category",
            OperatorRoute::ImportMembers(_) => "import_members",
            OperatorRoute::Period(_) => "put_period",
            OperatorRoute::ImportRoster => "import_roster",
            OperatorRoute::ImportSites => "import_sites",
            OperatorRoute::ImportSlots => "import_slots",
            OperatorRoute::Slot(_) => "set_capacity",
            OperatorRoute::Attendance => "report_attendance",
            OperatorRoute::DayList(_) => "export_day_list",
            OperatorRoute::Overview => "overview",
            OperatorRoute::Confirmations => "confirmations",
            OperatorRoute::AcceptTime => "accept_time",
            OperatorRoute::Metrics => "metrics",
            OperatorRoute::Livez => "livez",
            OperatorRoute::Readyz => "readyz",
            OperatorRoute::OpenApi => "openapi",
            OperatorRoute::Docs => "docs",
        }
    }

    /// What the call is about, as far as its path says; shortened, and never anything but what names
    /// of ours are made of, since it goes into the log.
    pub(crate) fn subject(self) -> &'a str {
        let text = match self {
            OperatorRoute::Category(text)
            | OperatorRoute::ImportMembers(text)
            | OperatorRoute::Period(text)
            | OperatorRoute::Slot(text)
            | OperatorRoute::DayList(text) => text,
            _ => "",
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if text.len() <= 64 && text.bytes().all(plain) { text } else { "?" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_path_finds_its_call() {
        for (route, path) in OperatorRoute::ALL {
            assert_eq!(OperatorRoute::find(path), Some(route));
        }
        let names: std::collections::BTreeSet<_> =
            OperatorRoute::ALL.iter().map(|(route, _)| route.name()).collect();
        assert_eq!(names.len(), OperatorRoute::ALL.len());
    }

    #[test]
    fn other_paths_find_none() {
        for path in [
            "/",
            "",
            "/v1",
            "/v1/",
            "/v1/categories",
            "/v1/categories/9/members",
            "/v1/categories/9/members:import/x",
            "/v1/sites/T-01",
            "/v1/sites/T-01/roster/x",
            "/v1/bookings",
            "/v1/kiosk/requests",
            "/metrics/",
            "/v2/overview",
        ] {
            assert_eq!(OperatorRoute::find(path), None, "{path}");
        }
    }

    #[test]
    fn what_is_written_to_the_log_is_a_plain_name() {
        assert_eq!(OperatorRoute::DayList("T-01").subject(), "T-01");
        assert_eq!(OperatorRoute::DayList("a b\n").subject(), "?");
        assert_eq!(OperatorRoute::DayList("%E7%8E%8B").subject(), "?");
        assert_eq!(OperatorRoute::Overview.subject(), "");
    }
}
