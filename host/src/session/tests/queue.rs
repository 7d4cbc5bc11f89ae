use super::*;
use crate::store::{InboxState, TurnState};

#[tokio::test]
async fn message_is_answered_and_everything_about_it_is_stored() {
    let mut host = Setup::new().start().await;
    let (turn, cli) = host.talking("ann", "hello").await;
    let running = host.row(&turn).await;
    assert_eq!((running.state, running.attempt), (TurnState::Running, 1));
    cli.answer("hi").await;
    let view = host.chat.ended(&turn).await;
    assert_eq!((seen(&view), view.state), (vec!["hi".to_owned()], ViewState::Done));
    assert!(view.revision > 1 << 20 && view.stop_token.is_none());

    let row = host.row(&turn).await;
    assert_eq!(
        (row.state, row.view.map(|view| view.state)),
        (TurnState::Done, Some(ViewState::Done))
    );
    let (inbox, key) = (row.inbox.unwrap(), row.session);
    let read = host
        .journal
        .read(move |store| Ok((store.inbox_get(inbox)?, store.session_get(&key)?)));
    let (inbox, session) = read.await.unwrap();
    assert_eq!(inbox.unwrap().state, InboxState::Done);
    let session = session.unwrap();
    assert_eq!(
        (session.cli_session, session.resumable),
        (Some(cli.launch.cli_session.clone()), true)
    );
    assert_eq!(session.owner.as_deref(), Some("ann"));
}

#[tokio::test]
async fn waiting_messages_are_worked_on_in_order_within_the_bound() {
    let mut host = Setup::new().start().await;
    let (one, mut cli) = host.talking("ann", "one").await;
    let two = host.send("ann", "two").await;
    let three = host.send("ann", "three").await;
    assert_eq!(host.try_send("ann", "four").await, Err(SubmitError::Full(2)));
    host.chat.until(&two, |view| view.state == ViewState::Waiting(1)).await;
    host.chat
        .until(&three, |view| view.state == ViewState::Waiting(2))
        .await;
    for (turn, next) in [(&one, "two"), (&two, "three")] {
        cli.answer("done").await;
        host.chat.ended(turn).await;
        assert_eq!(cli.prompt().await, next);
    }
    cli.answer("last").await;
    assert_eq!(seen(&host.chat.ended(&three).await), ["last"]);
}

#[tokio::test]
async fn prompt_goes_out_only_after_the_turn_is_on_disk() {
    let mut host = Setup::new().start().await;
    let (one, mut cli) = host.talking("ann", "one").await;
    cli.answer("done").await;
    host.chat.ended(&one).await;
    let two = host.arrive("ann", "two").await;
    // The disk stands still.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let journal = host.journal.clone();
    let stuck = tokio::spawn(async move {
        let blocked = journal.write(move |_| {
            let _ = wait.recv_timeout(LIMIT);
            Ok(())
        });
        blocked.await
    });
    tokio::task::yield_now().await;
    let prompt = prompt(two, "ann", "two");
    let (registry, key) = (host.registry.clone(), key(&host, "ann"));
    let submit = tokio::spawn(async move { registry.submit(&key, prompt).await });
    assert!(
        timeout(Duration::from_millis(200), cli.commands.recv()).await.is_err(),
        "nothing before the disk"
    );
    assert!(!submit.is_finished(), "nothing is promised before the disk either");
    go.send(()).unwrap();
    soon(stuck).await.unwrap().unwrap();
    assert_eq!(cli.prompt().await, "two");
    let turn = soon(submit).await.unwrap().unwrap();
    assert_eq!(host.row(&turn).await.state, TurnState::Running);
}

#[tokio::test]
async fn two_sessions_run_side_by_side() {
    let mut host = Setup::new().start().await;
    let (ann, first) = host.talking("ann", "hello").await;
    let (bob, second) = host.talking("bob", "hello").await;
    assert_ne!(first.launch.workspace, second.launch.workspace);
    assert_ne!(first.launch.config_dir, second.launch.config_dir);
    assert_ne!(first.launch.cli_session, second.launch.cli_session);
    second.answer("to bob").await;
    assert_eq!(seen(&host.chat.ended(&bob).await), ["to bob"]);
    assert_eq!(host.row(&ann).await.state, TurnState::Running);
    first.answer("to ann").await;
    assert_eq!(seen(&host.chat.ended(&ann).await), ["to ann"]);
    assert_eq!(host.registry.live().len(), 2);
}

#[tokio::test]
async fn stop_interrupts_the_turn_and_keeps_the_queue() {
    let mut host = Setup::new().start().await;
    let (one, mut cli) = host.talking("ann", "one").await;
    let two = host.send("ann", "two").await;
    assert!(soon(host.registry.stop(&key(&host, "ann"))).await);
    assert!(matches!(cli.command().await, Command::Interrupt));
    cli.text("half").await;
    cli.result(Outcome::Stopped).await;
    let view = host.chat.ended(&one).await;
    assert_eq!((seen(&view), view.state), (vec!["half".to_owned()], ViewState::Stopped));
    assert_eq!(cli.prompt().await, "two");
    cli.answer("done").await;
    host.chat.ended(&two).await;
    assert!(!soon(host.registry.stop(&key(&host, "ann"))).await, "nothing runs");
    assert!(!soon(host.registry.stop(&key(&host, "nobody"))).await);
}

#[tokio::test]
async fn messages_that_interrupt_keep_their_order() {
    let mut host = Setup::new().start().await;
    let (one, mut cli) = host.talking("ann", "one").await;
    let two = host.send_as(WhileRunning::Interrupt, "ann", "two").await;
    let three = host.send_as(WhileRunning::Interrupt, "ann", "three").await;
    assert!(matches!(cli.command().await, Command::Interrupt));
    cli.result(Outcome::Stopped).await;
    host.chat.ended(&one).await;
    asked_in_order(&host, &mut cli, [("two", two), ("three", three)]).await;
}

#[tokio::test]
async fn part_of_a_message_has_the_messages_place() {
    let mut host = Setup::new().start().await;
    let (_, mut cli) = host.talking("ann", "one").await;
    let whole = host.arrive("ann", "for several").await;
    let later = host.send("ann", "later").await;
    let part = Prompt {
        place: Some(whole),
        ..prompt(host.arrive("ann", "part").await, "ann", "part")
    };
    let part = soon(host.registry.submit(&key(&host, "ann"), part)).await.unwrap();
    cli.answer("one").await;
    asked_in_order(&host, &mut cli, [("part", part), ("later", later)]).await;
}

#[tokio::test]
async fn late_result_of_a_given_up_turn_never_reaches_the_next() {
    let mut host = Setup::new().start().await;
    let (one, mut old) = host.talking("ann", "one").await;
    assert!(soon(host.registry.stop(&key(&host, "ann"))).await);
    assert!(matches!(old.command().await, Command::Interrupt));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    assert!(matches!(old.command().await, Command::Kill));
    assert_eq!(host.chat.ended(&one).await.state, ViewState::Stopped);
    old.answer("too late").await;
    let two = host.send("ann", "two").await;
    assert!(
        host.started.try_recv().is_err(),
        "two processes never share a conversation"
    );
    old.exits(None).await;

    let mut new = host.spawned().await;
    assert_eq!(
        (&new.launch.cli_session, new.launch.resume),
        (&old.launch.cli_session, true)
    );
    new.ready().await;
    assert_eq!(new.prompt().await, "two");
    new.answer("in time").await;
    assert_eq!(seen(&host.chat.ended(&two).await), ["in time"]);
    assert_eq!(host.chat.0.borrow().len(), 2, "nor does it open a turn of its own");
}

#[tokio::test]
async fn background_work_reports_in_a_turn_of_its_own() {
    let mut host = Setup::new().start().await;
    let (one, mut cli) = host.talking("ann", "one").await;
    cli.answer("started").await;
    host.chat.ended(&one).await;
    cli.text("background is done").await;
    let two = host.send("ann", "two").await;
    cli.result(Outcome::Ok).await;
    assert_eq!(cli.prompt().await, "two");
    cli.answer("second").await;
    assert_eq!(seen(&host.chat.ended(&two).await), ["second"]);
    let (target, own) = host
        .chat
        .0
        .borrow()
        .iter()
        .find(|(_, view)| view.turn != one && view.turn != two)
        .cloned()
        .expect("a turn of its own");
    assert_eq!(
        (seen(&own), own.state),
        (vec!["background is done".to_owned()], ViewState::Done)
    );
    assert!(target.reply_to.is_empty(), "it answers nobody");
    assert_eq!(host.row(&own.turn).await.inbox, None);
}
