//! What a page reads: rows above its place, then, whenever something was stored, the rows above its new place.
//!
//! A stream holds no queue: the store is the queue. A slow page skips states and never lacks one, and a stream can
//! go on from any `seq` after any interruption. Within one stream, a message that the page has already is sent as
//! what changed in it.

use std::collections::HashMap;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::keep::Keep;
use crate::store::{Journal, Result, WebRow};

/// Rows of one read.
const BATCH: u32 = 200;

/// One event of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Where to go on from; none: the place did not move.
    pub seq: Option<i64>,
    /// `channel`, `message` or `ready`.
    pub name: &'static str,
    /// JSON.
    pub data: String,
}

/// See [`super::WebChat::stream`].
#[derive(Debug)]
pub struct Stream {
    keep: Keep,
    journal: Journal,
    changed: watch::Receiver<u64>,
    channel: Option<String>,
    after: i64,
    /// The revision of each unfinished message that the page has.
    has: HashMap<String, u32>,
    ready: bool,
}

impl Stream {
    pub(super) fn new(
        keep: Keep,
        journal: Journal,
        changed: watch::Receiver<u64>,
        channel: Option<String>,
        after: i64,
    ) -> Self {
        Self {
            keep,
            journal,
            changed,
            channel,
            after,
            has: HashMap::new(),
            ready: false,
        }
    }

    /// The next updates, at least one; `ready` comes once, when the page has all that there was. None: the chat is
    /// gone. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Vec<Update>>> {
        loop {
            // Marked as seen before the store is read: what is stored in between wakes this again.
            self.changed.borrow_and_update();
            let (keep, channel, after) = (self.keep.clone(), self.channel.clone(), self.after);
            let rows = self
                .journal
                .read(move |store| keep.rows(store, channel.as_deref(), after, BATCH))
                .await?;
            if let Some((_, last)) = rows.last() {
                self.after = last.seq;
                return Ok(Some(
                    rows.into_iter().map(|(listed, row)| self.update(listed, row)).collect(),
                ));
            }
            if !self.ready {
                self.ready = true;
                return Ok(Some(vec![Update {
                    seq: None,
                    name: "ready",
                    data: "{}".to_owned(),
                }]));
            }
            if self.changed.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    fn update(&mut self, listed: bool, row: WebRow) -> Update {
        if listed {
            return Update {
                seq: Some(row.seq),
                name: "channel",
                data: row.body,
            };
        }
        Update {
            seq: Some(row.seq),
            name: "message",
            data: self.shorten(row),
        }
    }

    /// The whole message, or what changed since the page got it.
    fn shorten(&mut self, row: WebRow) -> String {
        let Ok(mut message) = serde_json::from_str::<Value>(&row.body) else {
            return row.body;
        };
        let Some(revision) = message["revision"]
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
        else {
            return row.body;
        };
        let state = &message["view"]["state"];
        if state.is_null() {
            return row.body;
        }
        let finished = matches!(state.as_str(), Some("done" | "stopped" | "failed"));
        let had = if finished {
            self.has.remove(&row.message)
        } else {
            self.has.insert(row.message, revision)
        };
        match had {
            Some(since) if since < revision && keep_changed(&mut message, since) => message.to_string(),
            _ => row.body,
        }
    }
}

/// Takes out the blocks that have not changed after `since`, and says which blocks there are, in their order.
/// False: the message has no blocks that can be told apart, and is as it was.
fn keep_changed(message: &mut Value, since: u32) -> bool {
    let Some(blocks) = message["view"]["blocks"].as_array_mut() else {
        return false;
    };
    let ids: Option<Vec<u64>> = blocks.iter().map(|block| block["id"].as_u64()).collect();
    let Some(ids) = ids else { return false };
    blocks.retain(|block| {
        block["revision"]
            .as_u64()
            .is_none_or(|revision| revision > u64::from(since))
    });
    message["view"]["ids"] = json!(ids);
    message["since"] = json!(since);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changed_blocks_are_sent_and_all_ids_in_order() {
        let mut message = json!({ "view": { "state": "running", "blocks": [
            { "id": 1, "revision": 2, "kind": "text" }, { "id": 4, "revision": 6, "kind": "step" },
        ] } });
        assert!(keep_changed(&mut message, 5));
        assert_eq!(
            message,
            json!({ "since": 5, "view": { "state": "running", "ids": [1, 4],
                "blocks": [{ "id": 4, "revision": 6, "kind": "step" }] } })
        );
    }

    #[test]
    fn blocks_without_ids_are_sent_whole() {
        let mut message = json!({ "view": { "blocks": [{ "revision": 1 }] } });
        assert!(!keep_changed(&mut message, 5));
        assert_eq!(message, json!({ "view": { "blocks": [{ "revision": 1 }] } }));
    }
}
