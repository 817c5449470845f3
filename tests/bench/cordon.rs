//! From a notice to its cordon on a real API server, beside a plain client that patches as many nodes: what the daemon adds.
//! The log is the embedded one, on disk. No assertion: machines differ.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark")]
#![expect(clippy::print_stdout, reason = "a benchmark")]

#[path = "../cluster/plane.rs"]
#[allow(dead_code, reason = "the cluster's tests use the rest")]
mod plane;
#[path = "../support/mod.rs"]
mod support;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams, Patch, PatchParams};
use plane::Plane;
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use support::{
    client,
    daemon::{self, Door, Orders},
    get, until,
};

const STORMS: [usize; 2] = [50, 200];
/// As many at once as the daemon cordons.
const ABREAST: usize = 32;

#[tokio::main]
async fn main() {
    let plane = Plane::start().await;
    for count in STORMS {
        let names: Vec<String> = (0..count).map(|n| format!("storm{count}-{n}")).collect();
        for name in &names {
            plane.node(name, "storm").await;
        }
        let plain = plain(&plane, &names).await;
        let told = storm(&plane, &names, count).await;
        println!("{count} nodes in one moment:");
        println!("  a plain client      {}", shown(&plain));
        println!("  notice to cordon    {}", shown(&told));
        println!("  the last, compared  {:.2} times as long", told[count - 1] / plain[count - 1]);
    }
}

/// Seconds after the beginning, in order.
fn shown(all: &[f64]) -> String {
    let at = |share: f64| all[((all.len() as f64 * share).ceil() as usize).max(1) - 1];
    format!("p50 {:>6.3} s   p99 {:>6.3} s   last {:>6.3} s", at(0.5), at(0.99), at(1.0))
}

async fn plain(plane: &Plane, names: &[String]) -> Vec<f64> {
    let nodes: Api<Node> = Api::all(plane.client.clone());
    let begun = Instant::now();
    let cordon = |name: String| {
        let nodes = nodes.clone();
        async move {
            let body = json!({ "spec": { "unschedulable": true } });
            nodes.patch(&name, &PatchParams::default(), &Patch::Merge(&body)).await.unwrap();
            begun.elapsed().as_secs_f64()
        }
    };
    let mut all: Vec<f64> = futures_util::stream::iter(names.to_vec())
        .map(cordon)
        .buffer_unordered(ABREAST)
        .collect()
        .await;
    for name in names {
        let body = json!({ "spec": { "unschedulable": null } });
        nodes.patch(name, &PatchParams::default(), &Patch::Merge(&body)).await.unwrap();
    }
    all.sort_by(f64::total_cmp);
    all
}

async fn storm(plane: &Plane, names: &[String], count: usize) -> Vec<f64> {
    let rules = [
        include_str!("../../rules/spot.yaml"),
        include_str!("../../rules/capacity.yaml"),
        include_str!("../../rules/escalation.yaml"),
    ];
    let directory = plane.directory.path().join(format!("storm{count}"));
    let mut orders = Orders::new(&directory, 0, &rules.join("\n---\n"));
    orders.kubeconfig = Some(plane.kubeconfig.clone());
    let daemon = daemon::start(&orders, Door::default()).await;
    until("the caches are complete", || async {
        get(&format!("{}/readyz", daemon.url)).await.filter(|body| body["ready"] == true)
    })
    .await;
    let now = jiff::Timestamp::now();
    let ends = now + Duration::from_secs(120);
    let notice = |name: &String| {
        json!({
            "specversion": "1.0", "id": format!("n-{name}"), "source": format!("metadata/i-{name}"),
            "type": "aws.ec2.spot.interruption", "subject": format!("instance/i-{name}"), "time": now, "deadline": ends,
            "data": { "feed": "metadata", "action": "terminate", "time": ends,
                "detail": { "instance-id": format!("i-{name}"), "instance-action": "terminate" } },
        })
    };
    let bodies: Vec<String> = names.iter().map(|name| notice(name).to_string()).collect();
    let nodes: Api<Node> = Api::all(plane.client.clone());
    let url = format!("{}/api/v1/events", daemon.url);
    let poster = client();
    let begun = Instant::now();
    let posts = futures_util::stream::iter(bodies)
        .map(|body| {
            let post = poster.post(&url).header("content-type", "application/cloudevents+json");
            async move { assert!(post.body(body).send().await.unwrap().status().is_success()) }
        })
        .buffer_unordered(ABREAST)
        .collect::<Vec<()>>();
    let watch = async {
        let (mut seen, prefix) = (BTreeMap::new(), format!("storm{count}-"));
        while seen.len() < count {
            for node in nodes.list(&ListParams::default()).await.unwrap().items {
                let name = node.metadata.name.unwrap();
                let closed = node.spec.and_then(|spec| spec.unschedulable).unwrap_or(false);
                if closed && name.starts_with(&prefix) {
                    seen.entry(name).or_insert_with(|| begun.elapsed().as_secs_f64());
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        seen
    };
    let (_, seen) = tokio::join!(posts, watch);
    let mut all: Vec<f64> = seen.into_values().collect();
    all.sort_by(f64::total_cmp);
    all
}
