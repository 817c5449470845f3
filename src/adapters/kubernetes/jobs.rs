//! Jobs of every operator, suspended and resumed by the field that it has for that; those that Kueue admits, by their
//! Workload, since Kueue lets them run again otherwise.

use super::answer::answer;
use super::control::MANAGER;
use super::objects::named;
use crate::model::{Answer, Job, Refusal};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams, ValidationDirective},
};
use serde_json::{Value, json};

/// Who has suspended the job: an incident.
const SUSPENDED_BY: &str = "medevac.dev/suspended-by";
/// A job with it is Kueue's.
const QUEUE: &str = "kueue.x-k8s.io/queue-name";
const JOB_UID: &str = "kueue.x-k8s.io/job-uid";
/// The newest that is served.
const WORKLOADS: [&str; 2] = ["kueue.x-k8s.io/v1beta2", "kueue.x-k8s.io/v1beta1"];
/// Job, JobSet, TrainJob, and some room.
const DEEPEST: u32 = 5;
const CONFLICTS: u32 = 5;

pub(super) async fn suspend(client: &Client, job: Job, suspended: bool, by: &str) -> Answer {
    let mut last = Answer::Unknown("not tried".into());
    for _ in 0..CONFLICTS {
        let (job, object) = match top(client, job.clone()).await {
            Ok(found) => found,
            Err(kube::Error::Api(error)) if error.code == 403 && !suspended => {
                // Whoever may not read it has not suspended it either.
                return Answer::Said(format!("left as it is: {}", error.message));
            }
            Err(why) => return answer::<()>(Err(why)),
        };
        if let Some(answer) = settled(&job, &object, suspended, by) {
            return answer;
        }
        last = match object.labels().contains_key(QUEUE) {
            true => queued(client, &job, &object, suspended, by).await,
            false => own(client, &job, &object, suspended, by).await,
        };
        if !matches!(last, Answer::Refused(Refusal::Busy { retry_after: None, .. })) {
            return last;
        }
    }
    last
}

/// Nothing has to be done, or may be: a person's doing, and another incident's, stays.
fn settled(job: &Job, object: &DynamicObject, suspended: bool, by: &str) -> Option<Answer> {
    let holder = object.annotations().get(SUSPENDED_BY).map(String::as_str);
    match (suspended, holder) {
        // Marked by a life that may have died before it came further.
        (true, Some(holder)) if holder == by => is_suspended(job, object).then_some(Answer::Done),
        (true, Some(_)) => Some(Answer::Said("another incident has suspended it".into())),
        (true, None) if is_suspended(job, object) => {
            Some(Answer::Said("it was suspended before".into()))
        }
        (false, Some(holder)) if holder == by => None,
        (false, _) => Some(Answer::Said("left as it is: it was not ours".into())),
        (true, None) => None,
    }
}

fn is_suspended(job: &Job, object: &DynamicObject) -> bool {
    let field = job.field().iter().try_fold(&object.data, |value, key| value.get(key));
    field.and_then(Value::as_bool).unwrap_or(false)
}

fn of(client: &Client, job: &Job) -> Api<DynamicObject> {
    let names = [job.api_version.as_str(), job.kind.as_str(), &job.plural()];
    named(client, names, Some(&job.namespace))
}

/// The outermost job that this one is a part of.
async fn top(client: &Client, mut job: Job) -> Result<(Job, DynamicObject), kube::Error> {
    let mut object = of(client, &job).get(&job.name).await?;
    for _ in 0..DEEPEST {
        let owner = object.owner_references().iter().find(|owner| owner.controller == Some(true));
        let above = owner.and_then(|owner| job.above(&owner.api_version, &owner.kind, &owner.name));
        let Some(above) = above else { break };
        object = of(client, &above).get(&above.name).await?;
        job = above;
    }
    Ok((job, object))
}

fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.into()),
        // An operator too old to know the field would else drop it, and nobody would hear of it.
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::default()
    }
}

/// `by`: `None` takes the mark away. `version`: `None` does so whatever the job has become.
fn mark(version: Option<&str>, by: Option<&str>) -> Value {
    json!({ "metadata": { "resourceVersion": version, "annotations": { SUSPENDED_BY: by } } })
}

async fn own(
    client: &Client,
    job: &Job,
    object: &DynamicObject,
    suspended: bool,
    by: &str,
) -> Answer {
    let mut body = mark(object.metadata.resource_version.as_deref(), suspended.then_some(by));
    let field =
        job.field().iter().rev().fold(json!(suspended), |value, key| json!({ *key: value }));
    if let (Some(body), Value::Object(field)) = (body.as_object_mut(), field) {
        body.extend(field);
    }
    answer(of(client, job).patch(&job.name, &params(), &Patch::Merge(&body)).await)
}

/// Kueue's Workload is made inactive, the job is marked. The mark comes first and goes last: it says that there is
/// something to put back. Where there is nothing, none stays.
async fn queued(
    client: &Client,
    job: &Job,
    object: &DynamicObject,
    suspended: bool,
    by: &str,
) -> Answer {
    let marks = |version: Option<&str>, by: Option<&str>| {
        let (jobs, patch) = (of(client, job), Patch::Merge(mark(version, by)));
        async move { answer(jobs.patch_metadata(&job.name, &params(), &patch).await) }
    };
    let version = object.metadata.resource_version.as_deref();
    let found = workload(client, &job.namespace, &object.uid().unwrap_or_default()).await;
    let (workloads, name) = match found {
        Ok(Some(found)) => found,
        Ok(None) if !suspended => return marks(version, None).await,
        Ok(None) => {
            let why = format!("Kueue has no Workload of {} yet", job.full_name());
            return Answer::Refused(Refusal::Invalid(why));
        }
        Err(error) => return answer::<()>(Err(error)),
    };
    if suspended {
        let marked = marks(version, Some(by)).await;
        if marked != Answer::Done {
            return marked;
        }
    }
    let body = json!({ "spec": { "active": !suspended } });
    match answer(workloads.patch(&name, &params(), &Patch::Merge(&body)).await) {
        Answer::Done if !suspended => marks(version, None).await,
        Answer::Refused(why @ (Refusal::Forbidden(_) | Refusal::Invalid(_))) if suspended => {
            // It was not stopped: a mark that stayed would say so to everybody.
            match marks(None, None).await {
                Answer::Done => Answer::Refused(why),
                other => other,
            }
        }
        other => other,
    }
}

async fn workload(
    client: &Client,
    namespace: &str,
    uid: &str,
) -> Result<Option<(Api<DynamicObject>, String)>, kube::Error> {
    let selected = ListParams::default().labels(&format!("{JOB_UID}={uid}"));
    let mut last = Ok(None);
    for version in WORKLOADS {
        let workloads = named(client, [version, "Workload", "workloads"], Some(namespace));
        match workloads.list(&selected).await {
            Ok(list) => {
                let name = list.items.first().map(ResourceExt::name_any);
                return Ok(name.map(|name| (workloads, name)));
            }
            Err(error) => last = Err(error),
        }
    }
    last
}
