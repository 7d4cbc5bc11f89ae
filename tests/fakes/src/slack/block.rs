//! Block Kit as Slack takes it: types, fields, counts, lengths.
//!
//! Where a limit has no other source named, it is from the doc comments of @slack/types 3.1.0
//! (dist/block-kit/*.d.ts). Confirmed by no page of the vendor's that we hold: 10 elements of a context, 50 blocks of
//! a message and 100 of a view (vendor's page quoted in facts from memory), that an unknown field is refused, the
//! wording of `response_metadata.messages`, and how the sum of all blocks is counted (measured in
//! slackapi/bolt-js#2509: 13,297 characters in `markdown` blocks alone, 13,172 with a divider more).

use serde_json::Value;

/// Where blocks are to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    Message,
    Modal,
}

/// What is wrong, in Slack's manner: a sentence and a JSON pointer each.
type Problems = Vec<String>;

/// All blocks together; see above.
const TOGETHER: usize = 13_297;
const EACH_MORE: usize = 125;

/// Checks an array of blocks.
///
/// # Errors
/// Slack's error name, and its sentences.
pub(crate) fn check(blocks: &Value, surface: Surface) -> Result<(), (&'static str, Problems)> {
    let Some(all) = blocks.as_array() else {
        return Err((
            "invalid_blocks_format",
            vec!["must provide an array [json-pointer:/blocks]".into()],
        ));
    };
    let mut problems = Vec::new();
    let most = if surface == Surface::Message { 50 } else { 100 };
    if all.len() > most {
        problems.push(format!("no more than {most} items allowed [json-pointer:/blocks]"));
    }
    let mut ids = Vec::new();
    for (at, block) in all.iter().enumerate() {
        let pointer = format!("/blocks/{at}");
        check_block(block, surface, &pointer, &mut problems);
        if let Some(id) = block.get("block_id").and_then(Value::as_str) {
            if ids.contains(&id) {
                problems.push(format!(
                    "`block_id` `{id}` already exists [json-pointer:{pointer}/block_id]"
                ));
            }
            ids.push(id);
        }
    }
    if !problems.is_empty() {
        return Err(("invalid_blocks", problems));
    }
    let size: usize = all.iter().map(texts).sum::<usize>() + all.len().saturating_sub(1) * EACH_MORE;
    if surface == Surface::Message && size > TOGETHER {
        return Err(("msg_blocks_too_long", Vec::new()));
    }
    Ok(())
}

/// The characters of every `text`.
fn texts(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match value.as_str() {
                Some(text) if name == "text" => text.chars().count(),
                Some(_) => 0,
                None => texts(value),
            })
            .sum(),
        Value::Array(all) => all.iter().map(texts).sum(),
        _ => 0,
    }
}

/// One value with its place.
struct At<'a> {
    value: &'a Value,
    pointer: String,
    problems: &'a mut Problems,
}

impl At<'_> {
    fn wrong(&mut self, what: &str, below: &str) {
        self.problems
            .push(format!("{what} [json-pointer:{}{below}]", self.pointer));
    }

    fn fields(&mut self, allowed: &[&str], required: &[&str]) {
        let Some(fields) = self.value.as_object() else {
            self.wrong("must provide an object", "");
            return;
        };
        for name in fields
            .keys()
            .filter(|name| !allowed.contains(&name.as_str()) && *name != "type")
        {
            self.wrong(&format!("invalid additional property: {name}"), "");
        }
        for name in required.iter().filter(|name| !fields.contains_key(**name)) {
            self.wrong(&format!("missing required field: {name}"), "");
        }
    }

    fn string(&mut self, name: &str, least: usize, most: usize) {
        let Some(found) = self.value.get(name) else { return };
        match found.as_str().map(|text| text.chars().count()) {
            None => self.wrong("must be a string", &format!("/{name}")),
            Some(count) if count > most => {
                self.wrong(
                    &format!("must be less than {} characters", most + 1),
                    &format!("/{name}"),
                );
            }
            Some(count) if count < least => {
                self.wrong(
                    &format!("must be more than {} characters", least.max(1) - 1),
                    &format!("/{name}"),
                );
            }
            Some(_) => {}
        }
    }

    /// A text object.
    fn text(&mut self, name: &str, kinds: &[&str], most: usize) {
        let Some(found) = self.value.get(name) else { return };
        text_object(found, kinds, most, &format!("{}/{name}", self.pointer), self.problems);
    }

    fn array<'b>(&mut self, name: &str, value: &'b Value, least: usize, most: usize) -> &'b [Value] {
        let all = value.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if all.len() > most {
            self.wrong(&format!("no more than {most} items allowed"), &format!("/{name}"));
        }
        if all.len() < least {
            self.wrong(&format!("must have at least {least} items"), &format!("/{name}"));
        }
        all
    }
}

fn text_object(value: &Value, kinds: &[&str], most: usize, pointer: &str, problems: &mut Problems) {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    let mut at = At {
        value,
        pointer: pointer.to_owned(),
        problems,
    };
    if !kinds.contains(&kind) {
        at.wrong(&format!("unsupported type: {kind}"), "/type");
        return;
    }
    let allowed: &[&str] = if kind == "mrkdwn" {
        &["text", "verbatim"]
    } else {
        &["text", "emoji"]
    };
    at.fields(allowed, &["text"]);
    at.string("text", 1, most);
}

const BOTH: [&str; 2] = ["plain_text", "mrkdwn"];
const PLAIN: [&str; 1] = ["plain_text"];

fn check_block(block: &Value, surface: Surface, pointer: &str, problems: &mut Problems) {
    let kind = block.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut at = At {
        value: block,
        pointer: pointer.to_owned(),
        problems,
    };
    at.string("block_id", 1, 255);
    match (kind.as_str(), surface) {
        ("markdown", Surface::Message) => {
            at.fields(&["text", "block_id"], &["text"]);
            at.string("text", 1, 12_000);
        }
        ("divider", _) => at.fields(&["block_id"], &[]),
        ("header", _) => {
            at.fields(&["text", "block_id", "level"], &["text"]);
            at.text("text", &PLAIN, 150);
        }
        ("section", _) => {
            at.fields(&["text", "block_id", "fields", "accessory", "expand"], &[]);
            if block.get("text").is_none() && block.get("fields").is_none() {
                at.wrong("missing required field: text", "");
            }
            at.text("text", &BOTH, 3000);
            for (index, field) in at.array("fields", block, 0, 10).iter().enumerate() {
                text_object(field, &BOTH, 2000, &format!("{pointer}/fields/{index}"), at.problems);
            }
            if let Some(accessory) = block.get("accessory") {
                element(
                    accessory,
                    Place::Accessory,
                    &format!("{pointer}/accessory"),
                    at.problems,
                );
            }
        }
        ("context", _) => {
            at.fields(&["elements", "block_id"], &["elements"]);
            for (index, found) in at.array("elements", block, 1, 10).iter().enumerate() {
                let pointer = format!("{pointer}/elements/{index}");
                if found.get("type").and_then(Value::as_str) == Some("image") {
                    image(found, &pointer, at.problems);
                } else {
                    text_object(found, &BOTH, 3000, &pointer, at.problems);
                }
            }
        }
        ("actions", _) => {
            at.fields(&["elements", "block_id"], &["elements"]);
            let mut ids = Vec::new();
            for (index, found) in at.array("elements", block, 1, 25).iter().enumerate() {
                let pointer = format!("{pointer}/elements/{index}");
                element(found, Place::Actions, &pointer, at.problems);
                if let Some(id) = found.get("action_id").and_then(Value::as_str) {
                    if ids.contains(&id) {
                        at.problems
                            .push(format!("`action_id` `{id}` already exists [json-pointer:{pointer}]"));
                    }
                    ids.push(id);
                }
            }
        }
        ("image", _) => image(block, pointer, at.problems),
        ("input", Surface::Modal) => {
            let allowed = ["label", "element", "block_id", "hint", "optional", "dispatch_action"];
            at.fields(&allowed, &["label", "element"]);
            at.text("label", &PLAIN, 2000);
            at.text("hint", &PLAIN, 2000);
            if let Some(found) = block.get("element") {
                element(found, Place::Input, &format!("{pointer}/element"), at.problems);
            }
        }
        _ => at.wrong(&format!("unsupported type: {kind}"), "/type"),
    }
}

fn image(value: &Value, pointer: &str, problems: &mut Problems) {
    let mut at = At {
        value,
        pointer: pointer.to_owned(),
        problems,
    };
    at.fields(
        &["image_url", "slack_file", "alt_text", "title", "block_id"],
        &["alt_text"],
    );
    at.string("alt_text", 1, 2000);
    at.string("image_url", 1, 3000);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Actions,
    Accessory,
    Input,
}

fn element(value: &Value, place: Place, pointer: &str, problems: &mut Problems) {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    let mut at = At {
        value,
        pointer: pointer.to_owned(),
        problems,
    };
    at.string("action_id", 1, 255);
    match (kind, place) {
        ("button", Place::Actions | Place::Accessory) => {
            let allowed = [
                "text",
                "action_id",
                "url",
                "value",
                "style",
                "confirm",
                "accessibility_label",
            ];
            at.fields(&allowed, &["text"]);
            at.text("text", &PLAIN, 75);
            at.string("value", 0, 2000);
            at.string("url", 1, 3000);
            let style = value.get("style").and_then(Value::as_str);
            if value.get("style").is_some() && !matches!(style, Some("primary" | "danger")) {
                at.wrong("must be one of: primary, danger", "/style");
            }
        }
        ("checkboxes" | "radio_buttons", _) => {
            let allowed = [
                "action_id",
                "options",
                "initial_options",
                "initial_option",
                "confirm",
                "focus_on_load",
            ];
            at.fields(&allowed, &["options"]);
            options(&mut at, 10, &BOTH);
        }
        ("static_select", _) | ("multi_static_select", Place::Accessory | Place::Input) => {
            let allowed = [
                "action_id",
                "options",
                "option_groups",
                "initial_option",
                "initial_options",
                "placeholder",
                "confirm",
                "focus_on_load",
                "max_selected_items",
            ];
            at.fields(&allowed, &[]);
            at.text("placeholder", &PLAIN, 150);
            if value.get("option_groups").is_none() {
                options(&mut at, 100, &PLAIN);
            } else {
                groups(&mut at);
            }
        }
        ("plain_text_input", Place::Input) => {
            let allowed = [
                "action_id",
                "initial_value",
                "multiline",
                "min_length",
                "max_length",
                "placeholder",
                "focus_on_load",
                "dispatch_action_config",
            ];
            at.fields(&allowed, &[]);
            at.text("placeholder", &PLAIN, 150);
            at.string("initial_value", 0, 3000);
        }
        _ => at.wrong(&format!("unsupported type: {kind}"), "/type"),
    }
}

/// Instead of options: 100 groups at most, each with a label of 75 characters and 100 options.
fn groups(at: &mut At<'_>) {
    let value = at.value;
    if value.get("options").is_some() {
        at.wrong("options and option_groups exclude each other", "");
    }
    for (index, group) in at.array("option_groups", value, 1, 100).iter().enumerate() {
        let mut at = At {
            value: group,
            pointer: format!("{}/option_groups/{index}", at.pointer),
            problems: at.problems,
        };
        at.fields(&["label", "options"], &["label", "options"]);
        at.text("label", &PLAIN, 75);
        options(&mut at, 100, &PLAIN);
    }
}

fn options(at: &mut At<'_>, most: usize, kinds: &[&str]) {
    let value = at.value;
    let mut seen = Vec::new();
    for (index, option) in at.array("options", value, 1, most).iter().enumerate() {
        let pointer = format!("{}/options/{index}", at.pointer);
        let mut at = At {
            value: option,
            pointer: pointer.clone(),
            problems: at.problems,
        };
        at.fields(&["text", "value", "description", "url"], &["text", "value"]);
        at.text("text", kinds, 75);
        at.text("description", kinds, 75);
        // 75 in @slack/types; the reference page has said 150 since 2024. The smaller one.
        at.string("value", 1, 75);
        let id = option.get("value").and_then(Value::as_str).unwrap_or_default();
        if seen.contains(&id) {
            at.wrong("duplicate value", "/value");
        }
        seen.push(id);
    }
}

/// Checks a modal: docs.slack.dev/reference/views (title, submit and close 24, `private_metadata` 3000, `callback_id`
/// 255; a submit is needed where there is an input).
pub(crate) fn check_view(view: &Value) -> Result<(), Problems> {
    let mut problems = Vec::new();
    let mut at = At {
        value: view,
        pointer: "/view".into(),
        problems: &mut problems,
    };
    if view.get("type").and_then(Value::as_str) != Some("modal") {
        at.wrong("unsupported type", "/type");
    }
    let allowed = [
        "title",
        "blocks",
        "close",
        "submit",
        "private_metadata",
        "callback_id",
        "clear_on_close",
        "notify_on_close",
        "external_id",
        "submit_disabled",
    ];
    at.fields(&allowed, &["title", "blocks"]);
    for name in ["title", "close", "submit"] {
        at.text(name, &PLAIN, 24);
    }
    at.string("private_metadata", 0, 3000);
    at.string("callback_id", 0, 255);
    let blocks = view.get("blocks").cloned().unwrap_or_default();
    let input = |block: &Value| block.get("type").and_then(Value::as_str) == Some("input");
    if blocks.as_array().is_some_and(|all| all.iter().any(input)) && view.get("submit").is_none() {
        at.wrong("missing required field: submit", "");
    }
    if let Err((_, more)) = check(&blocks, Surface::Modal) {
        problems.extend(more);
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
