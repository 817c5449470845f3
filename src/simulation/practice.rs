//! The practice cluster: the world behind the daemon's own ports, moved on by a clock.

use super::World;
use crate::clock::Clock;
use crate::cluster::{ClusterControl, ClusterView};
use crate::model::{Answer, ClusterCall, Context, Look, Target};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// How often the world is moved on.
const TICK: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub struct Practice<C> {
    world: Arc<Mutex<World>>,
    news: Arc<watch::Sender<u64>>,
    clock: C,
}

impl<C: Clock> Practice<C> {
    pub fn new(world: World, clock: C) -> Practice<C> {
        Practice { world: Arc::new(Mutex::new(world)), news: Arc::new(watch::channel(0).0), clock }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the world on for as long as it is polled.
    pub async fn run(self) {
        loop {
            if self.world().pass(self.clock.now()) {
                self.tell();
            }
            self.clock.after(TICK).await;
        }
    }

    fn tell(&self) {
        self.news.send_modify(|news| *news = news.wrapping_add(1));
    }
}

impl<C: Clock> ClusterView for Practice<C> {
    fn ready(&self) -> bool {
        true
    }

    fn look(&self, target: &Target) -> Look {
        self.world().look(target)
    }

    fn context(&self, target: &Target) -> Context {
        self.world().context(target)
    }

    fn node_named(&self, alias: &str) -> Option<String> {
        self.world().node_named(alias)
    }

    async fn confirm_empty(&self, _: &str) -> Answer {
        // This view is the world itself, never behind it.
        Answer::Done
    }

    fn version(&self) -> u64 {
        *self.news.borrow()
    }

    async fn changed(&self, since: u64) {
        let mut news = self.news.subscribe();
        if news.wait_for(|version| *version != since).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl<C: Clock> ClusterControl for Practice<C> {
    async fn call(&self, call: ClusterCall) -> Answer {
        let answer = self.world().call(&call, self.clock.now());
        self.tell();
        answer
    }
}
