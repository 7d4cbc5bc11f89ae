//! Where a session lives on disk. Ids come from vendors and are anything: only hashes and a few plain letters of
//! them ever become part of a path.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::SessionRules;
use crate::chat::{BotName, Conversation, SessionKey};
use crate::config::{AgentProfile, DriverKind, Login, Scope};
use crate::store::SessionRow;

/// What says where the sessions of one agent of one bot live.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    pub bot: &'a BotName,
    pub agent: &'a AgentProfile,
    /// The bot's workspace; sessions get folders below it unless it is shared.
    pub workspace: &'a Path,
    pub shared: bool,
    /// The host's data folder.
    pub data_dir: &'a Path,
}

/// The folders of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folders {
    pub(super) workspace: PathBuf,
    /// In it: what the agent leaves there goes into the chat. Of one session alone, also in a workspace of many.
    pub(super) outbox: PathBuf,
    /// None: the operator's own login.
    pub(super) config: Option<PathBuf>,
    pub(super) temp: PathBuf,
}

impl Folders {
    /// Where this session works since its last `new`. Absolute: the CLI runs elsewhere. Touches no disk.
    pub(super) fn of(rules: &SessionRules, session: &SessionRow) -> Self {
        Self::at(&rules.ground(), session)
    }

    /// The same, for whoever has no rules.
    pub(super) fn at(ground: &Ground<'_>, session: &SessionRow) -> Self {
        let (key, epoch) = (&session.key, session.epoch);
        match &session.home {
            Some(home) => Self::named(ground, &numbered(home.to_owned(), epoch), home, home),
            None => {
                let whole = hash(&[key.as_str()], 16);
                Self::named(ground, &name(key, epoch), &whole, &hash(&[key.as_str()], 6))
            }
        }
    }

    /// The same for folders that a process had before they were a session's.
    pub(super) fn of_home(rules: &SessionRules, home: &str, epoch: u32) -> Self {
        Self::named(&rules.ground(), &numbered(home.to_owned(), epoch), home, home)
    }

    fn named(ground: &Ground<'_>, work: &str, config: &str, temp: &str) -> Self {
        let workspace = if ground.shared {
            ground.workspace.to_owned()
        } else {
            ground.workspace.join(work)
        };
        // Of the key and not of the person: a CLI keeps what it learnt in its config folder, and what was said in
        // private must not be found from a channel.
        let config = match ground.agent.login {
            Login::Operator => None,
            Login::ApiKey(_) | Login::Token(_) | Login::None => Some(
                ground
                    .data_dir
                    .join("users")
                    .join(plain(ground.bot.as_str(), 40))
                    .join(config)
                    .join(name_of(ground.agent)),
            ),
        };
        let outbox = workspace.join("outbox");
        let outbox = if ground.shared { outbox.join(work) } else { outbox };
        Self {
            outbox: absolute(&outbox),
            workspace: absolute(&workspace),
            config: config.as_deref().map(absolute),
            // Short: CLIs put Unix sockets there, whose paths end at 107 bytes.
            temp: absolute(&ground.data_dir.join("tmp").join(temp)),
        }
    }

    /// Makes what is not there.
    pub(super) async fn make(&self) -> std::io::Result<()> {
        tokio::fs::create_dir_all(&self.workspace).await?;
        for private in self.config.iter().chain([&self.temp]) {
            tokio::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(private)
                .await?;
        }
        Ok(())
    }
}

/// Stands between the key of a conversation and the name of an agent that is not the bot's first.
const AGENT_MARK: char = '@';

/// The key of this agent's own session, where the bot's first has `base`.
pub(super) fn key_of_agent(base: &SessionKey, agent: &str) -> SessionKey {
    SessionKey(format!("{base}{AGENT_MARK}{agent}"))
}

/// A key as the bot's first agent has it, and whose it is; none: the first one's.
pub(super) fn parts(key: &SessionKey) -> (&str, Option<&str>) {
    match key.as_str().rsplit_once(AGENT_MARK) {
        Some((base, agent)) => (base, Some(agent)),
        None => (key.as_str(), None),
    }
}

/// Whose session something said here by this person belongs to, if it is for the bot's first agent. Safe to print, at most
/// 120 characters; that of another agent is its name longer.
///
/// What was said in private never enters a channel: under `user` a private conversation is of the person alone,
/// and each channel has the person's sessions apart.
pub(super) fn key(bot: &BotName, scope: Scope, conversation: &Conversation, person: &str) -> SessionKey {
    let tenant = conversation.tenant.as_deref().unwrap_or_default();
    let channel = conversation.channel.as_str();
    let (word, readable, parts): (&str, &str, Vec<&str>) = match scope {
        Scope::User if conversation.direct => ("user", person, vec!["private", tenant, person]),
        Scope::User => ("user", person, vec!["channel", tenant, channel, person]),
        Scope::Thread => match &conversation.thread {
            Some(thread) => ("thread", channel, vec!["thread", tenant, channel, thread]),
            None => ("thread", channel, vec!["channel", tenant, channel]),
        },
        Scope::Channel => ("channel", channel, vec![tenant, channel]),
    };
    let mut whole = vec![bot.as_str(), word];
    whole.extend(parts);
    SessionKey(format!(
        "{}/{word}/{}-{}",
        plain(bot.as_str(), 40),
        plain(readable, 16),
        hash(&whole, 16)
    ))
}

/// Where an agent keeps its own: two agents of one session share nothing.
fn name_of(agent: &AgentProfile) -> String {
    match agent.driver {
        DriverKind::Claude => "claude".to_owned(),
        DriverKind::Acp => format!("acp-{}", agent.name),
        DriverKind::Exec => format!("exec-{}", agent.name),
    }
}

/// A folder's name: enough of the key to be recognised, and its hash.
fn name(key: &SessionKey, epoch: u32) -> String {
    let (base, agent) = parts(key);
    let readable = base.rsplit('/').next().unwrap_or_default();
    let readable = readable.rsplit_once('-').map_or(readable, |(readable, _)| readable);
    let agent = agent.map(|agent| format!("-{}", plain(agent, 24))).unwrap_or_default();
    let base = format!("{}{agent}-{}", plain(readable, 16), hash(&[key.as_str()], 8));
    numbered(base, epoch)
}

fn numbered(base: String, epoch: u32) -> String {
    if epoch == 0 { base } else { format!("{base}-{epoch}") }
}

/// One agent of one bot, as a folder's name.
pub(super) fn of_agent(bot: &BotName, agent: &AgentProfile) -> String {
    // The config takes no name that is more than letters, digits, `-` and `_`; without the last two would be one.
    format!("{}.{}", plain(bot.as_str(), 40), agent.name)
}

/// The folder of this name is of one of this bot's agents.
pub(super) fn is_of_bot(name: &str, bot: &BotName) -> bool {
    name.split_once('.')
        .is_some_and(|(of, _)| of == plain(bot.as_str(), 40))
}

/// The letters and digits of it, lower case, at most `max`; never empty, never `..`.
fn plain(text: &str, max: usize) -> String {
    let plain: String = text
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(max)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if plain.is_empty() { "x".to_owned() } else { plain }
}

/// Parts are told apart by their length, so that `a`+`bc` is not `ab`+`c`.
pub(super) fn hash(parts: &[&str], bytes: usize) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(&hasher.finalize()[..bytes])
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests;
