//! Auto Scaling groups that wait for their hooks: the Query API with its own errors. Nothing else has it on loopback; moto
//! knows of hooks, and not of their actions.

use axum::{Router, extract::State, http::StatusCode, routing::post};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

const NAMESPACE: &str = "http://autoscaling.amazonaws.com/doc/2011-01-01/";

#[derive(Default)]
struct Inner {
    /// Instances whose hook's action is open.
    waiting: BTreeSet<String>,
    /// In seconds, of every hook.
    patience: u64,
    throttled: u32,
    denies: bool,
    gibberish: bool,
    /// What was asked: action, instance and result.
    asked: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Groups {
    pub(crate) url: String,
    inner: Arc<Mutex<Inner>>,
}

impl Groups {
    /// On loopback. It ends with the test.
    pub(crate) async fn start(patience: u64) -> Groups {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Mutex::new(Inner { patience, ..Inner::default() }));
        let site = Router::new().route("/", post(answer)).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, site).await.unwrap() });
        Groups { url, inner }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.lock().unwrap())
    }

    /// A group ends with that machine, and waits.
    pub(crate) fn waits_for(&self, instance: &str) {
        self.with(|inner| inner.waiting.insert(instance.into()));
    }

    pub(crate) fn throttles(&self, requests: u32) {
        self.with(|inner| inner.throttled = requests);
    }

    pub(crate) fn denies(&self, denies: bool) {
        self.with(|inner| inner.denies = denies);
    }

    /// A proxy's page instead of an answer.
    pub(crate) fn speaks_gibberish(&self, gibberish: bool) {
        self.with(|inner| inner.gibberish = gibberish);
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.with(|inner| inner.asked.clone())
    }
}

async fn answer(State(inner): State<Arc<Mutex<Inner>>>, form: String) -> (StatusCode, String) {
    let form = reqwest::Url::parse(&format!("http://form/?{form}")).unwrap();
    let fields: BTreeMap<String, String> = form.query_pairs().into_owned().collect();
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let mut inner = inner.lock().unwrap();
    let (action, instance) = (field("Action"), field("InstanceId"));
    let said = format!("{action} {instance} {}", field("LifecycleActionResult"));
    inner.asked.push(said.trim_end().to_owned());
    if inner.gibberish {
        return (StatusCode::BAD_GATEWAY, "<html>try later".into());
    }
    if inner.throttled > 0 {
        inner.throttled -= 1;
        return error("Throttling", "Rate exceeded");
    }
    if inner.denies {
        let who = "arn:aws:sts::123456789012:assumed-role/medevac/i-1";
        let what = format!("User: {who} is not authorized to perform: autoscaling:{action}");
        return (StatusCode::FORBIDDEN, error("AccessDenied", &what).1);
    }
    match action {
        "DescribeLifecycleHooks" => done(action, &hook(&fields, inner.patience)),
        "CompleteLifecycleAction" | "RecordLifecycleActionHeartbeat" => {
            let open = match action {
                "CompleteLifecycleAction" => inner.waiting.remove(instance),
                _ => inner.waiting.contains(instance),
            };
            let words = format!("No active Lifecycle Action found with instance ID {instance}");
            if open { done(action, "") } else { error("ValidationError", &words) }
        }
        _ => error("InvalidAction", &format!("Could not find operation {action}")),
    }
}

fn hook(fields: &BTreeMap<String, String>, patience: u64) -> String {
    let (group, name) = (&fields["AutoScalingGroupName"], &fields["LifecycleHookNames.member.1"]);
    format!(
        "<LifecycleHooks><member><AutoScalingGroupName>{group}</AutoScalingGroupName>\
         <LifecycleHookName>{name}</LifecycleHookName><HeartbeatTimeout>{patience}</HeartbeatTimeout>\
         <GlobalTimeout>{}</GlobalTimeout><DefaultResult>CONTINUE</DefaultResult>\
         <LifecycleTransition>autoscaling:EC2_INSTANCE_TERMINATING</LifecycleTransition></member></LifecycleHooks>",
        patience * 100
    )
}

fn done(action: &str, result: &str) -> (StatusCode, String) {
    let body = format!(
        "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{result}</{action}Result>\
         <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
    );
    (StatusCode::OK, body)
}

fn error(code: &str, message: &str) -> (StatusCode, String) {
    let body = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    );
    (StatusCode::BAD_REQUEST, body)
}
