//! `medevac maintenance`: asks for planned work on nodes, a few at a time, and stops at the first that fails. The rules say
//! what is done (`rules/maintenance.yaml`); asked again after it broke off, it goes on with what is not done yet.

use super::words::{escape, text};
use super::{Exit, client::Daemon, words};
use crate::clock::{Clock, System};
use crate::model::{Id, Span};
use serde_json::{Value, json};
use std::{collections::VecDeque, io::IsTerminal, time::Duration};

/// Between two looks at the daemon.
const LOOK: Duration = Duration::from_secs(2);
/// A request that nobody decides on within this time was heard by no rule.
const HEARD: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Empty nodes for work on them.
    Start(Start),
    /// The work is over: nodes take pods again.
    Finish(Nodes),
}

#[derive(Debug, clap::Args)]
struct Nodes {
    /// Names, or node/NAME as kubectl prints them. `-` reads them from standard input.
    #[arg(required = true)]
    nodes: Vec<String>,
    /// Tells this work from others on the same nodes. Default: the day.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

#[derive(Debug, clap::Args)]
struct Start {
    #[command(flatten)]
    of: Nodes,
    /// Nodes at a time.
    #[arg(long, default_value_t = 1)]
    at_once: usize,
    /// Gives up on a node after so long.
    #[arg(long, default_value = "2h")]
    within: Span,
}

/// Which plans there were about a node.
#[derive(Debug, Default, PartialEq, Eq)]
struct Standing {
    incident: String,
    epoch: u64,
}

impl Standing {
    fn of(incident: &Value) -> Standing {
        let epoch = incident["epoch"].as_u64().unwrap_or(0);
        Standing { incident: text(&incident["id"]), epoch }
    }
}

/// A node that is being emptied.
struct Asked {
    node: String,
    at: jiff::Timestamp,
    before: Standing,
    /// Else an earlier call has asked, and what came of that counts.
    news: bool,
}

/// Where a node stands.
#[derive(Debug, PartialEq, Eq)]
enum Stand {
    Working,
    Done(String),
    Failed(String),
}

/// Exit 1 where a node could not be emptied, or nobody would.
pub(super) async fn run(args: Args) -> Exit {
    let done = match args.what {
        What::Start(start) => one_by_one(start).await,
        What::Finish(of) => finish(of).await,
    };
    done.err().unwrap_or(Exit::Good)
}

impl Nodes {
    fn names(&self) -> Result<Vec<String>, Exit> {
        let mut all = self.nodes.clone();
        if all == ["-"] {
            if std::io::stdin().is_terminal() {
                return Err(Exit::Usage("`-` reads node names from a pipe".into()));
            }
            let read = std::io::read_to_string(std::io::stdin());
            let read = read.map_err(|error| Exit::Usage(format!("cannot read nodes: {error}")))?;
            all = read.split_whitespace().map(str::to_owned).collect();
        }
        let bare = |name: String| name.strip_prefix("node/").unwrap_or(&name).to_owned();
        Ok(all.into_iter().map(bare).collect())
    }

    fn work(&self) -> String {
        let day = || System.now().to_string().chars().take(10).collect();
        self.name.clone().unwrap_or_else(day)
    }

    /// Posts the request. Whether it is news to the daemon: the same for the same work is not.
    async fn ask(&self, kind: &str, node: &str) -> Result<bool, Exit> {
        let work = self.work();
        let id = Id::of(&["maintenance", kind, &work, node]);
        let event = json!({
            "specversion": "1.0", "type": kind, "source": "medevac/maintenance", "id": id,
            "subject": format!("node/{node}"), "data": { "work": work },
        });
        let body = event.to_string().into_bytes();
        let answer =
            self.daemon.post("/api/v1/events", "application/cloudevents+json", body).await?;
        answer.good().map(|tally| tally["duplicates"] != 1)
    }
}

async fn finish(of: Nodes) -> Result<(), Exit> {
    for node in of.names()? {
        of.ask("maintenance.finished", &node).await?;
        words::say(&format!("{}: asked to take pods again", words::plain(&node)));
    }
    Ok(())
}

async fn one_by_one(start: Start) -> Result<(), Exit> {
    let mut waiting: VecDeque<String> = start.of.names()?.into();
    let (all, mut done) = (waiting.len(), 0);
    let mut under_way: Vec<Asked> = vec![];
    loop {
        while under_way.len() < start.at_once.max(1)
            && let Some(node) = waiting.pop_front()
        {
            let before = Standing::of(&incident(&start, &node).await?);
            let at = System.now();
            let news = start.of.ask("maintenance.requested", &node).await?;
            let (before, how) = match news {
                true => (before, "asked for"),
                false => (Standing::default(), "asked for before"),
            };
            words::say(&format!("{}: {how}", words::plain(&node)));
            under_way.push(Asked { node, at, before, news });
        }
        if under_way.is_empty() {
            words::say(&format!(
                "{done} of {all} nodes are empty; `medevac maintenance finish` opens them"
            ));
            return Ok(());
        }
        System.after(LOOK).await;
        let mut left = vec![];
        for asked in std::mem::take(&mut under_way) {
            let node = &asked.node;
            match stand(&start, &asked).await? {
                Stand::Working => left.push(asked),
                Stand::Done(note) => {
                    done += 1;
                    words::say(&format!("{}: {}", words::plain(node), words::plain(&note)));
                }
                Stand::Failed(why) => {
                    let rest = waiting.len() + left.len();
                    words::say(&format!("{}: FAILED: {}", words::plain(node), words::plain(&why)));
                    words::say(&format!(
                        "Stopped: {done} of {all} nodes are empty, {rest} were not begun or go on by themselves."
                    ));
                    return Err(Exit::No);
                }
            }
        }
        under_way = left;
    }
}

/// The newest incident about the node.
async fn incident(start: &Start, node: &str) -> Result<Value, Exit> {
    let path = format!("/api/v1/incidents?limit=1&target={}", escape(&format!("node/{node}")));
    let body = start.of.daemon.get(&path).await?.good()?;
    Ok(body["incidents"][0].clone())
}

async fn stand(start: &Start, asked: &Asked) -> Result<Stand, Exit> {
    let incident = incident(start, &asked.node).await?;
    let waited: Duration = System.now().duration_since(asked.at).try_into().unwrap_or_default();
    Ok(match judged(&incident, &asked.before) {
        Stand::Working if waited >= start.within.0 => {
            Stand::Failed(format!("not empty after {}", start.within))
        }
        Stand::Working if Standing::of(&incident) == asked.before && waited >= HEARD => Stand::Failed(
            "no rule has acted: it is outside of the maintenance window, a guard is at its limit, the node is to be left alone, or no rule waits for maintenance.requested; `medevac explain` says which".into(),
        ),
        Stand::Failed(why) if !asked.news => {
            Stand::Failed(format!("{why}; that was asked for before, and another --name asks anew"))
        }
        stand => stand,
    })
}

/// What the incident about the node says of the work. Plans that were made before it was asked for are of something else.
fn judged(incident: &Value, before: &Standing) -> Stand {
    if Standing::of(incident) == *before {
        return Stand::Working;
    }
    let note = text(&incident["note"]);
    match (text(&incident["last_end"]).as_str(), incident["running"].is_null()) {
        ("succeeded", true) => Stand::Done("empty, and ready for the work".into()),
        ("failed" | "stuck" | "moot" | "superseded", true) => Stand::Failed(note),
        ("observed", true) => Stand::Failed("the rule only observes".into()),
        _ => Stand::Working,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plans_that_were_made_for_it_count() {
        let of = |id: &str, epoch: u32, end: &str, running: Option<&str>| json!({ "id": id, "epoch": epoch, "last_end": end, "running": running, "note": "why" });
        let before = Standing::of(&of("inc-1", 1, "failed", None));
        assert_eq!(
            judged(&of("inc-1", 1, "failed", None), &before),
            Stand::Working,
            "another rule's"
        );
        assert_eq!(judged(&of("inc-1", 2, "failed", None), &before), Stand::Failed("why".into()));
        assert_eq!(judged(&of("inc-1", 2, "failed", Some("plan")), &before), Stand::Working);
        assert!(matches!(judged(&of("inc-2", 1, "succeeded", None), &before), Stand::Done(_)));
        let nothing = Standing::of(&Value::Null);
        assert_eq!(judged(&Value::Null, &nothing), Stand::Working);
        assert!(matches!(judged(&of("inc-2", 1, "succeeded", None), &nothing), Stand::Done(_)));
    }
}
