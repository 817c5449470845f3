//! The daemon's ports to the world: a view that may be behind, a hand, a web and roads to people.

mod words;

use super::faults::{Outside, Trouble};
use super::stage::{Life, Silence};
use super::world::{Saving, World};
use crate::clock::Clock;
use crate::cluster::{ClusterControl, ClusterView, Sight};
use crate::escalation::Dispatch;
use crate::model::{
    Answer, CloudCall, ClusterCall, Contact, Context, Delivery, Look, PageKey, Question, Refusal,
    Report, Target,
};
use crate::remediation::{Beyond, Road, WebCall};
use jiff::Timestamp;
use std::time::Duration;

/// Watch events come so much later, and bursts are told once.
const BURST: Duration = Duration::from_millis(50);
/// Asked so often, a server that keeps refusing says how long to wait.
const RETRY_AFTER: u32 = 10;

/// One daemon's view, hand and roads: clones are the same.
#[derive(Clone)]
pub(super) struct Ports {
    pub(super) life: Life,
}

impl Ports {
    fn seen<T>(&self, ask: impl FnOnce(&World) -> T) -> T {
        let frozen =
            self.life.stage.frozen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match frozen.as_ref() {
            Some(world) => ask(world),
            None => ask(&self.life.stage.world()),
        }
    }
}

impl ClusterView for Ports {
    fn ready(&self) -> bool {
        self.life.stage.time.now() >= self.life.listed_at
    }

    fn look(&self, sight: &Sight) -> Look {
        self.seen(|world| world.look(sight))
    }

    fn context(&self, target: &Target) -> Context {
        self.seen(|world| world.context(target))
    }

    fn node_named(&self, alias: &str) -> Option<String> {
        self.seen(|world| world.node_named(alias))
    }

    async fn ask(&self, question: Question) -> Answer {
        let about = words::question(&question);
        let asked =
            self.life.call(Outside::ApiServer, &about, || self.life.stage.world().asked(&question));
        asked.await.unwrap_or_else(silent)
    }

    fn version(&self, sight: &Sight) -> u64 {
        // That the lists are complete is news for everybody.
        self.seen(|world| world.version(sight)) * 2 + u64::from(self.ready())
    }

    async fn changed(&self, sight: &Sight, since: u64) {
        loop {
            let news = self.life.stage.seen.notified();
            if self.version(sight) != since {
                break;
            }
            news.await;
        }
        self.life.stage.time.after(BURST).await;
        self.life.gate.pass().await;
    }
}

/// What the daemon's client makes of a call that was not answered as it should be.
fn silent(silence: Silence) -> Answer {
    let busy = |retry_after, message: &str| {
        Answer::Refused(Refusal::Busy { retry_after, message: message.into() })
    };
    match silence {
        Silence::Lost => Answer::Unknown("no answer within 10 s".into()),
        Silence::Refused | Silence::Trouble(Trouble::Unavailable) => {
            busy(None, "503: the server is not available")
        }
        Silence::Trouble(Trouble::Conflicts) => {
            busy(Some(RETRY_AFTER), "504: Timeout: request did not complete within the allotted timeout")
        }
        Silence::Trouble(Trouble::StillProcessing) => Answer::Refused(Refusal::Budget {
            retry_after: Some(RETRY_AFTER),
            message: "Cannot evict pod as it would violate the pod's disruption budget: it is still being processed by the server".into(),
        }),
        Silence::Trouble(Trouble::Forbidden) => {
            Answer::Refused(Refusal::Forbidden("403: the account `medevac` may not do this".into()))
        }
        Silence::Trouble(Trouble::RefusesForGood) => {
            Answer::Refused(Refusal::Invalid("422: refused".into()))
        }
        Silence::Trouble(Trouble::Slow(_) | Trouble::Full | Trouble::AnswersLost) => {
            Answer::Unknown("no answer".into())
        }
    }
}

impl ClusterControl for Ports {
    async fn call(&self, call: ClusterCall, _: Option<Timestamp>) -> Answer {
        let (stage, about) = (&self.life.stage, words::cluster(&call));
        self.life.gate.pass().await;
        let (life, begun) = (self.life.number, self.life.watch.now());
        let mut copies = 0;
        stage.invariants().sends(&stage.world(), &call, life, begun, stage.time.now());
        let deed = || {
            copies += 1;
            let answer = stage.act(|world| {
                if copies == 1 {
                    stage.invariants().arrives(world, &call, life, stage.time.now());
                }
                world.call(&call)
            });
            stage.tape().answered(stage.time.now(), &about, &answer);
            answer
        };
        let answer = self.life.call(Outside::ApiServer, &about, deed).await.unwrap_or_else(silent);
        match &call {
            ClusterCall::Exec { namespace, name, timeout, .. }
                if matches!(answer, Answer::Unknown(_)) =>
            {
                self.waits(namespace, name, *timeout).await.unwrap_or(answer)
            }
            _ => answer,
        }
    }
}

impl Ports {
    /// A program in a pod that has begun to save ends when it has.
    async fn waits(&self, namespace: &str, name: &str, timeout: Duration) -> Option<Answer> {
        let stage = &self.life.stage;
        let ends = stage.time.now().checked_add(timeout).ok();
        loop {
            match stage.act(|world| world.asked_to_save(namespace, name)) {
                Saving::Until(at) if ends.is_none_or(|ends| at <= ends) => {
                    stage.time.until(Some(at)).await;
                    // The world does what is due at that moment first.
                    tokio::task::yield_now().await;
                }
                Saving::Until(_) => {
                    stage.time.until(ends).await;
                    self.life.gate.pass().await;
                    return None;
                }
                Saving::Durable => {
                    self.life.gate.pass().await;
                    return Some(Answer::Done);
                }
                Saving::Never => {
                    self.life.gate.pass().await;
                    return Some(Answer::Refused(Refusal::Invalid("exit code 137".into())));
                }
            }
        }
    }

    /// A pod's own port: it says how far its checkpoint is.
    async fn pod_answers(&self, call: &WebCall) -> Answer {
        let stage = &self.life.stage;
        let host = call.url.trim_start_matches("http://").split(':').next().unwrap_or_default();
        let deed = || {
            let Some((namespace, name)) = stage.world().pod_at(host) else {
                return Answer::Unknown("nobody is there".into());
            };
            match stage.act(|world| world.asked_to_save(&namespace, &name)) {
                Saving::Durable => {
                    Answer::Said(r#"{"state":"durable","reference":"s3://by-http"}"#.into())
                }
                Saving::Until(_) => Answer::Said(r#"{"state":"acknowledged"}"#.into()),
                Saving::Never => Answer::Refused(Refusal::Invalid("it answered 500".into())),
            }
        };
        self.life.call(Outside::Web, &call.url, deed).await.unwrap_or_else(silent)
    }
}

impl Beyond for Ports {
    async fn cloud(&self, call: CloudCall) -> Answer {
        let stage = &self.life.stage;
        let about = words::cloud(&call);
        let deed = || {
            let answer = stage.act(|world| world.cloud_call(&call));
            stage.tape().answered(stage.time.now(), &about, &answer);
            answer
        };
        self.life.call(Outside::Cloud, &about, deed).await.unwrap_or_else(silent)
    }

    async fn web(&self, call: WebCall) -> Answer {
        if call.road == Road::Pod {
            return self.pod_answers(&call).await;
        }
        let stage = &self.life.stage;
        let about = format!("{} {}", call.method, call.url);
        let mut copies = 0;
        let deed = || {
            let now = stage.time.now();
            copies += 1;
            if copies == 1 {
                // A second copy is the network's own, not the daemon's.
                stage.invariants().called(&call, self.life.number, now);
            }
            stage.tape().web(now, &call);
            stage.called(&call);
            stage.judged.notify_one();
            Answer::Done
        };
        self.life.call(Outside::Web, &about, deed).await.unwrap_or_else(silent)
    }
}

impl Dispatch for Ports {
    async fn send(&self, contact: &Contact, key: &PageKey, report: &Report) -> Delivery {
        let stage = &self.life.stage;
        let about = format!("page {}", contact.name);
        let mut copies = 0;
        let deed = || {
            let now = stage.time.now();
            copies += 1;
            if copies == 1 {
                stage.invariants().rang(key, self.life.number, now);
            }
            stage.tape().rang(now, key, report);
            stage.judged.notify_one();
            if stage.rung.send(key.clone()).is_err() {
                tracing::debug!("nobody is there to answer");
            }
            format!("ref-{}", stage.invariants().rings())
        };
        match self.life.call(Outside::Pager, &about, deed).await {
            Ok(reference) => {
                stage.invariants().answered(key, self.life.number);
                Delivery::Accepted(reference)
            }
            Err(Silence::Trouble(Trouble::RefusesForGood | Trouble::Forbidden)) => {
                Delivery::Refused("400: the provider does not take it".into())
            }
            Err(Silence::Lost) => Delivery::Retry { after: None, why: "no answer".into() },
            Err(_) => Delivery::Retry { after: None, why: "503: not now".into() },
        }
    }
}
