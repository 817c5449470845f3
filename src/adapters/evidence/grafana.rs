//! Links to dashboards, at the time and with the variables of what the page is about.

use super::About;
use crate::config::Evidence;
use crate::model::escape;
use jiff::Timestamp;
use std::time::Duration;

/// From so long before the page on; to so long after, for whoever opens it late.
const BEFORE: Duration = Duration::from_secs(3600);
const AFTER: Duration = Duration::from_secs(900);

fn encoded(text: &str) -> String {
    escape(text, '%', "-_.~")
}

pub(super) fn links(config: &Evidence, about: &About, now: Timestamp) -> Vec<String> {
    let Some(base) = &config.grafana else { return vec![] };
    let (from, to) =
        (now.checked_sub(BEFORE).unwrap_or(now), now.checked_add(AFTER).unwrap_or(now));
    let link = |uid: &String| {
        let variables: String = about
            .names
            .iter()
            .map(|(name, value)| format!("&var-{name}={}", encoded(value)))
            .collect();
        let range = format!("from={}&to={}", from.as_millisecond(), to.as_millisecond());
        format!("{}/d/{}?{range}{variables}", base.trim_end_matches('/'), encoded(uid))
    };
    config.dashboards.iter().map(link).collect()
}
