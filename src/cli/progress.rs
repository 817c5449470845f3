//! A bar where a person waits, plain lines where nobody does.

use std::io::{IsTerminal, Write};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

const WIDTH: u64 = 32;

pub(super) struct Progress {
    what: &'static str,
    total: u64,
    done: u64,
    terminal: bool,
    /// Quarters that have been told.
    told: u64,
}

impl Progress {
    pub(super) fn new(what: &'static str, total: u64) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        Progress { what, total: total.max(1), done: 0, terminal, told: 0 }
    }

    pub(super) fn at(&mut self, done: u64) {
        self.done = done.min(self.total);
        let share = self.done * 100 / self.total;
        if self.terminal {
            let full = self.done * WIDTH / self.total;
            let bar: String = (0..WIDTH).map(|at| if at < full { '█' } else { '░' }).collect();
            self.say(&format!("\r{} {bar} {share:3} %  {}/{}", self.what, self.done, self.total));
        } else if share / 25 > self.told {
            self.told = share / 25;
            self.say(&format!("{}: {share} % ({}/{})\n", self.what, self.done, self.total));
        }
    }

    pub(super) fn end(mut self) {
        self.at(self.total);
        if self.terminal {
            self.say("\n");
        }
    }

    fn say(&self, text: &str) {
        let mut err = std::io::stderr().lock();
        // Nobody has to see it.
        if write!(err, "{text}").and_then(|()| err.flush()).is_err() {
            tracing::trace!("nobody reads");
        }
    }
}

/// Does `job` with each on every core, with a bar where somebody waits.
pub(super) fn every<T: Sync, R: Send>(
    what: &'static str,
    all: &[T],
    job: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let progress = Mutex::new(Progress::new(what, all.len() as u64));
    let found: Vec<Mutex<Option<R>>> = all.iter().map(|_| Mutex::new(None)).collect();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        while let at = next.fetch_add(1, Ordering::SeqCst)
            && let Some((one, place)) = all.get(at).zip(found.get(at))
        {
            let result = job(one);
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            let done = done.fetch_add(1, Ordering::SeqCst) + 1;
            progress.lock().unwrap_or_else(PoisonError::into_inner).at(done as u64);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    progress.into_inner().unwrap_or_else(PoisonError::into_inner).end();
    let take = |one: Mutex<Option<R>>| one.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.into_iter().filter_map(take).collect()
}
