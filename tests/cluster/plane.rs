//! The control plane: started on free loopback ports, stopped by pid.

use crate::support::{free_port, servers::Process, until};
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    time::Duration,
};

pub(crate) struct Plane {
    pub(crate) client: kube::Client,
    pub(crate) kubeconfig: PathBuf,
    /// Of a user who may nothing.
    pub(crate) powerless: PathBuf,
    /// Of a user who may what a case lets it.
    pub(crate) limited: PathBuf,
    pub(crate) directory: tempfile::TempDir,
    url: String,
    /// The API server, and how it is started.
    server: Mutex<Option<Process>>,
    server_args: Vec<String>,
    etcd: String,
    // Killed in this order, the API server after all of them: what it needs last.
    _servers: Vec<Process>,
}

impl Drop for Plane {
    fn drop(&mut self) {
        drop(self.server.lock().map(|mut server| server.take()));
    }
}

pub(crate) fn program(name: &str) -> PathBuf {
    let path = crate::support::servers::cache().join("k8s-1.36.3/bin").join(name);
    assert!(path.exists(), "{} is missing; `make test-cluster` brings it", path.display());
    path
}

fn run(directory: &Path, name: &str, args: &[String]) -> Process {
    let log = std::fs::File::create(directory.join(format!("{name}.log"))).unwrap();
    let child = Command::new(program(name))
        .args(args)
        .env("HOME", directory)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    Process(child)
}

fn kubeconfig(directory: &Path, name: &str, server: &str, token: &str) -> PathBuf {
    let path = directory.join(name);
    let ca = directory.join("certs/apiserver.crt");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: \"{server}\", certificate-authority: \"{}\"}}}}]\n\
         users: [{{name: u, user: {{token: {token}}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n",
        ca.display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn keys(directory: &Path) -> (PathBuf, PathBuf) {
    let pair = rcgen::KeyPair::generate().unwrap();
    let (private, public) = (directory.join("certs/sa.key"), directory.join("certs/sa.pub"));
    std::fs::write(&private, pair.serialize_pem()).unwrap();
    std::fs::write(&public, pair.public_key_pem()).unwrap();
    (private, public)
}

impl Plane {
    pub(crate) async fn start() -> Plane {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        std::fs::create_dir_all(at.join("certs")).unwrap();
        std::fs::write(at.join("tokens.csv"), "admin-token,admin,admin-uid,\"system:masters\"\npowerless-token,powerless,powerless-uid\nlimited-token,limited,limited-uid\n").unwrap();
        let (private, public) = keys(at);
        let [etcd, peer, api, manager, scheduler, kwok] = std::array::from_fn(|_| free_port());
        let (etcd, peer) = (format!("http://127.0.0.1:{etcd}"), format!("http://127.0.0.1:{peer}"));
        let url = format!("https://127.0.0.1:{api}");
        let args = |words: &str| words.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let dir = at.display();
        let mut servers = vec![run(
            at,
            "etcd",
            &args(&format!(
                "--name e0 --data-dir {dir}/etcd --unsafe-no-fsync --log-level warn --listen-client-urls {etcd} \
             --advertise-client-urls {etcd} --listen-peer-urls {peer} --initial-advertise-peer-urls {peer} \
             --initial-cluster e0={peer}"
            )),
        )];
        let server_args = args(&format!(
            "--etcd-servers {etcd} --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port {api} \
             --cert-dir {dir}/certs --endpoint-reconciler-type none --service-cluster-ip-range 10.96.0.0/16 \
             --token-auth-file {dir}/tokens.csv --authorization-mode RBAC --disable-admission-plugins ServiceAccount \
             --service-account-issuer https://kubernetes.default.svc --service-account-key-file {} \
             --service-account-signing-key-file {}",
            public.display(),
            private.display()
        ));
        let server = run(at, "kube-apiserver", &server_args);
        let ca = at.join("certs/apiserver.crt");
        until("the API server made its certificate", || async { ca.exists().then_some(()) }).await;
        let config = kubeconfig(at, "kubeconfig", &url, "admin-token");
        let powerless = kubeconfig(at, "powerless", &url, "powerless-token");
        let limited = kubeconfig(at, "limited", &url, "limited-token");
        crate::support::client();
        let client = until("the API server is ready", || async {
            let client = medevac::adapters::kubernetes::connect(Some(&config)).await.ok()?;
            let ready = http::Request::get("/readyz").body(vec![]).unwrap();
            client.request_text(ready).await.ok().filter(|text| text == "ok").map(|_| client)
        })
        .await;
        let config_arg = config.display();
        servers.push(run(at, "kube-controller-manager", &args(&format!(
            "--kubeconfig {config_arg} --bind-address 127.0.0.1 --secure-port {manager} --cert-dir {dir}/certs/kcm \
             --leader-elect=false --service-account-private-key-file {} --kube-api-qps 2000 --kube-api-burst 4000 \
             --node-monitor-period 1s",
            private.display()
        ))));
        servers.push(run(at, "kube-scheduler", &args(&format!(
            "--kubeconfig {config_arg} --bind-address 127.0.0.1 --secure-port {scheduler} --cert-dir {dir}/certs/sched \
             --leader-elect=false --kube-api-qps 2000 --kube-api-burst 4000"
        ))));
        let stages = crate::support::servers::cache().join("k8s-1.36.3/stages");
        let stage = |name: &str| format!("-c {}/{name}.yaml", stages.display());
        servers.push(run(at, "kwok", &args(&format!(
            "--kubeconfig {config_arg} --manage-nodes-with-label-selector medevac.test/kwok=true \
             --node-lease-duration-seconds 40 --server-address 127.0.0.1:{kwok} --cidr 10.244.0.0/16 \
             --node-ip 10.1.0.1 {} {} {}",
            stage("node-initialize"), stage("node-heartbeat-with-lease"), stage("pods")
        ))));
        servers.reverse();
        let server = Mutex::new(Some(server));
        Plane {
            client,
            kubeconfig: config,
            powerless,
            limited,
            url,
            server,
            server_args,
            etcd,
            _servers: servers,
            directory,
        }
    }

    /// kill -9 of the API server, and a new one on the same port. What it had in mind of watches is forgotten.
    pub(crate) async fn restart_api_server(&self) {
        drop(self.server.lock().unwrap().take());
        let server = run(self.directory.path(), "kube-apiserver", &self.server_args);
        *self.server.lock().unwrap() = Some(server);
        until("the API server is ready again", || async {
            let ready = http::Request::get("/readyz").body(vec![]).unwrap();
            self.client.request_text(ready).await.ok().filter(|text| text == "ok").map(|_| ())
        })
        .await;
    }

    /// etcd forgets every version but the newest: a watch from an older one is answered with 410.
    pub(crate) async fn forget(&self) {
        let ask = |path: &str, body: Value| {
            let url = format!("{}/v3/kv/{path}", self.etcd);
            crate::support::client().post(url).body(body.to_string()).send()
        };
        let newest = ask("range", json!({ "key": "Lw==" })).await.unwrap().text().await.unwrap();
        let newest: Value = serde_json::from_str(&newest).unwrap();
        let compact = json!({ "revision": newest["header"]["revision"], "physical": true });
        assert!(ask("compaction", compact).await.unwrap().status().is_success());
    }

    pub(crate) async fn create<T>(&self, object: Value)
    where
        T: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + serde::Serialize
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
    {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
        let api: Api<T> = Api::namespaced(self.client.clone(), &namespace);
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }

    /// A node that kwok keeps Ready, in a pool and case of its own.
    pub(crate) async fn node(&self, name: &str, case: &str) {
        use k8s_openapi::api::core::v1::Node;
        let resources = json!({ "cpu": "64", "memory": "256Gi", "pods": "110" });
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": name, "labels": {
                "medevac.test/kwok": "true", "case": case, "karpenter.sh/nodepool": case,
                "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": "eu-west-1a",
            } },
            "spec": { "providerID": format!("aws:///eu-west-1a/i-{name}") },
            "status": { "capacity": resources, "allocatable": resources },
        });
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
        until("the node is ready", || async {
            let node = nodes.get(name).await.ok()?;
            let ready = node
                .status?
                .conditions?
                .into_iter()
                .any(|is| is.type_ == "Ready" && is.status == "True");
            let untainted = node.spec?.taints.is_none_or(|taints| taints.is_empty());
            (ready && untainted).then_some(())
        })
        .await;
    }

    /// A Deployment that runs on the nodes of `case` only.
    pub(crate) async fn deployment(
        &self,
        name: &str,
        case: &str,
        replicas: u32,
        annotations: Value,
        grace: u32,
    ) {
        self.create::<k8s_openapi::api::apps::v1::Deployment>(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "namespace": "default" },
            "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": name } },
                "template": { "metadata": { "labels": { "app": name }, "annotations": annotations },
                    "spec": pod_spec(case, grace) } },
        }))
        .await;
        self.running(name, replicas as usize).await;
    }

    pub(crate) async fn pods(&self, app: &str) -> Vec<k8s_openapi::api::core::v1::Pod> {
        let api: Api<k8s_openapi::api::core::v1::Pod> =
            Api::namespaced(self.client.clone(), "default");
        let params = kube::api::ListParams::default().labels(&format!("app={app}"));
        api.list(&params).await.unwrap().items
    }

    pub(crate) async fn on_node(&self, node: &str) -> Vec<String> {
        let api: Api<k8s_openapi::api::core::v1::Pod> =
            Api::namespaced(self.client.clone(), "default");
        let params = kube::api::ListParams::default().fields(&format!("spec.nodeName={node}"));
        let mut names: Vec<String> = api
            .list(&params)
            .await
            .unwrap()
            .items
            .into_iter()
            .filter_map(|pod| pod.metadata.name)
            .collect();
        names.sort();
        names
    }

    pub(crate) async fn running(&self, app: &str, count: usize) {
        until(&format!("{count} pods of {app} run"), || async {
            let ready = |pod: &k8s_openapi::api::core::v1::Pod| {
                let conditions = pod
                    .status
                    .as_ref()
                    .and_then(|status| status.conditions.clone())
                    .unwrap_or_default();
                pod.metadata.deletion_timestamp.is_none()
                    && conditions.iter().any(|is| is.type_ == "Ready" && is.status == "True")
            };
            (self.pods(app).await.iter().filter(|pod| ready(pod)).count() == count).then_some(())
        })
        .await;
    }

    pub(crate) async fn get_node(&self, name: &str) -> k8s_openapi::api::core::v1::Node {
        Api::all(self.client.clone()).get(name).await.unwrap()
    }

    /// How often the server answered an eviction with that code.
    pub(crate) async fn evictions_answered(&self, code: &str) -> f64 {
        let request = http::Request::get("/metrics").body(vec![]).unwrap();
        let text = self.client.request_text(request).await.unwrap();
        let line = |line: &&str| {
            line.starts_with("apiserver_request_total{")
                && line.contains("subresource=\"eviction\"")
                && line.contains(&format!("code=\"{code}\""))
        };
        text.lines()
            .filter(line)
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

pub(crate) fn pod_spec(case: &str, grace: u32) -> Value {
    json!({
        "nodeSelector": { "case": case }, "terminationGracePeriodSeconds": grace,
        "containers": [{ "name": "c", "image": "registry.example/none" }],
    })
}

/// One firing alert about `node`, as Alertmanager sends it.
pub(crate) fn alert(name: &str, node: &str) -> Value {
    let text = include_str!("../corpus/alertmanager/01-firing-single.json");
    let mut body: Value = serde_json::from_str(text).unwrap();
    body["alerts"][0]["labels"] = json!({ "alertname": name, "node": node, "severity": "warning" });
    body["alerts"][0]["fingerprint"] = json!("");
    body
}

/// Posts a body and waits until the incident about `node` says `holds`.
pub(crate) async fn incident_when(
    url: &str,
    node: &str,
    what: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    until(&format!("{node}: {what}"), || async {
        let all = crate::support::incidents(url).await;
        all.into_iter().find(|one| one["target"] == format!("node/{node}") && holds(one))
    })
    .await
}

pub(crate) async fn post(url: &str, body: &Value) {
    let response = crate::support::client()
        .post(format!("{url}/api/v1/alertmanager"))
        .json(body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 200, "{}", response.text().await.unwrap());
}

pub(crate) const A_WHILE: Duration = Duration::from_millis(1500);
