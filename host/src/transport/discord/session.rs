//! A shard's session as Discord knows it, kept over restarts of the host.

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::Gateway;
use crate::store;

/// What a resume needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) id: String,
    /// Where it is to be resumed.
    pub(super) url: String,
    /// Everything up to here is stored.
    pub(super) seq: u64,
}

/// No guest can reach keys of the host's.
fn key(shard: u32, shards: u32) -> String {
    format!("host/discord/{shard}/{shards}")
}

impl Gateway {
    /// The session that the last run left.
    pub(super) async fn recall(&self, shard: u32, shards: u32) -> Option<Session> {
        let (bot, key) = (self.managed.bot.clone(), key(shard, shards));
        let now = crate::chat::now();
        let kept = self.managed.journal.read(move |s| s.kv_get(&bot, &key, now)).await;
        kept.ok()
            .flatten()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
    }

    /// Keeps the session; none: there is no session any more. A failure is logged: the next event says the same again.
    pub(super) async fn keep(&self, shard: u32, shards: u32, session: Option<&Session>) {
        let (bot, key) = (self.managed.bot.clone(), key(shard, shards));
        let bytes = session.and_then(|session| serde_json::to_vec(session).ok());
        let written: store::Result<()> = self
            .managed
            .journal
            .write(move |s| match &bytes {
                Some(bytes) => s.kv_put(&bot, &key, bytes, None),
                None => s.kv_remove(&bot, &key),
            })
            .await;
        if let Err(error) = written {
            warn!(bot = %self.managed.bot, %error, "the gateway's session could not be kept");
        }
    }
}
