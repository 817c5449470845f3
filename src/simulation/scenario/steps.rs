//! Reading what happens, and when.

use super::super::faults::{Outside, Trouble};
use super::super::world::{App, Pool};
use super::cluster::offer;
use super::read::{full_name, labels, word};
use super::script::{Deed, Pick, Step, Tool};
use super::shape;
use crate::model::Scope;
use crate::rules::Code;
use crate::rules::reading::{Entries, Faults, Node, json, text};
use std::time::Duration;

/// What a step may name.
pub(super) struct Stage<'a> {
    pub(super) pools: &'a [Pool],
    pub(super) apps: &'a [App],
}

/// Reads one thing that happens.
pub(super) fn step(node: &Node, stage: &Stage<'_>, faults: &mut Faults) -> Option<Step> {
    let before = faults.0.len();
    let entries = Entries::of(node, &shape::STEP, faults)?;
    let misspelt = faults.0.len() > before;
    let verbs: Vec<&str> = shape::STEP
        .names()
        .filter(|name| !["at", "every", "times"].contains(name) && entries.get(name).is_some())
        .collect();
    let [verb] = verbs.as_slice() else {
        let message = match verbs.len() {
            // What was meant is said already.
            0 if misspelt => return None,
            0 => "nothing happens here".to_owned(),
            _ => format!("one thing happens at a time, not {}", verbs.join(" and ")),
        };
        let fault = faults.add(Code::Conflict, &node.place, message);
        let all: Vec<&str> = shape::STEP.names().skip(3).collect();
        fault.hint = Some(format!("one of {}", all.join(", ")));
        return None;
    };
    let span = |key, faults: &mut Faults| entries.span(key, faults).map(|span| span.0);
    let deed = deed(verb, &entries, stage, faults);
    let (at, every) = (span("at", faults), span("every", faults).unwrap_or_default());
    let times = entries.number("times", faults).unwrap_or(1).max(1);
    Some(Step { at: at?, deed: deed?, times, every })
}

fn deed(verb: &str, entries: &Entries<'_>, stage: &Stage<'_>, faults: &mut Faults) -> Option<Deed> {
    let node = entries.get(verb)?;
    Some(match verb {
        "spot_notice" => {
            let entries = Entries::of(node, &shape::NOTICE, faults)?;
            Deed::SpotNotice {
                pick: pick(&entries, stage, faults),
                action: entries.text("action", faults).unwrap_or_else(|| "terminate".into()),
                taken: entries.boolean("taken", faults).unwrap_or(true),
            }
        }
        "rebalance" | "take_away" => {
            let entries = Entries::of(node, &shape::PICK, faults)?;
            let pick = pick(&entries, stage, faults);
            if verb == "rebalance" { Deed::Rebalance { pick } } else { Deed::TakeAway { pick } }
        }
        "scale_in" => {
            let entries = Entries::of(node, &shape::SCALE_IN, faults)?;
            let patience = entries.span("patience", faults).map(|span| span.0);
            let patience = patience.unwrap_or(Duration::from_secs(300));
            Deed::ScaleIn { pick: pick(&entries, stage, faults), patience }
        }
        "reboot" => {
            let entries = Entries::of(node, &shape::REBOOT, faults)?;
            let lasts = entries.span("for", faults).map_or(Duration::from_secs(60), |it| it.0);
            Deed::Reboot { pick: pick(&entries, stage, faults), lasts }
        }
        "silence" => {
            let entries = Entries::of(node, &shape::SILENCE, faults)?;
            let lasts = entries.span("for", faults).map(|span| span.0);
            Deed::Silence { pick: pick(&entries, stage, faults), lasts }
        }
        "alert" => alert(node, stage, faults)?,
        "event" => {
            let entries = Entries::of(node, &shape::EVENT, faults)?;
            Deed::Event {
                kind: entries.text("type", faults)?,
                subject: entries.text("subject", faults),
                pick: picked(&entries, stage, faults),
                data: entries.get("data").map(json).unwrap_or_default(),
                count: entries.number("count", faults).unwrap_or(1),
                late: entries.span("late", faults).unwrap_or_default().0,
                twice: entries.boolean("twice", faults).unwrap_or(false),
            }
        }
        "body" => {
            let entries = Entries::of(node, &shape::BODY, faults)?;
            let to = word(&entries, "to", &[("alertmanager", true), ("events", false)], faults)?;
            let (text, file) = (entries.text("text", faults), entries.text("file", faults));
            if text.is_some() == file.is_some() {
                faults.add(Code::Conflict, entries.place(), "a body is either `text` or `file`");
            }
            Deed::Body { to_alertmanager: to, text: text.unwrap_or_default(), file }
        }
        "person" => person(node, stage, faults)?,
        _ => return other(verb, node, entries, faults),
    })
}

/// What happens to the daemon or to others, beside nodes, alerts and people.
fn other(verb: &str, node: &Node, entries: &Entries<'_>, faults: &mut Faults) -> Option<Deed> {
    Some(match verb {
        "scale" => {
            let entries = Entries::of(node, &shape::SCALE, faults)?;
            let (namespace, app) = full_name(&entries, "app", faults)?;
            Deed::Scale { namespace, app, replicas: entries.number("replicas", faults)? }
        }
        "echo" => {
            let entries = Entries::of(node, &shape::ECHO, faults)?;
            Deed::Echo { url: entries.text("url", faults)?, kind: entries.text("type", faults)? }
        }
        "namespace_ends" => Deed::NamespaceEnds { namespace: text(node, faults)?.to_owned() },
        "capacity" => Deed::Offer(offer(node, faults)?),
        "backup" => {
            let entries = Entries::of(node, &shape::BACKUP, faults)?;
            let tools = [("velero", Tool::Velero), ("aws-backup", Tool::AwsBackup)];
            Deed::Backup {
                name: entries.text("name", faults)?,
                tool: word(&entries, "tool", &tools, faults)?,
                takes: entries.span("takes", faults).map_or(Duration::from_secs(300), |it| it.0),
                ends: entries.text("ends", faults).unwrap_or_else(|| "completed".into()),
            }
        }
        "trouble" => trouble(node, faults)?,
        "stale" => Deed::Stale { lasts: entries.span("stale", faults)?.0 },
        "kill" => Deed::Kill { replica: entries.number("kill", faults)? as usize },
        "stop" => {
            let entries = Entries::of(node, &shape::STOP, faults)?;
            let replica = entries.number("daemon", faults).unwrap_or(0) as usize;
            Deed::Stop { replica, lasts: entries.span("for", faults)?.0 }
        }
        _ => {
            let entries = Entries::of(node, &shape::SKEW, faults)?;
            let replica = entries.number("daemon", faults).unwrap_or(0) as usize;
            let mut millis = |key| {
                let span = entries.span(key, faults).map(|span| span.0.as_millis());
                span.and_then(|millis| i64::try_from(millis).ok()).unwrap_or(0)
            };
            Deed::Skew { replica, ahead: millis("ahead") - millis("behind") }
        }
    })
}

fn alert(node: &Node, stage: &Stage<'_>, faults: &mut Faults) -> Option<Deed> {
    let entries = Entries::of(node, &shape::ALERT, faults)?;
    let mut all = labels(&entries, "labels", faults);
    all.insert("alertname".into(), entries.text("name", faults)?);
    Some(Deed::Alert {
        labels: all,
        annotations: labels(&entries, "annotations", faults),
        pick: picked(&entries, stage, faults),
        count: entries.number("count", faults).unwrap_or(1),
        clears_after: entries.span("clears_after", faults).map(|span| span.0),
    })
}

fn person(node: &Node, stage: &Stage<'_>, faults: &mut Faults) -> Option<Deed> {
    let entries = Entries::of(node, &shape::DOES, faults)?;
    let by = entries.text("by", faults).unwrap_or_else(|| "ann".into());
    let pick = pick(&entries, stage, faults);
    let words = ["cordons", "uncordons", "acknowledges", "resolves", "pauses"];
    let known: Vec<(&'static str, &'static str)> = words.map(|word| (word, word)).to_vec();
    Some(match word(&entries, "does", &known, faults)? {
        "cordons" => Deed::PersonCordons { pick, closed: true },
        "uncordons" => Deed::PersonCordons { pick, closed: false },
        "pauses" => Deed::PersonPauses {
            scope: match (entries.text("rule", faults), pick.pool) {
                (Some(rule), _) => Scope::Rule(rule),
                (None, Some(pool)) => Scope::Pool(pool),
                (None, None) => Scope::Everything,
            },
            by,
            reason: "maintenance".into(),
            lasts: entries.span("for", faults).map_or(Duration::from_secs(3600), |it| it.0),
        },
        does => Deed::PersonAnswers { pick, by, resolves: does == "resolves" },
    })
}

fn trouble(node: &Node, faults: &mut Faults) -> Option<Deed> {
    let entries = Entries::of(node, &shape::TROUBLE, faults)?;
    let slow = entries.span("by", faults).map_or(Duration::from_secs(5), |span| span.0);
    let ways = [
        ("unavailable", Trouble::Unavailable),
        ("slow", Trouble::Slow(slow)),
        ("full", Trouble::Full),
        ("answers-lost", Trouble::AnswersLost),
        ("forbidden", Trouble::Forbidden),
        ("still-processing", Trouble::StillProcessing),
        ("conflicts", Trouble::Conflicts),
        ("refuses", Trouble::RefusesForGood),
    ];
    Some(Deed::Trouble {
        whom: word(&entries, "with", &Outside::ALL, faults)?,
        how: word(&entries, "how", &ways, faults)?,
        only: entries.text("only", faults),
        lasts: entries.span("for", faults)?.0,
    })
}

fn picked(entries: &Entries<'_>, stage: &Stage<'_>, faults: &mut Faults) -> Option<Pick> {
    let chosen =
        ["node", "pool", "zone", "app", "nodes"].iter().any(|key| entries.get(key).is_some());
    chosen.then(|| pick(entries, stage, faults))
}

fn pick(entries: &Entries<'_>, stage: &Stage<'_>, faults: &mut Faults) -> Pick {
    let pool = entries.text("pool", faults);
    let known = |name: &String| stage.pools.iter().any(|pool| pool.name == *name);
    if let (Some(name), Some(node)) =
        (pool.as_ref().filter(|name| !known(name)), entries.get("pool"))
    {
        let all: Vec<&str> = stage.pools.iter().map(|pool| pool.name.as_str()).collect();
        let fault =
            faults.add(Code::UnknownName, &node.place, format!("there is no pool `{name}`"));
        fault.hint = Some(format!("there are: {}", all.join(", ")));
    }
    let app = full_name(entries, "app", faults);
    let known = |(space, name): &(String, String)| {
        stage.apps.iter().any(|app| app.namespace == *space && app.name == *name)
    };
    if let (Some((space, name)), Some(node)) =
        (app.as_ref().filter(|app| !known(app)), entries.get("app"))
    {
        faults.add(Code::UnknownName, &node.place, format!("there is no app `{space}/{name}`"));
    }
    Pick {
        node: entries.text("node", faults),
        pool,
        zone: entries.text("zone", faults),
        app: app.map(|(space, name)| format!("{space}/{name}")),
        count: entries.number("nodes", faults),
    }
}
