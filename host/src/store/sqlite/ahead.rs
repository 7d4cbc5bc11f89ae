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
        let message = match change {
            What::Edited(message) => &message.id,
            What::Deleted(message) => message,
            _ => return Ok(()),
        };
        let sql = "INSERT INTO ahead (bot, message, channel, change, expires) VALUES (?, ?, ?, ?, ?)";
        let params = params![bot.as_str(), message, channel, to_json(change)?, expires];
        self.run(sql, params)?;
        let crowd = "DELETE FROM ahead WHERE bot = ?1 AND id <= \
                     (SELECT id FROM ahead WHERE bot = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
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
        let newest = format!("SELECT change FROM ahead WHERE {of_it} AND expires > ?4 ORDER BY id DESC");
        let mut changes = self.all(&newest, params![bot.as_str(), message, channel, now], |row| {
            rows::json::<What>(row, 0)
        })?;
        if changes.is_empty() {
            return Ok(None);
        }
        let taken = format!("DELETE FROM ahead WHERE {of_it}");
        self.run(&taken, params![bot.as_str(), message, channel])?;
        let deletion = changes.iter().position(|change| matches!(change, What::Deleted(_)));
        Ok(Some(changes.swap_remove(deletion.unwrap_or(0))))
    }
}
