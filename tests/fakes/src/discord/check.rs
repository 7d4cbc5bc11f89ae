//! What Discord refuses in messages, modals and commands, with its own words for it.

use serde_json::{Map, Value, json};

/// A refusal: status, code, and which fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wrong {
    pub(crate) status: u16,
    pub(crate) code: u64,
    pub(crate) message: String,
    pub(crate) errors: Option<Value>,
}

pub(crate) fn wrong(status: u16, code: u64, message: &str) -> Wrong {
    Wrong {
        status,
        code,
        message: message.into(),
        errors: None,
    }
}

/// 50035 with the path of a field.
pub(crate) fn invalid(path: &str, code: &str, message: &str) -> Wrong {
    let mut errors = json!({ "_errors": [{ "code": code, "message": message }] });
    for name in path.rsplit('.') {
        let mut outer = Map::new();
        outer.insert(name.to_owned(), errors);
        errors = Value::Object(outer);
    }
    Wrong {
        errors: Some(errors),
        ..wrong(400, 50035, "Invalid Form Body")
    }
}

/// Discord counts code points.
fn length(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

fn at_most(value: &Value, path: &str, limit: usize) -> Result<(), Wrong> {
    if !(value.is_null() || value.is_string()) {
        return Err(invalid(path, "BASE_TYPE_BAD_TYPE", "This field must be a string."));
    }
    if length(value) > limit {
        let message = format!("Must be {limit} or fewer in length.");
        return Err(invalid(path, "BASE_TYPE_MAX_LENGTH", &message));
    }
    Ok(())
}

fn between(value: &Value, path: &str, least: usize, most: usize) -> Result<(), Wrong> {
    at_most(value, path, most)?;
    if length(value) < least {
        return Err(invalid(path, "BASE_TYPE_REQUIRED", "This field is required"));
    }
    Ok(())
}

/// A message's body: /resources/message#create-message. `has_more`: something else than the body makes it visible.
pub(crate) fn message(body: &Value, has_more: bool) -> Result<(), Wrong> {
    at_most(&body["content"], "content", 2000)?;
    let embeds = list(body, "embeds", 10)?;
    let mut total = 0;
    for (at, embed) in embeds.iter().enumerate() {
        at_most(&embed["title"], &format!("embeds.{at}.title"), 256)?;
        at_most(&embed["description"], &format!("embeds.{at}.description"), 4096)?;
        let sum = length(&embed["title"]) + length(&embed["description"]);
        if sum == 0 {
            return Err(invalid(
                &format!("embeds.{at}.description"),
                "BASE_TYPE_REQUIRED",
                "This field is required",
            ));
        }
        total += sum;
    }
    if total > 6000 {
        return Err(invalid(
            "embeds",
            "MAX_EMBED_SIZE_EXCEEDED",
            "Embed size exceeds maximum size of 6000",
        ));
    }
    let rows = list(body, "components", 5)?;
    components(rows)?;
    let nonce = &body["nonce"];
    if length(nonce) > 25 {
        return Err(invalid(
            "nonce",
            "NONCE_TYPE_TOO_LONG",
            "Nonce must be 25 or fewer in length.",
        ));
    }
    let seen = body["content"].as_str().is_some_and(|text| !text.trim().is_empty());
    if !seen && embeds.is_empty() && rows.is_empty() && !has_more {
        return Err(wrong(400, 50006, "Cannot send an empty message"));
    }
    Ok(())
}

fn list<'a>(body: &'a Value, name: &str, most: usize) -> Result<&'a [Value], Wrong> {
    match &body[name] {
        Value::Null => Ok(&[]),
        Value::Array(all) if all.len() <= most => Ok(all),
        Value::Array(_) => {
            let message = format!("Must be {most} or fewer in length.");
            Err(invalid(name, "BASE_TYPE_MAX_LENGTH", &message))
        }
        _ => Err(invalid(name, "BASE_TYPE_BAD_TYPE", "Only iterables may be used")),
    }
}

/// Rows of buttons and lists: /components/reference.
fn components(rows: &[Value]) -> Result<(), Wrong> {
    let mut ids = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let path = format!("components.{at}");
        if row["type"] != 1 {
            return Err(invalid(
                &format!("{path}.type"),
                "BASE_TYPE_CHOICES",
                "Value must be one of (1,).",
            ));
        }
        let parts = row["components"].as_array().map_or(&[][..], Vec::as_slice);
        let lists = parts.iter().filter(|part| part["type"] == 3).count();
        if parts.is_empty() || parts.len() > 5 || (lists > 0 && parts.len() > 1) {
            return Err(invalid(
                &format!("{path}.components"),
                "COMPONENT_LAYOUT_WIDTH_EXCEEDED",
                "The specified component exceeds the maximum width",
            ));
        }
        for (n, part) in parts.iter().enumerate() {
            let path = format!("{path}.components.{n}");
            between(&part["custom_id"], &format!("{path}.custom_id"), 1, 100)?;
            ids.push(part["custom_id"].as_str().unwrap_or_default());
            match part["type"].as_u64() {
                Some(2) => {
                    between(&part["label"], &format!("{path}.label"), 1, 80)?;
                    if !(1..=4).contains(&part["style"].as_u64().unwrap_or(0)) {
                        return Err(invalid(
                            &format!("{path}.style"),
                            "BASE_TYPE_CHOICES",
                            "Value must be one of 1-4.",
                        ));
                    }
                }
                Some(3) => select(part, &path)?,
                _ => {
                    return Err(invalid(
                        &format!("{path}.type"),
                        "UNION_TYPE_CHOICES",
                        "Unknown component",
                    ));
                }
            }
        }
    }
    let mut once = ids.clone();
    once.sort_unstable();
    once.dedup();
    if once.len() != ids.len() {
        return Err(invalid(
            "components",
            "COMPONENT_CUSTOM_ID_DUPLICATED",
            "Component custom id cannot be duplicated",
        ));
    }
    Ok(())
}

fn select(part: &Value, path: &str) -> Result<(), Wrong> {
    let options = part["options"].as_array().map_or(&[][..], Vec::as_slice);
    if !(1..=25).contains(&options.len()) {
        let message = "Must be between 1 and 25 in length.";
        return Err(invalid(&format!("{path}.options"), "BASE_TYPE_BAD_LENGTH", message));
    }
    at_most(&part["placeholder"], &format!("{path}.placeholder"), 150)?;
    let (least, most) = (
        part["min_values"].as_u64().unwrap_or(1),
        part["max_values"].as_u64().unwrap_or(1),
    );
    if most > options.len() as u64 || least > most || most == 0 {
        let message = "The number of values does not fit the options.";
        return Err(invalid(
            &format!("{path}.max_values"),
            "SELECT_COMPONENT_MAX_VALUES",
            message,
        ));
    }
    for (at, option) in options.iter().enumerate() {
        between(&option["label"], &format!("{path}.options.{at}.label"), 1, 100)?;
        between(&option["value"], &format!("{path}.options.{at}.value"), 1, 100)?;
        at_most(&option["description"], &format!("{path}.options.{at}.description"), 100)?;
    }
    Ok(())
}

/// A modal: /interactions/receiving-and-responding#modal, labels of /components/reference#label.
pub(crate) fn modal(data: &Value) -> Result<(), Wrong> {
    between(&data["custom_id"], "data.custom_id", 1, 100)?;
    between(&data["title"], "data.title", 1, 45)?;
    let parts = data["components"].as_array().map_or(&[][..], Vec::as_slice);
    if !(1..=5).contains(&parts.len()) {
        let message = "Must be between 1 and 5 in length.";
        return Err(invalid("data.components", "BASE_TYPE_BAD_LENGTH", message));
    }
    for (at, part) in parts.iter().enumerate() {
        let path = format!("data.components.{at}");
        if part["type"] != 18 {
            return Err(invalid(
                &format!("{path}.type"),
                "UNION_TYPE_CHOICES",
                "Only labels are taken here",
            ));
        }
        between(&part["label"], &format!("{path}.label"), 1, 45)?;
        at_most(&part["description"], &format!("{path}.description"), 100)?;
        let inside = &part["component"];
        between(&inside["custom_id"], &format!("{path}.component.custom_id"), 1, 100)?;
        match inside["type"].as_u64() {
            Some(4) => {
                at_most(&inside["value"], &format!("{path}.component.value"), 4000)?;
                at_most(&inside["placeholder"], &format!("{path}.component.placeholder"), 100)?;
                if !(1..=2).contains(&inside["style"].as_u64().unwrap_or(0)) {
                    let message = "Value must be one of 1-2.";
                    return Err(invalid(
                        &format!("{path}.component.style"),
                        "BASE_TYPE_CHOICES",
                        message,
                    ));
                }
            }
            Some(3) => select(inside, &format!("{path}.component"))?,
            _ => {
                return Err(invalid(
                    &format!("{path}.component.type"),
                    "UNION_TYPE_CHOICES",
                    "Unknown component",
                ));
            }
        }
    }
    Ok(())
}

/// A command: /interactions/application-commands.
pub(crate) fn command(command: &Value, at: usize) -> Result<(), Wrong> {
    let path = |field: &str| format!("{at}.{field}");
    between(&command["name"], &path("name"), 1, 32)?;
    let name = command["name"].as_str().unwrap_or_default();
    let kind = command["type"].as_u64().unwrap_or(1);
    if kind == 1 {
        if name.chars().any(|c| c.is_uppercase() || c.is_whitespace()) {
            let message = "Command name is invalid";
            return Err(invalid(&path("name"), "APPLICATION_COMMAND_INVALID_NAME", message));
        }
        between(&command["description"], &path("description"), 1, 100)?;
    } else if length(&command["description"]) > 0 {
        let message = "Context menu commands cannot have description";
        return Err(invalid(
            &path("description"),
            "APPLICATION_COMMAND_INVALID_DESCRIPTION",
            message,
        ));
    }
    let options = command["options"].as_array().map_or(&[][..], Vec::as_slice);
    let mut optional = false;
    for (n, option) in options.iter().enumerate() {
        between(&option["name"], &path(&format!("options.{n}.name")), 1, 32)?;
        between(
            &option["description"],
            &path(&format!("options.{n}.description")),
            1,
            100,
        )?;
        let required = option["required"].as_bool().unwrap_or(false);
        if required && optional {
            let message = "Required options must be placed before non-required options";
            return Err(invalid(
                &path("options"),
                "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                message,
            ));
        }
        optional |= !required;
        if option["choices"].as_array().is_some_and(|all| all.len() > 25) {
            let message = "Must be 25 or fewer in length.";
            return Err(invalid(
                &path(&format!("options.{n}.choices")),
                "BASE_TYPE_MAX_LENGTH",
                message,
            ));
        }
    }
    Ok(())
}
