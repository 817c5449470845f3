//! The tables, and how the file is opened.

use super::{OpenError, Options};
use rusqlite::Connection;
use std::path::Path;

/// Grows when the tables change; older formats are read for ever.
const FORMAT: i64 = 1;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS records (
        seq     INTEGER PRIMARY KEY,
        at      INTEGER NOT NULL,   -- microseconds since 1970
        stream  INTEGER NOT NULL,   -- Stream::number
        id      TEXT    NOT NULL,
        target  TEXT    NOT NULL,
        body    BLOB    NOT NULL    -- the CloudEvent, as JSON
    );
    CREATE INDEX IF NOT EXISTS history ON records (target, seq) WHERE stream IN (1, 2, 3);
    CREATE INDEX IF NOT EXISTS decided ON records (stream, seq) WHERE stream IN (1, 2, 3, 4);
    CREATE TABLE IF NOT EXISTS segments (
        first INTEGER PRIMARY KEY, last INTEGER NOT NULL, bytes INTEGER NOT NULL, last_at INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS consumers (
        name TEXT PRIMARY KEY, floor INTEGER NOT NULL, handed_out INTEGER NOT NULL, tries INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS keys (
        bucket TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, revision INTEGER NOT NULL,
        expires INTEGER, PRIMARY KEY (bucket, key)
    ) WITHOUT ROWID;
";

pub(super) const PAGE_SIZE: u64 = 8192;

/// Opens for writing: write-ahead log, a sync with every commit.
pub(super) fn open(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    let bad = |source| OpenError::Database { path: path.into(), source };
    let db = Connection::open(path).map_err(bad)?;
    db.pragma_update(None, "page_size", PAGE_SIZE).map_err(bad)?;
    db.pragma_update(None, "journal_mode", "WAL").map_err(bad)?;
    db.pragma_update(None, "synchronous", "FULL").map_err(bad)?;
    db.pragma_update(None, "cache_size", -8192).map_err(bad)?;
    // The checkpointer does that, beside the writer.
    db.pragma_update(None, "wal_autocheckpoint", 0).map_err(bad)?;
    db.busy_timeout(std::time::Duration::from_secs(5)).map_err(bad)?;
    db.pragma_update(None, "journal_size_limit", 64 << 20).map_err(bad)?;
    if options.hard_limit > 0 {
        let pages = options.hard_limit / PAGE_SIZE;
        db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).map_err(bad)?;
    }
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(bad)?;
    if found > FORMAT {
        return Err(OpenError::Newer { path: path.into(), found, known: FORMAT });
    }
    db.execute_batch(TABLES).map_err(bad)?;
    db.pragma_update(None, "user_version", FORMAT).map_err(bad)?;
    Ok(db)
}
