//! What the keys of bots.toml mean, and what is wrong with them: names, references, ranges, files, and whether the
//! parts fit together. Goes on after a problem, with the default in the place of what was wrong.

mod agent;
mod bot;
mod driver;
mod host;
mod limit;
mod route;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::environment::Environment;
use super::nearest::nearest;
use super::problem::Problem;
use super::raw::RawFile;
use super::section::{At, Place};
use super::{AUTO_AGENT, AgentProfile, BotConfig, Config, DEMO_AGENT, SecretText, secret, unit};

/// What every check needs.
#[derive(Debug)]
struct Checker<'a> {
    folder: &'a Path,
    environment: &'a Environment,
    problems: &'a mut Vec<Problem>,
}

/// The config that these keys make. It is good only if no problem was added that is not a warning.
pub fn check(raw: &RawFile, folder: &Path, environment: &Environment, problems: &mut Vec<Problem>) -> Config {
    let mut checker = Checker {
        folder,
        environment,
        problems,
    };
    let host = checker.host(&raw.host);
    let mut agents: BTreeMap<String, AgentProfile> = BTreeMap::new();
    let mut bots: Vec<BotConfig> = Vec::new();
    let routes = checker.routes(raw);
    for bot in &raw.bots {
        let checked = checker.bot(bot, raw, &routes, &host);
        bots.push(checked);
    }
    checker.bot_names(raw);
    for agent in &raw.agents {
        let users: Vec<&BotConfig> = bots
            .iter()
            .filter(|bot| bot.every_agent().any(|name| name == agent.name))
            .collect();
        let profile = checker.agent(agent, &users);
        agents.insert(agent.name.clone(), profile);
    }
    for name in [AUTO_AGENT, DEMO_AGENT] {
        if !agents.contains_key(name) && bots.iter().any(|bot| bot.every_agent().any(|its| its == name)) {
            agents.insert(name.to_owned(), checker.built_in_agent(name));
        }
    }
    checker.logins(raw, &agents, &bots);
    if raw.bots.is_empty() && !checker.problems.iter().any(|problem| problem.key == "bot") {
        checker.problems.push(
            Place {
                key: "bot".to_owned(),
                line: 0,
            }
            .problem(
                "there is no bot",
                "add one: `[[bot]]` with `name`, `adapter` and `allow`; the local web chat is `adapter = \"web\"`",
            ),
        );
    }
    Config { host, agents, bots }
}

impl Checker<'_> {
    fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// A word of a fixed list.
    fn word<T: Copy>(&mut self, given: Option<&At<String>>, words: &[(&str, T)], default: T) -> T {
        let Some(given) = given else { return default };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == given.value) {
            return *meaning;
        }
        let hint = match nearest(&given.value, words.iter().map(|(word, _)| *word)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "one of: {}",
                words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
            ),
        };
        self.push(given.problem(format!("unknown value `{}`", given.value), hint));
        default
    }

    fn duration(&mut self, given: Option<&At<String>>, range: RangeInclusive<Duration>, default: Duration) -> Duration {
        let Some(given) = given else { return default };
        match unit::duration(&given.value) {
            None => {
                self.push(given.problem(
                    format!("`{}` is not a duration", given.value),
                    "whole numbers with a unit: `90s`, `10m`, `8h`, `7d`, `1h30m`",
                ));
                default
            }
            Some(read) if !range.contains(&read) => {
                let (least, most) = (unit::show(*range.start()), unit::show(*range.end()));
                self.push(given.problem(
                    format!("`{}` is out of range", given.value),
                    format!("at least {least}, at most {most}"),
                ));
                default
            }
            Some(read) => read,
        }
    }

    fn number(&mut self, given: Option<&At<i64>>, range: RangeInclusive<i64>) -> Option<i64> {
        let given = given?;
        if range.contains(&given.value) {
            return Some(given.value);
        }
        self.push(given.problem(
            format!("`{}` is out of range", given.value),
            format!("at least {}, at most {}", range.start(), range.end()),
        ));
        None
    }

    fn secret(&mut self, given: &At<String>) -> Option<SecretText> {
        match secret::resolve(&given.value, self.folder, self.environment) {
            Ok(value) => Some(value),
            Err(refused) => {
                self.push(given.problem(refused.message, refused.hint));
                None
            }
        }
    }

    /// A text that may be a reference to a secret and must not be one itself. `name`: of the variable or setting.
    fn plain_or_secret(&mut self, name: &str, given: &At<String>) -> Option<String> {
        if secret::is_reference(&given.value) {
            return self.secret(given).map(|value| value.reveal().to_owned());
        }
        if secret::looks_secret(&given.value) {
            self.push(given.problem(
                "looks like a secret",
                "write `env:NAME` or `file:PATH` instead, and replace the secret at the vendor",
            ));
            return None;
        }
        if secret::names_secret(name) && !given.value.is_empty() {
            self.push(given.warning(
                "is named like a secret, but its value stands in the file",
                "if it is one, write `env:NAME` or `file:PATH` instead",
            ));
        }
        Some(given.value.clone())
    }

    /// Not empty, and no line break or other control character in it.
    fn line(&mut self, given: Option<&At<String>>) -> Option<String> {
        let given = given?;
        if given.value.trim().is_empty() {
            self.push(given.problem("is empty", "leave the key out to have its default"));
            return None;
        }
        if given.value.chars().any(char::is_control) {
            self.push(given.problem("has a line break or a control character in it", "one line of text"));
            return None;
        }
        Some(given.value.clone())
    }

    /// The texts of a list; empty ones are problems.
    fn lines(&mut self, given: Option<&At<Vec<At<String>>>>) -> Vec<String> {
        let items = given.map_or(&[][..], |list| &list.value);
        items.iter().filter_map(|item| self.line(Some(item))).collect()
    }

    /// `http://` or `https://` with a host, without a password, query or fragment.
    fn web_url(&mut self, given: &At<String>, example: &str) -> Option<url::Url> {
        let hint = format!("for example `{example}`");
        let Ok(url) = url::Url::parse(&given.value) else {
            self.push(given.problem("is not a URL", hint));
            return None;
        };
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            self.push(given.problem("is not an http or https URL", hint));
            return None;
        }
        if !url.username().is_empty() || url.password().is_some() {
            self.push(given.problem("has a password in it", "secrets have their own keys"));
            return None;
        }
        if url.query().is_some() || url.fragment().is_some() {
            self.push(given.problem("has a query or a fragment", hint));
            return None;
        }
        Some(url)
    }
}

/// The name stays on this machine.
fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}
