//! One bot: the only place where adapter and session meet. Takes events from transports, has them translated and
//! stored, judges presses and commands, lets people in or not, and hands messages to sessions; shows views through
//! the adapter.

mod address;
mod album;
mod change;
mod command;
mod connection;
mod dispatch;
mod gather;
mod history;
mod intake;
mod judge;
mod lanes;
mod offer;
mod operator;
mod others;
mod people;
mod presenter;
mod route;
mod shortcut;
mod start;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use self::lanes::Word;
use crate::access::{PerUserPace, RefusalPace};
use crate::chat::{Answer, CallError, Event, Health, InboxId, Origin, Translated, Verdict, What, now};
use crate::config::BotConfig;
use crate::inbox::{Accepted, Inbox};
use crate::manifest::Ability;
use crate::outbox::{BoxFuture, Outbox};
use crate::plugin::files::Files;
use crate::plugin::{Adapter, Emitted, LinkHost};
use crate::session::{Ended, Registry};
use crate::store::{AskRow, InboxState, Journal};
use crate::transport::{Accepted as Taken, Connected, Inlet};

pub use connection::Connection;
pub use gather::FILES;
pub use start::{BotError, Parts};

/// Of the time in which a vendor wants its answer, this part is the translation's at most; the rest is for storing
/// and for the immediate word.
const TRANSLATION_SHARE: f64 = 0.6;
/// How often raw events whose translation failed are tried again.
const ASIDE_ATTEMPTS: u32 = 5;

/// A handle on one running bot. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bot {
    inner: Arc<Inner>,
}

struct Inner {
    config: BotConfig,
    adapter: Adapter,
    journal: Journal,
    inbox: Inbox,
    outbox: Outbox,
    registry: Registry,
    lanes: lanes::Lanes,
    /// Turns that ended, of which some are part of a run.
    ended: Ended,
    /// Messages that something is brought for.
    gathering: Arc<gather::Queues>,
    people: people::People,
    /// Parts of messages that come as several events.
    albums: album::Albums,
    /// A raw event could not be translated in time and may be tried again.
    set_aside: Notify,
    per_user: PerUserPace,
    refusals: RefusalPace,
    abilities: Vec<Ability>,
    /// Who the bot is on the platform is known: it may listen.
    introduced: AtomicBool,
    connection: connection::Line,
    intake: mpsc::Sender<intake::Waiting>,
    last_event: AtomicI64,
    events: AtomicU64,
    malformed: AtomicU64,
    skipped: AtomicU64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bot")
            .field("name", &self.config.name)
            .finish_non_exhaustive()
    }
}

/// What `status` says of a bot.
#[derive(Debug, Clone)]
pub struct Summary {
    pub name: String,
    pub adapter: String,
    /// Its agents, the first before the others.
    pub agent: String,
    pub connection: Connection,
    pub sessions_live: usize,
    /// Those of them whose agent runs something in the background.
    pub sessions_background: usize,
    /// Milliseconds since 1970; none: nothing came since the start.
    pub last_event: Option<i64>,
    pub events: u64,
    /// Events that could not be understood.
    pub malformed: u64,
    /// Events that came to nothing: of a kind that is not for the bot, or with nothing in them that an adapter may tell.
    pub skipped: u64,
    /// Guest calls that failed, and why the last did.
    pub failures: (u64, Option<String>),
}

impl Bot {
    /// What an operator wants to know now.
    pub fn summary(&self) -> Summary {
        let inner = &self.inner;
        let last = inner.last_event.load(Ordering::Relaxed);
        let live = inner.registry.live();
        Summary {
            name: inner.config.name.to_string(),
            adapter: inner.adapter.about().platform.clone(),
            agent: inner.config.every_agent().collect::<Vec<_>>().join(", "),
            connection: inner.connection.now(),
            sessions_live: live.len(),
            sessions_background: live.values().filter(|now| now.background > 0).count(),
            last_event: (last > 0).then_some(last),
            events: inner.events.load(Ordering::Relaxed),
            malformed: inner.malformed.load(Ordering::Relaxed),
            skipped: inner.skipped.load(Ordering::Relaxed),
            failures: inner.adapter.failures(),
        }
    }

    /// A question ran out of time.
    pub async fn expire(&self, ask: &AskRow) {
        self.inner.registry.expire(ask).await;
    }

    /// What it keeps of the files that came and go.
    pub fn files(&self) -> &Files {
        self.inner.adapter.files()
    }

    /// The bot's outbox, for the operator's `outbox retry`.
    pub fn outbox(&self) -> &Outbox {
        &self.inner.outbox
    }

    /// Translates and stores one event, then gives the immediate word. The whole of it runs to its end even when
    /// the vendor hangs up: what was stored is always dispatched.
    async fn take(&self, event: Event, within: Duration) -> Taken {
        let bot = self.clone();
        let task = self
            .inner
            .tasks
            .spawn(async move { bot.take_here(event, within).await });
        task.await.unwrap_or(Taken::Unavailable)
    }

    async fn take_here(&self, event: Event, within: Duration) -> Taken {
        let begun = Instant::now();
        let translated = self.translated(&event, begun, within).await;
        match self.stored(&event, translated).await {
            Ok((accepted, answer)) => self.answered(self.hand_in(accepted), answer, begun + within).await,
            Err(taken) => taken,
        }
    }

    /// The adapter's word on the event, in its share of the time.
    async fn translated(&self, event: &Event, begun: Instant, within: Duration) -> Result<Translated, Untranslated> {
        let inner = &self.inner;
        // A bot that does not know itself would answer itself: vendors are asked to come again.
        if inner.stop.is_cancelled() || !inner.introduced.load(Ordering::Acquire) {
            return Err(Untranslated::NotNow);
        }
        inner.events.fetch_add(1, Ordering::Relaxed);
        inner.last_event.store(event.received, Ordering::Relaxed);
        inner.connection.heard();
        let share = begun + within.mul_f64(TRANSLATION_SHARE);
        match timeout_at(share, inner.adapter.translate(event)).await {
            Ok(Ok(translated)) => Ok(translated),
            Ok(Err(CallError::Unauthorized(_))) => Err(Untranslated::Forged),
            Ok(Err(error @ (CallError::Trapped(_) | CallError::Unavailable(_) | CallError::RateLimited(_)))) => {
                Err(Untranslated::Later(error.to_string()))
            }
            Ok(Err(error)) => Err(Untranslated::Never(error.to_string())),
            Err(_) => Err(Untranslated::Later("the adapter was late".to_owned())),
        }
    }

    /// Stores what an event came to, or sets the event aside. What was new, and the adapter's answer; or the whole
    /// outcome where nothing is to be dispatched.
    async fn stored(
        &self,
        event: &Event,
        translated: Result<Translated, Untranslated>,
    ) -> Result<(Vec<Accepted>, Option<Answer>), Taken> {
        let inner = &self.inner;
        let translated = match translated {
            Ok(translated) => translated,
            Err(Untranslated::NotNow) => return Err(Taken::Unavailable),
            Err(Untranslated::Forged) => return Err(Taken::Forged),
            Err(Untranslated::Later(reason)) => return Err(self.put_aside(event, &reason, true).await),
            Err(Untranslated::Never(reason)) => return Err(self.put_aside(event, &reason, false).await),
        };
        self.keep(translated).await.map_err(|error| {
            warn!(bot = %inner.config.name, %error, "an event could not be stored; the vendor is asked to send it again");
            Taken::Unavailable
        })
    }

    async fn keep(&self, mut translated: Translated) -> crate::store::Result<(Vec<Accepted>, Option<Answer>)> {
        let inner = &self.inner;
        if translated.items.is_empty() {
            inner.skipped.fetch_add(1, Ordering::Relaxed);
        }
        translated.items.retain(|item| others::is_heard(&inner.config, item));
        let mut accepted = inner.inbox.accept(&inner.config.name, translated.items).await?;
        accepted.retain(|one| one.fresh);
        Ok((accepted, translated.answer))
    }

    /// Hands items to their lanes, which keep them in this order. Those who wait for a word are not carried out before it:
    /// the word is given by [`Bot::answered`].
    fn hand_in(&self, accepted: Vec<Accepted>) -> Vec<(Accepted, Word)> {
        let mut spoken = Vec::new();
        for one in accepted {
            let lanes = &self.inner.lanes;
            let word = Self::wants_word(&one.item.what).then(|| lanes.word_first(one.id));
            lanes.offer(one.id, &one.item.origin.conversation);
            spoken.extend(word.map(|word| (one, word)));
        }
        spoken
    }

    /// Gives the immediate words.
    async fn answered(&self, spoken: Vec<(Accepted, Word)>, mut answer: Option<Answer>, deadline: Instant) -> Taken {
        for (one, word) in spoken {
            if let Some(said) = self.immediate_word(&one, deadline).await {
                answer = Some(said);
            }
            self.inner.lanes.give_word(one.id, word);
        }
        Taken::Stored(answer)
    }

    /// The immediate word to a press or a command. A press that is judged here is carried out by its lane.
    async fn immediate_word(&self, one: &Accepted, deadline: Instant) -> Option<Answer> {
        let verdict = match &one.item.what {
            What::Press(press) => match timeout_at(deadline, self.judge(one.id, &one.item.origin, press)).await {
                Ok(verdict) => verdict,
                Err(_) => return None,
            },
            What::Command(command) => match self.ask_for_words(&one.item.origin, command).await {
                Some(verdict) => {
                    let word = self.word(&one.item.origin, &verdict, deadline).await;
                    if word.is_none() {
                        self.say_how_to_ask(&one.item.origin).await;
                    }
                    return word;
                }
                None => Verdict::Later(
                    crate::command::named(&command.name, &command.arguments).is_none_or(|row| row.private),
                ),
            },
            _ => return None,
        };
        self.word(&one.item.origin, &verdict, deadline).await
    }

    /// Whoever did this waits for an immediate word.
    const fn wants_word(what: &What) -> bool {
        matches!(what, What::Press(_) | What::Command(_))
    }

    async fn word(&self, to: &Origin, verdict: &Verdict, deadline: Instant) -> Option<Answer> {
        if !self.inner.adapter.offers().interaction {
            return None;
        }
        match timeout_at(deadline, self.inner.adapter.respond(to, verdict)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                warn!(bot = %self.inner.config.name, %error, "the immediate word was not given");
                None
            }
            Err(_) => {
                warn!(bot = %self.inner.config.name, "the immediate word was late");
                None
            }
        }
    }

    /// What cannot be translated is kept for the operator and acknowledged, so that no ordered vendor jams.
    async fn put_aside(&self, event: &Event, reason: &str, again: bool) -> Taken {
        let inner = &self.inner;
        inner.malformed.fetch_add(1, Ordering::Relaxed);
        warn!(bot = %inner.config.name, %reason, again, "an event could not be translated and is set aside");
        match inner.inbox.aside(&inner.config.name, event, reason, again).await {
            Ok(_) => {
                if again {
                    inner.set_aside.notify_one();
                }
                Taken::Stored(None)
            }
            Err(error) => {
                warn!(bot = %inner.config.name, %error, "an event could not be set aside");
                Taken::Unavailable
            }
        }
    }

    /// Tries again what was set aside because the guest failed or was late, with growing pauses.
    async fn retry_aside(self) {
        let inner = &self.inner;
        loop {
            tokio::select! {
                () = inner.stop.cancelled() => return,
                () = inner.set_aside.notified() => {}
            }
            for attempt in 0..ASIDE_ATTEMPTS {
                let pause = Duration::from_secs(2u64.pow(attempt));
                tokio::select! {
                    () = inner.stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                let name = inner.config.name.clone();
                let rows = inner
                    .journal
                    .read(move |s| s.aside_list(Some(&name), true, 256))
                    .await
                    .unwrap_or_default();
                if rows.is_empty() {
                    break;
                }
                for row in rows {
                    let again = row.attempts + 1 < ASIDE_ATTEMPTS;
                    match inner.adapter.translate(&row.event).await {
                        Ok(translated) => {
                            let within = Instant::now() + Duration::from_secs(10);
                            if let Ok((accepted, answer)) = self.keep(translated).await {
                                self.answered(self.hand_in(accepted), answer, within).await;
                                let _ = inner.journal.write(move |s| s.aside_remove(row.id)).await;
                            }
                        }
                        Err(error) => {
                            let reason = error.to_string();
                            let _ = inner
                                .journal
                                .write(move |s| s.aside_failed(row.id, &reason, again))
                                .await;
                        }
                    }
                }
            }
        }
    }

    /// Nothing more is to be done for this item. `Beside`: that could not be kept, so it comes again with the next start, and not
    /// before.
    async fn done(&self, id: InboxId) -> lanes::Work {
        if let Err(error) = self
            .inner
            .journal
            .write(move |s| s.inbox_state(id, InboxState::Done))
            .await
        {
            warn!(bot = %self.inner.config.name, %error, "an item could not be marked as done; it comes again after a restart");
            return lanes::Work::Beside;
        }
        lanes::Work::Done
    }

    fn can(&self, ability: Ability) -> bool {
        self.inner.abilities.contains(&ability)
    }

    /// Ends the bot: nothing new is taken, running turns may finish within `within`.
    pub async fn close(&self, within: Duration) {
        let inner = &self.inner;
        inner.stop.cancel();
        let end = Instant::now() + within;
        inner.registry.close(within).await;
        inner
            .outbox
            .close(
                end.saturating_duration_since(Instant::now())
                    .max(Duration::from_secs(1)),
            )
            .await;
        inner.tasks.close();
        if timeout_at(end + Duration::from_secs(2), inner.tasks.wait())
            .await
            .is_err()
        {
            warn!(bot = %inner.config.name, "tasks were still busy at the end");
        }
    }
}

/// Why there are no items of an event.
enum Untranslated {
    /// The bot takes nothing now.
    NotNow,
    Forged,
    /// Another try may go well.
    Later(String),
    Never(String),
}

impl Inlet for Bot {
    fn accept<'a>(&'a self, event: Event, within: Duration) -> BoxFuture<'a, Taken> {
        Box::pin(self.take(event, within))
    }
}

impl Connected for Bot {
    fn enqueue<'a>(&'a self, event: Event, within: Duration) -> BoxFuture<'a, BoxFuture<'static, Taken>> {
        Box::pin(self.line_up(event, within))
    }

    fn report(&self, health: Health) {
        self.set_health(&health);
    }

    fn heard(&self) {
        self.inner.connection.heard();
    }
}

impl LinkHost for Bot {
    fn emit<'a>(&'a self, event: Event, within: Duration) -> BoxFuture<'a, BoxFuture<'static, Emitted>> {
        Box::pin(self.line_up_link(event, within))
    }

    fn report(&self, health: Health) {
        self.set_health(&health);
    }

    fn heard(&self) {
        self.inner.connection.heard();
    }
}

/// Seconds as people say them.
pub(crate) fn ago(then: i64) -> String {
    long((now() - then).max(0) / 1000)
}

fn long(seconds: i64) -> String {
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
