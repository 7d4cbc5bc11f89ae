//! A question that is announced and not said yet, as by a platform's shortcut: a form asks for it, and what is sent is a
//! message to the agent, in the place where it is sent.

use super::Bot;
use super::dispatch::warning;
use super::lanes::Work;
use crate::access::{Admission, admit};
use crate::chat::{
    Command, Field, FieldKind, Form, InboxId, Message, Origin, Part, Press, Token, TurnId, UnixMillis, Verdict, now,
};
use crate::command;
use crate::manifest::Ability;
use crate::store::{Decision, TokenRow};

/// The form's one field.
const FIELD: &str = "question";

impl Bot {
    /// A command that is a question without words.
    pub(super) fn wants_words(command: &Command) -> bool {
        let words = !command.arguments.trim().is_empty() || !command.attachments.is_empty();
        command::is_ask(&command.name) && !words
    }

    /// The form that asks for the words. None: it is another command, somebody who is not let in, or a platform without
    /// forms.
    pub(super) async fn ask_for_words(&self, origin: &Origin, command: &Command) -> Option<Verdict> {
        let inner = &self.inner;
        let admitted = !inner.adapter.is_me(&origin.sender.id)
            && admit(&inner.config, &origin.sender, &origin.conversation) == Admission::Allowed;
        if !Self::wants_words(command) || !self.can(Ability::Forms) || !admitted {
            return None;
        }
        let token = Token::random();
        let lasts = UnixMillis::try_from(inner.config.ask_timeout.as_millis()).unwrap_or(UnixMillis::MAX);
        let row = TokenRow {
            token: token.clone(),
            bot: inner.config.name.clone(),
            conversation: origin.conversation.clone(),
            session: inner.registry.key(&origin.conversation, &origin.sender.id),
            turn: TurnId::random(),
            ask: None,
            decision: Decision::Ask,
            expires: now().saturating_add(lasts),
        };
        if let Err(error) = inner.journal.write(move |store| store.token_put(&row)).await {
            tracing::warn!(bot = %inner.config.name, %error, "a form could not be stored");
            return Some(Verdict::Refused(
                "That could not be stored just now. Please try again.".into(),
            ));
        }
        Some(Verdict::Open(form(token)))
    }

    /// How a question is asked where no form opens.
    pub(super) async fn say_how_to_ask(&self, origin: &Origin) {
        self.say(origin, warning("Write your question here, in your own words."), true)
            .await;
    }

    /// The form was sent. The question is shown, as it is seen nowhere else.
    pub(super) async fn hear_asked(&self, id: InboxId, origin: &Origin, text: String, again: bool) -> Work {
        if !again && self.admitted(origin).await {
            let quoted: Vec<String> = text.lines().map(|line| format!("> {line}")).collect();
            self.say(origin, Part::Text(quoted.join("\n")), false).await;
        }
        let message = Message {
            id: origin.key.clone(),
            text,
            mentions: Vec::new(),
            addressed: true,
            quotes: None,
            new_thread: None,
            attachments: Vec::new(),
            group: None,
        };
        self.hear(id, Vec::new(), origin.clone(), message, again).await
    }
}

/// The words that were sent; none: none.
pub(super) fn asked(press: &Press) -> Option<String> {
    let (_, words) = press.values.iter().flatten().find(|(name, _)| name == FIELD)?;
    let words = words.trim();
    (!words.is_empty()).then(|| words.to_owned())
}

/// What is wrong with a form without words.
pub(super) fn missing() -> Vec<(String, String)> {
    vec![(FIELD.to_owned(), "Write your question.".to_owned())]
}

fn form(token: Token) -> Form {
    Form {
        token,
        title: "Ask".to_owned(),
        fields: vec![Field {
            name: FIELD.to_owned(),
            label: "Your question".to_owned(),
            kind: FieldKind::Paragraph,
            value: String::new(),
            placeholder: String::new(),
            required: true,
        }],
        submit: "Ask".to_owned(),
    }
}
