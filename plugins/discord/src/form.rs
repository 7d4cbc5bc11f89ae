//! Forms as Discord's modals, and what stands in their fields. Limits: docs.discord.com/developers/components/reference
//! (labels 45, descriptions 100, placeholders 100 and 150, options 25 with labels of 100, text inputs 4,000) and
//! /interactions/receiving-and-responding (titles 45, one to five components).

use botyard_sdk::json::{array_at, str_at};
use botyard_sdk::serde_json::{Value, json};
use botyard_sdk::split::clip;
use botyard_sdk::types::{Field, FieldKind, Form, OptionItem};

/// Discord's limit of options in one list.
pub const OPTIONS: usize = 25;
/// Fields of one modal.
pub const FIELDS: usize = 5;

/// Not empty, and not longer than Discord takes it.
pub(crate) fn label(text: &str, limit: usize) -> String {
    let text = text.trim();
    clip(if text.is_empty() { "–" } else { text }, limit)
}

/// An option of a list; the value is what comes back, so it is never cut.
pub(crate) fn option(option: &OptionItem) -> Value {
    let mut value = json!({ "label": label(&option.label, 100), "value": option.value });
    if !option.description.trim().is_empty() {
        value["description"] = label(&option.description, 100).into();
    }
    value
}

/// The modal of a form; its token comes back as `custom_id`.
///
/// # Errors
/// A sentence for the person: the form has more fields that must be filled in than a modal takes.
pub fn modal(form: &Form) -> Result<Value, String> {
    let (shown, rest) = form.fields.split_at(form.fields.len().min(FIELDS));
    if rest.iter().any(|field| field.required) || shown.is_empty() {
        return Err("This form does not fit into a window of Discord's. Please answer by a message.".into());
    }
    if let Some(field) = shown.iter().find(|field| too_many(field)) {
        return Err(format!(
            "`{}` has more choices than Discord can show. Please answer by a message.",
            field.label
        ));
    }
    Ok(json!({
        "custom_id": form.token,
        "title": label(&form.title, 45),
        "components": shown.iter().map(input).collect::<Vec<_>>(),
    }))
}

fn too_many(field: &Field) -> bool {
    match &field.kind {
        FieldKind::OneOf(all) | FieldKind::SomeOf(all) => all.len() > OPTIONS || all.is_empty(),
        FieldKind::Line | FieldKind::Paragraph => false,
    }
}

fn input(field: &Field) -> Value {
    let mut component = match &field.kind {
        FieldKind::Line | FieldKind::Paragraph => {
            let style = if field.kind == FieldKind::Line { 1 } else { 2 };
            let mut text = json!({ "type": 4, "style": style, "max_length": 4000 });
            if !field.value.is_empty() {
                text["value"] = clip(&field.value, 4000).into();
            }
            if !field.placeholder.is_empty() {
                text["placeholder"] = clip(&field.placeholder, 100).into();
            }
            text
        }
        FieldKind::OneOf(all) => list(field, all, 1),
        FieldKind::SomeOf(all) => list(field, all, all.len()),
    };
    component["custom_id"] = field.name.clone().into();
    component["required"] = field.required.into();
    let mut labelled = json!({ "type": 18, "label": label(&field.label, 45), "component": component });
    // What a label cannot hold goes below it.
    if botyard_sdk::split::length(field.label.trim()) > 45 {
        labelled["description"] = clip(field.label.trim(), 100).into();
    }
    labelled
}

fn list(field: &Field, all: &[OptionItem], most: usize) -> Value {
    let options: Vec<Value> = all
        .iter()
        .map(|one| {
            let mut value = option(one);
            if one.value == field.value {
                value["default"] = true.into();
            }
            value
        })
        .collect();
    let mut list = json!({
        "type": 3,
        "options": options,
        "min_values": usize::from(field.required),
        "max_values": most,
    });
    if !field.placeholder.is_empty() {
        list["placeholder"] = clip(&field.placeholder, 150).into();
    }
    list
}

/// What stands in a submitted modal, in its order, whatever the fields are wrapped in (labels, or rows of old).
pub fn values(components: &[Value]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for component in components {
        if let Some(inside) = component.get("component") {
            found.extend(values(std::slice::from_ref(inside)));
        }
        found.extend(values(array_at(component, "/components")));
        let Some(name) = str_at(component, "/custom_id") else {
            continue;
        };
        match component.get("values").and_then(Value::as_array) {
            Some(all) => found.extend(
                all.iter()
                    .filter_map(Value::as_str)
                    .map(|value| (name.to_owned(), value.to_owned())),
            ),
            None => {
                let value = component.get("value").and_then(Value::as_str).unwrap_or_default();
                found.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    found
}
