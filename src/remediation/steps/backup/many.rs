//! Many at once: what is to be backed up is found first, then each of it goes its own way, some of them abreast.

use super::super::super::saga::Work;
use super::super::Status;
use super::super::turn::{Turn, Weighed};
use super::Asking;
use super::find::Find;
use crate::model::{Answer, CloudCall, Protected, Sought};
use jiff::Timestamp;
use std::fmt::Debug;

/// The way of one: what it asks next, and what it makes of the answer.
pub(super) trait Way: Debug + Send + Sized {
    /// What all of them share.
    type Of: Debug + Send;
    /// Asked about at the same time.
    const ABREAST: usize;

    /// # Errors
    /// In words: that cannot be done with it.
    fn of(what: Protected) -> Result<Self, String>;
    fn name(&self) -> String;
    fn ask(&self, of: &Self::Of) -> CloudCall;
    fn answer(one: &mut One<Self>, of: &Self::Of, weighed: Weighed, now: Timestamp);
}

/// One, and how far it has come.
#[derive(Debug)]
pub(super) struct One<W> {
    pub(super) way: W,
    pub(super) turn: Turn,
    pub(super) over: Option<Result<String, String>>,
    /// What was said last, for whoever asks why it takes so long.
    pub(super) last: String,
}

#[derive(Debug)]
enum State<W> {
    Finding(Find),
    Each(Vec<One<W>>),
    Failed(String),
}

#[derive(Debug)]
pub(super) struct Many<W: Way> {
    of: W::Of,
    state: State<W>,
    until: Timestamp,
}

const FIND: &str = "find";

impl<W: Way> Many<W> {
    pub(super) fn new(sought: &Sought, of: W::Of, until: Timestamp, now: Timestamp) -> Many<W> {
        Many { of, state: State::Finding(Find::new(sought, now)), until }
    }

    /// Once it is known what is to be backed up, each goes its way.
    fn settle(&mut self, now: Timestamp) {
        let State::Finding(find) = &self.state else { return };
        let Some(found) = find.found() else { return };
        let ways = found.and_then(|all| all.into_iter().map(W::of).collect::<Result<Vec<W>, _>>());
        let one = |way| One { way, turn: Turn::new(now), over: None, last: "not begun".into() };
        self.state = match ways {
            Ok(ways) => State::Each(ways.into_iter().map(one).collect()),
            Err(why) => State::Failed(why),
        };
    }
}

fn told<W: Way>(all: &[One<W>]) -> Status {
    let over = all.iter().filter_map(|one| Some((&one.way, one.over.as_ref()?)));
    let (mut good, mut bad) = (vec![], vec![]);
    for (way, how) in over {
        match how {
            Ok(how) => good.push(how.clone()),
            Err(why) => bad.push(format!("{}: {why}", way.name())),
        }
    }
    if bad.is_empty() { Status::Done(good.join("; ")) } else { Status::Failed(bad.join("; ")) }
}

impl<W: Way> Asking for Many<W> {
    fn poll(&mut self, now: Timestamp) -> Vec<(String, Work)> {
        self.settle(now);
        let all = match &mut self.state {
            State::Finding(find) => {
                return find.poll(now).map(|work| (FIND.to_owned(), work)).into_iter().collect();
            }
            State::Each(all) => all,
            State::Failed(_) => return vec![],
        };
        let free = W::ABREAST.saturating_sub(all.iter().filter(|one| one.turn.busy()).count());
        let due = all.iter_mut().enumerate().filter(|(_, one)| one.over.is_none());
        due.filter_map(|(at, one)| {
            let call = one.way.ask(&self.of);
            one.turn.take(now).then(|| (at.to_string(), Work::Cloud(call)))
        })
        // Lazily: whoever has no place yet has not taken its turn.
        .take(free)
        .collect()
    }

    fn answer(&mut self, tag: &str, answer: Answer, now: Timestamp) {
        match &mut self.state {
            State::Finding(find) => find.answer(answer, now),
            State::Each(all) => {
                if let Some(one) = tag.parse().ok().and_then(|at: usize| all.get_mut(at)) {
                    let weighed = one.turn.weigh(answer, now);
                    W::answer(one, &self.of, weighed, now);
                }
            }
            State::Failed(_) => {}
        }
        self.settle(now);
    }

    fn status(&self, now: Timestamp) -> Status {
        let late = now >= self.until;
        match &self.state {
            State::Failed(why) => Status::Failed(why.clone()),
            State::Finding(find) if late => {
                Status::Failed(format!("it was not begun in time: {}", find.last))
            }
            State::Finding(_) => Status::Working,
            State::Each(all) => match all.iter().find(|one| one.over.is_none()) {
                Some(open) if late => {
                    let name = open.way.name();
                    Status::Failed(format!("not done in time: {name}: {}", open.last))
                }
                // What goes on elsewhere goes on: what has failed is told with all the others.
                Some(_) => Status::Working,
                None => told(all),
            },
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let next = match &self.state {
            State::Finding(find) => find.turn.wake_at(),
            State::Each(all) => {
                // Where all places are taken, an answer wakes the next.
                let full = all.iter().filter(|one| one.turn.busy()).count() >= W::ABREAST;
                let open = all.iter().filter(|one| one.over.is_none() && !full);
                open.filter_map(|one| one.turn.wake_at()).min()
            }
            State::Failed(_) => None,
        };
        next.into_iter().chain([self.until]).min()
    }

    fn busy(&self) -> bool {
        match &self.state {
            State::Finding(find) => find.turn.busy(),
            State::Each(all) => all.iter().any(|one| one.turn.busy()),
            State::Failed(_) => false,
        }
    }
}
