//! One batch of texts: from drafts to letters, and from letters to a state each.
//!
//! What this file deliberately does not do: write records, decide who may send (its caller holds the
//! epoch and has recorded the intent).

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::Millis;
use vault::{OpenError, Vault};

use crate::config::NotifierConfig;
use crate::deliveries::DeliveryState;
use crate::error::NotifierError;
use crate::fold::{Draft, Fold, contact_of};
use crate::provider::{LookUp, Phone, SendError, Sms, SmsProvider};
use crate::reached::{Found, Reached};
use crate::text::Texts;

/// A wait is cut into pieces so that a stop is noticed.
const WAIT_PIECE_MS: u64 = 20;

/// Texts ready to go, in one buffer.
pub(crate) struct Letters {
    buffer: String,
    letters: Vec<Letter>,
}

struct Letter {
    reference: Range<usize>,
    text: Range<usize>,
    at: Millis,
    /// To whom, or why it cannot be sent.
    to: Result<Phone, DeliveryState>,
}

/// Where one letter stands.
#[derive(Clone, Copy)]
struct Progress {
    state: Option<DeliveryState>,
    /// It may have been taken before: an answer was lost, and look-ups are not offered.
    uncertain: bool,
    /// How often it was sent again in spite of that.
    resends: u32,
}

/// What a batch needs to know of the world.
pub(crate) struct Errand<'a> {
    pub(crate) provider: &'a dyn SmsProvider,
    pub(crate) config: &'a NotifierConfig,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) now: &'a dyn Fn() -> Millis,
    /// Called while the provider does not answer, with its words.
    pub(crate) waiting: &'a dyn Fn(Option<String>),
}

/// What became of a batch.
pub(crate) enum Errands {
    /// Every letter has a state.
    Done(Vec<DeliveryState>),
    /// A stop was asked for, or the epoch was lost: what was sent will be looked up.
    Interrupted,
}

impl Letters {
    /// Writes the texts of these drafts.
    pub(crate) fn write(
        drafts: &[&Draft],
        fold: &Fold,
        known: &Reached,
        vault: &Vault,
        texts: &mut Texts,
        prefix: &str,
    ) -> Result<Letters, NotifierError> {
        let mut letters = Letters {
            buffer: String::with_capacity(drafts.len() * 384),
            letters: Vec::with_capacity(drafts.len()),
        };
        let mut reached: Vec<Result<(Phone, u8), DeliveryState>> =
            vec![Err(DeliveryState::NoContact); drafts.len()];
        let mut missing_key = None;
        known.visit(drafts, |place, found| {
            reached[place] = match found {
                Found::Kept(phone, language) => Ok((phone, language)),
                Found::Row(row) => reach(row, vault, &mut missing_key),
            };
        })?;
        drafts.iter().for_each(|draft| fold.catalogue.prefetch_slot(draft.what.slot));
        if let Some(error) = missing_key {
            // Not the person's fault: the texts wait until the key is back.
            return Err(NotifierError::Vault(error));
        }
        for (draft, reached) in drafts.iter().zip(reached) {
            letters.push(draft, fold, reached, texts, prefix)?;
        }
        Ok(letters)
    }

    fn push(
        &mut self,
        draft: &Draft,
        fold: &Fold,
        reached: Result<(Phone, u8), DeliveryState>,
        texts: &mut Texts,
        prefix: &str,
    ) -> Result<(), NotifierError> {
        use std::fmt::Write as _;
        let begin = self.buffer.len();
        self.buffer.push_str(prefix);
        // Writing to a String cannot fail.
        let _ = write!(self.buffer, "{}", draft.what.id);
        let middle = self.buffer.len();
        if let Ok((_, language)) = reached {
            let details = draft.what.details(&fold.catalogue)?;
            texts.push(draft.what.kind, language, &details, &mut self.buffer);
        }
        self.letters.push(Letter {
            reference: begin..middle,
            text: middle..self.buffer.len(),
            at: draft.what.at,
            to: reached.map(|(phone, _)| phone),
        });
        Ok(())
    }

    fn sms<'a>(&'a self, letter: &'a Letter, to: &'a Phone) -> Sms<'a> {
        Sms {
            reference: &self.buffer[letter.reference.clone()],
            to,
            at: letter.at,
            text: &self.buffer[letter.text.clone()],
        }
    }

    /// Sends every letter once. `begun` is the provider's mark of an attempt that a crash or another
    /// notifier may have cut short: then each letter is looked up first.
    pub(crate) fn send(
        &self,
        errand: &Errand<'_>,
        begun: Option<u64>,
        may_send: &mut dyn FnMut() -> Result<bool, NotifierError>,
    ) -> Result<Errands, NotifierError> {
        let mut progress: Vec<Progress> = self.letters.iter().map(Progress::of).collect();
        let mark = begun.unwrap_or_else(|| errand.provider.mark());
        let mut to_look_up: Vec<usize> = match begun {
            Some(_) => open_ones(&progress),
            None => Vec::new(),
        };
        let mut wait_ms = errand.config.retry_ms_min;
        loop {
            let mut trouble = self.look_up(errand, mark, &mut to_look_up, &mut progress);
            if trouble.is_none() {
                if !may_send()? {
                    return Ok(Errands::Interrupted);
                }
                trouble = self.send_open(errand, &mut to_look_up, &mut progress);
            }
            if open_ones(&progress).is_empty() && to_look_up.is_empty() {
                (errand.waiting)(None);
                return Ok(Errands::Done(progress.iter().filter_map(|one| one.state).collect()));
            }
            (errand.waiting)(trouble);
            if !pause(wait_ms, errand.stop) || !may_send()? {
                return Ok(Errands::Interrupted);
            }
            wait_ms = wait_ms.saturating_mul(2).min(errand.config.retry_ms_max);
            self.give_up(errand, &mut to_look_up, &mut progress);
        }
    }

    /// Asks what became of letters whose answer was lost. Those still unanswered stay in the list.
    fn look_up(
        &self,
        errand: &Errand<'_>,
        mark: u64,
        to_look_up: &mut Vec<usize>,
        progress: &mut [Progress],
    ) -> Option<String> {
        while let Some(place) = to_look_up.last().copied() {
            let letter = &self.letters[place];
            let one = &mut progress[place];
            match errand.provider.lookup(&self.buffer[letter.reference.clone()], mark) {
                Ok(LookUp::Accepted) => one.state = Some(DeliveryState::FoundSent),
                Ok(LookUp::NeverArrived) => {}
                Ok(LookUp::Unsupported) => one.lose(errand.config.uncertain_resends_max),
                Err(error) => return Some(error.to_string()),
            }
            to_look_up.pop();
        }
        None
    }

    /// Sends what has no state yet. Gives the provider's words if it was not there.
    fn send_open(
        &self,
        errand: &Errand<'_>,
        to_look_up: &mut Vec<usize>,
        progress: &mut [Progress],
    ) -> Option<String> {
        let open = open_ones(progress);
        let batch: Vec<Sms<'_>> = open
            .iter()
            .filter_map(|place| {
                let letter = &self.letters[*place];
                letter.to.as_ref().ok().map(|to| self.sms(letter, to))
            })
            .collect();
        if batch.is_empty() {
            return None;
        }
        let mut answers = Vec::with_capacity(batch.len());
        errand.provider.send_many(&batch, &mut answers);
        let mut trouble = None;
        for (answered, place) in open.iter().enumerate() {
            let one = &mut progress[*place];
            match answers.get(answered) {
                Some(Ok(_)) if one.uncertain => one.state = Some(DeliveryState::PerhapsTwice),
                Some(Ok(_)) => one.state = Some(DeliveryState::Sent),
                Some(Err(SendError::Refused(_))) => one.state = Some(DeliveryState::Refused),
                Some(Err(SendError::Unavailable(why))) => trouble = Some(why.clone()),
                // A provider that leaves out an answer has lost it.
                lost => {
                    to_look_up.push(*place);
                    trouble =
                        Some(lost.and_then(|answer| answer.as_ref().err()).map_or_else(
                            || "an answer was left out".to_owned(),
                            ToString::to_string,
                        ));
                }
            }
        }
        trouble
    }

    /// Gives up what could not be settled for too long.
    fn give_up(&self, errand: &Errand<'_>, to_look_up: &mut Vec<usize>, progress: &mut [Progress]) {
        let oldest = (errand.now)().0.saturating_sub_unsigned(errand.config.give_up_after_ms);
        for place in open_ones(progress) {
            if self.letters[place].at.0 < oldest {
                let one = &mut progress[place];
                let may_be_sent = one.uncertain || to_look_up.contains(&place);
                one.state = Some(if may_be_sent {
                    DeliveryState::Unconfirmed
                } else {
                    DeliveryState::GivenUp
                });
            }
        }
        to_look_up.retain(|place| progress[*place].state.is_none());
    }
}

impl Progress {
    fn of(letter: &Letter) -> Progress {
        Progress { state: letter.to.as_ref().err().copied(), uncertain: false, resends: 0 }
    }

    /// An answer is lost and cannot be looked up: send again a few times, then leave it.
    fn lose(&mut self, resends_max: u32) {
        self.uncertain = true;
        if self.resends >= resends_max {
            self.state = Some(DeliveryState::Unconfirmed);
        } else {
            self.resends += 1;
        }
    }
}

fn open_ones(progress: &[Progress]) -> Vec<usize> {
    let open = progress.iter().enumerate().filter(|(_, one)| one.state.is_none());
    open.map(|(place, _)| place).collect()
}

/// Phone and language of a row, or why there are none.
fn reach(
    row: Option<&[u8]>,
    vault: &Vault,
    missing_key: &mut Option<OpenError>,
) -> Result<(Phone, u8), DeliveryState> {
    let (key, sealed) = contact_of(row).ok_or(DeliveryState::NoContact)?;
    let reached = vault.open_reach(key, sealed, |phone, language| {
        Phone::new(phone).map(|phone| (phone, language)).ok_or(DeliveryState::NoPhone)
    });
    reached.unwrap_or_else(|error| {
        if matches!(error, OpenError::UnknownKey { .. }) {
            *missing_key = Some(error);
        }
        Err(DeliveryState::UnreadableContact)
    })
}

/// Waits; false when a stop was asked for.
pub(crate) fn pause(wait_ms: u64, stop: &AtomicBool) -> bool {
    let mut left = wait_ms;
    while left > 0 && !stop.load(Ordering::Acquire) {
        let piece = left.min(WAIT_PIECE_MS);
        std::thread::sleep(Duration::from_millis(piece));
        left -= piece;
    }
    !stop.load(Ordering::Acquire)
}
