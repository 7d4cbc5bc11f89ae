//! The table of what people can say to the host itself. Help, the platforms' menus and the text forms all come from
//! it, so that a command is added in one place.

use crate::chat::CommandSpec;

/// What a command does; `bot` carries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    New,
    Stop,
    Status,
    Help,
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub description: &'static str,
    /// The answer concerns only who asked, where the platform can whisper.
    pub private: bool,
    pub action: Action,
}

/// Every command, in the order of the help.
pub const TABLE: &[Row] = &[
    Row {
        name: "new",
        description: "Forget this conversation and begin a new one",
        private: false,
        action: Action::New,
    },
    Row {
        name: "stop",
        description: "Stop what the agent is doing; what waits stays",
        private: false,
        action: Action::Stop,
    },
    Row {
        name: "status",
        description: "Show what the agent is doing and what waits",
        private: true,
        action: Action::Status,
    },
    Row {
        name: "help",
        description: "Show what you can say",
        private: true,
        action: Action::Help,
    },
];

/// The row of a command that a platform delivered by name.
pub fn named(name: &str) -> Option<&'static Row> {
    let name = name.trim_start_matches(['/', '!']);
    TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name))
}

/// The row that a plain message means: `/stop` or `!stop`, alone. Anything else with a slash is the agent's to read,
/// as text.
pub fn typed(text: &str) -> Option<&'static Row> {
    let text = text.trim();
    if !text.starts_with(['/', '!']) || text.contains(char::is_whitespace) {
        return None;
    }
    named(&text[1..])
}

/// What is told to platforms that have menus of their own.
pub fn specs() -> Vec<CommandSpec> {
    TABLE
        .iter()
        .map(|row| CommandSpec {
            name: row.name.into(),
            description: row.description.into(),
            argument: None,
        })
        .collect()
}

/// The help, in Markdown.
pub fn help() -> String {
    let mut text = String::from("Write what you want done, in your own words. You can also say:\n");
    for row in TABLE {
        text.push_str(&format!("\n- `/{}` or `!{}`: {}", row.name, row.name, row.description));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lone_known_word_is_a_command() {
        let action = |text| typed(text).map(|row| row.action);
        assert_eq!(action("/stop"), Some(Action::Stop));
        assert_eq!(action("  !NEW \n"), Some(Action::New));
        assert_eq!(action("/stop it please"), None);
        assert_eq!(action("/etc/passwd"), None);
        assert_eq!(action("stop"), None);
        assert_eq!(action("/compact"), None);
        assert_eq!(action("/"), None);
        assert_eq!(action("é/stop"), None);
    }

    #[test]
    fn every_command_is_in_the_help_and_in_the_menus() {
        let help = help();
        assert!(
            TABLE
                .iter()
                .all(|row| help.contains(row.name) && help.contains(row.description))
        );
        assert_eq!(specs().len(), TABLE.len());
    }
}
