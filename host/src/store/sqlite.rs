//! The store in one SQLite file: write-ahead log, synced at every commit. The only module that names SQLite.

mod ahead;
mod like;
mod moved;
mod rows;
mod schema;
mod session;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, Row, params};

use self::rows::to_json;
use super::{
    AsideRow, AskRow, AuditRow, Counts, FORGET_AT_ONCE, InboxRow, InboxState, OutboxRow, Outcome, Recall, Result,
    RunRow, SessionPage, SessionRow, Store, StoreError, TimerRow, TokenRow, TurnPage, TurnPlace, TurnRow, TurnScrap,
    WebRow,
};
use crate::chat::{
    BotName, Conversation, Event, InboxId, Item, SessionId, SessionKey, Target, Token, TurnId, UnixMillis, What,
};

/// How long a write waits for somebody else's lock on the file. Shorter than the shortest deadline of a vendor
/// (Slack, 3 s), so that it still gets its 503.
const LOCK_WAIT: Duration = Duration::from_secs(1);
/// Statements kept compiled: more than there are.
const STATEMENTS: usize = 128;

/// The default store.
#[derive(Debug)]
pub struct SqliteStore {
    conn: Connection,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..) => Self::Damaged(error.to_string()),
            _ => match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Unusable(format!(
                    "{error}\n\nhint: the file is damaged; `sqlite3 FILE .recover` gets out what can be read"
                )),
                _ => Self::Unavailable(error.to_string()),
            },
        }
    }
}

/// Makes the file if it is not there, readable by nobody else: it holds what people said.
fn create_private(path: &Path) -> Result<()> {
    let fail = |error: std::io::Error| StoreError::Unavailable(format!("`{}`: {error}", path.display()));
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {
            // The file's name must survive a power failure like its content.
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(fail(error)),
    }
}

impl SqliteStore {
    /// Opens or makes the file, and brings it to this version's schema; before a file that holds something is
    /// changed, a copy is made beside it. `Unusable`: of a newer botyard, or not ours.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_as(path, schema::MIGRATIONS)
    }

    fn open_as(path: &Path, migrations: &[&str]) -> Result<Self> {
        create_private(path)?;
        Self::over(Connection::open(path)?, Some(path), migrations)
    }

    /// A store that is gone when it is dropped; for tests and for `check`.
    pub fn in_memory() -> Result<Self> {
        Self::over(Connection::open_in_memory()?, None, schema::MIGRATIONS)
    }

    fn over(mut conn: Connection, path: Option<&Path>, migrations: &[&str]) -> Result<Self> {
        conn.busy_timeout(LOCK_WAIT)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        schema::prepare(&mut conn, path, migrations)?;
        conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        conn.pragma_update(None, "synchronous", "full")?;
        // Where a plain sync does not reach the platter (macOS).
        conn.pragma_update(None, "fullfsync", true)?;
        conn.pragma_update(None, "temp_store", "memory")?;
        // A burst must not leave a write-ahead log of its size for ever.
        conn.pragma_update_and_check(None, "journal_size_limit", 16 << 20, |_| Ok(()))?;
        Ok(Self { conn })
    }

    /// Rows changed.
    fn run(&self, sql: &str, params: impl Params) -> Result<usize> {
        Ok(self.conn.prepare_cached(sql)?.execute(params)?)
    }

    fn insert(&self, sql: &str, params: impl Params) -> Result<i64> {
        self.run(sql, params)?;
        Ok(self.conn.last_insert_rowid())
    }

    fn one<T>(&self, sql: &str, params: impl Params, map: fn(&Row<'_>) -> rusqlite::Result<T>) -> Result<Option<T>> {
        Ok(self.conn.prepare_cached(sql)?.query_row(params, map).optional()?)
    }

    /// A row that does not parse is left out, and said: the others must not suffer from it.
    fn all<T>(&self, sql: &str, params: impl Params, map: fn(&Row<'_>) -> rusqlite::Result<T>) -> Result<Vec<T>> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut found = statement.query(params)?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            match map(row).map_err(StoreError::from) {
                Ok(value) => rows.push(value),
                Err(error @ StoreError::Damaged(_)) => tracing::error!(%error, "a row of the store is left out"),
                Err(error) => return Err(error),
            }
        }
        Ok(rows)
    }

    /// The same, for a row that must be there.
    fn must(&self, what: &str, turn: &TurnId, sql: &str, params: impl Params) -> Result<()> {
        match self.run(sql, params)? {
            0 => Err(StoreError::Damaged(format!("no {what} for the turn `{turn}`"))),
            _ => Ok(()),
        }
    }

    fn count(&self, sql: &str) -> Result<u64> {
        Ok(self
            .one(sql, [], |row| row.get::<_, i64>(0))?
            .unwrap_or(0)
            .unsigned_abs())
    }
}

impl Store for SqliteStore {
    fn begin(&mut self) -> Result<()> {
        self.run("BEGIN IMMEDIATE", []).map(drop)
    }

    fn commit(&mut self) -> Result<()> {
        self.run("COMMIT", []).map(drop)
    }

    fn rollback(&mut self) {
        // A full disk or a failed write may have ended the transaction already.
        if !self.conn.is_autocommit()
            && let Err(error) = self.run("ROLLBACK", [])
        {
            tracing::error!(%error, "the store could not roll back");
        }
    }

    fn savepoint(&mut self) -> Result<()> {
        if self.conn.is_autocommit() {
            // A savepoint of its own would be a transaction of its own, and be committed by its release.
            return Err(StoreError::Unavailable("the database ended the transaction".into()));
        }
        self.run("SAVEPOINT job", []).map(drop)
    }

    fn release(&mut self) -> Result<()> {
        self.run("RELEASE job", []).map(drop)
    }

    fn rollback_to_savepoint(&mut self) {
        if self.conn.is_autocommit() {
            return;
        }
        for sql in ["ROLLBACK TO job", "RELEASE job"] {
            if let Err(error) = self.run(sql, []) {
                tracing::error!(%error, "the store could not undo a job");
            }
        }
    }

    fn inbox_put(&mut self, bot: &BotName, item: &Item, received: UnixMillis) -> Result<Option<InboxId>> {
        let sql = "INSERT INTO inbox (bot, key, item, received, state, message) VALUES (?, ?, ?, ?, 0, ?) \
                   ON CONFLICT (bot, key) DO NOTHING";
        let message = match &item.what {
            What::Message(message) => Some(message.id.as_str()),
            _ => None,
        };
        let params = params![bot.as_str(), item.origin.key, to_json(item)?, received, message];
        let changed = self.run(sql, params)?;
        Ok((changed > 0).then(|| InboxId(self.conn.last_insert_rowid())))
    }

    fn inbox_state(&mut self, id: InboxId, state: InboxState) -> Result<()> {
        self.run("UPDATE inbox SET state = ? WHERE id = ?", params![state.number(), id.0])?;
        match state {
            InboxState::Done => self.unsay_unused(id),
            InboxState::New | InboxState::Taken => Ok(()),
        }
    }

    fn inbox_get(&mut self, id: InboxId) -> Result<Option<InboxRow>> {
        self.one(
            &format!("SELECT {} FROM inbox WHERE id = ?", rows::INBOX),
            [id.0],
            rows::inbox,
        )
    }

    fn inbox_find(&mut self, bot: &BotName, key: &str) -> Result<Option<InboxId>> {
        let sql = "SELECT id FROM inbox WHERE bot = ? AND key = ?";
        self.one(sql, params![bot.as_str(), key], |row| row.get(0).map(InboxId))
    }

    fn inbox_said(&mut self, bot: &BotName, channel: Option<&str>, message: &str) -> Result<Option<InboxRow>> {
        let columns = rows::INBOX;
        let sql = format!(
            "SELECT {columns} FROM inbox WHERE bot = ?1 AND message = ?2
             AND (?3 IS NULL OR json_extract(item, '$.origin.conversation.channel') = ?3) ORDER BY id DESC LIMIT 1"
        );
        let found = self.all(&sql, params![bot.as_str(), message, channel], rows::inbox)?;
        Ok(found.into_iter().next())
    }

    fn inbox_amend(&mut self, id: InboxId, item: &Item) -> Result<()> {
        self.run("UPDATE inbox SET item = ? WHERE id = ?", params![to_json(item)?, id.0])
            .map(drop)
    }

    fn ahead_put(&mut self, bot: &BotName, channel: Option<&str>, change: &What, expires: UnixMillis) -> Result<()> {
        self.put_ahead(bot, channel, change, expires)
    }

    fn ahead_take(&mut self, bot: &BotName, channel: &str, message: &str, now: UnixMillis) -> Result<Option<What>> {
        self.take_ahead(bot, channel, message, now)
    }

    fn ahead_forget(&mut self, now: UnixMillis) -> Result<u64> {
        Ok(self.run("DELETE FROM ahead WHERE expires <= ?", [now])? as u64)
    }

    fn inbox_new(&mut self, bot: &BotName, after: InboxId, limit: u32) -> Result<Vec<InboxRow>> {
        let columns = rows::INBOX;
        let sql = format!("SELECT {columns} FROM inbox WHERE bot = ? AND state = 0 AND id > ? ORDER BY id LIMIT ?");
        self.all(&sql, params![bot.as_str(), after.0, limit], rows::inbox)
    }

    fn aside_put(&mut self, bot: &BotName, event: &Event, reason: &str, again: bool) -> Result<i64> {
        let sql = "INSERT INTO aside (bot, event, reason, again, attempts, received) VALUES (?, ?, ?, ?, 0, ?)";
        self.insert(
            sql,
            params![bot.as_str(), to_json(event)?, reason, again, event.received],
        )
    }

    fn aside_list(&mut self, bot: Option<&BotName>, again: bool, limit: u32) -> Result<Vec<AsideRow>> {
        let columns = rows::ASIDE;
        match bot {
            Some(bot) => {
                let sql = format!("SELECT {columns} FROM aside WHERE again = ? AND bot = ? ORDER BY id LIMIT ?");
                self.all(&sql, params![again, bot.as_str(), limit], rows::aside)
            }
            None => {
                let sql = format!("SELECT {columns} FROM aside WHERE again = ? ORDER BY id LIMIT ?");
                self.all(&sql, params![again, limit], rows::aside)
            }
        }
    }

    fn aside_failed(&mut self, id: i64, reason: &str, again: bool) -> Result<()> {
        let sql = "UPDATE aside SET attempts = attempts + 1, reason = ?, again = ? WHERE id = ?";
        self.run(sql, params![reason, again, id]).map(drop)
    }

    fn aside_remove(&mut self, id: i64) -> Result<()> {
        self.run("DELETE FROM aside WHERE id = ?", [id]).map(drop)
    }

    fn turn_put(&mut self, row: &TurnRow) -> Result<()> {
        let sql = "INSERT INTO turns (id, bot, session, inbox, state, attempt, target, asker, prompt, opened, view, files, \
                   session_id, kind) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET \
                   bot = excluded.bot, session = excluded.session, inbox = excluded.inbox, state = excluded.state, \
                   attempt = excluded.attempt, asker = excluded.asker, prompt = excluded.prompt, \
                   opened = excluded.opened, view = excluded.view, files = excluded.files, \
                   session_id = excluded.session_id, kind = excluded.kind";
        let view = row.view.as_ref().map(to_json).transpose()?;
        let params = params![
            row.id.as_str(),
            row.bot.as_str(),
            row.session.as_str(),
            row.inbox.map(|id| id.0),
            row.state.number(),
            row.attempt,
            to_json(&row.target)?,
            row.asker,
            row.prompt,
            row.opened,
            view,
            to_json(&row.files)?,
            row.session_id.as_str(),
            row.kind.number(),
        ];
        self.run(sql, params).map(drop)
    }

    fn turn_get(&mut self, id: &TurnId) -> Result<Option<TurnRow>> {
        self.one(
            &format!("SELECT {} FROM turns WHERE id = ?", rows::TURN),
            [id.as_str()],
            rows::turn,
        )
    }

    fn turns_open(&mut self, bot: &BotName) -> Result<Vec<TurnRow>> {
        let columns = rows::TURN;
        let sql = format!("SELECT {columns} FROM turns WHERE bot = ? AND state < 3 ORDER BY opened, rowid");
        self.all(&sql, [bot.as_str()], rows::turn)
    }

    fn turns_damaged(&mut self, bot: &BotName) -> Result<Vec<TurnScrap>> {
        let columns = rows::TURN;
        let sql = format!("SELECT {columns} FROM turns WHERE bot = ? AND state < 3 ORDER BY opened, rowid");
        let scraps = self.all(&sql, [bot.as_str()], |row| {
            let scrap = || rows::scrap(row);
            rows::turn(row).map_or_else(|_| scrap().map(Some), |_| Ok(None))
        })?;
        Ok(scraps.into_iter().flatten().collect())
    }

    fn turn_end(&mut self, id: &TurnId) -> Result<()> {
        self.run("UPDATE turns SET state = 3 WHERE id = ?", [id.as_str()])
            .map(drop)
    }

    fn turns_of(&mut self, session: &SessionId, limit: u32) -> Result<Vec<TurnRow>> {
        let columns = rows::TURN;
        let sql = format!("SELECT {columns} FROM turns WHERE session_id = ? ORDER BY opened DESC, rowid DESC LIMIT ?");
        self.all(&sql, params![session.as_str(), limit], rows::turn)
    }

    fn turns_page(&mut self, session: &SessionId, behind: Option<TurnPlace>, limit: u32) -> Result<TurnPage> {
        self.page_of_turns(session, behind, limit)
    }

    fn turn_of_inbox(&mut self, id: InboxId) -> Result<Option<TurnRow>> {
        let sql = format!(
            "SELECT {} FROM turns WHERE inbox = ? ORDER BY rowid DESC LIMIT 1",
            rows::TURN
        );
        self.one(&sql, [id.0], rows::turn)
    }

    fn turn_moved(&mut self, bot: &BotName, turn: &TurnId, to: &Conversation) -> Result<()> {
        self.move_turn(bot, turn, to)
    }

    fn session_at(&mut self, bot: &BotName, conversation: &Conversation) -> Result<Option<SessionKey>> {
        let sql = "SELECT session FROM homes WHERE bot = ? AND place = ?";
        self.one(sql, params![bot.as_str(), rows::place(conversation)?], |row| {
            row.get(0).map(SessionKey)
        })
    }

    fn session_put(&mut self, row: &SessionRow) -> Result<()> {
        let put_by = "UPDATE sessions SET current = 0 WHERE key = ? AND current = 1 AND id <> ?";
        self.run(put_by, [row.key.as_str(), row.id.as_str()])?;
        self.keep_session(row, true)
    }

    fn session_get(&mut self, key: &SessionKey) -> Result<Option<SessionRow>> {
        let sql = "SELECT session FROM sessions WHERE key = ? AND current = 1";
        self.one(sql, [key.as_str()], |row| rows::json(row, 0))
    }

    fn session_set_aside(&mut self, key: &SessionKey) -> Result<Option<(SessionId, u32, Option<String>)>> {
        let sql = "SELECT id, epoch, home FROM sessions WHERE key = ? AND current = 1";
        let found = self.one(sql, [key.as_str()], |row| {
            Ok((SessionId(row.get(0)?), row.get::<_, u32>(1)?, row.get(2)?))
        })?;
        let Some((id, epoch, home)) = found else {
            return Ok(None);
        };
        // More than one may be set aside.
        let sql = "UPDATE sessions SET current = 0, id = id || ' damaged ' || hex(randomblob(6)), \
                   key = key || ' damaged' WHERE id = ?";
        self.run(sql, [id.as_str()])?;
        Ok(Some((id, epoch, home)))
    }

    fn session_by_id(&mut self, id: &SessionId) -> Result<Option<SessionRow>> {
        let sql = "SELECT session FROM sessions WHERE id = ?";
        self.one(sql, [id.as_str()], |row| rows::json(row, 0))
    }

    fn sessions_of(&mut self, key: &SessionKey, skip: u32, limit: u32) -> Result<Vec<SessionRow>> {
        let sql = "SELECT session FROM sessions WHERE key = ? ORDER BY updated DESC, rowid DESC LIMIT ? OFFSET ?";
        self.all(sql, params![key.as_str(), limit, skip], |row| rows::json(row, 0))
    }

    fn session_counts(&mut self, key: &SessionKey) -> Result<(u32, u32)> {
        let sql = "SELECT count(*), coalesce(max(epoch), 0) FROM sessions WHERE key = ?";
        let counts = self.one(sql, [key.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(counts.unwrap_or_default())
    }

    fn sessions(&mut self, bot: Option<&BotName>, skip: u32, limit: u32) -> Result<SessionPage> {
        self.newest_sessions(bot, skip, limit)
    }

    fn sessions_behind(
        &mut self,
        bot: Option<&BotName>,
        key: Option<&SessionKey>,
        behind: Option<(UnixMillis, &SessionId)>,
        limit: u32,
    ) -> Result<Vec<SessionRow>> {
        self.page_of_sessions(bot, key, behind, limit)
    }

    fn sessions_end(
        &mut self,
        bot: Option<&BotName>,
        key: Option<&SessionKey>,
        behind: Option<(UnixMillis, &SessionId)>,
        limit: u32,
    ) -> Result<Option<(UnixMillis, SessionId)>> {
        self.end_of_page(bot, key, behind, limit)
    }

    fn session_busy(&mut self, session: &SessionId) -> Result<bool> {
        self.is_busy(session)
    }

    fn session_keep(&mut self, row: &SessionRow) -> Result<()> {
        self.keep_session(row, false)
    }

    fn session_remove(&mut self, id: &SessionId) -> Result<bool> {
        self.remove_session(id)
    }

    fn turns_copy(&mut self, from: &SessionId, to: &SessionRow, limit: u32) -> Result<()> {
        self.copy_turns(from, to, limit)
    }

    fn turns_like(&mut self, session: &SessionId, words: &[String], among: u32) -> Result<Vec<TurnRow>> {
        self.turns_with(session, words, among)
    }

    fn turns_count(&mut self, session: &SessionId, limit: u32) -> Result<u32> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM turns WHERE session_id = ? LIMIT ?)";
        let count = self.one(sql, params![session.as_str(), limit], |row| row.get(0))?;
        Ok(count.unwrap_or_default())
    }

    fn said_by_others(&mut self, session: &SessionId, asker: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM turns WHERE session_id = ? AND asker <> ? LIMIT 1";
        Ok(self.one(sql, [session.as_str(), asker], |_| Ok(()))?.is_some())
    }

    fn cli_session_claim(&mut self, cli_session: &str, key: &SessionKey) -> Result<bool> {
        let sql = "INSERT INTO cli_sessions (cli_session, key) VALUES (?, ?) ON CONFLICT DO NOTHING";
        self.run(sql, [cli_session, key.as_str()])?;
        let owner = "SELECT key FROM cli_sessions WHERE cli_session = ?";
        Ok(self.one::<String>(owner, [cli_session], |row| row.get(0))?.as_deref() == Some(key.as_str()))
    }

    fn run_put(&mut self, row: &RunRow, updated: UnixMillis) -> Result<()> {
        let sql = "INSERT INTO runs (id, bot, open, updated, run) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET \
                   bot = excluded.bot, open = excluded.open, updated = excluded.updated, run = excluded.run";
        let params = params![row.id.0, row.bot.as_str(), row.open, updated, to_json(row)?];
        self.run(sql, params).map(drop)
    }

    fn run_get(&mut self, id: InboxId) -> Result<Option<RunRow>> {
        self.one("SELECT run FROM runs WHERE id = ?", [id.0], |row| rows::json(row, 0))
    }

    fn runs_open(&mut self, bot: &BotName) -> Result<Vec<RunRow>> {
        let sql = "SELECT run FROM runs WHERE bot = ? AND open = 1 ORDER BY id";
        self.all(sql, [bot.as_str()], |row| rows::json(row, 0))
    }

    fn runs_damaged(&mut self, bot: &BotName) -> Result<Vec<InboxId>> {
        let sql = "SELECT id, run FROM runs WHERE bot = ? AND open = 1 ORDER BY id";
        let damaged = self.all(sql, [bot.as_str()], |row| {
            let id = || row.get(0).map(|id| Some(InboxId(id)));
            rows::json::<RunRow>(row, 1).map_or_else(|_| id(), |_| Ok(None))
        })?;
        Ok(damaged.into_iter().flatten().collect())
    }

    fn run_end(&mut self, id: InboxId) -> Result<bool> {
        let sql = "UPDATE runs SET open = 0 WHERE id = ? AND open = 1";
        Ok(self.run(sql, [id.0])? > 0)
    }

    fn outbox_put(&mut self, row: &OutboxRow) -> Result<()> {
        let sql = "INSERT INTO outbox (turn, bot, target, view, revision, state, memory, attempts, next_try, last_error, \
                   updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (turn) DO UPDATE SET \
                   bot = excluded.bot, view = excluded.view, revision = excluded.revision, \
                   state = excluded.state, memory = coalesce(excluded.memory, memory), attempts = excluded.attempts, \
                   next_try = excluded.next_try, last_error = excluded.last_error, updated = excluded.updated";
        let view = row.view.as_ref().map(to_json).transpose()?;
        let params = params![
            row.turn.as_str(),
            row.bot.as_str(),
            to_json(&row.target)?,
            view,
            row.view.as_ref().map(|view| view.revision),
            row.state.number(),
            row.memory,
            row.attempts,
            row.next_try,
            row.last_error,
            row.updated,
        ];
        self.run(sql, params).map(drop)
    }

    fn outbox_get(&mut self, turn: &TurnId) -> Result<Option<OutboxRow>> {
        self.one(
            &format!("SELECT {} FROM outbox WHERE turn = ?", rows::OUTBOX),
            [turn.as_str()],
            rows::outbox,
        )
    }

    fn outbox_memory(&mut self, turn: &TurnId, memory: &[u8]) -> Result<()> {
        let sql = "UPDATE outbox SET memory = ? WHERE turn = ?";
        self.must("outbox row", turn, sql, params![memory, turn.as_str()])
    }

    fn outbox_recall(&mut self, turn: &TurnId) -> Result<Option<Recall>> {
        let sql = "SELECT memory, target FROM outbox WHERE turn = ?";
        self.one(sql, [turn.as_str()], |row| {
            let target: Target = rows::json(row, 1)?;
            Ok(Recall {
                memory: row.get(0)?,
                conversation: target.conversation,
            })
        })
    }

    fn outbox_outcome(&mut self, turn: &TurnId, outcome: &Outcome) -> Result<bool> {
        let sql = "UPDATE outbox SET state = ?, attempts = ?, next_try = ?, last_error = ?, updated = ? \
                   WHERE turn = ? AND revision = ?";
        let params = params![
            outcome.state.number(),
            outcome.attempts,
            outcome.next_try,
            outcome.last_error,
            outcome.updated,
            turn.as_str(),
            outcome.revision,
        ];
        Ok(self.run(sql, params)? > 0)
    }

    fn outbox_reopen(&mut self, bot: &BotName) -> Result<Vec<OutboxRow>> {
        // State > 1 is what the index knows; 4 is `Unauthorized`.
        let sql = format!(
            "UPDATE outbox SET state = 0, attempts = 0, next_try = 0 WHERE bot = ? AND state > 1 AND state = 4 \
             RETURNING {}",
            rows::OUTBOX
        );
        self.all(&sql, [bot.as_str()], rows::outbox)
    }

    fn outbox_posted(&mut self, turn: &TurnId, message: &str) -> Result<()> {
        let sql = "INSERT INTO posted (bot, message, channel, turn) \
                   SELECT bot, ?, json_extract(target, '$.conversation.channel'), turn FROM outbox WHERE turn = ? \
                   ON CONFLICT (bot, message, channel) DO UPDATE SET turn = excluded.turn";
        self.must("outbox row", turn, sql, params![message, turn.as_str()])
    }

    fn turn_of_message(&mut self, bot: &BotName, channel: Option<&str>, message: &str) -> Result<Option<TurnId>> {
        let sql = "SELECT turn FROM posted WHERE bot = ?1 AND message = ?2 AND (?3 IS NULL OR channel = ?3) LIMIT 2";
        let found = self.all(sql, params![bot.as_str(), message, channel], |row| {
            row.get(0).map(TurnId)
        })?;
        Ok(<[TurnId; 1]>::try_from(found).ok().map(|[turn]| turn))
    }

    fn outbox_pending(&mut self, bot: &BotName) -> Result<Vec<OutboxRow>> {
        let columns = rows::OUTBOX;
        let sql = format!(
            "SELECT {columns} FROM outbox WHERE bot = ? AND state = 0 AND view IS NOT NULL ORDER BY next_try, rowid"
        );
        self.all(&sql, [bot.as_str()], rows::outbox)
    }

    fn outbox_dead(&mut self, bot: Option<&BotName>, limit: u32) -> Result<Vec<OutboxRow>> {
        let columns = rows::OUTBOX;
        match bot {
            Some(bot) => {
                let sql =
                    format!("SELECT {columns} FROM outbox WHERE bot = ? AND state > 1 ORDER BY updated DESC LIMIT ?");
                self.all(&sql, params![bot.as_str(), limit], rows::outbox)
            }
            None => {
                let sql = format!("SELECT {columns} FROM outbox WHERE state > 1 ORDER BY updated DESC LIMIT ?");
                self.all(&sql, [limit], rows::outbox)
            }
        }
    }

    fn thread_joined(&mut self, bot: &BotName, conversation: &Conversation) -> Result<()> {
        let sql = "INSERT INTO threads (bot, place) VALUES (?, ?) ON CONFLICT DO NOTHING";
        self.run(sql, params![bot.as_str(), rows::place(conversation)?])
            .map(drop)
    }

    fn thread_known(&mut self, bot: &BotName, conversation: &Conversation) -> Result<bool> {
        let sql = "SELECT 1 FROM threads WHERE bot = ? AND place = ?";
        Ok(self
            .one(sql, params![bot.as_str(), rows::place(conversation)?], |_| Ok(()))?
            .is_some())
    }

    fn ask_put(&mut self, row: &AskRow) -> Result<()> {
        let sql = "INSERT INTO asks (id, turn, expires, state, ask) VALUES (?, ?, ?, ?, ?) \
                   ON CONFLICT (id) DO UPDATE SET turn = excluded.turn, expires = excluded.expires, \
                   state = excluded.state, ask = excluded.ask";
        let params = params![
            row.id,
            row.turn.as_str(),
            row.expires,
            row.state.number(),
            to_json(row)?
        ];
        self.run(sql, params).map(drop)
    }

    fn ask_get(&mut self, id: &str) -> Result<Option<AskRow>> {
        self.one("SELECT ask FROM asks WHERE id = ?", [id], |row| rows::json(row, 0))
    }

    fn asks_of(&mut self, turn: &TurnId) -> Result<Vec<AskRow>> {
        self.all(
            "SELECT ask FROM asks WHERE turn = ? ORDER BY rowid",
            [turn.as_str()],
            |row| rows::json(row, 0),
        )
    }

    fn asks_expired(&mut self, now: UnixMillis, limit: u32) -> Result<Vec<AskRow>> {
        let sql = "SELECT ask FROM asks WHERE state = 0 AND expires <= ? ORDER BY expires LIMIT ?";
        self.all(sql, params![now, limit], |row| rows::json(row, 0))
    }

    fn token_put(&mut self, row: &TokenRow) -> Result<()> {
        let sql = "INSERT INTO tokens (token, expires, stands_for) VALUES (?, ?, ?) \
                   ON CONFLICT (token) DO UPDATE SET expires = excluded.expires, stands_for = excluded.stands_for";
        self.run(sql, params![row.token.as_str(), row.expires, to_json(row)?])
            .map(drop)
    }

    fn token_get(&mut self, token: &Token) -> Result<Option<TokenRow>> {
        self.one(
            "SELECT stands_for FROM tokens WHERE token = ?",
            [token.as_str()],
            |row| rows::json(row, 0),
        )
    }

    fn kv_get(&mut self, bot: &BotName, key: &str, now: UnixMillis) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT value FROM kv WHERE bot = ? AND key = ? AND (expires IS NULL OR expires > ?)";
        self.one(sql, params![bot.as_str(), key, now], |row| row.get(0))
    }

    fn kv_put(&mut self, bot: &BotName, key: &str, value: &[u8], expires: Option<UnixMillis>) -> Result<()> {
        let sql = "INSERT INTO kv (bot, key, value, expires) VALUES (?, ?, ?, ?) \
                   ON CONFLICT (bot, key) DO UPDATE SET value = excluded.value, expires = excluded.expires";
        self.run(sql, params![bot.as_str(), key, value, expires]).map(drop)
    }

    fn kv_put_if_absent(
        &mut self,
        bot: &BotName,
        key: &str,
        value: &[u8],
        expires: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<bool> {
        // The time is known here: whatever of this bot's expired makes room, not only this key.
        self.run(
            "DELETE FROM kv WHERE bot = ? AND expires <= ?",
            params![bot.as_str(), now],
        )?;
        let sql = "INSERT INTO kv (bot, key, value, expires) VALUES (?, ?, ?, ?) ON CONFLICT (bot, key) DO NOTHING";
        Ok(self.run(sql, params![bot.as_str(), key, value, expires])? > 0)
    }

    fn kv_remove(&mut self, bot: &BotName, key: &str) -> Result<()> {
        self.run("DELETE FROM kv WHERE bot = ? AND key = ?", [bot.as_str(), key])
            .map(drop)
    }

    fn kv_size(&mut self, bot: &BotName) -> Result<(u64, u64)> {
        let sql = "SELECT entries, bytes FROM kv_sizes WHERE bot = ?";
        let found = self.one(sql, [bot.as_str()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })?;
        Ok(found.map_or((0, 0), |(entries, bytes)| {
            (entries.unsigned_abs(), bytes.unsigned_abs())
        }))
    }

    fn timer_put(&mut self, bot: &BotName, kind: &str, payload: &[u8], at: UnixMillis) -> Result<i64> {
        let sql = "INSERT INTO timers (bot, kind, payload, at) VALUES (?, ?, ?, ?)";
        self.insert(sql, params![bot.as_str(), kind, payload, at])
    }

    fn timers_due(&mut self, now: UnixMillis, limit: u32) -> Result<Vec<TimerRow>> {
        let sql = format!(
            "SELECT {} FROM timers WHERE at <= ? ORDER BY at, id LIMIT ?",
            rows::TIMER
        );
        self.all(&sql, params![now, limit], rows::timer)
    }

    fn timer_remove(&mut self, id: i64) -> Result<()> {
        self.run("DELETE FROM timers WHERE id = ?", [id]).map(drop)
    }

    fn web_put(&mut self, bot: &BotName, channel: &str, message: &str, body: &str) -> Result<i64> {
        // Replacing deletes the old row, so the new one gets a sequence number above all that ever were.
        let sql = "INSERT OR REPLACE INTO web (bot, channel, message, body) VALUES (?, ?, ?, ?)";
        self.insert(sql, params![bot.as_str(), channel, message, body])
    }

    fn web_list(&mut self, bot: &BotName, channel: &str, after: i64, limit: u32) -> Result<Vec<WebRow>> {
        let columns = rows::WEB;
        let sql = format!("SELECT {columns} FROM web WHERE bot = ? AND channel = ? AND seq > ? ORDER BY seq LIMIT ?");
        self.all(&sql, params![bot.as_str(), channel, after, limit], rows::web)
    }

    fn audit(&mut self, row: &AuditRow) -> Result<()> {
        let sql = "INSERT INTO audit (at, bot, who, what) VALUES (?, ?, ?, ?)";
        self.run(sql, params![row.at, row.bot.as_str(), row.who, row.what])
            .map(drop)
    }

    fn counts(&mut self) -> Result<Counts> {
        Ok(Counts {
            inbox_new: self.count("SELECT count(*) FROM inbox WHERE state = 0")?,
            aside: self.count("SELECT count(*) FROM aside")?,
            sessions: self.count("SELECT count(*) FROM sessions")?,
            turns_open: self.count("SELECT count(*) FROM turns WHERE state < 3")?,
            outbox_pending: self.count("SELECT count(*) FROM outbox WHERE state = 0 AND view IS NOT NULL")?,
            outbox_dead: self.count("SELECT count(*) FROM outbox WHERE state > 1")?,
        })
    }

    fn forget_before(&mut self, before: UnixMillis) -> Result<u64> {
        // In this order: a turn goes only after its outbox row.
        let done = [
            ("inbox", "state = 2 AND received < ?1"),
            ("aside", "again = 0 AND received < ?1"),
            ("outbox", "state = 1 AND updated < ?1"),
            (
                "turns",
                "state = 3 AND opened < ?1 AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.turn = turns.id)",
            ),
            ("runs", "open = 0 AND updated < ?1"),
            ("asks", "state = 2 AND expires < ?1"),
            ("tokens", "expires < ?1"),
            ("kv", "expires < ?1"),
        ];
        let mut forgotten = 0;
        for (table, which) in done {
            let sql = format!("DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE {which} LIMIT ?2)");
            forgotten += self.run(&sql, params![before, FORGET_AT_ONCE])?;
        }
        Ok(forgotten as u64)
    }
}

#[cfg(test)]
mod tests;
