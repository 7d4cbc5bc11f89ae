//! A view as the page takes it, and words for who pressed.

use botyard_sdk::account::CommandSpec;
use botyard_sdk::delivery::{Ask, Block, Part, PlanState, State, Step, StepState, Style, Tone, View};
use botyard_sdk::interaction::Verdict;
use botyard_sdk::serde_json::{Map, Value, json};
use botyard_sdk::types::{Answer, FieldKind, Form, OptionItem};

/// The message's body: state and blocks, each block with its id and revision.
pub fn body(view: &View) -> Value {
    let (state, place, reason) = match &view.state {
        State::Waiting(place) => ("waiting", Some(*place), None),
        State::Running => ("running", None, None),
        State::Asking => ("asking", None, None),
        State::Done => ("done", None, None),
        State::Stopped => ("stopped", None, None),
        State::Failed(reason) => ("failed", None, Some(reason.as_str())),
    };
    json!({
        "turn": view.turn,
        "state": state,
        "place": place,
        "reason": reason,
        "stop": view.stop_token,
        "footer": view.footer,
        "blocks": view.blocks.iter().map(block).collect::<Vec<_>>(),
    })
}

fn block(block: &Block) -> Value {
    let (kind, fields) = part(&block.part);
    let mut all = Map::new();
    all.insert("id".into(), block.id.into());
    all.insert("parent".into(), block.parent.into());
    all.insert("revision".into(), block.revision.into());
    all.insert("complete".into(), block.complete.into());
    all.insert("kind".into(), kind.into());
    if let Value::Object(fields) = fields {
        all.extend(fields);
    }
    Value::Object(all)
}

fn part(part: &Part) -> (&'static str, Value) {
    match part {
        Part::Text(text) => ("text", json!({ "text": text })),
        Part::Thinking(text) => ("thinking", json!({ "text": text })),
        Part::Step(it) => ("step", step(it)),
        Part::Plan(items) => {
            let items: Vec<_> = items
                .iter()
                .map(|item| json!({ "text": item.text, "state": plan_state(item.state) }))
                .collect();
            ("plan", json!({ "items": items }))
        }
        Part::Ask(it) => ("ask", ask(it)),
        Part::File(file) => (
            "file",
            json!({ "file": file.id, "name": file.name, "media_type": file.media_type, "size_bytes": file.size_bytes }),
        ),
        Part::Notice(notice) => {
            let tone = match notice.tone {
                Tone::Info => "info",
                Tone::Warning => "warning",
                Tone::Error => "error",
            };
            ("notice", json!({ "tone": tone, "text": named(&notice.text) }))
        }
    }
}

fn step(step: &Step) -> Value {
    let state = match step.state {
        StepState::Waiting => "waiting",
        StepState::Running => "running",
        StepState::Done => "done",
        StepState::Failed => "failed",
        StepState::Denied => "denied",
    };
    json!({
        "tool": step.kind,
        "title": step.title,
        "detail": step.detail,
        "output": step.output,
        "state": state,
        "elapsed_ms": step.elapsed_ms,
    })
}

const fn plan_state(state: PlanState) -> &'static str {
    match state {
        PlanState::Pending => "pending",
        PlanState::Active => "active",
        PlanState::Done => "done",
    }
}

fn ask(ask: &Ask) -> Value {
    let style = |style| match style {
        Style::Plain => "plain",
        Style::Primary => "primary",
        Style::Danger => "danger",
    };
    let choices: Vec<_> = ask
        .choices
        .iter()
        .map(|choice| {
            json!({
                "label": choice.label,
                "description": choice.description,
                "token": choice.token,
                "style": style(choice.style),
            })
        })
        .collect();
    let selection = ask.selection.as_ref().map(|selection| {
        json!({
            "token": selection.token,
            "options": options(&selection.options),
            "submit": selection.submit,
        })
    });
    json!({
        "title": ask.title,
        "text": named(&ask.text),
        "choices": choices,
        "selection": selection,
        "settled": ask.settled.as_deref().map(named),
    })
}

/// In a room of one, whoever is named is the reader.
fn named(text: &str) -> String {
    text.replace("<@operator>", "you")
}

fn options(options: &[OptionItem]) -> Value {
    options
        .iter()
        .map(|option| json!({ "label": option.label, "description": option.description, "value": option.value }))
        .collect()
}

fn form(form: &Form) -> Value {
    let fields: Vec<_> = form
        .fields
        .iter()
        .map(|field| {
            let (kind, options) = match &field.kind {
                FieldKind::Line => ("line", json!([])),
                FieldKind::Paragraph => ("paragraph", json!([])),
                FieldKind::OneOf(some) => ("one-of", options(some)),
                FieldKind::SomeOf(some) => ("some-of", options(some)),
            };
            json!({
                "name": field.name,
                "label": field.label,
                "kind": kind,
                "options": options,
                "value": field.value,
                "placeholder": field.placeholder,
                "required": field.required,
            })
        })
        .collect();
    json!({
        "token": form.token,
        "title": form.title,
        "fields": fields,
        "submit": form.submit,
    })
}

/// What the page shows at once to who pressed; none: what follows is enough.
pub fn word(verdict: &Verdict) -> Option<Answer> {
    let toast = |tone: &str, text: &str| json!({ "toast": { "tone": tone, "text": text } });
    let body = match verdict {
        Verdict::Taken(text) if text.is_empty() => return None,
        Verdict::Taken(text) => toast("info", text),
        Verdict::Refused(text) => toast("warning", text),
        Verdict::Open(it) => json!({ "form": form(it) }),
        Verdict::Correct(errors) => json!({ "errors": errors }),
        Verdict::Later(_) => return None,
    };
    Some(Answer {
        status: 200,
        headers: vec![("Content-Type".into(), "application/json".into())],
        body: body.to_string().into_bytes(),
    })
}

/// The page's menu of commands.
pub fn menu(commands: &[CommandSpec]) -> Value {
    commands
        .iter()
        .map(|command| {
            json!({
                "name": command.name,
                "description": command.description,
                "argument": command.argument.as_ref().map(|argument| &argument.name),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use botyard_sdk::delivery::{Choice, Notice, PlanItem};
    use botyard_sdk::serde_json;
    use botyard_sdk::types::Field;

    fn view(state: State, parts: Vec<Part>) -> View {
        let blocks = (1..)
            .zip(parts)
            .map(|(id, part)| Block {
                id,
                parent: (id == 2).then_some(1),
                revision: id + 10,
                part,
                complete: id != 1,
                extra: Vec::new(),
            })
            .collect();
        View {
            turn: "t".into(),
            revision: 20,
            state,
            blocks,
            stop_token: Some("stop".into()),
            footer: None,
            extra: Vec::new(),
        }
    }

    #[test]
    fn a_view_becomes_blocks_with_their_kinds() {
        let step = Step {
            kind: "read".into(),
            title: "Read".into(),
            detail: "a.rs".into(),
            output: "fn".into(),
            state: StepState::Denied,
            elapsed_ms: Some(4),
        };
        let ask = Ask {
            title: "May I?".into(),
            text: "`rm`".into(),
            choices: vec![Choice {
                label: "No".into(),
                description: String::new(),
                token: "tok".into(),
                style: Style::Danger,
            }],
            selection: None,
            settled: Some("Denied by <@operator>".into()),
        };
        let plan = vec![PlanItem {
            text: "look".into(),
            state: PlanState::Active,
        }];
        let notice = Notice {
            tone: Tone::Warning,
            text: "mind".into(),
        };
        let parts = vec![
            Part::Text("**hi**".into()),
            Part::Step(step),
            Part::Plan(plan),
            Part::Ask(ask),
            Part::Notice(notice),
        ];
        let expected = json!({
            "turn": "t", "state": "asking", "place": null, "reason": null, "stop": "stop", "footer": null,
            "blocks": [
                { "id": 1, "parent": null, "revision": 11, "complete": false, "kind": "text", "text": "**hi**" },
                { "id": 2, "parent": 1, "revision": 12, "complete": true, "kind": "step", "tool": "read",
                  "title": "Read", "detail": "a.rs", "output": "fn", "state": "denied", "elapsed_ms": 4 },
                { "id": 3, "parent": null, "revision": 13, "complete": true, "kind": "plan",
                  "items": [{ "text": "look", "state": "active" }] },
                { "id": 4, "parent": null, "revision": 14, "complete": true, "kind": "ask", "title": "May I?",
                  "text": "`rm`", "selection": null, "settled": "Denied by you",
                  "choices": [{ "label": "No", "description": "", "token": "tok", "style": "danger" }] },
                { "id": 5, "parent": null, "revision": 15, "complete": true, "kind": "notice", "tone": "warning",
                  "text": "mind" },
            ],
        });
        assert_eq!(body(&view(State::Asking, parts)), expected);
    }

    #[test]
    fn states_say_where_it_waits_and_why_it_failed() {
        let of = |state| {
            let body = body(&view(state, Vec::new()));
            json!([body["state"], body["place"], body["reason"]])
        };
        assert_eq!(of(State::Waiting(3)), json!(["waiting", 3, null]));
        assert_eq!(of(State::Running), json!(["running", null, null]));
        assert_eq!(of(State::Done), json!(["done", null, null]));
        assert_eq!(of(State::Stopped), json!(["stopped", null, null]));
        assert_eq!(of(State::Failed("no".into())), json!(["failed", null, "no"]));
    }

    #[test]
    fn who_pressed_gets_a_word_a_form_or_what_to_correct() {
        let said = |verdict| word(&verdict).map(|answer| serde_json::from_slice::<Value>(&answer.body).unwrap());
        assert_eq!(
            said(Verdict::Taken("ok".into())),
            Some(json!({ "toast": { "tone": "info", "text": "ok" } }))
        );
        assert_eq!(
            said(Verdict::Refused("no".into())),
            Some(json!({ "toast": { "tone": "warning", "text": "no" } }))
        );
        assert_eq!(
            said(Verdict::Correct(vec![("a".into(), "b".into())])),
            Some(json!({ "errors": [["a", "b"]] }))
        );
        assert_eq!(said(Verdict::Later(false)), None);
        let option = OptionItem {
            label: "One".into(),
            description: String::new(),
            value: "1".into(),
        };
        let field = Field {
            name: "n".into(),
            label: "N".into(),
            kind: FieldKind::OneOf(vec![option]),
            value: "1".into(),
            placeholder: String::new(),
            required: true,
        };
        let form = Form {
            token: "tok".into(),
            title: "Title".into(),
            fields: vec![field],
            submit: "Send".into(),
        };
        assert_eq!(
            said(Verdict::Open(form)),
            Some(
                json!({ "form": { "token": "tok", "title": "Title", "submit": "Send", "fields": [
                { "name": "n", "label": "N", "kind": "one-of", "value": "1", "placeholder": "", "required": true,
                  "options": [{ "label": "One", "description": "", "value": "1" }] },
            ] } })
            )
        );
    }
}
