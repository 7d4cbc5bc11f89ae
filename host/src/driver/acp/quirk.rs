//! What agents that speak ACP do each in their own way. Measured with gemini 0.61.0, opencode 1.18.33,
//! codex-acp 2.6.0 and claude-agent-acp 0.49.0.
//!
//! | | gemini | opencode | codex-acp | claude-agent-acp |
//! | --- | --- | --- | --- | --- |
//! | a second prompt | ends the first | waits | goes into the first | waits |
//! | a denied tool | fails, the turn goes on | ends the turn | ends it as cancelled | fails, it goes on |
//! | an error of its model | its status as the code | one code for all | text of the answer | text, then an error |
//! | who judges a step, if nothing is set | a person | its settings | a model, now and then a person | a person |
//! | goes on with a session | by loading it, and tells the history late | resumes | resumes | resumes |
//! | goes on with a copy of one | no | yes | yes | yes |
//! | allows the like until it ends | yes | yes | not of commands | no: it writes a rule into the working folder |
//!
//! No second prompt is ever given to any; the rest is below.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::KnownAgent;
use crate::driver::Launch;
use crate::driver::stdio::Made;

/// One agent's ways.
#[derive(Debug, Default)]
pub(super) struct Quirk {
    /// How it is told to use its API key, where the variable alone does not make it.
    pub(super) auth_method: Option<&'static str>,
    /// Variables that keep it quiet.
    pub(super) env: &'static [(&'static str, &'static str)],
    /// Files of its folder that must be there before it starts.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// The mode in which it asks a person, where the one that it starts in does not.
    pub(super) asking_mode: Option<&'static str>,
    /// A tool that was denied ends the turn, as if it had been cancelled.
    pub(super) denial_cancels: bool,
    /// It tells an error of its model as a piece of the answer.
    pub(super) errors_are_text: bool,
    /// What its folder needs before it is told to go on with a session.
    pub(super) before_resume: Option<fn(&Launch) -> Made>,
    /// It goes on telling the history after it said that the session is loaded.
    pub(super) history_is_late: bool,
    /// The options that allow the like of something as long as the process lives. `allow_always` alone does not say how
    /// long that is: some agents write it down for every session of their folder, or of the working folder.
    pub(super) lasting: &'static [&'static str],
}

const NONE: Quirk = Quirk {
    auth_method: None,
    env: &[],
    files: &[],
    asking_mode: None,
    denial_cancels: false,
    errors_are_text: false,
    before_resume: None,
    history_is_late: false,
    lasting: &[],
};

static UNKNOWN: Quirk = NONE;

static GEMINI: Quirk = Quirk {
    auth_method: Some("gemini-api-key"),
    // It reports how it is used unless its settings say otherwise; no variable does.
    files: &[(
        ".gemini/settings.json",
        "{\n  \"general\": { \"enableAutoUpdate\": false },\n  \"privacy\": { \"usageStatisticsEnabled\": false }\n}\n",
    )],
    before_resume: Some(keep_from_gemini),
    history_is_late: true,
    lasting: &["proceed_always", "proceed_always_tool"],
    ..NONE
};

static OPENCODE: Quirk = Quirk {
    env: &[("OPENCODE_DISABLE_AUTOUPDATE", "1")],
    lasting: &["always"],
    ..NONE
};

static CODEX: Quirk = Quirk {
    auth_method: Some("api-key"),
    env: &[("NO_BROWSER", "1")],
    asking_mode: Some("workspace-write"),
    denial_cancels: true,
    errors_are_text: true,
    lasting: &["allow_for_session", "allow_permissions_session", "allow_session"],
    ..NONE
};

static CLAUDE: Quirk = Quirk {
    env: &[
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        // Ten retries, its own default, are three minutes of silence.
        ("CLAUDE_CODE_MAX_RETRIES", "3"),
    ],
    ..NONE
};

impl Quirk {
    pub(super) fn of(known: Option<KnownAgent>) -> &'static Self {
        match known {
            Some(KnownAgent::Gemini) => &GEMINI,
            Some(KnownAgent::OpenCode) => &OPENCODE,
            Some(KnownAgent::Codex) => &CODEX,
            Some(KnownAgent::Claude) => &CLAUDE,
            None => &UNKNOWN,
        }
    }
}

/// Gemini names the file of a session after the minute, and begins one before it reads the old: a session that it is told
/// to load in the minute in which it began is empty (0.61.0). Under another name, which it reads as well, the old is safe.
fn keep_from_gemini(launch: &Launch) -> Made {
    let (Some(folder), Some(short)) = (&launch.config_dir, launch.cli_session.get(..8)) else {
        return Ok(());
    };
    // Its projects, of which there is one.
    for project in entries(&folder.join(".gemini/tmp"))? {
        for file in entries(&project.join("chats"))? {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let ours = name.contains(short) && !name.starts_with(KEPT);
            let Some(rest) = name.strip_prefix("session-").filter(|_| ours) else {
                continue;
            };
            let kept = file.with_file_name(format!("{KEPT}{rest}"));
            // One of that name is the old one; this began when it was loaded, and holds nothing.
            if !kept.exists() {
                fs::rename(&file, kept).map_err(|error| (file.clone(), error))?;
            }
        }
    }
    Ok(())
}

const KEPT: &str = "session-kept-";

fn entries(folder: &Path) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let of = |error| (folder.to_owned(), error);
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()).map_err(of))
            .collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(of(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::claude::tests::launch;

    #[test]
    fn a_session_of_gemini_is_set_aside_once() {
        let folder = tempfile::tempdir().unwrap();
        let chats = folder.path().join(".gemini/tmp/work/chats");
        fs::create_dir_all(&chats).unwrap();
        let names = || {
            let mut names: Vec<_> = entries(&chats).unwrap();
            names.sort();
            names
        };
        for (name, text) in [
            ("session-2026-11-29T08-33-b20841ef.jsonl", "old"),
            ("session-2026-11-29T08-33-95c9aa4e.jsonl", "other"),
        ] {
            fs::write(chats.join(name), text).unwrap();
        }
        let launch = Launch {
            config_dir: Some(folder.path().to_owned()),
            cli_session: "b20841ef-d717-4e65-be9a-edd47eea8c78".to_owned(),
            resume: true,
            ..launch()
        };
        let kept = chats.join("session-kept-2026-11-29T08-33-b20841ef.jsonl");
        let other = chats.join("session-2026-11-29T08-33-95c9aa4e.jsonl");
        for _ in 0..2 {
            keep_from_gemini(&launch).unwrap();
            assert_eq!(names(), [other.clone(), kept.clone()]);
            assert_eq!(fs::read_to_string(&kept).unwrap(), "old");
        }
        // It begins another of the name, which must not take the old one's place.
        fs::write(chats.join("session-2026-11-29T08-33-b20841ef.jsonl"), "empty").unwrap();
        keep_from_gemini(&launch).unwrap();
        assert_eq!(fs::read_to_string(&kept).unwrap(), "old");
    }
}
