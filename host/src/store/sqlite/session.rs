//! Sessions as a whole: kept, copied, forgotten.

use rusqlite::types::Value;
use rusqlite::{params, params_from_iter};

use super::rows::to_json;
use super::{Result, SqliteStore, like, rows};
use crate::chat::{BotName, InboxId, SessionId, SessionKey, TurnId, UnixMillis};
use crate::store::{RunRow, SessionPage, SessionRow, TurnPage, TurnPlace, TurnRow};

/// An item of the inbox without what was said in it. Its row stays for as long as its key must be known: a platform may tell of
/// the same message again. A damaged one stays as it is.
const UNSAID: &str = "CASE WHEN json_valid(item) THEN json_replace(item, '$.what.Message.text', '', \
                      '$.what.Message.quotes', NULL, '$.what.Message.attachments', json('[]'), '$.what.Edited.text', '', \
                      '$.what.Edited.quotes', NULL, '$.what.Edited.attachments', json('[]'), '$.what.Command.arguments', '', \
                      '$.what.Command.attachments', json('[]'), \
                      '$.what.Press.values', NULL) ELSE item END";

impl SqliteStore {
    /// Inserts or replaces. `current`: also makes it the current one, which no other of its key may be.
    pub(super) fn keep_session(&self, row: &SessionRow, current: bool) -> Result<()> {
        let sql = "INSERT INTO sessions (id, key, current, bot, epoch, home, updated, session) VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
                   ON CONFLICT (id) DO UPDATE SET key = excluded.key, current = max(current, excluded.current), \
                   bot = excluded.bot, epoch = excluded.epoch, home = excluded.home, updated = excluded.updated, session = excluded.session";
        let params = params![
            row.id.as_str(),
            row.key.as_str(),
            current,
            row.bot.as_str(),
            row.epoch,
            row.home,
            row.updated,
            to_json(row)?,
        ];
        self.run(sql, params).map(drop)
    }

    pub(super) fn newest_sessions(&self, bot: Option<&BotName>, skip: u32, limit: u32) -> Result<SessionPage> {
        let of = if bot.is_some() { "bot = ?1" } else { "?1 IS NULL" };
        let rest = format!("FROM sessions WHERE {of} ORDER BY updated DESC, rowid DESC LIMIT ?2 OFFSET ?3");
        let (bot, skip) = (bot.map(BotName::as_str), i64::from(skip));
        let page = format!("SELECT session {rest}");
        let sessions = self.all(&page, params![bot, limit, skip], |row| rows::json(row, 0))?;
        // Whether or not it can be read.
        let behind = params![bot, 1, skip + i64::from(limit)];
        let more = self.one(&format!("SELECT 1 {rest}"), behind, |_| Ok(()))?.is_some();
        Ok(SessionPage { sessions, more })
    }

    /// Of two that were last used in the same millisecond, the one with the higher id comes first.
    pub(super) fn page_of_sessions(
        &self,
        bot: Option<&BotName>,
        key: Option<&SessionKey>,
        behind: Option<(UnixMillis, &SessionId)>,
        limit: u32,
    ) -> Result<Vec<SessionRow>> {
        let (rest, values) = page(bot, key, behind, limit);
        let sql = format!("SELECT session FROM sessions {rest}");
        self.all(&sql, params_from_iter(values), |row| rows::json(row, 0))
    }

    pub(super) fn end_of_page(
        &self,
        bot: Option<&BotName>,
        key: Option<&SessionKey>,
        behind: Option<(UnixMillis, &SessionId)>,
        limit: u32,
    ) -> Result<Option<(UnixMillis, SessionId)>> {
        let (rest, values) = page(bot, key, behind, limit);
        let sql =
            format!("SELECT updated, id FROM (SELECT updated, id FROM sessions {rest}) ORDER BY updated, id LIMIT 1");
        self.one(&sql, params_from_iter(values), |row| {
            Ok((row.get(0)?, SessionId(row.get(1)?)))
        })
    }

    pub(super) fn page_of_turns(&self, session: &SessionId, behind: Option<TurnPlace>, limit: u32) -> Result<TurnPage> {
        let (opened, row) = behind.map_or((i64::MAX, i64::MAX), |place| (place.opened, place.row));
        let rest =
            "FROM turns WHERE session_id = ? AND (opened, rowid) < (?, ?) ORDER BY opened DESC, rowid DESC LIMIT ?";
        let values = params![session.as_str(), opened, row, limit];
        let turns = self.all(&format!("SELECT {} {rest}", rows::TURN), values, rows::turn)?;
        // One that cannot be read is on its page all the same.
        let last = format!("SELECT opened, rowid {rest} OFFSET ?");
        let values = params![session.as_str(), opened, row, 1, limit.saturating_sub(1)];
        let next = self.one(&last, values, |row| {
            Ok(TurnPlace {
                opened: row.get(0)?,
                row: row.get(1)?,
            })
        })?;
        Ok(TurnPage { turns, next })
    }

    pub(super) fn turns_with(&self, session: &SessionId, words: &[String], among: u32) -> Result<Vec<TurnRow>> {
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let mut values: Vec<Value> = vec![session.as_str().to_owned().into(), among.into()];
        let mut any = Vec::new();
        for word in words {
            for (column, json) in [("prompt", false), ("view", true)] {
                let (condition, patterns) = like::condition(column, word, json);
                any.push(condition);
                values.extend(patterns.into_iter().map(Value::from));
            }
        }
        let sql = format!(
            "SELECT {} FROM turns WHERE rowid IN \
             (SELECT rowid FROM turns WHERE session_id = ? ORDER BY opened DESC, rowid DESC LIMIT ?) AND ({})",
            rows::TURN,
            any.join(" OR ")
        );
        self.all(&sql, params_from_iter(values), rows::turn)
    }

    pub(super) fn is_busy(&self, session: &SessionId) -> Result<bool> {
        let sql = "SELECT 1 FROM turns WHERE session_id = ? AND state < 3 LIMIT 1";
        Ok(self.one(sql, [session.as_str()], |_| Ok(()))?.is_some())
    }

    pub(super) fn remove_session(&self, id: &SessionId) -> Result<bool> {
        let ended = "SELECT id FROM turns WHERE session_id = ?1 AND state = 3";
        let heard = "SELECT inbox FROM turns WHERE session_id = ?1 AND state = 3 AND inbox IS NOT NULL";
        let runs = format!(
            "SELECT DISTINCT json_extract(item, '$.what.Routed.run') FROM inbox WHERE id IN ({heard}) \
             AND json_valid(item) AND json_extract(item, '$.what.Routed.run') IS NOT NULL"
        );
        for run in self.all(&runs, [id.as_str()], |row| row.get(0).map(InboxId))? {
            self.unsay_run(run)?;
        }
        let delivered = "state <> 0 OR view IS NULL";
        for sql in [
            format!("UPDATE inbox SET item = {UNSAID} WHERE id IN ({heard})"),
            format!("DELETE FROM asks WHERE turn IN ({ended})"),
            format!("DELETE FROM outbox WHERE turn IN ({ended}) AND ({delivered})"),
            "DELETE FROM turns WHERE session_id = ?1 AND state = 3".to_owned(),
            "DELETE FROM cli_sessions WHERE cli_session = \
             (SELECT json_extract(session, '$.cli_session') FROM sessions WHERE id = ?1)"
                .to_owned(),
        ] {
            self.run(&sql, [id.as_str()])?;
        }
        Ok(self.run("DELETE FROM sessions WHERE id = ?", [id.as_str()])? > 0)
    }

    /// Of a run that a forgotten session had a part in: the message that began it, and, where it is over, all of it.
    fn unsay_run(&self, run: InboxId) -> Result<()> {
        self.run(&format!("UPDATE inbox SET item = {UNSAID} WHERE id = ?"), [run.0])?;
        self.run("DELETE FROM runs WHERE id = ? AND open = 0", [run.0])?;
        let word = "DELETE FROM outbox WHERE turn = ? AND (state <> 0 OR view IS NULL)";
        self.run(word, [RunRow::last_word(run).as_str()]).map(drop)
    }

    /// The words of an item of which nothing was made.
    pub(super) fn unsay_unused(&self, id: InboxId) -> Result<()> {
        let sql = format!(
            "UPDATE inbox SET item = {UNSAID} WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM turns WHERE inbox = ?1) \
             AND NOT EXISTS (SELECT 1 FROM runs WHERE id = ?1)"
        );
        self.run(&sql, [id.0]).map(drop)
    }

    pub(super) fn copy_turns(&self, from: &SessionId, to: &SessionRow, limit: u32) -> Result<()> {
        let newest = "SELECT id FROM turns WHERE session_id = ? AND state = 3 ORDER BY opened DESC, rowid DESC LIMIT ?";
        let mut turns = self.all(newest, params![from.as_str(), limit], |row| row.get::<_, String>(0))?;
        // In their order, for those that were opened in the same millisecond.
        turns.reverse();
        let sql = "INSERT INTO turns (id, bot, session, inbox, state, attempt, target, asker, prompt, opened, view, files, \
                   session_id, kind) SELECT ?, bot, ?, NULL, state, attempt, target, asker, prompt, opened, view, files, \
                   ?, kind FROM turns WHERE id = ?";
        for turn in turns {
            let copied = TurnId::random();
            let params = params![copied.as_str(), to.key.as_str(), to.id.as_str(), turn];
            self.run(sql, params)?;
        }
        Ok(())
    }
}

/// What a statement that reads one page of the sessions ends with, and its values.
fn page(
    bot: Option<&BotName>,
    key: Option<&SessionKey>,
    behind: Option<(UnixMillis, &SessionId)>,
    limit: u32,
) -> (String, Vec<Value>) {
    let mut sql = "WHERE true".to_owned();
    let mut values: Vec<Value> = Vec::new();
    if let Some(bot) = bot {
        sql.push_str(" AND bot = ?");
        values.push(bot.as_str().to_owned().into());
    }
    if let Some(key) = key {
        sql.push_str(" AND key = ?");
        values.push(key.as_str().to_owned().into());
    }
    if let Some((updated, id)) = behind {
        sql.push_str(" AND (updated, id) < (?, ?)");
        values.extend([updated.into(), id.as_str().to_owned().into()]);
    }
    sql.push_str(" ORDER BY updated DESC, id DESC LIMIT ?");
    values.push(limit.into());
    (sql, values)
}
