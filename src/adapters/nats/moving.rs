//! A log that came from elsewhere, at the positions it had there.

use super::publish::{self, Message, Trouble, patiently};
use super::streams::GAP;
use super::{ABREAST, Nats, places, reader, writer};
use crate::log::{LogError, Moving, Place, Restored, Seq};
use async_nats::HeaderMap;

impl Moving for Nats {
    async fn restore(&self, records: Vec<Restored>) -> Result<(), LogError> {
        let link = &self.inner.link;
        let mut last = self.state().await?.last_sequence;
        let mut messages = vec![];
        for Restored { seq, at, entry } in records {
            if seq <= last {
                return Err(LogError::Conflict);
            }
            while last + 1 < seq {
                last += 1;
                messages.push(Message {
                    subject: GAP.into(),
                    headers: HeaderMap::new(),
                    body: vec![],
                });
            }
            let mut message = writer::message(&entry);
            // The same id may stand in a log several times, further apart than the window in which it is known.
            message.headers.insert("Nats-Msg-Id", format!("{seq} {}", entry.id.as_str()));
            message.headers.insert(reader::TAKEN_AT, at.to_string());
            messages.push(message);
            last = seq;
        }
        let mut before = last - messages.len() as Seq;
        for chunk in messages.chunks_mut(ABREAST) {
            chunk[0].headers.insert("Nats-Expected-Last-Sequence", before.to_string());
            let chunk = &*chunk;
            let sent = patiently(|| publish::batch(link, chunk)).await;
            match sent {
                Ok(ack) => before = ack.seq,
                // An answer was lost: it is there if the end is where it should be.
                Err(Trouble::Wrong(_) | Trouble::Known) => {
                    before += chunk.len() as Seq;
                    if self.state().await?.last_sequence != before {
                        return Err(LogError::Conflict);
                    }
                }
                Err(trouble) => return Err(trouble.told()),
            }
            self.saw(before);
        }
        Ok(())
    }

    async fn put_place(&self, place: &Place) -> Result<(), LogError> {
        places::put(self, place).await
    }
}
