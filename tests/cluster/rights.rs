//! What the daemon may not do is named, with what to grant.

use crate::{
    plane::Plane,
    support::{
        daemon::{self, Door, Orders},
        get, until,
    },
};
use std::sync::Arc;

pub(crate) async fn a_missing_right_is_named(plane: Arc<Plane>) {
    let rules = "rules: [{name: r, when: x, then: [{wait: {time: 1s}}]}]";
    let mut orders = Orders::new(&plane.directory.path().join("rights"), 0, rules);
    orders.kubeconfig = Some(plane.powerless.clone());
    let daemon = daemon::start(&orders, Door::default()).await;
    let client = medevac::adapters::kubernetes::connect(Some(&plane.powerless)).await.unwrap();
    let view = medevac::adapters::kubernetes::KubernetesView::start(&client, None);
    let wanted = "the right `list` on `nodes` is missing: grant it to powerless";
    let said = until("the watch of nodes is refused, in words", || async {
        let said = view.waiting_for().join("\n");
        said.contains(wanted).then_some(said)
    })
    .await;
    assert!(!said.contains("token") && !said.contains(plane.url()), "{said}");
    let ready = get(&format!("{}/readyz", daemon.url)).await.unwrap();
    assert_eq!(ready["ready"], false);
}
