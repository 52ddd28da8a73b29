//! Check digits of identity numbers, computed a second time and in another way.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use domain::identity::{IdKind, IdNumber, NotANumber};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Numbers generated for each kind.
const NUMBERS: usize = 50_000;

/// Letters in the order in which the offices gave them their numbers, from 10 on.
const LETTERS_IN_ORDER: &str = "ABCDEFGHJKLMNPQRSTUVXYWZIO";

/// The check digit as the offices describe it by hand: write the letter as its number, strike each
/// product's tens, add up, and take what is missing to the next ten. Here with running products over a
/// string of digits, from the right.
fn check_digit(nine: &str) -> u32 {
    let mut digits = String::new();
    for (place, character) in nine.chars().enumerate() {
        match LETTERS_IN_ORDER.find(character) {
            Some(order) if place == 0 => digits.push_str(&(order + 10).to_string()),
            Some(order) => digits.push_str(&((order + 10) % 10).to_string()),
            None => digits.push(character),
        }
    }
    let mut units = 0;
    for (from_right, digit) in digits.chars().rev().enumerate() {
        // 1 to 9 from the right; the very first digit counts once.
        let weight = if from_right + 1 == digits.len() { 1 } else { from_right as u32 + 1 };
        units += digit.to_digit(10).unwrap() * weight % 10;
    }
    (10 - units % 10) % 10
}

fn nine(rng: &mut ChaCha8Rng, kind: IdKind) -> String {
    let letter = |rng: &mut ChaCha8Rng| char::from(b'A' + rng.random_range(0..26));
    let second = match kind {
        IdKind::National => ['1', '2'][rng.random_range(0..2)],
        IdKind::Unified => ['8', '9'][rng.random_range(0..2)],
        IdKind::OldUnified => ['A', 'B', 'C', 'D'][rng.random_range(0..4)],
    };
    format!("{}{second}{:07}", letter(rng), rng.random_range(0..10_000_000))
}

#[test]
fn exactly_one_last_digit_makes_a_number_valid_and_it_is_the_one_of_the_second_computation() {
    let mut rng = support::seeded("exactly_one_last_digit");
    for kind in [IdKind::National, IdKind::Unified, IdKind::OldUnified] {
        for _ in 0..NUMBERS {
            let nine = nine(&mut rng, kind);
            let right = check_digit(&nine);
            for last in 0..10 {
                let number = format!("{nine}{last}");
                let read = IdNumber::parse(&number).map(|id| id.kind());
                let expected = if last == right { Ok(kind) } else { Err(NotANumber::CheckDigit) };
                assert_eq!(read, expected, "{number}");
            }
        }
    }
}

#[test]
fn the_second_computation_agrees_with_published_numbers() {
    for number in ["A123456789", "A800000014", "AA00000009", "AC03095424", "TD00251124"] {
        assert_eq!(check_digit(&number[..9]).to_string(), number[9..], "{number}");
    }
}

#[test]
fn any_text_is_refused_or_taken_without_a_panic() {
    let mut rng = support::seeded("any_text_is_refused_or_taken");
    const LETTERS: [char; 12] =
        ['A', 'z', '0', '9', ' ', '-', 'Ａ', '９', '\u{3000}', '臺', '\u{0}', '🩹'];
    for _ in 0..NUMBERS {
        let length = rng.random_range(0..20);
        let text: String =
            (0..length).map(|_| LETTERS[rng.random_range(0..LETTERS.len())]).collect();
        let _ = IdNumber::parse(&text);
        let _ = domain::identity::masked(&text);
        let numbers = [
            domain::identity::card_number(&text),
            domain::identity::mobile_number(&text),
            domain::identity::passport_number(&text),
            domain::identity::entry_permit_number(&text),
        ];
        for number in numbers.into_iter().flatten() {
            assert!(number.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{text:?}");
        }
    }
}
