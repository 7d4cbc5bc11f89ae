//! Whose turn it is among the messages that are gathered for: each is behind those that came before it for one of its
//! sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};

use crate::chat::SessionKey;

/// Messages of one bot that are gathered for at the same time; the lanes wait for the others.
const AT_ONCE: usize = 64;

/// Who is last of those that are gathered for, by session.
#[derive(Debug)]
pub(in crate::bot) struct Queues {
    last: Mutex<HashMap<SessionKey, (u64, watch::Receiver<()>)>>,
    pub(super) permits: Arc<Semaphore>,
}

/// A place behind everybody who came before for one of the same sessions; left when it is dropped.
pub(super) struct Place {
    queues: Arc<Queues>,
    /// Its sessions, and which one of each it is.
    keys: Vec<(SessionKey, u64)>,
    before: Vec<watch::Receiver<()>>,
    /// Never used: whoever is behind sees it go.
    _here: watch::Sender<()>,
}

impl Queues {
    pub(in crate::bot) fn new() -> Self {
        Self {
            last: Mutex::default(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Somebody is gathered for who is for one of these sessions.
    pub(super) fn holds(&self, keys: &[SessionKey]) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().any(|key| last.contains_key(key))
    }

    /// Behind all that are there for one of these sessions, each of which is named once. In all of them at the same moment:
    /// two messages for the same ones are in the same order everywhere, and never wait for each other.
    pub(super) fn join(self: &Arc<Self>, keys: &[SessionKey]) -> Place {
        let (here, seen) = watch::channel(());
        let mut place = Place {
            queues: Arc::clone(self),
            keys: Vec::with_capacity(keys.len()),
            before: Vec::new(),
            _here: here,
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            let number = match last.remove(key) {
                Some((number, before)) => {
                    place.before.push(before);
                    number + 1
                }
                None => 0,
            };
            last.insert(key.clone(), (number, seen.clone()));
            place.keys.push((key.clone(), number));
        }
        place
    }
}

impl Place {
    /// Until all that were before have left. True: somebody was.
    pub(super) async fn turn(&mut self) -> bool {
        let some = !self.before.is_empty();
        for before in &mut self.before {
            // Nothing is ever sent: it ends when the sender is gone.
            while before.changed().await.is_ok() {}
        }
        some
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut last = self.queues.last.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, number) in &self.keys {
            if last.get(key).is_some_and(|(last, _)| last == number) {
                last.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(place: &mut Place) -> bool {
        futures_util::FutureExt::now_or_never(place.turn()).is_none()
    }

    #[test]
    fn messages_of_one_session_keep_their_order() {
        let queues = Arc::new(Queues::new());
        let key = [SessionKey::from("s")];
        let mut first = queues.join(&key);
        let mut second = queues.join(&key);
        let mut third = queues.join(&key);
        assert!(!waits(&mut first));
        assert!(waits(&mut second) && waits(&mut third));
        drop(first);
        assert!(!waits(&mut second) && waits(&mut third));
        drop(second);
        assert!(!waits(&mut third));
        assert!(queues.holds(&key));
        drop(third);
        assert!(!queues.holds(&key));
    }

    #[test]
    fn message_for_several_is_behind_all_of_them_and_before_what_comes_for_one() {
        let queues = Arc::new(Queues::new());
        let all = ["a", "b", "c"].map(SessionKey::from);
        let [a, b, c] = [&all[..1], &all[1..2], &all[2..]];
        let first = queues.join(a);
        let second = queues.join(b);
        let mut several = queues.join(&all[..2]);
        let mut behind = queues.join(a);
        let mut other = queues.join(c);
        assert!(!waits(&mut other), "it is for nobody of them");
        drop(first);
        assert!(waits(&mut several), "one of them is still waited for");
        drop(second);
        assert!(!waits(&mut several) && waits(&mut behind));
        drop(several);
        assert!(!waits(&mut behind) && !queues.holds(b));
        assert!(queues.holds(&all[..2]));
    }
}
