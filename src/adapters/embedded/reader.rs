//! Reading: a few connections that never block the writer.

use crate::log::{KvEntry, LogError, Place, Record, Seq, Stream};
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// Two are enough: a reader is busy for microseconds.
const CONNECTIONS: usize = 2;

#[derive(Clone)]
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<tokio::sync::Semaphore>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Result<Readers, rusqlite::Error> {
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let db = Connection::open_with_flags(path, flags)?;
            db.pragma_update(None, "cache_size", -4096)?;
            db.busy_timeout(std::time::Duration::from_secs(5))?;
            Ok(db)
        };
        let idle = (0..CONNECTIONS).map(|_| open()).collect::<Result<_, rusqlite::Error>>()?;
        let permits = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
        Ok(Readers { idle: Arc::new(Mutex::new(idle)), permits })
    }

    /// Runs `query` on a connection, off the async threads.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, LogError> {
        let gone = |what: &str| LogError::Unavailable(what.to_owned());
        // The permit goes with the query: a caller who gives up does not free its connection too early.
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.map_err(|_| gone("closed"))?;
        let idle = Arc::clone(&self.idle);
        let done = tokio::task::spawn_blocking(move || {
            let take = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let db = take.ok_or_else(|| gone("no reader is free"))?;
            let result = query(&db);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
            drop(permit);
            result.map_err(|error| LogError::Unavailable(error.to_string()))
        });
        done.await.map_err(|_| gone("a reader failed"))?
    }
}

fn record(row: &Row<'_>) -> Result<Record, rusqlite::Error> {
    let stream: u8 = row.get(2)?;
    Ok(Record {
        seq: row.get(0)?,
        at: Timestamp::from_microsecond(row.get(1)?).unwrap_or_default(),
        stream: Stream::from_number(stream).unwrap_or(Stream::Dead),
        body: row.get(3)?,
    })
}

pub(super) fn read(
    db: &Connection,
    after: Seq,
    streams: &[Stream],
    limit: usize,
) -> Result<Vec<Record>, rusqlite::Error> {
    let numbers: Vec<String> = streams.iter().map(|stream| stream.number().to_string()).collect();
    let filter = match streams {
        [] => return Ok(vec![]),
        all if all.len() == Stream::ALL.len() => String::new(),
        _ => format!("AND stream IN ({})", numbers.join(",")),
    };
    let sql = format!(
        "SELECT seq, at, stream, body FROM records NOT INDEXED WHERE seq > ?1 {filter} ORDER BY seq LIMIT ?2"
    );
    db.prepare_cached(&sql)?.query_map(params![after, limit], record)?.collect()
}

pub(super) fn history(
    db: &Connection,
    target: &str,
    after: Seq,
    limit: usize,
) -> Result<Vec<Record>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT seq, at, stream, body FROM records
         WHERE stream IN (1, 2, 3) AND target = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    )?
    .query_map(params![target, after, limit], record)?
    .collect()
}

pub(super) fn get(db: &Connection, seq: Seq) -> Result<Option<Record>, rusqlite::Error> {
    db.prepare_cached("SELECT seq, at, stream, body FROM records WHERE seq = ?1")?
        .query_row([seq], record)
        .optional()
}

fn entry(row: &Row<'_>) -> Result<KvEntry, rusqlite::Error> {
    let expires: Option<i64> = row.get(3)?;
    let expires = expires.and_then(|at| Timestamp::from_microsecond(at).ok());
    Ok(KvEntry { key: row.get(0)?, value: row.get(1)?, revision: row.get(2)?, expires })
}

pub(super) fn kv_get(
    db: &Connection,
    bucket: &str,
    key: &str,
    now: Timestamp,
) -> Result<Option<KvEntry>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT key, value, revision, expires FROM keys
         WHERE bucket = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?3)",
    )?
    .query_row(params![bucket, key, now.as_microsecond()], entry)
    .optional()
}

pub(super) fn kv_list(
    db: &Connection,
    bucket: &str,
    before: Option<&str>,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<KvEntry>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT key, value, revision, expires FROM keys
         WHERE bucket = ?1 AND (?2 IS NULL OR key < ?2) AND (expires IS NULL OR expires > ?3)
         ORDER BY key DESC LIMIT ?4",
    )?
    .query_map(params![bucket, before, now.as_microsecond(), limit], entry)?
    .collect()
}

pub(super) fn places(db: &Connection) -> Result<Vec<Place>, rusqlite::Error> {
    let place = |row: &Row<'_>| Ok(Place { consumer: row.get(0)?, floor: row.get(1)? });
    db.prepare_cached("SELECT name, floor FROM consumers ORDER BY name")?
        .query_map([], place)?
        .collect()
}
