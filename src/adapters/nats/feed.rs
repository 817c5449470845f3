//! The agents' road to the daemons over NATS: a stream of its own, from which every replica reads.

use super::link::{ConnectError, Link};
use super::options::Options;
use super::publish::{self, Message, Trouble, patiently};
use crate::agent::{News, Outlet, Passed};
use crate::clock::Clock;
use async_nats::HeaderMap;

/// What agents publish under, each with its machine's name.
pub const FEED_SUBJECT: &str = "medevac-feed";
/// The stream that keeps it until a daemon has it.
pub const FEED_STREAM: &str = "MEDEVAC_FEED";

#[derive(Clone)]
pub struct Feed {
    link: Link,
}

impl Feed {
    /// Connects. The stream is made by the daemon: until then nothing is accepted.
    ///
    /// # Errors
    /// Where no server can be reached, or it is too old.
    pub async fn connect(options: &Options, clock: impl Clock) -> Result<Feed, ConnectError> {
        Ok(Feed { link: Link::make(options, clock).await? })
    }
}

impl Outlet for Feed {
    async fn pass(&self, news: &News) -> Passed {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("{}/{}", news.instance, news.id));
        headers.insert("content-type", "application/cloudevents+json");
        let message = Message {
            subject: format!("{FEED_SUBJECT}.{}", news.instance),
            headers,
            body: news.event.to_string().into_bytes(),
        };
        let message = &message;
        match patiently(|| publish::one(&self.link, message)).await {
            Ok(_) => Passed::Accepted,
            Err(Trouble::TooLarge(size)) => Passed::Refused(format!("{size} bytes are too many")),
            Err(trouble) => Passed::Later(trouble.told().to_string()),
        }
    }
}
