//! How each event of an agent changes the view.

use tokio::time::Instant;

use super::words::{limited, retrying, shorten, usage};
use super::{OUTPUT_MAX_BYTES, TurnView};
use crate::chat::{Notice, Part, PlanItem, Step, StepState, Tone};
use crate::driver::AgentEvent;

impl TurnView {
    pub(super) fn fold(&mut self, event: &AgentEvent, now: Instant) {
        match event {
            AgentEvent::Session { model, .. } => {
                if model.is_some() && *model != self.model {
                    self.model.clone_from(model);
                    // Shown with the usage, so nobody sees it before that.
                    self.changed = self.usage.is_some() && self.show_usage;
                }
            }
            AgentEvent::TextDelta { block, text } => self.delta(*block, false, text),
            AgentEvent::ThinkingDelta { block, text } => {
                self.alive();
                if self.show_thinking {
                    self.delta(*block, true, text);
                }
            }
            AgentEvent::Text { block, text, parent } => self.certain(*block, false, text, parent.as_deref()),
            AgentEvent::Thinking { block, text, parent } => {
                self.alive();
                if self.show_thinking {
                    self.certain(*block, true, text, parent.as_deref());
                }
            }
            AgentEvent::Restart => self.withdraw(),
            AgentEvent::Tool {
                call,
                parent,
                kind,
                title,
                detail,
            } => self.tool(call, parent.as_deref(), kind, title, detail, now),
            AgentEvent::ToolEnded {
                call,
                failed,
                denied,
                output,
            } => self.tool_ended(call, *failed, *denied, output, now),
            AgentEvent::Plan(items) => self.plan(items),
            AgentEvent::Retrying {
                attempt,
                of,
                after,
                reason,
            } => self.pass(Tone::Warning, retrying(*attempt, *of, *after, reason)),
            AgentEvent::Compacting => self.pass(
                Tone::Info,
                "The conversation grew long and is being summed up to make room.".to_owned(),
            ),
            AgentEvent::Usage {
                input_tokens,
                output_tokens,
                cost_usd,
            } => {
                let usage = usage(*input_tokens, *output_tokens, *cost_usd);
                if self.usage.as_deref() != Some(&usage) {
                    self.usage = Some(usage);
                    self.changed |= self.show_usage;
                }
            }
            AgentEvent::Limited { until, reached } => {
                self.pass(Tone::Warning, limited(*until, *reached, crate::chat::now()));
            }
            AgentEvent::Ready { .. }
            | AgentEvent::Offers(_)
            | AgentEvent::Started { .. }
            | AgentEvent::Alive
            | AgentEvent::Permission(_)
            | AgentEvent::PermissionWithdrawn { .. }
            | AgentEvent::Result { .. }
            | AgentEvent::Idle { .. }
            | AgentEvent::Background { .. }
            | AgentEvent::Exited { .. } => {}
        }
    }

    fn delta(&mut self, number: u64, thinking: bool, text: &str) {
        self.alive();
        if text.is_empty() {
            return;
        }
        let at = match self.uncertain.get(&(number, thinking)) {
            Some(at) => *at,
            None => {
                let part = if thinking {
                    Part::Thinking(String::new())
                } else {
                    Part::Text(String::new())
                };
                let at = self.push(None, part, false);
                self.uncertain.insert((number, thinking), at);
                at
            }
        };
        if let Some(Part::Text(whole) | Part::Thinking(whole)) = &mut self.slots[at].part {
            whole.push_str(text);
            self.mark(at);
        }
    }

    fn certain(&mut self, number: u64, thinking: bool, text: &str, parent: Option<&str>) {
        self.alive();
        let parent = self.parent(parent);
        let known = self.uncertain.remove(&(number, thinking));
        if text.is_empty() {
            if let Some(at) = known {
                self.remove(at);
            }
            return;
        }
        let part = if thinking {
            Part::Thinking(text.to_owned())
        } else {
            Part::Text(text.to_owned())
        };
        match known {
            Some(at) => {
                let slot = &mut self.slots[at];
                slot.part = Some(part);
                slot.parent = parent;
                slot.complete = true;
                self.mark(at);
            }
            None => {
                self.push(parent, part, true);
            }
        }
    }

    /// Takes back all text that is not certain: the stream broke and is tried again, or the process is gone.
    pub fn withdraw(&mut self) {
        let withdrawn: Vec<usize> = self.uncertain.drain().map(|(_, at)| at).collect();
        for at in withdrawn {
            self.remove(at);
        }
    }

    fn tool(&mut self, call: &str, parent: Option<&str>, kind: &str, title: &str, detail: &str, now: Instant) {
        self.alive();
        let at = match self.calls.get(call) {
            Some(at) => *at,
            None => {
                let parent = self.parent(parent);
                let step = Step {
                    kind: String::new(),
                    title: String::new(),
                    detail: String::new(),
                    output: String::new(),
                    state: StepState::Running,
                    elapsed: None,
                };
                let at = self.push(parent, Part::Step(step), false);
                self.calls.insert(call.to_owned(), at);
                self.began.insert(at, now);
                at
            }
        };
        if let Some(Part::Step(step)) = &mut self.slots[at].part {
            kind.clone_into(&mut step.kind);
            title.clone_into(&mut step.title);
            step.detail = shorten(detail, OUTPUT_MAX_BYTES);
            self.mark(at);
        }
    }

    fn tool_ended(&mut self, call: &str, failed: bool, denied: bool, output: &str, now: Instant) {
        self.alive();
        let Some(at) = self.calls.get(call).copied() else {
            return;
        };
        let began = self.began.remove(&at);
        if let Some(Part::Step(step)) = &mut self.slots[at].part {
            step.state = match (denied, failed) {
                (true, _) => StepState::Denied,
                (false, true) => StepState::Failed,
                (false, false) => StepState::Done,
            };
            step.output = shorten(output, OUTPUT_MAX_BYTES);
            if let Some(began) = began {
                step.elapsed = Some(now.saturating_duration_since(began));
            }
            self.slots[at].complete = true;
            self.mark(at);
        }
    }

    fn plan(&mut self, items: &[PlanItem]) {
        self.alive();
        match self.plan {
            Some(at) => {
                if !matches!(&self.slots[at].part, Some(Part::Plan(old)) if old == items) {
                    self.slots[at].part = Some(Part::Plan(items.to_vec()));
                    self.mark(at);
                }
            }
            None if items.is_empty() => {}
            None => self.plan = Some(self.push(None, Part::Plan(items.to_vec()), false)),
        }
    }

    pub(super) fn pass(&mut self, tone: Tone, text: String) {
        let part = Part::Notice(Notice { tone, text });
        match self.passing {
            Some(at) if self.slots[at].part.as_ref() == Some(&part) => {}
            Some(at) => {
                self.slots[at].part = Some(part);
                self.mark(at);
            }
            None => self.passing = Some(self.push(None, part, true)),
        }
    }

    /// The agent goes on: what was said about its trouble is over.
    pub(super) fn alive(&mut self) {
        if let Some(at) = self.passing.take() {
            self.remove(at);
        }
    }
}
