//! Questions, plans and notices as blocks.

use botyard_sdk::delivery::{Ask, Choice, Notice, PlanItem, PlanState, Style, Tone};
use botyard_sdk::serde_json::{Value, json};
use botyard_sdk::split::length;

use crate::form::{list, option, plain};
use crate::interactive::{BUTTON, SELECT, SUBMIT};
use crate::text::{escape, escape_clip, escape_naming};
use crate::view::{Dress, Flow, Group, SECTION, mrkdwn, section};

/// Slack's limits: 25 elements in an `actions` block, 10 options of checkboxes.
const ELEMENTS: usize = 25;
const CHECKBOXES: usize = 10;

/// A question: what is asked in full, then what can be pressed, or said where nothing can be; or what was decided, and
/// nothing to press.
pub(crate) fn ask(ask: &Ask, dress: Dress) -> Vec<Flow> {
    let mut flows = Vec::new();
    let mut group = Group::default();
    let title = format!("*{}*", escape_clip(ask.title.trim(), 300));
    let text = escape(ask.text.trim());
    if length(&title) + length(&text) < SECTION {
        let whole = if text.is_empty() {
            title
        } else {
            format!("{title}\n{text}")
        };
        group.push(section(&whole), &whole);
    } else {
        // Who decides must be able to read everything: it flows through as many messages as it needs.
        group.push(section(&title), &title);
        flows.push(Flow::Whole(std::mem::take(&mut group)));
        flows.push(Flow::Text(ask.text.clone()));
    }
    match &ask.settled {
        Some(settled) => {
            let word = format!("✔ {}", escape_naming(settled, 1000));
            group.push(json!({ "type": "context", "elements": [mrkdwn(&word)] }), &word);
        }
        None if dress == Dress::Text => in_words(ask, &mut group),
        None => open(ask, &mut group),
    }
    flows.push(Flow::Whole(group));
    flows
}

/// What can be chosen and how it is said, where there are no buttons: the host has them for pressed, and takes an answer
/// by its commands. Slack keeps what begins with `/` for itself.
fn in_words(ask: &Ask, group: &mut Group) {
    let described = |label: &str, description: &str| {
        let (label, description) = (escape_clip(label, 100), escape_clip(description.trim(), 200));
        match description.as_str() {
            "" => format!("*{label}*"),
            _ => format!("*{label}*: {description}"),
        }
    };
    let options = ask.selection.iter().flat_map(|selection| &selection.options);
    let numbered = options.zip(1..).map(|(option, number): (_, usize)| {
        let described = described(&option.label, &option.description);
        format!("{number}. {described}")
    });
    let choices = ask
        .choices
        .iter()
        .map(|choice| format!("• {}", described(&choice.label, &choice.description)));
    let lines: Vec<String> = numbered.chain(choices).collect();
    for lines in lines.chunks(8) {
        let text = lines.join("\n");
        group.push(section(&text), &text);
    }
    let how = "Buttons cannot be shown here. Say `!allow` or `!deny` to what it wants to do; to a question `!answer` and \
               an option, its number, or your own words.";
    group.push(section(how), how);
}

fn open(ask: &Ask, group: &mut Group) {
    let described: Vec<String> = ask
        .choices
        .iter()
        .filter(|choice| !choice.description.trim().is_empty())
        .map(|choice| {
            let (label, description) = (
                escape_clip(&choice.label, 100),
                escape_clip(choice.description.trim(), 200),
            );
            format!("• *{label}*: {description}")
        })
        .collect();
    for lines in described.chunks(8) {
        let text = lines.join("\n");
        group.push(section(&text), &text);
    }
    let mut elements: Vec<Value> = ask.choices.iter().map(button).collect();
    if let Some(selection) = &ask.selection {
        let action = format!("{SELECT}{}", selection.token);
        if selection.options.len() <= CHECKBOXES {
            let options: Vec<Value> = selection.options.iter().map(option).collect();
            let boxes = json!({ "type": "checkboxes", "action_id": action, "options": options });
            group.push(json!({ "type": "actions", "elements": [boxes] }), "");
        } else {
            // A select of several is not allowed among actions.
            let mut block = section("Choose:");
            block["accessory"] = json!({ "type": "multi_static_select", "action_id": action });
            list(&mut block["accessory"], &selection.options);
            group.push(block, "");
        }
        elements.push(json!({
            "type": "button",
            "text": plain(&selection.submit, 75),
            "action_id": format!("{SUBMIT}{}", selection.token),
            "value": selection.token,
            "style": "primary",
        }));
    }
    for elements in elements.chunks(ELEMENTS) {
        group.push(json!({ "type": "actions", "elements": elements }), "");
    }
}

fn button(choice: &Choice) -> Value {
    let mut button = json!({
        "type": "button",
        "text": plain(&choice.label, 75),
        "action_id": format!("{BUTTON}{}", choice.token),
        "value": choice.token,
    });
    match choice.style {
        Style::Plain => {}
        Style::Primary => button["style"] = "primary".into(),
        Style::Danger => button["style"] = "danger".into(),
    }
    button
}

/// A plan as a checklist.
pub(crate) fn plan(items: &[PlanItem]) -> Vec<Flow> {
    let lines: Vec<String> = items
        .iter()
        .map(|item| {
            let text = escape_clip(item.text.trim(), 250);
            match item.state {
                PlanState::Pending => format!("☐ {text}"),
                PlanState::Active => format!("▶ *{text}*"),
                PlanState::Done => format!("☑ {text}"),
            }
        })
        .collect();
    lines
        .chunks(10)
        .map(|lines| {
            let text = lines.join("\n");
            let mut group = Group::default();
            group.push(section(&text), &text);
            Flow::Whole(group)
        })
        .collect()
}

/// A word of the host's own.
pub(crate) fn notice(notice: &Notice) -> Vec<Flow> {
    let icon = match notice.tone {
        Tone::Info => "ℹ️",
        Tone::Warning => "⚠️",
        Tone::Error => "❌",
    };
    let text = escape(notice.text.trim());
    if length(&text) < SECTION {
        return vec![Flow::Whole(Group::context(&format!("{icon} {text}")))];
    }
    vec![Flow::Text(format!("{icon} {}", notice.text))]
}
