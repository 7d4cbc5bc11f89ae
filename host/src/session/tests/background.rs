//! An agent that is idle, and something of it runs on in the background.

use std::io::Write;
use std::sync::Mutex;

use super::*;

/// Longer than any clock of an idle process.
const LONG: Duration = Duration::from_secs(30 * 24 * 3600);

fn leaves_idle_after(mut setup: Setup, time: Duration) -> Setup {
    let mut agent = AgentProfile::clone(&setup.rules.agent);
    agent.idle_timeout = time;
    setup.rules.agent = Arc::new(agent);
    setup
}

/// A host with a session of ann's whose agent answered and runs a task in the background.
async fn at_work(setup: &Setup) -> (Host, Cli) {
    let mut host = setup.start().await;
    let (turn, cli) = host.talking("ann", "one").await;
    cli.text("started").await;
    cli.result_with(Outcome::Ok, 1).await;
    host.chat.ended(&turn).await;
    until_it_runs(&host, 1).await;
    (host, cli)
}

/// Waits until the session knows of so many.
async fn until_it_runs(host: &Host, tasks: u32) {
    let key = key(host, "ann");
    soon(async {
        while host
            .registry
            .status(&key)
            .await
            .is_none_or(|status| status.background != tasks)
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn let_time_pass(host: &Host, time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
    // What was due is done when this is answered.
    soon(host.registry.status(&key(host, "ann"))).await;
}

#[tokio::test]
async fn process_with_a_task_in_the_background_is_not_closed_until_that_ends() {
    let setup = leaves_idle_after(Setup::new(), Duration::from_secs(600));
    let (host, mut cli) = at_work(&setup).await;
    let_time_pass(&host, LONG).await;
    assert!(cli.commands.try_recv().is_err(), "it works");
    // One of two ends without a word; then the other does.
    for tasks in [2, 1] {
        cli.say(AgentEvent::Background { tasks }).await;
        until_it_runs(&host, tasks).await;
        let_time_pass(&host, LONG).await;
        assert!(cli.commands.try_recv().is_err(), "{tasks} work");
    }
    cli.say(AgentEvent::Background { tasks: 0 }).await;
    until_it_runs(&host, 0).await;
    assert!(cli.commands.try_recv().is_err(), "its time begins now");
    let_time_pass(&host, Duration::from_secs(601)).await;
    assert!(matches!(cli.command().await, Command::Close));
}

#[tokio::test]
async fn process_with_a_task_in_the_background_gives_no_place_until_that_ends() {
    let setup = Setup {
        processes: 1,
        ..Setup::new()
    };
    let (mut host, mut ann) = at_work(&setup).await;
    let bob = host.send("bob", "hello").await;
    host.chat.until(&bob, |view| view.state == ViewState::Waiting(1)).await;
    let_time_pass(&host, LONG).await;
    assert!(ann.commands.try_recv().is_err(), "it works");
    ann.say(AgentEvent::Background { tasks: 0 }).await;
    assert!(matches!(ann.command().await, Command::Close));
    ann.exits(None).await;
    let mut cli = host.spawned().await;
    cli.ready().await;
    assert_eq!(cli.prompt().await, "hello");
}

/// What is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Of this thread, for as long as the second is there. Beside a single subscriber whatever another thread says first would
    /// be silent for all threads: so there are two.
    fn here() -> (Self, (tracing::subscriber::DefaultGuard, tracing::Dispatch)) {
        let log = Self::default();
        let other = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(std::io::sink).finish());
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        (log, (tracing::subscriber::set_default(subscriber), other))
    }

    /// How often a person was told how to help those who wait.
    fn told(&self) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text.matches("botyard sessions list").count(),
            text.matches("botyard sessions interrupt").count()
        );
        text.matches("botyard sessions list").count()
    }
}

#[tokio::test]
async fn operator_is_told_once_when_what_runs_in_the_background_alone_has_the_places() {
    let (log, _logging) = Log::here();
    let setup = Setup {
        processes: 2,
        ..Setup::new()
    };
    let (mut host, ann) = at_work(&setup).await;
    let (_, bob) = host.talking("bob", "one").await;
    let waits = async |host: &Host, person: &str| {
        let turn = host.send(person, "hello").await;
        let waits = |view: &View| matches!(view.state, ViewState::Waiting(_));
        host.chat.until(&turn, waits).await;
    };
    let until_told = async |times: usize| {
        soon(async {
            while log.told() < times {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    waits(&host, "eve").await;
    assert_eq!(log.told(), 0, "bob's turn comes to its end");
    bob.say(AgentEvent::Background { tasks: 1 }).await;
    until_told(1).await;
    bob.say(AgentEvent::Background { tasks: 2 }).await;
    waits(&host, "fay").await;
    assert_eq!(log.told(), 1, "it is known");
    // One that could be had meanwhile: what is so again is told again.
    bob.say(AgentEvent::Background { tasks: 0 }).await;
    bob.say(AgentEvent::Background { tasks: 1 }).await;
    until_told(2).await;
    // A place on its way out is no longer kept.
    assert!(soon(host.registry.end_background(&key(&host, "ann"))).await);
    ann.exits(None).await;
    let mut eve = host.spawned().await;
    eve.ready().await;
    assert_eq!(eve.prompt().await, "hello");
    assert_eq!(log.told(), 2);
}

#[tokio::test]
async fn operator_is_told_nothing_where_nobody_waits_or_the_place_is_given_up() {
    let (log, _logging) = Log::here();
    let setup = Setup {
        processes: 1,
        ..Setup::new()
    };
    let (host, mut cli) = at_work(&setup).await;
    assert_eq!(log.told(), 0, "nobody waits");
    assert!(soon(host.registry.end_background(&key(&host, "ann"))).await);
    assert!(matches!(cli.command().await, Command::Close));
    let bob = host.send("bob", "hello").await;
    host.chat.until(&bob, |view| view.state == ViewState::Waiting(1)).await;
    assert_eq!(log.told(), 0, "it is on its way out");
}

#[tokio::test]
async fn tasks_in_the_background_are_told_to_whoever_lists_sessions() {
    let setup = Setup::new();
    let (host, cli) = at_work(&setup).await;
    let key = key(&host, "ann");
    let listed = || host.registry.live().get(&key).map(|now| now.background);
    assert_eq!(listed(), Some(1));
    cli.say(AgentEvent::Background { tasks: 3 }).await;
    until_it_runs(&host, 3).await;
    assert_eq!(listed(), Some(3));
    assert!(soon(host.registry.end_background(&key)).await);
    until_it_runs(&host, 0).await;
    assert_eq!(listed(), Some(0), "it is on its way out");
}

#[tokio::test]
async fn question_is_not_put_aside_while_a_task_runs_in_the_background() {
    let mut setup = Setup {
        processes: 1,
        ..Setup::new()
    };
    setup.rules.ask_timeout = LONG;
    let mut host = setup.start().await;
    let (ann, mut cli) = host.talking("ann", "do it").await;
    // It began a task in the turn in which it asks.
    cli.say(AgentEvent::Background { tasks: 1 }).await;
    cli.asks("r1", "{}").await;
    host.chat.until(&ann, |view| view.state == ViewState::Asking).await;
    until_it_runs(&host, 1).await;
    let bob = host.send("bob", "hello").await;
    host.chat.until(&bob, |view| view.state == ViewState::Waiting(1)).await;
    let held = setup.rules.agent.limits.asked + Duration::from_secs(1);
    let_time_pass(&host, held).await;
    assert!(cli.commands.try_recv().is_err(), "it works");
    cli.say(AgentEvent::Background { tasks: 0 }).await;
    until_it_runs(&host, 0).await;
    let_time_pass(&host, held).await;
    assert!(matches!(cli.command().await, Command::Kill));
}

#[tokio::test]
async fn what_runs_in_the_background_is_in_the_way_of_changes_until_somebody_ends_it() {
    let setup = Setup::new();
    let (mut host, mut cli) = at_work(&setup).await;
    let key = key(&host, "ann");
    let row = soon(host.registry.status(&key)).await.unwrap().row;
    let copy = soon(host.registry.copy(&row, None)).await.expect("a copy beside it");
    for change in [Change::Switch(copy.id.clone()), Change::Fork] {
        let refused = soon(host.registry.change(&key, change)).await;
        assert_eq!(refused, Err(ChangeError::Background));
    }
    let deleted = soon(host.registry.delete(&key, &row.id, "ann")).await;
    assert_eq!(deleted, Err(ChangeError::Background));
    let attached = soon(host.registry.attach(&key, &row.id, false)).await;
    assert_eq!(attached.map(|row| row.id), Err(ChangeError::Background));
    // A stop is for a turn.
    assert!(!soon(host.registry.stop(&key)).await);
    assert!(cli.commands.try_recv().is_err(), "nothing of this ended it");

    assert!(soon(host.registry.end_background(&key)).await);
    assert!(!soon(host.registry.end_background(&key)).await, "once");
    assert!(matches!(cli.command().await, Command::Close), "gently");
    assert_eq!(soon(host.registry.status(&key)).await.unwrap().background, 0);
    assert_eq!(
        soon(host.registry.change(&key, Change::Rename("mine".to_owned()))).await,
        Ok(())
    );
    // The conversation goes on in another process, once that one is gone.
    let two = host.send("ann", "two").await;
    assert!(host.started.try_recv().is_err());
    cli.exits(None).await;
    let mut again = host.spawned().await;
    assert_eq!(
        (&again.launch.cli_session, again.launch.resume),
        (&cli.launch.cli_session, true)
    );
    again.ready().await;
    assert_eq!(again.prompt().await, "two");
    // While a turn runs, nothing else is ended.
    again.say(AgentEvent::Background { tasks: 1 }).await;
    until_it_runs(&host, 1).await;
    assert!(!soon(host.registry.end_background(&key)).await);
    again.result_with(Outcome::Ok, 1).await;
    host.chat.ended(&two).await;
    assert!(again.commands.try_recv().is_err());
    // Nobody is in the way of another conversation any more.
    assert!(soon(host.registry.end_background(&key)).await);
    assert_eq!(soon(host.registry.change(&key, Change::Switch(copy.id))).await, Ok(()));
}

#[tokio::test]
async fn terminal_that_waits_is_given_the_session_when_the_last_task_ends() {
    let setup = Setup::new();
    let (host, mut cli) = at_work(&setup).await;
    let key = key(&host, "ann");
    let row = soon(host.registry.status(&key)).await.unwrap().row;
    let (registry, of, id) = (host.registry.clone(), key.clone(), row.id.clone());
    let attaching = tokio::spawn(async move { registry.attach(&of, &id, true).await });
    soon(host.registry.status(&key)).await;
    assert!(cli.commands.try_recv().is_err(), "it works");
    cli.say(AgentEvent::Background { tasks: 0 }).await;
    assert!(matches!(cli.command().await, Command::Close));
    cli.exits(None).await;
    assert_eq!(soon(attaching).await.unwrap().map(|row| row.id), Ok(row.id));
}

#[tokio::test]
async fn new_conversation_takes_what_waits_along_and_tells_what_it_ended() {
    let setup = Setup::new();
    let (mut host, mut cli) = at_work(&setup).await;
    let key = key(&host, "ann");
    let begun = |waiting, background| Begun { waiting, background };
    let two = host.send("ann", "two").await;
    assert_eq!(cli.prompt().await, "two");
    let three = host.send("ann", "three").await;
    let four = host.send("ann", "four").await;
    assert_eq!(soon(host.registry.reset(&key)).await, begun(2, 1));
    assert!(matches!(cli.command().await, Command::Kill));
    assert_eq!(host.chat.ended(&two).await.state, ViewState::Stopped);
    cli.exits(None).await;
    let mut new = host.spawned().await;
    assert!(!new.launch.resume && new.launch.cli_session != cli.launch.cli_session);
    new.ready().await;
    for (turn, text) in [(&three, "three"), (&four, "four")] {
        assert_eq!(new.prompt().await, text, "nothing of before is given to it");
        new.answer("ok").await;
        host.chat.ended(turn).await;
    }
    assert_ne!(host.row(&two).await.session_id, host.row(&three).await.session_id);
    assert_eq!(host.row(&three).await.session_id, host.row(&four).await.session_id);
    assert_eq!(soon(host.registry.reset(&key)).await, begun(0, 0));
}
