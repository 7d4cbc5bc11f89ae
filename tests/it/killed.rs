//! `kill -9` of the real binary at any moment, many times over: every accepted message is answered once, or its reply
//! says that it may have been worked on twice; no process of an agent is left behind.

use std::time::Duration;

use botyard_fakes::slack::{Message, Sender, Slack, Workspace};

use crate::binary::{RealHost, eventually};
use crate::host::{PATIENCE, Setup, processes_in};

/// How many times the host is killed.
const KILLS: u32 = 12;

/// Messages of one round, at most: Slack takes one reply a second in a channel, so that more would only wait.
const MESSAGES: u32 = 3;

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
        accepted.len() > KILLS as usize,
        "only {} messages were accepted",
        accepted.len()
    );
    let host = RealHost::start(folder.path()).await;
    team.wait_for(PATIENCE, "all to be answered", |team| {
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
