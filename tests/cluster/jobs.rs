//! What gangs run as, suspended and resumed on a real API server: Jobs, other operators' kinds, Kueue's, Karpenter's claims.

use crate::{plane::Plane, support::until};
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use medevac::adapters::kubernetes::KubernetesControl;
use medevac::cluster::ClusterControl;
use medevac::model::{Answer, Bearing, ClusterCall, Destination, Extent, Job, Mover, Refusal};
use serde_json::{Value, json};
use std::sync::Arc;

const BY: &str = "medevac.dev/suspended-by";

/// A kind of somebody else's, as an operator brings it.
async fn kind(plane: &Plane, api_version: &str, kind: &str, namespaced: bool, spec: Value) {
    let (group, version) = api_version.split_once('/').unwrap();
    let (singular, plural) = (kind.to_lowercase(), format!("{}s", kind.to_lowercase()));
    let scope = if namespaced { "Namespaced" } else { "Cluster" };
    let crd: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": { "group": group, "scope": scope,
            "names": { "kind": kind, "singular": singular, "plural": plural },
            "versions": [{ "name": version, "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object", "properties": { "spec": { "type": "object", "properties": spec } },
            }}}] },
    }))
    .unwrap();
    let all: Api<CustomResourceDefinition> = Api::all(plane.client.clone());
    all.create(&PostParams::default(), &crd).await.unwrap();
    let objects = custom(plane, api_version, kind, namespaced);
    until("the kind is served", || async { objects.list(&Default::default()).await.ok() }).await;
}

fn custom(plane: &Plane, api_version: &str, kind: &str, namespaced: bool) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match namespaced {
        true => Api::namespaced_with(plane.client.clone(), "default", &resource),
        false => Api::all_with(plane.client.clone(), &resource),
    }
}

async fn make(api: &Api<DynamicObject>, object: Value) -> DynamicObject {
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
}

/// An indexed Job of two pods that no node can take: kwok would end them at once.
async fn indexed(plane: &Plane, name: &str, more: Value) -> batch::Job {
    let mut job = json!({
        "metadata": { "name": name },
        "spec": { "parallelism": 2, "completions": 2, "completionMode": "Indexed", "suspend": false,
            "template": { "metadata": { "labels": { "app": name } }, "spec": { "restartPolicy": "Never",
                "nodeSelector": { "no": "such-node" }, "containers": [{ "name": "c", "image": "i" }] } } },
    });
    for (key, value) in more.as_object().unwrap() {
        job["metadata"][key] = value.clone();
    }
    let jobs: Api<batch::Job> = Api::namespaced(plane.client.clone(), "default");
    jobs.create(&PostParams::default(), &serde_json::from_value(job).unwrap()).await.unwrap()
}

struct Hand(KubernetesControl);

impl Hand {
    async fn says(
        &self,
        suspended: bool,
        by: &str,
        api_version: &str,
        kind: &str,
        name: &str,
    ) -> Answer {
        let job = Job {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: "default".into(),
            name: name.into(),
        };
        let call = ClusterCall::Suspend { job, suspended, by: by.into() };
        self.0.call(call, None).await
    }

    async fn job(&self, suspended: bool, by: &str, name: &str) -> Answer {
        self.says(suspended, by, "batch/v1", "Job", name).await
    }
}

fn said(words: &str) -> Answer {
    Answer::Said(words.into())
}

pub(crate) async fn a_job_is_suspended_and_only_who_has_lets_it_run_again(plane: Arc<Plane>) {
    let hand = Hand(KubernetesControl::new(plane.client.clone()));
    let jobs: Api<batch::Job> = Api::namespaced(plane.client.clone(), "default");
    indexed(&plane, "ranks", json!({})).await;
    let there = |count: usize| {
        let plane = &plane;
        until("its pods", move || async move {
            (plane.pods("ranks").await.len() == count).then_some(())
        })
    };
    there(2).await;
    assert_eq!(hand.job(true, "inc-1", "ranks").await, Answer::Done);
    assert_eq!(hand.job(true, "inc-1", "ranks").await, Answer::Done, "twice is once");
    there(0).await;
    let other = said("another incident has suspended it");
    assert_eq!(hand.job(true, "inc-2", "ranks").await, other);
    let not_ours = said("left as it is: it was not ours");
    assert_eq!(hand.job(false, "inc-2", "ranks").await, not_ours);
    assert_eq!(jobs.get("ranks").await.unwrap().annotations()[BY], "inc-1");
    assert_eq!(hand.job(false, "inc-1", "ranks").await, Answer::Done);
    there(2).await;
    assert!(!jobs.get("ranks").await.unwrap().annotations().contains_key(BY));
    // A person's own doing.
    let stops = Patch::Merge(json!({ "spec": { "suspend": true } }));
    jobs.patch("ranks", &PatchParams::default(), &stops).await.unwrap();
    assert_eq!(hand.job(true, "inc-3", "ranks").await, said("it was suspended before"));
    assert_eq!(hand.job(false, "inc-3", "ranks").await, not_ours);
    assert_eq!(jobs.get("ranks").await.unwrap().spec.unwrap().suspend, Some(true));
    assert_eq!(hand.job(true, "inc-1", "nobody").await, Answer::Refused(Refusal::Gone));
    // Whoever may not read it has not suspended it either: that is named once, and fails nobody's plan.
    let client = medevac::adapters::kubernetes::connect(Some(&plane.powerless)).await.unwrap();
    let powerless = Hand(KubernetesControl::new(client));
    let denied = powerless.job(true, "inc-4", "ranks").await;
    assert!(matches!(&denied, Answer::Refused(Refusal::Forbidden(_))), "{denied:?}");
    let left = powerless.job(false, "inc-4", "ranks").await;
    assert!(matches!(&left, Answer::Said(why) if why.starts_with("left as it is")), "{left:?}");
}

pub(crate) async fn the_jobs_of_other_operators_are_stopped_by_their_own_field(plane: Arc<Plane>) {
    let hand = Hand(KubernetesControl::new(plane.client.clone()));
    let (jobset, workload) = ("jobset.x-k8s.io/v1alpha2", "kueue.x-k8s.io/v1beta1");
    let boolean = json!({ "type": "boolean" });
    let part = json!({ "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } }, "x-kubernetes-preserve-unknown-fields": true });
    let parts = json!({ "type": "array", "items": part, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] });
    kind(&plane, jobset, "JobSet", true, json!({ "suspend": boolean, "replicatedJobs": parts }))
        .await;
    kind(&plane, workload, "Workload", true, json!({ "active": boolean })).await;
    let policy =
        json!({ "type": "object", "properties": { "cleanPodPolicy": { "type": "string" } } });
    kind(&plane, "kubeflow.org/v1", "PyTorchJob", true, json!({ "runPolicy": policy })).await;

    // A JobSet's Job alone would be let run again.
    let sets = custom(&plane, jobset, "JobSet", true);
    let set = make(&sets, json!({ "apiVersion": jobset, "kind": "JobSet", "metadata": { "name": "set" }, "spec": {} })).await;
    let owner = json!({ "apiVersion": jobset, "kind": "JobSet", "name": "set", "uid": set.uid(), "controller": true });
    indexed(&plane, "set-workers-0", json!({ "ownerReferences": [owner] })).await;
    assert_eq!(hand.job(true, "inc-1", "set-workers-0").await, Answer::Done);
    assert_eq!(sets.get("set").await.unwrap().data["spec"]["suspend"], true);
    let jobs: Api<batch::Job> = Api::namespaced(plane.client.clone(), "default");
    assert_eq!(jobs.get("set-workers-0").await.unwrap().spec.unwrap().suspend, Some(false));
    assert_eq!(hand.says(false, "inc-1", jobset, "JobSet", "set").await, Answer::Done);
    assert_eq!(sets.get("set").await.unwrap().data["spec"]["suspend"], false);

    // Sent elsewhere while it is suspended, and back as it was.
    let template =
        json!({ "spec": { "template": { "spec": { "nodeSelector": { "kind": "spot" } } } } });
    let spec = json!({ "suspend": true, "replicatedJobs": [{ "name": "workers", "replicas": 2, "template": template }] });
    make(&sets, json!({ "apiVersion": jobset, "kind": "JobSet", "metadata": { "name": "goes" }, "spec": spec })).await;
    let mover = Mover::Job(Job {
        api_version: jobset.into(),
        kind: "JobSet".into(),
        namespace: "default".into(),
        name: "goes".into(),
    });
    let bearing = Bearing {
        labels: [("capacity".to_owned(), "on-demand".to_owned())].into(),
        tolerations: vec![],
    };
    let to = Destination { bearing, extent: Extent::Lost, from: "spot".into() };
    let (by, reference) = ("inc-1".to_owned(), Some("s3://b/step-7".to_owned()));
    let goes = ClusterCall::Move { mover: mover.clone(), to, by: by.clone(), reference };
    for _ in 0..2 {
        assert_eq!(hand.0.call(goes.clone(), None).await, Answer::Done, "twice is once");
    }
    let there = sets.get("goes").await.unwrap().data["spec"]["replicatedJobs"][0]["template"]
        ["spec"]["template"]
        .clone();
    assert_eq!(there["spec"]["nodeSelector"], json!({ "kind": "spot", "capacity": "on-demand" }));
    let told = &there["metadata"]["annotations"]["medevac.dev/checkpoint-reference"];
    assert_eq!(told, "s3://b/step-7");
    let back = ClusterCall::MoveBack { mover, by: Some(by) };
    assert_eq!(hand.0.call(back, None).await, Answer::Done);
    let home = sets.get("goes").await.unwrap();
    assert_eq!(home.data["spec"], spec, "nothing is left of the journey");
    assert!(home.annotations().is_empty() && home.labels().is_empty());

    // An operator that is too old for the field would drop it in silence.
    let torch = custom(&plane, "kubeflow.org/v1", "PyTorchJob", true);
    make(&torch, json!({ "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": { "name": "old" },
        "spec": { "runPolicy": {} } })).await;
    let Answer::Refused(Refusal::Invalid(why)) =
        hand.says(true, "inc-1", "kubeflow.org/v1", "PyTorchJob", "old").await
    else {
        panic!("it is refused")
    };
    assert!(why.contains("suspend"), "{why}");
    assert!(torch.get("old").await.unwrap().annotations().is_empty(), "nothing is left of it");

    // What Kueue admits is stopped by its Workload.
    let queue = json!({ "labels": { "kueue.x-k8s.io/queue-name": "q" } });
    let job = indexed(&plane, "queued", queue).await;
    let early = hand.job(true, "inc-1", "queued").await;
    assert!(
        matches!(&early, Answer::Refused(Refusal::Invalid(why)) if why.contains("no Workload")),
        "{early:?}"
    );
    let workloads = custom(&plane, workload, "Workload", true);
    make(&workloads, json!({ "apiVersion": workload, "kind": "Workload",
        "metadata": { "name": "job-queued", "labels": { "kueue.x-k8s.io/job-uid": job.uid() } }, "spec": {} })).await;
    for (suspended, active) in [(true, false), (false, true)] {
        assert_eq!(hand.job(suspended, "inc-1", "queued").await, Answer::Done);
        assert_eq!(workloads.get("job-queued").await.unwrap().data["spec"]["active"], active);
        let job = jobs.get("queued").await.unwrap();
        assert_eq!(job.annotations().contains_key(BY), suspended);
        assert_eq!(job.spec.unwrap().suspend, Some(false), "its own field is Kueue's");
    }
}

pub(crate) async fn karpenter_has_its_claim_back_with_the_moment_it_ends(plane: Arc<Plane>) {
    let hand = KubernetesControl::new(plane.client.clone());
    kind(&plane, "karpenter.sh/v1", "NodeClaim", false, json!({})).await;
    let claims = custom(&plane, "karpenter.sh/v1", "NodeClaim", false);
    make(
        &claims,
        json!({ "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
        "metadata": { "name": "spot-abc", "finalizers": ["karpenter.sh/termination"] } }),
    )
    .await;
    let by: jiff::Timestamp = "2026-11-23T12:00:00.75Z".parse().unwrap();
    for _ in 0..2 {
        let call = ClusterCall::Release { claim: "spot-abc".into(), by: Some(by) };
        assert_eq!(hand.call(call, None).await, Answer::Done);
    }
    let claim = claims.get("spot-abc").await.unwrap();
    let ends = &claim.annotations()["karpenter.sh/nodeclaim-termination-timestamp"];
    assert_eq!(ends, "2026-11-23T12:00:01Z");
    assert!(claim.metadata.deletion_timestamp.is_some());
    let gone = ClusterCall::Release { claim: "nobody".into(), by: None };
    assert_eq!(hand.call(gone, None).await, Answer::Refused(Refusal::Gone));
}
