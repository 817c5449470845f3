//! The alerts that ship, the guide's among them: synthetic DCGM series, evaluated by a real Prometheus, through a real
//! Alertmanager, by the packs that ship, to a remediation and a page to whose turn it is.

use crate::{
    deploy::groups,
    support::{
        daemon::{self, Door, Orders, PACKS},
        incidents,
        servers::{Alertmanager, Prometheus, exporter},
        until,
    },
};
use medevac::log::{Log, Stream};
use medevac::model::{Outcome, PageStep};

/// As dcgm-exporter has them: one machine whose GPU has failed, one whose memory is full, one that is neither.
const SERIES: &str = "\
DCGM_FI_DEV_XID_ERRORS{gpu=\"0\",Hostname=\"n1\"} 79
DCGM_FI_DEV_GPU_UTIL{gpu=\"0\",Hostname=\"n2\"} 40
DCGM_FI_DEV_GPU_UTIL{gpu=\"0\",Hostname=\"n3\"} 95
DCGM_FI_DEV_FB_USED{gpu=\"0\",Hostname=\"n1\"} 1000
DCGM_FI_DEV_FB_TOTAL{gpu=\"0\",Hostname=\"n1\"} 80000
DCGM_FI_DEV_FB_USED{gpu=\"0\",Hostname=\"n2\"} 79000
DCGM_FI_DEV_FB_TOTAL{gpu=\"0\",Hostname=\"n2\"} 80000
";

#[tokio::test]
async fn the_alerts_and_packs_that_ship_lead_to_a_remediation_and_a_page() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let scraped = exporter(SERIES).await;
    let orders = Orders::new(&at.join("data"), 0, PACKS);
    let daemon = daemon::start(&orders, Door::default()).await;
    let hook = format!("{}/api/v1/alertmanager", daemon.url);
    let config = format!(
        "route: {{receiver: medevac, group_by: [alertname], group_wait: 200ms, group_interval: 1s}}\n\
         receivers:\n- name: medevac\n  webhook_configs: [{{url: \"{hook}\", send_resolved: true}}]\n"
    );
    let alertmanager = Alertmanager::start(at, &config).await;
    // The shipped rules, but for the five minutes: they are promtool's to test.
    let shipped = groups();
    assert_eq!(shipped.matches("for: 5m").count(), 4, "two of the guide, and two more");
    std::fs::write(at.join("groups.yaml"), shipped.replace("for: 5m", "for: 2s")).unwrap();
    let target = alertmanager.url.trim_start_matches("http://").to_owned();
    std::fs::write(
        at.join("prometheus.yml"),
        format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [groups.yaml]\n\
             scrape_configs: [{{job_name: dcgm, static_configs: [{{targets: [\"{scraped}\"]}}]}}]\n\
             alerting: {{alertmanagers: [{{static_configs: [{{targets: [\"{target}\"]}}]}}]}}\n"
        ),
    )
    .unwrap();
    let _prometheus = Prometheus::start(at).await;
    let ill = until("the ill node is emptied", || async {
        let all = incidents(&daemon.url).await;
        all.into_iter().find(|one| one["last_end"] == "succeeded")
    })
    .await;
    assert_eq!((&ill["target"], &ill["severity"]), (&"node/n1".into(), &"error".into()));
    let full = until("people hear of the full one", || async {
        let all = incidents(&daemon.url).await;
        all.into_iter().find(|one| one["target"] == "node/n2")
    })
    .await;
    assert_eq!(
        (&full["severity"], &full["title"]),
        (&"critical".into(), &"GPU memory pressure detected".into())
    );
    // Critical, as the guide has it: straight to the top, to whose turn it is.
    let turn = daemon::ruleset(PACKS).directory;
    let turn = turn.meant("platform-on-call", jiff::Timestamp::now()).unwrap().to_owned();
    let page = until("the page is out", || async {
        let all = daemon.log.read(0, &[Stream::Outcomes], 10_000).await.unwrap();
        all.iter().find_map(|record| match record.open::<Outcome>().ok()?.data {
            Outcome::Page { step: PageStep::Delivered { key, .. }, .. } => Some(key),
            _ => None,
        })
    })
    .await;
    assert_eq!((page.level, page.contact.as_str()), (3, turn.as_str()));
    assert!(
        incidents(&daemon.url).await.iter().all(|one| one["target"] != "node/n3"),
        "95 is not over 95"
    );
}
