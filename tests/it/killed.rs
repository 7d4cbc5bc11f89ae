//! `kill -9` of the real binary at any moment, many times over: every accepted message is answered once, or its reply
//! says that it may have been worked on twice; no process of an agent is left behind.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use botyard_fakes::platform::{
    Act, Actor, DiscordPlatform, Fault, FeishuPlatform, Place, Platform, Seen, SlackPlatform,
};
use botyard_fakes::slack::{Message, Sender, Slack, Workspace};
use serde_json::Value;

use crate::binary::{RealHost, botyard, eventually};
use crate::everywhere::{folder, open};
use crate::host::{PATIENCE, Setup, processes_in};

/// How many times the host is killed.
const KILLS: u32 = 12;

/// Messages of one round, at most: Slack takes one reply a second in a channel, so that more would only wait.
const MESSAGES: u32 = 2;

/// Stops that differ from round to round and are the same in every run.
fn moment(round: u32) -> Duration {
    Duration::from_millis(u64::from(round.wrapping_mul(2_654_435_761) >> 16) % 400)
}

fn mentions<'a>(replies: &'a [Message], mark: &str) -> Vec<&'a Message> {
    replies.iter().filter(|reply| reply.read().contains(mark)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_accepted_message_is_answered_once_or_says_that_it_ran_twice() {
    let team = Workspace::new();
    let slack = Slack::serve(team.clone()).await;
    let setup = Setup::slack(&slack.api_base());
    let folder = RealHost::folder(&setup);
    let mut accepted = Vec::new();
    for round in 0..KILLS {
        let mut host = RealHost::start(folder.path()).await;
        let sender = Sender::new(team.clone(), host.hook());
        // One is taken in each round: a bot that does not know itself yet takes none.
        for number in 0_u32.. {
            let mark = format!("first{round}x{number}end");
            let told = sender.write("D1", "U1", &mark, None).await;
            if matches!(told, Ok((_, heard)) if heard.status == 200) {
                accepted.push(mark);
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let until = tokio::time::sleep(moment(round));
        tokio::pin!(until);
        let writing = async {
            for number in 0..MESSAGES {
                let mark = format!("mark{round}x{number}end");
                let text = if number % 2 == 0 {
                    mark.clone()
                } else {
                    format!("slow 40 {mark}")
                };
                match sender.write("D1", "U1", &text, None).await {
                    Ok((_, heard)) if heard.status == 200 => accepted.push(mark),
                    _ => break,
                }
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
        };
        tokio::select! {
            () = &mut until => {}
            () = async { writing.await; std::future::pending().await } => {}
        }
        host.kill();
        let path = folder.path().to_path_buf();
        eventually("the agents to be gone with their host", async || {
            processes_in(&path).is_empty().then_some(())
        })
        .await;
    }
    assert!(
        accepted.len() >= KILLS as usize,
        "only {} messages were accepted",
        accepted.len()
    );
    let host = RealHost::start(folder.path()).await;
    // Slack takes one reply a second.
    team.wait_for(PATIENCE * 2, "all to be answered", |team| {
        let replies = team.replies("D1");
        accepted
            .iter()
            .all(|mark| mentions(&replies, mark).iter().any(|reply| reply.buttons().is_empty()))
            .then_some(())
    })
    .await;
    let replies = team.replies("D1");
    for mark in &accepted {
        let all = mentions(&replies, mark);
        let told = all.iter().any(|reply| reply.read().contains("twice"));
        assert!(
            all.len() == 1 || told,
            "{mark} was answered {} times: {all:#?}",
            all.len()
        );
    }
    host.terminate().await;
    assert_eq!(processes_in(folder.path()), Vec::<String>::new());
    slack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_start_also_when_another_binary_stands_in_the_place_of_the_one_that_runs() {
    let team = Workspace::new();
    let slack = Slack::serve(team.clone()).await;
    let folder = RealHost::folder(&Setup::slack(&slack.api_base()));
    let binary = folder.path().join("botyard");
    std::fs::copy(env!("CARGO_BIN_EXE_botyard"), &binary).expect("a copy");
    let host = RealHost::start_of(&binary, folder.path()).await;
    // As an upgrade does it.
    let new = folder.path().join("new");
    std::fs::write(&new, "another").expect("written");
    std::fs::rename(&new, &binary).expect("replaced");
    let sender = Sender::new(team.clone(), host.hook());
    let taken = async || {
        let told = sender.write("D1", "U1", "hello there", None).await;
        matches!(told, Ok((_, heard)) if heard.status == 200).then_some(())
    };
    eventually("the message to be taken", taken).await;
    let answered = |team: &Workspace| {
        let replies = team.replies("D1");
        let done = |reply: &&Message| reply.buttons().is_empty() && reply.read().contains("echo: hello there");
        replies.iter().find(done).map(|_| ())
    };
    team.wait_for(PATIENCE, "the answer", answered).await;
    host.terminate().await;
    slack.stop().await;
}

/// What is asked in a turn, and what stands there in the end: a tool that must be allowed, and an answer that streams.
fn words(streams: bool, mark: &str) -> (String, String) {
    if streams {
        (format!("slow 1500 {mark} is here"), format!("{mark} is here"))
    } else {
        (format!("permission {mark}"), format!("allowed: {mark}"))
    }
}

/// A platform's bot, as one person meets it while the host is killed.
struct Witness<'a> {
    name: &'static str,
    platform: &'a dyn Platform,
    folder: &'a Path,
}

impl Witness<'_> {
    async fn act(&self, act: Act) {
        let shown = format!("{}: {act:?}", self.name);
        let acted = tokio::time::timeout(PATIENCE, self.platform.act(act)).await;
        let acted = acted.unwrap_or_else(|_| panic!("no answer in time: {shown}"));
        assert_eq!(acted.expect("the platform acts").refused, None, "{shown}");
    }

    /// Presses what stands below a message with this mark; not when it was taken away in the meantime.
    async fn press(&self, mark: &str, token: String) {
        let act = Act::Press {
            place: Place::Direct,
            token: token.clone(),
        };
        let acted = tokio::time::timeout(PATIENCE, self.platform.act(act)).await;
        match acted.unwrap_or_else(|_| panic!("{}: no answer to a press in time", self.name)) {
            Ok(answer) => assert_eq!(answer.refused, None, "{}: a press", self.name),
            Err(error) => {
                let standing = self.saying(mark).into_iter().flat_map(|seen| seen.buttons);
                assert!(
                    standing.into_iter().all(|(_, stands)| stands != token),
                    "{}: the button stands there, but {error}",
                    self.name
                );
            }
        }
    }

    /// The bot's messages that say this.
    fn saying(&self, words: &str) -> Vec<Seen> {
        let seen = self.platform.seen(&Place::Direct).into_iter();
        seen.filter(|seen| seen.text.contains(words)).collect()
    }

    async fn letters(&self) -> Vec<Value> {
        let told = botyard(self.folder, &["outbox", "list", "--json"]).await;
        serde_json::from_slice(&told.stdout).unwrap_or_default()
    }

    /// Allows what is asked, as often as it is asked, until the end stands there. None: nobody can know what the
    /// platform did, and whoever runs the bot is asked.
    async fn see_through(&self, mark: &str, end: &str) -> Option<Seen> {
        let mut pressed = HashSet::new();
        eventually(&format!("{}: `{end}`", self.name), async || {
            let buttons = self.saying(mark).into_iter().flat_map(|seen| seen.buttons);
            let allow: Vec<String> = buttons
                .filter(|(label, _)| label.contains("Allow"))
                .map(|(_, token)| token)
                .collect();
            if let Some(token) = allow.into_iter().find(|token| !pressed.contains(token)) {
                pressed.insert(token.clone());
                self.press(mark, token).await;
            }
            let ended = self.saying(end).into_iter().find(|seen| seen.buttons.is_empty());
            if ended.is_some() {
                return Some(ended);
            }
            let letters = self.letters().await;
            letters
                .iter()
                .any(|letter| letter["state"] == "ambiguous")
                .then_some(None)
        })
        .await
    }

    async fn ask(&self, text: String) {
        self.act(Act::Say {
            place: Place::Direct,
            by: Actor::Person,
            text,
            mention: false,
            files: Vec::new(),
        })
        .await;
    }
}

/// The host is killed when the platform has done the nth call of a turn, for each of them, and started again.
async fn killed_at_every_call(name: &'static str, platform: Box<dyn Platform>) {
    let platforms = [(name, platform)];
    let agent = format!("command = [{:?}]\nlogin = \"none\"", botyard_fakes::cli::program());
    let folder = folder(&agent, &platforms);
    let platform = &*platforms[0].1;
    let witness = Witness {
        name,
        platform,
        folder: folder.path(),
    };
    let vendors = [(name, platform)];
    let mut host = open(folder.path(), &vendors).await;
    let (mut unclear, mut kills) = (0, 0);
    for streams in [false, true] {
        let before = platform.calls();
        let (text, end) = words(streams, "mark0x");
        witness.ask(text).await;
        witness.see_through("mark0x", &end).await.expect("nothing goes wrong");
        let total = platform.calls() - before;
        assert!(total > 1, "{name}: a turn costs {total} calls");
        for nth in 1..=total {
            let mark = format!("mark{streams}{nth}x");
            let (text, end) = words(streams, &mark);
            let before = platform.calls();
            platform.fault(nth, Fault::Hanging);
            witness.ask(text).await;
            let called = eventually("the call", async || (platform.calls() >= before + nth).then_some(()));
            tokio::select! {
                biased;
                () = called => {}
                // It may need fewer calls this time.
                _ = witness.see_through(&mark, &end) => {}
            }
            host.kill();
            kills += 1;
            platform.heal();
            host = open(folder.path(), &vendors).await;
            if let Some(seen) = witness.see_through(&mark, &end).await {
                let all = witness.saying(&end);
                let told = seen.text.contains("twice");
                assert!(
                    all.len() == 1 || told && all.len() == 2,
                    "{name}, killed after call {nth}: {all:#?}"
                );
                continue;
            }
            unclear += 1;
            for letter in witness.letters().await {
                let turn = letter["turn"].as_str().expect("a turn");
                let dropped = botyard(folder.path(), &["outbox", "drop", turn]).await;
                assert!(dropped.status.success(), "{name}: {dropped:?}");
            }
        }
    }
    assert!(unclear < kills, "{name}: nobody ever knows what was done");
    host.terminate().await;
    assert_eq!(processes_in(folder.path()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_loses_nothing_when_the_host_is_killed_between_any_two_calls_of_a_turn() {
    killed_at_every_call("slack", Box::new(SlackPlatform::start().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_over_a_socket_loses_nothing_when_the_host_is_killed_between_any_two_calls_of_a_turn() {
    killed_at_every_call("slack", Box::new(SlackPlatform::start_in("socket").await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn discord_loses_nothing_when_the_host_is_killed_between_any_two_calls_of_a_turn() {
    killed_at_every_call("discord", Box::new(DiscordPlatform::start().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn feishu_loses_nothing_when_the_host_is_killed_between_any_two_calls_of_a_turn() {
    killed_at_every_call("feishu", Box::new(FeishuPlatform::start().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn feishu_over_its_connection_loses_nothing_when_the_host_is_killed_between_any_two_calls_of_a_turn() {
    killed_at_every_call("feishu", Box::new(FeishuPlatform::start_in("connection").await)).await;
}
