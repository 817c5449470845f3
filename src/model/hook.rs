//! An action of an Auto Scaling group's hook: what waits for us, until we say so.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// What becomes of the instance once the hook's action is over (Auto Scaling: `LifecycleActionResult`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookResult {
    #[default]
    Continue,
    /// Of an instance that is launched: it is terminated. Of one that is terminated: other hooks are not waited for.
    Abandon,
}

impl HookResult {
    /// As Auto Scaling writes it.
    pub fn word(self) -> &'static str {
        match self {
            HookResult::Continue => "CONTINUE",
            HookResult::Abandon => "ABANDON",
        }
    }
}

/// One action of one hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    pub group: String,
    pub name: String,
    pub instance: String,
    /// Of this action. Auto Scaling takes the instance instead.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// How long the group waits for a word, in seconds, where it is known: `HeartbeatTimeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
}

/// A group waits for a hook no longer than that, however often it hears of it: the lesser of 48 hours and a hundred
/// times its patience (Auto Scaling user guide, lifecycle hooks).
pub fn hook_ends(patience: Duration) -> Duration {
    patience.saturating_mul(100).min(Duration::from_secs(48 * 3600))
}

impl Hook {
    /// The hook that an event's `cloud` names. Instance metadata names none.
    pub fn of(cloud: &BTreeMap<String, String>) -> Option<Hook> {
        let fact = |name: &str| cloud.get(name).cloned();
        Some(Hook {
            group: fact("group")?,
            name: fact("hook")?,
            instance: fact("instance")?,
            token: fact("token").unwrap_or_default(),
            patience: fact("patience").and_then(|seconds| seconds.parse().ok()),
        })
    }

    /// When the group hears next that its action goes on: well before it stops waiting.
    pub fn beat(&self) -> Duration {
        /// Where the patience is not known. A group waits for at least 30 s.
        const UNKNOWN: Duration = Duration::from_secs(15);
        self.patience.map_or(UNKNOWN, |seconds| Duration::from_secs((seconds / 3).max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_named_by_its_queue_and_not_by_metadata() {
        let mut cloud: BTreeMap<String, String> =
            [("group", "g"), ("hook", "h"), ("instance", "i-1")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
        let hook = Hook::of(&cloud).unwrap();
        assert_eq!((hook.token.as_str(), hook.beat().as_secs()), ("", 15));
        cloud.insert("patience".into(), "300".into());
        assert_eq!(Hook::of(&cloud).unwrap().beat().as_secs(), 100);
        cloud.remove("hook");
        assert_eq!(Hook::of(&cloud), None);
        assert_eq!(hook_ends(Duration::from_secs(30)).as_secs(), 3000);
        assert_eq!(hook_ends(Duration::from_secs(3600)).as_secs(), 172_800);
    }
}
