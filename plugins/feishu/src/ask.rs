//! Questions as parts of a card: buttons and choices; and forms, which are cards of their own: Feishu has no modals.

use botyard_sdk::delivery::{Ask, Choice, Selection, Style};
use botyard_sdk::serde_json::{Value, json};
use botyard_sdk::split::{clip, length};
use botyard_sdk::types::{Field, FieldKind, Form, OptionItem};

use crate::markdown::{escape_clip, escape_naming, quiet};
use crate::press;
use crate::view::{Element, Flow, WHOLE, markdown, plain};

/// Labels and placeholders: 100 characters (card JSON 2.0, input).
const LABEL: usize = 100;
/// What an input takes: 1,000 characters (card JSON 2.0, input).
const INPUT: u32 = 1_000;

/// A question: what is asked in full, then what can be pressed; or what was decided, and nothing to press. `id`: of its
/// block, which also keeps the names of fields of two questions in one card apart.
pub(crate) fn ask(ask: &Ask, id: &str) -> Vec<Flow> {
    let mut flows = Vec::new();
    let mut group = Vec::new();
    let title = format!("**{}**", escape_clip(ask.title.trim(), 300));
    let text = quiet(ask.text.trim());
    if length(&title) + length(&text) < WHOLE {
        let whole = if text.is_empty() {
            title
        } else {
            format!("{title}\n{text}")
        };
        group.push(markdown(id, &whole));
    } else {
        // Who decides must be able to read everything: it flows through as many cards as it needs.
        flows.push(Flow::Whole(vec![markdown(&format!("{id}_t"), &title)]));
        flows.push(Flow::Text(id.to_owned(), ask.text.clone()));
    }
    match &ask.settled {
        Some(settled) => group.push(markdown(
            &format!("{id}_s"),
            &format!("✔ {}", escape_naming(&clip(settled, 1000))),
        )),
        None => open(ask, id, &mut group),
    }
    flows.push(Flow::Whole(group));
    flows
}

fn open(ask: &Ask, id: &str, group: &mut Vec<Element>) {
    let described: Vec<String> = ask
        .choices
        .iter()
        .filter(|choice| !choice.description.trim().is_empty())
        .map(|choice| {
            let (label, description) = (
                escape_clip(&choice.label, 100),
                escape_clip(choice.description.trim(), 300),
            );
            format!("- **{label}**: {description}")
        })
        .collect();
    if !described.is_empty() {
        group.push(markdown(&format!("{id}_d"), &described.join("\n")));
    }
    if !ask.choices.is_empty() {
        let buttons = ask.choices.iter().map(button).collect();
        group.push(row(&format!("{id}_b"), buttons));
    }
    if let Some(selection) = &ask.selection {
        group.push(choices(selection, id));
    }
}

fn button(choice: &Choice) -> Value {
    let kind = match choice.style {
        Style::Plain => "default",
        Style::Primary => "primary",
        Style::Danger => "danger",
    };
    press_button(&choice.label, kind, &choice.token)
}

pub(crate) fn press_button(label: &str, kind: &str, token: &str) -> Value {
    json!({
        "tag": "button",
        "text": plain(label, LABEL),
        "type": kind,
        "behaviors": [{ "type": "callback", "value": press::value(token) }],
    })
}

/// Buttons beside each other, in as many lines as they need.
pub(crate) fn row(id: &str, buttons: Vec<Value>) -> Element {
    let columns: Vec<Value> = buttons
        .into_iter()
        .map(|button| json!({ "tag": "column", "width": "auto", "elements": [button] }))
        .collect();
    Element::new(
        id,
        json!({ "tag": "column_set", "flex_mode": "flow", "horizontal_spacing": "8px", "columns": columns }),
    )
}

fn submit(label: &str, prefix: &str, value: &Value) -> Value {
    json!({
        "tag": "button",
        "name": format!("{prefix}submit"),
        "text": plain(label, LABEL),
        "type": "primary",
        "form_action_type": "submit",
        "behaviors": [{ "type": "callback", "value": value }],
    })
}

fn options(all: &[OptionItem]) -> Vec<Value> {
    all.iter()
        .map(|option| {
            let label = match option.description.trim() {
                "" => option.label.clone(),
                description => format!("{} – {description}", option.label),
            };
            // The value is what comes back, so it is never cut.
            json!({ "text": plain(&label, LABEL), "value": option.value })
        })
        .collect()
}

fn choices(selection: &Selection, id: &str) -> Element {
    let prefix = format!("{id}c_");
    let select = json!({
        "tag": "multi_select_static",
        "name": format!("{prefix}selection"),
        "width": "fill",
        "options": options(&selection.options),
    });
    let value = press::form_value(&selection.token, &prefix);
    let elements = [select, submit(&selection.submit, &prefix, &value)];
    Element::new(
        &format!("{id}_c"),
        json!({ "tag": "form", "name": format!("{prefix}form"), "elements": elements }),
    )
}

/// Whether its fields can hold what they begin with.
pub(crate) fn fits(form: &Form) -> bool {
    form.fields.iter().all(|field| length(&field.value) <= INPUT as usize)
}

/// The card of a form that a button opened.
pub(crate) fn opened(form: &Form) -> Value {
    let prefix = "of_";
    let mut elements = Vec::new();
    if !form.title.trim().is_empty() {
        elements.push(json!({ "tag": "markdown", "content": format!("**{}**", escape_clip(&form.title, 300)) }));
    }
    for field in &form.fields {
        input(field, prefix, &mut elements);
    }
    let value = press::opened_value(&form.token, prefix);
    elements.push(submit(&form.submit, prefix, &value));
    let form = json!({ "tag": "form", "name": format!("{prefix}form"), "elements": elements });
    alone(&Element::new("o_f", form))
}

/// What stands in its place when it was sent.
pub(crate) fn ended(word: &str) -> Value {
    alone(&markdown("o_s", &escape_naming(&clip(word, 1000))))
}

fn alone(element: &Element) -> Value {
    json!({ "schema": "2.0", "config": { "update_multi": true }, "body": { "elements": [element.value] } })
}

fn input(field: &Field, prefix: &str, elements: &mut Vec<Value>) {
    let name = format!("{prefix}{}", field.name);
    let mut element = match &field.kind {
        FieldKind::Line | FieldKind::Paragraph => {
            let mut element = json!({
                "tag": "input",
                "label": plain(&field.label, LABEL),
                "label_position": "top",
                "width": "fill",
                "max_length": INPUT,
            });
            if field.kind == FieldKind::Paragraph {
                element["input_type"] = "multiline_text".into();
                element["rows"] = 4.into();
            }
            // Half of it is not what stands there.
            if !field.value.is_empty() && length(&field.value) <= INPUT as usize {
                element["default_value"] = field.value.clone().into();
            }
            element
        }
        FieldKind::OneOf(all) | FieldKind::SomeOf(all) => {
            // A list has no label of its own.
            elements.push(json!({ "tag": "markdown", "content": escape_clip(&field.label, 300) }));
            let several = matches!(field.kind, FieldKind::SomeOf(_));
            let mut element = json!({
                "tag": if several { "multi_select_static" } else { "select_static" },
                "width": "fill",
                "options": options(all),
            });
            if all.iter().any(|option| option.value == field.value) {
                if several {
                    element["selected_values"] = json!([field.value]);
                } else {
                    element["initial_option"] = field.value.clone().into();
                }
            }
            element
        }
    };
    element["name"] = name.into();
    element["required"] = field.required.into();
    if !field.placeholder.is_empty() {
        element["placeholder"] = plain(&field.placeholder, LABEL);
    }
    elements.push(element);
}
