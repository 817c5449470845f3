//! The ends of the logs that matter, and what the cluster has told: bounded, masked, of a few pods.

use super::{About, mask};
use crate::cluster::{ClusterView, Sight};
use crate::model::{Answer, Notice, Pod, Question, Refusal, Resource, Target, plain, selector};
use serde_json::Value;

/// Pods whose logs are read.
const PODS: usize = 3;
/// Characters of each log, from its end.
const LONGEST: usize = 3_000;
/// Events that are quoted.
const EVENTS: usize = 8;

type Named = (String, String);

/// The pods that say most: those that are not ready first.
async fn pods(view: &impl ClusterView, about: &About) -> Result<Vec<Named>, String> {
    let named = |pod: &Pod| (pod.namespace.clone(), pod.name.clone());
    let many = |namespace: &str, labels: String| Question::Many {
        what: Resource::POD,
        namespace: Some(namespace.to_owned()),
        labels,
        limit: 200,
    };
    let question = match &about.target {
        Target::Pod { namespace, name } => return Ok(vec![(namespace.clone(), name.clone())]),
        Target::Node(_) | Target::Instance(_) => {
            let look = view.look(&Sight::of(&about.target));
            let mut here: Vec<&Pod> =
                look.pods.iter().filter(|pod| pod.stays().is_none()).collect();
            here.sort_by_key(|pod| (pod.ready, pod.full_name()));
            return Ok(here.into_iter().take(PODS).map(named).collect());
        }
        Target::Workload { kind, namespace, name } => {
            let what = Resource::of_workload(kind).ok_or("nobody knows which pods it has")?;
            let asked =
                Question::One { what, namespace: Some(namespace.clone()), name: name.clone() };
            let of: Value = read(view.ask(asked).await)?;
            many(namespace, selector(&of["spec"]["selector"]["matchLabels"]))
        }
        Target::Other { kind, name } if kind == "namespace" => many(name, String::new()),
        Target::Other { .. } => return Err("it is about no pods".into()),
    };
    let all: Value = read(view.ask(question).await)?;
    let ready = |pod: &Value| {
        let all = pod["status"]["conditions"].as_array().into_iter().flatten();
        all.into_iter().any(|it| it["type"] == "Ready" && it["status"] == "True")
    };
    let mut all: Vec<&Value> = all.as_array().into_iter().flatten().collect();
    all.sort_by_key(|pod| ready(pod));
    let name = |pod: &&Value| {
        let text = |key: &str| Some(pod["metadata"][key].as_str()?.to_owned());
        Some((text("namespace")?, text("name")?))
    };
    Ok(all.iter().take(PODS).filter_map(name).collect())
}

fn read(answer: Answer) -> Result<Value, String> {
    match answer {
        Answer::Said(said) => {
            serde_json::from_str(&said).map_err(|_| "the answer is no JSON".into())
        }
        Answer::Done => Ok(Value::Null),
        Answer::Refused(refusal) => Err(why(&refusal)),
        Answer::Unknown(why) => Err(why),
    }
}

fn why(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Forbidden(why) | Refusal::Invalid(why) => plain(why),
        Refusal::Gone => "it is gone".into(),
        Refusal::Busy { message, .. } => plain(message),
        _ => "it was refused".into(),
    }
}

/// The last of a text, from the beginning of a line where that can be.
fn end_of(text: &str) -> &str {
    let from = text.char_indices().rev().nth(LONGEST.saturating_sub(1)).map_or(0, |(at, _)| at);
    let end = &text[from..];
    match end.find('\n') {
        Some(at) if from > 0 => &end[at + 1..],
        _ => end,
    }
}

pub(super) async fn tails(
    view: &impl ClusterView,
    about: &About,
    lines: u32,
) -> Result<String, String> {
    let pods = pods(view, about).await?;
    if pods.is_empty() {
        return Err("there are no pods".into());
    }
    let mut told = vec![];
    let mut last = String::new();
    for (namespace, name) in pods {
        let asked = |before| Question::Logs {
            namespace: namespace.clone(),
            name: name.clone(),
            before,
            lines,
        };
        let mut answer = view.ask(asked(false)).await;
        // A container that waits to be started again has its log in the one before.
        if matches!(&answer, Answer::Said(text) if text.trim().is_empty())
            || matches!(answer, Answer::Refused(Refusal::Invalid(_)))
        {
            answer = view.ask(asked(true)).await;
        }
        match answer {
            Answer::Said(text) if !text.trim().is_empty() => {
                let clean: String =
                    mask(end_of(&text)).lines().map(plain).collect::<Vec<_>>().join("\n");
                told.push(format!("--- {namespace}/{name}\n{clean}"));
            }
            Answer::Said(_) | Answer::Done => {
                last = format!("{namespace}/{name} has written nothing")
            }
            Answer::Refused(refusal) => last = format!("{namespace}/{name}: {}", why(&refusal)),
            Answer::Unknown(unknown) => last = format!("{namespace}/{name}: {unknown}"),
        }
    }
    if told.is_empty() { Err(last) } else { Ok(told.join("\n")) }
}

/// What the cluster has told about it lately.
pub(super) async fn events(view: &impl ClusterView, about: &About) -> Result<String, String> {
    let (namespace, kind, name) = match &about.target {
        Target::Pod { namespace, name } => (namespace.clone(), "Pod", name.clone()),
        Target::Node(name) => ("default".to_owned(), "Node", name.clone()),
        Target::Workload { kind, namespace, name } => {
            let kind = Resource::of_workload(kind).map_or("Deployment", |it| it.kind);
            (namespace.clone(), kind, name.clone())
        }
        Target::Instance(_) | Target::Other { .. } => {
            return Err("the cluster tells nothing of it".into());
        }
    };
    let all: Value = read(view.ask(Question::Events { namespace, kind, name }).await)?;
    let mut all: Vec<Notice<'_>> = all.as_array().into_iter().flatten().map(Notice::of).collect();
    all.sort_by_key(|it| std::cmp::Reverse(it.at));
    let line = |it: &Notice<'_>| {
        let message: String = mask(&plain(it.message)).chars().take(300).collect();
        format!("{} {} {message}", plain(it.at), plain(it.reason))
    };
    let lines: Vec<String> = all.iter().take(EVENTS).map(line).collect();
    if lines.is_empty() {
        Err("the cluster has told nothing of it".into())
    } else {
        Ok(lines.join("\n"))
    }
}
