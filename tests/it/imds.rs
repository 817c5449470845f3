//! The metadata double: it answers as captured from AWS's own mock, and does what that mock cannot.

use crate::support::{
    client,
    imds::{ACTION, Imds, REBALANCE, SCHEDULED, TARGET, captured, parsed},
};
use medevac::adapters::imds::Imds as Adapter;
use medevac::agent::{Ask, Item, Metadata, News, Poller, Reply};

async fn token(imds: &Imds) -> String {
    let put = client().put(format!("{}/latest/api/token", imds.url));
    let put = put.header("X-aws-ec2-metadata-token-ttl-seconds", "21600");
    put.send().await.unwrap().text().await.unwrap()
}

async fn get(imds: &Imds, path: &str, token: &str) -> (u16, String) {
    let get = client().get(format!("{}{path}", imds.url));
    let response = get.header("X-aws-ec2-metadata-token", token).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn it_answers_as_the_captured_service_does() {
    let imds = Imds::start("i-1234567890abcdef0").await;
    let token = token(&imds).await;
    let shape = |body: &str| {
        let value = parsed(body);
        value.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    let file = "aemm-spot-terminate-v2.txt";
    let (status, page) = get(&imds, ACTION, &token).await;
    assert_eq!(status, captured(file, "spot/instance-action").0);
    assert!(page.contains("<title>404 - Not Found</title>") && page.starts_with("<?xml"));
    assert_eq!(get(&imds, ACTION, "bad").await.0, captured(file, "token: bad").0);
    let put = client().put(format!("{}/latest/api/token", imds.url)).send().await.unwrap();
    assert_eq!(put.status().as_u16(), captured(file, "-X PUT http").0);
    imds.interrupts("terminate", "2026-11-22T10:55:30Z".parse().unwrap());
    imds.says(REBALANCE, r#"{"noticeTime":"2026-11-22T10:53:30Z"}"#);
    let (_, real) = captured(file, "recommendations/rebalance");
    assert_eq!(shape(&get(&imds, REBALANCE, &token).await.1), shape(&real));
    let (_, mine) = get(&imds, ACTION, &token).await;
    assert_eq!(parsed(&mine)["action"], "terminate");
    let (_, real) = captured(file, "instance-identity/document");
    let (_, mine) = get(&imds, "/latest/dynamic/instance-identity/document", &token).await;
    let real = shape(&real);
    assert!(shape(&mine).iter().all(|key| real.contains(key)), "{mine}");
}

#[tokio::test]
async fn it_throttles_forgets_and_goes_back() {
    let imds = Imds::start("i-1").await;
    let first = token(&imds).await;
    imds.throttles(1);
    assert_eq!(get(&imds, ACTION, &first).await.0, 429);
    assert_eq!(get(&imds, ACTION, &first).await.0, 404);
    imds.interrupts("stop", "2026-11-22T10:55:30Z".parse().unwrap());
    imds.says(TARGET, "Terminated");
    assert_eq!(get(&imds, ACTION, &first).await.0, 200);
    assert_eq!(get(&imds, TARGET, &first).await, (200, "Terminated".into()));
    imds.drops_tokens();
    assert_eq!(get(&imds, ACTION, &first).await.0, 401);
    imds.forgets(ACTION);
    assert_eq!(get(&imds, ACTION, &token(&imds).await).await.0, 404);
    assert_eq!((imds.answered(ACTION, 200), imds.tokens_given()), (1, 2));
}

/// One thing asked of the service after the other, for so many requests.
async fn hears(poller: &mut Poller, adapter: &Adapter, requests: usize) -> Vec<News> {
    let mut all = vec![];
    let mut now: jiff::Timestamp = "2026-11-22T10:53:30Z".parse().unwrap();
    for _ in 0..requests {
        let Some(ask) = poller.next(now) else {
            now = poller.wake_at().unwrap();
            continue;
        };
        let reply = adapter.ask(&ask).await;
        all.extend(poller.hear(&ask, reply, now));
    }
    all
}

#[tokio::test]
async fn what_was_captured_is_news_to_the_agent() {
    let imds = Imds::start("i-1234567890abcdef0").await;
    imds.says(SCHEDULED, &captured("aemm-events.txt", "maintenance/scheduled").1);
    imds.says(TARGET, &captured("aemm-asg.txt", "target-lifecycle-state").1);
    imds.says(ACTION, &last_action());
    let adapter = Adapter::new(client(), &imds.url);
    let mut told: Vec<&str> =
        hears(&mut Poller::default(), &adapter, 40).await.iter().map(|news| news.kind).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        ["aws.autoscaling.lifecycle", "aws.ec2.maintenance.scheduled", "aws.ec2.spot.interruption"]
    );
}

/// The capture has the path twice: before the notice, and after it.
fn last_action() -> String {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/imds/aemm-spot-terminate-v2.txt");
    let text = std::fs::read_to_string(dir).unwrap();
    let body = text.rsplit("spot/instance-action").next().unwrap();
    body[body.find('{').unwrap()..=body.find('}').unwrap()].to_owned()
}

#[tokio::test]
async fn what_never_answers_is_given_up() {
    let imds = Imds::start("i-1").await;
    imds.silent(true);
    let adapter = Adapter::new(client(), &imds.url);
    let ask = Ask::Item { item: Item::InstanceAction, token: "t".into() };
    assert!(matches!(adapter.ask(&ask).await, Reply::Silent(_)));
    let nobody = Adapter::new(client(), "http://127.0.0.1:9");
    let Reply::Silent(why) = nobody.ask(&ask).await else { panic!() };
    assert!(!why.contains("127.0.0.1"), "{why}");
}
