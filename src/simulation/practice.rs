//! The practice cluster: the world behind the daemon's own ports, moved on by a clock.

use super::World;
use crate::clock::Clock;
use crate::cluster::{ClusterControl, ClusterView, Sight};
use crate::model::{Answer, ClusterCall, Context, Look, Question, Target};
use jiff::Timestamp;
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
    news: Arc<watch::Sender<()>>,
    clock: C,
}

impl<C: Clock> Practice<C> {
    pub fn new(world: World, clock: C) -> Practice<C> {
        Practice { world: Arc::new(Mutex::new(world)), news: Arc::new(watch::channel(()).0), clock }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the world on for as long as it is polled.
    pub async fn run(self) {
        loop {
            self.world().pass(self.clock.now());
            self.news.send_replace(());
            self.clock.after(TICK).await;
        }
    }
}

impl<C: Clock> ClusterView for Practice<C> {
    fn ready(&self) -> bool {
        true
    }

    fn look(&self, sight: &Sight) -> Look {
        self.world().look(sight)
    }

    fn context(&self, target: &Target) -> Context {
        self.world().context(target)
    }

    fn node_named(&self, alias: &str) -> Option<String> {
        self.world().node_named(alias)
    }

    async fn ask(&self, question: Question) -> Answer {
        self.world().asked(&question)
    }

    fn version(&self, sight: &Sight) -> u64 {
        self.world().version(sight)
    }

    async fn changed(&self, sight: &Sight, since: u64) {
        let mut news = self.news.subscribe();
        if news.wait_for(|()| self.version(sight) != since).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl<C: Clock> ClusterControl for Practice<C> {
    async fn call(&self, call: ClusterCall, _: Option<Timestamp>) -> Answer {
        let answer = {
            let mut world = self.world();
            world.pass(self.clock.now());
            world.call(&call)
        };
        self.news.send_replace(());
        answer
    }
}
