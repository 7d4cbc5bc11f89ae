//! What of a run is written: its parts as items of the inbox, and what comes next, each in one commit.

use super::run::{self, Next};
use crate::chat::{InboxId, Item, Origin, Part, Routed, Target, View, What, now};
use crate::store::{Came, OutboxRow, Result as StoreResult, RunPart, RunRow, Store, StoreError, TurnState};

/// What a write came to, for whoever goes on outside of the store.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) items: Vec<(InboxId, Item)>,
    pub(super) word: Option<(Target, View)>,
}

/// Lays what the agents of the run's step have to do into the inbox.
pub(super) fn begin_step(store: &mut dyn Store, run: &mut RunRow) -> StoreResult<Vec<(InboxId, Item)>> {
    let received = now();
    let mut items = Vec::new();
    let mut parts = Vec::new();
    for agent in run.steps.get(run.step).map(|step| step.to.clone()).unwrap_or_default() {
        let item = Item {
            origin: Origin {
                // No vendor's key begins so, and nobody begins the same part twice.
                key: format!("~run/{}/{}/{agent}", run.id.0, run.step),
                conversation: run.target.conversation.clone(),
                ..run.origin.clone()
            },
            what: What::Routed(Routed {
                run: run.id,
                step: run.step,
                agent: agent.clone(),
            }),
        };
        let put = store.inbox_put(&run.bot, &item, received)?;
        let found = match put {
            Some(id) => Some(id),
            None => store.inbox_find(&run.bot, &item.origin.key)?,
        };
        let Some(id) = found else { continue };
        if put.is_some() {
            items.push((id, item));
        }
        parts.push(RunPart {
            agent,
            item: id,
            came: None,
        });
    }
    run.parts = parts;
    Ok(items)
}

/// The run, to be said where the turn before lives by now: where it went to live may be known after its end. What an adapter
/// tells later than that is too late.
pub(super) fn run_now(store: &mut dyn Store, id: InboxId) -> StoreResult<Option<RunRow>> {
    let Some(mut run) = store.run_get(id)? else {
        return Ok(None);
    };
    let turn = match run.via.as_ref().map(|turn| store.turn_get(turn)) {
        None | Some(Err(StoreError::Damaged(_))) => None,
        Some(turn) => turn?,
    };
    if let Some(turn) = turn {
        run.target.conversation = turn.target.conversation;
    }
    Ok(Some(run))
}

/// Reads what became of the run's turns and does what comes next, in one commit.
pub(super) fn go_on_in(store: &mut dyn Store, id: InboxId) -> StoreResult<Done> {
    let mut done = Done::default();
    let Some(mut run) = store.run_get(id)?.filter(|run| run.open) else {
        return Ok(done);
    };
    let before = run.clone();
    for part in run.parts.iter_mut().filter(|part| part.came.is_none()) {
        let turn = match store.turn_of_inbox(part.item) {
            Err(StoreError::Damaged(_)) => {
                part.came = Some(Came::Failed("what was kept of it can no longer be read".to_owned()));
                continue;
            }
            turn => turn?,
        };
        let over = turn.as_ref().is_some_and(|turn| turn.state == TurnState::Done);
        if let Some(turn) = turn.filter(|_| over) {
            part.came = Some(turn.view.as_ref().map_or(Came::Stopped, run::came));
            // An adapter may have given it a thread: what follows is said there.
            run.target.conversation = turn.target.conversation;
            run.via = Some(turn.id);
        }
    }
    match run::next(&run) {
        Next::Wait => {}
        Next::Step(step, text) => {
            let parts = std::mem::take(&mut run.parts).into_iter();
            let missed = parts.filter_map(|part| part.came.map(|came| (part.agent, came)));
            run.missed
                .extend(missed.filter(|(_, came)| !matches!(came, Came::Answered(_))));
            (run.step, run.text) = (step, text);
            done.items = begin_step(store, &mut run)?;
        }
        Next::Over(word) => {
            run.close();
            if let Some(word) = word {
                let view = View {
                    turn: RunRow::last_word(run.id),
                    ..View::single(Part::Notice(word))
                };
                let (turn, bot, target) = (view.turn.clone(), run.bot.clone(), run.target.clone());
                store.outbox_put(&OutboxRow::pending(
                    turn,
                    bot,
                    target.clone(),
                    Some(view.clone()),
                    now(),
                ))?;
                done.word = Some((target, view));
            }
        }
    }
    if run != before {
        store.run_put(&run, now())?;
    }
    Ok(done)
}
