//! `http` steps: calls to hosts that the configuration lists, and to no other.

use crate::model::{Answer, Refusal};
use crate::remediation::{Web, WebCall};
use std::{collections::BTreeSet, sync::Arc};

#[derive(Clone)]
pub struct WebClient {
    client: reqwest::Client,
    hosts: Arc<BTreeSet<String>>,
}

impl WebClient {
    /// `hosts`: names or addresses, with a port where it is not the scheme's own.
    pub fn new(client: reqwest::Client, hosts: BTreeSet<String>) -> WebClient {
        WebClient { client, hosts: Arc::new(hosts) }
    }
}

/// Sixteen ids of ours, and some room.
const LONGEST_CAUSE: usize = 1024;

impl Web for WebClient {
    async fn call(&self, call: WebCall) -> Answer {
        let refused = |why: String| Answer::Refused(Refusal::Invalid(why));
        let url: reqwest::Url = match call.url.parse() {
            Ok(url) => url,
            Err(error) => return refused(format!("the URL cannot be used: {error}")),
        };
        let name = url.host_str().unwrap_or_default().to_owned();
        let host = url.port().map_or(name.clone(), |port| format!("{name}:{port}"));
        if !self.hosts.contains(&host) {
            return refused(format!(
                "`{host}` is not among the hosts that `http` steps may call; add --http-host {host}"
            ));
        }
        let Ok(method) = call.method.parse() else {
            return refused(format!("no method `{}`", call.method));
        };
        // Part of the chain may be a stranger's: what is no header is not sent as one.
        let printable = call.cause.len() <= LONGEST_CAUSE
            && call.cause.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        let cause = if printable { call.cause.as_str() } else { "" };
        let request = self
            .client
            .request(method, url)
            .timeout(call.timeout)
            .header("Idempotency-Key", &call.key)
            .header("ce-cause", cause)
            .header("Content-Type", "application/json")
            .body(call.body);
        match request.send().await.map(|response| response.status().as_u16()) {
            Ok(200..=299) => Answer::Done,
            Ok(status @ (408 | 425 | 429 | 500..)) => Answer::Refused(Refusal::Busy {
                retry_after: None,
                message: format!("{host} answered {status}"),
            }),
            Ok(status) => refused(format!("{host} answered {status}")),
            Err(error) if error.is_builder() => refused(error.without_url().to_string()),
            Err(error) if error.is_connect() => {
                let message = format!("{host} cannot be reached");
                Answer::Refused(Refusal::Busy { retry_after: None, message })
            }
            Err(error) => Answer::Unknown(error.without_url().to_string()),
        }
    }
}
