//! From a lane to the session: what becomes of an item of the inbox, one after the other for what is in one lane.

use tracing::{debug, warn};

use super::address::{self, Read, To};
use super::gather::Heard;
use super::lanes::Work;
use super::route::Course;
use super::{Bot, shortcut};
use crate::access::{Admission, admit, is_bot};
use crate::chat::{
    Conversation, InboxId, Item, Message, Notice, Origin, Part, Press, SessionKey, Target, Tone, View, What,
};
use crate::command;
use crate::config::Scope;
use crate::manifest::Ability;
use crate::session::Registry;
use crate::store::{Decision, InboxState, Result as StoreResult, StoreError, TokenRow};

/// A message that could not be queued because the store was in trouble is tried again after this.
const TRY_AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

impl Bot {
    /// What becomes of an item that came out of its lane. `again`: it could not be done before.
    pub(super) async fn work(&self, id: InboxId, again: bool) -> Work {
        // As it stands now: it may have been edited, or done by somebody else.
        let item = match self.inner.journal.read(move |s| s.inbox_get(id)).await {
            Ok(Some(row)) if row.state == InboxState::New => row.item,
            Ok(_) => return Work::Done,
            Err(error) => {
                warn!(bot = %self.inner.config.name, %error, "an item could not be read; it is tried again");
                return Work::Again;
            }
        };
        let Item { origin, what } = item;
        match what {
            What::Press(press) => self.carry_out(id, &origin, &press, again).await,
            What::Message(mut message) => match message.group.take() {
                Some((group, settle)) => {
                    self.hold_back(id, origin, message, group, settle);
                    Work::Beside
                }
                None => self.hear(id, Vec::new(), origin, message, again).await,
            },
            What::Command(command) => self.obey(id, origin, &command, again).await,
            What::Stop => {
                if self.admitted(&origin).await {
                    let Some(key) = self.session_of(&origin.conversation, &origin.sender.id, None).await else {
                        return Work::Again;
                    };
                    if let Err(error) = self.stop_all(&key).await {
                        warn!(bot = %self.inner.config.name, %error, "a stop could not be stored; it is tried again");
                        return Work::Again;
                    }
                }
                self.done(id).await
            }
            What::Edited(message) => self.edited(id, &origin, message).await,
            What::Deleted(message) => self.deleted(id, &origin, &message).await,
            What::Reacted(reaction) => self.reacted(id, &origin, &reaction).await,
            What::Other(_) => self.done(id).await,
            What::Routed(routed) => self.carry(id, &origin, &routed).await,
        }
    }

    /// A press that was judged: the session is told what was decided.
    async fn carry_out(&self, id: InboxId, origin: &Origin, press: &Press, again: bool) -> Work {
        let token = press.token.clone();
        let found = self
            .inner
            .journal
            .read(move |s| {
                let Some(token) = s.token_get(&token)? else {
                    return Ok(None);
                };
                let ask = token.ask.as_ref().map(|ask| s.ask_get(ask)).transpose()?.flatten();
                Ok(Some((token, ask)))
            })
            .await;
        match found {
            Ok(Some((token, None))) if token.decision == Decision::Stop => {
                // Only this says that it was judged: a stop leaves no decision behind.
                if matches!(self.judge(id, origin, press).await, crate::chat::Verdict::Taken(_)) {
                    self.inner.registry.stop_turn(&token.session, &token.turn).await;
                }
            }
            Ok(Some((
                TokenRow {
                    decision: Decision::Say(text),
                    conversation,
                    session,
                    ..
                },
                None,
            ))) => {
                if matches!(self.judge(id, origin, press).await, crate::chat::Verdict::Taken(_))
                    && self.admitted(origin).await
                    && let Some((row, argument)) = command::typed(&format!("/{text}"))
                {
                    // Where the button was shown: a platform may leave out the thread of a press.
                    let origin = Origin {
                        conversation,
                        ..origin.clone()
                    };
                    // A list is of one agent's sessions.
                    let agent = Registry::parts(&session).1;
                    self.answer_command(id, &origin, agent, row, argument, false).await;
                }
            }
            Ok(Some((token, None))) if matches!(token.decision, Decision::Again(_) | Decision::Keep(_)) => {
                // Judged anew: whoever pressed before may have used it up.
                if matches!(self.judge(id, origin, press).await, crate::chat::Verdict::Taken(_)) {
                    return self.carry_out_offer(id, origin, &token).await;
                }
            }
            Ok(Some((token, None))) if token.decision == Decision::Ask => {
                let taken = matches!(self.judge(id, origin, press).await, crate::chat::Verdict::Taken(_));
                if let (true, Some(text)) = (taken, shortcut::asked(press)) {
                    return self.hear_asked(id, origin, text, again).await;
                }
            }
            Ok(Some((token, Some(ask)))) => {
                // Judged again after a restart, when the press was stored and the decision was not.
                let decided = match ask.decided.clone() {
                    Some(_) => Some(ask),
                    None => {
                        self.judge(id, origin, press).await;
                        let ask = ask.id;
                        match self.inner.journal.read(move |s| s.ask_get(&ask)).await {
                            Ok(ask) => ask,
                            Err(error) => return self.not_carried_out(&error),
                        }
                    }
                };
                if let Some((ask, (decision, _))) = decided.and_then(|ask| ask.decided.clone().map(|d| (ask, d))) {
                    debug!(bot = %self.inner.config.name, turn = %token.turn, ?decision, "a question was decided");
                    self.inner.registry.decide(&ask, decision).await;
                }
            }
            Ok(_) => {}
            Err(error) => return self.not_carried_out(&error),
        }
        self.done(id).await
    }

    fn not_carried_out(&self, error: &StoreError) -> Work {
        warn!(bot = %self.inner.config.name, %error, "a press could not be carried out; it is tried again");
        Work::Again
    }

    /// A message, with the further rows that are part of it. `again`: see [`Bot::work`].
    pub(super) async fn hear(
        &self,
        id: InboxId,
        also: Vec<InboxId>,
        origin: Origin,
        mut message: Message,
        again: bool,
    ) -> Work {
        let inner = &self.inner;
        match self.concerns_us(&origin, &message).await {
            Ok(true) if self.admitted(&origin).await => {}
            Ok(_) => return self.dealt_with(id, also).await,
            Err(error) => {
                warn!(bot = %inner.config.name, %error, "it could not be read whether a message is for the bot; it is tried again");
                return Work::Again;
            }
        }
        match self.in_measure(&origin).await {
            Some(true) => {}
            Some(false) => return self.dealt_with(id, also).await,
            None => return Work::Again,
        }
        let said = message.text.clone();
        let Read { to, said } = self.read(&said);
        let (way, words) = match said {
            command::Said::Command(row, argument) => {
                self.command_to(id, &origin, &to, row, argument, false).await;
                return self.dealt_with(id, also).await;
            }
            command::Said::Words(way, words) => (way, words.to_owned()),
        };
        message.text = words;
        let (course, agent) = Course::of(&to);
        if self.has_the_root(&origin, &message, course.as_ref(), agent).await {
            message.quotes = None;
        }
        if message.says_nothing() {
            let text = if to == To::First { self.help() } else { self.crew() };
            self.say(&origin, Part::Text(text), false).await;
            return self.dealt_with(id, also).await;
        }
        // Whoever says how it comes to the agent, or brings files, gives it something to do.
        let may_answer = way.is_none() && !message.brings_files() && !self.can(Ability::Buttons);
        if may_answer && course.is_none() && self.said_to_a_question(id, &origin, agent, &message).await {
            return self.dealt_with(id, also).await;
        }
        if !again && !inner.per_user.allow(&origin.sender.id) {
            let text = "You have sent many messages within a minute. Please wait a little and send it again.";
            self.say(&origin, warning(text), true).await;
            return self.dealt_with(id, also).await;
        }
        let conversation = self.place(&origin, &message);
        if conversation.thread.is_some() && !conversation.direct {
            let (name, joined) = (inner.config.name.clone(), conversation.clone());
            inner.journal.write_later(move |s| s.thread_joined(&name, &joined));
        }
        let Some(key) = self.session_of(&conversation, &origin.sender.id, agent).await else {
            return Work::Again;
        };
        let heard = Heard {
            id,
            also,
            origin,
            message,
            conversation,
            key,
            course,
            way: way.unwrap_or(inner.config.while_running),
        };
        self.hand_over(heard).await
    }

    /// Nothing more is done for a message and its parts.
    pub(super) async fn dealt_with(&self, id: InboxId, also: Vec<InboxId>) -> Work {
        let mut all = Work::Done;
        for id in also.into_iter().chain([id]) {
            if self.done(id).await != Work::Done {
                all = Work::Beside;
            }
        }
        all
    }

    /// What a message says, and to whom.
    pub(super) fn read<'a, 'b>(&'a self, text: &'b str) -> Read<'a, 'b> {
        address::read(&self.inner.config, text)
    }

    /// Whose session something said here to this agent belongs to, or to the first one: in a thread that an adapter made
    /// for a session, that one. None: the store cannot tell now.
    pub(super) async fn session_of(
        &self,
        conversation: &Conversation,
        person: &str,
        agent: Option<&str>,
    ) -> Option<SessionKey> {
        let base = self.base_of(conversation, person).await?;
        Some(match agent {
            Some(agent) => self.inner.registry.key_of(&base, agent),
            None => base,
        })
    }

    async fn base_of(&self, conversation: &Conversation, person: &str) -> Option<SessionKey> {
        let inner = &self.inner;
        if inner.config.scope == Scope::Thread && conversation.thread.is_some() {
            let (name, place) = (inner.config.name.clone(), conversation.clone());
            match inner.journal.read(move |s| s.session_at(&name, &place)).await {
                Ok(Some(key)) => return Some(Registry::parts(&key).0),
                Ok(None) => {}
                Err(error) => {
                    warn!(bot = %inner.config.name, %error, "it could not be read whose session a thread is of");
                    return None;
                }
            }
        }
        Some(inner.registry.key(conversation, person))
    }

    /// What stays in the inbox is fetched again in a while.
    pub(super) fn later(&self) {
        let bot = self.clone();
        self.in_a_while(move || bot.inner.lanes.want_all());
    }

    /// The store is in trouble and may be out of it then. False: the bot stops.
    pub(super) async fn pause(&self) -> bool {
        tokio::select! {
            biased;
            () = self.inner.stop.cancelled() => false,
            () = tokio::time::sleep(TRY_AGAIN) => true,
        }
    }

    /// The store is in trouble: this is done when it may be out of it, unless the bot stops.
    pub(super) fn in_a_while(&self, then: impl FnOnce() + Send + 'static) {
        let bot = self.clone();
        self.inner.tasks.spawn(async move {
            if bot.pause().await {
                then();
            }
        });
    }

    /// It is for us: direct, addressed, in a thread that we are in, or we listen to all.
    async fn concerns_us(&self, origin: &Origin, message: &Message) -> StoreResult<bool> {
        if origin.conversation.direct || message.addressed || self.inner.config.listen_to_all {
            return Ok(true);
        }
        if origin.conversation.thread.is_none() || self.inner.config.scope != Scope::Thread {
            return Ok(false);
        }
        let (name, conversation) = (self.inner.config.name.clone(), origin.conversation.clone());
        self.inner
            .journal
            .read(move |s| s.thread_known(&name, &conversation))
            .await
    }

    /// They may talk; if not, they are told so at most once an hour, or not at all, as configured.
    pub(super) async fn admitted(&self, origin: &Origin) -> bool {
        // A bot that answers itself never ends.
        if self.inner.adapter.is_me(&origin.sender.id) {
            return false;
        }
        match admit(&self.inner.config, &origin.sender, &origin.conversation) {
            Admission::Allowed => true,
            Admission::Refused { say } => {
                debug!(bot = %self.inner.config.name, "somebody who was not let in spoke");
                if say && self.inner.refusals.allow(&origin.sender.id) {
                    let who = self.inner.config.contact.as_deref().unwrap_or("whoever runs this bot");
                    let text = format!(
                        "Sorry, I may not talk with you yet. Ask {who} to add your id `{}` to `allow`.",
                        origin.sender.id
                    );
                    self.say(origin, info(&text), true).await;
                }
                false
            }
        }
    }

    /// Where the answer goes: with a session per thread, a message outside of threads opens one.
    fn place(&self, origin: &Origin, message: &Message) -> Conversation {
        let mut conversation = origin.conversation.clone();
        let threads = self.can(Ability::Threads) && self.inner.config.scope == Scope::Thread;
        if threads && conversation.thread.is_none() && !conversation.direct {
            conversation.thread.clone_from(&message.new_thread);
        }
        conversation
    }

    /// What concerns only who spoke is whispered, where that can be and others would read it.
    pub(super) fn whispers(&self, origin: &Origin, private: bool) -> bool {
        private && !origin.conversation.direct && self.can(Ability::Whispers)
    }

    /// A view of the bot's own, in the place where somebody spoke. A program has no use for what is for it alone.
    pub(super) async fn say(&self, origin: &Origin, part: Part, private: bool) {
        if private && is_bot(&self.inner.config, &origin.sender) {
            return;
        }
        let whisper = self.whispers(origin, private);
        let target = Target {
            conversation: origin.conversation.clone(),
            reply_to: origin.reply_to.clone(),
            private_to: whisper.then(|| origin.sender.id.clone()),
        };
        if let Err(error) = self.inner.outbox.post(target, View::single(part)).await {
            warn!(bot = %self.inner.config.name, %error, "an answer could not be stored");
        }
    }
}

pub(super) fn info(text: &str) -> Part {
    Part::Notice(Notice {
        tone: Tone::Info,
        text: text.into(),
    })
}

pub(super) fn warning(text: &str) -> Part {
    Part::Notice(Notice {
        tone: Tone::Warning,
        text: text.into(),
    })
}
