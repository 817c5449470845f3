//! Metrics and logs. Names and labels are fixed here; a label's value never comes from `Debug`.
//!
//! May import: `model`.

mod logs;

pub use logs::log;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FeedLabels {
    feed: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    rule: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PageLabels {
    provider: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GuardLabels {
    guard: String,
}

/// Every metric of the daemon. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    events: Family<SourceLabels, Counter>,
    feed_lag: Family<FeedLabels, Histogram, fn() -> Histogram>,
    feed_confirmed: Family<FeedLabels, Counter>,
    decision: Histogram,
    first_call: Histogram,
    decisions: Family<RuleLabels, Counter>,
    remediations: Family<RuleLabels, Counter>,
    misses: Family<RuleLabels, Counter>,
    slack: Histogram,
    killed: Family<RuleLabels, Counter>,
    lost_work: Family<RuleLabels, Counter>,
    held: Family<GuardLabels, Gauge>,
    denied: Family<GuardLabels, Counter>,
    pages: Family<PageLabels, Counter>,
    unanswered: Counter,
    lag: Gauge,
    incidents: Gauge,
    episodes: Gauge,
    forgotten: Gauge,
    windows: Gauge,
    refused: Gauge,
    late: Gauge,
    rules: Gauge,
    active: Gauge,
    skew: Gauge<f64, AtomicU64>,
    rejected: Counter,
}

/// From half a millisecond to two minutes: a spot notice gives no more.
const LATENCIES: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0];
/// Seconds left when a plan ended; below zero it came too late.
const SLACKS: [f64; 9] = [-60.0, -10.0, 0.0, 5.0, 10.0, 20.0, 40.0, 80.0, 120.0];

impl Default for Metrics {
    fn default() -> Metrics {
        let latency = || Histogram::new(LATENCIES);
        let metrics = Metrics {
            registry: Arc::new(Mutex::new(Registry::with_prefix("medevac"))),
            events: Family::default(),
            feed_lag: Family::new_with_constructor(|| Histogram::new(LATENCIES)),
            feed_confirmed: Family::default(),
            decision: latency(),
            first_call: latency(),
            decisions: Family::default(),
            remediations: Family::default(),
            misses: Family::default(),
            slack: Histogram::new(SLACKS),
            killed: Family::default(),
            lost_work: Family::default(),
            held: Family::default(),
            denied: Family::default(),
            pages: Family::default(),
            unanswered: Counter::default(),
            lag: Gauge::default(),
            incidents: Gauge::default(),
            episodes: Gauge::default(),
            forgotten: Gauge::default(),
            windows: Gauge::default(),
            refused: Gauge::default(),
            late: Gauge::default(),
            rules: Gauge::default(),
            active: Gauge::default(),
            skew: Gauge::default(),
            rejected: Counter::default(),
        };
        metrics.register();
        metrics
    }
}

fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

impl Metrics {
    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let all = &mut *registry;
        all.register("events", "Events by source and outcome", self.events.clone());
        let seconds = |all: &mut Registry, name: &str, help: &str, metric: &Histogram| {
            all.register_with_unit(name, help, Unit::Seconds, metric.clone());
        };
        let lag = "From a notice's own time to the log, by feed";
        all.register_with_unit("feed_lag", lag, Unit::Seconds, self.feed_lag.clone());
        let confirmed = "Notices that another feed had told before";
        all.register("feed_confirmed", confirmed, self.feed_confirmed.clone());
        seconds(all, "event_decision", "From durable to decided", &self.decision);
        seconds(
            all,
            "event_first_call",
            "From durable to the first request that changes something",
            &self.first_call,
        );
        seconds(all, "deadline_slack", "Left before the deadline when a plan ended", &self.slack);
        let killed = "Pods that did not end by themselves before their machine went";
        all.register("pods_hard_killed", killed, self.killed.clone());
        let lost = "Work since the last checkpoint that was lost, over all members";
        all.register_with_unit("lost_work", lost, Unit::Seconds, self.lost_work.clone());
        all.register("decisions", "Decisions by rule and verdict", self.decisions.clone());
        all.register("remediations", "Remediations by rule and outcome", self.remediations.clone());
        all.register("condition_misses", "Conditions without an answer", self.misses.clone());
        all.register("guard_held", "Reservations held", self.held.clone());
        all.register("guard_denied", "Reservations denied", self.denied.clone());
        all.register("pages", "Pages by provider and outcome", self.pages.clone());
        all.register("pages_unanswered", "Incidents that nobody answered", self.unanswered.clone());
        all.register(
            "log_lag_records",
            "Records that the engine has not decided on yet",
            self.lag.clone(),
        );
        all.register("incidents_open", "Open incidents", self.incidents.clone());
        all.register("alert_episodes", "Alert episodes remembered", self.episodes.clone());
        let forgotten = "Open alert episodes forgotten because there were too many";
        all.register("alert_episodes_forgotten", forgotten, self.forgotten.clone());
        all.register("windows", "Windows and timers of time words that live", self.windows.clone());
        let refused = "Windows and timers not begun because there were too many";
        all.register("windows_refused", refused, self.refused.clone());
        let late = "Events that came too late for a time word";
        all.register("events_late", late, self.late.clone());
        all.register("rules", "Rules in force", self.rules.clone());
        all.register("active", "1 on the replica that decides and acts", self.active.clone());
        let skew = "By how much the API server's clock and this one differ; deadlines are met so much earlier";
        all.register_with_unit("clock_skew", skew, Unit::Seconds, self.skew.clone());
        all.register("rules_rejected", "Reloads that were refused", self.rejected.clone());
    }

    /// The Prometheus text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = encode(&mut text, &registry) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        text
    }

    pub fn received(&self, source: &'static str, outcome: &'static str, count: usize) {
        if count > 0 {
            self.events.get_or_create(&SourceLabels { source, outcome }).inc_by(count as u64);
        }
    }

    /// A feed has told of a notice, `lag` seconds after its own time.
    pub fn heard(&self, feed: &str, lag: f64, confirms: bool) {
        const FEEDS: [&str; 3] = ["eventbridge", "metadata", "autoscaling"];
        let Some(feed) = FEEDS.into_iter().find(|known| *known == feed) else { return };
        self.feed_lag.get_or_create(&FeedLabels { feed }).observe(lag);
        if confirms {
            self.feed_confirmed.get_or_create(&FeedLabels { feed }).inc();
        }
    }

    pub fn decided(&self, waited: Duration) {
        self.decision.observe(waited.as_secs_f64());
    }

    pub fn verdict(&self, rule: &str, outcome: &'static str) {
        self.decisions.get_or_create(&RuleLabels { rule: rule.into(), outcome }).inc();
    }

    pub fn missed(&self, rule: &str) {
        self.misses.get_or_create(&RuleLabels { rule: rule.into(), outcome: "no_answer" }).inc();
    }

    pub fn first_call(&self, waited: Duration) {
        self.first_call.observe(waited.as_secs_f64());
    }

    pub fn remediated(&self, rule: &str, outcome: &'static str, slack: Option<f64>) {
        self.remediations.get_or_create(&RuleLabels { rule: rule.into(), outcome }).inc();
        if let Some(slack) = slack {
            self.slack.observe(slack);
        }
    }

    /// Pods that a remediation could not let end by themselves, and work that was lost with them, in seconds.
    pub fn lost(&self, rule: &str, killed: u32, work: u64) {
        let labels = RuleLabels { rule: rule.into(), outcome: "lost" };
        self.killed.get_or_create(&labels).inc_by(u64::from(killed));
        self.lost_work.get_or_create(&labels).inc_by(work);
    }

    pub fn guard_held(&self, held: impl Iterator<Item = (String, usize)>) {
        self.held.clear();
        for (guard, count) in held {
            self.held
                .get_or_create(&GuardLabels { guard })
                .inc_by(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub fn guard_denied(&self, guard: &str) {
        self.denied.get_or_create(&GuardLabels { guard: guard.into() }).inc();
    }

    pub fn paged(&self, provider: &'static str, outcome: &'static str) {
        self.pages.get_or_create(&PageLabels { provider, outcome }).inc();
    }

    pub fn unanswered(&self) {
        self.unanswered.inc();
    }

    pub fn state(&self, lag: u64, incidents: usize, episodes: usize, forgotten: u64) {
        set(&self.lag, lag);
        set(&self.incidents, incidents as u64);
        set(&self.episodes, episodes as u64);
        set(&self.forgotten, forgotten);
    }

    /// How many windows there are, were refused, and how many events came too late for them.
    pub fn windows(&self, live: usize, refused: u64, late: u64) {
        set(&self.windows, live as u64);
        set(&self.refused, refused);
        set(&self.late, late);
    }

    /// Whether this replica decides and acts.
    pub fn active(&self, active: bool) {
        self.active.set(i64::from(active));
    }

    /// By how much the API server's clock and this one differ, whichever is ahead.
    pub fn clocks_differ(&self, skew: Duration) {
        self.skew.set(skew.as_secs_f64());
    }

    /// What is in force. Counters that alerts look at begin at 0: of one that is born with its first event, nobody hears.
    pub fn rules_loaded<'a>(
        &self,
        rules: impl ExactSizeIterator<Item = &'a str>,
        providers: impl Iterator<Item = &'static str>,
    ) {
        self.rules.set(i64::try_from(rules.len()).unwrap_or(i64::MAX));
        rules.for_each(|rule| self.lost(rule, 0, 0));
        for provider in providers {
            self.pages.get_or_create(&PageLabels { provider, outcome: "refused" }).inc_by(0);
        }
    }

    pub fn rules_rejected(&self) {
        self.rejected.inc();
    }
}
