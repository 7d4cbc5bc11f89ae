//! What happens in sessions just now, for whoever watches. Level-triggered: a watcher looks at the newest view of every
//! turn and is told what differs from what it saw last, so one that is slow sees less of the way and all of the end, and
//! nobody waits for it. Turns that ended are kept for a while; whoever comes too late for one is told how many it missed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use super::view::SharedView;
use crate::chat::{Ask, Block, BotName, Part, PlanState, SessionId, StepState, TurnId, View, ViewState};
use crate::outbox::ViewSource as _;
use crate::store::TurnRow;

/// Turns that ended and that a watcher may not have seen the end of yet.
const ENDED_MAX: usize = 64;

/// Between two looks: a look copies the views.
const PAUSE: Duration = Duration::from_millis(50);

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub session: SessionId,
    pub bot: BotName,
    pub turn: TurnId,
    #[serde(flatten)]
    pub what: Happened,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Happened {
    /// A turn is there: what was asked, and by whom. No prompt: the agent spoke first.
    Asked {
        asker: String,
        prompt: String,
    },
    /// It waits at this place, from 1.
    Waiting {
        place: u32,
    },
    /// The agent works on it, after it waited or was asked about.
    Working,
    /// What was added to the answer.
    Text {
        text: String,
    },
    /// What was added to what it thinks.
    Thinking {
        text: String,
    },
    /// What was said last stands differently: all of it.
    Rewritten {
        text: String,
    },
    Step {
        title: String,
        state: String,
    },
    /// A person has to decide.
    Question {
        title: String,
        text: String,
        choices: Vec<String>,
    },
    /// What became of a question.
    Settled {
        title: String,
        words: String,
    },
    Plan {
        items: Vec<String>,
    },
    Notice {
        text: String,
    },
    File {
        name: String,
    },
    /// `done`, `stopped` or `failed`; why, where it failed.
    Ended {
        state: String,
        why: Option<String>,
    },
    /// So many turns began and ended unseen: the reader was too slow.
    Missed {
        turns: u64,
    },
}

/// What the sessions of one bot do. Cheap to clone.
#[derive(Clone)]
pub struct Tail {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    moved: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    live: BTreeMap<TurnId, (Arc<About>, Arc<SharedView>)>,
    /// Oldest first.
    ended: VecDeque<(Arc<About>, Arc<View>)>,
    /// How many ended so far.
    count: u64,
}

/// Of which turn something is told.
#[derive(Debug)]
struct About {
    session: SessionId,
    bot: BotName,
    turn: TurnId,
    asker: String,
    prompt: String,
}

impl About {
    fn of(turn: &TurnRow) -> Self {
        Self {
            session: turn.session_id.clone(),
            bot: turn.bot.clone(),
            turn: turn.id.clone(),
            asker: turn.asker.clone(),
            prompt: turn.prompt.clone(),
        }
    }

    fn line(&self, what: Happened) -> Line {
        Line {
            session: self.session.clone(),
            bot: self.bot.clone(),
            turn: self.turn.clone(),
            what,
        }
    }

    fn asked(&self) -> Line {
        self.line(Happened::Asked {
            asker: self.asker.clone(),
            prompt: self.prompt.clone(),
        })
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail")
            .field("watchers", &self.inner.moved.receiver_count())
            .finish_non_exhaustive()
    }
}

impl Tail {
    pub(super) fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                state: Mutex::default(),
                moved: watch::Sender::new(()),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn is there, or asks something else, or is of another session now.
    pub(super) fn follow(&self, turn: &TurnRow, view: &Arc<SharedView>) {
        let mut state = self.state();
        let same = |about: &About| about.session == turn.session_id && about.prompt == turn.prompt;
        match state.live.get_mut(&turn.id) {
            Some((about, known)) if same(about) => *known = Arc::clone(view),
            _ => {
                let about = Arc::new(About::of(turn));
                state.live.insert(turn.id.clone(), (about, Arc::clone(view)));
            }
        }
        drop(state);
        self.moved();
    }

    /// Some view is another. Costs next to nothing where nobody watches.
    pub(super) fn moved(&self) {
        self.inner.moved.send_replace(());
    }

    pub(super) fn ended(&self, turn: &TurnRow, view: &View) {
        let mut state = self.state();
        let known = state.live.remove(&turn.id);
        if self.inner.moved.receiver_count() == 0 {
            state.ended.clear();
            return;
        }
        let about = known.map_or_else(|| Arc::new(About::of(turn)), |(about, _)| about);
        state.count += 1;
        state.ended.push_back((about, Arc::new(view.clone())));
        if state.ended.len() > ENDED_MAX {
            state.ended.pop_front();
        }
        drop(state);
        self.moved();
    }

    /// A turn is not gone on with here, and has no end that could be told.
    pub(super) fn unfollow(&self, turn: &TurnId) {
        self.state().live.remove(turn);
    }

    /// Whoever watches from now on; of one session, or of all.
    pub fn watch(&self, session: Option<SessionId>) -> Watcher {
        let mut moved = self.inner.moved.subscribe();
        // What is there already is looked at first.
        moved.mark_changed();
        Watcher {
            session,
            moved,
            ended: self.state().count,
            tail: self.clone(),
            seen: HashMap::new(),
            looked: None,
        }
    }
}

/// One that watches.
#[derive(Debug)]
pub struct Watcher {
    tail: Tail,
    session: Option<SessionId>,
    moved: watch::Receiver<()>,
    /// How many ends it has seen, or can see no more.
    ended: u64,
    /// What it saw last of each turn that goes on.
    seen: HashMap<TurnId, Arc<View>>,
    looked: Option<Instant>,
}

impl Watcher {
    /// What happened since the last look; waits for something. Cancel safe.
    pub async fn next(&mut self) -> Vec<Line> {
        loop {
            if let Some(looked) = self.looked {
                tokio::time::sleep_until(looked + PAUSE).await;
            }
            // The tail is held here: its sender lives.
            let _ = self.moved.changed().await;
            self.looked = Some(Instant::now());
            let lines = self.look();
            if !lines.is_empty() {
                return lines;
            }
        }
    }

    fn look(&mut self) -> Vec<Line> {
        // Nothing is copied here but what names the views: whoever has turns waits for this.
        let (ended, live, missed) = {
            let state = self.tail.state();
            let kept = state.ended.len();
            let behind = usize::try_from(state.count - self.ended).unwrap_or(usize::MAX);
            let missed = behind.saturating_sub(kept);
            self.ended = state.count;
            let new = state.ended.iter().skip(kept.saturating_sub(behind));
            let ended: Vec<_> = new.filter(|(about, _)| self.is_of(about)).cloned().collect();
            let live = state.live.values().filter(|(about, _)| self.is_of(about));
            (ended, live.cloned().collect::<Vec<_>>(), missed)
        };
        let mut lines = Vec::new();
        for (about, view) in ended {
            self.tell(&about, view, &mut lines);
            self.seen.remove(&about.turn);
        }
        for (about, view) in live {
            self.tell(&about, Arc::new(view.view()), &mut lines);
        }
        if missed > 0 {
            // Some of those whose beginning was seen: their end is not told any more.
            let known: Vec<TurnId> = self.tail.state().live.keys().cloned().collect();
            self.seen.retain(|turn, _| known.contains(turn));
            let about = About {
                session: self.session.clone().unwrap_or_else(|| SessionId(String::new())),
                bot: BotName(String::new()),
                turn: TurnId(String::new()),
                asker: String::new(),
                prompt: String::new(),
            };
            let turns = missed as u64;
            lines.insert(0, about.line(Happened::Missed { turns }));
        }
        lines
    }

    fn is_of(&self, about: &About) -> bool {
        self.session.as_ref().is_none_or(|session| *session == about.session)
    }

    fn tell(&mut self, about: &About, view: Arc<View>, lines: &mut Vec<Line>) {
        let before = self.seen.get(&about.turn).map(Arc::as_ref);
        if before.is_none() {
            lines.push(about.asked());
        }
        lines.extend(differences(before, &view).into_iter().map(|what| about.line(what)));
        self.seen.insert(about.turn.clone(), view);
    }
}

/// A turn that is over, as if it had been watched.
pub fn told(turn: &TurnRow) -> Vec<Line> {
    let about = About::of(turn);
    let happened = turn.view.iter().flat_map(|view| differences(None, view));
    std::iter::once(about.asked())
        .chain(happened.map(|what| about.line(what)))
        .collect()
}

/// What happened between two views of one turn.
fn differences(before: Option<&View>, after: &View) -> Vec<Happened> {
    let mut happened = Vec::new();
    let was = before.map(|view| &view.state);
    match &after.state {
        ViewState::Waiting(place) if was != Some(&after.state) => happened.push(Happened::Waiting { place: *place }),
        ViewState::Running if matches!(was, Some(ViewState::Waiting(_) | ViewState::Asking)) => {
            happened.push(Happened::Working);
        }
        _ => {}
    }
    let blocks = before.map(|view| view.blocks.as_slice()).unwrap_or_default();
    let old = |id| {
        blocks
            .iter()
            .find(|block: &&Block| block.id == id)
            .map(|block| &block.part)
    };
    for block in &after.blocks {
        happened.extend(difference(old(block.id), &block.part));
    }
    let gone =
        |block: &&Block| matches!(block.part, Part::Text(_)) && after.blocks.iter().all(|other| other.id != block.id);
    if blocks.iter().any(|block| gone(&block)) {
        happened.push(Happened::Rewritten { text: String::new() });
    }
    if after.state.is_final() {
        let (state, why) = match &after.state {
            ViewState::Failed(why) => ("failed", Some(why.clone())),
            ViewState::Stopped => ("stopped", None),
            _ => ("done", None),
        };
        let state = state.to_owned();
        happened.push(Happened::Ended { state, why });
    }
    happened
}

fn difference(before: Option<&Part>, after: &Part) -> Option<Happened> {
    if before == Some(after) {
        return None;
    }
    match (before, after) {
        (Some(Part::Text(old)), Part::Text(new)) => Some(match new.strip_prefix(old.as_str()) {
            Some(added) => Happened::Text { text: added.to_owned() },
            None => Happened::Rewritten { text: new.clone() },
        }),
        (_, Part::Text(text)) => (!text.is_empty()).then(|| Happened::Text { text: text.clone() }),
        (Some(Part::Thinking(old)), Part::Thinking(new)) => {
            let added = new.strip_prefix(old.as_str()).unwrap_or(new);
            Some(Happened::Thinking { text: added.to_owned() })
        }
        (_, Part::Thinking(text)) => (!text.is_empty()).then(|| Happened::Thinking { text: text.clone() }),
        (Some(Part::Step(old)), Part::Step(new)) if old.state == new.state && old.title == new.title => None,
        (_, Part::Step(step)) => Some(Happened::Step {
            title: step.title.clone(),
            state: state_of(step.state).to_owned(),
        }),
        (_, Part::Ask(ask)) => Some(question(ask)),
        (_, Part::Plan(items)) => {
            let line = |item: &crate::chat::PlanItem| {
                let mark = match item.state {
                    PlanState::Done => "x",
                    PlanState::Active => ">",
                    PlanState::Pending => " ",
                };
                format!("[{mark}] {}", item.text)
            };
            Some(Happened::Plan {
                items: items.iter().map(line).collect(),
            })
        }
        (_, Part::Notice(notice)) => Some(Happened::Notice {
            text: notice.text.clone(),
        }),
        (_, Part::File(file)) => Some(Happened::File {
            name: file.name.clone(),
        }),
    }
}

fn question(ask: &Ask) -> Happened {
    let title = ask.title.clone();
    match &ask.settled {
        Some(words) => Happened::Settled {
            title,
            words: words.clone(),
        },
        None => Happened::Question {
            title,
            text: ask.text.clone(),
            choices: ask.choices.iter().map(|choice| choice.label.clone()).collect(),
        },
    }
}

const fn state_of(state: StepState) -> &'static str {
    match state {
        StepState::Waiting => "waiting",
        StepState::Running => "running",
        StepState::Done => "done",
        StepState::Failed => "failed",
        StepState::Denied => "denied",
    }
}
