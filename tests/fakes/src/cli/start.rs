//! How the scripted CLI was started: its flags, as the real one takes them.

use super::parse;

/// How it was started.
pub(super) struct Started {
    pub(super) session: String,
    pub(super) resume: bool,
    /// Of which the session is a copy.
    pub(super) fork: Option<String>,
    pub(super) model: String,
    pub(super) mode: String,
    /// Commands of `Bash` that need no permission.
    pub(super) rules: Vec<String>,
    /// Shell commands that are told when a session starts.
    pub(super) hooks: Vec<String>,
    /// It speaks its protocol, rather than with a person.
    pub(super) prints: bool,
}

/// What `Bash(COMMAND)` allows.
fn rule(text: &str) -> Option<String> {
    Some(text.strip_prefix("Bash(")?.strip_suffix(')')?.to_owned())
}

/// Every flag must be known.
pub(super) fn read(args: Vec<String>) -> Result<Started, String> {
    let (mut begun, mut resumed, mut fork) = (None, None, false);
    let (mut hooks, mut prints) = (Vec::new(), false);
    let (mut model, mut mode, mut rules) = ("fake".to_owned(), "default".to_owned(), Vec::new());
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (arg, None),
        };
        match name.as_str() {
            "-p" | "--print" => prints = true,
            "--verbose" | "--include-partial-messages" | "--replay-user-messages" => {}
            "--session-id" | "--resume" => {
                let id = value
                    .or_else(|| args.next())
                    .ok_or_else(|| format!("{name} lacks its value"))?;
                uuid::Uuid::parse_str(&id).map_err(|_| format!("Error: Invalid session ID `{id}`"))?;
                if name == "--resume" {
                    resumed = Some(id);
                } else {
                    begun = Some(id);
                }
            }
            "--fork-session" => fork = true,
            "--model" => model = value.or_else(|| args.next()).ok_or("--model lacks its value")?,
            "--permission-mode" => {
                mode = value
                    .or_else(|| args.next())
                    .ok_or("--permission-mode lacks its value")?;
            }
            "--settings" => {
                let text = value.or_else(|| args.next()).ok_or("--settings lacks its value")?;
                let settings = parse(&text)?;
                let allow = settings["permissions"]["allow"].as_array().cloned().unwrap_or_default();
                rules.extend(allow.iter().filter_map(|text| rule(text.as_str()?)));
                let start = settings["hooks"]["SessionStart"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                let all = start
                    .iter()
                    .flat_map(|one| one["hooks"].as_array().cloned().unwrap_or_default());
                hooks.extend(all.filter_map(|hook| hook["command"].as_str().map(str::to_owned)));
            }
            "--input-format" => {
                value.or_else(|| args.next()).ok_or("--input-format lacks its value")?;
                prints = true;
            }
            "--output-format"
            | "--permission-prompt-tool"
            | "--append-system-prompt"
            | "--allowedTools"
            | "--disallowedTools" => {
                value
                    .or_else(|| args.next())
                    .ok_or_else(|| format!("{name} lacks its value"))?;
            }
            _ => return Err(format!("error: unknown option '{name}'")),
        }
    }
    let new = || uuid::Uuid::new_v4().to_string();
    let (session, resume, fork) = match (begun, resumed, fork) {
        (Some(_), Some(_), false) => return Err("error: --session-id needs --fork-session with --resume".to_owned()),
        (begun, Some(from), true) => (begun.unwrap_or_else(new), false, Some(from)),
        (None, Some(id), false) => (id, true, None),
        (begun, None, _) => (begun.unwrap_or_else(new), false, None),
    };
    Ok(Started {
        session,
        resume,
        fork,
        model,
        mode,
        rules,
        hooks,
        prints,
    })
}
