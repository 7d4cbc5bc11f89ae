//! Dead letters: replies that a platform did not take, or may have taken. Works on the journal, whether the host runs
//! (its handler calls this and then tells the bot's outbox) or not.

use serde::{Deserialize, Serialize};

use crate::chat::{BotName, Conversation, Part, TurnId, UnixMillis, View, ViewState, now};
use crate::store::{AuditRow, Journal, OutboxRow, OutboxState, Result as StoreResult, StoreError};

/// Listed at most.
pub const LISTED_MAX: u32 = 500;

/// One reply that is not where it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    pub turn: TurnId,
    pub bot: BotName,
    pub conversation: Conversation,
    pub state: OutboxState,
    pub attempts: u32,
    pub updated: UnixMillis,
    pub last_error: Option<String>,
}

/// A letter with what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterText {
    #[serde(flatten)]
    pub letter: Letter,
    /// As plain text; empty: nothing was to be delivered.
    pub text: String,
}

/// Why a letter cannot be had, or not be changed.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    #[error("there is no turn `{0}` in the outbox")]
    Unknown(TurnId),
    #[error("turn `{turn}` is no dead letter: it is {state}")]
    Alive { turn: TurnId, state: &'static str },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a state is called.
pub const fn state_name(state: OutboxState) -> &'static str {
    match state {
        OutboxState::Pending => "pending",
        OutboxState::Sent => "sent",
        OutboxState::Ambiguous => "ambiguous",
        OutboxState::Dead => "dead",
        OutboxState::Unauthorized => "unauthorized",
    }
}

impl From<OutboxRow> for Letter {
    fn from(row: OutboxRow) -> Self {
        Self {
            turn: row.turn,
            bot: row.bot,
            conversation: row.target.conversation,
            state: row.state,
            attempts: row.attempts,
            updated: row.updated,
            last_error: row.last_error,
        }
    }
}

/// Newest first, at most [`LISTED_MAX`].
pub async fn list(journal: &Journal) -> StoreResult<Vec<Letter>> {
    let rows = journal.read(|store| store.outbox_dead(None, LISTED_MAX)).await?;
    let mut letters: Vec<Letter> = rows.into_iter().map(Letter::from).collect();
    letters.sort_by_key(|letter| std::cmp::Reverse(letter.updated));
    Ok(letters)
}

/// Any turn of the outbox, also one that was delivered.
pub async fn show(journal: &Journal, turn: &TurnId) -> Result<LetterText, LetterError> {
    let row = get(journal, turn).await?;
    let text = row.view.as_ref().map(plain).unwrap_or_default();
    Ok(LetterText {
        letter: row.into(),
        text,
    })
}

/// Makes a dead letter pending again, with all its attempts. The row comes back, for the outbox that is to show it.
pub async fn retry(journal: &Journal, turn: &TurnId) -> Result<OutboxRow, LetterError> {
    change(journal, turn, "retry", |row| {
        row.state = OutboxState::Pending;
        row.attempts = 0;
        row.next_try = now();
    })
    .await
}

/// Makes a dead letter one that nobody waits for: it is forgotten with the delivered ones.
pub async fn discard(journal: &Journal, turn: &TurnId) -> Result<OutboxRow, LetterError> {
    change(journal, turn, "drop", |row| {
        row.state = OutboxState::Sent;
        row.view = None;
        row.last_error = Some("dropped by the operator".to_owned());
    })
    .await
}

async fn get(journal: &Journal, turn: &TurnId) -> Result<OutboxRow, LetterError> {
    let wanted = turn.clone();
    journal
        .read(move |store| store.outbox_get(&wanted))
        .await?
        .ok_or_else(|| LetterError::Unknown(turn.clone()))
}

async fn change(
    journal: &Journal,
    turn: &TurnId,
    what: &'static str,
    edit: impl FnOnce(&mut OutboxRow) + Send + 'static,
) -> Result<OutboxRow, LetterError> {
    let wanted = turn.clone();
    // Looked at and changed in one job: the outbox may be at work on the same row.
    journal
        .write(move |store| {
            let Some(mut row) = store.outbox_get(&wanted)? else {
                return Ok(Err(LetterError::Unknown(wanted)));
            };
            if matches!(row.state, OutboxState::Pending | OutboxState::Sent) {
                return Ok(Err(LetterError::Alive {
                    turn: wanted,
                    state: state_name(row.state),
                }));
            }
            edit(&mut row);
            row.updated = now();
            store.outbox_put(&row)?;
            store.audit(&AuditRow {
                at: row.updated,
                bot: row.bot.clone(),
                who: "operator".to_owned(),
                what: format!("outbox {what} {wanted}"),
            })?;
            Ok(Ok(row))
        })
        .await?
}

/// What a person would read, without the platform's dress.
pub fn plain(view: &View) -> String {
    let mut parts: Vec<String> = view
        .blocks
        .iter()
        .filter_map(|block| match &block.part {
            Part::Text(text) => Some(text.trim_end().to_owned()),
            Part::Notice(notice) => Some(notice.text.clone()),
            Part::Ask(ask) => Some(format!("? {}\n{}", ask.title, ask.text).trim_end().to_owned()),
            Part::Step(step) => Some(format!("- {}", step.title)),
            Part::File(file) => Some(format!("[{}]", file.name)),
            Part::Thinking(_) | Part::Plan(_) => None,
        })
        .collect();
    if let ViewState::Failed(sentence) = &view.state {
        parts.push(format!("! {sentence}"));
    }
    parts.join("\n\n")
}
