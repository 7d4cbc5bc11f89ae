//! Forms as Slack's modals, and what stands in their elements. Limits: docs.slack.dev/reference/block-kit and
//! /reference/views; titles 24, labels 2000 (block) and 75 (options), 100 options, 100 groups of them,
//! `private_metadata` 3000.

use botyard_sdk::serde_json::{Value, json};
use botyard_sdk::split::clip;
use botyard_sdk::types::{Field, FieldKind, Form, OptionItem};

use crate::interactive::{BUTTON, Home};

/// The `action_id` of the one element that each field's block has.
pub const ELEMENT: &str = "value";

/// Slack's limit of options in one list, and of groups of so many in one select.
const OPTIONS: usize = 100;

pub(crate) fn plain(text: &str, limit: usize) -> Value {
    // An empty text object is refused.
    let text = if text.trim().is_empty() { "–" } else { text };
    json!({ "type": "plain_text", "text": clip(text, limit), "emoji": false })
}

/// An option; the value is what comes back, so it is never cut.
pub fn option(option: &OptionItem) -> Value {
    let mut value = json!({ "text": plain(&option.label, 75), "value": option.value });
    if !option.description.trim().is_empty() {
        value["description"] = plain(&option.description, 75);
    }
    value
}

/// Puts options into a select: more than fit into one list as groups, by their numbers.
pub(crate) fn list(select: &mut Value, all: &[OptionItem]) {
    if all.len() <= OPTIONS {
        select["options"] = all.iter().map(option).collect();
        return;
    }
    let groups = all.chunks(OPTIONS).take(OPTIONS).enumerate().map(|(at, chunk)| {
        let first = at * OPTIONS + 1;
        let label = format!("{first} to {}", first + chunk.len() - 1);
        json!({ "label": plain(&label, 75), "options": chunk.iter().map(option).collect::<Vec<_>>() })
    });
    select["option_groups"] = groups.collect();
}

/// The modal of a form. Its token comes back as `callback_id`, where it belongs as `private_metadata`.
pub fn modal(form: &Form, home: &Home) -> Value {
    let home = botyard_sdk::serde_json::to_string(home).unwrap_or_default();
    json!({
        "type": "modal",
        "callback_id": format!("{BUTTON}{}", form.token),
        "private_metadata": home,
        "title": plain(&form.title, 24),
        "submit": plain(&form.submit, 24),
        "close": plain("Cancel", 24),
        "blocks": form.fields.iter().take(100).map(input).collect::<Vec<_>>(),
    })
}

/// A modal that only says something.
pub fn word(text: &str) -> Value {
    json!({
        "type": "modal",
        "title": plain("Not done", 24),
        "close": plain("Close", 24),
        "blocks": [{ "type": "section", "text": plain(text, 3000) }],
    })
}

fn input(field: &Field) -> Value {
    let mut element = match &field.kind {
        FieldKind::Line | FieldKind::Paragraph => {
            let mut element = json!({
                "type": "plain_text_input",
                "multiline": field.kind == FieldKind::Paragraph,
            });
            if !field.value.is_empty() {
                element["initial_value"] = Value::String(clip(&field.value, 3000));
            }
            element
        }
        FieldKind::OneOf(all) => {
            let mut element = json!({ "type": "static_select" });
            list(&mut element, all);
            if let Some(chosen) = all.iter().find(|o| o.value == field.value) {
                element["initial_option"] = option(chosen);
            }
            element
        }
        FieldKind::SomeOf(all) => {
            let mut element = json!({ "type": "multi_static_select" });
            list(&mut element, all);
            element
        }
    };
    element["action_id"] = ELEMENT.into();
    if !field.placeholder.is_empty() {
        element["placeholder"] = plain(&field.placeholder, 150);
    }
    json!({
        "type": "input",
        "block_id": field.name,
        "label": plain(&field.label, 2000),
        "optional": !field.required,
        "element": element,
    })
}

/// What stands in an element of a submitted state, whatever its kind.
pub fn values(element: &Value) -> Vec<String> {
    let text = |value: &Value| value.get("value").and_then(Value::as_str).map(str::to_owned);
    if let Some(all) = element.get("selected_options").and_then(Value::as_array) {
        return all.iter().filter_map(text).collect();
    }
    element
        .get("selected_option")
        .and_then(text)
        .or_else(|| text(element))
        .into_iter()
        .collect()
}
