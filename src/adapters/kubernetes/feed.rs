//! What becomes of objects, one after the other: listed where nothing else is known, then watched; a watch that breaks off
//! goes on where it was, and one that the server has forgotten (410) begins with a list.

use super::answer::missing;
use super::objects::named;
use crate::cluster::{Followed, Heard};
use futures_util::TryStreamExt;
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams, WatchEvent, WatchParams},
};
use std::time::Duration;
use tokio::sync::mpsc;

/// Objects on one page of a list.
const PAGE: u32 = 500;
/// What waits to be taken; then the server waits.
const WAITING: usize = 1024;
/// Shorter than the five minutes after which servers and proxies end a watch by themselves.
const WATCHED: u32 = 280;
const AGAIN: Duration = Duration::from_millis(500);
const AGAIN_MOST: Duration = Duration::from_secs(30);
/// After so many failures in a row everything is listed.
const HOPELESS: u32 = 6;

/// Follows until nobody listens.
pub(super) fn follow(
    client: &Client,
    what: Followed,
    from: Option<String>,
) -> mpsc::Receiver<Heard> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let api = named(client, names(&what), None);
    let only = matches!(what, Followed::Events { all: false }).then_some("type!=Normal");
    let feed = Feed { api, name: what.name(), only, sender };
    tokio::spawn(feed.run(from));
    receiver
}

fn names(what: &Followed) -> [&str; 3] {
    match what {
        Followed::Events { .. } => ["v1", "Event", "events"],
        Followed::Nodes => ["v1", "Node", "nodes"],
        Followed::Pods => ["v1", "Pod", "pods"],
        Followed::Objects(of) => [&of.api_version, &of.kind, &of.plural],
    }
}

struct Feed {
    api: Api<DynamicObject>,
    name: String,
    only: Option<&'static str>,
    sender: mpsc::Sender<Heard>,
}

/// Why a list or a watch has come to its end.
enum End {
    /// Nobody listens any more.
    Unheard,
    /// The server does not remember that version.
    Forgotten,
    Failed(kube::Error),
    /// The server has ended it in good order.
    Over,
}

impl From<kube::Error> for End {
    fn from(error: kube::Error) -> End {
        match error {
            kube::Error::Api(status)
                if status.code == 410 || status.message.contains("Too large resource version") =>
            {
                End::Forgotten
            }
            other => End::Failed(other),
        }
    }
}

impl Feed {
    async fn run(self, from: Option<String>) {
        let (mut version, mut failures) = (from, 0_u32);
        loop {
            let before = version.clone();
            let end = match &mut version {
                Some(version) => self.watch(version).await,
                none => match self.list().await {
                    Ok(listed) => {
                        *none = Some(listed);
                        End::Over
                    }
                    Err(end) => end,
                },
            };
            match end {
                _ if self.sender.is_closed() => return,
                End::Unheard => return,
                End::Forgotten => {
                    tracing::info!(
                        feed = self.name,
                        "the server has forgotten where the watch was; everything is listed"
                    );
                    version = None;
                    self.pause(AGAIN).await;
                }
                // A server that ends each watch at once is not asked without a pause.
                End::Over if version == before => self.pause(AGAIN).await,
                End::Over => failures = 0,
                End::Failed(error) => {
                    let why = missing(&error);
                    if failures == 0 || version != before {
                        tracing::warn!(feed = self.name, why, "it is taken up again");
                    }
                    failures = if version == before { failures.saturating_add(1) } else { 1 };
                    // It may be the version that the server cannot make anything of.
                    if failures >= HOPELESS {
                        version = None;
                    }
                    self.pause(AGAIN.saturating_mul(1 << failures.min(6)).min(AGAIN_MOST)).await;
                }
            }
        }
    }

    /// Whoever does not listen any more is not waited for.
    #[expect(
        clippy::disallowed_methods,
        reason = "a pause of the adapter's own: no decision waits on it"
    )]
    async fn pause(&self, time: Duration) {
        tokio::select! {
            biased;
            () = self.sender.closed() => {}
            () = tokio::time::sleep(time) => {}
        }
    }

    async fn tell(&self, heard: Heard) -> Result<(), End> {
        self.sender.send(heard).await.map_err(|_| End::Unheard)
    }

    /// Everything that is there: as of which version.
    async fn list(&self) -> Result<String, End> {
        let mut params = ListParams { limit: Some(PAGE), ..ListParams::default() };
        if let Some(only) = self.only {
            params = params.fields(only);
        }
        loop {
            let page = self.api.list(&params).await?;
            for object in &page.items {
                let object = Box::new(serde_json::to_value(object).unwrap_or_default());
                self.tell(Heard::Object { object, listed: true }).await?;
            }
            match page.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => params.continue_token = Some(next),
                None => {
                    let version = page.metadata.resource_version.unwrap_or_default();
                    self.tell(Heard::Listed(version.clone())).await?;
                    return Ok(version);
                }
            }
        }
    }

    async fn watch(&self, version: &mut String) -> End {
        self.watched(version).await.err().unwrap_or(End::Over)
    }

    async fn watched(&self, version: &mut String) -> Result<(), End> {
        let mut params = WatchParams::default().timeout(WATCHED);
        if let Some(only) = self.only {
            params = params.fields(only);
        }
        let events = tokio::select! {
            biased;
            () = self.sender.closed() => return Err(End::Unheard),
            events = self.api.watch(&params, version) => events?,
        };
        let mut events = std::pin::pin!(events);
        loop {
            let event = tokio::select! {
                biased;
                () = self.sender.closed() => return Err(End::Unheard),
                event = events.try_next() => event?,
            };
            match event {
                None => return Ok(()),
                Some(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                    let newest = object.resource_version();
                    let object = Box::new(serde_json::to_value(&object).unwrap_or_default());
                    self.tell(Heard::Object { object, listed: false }).await?;
                    version.clone_from(&newest.unwrap_or_default());
                }
                Some(WatchEvent::Deleted(object)) => {
                    version.clone_from(&object.resource_version().unwrap_or_default());
                    let object = Box::new(serde_json::to_value(&object).unwrap_or_default());
                    self.tell(Heard::Gone { object }).await?;
                }
                Some(WatchEvent::Bookmark(bookmark)) => {
                    version.clone_from(&bookmark.metadata.resource_version);
                    self.tell(Heard::Version(version.clone())).await?;
                }
                Some(WatchEvent::Error(status)) => return Err(kube::Error::Api(status).into()),
            }
        }
    }
}
