//! What the demo agent remembers of a conversation: a small file in its own config folder, or in the workspace where it
//! has none.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

#[derive(Debug)]
pub(super) struct Memory {
    file: PathBuf,
    /// Id and text of each message.
    messages: Vec<(String, String)>,
}

impl Memory {
    /// The memory of this session. Errors are the words of the CLI that this one stands for.
    pub(super) fn open(workspace: &Path, session: &str, resume: bool) -> Result<Self, String> {
        if uuid::Uuid::parse_str(session).is_err() {
            return Err("Error: Invalid session ID. Must be a valid UUID.".to_owned());
        }
        let config = crate::config::variable("CLAUDE_CONFIG_DIR").map(PathBuf::from);
        let folder = config
            .unwrap_or_else(|| workspace.join(".botyard-demo"))
            .join("demo-agent");
        Self::open_in(&folder, session, resume)
    }

    fn open_in(folder: &Path, session: &str, resume: bool) -> Result<Self, String> {
        let file = folder.join(format!("{session}.jsonl"));
        let text = fs::read_to_string(&file).ok();
        match (&text, resume) {
            (None, true) => return Err(format!("No conversation found with session ID: {session}")),
            (Some(_), false) => return Err(format!("Error: Session ID {session} is already in use.")),
            _ => {}
        }
        let lines = text.iter().flat_map(|text| text.lines());
        let messages = lines.filter_map(|line| {
            let line = serde_json::from_str::<Value>(line).ok()?;
            Some((line["id"].as_str()?.to_owned(), line["text"].as_str()?.to_owned()))
        });
        Ok(Self {
            messages: messages.collect(),
            file,
        })
    }

    pub(super) fn knows(&self, id: &str) -> bool {
        !id.is_empty() && self.messages.iter().any(|(known, _)| known == id)
    }

    /// Keeps a message; a disk that is full costs the memory, not the answer.
    pub(super) fn keep(&mut self, id: &str, text: &str) {
        self.messages.push((id.to_owned(), text.to_owned()));
        let _ = self.file.parent().map(fs::create_dir_all);
        if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(&self.file) {
            let _ = writeln!(file, "{}", json!({"id": id, "text": text}));
        }
    }

    /// The texts so far, the newest last.
    pub(super) fn texts(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.messages.iter().map(|(_, text)| text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;

    #[test]
    fn a_conversation_is_remembered_and_only_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let id = uuid::Uuid::new_v4().to_string();
        let missing = Memory::open_in(folder.path(), &id, true).unwrap_err();
        assert!(missing.starts_with("No conversation found"), "{missing}");
        let mut memory = Memory::open_in(folder.path(), &id, false).unwrap();
        memory.keep("1", "one\ntwo");
        memory.keep("2", "three");
        let again = Memory::open_in(folder.path(), &id, true).unwrap();
        assert_eq!(again.texts().collect::<Vec<_>>(), ["one\ntwo", "three"]);
        assert!(again.knows("2") && !again.knows("3"));
        assert!(Memory::open_in(folder.path(), &id, false).is_err());
    }
}
