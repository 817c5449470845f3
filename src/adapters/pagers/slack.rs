//! Slack chat.postMessage. A 200 with `"ok": false` is a failure. Outside text is escaped: it cannot mention anybody.

use super::{ask, cut};
use crate::model::{Delivery, PageKey, PageKind, Report, Secret, escape_markup};
use serde_json::{Value, json};

/// An app in a workspace, and where it speaks.
pub(super) struct Road<'a> {
    pub(super) url: &'a str,
    pub(super) token: &'a Secret,
    pub(super) channel: &'a str,
    /// What its buttons send is heard.
    pub(super) buttons: bool,
}

impl Road<'_> {
    pub(super) async fn send(
        &self,
        client: &reqwest::Client,
        key: &PageKey,
        report: &Report,
    ) -> Delivery {
        let body = self.message(key, report);
        match ask(client.post(self.url).bearer_auth(self.token.expose()).json(&body)).await {
            Ok((status, after, body)) => judge(status, after, &body),
            Err(lost) => lost,
        }
    }

    fn message(&self, key: &PageKey, report: &Report) -> Value {
        let word = match key.kind {
            PageKind::Trigger => format!("L{}", report.level),
            PageKind::Resolve => "Resolved".into(),
            PageKind::Note => "Note".into(),
        };
        let header = cut(&escape_markup(&format!("{word}: {}", cut(&report.title, 120))), 150);
        let mut blocks =
            vec![json!({ "type": "header", "text": { "type": "plain_text", "text": header } })];
        let mut section = |text: String| {
            let text = json!({ "type": "mrkdwn", "text": cut(&text, 2900) });
            blocks.push(json!({ "type": "section", "text": text }));
        };
        section(format!("*{}*\n{}", escape_markup(&report.target), escape_markup(&report.why)));
        for (name, text) in report.evidence.iter().take(10) {
            section(format!("*{}*\n{}", escape_markup(name), escape_markup(&cut(text, 1000))));
        }
        for (name, why) in report.missing.iter().take(10) {
            section(format!("_{} is missing: {}_", escape_markup(name), escape_markup(why)));
        }
        if self.buttons && key.kind == PageKind::Trigger {
            let button = |verb: &str, text: &str| json!({ "type": "button", "action_id": verb, "value": report.incident, "text": { "type": "plain_text", "text": text } });
            let all =
                [("ack", "Acknowledge"), ("snooze", "Snooze for an hour"), ("resolve", "Resolve")];
            let all: Vec<Value> = all.iter().map(|(verb, text)| button(verb, text)).collect();
            blocks.push(json!({ "type": "actions", "block_id": report.incident, "elements": all }));
        }
        let text = escape_markup(&format!("{word} {} on {}", report.title, report.target));
        let mut body = json!({ "channel": self.channel, "text": text, "blocks": blocks });
        // `CHANNEL:TS`, as `judge` has it: what follows stands in the first page's thread.
        if let Some((_, first)) = report.thread.as_ref().and_then(|it| it.split_once(':')) {
            body["thread_ts"] = json!(first);
        }
        body
    }
}

fn judge(status: u16, after: Option<u32>, body: &str) -> Delivery {
    if status == 429 || status >= 500 {
        return Delivery::Retry { after, why: format!("answered {status}") };
    }
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    if answer["ok"] == true {
        let reference = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        return Delivery::Accepted(format!("{}:{}", reference("channel"), reference("ts")));
    }
    match answer["error"].as_str() {
        Some(why @ ("ratelimited" | "fatal_error" | "internal_error" | "service_unavailable")) => {
            Delivery::Retry { after, why: why.into() }
        }
        Some(why) => Delivery::Refused(cut(why, 100)),
        None => Delivery::Refused(format!("answered {status} without an answer that can be read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ok_false_is_a_failure_and_a_label_cannot_call_the_channel() {
        assert_eq!(
            judge(200, None, r#"{"ok":false,"error":"not_in_channel"}"#),
            Delivery::Refused("not_in_channel".into())
        );
        assert!(matches!(judge(429, Some(7), ""), Delivery::Retry { after: Some(7), .. }));
        assert_eq!(
            judge(200, None, r#"{"ok":true,"channel":"C1","ts":"1.2"}"#),
            Delivery::Accepted("C1:1.2".into())
        );
        assert_eq!(escape_markup("<!channel> & co"), "&lt;!channel&gt; &amp; co");
    }
}
