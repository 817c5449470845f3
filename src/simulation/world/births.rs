//! How a pod comes to be: named, labelled and owned as its app's controller would have it.

use super::apps::{App, Kind};
use super::{Run, World};
use crate::model::{Id, Owner, Pod};

impl World {
    /// A DaemonSet's pod, or a static one, on a node that has just come.
    pub(super) fn daemons(&mut self, node: &str) {
        let Some(pool) = self.nodes.get(node).map(|machine| machine.node.pool.clone()) else {
            return;
        };
        for at in 0..self.apps.len() {
            let spec = &self.apps[at].spec;
            let here = spec.pools.is_empty() || spec.pools.contains(&pool);
            if matches!(spec.kind, Kind::DaemonSet | Kind::Static) && here {
                self.make(at, 0, node.to_owned());
            }
        }
    }

    pub(super) fn make(&mut self, at: usize, ordinal: u32, node: String) {
        let id = loop {
            let id = self.fresh("pod");
            let spec = &self.apps[at].spec;
            let drawn = matches!(spec.kind, Kind::Deployment | Kind::DaemonSet | Kind::Job);
            let key = (spec.namespace.clone(), pod_name(spec, ordinal, &node, &id));
            // The API server takes no two of one name: the controller draws again.
            if !drawn || !self.names.contains_key(&key) {
                break id;
            }
        };
        let pod = pod(&self.apps[at].spec, ordinal, &node, &id);
        let uid = pod.uid.clone();
        self.names.insert((pod.namespace.clone(), pod.name.clone()), uid.clone());
        let maker = pod.maker();
        let run = Run {
            pod,
            app: at,
            ordinal,
            running_since: None,
            stops_at: None,
            gone_at: None,
            saves_at: None,
            saves: super::saving::Saves::default(),
            queued: None,
        };
        self.apps[at].pods.insert(uid.clone());
        self.pods.insert(uid.clone(), run);
        self.waiting.entry(maker).or_default().insert(uid.clone());
        if node.is_empty() {
            self.enqueue(uid);
        } else {
            self.bind(&uid, &node);
        }
    }
}

fn pod(spec: &App, ordinal: u32, node: &str, id: &Id) -> Pod {
    let hash = template_hash(spec);
    let (mut labels, mut annotations) = (spec.labels.clone(), spec.annotations.clone());
    let asked = spec.checkpoint.as_ref().and_then(|checkpoint| checkpoint.asked);
    annotations.extend(asked.iter().flat_map(|asked| asked.annotations()));
    if spec.kind == Kind::Gang {
        labels.insert("batch.kubernetes.io/job-completion-index".into(), ordinal.to_string());
    }
    labels.insert("app".into(), spec.name.clone());
    if spec.kind == Kind::Deployment {
        labels.insert("pod-template-hash".into(), hash.short(8).into());
    }
    if spec.kind == Kind::Static {
        annotations.insert("kubernetes.io/config.mirror".into(), hash.short(16).into());
    }
    Pod {
        namespace: spec.namespace.clone(),
        name: pod_name(spec, ordinal, node, id),
        uid: id.as_str().to_owned(),
        grace: spec.grace,
        own: spec.own && ordinal == 0,
        labels,
        annotations,
        owners: owner(spec, node).into_iter().collect(),
        ..Pod::default()
    }
}

fn owner(spec: &App, node: &str) -> Option<Owner> {
    let name = spec.name.clone();
    let (api_version, kind, name) = match spec.kind {
        Kind::Deployment => {
            ("apps/v1", "ReplicaSet", format!("{name}-{}", template_hash(spec).short(8)))
        }
        Kind::StatefulSet => ("apps/v1", "StatefulSet", name),
        Kind::DaemonSet => ("apps/v1", "DaemonSet", name),
        Kind::Job | Kind::Gang => ("batch/v1", "Job", name),
        Kind::Static => ("v1", "Node", node.to_owned()),
        Kind::Bare => return None,
    };
    Some(Owner { api_version: api_version.into(), kind: kind.into(), name, controller: true })
}

fn template_hash(spec: &App) -> Id {
    Id::of(&["template", &spec.namespace, &spec.name])
}

/// As the app's controller would call it.
fn pod_name(spec: &App, ordinal: u32, node: &str, id: &Id) -> String {
    let (name, drawn) = (&spec.name, id.short(5));
    match spec.kind {
        // Made by somebody under this very name.
        Kind::Bare if spec.holds_place => name.clone(),
        Kind::StatefulSet | Kind::Gang | Kind::Bare => format!("{name}-{ordinal}"),
        Kind::Static => format!("{name}-{node}"),
        Kind::Deployment => format!("{name}-{}-{drawn}", template_hash(spec).short(8)),
        Kind::DaemonSet | Kind::Job => format!("{name}-{drawn}"),
    }
}
