//! Cards: what Feishu takes as card JSON 2.0, what a person sees of it, and entities (CardKit).
//!
//! Limits: open.feishu.cn/document/feishu-cards/card-json-v2-structure and .../cardkit-v1/card-element/content, as
//! copies of 2026 have them. Confirmed by no page of the vendor's that we hold: the codes 300309 (the stream is closed)
//! and 300317 (the sequence is not higher), that a repeated `uuid` is fine, and that an entity that stands in a message
//! may be replaced by a patch of that message.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::request::{Outcome, Wrong, wrong};
use super::tenant::{Button, State};

/// A card's JSON: 30 KB.
const CARD_BYTES: usize = 30 << 10;
/// Elements of a card, nested ones counted.
const ELEMENTS: usize = 200;
const TABLES: usize = 5;
/// Streams are closed after ten minutes.
const STREAM: Duration = Duration::from_secs(600);
/// A text of an element: 100,000 characters.
const ELEMENT_TEXT: usize = 100_000;

/// An entity.
#[derive(Debug)]
pub(crate) struct Card {
    pub(crate) json: Value,
    sequence: i64,
    /// Since when it streams.
    streaming: Option<Instant>,
    /// The message that shows it.
    pub(crate) sent: Option<String>,
    uuids: BTreeSet<String>,
}

impl Card {
    pub(crate) fn is_streaming(&self) -> bool {
        self.streaming.is_some_and(|since| since.elapsed() < STREAM)
    }

    pub(crate) fn end_stream(&mut self) {
        self.streaming = None;
        self.json["config"]["streaming_mode"] = false.into();
    }

    fn stream_as_said(&mut self) {
        let wanted = self.json.pointer("/config/streaming_mode").and_then(Value::as_bool) == Some(true);
        self.streaming = wanted.then(|| self.streaming.unwrap_or_else(Instant::now));
    }
}

fn bad(why: impl Into<String>) -> Wrong {
    wrong(300_301, why)
}

/// Parses and checks a card that came as a text.
pub(crate) fn parse(text: &str) -> Result<Value, Wrong> {
    if text.len() > CARD_BYTES {
        return Err(wrong(300_305, format!("the card has {} bytes", text.len())));
    }
    let card: Value = serde_json::from_str(text).map_err(|error| bad(format!("no JSON: {error}")))?;
    check(&card)?;
    Ok(card)
}

/// Whether Feishu would take it.
pub(crate) fn check(card: &Value) -> Result<(), Wrong> {
    if card["schema"] != "2.0" {
        return Err(bad("the schema is not 2.0"));
    }
    for key in card.as_object().into_iter().flat_map(|fields| fields.keys()) {
        if !["schema", "config", "card_link", "header", "body"].contains(&key.as_str()) {
            return Err(bad(format!("unknown property `{key}`")));
        }
    }
    let elements = card.pointer("/body/elements").and_then(Value::as_array);
    let elements = elements.ok_or_else(|| bad("no body.elements"))?;
    let mut seen = Seen::default();
    for element in elements {
        seen.element(element, false)?;
    }
    if seen.count > ELEMENTS {
        return Err(wrong(300_305, format!("{} elements", seen.count)));
    }
    if seen.tables > TABLES {
        return Err(wrong(230_099, format!("{} tables; ErrCode: 11310", seen.tables)));
    }
    Ok(())
}

#[derive(Default)]
struct Seen {
    count: usize,
    tables: usize,
    ids: BTreeSet<String>,
    names: BTreeSet<String>,
}

impl Seen {
    fn element(&mut self, element: &Value, in_form: bool) -> Result<(), Wrong> {
        self.count += 1;
        if let Some(id) = element.get("element_id") {
            let id = id.as_str().ok_or_else(|| bad("element_id is no text"))?;
            let first = id.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
            let all = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !first || !all || id.len() > 20 {
                return Err(bad(format!("element_id `{id}` is wrong")));
            }
            if !self.ids.insert(id.to_owned()) {
                return Err(bad(format!("element_id `{id}` is there twice")));
            }
        }
        let tag = element["tag"].as_str().ok_or_else(|| bad("an element without a tag"))?;
        match tag {
            "markdown" => {
                let text = element["content"].as_str().unwrap_or_default();
                self.tables += tables(text);
                filled(text, "markdown")?;
                pictures(text)
            }
            "div" => self.text(&element["text"], "div"),
            "hr" => Ok(()),
            "column_set" => self.all(element, "columns", in_form),
            "column" => self.all(element, "elements", in_form),
            "collapsible_panel" => {
                self.text(&element["header"]["title"], "the header of a panel")?;
                self.all(element, "elements", in_form)
            }
            "form" => {
                if in_form {
                    return Err(bad("a form within a form"));
                }
                self.named(element)?;
                self.all(element, "elements", true)?;
                let submits = buttons(element).iter().any(|button| button.submits);
                if submits {
                    Ok(())
                } else {
                    Err(bad("a form without a submit button"))
                }
            }
            "button" => self.button(element, in_form),
            "input" => {
                self.named(element)?;
                let most = element.get("max_length").map_or(Some(1000), Value::as_u64);
                match most {
                    Some(1..=1000) => Ok(()),
                    _ => Err(bad("max_length is 1 to 1000")),
                }
            }
            "select_static" | "multi_select_static" => self.select(element, in_form),
            tag => Err(bad(format!("unknown tag `{tag}`"))),
        }
    }

    fn all(&mut self, element: &Value, name: &str, in_form: bool) -> Result<(), Wrong> {
        let inner = element[name].as_array().ok_or_else(|| bad(format!("no `{name}`")))?;
        inner.iter().try_for_each(|element| self.element(element, in_form))
    }

    fn text(&self, text: &Value, of: &str) -> Result<(), Wrong> {
        match text["tag"].as_str() {
            Some("plain_text" | "lark_md" | "markdown") => filled(text["content"].as_str().unwrap_or_default(), of),
            _ => Err(bad(format!("{of} has no text"))),
        }
    }

    /// Within a form each name stands for one value.
    fn named(&mut self, element: &Value) -> Result<(), Wrong> {
        let name = element["name"].as_str().unwrap_or_default();
        if name.is_empty() || !self.names.insert(name.to_owned()) {
            return Err(bad(format!(
                "the name `{name}` of a `{}` is empty or there twice",
                element["tag"]
            )));
        }
        Ok(())
    }

    fn button(&mut self, element: &Value, in_form: bool) -> Result<(), Wrong> {
        self.text(&element["text"], "a button")?;
        let label = element["text"]["content"].as_str().unwrap_or_default();
        if label.chars().count() > 100 {
            return Err(bad("a label has more than 100 characters"));
        }
        if let Some(action) = element.get("form_action_type") {
            if !in_form || (action != "submit" && action != "reset") {
                return Err(bad("form_action_type is wrong"));
            }
            self.named(element)?;
        }
        for behavior in element["behaviors"].as_array().into_iter().flatten() {
            let fine = match behavior["type"].as_str() {
                Some("callback") => behavior["value"].is_object() || behavior["value"].is_string(),
                Some("open_url") => behavior["default_url"].is_string(),
                _ => false,
            };
            if !fine {
                return Err(bad("a behavior is wrong"));
            }
        }
        Ok(())
    }

    fn select(&mut self, element: &Value, in_form: bool) -> Result<(), Wrong> {
        if in_form {
            self.named(element)?;
        }
        let options = element["options"].as_array().filter(|options| !options.is_empty());
        let mut values = BTreeSet::new();
        for option in options.ok_or_else(|| bad("a list without options"))? {
            self.text(&option["text"], "an option")?;
            let value = option["value"].as_str().unwrap_or_default();
            if value.is_empty() || !values.insert(value) {
                return Err(bad("the value of an option is empty or there twice"));
            }
        }
        let chosen = element.get("initial_option").into_iter();
        let mut chosen = chosen.chain(element["selected_values"].as_array().into_iter().flatten());
        if chosen.all(|value| value.as_str().is_some_and(|value| values.contains(value))) {
            Ok(())
        } else {
            Err(bad("what is chosen is no option"))
        }
    }
}

fn filled(text: &str, of: &str) -> Result<(), Wrong> {
    if text.is_empty() {
        return Err(bad(format!("{of}: the content is empty")));
    }
    Ok(())
}

/// Only pictures that were uploaded: their key begins with `img_`.
fn pictures(text: &str) -> Result<(), Wrong> {
    for line in outside_of_fences(text) {
        // What stands between two runs of backticks of one length is code.
        let mut rest = line;
        while let Some(at) = rest.find(['`', '!']) {
            rest = &rest[at..];
            let run = rest.len() - rest.trim_start_matches('`').len();
            if run > 0 {
                let mut pieces = rest[run..].split_inclusive('`').scan(run, |at, piece| {
                    *at += piece.len();
                    Some(*at)
                });
                let closes = |at: &usize| {
                    let (before, after) = (&rest[..*at], &rest[*at..]);
                    let ticks = before.len() - before.trim_end_matches('`').len();
                    before.ends_with('`') && !after.starts_with('`') && ticks == run
                };
                rest = &rest[pieces.find(closes).unwrap_or(run)..];
                continue;
            }
            if rest.starts_with("![")
                && let Some((_, target)) = rest.split_once("](")
                && !target.starts_with("img_")
            {
                return Err(wrong(300_302, "image_key is wrong"));
            }
            rest = &rest[1..];
        }
    }
    Ok(())
}

/// Fences by CommonMark, with any indentation.
fn outside_of_fences(text: &str) -> impl Iterator<Item = &str> {
    let mut open: Option<(char, usize)> = None;
    text.lines().filter(move |line| {
        let line = line.trim();
        let mark = line.chars().next().unwrap_or(' ');
        let count = line.chars().take_while(|c| *c == mark).count();
        let bare = line.chars().count() == count;
        match open {
            Some((opened, least)) => {
                if mark == opened && count >= least && bare {
                    open = None;
                }
                false
            }
            None if count >= 3 && (mark == '~' || (mark == '`' && !line[count..].contains('`'))) => {
                open = Some((mark, count));
                false
            }
            None => true,
        }
    })
}

/// Tables outside of code: a rule below a row begins one, which goes on for as long as there are rows.
fn tables(text: &str) -> usize {
    let (mut count, mut rows, mut ruled) = (0, 0, false);
    for line in outside_of_fences(text).map(str::trim) {
        if !line.contains('|') {
            (rows, ruled) = (0, false);
            continue;
        }
        let rule = line.contains('-') && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '));
        if rule && rows > 0 && !ruled {
            ruled = true;
            count += 1;
        }
        rows += 1;
    }
    count
}

/// What a person reads: a line for each text; buttons as `[Label]`, inputs as `(Label)`.
pub(crate) fn read(card: &Value) -> String {
    fn walk(element: &Value, out: &mut Vec<String>) {
        let text = |pointer: &str| {
            element
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        match element["tag"].as_str() {
            Some("markdown") => out.push(text("/content")),
            Some("div") => out.push(text("/text/content")),
            Some("button") => out.push(format!("[{}]", text("/text/content"))),
            Some("input") => out.push(format!("({})", text("/label/content"))),
            Some("select_static" | "multi_select_static") => out.push("(choices)".into()),
            Some("collapsible_panel") => out.push(text("/header/title/content")),
            _ => {}
        }
        for inner in ["columns", "elements"] {
            element[inner]
                .as_array()
                .into_iter()
                .flatten()
                .for_each(|element| walk(element, out));
        }
    }
    let mut out = Vec::new();
    let elements = card.pointer("/body/elements").and_then(Value::as_array);
    elements
        .into_iter()
        .flatten()
        .for_each(|element| walk(element, &mut out));
    out.join("\n")
}

/// All buttons within an element or a card.
pub(crate) fn buttons(value: &Value) -> Vec<Button> {
    let mut found = Vec::new();
    if value["tag"] == "button" {
        let called = value["behaviors"].as_array().into_iter().flatten();
        let called = called.filter(|behavior| behavior["type"] == "callback");
        found.extend(called.map(|behavior| Button {
            label: value["text"]["content"].as_str().unwrap_or_default().to_owned(),
            value: behavior["value"].clone(),
            submits: value["form_action_type"] == "submit",
        }));
    }
    let inner = [&value["body"]["elements"], &value["elements"], &value["columns"]];
    for element in inner.into_iter().filter_map(Value::as_array).flatten() {
        found.extend(buttons(element));
    }
    found
}

/// `POST /open-apis/cardkit/v1/cards`.
pub(crate) fn create(state: &mut State, body: &Value) -> Outcome {
    if body["type"] != "card_json" {
        return Err(wrong(200_710, "type is wrong"));
    }
    let json = parse(body["data"].as_str().unwrap_or_default())?;
    state.serial += 1;
    let id = format!("73550987{:08}", state.serial);
    let mut card = Card {
        json,
        sequence: 0,
        streaming: None,
        sent: None,
        uuids: BTreeSet::new(),
    };
    card.stream_as_said();
    state.cards.insert(id.clone(), card);
    Ok(json!({ "card_id": id }))
}

/// What changes an entity: `rest` is the path behind its id.
pub(crate) fn change(state: &mut State, method: &str, id: &str, rest: &[&str], body: &Value) -> Outcome {
    let card = state.cards.get_mut(id).ok_or_else(|| wrong(200_740, "no such card"))?;
    let uuid = body["uuid"].as_str().unwrap_or_default();
    if uuid.len() > 64 {
        return Err(wrong(99_992_402, "uuid is too long"));
    }
    let sequence = body["sequence"]
        .as_i64()
        .ok_or_else(|| wrong(99_992_402, "no sequence"))?;
    if !uuid.is_empty() && card.uuids.contains(uuid) {
        return Ok(json!({}));
    }
    if sequence <= card.sequence {
        return Err(wrong(300_317, "sequence number compare failed"));
    }
    match (method, rest) {
        ("PUT", []) => {
            if body["card"]["type"] != "card_json" {
                return Err(wrong(200_710, "type is wrong"));
            }
            card.json = parse(body["card"]["data"].as_str().unwrap_or_default())?;
            card.stream_as_said();
        }
        ("PATCH", ["settings"]) => {
            let settings: Value = serde_json::from_str(body["settings"].as_str().unwrap_or_default())
                .map_err(|error| bad(format!("settings: {error}")))?;
            for (name, value) in settings["config"].as_object().into_iter().flatten() {
                card.json["config"][name] = value.clone();
            }
            card.stream_as_said();
        }
        ("PUT", ["elements", element, "content"]) => {
            let text = body["content"].as_str().unwrap_or_default();
            if text.is_empty() || text.chars().count() > ELEMENT_TEXT {
                return Err(wrong(99_992_402, "content is empty or too long"));
            }
            if !card.is_streaming() {
                return Err(wrong(300_309, "streaming mode is closed"));
            }
            let mut changed = card.json.clone();
            let found = element_mut(&mut changed, element).filter(|element| element["tag"] == "markdown");
            let found = found.ok_or_else(|| wrong(300_313, "no such element"))?;
            found["content"] = text.into();
            if changed.to_string().len() > CARD_BYTES {
                return Err(wrong(300_305, "the card is too large"));
            }
            check(&changed)?;
            card.json = changed;
        }
        _ => return Err(wrong(99_991_404, "no such API")),
    }
    card.sequence = sequence;
    card.uuids.insert(uuid.to_owned());
    Ok(json!({}))
}

fn element_mut<'a>(value: &'a mut Value, id: &str) -> Option<&'a mut Value> {
    if value["element_id"] == id {
        return Some(value);
    }
    match value {
        Value::Object(fields) => fields.values_mut().find_map(|value| element_mut(value, id)),
        Value::Array(all) => all.iter_mut().find_map(|value| element_mut(value, id)),
        _ => None,
    }
}
