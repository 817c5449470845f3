//! A verb and its arguments.

mod backup;
mod capacity;

use super::super::diagnostic::Code;
use super::super::names::Names;
use super::super::rule::word;
use super::super::walk::{Entries, Faults, text};
use super::super::yaml::Node;
use crate::model::{Action, Expect, HookResult, Span, Taint, Target, Topic};

pub(super) fn action(
    verb: &str,
    entries: &Entries<'_>,
    policy: Option<&str>,
    names: &Names<'_>,
    faults: &mut Faults,
) -> Option<Action> {
    Some(match verb {
        "cordon" => Action::Cordon {
            taint: entries.get("taint").and_then(|node| taint(node, faults)),
            autoscalers: entries.boolean("autoscalers", faults).unwrap_or(false),
        },
        "uncordon" => Action::Uncordon,
        "taint" => Action::Taint {
            taint: Taint {
                key: entries.text("key", faults)?,
                value: entries.text("value", faults).unwrap_or_default(),
                effect: word(entries, "effect", &EFFECTS, faults).unwrap_or("NoSchedule").into(),
            },
        },
        "label" => Action::Label {
            key: entries.text("key", faults)?,
            value: entries.text("value", faults),
        },
        "annotate" => Action::Annotate {
            key: entries.text("key", faults)?,
            value: entries.text("value", faults),
        },
        "checkpoint" => checkpoint(entries, names, faults),
        "drain" => Action::Drain {
            timeout: entries.span("timeout", faults).unwrap_or(Span::seconds(900)),
            force: entries.boolean("force", faults).unwrap_or(false),
            grace: entries.span("grace", faults),
        },
        "suspend" => Action::Suspend,
        "resume" => Action::Resume,
        "terminate_instance" => Action::TerminateInstance,
        "complete_lifecycle_action" => Action::CompleteLifecycleAction {
            result: word(entries, "result", &RESULTS, faults).unwrap_or_default(),
            after: vec![],
        },
        _ => return beyond(verb, entries, policy, names, faults),
    })
}

/// What is no change of a node.
fn beyond(
    verb: &str,
    entries: &Entries<'_>,
    policy: Option<&str>,
    names: &Names<'_>,
    faults: &mut Faults,
) -> Option<Action> {
    Some(match verb {
        "velero_backup" | "aws_backup" | "snapshot" | "require_backup" => {
            return backup::action(verb, entries, faults);
        }
        "provision" | "reschedule" | "return_to_spot" => {
            capacity::action(verb, entries, names, faults)
        }
        "diagnose" => Action::Diagnose {
            topic: word(entries, "of", &Topic::ALL, faults)?,
            about: entries.get("about").and_then(|node| about(node, faults)),
        },
        "restart" => Action::Restart { workload: workload(entries, faults) },
        "scale" => Action::Scale {
            workload: workload(entries, faults),
            replicas: entries.number("replicas", faults)?,
        },
        "wait" => Action::Wait { time: entries.span("time", faults)? },
        "verify" => Action::Verify {
            expect: word(entries, "expect", &EXPECT, faults)?,
            hold: entries.span("for", faults).unwrap_or_default(),
            within: entries.span("within", faults).unwrap_or(Span::seconds(300)),
        },
        "http" => http(entries, faults)?,
        "notify" => {
            let contact = entries.text("contact", faults)?;
            names.check(
                "contact",
                &contact,
                &names.contacts,
                &entries.get("contact")?.place,
                faults,
            );
            Action::Notify { contact, text: entries.text("text", faults)? }
        }
        "escalate" => escalate(entries, policy, names, faults)?,
        _ => return None,
    })
}

fn checkpoint(entries: &Entries<'_>, names: &Names<'_>, faults: &mut Faults) -> Action {
    Action::Checkpoint {
        at_once: entries.number("at_once", faults).unwrap_or(16).max(1),
        fresh: entries.span("fresh", faults).unwrap_or_default(),
        bandwidth: entries.get("bandwidth").and_then(|node| bytes(node, faults)),
        profiles: names.profiles.clone(),
    }
}

const EFFECTS: [(&str, &str); 3] = [
    ("NoSchedule", "NoSchedule"),
    ("PreferNoSchedule", "PreferNoSchedule"),
    ("NoExecute", "NoExecute"),
];

const RESULTS: [(&str, HookResult); 2] =
    [("continue", HookResult::Continue), ("abandon", HookResult::Abandon)];

/// Bytes with a unit, each a thousand or 1,024 of the one before.
const UNITS: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

fn bytes(node: &Node, faults: &mut Faults) -> Option<u64> {
    let written = text(node, faults)?;
    let amount = UNITS.iter().find_map(|(unit, each)| {
        let number: u64 = written.strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(*each).filter(|bytes| *bytes > 0)
    });
    if amount.is_none() {
        let message = format!("`{written}` is no amount of bytes");
        faults.add(Code::BadValue, &node.place, message).hint = Some("write 2GB or 500MiB".into());
    }
    amount
}

const EXPECT: [(&str, Expect); 5] = [
    ("alert_cleared", Expect::AlertCleared),
    ("node_ready", Expect::NodeReady),
    ("node_rebooted", Expect::NodeRebooted),
    ("node_empty", Expect::NodeEmpty),
    ("pods_running", Expect::PodsRunning),
];

/// `KEY[=VALUE][:EFFECT]`
pub(in crate::rules) fn taint(node: &Node, faults: &mut Faults) -> Option<Taint> {
    let written = text(node, faults)?;
    let (rest, effect) = written.rsplit_once(':').unwrap_or((written, "NoSchedule"));
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    let known = EFFECTS.iter().any(|(known, _)| *known == effect);
    if !known || key.is_empty() {
        let hint = "write KEY, KEY=VALUE or KEY=VALUE:EFFECT, with the effect NoSchedule, PreferNoSchedule or NoExecute";
        faults.add(Code::BadValue, &node.place, format!("`{written}` is not a taint")).hint =
            Some(hint.into());
        return None;
    }
    Some(Taint { key: key.into(), value: value.into(), effect: effect.into() })
}

fn about(node: &Node, faults: &mut Faults) -> Option<Target> {
    let written = text(node, faults)?;
    let read = written.parse::<Target>();
    read.map_err(|error| faults.add(Code::BadValue, &node.place, error.to_string())).ok()
}

fn workload(entries: &Entries<'_>, faults: &mut Faults) -> Option<String> {
    let written = entries.text("workload", faults)?;
    if !matches!(written.parse(), Ok(Target::Workload { .. })) {
        let place = &entries.get("workload")?.place;
        let hint =
            "write KIND/NAMESPACE/NAME with the kind deployment, statefulset, daemonset or job";
        faults.add(Code::BadValue, place, format!("`{written}` is not a workload")).hint =
            Some(hint.into());
    }
    Some(written)
}

fn http(entries: &Entries<'_>, faults: &mut Faults) -> Option<Action> {
    let url = entries.text("url", faults)?;
    if !url.starts_with("https://") && !url.starts_with("http://") {
        let place = &entries.get("url")?.place;
        faults.add(Code::BadValue, place, "a URL starts with https:// or http://");
    }
    let methods = ["GET", "POST", "PUT", "DELETE"].map(|method| (method, method));
    let method = word(entries, "method", &methods, faults).unwrap_or("POST");
    Some(Action::Http {
        method: method.into(),
        url,
        body: entries.text("body", faults),
        timeout: entries.span("timeout", faults).unwrap_or(Span::seconds(10)),
        idempotent: entries
            .boolean("idempotent", faults)
            .unwrap_or(matches!(method, "GET" | "PUT")),
    })
}

fn escalate(
    entries: &Entries<'_>,
    policy: Option<&str>,
    names: &Names<'_>,
    faults: &mut Faults,
) -> Option<Action> {
    let named = entries.text("policy", faults);
    if let (Some(named), Some(node)) = (&named, entries.get("policy")) {
        names.check("escalation", named, &names.policies, &node.place, faults);
    }
    let Some(policy) = named.or_else(|| policy.map(str::to_owned)) else {
        let hint = "name a policy here, or give the rule `escalate`";
        faults.add(Code::MissingKey, entries.place(), "`escalate` needs a `policy`").hint =
            Some(hint.into());
        return None;
    };
    let level = entries.number("level", faults).unwrap_or(1);
    if level == 0 {
        faults.add(Code::BadValue, entries.place(), "the first level is 1");
    }
    Some(Action::Escalate { policy, level })
}
