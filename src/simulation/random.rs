//! A world drawn from a seed, with everything that can happen in it.

use super::dice::Dice;
use super::faults::{Mishap, Outside, Rates, Trouble};
use super::queue::Manners;
use super::scenario::{Daemon, Deed, Person, Pick, Reaction, Scenario, Step};
use super::world::{App, Asked, Budget, Checkpoint, Growth, Kind, Market, Pool};
use crate::model::{Scope, kind};
use crate::rules::{Rule, Ruleset};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const ZONES: [&str; 3] = ["eu-west-1a", "eu-west-1b", "eu-west-1c"];

/// What rules may be about; `alerts` are names of alerts, `events` types of events that they react to.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    pub alerts: Vec<String>,
    pub events: Vec<String>,
    pub contacts: Vec<String>,
}

impl Vocabulary {
    /// What these rules react to, and whom they call.
    pub fn of(rules: &Ruleset) -> Vocabulary {
        let own = |kind: &&String| {
            !kind::KNOWN.contains(&kind.as_str()) || kind.as_str() == "aws.backup.job"
        };
        let events = rules.rules.iter().flat_map(|rule| &rule.when).filter(own).cloned();
        // Alerts are told apart by their names: the texts of conditions are names, or do no harm.
        let firing = |rule: &&Rule| rule.when.iter().any(|kind| kind == kind::ALERT_FIRING);
        let on_alerts = rules.rules.iter().filter(firing);
        let conditions = on_alerts.filter_map(|rule| rule.condition.as_ref());
        let alerts: BTreeSet<&str> = conditions.flat_map(|condition| condition.texts()).collect();
        Vocabulary {
            alerts: alerts.into_iter().map(str::to_owned).collect(),
            events: events.collect::<BTreeSet<_>>().into_iter().collect(),
            contacts: rules.directory.contacts.keys().cloned().collect(),
        }
    }
}

fn seconds(dice: &mut Dice, least: u64, most: u64) -> Duration {
    Duration::from_millis(dice.between(least * 1000, most * 1000))
}

/// The world of `seed`, and what happens in it. Nothing is expected but the invariants.
pub fn draw(seed: u64, words: &Vocabulary) -> Scenario {
    let mut dice = Dice::for_purpose(seed, "world");
    let pools: Vec<Pool> = (0..dice.between(1, 3)).map(|at| pool(&mut dice, at)).collect();
    let apps: Vec<App> = (0..dice.between(2, 6)).map(|at| app(&mut dice, at, &pools)).collect();
    let lasts = dice.between(20, 60) * 60;
    let mut happens: Vec<Step> = (0..dice.between(3, 12))
        .filter_map(|_| step(&mut dice, &pools, &apps, words, lasts))
        .collect();
    let replicas = if dice.permille(400) { 2 } else { 1 };
    for _ in 0..dice.below(5) {
        let at = seconds(&mut dice, 5, lasts * 3 / 4);
        let deed = harm(&mut dice, replicas);
        happens.push(Step { at, deed, times: 1, every: Duration::ZERO });
    }
    let rate = |dice: &mut Dice, most: u64| u32::try_from(dice.below(most)).unwrap_or(0);
    let most = [
        (Mishap::Slow, 30),
        (Mishap::LostBefore, 15),
        (Mishap::LostAfter, 25),
        (Mishap::Twice, 20),
        (Mishap::Refused, 30),
        (Mishap::Crash, 8),
        (Mishap::CrashAfter, 8),
    ];
    let rates = most.map(|(mishap, most)| (mishap, rate(&mut dice, most)));
    let people = words.contacts.iter().filter_map(|contact| {
        let does = if dice.permille(700) { Reaction::Acknowledges } else { Reaction::Resolves };
        let after = seconds(&mut dice, 20, 900);
        dice.permille(500).then(|| Person { contact: contact.clone(), after, does })
    });
    let people = people.collect();
    Scenario {
        name: format!("random world {seed}"),
        about: "drawn from its seed".into(),
        seed,
        lasts: Duration::from_secs(lasts),
        manners: Manners {
            duplicates: rate(&mut dice, 300),
            disorder: dice.permille(500),
            ..Manners::default()
        },
        daemon: Daemon { replicas, restarts_in: seconds(&mut dice, 1, 20), app: None },
        rates: Rates(rates.into()),
        pools,
        apps,
        people,
        happens,
        ..Scenario::default()
    }
}

fn pool(dice: &mut Dice, at: u64) -> Pool {
    let market = if dice.permille(600) { Market::Spot } else { Market::OnDemand };
    let nodes = u32::try_from(dice.between(2, 9)).unwrap_or(2);
    let grows = dice.permille(600).then(|| Growth {
        most: nodes * 2,
        boots_in: seconds(dice, 30, 180),
        market: Market::OnDemand,
    });
    let workload = if dice.permille(500) { "training" } else { "inference" };
    Pool {
        name: format!("pool-{at}"),
        nodes,
        zones: ZONES.map(String::from).to_vec(),
        instance_type: "p4d.24xlarge".into(),
        market,
        slots: u32::try_from(dice.between(2, 8)).unwrap_or(2),
        labels: [("workload".to_owned(), workload.to_owned())].into(),
        price: 10.0,
        grows,
        ..Pool::default()
    }
}

fn app(dice: &mut Dice, at: u64, pools: &[Pool]) -> App {
    let kind = dice.pick(&Kind::ALL).map_or(Kind::Deployment, |(_, kind)| *kind);
    let replicas = u32::try_from(dice.between(1, 10)).unwrap_or(1);
    let budget = |dice: &mut Dice| match dice.below(3) {
        0 => Budget::MinAvailable(u32::try_from(dice.below(u64::from(replicas) + 1)).unwrap_or(0)),
        _ => Budget::MaxUnavailable(u32::try_from(dice.between(1, 3)).unwrap_or(1)),
    };
    let budgets = match dice.below(10) {
        0 => vec![budget(dice), budget(dice)],
        1..=6 => vec![budget(dice)],
        _ => vec![],
    };
    let asked = [None, Some(Asked::Annotation), Some(Asked::Exec), Some(Asked::Http)];
    let checkpoint = dice.permille(400).then(|| Checkpoint {
        every: seconds(dice, 60, 900),
        takes: seconds(dice, 5, 60),
        on_stop: dice.permille(500),
        asked: dice.pick(&asked).copied().flatten(),
        fails: dice.permille(150),
    });
    App {
        namespace: if dice.permille(500) { "training" } else { "inference" }.into(),
        name: format!("app-{at}"),
        kind,
        replicas,
        pools: pools
            .iter()
            .filter(|_| dice.permille(700))
            .chain(pools.first())
            .map(|pool| pool.name.clone())
            .collect(),
        budgets,
        grace: u32::try_from(dice.between(1, 90)).unwrap_or(30),
        starts_in: seconds(dice, 1, 30),
        stops_in: seconds(dice, 0, 60),
        works_for: seconds(dice, 60, 1200),
        checkpoint,
        ..App::default()
    }
}

fn step(
    dice: &mut Dice,
    pools: &[Pool],
    apps: &[App],
    words: &Vocabulary,
    lasts: u64,
) -> Option<Step> {
    let at = seconds(dice, 2, lasts * 3 / 4);
    let pick = pick(dice, pools);
    let labels = BTreeMap::new;
    let deed = match dice.below(14) {
        0..=2 => Deed::SpotNotice { pick, action: "terminate".into(), taken: dice.permille(850) },
        3 => Deed::Rebalance { pick },
        4 => Deed::TakeAway { pick: Pick { count: Some(1), ..pick } },
        5 => Deed::Silence { pick, lasts: dice.permille(700).then(|| seconds(dice, 20, 600)) },
        6..=9 => {
            let mut all: BTreeMap<String, String> = labels();
            all.insert("alertname".into(), dice.pick(&words.alerts)?.clone());
            if dice.permille(300) {
                all.insert("severity".into(), "critical".into());
            }
            Deed::Alert {
                labels: all,
                annotations: labels(),
                pick: dice.permille(850).then_some(pick),
                count: 1,
                clears_after: dice.permille(700).then(|| seconds(dice, 30, 1500)),
            }
        }
        10 => {
            let app = dice.pick(apps)?;
            Deed::Event {
                kind: dice.pick(&words.events)?.clone(),
                subject: Some(format!("{}/{}/{}", app.kind.word(), app.namespace, app.name)),
                pick: None,
                data: serde_json::to_value(labels()).unwrap_or_default(),
                late: Duration::ZERO,
                twice: false,
                count: 1,
            }
        }
        11 => Deed::PersonCordons { pick, closed: dice.permille(600) },
        12 => Deed::PersonPauses {
            scope: Scope::Everything,
            by: "ann".into(),
            reason: "maintenance".into(),
            lasts: seconds(dice, 30, 600),
        },
        _ => Deed::Body {
            to_alertmanager: dice.permille(500),
            text: "{\"alerts\":[{}".into(),
            file: None,
        },
    };
    let flaps = matches!(deed, Deed::Alert { .. }) && dice.permille(150);
    let (times, every) = if flaps { (6, seconds(dice, 40, 400)) } else { (1, Duration::ZERO) };
    Some(Step { at, deed, times, every })
}

fn pick(dice: &mut Dice, pools: &[Pool]) -> Pick {
    Pick {
        pool: dice.pick(pools).map(|pool| pool.name.clone()),
        zone: dice
            .permille(200)
            .then(|| dice.pick(&ZONES).map(|zone| (*zone).to_owned()))
            .flatten(),
        count: Some(u32::try_from(dice.between(1, 3)).unwrap_or(1)),
        ..Pick::default()
    }
}

fn harm(dice: &mut Dice, replicas: usize) -> Deed {
    let replica = usize::try_from(dice.below(replicas as u64)).unwrap_or(0);
    let lasts = seconds(dice, 3, 90);
    match dice.below(8) {
        0 => Deed::Kill { replica },
        1 | 2 => Deed::Stop { replica, lasts },
        3 => Deed::Skew { replica, ahead: i64::try_from(dice.below(4000)).unwrap_or(0) - 2000 },
        4 => Deed::Stale { lasts },
        _ => {
            let all = [
                (Outside::ApiServer, Trouble::Unavailable),
                (Outside::ApiServer, Trouble::Slow(Duration::from_secs(5))),
                (Outside::ApiServer, Trouble::StillProcessing),
                (Outside::ApiServer, Trouble::Conflicts),
                (Outside::ApiServer, Trouble::AnswersLost),
                (Outside::Log, Trouble::Unavailable),
                (Outside::Log, Trouble::Full),
                (Outside::Log, Trouble::Slow(Duration::from_secs(2))),
                (Outside::Log, Trouble::AnswersLost),
                (Outside::Pager, Trouble::Unavailable),
                (Outside::Pager, Trouble::RefusesForGood),
                (Outside::Web, Trouble::Unavailable),
            ];
            let (whom, how) = dice.pick(&all).copied().unwrap_or(all[0]);
            Deed::Trouble { whom, only: None, how, lasts }
        }
    }
}
