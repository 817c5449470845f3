//! The instance metadata service over HTTP, version 2 only.

use super::body::body;
use crate::agent::{Ask, Metadata, Reply};
use crate::model::chain;
use std::time::Duration;

/// The service answers within milliseconds, where it answers.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of an answer. What is longer is none of ours.
const LONGEST: usize = 256 << 10;

#[derive(Clone)]
pub struct Imds {
    client: reqwest::Client,
    base: String,
}

impl Imds {
    /// `base`: `http://169.254.169.254`, or `http://[fd00:ec2::254]` where IPv6 is all there is.
    pub fn new(client: reqwest::Client, base: &str) -> Imds {
        Imds { client, base: base.trim_end_matches('/').to_owned() }
    }
}

impl Metadata for Imds {
    async fn ask(&self, ask: &Ask) -> Reply {
        let request = match ask {
            Ask::Token(lives) => self
                .client
                .put(format!("{}/latest/api/token", self.base))
                .header("X-aws-ec2-metadata-token-ttl-seconds", *lives),
            Ask::Item { item, token } => self
                .client
                .get(format!("{}{}", self.base, item.path()))
                .header("X-aws-ec2-metadata-token", token),
        };
        match request.timeout(TIMEOUT).send().await {
            Ok(response) => read(response).await,
            Err(error) if error.is_timeout() => Reply::Silent("no answer within 2 s".into()),
            Err(error) => Reply::Silent(chain(&error.without_url())),
        }
    }
}

async fn read(response: reqwest::Response) -> Reply {
    let number = |name: &str| response.headers().get(name)?.to_str().ok()?.parse().ok();
    let lives = number("x-aws-ec2-metadata-token-ttl-seconds");
    let retry_after = number("retry-after");
    let status = response.status().as_u16();
    match body(response, LONGEST).await {
        Ok(bytes) => {
            let body = String::from_utf8_lossy(&bytes).into_owned();
            Reply::Answer { status, body, lives, retry_after }
        }
        Err(why) => Reply::Silent(why),
    }
}
