//! What the host takes in an item: beyond that it takes the whole answer for a fault of the adapter's.

use crate::ingress::{Item, Message, What};
use crate::types::Person;

/// `origin.key`.
const KEY: usize = 200;
/// `origin.reply-to`.
const REPLY_TO: usize = 4 * 1024;
/// Ids of conversations, persons and messages, and tokens.
const ID: usize = 1024;

/// Whether the host takes this item. One that does not fit tells of nothing that the vendor has today.
pub fn fits(item: &Item) -> bool {
    let origin = &item.origin;
    let place = &origin.conversation;
    let ids = [Some(&place.channel), place.tenant.as_ref(), place.thread.as_ref()];
    (1..=KEY).contains(&origin.key.len())
        && origin.reply_to.len() <= REPLY_TO
        && ids.into_iter().flatten().all(|text| id(text))
        && person(&origin.sender)
        && match &item.what {
            What::Message(said) | What::Edited(said) => message(said),
            What::Press(press) => id(&press.token),
            What::Deleted(_) | What::Command(_) | What::Reacted(_) | What::Stop | What::Other(_) => true,
        }
}

fn id(text: &str) -> bool {
    (1..=ID).contains(&text.len())
}

fn person(person: &Person) -> bool {
    id(&person.id)
}

fn message(message: &Message) -> bool {
    id(&message.id) && message.mentions.iter().all(person) && message.group.as_ref().is_none_or(|group| id(&group.id))
}
