//! Carries out what people say to the host itself: the rows of [`crate::command`].

mod crew;
mod export;
mod session;

use super::address::{self, To};
use super::dispatch::{info, warning};
use super::judge::Said;
use super::lanes::Work;
use super::route::NOT_STORED;
use super::{Bot, ago, long};
use crate::chat::{Command, Health, InboxId, Message, Origin, Part, SessionKey, Target};
use crate::command::{self, Action, Row};
use crate::config::WhileRunning;
use crate::manifest::Ability;
use crate::session::watch::Spent;
use crate::session::{Begun, Prompt, question};
use crate::store::{AskRow, Decision, TurnKind};

/// What became of words that may answer a question.
enum Spoken {
    Taken,
    /// No question is open, or they say nothing to it.
    Nothing,
    NotTheirs,
    Wrong(String),
    /// The store failed.
    Unknown,
}

impl Bot {
    /// `again`: see [`Bot::work`].
    pub(super) async fn obey(&self, id: InboxId, origin: Origin, command: &Command, again: bool) -> Work {
        if self.admitted(&origin).await {
            let said = command.arguments.trim();
            if Self::wants_words(command) {
                // Where there are forms, one was opened at once.
                if !self.can(Ability::Forms) {
                    self.say_how_to_ask(&origin).await;
                }
                return self.done(id).await;
            }
            let asks = command::is_ask(&command.name);
            // Under another name of the platform's what follows may be one of ours, else all of it is for the agent.
            let found = command::named(&command.name, said)
                .map(|row| (row, said))
                .or_else(|| if asks { None } else { ours(said) });
            // `/botyard @reviewer stop`.
            let named = !asks && address::addressed(&self.inner.config, said).0 != To::First;
            if found.is_none() && named {
                let (to, rest) = address::addressed(&self.inner.config, said);
                let behind = ours(rest).filter(|(row, _)| command::way(row).is_none());
                if let Some((row, argument)) = behind {
                    self.command_to(id, &origin, &to, row, argument, true).await;
                    return self.done(id).await;
                }
            }
            let text = match found {
                None if asks || named => Some(said.to_owned()),
                None => Some(format!("{} {said}", command.name).trim().to_owned()),
                Some((row, argument)) => command::way(row)
                    .filter(|_| !argument.is_empty())
                    .map(|_| format!("/{} {argument}", row.name)),
            };
            if let Some(text) = text {
                let message = Message {
                    id: origin.key.clone(),
                    text,
                    mentions: Vec::new(),
                    addressed: true,
                    quotes: None,
                    new_thread: None,
                    attachments: command.attachments.clone(),
                    group: None,
                };
                return Box::pin(self.hear(id, Vec::new(), origin, message, again)).await;
            }
            if let Some((row, argument)) = found {
                self.answer_command(id, &origin, None, row, argument, true).await;
            }
        }
        self.done(id).await
    }

    /// A command for whoever is named, each of several. `native`: see [`Bot::answer_command`].
    pub(super) async fn command_to(
        &self,
        id: InboxId,
        origin: &Origin,
        to: &To<'_>,
        row: &'static Row,
        argument: &str,
        native: bool,
    ) {
        if let To::Route(route) = to {
            return self.command_route(origin, &route.name, row).await;
        }
        for agent in to.named() {
            self.answer_command(id, origin, agent, row, argument, native).await;
        }
    }

    /// `agent`: the one that was named, if one was. `native`: by the platform's own menu, which can whisper.
    pub(super) async fn answer_command(
        &self,
        id: InboxId,
        origin: &Origin,
        agent: Option<&str>,
        row: &'static Row,
        argument: &str,
        native: bool,
    ) {
        let registry = &self.inner.registry;
        let Some(key) = self.session_of(&origin.conversation, &origin.sender.id, agent).await else {
            return self
                .say(
                    origin,
                    info("That could not be looked up just now. Please try again."),
                    true,
                )
                .await;
        };
        if argument.is_empty() && row.operand.is_some_and(|operand| operand.required) {
            let usage = warning(&format!("Say it like this: `/{}`.", row.usage()));
            return self.say(origin, usage, native).await;
        }
        if matches!(row.action, Action::New | Action::Fork | Action::Delete | Action::Queue) {
            // Done twice, it would do more: it is over before it begins.
            if self.done(id).await != Work::Done {
                return self.say(origin, warning(NOT_STORED), native).await;
            }
        }
        let part = match row.action {
            Action::Model | Action::Mode | Action::Fork | Action::Compact
                if !command::is_for(row, registry.agent_of(&key)) =>
            {
                warning("This agent cannot do that.")
            }
            Action::Help => Part::Text(self.help()),
            Action::Agents => Part::Text(self.crew()),
            Action::New => {
                let begun = registry.reset(&key).await;
                info(&begins(begun))
            }
            Action::Stop => {
                let stopped = match agent {
                    Some(_) => Ok(registry.stop(&key).await),
                    None => self.stop_all(&key).await,
                };
                match stopped {
                    Ok(true) => info("Stopping."),
                    Ok(false) if self.end_background(&key, agent.is_some()).await => {
                        info("Ending what runs in the background.")
                    }
                    Ok(false) => info("Nothing is running."),
                    Err(error) => {
                        tracing::warn!(bot = %self.inner.config.name, %error, "a stop could not be stored");
                        warning(NOT_STORED)
                    }
                }
            }
            Action::Status => {
                let mut text = self.status_text(&key).await;
                if agent.is_none() {
                    text.push_str(&self.others_at_work(&key).await);
                    text.push_str(&self.runs_at_work(&key).await);
                }
                Part::Text(text)
            }
            // Taken out of the message before it came here.
            Action::Now | Action::Later => return,
            Action::Compact => return self.compact(id, &key, origin, argument).await,
            Action::Decide => {
                let Ok(key) = self.asking_here(&key, agent).await else {
                    return self
                        .say(origin, warning(crew::SEVERAL_ASK), row.private && native)
                        .await;
                };
                let (name, argument) = (row.name, argument.to_owned());
                let read = move |ask: &AskRow| question::commanded(ask, name, &argument);
                match self.say_to_question(id, &key, origin, read).await {
                    // The question itself shows what was decided.
                    Spoken::Taken => return,
                    Spoken::Nothing => info("There is nothing here that this answers."),
                    Spoken::NotTheirs => warning("This is not yours to decide."),
                    Spoken::Wrong(why) => warning(&why),
                    Spoken::Unknown => warning(NOT_STORED),
                }
            }
            action => match self
                .about_sessions(action, &key, origin, argument, row.private && native)
                .await
            {
                Some(part) => part,
                None => return,
            },
        };
        self.say(origin, part, row.private && native).await;
    }

    /// A turn of its own: it waits and is seen like any other.
    async fn compact(&self, id: InboxId, key: &SessionKey, origin: &Origin, focus: &str) {
        let registry = &self.inner.registry;
        let begun = registry.status(key).await.is_some_and(|status| status.row.turns > 0);
        let why = match begun {
            false => "Nothing was said here yet.",
            true => {
                let prompt = Prompt {
                    way: WhileRunning::Queue,
                    kind: TurnKind::Compact,
                    inbox: Some(id),
                    also: Vec::new(),
                    place: None,
                    asker: origin.sender.id.clone(),
                    text: focus.to_owned(),
                    target: Target {
                        conversation: origin.conversation.clone(),
                        reply_to: origin.reply_to.clone(),
                        private_to: None,
                    },
                    files: Vec::new(),
                };
                match registry.submit(key, prompt).await {
                    Ok(_) => return,
                    Err(_) => "That could not be begun now. Please say it again later.",
                }
            }
        };
        self.say(origin, warning(why), false).await;
    }

    /// Where nothing can be pressed, the next message of somebody who may decide answers the question that is open.
    /// False: it is a message like any other.
    pub(super) async fn said_to_a_question(
        &self,
        id: InboxId,
        origin: &Origin,
        agent: Option<&str>,
        message: &Message,
    ) -> bool {
        let Some(key) = self.session_of(&origin.conversation, &origin.sender.id, agent).await else {
            return false;
        };
        let key = match self.asking_here(&key, agent).await {
            Ok(key) => key,
            // It is a message, unless it would answer one of them.
            Err(several) => {
                let mut answers = false;
                for key in &several {
                    answers = answers || self.would_answer(key, origin, &message.text).await;
                }
                if answers {
                    self.say(origin, warning(crew::SEVERAL_ASK), false).await;
                }
                return answers;
            }
        };
        let text = message.text.clone();
        let read = move |ask: &AskRow| question::said(ask, &text);
        match self.say_to_question(id, &key, origin, read).await {
            Spoken::Taken => true,
            Spoken::Wrong(why) => {
                self.say(origin, warning(&why), false).await;
                true
            }
            // Somebody else's words, while a question waits for its own people, are a message.
            Spoken::Nothing | Spoken::NotTheirs | Spoken::Unknown => false,
        }
    }

    /// Takes words for the decision of the question that is open, and tells the session.
    async fn say_to_question(
        &self,
        id: InboxId,
        key: &SessionKey,
        origin: &Origin,
        read: impl FnOnce(&AskRow) -> Option<Result<Decision, String>> + Send + 'static,
    ) -> Spoken {
        match self.judge_words(id, key, origin, read).await {
            Ok(Said::Taken(ask, decision)) => {
                self.inner.registry.decide(&ask, decision).await;
                Spoken::Taken
            }
            Ok(Said::Nothing) => Spoken::Nothing,
            Ok(Said::NotTheirs) => Spoken::NotTheirs,
            Ok(Said::Wrong(why)) => Spoken::Wrong(why),
            Err(error) => {
                tracing::warn!(bot = %self.inner.config.name, %error, "an answer could not be stored");
                Spoken::Unknown
            }
        }
    }

    async fn status_text(&self, key: &SessionKey) -> String {
        let status = self.inner.registry.status(key).await;
        let mut lines = match status {
            None => vec!["No conversation yet.".to_owned()],
            Some(status) => {
                let doing = if status.away {
                    "It is open in a terminal".to_owned()
                } else if status.asking {
                    "It waits for a decision".to_owned()
                } else if status.running.is_some() {
                    working(status.spent)
                } else if status.background > 0 {
                    but_for(status.background)
                } else {
                    "It is idle".to_owned()
                };
                let mut lines = vec![format!("{doing}; {} waiting.", status.waiting)];
                let model = status
                    .model
                    .map(|model| format!(", model `{model}`"))
                    .unwrap_or_default();
                lines.push(format!(
                    "Agent `{}`{model}{}.",
                    status.agent,
                    if status.live { "" } else { ", asleep" }
                ));
                lines
            }
        };
        let summary = self.summary();
        if let Some(last) = summary.last_event {
            lines.push(format!("Last event {} ago.", ago(last)));
        }
        if let Health::Degraded { why, .. } | Health::Refused { why } = summary.connection.health {
            lines.push(format!("The connection is in trouble: {why}."));
        }
        lines.join("\n\n")
    }
}

/// What follows a command that the platform has under another name (`/botyard stop`), where it is one of ours.
fn ours(said: &str) -> Option<(&'static Row, &str)> {
    let alone = command::named(said, "").map(|row| (row, ""));
    alone.or_else(|| command::typed(said))
}

/// What somebody reads who began a new conversation.
fn begins(begun: Begun) -> String {
    let with = match begun.waiting {
        0 => "A new conversation begins with your next message.".to_owned(),
        1 => "A new conversation begins, with the message that waits.".to_owned(),
        waiting => format!("A new conversation begins, with the {waiting} messages that wait."),
    };
    let ended = match begun.background {
        0 => "",
        _ => " What the agent ran in the background is ended.",
    };
    format!("{with}{ended} The last one is in `/list`.")
}

/// Nothing runs but tasks in the background.
pub(super) fn but_for(tasks: u32) -> String {
    match tasks {
        1 => "It is idle but for a task in the background, which `/stop` ends".to_owned(),
        tasks => format!("It is idle but for {tasks} tasks in the background, which `/stop` ends"),
    }
}

/// For how long it works, and since when it has said nothing.
fn working(spent: Option<Spent>) -> String {
    let told = |time: std::time::Duration| long(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    match spent {
        Some(Spent { turn, silence }) => format!(
            "It is working, for {} by now, and said something last {} ago",
            told(turn),
            told(silence)
        ),
        None => "It is working".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn work_is_told_with_its_time_and_that_of_the_last_sign_of_life() {
        let spent = Spent {
            turn: Duration::from_millis(7_384_999),
            silence: Duration::from_secs(61),
        };
        assert_eq!(
            working(Some(spent)),
            "It is working, for 2 h by now, and said something last 1 min ago"
        );
        assert_eq!(working(None), "It is working");
    }
}
