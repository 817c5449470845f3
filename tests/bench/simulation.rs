//! How much faster than the clock a simulated day passes: simulated seconds per real second, at 100, 1,000 and
//! 10,000 nodes. The whole daemon runs, and every invariant is checked.

#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed benchmark")]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]
#![expect(clippy::print_stdout, reason = "it is a program")]

use medevac::adapters::rulefiles;
use medevac::model::Secret;
use medevac::rules::{self, Ruleset};
use medevac::simulation::scenario::{Deed, Pick, Step};
use medevac::simulation::world::{App, Budget, Growth, Market, Pool};
use medevac::simulation::{Orders, Scenario, play};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

const HOUR: Duration = Duration::from_secs(3600);

fn shipped() -> Arc<Ruleset> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let sources = rulefiles::read(&[path]).unwrap();
    Arc::new(rules::load(&sources, &|_| Ok(Secret::new("unread"))).unwrap())
}

/// `hours` in the life of so many spot nodes with ten pods each: every hour one in a hundred gets its notice, and
/// one in two hundred an alert about a GPU that clears after twenty minutes.
fn life(nodes: u32, hours: u32) -> Scenario {
    let pools = (nodes / 100).max(1);
    let pool = |at: u32| Pool {
        name: format!("spot-{at}"),
        nodes: nodes / pools,
        zones: ["a", "b", "c"].map(String::from).to_vec(),
        instance_type: "p4d.24xlarge".into(),
        market: Market::Spot,
        slots: 12,
        labels: [("workload".to_owned(), "training".to_owned())].into(),
        price: 10.0,
        grows: Some(Growth {
            most: nodes,
            boots_in: Duration::from_secs(90),
            market: Market::OnDemand,
        }),
        ..Pool::default()
    };
    let app = |at: u32| App {
        namespace: "training".into(),
        name: format!("app-{at}"),
        replicas: nodes / pools * 10,
        pools: vec![format!("spot-{at}")],
        budgets: vec![Budget::MaxUnavailable(nodes / pools * 3)],
        grace: 30,
        starts_in: Duration::from_secs(10),
        stops_in: Duration::from_secs(3),
        ..App::default()
    };
    let pick = |count| Pick { count: Some(count), ..Pick::default() };
    let each =
        |at: u64, deed| Step { at: Duration::from_secs(at), deed, times: hours, every: HOUR };
    let labels = [("alertname".to_owned(), "GpuXidCritical".to_owned())];
    Scenario {
        name: format!("{nodes} nodes"),
        lasts: HOUR * hours,
        pools: (0..pools).map(pool).collect(),
        apps: (0..pools).map(app).collect(),
        happens: vec![
            each(
                600,
                Deed::SpotNotice {
                    pick: pick((nodes / 100).max(1)),
                    action: "terminate".into(),
                    taken: true,
                },
            ),
            each(
                1800,
                Deed::Alert {
                    labels: labels.into(),
                    annotations: [].into(),
                    pick: Some(pick((nodes / 200).max(1))),
                    count: 1,
                    clears_after: Some(Duration::from_secs(1200)),
                },
            ),
        ],
        ..Scenario::default()
    }
}

fn main() {
    let rules = shipped();
    println!(
        "{:>7} {:>9} {:>7} {:>12} {:>9} {:>10} {:>12}",
        "NODES", "PODS", "HOURS", "REMEDIATIONS", "CALLS", "REAL", "TIMES FASTER"
    );
    let only: Option<u32> = std::env::var("MEDEVAC_NODES").ok().and_then(|text| text.parse().ok());
    let all = [(100, 96), (1000, 24), (10_000, 4)];
    for (nodes, hours) in
        all.into_iter().filter(|(nodes, _)| only.is_none_or(|only| only == *nodes))
    {
        let scenario = life(nodes, hours);
        let orders = Orders { silent: true, ..Orders::default() };
        let began = Instant::now();
        let report = play(&scenario, &rules, &orders);
        let real = began.elapsed().as_secs_f64();
        assert!(report.violations.is_empty(), "{:?}", report.violations);
        let faster = report.lasted.as_secs_f64() / real;
        let plans = report.ledger.plans.len();
        println!(
            "{nodes:>7} {:>9} {hours:>7} {plans:>12} {:>9} {real:>8.2} s {faster:>12.0}",
            nodes * 10,
            report.calls
        );
    }
}
