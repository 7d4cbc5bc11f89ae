//! What the running host answers to an operator's commands.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::bot::Bot;
use crate::chat::{BotName, Health, SessionId, TurnId};
use crate::control::{
    Adopted, BotStatus, ControlHandler, Copied, Letter, LetterText, Listed, StatusReport, TalkLog, Watching, letter,
    talk,
};
use crate::outbox::BoxFuture;
use crate::session::OPERATOR;
use crate::session::tail::{Line, Watcher};
use crate::store::{OutboxRow, SessionRow, StoreError, TurnPlace, TurnState};
use crate::supervisor::Host;

/// The host, as its control socket sees it.
#[derive(Debug)]
pub(super) struct Live {
    host: Host,
}

impl Live {
    pub(super) const fn new(host: Host) -> Self {
        Self { host }
    }

    async fn report(&self) -> Result<StatusReport, StoreError> {
        let mut bots = Vec::new();
        for bot in self.host.bots() {
            let summary = bot.summary();
            let name = BotName(summary.name);
            let asked = name.clone();
            let turns = self.host.journal().read(move |store| store.turns_open(&asked)).await?;
            let waiting = turns.iter().filter(|turn| turn.state == TurnState::Queued).count();
            let (connection, detail, retry_at) = match summary.connection.health {
                Health::Connecting => ("connecting", None, None),
                Health::Live => ("live", None, None),
                Health::Degraded { why, retry_at } => ("degraded", Some(why), retry_at),
                Health::Refused { why } => ("refused", Some(why), None),
            };
            bots.push(BotStatus {
                name,
                adapter: summary.adapter,
                connection: connection.to_owned(),
                since: Some(summary.connection.since),
                heard: summary.connection.heard,
                detail,
                retry_at,
                agent: summary.agent,
                sessions_live: summary.sessions_live as u64,
                sessions_background: summary.sessions_background as u64,
                running: (turns.len() - waiting) as u64,
                waiting: waiting as u64,
                last_event: summary.last_event,
                events: summary.events,
                skipped: summary.skipped,
                failures: summary.failures.0,
                last_failure: summary.failures.1,
            });
        }
        Ok(StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.host.started(),
            listen: self.host.listen().to_string(),
            bots,
            counts: self.host.journal().read(|store| store.counts()).await?,
        })
    }

    /// A session, and the bot that has it.
    async fn of_bot(&self, id: &SessionId) -> Result<(SessionRow, Option<&Bot>), String> {
        let session = words(talk::get(self.host.journal(), id).await)?;
        let bot = self.host.bots().find(|bot| *bot.name() == session.bot);
        Ok((session, bot))
    }

    /// The row is pending now: the bot's outbox is to take it up without a restart.
    fn deliver(&self, row: &OutboxRow) {
        let bot = self.host.bots().find(|bot| bot.summary().name == row.bot.as_str());
        if let (Some(bot), Some(view)) = (bot, &row.view) {
            bot.outbox().settle(&row.target, view.clone());
        }
    }
}

/// What all bots do, and what was before.
struct All {
    before: Vec<Line>,
    watchers: Vec<Watcher>,
}

impl Watching for All {
    fn next(&mut self) -> BoxFuture<'_, Vec<Line>> {
        Box::pin(async move {
            if !self.before.is_empty() {
                return std::mem::take(&mut self.before);
            }
            let all = self.watchers.iter_mut().map(|watcher| Box::pin(watcher.next()));
            match all.len() {
                // Nothing will ever happen.
                0 => std::future::pending().await,
                _ => futures_util::future::select_all(all).await.0,
            }
        })
    }
}

fn words<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

impl ControlHandler for Live {
    fn status(&self) -> BoxFuture<'_, Result<StatusReport, String>> {
        Box::pin(async { words(self.report().await) })
    }

    fn letters(&self) -> BoxFuture<'_, Result<Vec<Letter>, String>> {
        Box::pin(async { words(letter::list(self.host.journal()).await) })
    }

    fn letter(&self, turn: TurnId) -> BoxFuture<'_, Result<LetterText, String>> {
        Box::pin(async move { words(letter::show(self.host.journal(), &turn).await) })
    }

    fn retry(&self, turn: TurnId) -> BoxFuture<'_, Result<Letter, String>> {
        Box::pin(async move {
            let row = words(letter::retry(self.host.journal(), &turn).await)?;
            self.deliver(&row);
            Ok(row.into())
        })
    }

    fn discard(&self, turn: TurnId) -> BoxFuture<'_, Result<Letter, String>> {
        Box::pin(async move { words(letter::discard(self.host.journal(), &turn).await.map(Letter::from)) })
    }

    fn talks(&self, bot: Option<BotName>, said: Option<String>, skip: u32) -> BoxFuture<'_, Result<Listed, String>> {
        Box::pin(async move {
            let host = &self.host;
            let listed = talk::list(host.journal(), host.config(), bot, said.as_deref(), skip).await;
            let mut listed = words(listed)?;
            let live: HashMap<SessionId, u32> = self.host.bots().flat_map(|bot| bot.live_sessions()).collect();
            for talk in &mut listed.talks {
                let background = live.get(&talk.session.id);
                talk.live = Some(background.is_some());
                talk.background = background.copied().unwrap_or_default();
            }
            Ok(listed)
        })
    }

    fn session(&self, id: SessionId) -> BoxFuture<'_, Result<SessionRow, String>> {
        Box::pin(async move { words(talk::get(self.host.journal(), &id).await) })
    }

    fn talk(&self, id: SessionId, before: Option<TurnPlace>) -> BoxFuture<'_, Result<TalkLog, String>> {
        Box::pin(async move { words(talk::log(self.host.journal(), &id, before).await) })
    }

    fn interrupt(&self, id: SessionId) -> BoxFuture<'_, Result<bool, String>> {
        Box::pin(async move {
            let (session, bot) = self.of_bot(&id).await?;
            Ok(match bot {
                Some(bot) => bot.interrupt(&session).await,
                None => false,
            })
        })
    }

    fn fork(&self, id: SessionId, name: Option<String>, current: bool) -> BoxFuture<'_, Result<Copied, String>> {
        Box::pin(async move {
            let (session, bot) = self.of_bot(&id).await?;
            let bot = bot.ok_or_else(|| format!("bots.toml has no bot `{}` any more", session.bot))?;
            let (session, aside) = words(bot.fork(&session, name, current).await)?;
            let aside = aside.map(|why| why.to_string());
            Ok(Copied { session, aside })
        })
    }

    fn adopt(
        &self,
        id: SessionId,
        file: PathBuf,
        name: Option<String>,
        current: bool,
    ) -> BoxFuture<'_, Result<Adopted, String>> {
        Box::pin(async move {
            let (session, bot) = self.of_bot(&id).await?;
            let bot = bot.ok_or_else(|| format!("bots.toml has no bot `{}` any more", session.bot))?;
            let host = &self.host;
            let adopted = talk::adopt(host.journal(), host.config(), &id, file, name, false).await;
            let mut adopted = words(adopted)?;
            if current {
                let switched = bot.switch(&adopted.session).await;
                adopted.aside = switched.err().map(|why| why.to_string());
            }
            Ok(adopted)
        })
    }

    fn delete(&self, id: SessionId) -> BoxFuture<'_, Result<Vec<String>, String>> {
        Box::pin(async move {
            let (session, bot) = self.of_bot(&id).await?;
            match bot {
                Some(bot) => words(bot.delete(&session).await),
                None => words(talk::delete(self.host.journal(), self.host.config(), &id, OPERATOR).await),
            }
        })
    }

    fn attach(&self, id: SessionId, wait: bool) -> BoxFuture<'_, Result<SessionRow, String>> {
        Box::pin(async move {
            let (session, bot) = self.of_bot(&id).await?;
            let bot = bot.ok_or_else(|| format!("bots.toml has no bot `{}` any more", session.bot))?;
            words(bot.attach(&session, wait).await)
        })
    }

    fn returned(&self, id: SessionId) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let (session, bot) = self.of_bot(&id).await?;
            if let Some(bot) = bot {
                bot.returned(&session).await;
            }
            Ok(())
        })
    }

    fn tail(&self, id: Option<SessionId>, since: u32) -> BoxFuture<'_, Result<Box<dyn Watching>, String>> {
        Box::pin(async move {
            let of = match &id {
                Some(id) => Some(self.of_bot(id).await?.0.bot),
                None => None,
            };
            let bots = self
                .host
                .bots()
                .filter(|bot| of.as_ref().is_none_or(|of| of == bot.name()));
            // Watched first: what ends meanwhile is told twice rather than not at all.
            let watchers = bots.map(|bot| bot.watch(id.clone())).collect();
            let before = match &id {
                Some(id) => words(talk::ended(self.host.journal(), id, since).await)?,
                None => Vec::new(),
            };
            let all: Box<dyn Watching> = Box::new(All { before, watchers });
            Ok(all)
        })
    }
}
