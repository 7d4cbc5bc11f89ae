//! `[[bot]]`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Checker, is_loopback};
use crate::chat::BotName;
use crate::config::nearest::nearest;
use crate::config::raw::{RawBot, RawFile};
use crate::config::section::At;
use crate::config::{
    ALLOW_KINDS, AUTO_AGENT, BUILT_IN_ADAPTERS, BotConfig, HostConfig, Refuse, Route, Scope, SecretText, WhileRunning,
    secret, unit,
};

const BOT_TURNS: u32 = 10;
const QUEUE_LIMIT: usize = 20;
const DAY: Duration = Duration::from_secs(24 * 3600);
const ASK_TIMEOUT: Duration = DAY;
const MEMORY_BYTES: usize = 64 << 20;
const MEMORY_RANGE: RangeInclusive<usize> = 1 << 20..=4 << 30;
const FILES_MAX_BYTES: usize = 32 << 20;
/// At most what one download may bring.
const FILES_MAX_RANGE: RangeInclusive<usize> = 1 << 10..=512 << 20;
const FILES_KEPT_BYTES: usize = 1 << 30;
const FILES_KEPT_RANGE: RangeInclusive<usize> = 1 << 20..=1 << 40;
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

impl Checker<'_> {
    pub(super) fn bot(&mut self, raw: &RawBot, file: &RawFile, routes: &[Route], host: &HostConfig) -> BotConfig {
        if let Some(agent) = &raw.agent {
            self.agent_name(agent, file);
        }
        let allow = self.people(raw.allow.as_ref());
        if raw
            .allow
            .as_ref()
            .map_or(!stands(raw, "allow"), |given| given.value.is_empty())
        {
            let place = raw.allow.as_ref().map_or_else(|| raw.place.below("allow"), At::place);
            self.push(place.warning(
                "nobody may talk to this bot",
                "list the platform's ids of those who may, for example `allow = [\"U024BE7LH\"]`; `[\"*\"]` means everybody",
            ));
        }
        let workspace = self.workspace(raw, host);
        let agent = raw
            .agent
            .as_ref()
            .map_or_else(|| AUTO_AGENT.to_owned(), |given| given.value.clone());
        let agents = self.further_agents(raw, &agent, file);
        let routes = self.routes_of(raw, &agent, &agents, file, routes);
        BotConfig {
            name: self.bot_name(raw),
            adapter: self.adapter(raw),
            mode: self.line(raw.mode.as_ref()),
            agent,
            agents,
            routes,
            scope: self.word(
                raw.scope.as_ref(),
                &[
                    ("user", Scope::User),
                    ("thread", Scope::Thread),
                    ("channel", Scope::Channel),
                ],
                Scope::Thread,
            ),
            workspace,
            workspace_shared: raw.workspace_shared.as_ref().is_some_and(|given| given.value),
            allow,
            allow_bots: self.other_bots(raw.allow_bots.as_ref()),
            bot_turns: self
                .number(raw.bot_turns.as_ref(), 1..=1_000)
                .and_then(|number| u32::try_from(number).ok())
                .unwrap_or(BOT_TURNS),
            approvers: self.people(raw.approvers.as_ref()),
            asker_approves: raw.asker_approves.as_ref().is_none_or(|given| given.value),
            refuse: self.word(
                raw.refuse.as_ref(),
                &[("politely", Refuse::Politely), ("silently", Refuse::Silently)],
                Refuse::Politely,
            ),
            contact: self.line(raw.contact.as_ref()),
            listen_to_all: raw.listen_to_all.as_ref().is_some_and(|given| given.value),
            api_base: raw.api_base.as_ref().and_then(|given| self.api_base(given)),
            secrets: self.secrets(raw),
            settings: self.settings(raw),
            grant_hosts: self.grant_hosts(raw),
            while_running: self.word(
                raw.while_running.as_ref(),
                &[
                    ("queue", WhileRunning::Queue),
                    ("interrupt", WhileRunning::Interrupt),
                    ("steer", WhileRunning::Steer),
                ],
                WhileRunning::Queue,
            ),
            queue_limit: self
                .number(raw.queue_limit.as_ref(), 1..=10_000)
                .and_then(|number| usize::try_from(number).ok())
                .unwrap_or(QUEUE_LIMIT),
            per_user_per_minute: self
                .number(raw.per_user_per_minute.as_ref(), 1..=100_000)
                .and_then(|number| u32::try_from(number).ok()),
            ask_timeout: self.duration(
                raw.ask_timeout.as_ref(),
                Duration::from_secs(10)..=365 * DAY,
                ASK_TIMEOUT,
            ),
            memory_bytes: self.size(raw.memory.as_ref(), MEMORY_RANGE, MEMORY_BYTES),
            call_timeout: self.duration(
                raw.call_timeout.as_ref(),
                Duration::from_millis(100)..=Duration::from_secs(300),
                CALL_TIMEOUT,
            ),
            show_thinking: raw.show_thinking.as_ref().is_some_and(|given| given.value),
            show_usage: raw.show_usage.as_ref().is_none_or(|given| given.value),
            files_max_bytes: self.size(raw.files_max.as_ref(), FILES_MAX_RANGE, FILES_MAX_BYTES) as u64,
            history: self
                .number(raw.history.as_ref(), 0..=200)
                .and_then(|number| u32::try_from(number).ok())
                .unwrap_or(0),
            files_kept_bytes: self.size(raw.files_kept.as_ref(), FILES_KEPT_RANGE, FILES_KEPT_BYTES) as u64,
        }
    }

    /// Two bots of one name would share what they keep.
    pub(super) fn bot_names(&mut self, file: &RawFile) {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for name in file.bots.iter().filter_map(|bot| bot.name.as_ref()) {
            if let Some(line) = seen.get(name.value.as_str()) {
                self.push(name.problem(
                    format!("the name `{}` is taken by the bot of line {line}", name.value),
                    "each bot needs a name of its own: it is part of the webhook's URL",
                ));
            } else {
                seen.insert(&name.value, name.line);
            }
        }
    }

    fn bot_name(&mut self, raw: &RawBot) -> BotName {
        let Some(given) = &raw.name else {
            self.missing(raw, "name", "for example `name = \"team\"`");
            return BotName::from("");
        };
        let name = given.value.as_str();
        let good = (1..=40).contains(&name.len())
            && !name.starts_with('-')
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !good {
            self.push(given.problem(
                format!("`{name}` is not a bot's name"),
                "a-z, 0-9 and `-`, beginning with a letter or a digit, at most 40 characters",
            ));
        }
        BotName::from(name)
    }

    /// A built-in name, or the absolute path of a component that is there.
    fn adapter(&mut self, raw: &RawBot) -> String {
        let Some(given) = &raw.adapter else {
            self.missing(
                raw,
                "adapter",
                &format!("built in: {}; or the path of a component", BUILT_IN_ADAPTERS.join(", ")),
            );
            return String::new();
        };
        let word = given.value.as_str();
        if BUILT_IN_ADAPTERS.contains(&word) {
            return word.to_owned();
        }
        let is_path = word.contains('/') || Path::new(word).extension().is_some_and(|ext| ext == "wasm");
        if !is_path {
            let hint = match nearest(word, BUILT_IN_ADAPTERS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "built in: {}; for a component of your own write its path, for example `./{word}.wasm`",
                    BUILT_IN_ADAPTERS.join(", ")
                ),
            };
            self.push(given.problem(format!("there is no adapter `{word}`"), hint));
            return word.to_owned();
        }
        let path: PathBuf = self.folder.join(word).components().collect();
        if !path.is_file() {
            self.push(given.problem(
                format!("there is no file `{}`", path.display()),
                "a path is relative to the folder of bots.toml",
            ));
        }
        path.display().to_string()
    }

    fn workspace(&mut self, raw: &RawBot, host: &HostConfig) -> PathBuf {
        let path = self
            .folder
            .join(self.line(raw.workspace.as_ref()).unwrap_or_else(|| "work".to_owned()));
        let place = raw
            .workspace
            .as_ref()
            .map_or_else(|| raw.place.below("workspace"), At::place);
        if path.exists() && !path.is_dir() {
            self.push(place.problem(
                format!("`{}` is not a folder", path.display()),
                "the agent's working folder; made if it is not there",
            ));
        }
        let (work, data) = (plain(&path), plain(&host.data_dir));
        if work.starts_with(&data) || data.starts_with(&work) {
            self.push(place.warning(
                "the host's own data folder is in it, so the agent can read everybody's conversations",
                "keep `workspace` and `host.data_dir` apart",
            ));
        }
        path
    }

    fn people(&mut self, given: Option<&At<Vec<At<String>>>>) -> Vec<String> {
        let items = given.map_or(&[][..], |list| &list.value);
        let mut people = Vec::new();
        for item in items {
            let Some(word) = self.line(Some(item)) else { continue };
            if ALLOW_KINDS.contains(&word.as_str()) {
                self.push(item.problem(
                    format!("`{word}` names none"),
                    "its name or id comes right after the colon",
                ));
            } else if let Some(name) = word.strip_prefix('@') {
                self.push(item.warning(
                    format!("`{word}` is compared with the platform's id of a person, which seldom begins with `@`"),
                    format!("look up the id of `{name}` on the platform; for a group write `group:{name}`"),
                ));
                people.push(word);
            } else {
                people.push(word);
            }
        }
        people
    }

    /// Each by its own id: no word stands for several of them.
    fn other_bots(&mut self, given: Option<&At<Vec<At<String>>>>) -> Vec<String> {
        let items = given.map_or(&[][..], |list| &list.value);
        let mut bots = Vec::new();
        for item in items {
            let Some(word) = self.line(Some(item)) else { continue };
            if word == "*" || ALLOW_KINDS.iter().any(|kind| word.starts_with(kind)) {
                self.push(item.problem(
                    format!("`{word}` is not the id of one bot"),
                    "name each bot by its id on the platform: bots that answer whoever speaks never end",
                ));
            } else {
                bots.push(word);
            }
        }
        bots
    }

    fn api_base(&mut self, given: &At<String>) -> Option<String> {
        let url = self.web_url(given, "https://slack.com/api/")?;
        if url.scheme() == "http" && !is_loopback(&url) {
            self.push(given.warning(
                "is not https: the bot's secrets cross the network unprotected",
                "use https, or a tunnel that ends on this machine",
            ));
        }
        let mut base = url.to_string();
        if !base.ends_with('/') {
            base.push('/');
        }
        Some(base)
    }

    fn secrets(&mut self, raw: &RawBot) -> BTreeMap<String, SecretText> {
        raw.secrets
            .iter()
            .filter_map(|(name, given)| Some((name.clone(), self.secret(given)?)))
            .collect()
    }

    /// Guests read settings: a secret has no place here, not even by reference.
    fn settings(&mut self, raw: &RawBot) -> BTreeMap<String, String> {
        let mut settings = BTreeMap::new();
        for (name, given) in &raw.settings {
            if secret::is_reference(&given.value) || secret::looks_secret(&given.value) {
                self.push(given.problem(
                    "looks like a secret, and adapters read their settings",
                    format!("secrets stand in `secrets = {{ {name} = \"env:NAME\" }}`, which no adapter sees"),
                ));
            } else {
                settings.insert(name.clone(), given.value.clone());
            }
        }
        settings
    }

    fn grant_hosts(&mut self, raw: &RawBot) -> Vec<String> {
        let items = raw.grant_hosts.as_ref().map_or(&[][..], |list| &list.value);
        let hint = "scheme and host, and a port if it is not the usual one: `https://files.example.com`, \
                    `wss://*.example.com`, `http://10.0.0.5:8065`";
        let mut hosts = Vec::new();
        for item in items {
            // A pattern's `*` is no letter of a host name: check it as if one label stood there.
            let url = url::Url::parse(&item.value.replacen("://*.", "://any.", 1));
            let good = url.is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https" | "ws" | "wss")
                    && url
                        .host_str()
                        .is_some_and(|host| !host.is_empty() && !host.contains('*'))
                    && url.username().is_empty()
                    && url.password().is_none()
                    && url.path().trim_end_matches('/').is_empty()
                    && url.query().is_none()
                    && url.fragment().is_none()
            });
            if good {
                hosts.push(item.value.trim_end_matches('/').to_owned());
            } else {
                self.push(item.problem(format!("`{}` is not a host to grant", item.value), hint));
            }
        }
        hosts
    }

    fn size(&mut self, given: Option<&At<String>>, range: RangeInclusive<usize>, default: usize) -> usize {
        let Some(given) = given else { return default };
        match unit::size(&given.value) {
            None => {
                self.push(given.problem(
                    format!("`{}` is not a size", given.value),
                    "a whole number with `KiB`, `MiB` or `GiB`: `64MiB`",
                ));
                default
            }
            Some(bytes) if !range.contains(&bytes) => {
                self.push(given.problem(
                    format!("`{}` is out of range", given.value),
                    format!(
                        "at least {}, at most {}",
                        unit::show_size(*range.start()),
                        unit::show_size(*range.end())
                    ),
                ));
                default
            }
            Some(bytes) => bytes,
        }
    }

    /// A key without which there is no bot. Silent if it stands there in a wrong type, which was told.
    fn missing(&mut self, raw: &RawBot, key: &str, hint: &str) {
        if !stands(raw, key) {
            self.push(raw.place.below(key).problem("is missing", hint));
        }
    }
}

/// The key is in the file, though perhaps in a wrong type.
fn stands(raw: &RawBot, key: &str) -> bool {
    raw.given.iter().any(|given| given == key)
}

/// Without `.` and `..`, by the words alone: the folder need not be there yet.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}
