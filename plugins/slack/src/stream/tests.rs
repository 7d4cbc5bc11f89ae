//! What goes into a stream, and that it only grows.

use proptest::prelude::*;

use super::*;
use crate::view::tests::{ask, step, text, view};

fn growing(words: &str) -> View {
    let mut view = view(botyard_sdk::delivery::State::Running, vec![text(words)]);
    view.blocks[0].complete = false;
    view
}

fn words(chunks: &[Value]) -> String {
    chunks.iter().filter_map(|chunk| chunk["text"].as_str()).collect()
}

#[test]
fn steps_are_cards_that_change_where_they_stand() {
    let parts = |state| {
        view(
            botyard_sdk::delivery::State::Running,
            vec![text("First I look."), step("Read <a>", "src/*.rs", state)],
        )
    };
    let (chunks, progress) = script(&parts(StepState::Running), false)
        .expect("a script")
        .after(&Progress::default())
        .expect("chunks");
    let card = |status: &str| json!({ "type": "task_update", "id": "step-1", "title": "Read <a>", "status": status, "details": "src/*.rs" });
    assert_eq!(
        chunks,
        [
            json!({ "type": "markdown_text", "text": "First I look." }),
            card("in_progress")
        ]
    );
    let (chunks, progress) = script(&parts(StepState::Done), false)
        .expect("a script")
        .after(&progress)
        .expect("chunks");
    assert_eq!(chunks, [card("complete")]);
    let (chunks, _) = script(&parts(StepState::Done), false)
        .expect("a script")
        .after(&progress)
        .expect("chunks");
    assert_eq!(chunks, Vec::<Value>::new());
}

#[test]
fn failed_step_shows_why_and_long_words_are_cut() {
    let long = "x".repeat(1000);
    let view = view(
        botyard_sdk::delivery::State::Running,
        vec![step(&long, &long, StepState::Failed)],
    );
    let (chunks, _) = script(&view, false)
        .expect("a script")
        .after(&Progress::default())
        .expect("chunks");
    let size = |name: &str| chunks[0][name].as_str().unwrap_or_default().chars().count();
    assert_eq!((size("title"), size("details")), (TITLE, DETAIL));
    assert_eq!(
        (chunks[0]["output"].as_str(), chunks[0]["status"].as_str()),
        (Some("no such\nfile"), Some("error"))
    );
}

#[test]
fn plan_is_a_card_for_each_of_its_entries() {
    let items = vec![
        botyard_sdk::delivery::PlanItem {
            text: "look".into(),
            state: PlanState::Done,
        },
        botyard_sdk::delivery::PlanItem {
            text: "mend".into(),
            state: PlanState::Active,
        },
    ];
    let view = view(botyard_sdk::delivery::State::Running, vec![Part::Plan(items)]);
    let (chunks, _) = script(&view, false)
        .expect("a script")
        .after(&Progress::default())
        .expect("chunks");
    assert_eq!(
        chunks,
        [
            json!({ "type": "task_update", "id": "plan-0-0", "title": "look", "status": "complete" }),
            json!({ "type": "task_update", "id": "plan-0-1", "title": "mend", "status": "in_progress" }),
        ]
    );
}

#[test]
fn question_is_no_stream_nor_is_what_is_too_long() {
    use botyard_sdk::delivery::State;
    assert_eq!(script(&view(State::Asking, vec![text("hm"), ask(None)]), false), None);
    assert_eq!(
        script(&view(State::Running, vec![text(&"word ".repeat(3000))]), false),
        None
    );
}

#[test]
fn word_that_may_still_grow_waits() {
    let grown = |words: &str, whole| script(&growing(words), whole).expect("a script").text();
    assert_eq!(grown("tell <!chan", false), "tell");
    assert_eq!(grown("one", false), "");
    assert_eq!(grown("one two", true), "one two");
}

#[test]
fn what_was_taken_back_is_noticed() {
    let (_, progress) = script(&growing("one two three"), false)
        .expect("a script")
        .after(&Progress::default())
        .expect("chunks");
    assert_eq!(
        script(&growing("another thing altogether"), false)
            .expect("a script")
            .after(&progress),
        None
    );
    assert_eq!(script(&growing("one"), false).expect("a script").after(&progress), None);
}

proptest! {
    /// However a text comes, what was streamed is all of it in its order; else the stream says that it cannot.
    #[test]
    fn nothing_is_lost_on_the_way(parts in prop::collection::vec("[a-z é漢字😀<!@>|`*\n]{1,12}", 1..20)) {
        let (mut so_far, mut streamed, mut progress) = (String::new(), String::new(), Progress::default());
        for part in &parts {
            so_far.push_str(part);
            let Some((chunks, now)) = script(&growing(&so_far), false).expect("short").after(&progress) else {
                return Ok(());
            };
            streamed.push_str(&words(&chunks));
            progress = now;
        }
        let last = script(&growing(&so_far), true).expect("short");
        if let Some((chunks, _)) = last.after(&progress) {
            streamed.push_str(&words(&chunks));
            prop_assert_eq!(streamed, last.text());
        }
    }
}
