//! What a turn looks like on Discord: text as the message's content, steps and plans as embeds below it, questions
//! with buttons; packed into as many messages as Discord's limits ask for.
//!
//! Pure. An earlier message changes only when what it shows changes, so a stream appends.
//! Limits: docs.discord.com/developers/resources/message (2,000 characters; embeds 4,096 each and 6,000 together).

use botyard_sdk::delivery::{Block, Part, PlanItem, PlanState, State, Step, StepState, Tone, View};
use botyard_sdk::serde_json::{Value, json};
use botyard_sdk::split::{clip, length, one_line, split};

use crate::api::Shown;
use crate::ask;
use crate::text::{plain, speak};

/// Characters of one message. Discord counts code points; UTF-16 units are never fewer.
pub const CONTENT: usize = 2_000;
/// Room kept at the end for the state and the footer.
const TAIL: usize = 320;
/// Messages of one turn; what does not fit goes into a file.
pub const MESSAGES: usize = 6;
/// The name of that file.
pub const WHOLE: &str = "answer.md";
/// Of a long run of steps the last ones are shown.
const STEPS: usize = 12;
/// An embed's text, so that a card of steps and a plan fit together.
const EMBED: usize = 2_800;
/// Rows of components in one message; one of five is kept for Stop.
const ROWS: usize = 4;

const BLURPLE: u32 = 0x58_65f2;
const GREY: u32 = 0x4e_5058;
const RED: u32 = 0xda_373c;

/// What a turn comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    pub messages: Vec<Shown>,
    /// The whole text, where it is too long for messages and will not change any more.
    pub file: Option<String>,
    /// Nothing is to be seen yet but that somebody works.
    pub idle: bool,
}

/// What flows through the messages.
enum Flow<'a> {
    /// Markdown that may be cut.
    Text(String),
    Step(&'a Block, &'a Step),
    Plan(&'a [PlanItem]),
    /// A question's last words and its rows, which stay together.
    Ask(String, Vec<Value>),
}

/// The messages that show `view`; at least one.
pub fn render(view: &View) -> Rendered {
    let flows = flows(view);
    let idle = flows.is_empty() && view.state == State::Running;
    let mut pages = Pages::default();
    for flow in &flows {
        match flow {
            Flow::Text(text) => pages.text(text),
            Flow::Step(block, step) => pages.open.steps.push((step, block.parent.is_some())),
            Flow::Plan(items) => pages.open.plan = Some(items),
            Flow::Ask(text, rows) => pages.ask(text, rows),
        }
    }
    pages.turn();
    let over = matches!(view.state, State::Done | State::Stopped | State::Failed(_));
    let mut pages = pages.done;
    let mut file = None;
    if pages.len() > MESSAGES {
        pages = shortened(pages, over);
        file = over.then(|| whole(&flows));
    }
    if pages.is_empty() {
        pages.push(Page::default());
    }
    finish(&mut pages, view, flows.is_empty());
    Rendered {
        messages: pages.into_iter().map(Page::shown).collect(),
        file,
        idle,
    }
}

#[derive(Debug, Default)]
struct Page<'a> {
    content: String,
    steps: Vec<(&'a Step, bool)>,
    plan: Option<&'a [PlanItem]>,
    rows: Vec<Value>,
}

impl Page<'_> {
    fn is_empty(&self) -> bool {
        self.content.is_empty() && self.steps.is_empty() && self.plan.is_none() && self.rows.is_empty()
    }

    fn room(&self) -> usize {
        (CONTENT - TAIL).saturating_sub(length(&self.content) + 1)
    }

    fn push(&mut self, text: &str) {
        if !self.content.is_empty() && !self.content.ends_with('\n') {
            self.content.push('\n');
        }
        self.content.push_str(text);
    }

    fn shown(self) -> Shown {
        let mut embeds = Vec::new();
        if let Some(items) = self.plan {
            embeds.push(plan(items));
        }
        if !self.steps.is_empty() {
            embeds.push(activity(&self.steps));
        }
        let mut content = self.content.trim_end().to_owned();
        // A message without anything to see is refused.
        if content.trim().is_empty() && embeds.is_empty() {
            content = "…".to_owned();
        }
        Shown {
            content,
            embeds,
            components: self.rows,
        }
    }
}

#[derive(Debug, Default)]
struct Pages<'a> {
    done: Vec<Page<'a>>,
    open: Page<'a>,
}

impl Pages<'_> {
    fn turn(&mut self) {
        if !self.open.is_empty() {
            self.done.push(std::mem::take(&mut self.open));
        }
    }

    fn text(&mut self, text: &str) {
        let whole = CONTENT - TAIL;
        // What can be pressed closes a message; and a short rest of one is not worth a cut.
        if !self.open.rows.is_empty() || (length(text) > self.open.room() && self.open.room() < whole / 3) {
            self.turn();
        }
        let first = self.open.room();
        for (at, piece) in split(text, first, whole).into_iter().enumerate() {
            if at > 0 {
                self.turn();
            }
            if !piece.own().trim().is_empty() {
                self.open.push(&piece.text);
            }
        }
    }

    fn ask(&mut self, text: &str, rows: &[Value]) {
        if length(text) > self.open.room() || self.open.rows.len() + rows.len() > ROWS {
            self.turn();
        }
        self.open.push(text);
        self.open.rows.extend_from_slice(rows);
    }
}

/// The first messages, those with something to press, and a word on where the rest is.
fn shortened(pages: Vec<Page<'_>>, over: bool) -> Vec<Page<'_>> {
    let mut kept: Vec<Page<'_>> = Vec::new();
    for (at, page) in pages.into_iter().enumerate() {
        if at < MESSAGES - 1 || !page.rows.is_empty() {
            kept.push(page);
        }
    }
    let mut last = Page::default();
    last.push(&if over {
        format!("📄 The whole answer is in the file `{WHOLE}`.")
    } else {
        format!("✍️ More is being written; the whole answer will come as the file `{WHOLE}`.")
    });
    kept.push(last);
    kept
}

/// Everything that was said, for the file.
fn whole(flows: &[Flow<'_>]) -> String {
    let texts: Vec<&str> = flows
        .iter()
        .filter_map(|flow| match flow {
            Flow::Text(text) | Flow::Ask(text, _) => Some(text.trim_end()),
            Flow::Step(..) | Flow::Plan(_) => None,
        })
        .collect();
    texts.join("\n\n") + "\n"
}

fn flows(view: &View) -> Vec<Flow<'_>> {
    let mut flows = Vec::new();
    for block in &view.blocks {
        match &block.part {
            Part::Text(text) if text.trim().is_empty() => {}
            Part::Text(text) => flows.push(Flow::Text(speak(text))),
            // What was thought is shown while it is thought.
            Part::Thinking(_) if block.complete => {}
            Part::Thinking(text) => {
                let end: String = text.trim().chars().rev().take(200).collect();
                let end: String = end.chars().rev().collect();
                flows.push(Flow::Text(format!("-# 💭 …{}", plain(&end))));
            }
            Part::Step(step) => flows.push(Flow::Step(block, step)),
            Part::Plan(items) if items.is_empty() => {}
            Part::Plan(items) => flows.push(Flow::Plan(items)),
            Part::Ask(part) => {
                let asked = ask::ask(part);
                if let Some(before) = asked.before {
                    flows.push(Flow::Text(before));
                }
                for (text, rows) in asked.groups {
                    flows.push(Flow::Ask(text, rows));
                }
            }
            Part::File(file) => flows.push(Flow::Text(format!("📎 {}", plain(&clip(&file.name, 200))))),
            Part::Notice(notice) => {
                let icon = match notice.tone {
                    Tone::Info => "ℹ️",
                    Tone::Warning => "⚠️",
                    Tone::Error => "❌",
                };
                flows.push(Flow::Text(format!("{icon} {}", speak(notice.text.trim()))));
            }
        }
    }
    if let State::Failed(sentence) = &view.state {
        flows.push(Flow::Text(format!("❌ {}", speak(sentence.trim()))));
    }
    flows
}

/// The state, the footer and the stop button: at the end of the last message.
fn finish(pages: &mut [Page<'_>], view: &View, bare: bool) {
    let Some(last) = pages.last_mut() else { return };
    let word = match &view.state {
        State::Waiting(place) => format!("⏳ Waiting: number {place} in the queue"),
        State::Stopped => "⏹ Stopped".to_owned(),
        State::Running if bare => "⏳ Working…".to_owned(),
        State::Done if bare => "✓ Done".to_owned(),
        _ => String::new(),
    };
    if !word.is_empty() {
        last.push(&format!("-# {word}"));
    }
    if let Some(footer) = view.footer.as_ref().filter(|footer| !footer.trim().is_empty()) {
        last.push(&format!("-# {}", clip(&plain(footer), 200)));
    }
    let live = matches!(view.state, State::Waiting(_) | State::Running | State::Asking);
    if let (true, Some(token)) = (live, &view.stop_token) {
        let stop = json!({ "type": 2, "style": 2, "label": "Stop", "custom_id": token });
        last.rows.push(json!({ "type": 1, "components": [stop] }));
    }
}

/// Steps as one compact card: the last ones and those that went wrong.
fn activity(steps: &[(&Step, bool)]) -> Value {
    let early = steps.len().saturating_sub(STEPS);
    let mut lines = Vec::new();
    let mut hidden = 0;
    for (at, (step, nested)) in steps.iter().enumerate() {
        let wrong = matches!(step.state, StepState::Failed | StepState::Denied);
        if at < early && (!wrong || steps.len() > 3 * STEPS) {
            hidden += 1;
        } else {
            lines.push(step_line(step, *nested));
        }
    }
    // Room first for what is newest.
    let mut used = 40;
    let mut first = lines.len();
    while first > 0 && used + length(&lines[first - 1]) < EMBED {
        first -= 1;
        used += length(&lines[first]) + 1;
    }
    hidden += first;
    let mut text = lines[first..].join("\n");
    if hidden > 0 {
        text = format!("-# … {hidden} earlier steps\n{text}");
    }
    let color = if steps
        .iter()
        .any(|(step, _)| matches!(step.state, StepState::Waiting | StepState::Running))
    {
        BLURPLE
    } else if steps.last().is_some_and(|(step, _)| step.state == StepState::Failed) {
        RED
    } else {
        GREY
    };
    json!({ "description": text, "color": color })
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
        if nested { "\u{2003}↳ " } else { "" },
        plain(&clip(&one_line(&step.title), 160))
    );
    // The first line says what it is about; it may be Markdown code itself, and a backtick would end ours early.
    let detail = step
        .detail
        .trim()
        .lines()
        .find(|line| !line.starts_with("```"))
        .unwrap_or_default();
    let detail = one_line(&detail.trim_matches('`').replace('`', "'"));
    if !detail.is_empty() {
        line.push_str(&format!(" `{}`", clip(&detail, 120)));
    }
    if let Some(elapsed) = step.elapsed_ms.filter(|ms| *ms >= 1000) {
        line.push_str(&format!(" · {}", duration(elapsed)));
    }
    if step.state == StepState::Failed && !step.output.trim().is_empty() {
        line.push_str(&format!("\n-# {}", plain(&clip(&one_line(&step.output), 300))));
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

/// A plan as a checklist; of a very long one, what is not done yet goes first.
fn plan(items: &[PlanItem]) -> Value {
    let line = |item: &PlanItem| {
        let text = plain(&clip(item.text.trim(), 200));
        match item.state {
            PlanState::Pending => format!("☐ {text}"),
            PlanState::Active => format!("▶ **{text}**"),
            PlanState::Done => format!("☑ {text}"),
        }
    };
    let done = items.iter().take_while(|item| item.state == PlanState::Done).count();
    let mut from = 0;
    loop {
        let mut lines: Vec<String> = items[from..].iter().map(line).collect();
        if from > 0 {
            lines.insert(0, format!("-# {from} done before"));
        }
        let text = lines.join("\n");
        if length(&text) <= EMBED || from >= done {
            return json!({ "title": "Plan", "description": clip(&text, EMBED), "color": GREY });
        }
        from += 1;
    }
}

#[cfg(test)]
pub(crate) mod tests;
