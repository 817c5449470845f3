//! What a page carries that is fetched as it goes out: logs without secrets, events, links, and numbers of a real Prometheus,
//! drawn and kept where the daemon serves them.

use crate::support::{
    client,
    servers::{Prometheus, exporter},
    until,
};
use medevac::adapters::embedded::{Embedded, Options};
use medevac::adapters::evidence::Evident;
use medevac::clock::System;
use medevac::cluster::{ClusterView, Sight};
use medevac::config::{Evidence, Graph};
use medevac::escalation::Dispatch;
use medevac::log::{Kv, bucket};
use medevac::model::{
    Answer, Contact, Context, Delivery, Look, Node, PageKey, PageKind, Pager, Pod, Question,
    Refusal, Report, Severity, Target,
};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// A node with one pod that does not run; its log has a secret in it.
#[derive(Clone)]
struct View;

impl ClusterView for View {
    fn ready(&self) -> bool {
        true
    }

    fn look(&self, _: &Sight) -> Look {
        let pod = Pod {
            namespace: "training".into(),
            name: "llm-0".into(),
            node: "n1".into(),
            ..Pod::default()
        };
        let node = Node { name: "n1".into(), pool: "spot".into(), ..Node::default() };
        Look { node: Some(node), pods: vec![pod], ..Look::default() }
    }

    fn context(&self, _: &Target) -> Context {
        Context::default()
    }

    fn node_named(&self, _: &str) -> Option<String> {
        None
    }

    async fn ask(&self, question: Question) -> Answer {
        match question {
            // It waits to be started again: what it said before it ended counts.
            Question::Logs { before: false, .. } => {
                Answer::Refused(Refusal::Invalid("waiting to start".into()))
            }
            Question::Logs { .. } => Answer::Said(
                "step 4096\nHF_TOKEN=hf_abcdefghijklmnop\nCUDA error: \u{1b}[31mXid 79\n".into(),
            ),
            Question::Events { .. } => {
                let event = json!({ "reason": "NodeXid", "message": "Xid 79", "lastTimestamp": "2026-11-27T01:00:00Z" });
                Answer::Said(json!([event]).to_string())
            }
            other => panic!("nobody asks {other:?}"),
        }
    }

    fn version(&self, _: &Sight) -> u64 {
        0
    }

    async fn changed(&self, _: &Sight, _: u64) {}
}

/// Takes whatever comes.
#[derive(Clone, Default)]
struct Taken(Arc<Mutex<Vec<Report>>>);

impl Dispatch for Taken {
    async fn send(&self, _: &Contact, _: &PageKey, report: &Report) -> Delivery {
        self.0.lock().unwrap().push(report.clone());
        Delivery::Accepted(String::new())
    }
}

fn report() -> Report {
    let missing =
        ["logs", "dashboards"].map(|name| (name.to_owned(), "nobody has looked".to_owned()));
    Report {
        incident: "inc-1".into(),
        title: "t".into(),
        target: "node/n1".into(),
        severity: Severity::Error,
        policy: "p".into(),
        level: 1,
        why: "w".into(),
        evidence: vec![("events".into(), "as the alert has it".into())],
        missing: missing.into(),
        thread: None,
    }
}

fn key(kind: PageKind) -> PageKey {
    PageKey { incident: "inc-1".into(), level: 1, nth: 1, contact: "c".into(), kind }
}

#[tokio::test]
async fn a_page_has_logs_events_links_and_graphs_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let scraped = exporter("DCGM_FI_DEV_GPU_UTIL{gpu=\"0\",Hostname=\"n1\"} 98\nDCGM_FI_DEV_GPU_UTIL{gpu=\"1\",Hostname=\"n2\"} 7\n").await;
    std::fs::write(
        at.join("prometheus.yml"),
        format!("global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: dcgm, static_configs: [{{targets: [\"{scraped}\"]}}]}}]\n"),
    )
    .unwrap();
    let prometheus = Prometheus::start(at).await;
    until("it has scraped", || async {
        // So long ago that a query of whole seconds has it.
        let url =
            format!("{}/api/v1/query?query=DCGM_FI_DEV_GPU_UTIL%20offset%202s", prometheus.url);
        let text = client().get(url).send().await.ok()?.text().await.ok()?;
        text.contains("98").then_some(())
    })
    .await;
    let graph = |title: &str, query: &str| Graph { title: title.into(), query: query.into() };
    let config = Evidence {
        grafana: Some("https://grafana.example.org".into()),
        dashboards: vec!["medevac-gpu".into()],
        prometheus: Some(prometheus.url.clone()),
        graphs: vec![
            graph("utilization", "DCGM_FI_DEV_GPU_UTIL{Hostname=\"{{node}}\"}"),
            graph("of a pod", "x{pod=\"{{pod}}\"}"),
            graph("broken", "sum("),
        ],
        public_url: Some("https://medevac.example.org/".into()),
        ..Evidence::default()
    };
    let log = Embedded::open(&at.join("data"), Options::default(), System).unwrap();
    let taken = Taken::default();
    let road = Evident {
        inner: taken.clone(),
        view: View,
        log: log.clone(),
        clock: System,
        client: client(),
        config: Arc::new(config),
    };
    let contact = Contact { name: "c".into(), pager: Pager::Console, fallback: None };
    road.send(&contact, &key(PageKind::Trigger), &report()).await;
    road.send(&contact, &key(PageKind::Resolve), &report()).await;
    let all = taken.0.lock().unwrap().clone();
    assert_eq!(all[1], report(), "what is over needs no evidence");
    let of = |name: &str| {
        all[0].evidence.iter().find(|(of, _)| of == name).map(|(_, text)| text.clone()).unwrap()
    };
    assert_eq!(all[0].missing, []);
    assert_eq!(
        of("logs"),
        "--- training/llm-0\nstep 4096\nHF_TOKEN=[masked]\nCUDA error: [31mXid 79"
    );
    assert_eq!(of("events"), "as the alert has it\n2026-11-27T01:00:00Z NodeXid Xid 79");
    let boards = of("dashboards");
    let lines: Vec<&str> = boards.lines().collect();
    assert!(
        lines[0].starts_with("https://grafana.example.org/d/medevac-gpu?from=")
            && lines[0].ends_with("&var-node=n1&var-pool=spot"),
        "{boards}"
    );
    let (words, link) = lines[1].rsplit_once(' ').unwrap();
    assert_eq!(words, "utilization: 98 now at most, 98 to 98 in the last hour, 1 series");
    assert!(
        lines[2].starts_with("broken: Prometheus: ") && lines.len() == 3,
        "the pod is not known: {boards}"
    );
    let id = link.strip_prefix("https://medevac.example.org/api/v1/graphs/").unwrap();
    let drawn = log.get(bucket::GRAPHS, id).await.unwrap().unwrap();
    let svg = String::from_utf8(drawn.value).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("<polyline"), "{svg}");
    assert!(drawn.expires.is_some());
}
