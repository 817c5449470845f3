//! What is formatted says the same, keeps its comments, and stays as it is when formatted again.

use super::*;

fn formatted(text: &str) -> Result<String, Unformatted> {
    format(&Arc::new(Source { path: "t".into(), text: text.into() }))
}

#[test]
fn the_form_is_plain_and_comments_stay() {
    let text = r#"# At the top.
definitions:
    may:   "a == 1"   # behind


    # above the next
    other: >-
        b == 2 &&
        c == 3
rules:
-   name:  one
    when: [a,   b]   # two types
    then:
    -  cordon: {taint:   x,  needs: [] }
    # before the drain
    -  drain:
           timeout: 5m
    escalate:


-   name: two
    when: c
# At the end.
"#;
    let wanted = r#"# At the top.
definitions:
  may: "a == 1"  # behind

  # above the next
  other: >-
    b == 2 &&
    c == 3
rules:
  - name: one
    when: [a, b]  # two types
    then:
      - cordon: {taint: x, needs: []}
      # before the drain
      - drain:
          timeout: 5m
    escalate:

  - name: two
    when: c
# At the end.
"#;
    assert_eq!(formatted(text).unwrap(), wanted);
    assert_eq!(formatted(wanted).unwrap(), wanted);
}

/// Found by the fuzzer: what fits on a line only once it has lost its spaces.
#[test]
fn formatted_again_it_stays_as_it_is() {
    let text = "cluster:\n  pools: [{name: spot, nodes: 4, market: spot, labels: {workload: training},  4s,}]\n";
    let once = formatted(text).unwrap();
    assert_eq!(formatted(&once).unwrap(), once);
}

#[test]
fn every_file_that_ships_has_the_form_or_gets_it() {
    let mut seen = 0;
    for directory in ["rules", "simulations", "simulations/rules"] {
        let directory = format!("{}/{directory}", env!("CARGO_MANIFEST_DIR"));
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let once = formatted(&text).unwrap_or_else(|why| panic!("{path:?}: {why:?}"));
            assert_eq!(formatted(&once).unwrap(), once, "{path:?}");
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

proptest::proptest! {
    /// Whatever stands in a file: it is refused, or it says the same afterwards, and once is enough.
    #[test]
    fn once_is_enough(text in r##"([a-c]{1,2}: ?|- |  |\n|# [a-c]+\n|\{|\}|\[|\]|, |"[a-c #]*"|'[a-c]*'|\|\n|>-\n|[a-c 0-9]{1,4}|\n  ){0,40}"##) {
        if let Ok(once) = formatted(&text) {
            match formatted(&once) {
                Ok(twice) => proptest::prop_assert_eq!(twice, once),
                Err(why) => proptest::prop_assert!(false, "{:?}\n{}", why, once),
            }
        }
    }
}
