//! The HTTP port: captured bodies, people's answers, who is let in, and what is refused.

use crate::support::{
    client,
    daemon::{self, Door, Orders},
    get, incidents, metric, until,
};
use medevac::config::{Auth, Tls};
use medevac::log::{Log, Stream};
use medevac::model::{Event, Secret};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path};

const RULES: &str = r#"
contacts: [{name: c, console: {}}]
escalations: [{name: p, levels: [{contacts: c}]}]
rules:
  - {name: all, when: alertmanager.alert.firing, mode: observe, then: [{wait: {time: 1s}}]}
  - name: lost
    when: aws.ec2.spot.interruption
    then: [{cordon: {}}, {drain: {}}]
    escalate: p
"#;

async fn start(directory: &Path, door: Door) -> daemon::Running {
    daemon::start(&Orders::new(directory, 0, RULES), door).await
}

async fn post(
    url: &str,
    path: &str,
    content: &str,
    body: impl Into<reqwest::Body>,
) -> (u16, Value) {
    let request = client().post(format!("{url}{path}")).header("Content-Type", content);
    let response = request.body(body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

const AM: &str = "/api/v1/alertmanager";
const CE: &str = "application/cloudevents+json";

fn corpus() -> Vec<(String, Vec<u8>)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/alertmanager");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap() != "MANIFEST.json")
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect();
    files.sort();
    assert_eq!(files.len(), 22);
    files
}

/// Every captured body, in the order of capture, twice: the episodes are those that the alerts tell.
#[tokio::test]
async fn every_captured_body_is_accepted_with_the_right_episodes() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = start(directory.path(), Door::default()).await;
    let (mut firing, mut all) = (BTreeSet::new(), 0);
    for round in 0..2 {
        for (name, bytes) in corpus() {
            let (status, answer) = post(&daemon.url, AM, "application/json", bytes.clone()).await;
            assert_eq!((status, &answer["dead_letters"]), (200, &json!(0)), "{name}");
            let body: Value = serde_json::from_slice(&bytes).unwrap();
            let alerts = body["alerts"].as_array().unwrap();
            let told =
                answer["accepted"].as_u64().unwrap() + answer["duplicates"].as_u64().unwrap();
            assert_eq!(told as usize, alerts.len(), "{name}");
            if round == 1 {
                assert_eq!(answer["accepted"], 0, "{name}: the second time it is known");
            }
            all += alerts.len();
            for alert in alerts.iter().filter(|alert| alert["status"] == "firing") {
                firing.insert((
                    alert["fingerprint"].as_str().unwrap().to_owned(),
                    alert["startsAt"].to_string(),
                ));
            }
        }
    }
    assert!(all > 1000);
    until("the engine has read everything", || async {
        (metric(&daemon.url, "medevac_log_lag_records", &[]).await < 1.0 && daemon.log.last() > 500)
            .then_some(())
    })
    .await;
    // 05 and 26 resolve what 01 and 19 had fired; 06 and 09 fire 01's kind again with a later start, and so on:
    // an episode is a fingerprint that fires after its last end, so there are at most as many as distinct starts.
    let opened = incidents(&daemon.url).await;
    // Which alerts keep how many incidents open: what fired and did not end, each once.
    let keeps_open = |file: &str| {
        let (_, bytes) = corpus().into_iter().find(|(name, _)| name.starts_with(file)).unwrap();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        let fingerprint = body["alerts"][0]["fingerprint"].clone();
        let signals = opened.iter().flat_map(|one| one["signals"].as_array().unwrap());
        signals.filter(|signal| signal["fingerprint"] == fingerprint).count()
    };
    assert_eq!(keeps_open("19-"), 0, "fired, and 26 resolved it by time-out");
    assert_eq!(keeps_open("04-"), 0, "resolved as a group");
    assert_eq!(keeps_open("06-"), 1, "fired again after its end");
    assert_eq!(keeps_open("07-"), 1, "told once, in a body that was cut");
    assert_eq!(keeps_open("20-"), 1, "a repeat is the same");
    assert!(
        opened.len() <= firing.len(),
        "{} incidents of {} beginnings",
        opened.len(),
        firing.len()
    );
    let refired: Vec<&Value> = opened
        .iter()
        .filter(|one| one["target"] == "node/ip-10-0-1-23.eu-west-1.compute.internal")
        .collect();
    assert_eq!(
        refired.iter().filter(|one| one["state"] == "resolved").count(),
        1,
        "01 until 05: {refired:#?}"
    );
    assert_eq!(
        refired.iter().filter(|one| one["state"] == "open").count(),
        1,
        "06 begins anew: {refired:#?}"
    );
    let dead = daemon.log.read(0, &[Stream::Dead], 10).await.unwrap();
    assert!(dead.is_empty());
}

#[tokio::test]
async fn ha_twins_late_copies_and_flaps_open_nothing_new() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = start(directory.path(), Door::default()).await;
    let alert = |status: &str, starts: &str, ends: &str, peer: &str| {
        json!({ "externalURL": peer, "status": status, "alerts": [{ "status": status, "labels": { "alertname": "A", "node": "n1" },
            "startsAt": starts, "endsAt": ends }] })
        .to_string()
    };
    let send = async |body: String| {
        assert_eq!(post(&daemon.url, AM, "application/json", body).await.0, 200);
    };
    let zero = "0001-01-01T00:00:00Z";
    send(alert("firing", "2026-09-18T08:20:00Z", zero, "http://am-0")).await;
    // The other half of the pair saw it a little later, and its Prometheus earlier.
    send(alert("firing", "2026-09-18T08:20:00.5Z", zero, "http://am-1")).await;
    send(alert("firing", "2026-09-18T08:19:58Z", zero, "http://am-1")).await;
    // Its end was never told: a flap within the episode.
    send(alert("firing", "2026-09-18T08:40:00Z", zero, "http://am-0")).await;
    send(alert("resolved", "2026-09-18T08:40:00Z", "2026-09-18T08:50:00Z", "http://am-0")).await;
    // Late copies of what is over.
    send(alert("firing", "2026-09-18T08:40:00.5Z", zero, "http://am-1")).await;
    send(alert("resolved", "2026-09-18T08:40:00.5Z", "2026-09-18T08:50:01Z", "http://am-1")).await;
    let only = until("it is over", || async {
        incidents(&daemon.url).await.into_iter().find(|one| one["state"] == "resolved")
    })
    .await;
    assert_eq!(only["plans"].as_array().unwrap().len(), 1, "decided upon once");
    send(alert("firing", "2026-09-18T09:00:00Z", zero, "http://am-0")).await;
    until("what fires after the end is new", || async {
        let all = incidents(&daemon.url).await;
        (all.len() == 2 && all.iter().any(|one| one["state"] == "open")).then_some(())
    })
    .await;
    // A late end of the first episode does not end the second.
    send(alert("resolved", "2026-09-18T08:40:00Z", "2026-09-18T08:50:02Z", "http://am-1")).await;
    until("it is read", || async {
        (metric(&daemon.url, "medevac_log_lag_records", &[]).await < 1.0).then_some(())
    })
    .await;
    assert!(incidents(&daemon.url).await.iter().any(|one| one["state"] == "open"));
}

#[tokio::test]
async fn people_look_page_by_page_and_answer() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = start(directory.path(), Door::default()).await;
    for n in 0..7 {
        let body = json!({ "alerts": [{ "status": "firing", "labels": { "alertname": "A", "node": format!("x{n}") } }] });
        post(&daemon.url, AM, "application/json", body.to_string()).await;
    }
    until("all are open", || async { (incidents(&daemon.url).await.len() == 7).then_some(()) })
        .await;
    let (mut seen, mut cursor) = (BTreeSet::new(), String::new());
    for _ in 0..4 {
        let page = get(&format!("{}/api/v1/incidents?limit=2{cursor}", daemon.url)).await.unwrap();
        seen.extend(page["incidents"].as_array().unwrap().iter().map(|one| one["id"].to_string()));
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 7, "each once");
    let id = incidents(&daemon.url).await[0]["id"].as_str().unwrap().to_owned();
    let path = |verb: &str| format!("/api/v1/incidents/{id}/{verb}");
    let (status, _) = post(&daemon.url, &path("ack"), "application/json", r#"{"by":"ana"}"#).await;
    assert_eq!(status, 202);
    let one = until("it is acknowledged", || async {
        let one = get(&format!("{}/api/v1/incidents/{id}", daemon.url)).await?;
        (one["incident"]["state"] == "acknowledged").then_some(one)
    })
    .await;
    assert_eq!(one["incident"]["acknowledged_by"], "ana");
    assert!(one["chain"].as_array().unwrap().len() >= 4, "{one:#}");
    post(&daemon.url, &path("resolve"), "application/json", r#"{"by":"ana","note":"done"}"#).await;
    until("it is resolved", || async {
        let page = get(&format!("{}/api/v1/incidents?state=resolved", daemon.url)).await?;
        (page["incidents"].as_array()?.len() == 1).then_some(())
    })
    .await;
    assert_eq!(post(&daemon.url, &path("ack"), "application/json", "").await.0, 409);
    assert_eq!(
        post(&daemon.url, "/api/v1/incidents/inc-none/ack", "application/json", "").await.0,
        404
    );
    let odd = get(&format!("{}/api/v1/incidents?state=odd", daemon.url)).await.unwrap();
    assert!(odd["error"].as_str().unwrap().contains("open, acknowledged or resolved"));
}

#[tokio::test]
async fn a_notice_for_a_known_instance_drains_its_node_and_an_unknown_one_calls_a_person() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = start(directory.path(), Door::default()).await;
    let instance = daemon::world().node("n2").unwrap().instance_id.clone();
    let notice = |instance: &str| {
        json!({ "specversion": "1.0", "id": instance, "source": "aws.ec2", "type": "aws.ec2.spot.interruption",
            "time": jiff::Timestamp::now(), "data": { "detail": { "instance-id": instance } } })
        .to_string()
    };
    for _ in 0..3 {
        assert_eq!(post(&daemon.url, "/api/v1/events", CE, notice(&instance)).await.0, 200);
    }
    post(&daemon.url, "/api/v1/events", CE, notice("i-unknown")).await;
    let find = async |target: &str| {
        incidents(&daemon.url).await.into_iter().find(|one| one["target"] == target)
    };
    let drained = until("the node is drained", || async {
        find("node/n2").await.filter(|one| one["state"] == "resolved")
    })
    .await;
    assert_eq!(
        (&drained["note"], drained["plans"].as_array().unwrap().len()),
        (&json!("remediated (medevac)"), 1)
    );
    let unknown = until("nothing could be done", || async {
        find("instance/i-unknown").await.filter(|one| one["last_end"] == "failed")
    })
    .await;
    assert!(
        unknown["note"].as_str().unwrap().contains("is none that the cluster knows"),
        "{unknown:#}"
    );
    until("a person is called", || async {
        (metric(&daemon.url, "medevac_pages_total", &["console", "accepted"]).await > 0.0)
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_form_of_cloudevents_is_taken_and_a_loop_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = start(directory.path(), Door::default()).await;
    let event = json!({ "specversion": "1.0", "id": "1", "source": "s", "type": "my.type", "subject": "node/n1" });
    assert_eq!(post(&daemon.url, "/api/v1/events", CE, event.to_string()).await.1["accepted"], 1);
    let batch = json!([event, { "specversion": "1.0", "id": "2", "source": "s", "type": "my.type" }, { "id": "3" }]);
    let (_, answer) = post(
        &daemon.url,
        "/api/v1/events",
        "application/cloudevents-batch+json",
        batch.to_string(),
    )
    .await;
    assert_eq!(answer, json!({ "accepted": 1, "duplicates": 1, "dead_letters": 1 }));
    let binary = client()
        .post(format!("{}/api/v1/events", daemon.url))
        .header("ce-specversion", "1.0")
        .header("ce-id", "4")
        .header("ce-source", "s")
        .header("ce-type", "my.type")
        .header("ce-subject", "pod/ns/p")
        .body("text");
    assert_eq!(binary.send().await.unwrap().status().as_u16(), 200);
    let records = daemon.log.read(0, &[Stream::Events], 10).await.unwrap();
    let last = records.last().unwrap().open::<Event>().unwrap();
    assert_eq!((last.subject.to_string(), &last.data.payload), ("pod/ns/p".into(), &json!("text")));
    let chain: Vec<String> = (0..16).map(|n| format!("{n:032x}")).collect();
    let looped = json!({ "specversion": "1.0", "id": "5", "source": "s", "type": "aws.ec2.spot.interruption",
        "subject": "node/n3", "cause": chain.join(" ") });
    assert_eq!(post(&daemon.url, "/api/v1/events", CE, looped.to_string()).await.0, 200);
    until("it is stopped and said", || async {
        (metric(&daemon.url, "medevac_decisions_total", &["loop"]).await > 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn tokens_passwords_and_nothing_else_let_in() {
    let directory = tempfile::tempdir().unwrap();
    let auth = Auth {
        tokens: vec![Secret::new("s3cr3t-token"), Secret::new("next-token")],
        basic: vec![("am".into(), Secret::new("pw"))],
        client_names: vec![],
    };
    let daemon = start(directory.path(), Door { auth, tls: None }).await;
    let body = &corpus()[0].1;
    let ask =
        async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    let to = || client().post(format!("{}{AM}", daemon.url)).body(body.clone());
    assert_eq!(ask(to().bearer_auth("s3cr3t-token")).await, 200);
    assert_eq!(ask(to().bearer_auth("next-token")).await, 200);
    assert_eq!(ask(to().basic_auth("am", Some("pw"))).await, 200);
    assert_eq!(ask(to().basic_auth("am", Some("wrong"))).await, 401);
    assert_eq!(ask(to().bearer_auth("s3cr3t-toke")).await, 401);
    assert_eq!(ask(to()).await, 401);
    for path in ["/metrics", "/api/v1/incidents", "/api/v1/plans/x"] {
        assert_eq!(ask(client().get(format!("{}{path}", daemon.url))).await, 401, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(client().get(format!("{}{path}", daemon.url))).await, 200, "{path}");
    }
    assert!(daemon.log.last() > 0, "what was let in was taken");
}

#[tokio::test]
async fn a_client_certificate_with_an_accepted_name_lets_in() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_cert = params.clone().self_signed(&authority_key).unwrap();
    let authority = rcgen::Issuer::new(params, authority_key);
    let signed = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = rcgen::CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        (cert.pem(), key.serialize_pem())
    };
    let (server, server_key) = signed("localhost");
    std::fs::write(at("server.pem"), server).unwrap();
    std::fs::write(at("server.key"), server_key).unwrap();
    std::fs::write(at("ca.pem"), authority_cert.pem()).unwrap();
    let auth = Auth { client_names: vec!["alertmanager.example".into()], ..Auth::default() };
    let tls =
        Tls { certificate: at("server.pem"), key: at("server.key"), client_ca: Some(at("ca.pem")) };
    client();
    let daemon = start(&at("data"), Door { auth, tls: Some(tls) }).await;
    let with = |identity: Option<(String, String)>| {
        let root = reqwest::Certificate::from_pem(authority_cert.pem().as_bytes()).unwrap();
        let mut builder = reqwest::Client::builder().tls_certs_only([root]);
        if let Some((cert, key)) = identity {
            builder = builder
                .identity(reqwest::Identity::from_pem(format!("{cert}{key}").as_bytes()).unwrap());
        }
        builder.build().unwrap()
    };
    let status = async |client: reqwest::Client| {
        client
            .get(format!("{}/api/v1/incidents", daemon.url))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(status(with(Some(signed("alertmanager.example")))).await, 200);
    assert_eq!(status(with(Some(signed("somebody.else")))).await, 401);
    assert_eq!(status(with(None)).await, 401);
}

#[tokio::test]
async fn what_is_too_large_or_no_body_is_refused_with_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = start(directory.path(), Door::default()).await;
    let (status, answer) = post(&daemon.url, AM, "application/json", "[]").await;
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().unwrap().contains("Alertmanager webhook body"), "{answer}");
    assert_eq!(post(&daemon.url, AM, "application/json", vec![b' '; (32 << 20) + 1]).await.0, 413);
    let padded = format!("{}{}", r#"{"alerts":[]}"#, " ".repeat(31 << 20));
    assert_eq!(post(&daemon.url, AM, "application/json", padded).await.0, 200, "31 MiB are taken");
    assert_eq!(post(&daemon.url, "/api/v1/nothing", CE, "").await.0, 404);
    let not_post = client().get(format!("{}{AM}", daemon.url)).send().await.unwrap();
    assert_eq!(not_post.status().as_u16(), 405, "never redirected");
}

#[tokio::test]
async fn a_log_that_cannot_accept_answers_503_and_takes_it_later() {
    use medevac::adapters::embedded::{Embedded, Options};
    use medevac::api::{Gate, Readiness, Server, Site, router};
    use medevac::clock::System;
    use medevac::simulation::{Practice, World};

    #[derive(Clone)]
    struct Always;
    impl Readiness for Always {
        fn not_ready(&self) -> Vec<String> {
            vec![]
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let serve = async |hard_limit: u64| {
        let options = Options { hard_limit, ..Options::default() };
        let log = Embedded::open(directory.path(), options, System).unwrap();
        let view = Practice::new(World::default(), System);
        let intake = medevac::sources::Intake {
            log: log.clone(),
            clock: System,
            view,
            cluster: None,
            truncated: None,
        };
        let metrics = medevac::telemetry::Metrics::default();
        let site = Site {
            intake,
            gate: Gate::new(&Auth::default()),
            metrics,
            readiness: Always,
            rules: tokio::sync::watch::channel(Default::default()).1,
        };
        let server =
            Server::bind(([127, 0, 0, 1], 0).into(), None, &Auth::default()).await.unwrap();
        let url = format!("http://{}", server.address().unwrap());
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let task = tokio::spawn(server.run(router(site), stopped));
        (url, log, stop, task)
    };
    let body = |n: usize| {
        let labels = json!({ "alertname": format!("A{n}"), "pad": "x".repeat(40_000) });
        json!({ "alerts": [{ "status": "firing", "labels": labels, "startsAt": "2026-09-18T08:20:00Z" }] }).to_string()
    };
    let (url, log, stop, task) = serve(1 << 20).await;
    let mut accepted = 0;
    let refused = loop {
        match post(&url, AM, "application/json", body(accepted)).await {
            (200, _) => accepted += 1,
            other => break other,
        }
        assert!(accepted < 100);
    };
    assert_eq!(refused.0, 503, "{refused:?}: never a 429, which Alertmanager does not send again");
    assert_eq!(log.read(0, &[Stream::Events], 1000).await.unwrap().len(), accepted);
    stop.send(true).unwrap();
    task.await.unwrap();
    drop(log);
    let (url, _log, _stop, _task) = serve(0).await;
    let again = post(&url, AM, "application/json", body(accepted)).await;
    assert_eq!(
        (again.0, &again.1["accepted"]),
        (200, &json!(1)),
        "what was refused is new when it comes again"
    );
}

/// Whoever opens a connection and says nothing, or only half, is let go.
#[tokio::test]
async fn a_caller_who_does_not_finish_its_header_is_let_go() {
    use std::io::{Read, Write};
    let directory = tempfile::tempdir().unwrap();
    let daemon = start(directory.path(), Door::default()).await;
    let address = daemon.url.replace("http://localhost", "127.0.0.1");
    let closed = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        stream.write_all(b"POST /api/v1/alertmanager HTTP/1.1\r\nHost: x\r\nX-Half").unwrap();
        // An answer, or none: what counts is that the connection ends.
        stream.read_to_end(&mut vec![]).is_ok()
    });
    assert!(closed.await.unwrap());
}

#[tokio::test]
async fn what_could_not_be_read_again_is_set_aside_alone() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = start(directory.path(), Door::default()).await;
    let alert =
        |node: String| json!({ "status": "firing", "labels": { "alertname": "A", "node": node } });
    let mut large = alert("n1".into());
    for n in 0..64 {
        large["annotations"][format!("a{n}")] = json!("x".repeat(100_000));
    }
    let body = json!({ "alerts": [alert("n1".into()), alert("a\nb".into()), alert("y".repeat(2000)), large] });
    let (status, answer) = post(&daemon.url, AM, "application/json", body.to_string()).await;
    assert_eq!(
        (status, &answer),
        (200, &json!({ "accepted": 1, "duplicates": 0, "dead_letters": 3 }))
    );
    assert_eq!(daemon.log.read(0, &[Stream::Dead], 10).await.unwrap().len(), 3);
}
