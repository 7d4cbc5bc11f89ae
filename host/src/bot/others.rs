//! Other bots: those of `allow_bots` are heard as long as a person speaks now and then. Two that answer each other would
//! never end otherwise.

use tracing::warn;

use super::Bot;
use crate::access::is_bot;
use crate::chat::{BotName, Conversation, Item, Origin, UnixMillis, What, now};
use crate::config::BotConfig;
use crate::store::AuditRow;

/// So long after a bot's last word its count is forgotten: what is this slow is no loop.
const KEPT: UnixMillis = 7 * 24 * 3600 * 1000;

/// Is it worth keeping? What other bots say, as they write it and change it, nobody serves unless they are named.
pub(super) fn is_heard(config: &BotConfig, item: &Item) -> bool {
    let sender = &item.origin.sender;
    let says = matches!(item.what, What::Message(_) | What::Edited(_));
    !(says && sender.bot && !config.allow_bots.contains(&sender.id))
}

impl Bot {
    /// Is this answered, as far as other bots' messages in a row go? What a person says begins the count anew. It is
    /// on disk before anything is answered, so that a restart forgets nothing. None: the store cannot tell now.
    pub(super) async fn in_measure(&self, origin: &Origin) -> Option<bool> {
        let config = &self.inner.config;
        if config.allow_bots.is_empty() {
            return Some(true);
        }
        // No bot can have this name: no adapter reads what is kept under it.
        let space = BotName(format!("~turns/{}", config.name));
        let key = key(&origin.conversation);
        let done = if is_bot(config, &origin.sender) {
            self.count(origin, space, key).await
        } else {
            self.begin_anew(space, key).await.map(|()| true)
        };
        done.inspect_err(|error| warn!(bot = %config.name, %error, "the turns of other bots could not be counted"))
            .ok()
    }

    async fn count(&self, origin: &Origin, space: BotName, key: String) -> crate::store::Result<bool> {
        let config = &self.inner.config;
        let most = config.bot_turns;
        let place = &origin.conversation;
        let row = AuditRow {
            at: now(),
            bot: config.name.clone(),
            who: origin.sender.id.clone(),
            what: format!("not answered in {} any more: only bots spoke there", place.channel),
        };
        let counted = self.inner.journal.write(move |store| {
            let before = store.kv_get(&space, &key, now())?;
            let before = before
                .and_then(|bytes| bytes.try_into().ok())
                .map_or(0, u32::from_be_bytes);
            let turns = before.saturating_add(1);
            store.kv_put(&space, &key, &turns.to_be_bytes(), Some(now() + KEPT))?;
            if turns == most + 1 {
                store.audit(&row)?;
            }
            Ok(turns)
        });
        let turns = counted.await?;
        if turns == most + 1 {
            warn!(
                bot = %config.name, channel = %place.channel, thread = place.thread.as_deref().unwrap_or("none"),
                other = %origin.sender.id, turns = most,
                "only other bots spoke for so many turns: they are not answered there until a person speaks"
            );
        }
        Ok(turns <= most)
    }

    async fn begin_anew(&self, space: BotName, key: String) -> crate::store::Result<()> {
        let journal = &self.inner.journal;
        let (known, at) = (space.clone(), key.clone());
        if journal
            .read(move |store| store.kv_get(&known, &at, now()))
            .await?
            .is_some()
        {
            journal.write(move |store| store.kv_remove(&space, &key)).await?;
        }
        Ok(())
    }
}

fn key(place: &Conversation) -> String {
    serde_json::to_string(&(&place.tenant, &place.channel, &place.thread)).unwrap_or_default()
}
