//! Killed with SIGKILL at every line of the journal, before and after it is durable: the end is the same.

use crate::{
    plane::{Plane, alert, incident_when, post},
    support::{
        daemon::{self, Orders},
        dying::Death,
        free_port, get,
    },
};
use medevac::log::Stream;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

const RULES: &str = r#"
contacts: [{name: c, console: {}}]
escalations: [{name: p, levels: [{contacts: c}]}]
guards: [{name: g, per: node.pool, limits: {at_once: 1}}]
rules:
  - name: ill
    when: alertmanager.alert.firing
    guard: g
    then:
      - cordon: {taint: medevac.dev/ill}
      - drain: {timeout: 1m}
      - verify: {expect: node_empty}
    escalate: p
"#;

/// Accepted, and for each of three steps started and succeeded, and ended: eight appends to the journal.
const LINES: u64 = 8;
/// Daemons at the same time.
const AT_ONCE: usize = 4;

pub(crate) async fn killed_at_every_journal_line_the_end_is_the_same(plane: Arc<Plane>) {
    let deaths: Vec<(u64, bool)> = (1..=LINES).flat_map(|at| [(at, false), (at, true)]).collect();
    let mut ends = vec![];
    for some in deaths.chunks(AT_ONCE) {
        let runs: Vec<_> = some
            .iter()
            .map(|(at, after)| tokio::spawn(one(Arc::clone(&plane), *at, *after)))
            .collect();
        for run in runs {
            ends.push(run.await.unwrap());
        }
    }
    assert_eq!(ends.len() as u64, 2 * LINES);
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{ends:#?}");
}

/// One life that ends at that line, one that goes on. What is true at the end.
async fn one(plane: Arc<Plane>, at: u64, after: bool) -> Value {
    let case = format!("crash-{at}-{}", if after { "after" } else { "before" });
    let node = format!("{case}-1");
    plane.node(&node, &case).await;
    plane.deployment(&case, &case, 2, json!({}), 2).await;
    plane.node(&format!("{case}-2"), &case).await;
    let mut orders = Orders::new(&plane.directory.path().join(&case), free_port(), RULES);
    orders.kubeconfig = Some(plane.kubeconfig.clone());
    orders.death = Some(Death { stream: Stream::Outcomes.number(), at, after });
    let mut first = daemon::spawn("", &orders).await;
    post(&first.url, &alert("Ill", &node)).await;
    first.died().await;
    orders.death = None;
    orders.port = free_port();
    let second = daemon::spawn("", &orders).await;
    let incident =
        incident_when(&second.url, &node, "remediated", |one| !one["last_end"].is_null()).await;
    plane.running(&case, 2).await;
    let plans = incident["plans"].as_array().unwrap();
    let plan =
        get(&format!("{}/api/v1/plans/{}", second.url, plans[0].as_str().unwrap())).await.unwrap();
    let mut lines: BTreeMap<String, u32> = BTreeMap::new();
    for line in plan["journal"].as_array().unwrap() {
        let entry = &line["record"]["data"]["entry"];
        // A step may have been started twice and found unknown once: that is what recovery looks like.
        if ["succeeded", "failed", "ended", "escalate"].contains(&entry["entry"].as_str().unwrap())
        {
            let step = entry["step"].as_str().unwrap_or_default();
            *lines.entry(format!("{} {step}", entry["entry"].as_str().unwrap())).or_default() += 1;
        }
    }
    let spec = plane.get_node(&node).await.spec.unwrap();
    json!({
        "end": incident["last_end"], "incidents": crate::support::incidents(&second.url).await.len(),
        "plans": plans.len(), "epoch": incident["epoch"], "lines": lines,
        "cordoned": spec.unschedulable, "taints": spec.taints.unwrap_or_default().iter().filter(|taint| taint.key == "medevac.dev/ill").count(),
        "left": plane.on_node(&node).await.len(),
    })
}
