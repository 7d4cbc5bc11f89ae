use botyard_sdk::delivery::{Ask, Choice, Notice, Selection, Style};
use botyard_sdk::types::{FileRef, OptionItem};
use proptest::prelude::*;

use super::*;

pub(crate) fn view(state: State, parts: Vec<Part>) -> View {
    let blocks = parts
        .into_iter()
        .enumerate()
        .map(|(at, part)| Block {
            id: u32::try_from(at).expect("few"),
            parent: None,
            revision: 1,
            part,
            complete: true,
            extra: Vec::new(),
        })
        .collect();
    let live = matches!(state, State::Waiting(_) | State::Running | State::Asking);
    View {
        turn: "t1".into(),
        revision: 1,
        state,
        blocks,
        stop_token: live.then(|| "stop1".into()),
        footer: None,
        extra: Vec::new(),
    }
}

pub(crate) fn step(title: &str, state: StepState) -> Step {
    Step {
        kind: "execute".into(),
        title: title.into(),
        detail: "`ls -la`".into(),
        output: String::new(),
        state,
        elapsed_ms: Some(2_500),
    }
}

fn choice(at: usize) -> Choice {
    Choice {
        label: format!("Choice {at}"),
        description: if at == 0 { "The *first*".into() } else { String::new() },
        token: format!("tok{at}"),
        style: [Style::Primary, Style::Danger, Style::Plain][at % 3],
    }
}

fn question(choices: usize) -> Ask {
    Ask {
        title: "Run *this*?".into(),
        text: "```sh\nrm -rf build\n```".into(),
        choices: (0..choices).map(choice).collect(),
        selection: None,
        settled: None,
    }
}

fn stop() -> Value {
    json!({ "type": 1, "components": [{ "type": 2, "style": 2, "label": "Stop", "custom_id": "stop1" }] })
}

fn shown(content: &str, embeds: Vec<Value>, components: Vec<Value>) -> Shown {
    Shown {
        content: content.into(),
        embeds,
        components,
    }
}

#[test]
fn a_running_turn_shows_text_then_its_steps_and_a_stop() {
    let rendered = render(&view(
        State::Running,
        vec![
            Part::Text("I look.".into()),
            Part::Step(step("Run a command", StepState::Done)),
            Part::Step(Step {
                output: "no such file".into(),
                ..step("Read x_y", StepState::Failed)
            }),
            Part::Text("It is *done*.".into()),
            Part::Step(step("Edit", StepState::Running)),
        ],
    ));
    let card = json!({
        "description": "✓ Run a command `ls -la` · 2 s\n✗ Read x\\_y `ls -la` · 2 s\n-# no such file\n▸ Edit `ls -la` · 2 s",
        "color": BLURPLE,
    });
    assert_eq!(
        rendered,
        Rendered {
            messages: vec![shown("I look.\nIt is *done*.", vec![card], vec![stop()])],
            file: None,
            idle: false
        }
    );
}

#[test]
fn states_have_a_word_and_a_footer_below() {
    let word = |state: State| render(&view(state, Vec::new())).messages[0].content.clone();
    assert_eq!(word(State::Running), "-# ⏳ Working…");
    assert_eq!(word(State::Waiting(2)), "-# ⏳ Waiting: number 2 in the queue");
    assert_eq!(word(State::Stopped), "-# ⏹ Stopped");
    assert_eq!(word(State::Done), "-# ✓ Done");
    assert_eq!(word(State::Failed("It broke.".into())), "❌ It broke.");
    assert!(render(&view(State::Running, Vec::new())).idle);
    let mut done = view(State::Done, vec![Part::Text("ok".into())]);
    done.footer = Some("model_x · 3 s".into());
    assert_eq!(
        render(&done).messages,
        [shown("ok\n-# model\\_x · 3 s", Vec::new(), Vec::new())]
    );
}

#[test]
fn a_question_has_buttons_and_a_settled_one_has_none() {
    let mut ask = question(2);
    let rendered = render(&view(State::Asking, vec![Part::Ask(ask.clone())]));
    let button =
        |style: u8, label: &str, id: &str| json!({ "type": 2, "style": style, "label": label, "custom_id": id });
    let row = json!({ "type": 1, "components": [
        button(1, "Choice 0", "tok0"), button(4, "Choice 1", "tok1") ] });
    let words = "**Run \\*this\\*?**\n```sh\nrm -rf build\n```\n- **Choice 0**: The \\*first\\*";
    assert_eq!(rendered.messages, [shown(words, Vec::new(), vec![row, stop()])]);
    ask.settled = Some("Allowed by <@12>".into());
    let rendered = render(&view(State::Done, vec![Part::Ask(ask)]));
    let words = "**Run \\*this\\*?**\n```sh\nrm -rf build\n```\n-# ✔ Allowed by <@12>";
    assert_eq!(rendered.messages, [shown(words, Vec::new(), Vec::new())]);
}

#[test]
fn many_choices_and_options_become_lists() {
    let mut ask = question(30);
    ask.selection = Some(Selection {
        token: "sel".into(),
        options: (0..27)
            .map(|at| OptionItem {
                label: format!("Option {at}"),
                description: String::new(),
                value: at.to_string(),
            })
            .collect(),
        submit: "Choose".into(),
    });
    let rendered = render(&view(State::Asking, vec![Part::Ask(ask)]));
    let ids: Vec<(String, usize)> = rendered
        .messages
        .iter()
        .flat_map(|shown| &shown.components)
        .flat_map(|row| row["components"].as_array().expect("parts"))
        .map(|part| {
            let options = part["options"].as_array().map_or(0, Vec::len);
            (part["custom_id"].as_str().expect("an id").to_owned(), options)
        })
        .collect();
    let expected = [
        ("select:sel:0", 25),
        ("select:sel:1", 2),
        ("pick:0:tok0", 25),
        ("pick:1:tok25", 5),
        ("stop1", 0),
    ];
    assert_eq!(ids, expected.map(|(id, options)| (id.to_owned(), options)));
}

#[test]
fn plans_notices_files_and_thoughts() {
    let plan = vec![
        PlanItem {
            text: "one".into(),
            state: PlanState::Done,
        },
        PlanItem {
            text: "two".into(),
            state: PlanState::Active,
        },
        PlanItem {
            text: "three".into(),
            state: PlanState::Pending,
        },
    ];
    let file = FileRef {
        id: "f".into(),
        name: "a_b.csv".into(),
        media_type: "text/csv".into(),
        size_bytes: 3,
    };
    let notice = Notice {
        tone: Tone::Warning,
        text: "Careful.".into(),
    };
    let mut turn = view(
        State::Running,
        vec![
            Part::Plan(plan),
            Part::Notice(notice),
            Part::File(file),
            Part::Thinking("hm *x*\ny".into()),
        ],
    );
    turn.stop_token = None;
    turn.blocks[3].complete = false;
    let card = json!({ "title": "Plan", "description": "☑ one\n▶ **two**\n☐ three", "color": GREY });
    let words = "⚠️ Careful.\n📎 a\\_b.csv\n-# 💭 …hm \\*x\\* y";
    assert_eq!(render(&turn).messages, [shown(words, vec![card], Vec::new())]);
    turn.blocks[3].complete = true;
    assert!(!render(&turn).messages[0].content.contains("💭"));
}

#[test]
fn of_a_long_run_the_newest_steps_are_shown() {
    let steps: Vec<Part> = (0..60)
        .map(|at| Part::Step(step(&format!("Step {at} {}", "x".repeat(150)), StepState::Done)))
        .collect();
    let rendered = render(&view(State::Running, steps));
    let text = rendered.messages[0].embeds[0]["description"]
        .as_str()
        .expect("text")
        .to_owned();
    assert!(text.starts_with("-# … 48 earlier steps\n✓ Step 48 "), "{text}");
    assert!(text.contains("Step 59"));
    assert!(length(&text) <= 4096);
}

#[test]
fn an_answer_of_many_messages_becomes_a_file_at_its_end() {
    let text: String = (0..400)
        .map(|n| format!("Line {n} of a very long answer with some words in it.\n\n"))
        .collect();
    let running = render(&view(State::Running, vec![Part::Text(text.clone())]));
    assert_eq!((running.messages.len(), running.file), (MESSAGES, None));
    let done = render(&view(State::Done, vec![Part::Text(text.clone())]));
    assert_eq!(done.messages.len(), MESSAGES);
    assert_eq!(
        done.messages[..MESSAGES - 1],
        running.messages[..MESSAGES - 1],
        "a stream rewrites nothing"
    );
    assert_eq!(
        done.messages[MESSAGES - 1].content,
        "📄 The whole answer is in the file `answer.md`."
    );
    assert_eq!(done.file, Some(text.trim_end().to_owned() + "\n"));
    // A question is never left out.
    let asking = render(&view(State::Asking, vec![Part::Text(text), Part::Ask(question(2))]));
    assert_eq!(asking.messages.len(), MESSAGES + 1);
    assert_eq!(asking.messages[MESSAGES - 1].components.len(), 1);
}

#[test]
fn a_long_question_is_shown_in_full_before_its_buttons() {
    let mut ask = question(2);
    let command = "echo 0123456789;\n".repeat(300);
    ask.text = format!("```sh\n{command}\n```");
    let rendered = render(&view(State::Asking, vec![Part::Ask(ask)]));
    let all: String = rendered.messages.iter().map(|shown| shown.content.as_str()).collect();
    assert_eq!(all.matches("echo 0123456789;").count(), 300);
    let (last, before) = rendered.messages.split_last().expect("some");
    assert!(before.iter().all(|shown| shown.components.is_empty()));
    assert_eq!(last.components.len(), 2);
}

/// What Discord refuses about a message.
fn refused(shown: &Shown) -> Option<String> {
    let total: usize = shown
        .embeds
        .iter()
        .flat_map(|embed| [&embed["title"], &embed["description"]])
        .map(|text| text.as_str().map_or(0, |text| text.chars().count()))
        .sum();
    if shown.content.chars().count() > 2000 {
        return Some("content".into());
    }
    if total > 6000 || shown.components.len() > 5 {
        return Some(format!("{total} in embeds, {} rows", shown.components.len()));
    }
    (shown.content.trim().is_empty() && shown.embeds.is_empty()).then(|| "empty".into())
}

fn markdown() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => "[ a-zé😀日本語العربية.,*`~@<|]{0,80}",
        1 => "[a-z]{300,2600}",
        1 => Just("@everyone <@400000000000000001> [https://a.com](https://b.com)".to_owned()),
        2 => Just(String::new()),
        2 => prop_oneof![Just("```"), Just("```rust"), Just("~~~"), Just("````"), Just("| a | b |"), Just("|---|---|")]
            .prop_map(str::to_owned),
    ];
    proptest::collection::vec(line, 0..60).prop_map(|lines| lines.join("\n"))
}

/// Fences that are open at the end of a text.
fn open_fences(text: &str) -> Option<String> {
    let mut open: Option<String> = None;
    for line in text.lines().map(str::trim) {
        match &open {
            Some(mark) if line.len() >= mark.len() && line.chars().all(|c| mark.starts_with(c)) => open = None,
            Some(_) => {}
            None => {
                let first = line.chars().next().filter(|c| matches!(c, '`' | '~'));
                let count = line.chars().take_while(|c| Some(*c) == first).count();
                if (3..=12).contains(&count) && !(first == Some('`') && line[count..].contains('`')) {
                    open = first.map(|c| c.to_string().repeat(count));
                }
            }
        }
    }
    open
}

proptest! {
    #[test]
    fn limits_are_kept_and_fences_are_closed(texts in proptest::collection::vec(markdown(), 0..6), steps in 0usize..40, choices in 0usize..30, running: bool) {
        let mut parts: Vec<Part> = texts.into_iter().map(Part::Text).collect();
        parts.extend((0..steps).map(|at| Part::Step(step(&"long title ".repeat(at), StepState::Failed))));
        if choices > 0 {
            parts.push(Part::Ask(question(choices)));
        }
        let state = if running { State::Running } else { State::Failed("x `".repeat(900)) };
        let rendered = render(&view(state, parts));
        prop_assert!(!rendered.messages.is_empty());
        for shown in &rendered.messages {
            prop_assert_eq!(refused(shown), None);
            prop_assert_eq!(open_fences(&shown.content), None, "in {}", shown.content);
        }
    }

    #[test]
    fn no_letter_is_lost(words in proptest::collection::vec("[a-zé日本😀]{1,40}", 1..200)) {
        let rendered = render(&view(State::Done, vec![Part::Text(words.join(" "))]));
        prop_assert_eq!(rendered.file, None);
        let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        let all: String = rendered.messages.iter().map(|shown| letters(&shown.content)).collect();
        prop_assert_eq!(all, letters(&words.concat()));
    }
}
