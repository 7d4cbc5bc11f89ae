//! How the chat lies in the store: its messages and its list of conversations as web rows, and beside each an
//! index value, because web rows are found by their place in time and not by their name.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{SentFile, Sitter, Stage};
use crate::chat::{BotName, UnixMillis};
use crate::store::{Result, Store, StoreError, WebRow};

/// The channel that holds the list of conversations: no id of a page can be this.
const LIST: &str = "~";
/// Characters of a conversation's title.
const TITLE_MAX: usize = 60;

/// One bot's place in the store.
#[derive(Debug, Clone)]
pub(super) struct Keep {
    bot: BotName,
    /// Index values live under a name that no bot can have, so no adapter reads them and no quota counts them.
    space: BotName,
}

/// What must be known of a message to change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    pub(super) channel: String,
    /// Orders the messages of a conversation.
    pub(super) at: UnixMillis,
    pub(super) revision: u32,
    /// None: a person's.
    pub(super) stage: Option<Stage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum From {
    Person,
    Bot,
}

/// A message as it is stored and as the page takes it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) id: String,
    pub(super) from: From,
    pub(super) at: UnixMillis,
    pub(super) revision: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) person: Option<Sitter>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) text: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) files: Vec<SentFile>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) view: Option<Box<RawValue>>,
}

/// A conversation in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Channel {
    pub(super) id: String,
    pub(super) title: String,
    /// When something was last said.
    pub(super) at: UnixMillis,
    /// How far the newest reply is; none: there is none yet.
    pub(super) stage: Option<Stage>,
}

impl Kept {
    pub(super) fn of_bot(id: &str, index: &Index, view: Box<RawValue>) -> Self {
        Self {
            id: id.to_owned(),
            from: From::Bot,
            at: index.at,
            revision: index.revision,
            person: None,
            text: None,
            files: Vec::new(),
            view: Some(view),
        }
    }

    /// What was said, as a title may come of it: without words, the first file's name.
    fn said(&self) -> Option<&str> {
        let words = self.text.as_deref().filter(|text| !text.trim().is_empty());
        words.or_else(|| self.files.first().map(|file| file.name.as_str()))
    }

    pub(super) fn of_person(id: &str, index: &Index, person: &Sitter, text: String, files: Vec<SentFile>) -> Self {
        Self {
            id: id.to_owned(),
            from: From::Person,
            at: index.at,
            revision: index.revision,
            person: Some(person.clone()),
            text: Some(text),
            files,
            view: None,
        }
    }
}

fn to_text<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Damaged(error.to_string()))
}

fn from_bytes<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Damaged(error.to_string()))
}

/// The first line of what was said first, cut at a word.
fn title_of(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    if line.chars().count() <= TITLE_MAX {
        return line.to_owned();
    }
    let cut: String = line.chars().take(TITLE_MAX).collect();
    let whole = cut.rsplit_once(' ').map_or(cut.as_str(), |(head, _)| head);
    format!(
        "{}…",
        if whole.chars().count() > TITLE_MAX / 2 {
            whole
        } else {
            &cut
        }
    )
}

impl Keep {
    pub(super) fn new(bot: &BotName) -> Self {
        Self {
            bot: bot.clone(),
            space: BotName(format!("~web/{bot}")),
        }
    }

    pub(super) fn index(&self, store: &mut dyn Store, id: &str) -> Result<Option<Index>> {
        // Index values have no expiry, so any time will do.
        let value = store.kv_get(&self.space, &format!("m/{id}"), 0)?;
        value.map(|bytes| from_bytes(&bytes)).transpose()
    }

    /// False: the message was there already, and nothing changed.
    pub(super) fn insert(&self, store: &mut dyn Store, id: &str, index: &Index, kept: &Kept) -> Result<bool> {
        let value = to_text(index)?.into_bytes();
        if !store.kv_put_if_absent(&self.space, &format!("m/{id}"), &value, None, 0)? {
            return Ok(false);
        }
        self.show(store, id, index, kept)?;
        self.touch(store, index, kept.said())?;
        Ok(true)
    }

    /// The message and its index.
    pub(super) fn replace(&self, store: &mut dyn Store, id: &str, index: &Index, kept: &Kept) -> Result<()> {
        store.kv_put(&self.space, &format!("m/{id}"), to_text(index)?.as_bytes(), None)?;
        self.show(store, id, index, kept)?;
        self.touch(store, index, None)
    }

    /// The message alone.
    pub(super) fn show(&self, store: &mut dyn Store, id: &str, index: &Index, kept: &Kept) -> Result<()> {
        store.web_put(&self.bot, &index.channel, id, &to_text(kept)?)?;
        Ok(())
    }

    /// Brings the list of conversations up to date with a message.
    fn touch(&self, store: &mut dyn Store, index: &Index, said: Option<&str>) -> Result<()> {
        let key = format!("c/{}", index.channel);
        let found = store.kv_get(&self.space, &key, 0)?;
        let before: Option<Channel> = found.map(|bytes| from_bytes(&bytes)).transpose()?;
        let mut now = before.clone().unwrap_or_else(|| Channel {
            id: index.channel.clone(),
            title: String::new(),
            at: index.at,
            stage: None,
        });
        if now.title.is_empty() {
            now.title = said.map(title_of).unwrap_or_default();
        }
        now.at = now.at.max(index.at);
        now.stage = index.stage.or(now.stage);
        if before.as_ref() == Some(&now) {
            return Ok(());
        }
        let text = to_text(&now)?;
        store.kv_put(&self.space, &key, text.as_bytes(), None)?;
        store.web_put(&self.bot, LIST, &index.channel, &text)?;
        Ok(())
    }

    /// Rows of the list of conversations and of one conversation above `after`, by `seq`, at most about `limit` of
    /// each: with what is given, nothing up to its last `seq` is missing.
    pub(super) fn rows(
        &self,
        store: &mut dyn Store,
        channel: Option<&str>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<(bool, WebRow)>> {
        let mut rows = Vec::new();
        let mut complete_to = i64::MAX;
        for (listed, name) in [(true, Some(LIST)), (false, channel)] {
            let Some(name) = name else { continue };
            let found = store.web_list(&self.bot, name, after, limit)?;
            if found.len() >= limit as usize
                && let Some(last) = found.last()
            {
                complete_to = complete_to.min(last.seq);
            }
            rows.extend(found.into_iter().map(|row| (listed, row)));
        }
        rows.retain(|(_, row)| row.seq <= complete_to);
        rows.sort_by_key(|(_, row)| row.seq);
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_first_line_cut_at_a_word() {
        assert_eq!(title_of("\n  fix the build \nplease"), "fix the build");
        let long = "word ".repeat(30);
        assert_eq!(title_of(&long), format!("{}…", "word ".repeat(12).trim_end()));
        assert_eq!(title_of(&"x".repeat(80)), format!("{}…", "x".repeat(60)));
    }
}
