//! The agent's words. ACP gives pieces without an end: a block is whole when something else comes.

use std::collections::VecDeque;

use crate::driver::AgentEvent;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Thinking,
}

#[derive(Debug)]
struct Open {
    number: u64,
    kind: Kind,
    /// The agent's own name for the message, where it gives one.
    message: String,
    text: String,
}

/// Numbers the blocks.
#[derive(Debug, Default)]
pub(super) struct Reply {
    next: u64,
    open: Option<Open>,
}

impl Reply {
    pub(super) fn piece(&mut self, kind: Kind, message: &str, text: &str, events: &mut VecDeque<AgentEvent>) {
        if text.is_empty() {
            return;
        }
        let same = |open: &Open| open.kind == kind && open.message == message;
        if !self.open.as_ref().is_some_and(same) {
            self.close(events);
        }
        let open = self.open.get_or_insert_with(|| {
            self.next += 1;
            Open {
                number: self.next,
                kind,
                message: message.to_owned(),
                text: String::new(),
            }
        });
        open.text.push_str(text);
        let (block, text) = (open.number, text.to_owned());
        events.push_back(match kind {
            Kind::Text => AgentEvent::TextDelta { block, text },
            Kind::Thinking => AgentEvent::ThinkingDelta { block, text },
        });
    }

    /// The block that is open is whole.
    pub(super) fn close(&mut self, events: &mut VecDeque<AgentEvent>) {
        let Some(open) = self.open.take() else { return };
        let (block, text, parent) = (open.number, open.text, None);
        events.push_back(match open.kind {
            Kind::Text => AgentEvent::Text { block, text, parent },
            Kind::Thinking => AgentEvent::Thinking { block, text, parent },
        });
    }

    /// Takes the block that is open back.
    pub(super) fn withdraw(&mut self, events: &mut VecDeque<AgentEvent>) {
        if self.open.take().is_some() {
            events.push_back(AgentEvent::Restart);
        }
    }

    /// What was said last is only what `words` say as well: the agent's own complaint.
    pub(super) fn repeats(&self, words: &str) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| open.kind == Kind::Text && words.contains(open.text.trim()))
    }
}
