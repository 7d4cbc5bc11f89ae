//! How a turn ended, what it cost, and what still runs after it.

use super::*;

/// A turn of these lines: the failure of its result, and the text that was said.
fn outcome(lines: &[Value]) -> (Option<Failure>, String) {
    let mut translator = ready("2.1.329");
    prompt(&mut translator, "p");
    for line in lines {
        say(&mut translator, line);
    }
    let (mut failure, mut text) = (None, String::new());
    let mut results = 0;
    for event in told(&mut translator) {
        match event {
            AgentEvent::Text { text: said, .. } => text.push_str(&said),
            AgentEvent::Result { outcome } => {
                results += 1;
                failure = match outcome {
                    Outcome::Failed(failure) => Some(failure),
                    Outcome::Ok => None,
                    Outcome::Stopped => panic!("nobody stopped it"),
                };
            }
            _ => {}
        }
    }
    assert_eq!(results, 1);
    (failure, text)
}

fn fine(text: &str) -> Value {
    json!({"type": "result", "subtype": "success", "is_error": false, "result": text, "terminal_reason": "completed"})
}

/// The CLI's own words in place of the model's, of the main agent or of a sub-agent's call.
fn complaint(error: Option<&str>, text: &str, call: Option<&str>) -> Value {
    json!({"type": "assistant", "error": error, "parent_tool_use_id": call,
        "message": {"id": "x", "model": "<synthetic>", "content": [{"type": "text", "text": text}]}})
}

fn words(text: &str) -> Value {
    assistant("a", &json!({"type": "text", "text": text}))
}

#[test]
fn an_error_is_one_whatever_its_flag_says() {
    for (subtype, kind) in [
        ("error_max_turns", FailureKind::Limit),
        ("error_max_budget_usd", FailureKind::Limit),
        ("error_max_structured_output_retries", FailureKind::Other),
        ("error_during_execution", FailureKind::Other),
    ] {
        for flag in [json!({}), json!({"is_error": false}), json!({"is_error": true})] {
            let mut line = json!({"type": "result", "subtype": subtype});
            line.as_object_mut().unwrap().extend(flag.as_object().unwrap().clone());
            let (failure, text) = outcome(&[words("so far"), line]);
            let kinds = (failure.map(|failure| failure.kind), text.as_str());
            assert_eq!(kinds, (Some(kind), "so far"), "{subtype} {flag}");
        }
    }
}

#[test]
fn a_complaint_is_never_an_empty_answer() {
    let lost = || complaint(Some("server_error"), "API Error: Connection error.", None);
    let (failure, text) = outcome(&[lost(), fine("")]);
    assert_eq!(
        (failure.expect("it failed").kind, text.as_str()),
        (FailureKind::Api, "")
    );
    let (failure, _) = outcome(&[complaint(Some("rate_limit"), "", None), fine("")]);
    assert_eq!(failure.expect("it failed").kind, FailureKind::RateLimited);
    // A later word of the CLI's does not hide it.
    let (failure, _) = outcome(&[lost(), complaint(None, "No response requested.", None), fine("")]);
    assert_eq!(failure.expect("it failed").kind, FailureKind::Api);

    // It went on after all.
    assert_eq!(outcome(&[lost(), words("hi"), fine("hi")]), (None, "hi".to_owned()));
    // A sub-agent's is its agent's to tell; and not every word of the CLI's is an error.
    let theirs = complaint(Some("server_error"), "API Error: 529", Some("call"));
    assert_eq!(outcome(&[theirs, fine("")]), (None, String::new()));
    let silent = complaint(None, "No response requested.", None);
    assert_eq!(outcome(&[silent, fine("")]), (None, String::new()));
}

#[test]
fn an_answer_that_speaks_of_errors_is_an_answer() {
    let prose = "unauthorized: please run /login; Credit balance is too low; usage limit reached · resets 2am; \
                 API Error: 401; No conversation found with session ID: x";
    assert_eq!(outcome(&[words(prose), fine(prose)]), (None, prose.to_owned()));
}

#[test]
fn each_turn_costs_what_it_added() {
    let mut translator = ready("2.1.329");
    let mut costs = Vec::new();
    // What is less than before has begun anew: nothing is taken back.
    for total in [
        json!(0.5),
        json!(0.75),
        json!(null),
        json!(0.75),
        json!(0.25),
        json!(0.5),
    ] {
        prompt(&mut translator, "p");
        say(
            &mut translator,
            &json!({"type": "result", "subtype": "success", "total_cost_usd": total}),
        );
        costs.extend(told(&mut translator).into_iter().filter_map(|event| match event {
            AgentEvent::Usage { cost_usd, .. } => Some(cost_usd),
            _ => None,
        }));
    }
    assert_eq!(costs, [Some(0.5), Some(0.25), None, Some(0.0), Some(0.0), Some(0.25)]);
}

#[test]
fn what_was_counted_before_a_process_began_is_not_counted_again() {
    for (answer, costs) in [
        (
            json!({"text": "Estimated cost:        $0.5000\nUsage: 20 input ($0.75)"}),
            [0.25, 0.5],
        ),
        (json!({"text": "Total cost:            $0.0000"}), [0.75, 0.5]),
        // It does not say, or not so.
        (json!({"text": "free of charge"}), [0.75, 0.5]),
        (Value::Null, [0.75, 0.5]),
    ] {
        let mut translator = ready("2.1.329");
        translator.resumes();
        let asked = written(&mut translator).remove(0);
        assert_eq!(asked["request"]["subtype"], "get_session_cost");
        let response = json!({"subtype": "success", "request_id": asked["request_id"], "response": answer});
        say(
            &mut translator,
            &json!({"type": "control_response", "response": response}),
        );
        for (total, cost) in [0.75, 1.25].into_iter().zip(costs) {
            prompt(&mut translator, "p");
            say(
                &mut translator,
                &json!({"type": "result", "subtype": "success", "total_cost_usd": total}),
            );
            let counted = told(&mut translator)
                .into_iter()
                .any(|event| matches!(event, AgentEvent::Usage { cost_usd: Some(told), .. } if told == cost));
            assert!(counted, "{answer} {total}");
        }
    }
}

#[test]
fn tasks_are_counted_in_the_words_of_both_versions() {
    let mut translator = ready("2.1.197");
    let task = |subtype: &str, id: &str, more: Value| {
        let mut line = json!({"type": "system", "subtype": subtype, "task_id": id});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    let all = |ids: &[&str]| {
        let tasks: Vec<Value> = ids.iter().map(|id| json!({"task_id": id})).collect();
        json!({"type": "system", "subtype": "background_tasks_changed", "tasks": tasks})
    };
    for (lines, background) in [
        // 2.1.197: as they come and go, which may be told twice.
        (
            vec![
                task("task_started", "a", json!({})),
                task("task_started", "b", json!({})),
            ],
            2,
        ),
        (
            vec![task("task_updated", "a", json!({"patch": {"status": "running"}}))],
            2,
        ),
        (
            vec![task("task_updated", "a", json!({"patch": {"status": "completed"}}))],
            1,
        ),
        (
            vec![
                task("task_notification", "a", json!({})),
                task("task_notification", "b", json!({})),
            ],
            0,
        ),
        // 2.1.329: what is in the foreground is none; then all of them at once.
        (vec![task("task_started", "c", json!({"is_backgrounded": false}))], 0),
        (vec![task("task_started", "c", json!({"is_backgrounded": true}))], 1),
        (vec![all(&["c", "d", "e"])], 3),
        (vec![all(&["e"])], 1),
        (vec![all(&[])], 0),
    ] {
        prompt(&mut translator, "p");
        for line in &lines {
            say(&mut translator, line);
        }
        say(&mut translator, &fine("done"));
        assert_eq!(
            told(&mut translator).last(),
            Some(&AgentEvent::Idle { background }),
            "{lines:?}"
        );
    }
}

#[test]
fn task_that_ends_without_a_turn_is_told_as_one_that_begins_in_a_turn_is() {
    const NONE: [u32; 0] = [];
    let mut translator = ready("2.1.329");
    let task = |subtype: &str, id: &str| json!({"type": "system", "subtype": subtype, "task_id": id});
    let mut tasks = |line: &Value| {
        say(&mut translator, line);
        let told = told(&mut translator).into_iter();
        let counted = told.filter_map(|event| match event {
            AgentEvent::Background { tasks } => Some(tasks),
            _ => None,
        });
        counted.collect::<Vec<_>>()
    };
    let all = |ids: &[&str]| {
        let tasks: Vec<Value> = ids.iter().map(|id| json!({"task_id": id})).collect();
        json!({"type": "system", "subtype": "background_tasks_changed", "tasks": tasks})
    };
    assert_eq!(tasks(&words("I begin two")), NONE);
    assert_eq!(tasks(&task("task_started", "a")), [1]);
    assert_eq!(tasks(&all(&["a", "b"])), [2]);
    assert_eq!(tasks(&all(&["b", "a"])), NONE, "nothing new");
    assert_eq!(tasks(&fine("done")), NONE);
    assert_eq!(
        tasks(&json!({"type": "system", "subtype": "session_state_changed", "state": "idle"})),
        NONE
    );
    // No turn runs.
    assert_eq!(tasks(&task("task_notification", "a")), [1]);
    assert_eq!(tasks(&task("task_notification", "a")), NONE);
    assert_eq!(tasks(&all(&[])), [0]);
}
