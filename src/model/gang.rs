//! Gangs: pods that work together or not at all, found by the labels and owners that their operators set.

use super::Pod;

/// The label by which a workload says itself which gang it is of; `true` means that of its controller.
const OWN: &str = "medevac.dev/gang";
const LWS: &str = "leaderworkerset.sigs.k8s.io/name";
const LWS_GROUP: &str = "leaderworkerset.sigs.k8s.io/group-index";
const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Volcano's and the coscheduling plug-in's pod group.
const POD_GROUP: &str = "scheduling.k8s.io/group-name";

/// The labels that name a gang, the outermost first: a JobSet's pods carry their Job's labels as well.
const LABELS: [(&str, &str); 6] = [
    ("jobset.sigs.k8s.io/jobset-name", "JobSet"),
    ("training.kubeflow.org/job-name", "TrainingJob"),
    ("ray.io/cluster", "RayCluster"),
    ("volcano.sh/job-name", "VolcanoJob"),
    ("scheduling.x-k8s.io/pod-group", "PodGroup"),
    ("kueue.x-k8s.io/pod-group-name", "PodGroup"),
];

impl Pod {
    /// Its owner says that it is one, nobody had to guess.
    pub fn says_its_gang(&self) -> bool {
        self.labels.get(OWN).is_some_and(|own| !own.is_empty() && own != "false")
    }

    /// The gang that it is a member of, as `namespace/Kind/name`: one checkpoint for all of it.
    pub fn gang(&self) -> Option<String> {
        let named = |kind: &str, name: &str| Some(format!("{}/{kind}/{name}", self.namespace));
        let label = |key: &str| self.labels.get(key).filter(|value| !value.is_empty());
        match label(OWN).map(String::as_str) {
            Some("true") => return self.controller(),
            Some("false") => return None,
            Some(name) => return named("Gang", name),
            None => {}
        }
        if let Some(name) = label(LWS) {
            // Each replica of a LeaderWorkerSet is a group of its own.
            let group = label(LWS_GROUP).map_or("0", String::as_str);
            return named("LeaderWorkerSet", &format!("{name}-{group}"));
        }
        if let Some((kind, name)) = LABELS.iter().find_map(|(key, kind)| Some((kind, label(key)?)))
        {
            return named(kind, name);
        }
        if let Some(name) = self.annotations.get(POD_GROUP).filter(|name| !name.is_empty()) {
            return named("PodGroup", name);
        }
        let indexed = self.labels.contains_key(COMPLETION_INDEX)
            || self.annotations.contains_key(COMPLETION_INDEX);
        let of_job = self.owners.iter().any(|owner| owner.controller && owner.kind == "Job");
        if indexed && of_job { self.controller() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Owner;

    fn pod(labels: &[(&str, &str)], owner: Option<&str>) -> Pod {
        let owner = owner.map(|kind| Owner {
            api_version: "x".into(),
            kind: kind.into(),
            name: "o".into(),
            controller: true,
        });
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Pod {
            namespace: "ns".into(),
            labels: labels.iter().map(pair).collect(),
            owners: owner.into_iter().collect(),
            ..Pod::default()
        }
    }

    #[test]
    fn every_operators_pods_are_found() {
        let gang = |labels: &[(&str, &str)], owner| pod(labels, owner).gang();
        let of = |text: &str| Some(text.to_owned());
        let index = (COMPLETION_INDEX, "3");
        let set = ("jobset.sigs.k8s.io/jobset-name", "llm");
        assert_eq!(gang(&[set, index], Some("Job")), of("ns/JobSet/llm"));
        assert_eq!(
            gang(&[("training.kubeflow.org/job-name", "pt")], Some("PyTorchJob")),
            of("ns/TrainingJob/pt")
        );
        assert_eq!(gang(&[("ray.io/cluster", "r")], None), of("ns/RayCluster/r"));
        assert_eq!(
            gang(&[(LWS, "l"), (LWS_GROUP, "2")], Some("StatefulSet")),
            of("ns/LeaderWorkerSet/l-2")
        );
        assert_eq!(gang(&[("volcano.sh/job-name", "v")], Some("Job")), of("ns/VolcanoJob/v"));
        assert_eq!(gang(&[("kueue.x-k8s.io/pod-group-name", "k")], None), of("ns/PodGroup/k"));
        assert_eq!(gang(&[index], Some("Job")), of("ns/Job/o"));
        assert_eq!(gang(&[(OWN, "true")], Some("StatefulSet")), of("ns/StatefulSet/o"));
        assert_eq!(gang(&[(OWN, "mine")], Some("StatefulSet")), of("ns/Gang/mine"));
        assert_eq!(gang(&[(OWN, "false"), set], Some("Job")), None);
        assert_eq!(gang(&[], Some("Job")), None, "a Job of equals");
        assert_eq!(gang(&[index], Some("ReplicaSet")), None);
        let mut grouped = pod(&[], None);
        grouped.annotations.insert(POD_GROUP.into(), "g".into());
        assert_eq!(grouped.gang(), of("ns/PodGroup/g"));
    }
}
