//! Any text as a token, receipt or operator token: none of them was made here, so none opens.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vault::{Secrets, Vault};

static VAULT: LazyLock<Vault> = LazyLock::new(|| Vault::new(Secrets::generate()));

fuzz_target!(|text: &str| {
    assert!(VAULT.open_token(text, 0).is_err());
    assert!(VAULT.open_receipt(text).is_none());
    assert!(VAULT.open_operator_token(text, 0).is_err());
});
