//! Rows of the tables as values of ours, and back.

use rusqlite::Row;
use rusqlite::types::{FromSqlError, Type};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::{
    AsideRow, AskState, InboxRow, InboxState, OutboxRow, OutboxState, Result, StoreError, TimerRow, TurnKind, TurnRow,
    TurnScrap, TurnState, WebRow,
};
use crate::chat::{BotName, Conversation, InboxId, SessionId, SessionKey, TurnId};

/// A state as the number that stands in a table, and back. The numbers are in the schema's partial indexes too.
macro_rules! numbered {
    ($name:ident: $($case:ident = $number:literal),+) => {
        impl $name {
            pub(super) const fn number(self) -> i64 {
                match self {
                    $(Self::$case => $number),+
                }
            }
            fn of(number: i64) -> Option<Self> {
                match number {
                    $($number => Some(Self::$case),)+
                    _ => None,
                }
            }
        }
    };
}

numbered!(InboxState: New = 0, Taken = 1, Done = 2);
numbered!(TurnState: Queued = 0, Running = 1, Asking = 2, Done = 3);
numbered!(TurnKind: Message = 0, Compact = 1);
numbered!(OutboxState: Pending = 0, Sent = 1, Ambiguous = 2, Dead = 3, Unauthorized = 4);

impl AskState {
    /// Never read back: the whole ask stands beside it.
    pub(super) const fn number(self) -> i64 {
        match self {
            Self::Open => 0,
            Self::Decided => 1,
            Self::Closed => 2,
        }
    }
}

pub(super) fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Damaged(error.to_string()))
}

/// A JSON column.
pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<T> {
    parse(at, row.get_ref(at)?.as_str()?)
}

pub(super) fn json_or_none<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<T>> {
    row.get_ref(at)?
        .as_str_or_null()?
        .map(|text| parse(at, text))
        .transpose()
}

fn parse<T: DeserializeOwned>(at: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(error)))
}

fn state<T>(row: &Row<'_>, at: usize, of: impl Fn(i64) -> Option<T>) -> rusqlite::Result<T> {
    let number: i64 = row.get(at)?;
    of(number).ok_or_else(|| FromSqlError::OutOfRange(number).into())
}

fn bot(row: &Row<'_>, at: usize) -> rusqlite::Result<BotName> {
    row.get(at).map(BotName)
}

pub(super) const INBOX: &str = "id, bot, item, received, state";
pub(super) fn inbox(row: &Row<'_>) -> rusqlite::Result<InboxRow> {
    Ok(InboxRow {
        id: InboxId(row.get(0)?),
        bot: bot(row, 1)?,
        item: json(row, 2)?,
        received: row.get(3)?,
        state: state(row, 4, InboxState::of)?,
    })
}

pub(super) const ASIDE: &str = "id, bot, event, reason, again, attempts, received";
pub(super) fn aside(row: &Row<'_>) -> rusqlite::Result<AsideRow> {
    Ok(AsideRow {
        id: row.get(0)?,
        bot: bot(row, 1)?,
        event: json(row, 2)?,
        reason: row.get(3)?,
        again: row.get(4)?,
        attempts: row.get(5)?,
        received: row.get(6)?,
    })
}

pub(super) const TURN: &str =
    "id, bot, session, inbox, state, attempt, target, asker, prompt, opened, view, files, session_id, kind";
pub(super) fn turn(row: &Row<'_>) -> rusqlite::Result<TurnRow> {
    Ok(TurnRow {
        id: TurnId(row.get(0)?),
        bot: bot(row, 1)?,
        session: SessionKey(row.get(2)?),
        inbox: row.get::<_, Option<i64>>(3)?.map(InboxId),
        state: state(row, 4, TurnState::of)?,
        attempt: row.get(5)?,
        target: json(row, 6)?,
        asker: row.get(7)?,
        prompt: row.get(8)?,
        opened: row.get(9)?,
        view: json_or_none(row, 10)?,
        files: json(row, 11)?,
        session_id: SessionId(row.get(12)?),
        kind: state(row, 13, TurnKind::of)?,
    })
}

/// Of the same columns.
pub(super) fn scrap(row: &Row<'_>) -> rusqlite::Result<TurnScrap> {
    Ok(TurnScrap {
        id: TurnId(row.get(0)?),
        inbox: row.get::<_, Option<i64>>(3)?.map(InboxId),
        attempt: row.get(5)?,
    })
}

pub(super) const OUTBOX: &str = "turn, bot, target, view, state, memory, attempts, next_try, last_error, updated";
pub(super) fn outbox(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    Ok(OutboxRow {
        turn: TurnId(row.get(0)?),
        bot: bot(row, 1)?,
        target: json(row, 2)?,
        view: json_or_none(row, 3)?,
        state: state(row, 4, OutboxState::of)?,
        memory: row.get(5)?,
        attempts: row.get(6)?,
        next_try: row.get(7)?,
        last_error: row.get(8)?,
        updated: row.get(9)?,
    })
}

pub(super) const TIMER: &str = "id, bot, kind, payload, at";
pub(super) fn timer(row: &Row<'_>) -> rusqlite::Result<TimerRow> {
    Ok(TimerRow {
        id: row.get(0)?,
        bot: bot(row, 1)?,
        kind: row.get(2)?,
        payload: row.get(3)?,
        at: row.get(4)?,
    })
}

pub(super) const WEB: &str = "seq, bot, channel, message, body";
pub(super) fn web(row: &Row<'_>) -> rusqlite::Result<WebRow> {
    Ok(WebRow {
        seq: row.get(0)?,
        bot: bot(row, 1)?,
        channel: row.get(2)?,
        message: row.get(3)?,
        body: row.get(4)?,
    })
}

/// A thread's place as one text; who reads it makes no other place of it.
pub(super) fn place(conversation: &Conversation) -> Result<String> {
    to_json(&(&conversation.tenant, &conversation.channel, &conversation.thread))
}
