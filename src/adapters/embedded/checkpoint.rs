//! Moving committed pages from the write-ahead file into the main one, beside the writer and not in its way.

use super::schema::PAGE_SIZE;
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

/// The write-ahead file is emptied once it is so large.
const EVERY: u64 = 16 << 20;
/// Under a load without a pause the checkpointer never quite arrives: then the writer waits for the rest.
const AT_MOST: u64 = 4 * EVERY;

/// A thread that the writer nudges after a commit.
pub(super) struct Checkpointer {
    nudge: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    wal: PathBuf,
}

impl Checkpointer {
    pub(super) fn start(path: &Path) -> Result<Checkpointer, rusqlite::Error> {
        let db = Connection::open(path)?;
        db.pragma_update(None, "wal_autocheckpoint", 0)?;
        let (nudge, nudged) = sync_channel(1);
        let name = std::thread::Builder::new().name("medevac-checkpoint".into());
        let thread = name.spawn(move || work(&db, &nudged)).ok();
        let wal = path.with_extension("db-wal");
        Ok(Checkpointer { nudge: Some(nudge), thread, wal })
    }

    /// After each commit of the writer's connection `db`.
    pub(super) fn committed(&self, db: &Connection) {
        let grown = std::fs::metadata(&self.wal).map_or(0, |meta| meta.len());
        if grown > EVERY
            && let Some(nudge) = &self.nudge
            && nudge.try_send(()).is_err()
        {
            tracing::trace!("it is at work already");
        }
        if grown > AT_MOST
            && let Err(error) = db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))
        {
            tracing::warn!(%error, "the log could not be checkpointed");
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.nudge = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpointer had failed before the log was closed");
        }
    }
}

fn work(db: &Connection, nudged: &Receiver<()>) {
    while nudged.recv().is_ok() {
        // PASSIVE: as much as can be moved without making anybody wait.
        let moved = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(2));
        match moved {
            Ok(pages) => {
                tracing::trace!(pages, bytes = pages.unsigned_abs() * PAGE_SIZE, "checkpointed")
            }
            Err(error) => tracing::warn!(%error, "the log could not be checkpointed"),
        }
    }
}
