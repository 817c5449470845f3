//! `medevac demo`: the whole daemon in one process, on a temporary log and a practice cluster, through its own port.

mod screen;
mod stage;

use super::{Exit, client, words};
use crate::clock::{Clock, System};
use crate::telemetry;
use screen::Screen;
use serde_json::{Value, json};
use stage::Stage;
use std::{future::Future, time::Duration};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Leave it running afterwards: look at it with `medevac incidents --url …`.
    #[arg(long)]
    keep: bool,
}

/// Longer than the whole show takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(28);

pub(super) async fn run(args: Args) -> Exit {
    telemetry::log(true, "off");
    match show(&args).await {
        Ok(()) => Exit::Good,
        Err(exit) => exit,
    }
}

async fn show(args: &Args) -> Result<(), Exit> {
    let client = client::http()?;
    let stage = Stage::build(client.clone()).await?;
    let mut screen = Screen::new(stage.log.clone(), stage.practice.clone(), System.now());
    screen.title(
        "Medevac",
        "20 practice nodes: two spot pools that train, one on-demand pool that serves",
    );
    screen.note(&format!(
        "the daemon listens on {}, its log is in {}",
        stage.url,
        stage.directory.display()
    ));
    let outcome = perform(&stage, &client, &mut screen).await;
    screen.refresh().await;
    outcome?;
    summary(&mut screen, &stage, &client).await?;
    if args.keep {
        keep(&stage, &mut screen).await;
    }
    stage.strike().await;
    Ok(())
}

/// Plays the acts while the screen follows.
async fn perform(stage: &Stage, client: &reqwest::Client, screen: &mut Screen) -> Result<(), Exit> {
    let mut play = std::pin::pin!(acts(stage, client));
    let mut end = std::pin::pin!(System.after(PATIENCE));
    loop {
        tokio::select! {
            biased;
            outcome = &mut play => break outcome,
            () = &mut end => break Err(Exit::Failed("the demonstration did not come to its end in time".into())),
            () = System.after(Duration::from_millis(100)) => screen.refresh().await,
        }
    }
}

async fn keep(stage: &Stage, screen: &mut Screen) {
    screen
        .note(&format!("it goes on; try: medevac incidents --url {} (Ctrl-C ends it)", stage.url));
    loop {
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return,
            () = System.after(Duration::from_millis(200)) => screen.refresh().await,
        }
    }
}

/// What happens, in order. Each waits for what it is about, not for a time.
async fn acts(stage: &Stage, client: &reqwest::Client) -> Result<(), Exit> {
    let world = || stage.practice.world();
    let settled = || {
        let (running, wanted) = world().health();
        running == wanted
    };
    until(async || settled()).await;
    let ill = world().busiest("spot-training-a").unwrap_or_default();
    let doomed = world().busiest("spot-training-b").unwrap_or_default();
    let slow = world().home_of("license-server").unwrap_or_default();
    let first = alert("GpuXidCritical", &ill, "Xid 79: the GPU has fallen off the bus", "firing");
    stage.announce("1", &format!("Alertmanager reports a broken GPU on {ill}"));
    stage.post(client, "/api/v1/alertmanager", "application/json", &first).await?;
    System.after(Duration::from_secs(2)).await;
    stage.announce(
        "2",
        &format!(
            "AWS takes {doomed} away in two minutes; one of the seven ranks of training/mixture is there"
        ),
    );
    stage
        .post(client, "/api/v1/events", "application/cloudevents+json", &notice(stage, &doomed))
        .await?;
    let resolved = async |node: &str| {
        stage.state_of(client, node).await.is_some_and(|state| state == "resolved")
    };
    until(async || resolved(&doomed).await).await;
    world().reclaim_at(&doomed, System.now());
    until(async || stage.remediated(client, &ill).await).await;
    let over = alert("GpuXidCritical", &ill, "Xid 79: the GPU has fallen off the bus", "resolved");
    stage.post(client, "/api/v1/alertmanager", "application/json", &over).await?;
    until(async || resolved(&ill).await).await;
    let calm = "both nodes are empty, what ran there runs elsewhere, no work was lost, and nobody was paged";
    world().tell(calm.into());
    stage.announce(
        "3",
        &format!("a slow node, {slow}, runs a pod that its disruption budget does not let go"),
    );
    let third = alert("InferenceNodeSlow", &slow, "p99 latency is over 2 s", "firing");
    stage.post(client, "/api/v1/alertmanager", "application/json", &third).await?;
    until(async || stage.pages_delivered().await >= 2).await;
    let Some(id) = stage.incident_of(client, &slow).await else {
        return Err(Exit::Failed("the third incident cannot be found".into()));
    };
    stage.announce("4", &format!("you answer: medevac ack {id}"));
    let answer = json!({ "by": "you", "note": "moving the licence server by hand" });
    let path = format!("/api/v1/incidents/{id}/ack");
    stage.post(client, &path, "application/json", &answer).await?;
    until(async || {
        stage.state_of(client, &slow).await.is_some_and(|state| state == "acknowledged")
    })
    .await;
    Ok(())
}

/// Waits until `holds` does, however long: the show as a whole has an end.
async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    while !holds().await {
        System.after(Duration::from_millis(100)).await;
    }
}

/// A webhook body as Alertmanager sends it.
fn alert(name: &str, node: &str, summary: &str, status: &str) -> Value {
    let now = System.now();
    let zero = "0001-01-01T00:00:00Z".to_owned();
    let (starts, ends) = match status {
        "firing" => (now, zero),
        _ => (now.checked_sub(Duration::from_secs(60)).unwrap_or(now), now.to_string()),
    };
    let labels = json!({ "alertname": name, "node": node, "severity": "warning" });
    json!({
        "receiver": "medevac", "status": status, "version": "4", "groupKey": format!("{{}}:{{alertname=\"{name}\"}}"),
        "truncatedAlerts": 0, "externalURL": "http://alertmanager.example:9093", "groupLabels": { "alertname": name },
        "commonLabels": labels, "commonAnnotations": {},
        "alerts": [{ "status": status, "labels": labels, "annotations": { "summary": summary },
            "startsAt": starts, "endsAt": ends, "generatorURL": "http://prometheus.example/graph" }],
    })
}

/// A spot notice as a CloudEvent, with the body that EventBridge has.
fn notice(stage: &Stage, node: &str) -> Value {
    let instance =
        stage.practice.world().node(node).map(|node| node.instance_id.clone()).unwrap_or_default();
    let now = System.now();
    json!({
        "specversion": "1.0", "id": format!("notice-{instance}"), "source": "aws.ec2", "time": now,
        "type": "aws.ec2.spot.interruption",
        "data": { "detail": { "instance-id": instance, "instance-action": "terminate" } },
    })
}

async fn summary(screen: &mut Screen, stage: &Stage, client: &reqwest::Client) -> Result<(), Exit> {
    let incidents = stage.incidents(client).await;
    let (running, wanted) = stage.practice.world().health();
    screen.title("What you saw", "");
    for one in incidents.iter().rev() {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let note = if text("note").is_empty() { "acknowledged".into() } else { text("note") };
        screen.note(&format!(
            "{:<13} {:<28} {}",
            text("state"),
            text("target"),
            words::plain(&note)
        ));
    }
    screen.note(&format!(
        "{running} of {wanted} pods run. Two nodes were emptied and nobody was woken; one remediation failed, climbed \
         to on-call in seconds, and its cordon was kept because pods had already been asked to move."
    ));
    screen.note("Every line above is a record in a durable log; kill -9 at any point loses none and repeats none.");
    screen.title("Next", "");
    screen.note("medevac check rules/                 the rules that ship, checked");
    screen.note(
        "medevac run --rules rules/ --mode observe   on your cluster, without writing anything",
    );
    screen.note("medevac demo --keep                  this, left running, to look at with `medevac incidents`");
    Ok(())
}
