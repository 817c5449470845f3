//! The part of the configuration that is about what pages carry.

use crate::config::{Evidence, Graph};
use crate::rules::Code;
use crate::rules::reading::{Entries, Faults, Node, Of, Shape, key, must};

pub(super) static EVIDENCE: Shape = Shape {
    name: "`evidence`",
    fields: &[
        key("log_lines", Of::Number, "The last lines of each log. Default 20, at most 200."),
        key("grafana", Of::Text, "https://grafana.example.org"),
        key(
            "dashboards",
            Of::Texts,
            "UIDs in Grafana. Links have the time, and the variables node, pool, zone, namespace, workload and pod, as far as they are known.",
        ),
        key("prometheus", Of::Text, "http://prometheus:9090"),
        key("graphs", Of::List(&GRAPH), "Numbers of the last hour, in words and drawn."),
        key(
            "runbooks",
            Of::Text,
            "Where rules/runbooks.md is read: before a `runbook` that is no URL itself. https://wiki.example.org/medevac",
        ),
        key(
            "public_url",
            Of::Text,
            "Where people reach this daemon, for links to drawings. Default: there are no links.",
        ),
    ],
};

static GRAPH: Shape = Shape {
    name: "a graph",
    fields: &[
        must("title", Of::Text, "For people."),
        must(
            "query",
            Of::Text,
            "PromQL. {{node}}, {{pool}}, {{zone}}, {{namespace}}, {{workload}} and {{pod}} are filled in; where one is not known, the graph is left out.",
        ),
    ],
};

const MOST_LINES: u32 = 200;
const MOST_GRAPHS: usize = 8;

pub(super) fn evidence(node: &Node, faults: &mut Faults) -> Evidence {
    let Some(entries) = Entries::of(node, &EVIDENCE, faults) else { return Evidence::default() };
    let url = |key: &str, faults: &mut Faults| {
        let written = entries.text(key, faults)?;
        if !written.starts_with("https://") && !written.starts_with("http://") {
            let place = entries.get(key).map_or(entries.place(), |node| &node.place);
            faults.add(Code::BadValue, place, "a URL starts with https:// or http://");
        }
        Some(written)
    };
    let (grafana, prometheus) = (url("grafana", faults), url("prometheus", faults));
    let (public_url, runbooks) = (url("public_url", faults), url("runbooks", faults));
    let graph = |node: &Node, faults: &mut Faults| {
        let entries = Entries::of(node, &GRAPH, faults)?;
        Some(Graph { title: entries.text("title", faults)?, query: entries.text("query", faults)? })
    };
    let nodes = entries.list("graphs", faults);
    if nodes.len() > MOST_GRAPHS {
        let message = format!("at most {MOST_GRAPHS}: a page is out before more are asked for");
        faults.add(Code::TooLarge, entries.place(), message);
    }
    let graphs: Vec<Graph> = nodes.iter().filter_map(|node| graph(node, faults)).collect();
    for (key, needs, there) in [
        ("dashboards", "grafana", grafana.is_some()),
        ("graphs", "prometheus", prometheus.is_some()),
    ] {
        if let (Some(node), false) = (entries.get(key), there) {
            faults.add(Code::MissingKey, &node.place, format!("`{key}` need `{needs}`"));
        }
    }
    Evidence {
        log_lines: entries.number("log_lines", faults).unwrap_or(20).clamp(1, MOST_LINES),
        grafana,
        dashboards: entries.words("dashboards", faults),
        prometheus,
        graphs,
        runbooks,
        public_url,
    }
}
