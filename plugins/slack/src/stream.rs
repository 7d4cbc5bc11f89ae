//! A running turn as Slack's own stream: text that only grows, and a card for each step.
//!
//! Pure. A stream takes nothing back, so only what stays as it is goes into it: the last word of a text that still
//! grows waits for its end (it might become a ping), and a view with a question in it is no stream at all.

use botyard_sdk::delivery::{Block, Part, PlanState, StepState, Tone, View};
use botyard_sdk::digest::Digest;
use botyard_sdk::serde_json::{Value, json};
use botyard_sdk::split::{clip, length, one_line};

use crate::text::quiet;
use crate::view::BUDGET;

/// `details` and `output` of a task take 256 characters (the limit that Microsoft's Agents SDK documents for
/// `task_update`; Slack's pages name none for the title).
const DETAIL: usize = 250;
const TITLE: usize = 200;
/// Cards in one stream; more are not shown while it runs.
const TASKS: usize = 60;

/// What a view says in a stream, in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    parts: Vec<Piece>,
    /// There are more cards than a stream takes.
    cut: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Task { id: String, card: Value },
}

/// How far a stream is: bytes of the text, and each card as it was last shown.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    pub sent: usize,
    /// Of the text that was sent.
    pub hash: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<(String, u64)>,
}

impl Default for Progress {
    /// Nothing was said.
    fn default() -> Self {
        Self {
            sent: 0,
            hash: Digest::default().number(),
            tasks: Vec::new(),
        }
    }
}

/// What `view` says as a stream; none: it cannot be one. With `whole`, nothing waits for its end.
pub fn script(view: &View, whole: bool) -> Option<Script> {
    let mut parts = Vec::new();
    let mut tasks = 0;
    let last = view.blocks.len().saturating_sub(1);
    let mut said = 0;
    for (at, block) in view.blocks.iter().enumerate() {
        let text = match &block.part {
            Part::Ask(_) => return None,
            Part::Thinking(_) | Part::File(_) => continue,
            Part::Step(_) | Part::Plan(_) => {
                for (id, card) in cards(block) {
                    tasks += 1;
                    if tasks <= TASKS {
                        parts.push(Piece::Task { id, card });
                    }
                }
                continue;
            }
            Part::Notice(notice) => {
                let icon = match notice.tone {
                    Tone::Info => "ℹ️",
                    Tone::Warning => "⚠️",
                    Tone::Error => "❌",
                };
                format!("{icon} {}", notice.text.trim())
            }
            Part::Text(text) => text.clone(),
        };
        let grows = !whole && !block.complete && at == last;
        let settled = if grows { settled(&text) } else { text.trim_end() };
        if settled.trim().is_empty() {
            continue;
        }
        let space = if said == 0 { "" } else { "\n\n" };
        parts.push(Piece::Text(format!("{space}{}", quiet(settled))));
        said += 1;
    }
    let script = Script {
        parts,
        cut: tasks > TASKS,
    };
    (length(&script.text()) <= BUDGET).then_some(script)
}

/// All of a growing text but its last word and the spaces before it.
fn settled(text: &str) -> &str {
    match text.rfind(char::is_whitespace) {
        Some(at) => text[..at].trim_end(),
        None => "",
    }
}

fn card(id: &str, title: &str, status: &str, detail: &str, output: &str) -> Value {
    let title = one_line(title);
    let title = if title.is_empty() {
        "…".to_owned()
    } else {
        quiet(&clip(&title, TITLE))
    };
    let mut card = json!({ "type": "task_update", "id": id, "title": title, "status": status });
    for (name, text) in [("details", detail), ("output", output)] {
        let text = text.trim();
        if !text.is_empty() {
            card[name] = clip(&quiet(text), DETAIL).into();
        }
    }
    card
}

fn cards(block: &Block) -> Vec<(String, Value)> {
    match &block.part {
        Part::Step(step) => {
            let status = match step.state {
                StepState::Waiting => "pending",
                StepState::Running => "in_progress",
                StepState::Done => "complete",
                StepState::Failed | StepState::Denied => "error",
            };
            let id = format!("step-{}", block.id);
            let output = if step.state == StepState::Failed {
                step.output.as_str()
            } else {
                ""
            };
            let title = if block.parent.is_some() {
                format!("↳ {}", step.title)
            } else {
                step.title.clone()
            };
            vec![(id.clone(), card(&id, &title, status, &step.detail, output))]
        }
        Part::Plan(items) => items
            .iter()
            .enumerate()
            .map(|(at, item)| {
                let status = match item.state {
                    PlanState::Pending => "pending",
                    PlanState::Active => "in_progress",
                    PlanState::Done => "complete",
                };
                let id = format!("plan-{}-{at}", block.id);
                (id.clone(), card(&id, &item.text, status, "", ""))
            })
            .collect(),
        _ => Vec::new(),
    }
}

impl Script {
    /// All text of it.
    pub fn text(&self) -> String {
        self.parts
            .iter()
            .filter_map(|piece| match piece {
                Piece::Text(text) => Some(text.as_str()),
                Piece::Task { .. } => None,
            })
            .collect()
    }

    /// Not all steps are in it.
    pub const fn is_cut(&self) -> bool {
        self.cut
    }

    /// There is nothing to see.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// What is to be appended after `progress`, and how far it is then; none: the stream said something else.
    pub fn after(&self, progress: &Progress) -> Option<(Vec<Value>, Progress)> {
        let text = self.text();
        if !text.is_char_boundary(progress.sent)
            || Digest::of(text.get(..progress.sent)?.as_bytes()).number() != progress.hash
        {
            return None;
        }
        let mut chunks = Vec::new();
        let mut now = Progress {
            sent: text.len(),
            hash: Digest::of(text.as_bytes()).number(),
            tasks: progress.tasks.clone(),
        };
        let mut at = 0;
        for piece in &self.parts {
            match piece {
                Piece::Text(text) => {
                    let skip = progress.sent.saturating_sub(at).min(text.len());
                    at += text.len();
                    if skip < text.len() {
                        chunks.push(json!({ "type": "markdown_text", "text": &text[skip..] }));
                    }
                }
                Piece::Task { id, card } => {
                    let shown = Digest::of_json(card).number();
                    match now.tasks.iter_mut().find(|(known, _)| known == id) {
                        Some((_, there)) if *there == shown => continue,
                        Some((_, there)) => *there = shown,
                        None => now.tasks.push((id.clone(), shown)),
                    }
                    chunks.push(card.clone());
                }
            }
        }
        Some((chunks, now))
    }
}

#[cfg(test)]
mod tests;
