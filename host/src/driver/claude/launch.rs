//! The command line and the environment of one Claude Code process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::lasting;
use crate::config::{AgentProfile, Login};
use crate::driver::Launch;
use crate::driver::environment::environment;
use crate::driver::process::Program;

/// Tools that no chat may have, whatever the operator allows: they reach other sessions of the same user
/// (`SendMessage`, `ListAgents`), run when nobody asked (`Cron…`, `ScheduleWakeup`, `Workflow`), or leave the working
/// folder (`…Worktree`). They are gone from the list of tools when they are disallowed (2.1.329).
const NEVER: [&str; 9] = [
    "SendMessage",
    "ListAgents",
    "CronCreate",
    "CronDelete",
    "CronList",
    "ScheduleWakeup",
    "Workflow",
    "EnterWorktree",
    "ExitWorktree",
];

/// Names the folder in which the CLI keeps its login and its conversations.
pub(super) const FOLDER: &str = "CLAUDE_CONFIG_DIR";

/// What to start for this session. `inherited`: what it may have of the operator's environment.
pub(super) fn program(profile: &AgentProfile, launch: &Launch, inherited: Vec<(OsString, OsString)>) -> Program {
    let mut command = profile.command.iter();
    let program = command.next().map(PathBuf::from).unwrap_or_default();
    let mut args = command.map(OsString::from).collect::<Vec<_>>();
    args.extend(arguments(profile, launch).into_iter().map(OsString::from));
    Program {
        program,
        args,
        env: environment(inherited, launch, needs(profile, launch), profile),
        folder: launch.workspace.clone(),
    }
}

/// The same for a person at a terminal, with these hooks.
pub(super) fn interactive(
    profile: &AgentProfile,
    launch: &Launch,
    hooks: Value,
    inherited: Vec<(OsString, OsString)>,
) -> Program {
    let mut program = program(profile, launch, inherited);
    let fixed = profile.command.len().saturating_sub(1);
    program.args.truncate(fixed);
    let words = conversation(profile, launch, Some(hooks));
    program.args.extend(words.into_iter().map(OsString::from));
    program
}

fn arguments(profile: &AgentProfile, launch: &Launch) -> Vec<String> {
    let mut args = [
        "-p",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
        "--include-partial-messages",
        "--replay-user-messages",
        "--permission-prompt-tool",
        "stdio",
    ]
    .map(str::to_owned)
    .to_vec();
    args.extend(conversation(profile, launch, None));
    args
}

/// Which conversation, and how: however it is spoken to.
fn conversation(profile: &AgentProfile, launch: &Launch, hooks: Option<Value>) -> Vec<String> {
    let mut args = Vec::new();
    match (&launch.fork, launch.resume) {
        (_, true) => args.push(format!("--resume={}", launch.cli_session)),
        (Some(from), false) => args.extend([
            format!("--resume={from}"),
            "--fork-session".to_owned(),
            format!("--session-id={}", launch.cli_session),
        ]),
        (None, false) => args.push(format!("--session-id={}", launch.cli_session)),
    }
    let mut pair = |name: &str, value: &str| args.extend([name.to_owned(), value.to_owned()]);
    let (mut settings, allowed_mode) = lasting::settings(&launch.allowed);
    if let Some(hooks) = hooks {
        settings.get_or_insert_with(|| json!({}))["hooks"] = hooks;
    }
    let mode = launch.mode.as_ref().or(allowed_mode.as_ref());
    let mode = mode.unwrap_or(&profile.permission_mode);
    if !mode.is_empty() {
        pair("--permission-mode", mode);
    }
    if let Some(model) = launch.model.as_ref().or(profile.model.as_ref()) {
        pair("--model", model);
    }
    if let Some(settings) = &settings {
        pair("--settings", &settings.to_string());
    }
    if let Some(instructions) = launch.instructions(profile) {
        pair("--append-system-prompt", &instructions);
    }
    if !profile.allowed_tools.is_empty() {
        pair("--allowedTools", &profile.allowed_tools.join(","));
    }
    let disallowed = profile.disallowed_tools.iter().map(String::as_str);
    pair(
        "--disallowedTools",
        &disallowed.chain(NEVER).collect::<Vec<_>>().join(","),
    );
    args
}

/// What it needs, and how it logs in.
fn needs(profile: &AgentProfile, launch: &Launch) -> Vec<(&'static str, OsString)> {
    let mut needs = vec![
        ("CLAUDE_CODE_TMPDIR", launch.temp_dir.clone().into()),
        ("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS", "1".into()),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".into()),
        // Ten retries, its own default, are three minutes of silence.
        ("CLAUDE_CODE_MAX_RETRIES", "3".into()),
    ];
    if let Some(folder) = &launch.config_dir {
        needs.push((FOLDER, folder.clone().into()));
    }
    match &profile.login {
        Login::ApiKey(key) => needs.push(("ANTHROPIC_API_KEY", key.reveal().into())),
        Login::Token(token) => needs.push(("CLAUDE_CODE_OAUTH_TOKEN", token.reveal().into())),
        Login::Operator | Login::None => {}
    }
    needs
}

/// What of the environment says where it keeps what it learns.
pub(super) fn home_env(
    profile: &AgentProfile,
    config: Option<&Path>,
    inherited: Vec<(OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let own = config.map(|folder| (FOLDER.into(), folder.into()));
    let operators = profile.env.iter().map(|(name, value)| (name.into(), value.into()));
    inherited.into_iter().chain(own).chain(operators).collect()
}

#[cfg(test)]
pub(in crate::driver) mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::config::{DriverKind, Limits, SecretText};

    pub(in crate::driver) fn profile() -> AgentProfile {
        AgentProfile {
            name: "claude".to_owned(),
            driver: DriverKind::Claude,
            command: vec!["/bin/claude".to_owned(), "--fixed".to_owned()],
            model: None,
            permission_mode: "default".to_owned(),
            allowed_tools: Vec::new(),
            disallowed_tools: Vec::new(),
            instructions: None,
            env: BTreeMap::new(),
            login: Login::None,
            start_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            limits: Limits::of(DriverKind::Claude),
            history: false,
            spare: false,
            demo: false,
        }
    }

    pub(in crate::driver) fn launch() -> Launch {
        Launch {
            workspace: "/w".into(),
            config_dir: Some("/c".into()),
            temp_dir: "/t".into(),
            note: None,
            cli_session: "6f1f".to_owned(),
            resume: false,
            fork: None,
            model: None,
            mode: None,
            allowed: Vec::new(),
        }
    }

    #[test]
    fn the_command_line_is_the_measured_one() {
        let profile = AgentProfile {
            model: Some("opus".to_owned()),
            allowed_tools: vec!["Read".to_owned(), "Bash(git log:*)".to_owned()],
            disallowed_tools: vec!["WebFetch".to_owned()],
            instructions: Some("Be kind.".to_owned()),
            ..profile()
        };
        let program = program(&profile, &launch(), Vec::new());
        let words = program
            .args
            .iter()
            .map(|word| word.to_str().unwrap())
            .collect::<Vec<_>>();
        assert_eq!(program.program, PathBuf::from("/bin/claude"));
        assert_eq!(
            words.join(" "),
            "--fixed -p --input-format stream-json --output-format stream-json --verbose --include-partial-messages \
             --replay-user-messages --permission-prompt-tool stdio --session-id=6f1f --permission-mode default \
             --model opus --append-system-prompt Be kind. --allowedTools Read,Bash(git log:*) --disallowedTools \
             WebFetch,SendMessage,ListAgents,CronCreate,CronDelete,CronList,ScheduleWakeup,Workflow,EnterWorktree,\
             ExitWorktree"
        );
        let resumed = Launch {
            resume: true,
            ..launch()
        };
        assert!(arguments(&profile, &resumed).contains(&"--resume=6f1f".to_owned()));
    }

    #[test]
    fn what_the_chat_chose_goes_before_the_profile() {
        let profile = AgentProfile {
            model: Some("opus".to_owned()),
            ..profile()
        };
        let updates = r#"[{"type":"addRules","behavior":"allow","rules":[{"toolName":"WebFetch"}]},
            {"type":"setMode","mode":"acceptEdits"}]"#;
        let mut launch = Launch {
            fork: Some("0ld".to_owned()),
            model: Some("haiku".to_owned()),
            allowed: vec![updates.to_owned()],
            ..launch()
        };
        let words = arguments(&profile, &launch).join(" ");
        for part in [
            "--resume=0ld --fork-session --session-id=6f1f",
            "--permission-mode acceptEdits --model haiku",
            r#"--settings {"permissions":{"additionalDirectories":[],"allow":["WebFetch"]}}"#,
        ] {
            assert!(words.contains(part), "{words}");
        }
        launch.mode = Some("plan".to_owned());
        launch.resume = true;
        let words = arguments(&profile, &launch).join(" ");
        assert!(words.contains("--permission-mode plan"), "{words}");
        assert!(words.contains("--resume=6f1f") && !words.contains("fork"), "{words}");
    }

    #[test]
    fn the_environment_is_ours_then_the_logins_then_the_operators() {
        let profile = AgentProfile {
            login: Login::ApiKey(SecretText::new("k")),
            env: BTreeMap::from([("CLAUDE_CODE_MAX_RETRIES".to_owned(), "0".to_owned())]),
            ..profile()
        };
        let inherited = vec![("TMPDIR".into(), "/old".into()), ("PATH".into(), "/bin".into())];
        let env = program(&profile, &launch(), inherited).env;
        let env = env
            .iter()
            .map(|(name, value)| (name.to_str().unwrap(), value.to_str().unwrap()))
            .collect::<BTreeMap<_, _>>();
        assert_eq!(
            env,
            BTreeMap::from([
                ("ANTHROPIC_API_KEY", "k"),
                ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
                ("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS", "1"),
                ("CLAUDE_CODE_MAX_RETRIES", "0"),
                ("CLAUDE_CODE_TMPDIR", "/t"),
                ("CLAUDE_CONFIG_DIR", "/c"),
                ("PATH", "/bin"),
                ("TMPDIR", "/t"),
            ])
        );
    }

    #[test]
    fn the_operators_own_folder_goes_along_with_the_operators_login() {
        let inherited = || vec![(FOLDER.into(), "/moved".into())];
        let folder = |launch: &Launch| {
            let env = program(&profile(), launch, inherited()).env;
            let mut found = env.into_iter().filter(|(name, _)| name == FOLDER);
            let value = found.next().map(|(_, value)| value.into_string().unwrap());
            assert_eq!(found.next(), None);
            value
        };
        let operators = Launch {
            config_dir: None,
            ..launch()
        };
        assert_eq!(folder(&operators).as_deref(), Some("/moved"));
        assert_eq!(folder(&launch()).as_deref(), Some("/c"));
    }
}
