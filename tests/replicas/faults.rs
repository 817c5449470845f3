//! What is done to the replicas and to their servers, and that they stand again afterwards.

use super::double::Double;
use super::support::daemon::{Killable, Orders, spawn};
use super::support::nats::{Server, cluster, connect, options};
use super::support::proxy::Proxy;
use super::support::{client, free_port, until};
use async_nats::jetstream;
use medevac::adapters::nats::Nats;
use medevac::daemon::Claim;
use medevac::log::{Kv, Log, Seq, Stream, bucket};
use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    KillActive,
    PauseActive,
    KillLeader,
    CutServer,
    FillStore,
    RestartAll,
}

impl Fault {
    pub(crate) const ALL: [Fault; 6] = [
        Fault::KillActive,
        Fault::PauseActive,
        Fault::KillLeader,
        Fault::CutServer,
        Fault::FillStore,
        Fault::RestartAll,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Fault::KillActive => "active killed",
            Fault::PauseActive => "active paused",
            Fault::KillLeader => "stream leader killed",
            Fault::CutServer => "a server cut off",
            Fault::FillStore => "store full",
            Fault::RestartAll => "everything restarted",
        }
    }
}

struct Replica {
    orders: Orders,
    process: Option<Killable>,
}

pub(crate) struct Stage {
    _directory: tempfile::TempDir,
    servers: Vec<Server>,
    /// From, to, and the road between.
    roads: Vec<(usize, usize, Proxy)>,
    replicas: Vec<Replica>,
    pub(crate) log: Nats,
    jetstream: jetstream::Context,
}

fn rules(double: &Double, at_once: usize) -> String {
    let url = format!("http://127.0.0.1:{}", double.port);
    format!(
        "guards: [{{name: g, limits: {{at_once: {at_once}}}}}]\nrules:\n  - name: act\n    when: load.act\n    guard: g\n    then:\n\
         \x20     - http: {{name: begin, url: {url}/begin, idempotent: true}}\n\
         \x20     - wait: {{time: 200ms, needs: [begin]}}\n\
         \x20     - http: {{name: end, url: {url}/end, idempotent: true, needs: [wait]}}\n"
    )
}

impl Stage {
    pub(crate) async fn build(double: &Double, at_once: usize) -> Stage {
        let directory = tempfile::tempdir().unwrap();
        let roads = RefCell::new(vec![]);
        let servers = cluster(directory.path(), |from, to, port| {
            let proxy = Proxy::to(port);
            let at = proxy.port;
            roads.borrow_mut().push((from, to, proxy));
            at
        });
        let all: Vec<&Server> = servers.iter().collect();
        let options = options(&all);
        let log =
            connect(&medevac::adapters::nats::Options { views: Duration::ZERO, ..options.clone() })
                .await;
        let jetstream = jetstream::new(log.client());
        let mut replicas = vec![];
        for at in 0..3 {
            let mut orders = Orders::new(directory.path(), free_port(), &rules(double, at_once));
            orders.hosts.push(format!("127.0.0.1:{}", double.port));
            // Each begins at another server.
            orders.nats.extend((0..3).map(|next| options.servers[(at + next) % 3].clone()));
            let process = Some(spawn("replica", &orders).await);
            replicas.push(Replica { orders, process });
        }
        let stage = Stage {
            _directory: directory,
            servers,
            roads: roads.into_inner(),
            replicas,
            log,
            jetstream,
        };
        stage.active().await;
        stage
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.replicas.iter().map(|one| format!("http://127.0.0.1:{}", one.orders.port)).collect()
    }

    /// The number of the replica that holds the lease.
    async fn active(&self) -> usize {
        until("a replica is active", || async {
            let entry = Kv::get(&self.log, bucket::LEASES, "active").await.ok()??;
            let claim: Claim = serde_json::from_slice(&entry.value).unwrap();
            let holds = |one: &Replica| {
                let pid = one.process.as_ref().map(Killable::pid);
                pid.is_some_and(|pid| claim.holder == format!("replica-{pid}"))
            };
            self.replicas.iter().position(holds)
        })
        .await
    }

    /// Waits for a decision after `after` from another replica than `old`: how long it took since `from`.
    async fn taken_over(&self, old: u32, after: Seq, from: Instant) -> Duration {
        until("another replica decides", || async {
            let entry = Kv::get(&self.log, bucket::LEASES, "active").await.ok()??;
            let claim: Claim = serde_json::from_slice(&entry.value).unwrap();
            if claim.holder.is_empty() || claim.holder == format!("replica-{old}") {
                return None;
            }
            let decided = self.log.read(after, &[Stream::Decisions], 1).await.ok()?;
            (!decided.is_empty()).then_some(())
        })
        .await;
        from.elapsed()
    }

    /// Decisions go on being made: everything stands again.
    async fn stands(&self) {
        for server in &self.urls() {
            until("every replica is ready", || async {
                let asked = client().get(format!("{server}/readyz")).send().await;
                asked.is_ok_and(|answer| answer.status().is_success()).then_some(())
            })
            .await;
        }
        self.decided_upto(self.end().await).await;
    }

    /// The last position of the log.
    async fn end(&self) -> Seq {
        until("the stream answers", || async {
            let mut stream = self.jetstream.get_stream("MEDEVAC").await.ok()?;
            Some(stream.info().await.ok()?.state.last_sequence)
        })
        .await
    }

    pub(crate) async fn suffer(
        &mut self,
        fault: Fault,
        dice: &mut impl FnMut() -> u64,
    ) -> Option<Duration> {
        let any = usize::try_from(dice() % 3).unwrap();
        let took = match fault {
            Fault::KillActive => Some(self.kill_active().await),
            Fault::PauseActive => Some(self.pause_active().await),
            Fault::KillLeader => {
                self.kill_leader().await;
                None
            }
            Fault::CutServer => {
                self.cut(any, true);
                tokio::time::sleep(Duration::from_millis(1000 + dice() % 3000)).await;
                self.cut(any, false);
                None
            }
            Fault::FillStore => {
                self.fill().await;
                None
            }
            Fault::RestartAll => {
                self.restart_all(dice).await;
                None
            }
        };
        self.stands().await;
        took
    }

    async fn kill_active(&mut self) -> Duration {
        let at = self.active().await;
        let after = self.end().await;
        let old = self.replicas[at].process.as_ref().map(Killable::pid).unwrap();
        let from = Instant::now();
        self.replicas[at].process = None;
        let took = self.taken_over(old, after, from).await;
        self.start(at).await;
        took
    }

    async fn pause_active(&mut self) -> Duration {
        let at = self.active().await;
        let after = self.end().await;
        let process = self.replicas[at].process.as_ref().unwrap();
        let from = Instant::now();
        process.signal("-STOP");
        let took = self.taken_over(process.pid(), after, from).await;
        process.signal("-CONT");
        took
    }

    async fn start(&mut self, at: usize) {
        self.replicas[at].process = Some(spawn("replica", &self.replicas[at].orders).await);
    }

    async fn kill_leader(&mut self) {
        let leader = until("the stream has a leader", || async {
            let mut stream = self.jetstream.get_stream("MEDEVAC").await.ok()?;
            stream.info().await.ok()?.cluster.clone()?.leader
        })
        .await;
        let at: usize = leader.trim_start_matches('n').parse().unwrap();
        self.servers[at].kill();
        // The others go on without it.
        let after = self.end().await;
        until("two servers go on", || async {
            let decided = self.log.read(after, &[Stream::Decisions], 1).await.ok()?;
            (!decided.is_empty()).then_some(())
        })
        .await;
        self.servers[at].start();
        self.whole().await;
    }

    fn cut(&self, at: usize, cut: bool) {
        for (from, to, road) in &self.roads {
            if *from == at || *to == at {
                road.cut(cut);
            }
        }
    }

    /// Every copy of the log is current.
    async fn whole(&self) {
        until("all copies are current", || async {
            let mut stream = self.jetstream.get_stream("MEDEVAC").await.ok()?;
            let cluster = stream.info().await.ok()?.cluster.clone()?;
            let all = cluster.replicas.len() == 2 && cluster.replicas.iter().all(|one| one.current);
            all.then_some(())
        })
        .await;
    }

    async fn limit(&self, most: Option<i64>) {
        until("the stream takes its limit", || async {
            let mut stream = self.jetstream.get_stream("MEDEVAC").await.ok()?;
            let info = stream.info().await.ok()?.clone();
            let used = i64::try_from(info.state.bytes).unwrap();
            let max_bytes = most.unwrap_or(used);
            let config = jetstream::stream::Config { max_bytes, ..info.config };
            self.jetstream.update_stream(config).await.ok().map(|_| ())
        })
        .await;
    }

    async fn fill(&self) {
        self.limit(None).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        self.limit(Some(-1)).await;
    }

    /// Daemons and servers, each in an order of its own; the servers keep their majority.
    async fn restart_all(&mut self, dice: &mut impl FnMut() -> u64) {
        const ORDERS: [[usize; 3]; 6] =
            [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let mut draw = || ORDERS[usize::try_from(dice()).unwrap() % ORDERS.len()];
        for (daemon, server) in draw().into_iter().zip(draw()) {
            self.replicas[daemon].process = None;
            self.servers[server].kill();
            self.servers[server].start();
            self.whole().await;
            self.start(daemon).await;
        }
    }

    /// The engine has decided on everything up to `last`.
    pub(crate) async fn decided_upto(&self, last: Seq) {
        until("everything is decided on", || async {
            let places = self.log.places().await.ok()?;
            let floor = places.iter().find(|place| place.consumer == "engine")?.floor;
            (floor >= last).then_some(())
        })
        .await;
    }

    /// No remediation is under way.
    pub(crate) async fn settled(&self) {
        until("every remediation has ended", || async {
            let held = self.log.list(bucket::GUARDS, None, 100).await.ok()?;
            held.iter().all(|entry| entry.key == "pauses").then_some(())
        })
        .await;
    }
}
