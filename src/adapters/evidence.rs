//! What a page carries that has to be fetched: ends of logs, what the cluster told, links to dashboards, graphs. It is
//! fetched when a page goes out, in bounded time: a page never waits for its evidence, and what cannot be had is named.
//!
//! `logs` asks the API server, `grafana` makes links, `prometheus` asks for numbers, `chart` draws them, `mask` takes
//! secrets out of whatever comes from outside.

mod chart;
mod grafana;
mod logs;
mod mask;
mod prometheus;

pub use chart::{Line, svg};
pub use mask::mask;

use crate::clock::Clock;
use crate::cluster::{ClusterView, Sight};
use crate::config::Evidence;
use crate::escalation::Dispatch;
use crate::log::Kv;
use crate::model::{Contact, Delivery, PageKey, PageKind, Report, Target};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A page is out within this time, with what has been fetched by then.
const PATIENCE: Duration = Duration::from_secs(8);

/// Roads to people, with evidence for what goes along them.
#[derive(Clone)]
pub struct Evident<D, V, L, C> {
    pub inner: D,
    pub view: V,
    pub log: L,
    pub clock: C,
    pub client: reqwest::Client,
    pub config: Arc<Evidence>,
}

impl<D: Dispatch, V: ClusterView, L: Kv, C: Clock> Dispatch for Evident<D, V, L, C> {
    async fn send(&self, contact: &Contact, key: &PageKey, report: &Report) -> Delivery {
        if key.kind != PageKind::Trigger {
            return self.inner.send(contact, key, report).await;
        }
        let report = self.with_evidence(report).await;
        self.inner.send(contact, key, &report).await
    }
}

/// What is fetched, where a level asks for it.
const FETCHED: [&str; 3] = ["logs", "events", "dashboards"];

impl<D, V: ClusterView, L: Kv, C: Clock> Evident<D, V, L, C> {
    async fn with_evidence(&self, report: &Report) -> Report {
        let mut report = report.clone();
        let asked = |name: &str| {
            report.evidence.iter().chain(&report.missing).any(|(known, _)| known == name)
        };
        let wanted = FETCHED.map(|name| asked(name).then_some(name));
        let about = About::of(&report, &self.view);
        // Beside each other: one that is slow takes nothing from the others.
        let [logs, events, dashboards] = wanted.map(|name| self.piece(name, &about));
        let fetched: [_; 3] = tokio::join!(logs, events, dashboards).into();
        for (name, fetched) in FETCHED.into_iter().zip(fetched) {
            match fetched {
                Some(Ok(text)) => add(&mut report, name, &text),
                Some(Err(why)) => report
                    .missing
                    .iter_mut()
                    .filter(|(of, _)| of == name)
                    .for_each(|it| it.1.clone_from(&why)),
                None => {}
            }
        }
        self.link_runbook(&mut report);
        // What an alert describes, a diagnosis quotes or a step answered comes from outside as well.
        for (_, text) in &mut report.evidence {
            *text = mask(text);
        }
        report
    }

    /// `None`: nobody asks for it.
    async fn piece(&self, name: Option<&str>, about: &About) -> Option<Result<String, String>> {
        let name = name?;
        let fetched = async {
            match name {
                "logs" => logs::tails(&self.view, about, self.config.log_lines).await,
                "events" => logs::events(&self.view, about).await,
                _ => self.dashboards(about).await,
            }
        };
        let late = || Err(format!("it could not be fetched within {} s", PATIENCE.as_secs()));
        Some(tokio::time::timeout(PATIENCE, fetched).await.unwrap_or_else(|_| late()))
    }

    /// A runbook that is no URL itself stands where the configuration says.
    fn link_runbook(&self, report: &mut Report) {
        let Some(base) = &self.config.runbooks else { return };
        let mut all = report.evidence.iter_mut();
        let found = all.find(|(name, text)| name == "runbook" && !text.contains("://"));
        if let Some((_, text)) = found {
            *text = format!("{}/{}", base.trim_end_matches('/'), text.trim_start_matches('/'));
        }
    }

    async fn dashboards(&self, about: &About) -> Result<String, String> {
        let now = self.clock.now();
        let mut lines = grafana::links(&self.config, about, now);
        lines.extend(prometheus::graphs(self, about, now).await);
        if lines.is_empty() {
            Err("`evidence` in the configuration names none".into())
        } else {
            Ok(lines.join("\n"))
        }
    }
}

/// What was there stays, and what was fetched comes after it.
fn add(report: &mut Report, name: &str, text: &str) {
    report.missing.retain(|(of, _)| of != name);
    match report.evidence.iter_mut().find(|(of, _)| of == name) {
        Some((_, known)) => known.push_str(&format!("\n{text}")),
        None => report.evidence.push((name.to_owned(), text.to_owned())),
    }
}

/// What the page is about, and the names by which dashboards and queries find it.
pub(crate) struct About {
    target: Target,
    names: BTreeMap<&'static str, String>,
}

impl About {
    fn of(report: &Report, view: &impl ClusterView) -> About {
        let target = Target::lenient(&report.target);
        let look = view.look(&Sight::of(&target));
        let mut names = BTreeMap::new();
        if let Some(node) = look.node {
            names.insert("node", node.name);
            names.insert("pool", node.pool);
            names.insert("zone", node.zone);
        }
        match &target {
            Target::Pod { namespace, name } => {
                names.insert("namespace", namespace.clone());
                names.insert("pod", name.clone());
            }
            Target::Workload { namespace, name, .. } => {
                names.insert("namespace", namespace.clone());
                names.insert("workload", name.clone());
            }
            Target::Other { kind, name } if kind == "namespace" => {
                names.insert("namespace", name.clone());
            }
            Target::Other { kind, name } if kind == "pool" => {
                names.insert("pool", name.clone());
            }
            Target::Node(name) => {
                names.insert("node", name.clone());
            }
            Target::Instance(_) | Target::Other { .. } => {}
        }
        names.retain(|_, name| !name.is_empty());
        About { target, names }
    }

    /// The text with its `{names}` filled in. `None`: one is not known here, or could be read as more than a name.
    fn fill(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, end) = after.split_once("}}")?;
            let value = self.names.get(name.trim())?;
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
            if !value.chars().all(plain) {
                return None;
            }
            out.push_str(before);
            out.push_str(value);
            rest = end;
        }
        Some(out + rest)
    }
}

#[cfg(test)]
mod tests;
