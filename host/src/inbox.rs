//! What came in: stored before it is acknowledged, once by key, worked on after.

use sha2::{Digest, Sha256};

use crate::chat::{BotName, Event, InboxId, Item, Message, UnixMillis, What, now};
use crate::store::{InboxState, Journal, Result, Store};

/// A key longer than this is kept as its digest.
const KEY_BYTES: usize = 200;
/// An edit or a deletion waits so long for its message, in milliseconds: Feishu sends an event that was not taken again
/// for 7.1 hours.
const AHEAD_MS: UnixMillis = 8 * 3600 * 1000;

/// An item that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Of a duplicate: the id of the first.
    pub id: InboxId,
    /// As it is stored: a long key is its digest, and an edit that came before its message is in it.
    pub item: Item,
    /// False: nothing is to be done for it. Its key was there already, or it was deleted before it came.
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
                    let one = match store.inbox_put(&bot, &item, received)? {
                        Some(id) => in_order(store, &bot, id, item, received)?,
                        None => Accepted {
                            id: store.inbox_find(&bot, &item.origin.key)?.unwrap_or(InboxId(0)),
                            item,
                            fresh: false,
                        },
                    };
                    accepted.push(one);
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

/// Vendors promise no order. An edit or a deletion whose message is not here is kept for it, and a message takes what
/// came ahead of it: it is stored as it now stands, or is done with.
fn in_order(
    store: &mut dyn Store,
    bot: &BotName,
    id: InboxId,
    mut item: Item,
    received: UnixMillis,
) -> Result<Accepted> {
    let channel = item.origin.conversation.told_channel();
    let mut fresh = true;
    if let What::Edited(Message { id: said, .. }) | What::Deleted(said) = &item.what
        && store.inbox_said(bot, channel, said)?.is_none()
    {
        store.ahead_put(bot, channel, &item.what, received + AHEAD_MS)?;
    }
    if let What::Message(message) = &mut item.what {
        match store.ahead_take(bot, channel.unwrap_or_default(), &message.id, received)? {
            Some(What::Deleted(_)) => {
                store.inbox_state(id, InboxState::Done)?;
                fresh = false;
            }
            // Of an album every part would have to be known.
            Some(What::Edited(now)) if message.group.is_none() => {
                message.text = now.text;
                message.mentions = now.mentions;
                store.inbox_amend(id, &item)?;
            }
            _ => {}
        }
    }
    Ok(Accepted { id, item, fresh })
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
