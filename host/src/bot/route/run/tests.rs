use super::*;
use crate::chat::{Block, Part, Tone, TurnId};
use crate::session::view::HEADING;
use crate::store::conformance::sample::run_row;
use crate::store::{RunPart, RunRow};

fn step(to: &[&str], say: Option<&str>) -> RouteStep {
    RouteStep {
        to: to.iter().map(|&to| to.to_owned()).collect(),
        say: say.map(str::to_owned),
    }
}

fn answered(text: &str) -> Option<Came> {
    Some(Came::Answered(text.to_owned()))
}

fn failed(why: &str) -> Option<Came> {
    Some(Came::Failed(why.to_owned()))
}

/// A run of these steps at the one that these agents are asked in.
fn run(steps: &[RouteStep], at: usize, parts: &[(&str, Option<Came>)]) -> RunRow {
    let parts = parts.iter().zip(1..).map(|((agent, came), item)| RunPart {
        agent: (*agent).to_owned(),
        item: crate::chat::InboxId(item),
        came: came.clone(),
    });
    RunRow {
        steps: steps.to_vec(),
        step: at,
        parts: parts.collect(),
        message: "fix {answer}".to_owned(),
        ..run_row(1)
    }
}

fn told(next: Next) -> String {
    match next {
        Next::Step(_, text) => text,
        other => panic!("{other:?}"),
    }
}

fn word(next: Next) -> (Option<Tone>, String) {
    match next {
        Next::Over(None) => (None, String::new()),
        Next::Over(Some(Notice { tone, text })) => (Some(tone), text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn places_are_filled_once_and_everything_else_stays_as_it_is() {
    for (say, expected) in [
        ("{message}: {answer}", "M {answer}: A {message}"),
        ("{answer}{answer}", "A {message}A {message}"),
        // Braces of others are no places, also unclosed ones and formats of other languages.
        (
            "{ } {} {0} {name} {{message}} %s {",
            "{ } {} {0} {name} {M {answer}} %s {",
        ),
        ("fn f() { message }", "fn f() { message }"),
        ("{Message} {message", "{Message} {message"),
        ("é{message}é", "éM {answer}é"),
        ("", ""),
    ] {
        assert_eq!(fill(say, "M {answer}", "A {message}"), expected, "{say}");
    }
}

#[test]
fn next_step_begins_when_all_have_ended_and_is_told_every_answer_and_who_gave_none() {
    let steps = [
        step(&["coder", "reviewer", "tester"], None),
        step(&["coder"], Some("Do: {answer}")),
    ];
    let waits = [
        ("coder", answered("x")),
        ("reviewer", None),
        ("tester", failed("It died.")),
    ];
    assert_eq!(next(&run(&steps, 0, &waits)), Next::Wait);
    let parts = [
        ("coder", answered("one {message}")),
        ("reviewer", answered("@tester two")),
        ("tester", failed("It died.\nAll of it.")),
    ];
    assert_eq!(
        told(next(&run(&steps, 0, &parts))),
        "Do: <coder answered>\none {message}\n\n<reviewer answered>\n@tester two\n\n<tester did not answer: It died. All of it>"
    );
    // Where there is no place for the answers, who gave none is told all the same.
    let steps = [steps[0].clone(), step(&["coder"], Some("Sum up {message}."))];
    let text = told(next(&run(&steps, 0, &parts)));
    assert_eq!(
        text,
        "Sum up fix {answer}.\n\n<tester did not answer: It died. All of it>"
    );
}

#[test]
fn answers_of_many_are_no_longer_together_than_one_may_be() {
    let steps = [step(&["a", "b", "c", "d"], None), step(&["coder"], Some("{answer}"))];
    let long = "é".repeat(ANSWER_MAX / 2);
    let parts = ["a", "b", "c"].map(|agent| (agent, answered(&long)));
    let short = ("d", answered("short"));
    let text = told(next(&run(
        &steps,
        0,
        &[&parts[..], std::slice::from_ref(&short)].concat(),
    )));
    assert!(text.len() < ANSWER_MAX + 400, "{}", text.len());
    assert_eq!(text.matches("left out.)").count(), 3);
    assert!(text.ends_with("<d answered>\nshort"), "{}", text.len());
    let each = text.matches('é').count() / 3;
    assert!(
        each * 2 > (ANSWER_MAX - 10) / 3 - 4,
        "what the short one leaves is the others': {each}"
    );
    // What fits is whole.
    let text = told(next(&run(&steps, 0, &[parts[0].clone(), short])));
    assert_eq!(text.matches('é').count(), (ANSWER_MAX - 5) / 2);
    assert_eq!(share(vec![], 10), 10);
    assert_eq!(share(vec![5, 5], 10), 10);
    assert_eq!(share(vec![9, 1, 9], 10), 4);
}

#[test]
fn answer_of_one_is_handed_on_as_it_is() {
    let parts = [("coder", answered("done"))];
    let steps = [step(&["coder"], None), step(&["reviewer"], Some("Review {answer}!"))];
    assert_eq!(told(next(&run(&steps, 0, &parts))), "Review done!");
    let steps = [step(&["coder"], None), step(&["reviewer"], None)];
    assert_eq!(
        told(next(&run(&steps, 0, &parts))),
        "done\n\n<what was asked>\nfix {answer}"
    );
    assert_eq!(opening(&steps[0], "fix"), "fix");
    assert_eq!(
        opening(&step(&["coder"], Some("Please: {message}")), "fix"),
        "Please: fix"
    );
}

#[test]
fn route_ends_where_nobody_answered_or_a_person_stopped_it() {
    let steps = [step(&["coder", "tester"], None), step(&["reviewer"], None)];
    let parts = [("coder", failed("It died.")), ("tester", Some(Came::Stopped))];
    let expected = "The route `review` ended at step 1 of 2: `coder` did not answer: It died; `tester` was stopped.";
    assert_eq!(
        word(next(&run(&steps, 0, &parts))),
        (Some(Tone::Warning), expected.to_owned())
    );
    let stopped = RunRow {
        stopped: true,
        ..run(&steps, 0, &[("coder", answered("x")), ("tester", Some(Came::Stopped))])
    };
    let expected = "The route `review` was stopped at step 1 of 2.";
    assert_eq!(word(next(&stopped)), (Some(Tone::Info), expected.to_owned()));
}

#[test]
fn last_word_says_who_answered_and_who_did_not() {
    let steps = [step(&["coder", "reviewer", "tester"], None)];
    let all = [
        ("coder", answered("a")),
        ("reviewer", answered("b")),
        ("tester", answered("c")),
    ];
    let expected = "`coder`, `reviewer` and `tester` answered.";
    assert_eq!(
        word(next(&run(&steps, 0, &all))),
        (Some(Tone::Info), expected.to_owned())
    );
    let some = [
        ("coder", answered("a")),
        ("reviewer", failed("No.")),
        ("tester", Some(Came::Stopped)),
    ];
    let expected = "`coder` answered; `reviewer` did not answer: No; `tester` was stopped.";
    assert_eq!(
        word(next(&run(&steps, 0, &some))),
        (Some(Tone::Warning), expected.to_owned())
    );
    // One that answers at the end needs no word, but for who failed on the way.
    let last = run(
        &[step(&["a", "b"], None), step(&["coder"], None)],
        1,
        &[("coder", answered("a"))],
    );
    assert_eq!(word(next(&last)), (None, String::new()));
    let missed = RunRow {
        missed: vec![("b".to_owned(), Came::Failed("It died.".to_owned()))],
        ..last
    };
    let expected = "`coder` answered; `b` did not answer: It died.";
    assert_eq!(word(next(&missed)), (Some(Tone::Warning), expected.to_owned()));
    let nobody = RunRow {
        route: None,
        ..run(&steps, 0, &[("coder", failed("No."))])
    };
    let expected = "Nobody answered: `coder` did not answer: No.";
    assert_eq!(word(next(&nobody)), (Some(Tone::Warning), expected.to_owned()));
}

#[test]
fn answer_is_what_the_agent_said_itself() {
    let block = |id, parent, part| Block {
        id,
        parent,
        revision: 1,
        part,
        complete: true,
    };
    let text = |text: &str| Part::Text(text.to_owned());
    let notice = Part::Notice(Notice {
        tone: Tone::Info,
        text: "passes".to_owned(),
    });
    let view = View {
        turn: TurnId::from("t"),
        blocks: vec![
            block(HEADING, None, text("**coder**")),
            block(1, None, text("one")),
            block(2, None, notice),
            block(3, Some(2), text("of a helper's")),
            block(4, None, Part::Thinking("hm".to_owned())),
            block(5, None, text("\ntwo\n")),
        ],
        ..View::single(text(""))
    };
    assert_eq!(came(&view), Came::Answered("one\n\ntwo".to_owned()));
    let long = View::single(text(&"é".repeat(ANSWER_MAX)));
    let Came::Answered(cut) = came(&long) else {
        panic!("it answered")
    };
    assert!(
        cut.len() < ANSWER_MAX + 100 && cut.ends_with("left out.)"),
        "{}",
        cut.len()
    );
    let view = View {
        state: ViewState::Stopped,
        ..view
    };
    assert_eq!(came(&view), Came::Stopped);
    let view = View {
        state: ViewState::Failed("It died.".to_owned()),
        ..view
    };
    assert_eq!(came(&view), Came::Failed("It died.".to_owned()));
}
