//! The whole conversation for whoever asks for it: a file where the platform takes files and everybody here may read it,
//! else words.

use super::super::Bot;
use super::super::dispatch::{info, warning};
use super::session::unread;
use crate::chat::{Origin, Part, SessionKey};
use crate::manifest::Ability;
use crate::plugin::files::KEEP_MAX;
use crate::session::transcript::Form;
use crate::store::{Result as StoreResult, SessionRow, TurnPage};

/// Turns that are read at once.
const PAGE: u32 = 100;
/// What is told in words, in bytes.
const WORDS_MAX: usize = 100 * 1024;
/// Of a conversation that is too long.
const OLDER: &str =
    "What was said before that is left out: it is more than a chat takes. The operator can export all of it.";

/// The newest of a conversation.
struct Exported {
    session: SessionRow,
    text: String,
    /// All of it, or else what came before is left out.
    whole: bool,
}

impl Bot {
    /// A whisper is in words: a file would be for everybody here, or in another place.
    pub(super) async fn export(&self, key: &SessionKey, origin: &Origin, form: &str, private: bool) -> Part {
        let form = match form {
            "jsonl" | "json" => Form::JsonLines,
            _ => Form::Markdown,
        };
        let filed = self.can(Ability::FilesOut) && !self.whispers(origin, private);
        let files = self.inner.adapter.about().limits.upload_max_bytes.min(KEEP_MAX);
        let most = if filed { files as usize } else { WORDS_MAX };
        let Exported { session, text, whole } = match self.newest(key, form, most).await {
            Ok(Some(exported)) => exported,
            Ok(None) => return info("Nothing was said yet."),
            Err(_) => return unread(),
        };
        if text.is_empty() {
            return warning("This is too long for a chat; the operator can export it.");
        }
        let part = if filed {
            let (ending, media_type) = match form {
                Form::Markdown => ("md", "text/markdown"),
                Form::JsonLines => ("jsonl", "application/jsonl"),
            };
            let name = format!("session-{}.{ending}", session.id);
            match self
                .inner
                .adapter
                .files()
                .keep(&name, media_type, text.as_bytes())
                .await
            {
                Ok(file) => Part::File(file),
                Err(error) => {
                    tracing::warn!(bot = %self.inner.config.name, %error, "an export could not be kept");
                    return warning("That could not be stored just now. Please try again.");
                }
            }
        } else if form == Form::JsonLines {
            // Only texts in it have such marks, where this is the same to whoever reads it.
            Part::Text(format!("```\n{}```", text.replace('`', "\\u0060")))
        } else {
            Part::Text(text)
        };
        if !whole {
            self.say(origin, info(OLDER), private).await;
        }
        part
    }

    /// As much of the current session from its end on as `most` bytes hold; no text: not even its last turn. None: nothing was
    /// said.
    async fn newest(&self, key: &SessionKey, form: Form, most: usize) -> StoreResult<Option<Exported>> {
        let journal = &self.inner.journal;
        let key = key.clone();
        let Some(session) = journal.read(move |store| store.session_get(&key)).await? else {
            return Ok(None);
        };
        let head = form.head(&session);
        let (mut turns, mut size) = (Vec::new(), head.len());
        let mut place = None;
        let whole = 'read: loop {
            let id = session.id.clone();
            let page = journal.read(move |store| store.turns_page(&id, place, PAGE)).await?;
            let TurnPage { turns: rows, next } = page;
            for row in &rows {
                let turn = form.turn(row);
                size += turn.len();
                if size > most {
                    break 'read false;
                }
                turns.push(turn);
            }
            place = next;
            if place.is_none() {
                break true;
            }
        };
        if turns.is_empty() && whole {
            return Ok(None);
        }
        let text = match turns.is_empty() {
            true => String::new(),
            false => std::iter::once(head).chain(turns.into_iter().rev()).collect(),
        };
        Ok(Some(Exported { session, text, whole }))
    }
}
