//! Passing outages: a part that the journal needs does not answer for a while, and nothing is lost.
//!
//! [`JournalError::Unavailable`] is no reason for a reader or a writer to end: what cannot be asked now is
//! asked again later. What this module does not do: hide any other error.

use std::time::Duration;

use crate::JournalError;

/// Distance between two attempts.
const RETRY_MS: u64 = 100;

/// Takes an outage for "not now": `None`.
///
/// # Errors
/// Any other error.
pub fn unless_away<T>(result: Result<T, JournalError>) -> Result<Option<T>, JournalError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error @ JournalError::Unavailable { .. }) => {
            tracing::warn!(%error, "trying again later");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Asks again until the outage has passed; `None` when `stop` says that nobody waits any longer.
///
/// # Errors
/// Any other error.
pub fn once_there<T>(
    stop: &dyn Fn() -> bool,
    mut ask: impl FnMut() -> Result<T, JournalError>,
) -> Result<Option<T>, JournalError> {
    loop {
        if let Some(value) = unless_away(ask())? {
            return Ok(Some(value));
        }
        if stop() {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(RETRY_MS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> JournalError {
        JournalError::Unavailable { place: "broker".to_owned(), cause: "gone".to_owned() }
    }

    #[test]
    fn an_outage_is_waited_out_and_any_other_error_is_told() {
        let mut answers = vec![Ok(7), Err(away()), Err(away())];
        let asked = once_there(&|| false, || answers.pop().unwrap_or(Err(away())));
        assert!(matches!(asked, Ok(Some(7))), "{asked:?}");

        let mut answers = vec![Err(JournalError::Closed("full".to_owned())), Err(away())];
        let asked = once_there(&|| false, || answers.pop().unwrap_or(Ok(0)));
        assert!(matches!(asked, Err(JournalError::Closed(_))), "{asked:?}");
    }

    #[test]
    fn who_is_asked_to_stop_waits_no_longer() {
        let asked = once_there::<u8>(&|| true, || Err(away()));
        assert!(matches!(asked, Ok(None)), "{asked:?}");
    }
}
