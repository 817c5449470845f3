//! A bar where a person waits, plain lines where nobody does.

use std::io::{IsTerminal, Write};

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
