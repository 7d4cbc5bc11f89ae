//! What changes a message that is not here yet.

use rusqlite::params;

use super::super::{AHEAD_MAX, Result};
use super::SqliteStore;
use super::rows::{self, to_json};
use crate::chat::{BotName, UnixMillis, What};

impl SqliteStore {
    pub(super) fn put_ahead(
        &self,
        bot: &BotName,
        channel: Option<&str>,
        change: &What,
        expires: UnixMillis,
    ) -> Result<()> {
        let (message, deletion) = match change {
            What::Edited(message) => (&message.id, false),
            What::Deleted(message) => (message, true),
            _ => return Ok(()),
        };
        let of_it = params![bot.as_str(), message, channel];
        if !deletion {
            let deleted = "SELECT 1 FROM ahead WHERE bot = ?1 AND message = ?2 AND (channel IS NULL OR channel = ?3) \
                           AND deletion = 1 LIMIT 1";
            if self.one(deleted, of_it, |_| Ok(()))?.is_some() {
                return Ok(());
            }
        }
        // Whoever would take one of these takes the new one instead. No edit takes the place of a deletion.
        let older = "DELETE FROM ahead WHERE bot = ?1 AND message = ?2 AND (?3 IS NULL OR channel = ?3) \
                     AND deletion <= ?4";
        self.run(older, params![bot.as_str(), message, channel, deletion])?;
        let sql = "INSERT INTO ahead (bot, message, channel, deletion, change, expires) VALUES (?, ?, ?, ?, ?, ?)";
        let params = params![bot.as_str(), message, channel, deletion, to_json(change)?, expires];
        self.run(sql, params)?;
        let crowd = "DELETE FROM ahead WHERE id IN \
                     (SELECT id FROM ahead WHERE bot = ?1 ORDER BY deletion DESC, id DESC LIMIT -1 OFFSET ?2)";
        self.run(crowd, params![bot.as_str(), AHEAD_MAX]).map(drop)
    }

    pub(super) fn take_ahead(
        &self,
        bot: &BotName,
        channel: &str,
        message: &str,
        now: UnixMillis,
    ) -> Result<Option<What>> {
        let of_it = "bot = ?1 AND message = ?2 AND (channel IS NULL OR channel = ?3)";
        let newest = format!("SELECT change FROM ahead WHERE {of_it} AND expires > ?4 ORDER BY deletion DESC, id DESC");
        let changes = self.all(&newest, params![bot.as_str(), message, channel, now], |row| {
            rows::json::<What>(row, 0)
        })?;
        if changes.is_empty() {
            return Ok(None);
        }
        let taken = format!("DELETE FROM ahead WHERE {of_it}");
        self.run(&taken, params![bot.as_str(), message, channel])?;
        Ok(changes.into_iter().next())
    }
}
