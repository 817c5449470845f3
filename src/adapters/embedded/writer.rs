//! Writing: one thread takes what has queued up, writes it in one transaction and answers after the commit.

use super::{
    Options,
    checkpoint::Checkpointer,
    window::{self, Window},
};
use crate::log::{Appended, Condition, Entry, KvChange, KvEntry, LogError, Revision, Seq};
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension, ToSql, Transaction, ffi, params};
use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex, PoisonError, mpsc},
};
use tokio::sync::{broadcast, oneshot, watch};

pub(super) type Reply<T> = oneshot::Sender<Result<T, LogError>>;

/// Where a consumer stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) floor: Seq,
    pub(super) handed_out: Seq,
    /// How often everything up to `handed_out` was handed out before.
    pub(super) tries: u32,
}

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
        reply: Reply<Place>,
    },
    /// Rides along with the next commit; a lost one costs a redelivery.
    Place {
        name: String,
        place: Place,
    },
}

/// What to say once the commit is durable.
enum Answer {
    Appended(Reply<Vec<Appended>>, Result<Vec<Appended>, LogError>),
    Put(Reply<Revision>, Result<Revision, LogError>, Option<(String, KvChange)>),
    Deleted(Reply<()>, Result<(), LogError>, Option<(String, KvChange)>),
    Opened(Reply<Place>, Result<Place, LogError>),
    Nothing,
}

type Watchers = Arc<Mutex<BTreeMap<String, broadcast::Sender<KvChange>>>>;

pub(super) struct Writer {
    db: Connection,
    options: Options,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    window: Window,
    next: Seq,
    revision: Revision,
    last: watch::Sender<Seq>,
    watchers: Watchers,
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
        watchers: Watchers,
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
            watchers,
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
                answers.into_iter().for_each(|answer| self.say(answer));
                self.checkpointer.committed(&self.db);
            }
            Err(error) => {
                (self.next, self.revision) = (next, revision);
                answers.into_iter().for_each(|answer| refuse(answer, &error));
            }
        }
    }

    fn say(&self, answer: Answer) {
        // A caller who went away needs no answer.
        let tell = |change: Option<(String, KvChange)>| {
            if let Some((bucket, change)) = change {
                let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
                watchers.get(&bucket).map(|watcher| watcher.send(change));
            }
        };
        match answer {
            Answer::Appended(reply, result) => drop(reply.send(result)),
            Answer::Opened(reply, result) => drop(reply.send(result)),
            Answer::Put(reply, result, change) => {
                tell(change);
                drop(reply.send(result));
            }
            Answer::Deleted(reply, result, change) => {
                tell(change);
                drop(reply.send(result));
            }
            Answer::Nothing => {}
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

fn log_error(error: &rusqlite::Error) -> LogError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => LogError::Full("the disk or the size limit is reached".into()),
        _ => LogError::Unavailable(error.to_string()),
    }
}

/// The batch has failed already: what is left of it is refused with the rest.
fn not_run(command: Command) -> Answer {
    let why = || LogError::Unavailable("the batch failed".into());
    match command {
        Command::Append { reply, .. } => Answer::Appended(reply, Err(why())),
        Command::Put { reply, .. } => Answer::Put(reply, Err(why()), None),
        Command::Delete { reply, .. } => Answer::Deleted(reply, Err(why()), None),
        Command::OpenConsumer { reply, .. } => Answer::Opened(reply, Err(why())),
        Command::Place { .. } => Answer::Nothing,
    }
}

fn refuse(answer: Answer, error: &rusqlite::Error) {
    match answer {
        Answer::Appended(reply, _) => drop(reply.send(Err(log_error(error)))),
        Answer::Put(reply, _, _) => drop(reply.send(Err(log_error(error)))),
        Answer::Deleted(reply, _, _) => drop(reply.send(Err(log_error(error)))),
        Answer::Opened(reply, _) => drop(reply.send(Err(log_error(error)))),
        Answer::Nothing => {}
    }
}

/// Rows of one statement: a body of ten alerts is one of these and two more.
const ROWS: usize = 8;
static SINGLE: LazyLock<String> = LazyLock::new(|| insert(1));
static BULK: LazyLock<String> = LazyLock::new(|| insert(ROWS));

fn insert(rows: usize) -> String {
    let values = vec!["(?, ?, ?, ?, ?, ?)"; rows].join(", ");
    format!("INSERT INTO records (seq, at, stream, id, target, body) VALUES {values}")
}

/// One command inside the transaction.
struct Tx<'a> {
    tx: &'a Transaction<'a>,
    at: i64,
    next: &'a mut Seq,
    revision: &'a mut Revision,
    window: &'a Window,
    fresh: &'a mut BTreeMap<u128, Seq>,
    bytes: &'a mut u64,
    /// The first append that could not be written.
    failed: &'a mut Option<rusqlite::Error>,
}

impl Tx<'_> {
    fn run(&mut self, command: Command) -> Answer {
        let down = |error: rusqlite::Error| log_error(&error);
        if self.failed.is_some() {
            return not_run(command);
        }
        match command {
            Command::Append { entries, reply } => {
                let result = self.append(&entries).map_err(|error| {
                    let told = log_error(&error);
                    self.failed.get_or_insert(error);
                    told
                });
                Answer::Appended(reply, result)
            }
            Command::Put { bucket, key, value, condition, expires, reply } => {
                let result = self.put(&bucket, &key, &value, condition, expires);
                let change = result.as_ref().ok().map(|revision| {
                    (bucket, KvChange::Put(KvEntry { key, value, revision: *revision }))
                });
                Answer::Put(reply, result, change)
            }
            Command::Delete { bucket, key, condition, reply } => {
                let result = self.delete(&bucket, &key, condition);
                let change = result.is_ok().then_some((bucket, KvChange::Gone(key)));
                Answer::Deleted(reply, result, change)
            }
            Command::OpenConsumer { name, reply } => {
                Answer::Opened(reply, self.open_consumer(&name).map_err(down))
            }
            Command::Place { name, place } => {
                if let Err(error) = self.place(&name, place) {
                    tracing::warn!(%error, consumer = name, "its place was not saved; records will come again");
                }
                Answer::Nothing
            }
        }
    }

    fn append(&mut self, entries: &[Entry]) -> Result<Vec<Appended>, rusqlite::Error> {
        let mut appended = Vec::with_capacity(entries.len());
        let mut rows = Vec::with_capacity(entries.len());
        for entry in entries {
            let id = window::number(entry.id.as_str());
            if let Some(seq) = self.window.find(id).or_else(|| self.fresh.get(&id).copied()) {
                appended.push(Appended { seq, duplicate: true });
                continue;
            }
            let seq = *self.next;
            *self.next += 1;
            *self.bytes += entry.body.len() as u64;
            self.fresh.insert(id, seq);
            rows.push((seq, entry));
            appended.push(Appended { seq, duplicate: false });
        }
        let mut chunks = rows.chunks_exact(ROWS);
        for chunk in &mut chunks {
            self.insert(&BULK, chunk)?;
        }
        for row in chunks.remainder() {
            self.insert(&SINGLE, std::slice::from_ref(row))?;
        }
        Ok(appended)
    }

    fn insert(&self, sql: &str, rows: &[(Seq, &Entry)]) -> Result<(), rusqlite::Error> {
        let mut statement = self.tx.prepare_cached(sql)?;
        let mut at = 0;
        for (seq, entry) in rows {
            let subject = &entry.subject;
            let stream = subject.stream.number();
            let id = entry.id.as_str();
            let columns: [&dyn ToSql; 6] =
                [seq, &self.at, &stream, &id, &subject.target, &entry.body];
            for column in columns {
                at += 1;
                statement.raw_bind_parameter(at, column)?;
            }
        }
        statement.raw_execute().map(|_| ())
    }

    fn check(&self, bucket: &str, key: &str, condition: Condition) -> Result<(), LogError> {
        let live = "SELECT revision FROM keys
                    WHERE bucket = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?3)";
        let found: Option<Revision> = self
            .tx
            .prepare_cached(live)
            .and_then(|mut sql| {
                sql.query_row(params![bucket, key, self.at], |row| row.get(0)).optional()
            })
            .map_err(|error| log_error(&error))?;
        let holds = match condition {
            Condition::Always => true,
            Condition::Absent => found.is_none(),
            Condition::Is(revision) => found == Some(revision),
        };
        if holds { Ok(()) } else { Err(LogError::Conflict) }
    }

    fn put(
        &mut self,
        bucket: &str,
        key: &str,
        value: &[u8],
        condition: Condition,
        expires: Option<Timestamp>,
    ) -> Result<Revision, LogError> {
        self.check(bucket, key, condition)?;
        *self.revision += 1;
        let put = "INSERT INTO keys (bucket, key, value, revision, expires) VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT (bucket, key) DO UPDATE
                   SET value = excluded.value, revision = excluded.revision, expires = excluded.expires";
        let expires = expires.map(Timestamp::as_microsecond);
        self.tx
            .prepare_cached(put)
            .and_then(|mut sql| sql.execute(params![bucket, key, value, *self.revision, expires]))
            .map_err(|error| log_error(&error))?;
        Ok(*self.revision)
    }

    fn delete(&self, bucket: &str, key: &str, condition: Condition) -> Result<(), LogError> {
        self.check(bucket, key, condition)?;
        self.tx
            .prepare_cached("DELETE FROM keys WHERE bucket = ?1 AND key = ?2")
            .and_then(|mut sql| sql.execute([bucket, key]))
            .map_err(|error| log_error(&error))?;
        Ok(())
    }

    fn open_consumer(&self, name: &str) -> Result<Place, rusqlite::Error> {
        let new = "INSERT INTO consumers (name, floor, handed_out, tries) VALUES (?1, 0, 0, 0)
                   ON CONFLICT (name) DO UPDATE SET tries = tries + (handed_out > floor)";
        self.tx.execute(new, [name])?;
        let row = "SELECT floor, handed_out, tries FROM consumers WHERE name = ?1";
        self.tx.query_row(row, [name], |row| {
            Ok(Place { floor: row.get(0)?, handed_out: row.get(1)?, tries: row.get(2)? })
        })
    }

    fn place(&self, name: &str, place: Place) -> Result<(), rusqlite::Error> {
        let sql = "UPDATE consumers SET floor = ?2, handed_out = ?3, tries = ?4 WHERE name = ?1";
        self.tx.prepare_cached(sql)?.execute(params![
            name,
            place.floor,
            place.handed_out,
            place.tries
        ])?;
        Ok(())
    }
}
