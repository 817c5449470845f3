//! Machines that are asked for by groups and fleets: once for each order, whatever is lost on the way; and given back.

use crate::support::{
    moto::{self, Moto},
    until,
    weather::Weather,
};
use aws_sdk_autoscaling as autoscaling;
use aws_sdk_ec2 as ec2;
use medevac::adapters::aws::Cloud;
use medevac::model::{Answer, CloudCall, Granted, Group, Order, Refusal, Source};

struct Aws {
    _moto: Moto,
    weather: Weather,
    groups: autoscaling::Client,
    machines: ec2::Client,
}

impl Aws {
    async fn start() -> Aws {
        let moto = Moto::start().await;
        let weather = Weather::start(&moto.url).await;
        let config = moto::config(&moto.url).await;
        let (groups, machines) = (autoscaling::Client::new(&config), ec2::Client::new(&config));
        Aws { _moto: moto, weather, groups, machines }
    }

    /// A life of the daemon: what it knows of AWS, it has asked.
    async fn life(&self) -> Cloud {
        moto::cloud(&self.weather.url).await
    }

    /// A launch template, and groups by it.
    async fn template(&self) -> String {
        let image = self.machines.describe_images().send().await.unwrap();
        let image = image.images()[0].image_id().unwrap().to_owned();
        let data = ec2::types::RequestLaunchTemplateData::builder()
            .image_id(image)
            .instance_type("p4d.24xlarge".into())
            .build();
        let made = self.machines.create_launch_template().launch_template_name("gpu");
        let made = made.launch_template_data(data).send().await.unwrap();
        made.launch_template.unwrap().launch_template_id.unwrap()
    }

    async fn group(&self, name: &str, desired: i32, most: i32) {
        let template = autoscaling::types::LaunchTemplateSpecification::builder();
        let template = template.launch_template_name("gpu").version("1").build();
        let tag = |key: &str, value: &str| {
            autoscaling::types::Tag::builder().key(key).value(value).build()
        };
        let made = self.groups.create_auto_scaling_group().auto_scaling_group_name(name);
        let made = made.launch_template(template).availability_zones("eu-west-1a");
        let made = made.min_size(0).max_size(most).desired_capacity(desired);
        let made = made.tags(tag("eks:cluster-name", "prod")).tags(tag("eks:nodegroup-name", name));
        made.send().await.unwrap();
        another_second().await;
    }

    /// Desired capacity, machines, and the notes on it.
    async fn standing(&self, name: &str) -> (i32, usize, Vec<String>) {
        let ask = self.groups.describe_auto_scaling_groups().auto_scaling_group_names(name);
        let group = ask.send().await.unwrap().auto_scaling_groups()[0].clone();
        let notes =
            group.tags().iter().filter(|tag| tag.key().unwrap().starts_with("medevac.dev/"));
        let notes = notes.map(|tag| tag.value().unwrap().to_owned()).collect();
        (group.desired_capacity().unwrap(), group.instances().len(), notes)
    }

    async fn tags_of(&self, machine: &str) -> Vec<(String, String)> {
        let found = self.machines.describe_instances().instance_ids(machine).send().await.unwrap();
        let found = found.reservations()[0].instances()[0].clone();
        let tag = |tag: &ec2::types::Tag| {
            (tag.key().unwrap().to_owned(), tag.value().unwrap().to_owned())
        };
        found.tags().iter().map(tag).collect()
    }

    async fn running(&self) -> usize {
        let state = ec2::types::Filter::builder().name("instance-state-name").values("running");
        let found = self.machines.describe_instances().filters(state.build()).send().await.unwrap();
        found.reservations().iter().map(|it| it.instances().len()).sum()
    }
}

/// What comes later is told from what is there by the second of its launch.
async fn another_second() {
    let second = jiff::Timestamp::now().as_second();
    until("another second", || async {
        (jiff::Timestamp::now().as_second() > second).then_some(())
    })
    .await;
}

fn order(key: &str, source: Source, machines: u32) -> Order {
    let tag = |name: &str, value: &str| (format!("medevac.dev/{name}"), value.to_owned());
    let tags = vec![tag("incident", "inc-1"), tag("rule", "spot"), tag("key", key)];
    Order { key: key.into(), source, machines, tags }
}

fn by_group(key: &str, name: &str, machines: u32) -> Order {
    order(key, Source::Group { group: Group::Named { name: name.into() } }, machines)
}

fn by_fleet(key: &str, kind: &str) -> Order {
    let source = Source::Fleet {
        launch_template: "gpu".into(),
        version: "$Default".into(),
        instance_type: kind.into(),
        subnets: vec![],
    };
    order(key, source, 1)
}

async fn provision(cloud: &Cloud, order: &Order) -> Answer {
    cloud.call(CloudCall::Provision(order.clone())).await
}

/// Asked as the daemon asks: until all have come.
async fn come(cloud: &Cloud, order: &Order) -> Vec<String> {
    until("the machines have come", || async {
        let machines = machines_of(provision(cloud, order).await);
        (machines.len() >= order.machines as usize).then_some(machines)
    })
    .await
}

async fn give_back(cloud: &Cloud, order: &Order, machines: &[String]) -> Vec<String> {
    let machines = machines.to_vec();
    machines_of(cloud.call(CloudCall::GiveBack { order: order.clone(), machines }).await)
}

/// By name: AWS lists them in any order.
fn machines_of(answer: Answer) -> Vec<String> {
    let Answer::Said(said) = answer else { panic!("{answer:?}") };
    let mut machines = serde_json::from_str::<Granted>(&said).unwrap().machines;
    machines.sort();
    machines
}

fn why(answer: Answer) -> String {
    let Answer::Refused(Refusal::Invalid(why)) = answer else { panic!("{answer:?}") };
    why
}

#[tokio::test]
async fn a_group_grows_once_for_an_order_and_gets_as_small_as_it_was() {
    let aws = Aws::start().await;
    aws.template().await;
    aws.group("gpu-a", 2, 8).await;
    let (life, first) = (aws.life().await, by_group("k1", "gpu-a", 2));
    let ours = come(&life, &first).await;
    assert_eq!(ours.len(), 2);
    let again = machines_of(provision(&aws.life().await, &first).await);
    assert_eq!(again, ours);
    let (desired, machines, notes) = aws.standing("gpu-a").await;
    assert_eq!((desired, machines), (4, 4));
    assert!(notes[0].starts_with("asked machines=2 to=4 at="), "{notes:?}");
    let tags = aws.tags_of(&ours[0]).await;
    assert!(tags.contains(&("medevac.dev/incident".into(), "inc-1".into())), "{tags:?}");

    another_second().await;
    let group = Group::Eks { cluster: "prod".into(), node_group: "gpu-a".into() };
    let second = order("k2", Source::Group { group }, 1);
    let other = come(&life, &second).await;
    assert!(other.len() == 1 && !ours.contains(&other[0]), "each has its own");

    assert_eq!(give_back(&life, &first, &[]).await, ours, "what is there is not called off");
    assert_eq!(aws.standing("gpu-a").await.0, 5);
    let foreign = give_back(&life, &first, &other).await;
    assert_eq!(foreign, ours, "those of another order are not its own");
    assert_eq!(aws.standing("gpu-a").await.1, 5);
    assert_eq!(give_back(&life, &first, &ours).await, Vec::<String>::new());
    assert_eq!(give_back(&life, &second, &[]).await, other);
    give_back(&life, &second, &other).await;
    assert_eq!(aws.standing("gpu-a").await, (2, 2, vec![]));
}

#[tokio::test]
async fn whatever_is_lost_on_the_way_no_machine_comes_twice() {
    for action in ["CreateOrUpdateTags", "SetDesiredCapacity", "CreateTags"] {
        for lost in [true, false] {
            let aws = Aws::start().await;
            aws.template().await;
            aws.group("gpu-a", 1, 8).await;
            let order = by_group("k1", "gpu-a", 1);
            // More often than the client tries by itself.
            match lost {
                true => aws.weather.loses(action, 3),
                false => aws.weather.throttles(action, 3),
            }
            let life = aws.life().await;
            let mut first = provision(&life, &order).await;
            if action == "CreateTags" {
                first = provision(&life, &order).await;
            }
            let again = matches!(first, Answer::Unknown(_) | Answer::Refused(Refusal::Busy { .. }));
            assert!(again, "{action}: {first:?}");
            let ours = come(&aws.life().await, &order).await;
            assert_eq!(ours.len(), 1, "{action}");
            let (desired, machines, notes) = aws.standing("gpu-a").await;
            assert_eq!((desired, machines, notes.len()), (2, 2, 1), "{action}");
        }
    }
}

#[tokio::test]
async fn a_group_that_has_nothing_says_so_at_once_and_is_left_as_it_was() {
    let aws = Aws::start().await;
    aws.template().await;
    aws.group("gpu-a", 1, 2).await;
    aws.weather.dries_up("gpu-a");
    let (life, order) = (aws.life().await, by_group("k1", "gpu-a", 1));
    let said = why(provision(&life, &order).await);
    assert!(said.starts_with("We currently do not have sufficient p5.48xlarge capacity"), "{said}");
    assert_eq!(aws.weather.wanted("gpu-a").as_deref(), Some("2"));
    aws.weather.loses("DeleteTags", 3);
    let lost = CloudCall::GiveBack { order: order.clone(), machines: vec![] };
    assert!(matches!(life.call(lost).await, Answer::Unknown(_) | Answer::Refused(_)));
    assert_eq!(give_back(&aws.life().await, &order, &[]).await, Vec::<String>::new());
    assert_eq!(
        aws.weather.wanted("gpu-a").as_deref(),
        Some("1"),
        "once, however often it is asked"
    );
    assert_eq!(aws.standing("gpu-a").await, (1, 1, vec![]));

    let said = why(provision(&life, &by_group("k2", "gpu-a", 5)).await);
    assert_eq!(said, "gpu-a has 1 of at most 2 machines");
    let said = why(provision(&life, &by_group("k3", "other", 1)).await);
    assert_eq!(said, "there is no group other");
}

#[tokio::test]
async fn a_fleet_is_launched_once_for_a_key_and_its_errors_are_told() {
    let aws = Aws::start().await;
    aws.template().await;
    aws.weather.dries_up("p5.48xlarge");
    let life = aws.life().await;
    let said = why(provision(&life, &by_fleet("k0", "p5.48xlarge")).await);
    assert!(said.starts_with("InsufficientInstanceCapacity: "), "{said}");
    let order = by_fleet("k1", "p4d.24xlarge");
    aws.weather.loses("CreateFleet", 1);
    let ours = machines_of(provision(&life, &order).await);
    assert_eq!(machines_of(provision(&aws.life().await, &order).await), ours);
    assert_eq!((ours.len(), aws.running().await), (1, 1));
    let tags = aws.tags_of(&ours[0]).await;
    assert!(tags.contains(&("medevac.dev/key".into(), "k1".into())), "{tags:?}");
    aws.weather.throttles("DescribeInstances", 9);
    let busy = provision(&life, &order).await;
    assert!(matches!(&busy, Answer::Refused(Refusal::Busy { .. })), "{busy:?}");
    aws.weather.throttles("DescribeInstances", 0);
    assert_eq!(give_back(&life, &order, &["i-0123456789abcdef0".into()]).await, ours);
    assert_eq!(give_back(&life, &order, &[]).await, ours);
    give_back(&life, &order, &ours).await;
    assert_eq!(aws.running().await, 0);
    assert!(aws.weather.asked("TerminateInstances") == 1);
    let gone = provision(
        &life,
        &Order {
            source: Source::Fleet {
                launch_template: "none".into(),
                version: "1".into(),
                instance_type: "p4d.24xlarge".into(),
                subnets: vec![],
            },
            ..by_fleet("k9", "")
        },
    )
    .await;
    assert!(matches!(gone, Answer::Refused(_)), "{gone:?}");
}
