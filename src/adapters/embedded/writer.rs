//! Writing: one thread takes what has queued up, writes it in one transaction and answers after the commit.

use super::{
    Options,
    checkpoint::Checkpointer,
    transaction::Tx,
    window::{self, Window},
};
use crate::log::{Appended, Condition, Entry, LogError, Restored, Revision, Seq, Stand};
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, ffi, params};
use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
};
use tokio::sync::{oneshot, watch};

pub(super) type Reply<T> = oneshot::Sender<Result<T, LogError>>;

pub(super) enum Command {
    Append {
        entries: Vec<Entry>,
        reply: Reply<Vec<Appended>>,
    },
    Put {
        bucket: String,
        key: String,
        value: Vec<u8>,
        condition: Condition,
        expires: Option<Timestamp>,
        reply: Reply<Revision>,
    },
    Delete {
        bucket: String,
        key: String,
        condition: Condition,
        reply: Reply<()>,
    },
    OpenConsumer {
        name: String,
        reply: Reply<Stand>,
    },
    /// Rides along with the next commit; a lost one costs a redelivery.
    Place {
        name: String,
        place: Stand,
    },
    /// Records with their own positions, and the same for a consumer.
    Restore {
        records: Vec<Restored>,
        reply: Reply<()>,
    },
    PutPlace {
        name: String,
        floor: Seq,
        reply: Reply<()>,
    },
}

/// What to say once the commit is durable.
pub(super) enum Answer {
    Appended(Reply<Vec<Appended>>, Result<Vec<Appended>, LogError>),
    Put(Reply<Revision>, Result<Revision, LogError>),
    Done(Reply<()>, Result<(), LogError>),
    Opened(Reply<Stand>, Result<Stand, LogError>),
    Nothing,
}

pub(super) struct Writer {
    db: Connection,
    options: Options,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    window: Window,
    next: Seq,
    revision: Revision,
    last: watch::Sender<Seq>,
    checkpointer: Checkpointer,
}

/// One transaction's worth. More would make the first of them wait too long.
const BATCH: usize = 1024;
/// Records removed in one transaction of retention.
const SLICE: u64 = 4096;

impl Writer {
    pub(super) fn new(
        db: Connection,
        path: &std::path::Path,
        options: Options,
        now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Result<(Writer, watch::Receiver<Seq>), rusqlite::Error> {
        let top = "SELECT max(coalesce((SELECT max(seq) FROM records), 0),
                              coalesce((SELECT max(last) FROM segments), 0))";
        let last_seq: Seq = db.query_row(top, [], |row| row.get(0))?;
        let revision =
            db.query_row("SELECT coalesce(max(revision), 0) FROM keys", [], |row| row.get(0))?;
        let (last, receiver) = watch::channel(last_seq);
        let mut writer = Writer {
            db,
            options,
            now,
            window: Window::default(),
            next: last_seq + 1,
            revision,
            last,
            checkpointer: Checkpointer::start(path)?,
        };
        writer.refill_window()?;
        Ok((writer, receiver))
    }

    fn micros(&self) -> i64 {
        (self.now)().as_microsecond()
    }

    fn horizon(&self, at: i64) -> i64 {
        at.saturating_sub(i64::try_from(self.options.duplicates.as_micros()).unwrap_or(i64::MAX))
    }

    fn refill_window(&mut self) -> Result<(), rusqlite::Error> {
        let sql =
            "SELECT id, seq, at FROM (SELECT id, seq, at FROM records ORDER BY seq DESC LIMIT ?1)
                   ORDER BY seq";
        let rows: Vec<(String, Seq, i64)> = self
            .db
            .prepare(sql)?
            .query_map([window::MOST], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        let horizon = rows.last().map_or(0, |(_, _, at)| self.horizon(*at));
        for (id, seq, at) in rows {
            self.window.insert(window::number(&id), seq, at, horizon);
        }
        Ok(())
    }

    /// Until every sender is gone.
    pub(super) fn run(mut self, inbox: &mpsc::Receiver<Command>) {
        while let Ok(first) = inbox.recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(more) = inbox.try_recv()
            {
                batch.push(more);
            }
            self.commit(batch);
            if let Err(error) = self.retain() {
                tracing::warn!(%error, "retention could not remove old segments");
            }
        }
    }

    /// All of `batch` in one transaction. On failure nothing of it was accepted.
    fn commit(&mut self, batch: Vec<Command>) {
        let at = self.micros();
        let (next, revision) = (self.next, self.revision);
        let mut fresh = BTreeMap::new();
        let (mut bytes, mut failed) = (0, None);
        let mut answers = Vec::with_capacity(batch.len());
        let write = || -> Result<(), rusqlite::Error> {
            let transaction = self.db.transaction()?;
            for command in batch {
                let mut tx = Tx {
                    tx: &transaction,
                    at,
                    next: &mut self.next,
                    revision: &mut self.revision,
                    window: &self.window,
                    fresh: &mut fresh,
                    bytes: &mut bytes,
                    failed: &mut failed,
                };
                answers.push(tx.run(command));
                if failed.is_none() && transaction.is_autocommit() {
                    // SQLite itself has taken everything back, as it does when the disk is full.
                    failed = Some(rusqlite::Error::SqliteFailure(
                        ffi::Error::new(ffi::SQLITE_FULL),
                        None,
                    ));
                }
            }
            // An append that failed half-way must not be half there: the whole batch goes.
            if let Some(error) = failed.take() {
                return Err(error);
            }
            if bytes > 0 {
                segment(&transaction, next, self.next - 1, bytes, at, self.options.segment_bytes)?;
            }
            transaction.commit()
        };
        match write() {
            Ok(()) => {
                let horizon = self.horizon(at);
                for (id, seq) in fresh {
                    self.window.insert(id, seq, at, horizon);
                }
                if self.next != next {
                    self.last.send_replace(self.next - 1);
                }
                answers.into_iter().for_each(say);
                self.checkpointer.committed(&self.db);
            }
            Err(error) => {
                (self.next, self.revision) = (next, revision);
                answers.into_iter().for_each(|answer| refuse(answer, &error));
            }
        }
    }

    /// Drops the oldest segment, a slice at a time, where age or size demand it and no consumer needs it.
    fn retain(&mut self) -> Result<(), rusqlite::Error> {
        let oldest = "SELECT first, last, last_at, (SELECT sum(bytes) FROM segments), (SELECT count(*) FROM segments)
                      FROM segments ORDER BY first LIMIT 1";
        let row = self.db.query_row(oldest, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        });
        let Some((first, last, last_at, bytes, segments)): Option<(Seq, Seq, i64, u64, u64)> =
            row.optional()?
        else {
            return Ok(());
        };
        let age = u128::try_from(self.micros() - last_at).unwrap_or_default();
        let due = age > self.options.max_age.as_micros() || bytes > self.options.max_bytes;
        let floor: Option<Seq> =
            self.db.query_row("SELECT min(floor) FROM consumers", [], |row| row.get(0))?;
        if !due || segments < 2 || floor.is_some_and(|floor| floor < last) {
            return Ok(());
        }
        let upto = last.min(first + SLICE - 1);
        let transaction = self.db.transaction()?;
        transaction.execute("DELETE FROM records WHERE seq <= ?1", [upto])?;
        if upto == last {
            transaction.execute("DELETE FROM segments WHERE first = ?1", [first])?;
        } else {
            transaction
                .execute("UPDATE segments SET first = ?1 WHERE first = ?2", [upto + 1, first])?;
        }
        transaction.commit()
    }
}

/// Counts what was appended to the open segment, or starts the next one.
fn segment(
    tx: &Transaction<'_>,
    first: Seq,
    last: Seq,
    bytes: u64,
    at: i64,
    limit: u64,
) -> Result<(), rusqlite::Error> {
    let open = "UPDATE segments SET last = ?1, bytes = bytes + ?2, last_at = ?3
                WHERE first = (SELECT max(first) FROM segments) AND bytes < ?4";
    if tx.prepare_cached(open)?.execute(params![last, bytes, at, limit])? == 0 {
        let new = "INSERT INTO segments (first, last, bytes, last_at) VALUES (?1, ?2, ?3, ?4)";
        tx.prepare_cached(new)?.execute(params![first, last, bytes, at])?;
    }
    Ok(())
}

pub(super) fn log_error(error: &rusqlite::Error) -> LogError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => LogError::Full("the disk or the size limit is reached".into()),
        _ => LogError::Unavailable(error.to_string()),
    }
}

/// A caller who went away needs no answer.
fn say(answer: Answer) {
    match answer {
        Answer::Appended(reply, result) => drop(reply.send(result)),
        Answer::Opened(reply, result) => drop(reply.send(result)),
        Answer::Put(reply, result) => drop(reply.send(result)),
        Answer::Done(reply, result) => drop(reply.send(result)),
        Answer::Nothing => {}
    }
}

/// The batch has failed already: what is left of it is refused with the rest.
pub(super) fn not_run(command: Command) -> Answer {
    let why = || LogError::Unavailable("the batch failed".into());
    match command {
        Command::Append { reply, .. } => Answer::Appended(reply, Err(why())),
        Command::Put { reply, .. } => Answer::Put(reply, Err(why())),
        Command::Delete { reply, .. }
        | Command::Restore { reply, .. }
        | Command::PutPlace { reply, .. } => Answer::Done(reply, Err(why())),
        Command::OpenConsumer { reply, .. } => Answer::Opened(reply, Err(why())),
        Command::Place { .. } => Answer::Nothing,
    }
}

fn refuse(answer: Answer, error: &rusqlite::Error) {
    match answer {
        Answer::Appended(reply, _) => drop(reply.send(Err(log_error(error)))),
        Answer::Put(reply, _) => drop(reply.send(Err(log_error(error)))),
        Answer::Done(reply, _) => drop(reply.send(Err(log_error(error)))),
        Answer::Opened(reply, _) => drop(reply.send(Err(log_error(error)))),
        Answer::Nothing => {}
    }
}
