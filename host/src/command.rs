//! The table of what people can say to the host itself. Help, the platforms' menus and the text forms all come from
//! it, so that a command is added in one place.

use crate::chat::{CommandArgument, CommandSpec};
use crate::config::{AgentProfile, DriverKind, WhileRunning};

/// What a command does; `bot` carries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    New,
    Stop,
    Status,
    /// Answers the question that is open here.
    Decide,
    /// What follows is a message: how it comes to an agent that works.
    Now,
    Later,
    Steer,
    List,
    Switch,
    Rename,
    Fork,
    Delete,
    History,
    Export,
    Queue,
    Model,
    Mode,
    Compact,
    Cost,
    Tools,
    Workspace,
    Whoami,
    Agents,
    Help,
}

/// What may follow a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operand {
    pub name: &'static str,
    pub description: &'static str,
    pub required: bool,
    /// All that it can be; empty: anything.
    pub choices: &'static [&'static str],
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub description: &'static str,
    /// None: it stands alone.
    pub operand: Option<Operand>,
    /// The answer concerns only who asked, where the platform can whisper.
    pub private: bool,
    pub action: Action,
}

impl Row {
    /// `new`, `deny [WHY]`, `edit INPUT`: as the help shows it.
    pub fn usage(&self) -> String {
        match self.operand {
            None => self.name.to_owned(),
            Some(operand) if operand.required => format!("{} {}", self.name, operand.name.to_uppercase()),
            Some(operand) => format!("{} [{}]", self.name, operand.name.to_uppercase()),
        }
    }
}

const fn optional(name: &'static str, description: &'static str) -> Option<Operand> {
    Some(Operand {
        name,
        description,
        required: false,
        choices: &[],
    })
}

const fn one_of(name: &'static str, description: &'static str, choices: &'static [&'static str]) -> Option<Operand> {
    Some(Operand {
        name,
        description,
        required: false,
        choices,
    })
}

const fn required(name: &'static str, description: &'static str) -> Option<Operand> {
    Some(Operand {
        name,
        description,
        required: true,
        choices: &[],
    })
}

/// Every command, in the order of the help.
pub const TABLE: &[Row] = &[
    Row {
        name: "new",
        description: "Begin a new conversation; this one stays in the list",
        operand: None,
        private: false,
        action: Action::New,
    },
    Row {
        name: "stop",
        description: "Stop what the agent is doing; what waits stays",
        operand: None,
        private: false,
        action: Action::Stop,
    },
    Row {
        name: "status",
        description: "Show what the agent is doing and what waits",
        operand: None,
        private: true,
        action: Action::Status,
    },
    Row {
        name: "now",
        description: "Stop what the agent is doing and do this instead",
        operand: required("message", "What you want done"),
        private: false,
        action: Action::Now,
    },
    Row {
        name: "steer",
        description: "Tell the agent while it works; if it cannot listen, this waits",
        operand: required("message", "What it should know"),
        private: false,
        action: Action::Steer,
    },
    Row {
        name: "later",
        description: "Do this when everything before it is done",
        operand: required("message", "What you want done"),
        private: false,
        action: Action::Later,
    },
    Row {
        name: "allow",
        description: "Allow what the agent asks for; `all`: for this session",
        operand: one_of("all", "`all`: also what is like it, for this session", &["all"]),
        private: false,
        action: Action::Decide,
    },
    Row {
        name: "edit",
        description: "Allow what the agent asks for, with this input instead",
        operand: required("input", "The command, or the input as JSON"),
        private: false,
        action: Action::Decide,
    },
    Row {
        name: "deny",
        description: "Deny what the agent asks for; why, if you like",
        operand: optional("why", "What the agent is told"),
        private: false,
        action: Action::Decide,
    },
    Row {
        name: "answer",
        description: "Answer the agent's question in your own words",
        operand: required("answer", "An option, its number, or your own words"),
        private: false,
        action: Action::Decide,
    },
    Row {
        name: "list",
        description: "Show the conversations here, to go on with one; with words, those that have them",
        operand: optional("words", "What they have, or which page"),
        private: true,
        action: Action::List,
    },
    Row {
        name: "switch",
        description: "Go on with another conversation",
        operand: required("session", "Its id or its name"),
        private: false,
        action: Action::Switch,
    },
    Row {
        name: "resume",
        description: "Go on with the conversation before this one, or the one that is named",
        operand: optional("session", "Its id or its name"),
        private: false,
        action: Action::Switch,
    },
    Row {
        name: "rename",
        description: "Give this conversation a name",
        operand: required("name", "What to call it"),
        private: false,
        action: Action::Rename,
    },
    Row {
        name: "fork",
        description: "Go on in a copy of this conversation",
        operand: None,
        private: false,
        action: Action::Fork,
    },
    Row {
        name: "delete",
        description: "Forget a conversation for ever",
        operand: required("session", "Its id"),
        private: false,
        action: Action::Delete,
    },
    Row {
        name: "clear",
        description: "The same as `new`",
        operand: None,
        private: false,
        action: Action::New,
    },
    Row {
        name: "history",
        description: "Show what was said last",
        operand: None,
        private: true,
        action: Action::History,
    },
    Row {
        name: "export",
        description: "Show the whole conversation; `jsonl`: for programs",
        operand: one_of("form", "`md` or `jsonl`", &["md", "jsonl"]),
        private: true,
        action: Action::Export,
    },
    Row {
        name: "queue",
        description: "Show what waits; `drop 1` takes the first out",
        operand: optional("drop", "`drop` and a place"),
        private: true,
        action: Action::Queue,
    },
    Row {
        name: "model",
        description: "Show or choose the model",
        operand: optional("model", "Its name; `own`: the agent's own"),
        private: false,
        action: Action::Model,
    },
    Row {
        name: "mode",
        description: "Show or choose how much the agent asks",
        operand: optional("mode", "Its name; `own`: the agent's own"),
        private: false,
        action: Action::Mode,
    },
    Row {
        name: "compact",
        description: "Sum the conversation up to make room",
        operand: optional("focus", "What matters most"),
        private: false,
        action: Action::Compact,
    },
    Row {
        name: "cost",
        description: "Show what this conversation has used",
        operand: None,
        private: true,
        action: Action::Cost,
    },
    Row {
        name: "tools",
        description: "Show what the agent can use",
        operand: None,
        private: true,
        action: Action::Tools,
    },
    Row {
        name: "workspace",
        description: "Show where the agent works",
        operand: None,
        private: true,
        action: Action::Workspace,
    },
    Row {
        name: "whoami",
        description: "Show who you are here",
        operand: None,
        private: true,
        action: Action::Whoami,
    },
    Row {
        name: "agents",
        description: "Show who is here and how to speak to each",
        operand: None,
        private: true,
        action: Action::Agents,
    },
    Row {
        name: "help",
        description: "Show what you can say",
        operand: None,
        private: true,
        action: Action::Help,
    },
];

/// A question by a command or a shortcut of the platform's: what follows it is for the agent, and if nothing follows, a
/// form asks for it. In no menu of ours: platforms have their own ways to it.
pub fn is_ask(name: &str) -> bool {
    name.trim_start_matches(['/', '!']).eq_ignore_ascii_case("ask")
}

/// The row of a command that a platform delivered by name. None: it is no command, or nothing may follow it.
pub fn named(name: &str, argument: &str) -> Option<&'static Row> {
    let name = name.trim_start_matches(['/', '!']);
    let row = TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name))?;
    (argument.trim().is_empty() || row.operand.is_some()).then_some(row)
}

/// The row that a plain message means, and what follows: `/stop` or `!stop`, alone; `/deny` and why. Anything else with
/// a slash is the agent's to read, as text.
pub fn typed(text: &str) -> Option<(&'static Row, &str)> {
    let text = text.trim();
    let said = text.strip_prefix(['/', '!'])?;
    let (name, argument) = said.split_once(char::is_whitespace).unwrap_or((said, ""));
    let argument = argument.trim();
    if name.starts_with(['/', '!']) {
        return None;
    }
    Some((named(name, argument)?, argument))
}

/// What follows is a message, and this is how it comes to an agent that works. None: it is a command.
pub const fn way(row: &Row) -> Option<WhileRunning> {
    match row.action {
        Action::Now => Some(WhileRunning::Interrupt),
        Action::Later => Some(WhileRunning::Queue),
        Action::Steer => Some(WhileRunning::Steer),
        _ => None,
    }
}

/// What a plain message is.
#[derive(Debug)]
pub enum Said<'a> {
    Command(&'static Row, &'a str),
    /// For the agent, and how it comes to one that works, where that was said.
    Words(Option<WhileRunning>, &'a str),
}

/// Reads a plain message: a command, or words for the agent without what says how they come to it.
pub fn said(text: &str) -> Said<'_> {
    match typed(text) {
        None => Said::Words(None, text),
        Some((row, argument)) => match way(row).filter(|_| !argument.is_empty()) {
            Some(way) => Said::Words(Some(way), argument),
            None => Said::Command(row, argument),
        },
    }
}

/// Whether this agent can do what the row says, as far as that is known before it starts.
pub fn is_for(row: &Row, agent: &AgentProfile) -> bool {
    let told_while_it_works = matches!(row.action, Action::Steer | Action::Compact);
    match (agent.driver, row.action) {
        (_, Action::Mode) => !agent.chat_modes().is_empty(),
        (DriverKind::Claude, Action::Model | Action::Fork) => !agent.demo,
        (DriverKind::Claude, _) => !(agent.demo && told_while_it_works),
        (_, Action::Tools) => false,
        _ if told_while_it_works => false,
        // It asks for a tool, and takes yes or no.
        (DriverKind::Acp, Action::Decide) => matches!(row.name, "allow" | "deny"),
        (DriverKind::Exec, Action::Decide | Action::Model | Action::Fork | Action::Cost) => false,
        (DriverKind::Acp | DriverKind::Exec, _) => true,
    }
}

/// The rows of the table that at least one of these can do.
pub fn offered(agents: &[&AgentProfile]) -> Vec<&'static Row> {
    let able = |row: &&Row| agents.iter().any(|agent| is_for(row, agent));
    TABLE.iter().filter(able).collect()
}

/// What is told to platforms that have menus of their own.
pub fn specs(rows: impl IntoIterator<Item = &'static Row>) -> Vec<CommandSpec> {
    rows.into_iter()
        .map(|row| CommandSpec {
            name: row.name.into(),
            description: row.description.into(),
            argument: row.operand.map(|operand| CommandArgument {
                name: operand.name.into(),
                description: operand.description.into(),
                required: operand.required,
                choices: operand.choices.iter().map(|choice| (*choice).into()).collect(),
            }),
        })
        .collect()
}

/// The help, in Markdown.
pub fn help(rows: impl IntoIterator<Item = &'static Row>) -> String {
    let mut text = String::from("Write what you want done, in your own words. You can also say:\n");
    for row in rows {
        text.push_str(&format!("\n- `/{}`: {}", row.usage(), row.description));
    }
    text.push_str("\n\nWhere `/` means something else already, write `!` instead.");
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::config::{Limits, Login};

    #[test]
    fn only_a_known_word_is_a_command_and_alone_where_nothing_may_follow() {
        let action = |text| typed(text).map(|(row, _)| row.action);
        assert_eq!(action("/stop"), Some(Action::Stop));
        assert_eq!(action("  !NEW \n"), Some(Action::New));
        assert_eq!(action("/stop it please"), None);
        assert_eq!(action("/etc/passwd"), None);
        assert_eq!(action("stop"), None);
        assert_eq!(action("/review"), None);
        assert_eq!(action("/compact the tests"), Some(Action::Compact));
        assert_eq!(action("/"), None);
        assert_eq!(action("é/stop"), None);
        assert_eq!(action("//stop"), None);
        let (row, why) = typed(" !deny \n not on\na Friday ").unwrap();
        assert_eq!((row.name, why), ("deny", "not on\na Friday"));
        assert_eq!(typed("/deny").unwrap().1, "");
    }

    #[test]
    fn every_command_is_in_the_help_and_in_the_menus() {
        let help = help(TABLE);
        assert!(
            TABLE
                .iter()
                .all(|row| help.contains(row.name) && help.contains(row.description))
        );
        let specs = specs(TABLE);
        assert_eq!(specs.len(), TABLE.len());
        let deny = specs.iter().find(|spec| spec.name == "deny").unwrap();
        assert!(deny.argument.as_ref().is_some_and(|argument| !argument.required));
        let export = specs.iter().find(|spec| spec.name == "export").unwrap();
        assert!(
            export
                .argument
                .as_ref()
                .is_some_and(|argument| argument.choices == ["md", "jsonl"])
        );
        assert!(
            help.contains("`/edit INPUT`") && help.contains("`/deny [WHY]`"),
            "{help}"
        );
    }

    fn agent(driver: DriverKind, program: &str, demo: bool) -> AgentProfile {
        AgentProfile {
            name: "a".to_owned(),
            driver,
            command: vec![program.to_owned()],
            model: None,
            permission_mode: "default".to_owned(),
            allowed_tools: Vec::new(),
            disallowed_tools: Vec::new(),
            instructions: None,
            env: BTreeMap::new(),
            login: Login::None,
            start_timeout: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            limits: Limits::of(driver),
            history: false,
            spare: false,
            demo,
        }
    }

    #[test]
    fn what_no_agent_of_a_bot_can_do_is_offered_nowhere() {
        let claude = agent(DriverKind::Claude, "/bin/claude", false);
        let gemini = agent(DriverKind::Acp, "/bin/gemini", false);
        let strange = agent(DriverKind::Acp, "/bin/strange", false);
        let exec = agent(DriverKind::Exec, "/bin/cat", false);
        let demo = agent(DriverKind::Claude, "/bin/botyard", true);
        let missing = |agents: &[&AgentProfile]| {
            let there: Vec<&str> = offered(agents).into_iter().map(|row| row.name).collect();
            let names = TABLE.iter().map(|row| row.name);
            names.filter(|name| !there.contains(name)).collect::<Vec<_>>()
        };
        assert_eq!(missing(&[&claude]), [""; 0]);
        assert_eq!(missing(&[&gemini]), ["steer", "edit", "answer", "compact", "tools"]);
        assert_eq!(
            missing(&[&strange]),
            ["steer", "edit", "answer", "mode", "compact", "tools"]
        );
        assert_eq!(
            missing(&[&exec]),
            [
                "steer", "allow", "edit", "deny", "answer", "fork", "model", "mode", "compact", "cost", "tools"
            ]
        );
        assert_eq!(missing(&[&demo]), ["steer", "fork", "model", "mode", "compact"]);
        assert_eq!(missing(&[&exec, &strange]), missing(&[&strange]), "one of them can");
        assert_eq!(missing(&[&exec, &claude]), [""; 0]);
        let help = help(offered(&[&exec]));
        assert!(help.contains("`/stop`") && !help.contains("`/compact"), "{help}");
    }
}
