//! Reordering: an event that is held back until the one after it went.

use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug, Default)]
enum Held<T> {
    #[default]
    Nothing,
    /// The next.
    Next,
    Event(T),
}

/// Where events pass; clones are the same place.
#[derive(Debug)]
pub(crate) struct Hold<T>(Arc<Mutex<Held<T>>>);

impl<T> Clone for Hold<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Hold<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Hold<T> {
    /// The next event is held back. One that is held now is forgotten.
    pub(crate) fn next(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Held::Next;
    }

    /// What is to be sent now, in this order: nothing, this event, or this one and then the one that was held.
    pub(crate) fn pass(&self, event: T) -> Vec<T> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::take(&mut *held) {
            Held::Nothing => vec![event],
            Held::Next => {
                *held = Held::Event(event);
                Vec::new()
            }
            Held::Event(before) => vec![event, before],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Hold;

    #[test]
    fn one_event_is_overtaken_by_the_next() {
        let hold = Hold::default();
        assert_eq!(hold.pass(1), [1]);
        hold.next();
        assert_eq!(hold.pass(2), Vec::<i32>::new());
        assert_eq!(hold.pass(3), [3, 2]);
        assert_eq!(hold.pass(4), [4]);
    }
}
