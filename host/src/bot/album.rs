//! Albums: several events that are one message. They are held back until some time after the last, and are one message
//! then. The rows stay new in the inbox meanwhile, so that after a crash they are gathered once more.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Bot;
use super::lanes::Work;
use crate::chat::{InboxId, Message, Origin};

/// Nothing is held back longer than this after the first, whatever comes.
const LONGEST: Duration = Duration::from_secs(60);
/// Parts of one album; a further one is the first of another.
const PARTS: usize = 32;

/// Channel, person, the vendor's id of the group, and how many full ones of it are held back before.
type Key = (String, String, String, u32);

#[derive(Debug, Default)]
pub(super) struct Albums {
    open: Mutex<HashMap<Key, Album>>,
}

#[derive(Debug)]
struct Album {
    parts: Vec<(InboxId, Origin, Message)>,
    until: Instant,
    at_last: Instant,
}

impl Albums {
    fn open(&self) -> MutexGuard<'_, HashMap<Key, Album>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its album, if it is the first of it: somebody must wait for that.
    fn add(&self, mut key: Key, part: (InboxId, Origin, Message), settle: Duration, now: Instant) -> Option<Key> {
        let mut open = self.open();
        while open.get(&key).is_some_and(|album| album.parts.len() >= PARTS) {
            key.3 += 1;
        }
        if let Some(album) = open.get_mut(&key) {
            album.parts.push(part);
            album.until = (now + settle).min(album.at_last);
            return None;
        }
        let at_last = now + LONGEST;
        let album = Album {
            parts: vec![part],
            until: (now + settle).min(at_last),
            at_last,
        };
        open.insert(key.clone(), album);
        Some(key)
    }

    /// The parts, once the album is whole; until then, when to look again.
    fn take(&self, key: &Key, now: Instant) -> Result<Vec<(InboxId, Origin, Message)>, Instant> {
        let mut open = self.open();
        match open.get(key) {
            Some(album) if album.until > now => Err(album.until),
            _ => Ok(open.remove(key).map(|album| album.parts).unwrap_or_default()),
        }
    }
}

impl Bot {
    /// Holds a part of an album back; its row is held until the album goes its way.
    pub(super) fn hold_back(&self, id: InboxId, origin: Origin, message: Message, group: String, settle: Duration) {
        let key = (origin.conversation.channel.clone(), origin.sender.id.clone(), group, 0);
        let albums = &self.inner.albums;
        let Some(key) = albums.add(key, (id, origin, message), settle, Instant::now()) else {
            return;
        };
        let bot = self.clone();
        self.inner.tasks.spawn(async move {
            let parts = loop {
                match bot.inner.albums.take(&key, Instant::now()) {
                    Ok(parts) => break parts,
                    Err(until) => tokio::select! {
                        biased; // The end first: the rows are new and come again with the next start.
                        () = bot.inner.stop.cancelled() => return,
                        () = sleep_until(until) => {}
                    },
                }
            };
            let Some((id, also, origin, message)) = merged(parts) else {
                return;
            };
            let mut again = false;
            loop {
                match bot.hear(id, also.clone(), origin.clone(), message.clone(), again).await {
                    Work::Again if bot.pause().await => again = true,
                    Work::Again | Work::Beside => return,
                    Work::Done => break,
                }
            }
            bot.inner.lanes.finish(id);
            also.into_iter().for_each(|id| bot.inner.lanes.finish(id));
        });
    }
}

/// One message of all parts, in the order in which they were stored: the first one's place and the ids of the others.
fn merged(mut parts: Vec<(InboxId, Origin, Message)>) -> Option<(InboxId, Vec<InboxId>, Origin, Message)> {
    parts.sort_by_key(|(id, ..)| *id);
    let mut parts = parts.into_iter();
    let (id, origin, mut whole) = parts.next()?;
    whole.group = None;
    let mut also = Vec::new();
    for (id, _, part) in parts {
        also.push(id);
        if !part.text.trim().is_empty() {
            if !whole.text.trim().is_empty() {
                whole.text.push_str("\n\n");
            }
            whole.text.push_str(&part.text);
        }
        whole.addressed |= part.addressed;
        whole.mentions.extend(part.mentions);
        whole.attachments.extend(part.attachments);
        whole.quotes = whole.quotes.or(part.quotes);
        whole.new_thread = whole.new_thread.or(part.new_thread);
    }
    Some((id, also, origin, whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Conversation, Person};

    fn part(id: i64, text: &str) -> (InboxId, Origin, Message) {
        let origin = Origin {
            key: format!("k{id}"),
            conversation: Conversation {
                tenant: None,
                channel: "C1".into(),
                thread: None,
                direct: true,
            },
            sender: Person {
                id: "ann".into(),
                name: None,
                handle: None,
                tenant: None,
                groups: Vec::new(),
                locale: None,
                bot: false,
            },
            sent: None,
            reply_to: Vec::new(),
        };
        let message = Message {
            id: format!("m{id}"),
            text: text.into(),
            mentions: Vec::new(),
            addressed: id == 2,
            quotes: None,
            new_thread: None,
            attachments: Vec::new(),
            group: None,
        };
        (InboxId(id), origin, message)
    }

    #[test]
    fn parts_are_one_message_in_their_order() {
        let (id, also, origin, whole) = merged(vec![part(3, "three"), part(1, ""), part(2, "two")]).unwrap();
        assert_eq!((id, also), (InboxId(1), vec![InboxId(2), InboxId(3)]));
        assert_eq!((origin.key.as_str(), whole.id.as_str()), ("k1", "m1"));
        assert_eq!((whole.text.as_str(), whole.addressed), ("two\n\nthree", true));
        assert!(merged(Vec::new()).is_none());
    }

    #[test]
    fn an_album_ends_some_time_after_the_last_and_never_later_than_at_last() {
        let albums = Albums::default();
        let key = ("C1".to_owned(), "ann".to_owned(), "g".to_owned(), 0);
        let (settle, begun) = (Duration::from_secs(10), Instant::now());
        let add = |id, now| albums.add(key.clone(), part(id, "a"), settle, now);
        assert_eq!(add(1, begun), Some(key.clone()));
        assert_eq!(albums.take(&key, begun).unwrap_err(), begun + settle);
        let mut now = begun;
        for number in 2..10 {
            now += Duration::from_secs(9);
            assert_eq!(add(number, now), None);
        }
        assert_eq!(albums.take(&key, now - settle * 3).unwrap_err(), begun + LONGEST);
        assert_eq!(albums.take(&key, now).unwrap().len(), 9);
        let mut next = key.clone();
        next.3 = 1;
        let first: Vec<_> = (0..=PARTS as i64).map(|number| add(number, now)).collect();
        assert_eq!(
            (&first[0], &first[PARTS]),
            (&Some(key.clone()), &Some(next.clone())),
            "a new one each"
        );
        assert_eq!(first.iter().flatten().count(), 2);
        let taken = |key| albums.take(key, now + settle).unwrap().len();
        assert_eq!((taken(&key), taken(&next)), (PARTS, 1));
    }
}
