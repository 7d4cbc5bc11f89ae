//! How often the company may be called: open.feishu.cn/document/server-docs/api-call-guide/frequency-control (each API 50
//! times a second and 1,000 times a minute), .../im-v1/message/create (five messages a second for each chat, which its
//! bots share), .../message/patch (five a second for each message), and CardKit's pages (ten operations a second for each
//! card).
//!
//! Confirmed by no page of the vendor's that we hold: that windows slide, and that a card's and a patched message's limit
//! is told like an API's (a chat's has a code of its own).

use std::time::Duration;

use super::request::Asked;
use crate::rate::{Count, Rate};

const SECOND: Duration = Duration::from_secs(1);
const API: Rate = Rate::new(50, SECOND);
const API_MINUTE: Rate = Rate::new(1_000, Duration::from_secs(60));
const CARD: Rate = Rate::new(10, SECOND);
const PATCH: Rate = Rate::new(5, SECOND);
/// Messages to one chat.
pub(crate) const CHAT: Rate = Rate::new(5, SECOND);

/// What a call counts against, whatever comes of it.
pub(crate) fn of(asked: &Asked<'_>) -> Vec<Count> {
    let ["open-apis", path @ ..] = &asked.path[..] else {
        return Vec::new();
    };
    // An API is its path without the ids in it.
    let api: Vec<&str> = path
        .iter()
        .enumerate()
        .map(|(at, part)| if is_id(path, at) { ":id" } else { part })
        .collect();
    let api = format!("{} {}", asked.method, api.join("/"));
    let mut counts = vec![(format!("{api} second"), API), (format!("{api} minute"), API_MINUTE)];
    match (asked.method, path) {
        ("PATCH", ["im", "v1", "messages", id]) => counts.push((format!("patch {id}"), PATCH)),
        (_, ["cardkit", "v1", "cards", id, ..]) => counts.push((format!("card {id}"), CARD)),
        _ => {}
    }
    counts
}

/// What follows the name of a collection.
fn is_id(path: &[&str], at: usize) -> bool {
    const COLLECTIONS: [&str; 7] = [
        "messages",
        "cards",
        "elements",
        "resources",
        "reactions",
        "users",
        "chats",
    ];
    at.checked_sub(1)
        .is_some_and(|before| COLLECTIONS.contains(&path[before]))
}
