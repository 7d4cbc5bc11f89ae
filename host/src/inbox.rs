//! What came in: stored before it is acknowledged, once by key, worked on after.

use sha2::{Digest, Sha256};

use crate::chat::{BotName, Event, InboxId, Item, now};
use crate::store::{Journal, Result};

/// A key longer than this is kept as its digest.
const KEY_BYTES: usize = 200;

/// An item that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Of a duplicate: the id of the first.
    pub id: InboxId,
    /// As it is stored: a long key is its digest.
    pub item: Item,
    /// False: its key was there already, nothing is to be done for it.
    pub fresh: bool,
}

/// Where events become rows. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Inbox {
    journal: Journal,
}

impl Inbox {
    pub const fn new(journal: Journal) -> Self {
        Self { journal }
    }

    /// Stores all items of one event or none of them, in order. When this returns they are on disk and the vendor
    /// may be told so. Cancel safe: items that were handed over are stored.
    pub async fn accept(&self, bot: &BotName, items: Vec<Item>) -> Result<Vec<Accepted>> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let bot = bot.clone();
        let received = now();
        let items: Vec<Item> = items.into_iter().map(with_short_key).collect();
        self.journal
            .write(move |store| {
                let mut accepted = Vec::with_capacity(items.len());
                for item in items {
                    let put = store.inbox_put(&bot, &item, received)?;
                    let id = match put {
                        Some(id) => id,
                        None => store.inbox_find(&bot, &item.origin.key)?.unwrap_or(InboxId(0)),
                    };
                    accepted.push(Accepted {
                        id,
                        item,
                        fresh: put.is_some(),
                    });
                }
                Ok(accepted)
            })
            .await
    }

    /// Keeps a raw event that could not be translated, and why. `again`: the guest was late or failed, another try
    /// may go well. Its id.
    pub async fn aside(&self, bot: &BotName, event: &Event, reason: &str, again: bool) -> Result<i64> {
        let (bot, event, reason) = (bot.clone(), event.clone(), reason.to_owned());
        self.journal
            .write(move |store| store.aside_put(&bot, &event, &reason, again))
            .await
    }
}

/// A key is an adapter's, so of any length. Without one, only the very same item is a duplicate.
fn with_short_key(mut item: Item) -> Item {
    if item.origin.key.is_empty() {
        // Serialising our own plain types cannot fail; were it to, the item is stored under the empty key.
        let whole = serde_json::to_vec(&item).unwrap_or_default();
        item.origin.key = digest(&whole);
    } else if item.origin.key.len() > KEY_BYTES {
        item.origin.key = digest(item.origin.key.as_bytes());
    }
    item
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests;
