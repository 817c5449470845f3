//! Objects that are not watched: asked for once, and made.

use super::answer::answer;
use super::control::MANAGER;
use super::convert;
use crate::model::{Answer, Made, Question, Refusal, Resource};
use k8s_openapi::api::core::v1 as core;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, LogParams, PostParams},
};
use serde_json::{Value, json};
use std::time::Duration;

/// Objects on one page.
const PAGE: u32 = 250;

/// Nobody who asks waits for longer.
const ASKED: Duration = Duration::from_secs(20);
/// Events of one object.
const EVENTS: u32 = 50;
/// Of a log, whatever its lines are like.
const LOG_BYTES: i64 = 65_536;

/// Asks the API server itself, in bounded time. What only the caches know is not known here.
pub(super) async fn ask(client: &Client, question: &Question) -> Answer {
    let asked = async {
        match question {
            Question::Machines { .. } => Answer::Unknown("only the watch caches know".into()),
            Question::Empty { node } => is_empty(client, node).await,
            Question::One { what, namespace, name } => {
                one(client, *what, namespace.as_deref(), name).await
            }
            Question::Many { what, namespace, labels, limit } => {
                many(client, *what, namespace.as_deref(), labels, *limit).await
            }
            Question::Events { namespace, kind, name } => {
                events(client, namespace, kind, name).await
            }
            Question::Logs { namespace, name, before, lines } => {
                log(client, namespace, name, *before, *lines).await
            }
        }
    };
    let late = Answer::Unknown("the API server did not answer in time".into());
    tokio::time::timeout(ASKED, asked).await.unwrap_or(late)
}

/// What has been told about an object.
async fn events(client: &Client, namespace: &str, kind: &str, name: &str) -> Answer {
    let api: Api<core::Event> = Api::namespaced(client.clone(), namespace);
    let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
    match api.list(&ListParams::default().fields(&fields).limit(EVENTS)).await {
        Ok(list) => Answer::Said(json!(list.items).to_string()),
        Err(error) => answer::<()>(Err(error)),
    }
}

/// The end of the log of the container that restarted most, else of the first.
async fn log(client: &Client, namespace: &str, name: &str, before: bool, lines: u32) -> Answer {
    let pods: Api<core::Pod> = Api::namespaced(client.clone(), namespace);
    let pod = match pods.get(name).await {
        Ok(pod) => pod,
        Err(error) => return answer::<()>(Err(error)),
    };
    let restarted = |of: &core::ContainerStatus| (of.restart_count, of.name.clone());
    let all = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
    let worst = all.iter().map(restarted).max().filter(|(count, _)| *count > 0);
    let first = pod.spec.and_then(|spec| spec.containers.into_iter().next()).map(|it| it.name);
    let params = LogParams {
        container: worst.map(|(_, name)| name).or(first),
        previous: before,
        tail_lines: Some(i64::from(lines)),
        limit_bytes: Some(LOG_BYTES),
        ..LogParams::default()
    };
    match pods.logs(name, &params).await {
        Ok(text) => Answer::Said(text),
        Err(error) => answer::<()>(Err(error)),
    }
}

/// The API of a kind by its three names; in all namespaces, or of a kind that has none, without one.
pub(super) fn named(
    client: &Client,
    [api_version, kind, plural]: [&str; 3],
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: api_version.into(),
        kind: kind.into(),
        plural: plural.into(),
    };
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

fn api(client: &Client, what: Resource, namespace: Option<&str>) -> Api<DynamicObject> {
    named(client, [what.api_version, what.kind, what.plural], namespace)
}

async fn one(client: &Client, what: Resource, namespace: Option<&str>, name: &str) -> Answer {
    match api(client, what, namespace).get(name).await {
        Ok(object) => Answer::Said(serde_json::to_string(&object).unwrap_or_default()),
        Err(error) => answer::<()>(Err(error)),
    }
}

async fn many(
    client: &Client,
    what: Resource,
    namespace: Option<&str>,
    labels: &str,
    limit: u32,
) -> Answer {
    let api = api(client, what, namespace);
    let mut params = ListParams::default().labels(labels).limit(limit.min(PAGE));
    let mut all: Vec<Value> = vec![];
    loop {
        let page = match api.list(&params).await {
            Ok(page) => page,
            Err(error) => return answer::<()>(Err(error)),
        };
        all.extend(page.items.iter().map(|it| serde_json::to_value(it).unwrap_or_default()));
        let next = page.metadata.continue_.filter(|next| !next.is_empty());
        match next {
            Some(next) if all.len() < limit as usize => params.continue_token = Some(next),
            _ => return Answer::Said(json!(all).to_string()),
        }
    }
}

pub(super) async fn make(client: &Client, made: &Made) -> Answer {
    let api = api(client, made.what, Some(&made.namespace));
    let mut body = made.body.clone();
    body["apiVersion"] = json!(made.what.api_version);
    body["kind"] = json!(made.what.kind);
    body["metadata"] =
        json!({ "name": made.name, "namespace": made.namespace, "labels": made.labels });
    let object: DynamicObject = match serde_json::from_value(body) {
        Ok(object) => object,
        Err(error) => return Answer::Refused(Refusal::Invalid(error.to_string())),
    };
    let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
    match api.create(&params, &object).await {
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
            Answer::Refused(Refusal::Changed(status.message.clone()))
        }
        other => answer(other),
    }
}

/// Takes away all objects with these labels.
pub(super) async fn unmake(
    client: &Client,
    what: Resource,
    namespace: &str,
    labels: &str,
) -> Answer {
    let selected = ListParams::default().labels(labels);
    answer(
        api(client, what, Some(namespace))
            .delete_collection(&DeleteParams::default(), &selected)
            .await,
    )
}

/// Whether anything that has to go is left on the node: the caches may be a moment behind.
async fn is_empty(client: &Client, node: &str) -> Answer {
    let pods: Api<core::Pod> = Api::all(client.clone());
    // Resource version 0: from the server's own cache, which costs etcd nothing.
    let params = ListParams::default().fields(&format!("spec.nodeName={node}")).match_any();
    let listed = match pods.list(&params).await {
        Ok(listed) => listed,
        Err(error) => return answer::<()>(Err(error)),
    };
    let stays = |pod: &&core::Pod| {
        pod.metadata.deletion_timestamp.is_none() && convert::pod(pod).stays().is_none()
    };
    match listed.items.iter().find(stays) {
        None => Answer::Done,
        Some(pod) => {
            let message = format!("{} has just come to the node", pod.name_any());
            Answer::Refused(Refusal::Busy { retry_after: None, message })
        }
    }
}
