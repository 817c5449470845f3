//! `medevac log`: a log as a file, and back, embedded or on NATS. Both can be broken off and go on.

mod file;

use super::{Exit, logs, progress::Progress, words};
use crate::log::{Kv, KvEntry, Log, LogError, Moving, Seq, Stream, bucket};
use crate::model::chain;
use file::{Line, Reader, Writer};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write the whole log into a file: records, keys, places of consumers, a checksum. Goes on where it was broken off.
    Export {
        file: PathBuf,
        #[command(flatten)]
        log: logs::Where,
    },
    /// Write a file into a log that is empty, at the same positions. Goes on where it was broken off.
    Import {
        file: PathBuf,
        #[command(flatten)]
        log: logs::Where,
    },
    /// Check a file's checksum, and say what is in it.
    Verify { file: PathBuf },
}

/// Records read or written at once.
const PAGE: usize = 500;
/// Keys of one bucket.
const KEYS: usize = 1_000_000;

fn failed(error: &LogError) -> Exit {
    Exit::Failed(chain(error))
}

#[derive(Clone, Copy)]
enum Way {
    Out,
    In,
}

pub(super) async fn run(args: Args) -> Exit {
    let done = match args.command {
        Command::Export { file, log } => carry(&log, &file, Way::Out).await,
        Command::Import { file, log } => carry(&log, &file, Way::In).await,
        Command::Verify { file } => verify(&file).map(|_| ()),
    };
    done.err().unwrap_or(Exit::Good)
}

async fn carry(place: &logs::Where, file: &Path, way: Way) -> Result<(), Exit> {
    let settings = place.settings()?;
    let directory = place.directory();
    match (&settings.nats, way) {
        (Some(nats), Way::Out) => export(&logs::connect(nats).await?, file).await,
        (Some(nats), Way::In) => import(&logs::connect(nats).await?, file).await,
        (None, Way::Out) => export(&logs::open_existing(&directory)?, file).await,
        (None, Way::In) => import(&logs::open(&directory)?, file).await,
    }
}

async fn export<L: Log + Kv + Moving>(log: &L, path: &Path) -> Result<(), Exit> {
    if path.exists() {
        return Err(Exit::Usage(format!("{} is there already", path.display())));
    }
    // Asks the log itself, where another replica may have written the end of it.
    log.places().await.map_err(|error| failed(&error))?;
    let last = log.last();
    // Before the records: what they reach is then no less than what keys and places know of.
    let (keys, places) = (keys(log).await?, log.places().await.map_err(|error| failed(&error))?);
    let (mut writer, mut after) = Writer::open(path)?;
    if after > 0 {
        words::complain(&format!("going on after position {after}"));
    }
    let mut progress = Progress::new("export", last);
    loop {
        let page = log.read(after, &Stream::ALL, PAGE).await.map_err(|error| failed(&error))?;
        for record in &page {
            writer.write(&Line::record(record)?)?;
            after = record.seq;
        }
        progress.at(after);
        if page.len() < PAGE {
            break;
        }
    }
    progress.end();
    for line in keys.into_iter().chain(places.into_iter().map(Line::Place)) {
        writer.write(&line)?;
    }
    let count = writer.finish(path)?;
    words::say(&format!("{}: {count}", path.display()));
    Ok(())
}

/// All keys but those that belong to the log's own place: the lease, where consumers stand.
async fn keys<L: Kv>(log: &L) -> Result<Vec<Line>, Exit> {
    let mut all = vec![];
    for bucket in bucket::ALL {
        if [bucket::LEASES, bucket::PLACES].contains(&bucket) {
            continue;
        }
        let entries = log.list(bucket, None, KEYS).await.map_err(|error| failed(&error))?;
        all.extend(entries.iter().map(|entry| Line::key(bucket, entry)));
    }
    Ok(all)
}

/// Reads the file to its end: the first and last position.
fn verify(path: &Path) -> Result<(Seq, Seq), Exit> {
    let (mut records, mut keys, mut places, mut first, mut last) = (0u64, 0u64, 0u64, 0, 0);
    let mut reader = Reader::open(path)?;
    let mut progress = Progress::new("verify", reader.bytes());
    while let Some(line) = reader.next()? {
        progress.at(reader.read());
        match line {
            Line::Record(record) => {
                records += 1;
                first = if first == 0 { record.seq } else { first };
                last = record.seq;
            }
            Line::Key(_) => keys += 1,
            Line::Place(_) => places += 1,
        }
    }
    progress.end();
    words::say(&format!(
        "{}: {records} records ({first} to {last}), {keys} keys, {places} places; the checksum is right",
        path.display()
    ));
    Ok((first, last))
}

async fn import<L: Log + Kv + Moving>(log: &L, path: &Path) -> Result<(), Exit> {
    let (first, last) = verify(path)?;
    if let Some(entry) =
        Kv::get(log, bucket::LEASES, "active").await.map_err(|error| failed(&error))?
        && let Ok(claim) = serde_json::from_slice::<crate::daemon::Claim>(&entry.value)
        && !claim.holder.is_empty()
    {
        return Err(Exit::Usage(format!(
            "{} is the active replica on this log; stop the daemons first",
            claim.holder
        )));
    }
    log.places().await.map_err(|error| failed(&error))?;
    let there = log.last();
    same_beginning(log, path, first, there).await?;
    let mut reader = Reader::open(path)?;
    let mut progress = Progress::new("import", last);
    let mut page = vec![];
    while let Some(line) = reader.next()? {
        match line {
            Line::Record(record) if record.seq <= there => {}
            Line::Record(record) => {
                let seq = record.seq;
                page.push(record.restored()?);
                if page.len() == PAGE {
                    restore(log, &mut page).await?;
                    progress.at(seq);
                }
            }
            Line::Key(key) => {
                restore(log, &mut page).await?;
                let (bucket, KvEntry { key, value, expires, .. }) = key.entry()?;
                let put = log.put(&bucket, &key, value, crate::log::Condition::Always, expires);
                put.await.map_err(|error| failed(&error))?;
            }
            Line::Place(place) => {
                restore(log, &mut page).await?;
                log.put_place(&place).await.map_err(|error| failed(&error))?;
            }
        }
    }
    restore(log, &mut page).await?;
    progress.end();
    words::say(&format!("{} is in the log, up to position {last}", path.display()));
    Ok(())
}

async fn restore<L: Moving>(log: &L, page: &mut Vec<crate::log::Restored>) -> Result<(), Exit> {
    if page.is_empty() {
        return Ok(());
    }
    log.restore(std::mem::take(page)).await.map_err(|error| match error {
        LogError::Conflict => Exit::Failed(
            "somebody else writes to this log; stop the daemons and begin with an empty one".into(),
        ),
        other => failed(&other),
    })
}

/// What is there already must be the beginning of the file: then the import goes on.
async fn same_beginning<L: Log>(log: &L, path: &Path, first: Seq, there: Seq) -> Result<(), Exit> {
    if there < first {
        return Ok(());
    }
    let foreign = || {
        Exit::Usage(
            "the log is not empty, and what it holds is not the beginning of this file".into(),
        )
    };
    let held = Log::get(log, first).await.map_err(|error| failed(&error))?.ok_or_else(foreign)?;
    let mut reader = Reader::open(path)?;
    while let Some(line) = reader.next()? {
        if let Line::Record(record) = line {
            let same = record.seq == held.seq && record.body() == held.body;
            return if same { Ok(()) } else { Err(foreign()) };
        }
    }
    Err(foreign())
}
