//! Workloads sent elsewhere by what their pod templates ask of a node, and back: server-side apply under a name of our
//! own, with what was before remembered on the object itself.

mod mark;
mod templates;

use super::answer::answer;
use super::kept;
use super::objects::named;
use crate::model::{Answer, ClusterCall, Destination, MOVED, MOVED_FROM, Mover, Refusal};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
pub(super) use mark::{Mark, pool};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
pub(super) use templates::REFERENCE;
use templates::{forget, place, templates};

/// Of the fields that are changed: what only we have set, and may take back.
const MANAGER: &str = "medevac-reschedule";
fn api(client: &Client, mover: &Mover) -> Api<DynamicObject> {
    let of = mover.api();
    named(client, of.each_ref().map(String::as_str), Some(mover.namespace()))
}

/// Sends something elsewhere, or back.
pub(super) async fn perform(client: &Client, call: ClusterCall) -> Answer {
    match call {
        ClusterCall::Keep { namespace, name, uid, by } => {
            kept::keep(client, &namespace, &name, &uid, &by).await
        }
        ClusterCall::Move { mover: Mover::Pod { namespace, name, uid }, to, by, reference } => {
            let pod = kept::Pod::new(client, &namespace, &name, &uid);
            pod.send(&to, &by, reference.as_deref()).await
        }
        ClusterCall::MoveBack { mover: Mover::Pod { namespace, name, uid }, .. } => {
            kept::Pod::new(client, &namespace, &name, &uid).back().await
        }
        ClusterCall::Move { mover, to, by, reference } => {
            send(client, &mover, &to, &by, reference).await
        }
        ClusterCall::MoveBack { mover, by } => back(client, &mover, by.as_deref()).await,
        _ => Answer::Refused(Refusal::Invalid("it is sent nowhere".into())),
    }
}

async fn send(
    client: &Client,
    mover: &Mover,
    to: &Destination,
    by: &str,
    reference: Option<String>,
) -> Answer {
    let api = api(client, mover);
    let object = match api.get(mover.name()).await {
        Ok(object) => object,
        Err(error) => return answer::<()>(Err(error)),
    };
    if let Some(refused) = still(mover, &object.data) {
        return refused;
    }
    let change = match changed(mover, to, &object.data) {
        Ok(change) => change,
        Err(why) => return Answer::Refused(Refusal::Invalid(why)),
    };
    let told = || {
        let all = templates(&object.data);
        all.iter().all(|(_, template)| {
            template["metadata"]["annotations"][REFERENCE].as_str() == reference.as_deref()
        })
    };
    if change.is_empty() && (reference.is_none() || told()) {
        return match Mark::on(&object) {
            Some(mark) if mark.by == by => Answer::Done,
            _ => Answer::Said("it may run there already".into()),
        };
    }
    if let Err(error) = unstarted(&api, mover, &object).await {
        return answer::<()>(Err(error));
    }
    let mut mark = Mark::on(&object).unwrap_or_else(|| Mark {
        by: by.into(),
        from: to.from.clone(),
        ..Mark::default()
    });
    for (name, template) in templates(&object.data) {
        let Some(keys) = change.get(&name) else { continue };
        let was = mark.was.entry(name.clone()).or_default();
        for key in keys.keys().filter(|key| !was.contains_key(*key)).cloned().collect::<Vec<_>>() {
            was.insert(key.clone(), template["spec"][&key].clone());
        }
        mark.now.entry(name).or_default().extend(keys.clone());
    }
    let body = applied(mover, &object, &mark, reference.as_deref());
    let params = PatchParams::apply(MANAGER).force();
    answer(api.patch(mover.name(), &params, &Patch::Apply(&body)).await)
}

/// What has to end first: only the template of a job that does not run may be changed.
fn still(mover: &Mover, object: &Value) -> Option<Answer> {
    let Mover::Job(job) = mover else { return None };
    let busy = |why: &str| {
        Some(Answer::Refused(Refusal::Busy { retry_after: None, message: why.to_owned() }))
    };
    let field = job.field().iter().try_fold(object, |value, key| value.get(key));
    if field.and_then(Value::as_bool) != Some(true) {
        return busy("it is not suspended");
    }
    let status = &object["status"];
    let parts = status["replicatedJobsStatus"].as_array().into_iter().flatten();
    let active = parts.chain([status]).filter_map(|it| it["active"].as_u64()).sum::<u64>();
    (active > 0).then(|| busy("its pods have not ended yet")).flatten()
}

/// A job that was started once may not be changed before its start is forgotten; it starts anew when it is resumed.
/// Source: the validation of Job updates before `MutableSchedulingDirectivesForSuspendedJobs` (v1.36).
async fn unstarted(
    api: &Api<DynamicObject>,
    mover: &Mover,
    object: &DynamicObject,
) -> Result<(), kube::Error> {
    let batch = matches!(mover, Mover::Job(job) if job.kind == "Job");
    if !batch || object.data["status"]["startTime"].is_null() {
        return Ok(());
    }
    let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    let body = json!({ "status": { "startTime": null } });
    api.patch_status(mover.name(), &params, &Patch::Merge(&body)).await.map(|_| ())
}

/// The new values of what has to change, template by template.
fn changed(
    mover: &Mover,
    to: &Destination,
    object: &Value,
) -> Result<BTreeMap<String, Map<String, Value>>, String> {
    let mut all = BTreeMap::new();
    for (name, template) in templates(object) {
        let spec = &template["spec"];
        let change = match mover {
            // Source: the validating webhook of JobSet, which lets no more be changed than Kueue needs.
            Mover::Job(job) if job.kind == "JobSet" => to.bearing.select(spec)?,
            _ => to.bearing.change(spec, to.extent),
        };
        if !change.is_empty() {
            all.insert(name, change);
        }
    }
    Ok(all)
}

/// All that we own of the object. What is taken away is an empty one: an apply cannot remove what others have set.
fn applied(mover: &Mover, object: &DynamicObject, mark: &Mark, reference: Option<&str>) -> Value {
    let [api_version, kind, _] = mover.api();
    let template = |name: &String| {
        let mut template = json!({});
        for (key, value) in mark.now.get(name).into_iter().flatten() {
            template["spec"][key] = if value.is_null() { json!({}) } else { value.clone() };
        }
        if let Some(reference) = reference {
            template["metadata"]["annotations"][REFERENCE] = json!(reference);
        }
        template
    };
    let all = templates(&object.data);
    let spec = match all.as_slice() {
        [(name, _)] if name.is_empty() => json!({ "template": template(name) }),
        parts => {
            let part = |(name, _): &(String, Value)| json!({ "name": name, "template": { "spec": { "template": template(name) } } });
            json!({ "replicatedJobs": parts.iter().map(part).collect::<Vec<_>>() })
        }
    };
    let from = pool(&mark.from);
    json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {
            "name": mover.name(), "namespace": mover.namespace(),
            "resourceVersion": object.metadata.resource_version,
            "labels": { MOVED_FROM: from },
            "annotations": { MOVED: serde_json::to_string(mark).unwrap_or_default() },
        },
        "spec": spec,
    })
}

async fn back(client: &Client, mover: &Mover, by: Option<&str>) -> Answer {
    let api = api(client, mover);
    let object = match api.get(mover.name()).await {
        Ok(object) => object,
        Err(error) => return answer::<()>(Err(error)),
    };
    let mark = Mark::on(&object).filter(|mark| by.is_none_or(|by| mark.by == by));
    let Some(mark) = mark else {
        // A life before may not have come further.
        return match disowned(&api, mover, &object).await {
            Some(other) => other,
            None => Answer::Said("left as it is: it was not ours".into()),
        };
    };
    if let Some(refused) = still(mover, &object.data) {
        return refused;
    }
    if let Err(error) = unstarted(&api, mover, &object).await {
        return answer::<()>(Err(error));
    }
    let object = match api.get(mover.name()).await {
        Ok(object) => object,
        Err(error) => return answer::<()>(Err(error)),
    };
    let (before, kept) = restored(&object, &mark);
    let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
    let put = match api.replace(mover.name(), &params, &before).await {
        Ok(put) => put,
        Err(error) => return answer::<()>(Err(error)),
    };
    match disowned(&api, mover, &put).await {
        None | Some(Answer::Done) if kept.is_empty() => Answer::Done,
        None | Some(Answer::Done) => {
            Answer::Said(format!("somebody has changed since, and it stays: {}", kept.join(", ")))
        }
        Some(other) => other,
    }
}

/// As it was, and what of it somebody has changed since.
fn restored(object: &DynamicObject, mark: &Mark) -> (DynamicObject, Vec<String>) {
    let (mut before, mut kept) = (object.clone(), vec![]);
    before.metadata.annotations.as_mut().map(|all| all.remove(MOVED));
    before.metadata.labels.as_mut().map(|all| all.remove(MOVED_FROM));
    for (name, template) in templates(&object.data) {
        let Some(place) = place(&mut before.data, &name) else { continue };
        forget(place);
        for (key, now) in mark.now.get(&name).into_iter().flatten() {
            let found = &template["spec"][key];
            let empty =
                |value: &Value| value.is_null() || value.as_object().is_some_and(Map::is_empty);
            if found != now && !(empty(found) && empty(now)) {
                kept.push(key.clone());
                continue;
            }
            let was = mark.was.get(&name).and_then(|was| was.get(key)).cloned().unwrap_or_default();
            match was {
                Value::Null => {
                    place["spec"].as_object_mut().map(|spec| spec.remove(key));
                }
                was => place["spec"][key] = was,
            }
        }
    }
    (before, kept)
}

/// No field is ours any more: whoever applies the object next finds nobody in the way. `None`: none was.
async fn disowned(
    api: &Api<DynamicObject>,
    mover: &Mover,
    object: &DynamicObject,
) -> Option<Answer> {
    let all = object.metadata.managed_fields.as_deref().unwrap_or_default();
    let ours = |it: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry| {
        it.manager.as_deref() == Some(MANAGER)
    };
    if !all.iter().any(|it| ours(&it)) {
        return None;
    }
    let others: Vec<Value> = all
        .iter()
        .filter(|it| !ours(it))
        .map(|it| serde_json::to_value(it).unwrap_or_default())
        .collect();
    // An empty list would be taken for none at all.
    let others = if others.is_empty() { vec![json!({})] } else { others };
    let version = object.metadata.resource_version.clone();
    let body = json!({ "metadata": { "resourceVersion": version, "managedFields": others } });
    let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    Some(answer(api.patch(mover.name(), &params, &Patch::Merge(&body)).await))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bearing, Extent, Job};

    fn to() -> Destination {
        let bearing = Bearing {
            labels: [("capacity".to_owned(), "on-demand".to_owned())].into(),
            tolerations: vec![],
        };
        Destination { bearing, extent: Extent::Whole, from: "gpu/spot".into() }
    }

    fn set(object: Value) -> (Mover, DynamicObject) {
        let job = Job {
            api_version: "jobset.x-k8s.io/v1alpha2".into(),
            kind: "JobSet".into(),
            namespace: "ns".into(),
            name: "llm".into(),
        };
        (Mover::Job(job), serde_json::from_value(object).unwrap())
    }

    fn pinned() -> Value {
        let part = |name: &str, selector: Value| json!({ "name": name, "template": { "spec": { "template": { "spec": { "nodeSelector": selector, "containers": [] } } } } });
        json!({
            "apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet",
            "metadata": { "name": "llm", "namespace": "ns", "resourceVersion": "7", "labels": { "own": "yes" } },
            "spec": { "suspend": true, "replicatedJobs": [
                part("leader", json!({ "capacity": "spot", "gpu": "h100" })),
                part("workers", Value::Null),
            ] },
        })
    }

    #[test]
    fn each_template_of_a_job_set_is_sent_and_brought_back_and_nothing_else_is_touched() {
        let (mover, object) = set(pinned());
        let change = changed(&mover, &to(), &object.data).unwrap();
        assert_eq!(
            change["leader"]["nodeSelector"],
            json!({ "capacity": "on-demand", "gpu": "h100" })
        );
        let mut mark = Mark { by: "inc".into(), from: "gpu/spot".into(), ..Mark::default() };
        mark.was.insert(
            "leader".into(),
            json!({ "nodeSelector": { "capacity": "spot", "gpu": "h100" } })
                .as_object()
                .unwrap()
                .clone(),
        );
        mark.was
            .insert("workers".into(), json!({ "nodeSelector": null }).as_object().unwrap().clone());
        mark.now = change;
        let body = applied(&mover, &object, &mark, Some("s3://c/7"));
        assert_eq!(body["metadata"]["labels"], json!({ MOVED_FROM: "gpuspot" }));
        let first = &body["spec"]["replicatedJobs"][0];
        assert_eq!(first["name"], "leader");
        let template = &first["template"]["spec"]["template"];
        assert_eq!(template["metadata"]["annotations"], json!({ REFERENCE: "s3://c/7" }));
        // As the API server would have it after that.
        let mut sent = object.clone();
        for (name, now) in &mark.now {
            let place = place(&mut sent.data, name).unwrap();
            place["spec"].as_object_mut().unwrap().extend(now.clone());
            place["metadata"] = json!({ "annotations": { REFERENCE: "s3://c/7" } });
        }
        sent.metadata.annotations = Some([(MOVED.to_owned(), "…".to_owned())].into());
        let (home, kept) = restored(&sent, &mark);
        assert_eq!(kept, Vec::<String>::new());
        let mut before = object.clone();
        let spec = place(&mut before.data, "workers").unwrap()["spec"].as_object_mut().unwrap();
        spec.remove("nodeSelector");
        assert_eq!(home.data, before.data);
    }

    #[test]
    fn what_somebody_has_changed_since_stays() {
        let (mover, object) = set(pinned());
        let mark = Mark { now: changed(&mover, &to(), &object.data).unwrap(), ..Mark::default() };
        let (home, kept) = restored(&object, &mark);
        assert_eq!(kept, ["nodeSelector", "nodeSelector"]);
        assert_eq!(home.data, object.data);
    }

    #[test]
    fn a_job_has_to_be_still() {
        let (mover, _) = set(pinned());
        let is_still = |status: Value, suspended: bool| {
            still(&mover, &json!({ "spec": { "suspend": suspended }, "status": status })).is_none()
        };
        assert!(is_still(json!({}), true));
        assert!(!is_still(json!({}), false));
        assert!(!is_still(json!({ "active": 1 }), true));
        assert!(!is_still(
            json!({ "replicatedJobsStatus": [{ "active": 0 }, { "active": 2 }] }),
            true
        ));
        let rolls = Mover::Rolls {
            kind: crate::model::WorkloadKind::Deployment,
            namespace: "ns".into(),
            name: "api".into(),
        };
        assert!(still(&rolls, &json!({})).is_none());
    }
}
