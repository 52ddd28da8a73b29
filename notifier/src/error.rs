//! Why a notifier ends.

use domain::codec::DecodeError;
use journal::JournalError;
use vault::OpenError;
use vault::contacts::BookError;

use crate::confirmations::UnknownName;
use crate::deliveries::DeliveryDecodeError;
use crate::fold::FoldError;
use crate::text::TextsError;

/// Why the notifier cannot start or go on. It ends then; starting it again is always safe.
#[derive(Debug, thiserror::Error)]
pub enum NotifierError {
    /// A setting cannot work.
    #[error("{0}")]
    Setting(String),
    /// The texts that were compiled in are broken.
    #[error(transparent)]
    Texts(#[from] TextsError),
    /// The book of contact data failed.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A key is missing.
    #[error("contact data: {0}")]
    Vault(OpenError),
    /// Events cannot be read.
    #[error("events: {0}")]
    Events(DecodeError),
    /// An event does not follow from those before it.
    #[error("event {0} contradicts what came before it; the events stream is damaged")]
    Contradiction(String),
    /// An event names something that was never imported.
    #[error("event {event} names {what} {number}, which no event before it made")]
    Unknown {
        /// Which event.
        event: String,
        /// What it names.
        what: &'static str,
        /// By which number.
        number: u32,
    },
    /// The deliveries cannot be read.
    #[error(transparent)]
    Deliveries(#[from] DeliveryDecodeError),
    /// The deliveries were written for other events.
    #[error(
        "deliveries name event {deliveries} where the events have {events}: the two streams are not of one journal"
    )]
    OtherEvents {
        /// In the deliveries.
        deliveries: String,
        /// In the events.
        events: String,
    },
    /// The deliveries end before what this notifier wrote.
    #[error(
        "the stream deliveries ends at position {end}, but this notifier has written up to position {known}: what was sent is lost, and every text would be sent again. Restore the journal's stream deliveries from a copy; delete {file} to accept that texts are sent again"
    )]
    DeliveriesLost {
        /// Where the stream ends.
        end: u64,
        /// How far it was known to reach.
        known: u64,
        /// Where that is remembered.
        file: String,
    },
    /// A record that the journal acknowledged cannot be read.
    #[error("deliveries: a record just written cannot be read back")]
    NotReadBack,
}

impl From<UnknownName> for NotifierError {
    fn from(unknown: UnknownName) -> NotifierError {
        let UnknownName { event, what, number } = unknown;
        NotifierError::Unknown { event: event.to_string(), what, number }
    }
}

impl From<FoldError> for NotifierError {
    fn from(error: FoldError) -> NotifierError {
        match error {
            FoldError::Decode(error) => NotifierError::Events(error),
            FoldError::Book(error) => NotifierError::Book(error),
            FoldError::Contradiction(id) => NotifierError::Contradiction(id.to_string()),
        }
    }
}
