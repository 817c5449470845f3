//! The metadata service as a table of answers, a second at a time.

use super::*;
use crate::model::kind;

const DOCUMENT: &str = r#"{"instanceId":"i-0b66","accountId":"1","region":"eu-west-1","availabilityZone":"eu-west-1a","instanceType":"p4d.24xlarge"}"#;

/// A service that answers what it is told to, and a watch.
struct World {
    poller: Poller,
    now: Timestamp,
    answers: BTreeMap<Item, (u16, String)>,
    token: String,
    tokens: u32,
    asked: Vec<(Item, u16)>,
    retry_after: Option<u64>,
    dead: bool,
}

impl World {
    fn new() -> World {
        let answers = [(Item::Identity, (200, DOCUMENT.to_owned()))].into();
        World {
            poller: Poller::default(),
            now: "2026-09-18T08:00:00Z".parse().unwrap(),
            answers,
            token: "first".into(),
            tokens: 0,
            asked: vec![],
            retry_after: None,
            dead: false,
        }
    }

    fn says(&mut self, item: Item, body: &str) {
        self.answers.insert(item, (200, body.to_owned()));
    }

    fn reply(&mut self, ask: &Ask) -> Reply {
        if self.dead {
            return Reply::Silent("no route".into());
        }
        let retry_after = self.retry_after;
        let (status, body) = match ask {
            Ask::Token(_) => {
                self.tokens += 1;
                (200, self.token.clone())
            }
            Ask::Item { item, token } if *token == self.token => {
                let answer = self.answers.get(item).cloned().unwrap_or((404, "<html>".into()));
                self.asked.push((*item, answer.0));
                answer
            }
            Ask::Item { item, .. } => {
                self.asked.push((*item, 401));
                (401, String::new())
            }
        };
        Reply::Answer { status, body, lives: Some(21_600), retry_after }
    }

    /// Lets so many seconds pass. What was told, as type and id.
    fn pass(&mut self, seconds: i64) -> Vec<News> {
        let until = self.now + jiff::SignedDuration::from_secs(seconds);
        let mut all = vec![];
        loop {
            while let Some(ask) = self.poller.next(self.now) {
                let reply = self.reply(&ask);
                all.extend(self.poller.hear(&ask, reply, self.now));
            }
            let next = self.poller.wake_at().unwrap();
            if next > until {
                self.now = until;
                return all;
            }
            self.now = next;
        }
    }

    fn kinds(&mut self, seconds: i64) -> Vec<&'static str> {
        self.pass(seconds).iter().map(|news| news.kind).collect()
    }
}

#[test]
fn a_notice_is_told_once_and_another_action_is_another_notice() {
    let mut world = World::new();
    assert_eq!(world.kinds(30), [""; 0]);
    let rounds = world.asked.iter().filter(|(item, _)| *item == Item::InstanceAction).count();
    assert!((26..=33).contains(&rounds), "once a second: {rounds}");
    world.says(Item::InstanceAction, r#"{"action":"terminate","time":"2026-09-18T08:02:31Z"}"#);
    let told = world.pass(3);
    assert_eq!(told.len(), 1);
    let event = &told[0].event;
    assert_eq!(event["type"], kind::SPOT_INTERRUPTION);
    assert_eq!(event["subject"], "instance/i-0b66");
    assert_eq!(event["time"], "2026-09-18T08:00:31Z", "when the notice was given");
    assert_eq!(event["deadline"], "2026-09-18T08:02:31Z");
    assert_eq!(event["data"]["detail"]["instance-action"], "terminate");
    // A mock moves the time with every answer.
    world.says(Item::InstanceAction, r#"{"action":"terminate","time":"2026-09-18T08:02:39Z"}"#);
    assert_eq!(world.kinds(20), [""; 0]);
    world.says(Item::InstanceAction, r#"{"action":"hibernate","time":"2026-09-18T08:00:55Z"}"#);
    let told = world.pass(2);
    assert_eq!(told[0].event["time"], told[0].event["deadline"], "it begins at once");
    world.answers.remove(&Item::InstanceAction);
    assert_eq!(world.kinds(5), [""; 0]);
    world.says(Item::InstanceAction, r#"{"action":"hibernate","time":"2026-09-18T08:09:00Z"}"#);
    assert_eq!(world.kinds(2), [kind::SPOT_INTERRUPTION], "it was gone, and is back");
}

#[test]
fn several_events_at_once_are_all_told() {
    let mut world = World::new();
    world.says(Item::InstanceAction, r#"{"action":"stop","time":"2026-09-18T08:02:00Z"}"#);
    world.says(Item::Rebalance, r#"{"noticeTime":"2026-09-18T08:00:00Z"}"#);
    world.says(Item::TargetState, "Terminated");
    let planned = |state: &str, id: &str| {
        format!(
            r#"{{"NotBefore":"21 Jan 2027 09:00:43 GMT","Code":"system-reboot","EventId":"{id}","NotAfter":"","State":"{state}"}}"#
        )
    };
    world
        .says(Item::Scheduled, &format!("[{},{}]", planned("active", "a"), planned("active", "b")));
    let mut kinds = world.kinds(3);
    kinds.sort_unstable();
    let all = [
        kind::LIFECYCLE,
        kind::MAINTENANCE,
        kind::MAINTENANCE,
        kind::REBALANCE,
        kind::SPOT_INTERRUPTION,
    ];
    assert_eq!(kinds, all);
    // One is cancelled, one is done.
    world.says(Item::Scheduled, "[]");
    world.says(
        Item::History,
        &format!("[{},{}]", planned("canceled", "a"), planned("completed", "b")),
    );
    let told = world.pass(15);
    let states: Vec<&str> =
        told.iter().map(|news| news.event["data"]["detail"]["State"].as_str().unwrap()).collect();
    assert_eq!(states, ["canceled", "completed"]);
    assert!(told.iter().all(|news| news.kind == kind::MAINTENANCE_CANCELLED));
    // One vanishes, and there is no history of it.
    world.says(Item::Scheduled, &format!("[{}]", planned("active", "c")));
    assert_eq!(world.kinds(12), [kind::MAINTENANCE]);
    world.says(Item::Scheduled, "[]");
    world.answers.remove(&Item::History);
    assert_eq!(world.kinds(15), [kind::MAINTENANCE_CANCELLED]);
    // The life-cycle may say nothing for a while, and the same again after it.
    world.answers.remove(&Item::TargetState);
    world.kinds(3);
    world.says(Item::TargetState, "Terminated");
    assert_eq!(world.kinds(3), [""; 0]);
}

#[test]
fn a_token_that_is_dropped_is_renewed_at_once_and_an_old_one_before_it_ends() {
    let mut world = World::new();
    world.pass(2);
    world.token = "second".into();
    world.says(Item::InstanceAction, r#"{"action":"stop","time":"2026-09-18T08:02:00Z"}"#);
    assert_eq!(world.kinds(2), [kind::SPOT_INTERRUPTION]);
    assert_eq!(world.tokens, 2);
    assert!(world.poller.remarks().is_empty(), "nothing was in the way");
    world.pass(21_600);
    assert_eq!(world.tokens, 3);
    assert_eq!(world.asked.iter().filter(|(_, status)| *status == 401).count(), 1);
}

#[test]
fn throttling_is_backed_off_from_and_its_end_is_heard() {
    let mut world = World::new();
    world.pass(2);
    world.answers.insert(Item::InstanceAction, (429, String::new()));
    world.asked.clear();
    world.pass(120);
    let asked = world.asked.len();
    assert!(asked < 12, "further apart each time: {asked}");
    assert_eq!(world.poller.remarks().len(), 1, "told once");
    world.says(Item::InstanceAction, r#"{"action":"stop","time":"2026-09-18T08:04:00Z"}"#);
    assert_eq!(world.kinds(35), [kind::SPOT_INTERRUPTION]);
    assert_eq!(world.poller.remarks(), ["the metadata service answers again"]);
    // As long as the service asks for.
    world.answers.insert(Item::Rebalance, (503, String::new()));
    world.retry_after = Some(20);
    world.pass(2);
    world.asked.clear();
    world.pass(17);
    assert_eq!(world.asked.len(), 0);
}

#[test]
fn whatever_it_answers_is_survived_and_the_next_is_heard() {
    let mut world = World::new();
    world.pass(2);
    let odd = [
        "",
        "{",
        "null",
        "[]",
        "[[]]",
        "[{}]",
        "{\"action\":1}",
        "<html>404</html>",
        "\u{0}\u{ffff}",
        "{\"action\":\"explode\",\"time\":\"2026-09-18T08:02:00Z\"}",
        "{\"action\":\"stop\",\"time\":\"never\"}",
        "[{\"EventId\":\"x\",\"Code\":\"y\",\"NotBefore\":\"soon\"}]",
    ];
    let items =
        [Item::InstanceAction, Item::Rebalance, Item::Scheduled, Item::History, Item::TargetState];
    for item in items {
        for body in odd {
            for status in [200, 204, 301, 400, 401, 403, 404, 429, 500, 599] {
                world.answers.insert(item, (status, body.to_owned()));
                assert_eq!(world.kinds(12), [""; 0], "{item:?} {status} {body:?}");
            }
        }
        world.answers.remove(&item);
        world.pass(60);
    }
    world.says(Item::InstanceAction, r#"{"action":"stop","time":"2026-09-18T08:02:00Z"}"#);
    assert_eq!(world.kinds(35), [kind::SPOT_INTERRUPTION]);
}

#[test]
fn without_an_answer_it_says_why_and_asks_nothing_of_the_older_version() {
    let mut world = World::new();
    world.dead = true;
    assert_eq!(world.kinds(60), [""; 0]);
    let remarks = world.poller.remarks();
    assert_eq!(remarks.len(), 1);
    assert!(remarks[0].contains("hop limit") && remarks[0].contains("IMDSv1"), "{remarks:?}");
    world.dead = false;
    world.says(Item::InstanceAction, r#"{"action":"stop","time":"2026-09-18T08:02:00Z"}"#);
    assert_eq!(world.kinds(35), [kind::SPOT_INTERRUPTION]);
}
