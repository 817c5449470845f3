//! The chart: linted, rendered as the manifests that are kept, and admitted where pod security is `restricted`.

use crate::{
    plane::{Plane, program},
    support::servers::python,
};
use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::{path::Path, process::Command, sync::Arc};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn run(command: &mut Command) -> (bool, String) {
    let output = command.current_dir(ROOT).output().unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    )
}

/// The documents of a YAML stream.
fn documents(yaml: &str, directory: &Path) -> Vec<Value> {
    let file = directory.join("manifests.yaml");
    std::fs::write(&file, yaml).unwrap();
    let print = "import sys, json, yaml; print(json.dumps([it for it in yaml.safe_load_all(open(sys.argv[1])) if it]))";
    let (good, text) = run(Command::new(python()).args(["-c", print]).arg(&file));
    assert!(good, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Everything that may be switched on.
const ALL_ON: &str = r#"
rules: {a: "rules: []"}
nats: {credentialsSecret: nats-user}
networkPolicy:
  nodes: [10.1.0.0/16]
  apiServer: [10.0.0.1/32]
  egress: [{ports: [{port: 587}]}]
serviceMonitor: {enabled: true}
externalSecret: {enabled: true, env: {PAGERDUTY_ROUTING_KEY: {key: pager, property: key}}}
agent: {hostNetwork: true}
extraVolumes: [{name: heart, secret: {secretName: heart}}]
extraVolumeMounts: [{name: heart, mountPath: /etc/medevac/heart, readOnly: true}]
extraArgs: [--basic-file=/etc/medevac/heart/basic]
"#;

pub(crate) async fn what_may_be_switched_on_says_what_it_should(plane: Arc<Plane>) {
    let helm = program("helm");
    let values = plane.directory.path().join("all-on.yaml");
    std::fs::write(&values, ALL_ON).unwrap();
    let words =
        ["template", "m", "deploy/chart", "--kube-version", "1.36.0", "--namespace", "medevac"];
    let template = |more: &[&str]| {
        run(Command::new(&helm).args(words).arg("--values").arg(&values).args(more))
    };
    let (good, rendered) = template(&[]);
    assert!(good, "{rendered}");
    let all = documents(&rendered, plane.directory.path());
    let of = |kind: &str| all.iter().filter(|it| it["kind"] == kind).collect::<Vec<_>>();
    assert_eq!((of("ServiceMonitor").len(), of("NetworkPolicy").len()), (1, 3));
    assert!(of("ExternalSecret").iter().any(|it| it["spec"].to_string().contains("medevac/token")));
    assert!(rendered.contains("PAGERDUTY_ROUTING_KEY") && rendered.contains("nats-user"));
    let daemon = of("Deployment")[0]["spec"]["template"]["spec"].to_string();
    for wanted in [
        "--basic-file=/etc/medevac/heart/basic",
        "/etc/medevac/heart\"",
        "\"secretName\":\"heart\"",
    ] {
        assert!(daemon.contains(wanted), "{wanted} is missing in {daemon}");
    }
    assert_eq!(of("DaemonSet")[0]["spec"]["template"]["spec"]["hostNetwork"], true);
    let policy = |name: &str| {
        of("NetworkPolicy").into_iter().find(|it| it["metadata"]["name"] == name).unwrap().clone()
    };
    let denies = policy("m-deny");
    assert_eq!(denies["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    assert!(denies["spec"]["ingress"].is_null() && denies["spec"]["egress"].is_null());
    let daemon = policy("m");
    let flows = daemon["spec"].to_string();
    for wanted in ["10.1.0.0/16", "10.0.0.1/32", "169.254.170.23/32", "587", "4222"] {
        assert!(flows.contains(wanted), "{wanted} is missing in {flows}");
    }
    // A flow without an end would be one to everywhere.
    for flow in daemon["spec"]["egress"].as_array().unwrap() {
        assert!(!flow.as_object().unwrap().contains_key("to") || flow["to"].is_array(), "{flow}");
    }
    let (good, nobody) = template(&["--set", "networkPolicy.from=null"]);
    assert!(good && !nobody.contains("port: 9090"), "{nobody}");
}

pub(crate) async fn the_chart_renders_as_kept_and_is_admitted_where_it_is_restricted(
    plane: Arc<Plane>,
) {
    let helm = program("helm");
    let (good, text) =
        run(Command::new(&helm).args(["lint", "--strict", "deploy/chart", "--set", "rules.a=b"]));
    assert!(good, "{text}");
    // Values that nobody can mean are refused, with their place.
    for (bad, told) in [
        ("replicas=0", "replicas"),
        ("nats.servers={}", "nats"),
        ("repicas=3", "repicas"),
        ("mode=bold", "mode"),
    ] {
        let (good, text) = run(Command::new(&helm).args([
            "template",
            "m",
            "deploy/chart",
            "--kube-version",
            "1.36.0",
            "--set",
            "rules.a=b",
            "--set",
            bad,
        ]));
        assert!(!good && text.contains(told), "{bad}: {text}");
    }
    let (good, rendered) = run(Command::new("deploy/render.sh").arg(&helm));
    assert!(good, "{rendered}");
    let kept = std::fs::read_to_string(format!("{ROOT}/deploy/manifests/medevac.yaml")).unwrap();
    assert!(rendered == kept, "deploy/render.sh HELM > deploy/manifests/medevac.yaml");
    let all = documents(&rendered, plane.directory.path());
    let of = |kind: &str| all.iter().filter(|it| it["kind"] == kind).collect::<Vec<_>>();
    let namespaces: Api<core::Namespace> = Api::all(plane.client.clone());
    let restricted = json!({ "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest" });
    for (name, labels) in [("medevac", restricted), ("velero", json!({}))] {
        let space = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } });
        let params = PatchParams::apply("tests").force();
        namespaces.patch(name, &params, &Patch::Apply(&space)).await.unwrap();
    }
    let pods: Api<core::Pod> = Api::namespaced(plane.client.clone(), "medevac");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let mut admitted = 0;
    for workload in of("Deployment").into_iter().chain(of("DaemonSet")) {
        let template = &workload["spec"]["template"];
        let pod = json!({ "metadata": { "name": "tried", "labels": template["metadata"]["labels"] }, "spec": template["spec"] });
        pods.create(&dry, &serde_json::from_value(pod.clone()).unwrap())
            .await
            .unwrap_or_else(|error| panic!("{error}: {pod:#}"));
        let mut bold = pod;
        bold["spec"]["hostNetwork"] = json!(true);
        let refused = pods.create(&dry, &serde_json::from_value(bold).unwrap()).await.unwrap_err();
        assert!(
            refused.to_string().contains("restricted"),
            "the namespace does enforce it: {refused}"
        );
        admitted += 1;
    }
    assert_eq!(admitted, 2);
    // Everything else is what the API server takes, too.
    for object in all
        .iter()
        .filter(|it| !["ServiceMonitor", "PriorityClass"].contains(&it["kind"].as_str().unwrap()))
    {
        let (group, version) = object["apiVersion"]
            .as_str()
            .unwrap()
            .split_once('/')
            .unwrap_or(("", object["apiVersion"].as_str().unwrap()));
        let kind =
            kube::api::GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap());
        let plural = match object["kind"].as_str().unwrap() {
            "NetworkPolicy" => "networkpolicies".to_owned(),
            other => format!("{}s", other.to_lowercase()),
        };
        let resource = kube::api::ApiResource::from_gvk_with_plural(&kind, &plural);
        let object: kube::api::DynamicObject = serde_json::from_value(object.clone()).unwrap();
        let api: Api<kube::api::DynamicObject> = match &object.metadata.namespace {
            Some(namespace) => Api::namespaced_with(plane.client.clone(), namespace, &resource),
            None => Api::all_with(plane.client.clone(), &resource),
        };
        api.create(&dry, &object)
            .await
            .unwrap_or_else(|error| panic!("{error}: {} {:?}", kind.kind, object.metadata.name));
    }
}
