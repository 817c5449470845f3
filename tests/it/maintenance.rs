//! `medevac maintenance` against a running daemon: node after node, no further than the first that fails, and where it broke
//! off it goes on.

use crate::support::daemon::{Door, Orders, Running, start};
use crate::support::free_port;
use std::process::Command;

const RULES: &str = r#"
rules:
  - name: emptied
    when: maintenance.requested
    if: node.name != "n2"
    then: [{wait: {time: 1s}}]
  - name: cannot-be
    when: maintenance.requested
    if: node.name == "n2"
    then: [{verify: {expect: node_rebooted, within: 1s}}]
"#;

/// Whether it ended well, and what it said.
async fn maintenance(daemon: &Running, nodes: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_medevac"));
    command.args(["maintenance", "start", "--name", "kernel", "--url", &daemon.url]).args(nodes);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn nodes_go_one_by_one_and_no_further_than_the_first_that_fails() {
    let directory = tempfile::tempdir().unwrap();
    let orders = Orders::new(directory.path(), free_port(), RULES);
    let daemon = start(&orders, Door::default()).await;
    let (good, said) = maintenance(&daemon, &["node/n1", "n2", "n3"]).await;
    assert!(!good, "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..3], ["n1: asked for", "n1: empty, and ready for the work", "n2: asked for"]);
    assert!(lines[3].starts_with("n2: FAILED: "), "{said}");
    assert!(lines[4].starts_with("Stopped: 1 of 3 nodes are empty, 1 were not begun"), "{said}");
    // What was done is known, and what was not is done.
    let (good, said) = maintenance(&daemon, &["n1", "n3"]).await;
    let wanted = [
        "n1: asked for before",
        "n1: empty, and ready for the work",
        "n3: asked for",
        "n3: empty, and ready for the work",
        "2 of 2 nodes are empty; `medevac maintenance finish` opens them",
    ];
    assert_eq!((good, said.lines().collect::<Vec<_>>()), (true, wanted.to_vec()));
    let (good, said) = maintenance(&daemon, &["n2"]).await;
    assert!(!good && said.contains("another --name asks anew"), "{said}");
}
