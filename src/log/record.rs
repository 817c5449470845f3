//! An entry on its way in, a record on its way out.

use super::{Seq, Stream, Subject};
use crate::model::{Envelope, Id, RECORD_VERSION};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

/// What is appended: an envelope in its written form, with the id and subject taken out of it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: Id,
    pub subject: Subject,
    pub body: Vec<u8>,
}

impl Entry {
    /// # Panics
    /// Never: our own messages have string keys and finite numbers, which JSON can write.
    pub fn of<T: Serialize>(stream: Stream, envelope: &Envelope<T>) -> Entry {
        let subject =
            Subject::new(stream, &envelope.kind, envelope.tenant.as_deref(), &envelope.subject);
        let body = serde_json::to_vec(envelope).unwrap_or_default();
        Entry { id: envelope.id.clone(), subject, body }
    }
}

/// What is read back.
#[derive(Debug, Clone)]
pub struct Record {
    pub seq: Seq,
    /// When the log took it.
    pub at: Timestamp,
    pub stream: Stream,
    pub body: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum BadRecord {
    #[error("record {seq} cannot be read")]
    Unreadable {
        seq: Seq,
        #[source]
        source: serde_json::Error,
    },
    #[error("record {seq} is of version {found}; this program reads up to {RECORD_VERSION}")]
    Newer { seq: Seq, found: u32 },
}

impl Record {
    /// The envelope inside.
    ///
    /// # Errors
    /// Where the message is not a `T`: written by a newer version, or by a foreign hand.
    pub fn open<T: DeserializeOwned>(&self) -> Result<Envelope<T>, BadRecord> {
        let seq = self.seq;
        let read = serde_json::from_slice::<Envelope<T>>(&self.body);
        match read {
            Ok(envelope) if envelope.record_version > RECORD_VERSION => {
                Err(BadRecord::Newer { seq, found: envelope.record_version })
            }
            Ok(envelope) => Ok(envelope),
            Err(source) => Err(BadRecord::Unreadable { seq, source }),
        }
    }
}
