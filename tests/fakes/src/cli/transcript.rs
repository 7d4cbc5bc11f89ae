//! What the CLI keeps of a conversation, where and how the real one does: a JSON line for each thing said.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;

use serde_json::{Value, json};

pub(super) struct Transcript {
    pub(super) session: String,
    file: PathBuf,
}

impl Transcript {
    /// Of this session: the file that there is, in whatever folder, or the one that there will be.
    pub(super) fn of(session: &str) -> Result<Self, String> {
        let home = match std::env::var_os("CLAUDE_CONFIG_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".claude"),
        };
        let projects = home.join("projects");
        let name = format!("{session}.jsonl");
        let known = fs::read_dir(&projects).into_iter().flatten().flatten();
        let known = known.map(|folder| folder.path().join(&name)).find(|file| file.exists());
        let here = std::env::current_dir().map_err(|error| error.to_string())?;
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let folder = projects.join(here.to_string_lossy().chars().map(plain).collect::<String>());
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        Ok(Self {
            session: session.to_owned(),
            file: known.unwrap_or_else(|| folder.join(name)),
        })
    }

    pub(super) fn path(&self) -> String {
        self.file.display().to_string()
    }

    pub(super) fn exists(&self) -> bool {
        self.file.exists()
    }

    pub(super) fn read(&self) -> io::Result<String> {
        fs::read_to_string(&self.file)
    }

    pub(super) fn write(&self, text: &str) -> io::Result<()> {
        fs::write(&self.file, text)
    }

    pub(super) fn add(&self, role: &str, content: &Value) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.file)?;
        let record = json!({"type": role, "sessionId": self.session, "isSidechain": false, "uuid": uuid::Uuid::new_v4().to_string(),
            "message": {"role": role, "content": content}});
        writeln!(file, "{record}")
    }
}

/// What people said in it.
pub(super) fn remembered(transcript: &str) -> Vec<String> {
    let lines = transcript
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let said = lines.filter(|line| line["type"] == "user");
    said.filter_map(|line| line["message"]["content"].as_str().map(str::to_owned))
        .collect()
}
