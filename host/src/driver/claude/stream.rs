//! Text as it comes, and when it becomes certain. The stream gives pieces; an `assistant` line per block gives the
//! truth. A stream that broke leaves pieces that no such line follows: they are withdrawn.

use std::collections::VecDeque;

use super::wire::ApiEvent;
use crate::driver::AgentEvent;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
}

#[derive(Debug)]
struct Open {
    /// Its place in the API's message.
    index: u64,
    /// Ours.
    number: u64,
    kind: Kind,
    shown: bool,
}

/// Numbers the blocks of the main conversation (a sub-agent's are only told when they are certain).
#[derive(Debug, Default)]
pub(super) struct Stream {
    next: u64,
    message: String,
    /// Not certain yet.
    open: Vec<Open>,
}

impl Stream {
    /// An event of the API's stream.
    pub(super) fn event(&mut self, event: ApiEvent, events: &mut VecDeque<AgentEvent>) {
        match event.kind.as_str() {
            "message_start" => {
                self.withdraw(events);
                self.message = event.message.id;
            }
            "content_block_start" => {
                let kind = match event.content_block.kind.as_str() {
                    "text" => Kind::Text,
                    "thinking" => Kind::Thinking,
                    _ => return,
                };
                let number = self.number();
                self.open.push(Open {
                    index: event.index,
                    number,
                    kind,
                    shown: false,
                });
            }
            "content_block_delta" => {
                let Some(open) = self.open.iter_mut().rfind(|open| open.index == event.index) else {
                    if events.back() != Some(&AgentEvent::Alive) {
                        events.push_back(AgentEvent::Alive);
                    }
                    return;
                };
                let block = open.number;
                let told = match (open.kind, event.delta.kind.as_str()) {
                    (Kind::Text, "text_delta") if !event.delta.text.is_empty() => AgentEvent::TextDelta {
                        block,
                        text: event.delta.text,
                    },
                    (Kind::Thinking, "thinking_delta") if !event.delta.thinking.is_empty() => {
                        AgentEvent::ThinkingDelta {
                            block,
                            text: event.delta.thinking,
                        }
                    }
                    _ => return,
                };
                open.shown = true;
                events.push_back(told);
            }
            _ => {}
        }
    }

    /// The number of a block that is now certain: the one that was streamed, or a new one. `main`: not a sub-agent's.
    pub(super) fn certain(&mut self, message: &str, kind: &str, main: bool, events: &mut VecDeque<AgentEvent>) -> u64 {
        if !main {
            return self.number();
        }
        self.other(message, main, events);
        let kind = if kind == "text" { Kind::Text } else { Kind::Thinking };
        match self.open.iter().position(|open| open.kind == kind) {
            Some(at) => self.open.remove(at).number,
            None => self.number(),
        }
    }

    /// Something certain of this message came: what is open of another message never becomes so.
    pub(super) fn other(&mut self, message: &str, main: bool, events: &mut VecDeque<AgentEvent>) {
        if main && message != self.message {
            self.withdraw(events);
            message.clone_into(&mut self.message);
        }
    }

    /// Takes back what is not certain.
    pub(super) fn withdraw(&mut self, events: &mut VecDeque<AgentEvent>) {
        if self.open.drain(..).any(|open| open.shown) {
            events.push_back(AgentEvent::Restart);
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
