//! What a turn looks like on Slack: blocks, packed into as many messages as Slack's limits ask for.
//!
//! Pure. An earlier message changes only when what it shows changes, so a stream appends.

use botyard_sdk::delivery::{Block, Part, State, Step, StepState, View};
use botyard_sdk::json::str_at;
use botyard_sdk::serde_json::{Value, json};
use botyard_sdk::split::{clip, length, one_line, split};
use serde::{Deserialize, Serialize};

use crate::api::Shown;
use crate::ask;
use crate::form::plain;
use crate::interactive::BUTTON;
use crate::text::{escape, escape_clip, quiet};

/// Text of one message at most. A `markdown` block takes 12,000 characters; all blocks together were seen to fail at
/// 13,297 without and 13,172 with one block more (slackapi/bolt-js#2509), so each block costs [`OVERHEAD`] too.
pub const BUDGET: usize = 11_000;
const OVERHEAD: usize = 130;
/// Slack takes 50 blocks, and may make several of one `markdown` block.
const BLOCKS: usize = 40;
/// A section's or a context's text object takes 3,000 characters.
pub(crate) const SECTION: usize = 2_900;
/// `text` of `chat.update` takes 4,000 characters.
const TEXT: usize = 3_900;
/// The same where it only stands for the blocks.
const FALLBACK: usize = 3_000;
/// Room kept at the end for the state, the footer and the stop button.
const TAIL: usize = 1_400;
/// The smallest messages that are tried when Slack says that they are too long: a section, its buttons and the tail.
pub const SMALLEST: usize = TAIL + SECTION + 700;
/// Of a long run of steps the last ones are shown.
const STEPS: usize = 12;

/// How much of Slack's blocks a message uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dress {
    /// Markdown as Slack draws it.
    #[default]
    Rich,
    /// Markdown as it was written, in the oldest kind of blocks.
    Sections,
    /// No blocks, and so no buttons.
    Text,
}

impl Dress {
    pub fn is_rich(&self) -> bool {
        *self == Self::Rich
    }

    /// What is tried when Slack refuses the blocks of this one.
    pub const fn plainer(self) -> Option<Self> {
        match self {
            Self::Rich => Some(Self::Sections),
            Self::Sections => Some(Self::Text),
            Self::Text => None,
        }
    }
}

/// Blocks that stay in one message.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) blocks: Vec<Value>,
    pub(crate) size: usize,
    /// The same in plain words, escaped.
    pub(crate) text: String,
}

impl Group {
    pub(crate) fn push(&mut self, block: Value, text: &str) {
        self.size += length(text) + OVERHEAD;
        self.blocks.push(block);
        if !text.is_empty() {
            if !self.text.is_empty() {
                self.text.push('\n');
            }
            self.text.push_str(text);
        }
    }

    pub(crate) fn context(text: &str) -> Self {
        let mut group = Self::default();
        group.push(json!({ "type": "context", "elements": [mrkdwn(text)] }), text);
        group
    }
}

pub(crate) fn mrkdwn(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text })
}

pub(crate) fn section(text: &str) -> Value {
    json!({ "type": "section", "text": mrkdwn(text) })
}

/// What flows through the messages.
pub(crate) enum Flow {
    /// Markdown that may be cut.
    Text(String),
    Whole(Group),
}

/// The messages that show `view`, each with at most `budget` characters ([`SMALLEST`] or more). At least one.
pub fn render(view: &View, budget: usize, dress: Dress) -> Vec<Shown> {
    let mut pages = Pages {
        budget: budget.max(SMALLEST),
        rich: dress.is_rich(),
        done: Vec::new(),
        open: Group::default(),
    };
    for flow in flows(view, dress) {
        match flow {
            Flow::Text(text) => pages.text(&text),
            Flow::Whole(group) => pages.whole(group),
        }
    }
    let shown = pages.finish(tail(view));
    if dress == Dress::Text { bare(&shown) } else { shown }
}

/// The words of blocks alone.
fn bare(shown: &[Shown]) -> Vec<Shown> {
    let mut texts = Vec::new();
    for block in shown.iter().flat_map(|shown| &shown.blocks) {
        texts.extend(str_at(block, "/text/text").or(str_at(block, "/elements/0/text")));
        if str_at(block, "/type") == Some("actions") {
            // The one that stops it: a question says what can be said to it.
            texts.push("(Say `!stop` to stop it: the button cannot be shown.)");
        }
    }
    let mut pages = vec![String::new()];
    for text in texts {
        match pages.last_mut() {
            Some(page) if page.is_empty() => page.push_str(text),
            Some(page) if length(page) + length(text) < TEXT => {
                page.push('\n');
                page.push_str(text);
            }
            _ => pages.push(text.to_owned()),
        }
    }
    pages
        .into_iter()
        .map(|text| Shown {
            text: if text.is_empty() { "…".to_owned() } else { text },
            blocks: Vec::new(),
        })
        .collect()
}

/// Escaped texts for sections.
fn sections(markdown: &str, longest: usize) -> Vec<String> {
    let mut all = Vec::new();
    for piece in split(markdown, longest, longest) {
        let escaped = escape(piece.text.trim_end());
        // Some characters are five when they are escaped.
        if length(&escaped) > SECTION {
            all.extend(sections(&piece.text, longest / 2));
        } else if !piece.own().trim().is_empty() {
            all.push(escaped);
        }
    }
    all
}

struct Pages {
    budget: usize,
    rich: bool,
    done: Vec<Group>,
    open: Group,
}

impl Pages {
    fn room(&self) -> usize {
        (self.budget - TAIL).saturating_sub(self.open.size)
    }

    fn turn(&mut self) {
        if !self.open.blocks.is_empty() {
            self.done.push(std::mem::take(&mut self.open));
        }
    }

    fn text(&mut self, markdown: &str) {
        let markdown = quiet(markdown);
        if !self.rich {
            for text in sections(&markdown, SECTION) {
                let mut group = Group::default();
                group.push(section(&text), &text);
                self.whole(group);
            }
            return;
        }
        let whole = self.budget - TAIL - OVERHEAD;
        let needed = length(&markdown) + OVERHEAD;
        // A short rest of a message is not worth a cut.
        if self.open.blocks.len() >= BLOCKS || (needed > self.room() && self.room() < whole / 3) {
            self.turn();
        }
        let first = self.room().saturating_sub(OVERHEAD);
        for (at, piece) in split(&markdown, first, whole).into_iter().enumerate() {
            if at > 0 {
                self.turn();
            }
            // Slack refuses a text without a character.
            if piece.own().trim().is_empty() {
                continue;
            }
            let size = length(&piece.text) + OVERHEAD;
            let fallback = escape(piece.text.trim_end());
            self.open.push(json!({ "type": "markdown", "text": piece.text }), "");
            self.open.size += size - OVERHEAD;
            self.open
                .text
                .push_str(if self.open.text.is_empty() { "" } else { "\n" });
            self.open.text.push_str(&fallback);
        }
    }

    fn whole(&mut self, group: Group) {
        if group.size > self.room() || self.open.blocks.len() + group.blocks.len() > BLOCKS {
            self.turn();
        }
        self.open.size += group.size;
        self.open.blocks.extend(group.blocks);
        if !self.open.text.is_empty() && !group.text.is_empty() {
            self.open.text.push('\n');
        }
        self.open.text.push_str(&group.text);
    }

    fn finish(mut self, tail: Group) -> Vec<Shown> {
        self.open.blocks.extend(tail.blocks);
        if self.open.text.is_empty() {
            self.open.text = tail.text;
        }
        self.turn();
        self.done
            .into_iter()
            .map(|group| {
                let text = if group.text.trim().is_empty() {
                    "…"
                } else {
                    group.text.as_str()
                };
                Shown {
                    text: cut(text),
                    blocks: group.blocks,
                }
            })
            .collect()
    }
}

/// Escaped text, cut without an entity being torn.
fn cut(escaped: &str) -> String {
    let clipped = clip(escaped, FALLBACK);
    match clipped.rfind('&') {
        Some(at) if clipped.ends_with('…') && !clipped[at..].contains(';') => format!("{}…", &clipped[..at]),
        _ => clipped,
    }
}

fn flows(view: &View, dress: Dress) -> Vec<Flow> {
    let mut flows = Vec::new();
    let mut steps: Vec<&Block> = Vec::new();
    let mut texts = 0;
    for block in &view.blocks {
        if matches!(block.part, Part::Step(_)) {
            steps.push(block);
            continue;
        }
        // What was thought is shown while it is thought; a run of steps goes on over it.
        if let Part::Thinking(_) = block.part
            && block.complete
        {
            continue;
        }
        run(&mut steps, &mut flows);
        match &block.part {
            Part::Step(_) => {}
            Part::Text(text) if text.trim().is_empty() => {}
            Part::Text(text) => {
                texts += 1;
                flows.push(Flow::Text(text.clone()));
            }
            Part::Thinking(text) => {
                let end: String = text.trim().chars().rev().take(200).collect();
                let end: String = end.chars().rev().collect();
                let line = escape(&end.replace(['\n', '_'], " "));
                flows.push(Flow::Whole(Group::context(&format!("💭 _…{line}_"))));
            }
            Part::Plan(items) => flows.extend(ask::plan(items)),
            Part::Ask(part) => flows.extend(ask::ask(part, dress)),
            Part::File(file) => {
                flows.push(Flow::Whole(Group::context(&format!(
                    "📎 {}",
                    escape_clip(&file.name, 300)
                ))));
            }
            Part::Notice(notice) => flows.extend(ask::notice(notice)),
        }
    }
    run(&mut steps, &mut flows);
    if texts > 0 || !flows.is_empty() {
        return flows;
    }
    match view.state {
        State::Running => flows.push(Flow::Whole(Group::context("⏳ Working…"))),
        State::Done => flows.push(Flow::Whole(Group::context("✓ Done"))),
        _ => {}
    }
    flows
}

/// A run of steps as one compact block: the last ones and those that went wrong.
fn run(steps: &mut Vec<&Block>, flows: &mut Vec<Flow>) {
    if steps.is_empty() {
        return;
    }
    let steps = std::mem::take(steps);
    let early = steps.len().saturating_sub(STEPS);
    let mut lines = Vec::new();
    let mut hidden = 0;
    for (at, block) in steps.iter().enumerate() {
        let Part::Step(step) = &block.part else { continue };
        let wrong = matches!(step.state, StepState::Failed | StepState::Denied);
        if at < early && (!wrong || steps.len() > 3 * STEPS) {
            hidden += 1;
            continue;
        }
        lines.push(step_line(step, block.parent.is_some()));
    }
    let mut group = Vec::new();
    if hidden > 0 {
        group.push(format!("… {hidden} earlier steps"));
    }
    let mut used = 0;
    for line in lines {
        used += length(&line) + 1;
        if used > SECTION {
            flows.push(Flow::Whole(Group::context(&group.join("\n"))));
            group.clear();
            used = length(&line) + 1;
        }
        group.push(line);
    }
    flows.push(Flow::Whole(Group::context(&group.join("\n"))));
}

fn step_line(step: &Step, nested: bool) -> String {
    let icon = match step.state {
        StepState::Waiting => "○",
        StepState::Running => "▸",
        StepState::Done => "✓",
        StepState::Failed => "✗",
        StepState::Denied => "⊘",
    };
    let mut line = format!(
        "{}{icon} {}",
        if nested { "    ↳ " } else { "" },
        escape_clip(&one_line(&step.title), 160)
    );
    // The first line says what it is about; it may be Markdown code itself, and a backtick would end ours early.
    let detail = step
        .detail
        .trim()
        .lines()
        .next()
        .unwrap_or_default()
        .trim_matches('`')
        .replace('`', "'");
    if !detail.trim().is_empty() {
        line.push_str(&format!(" `{}`", escape_clip(&one_line(&detail), 160)));
    }
    if let Some(elapsed) = step.elapsed_ms.filter(|ms| *ms >= 1000) {
        line.push_str(&format!(" · {}", duration(elapsed)));
    }
    if step.state == StepState::Failed && !step.output.trim().is_empty() {
        line.push_str(&format!("\n    {}", escape_clip(&one_line(&step.output), 300)));
    }
    line
}

fn duration(ms: u32) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// The state, the footer and the stop button: at the end of the last message.
pub(crate) fn tail(view: &View) -> Group {
    let mut tail = Group::default();
    let mut lines = Vec::new();
    match &view.state {
        State::Waiting(place) => lines.push(format!("⏳ Waiting: number {place} in the queue")),
        State::Stopped => lines.push("⏹ Stopped".to_owned()),
        State::Failed(sentence) => lines.push(format!("❌ {}", escape_clip(sentence, 800))),
        State::Running | State::Asking | State::Done => {}
    }
    lines.extend(
        view.footer
            .iter()
            .filter(|f| !f.trim().is_empty())
            .map(|footer| escape_clip(footer, 300)),
    );
    if !lines.is_empty() {
        let text = lines.join("\n");
        tail.push(json!({ "type": "context", "elements": [mrkdwn(&text)] }), &text);
    }
    let live = matches!(view.state, State::Waiting(_) | State::Running | State::Asking);
    if let (true, Some(token)) = (live, &view.stop_token) {
        let button = json!({
            "type": "button",
            "text": plain("Stop", 75),
            "action_id": format!("{BUTTON}{token}"),
            "value": token,
        });
        tail.push(json!({ "type": "actions", "elements": [button] }), "");
    }
    tail
}

#[cfg(test)]
pub(crate) mod tests;
