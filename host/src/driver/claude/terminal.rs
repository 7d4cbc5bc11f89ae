//! Claude Code for a person at a terminal: its own resume, with the session's environment.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::launch;
use crate::config::{AgentProfile, Login};
use crate::driver::Launch;
use crate::driver::process::Program;

/// What a person sees of an API key that Claude Code remembers an answer about: so many last characters (2.1.329).
const KEY_SHOWN: usize = 20;

/// What to start. Every conversation that it goes to is written into `visits`, see [`super::transcript::meanwhile`].
pub(in crate::driver) fn program(profile: &AgentProfile, launch: &Launch, visits: &Path) -> Program {
    let quoted = format!("'{}'", visits.display().to_string().replace('\'', r"'\''"));
    let command = format!("cat >> {quoted}");
    let hook = json!({"SessionStart": [{"hooks": [{"type": "command", "command": command}]}]});
    launch::interactive(profile, launch, hook, super::inherited())
}

/// Answers beforehand what it asks a person in a folder of settings that is new: the session works there already. The
/// operator's own settings are left alone. May block.
pub(in crate::driver) fn prepare(profile: &AgentProfile, launch: &Launch) -> io::Result<()> {
    let Some(folder) = &launch.config_dir else {
        return Ok(());
    };
    let file = folder.join(".claude.json");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => "{}".to_owned(),
        Err(error) => return Err(error),
    };
    // It mends what it cannot read by itself, and asks then.
    let Ok(Value::Object(mut settings)) = serde_json::from_str::<Value>(&text) else {
        return Ok(());
    };
    settings.insert("hasCompletedOnboarding".to_owned(), true.into());
    let workspace = fs::canonicalize(&launch.workspace)?;
    let projects = settings.entry("projects").or_insert_with(|| json!({}));
    let here = projects.as_object_mut().map(|projects| {
        let here = projects.entry(workspace.display().to_string());
        here.or_insert_with(|| json!({}))
    });
    if let Some(here) = here.and_then(Value::as_object_mut) {
        here.insert("hasTrustDialogAccepted".to_owned(), true.into());
    }
    if let Login::ApiKey(key) = &profile.login {
        let key = key.reveal();
        let from = key.len().saturating_sub(KEY_SHOWN);
        let shown = key.get(from..).unwrap_or(key);
        let answers = settings
            .entry("customApiKeyResponses")
            .or_insert_with(|| json!({"approved": [], "rejected": []}));
        if let Some(approved) = answers.get_mut("approved").and_then(Value::as_array_mut)
            && !approved.iter().any(|known| known == shown)
        {
            approved.push(shown.into());
        }
    }
    let new = folder.join(".claude.json.new");
    let _ = fs::remove_file(&new);
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    out.write_all(Value::Object(settings).to_string().as_bytes())?;
    fs::rename(&new, &file)
}

#[cfg(test)]
mod tests {
    use super::super::launch::tests::{launch, profile};
    use super::*;
    use crate::config::SecretText;

    #[test]
    fn it_goes_on_with_the_conversation_and_tells_where_it_goes() {
        let launch = Launch {
            resume: true,
            model: Some("haiku".to_owned()),
            allowed: vec![r#"[{"type":"addRules","behavior":"allow","rules":[{"toolName":"WebFetch"}]}]"#.to_owned()],
            ..launch()
        };
        let program = program(&profile(), &launch, Path::new("/it's/here"));
        let words: Vec<_> = program.args.iter().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(
            words[..6],
            [
                "--fixed",
                "--resume=6f1f",
                "--permission-mode",
                "default",
                "--model",
                "haiku"
            ]
        );
        let settings = words
            .iter()
            .position(|word| *word == "--settings")
            .map(|at| words[at + 1]);
        let settings: Value = serde_json::from_str(settings.unwrap()).unwrap();
        assert_eq!(settings["permissions"]["allow"], json!(["WebFetch"]));
        let hook = &settings["hooks"]["SessionStart"][0]["hooks"][0];
        assert_eq!(hook["command"], r"cat >> '/it'\''s/here'");
        assert!(
            !words.contains(&"-p") && !words.iter().any(|word| word.contains("format")),
            "{words:?}"
        );
        assert!(program.env.contains(&("CLAUDE_CONFIG_DIR".into(), "/c".into())));
    }

    #[test]
    fn nothing_is_asked_in_a_folder_of_its_own_and_what_stood_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".claude.json");
        fs::write(&file, r#"{"theme":"dark","projects":{"/x":{"a":1}}}"#).unwrap();
        let launch = Launch {
            config_dir: Some(folder.path().to_owned()),
            workspace: folder.path().to_owned(),
            ..launch()
        };
        let profile = AgentProfile {
            login: Login::ApiKey(SecretText::new("sk-ant-0123456789-abcdefghij")),
            ..profile()
        };
        for _ in 0..2 {
            prepare(&profile, &launch).unwrap();
        }
        let settings: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let here = fs::canonicalize(folder.path()).unwrap().display().to_string();
        let expected = json!({"theme": "dark", "hasCompletedOnboarding": true,
            "projects": {"/x": {"a": 1}, &here: {"hasTrustDialogAccepted": true}},
            "customApiKeyResponses": {"approved": ["123456789-abcdefghij"], "rejected": []}});
        assert_eq!(settings, expected);
        // What it cannot be is left as it is.
        fs::write(&file, "{torn").unwrap();
        prepare(&profile, &launch).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "{torn");
        for strange in [
            json!({"hasCompletedOnboarding": true, "projects": [], "customApiKeyResponses": ""}),
            json!({"hasCompletedOnboarding": true, "projects": {&here: "x"}, "customApiKeyResponses": {"approved": 1}}),
        ] {
            fs::write(&file, strange.to_string()).unwrap();
            prepare(&profile, &launch).unwrap();
            let settings: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
            assert_eq!(settings, strange);
        }
    }
}
