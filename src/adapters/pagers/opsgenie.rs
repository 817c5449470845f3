//! Opsgenie's Alert API v2. It answers 202 before it has done anything: what became of a request is asked for. Limits:
//! message 130 characters, description 15,000, alias 512. It ends on 2027-04-05.

use super::{ask, cut, page_key, plain, usual};
use crate::clock::Clock;
use crate::model::{Delivery, PageKey, PageKind, Report, Secret, Severity, escape};
use serde_json::{Value, json};
use std::time::Duration;

/// A request is done within a second or two. So often, and so far apart, it is asked for.
const LOOKS: u32 = 6;
const APART: Duration = Duration::from_millis(500);

pub(super) struct Road<'a> {
    pub(super) client: &'a reqwest::Client,
    pub(super) url: &'a str,
    pub(super) api_key: &'a Secret,
    pub(super) responders: &'a [String],
}

impl Road<'_> {
    pub(super) async fn send(
        &self,
        clock: &impl Clock,
        key: &PageKey,
        report: &Report,
    ) -> Delivery {
        let alias = page_key(key);
        let (path, body) = match key.kind {
            PageKind::Resolve => {
                let path = format!("/{}/close?identifierType=alias", escape(&alias, '%', "-_."));
                (path, json!({ "source": "medevac", "note": cut(&report.why, 15_000) }))
            }
            PageKind::Trigger | PageKind::Note => (String::new(), self.alert(&alias, key, report)),
        };
        let request = self.authorized(self.client.post(self.path(&path))).json(&body);
        let (status, after, answer) = match ask(request).await {
            Ok(answered) => answered,
            Err(lost) => return lost,
        };
        let taken: Value = serde_json::from_str(&answer).unwrap_or_default();
        match (usual(status, after, &answer), taken["requestId"].as_str()) {
            (Delivery::Accepted(_), Some(request)) => self.became(clock, request, key.kind).await,
            (Delivery::Accepted(_), None) => Delivery::Refused(format!(
                "answered {status} and no request: {}",
                cut(&answer, 100)
            )),
            (other, _) => other,
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("{}/v2/alerts{rest}", self.url.trim_end_matches('/'))
    }

    fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request.header("Authorization", format!("GenieKey {}", self.api_key.expose()))
    }

    fn alert(&self, alias: &str, key: &PageKey, report: &Report) -> Value {
        let priority = match (key.kind, report.severity) {
            (PageKind::Note, _) | (_, Severity::Info) => "P5",
            (_, Severity::Warning) => "P3",
            (_, Severity::Error) => "P2",
            (_, Severity::Critical) => "P1",
        };
        let team = |name: &String| json!({ "name": name, "type": "team" });
        let mut alert = json!({
            "message": cut(&format!("L{} {} on {}", report.level, report.title, report.target), 130),
            "alias": alias,
            "description": cut(&plain(report), 15_000),
            "entity": cut(&report.target, 512),
            "source": "medevac",
            "priority": priority,
            "tags": ["medevac", report.severity.word()],
            "details": { "incident": report.incident, "level": report.level.to_string(), "policy": report.policy },
        });
        if !self.responders.is_empty() {
            alert["responders"] = self.responders.iter().map(team).collect();
        }
        alert
    }

    /// 202 proves nothing: whether it was done is asked for.
    async fn became(&self, clock: &impl Clock, request: &str, kind: PageKind) -> Delivery {
        let path = self.path(&format!("/requests/{}", escape(request, '%', "-_.")));
        for _ in 0..LOOKS {
            clock.after(APART).await;
            let looked = ask(self.authorized(self.client.get(&path))).await;
            // Who may not look has to believe it.
            if let Ok((401 | 403, _, _)) = &looked {
                tracing::warn!(
                    "Opsgenie's key may not look at requests: what was taken is taken as done"
                );
                return Delivery::Accepted(request.into());
            }
            // Not known yet, or not now: it is asked for again.
            let Ok((200, _, answer)) = looked else { continue };
            let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
            let data = &answer["data"];
            let status = data["status"].as_str().unwrap_or_default();
            // What is closed already is closed.
            let gone = kind == PageKind::Resolve && status.contains("does not exist");
            match data["isSuccess"].as_bool().or_else(|| data["success"].as_bool()) {
                Some(true) => {
                    return Delivery::Accepted(data["alertId"].as_str().unwrap_or(request).into());
                }
                Some(false) if gone => return Delivery::Accepted("it was closed already".into()),
                Some(false) => return Delivery::Refused(cut(status, 200)),
                None => {}
            }
        }
        // The alias makes a second one the same.
        Delivery::Retry {
            after: None,
            why: "it was taken, and nobody says that it was done".into(),
        }
    }
}
