use std::fs;

use serde_json::json;

use super::*;
use crate::session::takeover::{self, Held, Takeover, TakeoverError};
use crate::store::SessionRow;

const AWAY: &str = "! This conversation is open in a terminal; the message waits until it is back.";

/// A host whose session of ann's said something, and its row.
async fn said(setup: &Setup) -> (Host, Cli, SessionRow) {
    let mut host = setup.start().await;
    let (turn, cli) = host.talking("ann", "one").await;
    cli.answer("hi").await;
    host.chat.ended(&turn).await;
    let row = soon(host.registry.status(&key(&host, "ann"))).await.unwrap().row;
    (host, cli, row)
}

fn take(setup: &Setup, row: &SessionRow) -> Takeover {
    Takeover::take(&setup.rules.data_dir, &row.id).expect("nobody has it")
}

#[tokio::test]
async fn session_that_is_taken_over_has_no_process_and_begins_no_turn_until_it_is_back() {
    let setup = Setup::new();
    let (mut host, mut cli, row) = said(&setup).await;
    let mut takeover = take(&setup, &row);
    assert!(Takeover::take(&setup.rules.data_dir, &row.id).is_err(), "one at a time");
    let registry = host.registry.clone();
    let (of, id) = (row.key.clone(), row.id.clone());
    let attaching = tokio::spawn(async move { registry.attach(&of, &id, false).await });
    assert!(matches!(cli.command().await, Command::Close));
    tokio::task::yield_now().await;
    assert!(!attaching.is_finished(), "the process still writes");
    cli.exits(None).await;
    let given = soon(attaching).await.unwrap().expect("it is given");
    assert_eq!(given.cli_session.as_deref(), Some(cli.launch.cli_session.as_str()));
    takeover
        .program(&setup.rules.ground(), &given)
        .expect("the agent has a form for it");

    let two = host.send("ann", "two").await;
    let three = host.send("ann", "three").await;
    for (turn, place) in [(&two, 1), (&three, 2)] {
        let waits = |view: &View| view.state == ViewState::Waiting(place) && seen(view) == [AWAY];
        host.chat.until(turn, waits).await;
    }
    assert!(soon(host.registry.status(&row.key)).await.unwrap().away);
    assert!(host.started.try_recv().is_err());
    // It is not to be had by another way either.
    let away = Err(ChangeError::Away);
    assert_eq!(
        soon(host.registry.delete(&row.key, &row.id, "ann")).await,
        away.map(|()| Vec::new())
    );

    drop(takeover);
    let mut again = host.spawned().await;
    assert_eq!(
        (&again.launch.cli_session, again.launch.resume),
        (&cli.launch.cli_session, true)
    );
    again.ready().await;
    for (turn, text) in [(two, "two"), (three, "three")] {
        assert_eq!(again.prompt().await, text);
        again.answer("ok").await;
        assert_eq!(seen(&host.chat.ended(&turn).await), ["ok"]);
    }
    assert!(matches!(takeover::held(&setup.rules.data_dir, &row.id), Held::Free));
}

#[tokio::test]
async fn another_session_of_the_same_person_goes_on_while_one_is_away() {
    let setup = Setup::new();
    let (mut host, cli, row) = said(&setup).await;
    let takeover = take(&setup, &row);
    cli.exits(None).await;
    soon(host.registry.attach(&row.key, &row.id, false))
        .await
        .expect("it is given");
    soon(host.registry.reset(&row.key)).await;
    let turn = host.send("ann", "elsewhere").await;
    let mut other = host.spawned().await;
    other.ready().await;
    assert_eq!(other.prompt().await, "elsewhere");
    other.answer("ok").await;
    host.chat.ended(&turn).await;
    let switch = || host.registry.change(&row.key, Change::Switch(row.id.clone()));
    assert_eq!(soon(switch()).await, Err(ChangeError::Away));
    drop(takeover);
    assert_eq!(soon(switch()).await, Ok(()));
}

#[tokio::test]
async fn turn_that_runs_keeps_the_session_until_it_ends() {
    let setup = Setup::new();
    let (mut host, mut cli, row) = said(&setup).await;
    let two = host.send("ann", "two").await;
    cli.prompt().await;
    let three = host.send("ann", "three").await;
    let takeover = take(&setup, &row);
    let attach = |wait| host.registry.attach(&row.key, &row.id, wait);
    assert_eq!(soon(attach(false)).await, Err(ChangeError::Busy));
    // Whoever waited and is gone is not given it.
    assert!(timeout(Duration::from_millis(20), attach(true)).await.is_err());
    let registry = host.registry.clone();
    let (of, id) = (row.key.clone(), row.id.clone());
    let attaching = tokio::spawn(async move { registry.attach(&of, &id, true).await });
    soon(host.registry.status(&row.key)).await;
    cli.answer("ok").await;
    host.chat.ended(&two).await;
    assert!(matches!(cli.command().await, Command::Close), "before what waits");
    cli.exits(None).await;
    soon(attaching).await.unwrap().expect("it is given");
    host.chat.until(&three, |view| seen(view) == [AWAY]).await;
    drop(takeover);
    let mut again = host.spawned().await;
    again.ready().await;
    assert_eq!(again.prompt().await, "three");
}

#[tokio::test]
async fn nothing_is_given_that_nobody_could_go_on_with() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (_, cli) = host.talking("ann", "one").await;
    let row = soon(host.registry.status(&key(&host, "ann"))).await.unwrap().row;
    let _takeover = take(&setup, &row);
    assert_eq!(
        soon(host.registry.attach(&row.key, &row.id, false)).await,
        Err(ChangeError::Nothing)
    );
    let unknown = crate::chat::SessionId::from("nonsense");
    assert_eq!(
        soon(host.registry.attach(&row.key, &unknown, false)).await,
        Err(ChangeError::Unknown)
    );
    let bobs = key(&host, "bob");
    assert_eq!(
        soon(host.registry.attach(&bobs, &row.id, false)).await,
        Err(ChangeError::Unknown)
    );
    cli.answer("still there").await;
}

/// Where the lock of this session is, and where its CLI tells to which conversations it goes.
fn files(setup: &Setup, row: &SessionRow) -> [PathBuf; 2] {
    let lock = setup.rules.data_dir.join("terminal").join(row.id.as_str());
    [lock.clone(), lock.with_extension("visits")]
}

/// What Claude Code writes down when this is said to it in a terminal.
fn spoken(setup: &Setup, row: &SessionRow, said: &[&str]) {
    let transcript = setup.folder.path().join("transcript.jsonl");
    let exchange = |words: &&str| {
        let prompt = json!({"type": "user", "message": {"content": words}});
        let text = format!("echo: {words}");
        let answer = json!({"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}});
        format!("{prompt}\n{answer}\n")
    };
    fs::write(&transcript, said.iter().map(exchange).collect::<String>()).unwrap();
    let visit = json!({"session_id": row.cli_session, "transcript_path": transcript, "source": "startup"});
    fs::write(&files(setup, row)[1], visit.to_string()).unwrap();
}

#[tokio::test]
async fn what_was_said_in_a_terminal_is_stored_as_soon_as_the_store_can_and_once() {
    let setup = Setup::new();
    let (mut host, cli, row) = said(&setup).await;
    let mut takeover = take(&setup, &row);
    cli.exits(None).await;
    let given = soon(host.registry.attach(&row.key, &row.id, false)).await;
    let given = given.expect("it is given");
    takeover.program(&setup.rules.ground(), &given).expect("it has a form");
    spoken(&setup, &given, &["first", "second"]);
    let before = files(&setup, &row).map(|file| (file.clone(), fs::read(file).unwrap()));
    let two = host.send("ann", "two").await;
    host.chat.until(&two, |view| seen(view) == [AWAY]).await;

    let full = rusqlite::Connection::open(setup.folder.path().join("store.sqlite")).unwrap();
    full.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON turns WHEN NEW.asker = 'operator' BEGIN SELECT RAISE(ABORT, 'full'); END",
    )
    .unwrap();
    drop(takeover);
    soon(host.registry.returned(&row.key, &row.id)).await;
    assert!(soon(host.registry.status(&row.key)).await.unwrap().away);
    assert!(host.started.try_recv().is_err(), "the log is not whole");
    assert!(matches!(takeover::held(&setup.rules.data_dir, &row.id), Held::Left(_)));
    // Nobody else begins with it.
    let refused = take(&setup, &row).program(&setup.rules.ground(), &given);
    assert!(matches!(refused, Err(TakeoverError::NotTakenIn(_))), "{refused:?}");
    full.execute_batch("DROP TRIGGER full").unwrap();

    let mut again = host.spawned().await;
    again.ready().await;
    assert_eq!(again.prompt().await, "two");
    again.answer("ok").await;
    host.chat.ended(&two).await;
    let expected = (
        ["first", "one", "second", "two"].map(str::to_owned).to_vec(),
        4,
        "ok".to_owned(),
    );
    assert_eq!(log(&host, &row).await, expected);
    assert!(matches!(takeover::held(&setup.rules.data_dir, &row.id), Held::Free));
    assert!(!files(&setup, &row)[1].exists());

    // As if the host had been killed when this was stored.
    for (file, text) in before {
        fs::write(file, text).unwrap();
    }
    soon(host.registry.returned(&row.key, &row.id)).await;
    assert!(matches!(takeover::held(&setup.rules.data_dir, &row.id), Held::Free));
    assert_eq!(log(&host, &row).await, expected);
}

/// What was asked, in the order of the alphabet; how many turns there were, and what was said last.
async fn log(host: &Host, row: &SessionRow) -> (Vec<String>, u32, String) {
    let id = row.id.clone();
    let turns = host.journal.read(move |store| store.turns_of(&id, 99)).await.unwrap();
    let mut prompts: Vec<String> = turns.into_iter().map(|turn| turn.prompt).collect();
    prompts.sort();
    let row = soon(host.registry.status(&row.key)).await.unwrap().row;
    (prompts, row.turns, row.last)
}

#[tokio::test]
async fn copy_has_what_was_said_in_the_terminal_and_waits_for_it() {
    let setup = Setup::new();
    let (host, cli, row) = said(&setup).await;
    let mut takeover = take(&setup, &row);
    cli.exits(None).await;
    let given = soon(host.registry.attach(&row.key, &row.id, false)).await;
    takeover
        .program(&setup.rules.ground(), &given.expect("it is given"))
        .expect("it has a form");
    spoken(&setup, &row, &["there"]);
    let copied = soon(host.registry.copy(&row, None)).await;
    assert_eq!(copied.map(|copy| copy.id), Err(ChangeError::Away));
    let forked = soon(host.registry.change(&row.key, Change::Fork)).await;
    assert_eq!(forked, Err(ChangeError::Away));
    drop(takeover);
    let copy = soon(host.registry.copy(&row, None)).await.expect("it is back");
    assert_eq!((copy.turns, copy.last.as_str()), (2, "echo: there"));
    let turns = host.journal.read(move |store| store.turns_of(&copy.id, 9)).await;
    assert_eq!(turns.unwrap().len(), 2);
}

#[tokio::test]
async fn session_waits_as_long_as_it_is_not_known_whether_it_is_in_a_terminal() {
    let setup = Setup::new();
    let (host, cli, row) = said(&setup).await;
    host.crash(cli).await;
    let [lock, _] = files(&setup, &row);
    fs::create_dir_all(&lock).unwrap();
    assert!(matches!(
        takeover::held(&setup.rules.data_dir, &row.id),
        Held::Unknown(_)
    ));
    let mut host = setup.start().await;
    let two = host.send("ann", "two").await;
    host.chat.until(&two, |view| seen(view) == [AWAY]).await;
    assert!(host.started.try_recv().is_err());
    fs::remove_dir(&lock).unwrap();
    let mut again = host.spawned().await;
    again.ready().await;
    assert_eq!(again.prompt().await, "two");
}

#[tokio::test]
async fn another_session_that_cannot_be_settled_does_not_keep_the_current_one_from_its_turns() {
    let setup = Setup::new();
    let (mut host, cli, row) = said(&setup).await;
    soon(host.registry.reset(&row.key)).await;
    cli.exits(None).await;
    let [lock, _] = files(&setup, &row);
    fs::create_dir_all(&lock).unwrap();
    let (registry, key) = (host.registry.clone(), row.key.clone());
    let switch = || registry.change(&key, Change::Switch(row.id.clone()));
    assert_eq!(soon(switch()).await, Err(ChangeError::Away));
    // One that a process has to be started for, and one that an agent waits for.
    let (two, mut other) = host.talking("ann", "two").await;
    other.answer("ok").await;
    assert_eq!(seen(&host.chat.ended(&two).await), ["ok"]);
    assert_eq!(soon(switch()).await, Err(ChangeError::Away));
    let three = host.send("ann", "three").await;
    assert_eq!(other.prompt().await, "three");
    other.answer("ok").await;
    assert_eq!(seen(&host.chat.ended(&three).await), ["ok"]);
}

#[tokio::test]
async fn session_whose_row_is_damaged_comes_back_from_a_terminal_and_is_not_looked_at_again() {
    let setup = Setup::new();
    let (mut host, cli, row) = said(&setup).await;
    let mut takeover = take(&setup, &row);
    cli.exits(None).await;
    let given = soon(host.registry.attach(&row.key, &row.id, false)).await;
    takeover
        .program(&setup.rules.ground(), &given.expect("it is given"))
        .expect("it has a form");
    spoken(&setup, &row, &["of nobody"]);
    soon(host.registry.reset(&row.key)).await;
    let sql = format!("UPDATE sessions SET session = '{{' WHERE id = '{}'", row.id);
    super::damaged::spoil(&setup, &sql, 1);
    drop(takeover);
    soon(host.registry.returned(&row.key, &row.id)).await;
    assert!(matches!(takeover::held(&setup.rules.data_dir, &row.id), Held::Free));
    assert!(!files(&setup, &row)[1].exists());
    let (turn, other) = host.talking("ann", "elsewhere").await;
    other.answer("ok").await;
    assert_eq!(seen(&host.chat.ended(&turn).await), ["ok"]);
}

#[tokio::test]
async fn message_is_taken_while_somebody_has_the_lock_whom_the_session_was_not_given() {
    let setup = Setup::new();
    let (host, mut cli, row) = said(&setup).await;
    let takeover = take(&setup, &row);
    // It is found to be away, and has its process still.
    let deleted = soon(host.registry.delete(&row.key, &row.id, "ann")).await;
    assert_eq!(deleted, Err(ChangeError::Away));
    let two = host.send("ann", "two").await;
    host.chat.until(&two, |view| seen(view) == [AWAY]).await;
    drop(takeover);
    assert_eq!(cli.prompt().await, "two");
    cli.answer("ok").await;
    assert_eq!(seen(&host.chat.ended(&two).await), ["ok"]);
}

#[tokio::test]
async fn program_that_was_not_started_leaves_nothing_to_be_taken_in() {
    let setup = Setup::new();
    let (_host, _cli, row) = said(&setup).await;
    let mut takeover = take(&setup, &row);
    takeover.program(&setup.rules.ground(), &row).expect("it has a form");
    spoken(&setup, &row, &["of nobody"]);
    takeover.nothing();
    drop(takeover);
    assert!(matches!(takeover::held(&setup.rules.data_dir, &row.id), Held::Free));
    assert!(!files(&setup, &row)[1].exists());
}
