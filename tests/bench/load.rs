//! The load: keep-alive connections, each with one request under way.

use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Ten firing alerts about ten nodes of a thousand, all beginning at another moment than those of any other body.
pub(crate) fn body(turn: usize, n: usize) -> Vec<u8> {
    let alert = |at: usize| {
        let node = (n * 10 + at) % 1000;
        let moment = jiff::Timestamp::UNIX_EPOCH
            + Duration::from_micros((turn * 10_000_000 + n * 10 + at) as u64 + 1_000_000_000_000);
        format!(
            r#"{{"status":"firing","labels":{{"alertname":"NodeHighLoad","cluster":"prod-eu","instance":"10.0.{a}.{b}:9100","job":"node","node":"ip-10-0-{a}-{b}.eu-west-1.compute.internal","prometheus":"monitoring/k8s","severity":"warning","team":"gpu-platform","zone":"eu-west-1a"}},"annotations":{{"description":"The load of the node has been over the number of its cores for more than fifteen minutes, and training on it runs slower than it should.","runbook_url":"https://runbooks.example/node/high-load","summary":"The node is busier than it should be"}},"startsAt":"{moment}","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.example:9090/graph?g0.expr=node_load5+%3E+64\u0026g0.tab=1","fingerprint":""}}"#,
            a = node / 250,
            b = node % 250
        )
    };
    let alerts: Vec<String> = (0..10).map(alert).collect();
    format!(
        r#"{{"receiver":"medevac","status":"firing","alerts":[{}],"groupLabels":{{"alertname":"NodeHighLoad"}},"commonLabels":{{"alertname":"NodeHighLoad"}},"commonAnnotations":{{}},"externalURL":"http://am.example:9093","version":"4","groupKey":"{{}}:{{alertname=\"NodeHighLoad\"}}","truncatedAlerts":0}}"#,
        alerts.join(",")
    )
    .into_bytes()
}

#[derive(Default)]
pub(crate) struct Load {
    latencies: Vec<Duration>,
    took: Duration,
}

impl Load {
    pub(crate) fn add(&mut self, other: Load) {
        self.latencies.extend(other.latencies);
        self.took += other.took;
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn p99_ms(&self) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort();
        sorted[sorted.len() * 99 / 100].as_secs_f64() * 1000.0
    }
}

/// Posts `bodies` over that many connections. Bodies are made beforehand, a part at a time.
pub(crate) async fn run(address: &str, connections: usize, bodies: usize, turn: usize) -> Load {
    const PART: usize = 2000;
    let mut load = Load::default();
    for first in (0..bodies).step_by(PART) {
        let part: Vec<Bytes> =
            (first..bodies.min(first + PART)).map(|n| body(turn, n).into()).collect();
        let began = Instant::now();
        let tasks: Vec<_> = (0..connections)
            .map(|connection| {
                let mine: Vec<Bytes> =
                    part.iter().skip(connection).step_by(connections).cloned().collect();
                tokio::spawn(converse(address.to_owned(), mine))
            })
            .collect();
        for task in tasks {
            load.latencies.extend(task.await.unwrap());
        }
        load.took += began.elapsed();
    }
    load
}

async fn converse(address: String, bodies: Vec<Bytes>) -> Vec<Duration> {
    let stream = TcpStream::connect(&address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut latencies = Vec::with_capacity(bodies.len());
    for body in bodies {
        let request = Request::post("/api/v1/alertmanager")
            .header("host", &address)
            .header("content-type", "application/json");
        let began = Instant::now();
        let response = sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        response.into_body().collect().await.unwrap();
        latencies.push(began.elapsed());
    }
    latencies
}
