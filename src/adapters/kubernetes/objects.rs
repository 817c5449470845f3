//! Objects that are not watched: asked for once, and made.

use super::answer::answer;
use super::control::MANAGER;
use super::convert;
use crate::model::{Answer, Made, Refusal, Resource};
use k8s_openapi::api::core::v1 as core;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams},
};
use serde_json::{Value, json};

/// Objects on one page.
const PAGE: u32 = 250;

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

pub(super) async fn one(
    client: &Client,
    what: Resource,
    namespace: Option<&str>,
    name: &str,
) -> Answer {
    match api(client, what, namespace).get(name).await {
        Ok(object) => Answer::Said(serde_json::to_string(&object).unwrap_or_default()),
        Err(error) => answer::<()>(Err(error)),
    }
}

pub(super) async fn many(
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
pub(super) async fn is_empty(client: &Client, node: &str) -> Answer {
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
