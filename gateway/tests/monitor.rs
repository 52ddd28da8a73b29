//! The operator's listener of a process without a gateway.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway::{Attachments, LimitConfig, Monitor, Readiness, ReadyCheck, monitor};
use support::client::{Client, connect};
use support::slug;
use vault::{Role, Secrets, Vault};

fn start(vault: Option<Arc<Vault>>, ready: &Arc<AtomicBool>, limits: &LimitConfig) -> Monitor {
    let flag = Arc::clone(ready);
    let check = move || match flag.load(Ordering::SeqCst) {
        true => Readiness { reason: "standby".to_owned(), ..Readiness::ready() },
        false => Readiness { progress: Some((3, 7)), ..Readiness::because("replaying") },
    };
    let attachments = Attachments {
        readiness: vec![ReadyCheck { name: "engine", check: Arc::new(check) }],
        metrics: vec![Arc::new(|out: &mut String| out.push_str("some_metric 1\n"))],
        accept_time: Some(Arc::new(|| true)),
        ..Attachments::default()
    };
    monitor("127.0.0.1:0".parse().unwrap(), limits, vault, attachments).unwrap()
}

#[test]
fn monitoring_is_answered_and_nothing_else_is_there() {
    let ready = Arc::new(AtomicBool::new(false));
    let monitor = start(None, &ready, &LimitConfig::default());
    let mut client = Client::to(monitor.address);
    assert_eq!(client.get("/livez").body, "ok\n");
    let answer = client.get("/readyz");
    assert_eq!(answer.status, 503);
    let check = &answer.json["checks"][0];
    assert_eq!((&check["reason"], &check["progress"]["total"]), (&"replaying".into(), &7.into()));
    ready.store(true, Ordering::SeqCst);
    let answer = client.get("/readyz");
    assert_eq!((answer.status, &answer.json["checks"][0]["reason"]), (200, &"standby".into()));
    assert_eq!(client.get("/metrics").body, "some_metric 1\n");
    for (method, path, status) in [
        ("GET", "/", 404),
        ("GET", "/v1/overview", 404),
        ("PUT", "/v1/periods/2", 404),
        ("POST", "/livez", 405),
        ("GET", "/v1/engine:accept-time", 405),
    ] {
        assert_eq!(client.send(method, path, &[], b"").status, status, "{method} {path}");
    }
}

#[test]
fn an_order_needs_a_token_where_tokens_can_be_opened() {
    let ready = Arc::default();
    let vault = Arc::new(Vault::new(Secrets::sample()));
    let token = |roles: &[Role]| {
        vault.mint_operator_token("someone", roles, u64::from(u32::MAX)).unwrap().to_string()
    };
    let monitor = start(Some(Arc::clone(&vault)), &ready, &LimitConfig::default());
    let order = |client: &mut Client| client.send("POST", "/v1/engine:accept-time", &[], b"{}");
    let nobody = order(&mut Client::to(monitor.address));
    assert_eq!((nobody.status, slug(&nobody)), (401, "not-authenticated"));
    let viewer = order(&mut Client::to(monitor.address).with_token(&token(&[Role::Viewer])));
    assert_eq!((viewer.status, slug(&viewer)), (403, "not-permitted"));
    let admin = order(&mut Client::to(monitor.address).with_token(&token(&[Role::Admin])));
    assert_eq!((admin.status, &admin.json["accepted"]), (200, &true.into()));

    // Without secrets, whoever is on this machine may give it: they could as well stop the engine.
    let monitor = start(None, &ready, &LimitConfig::default());
    assert_eq!(order(&mut Client::to(monitor.address)).status, 200);
}

#[test]
fn silent_callers_are_let_go_and_too_many_are_turned_away() {
    use std::io::Read;
    let limits = LimitConfig {
        header_wait_ms_max: 200,
        operator_connections_max: 2,
        ..LimitConfig::default()
    };
    let monitor = start(None, &Arc::default(), &limits);
    let mut silent: Vec<_> = (0..4).map(|_| connect(monitor.address)).collect();
    for connection in &mut silent {
        // The end, sooner or later: nothing was said.
        assert_eq!(connection.read(&mut [0; 16]).unwrap(), 0);
    }
    assert_eq!(Client::to(monitor.address).get("/livez").status, 200);
}
