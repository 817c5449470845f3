//! Hot reload: a good edit takes over with the next event, a bad one changes nothing and is said everywhere.

use crate::clock::Clock;
use crate::cluster::ClusterView;
use crate::log::{Kv, Log};
use crate::model::{Envelope, Event, Id, Mode, Secret, Target, kind};
use crate::rules::{self, Policy, Ruleset, SecretRef, Source};
use crate::sources::Intake;
use crate::telemetry::Metrics;
use serde_json::json;
use std::{future::Future, sync::Arc};
use tokio::sync::watch;

/// Where rule files come from.
pub trait Files: Send + 'static {
    /// All files as they stand.
    ///
    /// # Errors
    /// A file or directory that cannot be read, in words.
    fn read(&self) -> Result<Vec<Arc<Source>>, String>;

    /// # Errors
    /// A secret that cannot be had, in words that do not quote it.
    fn secret(&self, reference: &SecretRef) -> Result<Secret, String>;

    /// No rule may be bolder than this.
    fn mode(&self) -> Mode {
        Mode::Enforce
    }

    /// What is asked of every rule.
    fn policy(&self) -> Policy {
        Policy::default()
    }

    /// Resolves at the next change of any file.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;
}

/// Tells the metrics what is in force.
pub fn in_force(metrics: &Metrics, rules: &Ruleset) {
    let names = rules.rules.iter().map(|rule| rule.name.as_str());
    let contacts = rules.directory.contacts.values();
    metrics.rules_loaded(names, contacts.map(|contact| contact.pager.word()));
}

/// Keeps `rules` at what the files say, for as long as anybody listens.
pub async fn reload<L: Log + Kv, C: Clock, V: ClusterView>(
    mut files: impl Files + Sync,
    rules: watch::Sender<Arc<Ruleset>>,
    intake: Intake<L, C, V>,
    metrics: Metrics,
) {
    loop {
        files.changed().await;
        let before = rules.borrow().version.clone();
        let loaded = files.read().map_err(|why| vec![why]).and_then(|sources| {
            rules::load_under(&files.policy(), &sources, &|reference| files.secret(reference))
                .map_err(|faults| faults.iter().map(rules::Diagnostic::line).collect())
        });
        let (kind, payload) = match loaded {
            Ok(next) if next.version == before => continue,
            Ok(next) => {
                tracing::info!(rules = next.rules.len(), version = ?next.version, "the rules were reloaded");
                in_force(&metrics, &next);
                let payload = json!({ "rules": next.rules.len(), "version": next.version });
                rules.send_replace(Arc::new(next.at_most(files.mode())));
                (kind::RULES_LOADED, payload)
            }
            Err(faults) => {
                for fault in &faults {
                    tracing::error!("{fault}");
                }
                tracing::error!(
                    faults = faults.len(),
                    "the edited rules are refused; those before stay in force"
                );
                metrics.rules_rejected();
                (kind::RULES_REJECTED, json!({ "faults": faults }))
            }
        };
        let now = intake.clock.now();
        let id = Id::of(&[kind, &now.to_string()]);
        let target = Target::Other { kind: "rules".into(), name: "files".into() };
        let data = Event { payload, ..Event::default() };
        let event = Envelope::new(kind, id, "medevac/rules", target, now, data);
        if let Err(error) = intake.own(vec![event]).await {
            tracing::warn!(%error, "the reload is not in the log");
        }
    }
}
