//! What each verb of the vault costs; a booking needs the first four.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use vault::{Contact, IdNumber, Secrets, TokenClaims, Vault};

fn vault(criterion: &mut Criterion) {
    let Ok(public_key) = vault::consumer::public_key(&[7; 32]) else { return };
    let Some(id_number) = IdNumber::new("A123456789") else { return };
    let vault = Vault::new(Secrets::sample().with_consumer(1, public_key));
    let person = vault.person_key("A123456789");
    let claims = TokenClaims {
        person,
        number: Some(5),
        seen_sequence: 6,
        expires_at_s: 1_800_000_000,
        sealed_id: vault.seal_id(&person, &id_number),
    };
    let token = vault.mint_token(&claims);
    let receipt = vault.seal_receipt(&person, 2, 7);
    let contact = Contact {
        name: "王小明".into(),
        phone: "0912345678".into(),
        id_number: "A123456789".into(),
        language: 0,
    };
    let Ok(sealed) = vault.seal_contact(&person, &contact) else { return };
    let birth = vault.seal_birth(&person, 11_000);

    let mut group = criterion.benchmark_group("vault");
    let group = &mut group;
    of(group, "open_token", || vault.open_token(black_box(&token), 0));
    of(group, "key_hash", || vault.key_hash(&person, 2, black_box(b"0f8fad5b-d9cb-469f-a165")));
    of(group, "fingerprint", || vault.fingerprint(black_box(b"book 2 123456")));
    of(group, "seal_receipt", || vault.seal_receipt(&person, 2, black_box(7)));
    of(group, "open_receipt", || vault.open_receipt(black_box(receipt.as_str())));
    of(group, "person_key", || vault.person_key(black_box("A123456789")));
    of(group, "mint_token", || vault.mint_token(black_box(&claims)));
    of(group, "seal_contact", || vault.seal_contact(&person, black_box(&contact)));
    of(group, "open_contact", || vault.open_contact(&person, black_box(&sealed)));
    of(group, "open_reach", || vault.open_reach(&person, black_box(&sealed), |_, tongue| tongue));
    of(group, "open_birth", || vault.open_birth(&person, black_box(&birth)));
    of(group, "reseal_for_consumer", || vault.reseal_for_consumer(black_box(&contact), 5, "0-5-0"));
}

fn of<T>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut call: impl FnMut() -> T) {
    group.bench_function(name, |bencher| bencher.iter(&mut call));
}

criterion_group!(benches, vault);
criterion_main!(benches);
