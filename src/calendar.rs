//! What recurs, by the clock on the wall of a place: cron in two dialects, intervals, and what a change of clocks does.
//!
//! `cron` reads a pattern and knows its days and times, whatever the zone; `recurrence` puts it into a zone, where a
//! time of the day may be missing or come twice; `schedule` is one with a name, and what is done about runs that were
//! missed. Who is on call is found with the same care. Pure. May import: `model`.

mod cron;
mod recurrence;
mod schedule;
mod shown;

pub use cron::{BadPattern, Cron, Dialect};
pub use recurrence::{Back, Clocks, Forward, Recurrence};
pub use schedule::{Due, Known, Missed, Schedule, due};
pub use shown::{MOST_SHOWN, shown};
