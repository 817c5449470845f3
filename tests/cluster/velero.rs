//! Velero's Backup kind on a real API server, and a controller that walks its phases. It has no status subresource: the
//! controller patches the object.

use crate::{
    plane::Plane,
    support::{
        client,
        daemon::{self, Door, Orders},
        get, incidents, until,
    },
};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt,
    api::{
        ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
    },
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

const RULES: &str = r#"
contacts: [{name: c, console: {}}]
escalations: [{name: p, levels: [{contacts: c}]}]
rules:
  - name: backs-up
    when: demo.backup
    then: [{velero_backup: {namespaces: [training], ttl: 3d}}]
    escalate: p
  - name: relies-on-it
    when: demo.relies
    then: [{require_backup: {newer_than: 1h, namespaces: [training]}}]
    escalate: p
  - name: relies-in-vain
    when: demo.vain
    then: [{require_backup: {newer_than: 1h, namespaces: [elsewhere]}}]
    escalate: p
"#;

/// What a backup goes through when all goes well: Velero 1.18's phases in their order.
const PHASES: [&str; 7] = [
    "New",
    "Queued",
    "ReadyToStart",
    "InProgress",
    "WaitingForPluginOperations",
    "Finalizing",
    "Completed",
];

async fn serve(plane: &Plane, kind: &str) -> Api<DynamicObject> {
    let plural = format!("{}s", kind.to_lowercase());
    let any = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let crd: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": { "name": format!("{plural}.velero.io") },
        "spec": { "group": "velero.io", "scope": "Namespaced",
            "names": { "kind": kind, "singular": kind.to_lowercase(), "plural": plural },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object", "properties": { "spec": any, "status": any },
            }}}] },
    }))
    .unwrap();
    let all: Api<CustomResourceDefinition> = Api::all(plane.client.clone());
    all.create(&PostParams::default(), &crd).await.unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("velero.io", "v1", kind));
    let objects: Api<DynamicObject> =
        Api::namespaced_with(plane.client.clone(), "velero", &resource);
    until("the kind is served", || async { objects.list(&ListParams::default()).await.ok() }).await;
    objects
}

/// Velero's server: each backup goes a phase further every half second. The first it has begun is lost by a restart.
fn controller(backups: Api<DynamicObject>) {
    tokio::spawn(async move {
        let mut first = None;
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let Ok(all) = backups.list(&ListParams::default()).await else { continue };
            for backup in all.items {
                let name = backup.name_any();
                let lost = *first.get_or_insert_with(|| name.clone()) == name;
                let phase = backup.data["status"]["phase"].as_str().unwrap_or_default();
                let at = PHASES.iter().position(|known| *known == phase).map_or(0, |at| at + 1);
                let Some(next) = PHASES.get(at).filter(|_| phase != "Failed") else { continue };
                let status = match *next {
                    "WaitingForPluginOperations" if lost => json!({
                        "phase": "Failed",
                        "failureReason": "found a backup with status \"InProgress\" during the server starting, mark it as \"Failed\"",
                    }),
                    "Completed" => json!({
                        "phase": "Completed", "completionTimestamp": jiff::Timestamp::now().to_string(),
                        "progress": { "totalItems": 12, "itemsBackedUp": 12 },
                        "csiVolumeSnapshotsAttempted": 2, "csiVolumeSnapshotsCompleted": 2,
                    }),
                    phase => json!({ "phase": phase, "queuePosition": 1 }),
                };
                let patch = Patch::Merge(json!({ "status": status }));
                let _patched = backups.patch(&name, &PatchParams::default(), &patch).await;
            }
        }
    });
}

pub(crate) async fn a_backup_is_made_followed_through_its_phases_and_relied_on(plane: Arc<Plane>) {
    let namespaces: Api<Namespace> = Api::all(plane.client.clone());
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "velero" } });
    let params = PatchParams::apply("tests").force();
    namespaces.patch("velero", &params, &Patch::Apply(&namespace)).await.unwrap();
    let locations = serve(&plane, "BackupStorageLocation").await;
    let backups = serve(&plane, "Backup").await;
    let mut orders = Orders::new(&plane.directory.path().join("velero"), 0, RULES);
    orders.kubeconfig = Some(plane.kubeconfig.clone());
    let daemon = daemon::start(&orders, Door::default()).await;
    let url = daemon.url.as_str();
    // Where nothing can be kept nothing is made.
    let none = told(url, "demo.backup", "nowhere").await;
    assert!(none.contains("Velero has no storage location"), "{none}");
    assert!(backups.list(&ListParams::default()).await.unwrap().items.is_empty());
    let location: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "metadata": { "name": "default" },
        "spec": { "default": true, "accessMode": "ReadWrite" }, "status": { "phase": "Available" },
    }))
    .unwrap();
    locations.create(&PostParams::default(), &location).await.unwrap();
    controller(backups.clone());
    let vain = told(url, "demo.relies", "early").await;
    assert!(vain.contains("Velero has no good backup of training"), "{vain}");
    // Velero is started anew in the middle of the first; the second is good, and is relied on.
    let made = told(url, "demo.backup", "made").await;
    assert!(made.contains("remediated") && made.contains("12 items, 2 volumes"), "{made}");
    let all = backups.list(&ListParams::default()).await.unwrap().items;
    let mut names: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
    names.sort();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(names[1], format!("{}-2", names[0]));
    let second = all.iter().find(|one| one.name_any() == names[1]).unwrap();
    assert_eq!(second.data["spec"]["includedNamespaces"], json!(["training"]));
    assert_eq!(second.data["spec"]["ttl"], "72h0m0s");
    assert_eq!(second.labels()["medevac.dev/rule"], "backs-up");
    let relied = told(url, "demo.relies", "late").await;
    assert!(relied.contains("remediated") && relied.contains(&names[1]), "{relied}");
    let vain = told(url, "demo.vain", "late").await;
    assert!(vain.contains("no good backup of elsewhere"), "{vain}");
}

/// Everything that is known of what came of such an event, once its remediation has ended.
async fn told(url: &str, kind: &str, id: &str) -> String {
    let subject = format!("ask/{kind}-{id}");
    let event = json!({
        "specversion": "1.0", "id": subject, "source": "test", "type": kind, "subject": subject,
        "time": jiff::Timestamp::now(), "data": {},
    });
    until("the event is accepted", || async {
        let post = client().post(format!("{url}/api/v1/events"));
        let post = post.header("content-type", "application/cloudevents+json");
        let answer = post.body(event.to_string()).send().await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
    until("it has ended", || async {
        let all = incidents(url).await;
        let ours = all.into_iter().find(|one| one["target"] == subject.as_str())?;
        let path = format!("{url}/api/v1/incidents/{}", ours["id"].as_str()?);
        let chain = get(&path).await?;
        (!ours["last_end"].is_null()).then(|| chain.to_string())
    })
    .await
}
