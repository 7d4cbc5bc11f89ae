//! Agents that speak ACP and that we know by name: where each keeps what it learns, and where it looks for its key.
//! Measured with gemini 0.61.0, opencode 1.18.33, codex-acp 2.6.0 and claude-agent-acp 0.49.0.

/// The same of Claude Code 2.1, see [`KnownAgent::asking_modes`].
pub(super) const CLAUDE_MODES: [&str; 3] = ["default", "acceptEdits", "plan"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownAgent {
    Gemini,
    OpenCode,
    Codex,
    Claude,
}

impl KnownAgent {
    const ALL: [Self; 4] = [Self::Gemini, Self::OpenCode, Self::Codex, Self::Claude];

    /// A word of its command, and the name that it gives itself, has this in it.
    const fn word(self) -> &'static str {
        match self {
            Self::Gemini => "gemini",
            Self::OpenCode => "opencode",
            Self::Codex => "codex-acp",
            Self::Claude => "claude-agent-acp",
        }
    }

    /// Of what is started: the program may be `npx` or `node`, so every word counts.
    pub fn of_command(command: &[String]) -> Option<Self> {
        let mut words = command.iter().map(|word| word.rsplit('/').next().unwrap_or_default());
        words.find_map(Self::of_name)
    }

    /// Of what it says it is.
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        Self::ALL.into_iter().find(|known| name.contains(known.word()))
    }

    /// The variable that its API key is in; none: that depends on whose model it uses.
    pub const fn api_key(self) -> Option<&'static str> {
        match self {
            Self::Gemini => Some("GEMINI_API_KEY"),
            Self::OpenCode => None,
            Self::Codex => Some("CODEX_API_KEY"),
            Self::Claude => Some("ANTHROPIC_API_KEY"),
        }
    }

    /// Those of its modes in which it does nothing that nobody allowed, but edits in its working folder. Not among them is
    /// what asks nobody, and what lets a model judge.
    pub const fn asking_modes(self) -> &'static [&'static str] {
        match self {
            Self::Gemini => &["default", "autoEdit", "plan"],
            Self::OpenCode => &["build", "plan"],
            Self::Codex => &["read-only", "workspace-write"],
            Self::Claude => &CLAUDE_MODES,
        }
    }

    /// What npm calls it.
    pub(super) const fn package(self) -> &'static str {
        match self {
            Self::Gemini => "@google/gemini-cli",
            Self::OpenCode => "opencode-ai",
            Self::Codex => "@agentclientprotocol/codex-acp",
            Self::Claude => "@agentclientprotocol/claude-agent-acp",
        }
    }

    /// The variables that say where its settings and its memory are, and each one's place below a folder that is the
    /// session's own.
    const fn own_folders(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Gemini => &[("GEMINI_CLI_HOME", "")],
            Self::OpenCode => &[
                ("XDG_CONFIG_HOME", "config"),
                ("XDG_DATA_HOME", "data"),
                ("XDG_STATE_HOME", "state"),
                ("XDG_CACHE_HOME", "cache"),
            ],
            Self::Codex => &[("CODEX_HOME", "")],
            Self::Claude => &[("CLAUDE_CONFIG_DIR", "")],
        }
    }

    /// The same of any agent: of one that we do not know, all that may be such a folder.
    pub const fn folders(known: Option<Self>) -> &'static [(&'static str, &'static str)] {
        match known {
            Some(known) => known.own_folders(),
            None => &[
                ("HOME", ""),
                ("XDG_CONFIG_HOME", ".config"),
                ("XDG_DATA_HOME", ".local/share"),
                ("XDG_STATE_HOME", ".local/state"),
                ("XDG_CACHE_HOME", ".cache"),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_known_by_any_word_of_its_command_and_by_its_name() {
        let of = |words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
            KnownAgent::of_command(&words)
        };
        assert_eq!(of(&["/usr/bin/gemini", "--acp"]), Some(KnownAgent::Gemini));
        let package = "@agentclientprotocol/codex-acp@2.6.0";
        assert_eq!(of(&["/usr/bin/npx", "-y", package]), Some(KnownAgent::Codex));
        assert_eq!(of(&["/home/gemini/bin/other"]), None, "a folder is not the program");
        assert_eq!(of(&["/bin/codex", "exec"]), None, "that one does not speak it");
        assert_eq!(KnownAgent::of_name("OpenCode"), Some(KnownAgent::OpenCode));
        let claude = KnownAgent::of_name("@agentclientprotocol/claude-agent-acp");
        assert_eq!(claude, Some(KnownAgent::Claude));
        assert_eq!(of(&["opencode", "acp"]), Some(KnownAgent::OpenCode));
        assert_eq!(of(&["claude-agent-acp"]), Some(KnownAgent::Claude));
    }
}
