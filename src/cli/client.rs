//! How the operating commands reach the daemon.

use super::{Exit, words};
use serde_json::Value;
use std::{path::PathBuf, time::Duration};

#[derive(Debug, clap::Args)]
pub(super) struct Daemon {
    /// Where the daemon listens.
    #[arg(long, env = "MEDEVAC_URL", default_value = "http://127.0.0.1:9095", global = true)]
    url: String,
    /// File with a bearer token.
    #[arg(long, env = "MEDEVAC_TOKEN_FILE", value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
}

/// The daemon's answer: status and body.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    /// The body where the answer is yes; what was said where it is no.
    pub(super) fn good(self) -> Result<Value, Exit> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let why = self.body["error"].as_str().map_or_else(|| self.body.to_string(), str::to_owned);
        words::complain(&format!("the daemon answered {}: {}", self.status, words::plain(&why)));
        Err(Exit::No)
    }
}

/// The one HTTP client of this process.
pub(super) fn http() -> Result<reqwest::Client, Exit> {
    // Twice is once: the second call finds the provider of the first.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::trace!("the TLS provider is installed already");
    }
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| Exit::from_error(&error))
}

impl Daemon {
    pub(super) async fn get(&self, path: &str) -> Result<Answer, Exit> {
        let client = http()?;
        self.send(client.get(format!("{}{path}", self.url.trim_end_matches('/')))).await
    }

    pub(super) async fn post(
        &self,
        path: &str,
        content: &str,
        body: Vec<u8>,
    ) -> Result<Answer, Exit> {
        let client = http()?;
        let request = client.post(format!("{}{path}", self.url.trim_end_matches('/')));
        self.send(request.header("Content-Type", content).body(body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Answer, Exit> {
        let client = http()?;
        self.send(client.delete(format!("{}{path}", self.url.trim_end_matches('/')))).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, Exit> {
        let request = match &self.token_file {
            Some(path) => match std::fs::read_to_string(path) {
                // The daemon takes several; whoever calls has one.
                Ok(tokens) => {
                    request.bearer_auth(tokens.trim().lines().next().unwrap_or_default().trim())
                }
                Err(error) => {
                    return Err(Exit::Usage(format!("cannot read {}: {error}", path.display())));
                }
            },
            None => request,
        };
        let response = request.timeout(Duration::from_secs(30)).send().await.map_err(|error| {
            let why = crate::model::chain(&error.without_url());
            Exit::Failed(format!(
                "no daemon answers at {}: {why}; is it running? Give --url",
                self.url
            ))
        })?;
        let status = response.status().as_u16();
        let text = response.text().await.map_err(|error| Exit::from_error(&error))?;
        Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }
}
