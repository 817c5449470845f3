//! Rule files on disk: read, and watched for edits.

use crate::daemon::Files;
use crate::model::Secret;
use crate::rules::{SecretRef, Source};
use notify::{RecursiveMode, Watcher};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;

/// Editors write in several steps: changes within this time are one.
const SETTLE: Duration = Duration::from_millis(300);
/// A secret is a line, not a document.
const LONGEST_SECRET: u64 = 64 << 10;

pub struct RuleFiles {
    paths: Vec<PathBuf>,
    changes: mpsc::Receiver<()>,
    /// Dropping it ends the watching.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl RuleFiles {
    /// Watches `paths`. Where that cannot be done it is said, and the files are read once.
    pub fn watch(paths: &[PathBuf]) -> RuleFiles {
        let (news, changes) = mpsc::channel(1);
        let tell = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) && news.try_send(()).is_err() {
                tracing::trace!("a change is known already");
            }
        };
        let watcher = notify::recommended_watcher(tell).and_then(|mut watcher| {
            for path in paths {
                // A file is watched through its directory: editors and ConfigMaps replace it.
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let place = if path.is_dir() { path } else { parent.unwrap_or(Path::new(".")) };
                watcher.watch(place, RecursiveMode::Recursive)?;
            }
            Ok(watcher)
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "rule files are not watched: an edit needs a restart");
        }
        RuleFiles { paths: paths.to_vec(), changes, _watcher: watcher.ok() }
    }
}

impl Files for RuleFiles {
    fn read(&self) -> Result<Vec<Arc<Source>>, String> {
        read(&self.paths)
    }

    fn secret(&self, reference: &SecretRef) -> Result<Secret, String> {
        secret(reference)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "no decision waits on it: an editor gets time to finish"
    )]
    async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        loop {
            tokio::time::sleep(SETTLE).await;
            if self.changes.try_recv().is_err() {
                return;
            }
        }
    }
}

/// The files among `paths`, and those below the directories among them, in the order of their names.
///
/// # Errors
/// A path that cannot be read, in words.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Arc<Source>>, String> {
    let mut sources = vec![];
    for path in paths {
        let bad = |error: io::Error| format!("cannot read {}: {error}", path.display());
        let before = sources.len();
        collect(path, true, &mut sources).map_err(bad)?;
        if sources.len() == before {
            return Err(format!("there is no rule file (*.yaml) in {}", path.display()));
        }
    }
    Ok(sources)
}

fn collect(path: &Path, named: bool, into: &mut Vec<Arc<Source>>) -> io::Result<()> {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> = fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        entries.sort();
        for entry in entries {
            // What starts with a dot is an editor's or a ConfigMap's own.
            let hidden =
                entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if !hidden {
                collect(&entry, false, into)?;
            }
        }
        return Ok(());
    }
    if named || path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
    {
        let text = fs::read_to_string(path)?;
        into.push(Arc::new(Source { path: path.display().to_string(), text }));
    }
    Ok(())
}

/// Reads a secret from where it is.
///
/// # Errors
/// Where it is not there, in words that do not quote it.
pub fn secret(reference: &SecretRef) -> Result<Secret, String> {
    match reference {
        SecretRef::Env(name) => match std::env::var(name) {
            Ok(text) if !text.trim().is_empty() => Ok(Secret::new(text.trim())),
            Ok(_) => Err(format!("the environment variable `{name}` is empty")),
            Err(_) => Err(format!("the environment variable `{name}` is not set")),
        },
        SecretRef::File(path) => {
            let bad = |error: io::Error| format!("the secret in `{path}` cannot be read: {error}");
            if fs::metadata(path).map_err(bad)?.len() > LONGEST_SECRET {
                return Err(format!("`{path}` is too large for a secret"));
            }
            let text = fs::read_to_string(path).map_err(bad)?;
            if text.trim().is_empty() {
                Err(format!("`{path}` is empty"))
            } else {
                Ok(Secret::new(text.trim()))
            }
        }
    }
}
