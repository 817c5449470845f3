//! Names filled in, links, and drawings of outside text.

use super::*;

fn about(names: &[(&'static str, &str)]) -> About {
    let names = names.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    About { target: Target::Node("gpu-1".into()), names }
}

#[test]
fn a_name_that_could_be_more_than_a_name_is_not_put_into_a_query() {
    let good = about(&[("node", "gpu-1"), ("pool", "spot")]);
    let query = "avg(DCGM_FI_DEV_GPU_UTIL{node=\"{{node}}\",pool=\"{{ pool }}\"})";
    assert_eq!(
        good.fill(query).unwrap(),
        "avg(DCGM_FI_DEV_GPU_UTIL{node=\"gpu-1\",pool=\"spot\"})"
    );
    assert_eq!(good.fill("x{zone=\"{{zone}}\"}"), None, "it is not known");
    assert_eq!(about(&[("node", "a\"} or vector(1) #")]).fill(query), None);
}

#[test]
fn links_have_the_time_and_the_variables() {
    let config = Evidence {
        grafana: Some("https://grafana.example.org/".into()),
        dashboards: vec!["medevac-gpu".into()],
        ..Evidence::default()
    };
    let now: jiff::Timestamp = "2026-11-27T02:00:00Z".parse().unwrap();
    let links = grafana::links(&config, &about(&[("node", "gpu/1&x")]), now);
    assert_eq!(
        links,
        [
            "https://grafana.example.org/d/medevac-gpu?from=1795741200000&to=1795745700000&var-node=gpu%2F1%26x"
        ]
    );
}

#[test]
fn a_drawing_shows_what_is_there_and_runs_nothing() {
    let line =
        |label: &str, points: &[(f64, f64)]| Line { label: label.into(), points: points.to_vec() };
    let drawn = svg(
        "GPU <script>alert(1)</script>",
        &[line("0", &[(0.0, 10.0), (60.0, 90.0)]), line("1</text>", &[(0.0, 5.0)])],
    );
    assert!(!drawn.contains("<script") && !drawn.contains("1</text></text>"), "{drawn}");
    assert_eq!(drawn.matches("<polyline").count(), 2);
    assert!(drawn.contains("00:00 UTC") && drawn.contains("00:01 UTC"), "{drawn}");
    assert!(svg("empty", &[]).contains("no data"));
    let flat = svg("flat", &[line("", &[(0.0, 0.0)])]);
    assert!(!flat.contains("NaN") && !flat.contains("inf"), "{flat}");
}
