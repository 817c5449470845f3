//! What recurs, by the clock on the wall of a place: cron in two dialects, intervals, windows, duties, and what a change of
//! clocks does to each of them.
//!
//! `span` is a length of time as people write it; `cron` reads a pattern and knows its days and times, whatever the zone;
//! `recurrence` puts it into a zone, where a time of the day may be missing or come twice; `hours` are windows that open
//! again and again; `rota` says whose turn it is. Pure. May import: nothing of ours.

mod cron;
mod hours;
mod recurrence;
mod rota;
mod span;

pub use cron::{BadPattern, Cron, Dialect};
pub use hours::{Hours, allowed};
pub use recurrence::{Back, Clocks, Forward, Recurrence};
pub use rota::{Duty, Layer, Override, Rota, Shift};
pub use span::{BadSpan, Span};
