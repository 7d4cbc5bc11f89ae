//! Recorded lines (shortened) of 2.1.197 and 2.1.329, and what becomes of them.

mod outcome;
mod steer;

use serde_json::json;

use super::*;
use crate::chat::{Editable, Subject};
use crate::driver::{Answer, FailureKind, Permission};

/// A translator that is ready, with nothing told and nothing written yet.
fn ready(version: &str) -> Translator {
    let mut translator = Translator::new(PathBuf::from("/w"));
    translator.started(7);
    say(
        &mut translator,
        &json!({"type": "control_response", "response": {"subtype": "success", "request_id": "host-1",
        "response": {"commands": []}}}),
    );
    say(
        &mut translator,
        &json!({"type": "control_response", "response": {"subtype": "success", "request_id": "host-2",
        "response": {"version": version, "buildTime": "2026-11-19T16:23:05Z"}}}),
    );
    let ready = AgentEvent::Ready {
        pid: 7,
        version: Some(version.to_owned()),
    };
    let offers = AgentEvent::Offers(Offers {
        modes: Some(MODES.map(str::to_owned).to_vec()),
        abilities: Some(ABILITIES),
        ..Offers::default()
    });
    assert_eq!(told(&mut translator), [ready, offers]);
    written(&mut translator);
    translator
}

fn say(translator: &mut Translator, line: &Value) {
    translator.receive(line.to_string().as_bytes());
}

fn state(translator: &mut Translator, state: &str) {
    say(
        translator,
        &json!({"type": "system", "subtype": "session_state_changed", "state": state}),
    );
}

fn told(translator: &mut Translator) -> Vec<AgentEvent> {
    translator.queues.events.drain(..).collect()
}

fn written(translator: &mut Translator) -> Vec<Value> {
    let bytes = translator.queues.out.drain(..).collect::<Vec<u8>>();
    let lines = std::str::from_utf8(&bytes).unwrap().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn prompt(translator: &mut Translator, id: &str) {
    translator.command(Command::Prompt {
        id: id.to_owned(),
        text: "/clear @x".to_owned(),
        images: Vec::new(),
    });
}

#[test]
fn images_stand_before_the_text_of_a_message() {
    let mut translator = ready("2.1.329");
    translator.command(Command::Prompt {
        id: "p1".to_owned(),
        text: "what is this".to_owned(),
        images: vec![Image {
            media_type: "image/png",
            bytes: vec![0, 1, 2, 255],
        }],
    });
    let line = written(&mut translator).remove(0);
    let source = json!({"type": "base64", "media_type": "image/png", "data": "AAEC/w=="});
    assert_eq!(
        line["message"]["content"],
        json!([{"type": "image", "source": source}, {"type": "text", "text": "what is this"}])
    );
}

fn ok() -> AgentEvent {
    AgentEvent::Result { outcome: Outcome::Ok }
}

fn stopped() -> AgentEvent {
    AgentEvent::Result {
        outcome: Outcome::Stopped,
    }
}

const IDLE: AgentEvent = AgentEvent::Idle { background: 0 };

fn delta(text: &str) -> Value {
    json!({"type": "stream_event", "parent_tool_use_id": null, "event": {"type": "content_block_delta", "index": 0,
        "delta": {"type": "text_delta", "text": text}}})
}

fn begin(id: &str) -> [Value; 2] {
    [
        json!({"type": "stream_event", "event": {"type": "message_start", "message": {"id": id, "content": []}}}),
        json!({"type": "stream_event", "event": {"type": "content_block_start", "index": 0,
            "content_block": {"type": "text", "text": ""}}}),
    ]
}

fn assistant(id: &str, block: &Value) -> Value {
    json!({"type": "assistant", "message": {"id": id, "model": "m", "content": [block]}, "parent_tool_use_id": null})
}

#[test]
fn it_asks_for_its_version_first_and_holds_prompts_until_it_knows() {
    let mut translator = Translator::new(PathBuf::from("/w"));
    let asked = written(&mut translator);
    assert_eq!(asked[0]["request"]["subtype"], "initialize");
    assert_eq!(asked[1]["request"]["subtype"], "get_binary_version");
    prompt(&mut translator, "p");
    say(
        &mut translator,
        &json!({"type": "control_response", "response": {"subtype": "success", "request_id": "host-1"}}),
    );
    assert!(written(&mut translator).is_empty() && translator.patience().is_some());
    translator.overdue();
    let sent = written(&mut translator);
    assert_eq!(sent[0]["message"]["content"][0]["text"], "> /clear @ x");
    assert_eq!(
        (&sent[0]["priority"], &sent[0]["client_composed"], &sent[0]["uuid"]),
        (&json!("later"), &json!(true), &json!("p"))
    );
}

#[test]
fn a_new_version_is_given_the_text_as_it_is() {
    let mut translator = ready("2.1.329");
    prompt(&mut translator, "p");
    assert_eq!(
        written(&mut translator)[0]["message"]["content"][0]["text"],
        "/clear @x"
    );
}

#[test]
fn a_result_is_not_the_end_when_the_cli_tells_its_state() {
    let mut translator = ready("2.1.329");
    prompt(&mut translator, "p");
    state(&mut translator, "running");
    say(
        &mut translator,
        &json!({"type": "result", "subtype": "success", "is_error": false, "user_message_uuid": "p"}),
    );
    let events = told(&mut translator);
    assert_eq!(events.last(), Some(&ok()));
    state(&mut translator, "idle");
    assert_eq!(told(&mut translator), [IDLE]);
    // And once is enough.
    state(&mut translator, "idle");
    assert_eq!(told(&mut translator), []);
}

#[test]
fn a_result_is_the_end_when_the_cli_tells_no_state() {
    let mut translator = ready("1.0.0");
    prompt(&mut translator, "p");
    say(
        &mut translator,
        &json!({"type": "result", "subtype": "success", "is_error": false}),
    );
    assert_eq!(told(&mut translator)[1..], [ok(), IDLE]);
}

#[test]
fn idle_of_the_turn_before_does_not_end_a_new_prompt() {
    let mut translator = ready("2.1.329");
    state(&mut translator, "running");
    prompt(&mut translator, "p");
    state(&mut translator, "idle");
    assert_eq!(told(&mut translator), []);
}

#[test]
fn a_second_result_of_an_older_prompt_is_not_the_one_of_the_next() {
    let result = |id: &str| json!({"type": "result", "subtype": "success", "is_error": false, "user_message_uuid": id});
    let mut translator = ready("2.1.329");
    prompt(&mut translator, "p1");
    translator.command(Command::Interrupt);
    say(&mut translator, &result("p1"));
    state(&mut translator, "idle");
    assert_eq!(told(&mut translator)[1..], [ok(), IDLE]);
    prompt(&mut translator, "p2");
    say(&mut translator, &result("p1"));
    assert_eq!(told(&mut translator), []);
    say(&mut translator, &result("p2"));
    state(&mut translator, "idle");
    assert_eq!(told(&mut translator)[1..], [ok(), IDLE]);
}

#[test]
fn input_of_a_tool_that_is_being_written_is_a_sign_of_life() {
    let mut translator = ready("2.1.329");
    let piece = json!({"type": "stream_event", "event": {"type": "content_block_delta", "index": 1,
        "delta": {"type": "input_json_delta", "partial_json": "{"}}});
    say(&mut translator, &piece);
    say(&mut translator, &piece);
    assert_eq!(told(&mut translator), [AgentEvent::Alive]);
}

#[test]
fn a_message_that_was_swallowed_still_has_an_end() {
    // 2.1.197: only the echo. 2.1.329: the lifecycle.
    let echo = json!({"type": "user", "uuid": "p", "isReplay": true, "message": {"role": "user", "content": "x"}});
    let done = json!({"type": "command_lifecycle", "command_uuid": "p", "state": "completed"});
    let started = AgentEvent::Started { id: "p".to_owned() };
    let mut translator = ready("2.1.197");
    prompt(&mut translator, "p");
    state(&mut translator, "running");
    say(&mut translator, &echo);
    state(&mut translator, "idle");
    assert_eq!(told(&mut translator), [started, ok(), IDLE]);
    let mut translator = ready("2.1.329");
    prompt(&mut translator, "p");
    state(&mut translator, "running");
    state(&mut translator, "idle");
    say(&mut translator, &done);
    assert_eq!(told(&mut translator), [ok(), IDLE]);
}

#[test]
fn a_prompt_that_is_taken_back_is_told_as_stopped_once() {
    let mut translator = ready("2.1.329");
    prompt(&mut translator, "p");
    translator.command(Command::Interrupt);
    let sent = written(&mut translator);
    let take_back = &sent[1];
    assert_eq!(
        take_back["request"],
        json!({"subtype": "cancel_async_message", "message_uuid": "p"})
    );
    assert_eq!(sent[2]["request"]["subtype"], "interrupt");
    state(&mut translator, "idle");
    say(
        &mut translator,
        &json!({"type": "command_lifecycle", "command_uuid": "p", "state": "cancelled"}),
    );
    say(
        &mut translator,
        &json!({"type": "control_response", "response": {"subtype": "success",
        "request_id": take_back["request_id"], "response": {"cancelled": true}}}),
    );
    assert_eq!(told(&mut translator), [stopped(), IDLE]);
}

#[test]
fn uncertain_text_is_withdrawn_when_the_stream_begins_again() {
    let mut translator = ready("2.1.329");
    for line in begin("m1")
        .iter()
        .chain([&delta("lost")])
        .chain(&begin("m2"))
        .chain([&delta("kept")])
    {
        say(&mut translator, line);
    }
    say(
        &mut translator,
        &assistant("m2", &json!({"type": "text", "text": "kept"})),
    );
    say(&mut translator, &json!({"type": "result", "is_error": false}));
    let text = |block, text: &str| AgentEvent::TextDelta {
        block,
        text: text.to_owned(),
    };
    let certain = AgentEvent::Text {
        block: 2,
        text: "kept".to_owned(),
        parent: None,
    };
    assert_eq!(
        told(&mut translator)[..4],
        [text(1, "lost"), AgentEvent::Restart, text(2, "kept"), certain]
    );
}

#[test]
fn uncertain_text_is_withdrawn_when_another_message_becomes_certain() {
    // The silent retry without streaming: another id, and no `message_start`.
    let mut translator = ready("2.1.329");
    for line in begin("m1").iter().chain([&delta("lost")]) {
        say(&mut translator, line);
    }
    say(
        &mut translator,
        &assistant("m2", &json!({"type": "text", "text": "whole"})),
    );
    let events = told(&mut translator);
    assert_eq!(events[1], AgentEvent::Restart);
    assert!(matches!(&events[2], AgentEvent::Text { block: 2, text, .. } if text == "whole"));
}

#[test]
fn blocks_of_one_message_keep_their_numbers() {
    let mut translator = ready("2.1.329");
    say(&mut translator, &begin("m1")[0]);
    for (index, kind, piece) in [(0, "thinking", "hm"), (1, "text", "so")] {
        let mut delta = json!({"type": format!("{kind}_delta")});
        delta[kind] = json!(piece);
        say(
            &mut translator,
            &json!({"type": "stream_event", "event": {"type": "content_block_start", "index": index,
            "content_block": {"type": kind}}}),
        );
        say(
            &mut translator,
            &json!({"type": "stream_event", "event": {"type": "content_block_delta", "index": index,
            "delta": delta}}),
        );
        let mut block = json!({"type": kind});
        block[kind] = json!(piece);
        say(&mut translator, &assistant("m1", &block));
    }
    let blocks = told(&mut translator).into_iter().map(|event| match event {
        AgentEvent::TextDelta { block, .. } => ("text delta", block),
        AgentEvent::Text { block, .. } => ("text", block),
        AgentEvent::ThinkingDelta { block, .. } => ("thinking delta", block),
        AgentEvent::Thinking { block, .. } => ("thinking", block),
        other => panic!("{other:?}"),
    });
    assert_eq!(
        blocks.collect::<Vec<_>>(),
        [("thinking delta", 1), ("thinking", 1), ("text delta", 2), ("text", 2)]
    );
}

#[test]
fn a_sub_agents_words_carry_its_call_and_withdraw_nothing() {
    let mut translator = ready("2.1.329");
    for line in begin("m1").iter().chain([&delta("main")]) {
        say(&mut translator, line);
    }
    told(&mut translator);
    let mut sub = delta("never told");
    sub["parent_tool_use_id"] = json!("task");
    say(&mut translator, &sub);
    let mut words = assistant("m9", &json!({"type": "text", "text": "found"}));
    words["parent_tool_use_id"] = json!("task");
    say(&mut translator, &words);
    say(
        &mut translator,
        &assistant("m1", &json!({"type": "text", "text": "main"})),
    );
    let text = |block, text: &str, parent: Option<&str>| AgentEvent::Text {
        block,
        text: text.to_owned(),
        parent: parent.map(str::to_owned),
    };
    assert_eq!(
        told(&mut translator),
        [text(2, "found", Some("task")), text(1, "main", None)]
    );
}

#[test]
fn a_failed_result_is_a_sentence_and_its_synthetic_message_is_not_shown() {
    let mut translator = ready("2.1.329");
    prompt(&mut translator, "p");
    state(&mut translator, "running");
    say(
        &mut translator,
        &json!({"type": "assistant", "error": "authentication_failed", "message": {"id": "x",
        "model": "<synthetic>", "content": [{"type": "text", "text": "Not logged in · Please run /login"}]}}),
    );
    say(
        &mut translator,
        &json!({"type": "result", "subtype": "success", "is_error": true, "api_error_status": null,
        "result": "Not logged in · Please run /login", "terminal_reason": "completed"}),
    );
    let events = told(&mut translator);
    let [
        AgentEvent::Usage { .. },
        AgentEvent::Result {
            outcome: Outcome::Failed(failure),
        },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(failure.kind, FailureKind::NotLoggedIn);
}

#[test]
fn an_aborted_result_is_no_error() {
    for (subtype, reason) in [
        ("error_during_execution", "aborted_tools"),
        ("success", "aborted_streaming"),
    ] {
        let mut translator = ready("2.1.329");
        prompt(&mut translator, "p");
        say(
            &mut translator,
            &json!({"type": "result", "subtype": subtype, "is_error": true, "terminal_reason": reason}),
        );
        assert_eq!(told(&mut translator)[1], stopped());
    }
}

#[test]
fn fields_of_another_shape_do_not_lose_the_line() {
    let mut translator = ready("2.1.329");
    prompt(&mut translator, "p");
    say(
        &mut translator,
        &json!({"type": "assistant", "message": {"id": 5, "model": null, "content": [7, {"type": "text",
        "text": "still here", "citations": null}]}, "parent_tool_use_id": {"a": 1}}),
    );
    say(
        &mut translator,
        &json!({"usage": "none", "errors": "none", "total_cost_usd": "free", "type": "result",
        "is_error": false, "session_id": 5}),
    );
    let events = told(&mut translator);
    assert!(
        matches!(&events[0], AgentEvent::Text { text, .. } if text == "still here"),
        "{events:?}"
    );
    assert_eq!(events[2..], [ok(), IDLE]);
    assert_eq!(translator.garbage, 0);
    translator.receive(b"not json");
    assert_eq!(translator.garbage, 1);
}

#[test]
fn permission_is_answered_with_the_input_or_a_reason() {
    let mut translator = ready("2.1.329");
    let input = json!({"command": "touch made", "description": "make it"});
    let ask = |id: &str| {
        json!({"type": "control_request", "request_id": id, "request": {"subtype": "can_use_tool", "tool_name": "Bash",
            "input": input, "blocked_path": "/w/made", "tool_use_id": format!("call-{id}")}})
    };
    for id in ["a", "b", "c"] {
        say(&mut translator, &ask(id));
    }
    let AgentEvent::Permission(first) = &told(&mut translator)[0] else {
        panic!("no permission")
    };
    assert_eq!(
        (first.request.as_str(), first.call.as_str(), first.tool.as_str()),
        ("a", "call-a", "Bash")
    );
    assert_eq!(serde_json::from_str::<Value>(&first.input).unwrap(), input);
    say(
        &mut translator,
        &json!({"type": "control_cancel_request", "request_id": "c"}),
    );
    let withdrawn = AgentEvent::PermissionWithdrawn {
        request: "c".to_owned(),
    };
    assert_eq!(told(&mut translator), [withdrawn]);
    let deny = || Answer::Deny(String::new());
    for (request, answer) in [
        ("a", Answer::Allow),
        ("b", deny()),
        ("c", Answer::Allow),
        ("a", Answer::Allow),
    ] {
        translator.command(Command::Decide {
            request: request.to_owned(),
            answer,
        });
    }
    let answers = written(&mut translator)
        .into_iter()
        .map(|line| line["response"].clone());
    assert_eq!(
        answers.collect::<Vec<_>>(),
        [
            json!({"subtype": "success", "request_id": "a", "response": {"behavior": "allow", "updatedInput": input}}),
            json!({"subtype": "success", "request_id": "b",
                "response": {"behavior": "deny", "message": "The user does not allow this."}}),
        ]
    );
    say(
        &mut translator,
        &json!({"type": "user", "message": {"content": [{"type": "tool_result", "is_error": true,
        "tool_use_id": "call-b", "content": [{"type": "text", "text": "no"}, {"type": "image"}]}]}}),
    );
    let ended = AgentEvent::ToolEnded {
        call: "call-b".to_owned(),
        failed: true,
        denied: true,
        output: "no\n[image]".to_owned(),
    };
    assert_eq!(told(&mut translator), [ended]);
}

#[test]
fn every_answer_of_a_person_has_its_form() {
    let mut translator = ready("2.1.329");
    let questions = json!({"questions": [{"question": "Which color?", "multiSelect": true,
        "options": [{"label": "Blue", "description": "calm"}, {"label": "Red"}]}]});
    let suggestions = json!([{"type": "addRules", "behavior": "allow", "destination": "localSettings",
        "rules": [{"toolName": "Bash", "ruleContent": "touch *"}]}]);
    for (id, tool, input) in [
        ("a", "Bash", json!({"command": "touch a"})),
        ("b", "Bash", json!({"command": "touch b", "timeout": 5})),
        ("c", "AskUserQuestion", questions.clone()),
        ("d", "ExitPlanMode", json!({"plan": "1. do it"})),
    ] {
        say(
            &mut translator,
            &json!({"type": "control_request", "request_id": id, "request": {"subtype": "can_use_tool",
            "tool_name": tool, "input": input, "tool_use_id": id, "permission_suggestions": suggestions}}),
        );
    }
    let asked: Vec<Permission> = told(&mut translator)
        .into_iter()
        .map(|event| match event {
            AgentEvent::Permission(asked) => *asked,
            other => panic!("{other:?}"),
        })
        .collect();
    let lasting = asked[0].lasting.clone().unwrap();
    assert_eq!(lasting.words, "`Bash(touch *)`");
    assert_eq!(asked[0].editable, Editable::Field("command".to_owned()));
    let question = crate::chat::Question {
        text: "Which color?".to_owned(),
        options: vec![
            ("Blue".to_owned(), "calm".to_owned()),
            ("Red".to_owned(), String::new()),
        ],
        several: true,
    };
    assert_eq!(asked[2].subject, Subject::Questions(vec![question]));
    assert_eq!((&asked[3].subject, &asked[3].editable), (&Subject::Plan, &Editable::No));

    let answers = [
        Answer::AllowLasting(lasting.updates),
        Answer::AllowWith(r#"{"command":"touch c","timeout":5}"#.to_owned()),
        Answer::Answers(vec![("Which color?".to_owned(), "Blue, Red".to_owned())]),
        Answer::Deny("Say more.".to_owned()),
    ];
    for (id, answer) in ["a", "b", "c", "d"].into_iter().zip(answers) {
        let request = id.to_owned();
        translator.command(Command::Decide { request, answer });
    }
    let mut answered = questions;
    answered["answers"] = json!({"Which color?": "Blue, Red"});
    let told: Vec<Value> = written(&mut translator)
        .into_iter()
        .map(|line| line["response"]["response"].clone())
        .collect();
    assert_eq!(
        told,
        [
            json!({"behavior": "allow", "updatedInput": {"command": "touch a"}, "updatedPermissions": [{
                "type": "addRules", "behavior": "allow", "destination": "session",
                "rules": [{"toolName": "Bash", "ruleContent": "touch *"}]}]}),
            json!({"behavior": "allow", "updatedInput": {"command": "touch c", "timeout": 5}}),
            json!({"behavior": "allow", "updatedInput": answered}),
            json!({"behavior": "deny", "message": "Say more."}),
        ]
    );
}

#[test]
fn settings_and_other_messages_have_their_form() {
    let mut translator = ready("2.1.197");
    translator.command(Command::SetModel("haiku".to_owned()));
    translator.command(Command::SetMode("plan".to_owned()));
    translator.command(Command::Compact {
        id: "c".to_owned(),
        focus: "keep\nthe @plan".to_owned(),
    });
    let lines = written(&mut translator);
    assert_eq!(lines[0]["request"], json!({"subtype": "set_model", "model": "haiku"}));
    assert_eq!(
        lines[1]["request"],
        json!({"subtype": "set_permission_mode", "mode": "plan"})
    );
    // The one message that is a command of the CLI's; nothing in it can name a file.
    assert_eq!(lines[2]["message"]["content"][0]["text"], "/compact keep the plan");
    assert_eq!(
        (lines[2].get("client_composed"), &lines[2]["priority"]),
        (None, &json!("later"))
    );
}

#[test]
fn limits_tools_and_modes_are_told_when_they_change() {
    let mut translator = ready("2.1.329");
    let init = json!({"type": "system", "subtype": "init", "session_id": "s", "tools": ["Bash", "Read"],
        "permissionMode": "default"});
    say(&mut translator, &init);
    say(&mut translator, &init);
    say(
        &mut translator,
        &json!({"type": "system", "subtype": "status", "status": null, "permissionMode": "plan"}),
    );
    for status in ["allowed", "rejected"] {
        say(
            &mut translator,
            &json!({"type": "rate_limit_event", "rate_limit_info": {"status": status, "resetsAt": 1_800_000_000}}),
        );
    }
    let events = told(&mut translator);
    assert_eq!(
        events[1..],
        [
            AgentEvent::Offers(Offers {
                tools: Some(vec!["Bash".to_owned(), "Read".to_owned()]),
                mode: Some("default".to_owned()),
                ..Offers::default()
            }),
            AgentEvent::Offers(Offers {
                mode: Some("plan".to_owned()),
                ..Offers::default()
            }),
            AgentEvent::Limited {
                until: Some(1_800_000_000_000),
                reached: true,
            },
        ]
    );
}

#[test]
fn what_it_asks_that_we_do_not_know_is_answered() {
    let mut translator = ready("2.1.329");
    for subtype in ["request_user_dialog", "hook_callback"] {
        say(
            &mut translator,
            &json!({"type": "control_request", "request_id": "d", "request": {"subtype": subtype}}),
        );
    }
    let answers = written(&mut translator);
    assert_eq!(answers[0]["response"]["response"], json!({"behavior": "cancelled"}));
    assert_eq!(answers[1]["response"]["subtype"], "error");
    assert_eq!(told(&mut translator), []);
}

#[test]
fn output_of_a_tool_is_cut_on_a_characters_boundary() {
    let mut translator = ready("2.1.329");
    say(
        &mut translator,
        &json!({"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "t",
        "content": "ü".repeat(5000)}]}}),
    );
    let events = told(&mut translator);
    let AgentEvent::ToolEnded { output, .. } = &events[0] else {
        panic!("{events:?}")
    };
    assert!(
        output.len() <= 4096 && output.contains("more bytes"),
        "{}",
        output.len()
    );
}

#[test]
fn a_conversation_that_is_not_there_is_told_by_the_exit_alone() {
    let mut translator = Translator::new(PathBuf::from("/w"));
    say(
        &mut translator,
        &json!({"type": "result", "subtype": "error_during_execution", "is_error": true,
        "errors": ["No conversation found with session ID: x"]}),
    );
    assert_eq!(told(&mut translator), []);
    let failure = translator.died(Ended::Exited(1), "");
    translator.gone(Some(failure));
    let events = told(&mut translator);
    assert!(
        matches!(&events[..], [AgentEvent::Exited { failure: Some(failure) }] if failure.kind == FailureKind::NoConversation)
    );
}
