//! The embedded log: its contract, its crashes, a full disk, a torn tail, retention, the lock.

use crate::contract::{self, entry};
use medevac::adapters::embedded::{Embedded, OpenError, Options};
use medevac::clock::System;
use medevac::log::{Consumer, Log, LogError, Policy, Stream};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

fn open(directory: &Path) -> Embedded {
    Embedded::open(directory, Options::default(), System).unwrap()
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    contract::holds(open(directory.path())).await;
}

#[tokio::test]
async fn a_second_daemon_is_told_who_holds_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    let Err(OpenError::Lock(error)) = Embedded::open(directory.path(), Options::default(), System)
    else {
        panic!("it was let in");
    };
    assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
    drop(first);
    open(directory.path());
}

#[tokio::test]
async fn duplicates_are_known_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).append(vec![entry(Stream::Events, "a")]).await.unwrap();
    let again = open(directory.path()).append(vec![entry(Stream::Events, "a")]).await.unwrap();
    assert_eq!((again[0].seq, again[0].duplicate), (first[0].seq, true));
}

#[tokio::test]
async fn a_crash_counts_as_a_delivery() {
    let directory = tempfile::tempdir().unwrap();
    let policy = Policy { ack_wait: Duration::from_secs(60), max_deliver: 2 };
    for life in 1..=3 {
        let log = open(directory.path());
        let seq = log
            .append(vec![entry(Stream::Events, "kills"), entry(Stream::Plans, &format!("{life}"))])
            .await
            .unwrap()[0]
            .seq;
        let mut consumer = log.consumer("c", &[Stream::Events], policy).await.unwrap();
        if life <= 2 {
            let batch = consumer.next(1).await.unwrap();
            assert_eq!((batch[0].record.seq, batch[0].deliveries), (seq, life));
            // Its place is written with the next commit.
            log.append(vec![entry(Stream::Plans, &format!("commit {life}"))]).await.unwrap();
            // As a crash does it: who panics says nothing in its favour.
            let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                let _dies_with_it = consumer;
                panic!("it was the record");
            }));
            assert!(died.is_err());
        } else {
            let fine = log.append(vec![entry(Stream::Events, "fine")]).await.unwrap()[0].seq;
            assert_eq!(
                consumer.next(1).await.unwrap()[0].record.seq,
                fine,
                "what kills is set aside"
            );
        }
    }
}

#[tokio::test]
async fn a_full_disk_accepts_nothing_loses_nothing_and_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let small = Options { hard_limit: 1 << 20, ..Options::default() };
    let log = Embedded::open(directory.path(), small, System).unwrap();
    let big = |n: u32| {
        let mut entry = entry(Stream::Events, &format!("big {n}"));
        entry.body = format!("{{\"name\":\"{}\"}}", "x".repeat(50_000)).into_bytes();
        entry
    };
    let mut accepted = 0;
    let refused = loop {
        match log.append(vec![big(accepted)]).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 100, "the limit does not hold");
    };
    assert!(matches!(refused, LogError::Full(_)), "{refused}");
    assert_eq!(log.read(0, &[Stream::Events], 100).await.unwrap().len(), accepted as usize);
    drop(log);
    let log = open(directory.path());
    let retried = log.append(vec![big(accepted)]).await.unwrap();
    assert!(!retried[0].duplicate, "what was refused is not remembered as accepted");
    assert_eq!(log.read(0, &[Stream::Events], 100).await.unwrap().len(), accepted as usize + 1);
}

#[tokio::test]
async fn old_segments_go_but_not_what_a_consumer_still_needs() {
    let directory = tempfile::tempdir().unwrap();
    let tight = Options { segment_bytes: 10_000, max_bytes: 30_000, ..Options::default() };
    let log = Embedded::open(directory.path(), tight, System).unwrap();
    let mut consumer = log.consumer("slow", &[Stream::Events], Policy::default()).await.unwrap();
    let fill = async |from: u32| {
        for n in from..from + 100 {
            let mut entry = entry(Stream::Events, &format!("{n}"));
            entry.body = format!("{{\"name\":\"{}\"}}", "x".repeat(1000)).into_bytes();
            log.append(vec![entry]).await.unwrap();
        }
    };
    fill(0).await;
    assert_eq!(
        log.read(0, &[Stream::Events], 1000).await.unwrap().len(),
        100,
        "nothing goes unread"
    );
    for one in consumer.next(1000).await.unwrap() {
        consumer.ack(one.record.seq).await.unwrap();
    }
    fill(100).await;
    let kept = log.read(0, &[Stream::Events], 1000).await.unwrap();
    assert!(kept.len() < 140 && kept.len() >= 100, "{} records are kept", kept.len());
    assert_eq!(kept.last().unwrap().seq, log.last());
}

#[tokio::test]
async fn a_torn_tail_is_healed_and_reported() {
    let directory = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    for n in 0..20 {
        log.append(vec![entry(Stream::Events, &format!("{n}"))]).await.unwrap();
    }
    // A copy of the living files is what a power cut leaves; then its last write is torn in two.
    for file in ["medevac.db", "medevac.db-wal"] {
        std::fs::copy(directory.path().join(file), copy.path().join(file)).unwrap();
    }
    let wal = copy.path().join("medevac.db-wal");
    let length = std::fs::metadata(&wal).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&wal).unwrap().set_len(length - 100).unwrap();
    let healed = open(copy.path());
    assert!(healed.healed().discarded_bytes > 0, "{:?}", healed.healed());
    assert!(healed.healed().replayed_pages > 0, "{:?}", healed.healed());
    let names = healed.read(0, &[Stream::Events], 100).await.unwrap().len();
    assert!((15..20).contains(&names), "{names} of 20: only the torn write is gone");
    healed.append(vec![entry(Stream::Events, "after")]).await.unwrap();
}

/// The writer that is killed: appends for as long as it lives, and says what was acknowledged.
#[tokio::test]
async fn child_writes_until_it_is_killed() {
    let Some(directory) = std::env::var_os("MEDEVAC_TEST_WRITER") else { return };
    let log = open(Path::new(&directory));
    let life = std::env::var("MEDEVAC_TEST_LIFE").unwrap();
    let (said, mut lines) = tokio::sync::mpsc::unbounded_channel::<String>();
    for writer in 0..4 {
        let (log, said, life) = (log.clone(), said.clone(), life.clone());
        tokio::spawn(async move {
            for n in 0.. {
                let name = format!("{life}-{writer}-{n}");
                let seq = log.append(vec![entry(Stream::Events, &name)]).await.unwrap()[0].seq;
                said.send(format!("{seq} {name}")).unwrap();
            }
        });
    }
    let mut out = std::io::stdout();
    while let Some(line) = lines.recv().await {
        writeln!(out, "ACK {line}").unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn two_hundred_kills_lose_nothing_and_repeat_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(u64, String)> = vec![];
    for life in 0..200u32 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "embedded::child_writes_until_it_is_killed", "--nocapture"])
            .env("MEDEVAC_TEST_WRITER", directory.path())
            .env("MEDEVAC_TEST_LIFE", life.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Each life is cut off after another number of acknowledgements: in the middle of other writes.
        let cut = 1 + (life as usize * 7) % 23;
        let mut mine = 0;
        for line in lines {
            let line = line.unwrap_or_default();
            let Some(ack) = line.split("ACK ").nth(1) else { continue };
            let (seq, name) = ack.split_once(' ').unwrap();
            acknowledged.push((seq.parse().unwrap(), name.to_owned()));
            mine += 1;
            if mine == cut {
                // SIGKILL: nothing of it gets to tidy up. What it had printed before is read on.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(mine >= cut, "life {life} wrote only {mine}");
    }
    let log = open(directory.path());
    let mut found = vec![];
    loop {
        let after = found.last().map_or(0, |(seq, _)| *seq);
        let page = log.read(after, &[Stream::Events], 1000).await.unwrap();
        if page.is_empty() {
            break;
        }
        found.extend(page.into_iter().map(|record| {
            let value: serde_json::Value = serde_json::from_slice(&record.body).unwrap();
            (record.seq, value["name"].as_str().unwrap().to_owned())
        }));
    }
    assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order");
    let mut names: Vec<&String> = found.iter().map(|(_, name)| name).collect();
    names.sort();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "each once");
    let by_seq: std::collections::BTreeMap<u64, &String> =
        found.iter().map(|(seq, name)| (*seq, name)).collect();
    for (seq, name) in &acknowledged {
        assert_eq!(by_seq.get(seq), Some(&name), "acknowledged and not there");
    }
    assert!(acknowledged.len() >= 200);
}

/// A clock that a test moves.
#[derive(Clone, Default)]
struct Hands(std::sync::Arc<std::sync::atomic::AtomicI64>);

impl medevac::clock::Clock for Hands {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(self.0.load(std::sync::atomic::Ordering::SeqCst)).unwrap()
    }

    async fn until(&self, _: Option<jiff::Timestamp>) {
        std::future::pending().await
    }
}

#[tokio::test]
async fn what_is_old_goes_and_so_does_the_memory_of_duplicates() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Hands::default();
    let options =
        Options { segment_bytes: 1, max_age: Duration::from_secs(3600), ..Options::default() };
    let log = Embedded::open(directory.path(), options, clock.clone()).unwrap();
    log.append(vec![entry(Stream::Events, "old")]).await.unwrap();
    clock.0.store(1800, std::sync::atomic::Ordering::SeqCst);
    let again = log.append(vec![entry(Stream::Events, "old")]).await.unwrap();
    assert!(again[0].duplicate, "the window moves with what is appended");
    log.append(vec![entry(Stream::Events, "middle")]).await.unwrap();
    let later = log.append(vec![entry(Stream::Events, "old")]).await.unwrap();
    assert!(!later[0].duplicate, "half an hour is longer than the window");
    clock.0.store(4000, std::sync::atomic::Ordering::SeqCst);
    log.append(vec![entry(Stream::Events, "new")]).await.unwrap();
    log.append(vec![entry(Stream::Events, "newer")]).await.unwrap();
    let kept: Vec<u64> =
        log.read(0, &[Stream::Events], 10).await.unwrap().iter().map(|record| record.seq).collect();
    assert_eq!(kept, [2, 3, 4, 5], "only the first is older than an hour");
}
