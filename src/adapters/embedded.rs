//! The embedded log: one SQLite file in write-ahead mode in a data directory, for one daemon on one machine.
//!
//! Chosen over a file format of our own: one transaction holds records, places and keys, anyone can open
//! it, nothing is better tested, and with group commit it is within a third of a plain file.
//! One thread writes and commits (`writer`), readers have connections of their own (`reader`).

mod checkpoint;
mod consumer;
mod keys;
mod lock;
mod reader;
mod schema;
mod transaction;
mod wal;
mod window;
mod writer;

pub use consumer::EmbeddedConsumer;
pub use lock::{Held, LockError};
pub use wal::Healed;

use crate::clock::Clock;
use crate::log::{Appended, Entry, Log, LogError, Place, Policy, Record, Seq, Stream};
use crate::model::Target;
use jiff::Timestamp;
use reader::Readers;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{oneshot, watch};
use writer::{Command, Writer};

/// Largest record, in bytes: Alertmanager's annotations alone may be 64 KiB, twice.
pub const MAX_RECORD: usize = 4 << 20;

/// What the embedded log keeps, and for how long.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whole segments older than this are dropped, unless a consumer still needs them.
    pub max_age: Duration,
    /// Bytes of records kept; the oldest segments go first.
    pub max_bytes: u64,
    /// A segment is closed at this many bytes.
    pub segment_bytes: u64,
    /// An id seen within this time is a duplicate.
    pub duplicates: Duration,
    /// The file may not grow beyond this many bytes; appends are refused instead. 0: as the disk allows.
    pub hard_limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            max_age: Duration::from_secs(14 * 86_400),
            max_bytes: 8 << 30,
            segment_bytes: 64 << 20,
            duplicates: Duration::from_secs(600),
            hard_limit: 0,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot use the data directory {path}")]
    Directory {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(
        "cannot open the log in {path}; if the file is damaged, move it away and restore a copy"
    )]
    Database {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error(
        "the log in {path} was written by a newer version (format {found}, this one reads up to {known})"
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
}

/// The embedded log. Clones share it; the directory is free again when the last one is gone.
#[derive(Clone)]
pub struct Embedded {
    inner: Arc<Inner>,
}

struct Inner {
    /// Taken when the last clone goes: the writer then finishes and frees the lock.
    commands: Option<std::sync::mpsc::SyncSender<Command>>,
    writer: Option<std::thread::JoinHandle<()>>,
    readers: Readers,
    last: watch::Receiver<Seq>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    healed: Healed,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the log's writer had failed before it was closed");
        }
    }
}

/// Appends that may wait for the next commit. A sender that finds it full waits.
const QUEUE: usize = 4096;

impl Embedded {
    /// Opens the log in `directory`, creating it where there is none, and heals what a crash left.
    ///
    /// # Errors
    /// Where the directory cannot be used, another daemon holds it (the error says which), or the
    /// file is damaged or newer than this program.
    pub fn open(directory: &Path, options: Options, clock: impl Clock) -> Result<Self, OpenError> {
        let at = |source| OpenError::Directory { path: directory.into(), source };
        std::fs::create_dir_all(directory).map_err(at)?;
        let lock = Held::take(directory, clock.now())?;
        let path = directory.join("medevac.db");
        let healed = wal::inspect(&directory.join("medevac.db-wal")).map_err(at)?;
        let connection = schema::open(&path, &options)?;
        let now: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(move || clock.now());
        let bad = |source| OpenError::Database { path: path.clone(), source };
        let (commands, inbox) = std::sync::mpsc::sync_channel(QUEUE);
        let (writer, last) =
            Writer::new(connection, &path, options, Arc::clone(&now)).map_err(bad)?;
        let readers = Readers::new(&path).map_err(bad)?;
        let thread = std::thread::Builder::new().name("medevac-log".into());
        let work = move || {
            writer.run(&inbox);
            drop(lock);
        };
        let writer = Some(thread.spawn(work).map_err(at)?);
        let commands = Some(commands);
        let inner = Inner { commands, writer, readers, last, now, healed };
        Ok(Embedded { inner: Arc::new(inner) })
    }

    /// What was found and put right when it was opened.
    pub fn healed(&self) -> &Healed {
        &self.inner.healed
    }

    async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> Command,
    ) -> Result<T, LogError> {
        let (reply, answer) = oneshot::channel();
        self.send(make(reply)).await?;
        answer.await.map_err(|_| LogError::Unavailable("the writer has stopped".into()))?
    }

    /// Tells the writer something that may be lost where it has too much to do.
    fn tell(&self, command: Command) {
        let Some(commands) = &self.inner.commands else { return };
        if commands.try_send(command).is_err() {
            tracing::debug!("a place was not saved; the next one will be");
        }
    }

    async fn send(&self, command: Command) -> Result<(), LogError> {
        let gone = || LogError::Unavailable("the writer has stopped".into());
        let commands = self.inner.commands.as_ref().ok_or_else(gone)?;
        match commands.try_send(command) {
            Ok(()) => Ok(()),
            Err(std::sync::mpsc::TrySendError::Full(command)) => {
                let commands = commands.clone();
                let sent = tokio::task::spawn_blocking(move || commands.send(command)).await;
                sent.map_err(|_| gone())?.map_err(|_| gone())
            }
            Err(std::sync::mpsc::TrySendError::Disconnected(_)) => Err(gone()),
        }
    }
}

impl Log for Embedded {
    type Consumer = EmbeddedConsumer;

    async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Appended>, LogError> {
        if let Some(size) =
            entries.iter().map(|entry| entry.body.len()).find(|size| *size > MAX_RECORD)
        {
            return Err(LogError::TooLarge { size, limit: MAX_RECORD });
        }
        self.ask(|reply| Command::Append { entries, reply }).await
    }

    async fn read(
        &self,
        after: Seq,
        streams: &[Stream],
        limit: usize,
    ) -> Result<Vec<Record>, LogError> {
        let streams = streams.to_vec();
        self.inner.readers.run(move |db| reader::read(db, after, &streams, limit)).await
    }

    async fn history(
        &self,
        target: &Target,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Record>, LogError> {
        let target = target.to_string();
        self.inner.readers.run(move |db| reader::history(db, &target, after, limit)).await
    }

    async fn get(&self, seq: Seq) -> Result<Option<Record>, LogError> {
        self.inner.readers.run(move |db| reader::get(db, seq)).await
    }

    fn last(&self) -> Seq {
        *self.inner.last.borrow()
    }

    fn max_record(&self) -> usize {
        MAX_RECORD
    }

    /// The lock on the directory is the fence: nobody else can write at all.
    async fn fence(&self, _: &str, _: u64) -> Result<Self, LogError> {
        Ok(self.clone())
    }

    /// The writer looks after its limits itself, by the places of the consumers.
    async fn trim(&self, _: Seq) -> Result<(), LogError> {
        Ok(())
    }

    async fn places(&self) -> Result<Vec<Place>, LogError> {
        self.inner.readers.run(reader::places).await
    }

    async fn consumer(
        &self,
        name: &str,
        streams: &[Stream],
        policy: Policy,
    ) -> Result<EmbeddedConsumer, LogError> {
        let place = self.ask(|reply| Command::OpenConsumer { name: name.into(), reply }).await?;
        Ok(EmbeddedConsumer::new(self.clone(), name, streams, policy, place))
    }
}
