//! Whom a message is for: the names in front of it, and what follows them.

use crate::command::{self, Said};
use crate::config::{BotConfig, Route};

/// Whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum To<'a> {
    /// Nobody is named: the bot's first agent.
    First,
    /// Each once, in the order in which they were named; at least one.
    Agents(Vec<&'a str>),
    Route(&'a Route),
}

impl<'a> To<'a> {
    /// The agents that are named, none of them as none.
    pub(super) fn named(&self) -> Vec<Option<&'a str>> {
        match self {
            Self::Agents(names) => names.iter().copied().map(Some).collect(),
            Self::First | Self::Route(_) => vec![None],
        }
    }
}

/// What was read of a message.
#[derive(Debug)]
pub(super) struct Read<'a, 'b> {
    pub(super) to: To<'a>,
    pub(super) said: Said<'b>,
}

/// Reads a plain message. `@name` in front of it names an agent or a route of this bot, `@name @other` several agents;
/// any other word with an `@` is a word. Names may also stand behind `/now` and `/later`.
pub(super) fn read<'a, 'b>(config: &'a BotConfig, text: &'b str) -> Read<'a, 'b> {
    let (to, rest) = addressed(config, text);
    match command::said(rest) {
        Said::Words(way @ Some(_), words) if to == To::First => {
            let (to, words) = addressed(config, words);
            let said = Said::Words(way, words);
            Read { to, said }
        }
        said => Read { to, said },
    }
}

/// The names in front of a text, and what follows.
pub(super) fn addressed<'a, 'b>(config: &'a BotConfig, text: &'b str) -> (To<'a>, &'b str) {
    let mut named: Vec<&str> = Vec::new();
    let mut rest = text;
    if config.agents.is_empty() && config.routes.is_empty() {
        return (To::First, rest);
    }
    while let Some((word, behind)) = name(rest) {
        let same = |name: &str| name.eq_ignore_ascii_case(word);
        if let Some(agent) = config.every_agent().find(|agent| same(agent)) {
            if !named.contains(&agent) {
                named.push(agent);
            }
        } else if let Some(route) = config.routes.iter().find(|route| same(&route.name))
            && named.is_empty()
        {
            return (To::Route(route), behind);
        } else {
            break;
        }
        rest = behind;
    }
    if named.is_empty() {
        (To::First, text)
    } else {
        (To::Agents(named), rest)
    }
}

/// `@word` at the beginning, and what follows it; a comma or a colon behind the word belongs to it.
fn name(text: &str) -> Option<(&str, &str)> {
    let said = text.trim_start().strip_prefix('@')?;
    let end = said.find(char::is_whitespace).unwrap_or(said.len());
    let (word, behind) = said.split_at(end);
    Some((word.trim_end_matches([',', ':']), behind.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment};

    /// A bot whose first agent is `claude`, with these lines.
    fn bot(lines: &str) -> BotConfig {
        let agents = ["claude", "reviewer", "code_tester"]
            .map(|name| format!("[agent.{name}]\ndriver = \"exec\"\ncommand = [\"/bin/cat\"]\n"));
        let text = format!(
            "{}[route.review]\nsteps = [{{ to = [\"reviewer\"] }}]\n[[bot]]\nname = \"a\"\nadapter = \"web\"\n\
             agent = \"claude\"\nallow = [\"*\"]\n{lines}\n",
            agents.concat()
        );
        let (config, _) =
            Config::parse(&text, std::path::Path::new("/tmp"), &Environment::default()).expect("it is good");
        config.bots[0].clone()
    }

    fn crew() -> BotConfig {
        bot("agents = [\"reviewer\", \"code_tester\"]\nroutes = [\"review\"]")
    }

    /// Who is named, and the words.
    fn of(text: &str) -> (Vec<String>, String) {
        let crew = crew();
        let Read { to, said } = read(&crew, text);
        let names = match to {
            To::First => Vec::new(),
            To::Agents(names) => names.into_iter().map(str::to_owned).collect(),
            To::Route(route) => vec![format!("route {}", route.name)],
        };
        let words = match said {
            Said::Command(row, argument) => format!("command {} {argument}", row.name),
            Said::Words(way, words) => format!("{}{words}", way.map(|way| format!("{way:?}: ")).unwrap_or_default()),
        };
        (names, words)
    }

    #[test]
    fn names_in_front_are_read_and_everything_else_is_words() {
        for (text, names, words) in [
            ("@reviewer look", &["reviewer"][..], "look"),
            (" @Reviewer,\n look ", &["reviewer"], "look "),
            ("@REVIEWER @code_tester: look", &["reviewer", "code_tester"], "look"),
            ("@reviewer @reviewer look", &["reviewer"], "look"),
            ("@claude look", &["claude"], "look"),
            ("@reviewer", &["reviewer"], ""),
            ("@review look", &["route review"], "look"),
            // Somebody's name, an address, a word in the middle.
            ("@anna look", &[], "@anna look"),
            ("@reviewers look", &[], "@reviewers look"),
            ("a@reviewer look", &[], "a@reviewer look"),
            ("look @reviewer", &[], "look @reviewer"),
            ("@ reviewer", &[], "@ reviewer"),
            ("@reviewer @anna look", &["reviewer"], "@anna look"),
            // A route is for itself.
            ("@reviewer @review look", &["reviewer"], "@review look"),
            ("@review @reviewer look", &["route review"], "@reviewer look"),
        ] {
            let expected = (names.iter().map(|name| (*name).to_owned()).collect(), words.to_owned());
            assert_eq!(of(text), expected, "{text}");
        }
    }

    #[test]
    fn commands_stand_behind_a_name_and_names_behind_how_a_message_comes() {
        for (text, names, words) in [
            ("@reviewer /stop", &["reviewer"][..], "command stop "),
            ("@reviewer !deny not now", &["reviewer"], "command deny not now"),
            ("@reviewer @claude /new", &["reviewer", "claude"], "command new "),
            ("/stop", &[], "command stop "),
            ("@reviewer /now look", &["reviewer"], "Interrupt: look"),
            ("/now @reviewer look", &["reviewer"], "Interrupt: look"),
            ("/later @review look", &["route review"], "Queue: look"),
            ("/rename @reviewer", &[], "command rename @reviewer"),
        ] {
            let expected = (names.iter().map(|name| (*name).to_owned()).collect(), words.to_owned());
            assert_eq!(of(text), expected, "{text}");
        }
    }

    #[test]
    fn bot_of_one_agent_reads_no_names() {
        let alone = bot("");
        let Read { to, said } = read(&alone, "@claude look");
        assert_eq!(to, To::First);
        assert!(matches!(said, Said::Words(None, "@claude look")), "{said:?}");
    }
}
