//! What the notifier asks of whoever sends its texts.
//!
//! One [`SmsProvider`] an operator of messages; the first is [`crate::FileOutbox`].
//!
//! What this file deliberately does not do: know any provider.

use std::fmt;

use domain::Millis;

/// A Taiwan mobile number: `09` and eight digits. Printed with its middle hidden.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Phone([u8; Phone::DIGITS]);

/// One text to be sent.
#[derive(Clone, Copy)]
pub struct Sms<'a> {
    /// Names the text for ever: the same text has the same reference in every attempt.
    pub reference: &'a str,
    /// To whom.
    pub to: &'a Phone,
    /// When the event happened that it tells of.
    pub at: Millis,
    /// What it says.
    pub text: &'a str,
}

/// The provider has taken the text and answers for it from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted;

/// Why a text was not taken. The words go to logs: no number, no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The provider will never take it, for example because the number does not exist.
    #[error("refused: {0}")]
    Refused(String),
    /// It was certainly not taken; worth another attempt later.
    #[error("not available: {0}")]
    Unavailable(String),
    /// The answer was lost: taken or not, nobody here knows.
    #[error("fate unknown: {0}")]
    Unknown(String),
}

/// What a provider knows of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookUp {
    /// It took a text under this reference.
    Accepted,
    /// It never did.
    NeverArrived,
    /// It cannot tell.
    Unsupported,
}

/// Someone who sends texts.
pub trait SmsProvider: Send {
    /// For logs and metrics.
    fn name(&self) -> &'static str;

    /// The notifier of this epoch begins to send, or goes on. Whatever an earlier notifier hands over
    /// from now on is not taken; without that, one that was paused in the middle of a batch might send
    /// what its successor has looked up and not found. Asked before every batch, so it must be quick
    /// when nothing changed. Providers that cannot tell notifiers apart leave it out: they are protected
    /// by look-ups alone.
    ///
    /// # Errors
    /// [`SendError::Unavailable`] when a later epoch has begun, or the provider cannot be asked now.
    fn take_over(&self, _epoch: u64) -> Result<(), SendError> {
        Ok(())
    }

    /// Hands over one text. `Ok` means that the provider answers for it also after a crash of either
    /// side.
    ///
    /// # Errors
    /// See [`SendError`]; the difference between its kinds decides what happens next.
    fn send(&self, sms: &Sms<'_>) -> Result<Accepted, SendError>;

    /// Hands over several texts, and appends one answer each, in order. Providers that can take many
    /// in one call override this.
    fn send_many(&self, batch: &[Sms<'_>], answers: &mut Vec<Result<Accepted, SendError>>) {
        answers.extend(batch.iter().map(|sms| self.send(sms)));
    }

    /// A place in what the provider has taken so far. It is recorded with the intent to send and given
    /// back to [`SmsProvider::lookup`], so that a look-up need not search what came before.
    fn mark(&self) -> u64 {
        0
    }

    /// Whether a text was taken under this reference after the mark.
    ///
    /// # Errors
    /// When the provider cannot be asked now.
    fn lookup(&self, reference: &str, since: u64) -> Result<LookUp, SendError>;
}

impl Phone {
    /// Digits of a number.
    pub const DIGITS: usize = 10;

    /// The number, if it is one.
    pub fn new(text: &str) -> Option<Phone> {
        let digits: [u8; Phone::DIGITS] = text.as_bytes().try_into().ok()?;
        let valid = digits.starts_with(b"09") && digits.iter().all(u8::is_ascii_digit);
        valid.then_some(Phone(digits))
    }

    /// The eight digits after `09` as one number: the shape in which phones are kept in memory.
    pub(crate) fn number(&self) -> u32 {
        self.0[2..].iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
    }

    /// The phone with these eight digits after `09`; `None` when there are more.
    #[inline]
    pub(crate) fn from_number(number: u32) -> Option<Phone> {
        let mut digits = *b"0900000000";
        let mut rest = number;
        for digit in digits[2..].iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        (rest == 0).then_some(Phone(digits))
    }

    /// The number in plain. Not for logs.
    pub fn expose(&self) -> &str {
        // ASCII digits by construction.
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(redacted)")
    }
}

impl fmt::Debug for Sms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sms").field("reference", &self.reference).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn only_taiwan_mobile_numbers_are_numbers() {
        assert_eq!(Phone::new("0912345678").unwrap().expose(), "0912345678");
        for text in ["", "0812345678", "091234567", "09123456789", "09123４567", "0912-45678"] {
            assert_eq!(Phone::new(text), None, "{text}");
        }
    }

    #[test]
    fn a_phone_is_the_same_after_being_a_number() {
        for text in ["0900000000", "0900000001", "0912345678", "0999999999"] {
            let phone = Phone::new(text).unwrap();
            assert_eq!(Phone::from_number(phone.number()).unwrap().expose(), text);
        }
        assert_eq!(Phone::from_number(100_000_000), None);
    }

    #[test]
    fn nothing_of_a_text_is_printed() {
        let to = Phone::new("0912345678").unwrap();
        let sms = Sms { reference: "0-1-0", to: &to, at: Millis(0), text: "預約成功" };
        let printed = format!("{sms:?} {to:?}");
        assert!(!printed.contains("345") && !printed.contains("預約"), "{printed}");
    }
}
