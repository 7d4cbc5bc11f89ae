//! Carries out what people say to the host itself: the rows of [`crate::command`].

use super::dispatch::info;
use super::{Bot, ago};
use crate::chat::{Command, Health, InboxId, Message, Origin, Part};
use crate::command::{self, Action, Row};

impl Bot {
    /// False: see [`Bot::hand_over`].
    pub(super) async fn obey(&self, id: InboxId, origin: Origin, command: &Command) -> bool {
        if self.admitted(&origin).await {
            match command::named(&command.name) {
                Some(row) => self.answer_command(&origin, row, true).await,
                None => {
                    // A command that the platform has under another name (`/botyard fix the build`): its first word
                    // may be one of ours, else all of it is for the agent.
                    let first = command.arguments.split_whitespace().next().unwrap_or("help");
                    match command::named(first).filter(|_| command.arguments.split_whitespace().count() <= 1) {
                        Some(row) => self.answer_command(&origin, row, true).await,
                        None => {
                            let message = Message {
                                id: origin.key.clone(),
                                text: command.arguments.clone(),
                                mentions: Vec::new(),
                                addressed: true,
                                quotes: None,
                                new_thread: None,
                                attachments: command.attachments.clone(),
                                group: None,
                            };
                            return Box::pin(self.hear(id, Vec::new(), origin, message)).await;
                        }
                    }
                }
            }
        }
        self.done(id).await;
        true
    }

    pub(super) async fn answer_command(&self, origin: &Origin, row: &'static Row, native: bool) {
        let registry = &self.inner.registry;
        let Some(key) = self.session_of(&origin.conversation, &origin.sender.id).await else {
            return self
                .say(
                    origin,
                    info("That could not be looked up just now. Please try again."),
                    true,
                )
                .await;
        };
        let part = match row.action {
            Action::Help => Part::Text(command::help()),
            Action::New => {
                registry.reset(&key).await;
                info("A new conversation begins with your next message.")
            }
            Action::Stop => {
                if registry.stop(&key).await {
                    info("Stopping.")
                } else {
                    info("Nothing is running.")
                }
            }
            Action::Status => Part::Text(self.status_text(&key).await),
        };
        self.say(origin, part, row.private && native).await;
    }

    async fn status_text(&self, key: &crate::chat::SessionKey) -> String {
        let status = self.inner.registry.status(key).await;
        let mut lines = match status {
            None => vec!["No conversation yet.".to_owned()],
            Some(status) => {
                let doing = if status.asking {
                    "It waits for a decision"
                } else if status.running.is_some() {
                    "It is working"
                } else {
                    "It is idle"
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
