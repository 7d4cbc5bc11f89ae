//! Several agents in one conversation, and messages that go from one to the next, on a platform that does as a test says.

use botyard_fakes::slack::{Sender, Slack, Workspace};
use serde_json::{Value, json};

use crate::binary::{RealHost, eventually};
use crate::host::{PATIENCE, Setup, processes_in};
use crate::room::{Room, but, button, said};

/// What follows a bot's table: further agents beside the scripted one, of which `broken` always fails, `parrot` says what a
/// person would say to call another, and `echo` answers what it is told; and a route.
pub(crate) fn crew(steps: &str) -> String {
    let cli = botyard_fakes::cli::program();
    let scripted = ["reviewer", "tester"]
        .map(|name| format!("[agent.{name}]\ncommand = [{cli:?}]\nlogin = \"none\"\n"))
        .concat();
    let scripts = [
        ("broken", "echo half; echo it broke >&2; exit 3"),
        ("parrot", "echo '@reviewer do it again'"),
        ("echo", "cat"),
    ]
    .map(|(name, script)| format!("[agent.{name}]\ndriver = \"exec\"\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\n"))
    .concat();
    format!(
        "agents = [\"reviewer\", \"tester\", \"broken\", \"parrot\", \"echo\"]\nroutes = [\"review\"]\n{scripted}{scripts}\
         [route.review]\nsteps = [{steps}]\n"
    )
}

pub(crate) const ONE: &str = r#"{ to = ["scripted"] }"#;

/// A reply that is done and says exactly this.
pub(crate) async fn done(room: &Room, text: &str) -> Value {
    let is = |view: &Value| view["state"] == "done" && view["text"] == text;
    room.vendor.until(text, is).await
}

/// The question that this agent asks.
pub(crate) async fn asked(room: &Room, text: &str) -> Value {
    let asks =
        |view: &Value| view["state"] == "asking" && view["text"].as_str().is_some_and(|said| said.starts_with(text));
    room.vendor.until("an open question", asks).await
}

pub(crate) async fn told(room: &Room, text: &str) -> Value {
    let tells = |view: &Value| view["state"] == "done" && view.to_string().contains(text);
    room.vendor.until(text, tells).await
}

/// The replies in the order in which they were first shown.
pub(crate) fn texts(room: &Room) -> Vec<String> {
    let text = |view: Value| view["text"].as_str().unwrap_or_default().to_owned();
    room.vendor.standing().into_iter().map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_work_side_by_side_each_in_a_session_of_its_own_and_named() {
    let room = Room::open(&crew(ONE)).await;
    room.say("m1", "@Reviewer remember red").await;
    done(&room, "**reviewer**echo: Ann: remember red").await;
    room.say("m2", "@reviewer hang").await;
    let running = |view: &Value| view["state"] == "running" && view["text"] == "**reviewer**";
    room.vendor.until("the reviewer at work", running).await;
    // The others are free, and the first one needs no name.
    room.say("m3", "hello").await;
    done(&room, "echo: Ann: hello").await;
    room.say("m4", "@tester: hello").await;
    done(&room, "**tester**echo: Ann: hello").await;
    room.say("m5", "@scripted recall").await;
    done(&room, "Ann: hello | Ann: recall").await;
    // Whoever is not there is a word.
    room.say("m6", "@nobody hello").await;
    done(&room, "echo: Ann: @nobody hello").await;
    room.say("m7", "/status").await;
    let status = told(&room, "`reviewer` is working; 0 waiting.").await;
    assert!(
        status["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("It is idle; 0 waiting.")),
        "{status}"
    );
    room.say("m8", "@reviewer later").await;
    room.say("m9", "@reviewer /queue").await;
    told(&room, "1. <@ann>: Ann: later").await;
    // Without a name it stops whatever runs here, and what waits comes.
    room.say("m10", "/stop").await;
    told(&room, "Stopping.").await;
    done(&room, "**reviewer**echo: Ann: later").await;
    room.say("m11", "@reviewer /new").await;
    told(&room, "A new conversation begins").await;
    room.say("m12", "@reviewer recall").await;
    done(&room, "**reviewer**Ann: recall").await;
    // The first one's is as it was.
    room.say("m13", "recall all").await;
    let kept = |view: &Value| view["text"] == "Ann: hello | Ann: recall | Ann: @nobody hello | Ann: recall all";
    room.vendor.until("the first one's memory", kept).await;
    let live = room.host.host.bots().next().expect("a bot").live_sessions();
    assert_eq!(live.len(), 3, "each has a session of its own");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_and_routes_are_told_and_a_list_is_of_one_agents_sessions() {
    let room = Room::open(&crew(r#"{ to = ["scripted"] }, { to = ["reviewer", "tester"] }"#)).await;
    room.say("m1", "/agents").await;
    let crew = told(&room, "- `@scripted`, also without a name").await;
    assert!(
        crew.to_string()
            .contains("`@review` goes from one to the next: scripted, then reviewer and tester"),
        "{crew}"
    );
    room.say("m2", "@review").await;
    room.say("m3", "@reviewer one").await;
    done(&room, "**reviewer**echo: Ann: one").await;
    room.say("m4", "@reviewer /rename first").await;
    told(&room, "Renamed.").await;
    room.say("m5", "@reviewer /new").await;
    told(&room, "A new conversation begins").await;
    room.say("m6", "@reviewer two").await;
    done(&room, "**reviewer**echo: Ann: two").await;
    room.say("m7", "/list").await;
    told(&room, "No conversation yet.").await;
    room.say("m8", "@reviewer /list").await;
    let listed = |view: &Value| view["asks"][0]["title"] == "Sessions (2)";
    let list = room.vendor.until("the reviewer's sessions", listed).await;
    let from = json!({ "id": "ann" });
    let token = button(&list, "first");
    room.tell(json!({ "kind": "press", "key": "p1", "channel": "C1", "from": from, "token": token }))
        .await;
    told(&room, "This is first now.").await;
    room.say("m9", "@reviewer recall").await;
    done(&room, "**reviewer**Ann: one | Ann: recall").await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_that_are_named_all_answer_and_a_last_word_says_who_did() {
    let room = Room::open(&crew(ONE)).await;
    room.say("m1", "@scripted @reviewer hello").await;
    done(&room, "echo: Ann: hello").await;
    done(&room, "**reviewer**echo: Ann: hello").await;
    told(&room, "`scripted` and `reviewer` answered.").await;
    room.say("m2", "@broken @tester hello").await;
    done(&room, "**tester**echo: Ann: hello").await;
    let last = told(&room, "`tester` answered; `broken` did not answer: ").await;
    assert_eq!(last["text"], "");
    // An edit of what was given out is told, and nobody is asked twice; unfolding a link is told as an edit too.
    let edit = but(
        said("m1", "@scripted @reviewer bye"),
        json!({ "kind": "edited", "key": "e1" }),
    );
    room.tell(edit.clone()).await;
    room.tell(but(edit, json!({ "key": "unfolded" }))).await;
    room.say("m3", "recall").await;
    done(&room, "Ann: hello | Ann: recall").await;
    told(&room, "That message was taken up already").await;
    assert_eq!(texts(&room).len(), 8, "{:?}", texts(&room));
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn route_hands_each_answer_on_and_one_that_fails_does_not_fail_the_rest() {
    let steps = r#"
      { to = ["scripted"], say = "{message} {0} {}" },
      { to = ["tester", "broken"], say = "check {answer} of {message}; {x} {{answer}}" },
      { to = ["echo"], say = "all:\n{answer}" },
    "#;
    let room = Room::open(&crew(steps)).await;
    room.say("m1", "@review say {answer} and {message}").await;
    done(&room, "echo: Ann: say {answer} and {message} {0} {}").await;
    let first = "echo: Ann: say {answer} and {message} {0} {}";
    let second = format!("echo: check {first} of Ann: say {{answer}} and {{message}}; {{x}} {{{first}}}");
    done(&room, &format!("**tester**{second}")).await;
    let failed = |view: &Value| {
        view["state"] == "failed"
            && view["text"]
                .as_str()
                .is_some_and(|text| text.starts_with("**broken**half"))
    };
    room.vendor.until("the one that fails", failed).await;
    let all = |view: &Value| {
        let text = view["text"].as_str().unwrap_or_default();
        let rest = text.strip_prefix(&format!(
            "**echo**all:\n<tester answered>\n{second}\n\n<broken did not answer: "
        ));
        view["state"] == "done" && rest.is_some()
    };
    room.vendor.until("the last step", all).await;
    told(&room, "`echo` answered; `broken` did not answer: ").await;
    assert_eq!(texts(&room).len(), 5);
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_names_an_agent_calls_nobody() {
    let room = Room::open(&crew(r#"{ to = ["parrot"] }, { to = ["echo"] }"#)).await;
    room.say("m1", "@parrot go").await;
    done(&room, "**parrot**@reviewer do it again").await;
    room.say("m2", "@review go").await;
    done(&room, "**echo**@reviewer do it again\n\n<what was asked>\nAnn: go").await;
    room.say("m3", "@reviewer recall").await;
    done(&room, "**reviewer**Ann: recall").await;
    assert_eq!(texts(&room).len(), 4, "{:?}", texts(&room));
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn question_of_another_agent_is_answered_where_it_was_asked() {
    let room = Room::open(&crew(ONE)).await;
    room.say("m1", "@reviewer permission ls").await;
    let view = asked(&room, "**reviewer**").await;
    assert_eq!(room.press(&view, "Allow", None).await, "taken: Allowed");
    done(&room, "**reviewer**allowed: ls").await;
    // In words, the one that asks is meant; of several, the one that is named.
    room.say("m2", "@tester permission pwd").await;
    asked(&room, "**tester**").await;
    room.say("m3", "/allow").await;
    done(&room, "**tester**allowed: pwd").await;
    room.say("m4", "@tester @reviewer permission id").await;
    asked(&room, "**tester**").await;
    asked(&room, "**reviewer**").await;
    room.say("m5", "/allow").await;
    told(&room, "More than one agent asks here.").await;
    room.say("m6", "@reviewer /deny").await;
    told(&room, "**reviewer**denied").await;
    room.say("m7", "/allow").await;
    done(&room, "**tester**allowed: id").await;
    told(&room, "`tester` and `reviewer` answered.").await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn route_goes_on_after_a_restart_at_every_stage() {
    let steps = r#"
      { to = ["scripted"] },
      { to = ["reviewer", "tester"], say = "permission {message}" },
      { to = ["echo"], say = "all:\n{answer}" },
    "#;
    let room = Room::open(&crew(steps)).await;
    room.say("m1", "@review permission one").await;
    let view = asked(&room, "").await;
    let room = room.restart().await;
    room.press(&view, "Allow", None).await;
    done(&room, "allowed: one").await;
    let reviewer = asked(&room, "**reviewer**").await;
    let tester = asked(&room, "**tester**").await;
    let room = room.restart().await;
    room.press(&tester, "Allow", None).await;
    done(&room, "**tester**allowed: Ann: permission one").await;
    // One has ended, the other has not.
    let room = room.restart().await;
    room.press(&reviewer, "Allow", None).await;
    let said = "allowed: Ann: permission one";
    let all = format!("**echo**all:\n<reviewer answered>\n{said}\n\n<tester answered>\n{said}");
    done(&room, &all).await;
    let room = room.restart().await;
    assert_eq!(texts(&room).len(), 4, "{:?}", texts(&room));
    room.say("m2", "/status").await;
    let status = told(&room, "It is idle").await;
    assert!(!status.to_string().contains("The route"), "{status}");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn turn_that_ends_while_the_host_ends_is_gone_on_with_after_it() {
    let room = Room::open(&crew(
        r#"{ to = ["scripted"] }, { to = ["echo"], say = "then {answer}" }"#,
    ))
    .await;
    room.say("m1", "@review slow 3000 all of it").await;
    let half = |view: &Value| view["state"] == "running" && view["text"] == "all ";
    room.vendor.until("half of it", half).await;
    // It waits for what runs; whoever would begin the next step is gone by then.
    let room = room.restart().await;
    done(&room, "**echo**then all of it").await;
    assert_eq!(texts(&room).len(), 2, "{:?}", texts(&room));
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_of_a_route_ends_what_runs_and_no_further_step_begins() {
    let steps = r#"{ to = ["reviewer", "tester"] }, { to = ["echo"] }"#;
    let room = Room::open(&crew(steps)).await;
    for (number, stop) in ["/stop", "@review /stop"].into_iter().enumerate() {
        let before = texts(&room).len();
        room.say(&format!("a{number}"), "@review hang").await;
        let standing = || room.vendor.standing().into_iter().skip(before);
        let both = |_: &Value| standing().filter(|view| view["state"] == "running").count() == 2;
        room.vendor.until("both at work", both).await;
        room.say(&format!("b{number}"), "/status").await;
        let is = |view: &Value| {
            view["state"] == "done" && view.to_string().contains("The route `review` is at step 1 of 2.")
        };
        room.vendor
            .until("where it is", |_| standing().any(|view| is(&view)))
            .await;
        room.say(&format!("c{number}"), stop).await;
        let word = |view: &Value| {
            view.to_string()
                .contains("The route `review` was stopped at step 1 of 2.")
        };
        room.vendor
            .until("the last word", |_| standing().any(|view| word(&view)))
            .await;
        // Each reply has its own way into the chat: the last word may be there before one of them.
        let stopped = |_: &Value| standing().filter(|view| view["state"] == "stopped").count() == 2;
        room.vendor.until("both stopped", stopped).await;
    }
    // The Stop button is one agent's: the other's answer goes on.
    let before = texts(&room).len();
    room.say("m1", "@review permission done").await;
    let (view, other) = (asked(&room, "**tester**").await, asked(&room, "**reviewer**").await);
    let from = json!({ "id": "ann" });
    room.tell(json!({ "kind": "press", "key": "p1", "channel": "C1", "from": from, "token": view["stop"] }))
        .await;
    room.press(&other, "Allow", None).await;
    let last = told(&room, "<tester was stopped>").await;
    assert!(
        last["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("**echo**<reviewer answered>\nallowed: done")),
        "{last}"
    );
    told(&room, "`echo` answered; `tester` was stopped.").await;
    assert_eq!(texts(&room).len() - before, 4);
    room.say("m2", "@review /new").await;
    told(&room, "`review` is a route").await;
    room.stop().await;
}

/// How many times the host is killed.
const KILLS: u64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn route_comes_to_its_end_once_however_often_the_host_is_killed() {
    let steps = r#"
      { to = ["scripted"] },
      { to = ["reviewer", "tester"], say = "slow 60 {message}" },
      { to = ["echo"], say = "end of {message}:\n{answer}" },
    "#;
    let team = Workspace::new();
    let slack = Slack::serve(team.clone()).await;
    let folder = RealHost::folder(&Setup::slack(&slack.api_base()).with(&crew(steps)));
    let mut accepted = Vec::new();
    for round in 0..KILLS {
        let mut host = RealHost::start(folder.path()).await;
        let sender = Sender::new(team.clone(), host.hook());
        // A bot that does not know itself yet takes none.
        for number in 0_u32.. {
            let mark = format!("mark{round}x{number}x");
            let told = sender.write("D1", "U1", &format!("@review {mark}"), None).await;
            if matches!(told, Ok((_, heard)) if heard.status == 200) {
                accepted.push(mark);
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(round * 131 % 700)).await;
        host.kill();
        let path = folder.path().to_path_buf();
        eventually("the agents to be gone with their host", async || {
            processes_in(&path).is_empty().then_some(())
        })
        .await;
    }
    let host = RealHost::start(folder.path()).await;
    let ends = |team: &botyard_fakes::slack::Workspace, mark: &str| {
        let replies = team.replies("D1");
        let end = replies.iter().filter(|reply| {
            let said = reply.read();
            reply.buttons().is_empty() && said.contains(&format!("end of {mark}")) && said.contains("tester answered")
        });
        end.count()
    };
    team.wait_for(PATIENCE * 2, "every route to end", |team| {
        accepted.iter().all(|mark| ends(team, mark) == 1).then_some(())
    })
    .await;
    host.terminate().await;
    for mark in &accepted {
        assert_eq!(ends(&team, mark), 1, "{mark}");
    }
    assert_eq!(processes_in(folder.path()), Vec::<String>::new());
    slack.stop().await;
}
