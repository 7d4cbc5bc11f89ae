//! What was said before, for a command that remembers nothing: kept in the session's own folder and put before each
//! new message.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Older turns are forgotten so that all together are not longer, in bytes: a prompt must fit into a model.
const LIMIT: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    question: String,
    answer: String,
}

/// The file of one conversation.
pub(super) fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{}.jsonl", plain(name)))
}

/// One conversation's turns, oldest first.
#[derive(Debug)]
pub(super) struct History {
    file: PathBuf,
    turns: VecDeque<Said>,
}

impl History {
    /// `begin`: it is a new conversation. Otherwise none: there is no such conversation.
    pub(super) async fn open(folder: &Path, name: &str, begin: bool) -> io::Result<Option<Self>> {
        let file = file(folder, name);
        let text = match tokio::fs::read(&file).await {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !begin {
                    return Ok(None);
                }
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        // A torn line is as if it were not there.
        let lines = text.split(|byte| *byte == b'\n');
        let turns = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let history = Self { file, turns };
        history.write().await?;
        Ok(Some(history))
    }

    /// What the command is given: all that was said, and the message last.
    pub(super) fn prompt(&self, message: &str) -> String {
        if self.turns.is_empty() {
            return message.to_owned();
        }
        let mut out = String::from("Earlier in this conversation:\n\n");
        for said in &self.turns {
            out.push_str("User: ");
            out.push_str(&said.question);
            out.push_str("\n\nYou: ");
            out.push_str(&said.answer);
            out.push_str("\n\n");
        }
        out.push_str("The message to answer now:\n\n");
        out.push_str(message);
        out
    }

    pub(super) async fn add(&mut self, question: &str, answer: &str) -> io::Result<()> {
        self.turns.push_back(Said {
            question: question.to_owned(),
            answer: answer.to_owned(),
        });
        let size = |said: &Said| said.question.len() + said.answer.len();
        let mut whole = self.turns.iter().map(size).sum::<usize>();
        while whole > LIMIT
            && let Some(said) = self.turns.pop_front()
        {
            whole -= size(&said);
        }
        self.write().await
    }

    /// The whole file, in one step.
    async fn write(&self) -> io::Result<()> {
        let mut text = String::new();
        for said in &self.turns {
            text.push_str(&serde_json::to_string(said)?);
            text.push('\n');
        }
        let fresh = self.file.with_extension("new");
        tokio::fs::write(&fresh, text).await?;
        tokio::fs::rename(&fresh, &self.file).await
    }
}

/// A conversation's id as part of a file's name.
fn plain(name: &str) -> String {
    let plain = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-');
    plain.take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_said_is_kept_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        assert!(History::open(folder.path(), "a", false).await.unwrap().is_none());
        let mut history = History::open(folder.path(), "a", true).await.unwrap().unwrap();
        assert_eq!(history.prompt("hello"), "hello");
        history.add("hello", "hi").await.unwrap();
        let mut again = History::open(folder.path(), "a", false).await.unwrap().unwrap();
        let prompt = "Earlier in this conversation:\n\nUser: hello\n\nYou: hi\n\nThe message to answer now:\n\nand you";
        assert_eq!(again.prompt("and you"), prompt);
        again.add("long", &"x".repeat(LIMIT - 4)).await.unwrap();
        assert!(!again.prompt("").contains("hello") && again.prompt("").contains("long"));
        again.add("longer", &"x".repeat(LIMIT)).await.unwrap();
        assert_eq!(again.prompt("m"), "m");
    }

    #[tokio::test]
    async fn a_torn_file_loses_only_its_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let text = "{\"question\":\"a\",\"answer\":\"b\"}\n{\"question\":\"c\",\"ans";
        tokio::fs::write(folder.path().join("a.jsonl"), text).await.unwrap();
        let history = History::open(folder.path(), "../a", false).await.unwrap().unwrap();
        assert_eq!(history.turns.len(), 1);
    }
}
