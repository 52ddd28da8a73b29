//! Secrets read, refused and kept out of sight.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

#[test]
fn generated_secrets_survive_the_file() {
    let public_key = crate::consumer::public_key(&[5; 32]).unwrap();
    let secrets = Secrets::generate().rotate_token().unwrap().with_consumer(3, public_key);
    let again = Secrets::from_toml(&secrets.to_toml()).unwrap();
    assert!(secrets == again);
    assert!(!secrets.is_sample());
    assert_eq!(again.token.current, 2);
    assert_eq!(again.token.keys.len(), 2);
    assert!(Secrets::generate() != Secrets::generate());
}

#[test]
fn sample_secrets_are_recognised_even_when_only_one_key_is_left() {
    let sample = Secrets::sample();
    assert!(sample.is_sample());
    assert!(Secrets::from_toml(&sample.to_toml()).unwrap().is_sample());
    let mut mixed = Secrets::generate();
    mixed.seal.keys.insert(9, sample.seal.keys[&1].clone());
    assert!(mixed.is_sample());
}

#[test]
fn unusable_files_are_refused_and_never_quoted() {
    let good = Secrets::generate().to_toml().to_string();
    let secret = good.lines().find(|line| line.starts_with("identity_key")).unwrap()
        ["identity_key = \"".len()..]
        .trim_end_matches('"')
        .to_owned();
    let token = good.lines().find(|line| line.starts_with("1 = ")).unwrap();
    let cases: Vec<(&str, String)> = vec![
        ("another format", good.replace("format = 1", "format = 2")),
        ("a short key", good.replace(&secret, &secret[..40])),
        ("a long key", good.replace(&secret, &format!("{secret}AAAA"))),
        ("zeros", good.replace(&secret, &"A".repeat(43))),
        ("no identity key", good.replace("identity_key", "# identity_key")),
        ("an unknown key", good.replace("format = 1", "format = 1\nmode = 2")),
        ("a current id without a key", good.replacen("current = 1", "current = 2", 1)),
        ("an id that is no number", good.replacen("\n1 = ", "\none = ", 1)),
        ("a key in two places", good.replace(&secret, &token["1 = \"".len()..token.len() - 1])),
        (
            "a consumer's key of low order",
            Secrets::generate().with_consumer(1, [0; 32]).to_toml().to_string(),
        ),
        ("not TOML", format!("{good}\n\"{secret}")),
        ("nothing", String::new()),
    ];
    for (what, text) in cases {
        let error = Secrets::from_toml(&text).expect_err(what).to_string();
        assert!(!error.contains(&secret[..10]), "{what}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_everybody_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets.toml");
    std::fs::write(&path, Secrets::generate().to_toml().as_bytes()).unwrap();
    for (mode, taken) in [(0o600, true), (0o640, true), (0o644, false), (0o604, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(Secrets::load(&path).is_ok(), taken, "{mode:o}");
    }
    assert!(matches!(
        Secrets::load(folder.path().join("missing")),
        Err(SecretsError::Unreadable { .. })
    ));
}

#[test]
fn a_full_ring_says_so() {
    let mut secrets = Secrets::generate();
    for _ in 1..RING_KEYS_MAX {
        secrets = secrets.rotate_seal().unwrap();
    }
    assert_eq!(secrets.seal.keys.len(), RING_KEYS_MAX);
    assert!(secrets.rotate_seal().is_err());
}
