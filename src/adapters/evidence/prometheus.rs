//! Numbers from Prometheus over the last hour: in words for the page, and drawn, behind a link.

use super::super::body::body;
use super::chart::{Line, svg};
use super::{About, Evident};
use crate::clock::Clock;
use crate::cluster::ClusterView;
use crate::log::{Condition, Kv, bucket};
use crate::model::{Id, chain};
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

const BACK: Duration = Duration::from_secs(3600);
const STEP: u64 = 60;
/// Lines of one graph.
const LINES: usize = 12;
/// A drawing is there for so long.
const KEPT: Duration = Duration::from_secs(14 * 86_400);
const TIMEOUT: Duration = Duration::from_secs(5);
/// Of an answer.
const LONGEST: usize = 4 << 20;

/// One line for each graph of the configuration that is about something known here.
pub(super) async fn graphs<D, V: ClusterView, L: Kv, C: Clock>(
    of: &Evident<D, V, L, C>,
    about: &About,
    now: Timestamp,
) -> Vec<String> {
    let Some(base) = &of.config.prometheus else { return vec![] };
    let mut told = vec![];
    for graph in &of.config.graphs {
        let Some(query) = about.fill(&graph.query) else { continue };
        let lines = match ask(&of.client, base, &query, now).await {
            Ok(lines) => lines,
            Err(why) => {
                told.push(format!("{}: {why}", graph.title));
                continue;
            }
        };
        let link = match &of.config.public_url {
            Some(url) if !lines.is_empty() => keep(of, &graph.title, &lines, now)
                .await
                .map(|id| format!(" {}/api/v1/graphs/{id}", url.trim_end_matches('/'))),
            _ => None,
        };
        told.push(format!("{}: {}{}", graph.title, in_words(&lines), link.unwrap_or_default()));
    }
    told
}

async fn ask(
    client: &reqwest::Client,
    base: &str,
    query: &str,
    now: Timestamp,
) -> Result<Vec<Line>, String> {
    let from = now.checked_sub(BACK).unwrap_or(now);
    let url = format!("{}/api/v1/query_range", base.trim_end_matches('/'));
    let mut url: reqwest::Url =
        url.parse().map_err(|_| "the URL of Prometheus is none".to_owned())?;
    url.query_pairs_mut()
        .append_pair("query", query)
        .append_pair("start", &from.as_second().to_string())
        .append_pair("end", &now.as_second().to_string())
        .append_pair("step", &STEP.to_string());
    let lost = |error: reqwest::Error| format!("Prometheus: {}", chain(&error.without_url()));
    let answer = client.get(url).timeout(TIMEOUT).send().await.map_err(lost)?;
    let bytes = body(answer, LONGEST).await.map_err(|why| format!("Prometheus: {why}"))?;
    let told: Value = serde_json::from_slice(&bytes)
        .map_err(|_| "Prometheus answered without JSON".to_owned())?;
    if told["status"] != "success" {
        let why = told["error"].as_str().unwrap_or("it gave no reason");
        return Err(format!(
            "Prometheus: {}",
            crate::model::plain(why).chars().take(200).collect::<String>()
        ));
    }
    let all = told["data"]["result"].as_array().into_iter().flatten();
    Ok(all.take(LINES).map(line).collect())
}

/// A series of Prometheus, by the label that tells it best.
fn line(series: &Value) -> Line {
    let metric = &series["metric"];
    let label = ["gpu", "pod", "node", "Hostname", "instance", "deployment"]
        .iter()
        .find_map(|key| metric[*key].as_str());
    let points = series["values"].as_array().into_iter().flatten().filter_map(|pair| {
        let value: f64 = pair[1].as_str()?.parse().ok()?;
        value.is_finite().then_some((pair[0].as_f64()?, value))
    });
    Line { label: label.unwrap_or_default().to_owned(), points: points.collect() }
}

fn in_words(lines: &[Line]) -> String {
    let all = || lines.iter().flat_map(|line| line.points.iter().map(|(_, value)| *value));
    let Some(last) = lines
        .iter()
        .filter_map(|line| line.points.last())
        .map(|(_, value)| *value)
        .reduce(f64::max)
    else {
        return "no data in the last hour".into();
    };
    let (least, most) =
        (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let (last, least, most) = (short(last), short(least), short(most));
    format!("{last} now at most, {least} to {most} in the last hour, {} series", lines.len())
}

/// With four decimals at most.
fn short(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Keeps a drawing beside the log, where every replica finds it.
async fn keep<D, V, L: Kv, C>(
    of: &Evident<D, V, L, C>,
    title: &str,
    lines: &[Line],
    now: Timestamp,
) -> Option<String> {
    let drawn = svg(title, lines).into_bytes();
    let id =
        Id::of(&["graph", title, &now.to_string(), &format!("{lines:?}")]).short(24).to_owned();
    let expires = now.checked_add(KEPT).ok();
    match of.log.put(bucket::GRAPHS, &id, drawn, Condition::Always, expires).await {
        Ok(_) => Some(id),
        Err(error) => {
            tracing::warn!(%error, "a graph is not kept");
            None
        }
    }
}
