//! What each driver takes of `[agent.NAME]`, and what it does not.

use super::Checker;
use super::agent::DRIVERS;
use crate::config::raw::{RawAgent, RawLogin};
use crate::config::section::At;
use crate::config::{DriverKind, KnownAgent, PROMPT_PLACE};

impl Checker<'_> {
    /// Keys that this driver could only ignore are problems: who wrote them relies on them.
    pub(super) fn fits(&mut self, raw: &RawAgent, driver: DriverKind) {
        let given = [
            ("model", raw.model.is_some()),
            ("permission_mode", raw.permission_mode.is_some()),
            ("allowed_tools", raw.allowed_tools.is_some()),
            ("disallowed_tools", raw.disallowed_tools.is_some()),
            ("instructions", raw.instructions.is_some()),
            ("login", raw.login_given),
            ("history", raw.history.as_ref().is_some_and(|given| given.value)),
        ];
        let (unfit, hint): (&[&str], &str) = match driver {
            DriverKind::Claude => (
                &["history"],
                "it remembers by itself; `history` is for `driver = \"exec\"`",
            ),
            DriverKind::Acp => (
                &["allowed_tools", "disallowed_tools", "history"],
                "what it may do without asking stands in its own settings, or is a `permission_mode`",
            ),
            DriverKind::Exec => (
                &[
                    "model",
                    "permission_mode",
                    "allowed_tools",
                    "disallowed_tools",
                    "instructions",
                    "login",
                ],
                "say it to the command itself, with an argument or in `env`",
            ),
        };
        let word = DRIVERS
            .iter()
            .find(|(_, kind)| *kind == driver)
            .map_or("", |(word, _)| word);
        for (key, _) in given.into_iter().filter(|(key, given)| *given && unfit.contains(key)) {
            self.push(
                raw.place
                    .below(key)
                    .problem(format!("means nothing to `driver = \"{word}\"`"), hint),
            );
        }
    }

    /// The words of a command as this driver takes them.
    pub(super) fn words_fit(&mut self, words: &[At<String>], driver: DriverKind) {
        if driver == DriverKind::Claude {
            let all = words.iter().map(|word| word.value.clone()).collect::<Vec<_>>();
            if let (Some(_), Some(first)) = (KnownAgent::of_command(&all), words.first()) {
                self.push(first.problem("does not speak Claude Code's protocol", "add `driver = \"acp\"`"));
            }
        }
        if driver != DriverKind::Exec {
            return;
        }
        for (at, word) in words.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| words.get(at));
            if word.value == PROMPT_PLACE && before.is_some_and(|before| is_code_flag(&before.value)) {
                self.push(word.problem(
                    "would be run as code: whoever writes to the bot could do anything",
                    "let the script read its stdin, and leave `{prompt}` out",
                ));
            } else if word.value != PROMPT_PLACE && word.value.contains(PROMPT_PLACE) {
                self.push(word.problem(
                    "`{prompt}` is an argument of its own, or none",
                    "`command = [\"answer\", \"{prompt}\"]`; without it the prompt is the command's stdin",
                ));
            }
        }
    }

    /// Variables that the driver sets for every user.
    pub(super) fn own_variables(
        &self,
        raw: &RawAgent,
        driver: DriverKind,
        known: Option<KnownAgent>,
    ) -> Vec<&'static str> {
        let operator = matches!(&raw.login, Some(RawLogin::Word(word)) if word.value == "operator");
        match driver {
            DriverKind::Claude | DriverKind::Acp if operator => Vec::new(),
            DriverKind::Claude => vec!["CLAUDE_CONFIG_DIR"],
            DriverKind::Acp => KnownAgent::folders(known).iter().map(|(name, _)| *name).collect(),
            DriverKind::Exec => vec!["BOTYARD_SESSION"],
        }
    }
}

/// `sh -c`, `python -c`, `node -e`: the next argument is a program.
fn is_code_flag(word: &str) -> bool {
    matches!(word, "-c" | "-e" | "-lc" | "-ic" | "-ec" | "--eval" | "--command")
}
