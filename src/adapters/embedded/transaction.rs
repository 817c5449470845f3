//! One command inside the writer's transaction.

use super::window::{self, Window};
use super::writer::{Answer, Command, log_error, not_run};
use crate::log::{Appended, Condition, Entry, LogError, Restored, Revision, Seq, Stand};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, ToSql, Transaction, params};
use std::{collections::BTreeMap, sync::LazyLock};

/// Rows of one statement: a body of ten alerts is one of these and two more.
const ROWS: usize = 8;
static SINGLE: LazyLock<String> = LazyLock::new(|| insert(1));
static BULK: LazyLock<String> = LazyLock::new(|| insert(ROWS));

fn insert(rows: usize) -> String {
    let values = vec!["(?, ?, ?, ?, ?, ?)"; rows].join(", ");
    format!("INSERT INTO records (seq, at, stream, id, target, body) VALUES {values}")
}

pub(super) struct Tx<'a> {
    pub(super) tx: &'a Transaction<'a>,
    pub(super) at: i64,
    pub(super) next: &'a mut Seq,
    pub(super) revision: &'a mut Revision,
    pub(super) window: &'a Window,
    pub(super) fresh: &'a mut BTreeMap<u128, Seq>,
    pub(super) bytes: &'a mut u64,
    /// The first append that could not be written.
    pub(super) failed: &'a mut Option<rusqlite::Error>,
}

impl Tx<'_> {
    pub(super) fn run(&mut self, command: Command) -> Answer {
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
                Answer::Put(reply, self.put(&bucket, &key, &value, condition, expires))
            }
            Command::Delete { bucket, key, condition, reply } => {
                Answer::Done(reply, self.delete(&bucket, &key, condition))
            }
            Command::OpenConsumer { name, reply } => {
                Answer::Opened(reply, self.open_consumer(&name).map_err(down))
            }
            Command::Restore { records, reply } => Answer::Done(reply, self.restore(&records)),
            Command::PutPlace { name, floor, reply } => {
                let place = Stand { floor, handed_out: floor, tries: 0 };
                let done = self.open_consumer(&name).and_then(|_| self.place(&name, place));
                Answer::Done(reply, done.map_err(down))
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
            rows.push((seq, self.at, entry));
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

    /// Nothing that was there before may follow what is restored.
    fn restore(&mut self, records: &[Restored]) -> Result<(), LogError> {
        for Restored { seq, at, entry } in records {
            if *seq < *self.next {
                return Err(LogError::Conflict);
            }
            *self.next = seq + 1;
            *self.bytes += entry.body.len() as u64;
            let row = (*seq, at.as_microsecond(), entry);
            self.insert(&SINGLE, std::slice::from_ref(&row)).map_err(|error| {
                let told = log_error(&error);
                self.failed.get_or_insert(error);
                told
            })?;
        }
        Ok(())
    }

    fn insert(&self, sql: &str, rows: &[(Seq, i64, &Entry)]) -> Result<(), rusqlite::Error> {
        let mut statement = self.tx.prepare_cached(sql)?;
        let mut at = 0;
        for (seq, taken, entry) in rows {
            let subject = &entry.subject;
            let stream = subject.stream.number();
            let id = entry.id.as_str();
            let columns: [&dyn ToSql; 6] = [seq, taken, &stream, &id, &subject.target, &entry.body];
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

    fn open_consumer(&self, name: &str) -> Result<Stand, rusqlite::Error> {
        let new = "INSERT INTO consumers (name, floor, handed_out, tries) VALUES (?1, 0, 0, 0)
                   ON CONFLICT (name) DO UPDATE SET tries = tries + (handed_out > floor)";
        self.tx.execute(new, [name])?;
        let row = "SELECT floor, handed_out, tries FROM consumers WHERE name = ?1";
        self.tx.query_row(row, [name], |row| {
            Ok(Stand { floor: row.get(0)?, handed_out: row.get(1)?, tries: row.get(2)? })
        })
    }

    fn place(&self, name: &str, place: Stand) -> Result<(), rusqlite::Error> {
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
