//! Where pods are sent: what of a pod template has to change so that they may run there, or have to.

use super::Taint;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a node has to be for what is sent there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bearing {
    pub labels: BTreeMap<String, String>,
    /// Taints of these nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Taint>,
}

/// How far the change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Its pods may run there as well: what has lost its place finds another, and the rest may stay.
    #[default]
    Lost,
    /// All of its pods have to run there.
    Whole,
}

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

impl Bearing {
    /// Those keys of a pod template's `spec` that have to be others, with their new values; `Null` takes one away. Empty:
    /// nothing has to change.
    pub fn change(&self, spec: &Value, extent: Extent) -> Map<String, Value> {
        let mut changed = Map::new();
        let mut selector = spec["nodeSelector"].as_object().cloned().unwrap_or_default();
        let mut affinity = spec["affinity"].clone();
        for (key, value) in &self.labels {
            let before = selector.get(key).and_then(Value::as_str).map(str::to_owned);
            if before.as_deref() == Some(value) {
                continue;
            }
            let allowed: Vec<&str> = match (extent, before.as_deref()) {
                (Extent::Lost, Some(before)) => vec![before, value],
                _ => vec![value],
            };
            selector.remove(key);
            let pinned = before.is_some() || extent == Extent::Whole;
            require(&mut affinity, key, &allowed, pinned, extent);
        }
        let selector = if selector.is_empty() { Value::Null } else { Value::Object(selector) };
        for (name, new) in [("nodeSelector", selector), ("affinity", affinity)] {
            if new != spec[name] {
                changed.insert(name.into(), new);
            }
        }
        let has = spec["tolerations"].as_array().cloned().unwrap_or_default();
        let lacking =
            self.tolerations.iter().filter(|taint| !has.iter().any(|it| bears(it, taint)));
        let more: Vec<Value> = lacking.map(toleration).collect();
        if !more.is_empty() {
            changed.insert("tolerations".into(), json!([has, more].concat()));
        }
        changed
    }
}

impl Bearing {
    /// The same by node selector and tolerations alone: all pods have to run there.
    ///
    /// # Errors
    /// Where the affinity does not let them.
    pub fn select(&self, spec: &Value) -> Result<Map<String, Value>, String> {
        let mut changed = self.change(spec, Extent::Whole);
        let path = format!("/affinity/nodeAffinity/{REQUIRED}/nodeSelectorTerms");
        let terms = spec.pointer(&path).and_then(Value::as_array);
        let own = |key: &String| {
            let mut all = terms.into_iter().flatten();
            all.any(|term| {
                term["matchExpressions"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|it| it["key"] == *key)
            })
        };
        if let Some(key) = self.labels.keys().find(|key| own(key)) {
            return Err(format!("its node affinity asks for {key}, and cannot be changed"));
        }
        changed.remove("affinity");
        changed.remove("nodeSelector");
        let before = spec["nodeSelector"].as_object().cloned().unwrap_or_default();
        let mut selector = before.clone();
        selector.extend(self.labels.iter().map(|(key, value)| (key.clone(), json!(value))));
        if selector != before {
            changed.insert("nodeSelector".into(), Value::Object(selector));
        }
        Ok(changed)
    }
}

fn toleration(taint: &Taint) -> Value {
    match taint.value.as_str() {
        "" => json!({ "key": taint.key, "operator": "Exists", "effect": taint.effect }),
        value => {
            json!({ "key": taint.key, "operator": "Equal", "value": value, "effect": taint.effect })
        }
    }
}

/// As the scheduler reads a toleration.
fn bears(toleration: &Value, taint: &Taint) -> bool {
    let text = |key: &str| toleration[key].as_str().unwrap_or_default();
    let exists = text("operator") == "Exists";
    let key = text("key") == taint.key || text("key").is_empty() && exists;
    let effect = text("effect").is_empty() || text("effect") == taint.effect;
    key && effect && (exists || text("value") == taint.value)
}

/// Every one of the alternatives asks for one of `allowed`. `pinned`: also where it asks for nothing yet.
fn require(affinity: &mut Value, key: &str, allowed: &[&str], pinned: bool, extent: Extent) {
    let path = format!("/nodeAffinity/{REQUIRED}/nodeSelectorTerms");
    let mut terms: Vec<Value> =
        affinity.pointer(&path).and_then(Value::as_array).cloned().unwrap_or_default();
    if terms.is_empty() {
        if !pinned {
            return;
        }
        terms.push(json!({}));
    }
    let before = terms.clone();
    for term in &mut terms {
        let expressions = term["matchExpressions"].as_array().cloned().unwrap_or_default();
        let (own, mut rest): (Vec<Value>, Vec<Value>) =
            expressions.into_iter().partition(|it| it["key"] == key);
        if extent == Extent::Whole {
            rest.push(json!({ "key": key, "operator": "In", "values": allowed }));
        } else {
            let had = own.iter().any(|it| it["operator"] == "In");
            rest.extend(own.into_iter().filter_map(|it| widened(it, allowed)));
            if pinned && !had {
                rest.push(json!({ "key": key, "operator": "In", "values": allowed }));
            }
        }
        term["matchExpressions"] = json!(rest);
    }
    let empty = |term: &Value| {
        let asks = |key: &str| term[key].as_array().is_some_and(|all| !all.is_empty());
        !asks("matchExpressions") && !asks("matchFields")
    };
    if terms.iter().any(empty) {
        // A term that asks for nothing matches no node at all. These match each.
        terms = ["Exists", "DoesNotExist"]
            .map(|operator| json!({ "matchExpressions": [{ "key": key, "operator": operator }] }))
            .into();
    }
    if terms == before {
        return;
    }
    if affinity.is_null() {
        *affinity = json!({});
    }
    affinity["nodeAffinity"][REQUIRED] = json!({ "nodeSelectorTerms": terms });
}

/// An expression that lets these values through as well. `None`: it would let everything through.
fn widened(mut expression: Value, allowed: &[&str]) -> Option<Value> {
    let mut values: Vec<Value> = expression["values"].as_array().cloned().unwrap_or_default();
    match expression["operator"].as_str() {
        Some("In") => {
            let more = allowed.iter().map(|it| json!(it)).filter(|it| !values.contains(it));
            let more: Vec<Value> = more.collect();
            values.extend(more);
        }
        Some("NotIn") => values.retain(|value| !allowed.iter().any(|it| value == it)),
        Some("DoesNotExist") => return None,
        _ => return Some(expression),
    }
    if values.is_empty() {
        return None;
    }
    expression["values"] = json!(values);
    Some(expression)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "karpenter.sh/capacity-type";

    fn on_demand() -> Bearing {
        Bearing {
            labels: [(TYPE.to_owned(), "on-demand".to_owned())].into(),
            tolerations: vec![Taint {
                key: "dear".into(),
                value: "yes".into(),
                effect: "NoSchedule".into(),
            }],
        }
    }

    fn terms(all: &Value) -> Value {
        json!({ "nodeAffinity": { REQUIRED: { "nodeSelectorTerms": all } } })
    }

    fn one_of(values: &[&str]) -> Value {
        json!({ "key": TYPE, "operator": "In", "values": values })
    }

    #[test]
    fn what_is_pinned_to_spot_may_run_on_demand_as_well_or_has_to() {
        let spec = json!({ "nodeSelector": { TYPE: "spot", "gpu": "h100" } });
        let lost = on_demand().change(&spec, Extent::Lost);
        assert_eq!(lost["nodeSelector"], json!({ "gpu": "h100" }));
        let both = terms(&json!([{ "matchExpressions": [one_of(&["spot", "on-demand"])] }]));
        assert_eq!(lost["affinity"], both);
        assert_eq!(
            lost["tolerations"],
            json!([{ "key": "dear", "operator": "Equal", "value": "yes", "effect": "NoSchedule" }])
        );
        let whole = on_demand().change(&spec, Extent::Whole);
        let only = terms(&json!([{ "matchExpressions": [one_of(&["on-demand"])] }]));
        assert_eq!(whole["affinity"], only);
        let alone = on_demand().change(&json!({ "nodeSelector": { TYPE: "spot" } }), Extent::Whole);
        assert_eq!(alone["nodeSelector"], Value::Null, "nothing is left of it");
    }

    #[test]
    fn what_may_run_there_already_is_not_touched() {
        let borne = json!([{ "operator": "Exists" }]);
        for spec in [
            json!({ "tolerations": borne }),
            json!({ "tolerations": borne, "nodeSelector": { TYPE: "on-demand" } }),
            json!({ "tolerations": borne, "affinity": terms(&json!([{ "matchExpressions": [one_of(&["spot", "on-demand"])] }])) }),
            json!({ "tolerations": borne, "affinity": terms(&json!([{ "matchExpressions": [{ "key": TYPE, "operator": "Exists" }] }])) }),
        ] {
            assert_eq!(on_demand().change(&spec, Extent::Lost), Map::new(), "{spec}");
        }
        let there = json!({ "tolerations": borne, "nodeSelector": { TYPE: "on-demand" } });
        assert_eq!(on_demand().change(&there, Extent::Whole), Map::new());
        let bears = |toleration: Value| super::bears(&toleration, &on_demand().tolerations[0]);
        assert!(bears(json!({ "key": "dear", "operator": "Exists" })));
        assert!(bears(json!({ "key": "dear", "value": "yes" })));
        assert!(!bears(json!({ "key": "dear", "value": "no" })));
        assert!(!bears(json!({ "key": "dear", "value": "yes", "effect": "NoExecute" })));
    }

    #[test]
    fn affinities_are_widened_in_each_alternative_and_nothing_else_of_them_changes() {
        let other = json!({ "key": "gpu", "operator": "In", "values": ["h100"] });
        let soft = json!([{ "weight": 1, "preference": { "matchExpressions": [other] } }]);
        let mut affinity = terms(&json!([
            { "matchExpressions": [other, one_of(&["spot"])] },
            { "matchExpressions": [{ "key": TYPE, "operator": "NotIn", "values": ["on-demand"] }, other] },
        ]));
        affinity["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] = soft.clone();
        affinity["podAntiAffinity"] = json!({ "kept": true });
        let changed = on_demand().change(&json!({ "affinity": affinity }), Extent::Lost);
        let new = &changed["affinity"];
        assert_eq!(
            new["nodeAffinity"][REQUIRED]["nodeSelectorTerms"],
            json!([
                { "matchExpressions": [other, one_of(&["spot", "on-demand"])] },
                { "matchExpressions": [other] },
            ])
        );
        assert_eq!(new["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"], soft);
        assert_eq!(new["podAntiAffinity"], json!({ "kept": true }));
        let barred = terms(
            &json!([{ "matchExpressions": [{ "key": TYPE, "operator": "NotIn", "values": ["on-demand"] }] }]),
        );
        let changed = on_demand().change(&json!({ "affinity": barred }), Extent::Lost);
        let any = terms(&json!([
            { "matchExpressions": [{ "key": TYPE, "operator": "Exists" }] },
            { "matchExpressions": [{ "key": TYPE, "operator": "DoesNotExist" }] },
        ]));
        assert_eq!(changed["affinity"], any, "a term that asks for nothing matches nothing");
        let again = on_demand().change(&json!({ "affinity": any }), Extent::Lost);
        assert_eq!(again.get("affinity"), None, "twice is the same");
    }

    #[test]
    fn where_only_the_selector_may_change_an_affinity_may_forbid_it() {
        let spec = json!({ "nodeSelector": { TYPE: "spot", "gpu": "h100" }, "tolerations": [{ "operator": "Exists" }] });
        let changed = on_demand().select(&spec).unwrap();
        assert_eq!(
            Value::Object(changed),
            json!({ "nodeSelector": { TYPE: "on-demand", "gpu": "h100" } })
        );
        let held =
            json!({ "affinity": terms(&json!([{ "matchExpressions": [one_of(&["spot"])] }])) });
        assert!(on_demand().select(&held).unwrap_err().contains(TYPE));
    }
}
