//! Whole views, whole messages.

use botyard_sdk::delivery::{Ask, Choice, Notice, PlanItem, PlanState, Selection, Style, Tone};
use botyard_sdk::types::OptionItem;
use proptest::prelude::*;

use super::*;

pub(crate) fn view(state: State, parts: Vec<Part>) -> View {
    let block = |(id, part)| Block {
        id,
        parent: None,
        revision: 1,
        part,
        complete: true,
        extra: Vec::new(),
    };
    View {
        turn: "t1".into(),
        revision: 1,
        state,
        blocks: (0..).zip(parts).map(block).collect(),
        stop_token: None,
        footer: None,
        extra: vec![],
    }
}

pub(crate) fn text(text: &str) -> Part {
    Part::Text(text.into())
}

pub(crate) fn step(title: &str, detail: &str, state: StepState) -> Part {
    let output = if state == StepState::Failed {
        "no such\nfile"
    } else {
        ""
    };
    Part::Step(Step {
        kind: "read".into(),
        title: title.into(),
        detail: detail.into(),
        output: output.into(),
        state,
        elapsed_ms: Some(65_000),
    })
}

pub(crate) fn ask(settled: Option<&str>) -> Part {
    let choice = |label: &str, token: &str, style| Choice {
        label: label.into(),
        description: String::new(),
        token: token.into(),
        style,
    };
    Part::Ask(Ask {
        title: "May it run this?".into(),
        text: "`rm -r <old>`".into(),
        choices: vec![
            choice("Allow", "t-allow", Style::Primary),
            choice("Deny", "t-deny", Style::Danger),
        ],
        selection: None,
        settled: settled.map(str::to_owned),
    })
}

fn context(text: &str) -> Value {
    json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": text }] })
}

fn section_of(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

fn markdown(text: &str) -> Value {
    json!({ "type": "markdown", "text": text })
}

fn button(label: &str, token: &str, style: Option<&str>) -> Value {
    let text = json!({ "type": "plain_text", "text": label, "emoji": false });
    let mut button = json!({ "type": "button", "text": text, "action_id": format!("by:{token}"), "value": token });
    if let Some(style) = style {
        button["style"] = style.into();
    }
    button
}

#[test]
fn a_running_turn_shows_its_steps_its_text_and_a_stop_button() {
    let mut view = view(
        State::Running,
        vec![
            step("Read", "`src/a`b.rs`\n\n```\nmore\n```", StepState::Done),
            step("Run", "", StepState::Failed),
            text("It pings <!channel>: **no**."),
        ],
    );
    view.stop_token = Some("t-stop".into());
    view.footer = Some("2 tools & more".into());
    assert_eq!(
        render(&view, BUDGET, Dress::Rich),
        [Shown {
            text: "✓ Read `src/a'b.rs` · 1 min 5 s\n✗ Run · 1 min 5 s\n    no such file\n\
                   It pings &lt;\u{2060}!channel&gt;: **no**."
                .into(),
            blocks: vec![
                context("✓ Read `src/a'b.rs` · 1 min 5 s\n✗ Run · 1 min 5 s\n    no such file"),
                markdown("It pings <\u{2060}!channel>: **no**."),
                context("2 tools &amp; more"),
                json!({ "type": "actions", "elements": [button("Stop", "t-stop", None)] }),
            ],
        }]
    );
}

#[test]
fn a_question_has_buttons_until_it_is_settled() {
    assert_eq!(
        render(&view(State::Asking, vec![ask(None)]), BUDGET, Dress::Rich),
        [Shown {
            text: "*May it run this?*\n`rm -r &lt;old&gt;`".into(),
            blocks: vec![
                section_of("*May it run this?*\n`rm -r &lt;old&gt;`"),
                json!({ "type": "actions", "elements": [
                    button("Allow", "t-allow", Some("primary")), button("Deny", "t-deny", Some("danger")),
                ]}),
            ],
        }]
    );
    assert_eq!(
        render(
            &view(State::Running, vec![ask(Some("Allowed by <@U1>"))]),
            BUDGET,
            Dress::Rich
        )[0]
        .blocks,
        [
            section_of("*May it run this?*\n`rm -r &lt;old&gt;`"),
            context("✔ Allowed by <@U1>")
        ]
    );
}

#[test]
fn selections_have_their_elements() {
    let option = |n: u32| OptionItem {
        label: format!("o{n}"),
        description: String::new(),
        value: format!("v{n}"),
    };
    let ask = |count| {
        let selection = Selection {
            token: "t-sel".into(),
            options: (0..count).map(option).collect(),
            submit: "Send".into(),
        };
        let ask = Ask {
            title: "Which?".into(),
            text: String::new(),
            choices: vec![],
            selection: Some(selection),
            settled: None,
        };
        let blocks = render(&view(State::Asking, vec![Part::Ask(ask)]), BUDGET, Dress::Rich)
            .remove(0)
            .blocks;
        let kinds: Vec<Value> = blocks
            .iter()
            .map(|block| json!([block["type"], block["elements"][0]["type"], block["accessory"]["type"]]))
            .collect();
        let last = blocks.last().expect("actions")["elements"].clone();
        (kinds, last)
    };
    let mut submit = button("Send", "t-sel", Some("primary"));
    submit["action_id"] = "submit:t-sel".into();
    let buttons = json!([submit]);
    let (section, actions) = (json!(["section", null, null]), json!(["actions", "button", null]));
    assert_eq!(
        ask(3),
        (
            vec![section.clone(), json!(["actions", "checkboxes", null]), actions.clone()],
            buttons.clone()
        )
    );
    assert_eq!(
        ask(30),
        (
            vec![section, json!(["section", null, "multi_static_select"]), actions],
            buttons
        )
    );
}

#[test]
fn of_many_options_none_is_left_out() {
    let option = |n: usize| OptionItem {
        label: format!("o{n}"),
        description: String::new(),
        value: format!("v{n}"),
    };
    let options: Vec<OptionItem> = (1..=201).map(option).collect();
    let ask = Ask {
        title: "Which?".into(),
        text: String::new(),
        choices: vec![],
        selection: Some(Selection {
            token: "t-sel".into(),
            options: options.clone(),
            submit: "Send".into(),
        }),
        settled: None,
    };
    let shown = render(&view(State::Asking, vec![Part::Ask(ask)]), BUDGET, Dress::Rich).remove(0);
    let plain = |text: &str| json!({ "type": "plain_text", "text": text, "emoji": false });
    let group = |label: &str, options: &[OptionItem]| {
        let options: Vec<Value> = options
            .iter()
            .map(|one| json!({ "text": plain(&one.label), "value": one.value }))
            .collect();
        json!({ "label": plain(label), "options": options })
    };
    let groups = [
        group("1 to 100", &options[..100]),
        group("101 to 200", &options[100..200]),
        group("201 to 201", &options[200..]),
    ];
    let expected = json!({ "type": "multi_static_select", "action_id": "select:t-sel", "option_groups": groups });
    assert_eq!(shown.blocks[1]["accessory"], expected);
    // Slack takes it.
    let api = crate::tests::fake();
    let place = crate::api::Place {
        channel: "C1",
        thread: None,
    };
    api.post(place, &shown, "n1-0").expect("posted");
}

#[test]
fn without_buttons_a_question_says_what_can_be_chosen_and_how() {
    let how = "Buttons cannot be shown here. Say `!allow` or `!deny` to what it wants to do; to a question `!answer` and \
               an option, its number, or your own words.";
    let stop = "(Say `!stop` to stop it: the button cannot be shown.)";
    let said = |ask: Part| {
        let mut view = view(State::Asking, vec![ask]);
        view.stop_token = Some("t-stop".into());
        let shown = render(&view, BUDGET, Dress::Text);
        assert!(shown.iter().all(|shown| shown.blocks.is_empty()));
        shown.into_iter().map(|shown| shown.text).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        said(ask(None)),
        format!("*May it run this?*\n`rm -r &lt;old&gt;`\n• *Allow*\n• *Deny*\n{how}\n{stop}")
    );
    assert_eq!(
        said(ask(Some("Allowed by <@U1>"))),
        format!("*May it run this?*\n`rm -r &lt;old&gt;`\n✔ Allowed by <@U1>\n{stop}")
    );
    let option = |label: &str, description: &str| OptionItem {
        label: label.into(),
        description: description.into(),
        value: label.into(),
    };
    let mut options = vec![option("a<b", "the small & calm one"), option("c", "")];
    let which = |options: &[OptionItem]| {
        said(Part::Ask(Ask {
            title: "Which?".into(),
            text: String::new(),
            choices: vec![Choice {
                label: "Skip".into(),
                description: String::new(),
                token: "t-skip".into(),
                style: Style::Plain,
            }],
            selection: Some(Selection {
                token: "t-sel".into(),
                options: options.to_vec(),
                submit: "Send".into(),
            }),
            settled: None,
        }))
    };
    assert_eq!(
        which(&options),
        format!("*Which?*\n1. *a&lt;b*: the small &amp; calm one\n2. *c*\n• *Skip*\n{how}\n{stop}")
    );
    // Of many none is left out.
    options.extend((3..=201).map(|n| option(&format!("o{n}"), &"<long> ".repeat(30))));
    let many = which(&options);
    assert!((3..=201).all(|n| many.contains(&format!("\n{n}. *o{n}*: "))), "{many}");
}

#[test]
fn plans_notices_and_ends_are_shown() {
    let item = |text: &str, state| PlanItem {
        text: text.into(),
        state,
    };
    let plan = Part::Plan(vec![
        item("look", PlanState::Done),
        item("mend", PlanState::Active),
        item("tell", PlanState::Pending),
    ]);
    let notice = Part::Notice(Notice {
        tone: Tone::Warning,
        text: "slow <today>".into(),
    });
    assert_eq!(
        render(
            &view(State::Failed("the agent died".into()), vec![plan, notice]),
            BUDGET,
            Dress::Rich
        )[0]
        .blocks,
        [
            section_of("☑ look\n▶ *mend*\n☐ tell"),
            context("⚠️ slow &lt;today&gt;"),
            context("❌ the agent died")
        ]
    );
}

#[test]
fn a_view_without_a_word_still_shows_something() {
    let shown = |state| render(&view(state, vec![]), BUDGET, Dress::Rich)[0].blocks.clone();
    assert_eq!(shown(State::Running), [context("⏳ Working…")]);
    assert_eq!(shown(State::Waiting(2)), [context("⏳ Waiting: number 2 in the queue")]);
    assert_eq!(shown(State::Stopped), [context("⏹ Stopped")]);
    assert_eq!(shown(State::Done), [context("✓ Done")]);
}

#[test]
fn many_steps_are_compact() {
    let steps: Vec<Part> = (0..30)
        .map(|n| step(&format!("step {n}"), "", StepState::Done))
        .collect();
    let shown = render(&view(State::Running, steps), BUDGET, Dress::Rich);
    let lines: Vec<&str> = shown[0].text.lines().collect();
    assert_eq!(
        (lines.len(), lines[0], lines[1]),
        (13, "… 18 earlier steps", "✓ step 18 · 1 min 5 s")
    );
}

#[test]
fn what_is_to_be_allowed_is_shown_in_full() {
    let command = "echo line\n".repeat(2_000);
    let mut part = ask(None);
    if let Part::Ask(ask) = &mut part {
        ask.text.clone_from(&command);
    }
    let shown = render(&view(State::Asking, vec![part]), BUDGET, Dress::Rich);
    let read: String = shown
        .iter()
        .flat_map(|shown| &shown.blocks)
        .filter(|block| block["type"] == "markdown")
        .filter_map(|block| block["text"].as_str())
        .collect();
    assert_eq!(read, command);
    assert_eq!(
        shown.last().expect("one").blocks.last().expect("one")["type"],
        "actions"
    );
}

/// The length of every `text` in a block.
fn texts(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match value.as_str() {
                Some(text) if name == "text" => length(text),
                Some(_) => 0,
                None => texts(value),
            })
            .sum(),
        Value::Array(all) => all.iter().map(texts).sum(),
        _ => 0,
    }
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let lines = proptest::collection::vec("(```|[ -~]{0,200}|é{0,9}😀)", 0..200);
    let part = prop_oneof![
        3 => lines.prop_map(|lines| Part::Text(lines.join("\n"))),
        2 => ("[ -~]{0,300}", "[ -~]{0,300}").prop_map(|(a, b)| step(&a, &b, StepState::Failed)),
        1 => "[ -~]{0,4000}".prop_map(|text| {
            let mut part = ask(None);
            if let Part::Ask(ask) = &mut part { ask.text = text; }
            part
        }),
        1 => "[ -~]{1,4000}".prop_map(|text| Part::Notice(Notice { tone: Tone::Info, text })),
        1 => proptest::collection::vec("[ -~]{0,300}", 1..30).prop_map(|all| {
            Part::Plan(all.into_iter().map(|text| PlanItem { text, state: PlanState::Active }).collect())
        }),
    ];
    proptest::collection::vec(part, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The strict fake takes each message, first as a post, then as an update; all text is there.
    #[test]
    fn slack_takes_every_message(parts in parts(), budget in SMALLEST..=BUDGET) {
        use crate::api::Place;
        let mut view = view(State::Asking, parts.clone());
        view.stop_token = Some("t-stop".into());
        view.footer = Some("x".repeat(500));
        let api = crate::tests::fake();
        let place = Place { channel: "C1", thread: None };
        let mut said = String::new();
        for shown in render(&view, budget, Dress::Rich) {
            let size: usize = shown.blocks.iter().map(|block| texts(block) + OVERHEAD).sum();
            prop_assert!(size <= budget, "{size} > {budget}");
            let ts = api.post(place, &shown, "id").map_err(|f| TestCaseError::fail(format!("{f:?}")))?;
            api.update("C1", &ts, &shown).map_err(|f| TestCaseError::fail(format!("{f:?}")))?;
for text in shown.blocks.iter().filter_map(|block| block["text"].as_str()) {
                said.push_str(text);
                said.push('\n');
            }
        }
        let words = |text: &str| {
            let fence = |line: &&str| !line.trim_start().starts_with("```");
            quiet(text).lines().filter(fence).flat_map(|l| l.chars().filter(|c| !c.is_whitespace()).collect::<Vec<_>>()).collect::<String>()
        };
        let all: String = parts.iter().filter_map(|p| match p { Part::Text(t) => Some(format!("{t}\n")), _ => None }).collect();
        // Long questions and notices flow as text too: then the text is not all that was said.
        let flowing = parts.iter().any(|p| matches!(p, Part::Ask(_) | Part::Notice(_)));
        if !flowing {
            prop_assert_eq!(words(&said), words(&all));
        }
    }
}
