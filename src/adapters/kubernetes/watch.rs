//! The watch caches: listed once, then kept up to date; a watch that breaks resumes where it was.

use super::{answer, cache::Cache, clocks, convert, feed, objects};
use crate::cluster::{ClusterView, Followed, Heard, Sight};
use crate::model::{Answer, Context, Look, Question, Target, WorkloadKind};
use futures_util::StreamExt;
use k8s_openapi::api::{apps::v1 as apps, batch::v1 as batch, core::v1 as core};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{WatchStreamExt, watcher},
};
use serde::de::DeserializeOwned;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

/// Changes within this time are told together.
const BURST: Duration = Duration::from_millis(50);

/// The view. Clones share it; the watches end with the last one.
#[derive(Clone)]
pub struct KubernetesView {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    cache: Arc<RwLock<Cache>>,
    news: watch::Receiver<()>,
    /// Kinds whose first list is not complete, with what is in the way.
    pending: Arc<Mutex<BTreeMap<&'static str, String>>>,
    /// In milliseconds, as last measured.
    skew: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

/// What the watcher of one kind does with the shared cache.
struct Sink<T> {
    put: fn(&mut Cache, &T),
    drop: fn(&mut Cache, &T),
    /// Removes what a new list does not name.
    retain: fn(&mut Cache, &BTreeSet<(String, String)>),
}

#[derive(Clone)]
struct Shared {
    cache: Arc<RwLock<Cache>>,
    news: Arc<watch::Sender<()>>,
    pending: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl KubernetesView {
    /// Starts watching. `own` is namespace and name of the pod that the daemon runs in.
    pub fn start(client: &Client, own: Option<(String, String)>) -> KubernetesView {
        let (news, receiver) = watch::channel(());
        let shared = Shared {
            cache: Arc::new(RwLock::new(Cache::new(own))),
            news: Arc::new(news),
            pending: Arc::default(),
        };
        let mut tasks = JoinSet::new();
        let all = watcher::Config::default();
        // What has ended is of no interest to a drain: the server leaves it out.
        let live =
            watcher::Config::default().fields("status.phase!=Succeeded,status.phase!=Failed");
        shared.spawn::<core::Node>(&mut tasks, client, "nodes", all.clone(), NODES);
        shared.spawn::<core::Pod>(&mut tasks, client, "pods", live, PODS);
        shared.spawn::<apps::Deployment>(
            &mut tasks,
            client,
            "deployments",
            all.clone(),
            DEPLOYMENTS,
        );
        shared.spawn::<apps::StatefulSet>(
            &mut tasks,
            client,
            "statefulsets",
            all.clone(),
            STATEFUL_SETS,
        );
        shared.spawn::<apps::DaemonSet>(&mut tasks, client, "daemonsets", all.clone(), DAEMON_SETS);
        shared.spawn::<batch::Job>(&mut tasks, client, "jobs", all, JOBS);
        let skew = Arc::default();
        tasks.spawn(clocks::compare(client.clone(), Arc::clone(&skew)));
        let Shared { cache, pending, .. } = shared;
        KubernetesView {
            inner: Arc::new(Inner {
                client: client.clone(),
                cache,
                news: receiver,
                pending,
                skew,
                _tasks: tasks,
            }),
        }
    }

    /// What the caches still wait for, each with the reason: for `/readyz`.
    pub fn waiting_for(&self) -> Vec<String> {
        let pending = self.inner.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.iter().map(|(kind, why)| format!("{kind}: {why}")).collect()
    }

    fn read<T>(&self, ask: impl FnOnce(&Cache) -> T) -> T {
        ask(&self.inner.cache.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClusterView for KubernetesView {
    fn ready(&self) -> bool {
        self.inner.pending.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn look(&self, sight: &Sight) -> Look {
        Look { stale: !self.ready(), ..self.read(|cache| cache.look(sight)) }
    }

    fn context(&self, target: &Target) -> Context {
        self.read(|cache| cache.context(target))
    }

    fn node_named(&self, alias: &str) -> Option<String> {
        self.read(|cache| cache.node_named(alias))
    }

    async fn ask(&self, question: Question) -> Answer {
        let client = &self.inner.client;
        if let Question::Machines { machines } = &question {
            let joined = self.read(|cache| cache.joined(machines));
            return Answer::Said(serde_json::to_string(&joined).unwrap_or_default());
        }
        objects::ask(client, &question).await
    }

    fn follow(&self, what: Followed, from: Option<String>) -> mpsc::Receiver<Heard> {
        feed::follow(&self.inner.client, what, from)
    }

    fn skew(&self) -> Duration {
        Duration::from_millis(self.inner.skew.load(Ordering::Relaxed))
    }

    fn version(&self, sight: &Sight) -> u64 {
        self.read(|cache| cache.news.version(sight))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a pause of the adapter's own: no decision waits on it"
    )]
    async fn changed(&self, sight: &Sight, since: u64) {
        let mut news = self.inner.news.clone();
        if news.wait_for(|()| self.version(sight) != since).await.is_err() {
            std::future::pending::<()>().await;
        }
        // A storm moves thousands of pods: whoever waits looks once per burst, not once per pod.
        tokio::time::sleep(BURST).await;
    }
}

impl Shared {
    fn spawn<T>(
        &self,
        tasks: &mut JoinSet<()>,
        client: &Client,
        kind: &'static str,
        config: watcher::Config,
        sink: Sink<T>,
    ) where
        T: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let shared = self.clone();
        let api: Api<T> = Api::all(client.clone());
        shared.wait(kind, "being listed".into());
        tasks.spawn(async move {
            let mut events = watcher(api, config).default_backoff().boxed();
            let mut listed = BTreeSet::new();
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => shared.take(kind, event, &mut listed, &sink),
                    Err(error) => {
                        let why = answer::watch_error(kind, &error);
                        tracing::warn!(kind, why, "the watch broke off and is taken up again");
                        // A cache that was complete stays in use; one that never was says why.
                        if shared.is_waiting(kind) {
                            shared.wait(kind, why);
                        }
                    }
                }
            }
        });
    }

    fn take<T: Resource<DynamicType = ()>>(
        &self,
        kind: &'static str,
        event: watcher::Event<T>,
        listed: &mut BTreeSet<(String, String)>,
        sink: &Sink<T>,
    ) {
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(object) => {
                listed.insert((object.namespace().unwrap_or_default(), object.name_any()));
                (sink.put)(&mut cache, &object);
            }
            watcher::Event::InitDone => {
                (sink.retain)(&mut cache, listed);
                listed.clear();
                self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(kind);
                cache.news.everybody();
            }
            watcher::Event::Apply(object) => (sink.put)(&mut cache, &object),
            watcher::Event::Delete(object) => (sink.drop)(&mut cache, &object),
        }
        drop(cache);
        self.news.send_replace(());
    }

    fn wait(&self, kind: &'static str, why: String) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, why);
    }

    fn is_waiting(&self, kind: &'static str) -> bool {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).contains_key(kind)
    }
}

const NODES: Sink<core::Node> = Sink {
    put: |cache, node| cache.put_node(convert::node(node)),
    drop: |cache, node| cache.drop_node(&node.name_any()),
    retain: |cache, listed| {
        let gone = |name: &String| !listed.contains(&(String::new(), name.clone()));
        cache.node_names().into_iter().filter(gone).for_each(|name| cache.drop_node(&name));
    },
};

const PODS: Sink<core::Pod> = Sink {
    put: |cache, pod| cache.put_pod(convert::pod(pod)),
    drop: |cache, pod| cache.drop_pod(&(pod.namespace().unwrap_or_default(), pod.name_any())),
    retain: |cache, listed| {
        cache
            .pod_keys()
            .into_iter()
            .filter(|key| !listed.contains(key))
            .for_each(|key| cache.drop_pod(&key));
    },
};

/// Workloads differ only in kind and conversion.
macro_rules! workloads {
    ($name:ident, $of:ty, $kind:expr, $convert:path) => {
        const $name: Sink<$of> = Sink {
            put: |cache, of| cache.put_workload($convert(of)),
            drop: |cache, of| {
                cache.drop_workload(&($kind, of.namespace().unwrap_or_default(), of.name_any()))
            },
            retain: |cache, listed| {
                for key in cache.workload_keys($kind) {
                    if !listed.contains(&(key.1.clone(), key.2.clone())) {
                        cache.drop_workload(&key);
                    }
                }
            },
        };
    };
}

workloads!(DEPLOYMENTS, apps::Deployment, WorkloadKind::Deployment, convert::deployment);
workloads!(STATEFUL_SETS, apps::StatefulSet, WorkloadKind::StatefulSet, convert::stateful_set);
workloads!(DAEMON_SETS, apps::DaemonSet, WorkloadKind::DaemonSet, convert::daemon_set);
workloads!(JOBS, batch::Job, WorkloadKind::Job, convert::job);
