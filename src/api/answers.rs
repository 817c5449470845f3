//! People answer: by the API, and by Slack's buttons, which are known by their signature.

use super::auth::Certified;
use super::operate;
use super::routes::{Here, Readiness, Shared, problem, unavailable};
use crate::clock::Clock;
use crate::cluster::ClusterView;
use crate::log::{Kv, Log};
use crate::model::{Envelope, Event, Id, IncidentState, Pager, Secret, Span, kind, unescape};
use axum::{
    Extension, Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::Duration;

/// Nobody is put off for longer.
const LONGEST_SNOOZE: Duration = Duration::from_secs(7 * 86_400);
/// A button's answer that is older is somebody's who has recorded it. Source: Slack, verifying requests.
const REPLAY: i64 = 300;
/// What Slack's button puts off.
const SNOOZED: Span = Span::seconds(3600);

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Answer {
    by: Option<String>,
    #[serde(default)]
    note: String,
    /// Of `snooze`: how long.
    #[serde(default, rename = "for")]
    lasts: Option<Span>,
}

impl Answer {
    /// An empty body says nothing more.
    fn read(raw: &[u8]) -> Result<Answer, String> {
        if raw.is_empty() {
            return Ok(Answer::default());
        }
        serde_json::from_slice(raw).map_err(|error| format!("expected {{by, note}}: {error}"))
    }
}

/// Until when an answer holds, where it says so.
fn until(
    verb: &str,
    lasts: Option<Span>,
    now: Timestamp,
) -> Result<Option<Timestamp>, &'static str> {
    match (verb, lasts) {
        ("snooze", Some(lasts)) if !lasts.0.is_zero() && lasts.0 <= LONGEST_SNOOZE => {
            Ok(now.checked_add(lasts.0).ok())
        }
        ("snooze", _) => Err("for how long? `for` is from 1m to 7d"),
        _ => Ok(None),
    }
}

pub(super) async fn request<L, C, V, R>(
    State(shared): Here<L, C, V, R>,
    Path((id, verb)): Path<(String, String)>,
    certified: Option<Extension<Certified>>,
    raw: axum::body::Bytes,
) -> Response
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    R: Readiness,
{
    let answer = match Answer::read(&raw) {
        Ok(answer) => answer,
        Err(why) => return problem(StatusCode::BAD_REQUEST, &why),
    };
    let certified = certified.is_some_and(|Extension(certified)| certified.0);
    let how = if certified { "certificate" } else { "http" };
    answered(&shared, &id, &verb, answer, how).await
}

/// Records what somebody answered about an incident.
async fn answered<L, C, V, R>(
    shared: &Shared<L, C, V, R>,
    id: &str,
    verb: &str,
    answer: Answer,
    how: &str,
) -> Response
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    R: Readiness,
{
    let kind = match verb {
        "ack" | "snooze" => kind::INCIDENT_ACK,
        "resolve" => kind::INCIDENT_RESOLVE,
        _ => {
            let why = "an incident is answered by ack, snooze or resolve";
            return problem(StatusCode::NOT_FOUND, why);
        }
    };
    let site = &shared.site;
    let incident = match crate::engine::run::find(&site.intake.log, id).await {
        Ok(Some(incident)) if incident.state != IncidentState::Resolved => incident,
        Ok(Some(_)) => {
            return problem(StatusCode::CONFLICT, &format!("`{id}` is resolved already"));
        }
        Ok(None) => return problem(StatusCode::NOT_FOUND, &format!("there is no incident `{id}`")),
        Err(error) => return unavailable(&error),
    };
    let by = operate::clean(answer.by.as_deref().unwrap_or("somebody"));
    let now = site.intake.clock.now();
    let until = match until(verb, answer.lasts, now) {
        Ok(until) => until,
        Err(why) => return problem(StatusCode::BAD_REQUEST, why),
    };
    let mut payload =
        json!({ "incident": id, "by": by, "note": operate::clean(&answer.note), "how": how });
    if let Some(until) = until {
        payload["until"] = json!(until);
    }
    let about = Id::of(&["request", id, verb, &by, &now.to_string()]);
    let data = Event { payload, ..Event::default() };
    let event = Envelope::new(kind, about, "medevac/api", incident.target, now, data);
    match site.intake.own(vec![event]).await {
        Ok(_) => (StatusCode::ACCEPTED, Json(json!({ "incident": id, "accepted": verb })))
            .into_response(),
        Err(error) => unavailable(&error),
    }
}

/// Slack's interactivity. Who presses a button is believed because Slack has signed it: no other token is asked for.
pub(super) async fn slack<L, C, V, R>(
    State(shared): Here<L, C, V, R>,
    headers: HeaderMap,
    raw: axum::body::Bytes,
) -> Response
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    R: Readiness,
{
    let now = shared.site.intake.clock.now();
    let signed = {
        let rules = shared.site.rules.borrow();
        let mut secrets = rules.directory.contacts.values().filter_map(|it| match &it.pager {
            Pager::Slack { signing: Some(secret), .. } => Some(secret),
            _ => None,
        });
        secrets.any(|secret| genuine(secret, &headers, &raw, now))
    };
    if !signed {
        return problem(StatusCode::UNAUTHORIZED, "not signed by a Slack app of a contact here");
    }
    let Some((verb, id, by)) = pressed(&raw) else {
        return problem(StatusCode::BAD_REQUEST, "expected one pressed button of ours");
    };
    let lasts = (verb == "snooze").then_some(SNOOZED);
    let answer = Answer { by: Some(by), note: "by Slack".into(), lasts };
    // Slack shows a person whatever is no 200.
    match answered(&shared, &id, &verb, answer, "slack").await {
        response if response.status() == StatusCode::ACCEPTED => StatusCode::OK.into_response(),
        response => response,
    }
}

/// `v0=` and the HMAC-SHA256 of `v0:SECONDS:BODY`, compared in constant time.
fn genuine(secret: &Secret, headers: &HeaderMap, raw: &[u8], now: Timestamp) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(at), Some(shown)) = (text("x-slack-request-timestamp"), text("x-slack-signature"))
    else {
        return false;
    };
    let fresh = at.parse::<i64>().is_ok_and(|at| now.as_second().abs_diff(at) <= REPLAY as u64);
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
        return false;
    };
    mac.update(format!("v0:{at}:").as_bytes());
    mac.update(raw);
    let Some(code) = shown.strip_prefix("v0=").and_then(bytes) else { return false };
    fresh && mac.verify_slice(&code).is_ok()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if !hex.len().is_multiple_of(2) || !hex.is_ascii() {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}

/// Verb, incident and who.
fn pressed(raw: &[u8]) -> Option<(String, String, String)> {
    let body = std::str::from_utf8(raw).ok()?;
    let field = body.split('&').find_map(|pair| pair.strip_prefix("payload="))?;
    let payload: Value = serde_json::from_str(&unescape(&field.replace('+', " "), '%')?).ok()?;
    let text = |pointer: &str| Some(payload.pointer(pointer)?.as_str()?.to_owned());
    let by = text("/user/username").or_else(|| text("/user/name")).or_else(|| text("/user/id"))?;
    Some((text("/actions/0/action_id")?, text("/actions/0/value")?, format!("slack:{by}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::escape;

    #[test]
    fn only_what_slack_has_signed_lately_is_heard() {
        let secret = Secret::new("8f742231b10e8888abcd99yyyzzz85a5");
        // The example of Slack's own documentation.
        let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let code = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
        let headers = |at: &str, code: &str| {
            HeaderMap::from_iter([
                ("x-slack-request-timestamp".parse().unwrap(), at.parse().unwrap()),
                ("x-slack-signature".parse().unwrap(), code.parse().unwrap()),
            ])
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        let is = |at_: &str, code: &str, body: &str, now| {
            genuine(&secret, &headers(at_, code), body.as_bytes(), at(now))
        };
        assert!(is("1531420618", code, body, 1_531_420_700));
        assert!(
            !is("1531420618", code, body, 1_531_420_618 + 301),
            "it is recorded and sent again"
        );
        assert!(!is("1531420618", code, &body.replace("foobar", "foobaz"), 1_531_420_700));
        assert!(!is("1531420619", code, body, 1_531_420_700));
        assert!(
            !is("1531420618", "v0=zz", body, 1_531_420_700)
                && !is("1531420618", "", body, 1_531_420_700)
        );
    }

    #[test]
    fn a_button_says_what_about_which_incident_and_who_pressed_it() {
        let payload = json!({ "user": { "id": "U1", "username": "ann b" }, "actions": [{ "action_id": "ack", "value": "inc-1" }] });
        let body = format!("payload={}", escape(&payload.to_string(), '%', "-_."));
        let wanted = ("ack".to_owned(), "inc-1".to_owned(), "slack:ann b".to_owned());
        assert_eq!(pressed(body.as_bytes()), Some(wanted));
        for bad in ["", "payload=", "payload=%7B%7D", "payload=%zz", "other=1"] {
            assert_eq!(pressed(bad.as_bytes()), None, "{bad}");
        }
    }
}
