//! A turn that went to live elsewhere: all that must follow it, in one transaction.

use rusqlite::params;

use super::rows::{self, to_json};
use super::{Result, SqliteStore, Target};
use crate::chat::{BotName, Conversation, TurnId};

impl SqliteStore {
    pub(super) fn move_turn(&self, bot: &BotName, turn: &TurnId, to: &Conversation) -> Result<()> {
        for table in ["outbox", "turns"] {
            let key = if table == "outbox" { "turn" } else { "id" };
            let sql = format!("SELECT target FROM {table} WHERE {key} = ?");
            let Some(target) = self.one::<Target>(&sql, [turn.as_str()], |row| rows::json(row, 0))? else {
                continue;
            };
            let moved = Target {
                conversation: to.clone(),
                ..target
            };
            let sql = format!("UPDATE {table} SET target = ? WHERE {key} = ?");
            self.run(&sql, params![to_json(&moved)?, turn.as_str()])?;
        }
        let place = rows::place(to)?;
        self.run(
            "INSERT INTO threads (bot, place) VALUES (?, ?) ON CONFLICT DO NOTHING",
            params![bot.as_str(), place],
        )?;
        let sql = "SELECT session, (SELECT json_extract(sessions.session, '$.conversation') FROM sessions \
                   WHERE key = turns.session AND current = 1) FROM turns WHERE id = ?";
        let session = self.one(sql, [turn.as_str()], |row| {
            let from: Option<Conversation> = rows::json_or_none(row, 1)?;
            Ok((row.get::<_, String>(0)?, from))
        })?;
        let Some((session, Some(from))) = session else {
            return Ok(());
        };
        // What was said in private does not become the memory of a place that others read.
        if from.direct && !to.direct {
            return Ok(());
        }
        self.run(
            "UPDATE sessions SET session = json_set(session, '$.conversation', json(?)) WHERE key = ? AND current = 1",
            params![to_json(to)?, session],
        )?;
        self.run(
            "INSERT INTO homes (bot, place, session) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            params![bot.as_str(), place, session],
        )
        .map(drop)
    }
}
