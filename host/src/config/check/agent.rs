//! `[agent.NAME]`, the built-in agents, and who may use whose login.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Checker;
use crate::config::nearest::nearest;
use crate::config::program::{self, ProgramError};
use crate::config::raw::{RawAgent, RawFile, RawLogin};
use crate::config::section::{At, join};
use crate::config::{AUTO_AGENT, AgentProfile, BotConfig, DEMO_AGENT, DriverKind, KnownAgent, Limits, Login, secret};

const START_TIMEOUT: Duration = Duration::from_secs(60);
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
const HOUR: Duration = Duration::from_secs(3600);

/// Of Claude Code 2.1 (`--permission-mode`).
const PERMISSION_MODES: [&str; 6] = ["default", "acceptEdits", "plan", "dontAsk", "auto", "bypassPermissions"];

/// Modes that ask nobody, of Claude Code, gemini and codex.
const UNASKED_MODES: [&str; 5] = [
    "bypassPermissions",
    "dontAsk",
    "yolo",
    "agent-full-access",
    "full-access",
];

pub(super) const DRIVERS: [(&str, DriverKind); 3] = [
    ("claude", DriverKind::Claude),
    ("acp", DriverKind::Acp),
    ("exec", DriverKind::Exec),
];

const INSTALL: &str = "install it (`npm install -g @anthropic-ai/claude-code`), or give its path: \
                       `command = [\"/path/to/claude\"]`";

impl Checker<'_> {
    /// `users`: the bots that name this agent.
    pub(super) fn agent(&mut self, raw: &RawAgent, users: &[&BotConfig]) -> AgentProfile {
        if [AUTO_AGENT, DEMO_AGENT].contains(&raw.name.as_str()) {
            self.push(raw.place.problem(
                format!("`{}` is the name of a built-in agent", raw.name),
                "name it otherwise, for example `[agent.claude]`, and say so in the bot: `agent = \"claude\"`",
            ));
        } else if !is_name(&raw.name) {
            self.push(raw.place.problem(
                format!("`{}` is not a name", raw.name),
                "a-z, 0-9, `-` and `_`, at most 40 characters",
            ));
        }
        let driver = self.word(raw.driver.as_ref(), &DRIVERS, DriverKind::Claude);
        self.fits(raw, driver);
        let command = self.command(raw, driver);
        let known = KnownAgent::of_command(&command).filter(|_| driver == DriverKind::Acp);
        let env = self.env(raw, driver, known);
        let login = self.login(raw, driver, known, users, &env);
        let profile = AgentProfile {
            name: raw.name.clone(),
            driver,
            command,
            model: self.line(raw.model.as_ref()),
            permission_mode: self
                .line(raw.permission_mode.as_ref())
                .unwrap_or_else(|| "default".to_owned()),
            allowed_tools: self.lines(raw.allowed_tools.as_ref()),
            disallowed_tools: self.lines(raw.disallowed_tools.as_ref()),
            instructions: raw.instructions.as_ref().map(|given| given.value.clone()),
            env,
            login,
            start_timeout: self.duration(raw.start_timeout.as_ref(), Duration::from_secs(1)..=HOUR, START_TIMEOUT),
            idle_timeout: self.duration(
                raw.idle_timeout.as_ref(),
                Duration::from_secs(1)..=168 * HOUR,
                IDLE_TIMEOUT,
            ),
            spare: self.spare(raw, driver),
            limits: self.limits(raw, driver),
            history: raw.history.as_ref().is_some_and(|given| given.value),
            demo: false,
        };
        if let Some(mode) = &raw.permission_mode {
            self.permission_mode(mode, driver, users);
        }
        profile
    }

    fn spare(&mut self, raw: &RawAgent, driver: DriverKind) -> bool {
        let Some(given) = raw.spare.as_ref().filter(|given| given.value) else {
            return false;
        };
        if driver == DriverKind::Exec {
            self.push(given.problem(
                "means nothing to `driver = \"exec\"`",
                "its command is started for each message; remove it",
            ));
        }
        driver != DriverKind::Exec
    }

    fn permission_mode(&mut self, given: &At<String>, driver: DriverKind, users: &[&BotConfig]) {
        // An agent that speaks ACP says itself which it has, when it starts.
        if driver == DriverKind::Claude && !PERMISSION_MODES.contains(&given.value.as_str()) {
            let hint = match nearest(&given.value, PERMISSION_MODES) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known: {}", PERMISSION_MODES.join(", ")),
            };
            // Only a warning: a newer CLI may know more.
            self.push(given.warning(format!("unknown permission mode `{}`", given.value), hint));
        }
        let open = users.iter().find(|bot| !bot.serves_only_its_operator());
        if let (true, Some(bot)) = (UNASKED_MODES.contains(&given.value.as_str()), open) {
            self.push(given.warning(
                format!(
                    "everybody whom the bot `{}` serves can run any command without being asked",
                    bot.name
                ),
                "`permission_mode = \"default\"` asks in the chat",
            ));
        }
    }

    fn env(&mut self, raw: &RawAgent, driver: DriverKind, known: Option<KnownAgent>) -> BTreeMap<String, String> {
        let own = self.own_variables(raw, driver, known);
        let mut env = BTreeMap::new();
        for (name, given) in &raw.env {
            let good = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && !name.is_empty();
            if !good {
                self.push(given.problem("is not the name of a variable", "letters, digits and `_`"));
            } else if own.contains(&name.as_str()) {
                self.push(given.problem("is set by the host, for every user their own", "remove it"));
            } else if given.value.contains('\0') {
                self.push(given.problem("has a zero byte in it", ""));
            } else if let Some(value) = self.plain_or_secret(name, given) {
                env.insert(name.clone(), value);
            }
        }
        env
    }

    /// An absolute program and its arguments; what was written if it cannot be found.
    fn command(&mut self, raw: &RawAgent, driver: DriverKind) -> Vec<String> {
        let place = raw.place.below("command");
        let default = [At {
            value: "claude".to_owned(),
            key: place.key.clone(),
            line: place.line,
        }];
        let words = match &raw.command {
            Some(given) => &given.value,
            None if driver == DriverKind::Claude => &default[..],
            None => {
                let hint = match driver {
                    DriverKind::Exec => "the program and its arguments: `command = [\"./answer.sh\"]`",
                    _ => "the program and its arguments: `command = [\"gemini\", \"--acp\"]`",
                };
                self.push(place.problem("is missing", hint));
                return Vec::new();
            }
        };
        let Some((first, arguments)) = words.split_first() else {
            if let Some(given) = &raw.command {
                self.push(given.problem("is empty", "the program and its arguments: `command = [\"claude\"]`"));
            }
            return Vec::new();
        };
        self.words_fit(words, driver);
        let mut command = vec![first.value.clone()];
        match program::find(&first.value, self.folder, self.environment) {
            Ok(path) => command[0] = path.display().to_string(),
            Err(error) => {
                let hint = match &error {
                    _ if first.value.starts_with("~/") => "`~` is not expanded: write the whole path".to_owned(),
                    _ if first.value.contains(char::is_whitespace) => {
                        "each argument is a text of its own: `command = [\"claude\", \"--flag\"]`".to_owned()
                    }
                    ProgramError::NotOnPath(word) if word == "claude" => INSTALL.to_owned(),
                    ProgramError::NotOnPath(word) => match KnownAgent::of_name(word) {
                        Some(known) => format!("install it (`npm install -g {}`), or give its path", known.package()),
                        None => "install it, or give its path".to_owned(),
                    },
                    ProgramError::Missing(_) => "a path is relative to the folder of bots.toml".to_owned(),
                    ProgramError::Folder(_) => "name the program in it".to_owned(),
                    ProgramError::NotExecutable(path) => format!("chmod +x {path}"),
                };
                self.push(first.problem(error.to_string(), hint));
            }
        }
        for argument in arguments {
            if secret::looks_secret(&argument.value) {
                self.push(argument.problem(
                    "looks like a secret",
                    "arguments are seen by every user of the machine: use `login` or `env` with a reference",
                ));
            }
            command.push(argument.value.clone());
        }
        command
    }

    fn login(
        &mut self,
        raw: &RawAgent,
        driver: DriverKind,
        known: Option<KnownAgent>,
        users: &[&BotConfig],
        env: &BTreeMap<String, String>,
    ) -> Login {
        match &raw.login {
            _ if driver == DriverKind::Exec => Login::None,
            Some(RawLogin::Word(word)) => {
                if secret::is_reference(&word.value) || secret::looks_secret(&word.value) {
                    self.push(word.problem(
                        "does not say what kind of secret it is",
                        "write `login = { api_key = \"env:NAME\" }` or `login = { token = \"env:NAME\" }`",
                    ));
                    return Login::None;
                }
                match word.value.as_str() {
                    "operator" => Login::Operator,
                    "none" => Login::None,
                    _ => {
                        self.push(word.problem(
                            "is none of the ways to log in",
                            "`\"operator\"`, `\"none\"`, `{ api_key = \"env:NAME\" }` or `{ token = \"env:NAME\" }`",
                        ));
                        Login::None
                    }
                }
            }
            Some(RawLogin::ApiKey(given)) => {
                if driver == DriverKind::Acp && known.and_then(KnownAgent::api_key).is_none() {
                    self.push(given.problem(
                        "is for agents whose variable for it is known: gemini, codex-acp, claude-agent-acp",
                        "name the variable: `env = { NAME = \"env:NAME\" }`, and `login = \"none\"`",
                    ));
                }
                self.secret(given).map_or(Login::None, Login::ApiKey)
            }
            Some(RawLogin::Token(given)) => {
                if driver == DriverKind::Acp {
                    self.push(given.problem(
                        "is for Claude Code",
                        "name the variable: `env = { NAME = \"env:NAME\" }`, and `login = \"none\"`",
                    ));
                }
                self.secret(given).map_or(Login::None, Login::Token)
            }
            None if raw.login_given => Login::None,
            None if !users.is_empty() && users.iter().all(|bot| bot.serves_only_its_operator()) => Login::Operator,
            None => {
                if driver == DriverKind::Acp {
                    if env.is_empty() && !users.is_empty() {
                        self.push(raw.place.below("login").warning(
                            "nothing says how the agent logs in",
                            "`login = { api_key = \"env:NAME\" }`, the variable that it looks for in `env`, or `login = \
                             \"none\"` if the command does it by itself",
                        ));
                    }
                    return Login::None;
                }
                // A command may log in by itself, through a gateway or a cloud's own keys: say so, do not refuse.
                let by_itself = env
                    .keys()
                    .any(|name| name.starts_with("ANTHROPIC_") || name.starts_with("CLAUDE_CODE_USE_"));
                if !by_itself && !users.is_empty() {
                    self.push(raw.place.below("login").warning(
                        "nothing says how the agent logs in",
                        "`login = { api_key = \"env:ANTHROPIC_API_KEY\" }`, `login = { token = \
                         \"env:CLAUDE_CODE_OAUTH_TOKEN\" }` (from `claude setup-token`), or `login = \"none\"` if the \
                         command does it by itself",
                    ));
                }
                Login::None
            }
        }
    }

    /// `auto`: `claude` if it is on PATH, with the operator's own login; else, and for `demo`, the demo agent.
    pub(super) fn built_in_agent(&mut self, name: &str) -> AgentProfile {
        let claude = match name {
            AUTO_AGENT => program::find("claude", self.folder, self.environment).ok(),
            _ => None,
        };
        let demo = claude.is_none();
        let command = match claude {
            Some(path) => vec![path.display().to_string()],
            None => vec![
                self.environment.current_exe.display().to_string(),
                "demo-agent".to_owned(),
            ],
        };
        AgentProfile {
            name: name.to_owned(),
            driver: DriverKind::Claude,
            command,
            model: None,
            permission_mode: "default".to_owned(),
            allowed_tools: Vec::new(),
            disallowed_tools: Vec::new(),
            instructions: None,
            env: BTreeMap::new(),
            login: if demo { Login::None } else { Login::Operator },
            start_timeout: START_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            spare: false,
            limits: Limits::of(DriverKind::Claude),
            history: false,
            demo,
        }
    }

    /// The operator's own login serves nobody else.
    pub(super) fn logins(&mut self, raw: &RawFile, agents: &BTreeMap<String, AgentProfile>, bots: &[BotConfig]) {
        for (raw_bot, bot) in raw.bots.iter().zip(bots) {
            if bot.serves_only_its_operator() || bot.allow.is_empty() {
                continue;
            }
            let its = bot.every_agent().filter_map(|name| agents.get(name));
            for agent in its.filter(|agent| matches!(agent.login, Login::Operator)) {
                let named = raw_bot.agents.iter().flat_map(|given| &given.value);
                let named = raw_bot
                    .agent
                    .iter()
                    .chain(named)
                    .find(|given| given.value == agent.name);
                let place = named.map_or_else(|| raw_bot.place.below("agent"), At::place);
                let hint = if agent.name == AUTO_AGENT {
                    "define an agent with a login of its own: `[agent.claude]` with `login = { api_key = \
                 \"env:ANTHROPIC_API_KEY\" }`, and `agent = \"claude\"` here"
                        .to_owned()
                } else {
                    format!(
                        "set `{}.login = {{ api_key = \"env:ANTHROPIC_API_KEY\" }}`, or let in exactly one person",
                        join("agent", &agent.name)
                    )
                };
                self.push(place.problem(
                    format!(
                        "`{}` uses the operator's own login, and this bot serves other people",
                        agent.name
                    ),
                    hint,
                ));
            }
        }
    }

    /// Whether a bot's `agent` is one that there is.
    pub(super) fn agent_name(&mut self, given: &At<String>, raw: &RawFile) {
        let known = || {
            raw.agents
                .iter()
                .map(|agent| agent.name.as_str())
                .chain([AUTO_AGENT, DEMO_AGENT])
        };
        if known().any(|name| name == given.value) {
            return;
        }
        let hint = match nearest(&given.value, known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "known: {}; or add `[{}]`",
                known().collect::<Vec<_>>().join(", "),
                join("agent", &given.value)
            ),
        };
        self.push(given.problem(format!("there is no agent `{}`", given.value), hint));
    }
}

/// Also part of file names.
pub(super) fn is_name(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
}
