//! Questions as text and rows of buttons and lists. Limits: docs.discord.com/developers/components/reference (5 rows, 5
//! buttons in a row with labels of 80, 25 options in a list).

use botyard_sdk::delivery::{Ask, Choice, Style};
use botyard_sdk::serde_json::{Value, json};
use botyard_sdk::split::{clip, length};

use crate::form::{OPTIONS, label, option};
use crate::interactive::{PICK, SELECT};
use crate::text::{naming, plain, speak};

/// Buttons in a row, and rows of one message beside the one for Stop.
const BUTTONS: usize = 5;
const ROWS: usize = 4;
/// A question's words stay in one message with its buttons up to this length.
const TOGETHER: usize = 1_500;

/// A question, ready to flow.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Asked {
    /// What is asked, where it is too long to stand with what can be pressed.
    pub(crate) before: Option<String>,
    /// Words and at most four rows, each in one message.
    pub(crate) groups: Vec<(String, Vec<Value>)>,
}

/// What is asked in full, then what can be pressed; or what was decided, and nothing to press.
pub(crate) fn ask(ask: &Ask) -> Asked {
    let mut asked = Asked::default();
    let title = format!("**{}**", plain(&clip(&ask.title, 300)));
    let text = speak(ask.text.trim());
    let mut words = if text.is_empty() {
        title
    } else {
        format!("{title}\n{text}")
    };
    if let Some(settled) = &ask.settled {
        let line = format!("-# ✔ {}", naming(&clip(settled, 600)));
        words = format!("{words}\n{line}");
        if length(&words) > TOGETHER {
            asked.before = Some(words);
        } else {
            asked.groups.push((words, Vec::new()));
        }
        return asked;
    }
    let described: Vec<String> = ask
        .choices
        .iter()
        .filter(|choice| !choice.description.trim().is_empty())
        .map(|choice| {
            let (label, description) = (clip(&choice.label, 100), clip(&choice.description, 300));
            format!("- **{}**: {}", plain(&label), plain(&description))
        })
        .collect();
    if !described.is_empty() {
        words = format!("{words}\n{}", described.join("\n"));
    }
    if length(&words) > TOGETHER {
        // Who decides must be able to read everything: it flows through as many messages as it needs.
        asked.before = Some(words);
        words = format!("**{}**", plain(&clip(&ask.title, 100)));
    }
    let rows = rows(ask);
    let mut rows = rows.chunks(ROWS);
    asked.groups.push((words, rows.next().unwrap_or_default().to_vec()));
    asked.groups.extend(rows.map(|rows| ("…".to_owned(), rows.to_vec())));
    asked
}

fn row(components: &[Value]) -> Value {
    json!({ "type": 1, "components": components })
}

fn rows(ask: &Ask) -> Vec<Value> {
    let mut rows = Vec::new();
    if let Some(selection) = &ask.selection {
        for (at, options) in selection.options.chunks(OPTIONS).enumerate() {
            let options: Vec<Value> = options.iter().map(option).collect();
            rows.push(row(&[json!({
                "type": 3,
                "custom_id": format!("{SELECT}{}:{at}", selection.token),
                "placeholder": label(&selection.submit, 150),
                "min_values": 1,
                "max_values": options.len(),
                "options": options,
            })]));
        }
    }
    let mut buttons: Vec<Value> = Vec::new();
    if ask.choices.len() <= BUTTONS * ROWS {
        buttons.extend(ask.choices.iter().map(button));
    } else {
        for (at, choices) in ask.choices.chunks(OPTIONS).enumerate() {
            let options: Vec<Value> = choices
                .iter()
                .map(|choice| {
                    let mut option = json!({ "label": label(&choice.label, 100), "value": choice.token });
                    if !choice.description.trim().is_empty() {
                        option["description"] = label(&choice.description, 100).into();
                    }
                    option
                })
                .collect();
            rows.push(row(&[
                json!({ "type": 3, "custom_id": format!("{PICK}:{at}:{}", choices[0].token),
                "options": options }),
            ]));
        }
    }
    rows.extend(buttons.chunks(BUTTONS).map(row));
    rows
}

fn button(choice: &Choice) -> Value {
    let style = match choice.style {
        Style::Plain => 2,
        Style::Primary => 1,
        Style::Danger => 4,
    };
    json!({ "type": 2, "style": style, "label": label(&choice.label, 80), "custom_id": choice.token })
}
