//! The shell: follows what the rules ask for, makes it durable, and only then says how far it is.

use super::told::{Mark, Told};
use super::{SOURCE, gone, happenings, text};
use crate::clock::Clock;
use crate::cluster::{ClusterView, Followed, Follows, Heard};
use crate::log::{self, Condition, Entry, Kv, Log, LogError, Stream, bucket::SNAPSHOTS};
use crate::model::{Envelope, Event, Id};
use crate::sources::enrich::enrich;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};

/// Made durable together.
const BATCH: usize = 256;
/// Before a full log is tried again, and before the caches are looked at again.
const AGAIN: Duration = Duration::from_secs(1);
/// A feed that hears nothing new says so this often: what the server forgets meanwhile is not missed.
const MARKED: Duration = Duration::from_secs(60);
/// It is written down no more often how far it is.
const SAVED: Duration = Duration::from_secs(10);
/// Records of the log that are read at once.
const PAGE: usize = 1000;

/// Runs until the log is gone.
///
/// # Errors
/// Where the log cannot be read or written any more.
pub async fn run<L: Log + Kv, C: Clock, V: ClusterView>(
    log: L,
    clock: C,
    view: V,
    cluster: Option<String>,
    mut follows: watch::Receiver<Arc<Follows>>,
) -> Result<(), LogError> {
    loop {
        let wanted = Arc::clone(&follows.borrow_and_update());
        let mut feeds = JoinSet::new();
        forget(&log, &wanted).await?;
        for what in wanted.feeds() {
            let feed = Feed {
                log: log.clone(),
                clock: clock.clone(),
                view: view.clone(),
                cluster: cluster.clone(),
                what,
            };
            feeds.spawn(feed.run());
        }
        loop {
            tokio::select! {
                biased;
                Ok(()) = follows.changed() => {
                    let same = *follows.borrow_and_update() == wanted;
                    if !same { break }
                }
                Some(ended) = feeds.join_next() => {
                    ended.map_err(|error| LogError::Unavailable(error.to_string()))??;
                }
                else => std::future::pending().await,
            }
        }
        feeds.shutdown().await;
    }
}

/// What nobody asks for any more begins anew, should somebody ask again.
async fn forget(log: &impl Kv, wanted: &Follows) -> Result<(), LogError> {
    let wanted: Vec<String> = wanted.feeds().iter().map(Followed::name).collect();
    let known = [Followed::Events { all: false }, Followed::Nodes, Followed::Pods];
    for name in known.iter().map(Followed::name).filter(|name| !wanted.contains(name)) {
        log.delete(SNAPSHOTS, &name, Condition::Always).await?;
    }
    Ok(())
}

struct Feed<L, C, V> {
    log: L,
    clock: C,
    view: V,
    cluster: Option<String>,
    what: Followed,
}

impl<L: Log + Kv, C: Clock, V: ClusterView> Feed<L, C, V> {
    async fn run(self) -> Result<(), LogError> {
        // Before the caches are complete nothing is known of what it is about.
        while !self.view.ready() {
            self.clock.after(AGAIN).await;
        }
        let name = self.what.name();
        let mark = log::snapshot::<Option<Mark>>(&self.log, &name).await?.state;
        let tail = match &mark {
            Some(mark) => self.tail(mark.seq).await?,
            None => BTreeSet::new(),
        };
        let from = mark.as_ref().map(|mark| mark.version.clone());
        let from = from.filter(|version| self.what.resumes() && !version.is_empty());
        let mut told = Told::new(&self.what, mark, tail);
        let mut heard = self.view.follow(self.what.clone(), from);
        let mut due = self.clock.now();
        loop {
            let mut some = vec![];
            let waited = tokio::select! {
                biased;
                count = heard.recv_many(&mut some, BATCH) => {
                    if count == 0 {
                        return Ok(());
                    }
                    false
                }
                () = self.clock.after(MARKED) => true,
            };
            self.take(&mut told, some).await?;
            if waited {
                told.settled();
            }
            let now = self.clock.now();
            // What is told between two marks is found in the log.
            if now >= due
                && let Some(mark) = told.mark(self.log.last())
            {
                log::save(&self.log, &name, mark.seq, &Some(mark)).await?;
                due = now.checked_add(SAVED).unwrap_or(now);
            }
        }
    }

    async fn take(&self, told: &mut Told, some: Vec<Heard>) -> Result<(), LogError> {
        let mut news = vec![];
        for heard in some {
            match heard {
                Heard::Object { object, listed } => {
                    let all = happenings(&self.what, &object);
                    news.extend(told.news(&object, all, listed));
                }
                Heard::Gone { object } => {
                    news.extend(told.news(&object, gone(&self.what, &object), false));
                    told.gone(text(&object, "/metadata/uid"));
                }
                Heard::Version(version) => told.reached(Some(&version)),
                Heard::Listed(version) => {
                    self.record(std::mem::take(&mut news)).await?;
                    told.listed(&version);
                }
            }
        }
        self.record(news).await
    }

    async fn record(&self, news: Vec<Envelope<Event>>) -> Result<(), LogError> {
        if news.is_empty() {
            return Ok(());
        }
        let mut entries = vec![];
        for event in &news {
            let mut event = event.clone();
            event.cluster.clone_from(&self.cluster);
            enrich(&mut event, &self.view);
            entries.push(Entry::of(Stream::Events, &event));
        }
        let pause = || self.clock.after(AGAIN);
        log::insist(&self.log, entries, "what the cluster tells waits", pause).await.map(|_| ())
    }

    /// What was made durable after the mark was written.
    async fn tail(&self, mut after: log::Seq) -> Result<BTreeSet<Id>, LogError> {
        let mut tail = BTreeSet::new();
        loop {
            let page = self.log.read(after, &[Stream::Events], PAGE).await?;
            for record in &page {
                after = record.seq;
                if let Ok(event) = record.open::<Event>()
                    && event.source == SOURCE
                {
                    tail.insert(event.id);
                }
            }
            if page.len() < PAGE {
                return Ok(tail);
            }
        }
    }
}
