//! Files of a turn, each once.

use botyard_sdk::json::{array_at, str_at};
use botyard_sdk::serde_json::Value;
use botyard_sdk::types::{Error, FileRef};

use super::{Giving, NONCE, Stage, host, snowflake};
use crate::api::{Failure, Shown, TOO_LARGE, Ticket, Wire};
use crate::event::id_at;

impl<W: Wire> Stage<'_, W> {
    /// Puts a file into the chat, once.
    pub(super) fn file(&mut self, channel: &str, file: &FileRef) -> Result<(), Failure> {
        if self.memory.files.contains(&file.id) {
            return Ok(());
        }
        let begun = self
            .memory
            .giving
            .is_some_and(|giving| giving.count == self.memory.count);
        let ticket = self.interaction().filter(|_| self.private).cloned();
        if ticket.is_none() && self.stands_there(channel, file)? {
            return self.given(file);
        }
        let sent = match &ticket {
            Some(ticket) => self.api.upload_whisper(Ticket::of(ticket), file),
            None => self.api.upload(channel, file, &self.nonce("f")),
        };
        match sent {
            Ok(id) => self.api.wire.posted(&id).map_err(host)?,
            Err(failure) if failure.is(&[TOO_LARGE]) || matches!(failure.error, Error::TooLarge(_)) => {
                let sorry = Shown {
                    content: format!(
                        "⚠️ The file `{}` is too large for Discord ({} bytes).",
                        file.name.replace('`', "'"),
                        file.size_bytes
                    ),
                    ..Shown::default()
                };
                match &ticket {
                    Some(ticket) => self.whisper(Ticket::of(ticket), &sorry).map(|_| ())?,
                    None => self.api.post(channel, &sorry, &self.nonce("x"), None).map(|_| ())?,
                }
            }
            Err(failure) if failure.unclear && ticket.is_some() => {
                return Err(host(Error::Ambiguous(format!(
                    "the file `{}` may be in the chat",
                    file.name
                ))));
            }
            Err(failure) if failure.unclear => {
                let error = Error::Unavailable("discord did not say whether a file was posted".into());
                return Err(Failure { error, ..failure });
            }
            // What was begun before and not answered may still stand there.
            Err(failure) if begun => return Err(failure),
            Err(failure) => {
                self.memory.giving = None;
                self.save()?;
                return Err(failure);
            }
        }
        self.given(file)
    }

    fn given(&mut self, file: &FileRef) -> Result<(), Failure> {
        self.memory.giving = None;
        self.memory.files.push(file.id.clone());
        self.memory.count += 1;
        self.save()
    }

    /// A post that was begun so long ago that its nonce may be forgotten: the file is looked for. Else it is noted that
    /// it begins now.
    fn stands_there(&mut self, channel: &str, file: &FileRef) -> Result<bool, Failure> {
        let now = self.api.wire.now();
        let begun = self.memory.giving.filter(|giving| giving.count == self.memory.count);
        let Some(Giving { at, .. }) = begun else {
            let count = self.memory.count;
            self.memory.giving = Some(Giving { count, at: now });
            self.save()?;
            return Ok(false);
        };
        if now < at.saturating_add(NONCE) {
            return Ok(false);
        }
        let me = self.api.wire.me();
        let after = snowflake(at.saturating_sub(60));
        let page = self
            .api
            .get(&format!("/channels/{channel}/messages?after={after}&limit=100"));
        let page = page.map_err(|failure| match failure.error {
            Error::Rejected(_) => host(Error::Ambiguous(format!(
                "the file `{}` may be in the chat, and the bot may not read the channel to see it",
                file.name
            ))),
            _ => failure,
        })?;
        let ours = |message: &&Value| {
            str_at(message, "/author/id") == me.as_deref()
                && array_at(message, "/attachments").iter().any(|there| is(there, file))
        };
        let found = array_at(&page, "").iter().find(ours);
        if let Some(id) = found.and_then(|message| id_at(message, "/id")) {
            self.api.wire.posted(id).map_err(host)?;
        } else {
            // Another nonce: the old one may still be known, with nothing behind it.
            self.memory.count += 1;
            let count = self.memory.count;
            self.memory.giving = Some(Giving { count, at: now });
            self.save()?;
        }
        Ok(found.is_some())
    }
}

/// Of a file's name Discord keeps letters and digits, and not every other sign.
fn is(there: &Value, file: &FileRef) -> bool {
    let plain = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    let size = there.get("size").and_then(Value::as_u64);
    size == Some(u64::from(file.size_bytes))
        && plain(str_at(there, "/filename").unwrap_or_default()) == plain(&file.name)
}
