//! The bytes of one message, for whoever gives it out; and what a receiver does with them.
//!
//! The only place that knows the format. `schema/confirmation.json` and `docs/confirmations.md` describe
//! it for others.
//!
//! What this file deliberately does not do: look anything up.

use std::sync::Arc;

use domain::watermark::EventId;
use domain::{LanguageNumber, Millis};
use serde::{Deserialize, Serialize};
use vault::consumer::{self, ConsumerError, OpenedContact};
use vault::{Contact, OpenError, Vault};

use super::Confirmation;
use crate::calendar::Calendar;
use crate::text::{LANGUAGE_TAGS, MessageKind};

/// What a message says beyond its event.
pub(crate) struct Content<'a> {
    /// The operator's id of the site.
    pub(crate) site: &'a str,
    pub(crate) starts_at: Millis,
    /// The vaccine's name as announced.
    pub(crate) vaccine: &'a str,
    /// The person's language.
    pub(crate) language: LanguageNumber,
    /// Sealed for the consumer, where one is configured.
    pub(crate) contact: Option<&'a Contact>,
}

/// Writes messages.
pub(crate) struct MessageWriter {
    vault: Arc<Vault>,
    calendar: Calendar,
}

#[derive(Serialize)]
struct Fields<'a> {
    id: &'a str,
    r#type: &'static str,
    at: &'a str,
    period: u16,
    booking: u32,
    site: &'a str,
    slot: u32,
    starts_at: &'a str,
    vaccine: &'a str,
    language: &'static str,
    contact: Option<&'a str>,
}

impl MessageWriter {
    pub(crate) fn new(vault: Arc<Vault>) -> MessageWriter {
        MessageWriter { vault, calendar: Calendar::new() }
    }

    /// Appends one message: JSON without a line break. The same arguments give the same bytes.
    pub(crate) fn push(
        &mut self,
        confirmation: &Confirmation,
        content: &Content<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ConsumerError> {
        let id = confirmation.id.to_string();
        let (mut at, mut starts_at) = (String::with_capacity(32), String::with_capacity(32));
        self.calendar.push_rfc3339(confirmation.at, &mut at);
        self.calendar.push_rfc3339(content.starts_at, &mut starts_at);
        let sequence = confirmation.id.sequence.0;
        let contact = match content.contact {
            Some(contact) => self.vault.reseal_for_consumer(contact, sequence, &id)?,
            None => None,
        };
        let language = LANGUAGE_TAGS.get(usize::from(content.language.0));
        let fields = Fields {
            id: &id,
            r#type: match confirmation.kind {
                MessageKind::Confirmed => "confirmed",
                MessageKind::Changed => "changed",
                MessageKind::Cancelled => "cancelled",
            },
            at: &at,
            period: confirmation.period.0,
            booking: confirmation.booking.0,
            site: content.site,
            slot: confirmation.slot.0,
            starts_at: &starts_at,
            vaccine: content.vaccine,
            language: language.copied().unwrap_or(LANGUAGE_TAGS[0]),
            contact: contact.as_deref(),
        };
        if serde_json::to_writer(out, &fields).is_err() {
            unreachable!("texts and numbers always make JSON, and a vector takes every byte");
        }
        Ok(())
    }
}

/// A person's contact data; `None` where it does not open: damaged data of one person must not stop the
/// messages of all, and the notifier counts it. Only a missing key is an error.
pub(crate) fn open_contact(
    vault: &Vault,
    person_key: &[u8; 16],
    sealed: &[u8],
) -> Result<Option<Contact>, OpenError> {
    match vault.open_contact(person_key, sealed) {
        Ok(contact) => Ok(Some(contact)),
        Err(OpenError::Refused) => Ok(None),
        Err(error @ OpenError::UnknownKey { .. }) => Err(error),
    }
}

/// The bytes are not a message of this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a confirmation message: it is a JSON object whose id reads like 0-123456-0")]
pub struct NotAMessage;

/// Why the contact of a message does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenMessageError {
    /// The bytes are not a message.
    #[error(transparent)]
    NotAMessage(#[from] NotAMessage),
    /// The contact was changed, or sealed for another key.
    #[error(transparent)]
    Contact(#[from] ConsumerError),
}

/// The parts of a message that these functions need.
#[derive(Deserialize)]
struct Read<'a> {
    id: &'a str,
    contact: Option<&'a str>,
}

/// The id of a message.
///
/// # Errors
/// When the bytes are not a message.
pub fn message_id(message: &[u8]) -> Result<EventId, NotAMessage> {
    let read: Read<'_> = serde_json::from_slice(message).map_err(|_| NotAMessage)?;
    read.id.parse().map_err(|_| NotAMessage)
}

/// Opens the contact of a message with the consumer's private key: JSON, perhaps with spaces at its end;
/// `None` where the message carries none. For operators who want to see what a consumer sees.
///
/// # Errors
/// When the bytes are not a message, or its contact was changed or sealed for another key.
pub fn open_message(
    private_key: &[u8; 32],
    message: &[u8],
) -> Result<Option<OpenedContact>, OpenMessageError> {
    let read: Read<'_> = serde_json::from_slice(message).map_err(|_| NotAMessage)?;
    let open = |contact| consumer::open(private_key, read.id, contact);
    Ok(read.contact.map(open).transpose()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use domain::{BookingNumber, PeriodNumber, PersonNumber, Sequence, SlotNumber};
    use vault::Secrets;

    const PRIVATE: [u8; 32] = *b"a consumer's private key, sample";

    fn contact() -> Contact {
        Contact {
            name: "王小明".into(),
            phone: "0912345678".into(),
            id_number: "A123456789".into(),
            language: 0,
        }
    }

    fn written() -> String {
        let secrets = Secrets::sample().with_consumer(7, consumer::public_key(&PRIVATE).unwrap());
        let confirmation = Confirmation {
            id: EventId::new(Sequence(123_456), 0),
            at: Millis(1_626_141_600_123),
            kind: MessageKind::Confirmed,
            person: PersonNumber(1_042),
            period: PeriodNumber(2),
            booking: BookingNumber(4_711),
            slot: SlotNumber(17),
        };
        let content = Content {
            site: "63000070-C01",
            starts_at: Millis(1_626_397_200_000),
            vaccine: "AZ",
            language: LanguageNumber(0),
            contact: Some(&contact()),
        };
        let mut out = Vec::new();
        let mut writer = MessageWriter::new(Arc::new(Vault::new(secrets)));
        writer.push(&confirmation, &content, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_documented_example_is_what_is_written() {
        let page = include_str!("../../../docs/confirmations.md");
        let example = page.lines().find(|line| line.starts_with(r#"{"id":"#)).unwrap();
        assert_eq!(written(), example);
        for (name, value) in crate::publishing::HEADERS {
            let documented = format!("| header `{name}` | `{value}`.");
            assert!(page.contains(&documented), "{documented}");
        }
        assert_eq!(crate::publishing::BATCH_MESSAGES_MAX, 1_024);
        assert!(page.contains("remember the 1,024 highest ids"));
        assert!(page.contains(&format!("# The topic `{}`", crate::publishing::TOPIC)));
    }

    #[test]
    fn a_receiver_finds_id_and_contact() {
        let message = written();
        assert_eq!(message_id(message.as_bytes()), Ok(EventId::new(Sequence(123_456), 0)));
        let opened = open_message(&PRIVATE, message.as_bytes()).unwrap().unwrap();
        let opened = std::str::from_utf8(&opened).unwrap();
        assert_eq!(
            opened.trim_end(),
            r#"{"name":"王小明","phone":"0912345678","id_number":"A123456789"}"#
        );
        let refused = open_message(&[9; 32], message.as_bytes());
        assert_eq!(refused, Err(OpenMessageError::Contact(ConsumerError::Refused)));
        assert_eq!(open_message(&PRIVATE, br#"{"id":"0-1-0","contact":null}"#), Ok(None));
    }

    #[test]
    fn what_is_no_message_has_no_id() {
        for bytes in [
            &b""[..],
            b"\xff",
            b"{}",
            b"[]",
            br#"{"id":7,"contact":null}"#,
            br#"{"id":"0-01-0","contact":null}"#,
            br#"{"id":"0-1-0","contact":null"#,
        ] {
            assert_eq!(message_id(bytes), Err(NotAMessage), "{bytes:?}");
        }
    }
}
