//! A message for the turn that runs, in both of its ways.

use super::*;

fn steer(translator: &mut Translator, id: &str) -> Value {
    translator.command(Command::Steer {
        id: id.to_owned(),
        text: "in red".to_owned(),
        images: Vec::new(),
    });
    written(translator).pop().expect("it is written")
}

fn result(id: &str) -> Value {
    json!({"type": "result", "subtype": "success", "is_error": false, "user_message_uuid": id})
}

fn lifecycle(id: &str, state: &str) -> Value {
    json!({"type": "command_lifecycle", "command_uuid": id, "state": state})
}

/// A prompt that is worked on, and a word into it.
fn working() -> Translator {
    let mut translator = ready("2.1.329");
    prompt(&mut translator, "p");
    state(&mut translator, "running");
    say(&mut translator, &lifecycle("p", "started"));
    let line = steer(&mut translator, "s");
    // Without a priority it is merged where that can be; and it is no command of the CLI's.
    assert_eq!(
        (&line["priority"], &line["client_composed"]),
        (&Value::Null, &json!(true))
    );
    told(&mut translator);
    translator
}

#[test]
fn a_word_that_is_merged_has_no_result_of_its_own() {
    // As 2.1.329 tells it, and 2.1.197, which only repeats the message.
    let lines: [&[Value]; 2] = [
        &[
            lifecycle("s", "started"),
            result("p"),
            lifecycle("p", "completed"),
            lifecycle("s", "completed"),
        ],
        &[
            json!({"type": "user", "uuid": "s", "isReplay": true, "message": {"role": "user", "content": "in red"}}),
            result("p"),
        ],
    ];
    for lines in lines {
        let mut translator = working();
        for line in lines {
            say(&mut translator, line);
        }
        let started = AgentEvent::Started { id: "s".to_owned() };
        let events = told(&mut translator);
        assert_eq!((events.first(), events.last()), (Some(&started), Some(&ok())));
        assert!(!events.contains(&IDLE));
        state(&mut translator, "idle");
        assert_eq!(told(&mut translator), [IDLE]);
    }
}

#[test]
fn a_word_that_is_a_turn_of_its_own_ends_before_the_agent_is_idle() {
    let mut translator = working();
    say(&mut translator, &result("p"));
    say(&mut translator, &lifecycle("p", "completed"));
    // Whatever it says of its state in between.
    state(&mut translator, "idle");
    assert!(!told(&mut translator).contains(&IDLE));
    state(&mut translator, "running");
    say(&mut translator, &lifecycle("s", "started"));
    say(&mut translator, &result("s"));
    say(&mut translator, &lifecycle("s", "completed"));
    state(&mut translator, "idle");
    let events = told(&mut translator);
    assert_eq!(events.iter().filter(|event| **event == ok()).count(), 1);
    assert_eq!(events.last(), Some(&IDLE));
}

#[test]
fn a_word_that_was_not_taken_up_is_taken_back_with_the_turn() {
    let mut translator = working();
    translator.command(Command::Interrupt);
    let asked: Vec<Value> = written(&mut translator)
        .into_iter()
        .map(|line| line["request"].clone())
        .collect();
    let back = json!({"subtype": "cancel_async_message", "message_uuid": "s"});
    assert_eq!(asked, [back, json!({"subtype": "interrupt"})]);
}

#[test]
fn a_program_that_tells_no_state_and_merges_a_word_ends_with_its_result() {
    let mut translator = ready("1.0.0");
    prompt(&mut translator, "p");
    steer(&mut translator, "s");
    say(
        &mut translator,
        &json!({"type": "result", "subtype": "success", "is_error": false}),
    );
    let told = told(&mut translator);
    assert_eq!(told[1..], [ok(), AgentEvent::Started { id: "s".to_owned() }, IDLE]);
}
