//! Places for requests, given to whoever is due first: earliest deadline first, over all nodes and pods.

use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// Due, and in which order it came.
type Turn = (Timestamp, u64);

#[derive(Debug)]
struct Inner {
    free: usize,
    came: u64,
    waiting: BTreeMap<Turn, oneshot::Sender<Place>>,
}

/// So many places. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Mutex<Inner>>);

/// One place; dropped, it is given to the next.
#[derive(Debug)]
pub(super) struct Place(Turns);

impl Turns {
    pub(super) fn new(places: usize) -> Turns {
        Turns(Arc::new(Mutex::new(Inner { free: places, came: 0, waiting: BTreeMap::new() })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, once it is this one's turn. What has no deadline comes after all that has one.
    pub(super) async fn take(&self, due: Option<Timestamp>) -> Place {
        let receiver = {
            let mut inner = self.inner();
            if inner.free > 0 {
                inner.free -= 1;
                return Place(self.clone());
            }
            let (sender, receiver) = oneshot::channel();
            inner.came += 1;
            let turn = (due.unwrap_or(Timestamp::MAX), inner.came);
            inner.waiting.insert(turn, sender);
            receiver
        };
        match receiver.await {
            Ok(place) => place,
            // The sender lives as long as the turns do.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let next = {
            let mut inner = self.0.inner();
            let next = inner.waiting.pop_first();
            if next.is_none() {
                inner.free += 1;
            }
            next
        };
        if let Some((_, sender)) = next {
            // Whoever has gone meanwhile drops the place, and it goes to the next.
            drop(sender.send(Place(self.0.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    fn is_ready<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn whoever_is_due_first_comes_first() {
        let turns = Turns::new(1);
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let mut first = pin!(turns.take(at(900)));
        let held = is_ready(first.as_mut()).expect("there is a place");
        let (mut never, mut late, mut soon) =
            (pin!(turns.take(None)), pin!(turns.take(at(300))), pin!(turns.take(at(120))));
        assert!(is_ready(never.as_mut()).is_none());
        assert!(is_ready(late.as_mut()).is_none() && is_ready(soon.as_mut()).is_none());
        drop(held);
        assert!(is_ready(late.as_mut()).is_none());
        drop(is_ready(soon.as_mut()).expect("it is due first"));
        drop(is_ready(late.as_mut()).expect("then this one"));
        drop(is_ready(never.as_mut()).expect("then what has no deadline"));
        let mut again = pin!(turns.take(None));
        assert!(is_ready(again.as_mut()).is_some(), "the place is free again");
    }

    #[test]
    fn whoever_goes_away_holds_nobody_up() {
        let turns = Turns::new(1);
        let held = is_ready(pin!(turns.take(None)).as_mut()).expect("there is a place");
        {
            let mut gone = pin!(turns.take(None));
            assert!(is_ready(gone.as_mut()).is_none());
        }
        drop(held);
        assert!(is_ready(pin!(turns.take(None)).as_mut()).is_some());
    }
}
