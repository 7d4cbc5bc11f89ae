//! What an answer is, and what people read of it.

use botyard_fakes::platform::{Act, Place};

use super::bench::{Bench, Reply};
use super::{Outcome, Wrong, failed, not_applicable};
use crate::chat::{
    Ask, Choice, Field, FieldKind, Form, Notice, Part, PlanItem, PlanState, Press, Step, StepState, Style, Token, Tone,
    ViewState, What,
};
use crate::manifest::Ability;

fn text(text: impl Into<String>) -> Part {
    Part::Text(text.into())
}

/// Fails unless people read this just once.
fn once(bench: &Bench, reply: &Reply, words: &str) -> Outcome {
    match reply.count(bench, words) {
        1 => Ok(()),
        count => failed(format!("`{words}` stands there {count} times: {:?}", reply.read(bench))),
    }
}

pub(super) async fn short(bench: &Bench) -> Outcome {
    for place in [Place::Direct, Place::Channel] {
        let mut reply = bench.asked(place).await?;
        reply
            .parts(bench, ViewState::Done, vec![text("the answer is forty-two")])
            .await?;
        once(bench, &reply, "the answer is forty-two")?;
        // The same view again changes nothing.
        let before = bench.platform.seen(&reply.place);
        reply
            .parts(bench, ViewState::Done, vec![text("the answer is forty-two")])
            .await?;
        if bench.platform.seen(&reply.place) != before {
            return failed("the same view again changed the chat");
        }
    }
    Ok(())
}

pub(super) async fn growing(bench: &Bench) -> Outcome {
    let mut reply = bench.asked(Place::Channel).await?;
    let mut answer = String::new();
    let view = reply.view(ViewState::Running, Vec::new(), None);
    shown(reply.show(bench, &view).await)?;
    for word in ["alpha", "beta", "gamma", "delta"] {
        answer.push_str(word);
        answer.push(' ');
        reply
            .parts(bench, ViewState::Running, vec![text(answer.clone())])
            .await?;
    }
    answer.push_str("omega.");
    reply.parts(bench, ViewState::Done, vec![text(answer.clone())]).await?;
    for word in ["alpha", "delta", "omega."] {
        once(bench, &reply, word)?;
    }
    // A stream that broke is taken back.
    let mut reply = bench.asked(Place::Channel).await?;
    reply
        .parts(bench, ViewState::Running, vec![text("wrong beginning of it")])
        .await?;
    reply
        .parts(bench, ViewState::Done, vec![text("right ending of it")])
        .await?;
    once(bench, &reply, "right ending of it")?;
    match reply.count(bench, "wrong beginning") {
        0 => Ok(()),
        _ => failed("text that was taken back still stands there"),
    }
}

/// Numbered words in several scripts, so that a loss or a wrong order is seen, with what breaks naive splitting.
fn long_text(words: u32) -> (String, Vec<String>) {
    let mut whole = String::new();
    let mut marks = Vec::new();
    for number in 0..words {
        let mark = match number % 4 {
            0 => format!("w{number}x"),
            1 => format!("漢{number}字"),
            2 => format!("🦀{number}🦀"),
            _ => format!("سلام{number}س"),
        };
        if number % 211 == 40 {
            whole.push_str("\n\n````rust\nfn nested() {}\n```\n");
        }
        whole.push_str(&mark);
        marks.push(mark);
        if number % 211 == 90 {
            whole.push_str("\n````\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n");
        } else {
            whole.push_str(if number % 17 == 0 { "\n\n" } else { " " });
        }
    }
    (whole, marks)
}

pub(super) async fn long(bench: &Bench) -> Outcome {
    for words in [150, 900, 6000] {
        let mut reply = bench.asked(Place::Direct).await?;
        let (whole, marks) = long_text(words);
        let files = bench.platform.files().len();
        reply.parts(bench, ViewState::Done, vec![text(whole)]).await?;
        let mut read = reply.read(bench);
        if bench.platform.files().len() > files {
            // A file has all of it, also what stands in the chat.
            read = bench
                .platform
                .files()
                .iter()
                .skip(files)
                .map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
                .collect();
        }
        let mut from = 0;
        for mark in &marks {
            match read[from..].find(mark.as_str()) {
                Some(at) => from += at + mark.len(),
                None if read.contains(mark.as_str()) => return failed(format!("`{mark}` of {words} is out of order")),
                None => return failed(format!("`{mark}` of {words} words is lost")),
            }
        }
    }
    Ok(())
}

pub(super) async fn harmless(bench: &Bench) -> Outcome {
    let mut reply = bench.asked(Place::Channel).await?;
    let hostile = format!(
        "hello @everyone @here @all @channel <!channel> <!here> <!everyone> <@{0}> <@!{0}> <at id=all></at> \
         <at user_id=\"all\">all</at> <at id={0}></at> <at user_id=\"{0}\">x</at> `<!channel>` end-of-it",
        reply.asker
    );
    let lie = "[https://bank.example/login](https://evil.example/in)";
    let parts = vec![
        text(format!("{hostile} {lie}")),
        Part::Step(Step {
            kind: "execute".to_owned(),
            title: format!("echo {hostile}"),
            detail: hostile.clone(),
            output: hostile,
            state: StepState::Done,
            elapsed: None,
        }),
    ];
    reply.parts(bench, ViewState::Done, parts).await?;
    let pings: Vec<String> = bench
        .platform
        .seen(&reply.place)
        .into_iter()
        .flat_map(|seen| seen.pings)
        .collect();
    if !pings.is_empty() {
        return failed(format!("it calls {pings:?}"));
    }
    // Its label must not hide where it leads.
    if reply.count(bench, lie) > 0 || reply.count(bench, "evil.example/in") == 0 {
        return failed("a link whose label is another address does not show where it leads");
    }
    match reply.count(bench, "end-of-it") {
        0 => failed("the text is lost"),
        _ => Ok(()),
    }
}

pub(super) async fn parts(bench: &Bench) -> Outcome {
    let mut reply = bench.asked(Place::Channel).await?;
    let step = |title: &str, state| {
        Part::Step(Step {
            kind: "execute".to_owned(),
            title: title.to_owned(),
            detail: "cargo test".to_owned(),
            output: "ok. 17 passed".to_owned(),
            state,
            elapsed: Some(std::time::Duration::from_millis(1234)),
        })
    };
    let plan = |state| {
        Part::Plan(vec![PlanItem {
            text: "first of the plan".to_owned(),
            state,
        }])
    };
    let running = vec![
        plan(PlanState::Active),
        step("run the tests", StepState::Running),
        text("So far so good."),
    ];
    reply.parts(bench, ViewState::Running, running).await?;
    let done = vec![
        plan(PlanState::Done),
        step("run the tests", StepState::Done),
        text("So far so good."),
        step("remove the build", StepState::Denied),
        Part::Notice(Notice {
            tone: Tone::Warning,
            text: "a word of warning".to_owned(),
        }),
    ];
    reply.parts(bench, ViewState::Done, done).await?;
    for words in [
        "first of the plan",
        "run the tests",
        "So far so good.",
        "remove the build",
        "a word of warning",
    ] {
        once(bench, &reply, words)?;
    }
    let mut reply = bench.asked(Place::Direct).await?;
    let why = "the agent broke in the middle";
    reply
        .parts(bench, ViewState::Failed(why.to_owned()), vec![text("half an")])
        .await?;
    once(bench, &reply, why)?;
    once(bench, &reply, "half an")
}

/// A question with two buttons.
pub(super) fn ask(settled: Option<&str>) -> (Part, [Token; 2]) {
    let tokens = [
        Token("Allow-0123456789_abcdefg".to_owned()),
        Token("Deny-0123456789_abcdefgh".to_owned()),
    ];
    let choice = |label: &str, token: &Token, style| Choice {
        label: label.to_owned(),
        description: String::new(),
        token: token.clone(),
        style,
    };
    let ask = Ask {
        title: "Bash: rm -rf build".to_owned(),
        text: "```\nrm -rf build\n```".to_owned(),
        choices: vec![
            choice("Allow", &tokens[0], Style::Primary),
            choice("Deny", &tokens[1], Style::Danger),
        ],
        selection: None,
        settled: settled.map(str::to_owned),
    };
    (Part::Ask(ask), tokens)
}

pub(super) fn carries(bench: &Bench, reply: &Reply, token: &Token) -> bool {
    let seen = bench.platform.seen(&reply.place);
    seen.iter()
        .flat_map(|seen| &seen.buttons)
        .any(|(_, carried)| carried.contains(token.as_str()))
}

/// A press of this token, as the host is told it.
async fn pressed(bench: &Bench, reply: &Reply, token: &Token) -> Result<Press, Wrong> {
    let act = Act::Press {
        place: reply.place.clone(),
        token: token.as_str().to_owned(),
    };
    let Some((_, items)) = bench.heard(act).await? else {
        return not_applicable("nothing can be pressed here");
    };
    match &items[..] {
        [item] => match &item.what {
            What::Press(press) if press.token == *token => {
                if item.origin.sender.id == reply.asker {
                    Ok(press.clone())
                } else {
                    failed(format!("it is told as pressed by `{}`", item.origin.sender.id))
                }
            }
            what => failed(format!("a press is told as {what:?}")),
        },
        _ => failed(format!("a press is told as {items:?}")),
    }
}

pub(super) async fn question(bench: &Bench) -> Outcome {
    if !bench.can(Ability::Buttons) {
        return not_applicable("it does not claim `buttons`");
    }
    for place in [Place::Direct, Place::Channel] {
        let mut reply = bench.asked(place).await?;
        let (open, tokens) = ask(None);
        reply
            .parts(bench, ViewState::Asking, vec![text("May I?"), open])
            .await?;
        if let Some(missing) = tokens.iter().find(|token| !carries(bench, &reply, token)) {
            return failed(format!("there is no button for {missing}"));
        }
        let press = pressed(bench, &reply, &tokens[0]).await?;
        if press.values.is_some() {
            return failed("a button is told as a form");
        }
        let (settled, _) = ask(Some("Allowed by ann"));
        reply
            .parts(bench, ViewState::Done, vec![text("May I?"), settled, text("Gone.")])
            .await?;
        once(bench, &reply, "Allowed by ann")?;
        if tokens.iter().any(|token| carries(bench, &reply, token)) {
            return failed("a settled question can still be pressed");
        }
    }
    Ok(())
}

pub(super) async fn form(bench: &Bench) -> Outcome {
    if !bench.can(Ability::Forms) {
        return not_applicable("it does not claim `forms`");
    }
    // Behind one of the choices of a question.
    let token = Token("Why-0123456789_abcdefghi".to_owned());
    bench.opens(&form_of(&token));
    let mut reply = bench.asked(Place::Channel).await?;
    let (part, _) = ask(None);
    let Part::Ask(mut asked) = part else {
        return failed("our own question");
    };
    asked.choices.push(Choice {
        label: "Say why".to_owned(),
        description: String::new(),
        token: token.clone(),
        style: Style::Plain,
    });
    reply.parts(bench, ViewState::Asking, vec![Part::Ask(asked)]).await?;
    pressed(bench, &reply, &token).await?;
    sent(bench, &reply, token).await
}

fn form_of(token: &Token) -> Form {
    Form {
        token: token.clone(),
        title: "Why not?".to_owned(),
        fields: vec![Field {
            name: "reason".to_owned(),
            label: "Reason".to_owned(),
            kind: FieldKind::Paragraph,
            value: String::new(),
            placeholder: "in a few words".to_owned(),
            required: true,
        }],
        submit: "Send".to_owned(),
    }
}

/// Fills the form that stands open, and sends it.
async fn sent(bench: &Bench, reply: &Reply, token: Token) -> Outcome {
    bench
        .until("the form is open", || {
            bench
                .platform
                .form()
                .filter(|names| names.iter().any(|name| name.contains("reason")))
        })
        .await?;
    let submit = Act::Submit {
        place: reply.place.clone(),
        values: vec![("reason".to_owned(), "because it is ours".to_owned())],
    };
    let Some((_, items)) = bench.heard(submit).await? else {
        return not_applicable("the platform has no forms");
    };
    let sent = Press {
        token,
        values: Some(vec![("reason".to_owned(), "because it is ours".to_owned())]),
    };
    match &items[..] {
        [item] if item.what == What::Press(sent) => Ok(()),
        _ => failed(format!("a form that was sent is told as {items:?}")),
    }
}

pub(super) async fn stop(bench: &Bench) -> Outcome {
    if !bench.can(Ability::Buttons) || !bench.can(Ability::Update) {
        return not_applicable("it does not claim `buttons` and `update`");
    }
    let mut reply = bench.asked(Place::Channel).await?;
    let token = Token("Stop-0123456789_abcdefgh".to_owned());
    let view = reply.view(ViewState::Running, vec![text("I am working on")], Some(token.clone()));
    shown(reply.show(bench, &view).await)?;
    if !carries(bench, &reply, &token) {
        if bench.can(Ability::NativeStop) {
            return not_applicable("the platform's own stop control serves");
        }
        return failed("there is no stop button");
    }
    pressed(bench, &reply, &token).await?;
    reply
        .parts(bench, ViewState::Stopped, vec![text("I am working on")])
        .await?;
    if carries(bench, &reply, &token) {
        return failed("what was stopped can still be stopped");
    }
    once(bench, &reply, "I am working on")
}

pub(super) async fn file(bench: &Bench) -> Outcome {
    if !bench.can(Ability::FilesOut) {
        return not_applicable("it does not claim `files-out`");
    }
    let bytes: Vec<u8> = (0..40_000u32).map(|n| n.to_le_bytes()[0] ^ 0x33).collect();
    let kept = bench
        .adapter
        .files()
        .keep("report.bin", "application/octet-stream", &bytes)
        .await;
    let kept = match kept {
        Ok(kept) => kept,
        Err(error) => return failed(format!("our own files: {error}")),
    };
    let mut reply = bench.asked(Place::Channel).await?;
    let parts = vec![text("Here it is."), Part::File(kept)];
    reply.parts(bench, ViewState::Done, parts.clone()).await?;
    reply.parts(bench, ViewState::Done, parts).await?;
    once(bench, &reply, "Here it is.")?;
    let given = bench.platform.files();
    match &given[..] {
        [(name, there)] if name == "report.bin" && *there == bytes => Ok(()),
        _ => failed(format!(
            "these files stand there: {:?}",
            given
                .iter()
                .map(|(name, bytes)| (name, bytes.len()))
                .collect::<Vec<_>>()
        )),
    }
}

pub(super) async fn whisper(bench: &Bench) -> Outcome {
    if !bench.can(Ability::Whispers) {
        return not_applicable("it does not claim `whispers`");
    }
    let mut reply = bench.asked(Place::Channel).await?;
    reply.whispered();
    reply.parts(bench, ViewState::Done, vec![text("for you alone")]).await?;
    let open = |place: &Place| {
        bench
            .platform
            .seen(place)
            .into_iter()
            .any(|seen| !seen.whispered && seen.text.contains("for you alone"))
    };
    if open(&reply.place) || open(&Place::Channel) {
        return failed("everybody reads it");
    }
    let whispered = [&reply.place, &Place::Channel, &Place::Direct]
        .into_iter()
        .any(|place| {
            bench
                .platform
                .seen(place)
                .iter()
                .any(|seen| seen.text.contains("for you alone"))
        });
    if whispered { Ok(()) } else { failed("nobody reads it") }
}

fn shown(result: Result<(), crate::chat::CallError>) -> Outcome {
    result.map_err(|error| Wrong::Failed(format!("the view was not shown: {error}")))
}
