//! The agent's road to the daemon over HTTP.

use crate::agent::{News, Outlet, Passed};
use crate::model::{Secret, chain};
use std::time::Duration;

/// The daemon answers once its log has the event.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct ToDaemon {
    client: reqwest::Client,
    url: String,
    token: Option<Secret>,
}

impl ToDaemon {
    /// `url`: where the daemon listens, without a path.
    pub fn new(client: reqwest::Client, url: &str, token: Option<Secret>) -> ToDaemon {
        let url = format!("{}/api/v1/events", url.trim_end_matches('/'));
        ToDaemon { client, url, token }
    }
}

impl Outlet for ToDaemon {
    async fn pass(&self, news: &News) -> Passed {
        let mut request = self
            .client
            .post(&self.url)
            .timeout(TIMEOUT)
            .header("Content-Type", "application/cloudevents+json")
            .body(news.event.to_string());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        match request.send().await {
            Ok(response) => match response.status().as_u16() {
                200..=299 => Passed::Accepted,
                // It says so of the event itself: nothing changes by telling it again.
                status @ (400 | 413 | 422) => {
                    let body = response.text().await.unwrap_or_default();
                    let why: String = body.chars().filter(|c| !c.is_control()).take(300).collect();
                    Passed::Refused(format!("the daemon answered {status}: {why}"))
                }
                401 | 403 => {
                    Passed::Later("the daemon does not let us in: check --token-file".into())
                }
                status => Passed::Later(format!("the daemon answered {status}")),
            },
            Err(error) => Passed::Later(chain(&error.without_url())),
        }
    }
}
