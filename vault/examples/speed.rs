//! What each verb of the vault costs on this machine: `cargo run --release -p vault --example speed`.
//!
//! Prints the median of several rounds; a booking needs the first four lines.

use std::hint::black_box;
use std::time::Instant;

use vault::{Contact, IdNumber, Secrets, TokenClaims, Vault};

const ROUNDS: usize = 11;
const CALLS_PER_ROUND: u32 = 20_000;

fn measure<T>(what: &str, mut call: impl FnMut() -> T) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            for _ in 0..CALLS_PER_ROUND {
                black_box(call());
            }
            begin.elapsed().as_nanos() as f64 / f64::from(CALLS_PER_ROUND)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("{what:<28} {:>8.0} ns (least {:.0})", rounds[ROUNDS / 2], rounds[0]);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let public_key = vault::consumer::public_key(&[7; 32])?;
    let vault = Vault::new(Secrets::sample().with_consumer(1, public_key));
    let person = vault.person_key("A123456789");
    let id_number = IdNumber::new("A123456789").ok_or("a valid number")?;
    let claims = TokenClaims {
        person,
        number: Some(5),
        seen_sequence: 6,
        expires_at_s: 1_800_000_000,
        sealed_id: vault.seal_id(&person, &id_number),
    };
    let token = vault.mint_token(&claims);
    measure("open_token", || vault.open_token(black_box(&token), 0));
    measure("key_hash", || vault.key_hash(&person, 2, black_box(b"0f8fad5b-d9cb-469f-a165")));
    measure("fingerprint", || vault.fingerprint(black_box(b"book 2 123456")));
    measure("seal_receipt", || vault.seal_receipt(&person, 2, black_box(7)));
    let receipt = vault.seal_receipt(&person, 2, 7);
    measure("open_receipt", || vault.open_receipt(black_box(receipt.as_str())));
    measure("person_key", || vault.person_key(black_box("A123456789")));
    measure("mint_token", || vault.mint_token(black_box(&claims)));
    let contact = Contact {
        name: "王小明".into(),
        phone: "0912345678".into(),
        id_number: "A123456789".into(),
        language: 0,
    };
    let sealed = vault.seal_contact(&person, &contact)?;
    measure("seal_contact", || vault.seal_contact(&person, black_box(&contact)));
    measure("open_contact", || vault.open_contact(&person, black_box(&sealed)));
    measure("open_reach", || vault.open_reach(&person, black_box(&sealed), |_, language| language));
    let birth = vault.seal_birth(&person, 11_000);
    measure("open_birth", || vault.open_birth(&person, black_box(&birth)));
    measure("reseal_for_consumer", || vault.reseal_for_consumer(black_box(&contact), 5, "0-5-0"));
    Ok(())
}
