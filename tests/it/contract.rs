//! What every log has to do, whichever it is. `tests/it/embedded.rs` runs it on the embedded one.

use jiff::Timestamp;
use medevac::log::{
    Condition, Consumer, DeadLetter, Entry, Kv, Log, LogError, Policy, Stream, Subject, bucket,
};
use medevac::model::{Id, Target};
use std::time::Duration;

pub(crate) fn entry(stream: Stream, name: &str) -> Entry {
    let target = Target::Node("n".into());
    Entry {
        id: Id::of(&["contract", name]),
        subject: Subject::new(stream, "test", None, &target),
        body: format!("{{\"name\":{name:?}}}").into_bytes(),
    }
}

fn name_of(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap();
    value["name"].as_str().unwrap().to_owned()
}

/// All of it.
pub(crate) async fn holds<L: Log + Kv>(log: L) {
    order_and_duplicates(&log).await;
    streams_and_history(&log).await;
    consumers(&log).await;
    refusals_and_poison(&log).await;
    giving_up_loses_nothing(&log).await;
    a_life_counts_as_a_delivery(&log).await;
    who_is_fenced_off_writes_no_more(&log).await;
    keys(&log).await;
}

async fn order_and_duplicates<L: Log>(log: &L) {
    let first =
        log.append(vec![entry(Stream::Events, "a"), entry(Stream::Events, "b")]).await.unwrap();
    assert!(first[0].seq < first[1].seq && !first[0].duplicate);
    assert_eq!(log.last(), first[1].seq);
    let again =
        log.append(vec![entry(Stream::Events, "b"), entry(Stream::Events, "c")]).await.unwrap();
    assert_eq!((again[0].seq, again[0].duplicate), (first[1].seq, true));
    assert!(!again[1].duplicate);
    let twice =
        log.append(vec![entry(Stream::Events, "d"), entry(Stream::Events, "d")]).await.unwrap();
    assert_eq!((twice[1].duplicate, twice[0].seq), (true, twice[1].seq), "within one append too");
    let names: Vec<String> = log
        .read(first[0].seq - 1, &[Stream::Events], 10)
        .await
        .unwrap()
        .iter()
        .map(|r| name_of(&r.body))
        .collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    let one = log.get(first[1].seq).await.unwrap().unwrap();
    assert_eq!(name_of(&one.body), "b");
    assert!(log.get(log.last() + 1).await.unwrap().is_none());
    assert!(log.read(log.last(), &[Stream::Events], 10).await.unwrap().is_empty());
}

async fn streams_and_history<L: Log>(log: &L) {
    let before = log.last();
    log.append(vec![
        entry(Stream::Events, "e1"),
        entry(Stream::Plans, "p1"),
        entry(Stream::Outcomes, "o1"),
    ])
    .await
    .unwrap();
    let plans = log.read(before, &[Stream::Plans], 10).await.unwrap();
    assert_eq!(plans.len(), 1);
    let history = log.history(&Target::Node("n".into()), before, 10).await.unwrap();
    assert_eq!(
        history.iter().map(|r| r.stream).collect::<Vec<_>>(),
        [Stream::Plans, Stream::Outcomes]
    );
    assert!(log.history(&Target::Node("other".into()), 0, 10).await.unwrap().is_empty());
}

async fn consumers<L: Log>(log: &L) {
    let policy = Policy { ack_wait: Duration::from_millis(300), max_deliver: 3 };
    let mut consumer = log.consumer("c1", &[Stream::Events], policy).await.unwrap();
    let seqs =
        log.append(vec![entry(Stream::Events, "x1"), entry(Stream::Events, "x2")]).await.unwrap();
    let mut fresh = vec![];
    while fresh.len() < 2 {
        for delivered in consumer.next(10).await.unwrap() {
            match delivered.record.seq {
                seq if seq < seqs[0].seq => consumer.ack(seq).await.unwrap(),
                seq => fresh.push((seq, delivered.deliveries)),
            }
        }
    }
    assert_eq!(fresh, [(seqs[0].seq, 1), (seqs[1].seq, 1)]);
    consumer.ack(seqs[0].seq).await.unwrap();
    let again = consumer.next(10).await.unwrap();
    assert_eq!((again[0].record.seq, again[0].deliveries), (seqs[1].seq, 2), "no word, so again");
    consumer.in_progress(seqs[1].seq).await.unwrap();
    consumer.ack(seqs[1].seq).await.unwrap();
    drop(consumer);
    let next = log.append(vec![entry(Stream::Events, "x3")]).await.unwrap();
    let mut same = log.consumer("c1", &[Stream::Events], policy).await.unwrap();
    let batch = same.next(10).await.unwrap();
    assert!(batch.iter().any(|one| one.record.seq == next[0].seq), "it goes on where it was");
    for one in batch {
        same.ack(one.record.seq).await.unwrap();
    }
}

async fn refusals_and_poison<L: Log>(log: &L) {
    let policy = Policy { ack_wait: Duration::from_secs(30), max_deliver: 2 };
    let mut consumer = log.consumer("c2", &[Stream::Decisions], policy).await.unwrap();
    let seq = log.append(vec![entry(Stream::Decisions, "poison")]).await.unwrap()[0].seq;
    for deliveries in 1..=2 {
        let batch = consumer.next(10).await.unwrap();
        assert_eq!((batch[0].record.seq, batch[0].deliveries), (seq, deliveries));
        consumer.nak(seq, Duration::ZERO).await.unwrap();
    }
    let after = log.append(vec![entry(Stream::Decisions, "fine")]).await.unwrap()[0].seq;
    let batch = consumer.next(10).await.unwrap();
    assert_eq!(batch[0].record.seq, after, "the poison is out of the way");
    consumer.ack(after).await.unwrap();
    let dead = log.read(seq, &[Stream::Dead], 10).await.unwrap();
    let letter = dead
        .iter()
        .map(|r| r.open::<DeadLetter>().unwrap().data)
        .find(|l| l.source == "consumer/c2");
    assert!(letter.unwrap().body.contains("poison"));
}

async fn giving_up_loses_nothing<L: Log>(log: &L) {
    let policy = Policy { ack_wait: Duration::from_secs(30), max_deliver: 5 };
    let mut consumer = log.consumer("c3", &[Stream::Plans], policy).await.unwrap();
    let mut seen = 0;
    for round in 0..200 {
        let writes = log.append(vec![entry(Stream::Plans, &format!("g{round}"))]);
        let (written, read) = tokio::join!(
            writes,
            tokio::time::timeout(Duration::from_micros(round * 7 % 400), consumer.next(10))
        );
        written.unwrap();
        for one in read.into_iter().flat_map(Result::unwrap) {
            seen += 1;
            consumer.ack(one.record.seq).await.unwrap();
        }
    }
    while seen < 201 {
        for one in
            tokio::time::timeout(Duration::from_secs(5), consumer.next(300)).await.unwrap().unwrap()
        {
            seen += 1;
            consumer.ack(one.record.seq).await.unwrap();
        }
    }
    assert_eq!(seen, 201, "two hundred, and the plan from before, each once");
}

/// What kills whoever takes it is known after as many lives as it may be delivered.
async fn a_life_counts_as_a_delivery<L: Log>(log: &L) {
    let policy = Policy { ack_wait: Duration::from_secs(60), max_deliver: 2 };
    let mut first = log.consumer("c4", &[Stream::Outcomes], policy).await.unwrap();
    for one in first.next(100).await.unwrap() {
        first.ack(one.record.seq).await.unwrap();
    }
    let seq = log.append(vec![entry(Stream::Outcomes, "kills")]).await.unwrap()[0].seq;
    assert_eq!(first.next(1).await.unwrap()[0].record.seq, seq);
    // As kill -9 does it: nobody tidies up.
    std::mem::forget(first);
    // Its place is written with the next commit.
    log.append(vec![entry(Stream::Events, "commit 1")]).await.unwrap();
    let mut second = log.consumer("c4", &[Stream::Outcomes], policy).await.unwrap();
    let again = second.next(1).await.unwrap();
    assert_eq!((again[0].record.seq, again[0].deliveries), (seq, 2), "at once, and counted");
    std::mem::forget(second);
    log.append(vec![entry(Stream::Events, "commit 2")]).await.unwrap();
    let fine = log.append(vec![entry(Stream::Outcomes, "harmless")]).await.unwrap()[0].seq;
    let mut third = log.consumer("c4", &[Stream::Outcomes], policy).await.unwrap();
    let next = third.next(1).await.unwrap();
    assert_eq!(next[0].record.seq, fine, "what kills is set aside");
    third.ack(fine).await.unwrap();
    let places = log.places().await.unwrap();
    assert!(places.iter().any(|place| place.consumer == "c4"), "{places:?}");
}

/// Every log may be fenced; where several may write, the one before is refused from then on.
async fn who_is_fenced_off_writes_no_more<L: Log>(log: &L) {
    let first = log.fence("first", 1).await.unwrap();
    first.append(vec![entry(Stream::Decisions, "by the first")]).await.unwrap();
    let second = log.fence("second", 2).await.unwrap();
    let both = vec![entry(Stream::Decisions, "d"), entry(Stream::Outcomes, "o")];
    second.append(both).await.unwrap();
    let late = first.append(vec![entry(Stream::Decisions, "too late")]).await;
    match late {
        Err(LogError::Fenced) => {}
        // A log that one process holds alone has nobody to fence off.
        Ok(_) => assert!(log.last() > 0 && std::any::type_name::<L>().contains("mbedded")),
        Err(error) => panic!("{error}"),
    }
    log.append(vec![entry(Stream::Events, "events are everybody's")]).await.unwrap();
    let back = first.fence("first", 1).await;
    let alone = std::any::type_name::<L>().contains("mbedded");
    assert!(alone || matches!(back, Err(LogError::Fenced)), "an older term does not come back");
}

async fn keys<L: Kv>(kv: &L) {
    let put = |value: &str, condition| {
        kv.put(bucket::DEAD, "k", value.as_bytes().to_vec(), condition, None)
    };
    let first = put("1", Condition::Absent).await.unwrap();
    assert!(matches!(put("2", Condition::Absent).await, Err(LogError::Conflict)));
    let second = put("2", Condition::Is(first)).await.unwrap();
    assert!(second > first);
    assert!(matches!(put("3", Condition::Is(first)).await, Err(LogError::Conflict)));
    assert_eq!(kv.get(bucket::DEAD, "k").await.unwrap().unwrap().value, b"2");
    assert!(matches!(
        kv.delete(bucket::DEAD, "k", Condition::Is(first)).await,
        Err(LogError::Conflict)
    ));
    kv.delete(bucket::DEAD, "k", Condition::Is(second)).await.unwrap();
    assert!(kv.get(bucket::DEAD, "k").await.unwrap().is_none());
    let past = Timestamp::now() - Duration::from_secs(1);
    kv.put(bucket::DEAD, "old", b"x".to_vec(), Condition::Always, Some(past)).await.unwrap();
    assert!(kv.get(bucket::DEAD, "old").await.unwrap().is_none(), "expired");
    kv.put(bucket::DEAD, "old", b"y".to_vec(), Condition::Absent, None).await.unwrap();
    for key in ["l1", "l2", "l3"] {
        kv.put(bucket::GUARDS, key, vec![], Condition::Always, None).await.unwrap();
    }
    let keys = |entries: Vec<medevac::log::KvEntry>| {
        entries.into_iter().map(|e| e.key).collect::<Vec<_>>()
    };
    assert_eq!(keys(kv.list(bucket::GUARDS, None, 2).await.unwrap()), ["l3", "l2"]);
    assert_eq!(keys(kv.list(bucket::GUARDS, Some("l2"), 2).await.unwrap()), ["l1"]);
}
