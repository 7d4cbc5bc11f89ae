//! Discord's gateway: the real host with serenity behind its relay, the strict fake, the scripted CLI.

use std::time::Duration;

use botyard::chat::Health;
use botyard_fakes::discord::{ANN, BEN, DIRECT, GENERAL, Trouble, VOICE, World};
use serde_json::json;

use crate::guild::{Guild, has};
use crate::host::PATIENCE;

/// Ends it; the client did nothing that no good client does.
async fn stop(guild: Guild) {
    assert_eq!(logged(&guild.world, "fault"), Vec::<String>::new());
    guild.stop().await;
}

fn logged(world: &World, what: &str) -> Vec<String> {
    let mut log = world.gateway_log();
    log.retain(|line| line.starts_with(what));
    log
}

async fn refused(guild: &Guild, what: &str) {
    let refused = |health: &Health| matches!(health, Health::Refused { why } if why.contains(what));
    guild
        .host
        .until("the bot is refused", |host| {
            host.bots().any(|bot| refused(&bot.summary().connection.health))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_message_is_answered_once() {
    let guild = Guild::connected(|setup| setup).await;
    guild.world.say(DIRECT, ANN, "hello there");
    guild.final_with(DIRECT, "echo: hello there").await;
    assert_eq!(guild.world.replies(DIRECT).len(), 1);
    // Discord may tell something again.
    guild.world.tell_again();
    guild.world.say(DIRECT, ANN, "the next");
    guild.final_with(DIRECT, "echo: the next").await;
    assert_eq!(guild.world.replies(DIRECT).len(), 2);
    stop(guild).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mention_opens_a_thread_in_which_no_name_is_needed() {
    let guild = Guild::connected(|setup| setup).await;
    guild.world.say(GENERAL, BEN, "not for the bot");
    let asked = guild.world.mention(GENERAL, ANN, "what is up");
    guild.final_with(&asked, "what is up").await;
    assert_eq!(guild.world.threads(GENERAL).len(), 1);
    guild.world.say(&asked, BEN, "and you");
    guild.final_with(&asked, "and you").await;
    assert_eq!(guild.world.replies(&asked).len(), 2);
    assert_eq!(guild.world.replies(GENERAL), Vec::new());
    stop(guild).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_thread_can_be_it_is_a_reply() {
    let guild = Guild::connected(|setup| setup).await;
    let asked = guild.world.mention(VOICE, ANN, "what is up");
    let reply = guild.final_with(VOICE, "what is up").await;
    assert_eq!(reply.answers, Some(asked));
    stop(guild).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_buttons_and_stop_come_over_the_gateway() {
    let guild = Guild::connected(|setup| setup).await;
    let asked = guild.world.slash(GENERAL, ANN, "ask", &[("question", "hello there")]);
    guild.final_with(GENERAL, "hello there").await;
    let word = guild
        .world
        .wait_for(PATIENCE, "its word", |world| world.answer_to(&asked));
    assert_eq!(word.await, json!({ "type": 5 }));
    let said = guild.world.say(GENERAL, BEN, "a riddle");
    guild.world.menu(&said, ANN, "Ask about this");
    guild.final_with(GENERAL, "a riddle").await;

    guild.world.say(DIRECT, ANN, "permission rm -rf build");
    let question = guild.reply(DIRECT, "the question", has("Allow")).await;
    let pressed = guild.world.press(&question, ANN, "Allow");
    guild.final_with(DIRECT, "llowed").await;
    let word = guild
        .world
        .wait_for(PATIENCE, "its word", |world| world.answer_to(&pressed));
    assert_eq!(word.await, json!({ "type": 6 }));

    guild.world.say(DIRECT, ANN, "slow 60000 never");
    let running = guild.reply(DIRECT, "a stop button", has("Stop")).await;
    guild.world.press(&running, ANN, "Stop");
    guild
        .reply(DIRECT, "the stopped view", |message| {
            message.id == running.id && message.buttons().is_empty()
        })
        .await;
    stop(guild).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_twice_over_cuts_and_reconnects() {
    let guild = Guild::connected(|setup| setup).await;
    for round in 0..3 {
        let before = logged(&guild.world, "resume").len();
        match round {
            0 => guild.world.cut_gateway(),
            1 => guild.world.ask_to_reconnect(),
            _ => guild.world.close_gateway(4000),
        }
        guild.world.say(DIRECT, ANN, &format!("question {round}"));
        guild.final_with(DIRECT, &format!("echo: question {round}")).await;
        guild
            .world
            .wait_for(PATIENCE, "a resume", |world| {
                (logged(world, "resume").len() > before).then_some(())
            })
            .await;
    }
    assert_eq!(guild.world.replies(DIRECT).len(), 3);
    assert_eq!(
        logged(&guild.world, "identify").len(),
        1,
        "{:?}",
        guild.world.gateway_log()
    );
    stop(guild).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_connection_is_found_by_its_heartbeats() {
    let world = World::new();
    world.heartbeat(Duration::from_secs(1));
    let guild = Guild::start(world, |setup| setup).await;
    guild.listens().await;
    guild.world.deaf(true);
    guild
        .world
        .wait_for(PATIENCE, "a resume", |world| {
            (!logged(world, "resume").is_empty()).then_some(())
        })
        .await;
    guild.world.deaf(false);
    guild.world.say(DIRECT, ANN, "still there");
    guild.final_with(DIRECT, "echo: still there").await;
    stop(guild).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_while_the_host_is_down_is_answered_after_it() {
    let guild = Guild::connected(|setup| setup).await;
    guild.world.say(DIRECT, ANN, "permission rm -rf build");
    let question = guild.reply(DIRECT, "the question", has("Allow")).await;
    let thread = guild.world.mention(GENERAL, ANN, "what is up");
    guild.final_with(&thread, "what is up").await;
    let guild = guild
        .restart(|world| {
            world.say(&thread, BEN, "are you there");
        })
        .await;
    guild.final_with(&thread, "are you there").await;
    assert_eq!(guild.world.replies(&thread).len(), 2);
    assert_eq!(logged(&guild.world, "identify").len(), 1, "the session goes on");
    guild.world.press(&question, ANN, "Allow");
    guild.final_with(DIRECT, "llowed").await;
    stop(guild).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_session_begins_anew() {
    let guild = Guild::connected(|setup| setup).await;
    guild.world.forget_session();
    guild.world.cut_gateway();
    guild
        .world
        .wait_for(PATIENCE, "a new session", |world| {
            (logged(world, "identify").len() == 2 && world.connected() == 1).then_some(())
        })
        .await;
    guild.world.say(DIRECT, ANN, "hello again");
    guild.final_with(DIRECT, "echo: hello again").await;
    stop(guild).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_shards_each_answer_their_part_over_cuts_and_restarts() {
    let world = World::new();
    world.sharding(2, 1000);
    let guild = Guild::start(world, |setup| setup).await;
    let both = async |guild: &Guild| {
        guild
            .world
            .wait_for(PATIENCE, "two sessions", |world| (world.connected() == 2).then_some(()))
            .await;
    };
    both(&guild).await;
    guild
        .host
        .until("both are live", |host| {
            host.bots().any(|bot| bot.summary().connection.is_live())
        })
        .await;
    // Direct messages are the first one's, the server is the second one's.
    guild.world.say(DIRECT, ANN, "hello there");
    guild.final_with(DIRECT, "echo: hello there").await;
    let thread = guild.world.mention(GENERAL, ANN, "what is up");
    guild.final_with(&thread, "what is up").await;
    let asked = guild.world.slash(GENERAL, ANN, "ask", &[("question", "a riddle")]);
    guild.final_with(GENERAL, "a riddle").await;
    let word = guild
        .world
        .wait_for(PATIENCE, "its word", |world| world.answer_to(&asked));
    assert_eq!(word.await, json!({ "type": 5 }));

    guild.world.cut_gateway();
    guild.world.say(DIRECT, ANN, "after the cut");
    guild.world.say(&thread, BEN, "and here");
    guild.final_with(DIRECT, "echo: after the cut").await;
    guild.final_with(&thread, "and here").await;
    both(&guild).await;

    let guild = guild
        .restart(|world| {
            world.say(DIRECT, ANN, "while you were away");
            world.say(&thread, BEN, "here too");
        })
        .await;
    guild.final_with(DIRECT, "echo: while you were away").await;
    guild.final_with(&thread, "here too").await;
    assert_eq!(
        (guild.world.replies(DIRECT).len(), guild.world.replies(&thread).len()),
        (3, 3)
    );
    let mut begun = logged(&guild.world, "identify");
    begun.sort();
    let expected = ["identify 0/2 /gateway", "identify 1/2 /gateway"];
    assert_eq!(begun, expected, "{:?}", guild.world.gateway_log());
    assert_eq!(
        logged(&guild.world, "resume").len(),
        4,
        "{:?}",
        guild.world.gateway_log()
    );
    stop(guild).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_intent_is_told_with_where_to_click() {
    let guild = Guild::connected(|setup| setup).await;
    guild.world.application(false, None);
    guild.world.forget_session();
    guild.world.cut_gateway();
    refused(&guild, "Message Content Intent").await;
    stop(guild).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_token_is_told() {
    let guild = Guild::connected(|setup| setup).await;
    guild.world.reset_token();
    guild.world.close_gateway(4000);
    refused(&guild, "bot token").await;
    stop(guild).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interaction_is_acknowledged_in_time_though_the_store_is_locked() {
    let guild = Guild::connected(|setup| setup).await;
    let other = rusqlite::Connection::open(guild.host.folder().join("data/botyard.db")).expect("the store's file");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let asked = guild.world.slash(GENERAL, ANN, "ask", &[("question", "while locked")]);
    let answer = guild
        .world
        .wait_for(PATIENCE, "an acknowledgement", |world| world.answer_to(&asked))
        .await;
    assert_eq!(answer, json!({ "type": 5 }));
    other.execute_batch("ROLLBACK").expect("the lock is given back");
    guild.final_with(GENERAL, "while locked").await;
    assert_eq!(guild.world.replies(GENERAL).len(), 1);
    stop(guild).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn discord_in_trouble_gets_the_final_view_once() {
    let guild = Guild::connected(|setup| setup).await;
    let posts = Some("POST /channels/300000000000000001/messages");
    guild.world.trouble(posts, Trouble::RateLimited { millis: 300 });
    guild.world.trouble(posts, Trouble::Status(503));
    // It is done, and the answer is lost: the nonce makes one message of both.
    guild.world.trouble(posts, Trouble::Cut);
    guild.world.say(DIRECT, ANN, "through the storm");
    guild.final_with(DIRECT, "echo: through the storm").await;
    guild.world.say(DIRECT, ANN, "calm");
    guild.final_with(DIRECT, "echo: calm").await;
    assert_eq!(guild.world.replies(DIRECT).len(), 2);
    stop(guild).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_permission_is_a_dead_letter_and_hurts_nobody_else() {
    let guild = Guild::connected(|setup| setup).await;
    guild.world.channel(GENERAL, |channel| {
        channel.silent = true;
        channel.no_threads = true;
    });
    guild.world.mention(GENERAL, ANN, "what is up");
    let begun = std::time::Instant::now();
    loop {
        let counts = guild
            .host
            .host
            .journal()
            .read(|store| store.counts())
            .await
            .expect("counts");
        if counts.outbox_dead == 1 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "no dead letter: {counts:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    guild.world.say(DIRECT, ANN, "hello there");
    guild.final_with(DIRECT, "echo: hello there").await;
    stop(guild).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn burst_of_a_thousand_events_is_answered_once() {
    let guild = Guild::connected(|setup| setup).await;
    guild.world.unpaced();
    // Most of a busy channel is not for the bot; every 100th is.
    let mut asked = Vec::new();
    for number in 0..1000 {
        if number % 100 == 0 {
            asked.push((number, guild.world.mention(GENERAL, ANN, &format!("number {number}."))));
        } else {
            guild.world.say(GENERAL, BEN, &format!("chat {number}"));
        }
        if number == 500 {
            guild.world.cut_gateway();
        }
    }
    for (number, thread) in &asked {
        guild.final_with(thread, &format!("number {number}.")).await;
        assert_eq!(guild.world.replies(thread).len(), 1);
    }
    assert_eq!(guild.world.threads(GENERAL).len(), asked.len());
    assert_eq!(guild.world.replies(GENERAL), Vec::new());
    stop(guild).await;
}
