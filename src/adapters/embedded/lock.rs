//! One daemon per data directory: an advisory lock that the kernel drops with the process.

use jiff::Timestamp;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

/// Held for as long as it lives.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "kept open: closing it frees the lock")] File);

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "the data directory {path} is in use by {holder}; stop that daemon, or give this one another --data-dir"
    )]
    Taken { path: PathBuf, holder: String },
    #[error("cannot lock {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl Held {
    pub(super) fn take(directory: &Path, now: Timestamp) -> Result<Held, LockError> {
        let path = directory.join("LOCK");
        let io = |source| LockError::Io { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).map_err(io)?;
                file.rewind().map_err(io)?;
                write!(file, "pid {} since {now}", std::process::id()).map_err(io)?;
                Ok(Held(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The holder's own words; unreadable ones do not change the answer.
                file.read_to_string(&mut holder).map_err(io)?;
                let holder = if holder.is_empty() { "another daemon".into() } else { holder };
                Err(LockError::Taken { path: directory.into(), holder })
            }
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}
