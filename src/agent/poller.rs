//! What to ask of the metadata service next, and what of its answers is news.
//!
//! A token is renewed before it ends, and once more when it is not accepted. What the service does not have (404) is
//! no event; what it cannot say now is asked later, further apart each time. It is told once what is in the way.

use super::metadata::{self, Action, Item, Maintenance};
use super::news::{self, Identity, News};
use super::token::{TOKEN_LIVES, Token};
use crate::model::fnv1a;
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// AWS recommends five seconds; a notice has two minutes. Not all machines ask in the same moment.
const PERIOD: Duration = Duration::from_secs(1);
const JITTER: Duration = Duration::from_millis(200);
/// Maintenance is planned days ahead: it is asked for every so many rounds.
const SELDOM: u64 = 10;
/// Pauses after a failure, doubled up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MOST: Duration = Duration::from_secs(30);

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// PUT, for a token that lives so many seconds.
    Token(u64),
    Item {
        item: Item,
        token: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Answer {
        status: u16,
        body: String,
        /// Of a token, in seconds, as the service has it.
        lives: Option<u64>,
        /// Of a refusal, in seconds.
        retry_after: Option<u64>,
    },
    /// Nothing came back: why.
    Silent(String),
}

#[derive(Debug, Default)]
pub struct Poller {
    identity: Option<Identity>,
    token: Token,
    /// What is asked in this round, the next at the end.
    round: Vec<Item>,
    rounds: u64,
    next_at: Option<Timestamp>,
    failures: u32,
    action: Option<Action>,
    rebalance: Option<Timestamp>,
    maintenance: BTreeMap<String, Maintenance>,
    /// Not scheduled any more.
    vanished: BTreeMap<String, Maintenance>,
    target: Option<String>,
    /// What is in the way, as it was told, and of which item.
    trouble: Option<(Option<Item>, String)>,
    remarks: Vec<String>,
}

impl Poller {
    /// What to ask now. None: nothing, until [`Poller::wake_at`].
    pub fn next(&mut self, now: Timestamp) -> Option<Ask> {
        if self.next_at.is_some_and(|at| now < at) {
            return None;
        }
        if self.round.is_empty() {
            self.begin();
        }
        match self.token.valid(now) {
            Some(token) => Some(Ask::Item { item: *self.round.last()?, token: token.to_owned() }),
            None => Some(Ask::Token(TOKEN_LIVES.as_secs())),
        }
    }

    fn begin(&mut self) {
        if self.identity.is_none() {
            // Without a name there is nothing to tell.
            self.round = vec![Item::Identity];
            return;
        }
        self.round = vec![Item::TargetState, Item::Rebalance, Item::InstanceAction];
        if self.rounds.is_multiple_of(SELDOM) {
            self.round.insert(0, Item::Scheduled);
        }
        self.rounds += 1;
    }

    pub fn wake_at(&self) -> Option<Timestamp> {
        self.next_at
    }

    /// What whoever watches should know: each once.
    pub fn remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }

    /// Takes in what came back.
    pub fn hear(&mut self, ask: &Ask, reply: Reply, now: Timestamp) -> Vec<News> {
        match (ask, reply) {
            (_, Reply::Silent(why)) => {
                let hint = "in a pod without hostNetwork the answer is dropped where the hop limit is 1; there is no falling back to IMDSv1";
                self.fail(
                    &format!("the metadata service does not answer ({why}): {hint}"),
                    None,
                    now,
                );
                vec![]
            }
            (Ask::Token(_), Reply::Answer { status, body, lives, retry_after }) => {
                self.token((status, &body), lives, retry_after, now);
                vec![]
            }
            (Ask::Item { item, .. }, Reply::Answer { status, body, retry_after, .. }) => {
                self.item(*item, status, &body, retry_after, now)
            }
        }
    }

    fn token(
        &mut self,
        reply: (u16, &str),
        lives: Option<u64>,
        after: Option<u64>,
        now: Timestamp,
    ) {
        if let Err(why) = self.token.take(reply, lives, now) {
            self.fail(&why, after, now);
        }
    }

    fn item(
        &mut self,
        item: Item,
        status: u16,
        body: &str,
        after: Option<u64>,
        now: Timestamp,
    ) -> Vec<News> {
        match status {
            401 if self.token.refused() => return vec![],
            200 | 404 => {}
            403 => {
                self.fail(&format!("{} is not allowed (403)", item.path()), after, now);
                return vec![];
            }
            status => {
                self.fail(&format!("{} answered {status}", item.path()), after, now);
                return vec![];
            }
        }
        self.token.settled();
        self.round.pop();
        let read = match status {
            404 => Ok(self.absent(item, now)),
            _ => self.present(item, body, now),
        };
        let news = match read {
            Ok(news) => {
                self.well(item);
                news
            }
            Err(why) => {
                self.trouble(Some(item), why);
                vec![]
            }
        };
        if self.round.is_empty() {
            self.rest(now);
        }
        news
    }

    /// 404: there is no such event. Of the life-cycle it says nothing at all.
    fn absent(&mut self, item: Item, now: Timestamp) -> Vec<News> {
        match item {
            Item::InstanceAction => self.action = None,
            Item::Rebalance => self.rebalance = None,
            Item::Scheduled => self.scheduled(vec![]),
            Item::History => {
                let of = self.identity.clone();
                return of.map(|of| self.over(&of, &[], now)).unwrap_or_default();
            }
            Item::Identity | Item::TargetState => {}
        }
        vec![]
    }

    fn present(&mut self, item: Item, body: &str, now: Timestamp) -> Result<Vec<News>, String> {
        if item == Item::Identity {
            self.identity = Some(Identity::read(body)?);
        }
        let Some(of) = self.identity.clone() else { return Ok(vec![]) };
        Ok(match item {
            Item::Identity => vec![],
            Item::InstanceAction => {
                let told = metadata::action(body)?;
                // A mock moves the time with every answer; another action is another notice.
                let known = self.action.as_ref().is_some_and(|known| known.action == told.action);
                let news = (!known).then(|| news::interruption(&of, &told));
                self.action = Some(told);
                news.into_iter().collect()
            }
            Item::Rebalance => {
                let at = metadata::rebalance(body)?;
                let known = self.rebalance.replace(at).is_some();
                (!known).then(|| news::rebalance(&of, at)).into_iter().collect()
            }
            Item::Scheduled => {
                let planned = metadata::maintenance(item, body)?;
                let fresh: Vec<News> = planned
                    .iter()
                    .filter(|it| it.is_planned() && self.maintenance.get(&it.event_id) != Some(it))
                    .map(|it| news::maintenance(&of, it, "active", now))
                    .collect();
                self.scheduled(planned);
                fresh
            }
            Item::History => {
                let past = metadata::maintenance(item, body)?;
                self.over(&of, &past, now)
            }
            Item::TargetState => {
                let state = metadata::target_state(body)?;
                let before = self.target.replace(state.clone());
                let ends = state == "Terminated" && before.as_deref() != Some("Terminated");
                ends.then(|| news::terminating(&of, &state, now)).into_iter().collect()
            }
        })
    }

    /// What is planned now. What was planned and is not any more is looked up in the history.
    fn scheduled(&mut self, planned: Vec<Maintenance>) {
        let planned =
            planned.into_iter().filter(Maintenance::is_planned).map(|it| (it.event_id.clone(), it));
        let before = std::mem::replace(&mut self.maintenance, planned.collect());
        let gone = before.into_iter().filter(|(id, _)| !self.maintenance.contains_key(id));
        self.vanished.extend(gone);
        if !self.vanished.is_empty() {
            self.round.push(Item::History);
        }
    }

    /// What has vanished is over: as the history says, or cancelled where it says nothing.
    fn over(&mut self, of: &Identity, past: &[Maintenance], now: Timestamp) -> Vec<News> {
        let vanished = std::mem::take(&mut self.vanished);
        let state = |id: &str| {
            let known = past.iter().find(|it| it.event_id == id).map(|it| it.state.to_lowercase());
            known.filter(|state| state == "completed").unwrap_or_else(|| "canceled".into())
        };
        vanished.iter().map(|(id, it)| news::maintenance(of, it, &state(id), now)).collect()
    }

    /// An answer that can be read does not make up for another that could not.
    fn well(&mut self, item: Item) {
        self.failures = 0;
        if self.trouble.take_if(|(about, _)| about.is_none_or(|it| it == item)).is_some() {
            self.remarks.push("the metadata service answers again".into());
        }
    }

    fn trouble(&mut self, about: Option<Item>, why: String) {
        let trouble = Some((about, why.clone()));
        if self.trouble != trouble {
            self.trouble = trouble;
            self.remarks.push(why);
        }
    }

    /// It is asked again later: as the service says, or further apart each time.
    fn fail(&mut self, why: &str, after: Option<u64>, now: Timestamp) {
        self.trouble(None, why.to_owned());
        self.failures += 1;
        self.token.settled();
        let doubled = PAUSE.saturating_mul(1 << self.failures.min(6).saturating_sub(1));
        let pause = after.map_or(doubled, Duration::from_secs).min(PAUSE_MOST);
        self.next_at = now.checked_add(pause + self.jitter()).ok();
    }

    fn rest(&mut self, now: Timestamp) {
        let just_named = self.identity.is_some() && self.rounds == 0;
        let pause = if just_named { Duration::ZERO } else { PERIOD - JITTER / 2 + self.jitter() };
        self.next_at = now.checked_add(pause).ok();
    }

    /// Of the machine's own, and another in each round.
    fn jitter(&self) -> Duration {
        let of = self.identity.as_ref().map_or("", |it| it.instance_id.as_str());
        let hash = fnv1a(of.bytes().chain(self.rounds.to_le_bytes()));
        JITTER.mul_f64((hash % 1024) as f64 / 1024.0)
    }
}

#[cfg(test)]
mod tests;
