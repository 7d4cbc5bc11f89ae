//! A process that is kept ready for whoever is new.

use super::damaged::spoil;
use super::*;

fn setup() -> Setup {
    let mut setup = Setup::new();
    let mut agent = (*setup.rules.agent).clone();
    agent.spare = true;
    setup.rules.agent = Arc::new(agent);
    setup
}

/// The next process is a spare one, and ready.
async fn warm(host: &mut Host) -> Cli {
    let cli = host.spawned().await;
    cli.ready().await;
    soon(async {
        while !host.registry.has_spare() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    cli
}

async fn session(host: &Host, person: &str) -> crate::store::SessionRow {
    let key = key(host, person);
    let row = host.journal.read(move |store| store.session_get(&key)).await;
    row.unwrap().expect("it has a session")
}

#[tokio::test]
async fn whoever_is_new_gets_the_process_that_is_ready_with_its_folders() {
    let setup = setup();
    let mut host = setup.start().await;
    let mut cli = warm(&mut host).await;
    let turn = host.send("ann", "hello").await;
    assert_eq!(cli.prompt().await, "hello", "no other was started for it");
    cli.answer("hi").await;
    assert_eq!(seen(&host.chat.ended(&turn).await), ["hi"]);
    let row = session(&host, "ann").await;
    assert_eq!(row.cli_session.as_deref(), Some(cli.launch.cli_session.as_str()));
    assert_eq!(host.registry.workspace(&row), cli.launch.workspace);

    // Another is made ready, in folders of its own, and is the next one's.
    let mut other = warm(&mut host).await;
    assert_ne!(other.launch.workspace, cli.launch.workspace);
    assert_ne!(other.launch.config_dir, cli.launch.config_dir);
    let second = host.send("ann", "again").await;
    assert_eq!(cli.prompt().await, "again", "who has one keeps it");
    cli.answer("yes").await;
    host.chat.ended(&second).await;

    // Its process gone, the session goes on in the same folders, and takes no spare one.
    cli.exits(None).await;
    host.send("ann", "still there?").await;
    let mut next = host.spawned().await;
    assert!(next.launch.resume);
    assert_eq!(
        (
            &next.launch.workspace,
            &next.launch.config_dir,
            &next.launch.cli_session
        ),
        (&cli.launch.workspace, &cli.launch.config_dir, &cli.launch.cli_session)
    );
    next.ready().await;
    assert_eq!(next.prompt().await, "still there?");
    host.send("bob", "hello from bob").await;
    assert_eq!(other.prompt().await, "hello from bob");
}

#[tokio::test]
async fn after_a_restart_the_folders_are_still_the_sessions() {
    let setup = setup();
    let mut host = setup.start().await;
    let mut cli = warm(&mut host).await;
    let turn = host.send("ann", "hello").await;
    assert_eq!(cli.prompt().await, "hello");
    cli.answer("hi").await;
    host.chat.ended(&turn).await;
    let launch = host.crash(cli).await;
    // Also where her session's row cannot be read any more.
    for text in ["again", "and again"] {
        if text == "and again" {
            spoil(&setup, "UPDATE sessions SET session = '{' WHERE current = 1", 1);
        }
        let mut host = setup.start().await;
        let first = host.spawned().await;
        host.send("ann", text).await;
        let second = host.spawned().await;
        // Where the last host left a turn of hers, its process may be the first.
        let (spare, next) = if first.launch.workspace == launch.workspace {
            (second, first)
        } else {
            (first, second)
        };
        assert_ne!(spare.launch.workspace, launch.workspace);
        assert_eq!(
            (&next.launch.workspace, &next.launch.config_dir),
            (&launch.workspace, &launch.config_dir)
        );
        host.crash(next).await;
    }
}

#[tokio::test]
async fn spare_process_that_died_is_nobodys() {
    let setup = setup();
    let mut host = setup.start().await;
    let cli = warm(&mut host).await;
    cli.exits(Some(FailureKind::Died)).await;
    let turn = host.send("ann", "hello").await;
    // The next spare one is not started at once: this one may not be the last to die.
    let mut hers = host.spawned().await;
    assert_ne!(hers.launch.workspace, cli.launch.workspace);
    hers.ready().await;
    assert_eq!(hers.prompt().await, "hello");
    hers.answer("hi").await;
    assert_eq!(seen(&host.chat.ended(&turn).await), ["hi"]);
}

#[tokio::test]
async fn what_a_killed_host_kept_ready_is_removed() {
    let setup = setup();
    let left = setup.folder.path().join("work/wdead");
    let below = ["data/spare/team.fake", "data/users/team/wdead/claude", "data/tmp/wdead"];
    for folder in below
        .map(|folder| setup.folder.path().join(folder))
        .iter()
        .chain([&left])
    {
        std::fs::create_dir_all(folder).unwrap();
    }
    let mark = setup.folder.path().join("data/spare/team.fake/wdead");
    std::fs::write(&mark, "").unwrap();
    let mut host = setup.start().await;
    // Another is made ready after the old one's folders are gone.
    let new = host.spawned().await;
    let there = |name: &str| setup.folder.path().join(name).exists();
    assert!(!left.exists() && !mark.exists());
    assert!(!there("data/users/team/wdead") && !there("data/tmp/wdead"));
    assert!(new.launch.workspace.is_dir());
}

#[tokio::test]
async fn spare_process_ends_with_the_host_and_leaves_nothing() {
    let setup = setup();
    let mut host = setup.start().await;
    let mut cli = warm(&mut host).await;
    let registry = host.registry.clone();
    let closing = tokio::spawn(async move { registry.close(LIMIT).await });
    assert!(matches!(cli.command().await, Command::Close));
    cli.exits(None).await;
    soon(closing).await.unwrap();
    assert!(!cli.launch.workspace.exists());
}

#[tokio::test]
async fn later_sessions_of_the_key_share_what_the_agent_learnt_in_the_first() {
    let setup = setup();
    let mut host = setup.start().await;
    let mut cli = warm(&mut host).await;
    let turn = host.send("ann", "hello").await;
    assert_eq!(cli.prompt().await, "hello");
    cli.answer("hi").await;
    host.chat.ended(&turn).await;
    let _spare = warm(&mut host).await;
    let key = key(&host, "ann");
    let registry = host.registry.clone();
    let reset = tokio::spawn(async move { registry.reset(&key).await });
    assert!(matches!(cli.command().await, Command::Kill));
    cli.exits(None).await;
    soon(reset).await.unwrap();
    host.send("ann", "anew").await;
    let next = host.spawned().await;
    assert!(!next.launch.resume);
    assert_eq!(next.launch.config_dir, cli.launch.config_dir);
    assert_ne!(next.launch.workspace, cli.launch.workspace);
}
