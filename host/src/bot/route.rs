//! Messages that go to several agents at once, or from one to the next. All of a run is in the store, and each part of
//! it is an item of the inbox of its own: duplicates stop there, and what carries messages on after a restart carries
//! these on. What happened is read from the turns, so nothing depends on hearing of an end in time.

mod record;
mod run;
mod stop;
mod words;

use std::collections::BTreeSet;

use tracing::{debug, warn};

use self::record::{begin_step, go_on_in, run_now};
pub(super) use self::stop::NOT_STORED;
use super::Bot;
use super::address::To;
use super::dispatch::warning;
use super::gather::{Gathered, Heard};
use super::lanes::Work;
use crate::access::{Admission, admit};
use crate::chat::{BotName, InboxId, Item, Origin, RouteStep, Routed, SessionKey, Target, What, now};
use crate::config::{Route, WhileRunning};
use crate::session::{Ended, Prompt, SubmitError};
use crate::store::{Came, InboxState, Result as StoreResult, RunRow, Store, StoreError, TurnKind};

/// Where a message is to go that is for more than one agent.
#[derive(Debug, Clone)]
pub(super) struct Course {
    /// None: several agents were named.
    route: Option<String>,
    steps: Vec<RouteStep>,
}

impl Course {
    /// The agents of the first step.
    pub(super) fn first(&self) -> &[String] {
        self.steps.first().map_or(&[], |step| &step.to)
    }

    /// The agents of all steps.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().flat_map(|step| &step.to).map(String::as_str)
    }

    /// Where a message goes that is for these. None: to one agent, the one behind it or the first.
    pub(super) fn of<'a>(to: &To<'a>) -> (Option<Self>, Option<&'a str>) {
        match to {
            To::Route(route) => (Some(Self::along(route)), None),
            To::Agents(names) if names.len() > 1 => (Some(Self::to_all(names)), None),
            To::Agents(names) => (None, names.first().copied()),
            To::First => (None, None),
        }
    }

    fn along(route: &Route) -> Self {
        Self {
            route: Some(route.name.clone()),
            steps: route.steps.clone(),
        }
    }

    fn to_all(agents: &[&str]) -> Self {
        let step = RouteStep {
            to: agents.iter().map(|agent| (*agent).to_owned()).collect(),
            say: None,
        };
        Self {
            route: None,
            steps: vec![step],
        }
    }
}

impl Bot {
    /// The message is a run from here on, or stays in the inbox.
    pub(super) async fn set_out(&self, heard: Heard, course: Course, gathered: Gathered) -> Work {
        let inner = &self.inner;
        let message = self.compose(&heard.origin, &heard.message, &gathered);
        let Some(first) = course.steps.first() else {
            return self.done(heard.id).await;
        };
        let mut row = RunRow {
            id: heard.id,
            bot: inner.config.name.clone(),
            session: heard.key.clone(),
            route: course.route,
            step: 0,
            text: run::opening(first, &message),
            steps: course.steps,
            parts: Vec::new(),
            missed: Vec::new(),
            stopped: false,
            open: true,
            target: Target {
                conversation: heard.conversation.clone(),
                reply_to: heard.origin.reply_to.clone(),
                private_to: None,
            },
            via: None,
            origin: heard.origin.clone(),
            message,
            files: gathered.files,
            now: heard.way == WhileRunning::Interrupt,
        };
        let (id, also) = (heard.id, heard.also);
        let begun = inner.journal.write(move |store| {
            let items = begin_step(store, &mut row)?;
            store.run_put(&row, now())?;
            for id in also.into_iter().chain([id]) {
                store.inbox_state(id, InboxState::Done)?;
            }
            Ok(items)
        });
        match begun.await {
            Ok(items) => {
                debug!(bot = %inner.config.name, session = %heard.key, run = id.0, "a message goes to several agents");
                self.hand_out(items).await;
                self.tell_missing(&heard.origin, &gathered.missing).await;
                Work::Done
            }
            // It stays in the inbox.
            Err(error) => {
                warn!(bot = %inner.config.name, %error, "a message for several agents could not be stored; it is tried again");
                Work::Again
            }
        }
    }

    /// The parts of the first step, each to its session before this returns: what is said to one of these agents later is
    /// behind it.
    async fn hand_out(&self, items: Vec<(InboxId, Item)>) {
        let each = items.into_iter().map(|(id, item)| async move {
            if let What::Routed(routed) = &item.what
                && self.inner.lanes.begin(id)
            {
                let carried = self.carry(id, &item.origin, routed).await;
                self.inner.lanes.finish(id);
                if carried == Work::Again {
                    self.later();
                }
            }
        });
        futures_util::future::join_all(each).await;
    }

    fn give_out(&self, items: Vec<(InboxId, Item)>) {
        for (id, item) in items {
            self.inner.lanes.offer(id, &item.origin.conversation);
        }
    }

    /// One agent's part: a turn of its session, or what it is that there is none.
    pub(super) async fn carry(&self, id: InboxId, origin: &Origin, routed: &Routed) -> Work {
        let inner = &self.inner;
        let wanted = routed.run;
        let run = match inner.journal.read(move |store| run_now(store, wanted)).await {
            Ok(run) => {
                run.filter(|run| run.open && run.parts.iter().any(|part| part.item == id && part.came.is_none()))
            }
            Err(StoreError::Damaged(error)) => {
                return match self.end_damaged(wanted, &error).await {
                    Ok(()) => self.done(id).await,
                    Err(_) => Work::Again,
                };
            }
            Err(error) => {
                warn!(bot = %inner.config.name, %error, "a run could not be read; it is tried again");
                return Work::Again;
            }
        };
        let Some(run) = run else { return self.done(id).await };
        if run.stopped {
            return self.did_not(id, wanted, Came::Stopped).await;
        }
        if admit(&inner.config, &origin.sender, &origin.conversation) != Admission::Allowed {
            let why = "who asked may not talk here any more";
            return self.did_not(id, wanted, Came::Failed(why.to_owned())).await;
        }
        if !inner.config.every_agent().any(|agent| agent == routed.agent) {
            let why = "it is no agent of this bot any more";
            return self.did_not(id, wanted, Came::Failed(why.to_owned())).await;
        }
        let key = inner.registry.key_of(&run.session, &routed.agent);
        let brings = run.steps.get(run.step).is_some_and(run::brings_files);
        let prompt = Prompt {
            way: match run.now && run.step == 0 {
                true => WhileRunning::Interrupt,
                false => WhileRunning::Queue,
            },
            kind: TurnKind::Message,
            inbox: Some(id),
            also: Vec::new(),
            // Beside what was said to this agent alone since.
            place: (run.step == 0).then_some(wanted),
            asker: origin.sender.id.clone(),
            text: run.text,
            target: run.target,
            files: if brings { run.files } else { Vec::new() },
        };
        match inner.registry.submit(&key, prompt).await {
            Ok(turn) => {
                debug!(bot = %inner.config.name, session = %key, %turn, "a turn of a run was opened");
                // Stopped while it was opened.
                let run = inner.journal.read(move |store| store.run_get(wanted)).await;
                if run.is_ok_and(|run| run.is_some_and(|run| run.stopped)) {
                    inner.registry.stop_turn(&key, &turn).await;
                }
                Work::Done
            }
            Err(SubmitError::Full(waiting)) => {
                let why = format!("{waiting} messages wait for it already");
                self.did_not(id, wanted, Came::Failed(why)).await
            }
            Err(SubmitError::Unavailable(error)) => {
                warn!(bot = %inner.config.name, session = %key, %error, "a turn of a run could not be opened; it is tried again");
                Work::Again
            }
            // It is taken up at the next start.
            Err(SubmitError::Closed) => Work::Beside,
        }
    }

    /// There will be no turn for this part.
    async fn did_not(&self, id: InboxId, run: InboxId, came: Came) -> Work {
        let written = self.inner.journal.write(move |store| {
            store.inbox_state(id, InboxState::Done)?;
            let Some(mut run) = store.run_get(run)? else {
                return Ok(());
            };
            for part in run.parts.iter_mut().filter(|part| part.item == id) {
                part.came = Some(came.clone());
            }
            store.run_put(&run, now())
        });
        if let Err(error) = written.await {
            warn!(bot = %self.inner.config.name, %error, "a run could not be stored; it is tried again");
            return Work::Again;
        }
        self.inner.ended.tell(id);
        Work::Done
    }

    /// Goes on with every run of which a turn ended, until the bot stops.
    pub(super) async fn run_routes(self) {
        let inner = &self.inner;
        loop {
            let due = tokio::select! {
                () = inner.stop.cancelled() => return,
                due = inner.ended.next() => due,
            };
            let (name, items) = (inner.config.name.clone(), due.clone());
            let runs = inner.journal.read(move |store| runs_of(store, &name, &items));
            let went = match runs.await {
                Ok(runs) => self.go_on(runs).await,
                Err(error) => Err(error),
            };
            if let Err(error) = went {
                warn!(bot = %inner.config.name, %error, "a run could not go on; it is tried again");
                let bot = self.clone();
                self.in_a_while(move || due.into_iter().for_each(|id| bot.inner.ended.tell(id)));
            }
        }
    }

    /// Takes up the runs that a former host left.
    pub(super) async fn take_up_runs(&self) -> StoreResult<()> {
        let name = self.inner.config.name.clone();
        let left = self.inner.journal.read(move |store| {
            let runs = store.runs_open(&name)?.into_iter().map(|run| run.id);
            Ok(runs.chain(store.runs_damaged(&name)?).collect())
        });
        self.go_on(left.await?).await
    }

    async fn go_on(&self, runs: BTreeSet<InboxId>) -> StoreResult<()> {
        for run in runs {
            let went = self.inner.journal.write(move |store| go_on_in(store, run)).await;
            let done = match went {
                // It would be at every try.
                Err(StoreError::Damaged(error)) => {
                    self.end_damaged(run, &error).await?;
                    continue;
                }
                went => went?,
            };
            self.give_out(done.items);
            if let Some((target, view)) = done.word {
                self.inner.outbox.settle(&target, view);
            }
        }
        Ok(())
    }

    /// What is kept of a run cannot be read: it is over, and whoever began it is told so once.
    async fn end_damaged(&self, run: InboxId, why: &str) -> StoreResult<()> {
        let inner = &self.inner;
        let end = inner.journal.write(move |store| {
            let ended = store.run_end(run)?;
            let began = match store.inbox_get(run) {
                Err(StoreError::Damaged(_)) => None,
                row => row?,
            };
            Ok(began.filter(|_| ended))
        });
        if let Some(row) = end.await? {
            warn!(bot = %inner.config.name, run = run.0, why, "a run is damaged and ends here");
            let text = "botyard can no longer read what it had kept of this; please say it again.";
            self.say(&row.item.origin, warning(text), false).await;
        }
        Ok(())
    }

    /// A line for each run here that is not over.
    pub(super) async fn runs_at_work(&self, base: &SessionKey) -> String {
        let name = self.inner.config.name.clone();
        let runs = self.inner.journal.read(move |store| store.runs_open(&name)).await;
        let here = |run: &RunRow| run.session == *base;
        let line = |run: RunRow| {
            let route = run.route.as_ref()?;
            Some(format!(
                "\n\nThe route `{route}` is at step {} of {}.",
                run.step + 1,
                run.steps.len()
            ))
        };
        runs.unwrap_or_default()
            .into_iter()
            .filter(here)
            .filter_map(line)
            .collect()
    }

    /// What turns that ended are told to, where there may be runs.
    pub(super) fn ends(config: &crate::config::BotConfig, ended: &Ended) -> Option<Ended> {
        (!config.agents.is_empty() || !config.routes.is_empty()).then(|| ended.clone())
    }
}

/// The runs that these items are parts of.
fn runs_of(store: &mut dyn Store, bot: &BotName, items: &BTreeSet<InboxId>) -> StoreResult<BTreeSet<InboxId>> {
    let mut runs = BTreeSet::new();
    let mut damaged = Vec::new();
    for &id in items {
        match store.inbox_get(id) {
            Ok(row) => runs.extend(row.and_then(|row| match row.item.what {
                What::Routed(routed) => Some(routed.run),
                _ => None,
            })),
            Err(StoreError::Damaged(_)) => damaged.push(id),
            Err(error) => return Err(error),
        }
    }
    if !damaged.is_empty() {
        // The runs know their parts too.
        let of = store.runs_open(bot)?.into_iter();
        let of = of.filter(|run| run.parts.iter().any(|part| damaged.contains(&part.item)));
        runs.extend(of.map(|run| run.id));
    }
    Ok(runs)
}

#[cfg(test)]
mod tests;
