//! The job of a gang as an API object, and the field that suspends it: its pods are ended and, when it is resumed, made
//! again. Which operators have one, and where, is from their own API types. Volcano's jobs have none: an aborted one
//! counts against its retries. A Ray cluster goes on without a node that was drained.

use super::Pod;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Job {
    /// `batch/v1`
    pub api_version: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

const JOBSET: &str = "jobset.sigs.k8s.io/jobset-name";
const TRAINING: &str = "training.kubeflow.org/job-name";
const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// Kinds whose field is `spec.runPolicy.suspend`, all of the group `kubeflow.org`.
const RUN_POLICY: [&str; 6] =
    ["PyTorchJob", "TFJob", "XGBoostJob", "PaddleJob", "JAXJob", "MPIJob"];

impl Job {
    /// The job that the pod belongs to, where its kind can be suspended.
    pub fn of(pod: &Pod) -> Option<Job> {
        let owner = pod.owners.iter().find(|owner| owner.controller)?;
        let job = |api_version: &str, kind: &str, name: &str| Job {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: pod.namespace.clone(),
            name: name.into(),
        };
        let own = || job(&owner.api_version, &owner.kind, &owner.name);
        if let Some(name) = pod.labels.get(JOBSET).filter(|name| !name.is_empty()) {
            return Some(job("jobset.x-k8s.io/v1alpha2", "JobSet", name));
        }
        match (owner.kind.as_str(), owner.api_version.split('/').next().unwrap_or_default()) {
            (kind, "kubeflow.org") if RUN_POLICY.contains(&kind) => Some(own()),
            // The launcher of an MPIJob is a Job of its own: the workers name the whole.
            ("Job", "batch") if pod.labels.contains_key(TRAINING) => None,
            ("Job", "batch") => {
                let indexed = pod.labels.contains_key(COMPLETION_INDEX)
                    || pod.annotations.contains_key(COMPLETION_INDEX);
                indexed.then(own)
            }
            _ => None,
        }
    }

    /// The job that this one is a part of, where its owner can be suspended: an operator lets its parts run again.
    pub fn above(&self, api_version: &str, kind: &str, name: &str) -> Option<Job> {
        let group = api_version.split('/').next().unwrap_or_default();
        let known = match group {
            "jobset.x-k8s.io" => kind == "JobSet",
            "trainer.kubeflow.org" => kind == "TrainJob",
            "kubeflow.org" => RUN_POLICY.contains(&kind),
            _ => false,
        };
        known.then(|| Job {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: self.namespace.clone(),
            name: name.into(),
        })
    }

    /// As the API server's paths have it. All of these kinds are regular.
    pub fn plural(&self) -> String {
        format!("{}s", self.kind.to_lowercase())
    }

    /// The way to the field from the object's top.
    pub fn field(&self) -> &'static [&'static str] {
        match RUN_POLICY.contains(&self.kind.as_str()) {
            true => &["spec", "runPolicy", "suspend"],
            false => &["spec", "suspend"],
        }
    }

    /// `ns/JobSet/llm`
    pub fn full_name(&self) -> String {
        format!("{}/{}/{}", self.namespace, self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Owner;

    fn pod(api_version: &str, kind: &str, labels: &[(&str, &str)]) -> Pod {
        let owner = Owner {
            api_version: api_version.into(),
            kind: kind.into(),
            name: "llm".into(),
            controller: true,
        };
        let labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Pod { namespace: "ns".into(), labels, owners: vec![owner], ..Pod::default() }
    }

    #[test]
    fn each_kind_is_suspended_where_its_operator_looks() {
        let found = |api: &str, kind: &str, labels: &[(&str, &str)]| {
            Job::of(&pod(api, kind, labels))
                .map(|job| (job.api_version.clone(), job.plural(), job.field().join(".")))
        };
        let told = |api: &str, plural: &str, field: &str| {
            Some((api.to_owned(), plural.to_owned(), field.to_owned()))
        };
        let index = (COMPLETION_INDEX, "3");
        assert_eq!(found("batch/v1", "Job", &[index]), told("batch/v1", "jobs", "spec.suspend"));
        assert_eq!(
            found("batch/v1", "Job", &[(JOBSET, "set"), index]),
            told("jobset.x-k8s.io/v1alpha2", "jobsets", "spec.suspend")
        );
        let run_policy = "spec.runPolicy.suspend";
        assert_eq!(
            found("kubeflow.org/v1", "PyTorchJob", &[(TRAINING, "llm")]),
            told("kubeflow.org/v1", "pytorchjobs", run_policy)
        );
        assert_eq!(
            found("kubeflow.org/v2beta1", "MPIJob", &[(TRAINING, "llm")]),
            told("kubeflow.org/v2beta1", "mpijobs", run_policy)
        );
        assert_eq!(found("ray.io/v1", "RayCluster", &[]), None, "Ray goes on without a node");
        assert_eq!(found("batch/v1", "Job", &[(TRAINING, "llm")]), None, "an MPIJob's launcher");
        assert_eq!(found("batch/v1", "Job", &[]), None, "a Job of equals");
        assert_eq!(found("apps/v1", "StatefulSet", &[]), None);
    }
}
