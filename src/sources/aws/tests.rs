//! Every row of the reference's formats, and a thousand ways to break each.

use super::*;
use serde_json::json;

fn corpus() -> Vec<(String, String)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/aws");
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let mut all: Vec<(String, String)> = files
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    all.sort();
    all
}

/// One line an event: its type, its machine, its deadline, and what is known of it.
fn told(text: &str) -> Vec<String> {
    match read(text.as_bytes(), Timestamp::UNIX_EPOCH).unwrap() {
        Read::Foreign(what) => vec![format!("foreign: {what}")],
        Read::Events(events) => events
            .iter()
            .map(|event| {
                let deadline = event.deadline.map(|at| format!(" by {at}")).unwrap_or_default();
                let cloud = &event.data.context.cloud;
                let some = ["feed", "action", "state", "code", "transition"];
                let facts: Vec<&str> =
                    some.iter().filter_map(|key| cloud.get(*key)).map(String::as_str).collect();
                assert_eq!(event.subject, Target::Instance(cloud["instance"].clone()));
                format!("{} {}{deadline}: {}", event.kind, event.subject, facts.join(" "))
            })
            .collect(),
    }
}

/// Auto Scaling takes a name of 255 characters, and knows nobody by a part of it.
#[test]
fn the_names_of_a_group_and_its_hook_are_kept_whole() {
    let (group, hook) = ("g".repeat(255), "h".repeat(255));
    let facts = facts::facts(
        kind::LIFECYCLE,
        &json!({ "AutoScalingGroupName": group, "LifecycleHookName": hook }),
    );
    assert_eq!((&facts["group"], &facts["hook"]), (&group, &hook));
}

#[test]
fn every_kind_of_body_is_understood() {
    let all: Vec<String> = corpus()
        .iter()
        .flat_map(|(name, text)| told(text).into_iter().map(move |line| format!("{name}: {line}")))
        .collect();
    let wanted = [
        "capacity-reservation: aws.ec2.capacity_reservation.interruption instance/i-0b662ef9931388ba0 by 2026-09-18T08:22:00Z: eventbridge terminate",
        "health-retirement: aws.ec2.maintenance.scheduled instance/i-12345678 by 2026-06-05T15:10:09Z: eventbridge instance-retirement",
        "health-retirement: aws.ec2.maintenance.scheduled instance/i-87654321 by 2026-06-05T15:10:09Z: eventbridge instance-retirement",
        "lifecycle-direct: aws.autoscaling.lifecycle instance/i-040107f6ba000e5ee: autoscaling terminating",
        "lifecycle-launch: aws.autoscaling.lifecycle instance/i-0633ac2b0d9769723: eventbridge launching",
        "lifecycle-sns: aws.autoscaling.lifecycle instance/i-040107f6ba000e5ee: autoscaling terminating",
        "lifecycle-terminate: aws.autoscaling.lifecycle instance/i-0633ac2b0d9769723: eventbridge terminating",
        "lifecycle-test: foreign: a test of Auto Scaling",
        "rebalance: aws.ec2.rebalance.recommendation instance/i-0b662ef9931388ba0: eventbridge",
        "spot-interruption: aws.ec2.spot.interruption instance/i-0b662ef9931388ba0 by 2026-09-18T08:22:00Z: eventbridge terminate",
        "spot-interruption-hibernate: aws.ec2.spot.interruption instance/i-0b662ef9931388ba0 by 2026-09-18T08:20:00Z: eventbridge hibernate",
        "state-change: aws.ec2.instance.state instance/i-abcd1111: eventbridge shutting-down",
    ];
    assert_eq!(all, wanted);
}

#[test]
fn one_action_has_one_name_by_every_road() {
    let id = |name: &str| {
        let (_, text) = corpus().into_iter().find(|(known, _)| known == name).unwrap();
        let Read::Events(events) = read(text.as_bytes(), Timestamp::UNIX_EPOCH).unwrap() else {
            panic!()
        };
        events.iter().map(|event| event.id.clone()).collect::<Vec<Id>>()
    };
    assert_eq!(id("lifecycle-direct"), id("lifecycle-sns"));
    let machines = id("health-retirement");
    assert_ne!(machines[0], machines[1], "two machines are two events");
}

#[test]
fn the_copy_of_another_region_is_known_and_the_end_of_an_event_is_another() {
    let (_, text) = corpus().into_iter().find(|(name, _)| name == "health-retirement").unwrap();
    let ids =
        |value: &Value| match read(value.to_string().as_bytes(), Timestamp::UNIX_EPOCH).unwrap() {
            Read::Events(events) => {
                events.iter().map(|event| (event.kind.clone(), event.id.clone())).collect()
            }
            Read::Foreign(_) => vec![],
        };
    let first: Value = serde_json::from_str(&text).unwrap();
    let mut copy = first.clone();
    (copy["id"], copy["region"]) = (json!("other"), json!("us-west-2"));
    assert_eq!(ids(&first), ids(&copy));
    let mut over = first.clone();
    over["detail"]["statusCode"] = json!("closed");
    assert_eq!(ids(&over)[0].0, kind::MAINTENANCE_CANCELLED);
    assert_ne!(ids(&over)[0].1, ids(&first)[0].1);
    let mut other = first;
    other["detail"]["service"] = json!("RDS");
    assert_eq!(ids(&other), []);
}

#[test]
fn what_is_missing_is_named() {
    let why =
        |value: Value| read(value.to_string().as_bytes(), Timestamp::UNIX_EPOCH).unwrap_err().0;
    assert!(why(json!([])).contains("detail-type"));
    let spot = |detail: Value| json!({ "detail-type": "EC2 Spot Instance Interruption Warning", "detail": detail });
    assert!(why(spot(json!({}))).contains("instance"));
    assert!(why(spot(json!({ "instance-id": "fargate-0ab1" }))).contains("fargate-0ab1"));
    let hook =
        json!({ "LifecycleTransition": "x", "EC2InstanceId": "i-1", "LifecycleHookName": "h" });
    assert!(why(hook).contains("AutoScalingGroupName"));
    let wrapped = json!({ "Type": "Notification", "Message": "no json" });
    assert!(why(wrapped).contains("SNS"));
    let mut nested = json!({ "detail-type": "x" });
    for _ in 0..5 {
        nested = json!({ "Type": "Notification", "Message": nested.to_string() });
    }
    assert!(why(nested).contains("detail-type"));
    let other = json!({ "detail-type": "ECS Task State Change" }).to_string();
    assert!(matches!(read(other.as_bytes(), Timestamp::UNIX_EPOCH), Ok(Read::Foreign(_))));
}

/// A small generator of numbers, the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most.max(1)
    }
}

/// Puts something else in the place of one value, wherever it is.
fn broken(value: &mut Value, dice: &mut Dice) {
    let odd = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!(true),
        json!(""),
        json!("\u{0}\u{202e}"),
        json!([]),
        json!({}),
        json!("9999-99-99"),
        json!("x".repeat(5000)),
    ];
    let deeper = dice.below(4) > 0;
    match value {
        Value::Object(map) if !map.is_empty() && deeper => {
            let at = dice.below(map.len());
            if let Some(inner) = map.values_mut().nth(at) {
                broken(inner, dice);
            }
        }
        Value::Array(list) if !list.is_empty() && deeper => {
            let at = dice.below(list.len());
            broken(&mut list[at], dice);
        }
        other => *other = odd[dice.below(odd.len())].clone(),
    }
}

#[test]
fn a_thousand_ways_to_break_each_are_survived() {
    let mut dice = Dice(7);
    let (mut good, mut bad) = (0, 0);
    for (name, text) in corpus() {
        for at in 0..1000 {
            let body = match at % 3 {
                0 => {
                    let mut value: Value = serde_json::from_str(&text).unwrap();
                    broken(&mut value, &mut dice);
                    value.to_string().into_bytes()
                }
                1 => text.as_bytes()[..dice.below(text.len())].to_vec(),
                _ => {
                    let mut bytes = text.clone().into_bytes();
                    let place = dice.below(bytes.len());
                    bytes[place] = u8::try_from(dice.below(256)).unwrap();
                    bytes
                }
            };
            match read(&body, Timestamp::UNIX_EPOCH) {
                Ok(Read::Events(events)) => {
                    // What is taken can be written down and read again.
                    for event in events {
                        assert!(event.subject.to_string().parse::<Target>().is_ok(), "{name}");
                        good += 1;
                    }
                }
                Ok(Read::Foreign(what)) => assert!(what.len() <= 4 * QUOTED, "{name}"),
                Err(why) => {
                    assert!(!why.0.is_empty() && why.0.len() < 600, "{name}: {why}");
                    bad += 1;
                }
            }
        }
    }
    assert!(good > 1000 && bad > 1000, "{good} and {bad}");
}
