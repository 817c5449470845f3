//! Whether what was expected came true: facts are counted, bounds are compared, reasons are given.

use super::ledger::{Ledger, PlanFact};
use super::scenario::{Bound, Expectation, Fact, Filter, Scenario, When};
use super::stage::Stage;
use super::world::World;
use crate::clock::Clock;
use crate::model::{PageKind, Span};
use crate::rules::Place;
use jiff::Timestamp;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// What became of one expectation.
#[derive(Debug, Clone)]
pub struct Verdict {
    pub text: String,
    pub held: bool,
    /// What was found instead, or when it came true.
    pub reason: String,
    pub place: Place,
}

/// Between two looks, so that a storm is not judged event by event.
const APART: Duration = Duration::from_millis(20);

fn matches(text: &str, wanted: Option<&String>) -> bool {
    wanted.is_none_or(|wanted| text == wanted.as_str())
}

fn contains(text: &str, wanted: Option<&String>) -> bool {
    wanted.is_none_or(|wanted| text.contains(wanted.as_str()))
}

/// A target by its name, or by the beginning of its name and a star.
fn is_about(text: &str, wanted: Option<&String>) -> bool {
    wanted.is_none_or(|wanted| match wanted.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == wanted,
    })
}

/// The number that a fact is now.
pub(super) fn number(fact: Fact, filter: &Filter, ledger: &Ledger, world: &World) -> f64 {
    match fact {
        Fact::PodsRunning => {
            let app = filter.app.as_ref().and_then(|name| name.split_once('/'));
            let of = app.and_then(|(space, name)| world.app_health(space, name));
            of.unwrap_or_else(|| world.health()).0 as f64
        }
        Fact::Restarts => {
            let app = filter.app.as_ref().and_then(|name| name.split_once('/'));
            let of = app.and_then(|(space, name)| world.restarts(space, name));
            f64::from(of.unwrap_or(0))
        }
        Fact::PodsHardKilled => world.sums.hard_killed as f64,
        Fact::PodsEvicted => world.sums.evicted as f64,
        Fact::PodsDeleted => world.sums.deleted as f64,
        Fact::BudgetsViolated => world.sums.budgets_violated as f64,
        Fact::Checkpoints => world.sums.checkpoints as f64,
        Fact::LostWork => world.sums.lost_work.as_secs_f64(),
        Fact::NoticeToCordon => {
            let mut all = world.sums.cordons.clone();
            all.sort_unstable();
            let at = (all.len() * 99).div_ceil(100).saturating_sub(1);
            all.get(at).map_or(0.0, Duration::as_secs_f64)
        }
        Fact::Cordoned => match &filter.about {
            None => world.cordoned() as f64,
            Some(about) => {
                let name = about.trim_start_matches("node/");
                f64::from(world.node(name).is_some_and(|node| node.unschedulable))
            }
        },
        Fact::Nodes => world.nodes_of(filter.pool.as_deref()).len() as f64,
        Fact::Idle => (world.idle_orders().len() + world.places_held()) as f64,
        Fact::Spend => world.spend(),
        Fact::CordonedAtOnce => ledger.cordoned_most as f64,
        Fact::DeadLetters => ledger.dead_letters as f64,
        Fact::Events => ledger.events as f64,
        Fact::Unanswered => ledger.unanswered as f64,
        _ => counted(fact, filter, ledger) as f64,
    }
}

/// How many of the ledger's entries the filter lets through.
fn counted(fact: Fact, filter: &Filter, ledger: &Ledger) -> usize {
    let about = |incident: &str| {
        let target = ledger.incidents.get(incident).map(|known| known.target.to_string());
        is_about(&target.unwrap_or_default(), filter.about.as_ref())
    };
    let rung = |ring: &&super::ledger::Ring| {
        (fact == Fact::Rings || ring.key.kind == PageKind::Trigger)
            && matches(&ring.key.contact, filter.to.as_ref())
            && filter.level.is_none_or(|level| ring.key.level == level)
            && about(&ring.key.incident)
    };
    match fact {
        // A provider knows a page by its key: what is sent again under it rings no second time.
        Fact::Pages | Fact::Rings => {
            let ours = ledger.rings.iter().filter(rung).map(|ring| &ring.key);
            ours.collect::<BTreeSet<_>>().len()
        }
        Fact::Incidents => ledger.incidents.keys().filter(|incident| about(incident)).count(),
        Fact::IncidentsOpen => ledger.open_incidents().filter(|(id, _)| about(id)).count(),
        Fact::Decisions => ledger
            .decisions
            .iter()
            .filter(|one| matches(&one.rule, filter.rule.as_ref()))
            .filter(|one| matches(one.verdict, filter.verdict.as_ref()))
            .filter(|one| is_about(&one.target.to_string(), filter.about.as_ref()))
            .count(),
        Fact::Remediations => ledger.plans.values().filter(|plan| counts(plan, filter)).count(),
        _ => {
            let ours = ledger.web.iter().filter(|(_, url, _)| contains(url, filter.url.as_ref()));
            ours.map(|(_, _, key)| key).collect::<BTreeSet<_>>().len()
        }
    }
}

fn counts(fact: &PlanFact, filter: &Filter) -> bool {
    let ended = fact.ended.as_ref().map_or("open", |(_, how)| how.word());
    (fact.began || fact.ended.is_some())
        && matches(&fact.plan.rule, filter.rule.as_ref())
        && matches(ended, filter.ended.as_ref())
        && is_about(&fact.plan.target.to_string(), filter.about.as_ref())
}

/// The expectations of a run, and what has become of them so far.
pub(super) struct Judge {
    from: Timestamp,
    expect: Vec<(Expectation, Option<Verdict>)>,
    never: Vec<(Expectation, Option<Verdict>)>,
}

impl Judge {
    pub(super) fn new(scenario: &Scenario) -> Judge {
        let open = |all: &[Expectation]| all.iter().map(|one| (one.clone(), None)).collect();
        Judge {
            from: scenario.begins,
            expect: open(&scenario.expect),
            never: open(&scenario.never),
        }
    }

    /// Judges for as long as it is polled.
    pub(super) async fn run(judge: Arc<std::sync::Mutex<Judge>>, stage: Arc<Stage>) {
        let lock = || judge.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        loop {
            let next = lock().next(stage.time.now());
            tokio::select! {
                biased;
                () = stage.judged.notified() => {}
                () = stage.time.until(next) => {}
            }
            lock().look(&stage, false);
            if !stage.invariants().violations.is_empty() {
                stage.broken.notify_one();
            }
            stage.time.after(APART).await;
        }
    }

    /// The next moment at which something has to be true.
    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let moments = self.expect.iter().filter(|(_, verdict)| verdict.is_none());
        let moments = moments.filter_map(|(one, _)| match one.when {
            When::At(at) | When::By(at) => self.from.checked_add(at).ok(),
            When::AtTheEnd => None,
        });
        moments.filter(|at| *at > now).min()
    }

    /// Looks at everything that can be judged now.
    pub(super) fn look(&mut self, stage: &Stage, end: bool) {
        let now = stage.time.now();
        let passed = Duration::try_from(now.duration_since(self.from)).unwrap_or_default();
        let invariants = stage.invariants();
        let world = stage.world();
        let ask = |one: &Expectation| {
            let found = number(one.fact, &one.filter, &invariants.ledger, &world);
            (one.bound.holds(found), shown(one.fact, found))
        };
        for (one, verdict) in self.expect.iter_mut().filter(|(_, verdict)| verdict.is_none()) {
            let due = match one.when {
                When::At(at) => passed >= at,
                // "So many by then" is true then; "at least so many" as soon as it is.
                When::By(by) => !matches!(one.bound, Bound::Is(_)) || passed >= by || end,
                When::AtTheEnd => end,
            };
            if !due {
                continue;
            }
            let (held, found) = ask(one);
            let late = match one.when {
                When::By(by) => passed > by + APART || end,
                When::At(_) | When::AtTheEnd => true,
            };
            if held || late {
                let at = crate::model::Span(Duration::from_millis(
                    u64::try_from(passed.as_millis()).unwrap_or_default(),
                ));
                let on_time = held && !matches!(one.when, When::By(by) if passed > by + APART);
                let reason = match (on_time, held) {
                    (true, _) => format!("{found} after {at}"),
                    (false, true) => format!("only after {at}"),
                    (false, false) => format!("it was {found} after {at}"),
                };
                *verdict = Some(verdict_of(one, on_time, reason, false));
            }
        }
        for (one, verdict) in self.never.iter_mut().filter(|(_, verdict)| verdict.is_none()) {
            let (happened, found) = ask(one);
            if happened {
                let reason = format!("it was {found} after {}", Span(passed));
                *verdict = Some(verdict_of(one, false, reason, true));
            } else if end {
                *verdict = Some(verdict_of(one, true, format!("{found} at the end"), true));
            }
        }
    }

    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        let all = self.expect.iter().chain(&self.never);
        all.filter_map(|(_, verdict)| verdict.clone()).collect()
    }
}

fn verdict_of(one: &Expectation, held: bool, reason: String, never: bool) -> Verdict {
    let text = if never { format!("never {}", one.describe()) } else { one.describe() };
    Verdict { text, held, reason, place: one.place.clone() }
}

/// A number as people write it.
fn shown(fact: Fact, number: f64) -> String {
    match fact {
        Fact::LostWork => format!("{number:.0} s"),
        Fact::Spend => format!("${number:.2}"),
        _ => format!("{number}"),
    }
}
