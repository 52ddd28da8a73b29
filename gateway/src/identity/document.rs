//! B1c, R2, R3: an ID number and the number of one document: NHI card, exit-entry permit or passport.

use domain::PersonKey;
use domain::identity::{
    IdNumber as Id, NotANumber, card_number, entry_permit_number, passport_number,
};
use vault::{IdNumber, Lookup, Vault};

use super::{Claim, Failure, Method, Proven};
use crate::import::Reason;
use crate::import::json::{BodyErrors, Fields, Node};
use crate::roster::{Credentials, LookupHash, Roster};

/// As the contract names it.
pub(crate) const NAME: &str = "document";

/// The method.
pub(crate) struct Document;

/// The documents, in the order in which an answer names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Card,
    EntryPermit,
    Passport,
}

struct DocumentClaim {
    id: Id,
    kind: Kind,
    number: String,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Card, Kind::EntryPermit, Kind::Passport];

    const fn field(self) -> &'static str {
        match self {
            Kind::Card => "card_number",
            Kind::EntryPermit => "entry_permit_number",
            Kind::Passport => "passport_number",
        }
    }

    const fn reason(self) -> Reason {
        match self {
            Kind::Card => Reason::CardNumber,
            Kind::EntryPermit => Reason::EntryPermitNumber,
            Kind::Passport => Reason::PassportNumber,
        }
    }

    const fn lookup(self) -> Lookup {
        match self {
            Kind::Card => Lookup::Card,
            Kind::EntryPermit => Lookup::Permit,
            Kind::Passport => Lookup::Passport,
        }
    }

    fn parse(self, text: &str) -> Option<String> {
        match self {
            Kind::Card => card_number(text).ok(),
            Kind::EntryPermit => entry_permit_number(text).ok(),
            Kind::Passport => passport_number(text).ok(),
        }
    }

    const fn known(self, credentials: &Credentials) -> Option<LookupHash> {
        match self {
            Kind::Card => credentials.card,
            Kind::EntryPermit => credentials.entry_permit,
            Kind::Passport => credentials.passport,
        }
    }
}

impl Method for Document {
    fn read(&self, fields: &mut Fields<'_>, errors: &mut BodyErrors) -> Option<Box<dyn Claim>> {
        let id = fields.required("id_number", errors);
        let id = id.and_then(|(pointer, node)| read_id(node, pointer, errors));
        let mut documents = Vec::new();
        for kind in Kind::ALL {
            let given = fields
                .optional_parsed(kind.field(), kind.reason(), errors, |text| kind.parse(text));
            if let Some(Some(number)) = given {
                documents.push((kind, number));
            } else if given.is_none() {
                // Its fault is noted; it still counts as given.
                return None;
            }
        }
        let mut documents = documents.into_iter();
        let (Some((kind, number)), None) = (documents.next(), documents.next()) else {
            errors.push("", Reason::OneDocument);
            return None;
        };
        Some(Box::new(DocumentClaim { id: id?, kind, number }))
    }
}

fn read_id(node: &Node, pointer: String, errors: &mut BodyErrors) -> Option<Id> {
    let Node::Text(text) = node else {
        errors.push(pointer, Reason::WrongType);
        return None;
    };
    match Id::parse(text) {
        Ok(id) => Some(id),
        Err(NotANumber::Shape) => {
            errors.push(pointer, Reason::IdNumber);
            None
        }
        Err(NotANumber::CheckDigit) => {
            errors.push(pointer, Reason::IdCheckDigit);
            None
        }
    }
}

impl Claim for DocumentClaim {
    fn attempt_key(&self, vault: &Vault) -> [u8; 16] {
        vault.lookup_hash(Lookup::Id, self.id.as_str())
    }

    fn prove(&self, vault: &Vault, roster: &dyn Roster) -> Result<Proven, Failure> {
        let id = vault.lookup_hash(Lookup::Id, self.id.as_str());
        let given = vault.lookup_hash(self.kind.lookup(), &self.number);
        let found =
            roster.credentials(&id).map_err(|error| Failure::Unavailable(error.to_string()))?;
        // A stranger is compared with a hash that no document has.
        let stranger = Credentials {
            person: PersonKey([0; 16]),
            card: None,
            entry_permit: None,
            passport: None,
        };
        let credentials = found.unwrap_or(stranger);
        let known = self.kind.known(&credentials);
        let same = is_same(&known.unwrap_or([0; 16]), &given);
        let id_number = IdNumber::new(self.id.as_str());
        match id_number {
            Some(id_number) if same && known.is_some() && found.is_some() => {
                Ok(Proven { person: credentials.person, id_number })
            }
            _ => Err(Failure::NotConfirmed),
        }
    }
}

/// Compares in a time that does not depend on where the first difference is.
fn is_same(one: &LookupHash, other: &LookupHash) -> bool {
    let difference = one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(difference) == 0
}
