//! The log on real nats-servers: its contract on one and on three, fences, and what it says when it cannot.

use crate::contract::{self, entry};
use crate::support::nats::{Server, cluster, connect, options, single};
use crate::support::until;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use medevac::adapters::nats::{Certificates, Identity, Nats, Options};
use medevac::clock::System;
use medevac::log::{Consumer, Log, LogError, Policy, Stream};
use medevac::model::Secret;
use serde_json::json;

#[tokio::test]
async fn one_server_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let server = single(directory.path(), "");
    contract::holds(connect(&options(&[&server])).await).await;
}

#[tokio::test]
async fn three_servers_keep_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let servers = cluster(directory.path(), |_, _, port| port);
    let servers: Vec<_> = servers.iter().collect();
    contract::holds(connect(&options(&servers)).await).await;
}

/// A server with users: one may do everything, one may not write decisions.
const USERS: &str = r#"authorization { users: [
  {user: all, password: all}
  {user: some, password: some, permissions: {publish: {deny: "medevac.decisions.>"}}}
] }"#;

fn as_user(server: &Server, user: &str) -> Options {
    let identity = Identity::User(user.into(), Secret::new(user));
    Options { identity, ..options(&[server]) }
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let server = single(directory.path(), USERS);
    connect(&as_user(&server, "all")).await;
    let some = connect(&as_user(&server, "some")).await;
    some.append(vec![entry(Stream::Events, "allowed")]).await.unwrap();
    let denied = some.append(vec![entry(Stream::Decisions, "denied")]).await.unwrap_err();
    let LogError::Denied(why) = &denied else { panic!("{denied:?}") };
    assert!(why.contains("medevac.decisions.test"), "{why}");
    let Err(error) = Nats::connect(&as_user(&server, "nobody"), System).await else {
        panic!("let in")
    };
    let told = medevac::model::chain(&error);
    assert!(told.contains("authorization violation"), "{told}");
}

#[tokio::test]
async fn a_token_an_nkey_and_a_credentials_file_open_the_door() {
    let directory = tempfile::tempdir().unwrap();
    let token = single(directory.path(), "authorization { token: \"t0ken\" }");
    let identity = Identity::Token(Secret::new("t0ken"));
    connect(&Options { identity, ..options(&[&token]) }).await;
    let user = nkeys::KeyPair::new_user();
    let other = tempfile::tempdir().unwrap();
    let users = format!("authorization {{ users: [{{nkey: {}}}] }}", user.public_key());
    let server = single(other.path(), &users);
    let identity = Identity::Nkey(Secret::new(user.seed().unwrap()));
    connect(&Options { identity, ..options(&[&server]) }).await;
    let third = tempfile::tempdir().unwrap();
    let (config, file) = operator(third.path(), &user);
    let server = single(third.path(), &config);
    let identity = Identity::Credentials(file);
    connect(&Options { identity, ..options(&[&server]) }).await;
}

/// An operator, an account and a user, each signed by the one before: configuration and credentials file.
fn operator(directory: &std::path::Path, user: &nkeys::KeyPair) -> (String, std::path::PathBuf) {
    let (operator, account) = (nkeys::KeyPair::new_operator(), nkeys::KeyPair::new_account());
    let token = |by: &nkeys::KeyPair, about: &nkeys::KeyPair, nats: serde_json::Value| {
        let encode = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let head = encode(&json!({"typ": "JWT", "alg": "ed25519-nkey"}));
        let claims = encode(&json!({
            "jti": "x", "iat": 1, "iss": by.public_key(), "sub": about.public_key(), "name": "t", "nats": nats,
        }));
        let text = format!("{head}.{claims}");
        let signature = BASE64_URL_SAFE_NO_PAD.encode(by.sign(text.as_bytes()).unwrap());
        format!("{text}.{signature}")
    };
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
        "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
    });
    let top = token(&operator, &operator, json!({"type": "operator", "version": 2}));
    let middle =
        token(&operator, &account, json!({"type": "account", "version": 2, "limits": limits}));
    let system = nkeys::KeyPair::new_account();
    let house = json!({"type": "account", "version": 2, "limits": {"conn": -1, "leaf": -1, "subs": -1, "data": -1, "payload": -1}});
    let house = token(&operator, &system, house);
    let bottom = token(
        &account,
        user,
        json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}),
    );
    let file = directory.join("user.creds");
    let creds = format!(
        "-----BEGIN NATS USER JWT-----\n{bottom}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().unwrap()
    );
    std::fs::write(&file, creds).unwrap();
    let public = account.public_key();
    let own = system.public_key();
    let config = format!(
        "operator: {top}\nsystem_account: {own}\nresolver: MEMORY\nresolver_preload: {{ {public}: {middle}, {own}: {house} }}\n"
    );
    (config, file)
}

#[tokio::test]
async fn tls_with_our_own_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let ca = write("ca.pem", params.self_signed(&ca_key).unwrap().pem());
    let issuer = rcgen::Issuer::new(params, ca_key);
    let pair = |name: &str, host: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        (
            write(&format!("{name}.pem"), certificate.pem()),
            write(&format!("{name}.key"), key.serialize_pem()),
        )
    };
    let (certificate, key) = pair("server", "127.0.0.1");
    let tls = format!(
        "tls {{ cert_file: {certificate:?}, key_file: {key:?}, ca_file: {ca:?}, verify: true }}"
    );
    let server = single(directory.path(), &tls);
    let own = pair("client", "medevac");
    let certificates = Certificates { ca: Some(ca.clone()), own: Some(own) };
    connect(&Options { certificates, ..options(&[&server]) }).await;
    let certificates = Certificates { ca: Some(ca), own: None };
    let without = Nats::connect(&Options { certificates, ..options(&[&server]) }, System).await;
    assert!(without.is_err(), "a client without a certificate is not let in");
}

#[tokio::test]
async fn what_is_full_refuses_and_takes_again_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let server = single(directory.path(), "");
    let log = connect(&Options { max_bytes: 20_000, ..options(&[&server]) }).await;
    let mut accepted = 0;
    let refused = loop {
        let mut one = entry(Stream::Events, &format!("big {accepted}"));
        one.body = vec![b' '; 2000];
        match log.append(vec![one]).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 100, "the limit does not hold");
    };
    assert!(matches!(refused, LogError::Full(_)), "{refused:?}");
    let mut decision = entry(Stream::Decisions, "none either");
    decision.body = vec![b' '; 3000];
    let decision = log.append(vec![decision]).await;
    assert!(matches!(decision, Err(LogError::Full(_))), "{decision:?}");
    let jetstream = async_nats::jetstream::new(log.client());
    assert!(log.trouble()[0].contains("the log is full"), "{:?}", log.trouble());
    jetstream.get_stream("MEDEVAC").await.unwrap().purge().await.unwrap();
    until("there is room again", || async {
        log.append(vec![entry(Stream::Events, "again")]).await.ok()
    })
    .await;
    assert!(log.trouble().is_empty(), "{:?}", log.trouble());
}

#[tokio::test]
async fn what_snapshots_cover_makes_room_before_the_log_is_full() {
    let directory = tempfile::tempdir().unwrap();
    let server = single(directory.path(), "");
    let log = connect(&Options { max_bytes: 200_000, ..options(&[&server]) }).await;
    let fill = async |from: u32, upto: u32| {
        for n in from..upto {
            let mut one = entry(Stream::Events, &format!("{n}"));
            one.body = vec![b' '; 2000];
            log.append(vec![one]).await.unwrap();
        }
    };
    fill(0, 85).await;
    log.trim(10).await.unwrap();
    let first = log.read(0, &[Stream::Events], 1).await.unwrap()[0].seq;
    assert_eq!(first, 11, "no more than what is covered");
    fill(85, 95).await;
    log.trim(80).await.unwrap();
    let first = log.read(0, &[Stream::Events], 1).await.unwrap()[0].seq;
    assert!(first > 20 && first <= 81, "{first}");
}

#[tokio::test]
async fn a_stream_that_differs_is_told_and_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    let server = single(directory.path(), "");
    connect(&options(&[&server])).await;
    let hour = std::time::Duration::from_secs(3600);
    let log = connect(&Options { max_age: hour, ..options(&[&server]) }).await;
    let told: Vec<_> =
        log.differences().iter().map(|one| (one.stream.as_str(), one.setting)).collect();
    assert_eq!(told, [("MEDEVAC", "max_age")]);
    let jetstream = async_nats::jetstream::new(log.client());
    let config = jetstream.get_stream("MEDEVAC").await.unwrap().cached_info().config.clone();
    assert_eq!(config.max_age, Options::default().max_age, "left as it is");
    jetstream.delete_stream("MEDEVAC").await.unwrap();
    let foreign = async_nats::jetstream::stream::Config {
        name: "MEDEVAC".into(),
        subjects: vec!["other".into()],
        ..Default::default()
    };
    jetstream.create_stream(foreign).await.unwrap();
    let Err(error) = Nats::connect(&options(&[&server]), System).await else { panic!("taken") };
    let told = medevac::model::chain(&error);
    assert!(told.contains("subjects is other") && told.contains("nothing was changed"), "{told}");
}

#[tokio::test]
async fn a_server_that_comes_back_is_found_again_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = single(directory.path(), "");
    let log = connect(&options(&[&server])).await;
    let mut consumer = log.consumer("c", &[Stream::Events], Policy::default()).await.unwrap();
    log.append(vec![entry(Stream::Events, "before")]).await.unwrap();
    let first = consumer.next(1).await.unwrap();
    consumer.ack(first[0].record.seq).await.unwrap();
    server.kill();
    let down = log.append(vec![entry(Stream::Events, "while it is away")]).await;
    assert!(matches!(down, Err(LogError::Unavailable(_))), "{down:?}");
    server.start();
    let again = until("it takes again", || async {
        log.append(vec![entry(Stream::Events, "while it is away")]).await.ok()
    })
    .await;
    let next = loop {
        // A reader whose server went away may say so; it is asked again, as a room that starts anew does.
        if let Ok(next) = consumer.next(10).await {
            break next;
        }
    };
    assert_eq!(next.last().unwrap().record.seq, again[0].seq);
    assert_eq!(log.read(0, &[Stream::Events], 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn copies_of_decisions_and_outcomes_are_kept_by_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let server = single(directory.path(), "");
    let log = connect(&options(&[&server])).await;
    let all = [Stream::Events, Stream::Decisions, Stream::Plans, Stream::Outcomes, Stream::Dead];
    for stream in all {
        log.append(vec![entry(stream, stream.word())]).await.unwrap();
    }
    let jetstream = async_nats::jetstream::new(log.client());
    for (name, wanted) in [("MEDEVAC_DECISIONS", 2), ("MEDEVAC_OUTCOMES", 1), ("MEDEVAC_DEAD", 1)] {
        until("the copy is there", || async {
            let mut stream = jetstream.get_stream(name).await.unwrap();
            (stream.info().await.unwrap().state.messages == wanted).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn other_peoples_subjects_are_sources() {
    let directory = tempfile::tempdir().unwrap();
    let server = single(directory.path(), "");
    let log = connect(&options(&[&server])).await;
    let client = log.client();
    let jetstream = async_nats::jetstream::new(client.clone());
    let theirs = async_nats::jetstream::stream::Config {
        name: "DCGM".into(),
        subjects: vec!["dcgm.>".into()],
        ..Default::default()
    };
    jetstream.create_stream(theirs).await.unwrap();
    let practice = medevac::simulation::Practice::new(crate::support::daemon::world(), System);
    let intake = medevac::sources::Intake {
        log: log.clone(),
        clock: System,
        view: practice,
        cluster: None,
        truncated: None,
    };
    let text = "nats: {servers: [nats://x:4222]}\nsources:\n  - name: dcgm\n    subject: dcgm.health\n    stream: DCGM\n    format: json\n\
                \x20   map: {type: \"gpu.{check}\", target: \"node/{host}\", time: \"{ts}\", time_unit: ms}\n\
                \x20 - {name: plain, subject: events.>}\n";
    let source =
        std::sync::Arc::new(medevac::rules::Source { path: "c".into(), text: text.into() });
    for source in medevac::config::load(&source).unwrap().sources {
        tokio::spawn(medevac::sources::subjects::run(client.clone(), source, intake.clone()));
    }
    // Before anybody listens: a stream keeps it.
    let message = json!({"check": "xid", "host": "n1", "ts": 1000}).to_string();
    jetstream.publish("dcgm.health", message.into()).await.unwrap().await.unwrap();
    jetstream.publish("dcgm.health", "no json".into()).await.unwrap().await.unwrap();
    let event = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "mine", "subject": "node/n2"});
    let answer = until("the plain subject is listened to", || async {
        client.request("events.a", event.to_string().into()).await.ok()
    })
    .await;
    let tally: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
    assert_eq!(tally["accepted"], 1, "{tally}");
    let events = until("both are in the log", || async {
        let events = log.read(0, &[Stream::Events], 10).await.unwrap();
        (events.len() == 2).then_some(events)
    })
    .await;
    let mut seen: Vec<(String, String)> = events
        .iter()
        .map(|record| record.open::<medevac::model::Event>().unwrap())
        .map(|event| (event.kind, event.subject.to_string()))
        .collect();
    seen.sort();
    assert_eq!(seen, [("gpu.xid".into(), "node/n1".into()), ("mine".into(), "node/n2".into())]);
    let dead = until("what cannot be used is set aside", || async {
        let dead = log.read(0, &[Stream::Dead], 10).await.unwrap();
        (!dead.is_empty()).then_some(dead)
    })
    .await;
    let letter = dead[0].open::<medevac::log::DeadLetter>().unwrap().data;
    assert_eq!((letter.source.as_str(), letter.body.as_str()), ("nats/dcgm", "no json"));
}

#[tokio::test]
async fn what_a_foreign_hand_writes_to_our_subjects_stops_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let server = single(directory.path(), "");
    let log = connect(&options(&[&server])).await;
    let mut consumer = log.consumer("c", &[Stream::Events], Policy::default()).await.unwrap();
    log.append(vec![entry(Stream::Events, "before")]).await.unwrap();
    let jetstream = async_nats::jetstream::new(log.client());
    for subject in ["medevac.events.short", "medevac.events.a.b.c.d.e"] {
        jetstream.publish(subject, "garbage".into()).await.unwrap().await.unwrap();
    }
    let after = log.append(vec![entry(Stream::Events, "after")]).await.unwrap();
    assert_eq!(log.read(0, &[Stream::Events], 10).await.unwrap().len(), 2);
    let mut seen = vec![];
    while seen.len() < 2 {
        for one in consumer.next(10).await.unwrap() {
            consumer.ack(one.record.seq).await.unwrap();
            seen.push(one.record.seq);
        }
    }
    assert_eq!(seen[1], after[0].seq);
}

#[tokio::test]
async fn a_log_that_is_moved_keeps_repeated_ids_and_empty_positions() {
    use medevac::log::{Moving, Restored};
    let directory = tempfile::tempdir().unwrap();
    let server = single(directory.path(), "");
    let log = connect(&options(&[&server])).await;
    let at = jiff::Timestamp::UNIX_EPOCH;
    let one = |seq: u64| Restored { seq, at, entry: entry(Stream::Events, "the same") };
    log.restore(vec![one(1), one(2), one(5)]).await.unwrap();
    log.restore(vec![one(6)]).await.unwrap();
    let records = log.read(0, &[Stream::Events], 10).await.unwrap();
    let seen: Vec<_> = records.iter().map(|record| (record.seq, record.at)).collect();
    assert_eq!(seen, [(1, at), (2, at), (5, at), (6, at)]);
    assert!(matches!(log.restore(vec![one(6)]).await, Err(LogError::Conflict)));
}
