//! The steps of `then` and `otherwise`: verbs and arguments, and the order that `needs` makes.

use super::diagnostic::{Code, Place, suggest};
use super::rule::{Names, word};
use super::shape::STEPS;
use super::walk::{Entries, Faults, text};
use super::yaml::{Kind, Node};
use crate::model::{Action, Expect, Span, StepSpec, Taint, Target};

/// Where a step stood, while its list is being read.
struct Read<'a> {
    spec: StepSpec,
    /// `None`: the default order applies.
    needs: Option<Vec<(String, &'a Place)>>,
    place: &'a Place,
}

pub(super) fn steps(
    entries: &Entries<'_>,
    key: &str,
    policy: Option<&str>,
    names: &Names<'_>,
    faults: &mut Faults,
) -> Vec<StepSpec> {
    let mut read: Vec<Read<'_>> = vec![];
    for node in entries.list(key, faults) {
        if let Some(mut step) = step(node, policy, names, faults) {
            let taken =
                |name: &str, read: &[Read<'_>]| read.iter().any(|other| other.spec.name == name);
            if taken(&step.spec.name, &read) && step.spec.name == step.spec.action.verb() {
                let verb = step.spec.name.clone();
                let free = (2..).map(|n| format!("{verb}-{n}")).find(|name| !taken(name, &read));
                step.spec.name = free.unwrap_or(verb);
            } else if taken(&step.spec.name, &read) {
                faults.add(
                    Code::Duplicate,
                    step.place,
                    format!("another step is called `{}`", step.spec.name),
                );
            }
            read.push(step);
        }
    }
    order(&mut read, faults);
    read.into_iter().map(|step| step.spec).collect()
}

/// Fills in `needs`: as written, else by the default order of the verbs. Faults on unknown names and cycles.
fn order(read: &mut [Read<'_>], faults: &mut Faults) {
    let all: Vec<String> = read.iter().map(|step| step.spec.name.clone()).collect();
    for (at, step) in read.iter_mut().enumerate() {
        let Some(needs) = &step.needs else {
            if step.spec.action.waits_by_default() {
                step.spec.needs = all[..at].to_vec();
            }
            continue;
        };
        for (name, place) in needs {
            if !all.contains(name) {
                let hint = suggest(name, all.iter().map(String::as_str));
                faults
                    .add(Code::UnknownName, place, format!("no step here is called `{name}`"))
                    .hint = Some(hint);
            }
        }
        step.spec.needs = needs.iter().map(|(name, _)| name.clone()).collect();
    }
    let mut done: Vec<&str> = vec![];
    while let Some(next) = read.iter().find(|step| {
        !done.contains(&step.spec.name.as_str())
            && step
                .spec
                .needs
                .iter()
                .all(|need| done.contains(&need.as_str()) || !all.contains(need))
    }) {
        done.push(&next.spec.name);
    }
    if let Some(stuck) = read.iter().find(|step| !done.contains(&step.spec.name.as_str())) {
        let message = format!("`{}` waits for itself: its `needs` form a circle", stuck.spec.name);
        faults.add(Code::Cycle, stuck.place, message);
    }
}

fn step<'a>(
    node: &'a Node,
    policy: Option<&str>,
    names: &Names<'_>,
    faults: &mut Faults,
) -> Option<Read<'a>> {
    let verbs = || STEPS.iter().map(|(verb, _, _)| *verb);
    let Kind::Map(pairs) = &node.kind else {
        let hint = "write `- cordon: {}`: a verb and its arguments";
        faults.add(Code::WrongType, &node.place, "a step is a mapping with one verb").hint =
            Some(hint.into());
        return None;
    };
    let [(verb, arguments)] = pairs.as_slice() else {
        let hint = "start each step with its own `- `";
        faults.add(Code::WrongType, &node.place, "a step has exactly one verb").hint =
            Some(hint.into());
        return None;
    };
    let Some((_, _, shape)) = STEPS.iter().find(|(known, _, _)| *known == verb.text) else {
        let hint = suggest(&verb.text, verbs().collect::<Vec<_>>());
        faults
            .add(Code::UnknownName, &verb.place, format!("there is no step `{}`", verb.text))
            .hint = Some(hint);
        return None;
    };
    let entries = Entries::of(arguments, shape, faults)?;
    let action = action(&verb.text, &entries, policy, names, faults)?;
    let name = entries.text("name", faults).unwrap_or_else(|| verb.text.clone());
    let needs = entries.get("needs").map(|_| entries.texts("needs", faults));
    Some(Read { spec: StepSpec { name, action, needs: vec![] }, needs, place: &node.place })
}

fn action(
    verb: &str,
    entries: &Entries<'_>,
    policy: Option<&str>,
    names: &Names<'_>,
    faults: &mut Faults,
) -> Option<Action> {
    let minutes = |minutes: u64| Span::seconds(minutes * 60);
    Some(match verb {
        "cordon" => {
            Action::Cordon { taint: entries.get("taint").and_then(|node| taint(node, faults)) }
        }
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
            timeout: entries.span("timeout", faults).unwrap_or(minutes(15)),
            force: entries.boolean("force", faults).unwrap_or(false),
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
            within: entries.span("within", faults).unwrap_or(minutes(5)),
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
        profiles: names.profiles.clone(),
    }
}

const EFFECTS: [(&str, &str); 3] = [
    ("NoSchedule", "NoSchedule"),
    ("PreferNoSchedule", "PreferNoSchedule"),
    ("NoExecute", "NoExecute"),
];

const EXPECT: [(&str, Expect); 4] = [
    ("alert_cleared", Expect::AlertCleared),
    ("node_ready", Expect::NodeReady),
    ("node_empty", Expect::NodeEmpty),
    ("pods_running", Expect::PodsRunning),
];

/// `KEY[=VALUE][:EFFECT]`
fn taint(node: &Node, faults: &mut Faults) -> Option<Taint> {
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
