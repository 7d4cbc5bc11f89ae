//! The command line and the environment of one agent's process.

use std::ffi::OsString;
use std::path::PathBuf;

use super::quirk::Quirk;
use crate::config::{AgentProfile, KnownAgent, Login};
use crate::driver::Launch;
use crate::driver::environment::environment;
use crate::driver::process::Program;
use crate::driver::stdio::Before;

/// What to start, and what is to be done before.
pub(super) fn program(
    profile: &AgentProfile,
    launch: &Launch,
    known: Option<KnownAgent>,
    inherited: Vec<(OsString, OsString)>,
) -> (Program, Before) {
    let mut command = profile.command.iter();
    let program = Program {
        program: command.next().map(PathBuf::from).unwrap_or_default(),
        args: command.map(OsString::from).collect(),
        env: environment(inherited, launch, needs(profile, launch, known), profile),
        folder: launch.workspace.clone(),
    };
    let quirk = Quirk::of(known);
    let files = launch.config_dir.iter().flat_map(|folder| {
        let files = quirk.files.iter();
        files.map(|(name, content)| (folder.join(name), *content))
    });
    let before = Before {
        files: files.collect(),
        mend: quirk.before_resume.filter(|_| launch.resume),
    };
    (program, before)
}

/// What it needs, and how it logs in.
fn needs(profile: &AgentProfile, launch: &Launch, known: Option<KnownAgent>) -> Vec<(&'static str, OsString)> {
    let quiet = Quirk::of(known).env.iter();
    let mut needs: Vec<(&'static str, OsString)> = quiet.map(|(name, value)| (*name, value.into())).collect();
    if let Some(folder) = &launch.config_dir {
        for (name, below) in KnownAgent::folders(known) {
            let own = if below.is_empty() {
                folder.clone()
            } else {
                folder.join(below)
            };
            needs.push((name, own.into()));
        }
    }
    if let (Login::ApiKey(key), Some(name)) = (&profile.login, known.and_then(KnownAgent::api_key)) {
        needs.push((name, key.reveal().into()));
    }
    needs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{DriverKind, SecretText};
    use crate::driver::claude::tests::{launch, profile};

    fn started(
        command: &[&str],
        login: Login,
        config_dir: Option<PathBuf>,
    ) -> (BTreeMap<String, String>, Vec<PathBuf>) {
        let profile = AgentProfile {
            driver: DriverKind::Acp,
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            login,
            env: BTreeMap::from([("MORE".to_owned(), "1".to_owned())]),
            ..profile()
        };
        let launch = Launch { config_dir, ..launch() };
        let known = KnownAgent::of_command(&profile.command);
        let inherited = vec![("HOME".into(), "/home/op".into())];
        let (program, before) = program(&profile, &launch, known, inherited);
        let env = program.env.into_iter();
        let env = env.map(|(name, value)| (name.into_string().unwrap(), value.into_string().unwrap()));
        (env.collect(), before.files.into_iter().map(|(path, _)| path).collect())
    }

    #[test]
    fn every_user_has_folders_of_their_own_and_the_key_goes_where_the_agent_looks_for_it() {
        let key = || Login::ApiKey(SecretText::new("k"));
        let (env, files) = started(&["/bin/gemini", "--acp"], key(), Some("/c".into()));
        let expected = [
            ("GEMINI_API_KEY", "k"),
            ("GEMINI_CLI_HOME", "/c"),
            ("HOME", "/home/op"),
            ("MORE", "1"),
            ("TMPDIR", "/t"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(env, BTreeMap::from(expected));
        assert_eq!(files, [PathBuf::from("/c/.gemini/settings.json")]);

        let (env, files) = started(&["/bin/strange"], key(), Some("/c".into()));
        assert_eq!(
            (env["HOME"].as_str(), env["XDG_DATA_HOME"].as_str()),
            ("/c", "/c/.local/share")
        );
        assert!(files.is_empty() && !env.values().any(|value| value == "k"));
    }

    #[test]
    fn the_operators_own_login_is_left_where_it_is() {
        let (env, files) = started(&["/bin/codex-acp"], Login::Operator, None);
        assert!(!env.contains_key("CODEX_HOME") && files.is_empty());
        assert_eq!(env["HOME"], "/home/op");
    }
}
