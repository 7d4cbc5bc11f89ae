//! Questions that only a person can decide: asked, decided, withdrawn, expired.

use std::time::Duration;

use tokio::time::Instant;

use super::SessionActor;
use super::job::OpenAsk;
use crate::chat::{Subject, UnixMillis, now, random};
use crate::driver::{Answer, Command, Permission};
use crate::session::question::{self, WITHDRAWN, words};
use crate::session::turn::{Input, State};
use crate::store::{AskRow, AskState, Decision, TurnState};

/// What the agent is told with a denial, by whose hand it came.
const DENIED: &str = "The person denied this. Do not try it in another way; go on without it or ask what to do.";
const EXPIRED: &str = "Nobody decided in time, so this is denied. Go on without it, or say what you would need.";
const KEEP_PLANNING: &str = "The person does not want to go ahead yet: keep planning, and ask what is missing.";
const SKIPPED: &str = "The person does not answer this. Go on as you think best, or say what you would need.";

impl SessionActor {
    /// The agent needs a person: stored with its buttons and the view in one write, then shown.
    pub(super) async fn ask(&mut self, permission: Permission) {
        let Some(mut job) = self.current.take() else { return };
        self.follow_home(&mut job);
        if job.use_allowance(&permission.tool, &permission.input) {
            // Decided before the host was restarted: for exactly this, exactly once.
            self.current = Some(job);
            self.tell(Command::Decide {
                request: permission.request.clone(),
                answer: Answer::Allow,
            });
            self.decided_input(&permission.request).await;
            return;
        }
        let timeout = self.shared.rules.ask_timeout;
        let row = AskRow {
            id: hex::encode(random::<12>()),
            bot: job.row.bot.clone(),
            session: self.key.clone(),
            turn: job.row.id.clone(),
            conversation: job.row.target.conversation.clone(),
            request: permission.request,
            tool: permission.tool,
            input: permission.input,
            subject: permission.subject,
            editable: permission.editable,
            lasting: permission.lasting,
            hears: permission.hears,
            approvers: Vec::new(),
            expires: now().saturating_add(UnixMillis::try_from(timeout.as_millis()).unwrap_or(UnixMillis::MAX)),
            state: AskState::Open,
            decided: None,
        };
        let (question, tokens) = question::pose(&row, permission.title, permission.detail, self.shared.rules.shows);
        let view = job.view.with(|view| {
            view.ask(&row.id, &permission.call, question);
            view.snapshot()
        });
        job.row.state = TurnState::Asking;
        job.row.view = Some(view.clone());
        self.row.resumable = true;
        let stored = self.store_ask(&job.row, &row, &tokens, &view).await;
        if stored {
            self.shared.tail.moved();
            self.shared.outbox.settle(&job.row.target, view);
        }
        job.asks.push(OpenAsk {
            row,
            expires: Instant::now() + timeout,
        });
        self.current = Some(job);
    }

    /// A person decided; the decision is in the store.
    pub(super) async fn decide(&mut self, ask: AskRow, decision: Decision) {
        if self.draining {
            // It stays `Decided` and is told after the next start.
            return;
        }
        let known = self
            .current
            .as_ref()
            .is_some_and(|job| job.asks.iter().any(|open| open.row.id == ask.id));
        if !known {
            self.close_if_over(ask);
            return;
        }
        let who = ask.decided.as_ref().map(|(_, who)| who.clone()).unwrap_or_default();
        if decision == Decision::Stop {
            self.input(&Input::Stop).await;
            return;
        }
        self.settle(&ask.id, decision, &who).await;
    }

    /// Whatever is over its time is denied.
    pub(super) async fn expire(&mut self, now: Instant) {
        loop {
            let expired = self.current.as_ref().and_then(|job| {
                let open = job.asks.iter().find(|ask| ask.expires <= now)?;
                Some(open.row.id.clone())
            });
            let Some(ask) = expired else { return };
            let id = ask.clone();
            let stored = self.shared.journal.read(move |store| store.ask_get(&id)).await;
            match stored
                .ok()
                .flatten()
                .filter(|row| row.state == AskState::Decided)
                .and_then(|row| row.decided)
            {
                // Somebody was just in time, and was told so; the session hears of it in a moment.
                Some((decision, who)) => self.settle(&ask, decision, &who).await,
                None => self.settle(&ask, Decision::Deny, "").await,
            }
        }
    }

    /// What was allowed for the session is told to every process of it from here on.
    pub(super) fn keep_lasting(&mut self, row: &AskRow, decision: &Decision) {
        if *decision == Decision::AllowSession
            && let Some(lasting) = &row.lasting
            && !self.row.allowed.contains(&lasting.updates)
        {
            self.row.allowed.push(lasting.updates.clone());
        }
    }

    /// Takes a decision into the turn, on disk first, then tells the agent. `who`: empty if nobody decided in time.
    async fn settle(&mut self, ask: &str, decision: Decision, who: &str) {
        let Some(mut job) = self.current.take() else { return };
        let Some(at) = job.asks.iter().position(|open| open.row.id == ask) else {
            self.current = Some(job);
            return;
        };
        let mut row = job.asks.remove(at).row;
        let answer = answer(&row, &decision, who);
        let words = words(&row, &decision, who);
        self.keep_lasting(&row, &decision);
        row.state = AskState::Decided;
        let denied = !decision.allows();
        row.decided = Some((decision, who.to_owned()));
        let view = job.view.with(|view| {
            view.settle(ask, &words, denied);
            view.snapshot()
        });
        let attached = job.turn.is_with_agent();
        if attached && job.asks.is_empty() {
            job.row.state = TurnState::Running;
        }
        job.row.view = Some(view);
        if !self.store_decided(&job.row, &row).await {
            self.current = Some(job);
            return;
        }
        self.shared.outbox.touch(&job.row.id);
        self.shared.tail.moved();
        // What a stopped agent asked it has taken back: a late "allow" must not let it through.
        if attached && job.turn.state() != State::Stopping {
            self.tell(Command::Decide {
                request: row.request.clone(),
                answer,
            });
        }
        if attached {
            self.close_ask(&row);
        }
        let request = row.request.clone();
        if !attached {
            job.decided.push(row);
        }
        self.current = Some(job);
        self.decided_input(&request).await;
    }

    async fn decided_input(&mut self, request: &str) {
        Box::pin(self.input(&Input::Decided(request))).await;
    }

    /// The agent does not wait any more.
    pub(super) async fn withdrawn(&mut self, request: &str) {
        let Some(mut job) = self.current.take() else { return };
        if let Some(at) = job.asks.iter().position(|open| open.row.request == request) {
            let mut row = job.asks.remove(at).row;
            row.state = AskState::Closed;
            row.decided = Some((Decision::Withdrawn, String::new()));
            let view = job.view.with(|view| {
                view.settle(&row.id, WITHDRAWN, true);
                view.snapshot()
            });
            if job.asks.is_empty() && job.turn.state() != State::Asking {
                job.row.state = TurnState::Running;
            }
            job.row.view = Some(view);
            if self.store_decided(&job.row, &row).await {
                self.shared.outbox.touch(&job.row.id);
                self.shared.tail.moved();
            }
        }
        self.current = Some(job);
    }

    /// A decision on something that is not asked here: nobody needs to be told once the turn is over.
    fn close_if_over(&self, ask: AskRow) {
        self.shared.journal.write_later(move |store| {
            let over = store
                .turn_get(&ask.turn)?
                .is_none_or(|turn| turn.state == TurnState::Done);
            if over {
                store.ask_put(&AskRow {
                    state: AskState::Closed,
                    ..ask
                })?;
            }
            Ok(())
        });
    }
}

/// What the agent is told of a decision, while it waits for it.
fn answer(row: &AskRow, decision: &Decision, who: &str) -> Answer {
    match decision {
        Decision::Allow => Answer::Allow,
        Decision::AllowSession => row
            .lasting
            .as_ref()
            .map_or(Answer::Allow, |lasting| Answer::AllowLasting(lasting.updates.clone())),
        Decision::AllowWith(input) => Answer::AllowWith(input.clone()),
        Decision::Answer(answers) => Answer::Answers(answers.clone()),
        denied => Answer::Deny(denial(row, denied, who)),
    }
}

/// Why not, in words for the agent.
pub(super) fn denial(row: &AskRow, decision: &Decision, who: &str) -> String {
    match (decision, &row.subject) {
        (Decision::DenyBecause(why), Subject::Plan) => {
            format!("The person does not want to go ahead yet and says: {why}\nPlan again with that in mind.")
        }
        (Decision::DenyBecause(why), _) => format!("The person denied this and says: {why}"),
        _ if who.is_empty() => EXPIRED.to_owned(),
        (_, Subject::Plan) => KEEP_PLANNING.to_owned(),
        (_, Subject::Questions(_)) => SKIPPED.to_owned(),
        (_, Subject::Tool) => DENIED.to_owned(),
    }
}

/// How long until a time of the wall clock, from now; nothing for what is over.
pub(super) fn until(at: UnixMillis) -> Duration {
    Duration::from_millis(u64::try_from(at.saturating_sub(now())).unwrap_or(0))
}
