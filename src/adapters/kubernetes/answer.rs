//! What the API server said, as a fact that a step can act on.

use crate::model::{Answer, Refusal, chain};
use kube::core::Status;
use kube::runtime::watcher;

pub(super) fn answer<T>(result: Result<T, kube::Error>) -> Answer {
    match result {
        Ok(_) => Answer::Done,
        Err(kube::Error::Api(status)) => Answer::Refused(refusal(&status)),
        // Nothing of ours says whether the request had left: it is probed or repeated with its precondition.
        Err(error) => Answer::Unknown(chain(&error)),
    }
}

fn refusal(status: &Status) -> Refusal {
    let message = status.message.clone();
    let details = status.details.as_ref();
    let after = details.map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0);
    let budget = details.is_some_and(|details| {
        details.causes.iter().any(|cause| cause.reason == "DisruptionBudget")
    });
    match status.code {
        404 => Refusal::Gone,
        409 if message.contains("UID in the precondition") => Refusal::Changed(message),
        409 => Refusal::Busy { retry_after: None, message },
        429 if budget || message.contains("disruption budget") => {
            let cause = details
                .and_then(|details| details.causes.first())
                .map(|cause| cause.message.clone());
            Refusal::Budget { retry_after: after, message: cause.unwrap_or(message) }
        }
        403 if message.contains("because it is being terminated") => Refusal::NamespaceEnding,
        403 if message.contains(" cannot ") => Refusal::Forbidden(missing_right(&message)),
        403 => Refusal::Admission(message),
        500 if message.contains("more than one PodDisruptionBudget") => {
            Refusal::TwoBudgets(message)
        }
        400 if message.contains("admission webhook") => Refusal::Admission(message),
        401 => Refusal::Forbidden(
            "the credentials are not accepted: renew the token or the certificate".into(),
        ),
        429 | 500.. => Refusal::Busy { retry_after: after, message },
        _ => Refusal::Invalid(message),
    }
}

/// `User "x" cannot create resource "pods/eviction" in API group "" …` in words that say what to do.
fn missing_right(message: &str) -> String {
    let quoted = |after: &str| message.split(after).nth(1)?.split('"').nth(1).map(str::to_owned);
    let verb = message.split(" cannot ").nth(1).and_then(|rest| rest.split(' ').next());
    let (Some(verb), Some(resource)) = (verb, quoted(" resource ")) else {
        return message.to_owned();
    };
    let who = quoted("User ").unwrap_or_else(|| "this account".into());
    let group = quoted("API group ").filter(|group| !group.is_empty());
    let group = group.map(|group| format!(" of the API group {group}")).unwrap_or_default();
    let place = quoted("in the namespace ")
        .map(|name| format!(" in the namespace {name}"))
        .unwrap_or_default();
    format!("the right `{verb}` on `{resource}`{group} is missing{place}: grant it to {who}")
}

/// What went wrong with a question, in words: a right that is missing by its name.
pub(super) fn missing(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => missing_right(&status.message),
        kube::Error::Api(status) if status.code == 401 => "the credentials are not accepted".into(),
        other => chain(other),
    }
}

pub(super) fn watch_error(kind: &str, error: &watcher::Error) -> String {
    let source = match error {
        watcher::Error::InitialListFailed(source)
        | watcher::Error::WatchStartFailed(source)
        | watcher::Error::WatchFailed(source) => source,
        watcher::Error::WatchError(status) => return status.message.clone(),
        watcher::Error::NoResourceVersion => return format!("{kind} cannot be watched"),
    };
    missing(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Real answers of a real API server, captured.
    fn captured(file: &str) -> Refusal {
        let path = format!("{}/tests/corpus/kubernetes/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let body = &text[text.find('{').unwrap()..];
        refusal(&serde_json::from_str(body).unwrap())
    }

    #[test]
    fn every_captured_refusal_is_understood() {
        assert!(matches!(
            captured("evict-429-pdb.http"),
            Refusal::Budget { retry_after: None, .. }
        ));
        assert!(matches!(
            captured("evict-429-retry-after.http"),
            Refusal::Budget { retry_after: Some(10), .. }
        ));
        assert!(matches!(captured("evict-500-two-pdbs.http"), Refusal::TwoBudgets(_)));
        assert_eq!(captured("evict-404.http"), Refusal::Gone);
        assert!(matches!(captured("evict-409-uid.http"), Refusal::Changed(_)));
        assert!(matches!(captured("401.http"), Refusal::Forbidden(_)));
        let Refusal::Forbidden(why) = captured("evict-403.http") else { panic!() };
        assert_eq!(
            why,
            "the right `create` on `pods/eviction` is missing in the namespace default: grant it to daemon"
        );
    }
}
