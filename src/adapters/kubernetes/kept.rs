//! Pods that no controller makes anew: what one is made of is kept as a PodTemplate beside it, in its own namespace and not in
//! the log, since it may hold secrets; once the pod is gone it is made from that, under its own name.

use super::answer::answer;
use super::control::MANAGER;
use super::moves::{Mark, REFERENCE, pool};
use crate::model::{Answer, Destination, Id, MOVED, MOVED_FROM, REQUEST, Refusal, STATE};
use k8s_openapi::api::core::v1 as core;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

/// On the template: who keeps it.
const INCIDENT: &str = "medevac.dev/incident";

/// One pod: its name may be another's by now, its UID may not.
pub(super) struct Pod {
    pods: Api<core::Pod>,
    templates: Api<core::PodTemplate>,
    name: String,
    uid: String,
    /// Of the template.
    kept: String,
}

/// Who has the pod's name.
enum There {
    Nobody,
    /// The pod itself. `true`: it ends.
    Itself(bool),
    Another(Box<core::Pod>),
}

/// Keeps what the pod is made of. Twice is once.
pub(super) async fn keep(
    client: &Client,
    namespace: &str,
    name: &str,
    uid: &str,
    by: &str,
) -> Answer {
    let of = Pod::new(client, namespace, name, uid);
    let pod = match of.pods.get(name).await {
        Ok(pod) if pod.uid().as_deref() == Some(uid) => pod,
        Ok(_) => return Answer::Refused(Refusal::Gone),
        Err(error) => return answer::<()>(Err(error)),
    };
    let template = match serde_json::from_value(template(&of.kept, &pod, by)) {
        Ok(template) => template,
        Err(error) => return Answer::Refused(Refusal::Invalid(error.to_string())),
    };
    match of.templates.create(&params(), &template).await {
        // Another life has.
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Answer::Done,
        other => answer(other),
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() }
}

/// Without what belongs to that very pod, and to whoever has asked it for something.
fn template(name: &str, pod: &core::Pod, by: &str) -> Value {
    let mut spec = json!(pod.spec);
    if let Some(spec) = spec.as_object_mut() {
        // The API server takes no pod that has them from the beginning.
        spec.remove("ephemeralContainers");
        spec.remove("nodeName");
    }
    let asked = [REQUEST, STATE];
    let annotations = pod.annotations().iter().filter(|(key, _)| !asked.contains(&key.as_str()));
    let annotations: Value = annotations.map(|(key, value)| (key.clone(), json!(value))).collect();
    json!({
        "apiVersion": "v1", "kind": "PodTemplate",
        "metadata": {
            "name": name, "labels": { INCIDENT: by },
            "annotations": { "medevac.dev/pod": pod.name_any() },
        },
        "template": { "metadata": { "labels": pod.labels(), "annotations": annotations }, "spec": spec },
    })
}

/// The pod that is made of it; `to`: elsewhere.
fn made(
    name: &str,
    kept: &core::PodTemplate,
    to: Option<(&Destination, &str, Option<&str>)>,
) -> Value {
    let mut pod = json!(kept.template);
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!(name);
    let Some((to, by, reference)) = to else { return pod };
    for (key, value) in to.bearing.change(&pod["spec"], to.extent) {
        pod["spec"][key] = value;
    }
    pod["metadata"]["labels"][MOVED_FROM] = json!(pool(&to.from));
    pod["metadata"]["annotations"][MOVED] = json!(Mark::bare(by, &to.from));
    if let Some(reference) = reference {
        pod["metadata"]["annotations"][REFERENCE] = json!(reference);
    }
    pod
}

impl Pod {
    pub(super) fn new(client: &Client, namespace: &str, name: &str, uid: &str) -> Pod {
        Pod {
            pods: Api::namespaced(client.clone(), namespace),
            templates: Api::namespaced(client.clone(), namespace),
            name: name.to_owned(),
            uid: uid.to_owned(),
            kept: format!("medevac-{}", Id::of(&["kept", namespace, name, uid]).short(20)),
        }
    }

    /// Makes it elsewhere, once it is gone.
    pub(super) async fn send(&self, to: &Destination, by: &str, reference: Option<&str>) -> Answer {
        let there = match self.there().await {
            Ok(there) => there,
            Err(error) => return answer::<()>(Err(error)),
        };
        match (there, self.template().await) {
            (_, Err(error)) => answer::<()>(Err(error)),
            (There::Another(pod), _) if Mark::on(&*pod).is_some_and(|mark| mark.is_by(by)) => {
                self.forget(Answer::Done).await
            }
            (There::Another(_), _) => {
                self.forget(Answer::Said("somebody else has made it anew".into())).await
            }
            (There::Nobody, Ok(None)) => Answer::Refused(Refusal::Gone),
            (There::Itself(_), Ok(None)) => {
                Answer::Refused(Refusal::Invalid("it is not kept".into()))
            }
            (There::Itself(_), Ok(Some(_))) => busy("it has not gone yet"),
            (There::Nobody, Ok(Some(kept))) => {
                self.make(made(&self.name, &kept, Some((to, by, reference)))).await
            }
        }
    }

    /// Makes it where it may have run before, if it is gone.
    pub(super) async fn back(&self) -> Answer {
        let there = match self.there().await {
            Ok(there) => there,
            Err(error) => return answer::<()>(Err(error)),
        };
        match (there, self.template().await) {
            (_, Err(error)) => answer::<()>(Err(error)),
            (_, Ok(None)) => Answer::Said("left as it is: nothing of it is kept".into()),
            (There::Itself(true), _) => busy("it has not gone yet"),
            (There::Itself(false), _) => {
                self.forget(Answer::Said("it runs on where it is".into())).await
            }
            (There::Another(_), _) => {
                self.forget(Answer::Said("it was made anew, and stays".into())).await
            }
            (There::Nobody, Ok(Some(kept))) => self.make(made(&self.name, &kept, None)).await,
        }
    }

    async fn there(&self) -> Result<There, kube::Error> {
        Ok(match self.pods.get_opt(&self.name).await? {
            None => There::Nobody,
            Some(pod) if pod.uid().as_deref() == Some(self.uid.as_str()) => {
                There::Itself(pod.metadata.deletion_timestamp.is_some())
            }
            Some(pod) => There::Another(Box::new(pod)),
        })
    }

    async fn template(&self) -> Result<Option<core::PodTemplate>, kube::Error> {
        self.templates.get_opt(&self.kept).await
    }

    async fn make(&self, pod: Value) -> Answer {
        let pod: core::Pod = match serde_json::from_value(pod) {
            Ok(pod) => pod,
            Err(error) => return Answer::Refused(Refusal::Invalid(error.to_string())),
        };
        match self.pods.create(&params(), &pod).await {
            Ok(_) => self.forget(Answer::Done).await,
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
                busy("somebody has just made one of its name")
            }
            Err(error) => answer::<()>(Err(error)),
        }
    }

    /// What was kept is not needed any more. Where that is not known to be so, whoever asks again finds the pod.
    async fn forget(&self, then: Answer) -> Answer {
        match self.templates.delete(&self.kept, &DeleteParams::default()).await {
            Ok(_) => then,
            Err(kube::Error::Api(status)) if status.code == 404 => then,
            Err(error) => answer::<()>(Err(error)),
        }
    }
}

fn busy(why: &str) -> Answer {
    Answer::Refused(Refusal::Busy { retry_after: None, message: why.to_owned() })
}
