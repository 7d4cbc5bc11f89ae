use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::chat::{Choice, PlanItem, PlanState, Style};

fn view() -> TurnView {
    TurnView::new(TurnId::from("t"), 1, true)
}

#[test]
fn name_of_an_agent_stands_above_all_that_it_says_and_is_nothing_to_show_by_itself() {
    let mut headed = view().headed("reviewer");
    assert!(headed.is_bare());
    headed.apply(&text(1, "hello"), Instant::now());
    assert!(!headed.is_bare());
    let shown = headed.snapshot();
    let blocks: Vec<(u32, &Part)> = shown.blocks.iter().map(|block| (block.id, &block.part)).collect();
    let [name, said] = ["**reviewer**", "hello"].map(|text| Part::Text(text.to_owned()));
    assert_eq!(blocks, [(HEADING, &name), (1, &said)]);
    // It is none of its words, and stands there once after a restart too.
    assert_eq!(crate::session::transcript::answer(&shown), "hello");
    let again = TurnView::resume(shown.clone(), true, []).snapshot();
    assert_eq!(again.blocks, shown.blocks);
}

fn delta(block: u64, text: &str) -> AgentEvent {
    AgentEvent::TextDelta {
        block,
        text: text.to_owned(),
    }
}

fn text(block: u64, text: &str) -> AgentEvent {
    AgentEvent::Text {
        block,
        text: text.to_owned(),
        parent: None,
    }
}

fn tool(call: &str, parent: Option<&str>) -> AgentEvent {
    AgentEvent::Tool {
        call: call.to_owned(),
        parent: parent.map(str::to_owned),
        kind: "execute",
        title: "Bash: ls".to_owned(),
        detail: String::new(),
    }
}

fn ended(call: &str, output: &str) -> AgentEvent {
    AgentEvent::ToolEnded {
        call: call.to_owned(),
        failed: false,
        denied: false,
        output: output.to_owned(),
    }
}

fn question() -> Ask {
    let choice = |label: &str| Choice {
        label: label.to_owned(),
        description: String::new(),
        token: Token::from(label),
        style: Style::Plain,
    };
    Ask {
        title: "Bash: ls".to_owned(),
        text: String::new(),
        choices: vec![choice("Allow"), choice("Deny")],
        selection: None,
        settled: None,
    }
}

/// What people would read, in short.
fn seen(view: &View) -> Vec<String> {
    view.blocks
        .iter()
        .map(|block| match &block.part {
            Part::Text(text) => format!("text {text}"),
            Part::Thinking(text) => format!("thinking {text}"),
            Part::Step(step) => format!("step {:?}", step.state),
            Part::Plan(items) => format!("plan {}", items.len()),
            Part::Ask(ask) => format!("ask {}", ask.settled.as_deref().unwrap_or("open")),
            Part::Notice(notice) => format!("notice {}", notice.text),
            Part::File(file) => format!("file {}", file.name),
        })
        .collect()
}

#[test]
fn deltas_become_certain_text_in_the_same_block() {
    let (mut view, now) = (view(), Instant::now());
    assert!(view.apply(&delta(7, "Hel"), now));
    assert!(view.apply(&delta(7, "lo"), now));
    let streaming = view.snapshot();
    assert_eq!(seen(&streaming), ["text Hello"]);
    assert!(!streaming.blocks[0].complete);
    view.apply(&text(7, "Hello!"), now);
    let certain = view.snapshot();
    assert_eq!(seen(&certain), ["text Hello!"]);
    assert!(certain.blocks[0].complete);
    assert_eq!(certain.blocks[0].id, streaming.blocks[0].id);
}

#[test]
fn broken_stream_withdraws_only_what_is_not_certain() {
    let (mut view, now) = (view(), Instant::now());
    view.apply(&text(1, "kept"), now);
    view.apply(&delta(2, "gone"), now);
    view.snapshot();
    assert!(view.apply(&AgentEvent::Restart, now));
    view.apply(&delta(2, "again"), now);
    assert_eq!(seen(&view.snapshot()), ["text kept", "text again"]);
}

#[test]
fn revision_rises_only_with_a_change_and_marks_what_changed() {
    let (mut view, now) = (view(), Instant::now());
    view.apply(&text(1, "one"), now);
    let first = view.snapshot();
    assert_eq!(first.revision, (1 << 20) + 1);
    assert_eq!(view.snapshot(), first);
    assert!(!view.apply(&IDLE, now));
    assert_eq!(view.snapshot(), first);
    view.apply(&text(2, "two"), now);
    let second = view.snapshot();
    assert_eq!(second.revision, first.revision + 1);
    let revisions: Vec<u32> = second.blocks.iter().map(|block| block.revision).collect();
    assert_eq!(revisions, [first.revision, second.revision]);
}

const IDLE: AgentEvent = AgentEvent::Idle { background: 0 };

#[test]
fn next_attempt_is_above_all_revisions_of_the_last() {
    let mut view = view();
    let before = view.snapshot().revision;
    view.begin_attempt(2);
    assert!(view.snapshot().revision > before && before < 2 << 20);
    view.begin_attempt(u32::MAX);
    let high = view.snapshot().revision;
    view.notice(Tone::Info, "x");
    assert!(view.snapshot().revision > high);
}

#[tokio::test(start_paused = true)]
async fn step_tells_how_long_it_took_and_whose_it_is() {
    let mut view = view();
    view.apply(&tool("task", None), Instant::now());
    view.apply(&tool("inner", Some("task")), Instant::now());
    tokio::time::advance(Duration::from_secs(3)).await;
    view.apply(&ended("inner", "done"), Instant::now());
    let shown = view.snapshot();
    assert_eq!(shown.blocks[1].parent, Some(shown.blocks[0].id));
    let Part::Step(step) = &shown.blocks[1].part else {
        panic!("a step")
    };
    assert_eq!(
        (step.state, step.elapsed, step.output.as_str()),
        (StepState::Done, Some(Duration::from_secs(3)), "done")
    );
}

#[test]
fn output_is_cut_at_whole_characters_within_4_kib() {
    let (mut view, now) = (view(), Instant::now());
    view.apply(&tool("a", None), now);
    view.apply(&ended("a", &"é".repeat(5000)), now);
    let shown = view.snapshot();
    let Part::Step(step) = &shown.blocks[0].part else {
        panic!("a step")
    };
    assert!(step.output.len() <= 4096 && step.output.len() > 4090 && step.output.ends_with("é…"));
}

#[test]
fn plan_is_updated_in_place() {
    let (mut view, now) = (view(), Instant::now());
    let item = PlanItem {
        text: "do it".to_owned(),
        state: PlanState::Pending,
    };
    view.apply(&AgentEvent::Plan(vec![item.clone()]), now);
    view.apply(&text(1, "meanwhile"), now);
    view.apply(&AgentEvent::Plan(vec![item.clone(), item]), now);
    assert_eq!(seen(&view.snapshot()), ["plan 2", "text meanwhile"]);
}

#[test]
fn ask_is_settled_and_the_step_goes_on() {
    let (mut view, now) = (view(), Instant::now());
    view.apply(&tool("a", None), now);
    view.ask("ask", "a", question());
    let asked = view.snapshot();
    assert_eq!(asked.state, ViewState::Asking);
    assert_eq!(seen(&asked), ["step Waiting", "ask open"]);

    // The same over a restart of the host.
    let mut resumed = TurnView::resume(asked.clone(), true, [("ask".to_owned(), asked.blocks[1].id)]);
    assert_eq!(resumed.snapshot(), asked, "nothing changed, so it is the same view");
    resumed.settle("ask", "Denied by <@u>", true);
    assert_eq!(seen(&resumed.snapshot()), ["step Denied", "ask Denied by <@u>"]);

    view.settle("ask", "Allowed by <@u>", false);
    let settled = view.snapshot();
    assert_eq!(settled.state, ViewState::Running);
    assert_eq!(seen(&settled), ["step Running", "ask Allowed by <@u>"]);
    let Part::Ask(ask) = &settled.blocks[1].part else {
        panic!("an ask")
    };
    assert!(ask.choices.is_empty(), "nothing can be pressed any more");
}

#[test]
fn trouble_is_told_until_the_agent_goes_on() {
    let (mut view, now) = (view(), Instant::now());
    let retrying = |attempt| AgentEvent::Retrying {
        attempt,
        of: 3,
        after: Duration::from_millis(500),
        reason: "overloaded".to_owned(),
    };
    view.apply(&retrying(1), now);
    view.apply(&retrying(2), now);
    assert_eq!(
        seen(&view.snapshot()),
        ["notice The model does not answer (overloaded). Trying again in 1 s (2 of 3)."]
    );
    view.apply(&delta(1, "hello"), now);
    assert_eq!(seen(&view.snapshot()), ["text hello"]);
    let limited = AgentEvent::Limited {
        until: None,
        reached: true,
    };
    view.apply(&limited, now);
    assert_eq!(
        seen(&view.snapshot())[1..],
        ["notice The agent's account has used up its allowance."]
    );
    view.apply(&delta(1, " again"), now);
    assert_eq!(seen(&view.snapshot()), ["text hello again"]);
}

#[test]
fn thinking_is_hidden_unless_it_is_wanted() {
    let mut view = TurnView::new(TurnId::from("t"), 1, false);
    let event = AgentEvent::ThinkingDelta {
        block: 1,
        text: "hm".to_owned(),
    };
    view.snapshot();
    assert!(!view.apply(&event, Instant::now()));
    assert_eq!(seen(&view.snapshot()), [""; 0]);
}

#[test]
fn end_closes_everything_and_nothing_comes_after_it() {
    let (mut view, now) = (view(), Instant::now());
    view.stop_token(Some(Token::from("stop")));
    view.apply(&delta(1, "partial"), now);
    view.apply(&tool("a", None), now);
    view.ask("ask", "a", question());
    view.finish(ViewState::Failed("It died.".to_owned()), &[], []);
    let last = view.snapshot();
    assert_eq!(seen(&last), ["text partial", "step Denied", "ask No longer needed"]);
    assert_eq!(
        (last.stop_token.clone(), last.blocks.iter().all(|block| block.complete)),
        (None, true)
    );
    assert!(!view.apply(&delta(1, "late"), now));
    view.notice(Tone::Info, "late");
    view.finish(ViewState::Done, &[], []);
    assert_eq!(view.snapshot(), last);
}

#[test]
fn footer_names_the_model_and_what_was_used() {
    let (mut view, now) = (view(), Instant::now());
    let session = AgentEvent::Session {
        id: "s".to_owned(),
        model: Some("opus".to_owned()),
    };
    view.apply(&session, now);
    assert_eq!(view.snapshot().footer, None);
    let usage = AgentEvent::Usage {
        input_tokens: 12_345,
        output_tokens: 67,
        cost_usd: Some(0.5),
    };
    view.apply(&usage, now);
    let told = "opus · 12.3k tokens in, 67 out · $0.5000";
    let shown = view.snapshot();
    assert_eq!(shown.footer.as_deref(), Some(told));

    // Nobody wants it, and nothing changes by it.
    let mut plain = TurnView::new(TurnId::from("t"), 1, true).with_usage(false);
    plain.snapshot();
    assert!(!plain.apply(&usage, now) && !plain.apply(&session, now));
    assert_eq!(plain.snapshot().footer, None);
    let resumed = |wanted| TurnView::resume(shown.clone(), true, []).with_usage(wanted).snapshot();
    assert_eq!(
        [true, false].map(|wanted| resumed(wanted).footer),
        [Some(told.to_owned()), None]
    );
}

fn event() -> impl Strategy<Value = AgentEvent> {
    let parent = || proptest::option::of("[ab]");
    prop_oneof![
        (0..3u64, "[xy]{0,3}").prop_map(|(block, text)| AgentEvent::TextDelta { block, text }),
        (0..3u64, "[xy]{0,3}").prop_map(|(block, text)| AgentEvent::ThinkingDelta { block, text }),
        (0..3u64, "[xy]{0,3}", parent()).prop_map(|(block, text, parent)| AgentEvent::Text { block, text, parent }),
        (0..3u64, "[xy]{0,3}", parent()).prop_map(|(block, text, parent)| AgentEvent::Thinking { block, text, parent }),
        Just(AgentEvent::Restart),
        Just(AgentEvent::Compacting),
        Just(IDLE),
        ("[ab]", parent()).prop_map(|(call, parent)| tool(&call, parent.as_deref())),
        "[ab]".prop_map(|call| ended(&call, "out")),
        (0..3usize).prop_map(|count| {
            AgentEvent::Plan(vec![
                PlanItem {
                    text: "p".to_owned(),
                    state: PlanState::Active
                };
                count
            ])
        }),
        (0..3u64).prop_map(|tokens| AgentEvent::Usage {
            input_tokens: tokens,
            output_tokens: 1,
            cost_usd: None
        }),
    ]
}

#[derive(Debug, Clone)]
enum Change {
    Event(AgentEvent),
    Ask(String, String),
    Settle(String),
    Waiting,
    Running,
    Lost,
    Attempt(u32),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        10 => event().prop_map(Change::Event),
        1 => ("[kl]", "[ab]").prop_map(|(id, call)| Change::Ask(id, call)),
        1 => "[kl]".prop_map(Change::Settle),
        1 => Just(Change::Waiting),
        1 => Just(Change::Running),
        1 => Just(Change::Lost),
        1 => (0..4u32).prop_map(Change::Attempt),
    ]
}

proptest! {
    #[test]
    fn any_order_of_events_keeps_the_views_promises(changes in proptest::collection::vec(change(), 0..60)) {
        let now = Instant::now();
        let mut view = view();
        let mut last = view.snapshot();
        for change in changes {
            match change {
                Change::Event(event) => {
                    view.apply(&event, now);
                }
                Change::Ask(id, call) => view.ask(&id, &call, question()),
                Change::Settle(id) => view.settle(&id, "settled", false),
                Change::Waiting => view.waiting(1),
                Change::Running => view.running(),
                Change::Lost => view.process_lost(),
                Change::Attempt(attempt) => view.begin_attempt(attempt),
            }
            let next = view.snapshot();
            let same = View { revision: 0, ..next.clone() } == View { revision: 0, ..last.clone() };
            prop_assert!(next.revision >= last.revision);
            prop_assert!(same || next.revision > last.revision, "a change has a new revision");
            let mut ids = std::collections::BTreeSet::new();
            for block in &next.blocks {
                prop_assert!(ids.insert(block.id), "ids are unique");
                prop_assert!(block.revision <= next.revision);
                match last.blocks.iter().find(|old| old.id == block.id) {
                    Some(old) => prop_assert!(old == block || block.revision == next.revision),
                    None => prop_assert_eq!(block.revision, next.revision),
                }
            }
            last = next;
        }
        view.finish(ViewState::Done, &[], []);
        let end = view.snapshot();
        prop_assert_eq!(&end.state, &ViewState::Done);
        prop_assert!(end.blocks.iter().all(|block| block.complete));
        let open = |part: &Part| matches!(part, Part::Ask(ask) if ask.settled.is_none());
        prop_assert!(!end.blocks.iter().any(|block| open(&block.part)));
        prop_assert_eq!(view.snapshot(), end);
    }
}
