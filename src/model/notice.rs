//! What the cluster tells about an object: an Event of the API, of either generation.

use serde_json::Value;

/// Read off the JSON of a `core/v1` or an `events.k8s.io/v1` Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice<'a> {
    /// When it was told last, RFC 3339.
    pub at: &'a str,
    pub reason: &'a str,
    pub message: &'a str,
    /// Who tells: a controller or a kubelet.
    pub by: &'a str,
}

impl<'a> Notice<'a> {
    pub fn of(event: &'a Value) -> Notice<'a> {
        let first = |keys: &[&str]| {
            let texts = keys.iter().filter_map(|key| event.pointer(key)?.as_str());
            texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
        };
        let at = [
            "/series/lastObservedTime",
            "/lastTimestamp",
            "/eventTime",
            "/metadata/creationTimestamp",
        ];
        Notice {
            at: first(&at),
            reason: first(&["/reason"]),
            message: first(&["/message", "/note"]),
            by: first(&["/reportingComponent", "/reportingController", "/source/component"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_generations_say_the_same() {
        let old = json!({ "reason": "R", "message": "m", "source": { "component": "kubelet" },
            "reportingComponent": "", "lastTimestamp": "2026-01-02T00:00:00Z", "eventTime": null });
        let new = json!({ "reason": "R", "note": "m", "reportingController": "kubelet",
            "eventTime": "2026-01-01T00:00:00Z", "series": { "lastObservedTime": "2026-01-02T00:00:00Z" } });
        assert_eq!(Notice::of(&old), Notice::of(&new));
        assert_eq!(Notice::of(&old).by, "kubelet");
    }
}
