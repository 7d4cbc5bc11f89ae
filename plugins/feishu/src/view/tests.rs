//! Whole views, whole cards; and whatever comes, cards that Feishu takes.

use botyard_fakes::feishu::{Request, Tenant};
use botyard_sdk::delivery::{Ask, Choice, Selection, Style};
use botyard_sdk::types::{Field, FieldKind, FileRef, Form, OptionItem};
use proptest::prelude::*;

use super::*;
use crate::markdown::tests::{hostile, pings};

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

fn step(title: &str, detail: &str, state: StepState) -> Part {
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

fn choice(label: &str, token: &str, style: Style) -> Choice {
    Choice {
        label: label.into(),
        description: String::new(),
        token: token.into(),
        style,
    }
}

pub(crate) fn ask(settled: Option<&str>) -> Part {
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

fn button(label: &str, kind: &str, token: &str) -> Value {
    json!({ "tag": "column", "width": "auto", "elements": [{
        "tag": "button", "text": { "tag": "plain_text", "content": label }, "type": kind,
        "behaviors": [{ "type": "callback", "value": { "token": token } }],
    }] })
}

fn row_of(id: &str, columns: &[Value]) -> Value {
    json!({
        "tag": "column_set", "flex_mode": "flow", "horizontal_spacing": "8px", "columns": columns, "element_id": id,
    })
}

fn grey(id: &str, text: &str) -> Value {
    json!({
        "tag": "markdown", "text_size": "notation", "content": format!("<font color='grey'>{text}</font>"),
        "element_id": id,
    })
}

fn plain_markdown(id: &str, text: &str) -> Value {
    json!({ "tag": "markdown", "content": text, "element_id": id })
}

fn elements(page: &Page) -> Vec<Value> {
    page.elements.iter().map(|element| element.value.clone()).collect()
}

#[test]
fn a_running_turn_shows_its_steps_its_text_and_a_stop_button() {
    let mut view = view(
        State::Running,
        vec![
            step("Read", "`src/a`b.rs`", StepState::Done),
            step("Run", "", StepState::Failed),
            text("It pings <at id=all></at>: **no**."),
        ],
    );
    view.stop_token = Some("t-stop".into());
    view.footer = Some("2 tools & more".into());
    let pages = render(&view, BUDGET);
    assert_eq!(pages.len(), 1);
    assert_eq!(
        elements(&pages[0]),
        [
            json!({
                "tag": "collapsible_panel", "expanded": false, "element_id": "b0",
                "header": { "title": { "tag": "plain_text", "content": "✗ 2 steps, 1 not done" } },
                "border": { "color": "grey", "corner_radius": "5px" },
                "elements": [{
                    "tag": "markdown", "text_size": "notation",
                    "content": "✓ Read `src/a'b.rs` · 1 min 5 s\n✗ Run · 1 min 5 s\n```\nno such\nfile\n```",
                }],
            }),
            plain_markdown("b2", "It pings <\u{2060}at id=all><\u{2060}/at>: **no**."),
            grey("footer", "2 tools &#38; more"),
            row_of("stop", &[button("Stop", "default", "t-stop")]),
        ]
    );
    assert_eq!(pages[0].summary, "Working…");
    let card = pages[0].card(true);
    assert_eq!(card["schema"], "2.0");
    assert_eq!(card["config"]["streaming_mode"], true);
    assert_eq!(card["config"]["update_multi"], true);
}

#[test]
fn a_question_has_buttons_until_it_is_settled() {
    let open = &render(&view(State::Asking, vec![ask(None)]), BUDGET)[0];
    let question = plain_markdown("b0", "**May it run this?**\n`rm -r <old>`");
    assert_eq!(
        elements(open),
        [
            question.clone(),
            row_of(
                "b0_b",
                &[
                    button("Allow", "primary", "t-allow"),
                    button("Deny", "danger", "t-deny")
                ]
            ),
        ]
    );
    let settled = &render(&view(State::Running, vec![ask(Some("Allowed by <@ou_ann>"))]), BUDGET)[0];
    assert_eq!(
        elements(settled),
        [question, plain_markdown("b0_s", "✔ Allowed by <at id=ou_ann></at>")]
    );
}

#[test]
fn a_form_is_a_card_with_its_fields() {
    let field = |name: &str, kind: FieldKind| Field {
        name: name.into(),
        label: format!("The {name}"),
        kind,
        required: true,
        placeholder: String::new(),
        value: if name == "which" { "a".into() } else { String::new() },
    };
    let option = |value: &str| OptionItem {
        label: value.to_uppercase(),
        description: String::new(),
        value: value.into(),
    };
    let form = Form {
        token: "t-form".into(),
        title: "Details".into(),
        fields: vec![
            field("why", FieldKind::Paragraph),
            field("which", FieldKind::OneOf(vec![option("a"), option("b")])),
        ],
        submit: "Send".into(),
    };
    let plain = |text: &str| json!({ "tag": "plain_text", "content": text });
    assert_eq!(
        crate::ask::opened(&form)["body"]["elements"],
        json!([{ "tag": "form", "name": "of_form", "element_id": "o_f", "elements": [
            { "tag": "markdown", "content": "**Details**" },
            {
                "tag": "input", "name": "of_why", "label": plain("The why"), "label_position": "top", "width": "fill",
                "max_length": 1000, "input_type": "multiline_text", "rows": 4, "required": true,
            },
            { "tag": "markdown", "content": "The which" },
            {
                "tag": "select_static", "name": "of_which", "width": "fill", "required": true, "initial_option": "a",
                "options": [{ "text": plain("A"), "value": "a" }, { "text": plain("B"), "value": "b" }],
            },
            {
                "tag": "button", "name": "of_submit", "text": plain("Send"), "type": "primary",
                "form_action_type": "submit",
                "behaviors": [{ "type": "callback", "value": { "token": "t-form", "form": "of_", "opened": true } }],
            },
        ] }])
    );
}

#[test]
fn a_choice_of_several_is_a_form_with_a_list() {
    let part = Part::Ask(Ask {
        title: "Which?".into(),
        text: String::new(),
        choices: Vec::new(),
        selection: Some(Selection {
            token: "t-some".into(),
            options: vec![OptionItem {
                label: "A".into(),
                description: "the first".into(),
                value: "a".into(),
            }],
            submit: "Take".into(),
        }),
        settled: None,
    });
    let page = &render(&view(State::Asking, vec![part]), BUDGET)[0];
    let form = &page.elements[1].value;
    assert_eq!(form["elements"][0]["tag"], "multi_select_static");
    assert_eq!(form["elements"][0]["name"], "b0c_selection");
    assert_eq!(form["elements"][0]["options"][0]["text"]["content"], "A – the first");
    assert_eq!(
        form["elements"][1]["behaviors"][0]["value"],
        json!({ "token": "t-some", "form": "b0c_" })
    );
}

#[test]
fn a_turn_without_a_word_still_ends_visibly() {
    let done = &render(&view(State::Done, vec![]), BUDGET)[0];
    assert_eq!(elements(done), [grey("state", "✓ Done")]);
    let failed = &render(&view(State::Failed("It broke".into()), vec![text("half")]), BUDGET)[0];
    assert_eq!(failed.elements[1].value, plain_markdown("state", "❌ It broke"));
    assert_eq!(failed.summary, "❌ It broke");
    let queued = &render(&view(State::Waiting(3), vec![]), BUDGET)[0];
    assert_eq!(elements(queued)[0], grey("state", "⏳ Waiting: number 3 in the queue"));
    assert!(is_bare(&view(State::Running, vec![])));
    assert!(!is_bare(&view(State::Done, vec![])));
}

#[test]
fn rich_text_says_the_same_without_anything_to_press() {
    let page = &render(&view(State::Asking, vec![text("First."), ask(None)]), BUDGET)[0];
    let said = "First.\n\n**May it run this?**\n`rm -r <old>`\n\n[Allow]\n\n[Deny]";
    assert_eq!(
        page.post(),
        json!({ "zh_cn": { "title": "", "content": [[{ "tag": "md", "text": said }]] } })
    );
}

#[test]
fn a_line_that_grows_over_the_end_of_its_card_stays_in_it() {
    let early = format!("{}\n\n", "paragraph ".repeat(400));
    let cards = |words: usize| {
        render(
            &view(State::Running, vec![text(&(early.clone() + &"word ".repeat(words)))]),
            BUDGET,
        )
    };
    let shown = |page: &Page| page.elements[0].text().map(str::to_owned);
    let mut before = shown(&cards(1)[0]);
    for words in 2..1_000 {
        let cards = cards(words);
        let now = shown(&cards[0]);
        assert!(
            now.as_deref()
                .is_some_and(|now| before.as_deref().is_some_and(|before| now.starts_with(before)))
        );
        before = now;
    }
    assert_eq!(cards(1_000).len(), 2);
}

/// Whether Feishu takes the card.
fn taken(page: &Page, streaming: bool) -> Result<(), String> {
    let tenant = Tenant::new();
    let post = |target: &str, token: Option<&str>, body: Value| -> Value {
        let reply = tenant.request(&Request {
            method: "POST".into(),
            target: target.into(),
            authorization: token.map(|token| format!("Bearer {token}")),
            content_type: None,
            body: body.to_string().into_bytes(),
        });
        botyard_sdk::serde_json::from_slice(&reply.body).expect("JSON")
    };
    let app = json!({ "app_id": botyard_fakes::feishu::APP_ID, "app_secret": botyard_fakes::feishu::APP_SECRET });
    let token = post("/open-apis/auth/v3/tenant_access_token/internal", None, app);
    let body = json!({ "type": "card_json", "data": page.card(streaming).to_string() });
    let answer = post(
        "/open-apis/cardkit/v1/cards",
        token["tenant_access_token"].as_str(),
        body,
    );
    if answer["code"] == 0 {
        Ok(())
    } else {
        Err(answer.to_string())
    }
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let state = prop_oneof![
        Just(StepState::Running),
        Just(StepState::Done),
        Just(StepState::Failed),
        Just(StepState::Denied)
    ];
    let long = (hostile(), 1usize..200).prop_map(|(text, times)| text.repeat(times));
    let part = prop_oneof![
        hostile().prop_map(Part::Text),
        long.prop_map(Part::Text),
        hostile().prop_map(Part::Thinking),
        (hostile(), hostile(), state).prop_map(|(title, detail, state)| step(&title, &detail, state)),
        prop::collection::vec(hostile(), 0..15).prop_map(|all| {
            let item = |text| PlanItem {
                text,
                state: PlanState::Active,
            };
            Part::Plan(all.into_iter().map(item).collect())
        }),
        (hostile(), hostile(), prop::option::of(hostile()), 0usize..4).prop_map(|(title, text, settled, many)| {
            let choices = (0..many).map(|at| choice(&title, &format!("t-{at}"), Style::Plain));
            Part::Ask(Ask {
                choices: choices.collect(),
                title: title.clone(),
                text,
                selection: None,
                settled,
            })
        }),
        hostile().prop_map(|text| Part::Notice(Notice {
            tone: Tone::Warning,
            text
        })),
        hostile().prop_map(|name| Part::File(FileRef {
            id: "f".into(),
            name,
            media_type: "text/plain".into(),
            size_bytes: 1,
        })),
    ];
    prop::collection::vec(part, 0..12)
}

/// All texts of a card, whatever holds them.
fn texts(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == "content" => out.push_str(text),
                    _ => texts(value, out),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| texts(value, out)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_comes_feishu_takes_the_cards_and_nobody_is_pinged(parts in parts(), running in any::<bool>()) {
        let mut view = view(if running { State::Running } else { State::Done }, parts);
        view.stop_token = Some("t-stop".into());
        for page in render(&view, BUDGET) {
            prop_assert_eq!(taken(&page, running), Ok(()));
            let post = page.post().to_string();
            prop_assert!(post.len() <= 30 << 10, "rich text has {} bytes", post.len());
            let mut all = page.summary.clone();
            texts(&page.card(running), &mut all);
            prop_assert!(!pings(&all), "{all}");
        }
    }

    #[test]
    fn no_text_is_lost_and_fences_are_balanced(words in prop::collection::vec("[a-z你好😀]{1,12}", 1..4000), code in any::<bool>()) {
        let body = words.join(if code { "\n" } else { " " });
        let whole = if code { format!("```\n{body}\n```") } else { body.clone() };
        let pages = render(&view(State::Done, vec![text(&whole)]), BUDGET);
        let mut shown = String::new();
        for page in &pages {
            for element in &page.elements {
                let Some(text) = element.text() else { continue };
                prop_assert_eq!(text.matches("```").count() % 2, 0);
                shown.push_str(text);
            }
        }
        let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace() && *c != '`').collect::<String>();
        prop_assert_eq!(bare(&shown), bare(&body));
    }

    #[test]
    fn a_stream_only_appends(words in prose(), steps in 0usize..40, cut in 0.0f64..1.0) {
        let whole: String = words.concat();
        let half = &whole[..(whole.len() as f64 * cut) as usize];
        prop_assume!(!half.trim().is_empty());
        let mut parts = vec![step("Run", &"x".repeat(150), StepState::Done); steps];
        parts.push(text(half));
        let mut running = view(State::Running, parts);
        running.blocks[steps].complete = false;
        let before = render(&running, BUDGET);
        running.blocks[steps].part = text(&whole);
        let after = render(&running, BUDGET);
        let full = before.len().saturating_sub(1);
        for (a, b) in before[..full].iter().zip(&after) {
            prop_assert_eq!(&a.elements, &b.elements, "a full card changes no more");
        }
        for (a, b) in before[full].elements.iter().zip(&after[full].elements) {
            let (Some(a), Some(b)) = (a.text(), b.text()) else { continue };
            prop_assert!(b.starts_with(a), "taken back: {:?} became {:?}", tail_of(a), tail_of(b));
        }
    }
}

/// Words, lines and paragraphs.
fn prose() -> impl Strategy<Value = Vec<String>> {
    let space = prop_oneof![20 => Just(" "), 1 => Just("\n"), 1 => Just("\n\n")];
    let word = ("[a-z]{1,12}", space).prop_map(|(word, space)| word + space);
    prop::collection::vec(word, 1..6000)
}

fn tail_of(text: &str) -> &str {
    &text[text.len().saturating_sub(200)..]
}
