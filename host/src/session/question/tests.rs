use serde_json::json;

use super::*;
use crate::chat::{BotName, Conversation, Lasting, SessionKey, TurnId};
use crate::store::AskState;

fn row(subject: Subject, editable: Editable, input: &Value) -> AskRow {
    AskRow {
        id: "a1".to_owned(),
        bot: BotName::from("team"),
        session: SessionKey::from("k"),
        turn: TurnId::from("t"),
        conversation: Conversation {
            tenant: None,
            channel: "C".to_owned(),
            thread: None,
            direct: true,
        },
        request: "r".to_owned(),
        tool: "Bash".to_owned(),
        input: input.to_string(),
        subject,
        editable,
        lasting: None,
        hears: true,
        approvers: Vec::new(),
        expires: UnixMillis::MAX,
        state: AskState::Open,
        decided: None,
    }
}

fn bash() -> AskRow {
    let input = json!({"command": "rm -rf build", "timeout": 5});
    AskRow {
        lasting: Some(Lasting {
            updates: "[]".to_owned(),
            words: "`Bash(rm *)`".to_owned(),
        }),
        ..row(Subject::Tool, Editable::Field("command".to_owned()), &input)
    }
}

fn question(options: &[&str], several: bool) -> Question {
    Question {
        text: format!("Which of {}?", options.len()),
        options: options
            .iter()
            .map(|label| ((*label).to_owned(), String::new()))
            .collect(),
        several,
    }
}

fn questions(all: Vec<Question>) -> AskRow {
    row(Subject::Questions(all), Editable::No, &json!({}))
}

fn posed(row: &AskRow, shows: Shows) -> (Ask, Vec<TokenRow>) {
    pose(row, "Title".to_owned(), "detail".to_owned(), shows)
}

fn labels(ask: &Ask) -> Vec<&str> {
    ask.choices.iter().map(|choice| choice.label.as_str()).collect()
}

fn values(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

#[test]
fn a_tool_can_be_allowed_in_every_way_that_the_platform_can_show() {
    let (ask, tokens) = posed(&bash(), Shows::ALL);
    assert_eq!(
        labels(&ask),
        [
            "Allow",
            "Allow for this session",
            "Edit…",
            "Deny",
            "Deny with a reason…"
        ]
    );
    assert_eq!(ask.choices[1].description, "`Bash(rm *)`");
    let decisions: Vec<&Decision> = tokens.iter().map(|token| &token.decision).collect();
    assert_eq!(
        decisions,
        [
            &Decision::Allow,
            &Decision::AllowSession,
            &Decision::Form(FormKind::Input),
            &Decision::Deny,
            &Decision::Form(FormKind::Reason)
        ]
    );
    assert!(
        ask.choices
            .iter()
            .zip(&tokens)
            .all(|(choice, token)| choice.token == token.token)
    );
    assert_eq!(ask.text, "detail");

    let no_forms = Shows {
        forms: false,
        ..Shows::ALL
    };
    let (ask, _) = posed(&bash(), no_forms);
    assert_eq!(labels(&ask), ["Allow", "Allow for this session", "Deny"]);
    assert!(
        ask.text
            .ends_with("Or say `/deny` and why, `/edit` and another command."),
        "{}",
        ask.text
    );
    let nothing = Shows {
        buttons: false,
        choices: false,
        forms: false,
    };
    let (ask, tokens) = posed(&bash(), nothing);
    assert!(
        ask.choices.is_empty() && tokens.is_empty() && ask.text.contains("next message"),
        "{}",
        ask.text
    );
}

#[test]
fn only_what_may_be_changed_and_allowed_for_longer_is_offered() {
    let plain = row(Subject::Tool, Editable::No, &json!({}));
    assert_eq!(
        labels(&posed(&plain, Shows::ALL).0),
        ["Allow", "Deny", "Deny with a reason…"]
    );
    let plan = row(Subject::Plan, Editable::No, &json!({}));
    assert_eq!(
        labels(&posed(&plan, Shows::ALL).0),
        ["Go ahead", "Keep planning", "Say what is missing…"]
    );
}

#[test]
fn questions_are_buttons_a_selection_or_a_form() {
    let one = questions(vec![question(&["Blue", "Red"], false)]);
    let (ask, tokens) = posed(&one, Shows::ALL);
    assert_eq!(labels(&ask), ["Blue", "Red", "Something else…", "Skip"]);
    let blue = Decision::Answer(vec![("Which of 2?".to_owned(), "Blue".to_owned())]);
    assert_eq!(tokens[0].decision, blue);

    let several = questions(vec![question(&["Blue", "Red"], true)]);
    let (ask, tokens) = posed(&several, Shows::ALL);
    let selection = ask.selection.expect("a list to choose from");
    assert_eq!(
        (selection.token, &Decision::Choose),
        (tokens[0].token.clone(), &tokens[0].decision)
    );
    let both = chosen(
        &several,
        &values(&[("any", "1"), ("any", "0"), ("any", "7"), ("any", "x")]),
    );
    assert_eq!(
        both,
        Some(Decision::Answer(vec![(
            "Which of 2?".to_owned(),
            "Red, Blue".to_owned()
        )]))
    );
    assert_eq!(chosen(&several, &[]), None);

    let many = questions(vec![question(&["Blue", "Red"], false), question(&[], false)]);
    assert_eq!(labels(&posed(&many, Shows::ALL).0), ["Answer…", "Skip"]);
    let form = form(FormKind::Answers, &many, &Token::from("t"));
    let names: Vec<&str> = form.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["option0", "own0", "own1"]);
    let answered = sent(
        FormKind::Answers,
        &many,
        &values(&[("option0", "1"), ("own0", " "), ("own1", "because")]),
    );
    assert_eq!(
        answered,
        Ok(Decision::Answer(vec![
            ("Which of 2?".to_owned(), "Red".to_owned()),
            ("Which of 0?".to_owned(), "because".to_owned())
        ]))
    );
    // One's own words go before the list; what is missing is said at its place.
    let own = sent(FormKind::Answers, &one, &values(&[("option0", "1"), ("own0", "Green")]));
    assert_eq!(
        own,
        Ok(Decision::Answer(vec![("Which of 2?".to_owned(), "Green".to_owned())]))
    );
    let missing = sent(FormKind::Answers, &many, &values(&[("option0", "9")])).unwrap_err();
    assert_eq!(
        missing.iter().map(|(at, _)| at.as_str()).collect::<Vec<_>>(),
        ["option0", "own1"]
    );
}

#[test]
fn a_changed_input_is_whole_or_is_corrected() {
    let shown = form(FormKind::Input, &bash(), &Token::from("t"));
    assert_eq!(
        (shown.fields[0].label.as_str(), shown.fields[0].value.as_str()),
        ("command", "rm -rf build")
    );
    let Ok(Decision::AllowWith(input)) = sent(FormKind::Input, &bash(), &values(&[("input", "ls \"a\"")])) else {
        panic!("it can be changed");
    };
    let input: Value = serde_json::from_str(&input).unwrap();
    assert_eq!(input, json!({"command": "ls \"a\"", "timeout": 5}));

    let json = row(Subject::Tool, Editable::Json, &json!({"a": 1}));
    let wrong = |text: &str| {
        sent(FormKind::Input, &json, &values(&[("input", text)])).unwrap_err()[0]
            .1
            .clone()
    };
    assert_eq!(wrong("{\n  x"), "This is not JSON: line 2, column 3.");
    assert!(wrong("[1]").contains("object"));
    assert!(wrong("  ").contains("nothing"));
    assert_eq!(
        sent(FormKind::Input, &json, &values(&[("input", "{\"a\": 2}")])),
        Ok(Decision::AllowWith("{\"a\":2}".to_owned()))
    );
    let fixed = row(Subject::Tool, Editable::No, &json!({}));
    assert!(sent(FormKind::Input, &fixed, &values(&[("input", "{}")])).is_err());
    assert!(sent(FormKind::Reason, &fixed, &values(&[("reason", " \n")])).is_err());
    let long = "x".repeat(ANSWER_MAX + 1);
    assert!(sent(FormKind::Reason, &fixed, &values(&[("reason", &long)])).is_err());
}

#[test]
fn words_answer_where_nothing_can_be_pressed() {
    let said = |text: &str| said(&bash(), text).map(|said| said.unwrap_or_else(|wrong| panic!("{wrong}")));
    assert_eq!(said(" Allow "), Some(Decision::Allow));
    assert_eq!(said("yes!"), Some(Decision::Allow));
    assert_eq!(said("allow all"), Some(Decision::AllowSession));
    assert_eq!(said("no"), Some(Decision::Deny));
    assert_eq!(
        said("Deny, it is Friday"),
        Some(Decision::DenyBecause("it is Friday".to_owned()))
    );
    let ls = r#"{"command":"ls -l","timeout":5}"#.to_owned();
    assert_eq!(said("edit ls -l"), Some(Decision::AllowWith(ls)));
    assert!(matches!(super::said(&bash(), "edit"), Some(Err(wrong)) if wrong.contains("nothing")));
    // What could mean something else is a message.
    for text in [
        "allow it and then delete everything",
        "what would it do?",
        "yesterday",
        "",
    ] {
        assert_eq!(said(text), None, "{text}");
    }
    let one = questions(vec![question(&["Blue", "Red"], false)]);
    let answer = |text: &str| match super::said(&one, text) {
        Some(Ok(Decision::Answer(answers))) => answers[0].1.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(answer("2"), "Red");
    assert_eq!(answer("blue"), "Blue");
    assert_eq!(answer("0"), "0");
    assert_eq!(answer("something green"), "something green");
}

#[test]
fn everybody_reads_what_was_decided_and_by_whom() {
    let by = |decision: &Decision| words(&bash(), decision, "U9");
    assert_eq!(by(&Decision::AllowSession), "Allowed for this session by <@U9>");
    assert_eq!(
        by(&Decision::AllowWith(json!({"command": "ls `x`\ny"}).to_string())),
        "Allowed with changes by <@U9>: `ls  x  y`"
    );
    assert_eq!(words(&bash(), &Decision::Deny, ""), EXPIRED);
    let plan = row(Subject::Plan, Editable::No, &json!({}));
    assert_eq!(words(&plan, &Decision::Allow, "U9"), "Approved by <@U9>");
    assert_eq!(
        words(&plan, &Decision::DenyBecause("tests".to_owned()), "U9"),
        "Planning goes on, says <@U9>: tests"
    );
    assert!(by(&Decision::DenyBecause("y".repeat(5000))).len() <= 600);
}
