//! A platform that answers as it is told and remembers what it was shown; turns that go on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::super::*;
use crate::chat::ViewState;
use crate::store::sqlite::SqliteStore;

/// What a call is answered.
pub(super) type Said = Result<Option<Duration>, CallError>;

/// One call, as the platform saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// Since the test began.
    pub(super) at: Duration,
    pub(super) turn: String,
    pub(super) revision: u32,
    pub(super) state: ViewState,
    pub(super) memory: Option<String>,
}

/// An adapter that answers as it was told, and remembers in the store what it showed.
pub(super) struct Fake {
    pub(super) journal: Journal,
    pub(super) begun: Instant,
    pub(super) calls: Mutex<Vec<Call>>,
    pub(super) answers: Mutex<VecDeque<Said>>,
    /// When there is no answer left.
    pub(super) always: Mutex<Said>,
    pub(super) ready: Mutex<Duration>,
    /// Moments of the places that are asked for, since now; without, there is no line.
    pub(super) places: Mutex<VecDeque<Duration>>,
    /// Places that are kept.
    pub(super) kept: Arc<()>,
    pub(super) remembers: AtomicBool,
    /// Calls wait here while it is closed.
    pub(super) gate: tokio::sync::RwLock<()>,
    pub(super) inside: AtomicUsize,
    pub(super) most_inside: AtomicUsize,
    pub(super) called: Notify,
}

impl Presenter for Fake {
    fn show<'a>(
        &'a self,
        view: View,
        target: Target,
        nonce: String,
        memory: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Option<Duration>, CallError>> {
        Box::pin(async move {
            assert_eq!(nonce, view.turn.as_str());
            assert!(!target.conversation.channel.is_empty());
            let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_inside.fetch_max(inside, Ordering::SeqCst);
            lock(&self.calls).push(Call {
                at: self.begun.elapsed(),
                turn: view.turn.to_string(),
                revision: view.revision,
                state: view.state.clone(),
                memory: memory.map(|memory| String::from_utf8(memory).unwrap()),
            });
            self.called.notify_waiters();
            drop(self.gate.read().await);
            let answer = lock(&self.answers)
                .pop_front()
                .unwrap_or_else(|| lock(&self.always).clone());
            if answer.is_ok() && self.remembers.load(Ordering::SeqCst) {
                let (turn, shown) = (view.turn.clone(), format!("shown {}", view.revision));
                self.journal
                    .write(move |store| store.outbox_memory(&turn, shown.as_bytes()))
                    .await
                    .unwrap();
            }
            self.inside.fetch_sub(1, Ordering::SeqCst);
            answer
        })
    }

    fn ready_in(&self, _conversation: &Conversation) -> Duration {
        *lock(&self.ready)
    }

    fn place(&self, _conversation: &Conversation) -> Option<Place> {
        let wait = lock(&self.places).pop_front()?;
        Some(Place {
            at: Instant::now() + wait,
            kept: Box::new(Arc::clone(&self.kept)),
        })
    }
}

/// Lets this much of the paused clock pass, and all tasks do what they have to do in that time.
pub(super) async fn pass(time: Duration) {
    timeout(time, std::future::pending::<()>()).await.unwrap_err();
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A turn that goes on.
pub(super) struct Source {
    pub(super) turn: String,
    pub(super) revision: AtomicU32,
    pub(super) fetched: AtomicUsize,
    pub(super) bare: AtomicBool,
}

impl ViewSource for Source {
    fn view(&self) -> View {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        view(&self.turn, self.revision.load(Ordering::SeqCst), ViewState::Running)
    }

    fn is_bare(&self) -> bool {
        self.bare.load(Ordering::SeqCst)
    }
}

pub(super) fn source(turn: &str) -> Arc<Source> {
    Arc::new(Source {
        turn: turn.into(),
        revision: AtomicU32::new(1),
        fetched: AtomicUsize::new(0),
        bare: AtomicBool::new(false),
    })
}

pub(super) fn view(turn: &str, revision: u32, state: ViewState) -> View {
    View {
        turn: TurnId::from(turn),
        revision,
        state,
        blocks: Vec::new(),
        stop_token: None,
        footer: None,
        extra: Vec::new(),
    }
}

pub(super) fn target(channel: &str) -> Target {
    let conversation = Conversation {
        tenant: None,
        channel: channel.into(),
        thread: None,
        direct: false,
    };
    Target {
        conversation,
        reply_to: Vec::new(),
        private_to: None,
    }
}

pub(super) const INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn pace() -> Pace {
    Pace {
        update_interval: INTERVAL,
        updates_max: None,
        refresh: None,
        can_update: true,
        parallel: 8,
        bare_hold: Duration::from_millis(700),
    }
}

pub(super) struct Test {
    pub(super) journal: Journal,
    pub(super) fake: Arc<Fake>,
    pub(super) outbox: Outbox,
}

impl Test {
    pub(super) fn new(pace: Pace) -> Self {
        let journal = Journal::over(Box::new(SqliteStore::in_memory().unwrap()));
        Self::over(journal, pace)
    }

    pub(super) fn over(journal: Journal, pace: Pace) -> Self {
        let fake = Arc::new(Fake {
            journal: journal.clone(),
            begun: Instant::now(),
            calls: Mutex::default(),
            answers: Mutex::default(),
            always: Mutex::new(Ok(None)),
            ready: Mutex::default(),
            places: Mutex::default(),
            kept: Arc::default(),
            remembers: AtomicBool::new(true),
            gate: tokio::sync::RwLock::new(()),
            inside: AtomicUsize::new(0),
            most_inside: AtomicUsize::new(0),
            called: Notify::new(),
        });
        let outbox = Outbox::new(BotName::from("team"), journal.clone(), Arc::clone(&fake) as _, pace);
        Self { journal, fake, outbox }
    }

    pub(super) async fn put(&self, turn: &str, channel: &str, view: Option<View>) {
        let row = OutboxRow {
            turn: TurnId::from(turn),
            bot: BotName::from("team"),
            target: target(channel),
            view,
            state: OutboxState::Pending,
            memory: None,
            attempts: 0,
            next_try: now(),
            last_error: None,
            updated: now(),
        };
        self.journal.write(move |store| store.outbox_put(&row)).await.unwrap();
    }

    pub(super) async fn follow(&self, turn: &str, channel: &str) -> Arc<Source> {
        let source = source(turn);
        self.put(turn, channel, None).await;
        self.outbox
            .follow(&TurnId::from(turn), &target(channel), Arc::clone(&source) as _);
        source
    }

    pub(super) fn change(&self, source: &Source) {
        source.revision.fetch_add(1, Ordering::SeqCst);
        self.outbox.touch(&TurnId::from(source.turn.as_str()));
    }

    pub(super) async fn settle(&self, turn: &str, channel: &str, revision: u32, state: ViewState) {
        let view = view(turn, revision, state);
        self.put(turn, channel, Some(view.clone())).await;
        self.outbox.settle(&target(channel), view);
    }

    /// Waits for so many calls in all.
    pub(super) async fn calls(&self, count: usize) -> Vec<Call> {
        let wait = async {
            loop {
                let called = self.fake.called.notified();
                if lock(&self.fake.calls).len() >= count {
                    return;
                }
                called.await;
            }
        };
        timeout(Duration::from_secs(100_000), wait)
            .await
            .expect("the calls come");
        lock(&self.fake.calls).clone()
    }

    /// Waits until nothing is left to be done, and says what was called.
    pub(super) async fn idle(&self) -> Vec<Call> {
        let mut pending = self.outbox.inner.pending.subscribe();
        let wait = pending.wait_for(|left| *left == 0);
        timeout(Duration::from_secs(100_000), wait)
            .await
            .expect("everything is delivered")
            .unwrap();
        // The lanes have their last look at once; a second of a paused clock is long after it.
        pass(Duration::from_secs(1)).await;
        lock(&self.fake.calls).clone()
    }

    pub(super) async fn row(&self, turn: &str) -> OutboxRow {
        let turn = TurnId::from(turn);
        self.journal
            .read(move |store| store.outbox_get(&turn))
            .await
            .unwrap()
            .unwrap()
    }

    pub(super) fn answer(&self, answers: impl IntoIterator<Item = Said>) {
        lock(&self.fake.answers).extend(answers);
    }
}

pub(super) fn revisions(calls: &[Call]) -> Vec<u32> {
    calls.iter().map(|call| call.revision).collect()
}

pub(super) fn unavailable() -> Said {
    Err(CallError::Unavailable("down".into()))
}
