//! What an object that was sent elsewhere remembers: what was before, what is now, and whose doing it is.

use crate::model::{MOVED, label};
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The pool that was left, as the value of a label: never an empty one.
pub(in crate::adapters::kubernetes) fn pool(from: &str) -> String {
    match label(from) {
        from if from.is_empty() => "unknown".to_owned(),
        from => from,
    }
}

/// What the object remembers. Of each template, by name, the changed keys of its pods' `spec`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::adapters::kubernetes) struct Mark {
    pub(super) by: String,
    pub(super) from: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) was: BTreeMap<String, Map<String, Value>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) now: BTreeMap<String, Map<String, Value>>,
}

impl Mark {
    pub(in crate::adapters::kubernetes) fn on(object: &impl ResourceExt) -> Option<Mark> {
        serde_json::from_str(object.annotations().get(MOVED)?).ok()
    }

    /// Of what was made elsewhere: there is nothing to put back.
    pub(in crate::adapters::kubernetes) fn bare(by: &str, from: &str) -> String {
        let mark = Mark { by: by.into(), from: from.into(), ..Mark::default() };
        serde_json::to_string(&mark).unwrap_or_default()
    }

    pub(in crate::adapters::kubernetes) fn is_by(&self, incident: &str) -> bool {
        self.by == incident
    }
}
