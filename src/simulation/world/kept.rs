//! Pods that no controller makes anew: what they are made of is kept, and they are made from that.

use super::{Mark, World};
use crate::model::{Answer, ClusterCall, Destination, Mover, Refusal};

/// What is needed to make one again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    app: usize,
    ordinal: u32,
}

impl World {
    /// What is sent elsewhere, or back.
    pub(super) fn moves(&mut self, call: &ClusterCall) -> Answer {
        match call {
            ClusterCall::Keep { namespace, name, uid, .. } => {
                match self.preconditions(namespace, name, uid) {
                    Ok(uid) => self.keep(&uid),
                    Err(_) => Answer::Refused(Refusal::Gone),
                }
            }
            ClusterCall::Move { mover: Mover::Pod { namespace, name, uid }, to, .. } => {
                self.makes_elsewhere(namespace, name, uid, to)
            }
            ClusterCall::MoveBack { mover: Mover::Pod { namespace, name, uid }, .. } => {
                self.makes_again(namespace, name, uid)
            }
            ClusterCall::Move { mover, to, by, .. } => self.sends(mover, to, by),
            ClusterCall::MoveBack { mover, by } => self.sends_back(mover, by.as_deref()),
            _ => Answer::Refused(Refusal::Invalid("it is sent nowhere".into())),
        }
    }

    pub(super) fn keep(&mut self, uid: &str) -> Answer {
        let Some(run) = self.pods.get(uid) else { return Answer::Refused(Refusal::Gone) };
        let (of, name) = (Kept { app: run.app, ordinal: run.ordinal }, run.pod.full_name());
        if self.kept.insert(uid.to_owned(), of).is_none() {
            self.note(None, Mark::Note, format!("{name} is kept"));
        }
        Answer::Done
    }

    /// Once it is gone, where `to` says.
    pub(super) fn makes_elsewhere(
        &mut self,
        namespace: &str,
        name: &str,
        uid: &str,
        to: &Destination,
    ) -> Answer {
        let there = self.pod(namespace, name).map(|pod| pod.uid == uid);
        let kept = self.kept.get(uid).copied();
        match (there, kept) {
            (Some(true), None) => Answer::Refused(Refusal::Invalid("it is not kept".into())),
            (Some(true), Some(_)) => not_yet(),
            (Some(false), _) => {
                self.kept.remove(uid);
                Answer::Done
            }
            (None, None) => Answer::Refused(Refusal::Gone),
            (None, Some(of)) => {
                let own = self.apps[of.app].spec.pools.clone();
                let more = self.pools_with(&to.bearing.labels);
                let more = more.into_iter().filter(|pool| !own.contains(pool));
                self.apps[of.app].spec.pools.extend(more.collect::<Vec<String>>());
                self.makes(uid, of, name)
            }
        }
    }

    /// Where it may have run before, if it is gone.
    pub(super) fn makes_again(&mut self, namespace: &str, name: &str, uid: &str) -> Answer {
        let there = self.pod(namespace, name).map(|pod| (pod.uid == uid, pod.deleted_at));
        let Some(of) = self.kept.get(uid).copied() else {
            return Answer::Said("left as it is: nothing of it is kept".into());
        };
        match there {
            Some((true, Some(_))) => not_yet(),
            Some(_) => {
                self.kept.remove(uid);
                Answer::Said("it runs".into())
            }
            None => self.makes(uid, of, name),
        }
    }

    fn makes(&mut self, uid: &str, of: Kept, name: &str) -> Answer {
        self.kept.remove(uid);
        self.note(None, Mark::Note, format!("{name} is made anew"));
        self.make(of.app, of.ordinal, String::new());
        self.changed_app(of.app);
        Answer::Done
    }
}

fn not_yet() -> Answer {
    let message = "it has not gone yet".to_owned();
    Answer::Refused(Refusal::Busy { retry_after: None, message })
}
