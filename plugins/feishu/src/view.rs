//! What a turn looks like on Feishu: elements, packed into as many cards as Feishu's limits ask for.
//!
//! Pure. An earlier card changes only when what it shows changes, so a stream appends. What Feishu cannot show: a word
//! for one person in a group is written to them directly (`show`), a form is a message of its own (`press`).

use botyard_sdk::delivery::{Block, Notice, Part, PlanItem, PlanState, State, Step, StepState, Tone, View};
use botyard_sdk::json;
use botyard_sdk::serde_json::{Value, json};
use botyard_sdk::split::{clip, flow, length, one_line};

use crate::ask;
use crate::markdown::{TABLES, block, code, escape, escape_clip, escape_naming, fold_tables, hushed, quiet, summary};

/// Text of one card at most, in UTF-16 units: a card's JSON takes 30 KB, a unit at most three bytes.
pub const BUDGET: usize = 8_000;
/// The smallest cards that are tried when Feishu says that they are too large.
pub const SMALLEST: usize = 3_000;
/// A card takes 200 elements, nested ones counted (300305; Cheerwhy/hermes-lark-streaming#45 saw it count more).
const ELEMENTS: usize = 100;
/// What stands in one element without being cut.
pub(crate) const WHOLE: usize = 2_000;
/// Room kept at the end for the state, the footer and the stop button.
const TAIL: usize = 900;
/// Of a long run of steps the last ones are shown.
const STEPS: usize = 20;

/// An element of a card. Its id stays the same while a turn grows.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    pub id: String,
    /// With its `element_id`.
    pub value: Value,
}

impl Element {
    pub(crate) fn new(id: &str, mut value: Value) -> Self {
        value["element_id"] = id.into();
        Self {
            id: id.to_owned(),
            value,
        }
    }

    /// The text, if it is one of Markdown: such an element can be typed out.
    pub fn text(&self) -> Option<&str> {
        let plain = self.value["tag"] == "markdown" && self.value.get("text_size").is_none();
        plain.then(|| self.value["content"].as_str()).flatten()
    }

    /// How much of a card's budget it takes.
    fn size(&self) -> usize {
        match self.text() {
            Some(text) => length(text) + 60,
            None => json::length(&self.value),
        }
    }

    fn count(&self) -> usize {
        tags(&self.value)
    }
}

fn tags(value: &Value) -> usize {
    match value {
        Value::Object(fields) => usize::from(fields.contains_key("tag")) + fields.values().map(tags).sum::<usize>(),
        Value::Array(all) => all.iter().map(tags).sum(),
        _ => 0,
    }
}

/// One card.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub elements: Vec<Element>,
    /// What lists of chats show.
    pub summary: String,
}

impl Page {
    /// Card JSON 2.0. A card that streams types out what grows.
    pub fn card(&self, streaming: bool) -> Value {
        let elements: Vec<&Value> = self.elements.iter().map(|element| &element.value).collect();
        let mut config = json!({
            "update_multi": true,
            "streaming_mode": streaming,
            "summary": { "content": self.summary },
        });
        if streaming {
            config["streaming_config"] = json!({
                "print_frequency_ms": { "default": 70 },
                "print_step": { "default": 2 },
                "print_strategy": "fast",
            });
        }
        json!({ "schema": "2.0", "config": config, "body": { "elements": elements } })
    }

    /// The same as rich text, for where no card is taken: without anything to press.
    pub fn post(&self) -> Value {
        fn texts(value: &Value, out: &mut Vec<String>) {
            match (value["tag"].as_str(), value["content"].as_str()) {
                (Some("markdown"), Some(text)) => out.push(text.to_owned()),
                (Some("collapsible_panel"), _) => {
                    out.extend(value["header"]["title"]["content"].as_str().map(str::to_owned));
                }
                (Some("button"), _) => {
                    out.extend(value["text"]["content"].as_str().map(|label| format!("[{label}]")));
                }
                _ => {
                    for inner in ["elements", "columns"] {
                        value[inner]
                            .as_array()
                            .into_iter()
                            .flatten()
                            .for_each(|v| texts(v, out));
                    }
                }
            }
        }
        let mut out = Vec::new();
        self.elements.iter().for_each(|element| texts(&element.value, &mut out));
        if out.is_empty() {
            out.push("…".into());
        }
        json!({ "zh_cn": { "title": "", "content": [[{ "tag": "md", "text": out.join("\n\n") }]] } })
    }
}

pub(crate) fn plain(text: &str, limit: usize) -> Value {
    // An empty text is refused.
    let text = if text.trim().is_empty() { "–" } else { text };
    json!({ "tag": "plain_text", "content": clip(&hushed(text), limit) })
}

pub(crate) fn markdown(id: &str, content: &str) -> Element {
    Element::new(id, json!({ "tag": "markdown", "content": content }))
}

/// Small and grey.
fn small(id: &str, content: &str) -> Element {
    Element::new(
        id,
        json!({ "tag": "markdown", "text_size": "notation", "content": format!("<font color='grey'>{content}</font>") }),
    )
}

/// What flows through the cards.
pub(crate) enum Flow {
    /// Markdown that may be cut, and the id of its element.
    Text(String, String),
    /// Elements that stay together.
    Whole(Vec<Element>),
}

/// Nothing is to be seen yet: a sign on the question itself will do.
pub fn is_bare(view: &View) -> bool {
    matches!(view.state, State::Running) && flows(view).is_empty()
}

/// The cards that show `view`, each with about `budget` of text ([`SMALLEST`] or more). At least one.
pub fn render(view: &View, budget: usize) -> Vec<Page> {
    let mut pages = Pages {
        budget: budget.max(SMALLEST),
        done: Vec::new(),
        open: Vec::new(),
        used: 0,
        count: 0,
        tables: TABLES,
    };
    let mut flows = flows(view);
    if flows.is_empty() {
        let word = match view.state {
            State::Running => "⏳ Working…",
            State::Done => "✓ Done",
            _ => "",
        };
        if !word.is_empty() {
            flows.push(Flow::Whole(vec![small("state", word)]));
        }
    }
    for flow in flows {
        match flow {
            Flow::Text(id, text) => pages.text(&id, &text),
            Flow::Whole(group) => pages.whole(group),
        }
    }
    pages.open.extend(tail(view));
    if pages.open.is_empty() && pages.done.is_empty() {
        pages.open.push(markdown("empty", "…"));
    }
    pages.turn();
    let last = pages.done.len().saturating_sub(1);
    let summary = summary_of(view);
    pages
        .done
        .into_iter()
        .enumerate()
        .map(|(at, elements)| Page {
            elements,
            summary: if at == last {
                summary.clone()
            } else {
                format!("({})", at + 1)
            },
        })
        .collect()
}

fn summary_of(view: &View) -> String {
    match &view.state {
        State::Waiting(_) => "Waiting…".into(),
        State::Running => "Working…".into(),
        State::Asking => "Waiting for a decision".into(),
        State::Failed(sentence) => summary(&format!("❌ {sentence}")),
        State::Done | State::Stopped => {
            let said = view.blocks.iter().rev().find_map(|block| match &block.part {
                Part::Text(text) if !text.trim().is_empty() => Some(summary(text)),
                Part::Notice(notice) => Some(summary(&notice.text)),
                _ => None,
            });
            said.unwrap_or_else(|| "Done".into())
        }
    }
}

struct Pages {
    budget: usize,
    done: Vec<Vec<Element>>,
    open: Vec<Element>,
    /// What the open card takes of its budget, and how many elements it has.
    used: usize,
    count: usize,
    /// Tables that the open card may still have.
    tables: usize,
}

impl Pages {
    fn room(&self) -> usize {
        (self.budget - TAIL).saturating_sub(self.used)
    }

    const fn is_crowded(&self, more: usize) -> bool {
        self.count + more > ELEMENTS
    }

    fn push(&mut self, element: Element, size: usize) {
        self.used += size;
        self.count += element.count();
        self.open.push(element);
    }

    fn turn(&mut self) {
        if !self.open.is_empty() {
            self.done.push(std::mem::take(&mut self.open));
            (self.used, self.count) = (0, 0);
            self.tables = TABLES;
        }
    }

    fn text(&mut self, id: &str, text: &str) {
        let text = quiet(text);
        let whole = self.budget - TAIL - 60;
        // A short rest of a card is not worth a cut, and it must not be known yet how long the text becomes.
        if self.is_crowded(1) || self.room() < whole / 8 {
            self.turn();
        }
        let first = self.room().saturating_sub(60);
        let pieces = flow(&text, first, whole);
        let cut = pieces.len() > 1;
        for (at, piece) in pieces.into_iter().enumerate() {
            if at > 0 {
                self.turn();
            }
            // An empty element is refused.
            if piece.own().trim().is_empty() {
                continue;
            }
            // Again: code within a line that was cut in two is code no more.
            let quiet = if cut { quiet(&piece.text) } else { piece.text };
            let folded = fold_tables(&quiet, &mut self.tables);
            let element = markdown(id, &folded);
            let size = element.size();
            self.push(element, size);
        }
    }

    fn whole(&mut self, group: Vec<Element>) {
        let sizes: Vec<usize> = group.iter().map(Element::size).collect();
        if sizes.iter().sum::<usize>() > self.room() || self.is_crowded(group.iter().map(Element::count).sum()) {
            self.turn();
        }
        for (mut element, mut size) in group.into_iter().zip(sizes) {
            let table = element.text().filter(|text| text.contains('|'));
            if let Some(folded) = table.map(|text| fold_tables(text, &mut self.tables)) {
                element.value["content"] = folded.into();
                size = element.size();
            }
            self.push(element, size);
        }
    }
}

fn flows(view: &View) -> Vec<Flow> {
    let mut flows = Vec::new();
    let mut steps: Vec<&Block> = Vec::new();
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
        flows.extend(run(&mut steps));
        let id = format!("b{}", block.id);
        match &block.part {
            Part::Step(_) => {}
            Part::Text(text) if text.trim().is_empty() => {}
            Part::Text(text) => flows.push(Flow::Text(id, text.clone())),
            Part::Thinking(text) => {
                let end: String = text.trim().chars().rev().take(200).collect();
                let end: String = end.chars().rev().collect();
                flows.push(Flow::Whole(vec![small(
                    &id,
                    &format!("💭 …{}", escape(&one_line(&end))),
                )]));
            }
            Part::Plan(items) => flows.extend(plan(items, &id)),
            Part::Ask(part) => flows.extend(ask::ask(part, &id)),
            Part::File(file) => {
                flows.push(Flow::Whole(vec![small(
                    &id,
                    &format!("📎 {}", escape_clip(&file.name, 300)),
                )]));
            }
            Part::Notice(part) => flows.push(notice(part, id)),
        }
    }
    flows.extend(run(&mut steps));
    flows
}

fn plan(items: &[PlanItem], id: &str) -> Vec<Flow> {
    let lines: Vec<String> = items
        .iter()
        .map(|item| {
            let text = escape_clip(&one_line(&item.text), 250);
            match item.state {
                PlanState::Pending => format!("☐ {text}"),
                PlanState::Active => format!("▶ **{text}**"),
                PlanState::Done => format!("☑ {text}"),
            }
        })
        .collect();
    lines
        .chunks(10)
        .enumerate()
        .map(|(at, lines)| Flow::Whole(vec![markdown(&format!("{id}_{at}"), &lines.join("\n"))]))
        .collect()
}

fn notice(notice: &Notice, id: String) -> Flow {
    let icon = match notice.tone {
        Tone::Info => "ℹ️",
        Tone::Warning => "⚠️",
        Tone::Error => "❌",
    };
    if length(&notice.text) < WHOLE / 5 {
        return Flow::Whole(vec![markdown(
            &id,
            &format!("{icon} {}", escape_naming(notice.text.trim())),
        )]);
    }
    Flow::Text(id, format!("{icon} {}", notice.text))
}

/// A run of steps as one panel that unfolds: the last ones and those that went wrong.
fn run(steps: &mut Vec<&Block>) -> Option<Flow> {
    let steps = std::mem::take(steps);
    let first = steps.first()?;
    let id = format!("b{}", first.id);
    if let ([_], Part::Step(step)) = (&steps[..], &first.part) {
        return Some(lone(step, &id));
    }
    let early = steps.len().saturating_sub(STEPS);
    let (mut lines, mut hidden, mut failed) = (Vec::new(), 0, 0);
    let mut current = None;
    for (at, block) in steps.iter().enumerate() {
        let Part::Step(step) = &block.part else { continue };
        let wrong = matches!(step.state, StepState::Failed | StepState::Denied);
        failed += usize::from(wrong);
        if matches!(step.state, StepState::Running | StepState::Waiting) {
            current = Some(step);
        }
        if at < early && (!wrong || steps.len() > 3 * STEPS) {
            hidden += 1;
        } else {
            lines.push(step_lines(step, block.parent.is_some()));
        }
    }
    if hidden > 0 {
        lines.insert(0, format!("… {hidden} earlier steps"));
    }
    // The panel stays within what a card can hold: what is left out is said.
    let mut used = 0;
    let mut shown: Vec<String> = Vec::new();
    for line in lines.into_iter().rev() {
        used += length(&line) + 1;
        if used > WHOLE {
            shown.push("… earlier steps".into());
            break;
        }
        shown.push(line);
    }
    shown.reverse();
    let many = match steps.len() {
        1 => "1 step".to_owned(),
        n => format!("{n} steps"),
    };
    let title = match current {
        Some(step) => format!("⏳ {many} · {}", one_line(&step.title)),
        None if failed > 0 => format!("✗ {many}, {failed} not done"),
        None => format!("✓ {many}"),
    };
    Some(Flow::Whole(vec![panel(&id, &title, &shown.join("\n"))]))
}

fn panel(id: &str, title: &str, inner: &str) -> Element {
    Element::new(
        id,
        json!({
            "tag": "collapsible_panel",
            "expanded": false,
            "header": { "title": plain(title, 120) },
            "border": { "color": "grey", "corner_radius": "5px" },
            "elements": [{ "tag": "markdown", "text_size": "notation", "content": inner }],
        }),
    )
}

/// A step that stands alone says what it is without being unfolded.
fn lone(step: &Step, id: &str) -> Flow {
    let title = format!("{} {}", icon(step.state), one_line(&step.title));
    let rest = step_rest(step);
    Flow::Whole(vec![match rest.trim() {
        "" => small(id, &escape_clip(&title, 160)),
        rest => panel(id, &title, rest.trim_start_matches("· ")),
    }])
}

const fn icon(state: StepState) -> &'static str {
    match state {
        StepState::Waiting => "○",
        StepState::Running => "▸",
        StepState::Done => "✓",
        StepState::Failed => "✗",
        StepState::Denied => "⊘",
    }
}

fn step_lines(step: &Step, nested: bool) -> String {
    let indent = if nested { "　↳ " } else { "" };
    let title = escape_clip(&one_line(&step.title), 160);
    format!("{indent}{} {title}{}", icon(step.state), step_rest(step))
}

/// What is said of a step behind its title.
fn step_rest(step: &Step) -> String {
    let mut rest = String::new();
    let detail = step.detail.trim().trim_matches('`');
    if !detail.trim().is_empty() {
        rest.push_str(&format!(" {}", code(detail, 200)));
    }
    if let Some(elapsed) = step.elapsed_ms.filter(|ms| *ms >= 1000) {
        rest.push_str(&format!(" · {}", duration(elapsed)));
    }
    if step.state == StepState::Failed && !step.output.trim().is_empty() {
        rest.push_str(&format!("\n{}", block(&step.output, 300)));
    }
    rest
}

fn duration(ms: u32) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// The state, the footer and the stop button: at the end of the last card.
fn tail(view: &View) -> Vec<Element> {
    let mut tail = Vec::new();
    match &view.state {
        State::Waiting(place) => tail.push(small("state", &format!("⏳ Waiting: number {place} in the queue"))),
        State::Stopped => tail.push(small("state", "⏹ Stopped")),
        State::Failed(sentence) => tail.push(markdown("state", &format!("❌ {}", escape_clip(sentence, 400)))),
        State::Running | State::Asking | State::Done => {}
    }
    if let Some(footer) = view.footer.as_deref().filter(|footer| !footer.trim().is_empty()) {
        tail.push(small("footer", &escape_clip(footer, 120)));
    }
    let live = matches!(view.state, State::Waiting(_) | State::Running | State::Asking);
    if let (true, Some(token)) = (live, &view.stop_token) {
        tail.push(ask::row("stop", vec![ask::press_button("Stop", "default", token)]));
    }
    tail
}

#[cfg(test)]
pub(crate) mod tests;
