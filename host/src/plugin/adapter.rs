//! A component bound to a bot: each call in a fresh instance, the link in one that lives.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::call::{Failure, call};
use super::files::Files;
use super::link::{LinkState, MAILBOX, Question};
use super::sandbox::{Export, Service, Shown, State};
use super::v1::{Exports, account, attachments, from_guest, history, interaction, to_guest};
use super::{Adapter, BotServices, CallLimits, Component, LinkHost, Offers, Runtime};
use crate::chat::{
    Answer, Attachment, BotName, CallError, CommandSpec, Conversation, Event, FileRef, Finding, Origin, Person, Said,
    Target, Translated, Verdict, View, ViewState,
};
use crate::config::SecretText;
use crate::egress::Outlet;
use crate::manifest::About;
use crate::store::{Journal, StoreError};

/// Conversations whose buckets are remembered; beyond that the memory begins anew.
const BUCKETS_MAX: usize = 4096;
/// Where the bot's own person stands among its keys; a guest's keys begin otherwise.
const ME: &str = "host/me";

/// What shows drew from the rate limits: what the next ones will draw.
#[derive(Default)]
struct Drawn {
    by_conversation: HashMap<Conversation, DrawnHere>,
    /// By the newest update anywhere, from the buckets that conversations share.
    shared: Vec<(String, u32)>,
}

#[derive(Default)]
struct DrawnHere {
    last: Vec<String>,
    update: Option<Vec<(String, u32)>>,
}

/// What the calls of one bot's adapter share.
pub(super) struct Bound {
    pub(super) bot: BotName,
    pub(super) mode: String,
    pub(super) api_base: String,
    pub(super) secrets: BTreeMap<String, SecretText>,
    pub(super) outlet: Outlet,
    pub(super) journal: Journal,
    pub(super) files: Files,
    pub(super) about: Arc<About>,
    pub(super) limits: CallLimits,
    settings: BTreeMap<String, String>,
    hook_base: Option<String>,
    me: RwLock<Option<Person>>,
    link: Mutex<Option<mpsc::Sender<Question>>>,
    drawn: Mutex<Drawn>,
    failures: Mutex<(u64, Option<String>)>,
    refusals: AtomicU64,
}

impl Bound {
    pub(super) fn setting(&self, name: &str) -> Option<String> {
        let spec = self.about.settings.iter().find(|s| s.name == name)?;
        self.settings.get(name).or(spec.default.as_ref()).cloned()
    }

    pub(super) fn me(&self) -> Option<Person> {
        self.me.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn route_url(&self, route: &str) -> Option<String> {
        let base = self.hook_base.as_deref()?.trim_end_matches('/');
        Some(if route.is_empty() {
            base.to_owned()
        } else {
            format!("{base}/{route}")
        })
    }

    pub(super) fn running_link(&self) -> Option<mpsc::Sender<Question>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The guest used what this export may not.
    pub(super) fn refused(&self, export: Export, service: Service) {
        let count = self.refusals.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::warn!(bot = %self.bot, %export, %service, count, "the adapter used what it may not use here");
    }

    /// A call ended without an answer: counted, told to the operator.
    fn failed(&self, export: Export, failure: &Failure) -> CallError {
        tracing::warn!(bot = %self.bot, %export, reason = %failure.reason, "the adapter failed");
        tracing::debug!(bot = %self.bot, %export, last_words = %self.outlet.redact(&failure.last_words), "the adapter's stderr");
        let text = self.outlet.redact(&format!("{export}: {failure}"));
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.0 += 1;
        failures.1 = Some(text.clone());
        CallError::Trapped(text)
    }

    /// What it said breaks the interface's bounds.
    fn wrong(&self, export: Export, problem: &str) -> CallError {
        self.failed(
            export,
            &Failure {
                reason: format!("its answer is wrong: {problem}"),
                last_words: String::new(),
            },
        )
    }
}

/// While it is there, this bot's link runs.
struct Running<'a>(&'a Bound);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.link.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// One call of a function that answers `result<_, error>`, in a fresh instance: the guest's answer, or `return Err`.
macro_rules! ask {
    ($self:ident, $export:expr, |$exports:ident| $indices:expr, $method:ident($($argument:expr),*)) => {{
        let seat = $self.component.seat();
        let mut store = $self.state($export).into_store(seat.engine);
        let $exports = &seat.linked.exports;
        let indices = $indices;
        let answer = call!($export, store, seat.linked.pre, indices, $method($($argument),*));
        $self.answered($export, answer)?
    }};
}

fn interaction(exports: &Exports) -> Result<&interaction::GuestIndices, CallError> {
    exports.interaction.as_ref().ok_or(CallError::Missing("interaction"))
}

fn attachments(exports: &Exports) -> Result<&attachments::GuestIndices, CallError> {
    exports.attachments.as_ref().ok_or(CallError::Missing("attachments"))
}

fn account(exports: &Exports) -> Result<&account::GuestIndices, CallError> {
    exports.account.as_ref().ok_or(CallError::Missing("account"))
}

fn history(exports: &Exports) -> Result<&history::GuestIndices, CallError> {
    exports.history.as_ref().ok_or(CallError::Missing("history"))
}

impl Adapter {
    pub fn bind(_runtime: &Runtime, component: &Component, services: BotServices) -> Self {
        let bound = Bound {
            files: Files::new(&services.files_dir, &services.bot),
            bot: services.bot,
            mode: services.mode,
            api_base: services.api_base,
            secrets: services.secrets,
            outlet: services.outlet,
            journal: services.journal,
            about: Arc::clone(component.about()),
            limits: services.limits,
            settings: services.settings,
            hook_base: services.hook_base,
            me: RwLock::new(None),
            link: Mutex::new(None),
            drawn: Mutex::default(),
            failures: Mutex::new((0, None)),
            refusals: AtomicU64::new(0),
        };
        Self {
            component: component.clone(),
            bound: Arc::new(bound),
        }
    }

    pub fn about(&self) -> &Arc<About> {
        &self.bound.about
    }

    pub fn offers(&self) -> Offers {
        self.component.offers()
    }

    /// The bot's files.
    pub fn files(&self) -> &Files {
        &self.bound.files
    }

    fn state(&self, export: Export) -> State {
        State::new(export, self.bound.limits.clone(), Some(Arc::clone(&self.bound)))
    }

    fn answered<T>(
        &self,
        export: Export,
        answer: Result<Result<T, super::v1::types::Error>, Failure>,
    ) -> Result<T, CallError> {
        match answer {
            Ok(answer) => answer.map_err(from_guest::error),
            Err(failure) => Err(self.bound.failed(export, &failure)),
        }
    }

    /// Who the bot is: kept in the store; guests read it as `host.me`.
    pub fn set_me(&self, me: Person) {
        match serde_json::to_vec(&me) {
            Ok(json) => {
                let bot = self.bound.bot.clone();
                self.bound
                    .journal
                    .write_later(move |store| store.kv_put(&bot, ME, &json, None));
            }
            Err(error) => tracing::warn!(bot = %self.bound.bot, %error, "who the bot is cannot be kept"),
        }
        *self.bound.me.write().unwrap_or_else(PoisonError::into_inner) = Some(me);
    }

    /// Who the bot was when it last ran; guests read it as `host.me` from now on. None: it never ran.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn recall_me(&self) -> Result<Option<Person>, StoreError> {
        let bot = self.bound.bot.clone();
        let json = self
            .bound
            .journal
            .read(move |store| store.kv_get(&bot, ME, crate::chat::now()))
            .await?;
        let me: Option<Person> = json.and_then(|json| serde_json::from_slice(&json).ok());
        if let Some(me) = &me {
            *self.bound.me.write().unwrap_or_else(PoisonError::into_inner) = Some(me.clone());
        }
        Ok(me)
    }

    /// Whether this is the bot itself, as far as it is known.
    pub fn is_me(&self, id: &str) -> bool {
        self.bound.me().is_some_and(|me| me.id == id)
    }

    pub async fn translate(&self, event: &Event) -> Result<Translated, CallError> {
        let event = to_guest::event(event);
        let said = ask!(
            self,
            Export::Ingress,
            |exports| &exports.ingress,
            call_translate(&event)
        );
        from_guest::translated(said).map_err(|problem| self.bound.wrong(Export::Ingress, &problem))
    }

    pub async fn respond(&self, to: &Origin, verdict: &Verdict) -> Result<Option<Answer>, CallError> {
        let (to, verdict) = (to_guest::origin(to), to_guest::verdict(verdict));
        let said = ask!(
            self,
            Export::Interaction,
            |exports| interaction(exports)?,
            call_respond(&to, &verdict)
        );
        said.map(from_guest::answer)
            .transpose()
            .map_err(|problem| self.bound.wrong(Export::Interaction, &problem))
    }

    /// `memory.save`, `posted` and `moved` go to the journal as they come, for `turn`.
    pub async fn show(
        &self,
        view: &View,
        target: &Target,
        nonce: &str,
        memory: Option<Vec<u8>>,
    ) -> Result<Option<Duration>, CallError> {
        let mut state = self.state(Export::Delivery);
        state.shown = Some(Shown {
            turn: view.turn.clone(),
            conversation: target.conversation.clone(),
            update: memory.is_some() && matches!(view.state, ViewState::Running),
        });
        let seat = self.component.seat();
        let mut store = state.into_store(seat.engine);
        let (shown, place) = (to_guest::view(view), to_guest::target(target, nonce, memory));
        let answer = call!(
            Export::Delivery,
            store,
            seat.linked.pre,
            seat.linked.exports.delivery,
            call_show(&shown, &place)
        );
        self.remember_buckets(store.data());
        let pause = self.answered(Export::Delivery, answer)?;
        Ok(pause.map(|ms| Duration::from_millis(ms.into())))
    }

    fn remember_buckets(&self, state: &State) {
        let Some(shown) = &state.shown else { return };
        if state.buckets.is_empty() {
            // It sent nothing this time: what it drew from last still tells what comes next.
            return;
        }
        let mut drawn = self.drawn();
        if drawn.by_conversation.len() >= BUCKETS_MAX && !drawn.by_conversation.contains_key(&shown.conversation) {
            drawn.by_conversation.clear();
        }
        let calls = || state.buckets.iter().map(|(bucket, calls)| (bucket.clone(), *calls));
        if shown.update {
            drawn.shared = calls().filter(|(bucket, _)| !bucket.contains(':')).collect();
        }
        let here = drawn.by_conversation.entry(shown.conversation.clone()).or_default();
        here.last = state.buckets.keys().cloned().collect();
        if shown.update {
            here.update = Some(calls().collect());
        }
    }

    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        self.bound.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub async fn fetch(&self, attachment: &Attachment) -> Result<FileRef, CallError> {
        let attachment = to_guest::attachment(attachment);
        let said = from_guest::file(ask!(
            self,
            Export::Attachments,
            |exports| attachments(exports)?,
            call_fetch(&attachment)
        ));
        // It may rename what it brought, but only name what is there.
        match self.bound.files.path(&said.id) {
            Ok(_) => Ok(FileRef {
                name: super::files::plain_name(&said.name),
                ..said
            }),
            Err(problem) => Err(self.bound.wrong(Export::Attachments, &problem.to_string())),
        }
    }

    pub async fn me(&self) -> Result<Person, CallError> {
        let said = ask!(self, Export::Account, |exports| account(exports)?, call_me());
        from_guest::person(said).map_err(|problem| self.bound.wrong(Export::Account, &problem))
    }

    pub async fn check(&self) -> Result<Vec<Finding>, CallError> {
        let said = ask!(self, Export::Account, |exports| account(exports)?, call_check());
        Ok(said.into_iter().map(from_guest::finding).collect())
    }

    pub async fn announce(&self, commands: &[CommandSpec]) -> Result<(), CallError> {
        let commands: Vec<_> = commands.iter().map(to_guest::command).collect();
        ask!(
            self,
            Export::Account,
            |exports| account(exports)?,
            call_announce(&commands)
        );
        Ok(())
    }

    pub async fn who(&self, id: &str, conversation: &Conversation) -> Result<Person, CallError> {
        let conversation = to_guest::conversation(conversation);
        let said = ask!(
            self,
            Export::Account,
            |exports| account(exports)?,
            call_who(id, &conversation)
        );
        from_guest::person(said).map_err(|problem| self.bound.wrong(Export::Account, &problem))
    }

    /// At most so many messages from before this one (the vendor's id; none: up to the newest), oldest first.
    pub async fn before(
        &self,
        conversation: &Conversation,
        message: Option<&str>,
        at_most: u32,
    ) -> Result<Vec<Said>, CallError> {
        let conversation = to_guest::conversation(conversation);
        let said = ask!(
            self,
            Export::History,
            |exports| history(exports)?,
            call_before(&conversation, message, at_most)
        );
        let said: Result<Vec<Said>, String> = said.into_iter().map(from_guest::said).collect();
        let mut said = said.map_err(|problem| self.bound.wrong(Export::History, &problem))?;
        let most = usize::try_from(at_most).unwrap_or(usize::MAX);
        said.drain(..said.len().saturating_sub(most));
        Ok(said)
    }

    /// Runs `link.run` in one long-lived instance until it returns, traps, or `stop` is cancelled (then it is
    /// told to stop and given `grace`).
    pub async fn run_link(
        &self,
        host: Arc<dyn LinkHost>,
        stop: CancellationToken,
        grace: Duration,
    ) -> Result<(), CallError> {
        let seat = self.component.own_seat();
        let indices = seat.linked.exports.link.as_ref().ok_or(CallError::Missing("link"))?;
        let (asking, mailbox) = mpsc::channel(MAILBOX);
        {
            let mut link = self.bound.link.lock().unwrap_or_else(PoisonError::into_inner);
            if link.is_some() {
                return Err(CallError::Unavailable("the link runs already".to_owned()));
            }
            *link = Some(asking);
        }
        let _running = Running(&self.bound);
        let mut state = self.state(Export::Link);
        state.link = Some(Box::new(LinkState::new(host, stop.clone(), mailbox)));
        let mut store = state.into_store(seat.engine);
        let ended = {
            let run = async { call!(Export::Link, store, seat.linked.pre, indices, call_run()) };
            let over = async {
                stop.cancelled().await;
                tokio::time::sleep(grace).await;
            };
            tokio::select! {
                // A link that has ended in time has, also when both are ready.
                biased;
                ended = run => Some(ended),
                () = over => None,
            }
        };
        let ended = ended.unwrap_or_else(|| {
            Err(Failure {
                reason: format!("it was told to stop and did not within {} ms", grace.as_millis()),
                last_words: String::new(),
            })
        });
        self.answered(Export::Link, ended)
    }

    /// Buckets that the last show in this conversation drew from: what to ask the outlet before the next.
    pub fn buckets_of(&self, conversation: &Conversation) -> Vec<String> {
        let drawn = self.drawn();
        let here = drawn.by_conversation.get(conversation);
        here.map(|here| here.last.clone()).unwrap_or_default()
    }

    /// What an update of what stands in this conversation will draw, as far as that is known.
    pub fn calls_of_update(&self, conversation: &Conversation) -> Vec<(String, u32)> {
        let drawn = self.drawn();
        let here = drawn.by_conversation.get(conversation);
        here.and_then(|here| here.update.as_ref())
            .unwrap_or(&drawn.shared)
            .clone()
    }

    /// Calls that trapped, ran out of time or memory, since the start; the last reason.
    pub fn failures(&self) -> (u64, Option<String>) {
        self.bound
            .failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Uses of services that an export may not use, since the start.
    pub fn refusals(&self) -> u64 {
        self.bound.refusals.load(Ordering::Relaxed)
    }
}
