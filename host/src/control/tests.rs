use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::chat::{Block, Conversation, Part, Target, View, ViewState};
use crate::session::tail::Happened;
use crate::store::{Journal, OutboxRow, OutboxState};

/// Answers with fixed values and keeps what it was asked to change.
#[derive(Default)]
struct Host {
    changed: Mutex<Vec<String>>,
}

/// Says numbers as fast as they are taken, after this one.
struct Ticking(u32);

impl Watching for Ticking {
    fn next(&mut self) -> BoxFuture<'_, Vec<Line>> {
        self.0 += 1;
        let text = self.0.to_string();
        Box::pin(async move { vec![line(Happened::Text { text })] })
    }
}

fn line(what: Happened) -> Line {
    Line {
        session: "s".into(),
        bot: "local".into(),
        turn: "t".into(),
        what,
    }
}

fn report() -> StatusReport {
    StatusReport {
        version: "9.9.9".into(),
        pid: 42,
        started: 1_000,
        listen: "127.0.0.1:8787".into(),
        bots: vec![BotStatus {
            name: "local".into(),
            adapter: "web".into(),
            connection: "live".into(),
            since: Some(1_000),
            heard: Some(1_500),
            detail: None,
            retry_at: None,
            agent: "auto".into(),
            sessions_live: 1,
            sessions_background: 1,
            running: 2,
            waiting: 3,
            last_event: Some(2_000),
            events: 4,
            skipped: 1,
            failures: 5,
            last_failure: Some("trapped".into()),
        }],
        counts: Counts {
            inbox_new: 6,
            ..Counts::default()
        },
    }
}

fn letter_of(turn: &str) -> Letter {
    Letter::from(row(turn, OutboxState::Dead))
}

impl ControlHandler for Host {
    fn talks(&self, bot: Option<BotName>, words: Option<String>, skip: u32) -> BoxFuture<'_, Result<Listed, String>> {
        Box::pin(async move { Err(format!("no sessions of {bot:?} with {words:?} after {skip}")) })
    }
    fn fork(&self, id: SessionId, _: Option<String>, _: bool) -> BoxFuture<'_, Result<Copied, String>> {
        Box::pin(async move { Err(format!("no session {id}")) })
    }
    fn adopt(&self, id: SessionId, _: PathBuf, _: Option<String>, _: bool) -> BoxFuture<'_, Result<Adopted, String>> {
        Box::pin(async move { Err(format!("no session {id}")) })
    }
    fn delete(&self, id: SessionId) -> BoxFuture<'_, Result<Vec<String>, String>> {
        Box::pin(async move {
            // A folder with much in it.
            tokio::time::sleep(std::time::Duration::from_secs(60)).await;
            Err(format!("no session {id}"))
        })
    }
    fn attach(&self, id: SessionId, _: bool) -> BoxFuture<'_, Result<SessionRow, String>> {
        Box::pin(async move { Err(format!("no session {id}")) })
    }
    fn returned(&self, _: SessionId) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
    fn tail(&self, id: Option<SessionId>, since: u32) -> BoxFuture<'_, Result<Box<dyn Watching>, String>> {
        Box::pin(async move {
            match id {
                Some(id) => Err(format!("no session {id}")),
                None => Ok(Box::new(Ticking(since)) as Box<dyn Watching>),
            }
        })
    }
    fn session(&self, id: SessionId) -> BoxFuture<'_, Result<SessionRow, String>> {
        Box::pin(async move { Err(format!("no session {id}")) })
    }
    fn talk(&self, id: SessionId, _: Option<TurnPlace>) -> BoxFuture<'_, Result<TalkLog, String>> {
        Box::pin(async move { Err(format!("no session {id}")) })
    }
    fn interrupt(&self, id: SessionId) -> BoxFuture<'_, Result<bool, String>> {
        self.changed.lock().unwrap().push(format!("interrupt {id}"));
        Box::pin(async { Ok(true) })
    }
    fn status(&self) -> BoxFuture<'_, Result<StatusReport, String>> {
        Box::pin(async { Ok(report()) })
    }
    fn letters(&self) -> BoxFuture<'_, Result<Vec<Letter>, String>> {
        Box::pin(async { Ok(vec![letter_of("one"), letter_of("two")]) })
    }
    fn letter(&self, turn: TurnId) -> BoxFuture<'_, Result<LetterText, String>> {
        Box::pin(async move {
            Ok(LetterText {
                letter: letter_of(turn.as_str()),
                text: "what it says\n".into(),
            })
        })
    }
    fn retry(&self, turn: TurnId) -> BoxFuture<'_, Result<Letter, String>> {
        self.changed.lock().expect("unpoisoned").push(format!("retry {turn}"));
        Box::pin(async move { Ok(letter_of(turn.as_str())) })
    }
    fn discard(&self, turn: TurnId) -> BoxFuture<'_, Result<Letter, String>> {
        Box::pin(async move { Err(format!("there is no turn `{turn}`")) })
    }
}

fn row(turn: &str, state: OutboxState) -> OutboxRow {
    let conversation = Conversation {
        tenant: None,
        channel: "C1".into(),
        thread: None,
        direct: false,
    };
    OutboxRow {
        turn: turn.into(),
        bot: "local".into(),
        target: Target {
            conversation,
            reply_to: Vec::new(),
            private_to: None,
        },
        view: Some(View {
            turn: turn.into(),
            revision: 1,
            state: ViewState::Failed("it broke".into()),
            blocks: vec![Block {
                id: 1,
                parent: None,
                revision: 1,
                part: Part::Text("half an answer\n".into()),
                complete: true,
            }],
            stop_token: None,
            footer: None,
            extra: Vec::new(),
        }),
        state,
        memory: None,
        attempts: 7,
        next_try: 0,
        last_error: Some("gone: the channel".into()),
        updated: 1,
    }
}

struct Served {
    host: Arc<Host>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn serve(folder: &std::path::Path, temp: &std::path::Path) -> Served {
    let host = Arc::new(Host::default());
    let stop = CancellationToken::new();
    let listener = Listener::bind(folder, temp).expect("a socket");
    let task = tokio::spawn(listener.serve(host.clone(), stop.clone()));
    Served { host, stop, task }
}

impl Served {
    async fn end(self) {
        self.stop.cancel();
        self.task.await.expect("serving ends");
    }
}

#[tokio::test]
async fn a_command_reaches_the_running_host_and_its_answer_comes_back_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let served = serve(folder.path(), folder.path());
    let client = Client::new(folder.path());
    assert_eq!(client.status().await.expect("a report"), report());
    assert_eq!(
        client.letters().await.expect("letters"),
        [letter_of("one"), letter_of("two")]
    );
    let shown = client.letter(&"three".into()).await.expect("a letter");
    assert_eq!(
        (shown.letter, shown.text.as_str()),
        (letter_of("three"), "what it says\n")
    );
    assert_eq!(client.retry(&"four".into()).await.expect("retried"), letter_of("four"));
    assert_eq!(*served.host.changed.lock().expect("unpoisoned"), ["retry four"]);
    let refused = client.discard(&"five".into()).await.expect_err("refused");
    assert_eq!(refused.to_string(), "there is no turn `five`");
    served.end().await;
}

#[tokio::test]
async fn the_socket_is_for_its_owner_and_goes_with_the_host() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    // A socket that a killed host left behind is replaced.
    drop(std::os::unix::net::UnixListener::bind(folder.path().join("control.sock")).expect("an old socket"));
    let client = Client::new(folder.path());
    assert!(matches!(client.status().await, Err(ControlError::NotRunning(_))));
    let served = serve(folder.path(), folder.path());
    let mode = std::fs::metadata(folder.path().join("control.sock"))
        .expect("the socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    served.end().await;
    assert!(!folder.path().join("control.sock").exists());
    assert!(matches!(client.status().await, Err(ControlError::NotRunning(_))));
}

#[tokio::test]
async fn a_folder_whose_name_is_too_long_has_its_socket_elsewhere() {
    let root = tempfile::tempdir().expect("a folder");
    let folder: PathBuf = root.path().join("a".repeat(90)).join("b".repeat(90));
    std::fs::create_dir_all(&folder).expect("folders");
    let client = Client::new(&folder);
    assert!(matches!(client.status().await, Err(ControlError::NotRunning(_))));
    let served = serve(&folder, root.path());
    assert_eq!(client.status().await.expect("a report").pid, 42);
    served.end().await;
    let left: Vec<_> = std::fs::read_dir(&folder).expect("the folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn what_is_no_request_is_refused_in_words() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let folder = tempfile::tempdir().expect("a folder");
    let served = serve(folder.path(), folder.path());
    for (sent, said) in [
        ("{\"do\":\"dance\"}\n".to_owned(), "does not understand the request"),
        ("x".repeat(70_000), "the request is not one line"),
    ] {
        let mut stream = tokio::net::UnixStream::connect(folder.path().join("control.sock"))
            .await
            .expect("connected");
        // The host may answer before it has read all of it.
        let _ = stream.write_all(sent.as_bytes()).await;
        let _ = stream.shutdown().await;
        let mut answered = Vec::new();
        let _ = stream.read_to_end(&mut answered).await;
        let answered = String::from_utf8_lossy(&answered);
        assert!(answered.contains("refused") && answered.contains(said), "{answered}");
    }
    assert_eq!(Client::new(folder.path()).status().await.expect("it goes on").pid, 42);
    served.end().await;
}

#[tokio::test]
async fn what_lasts_is_told_line_by_line_and_ends_with_the_host() {
    let folder = tempfile::tempdir().expect("a folder");
    let served = serve(folder.path(), folder.path());
    let client = Client::new(folder.path());
    let refused = client.tail(Some("five".into()), 0).await.expect_err("refused");
    assert_eq!(refused.to_string(), "no session five");
    // More than exchanges there may be at a time, and commands still get through.
    let mut all = Vec::new();
    for number in 0..20 {
        all.push(client.tail(None, number).await.expect("followed"));
    }
    assert_eq!(client.status().await.expect("a report").pid, 42);
    for (number, following) in (1_u32..).zip(&mut all) {
        let first = following.next().await.expect("a line").expect("it lives");
        let text = number.to_string();
        assert_eq!(first, line(Happened::Text { text }));
    }
    // None of them reads on: the host ends all the same, and says so.
    served.end().await;
    for mut following in all {
        while following.next().await.expect("no error").is_some() {}
    }
}

#[tokio::test]
async fn more_than_there_may_be_that_last_are_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let served = serve(folder.path(), folder.path());
    let client = Client::new(folder.path());
    let mut all = Vec::new();
    for _ in 0..32 {
        all.push(client.tail(None, 0).await.expect("followed"));
    }
    let refused = client.tail(None, 0).await.expect_err("refused");
    assert_eq!(refused.to_string(), "32 terminals and tails are open already: end one");
    // One that ends makes room.
    all.pop();
    let again = async {
        while client.tail(None, 0).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    let room = tokio::time::timeout(std::time::Duration::from_secs(10), again).await;
    room.expect("there is room again");
    served.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_may_take_its_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let served = serve(folder.path(), folder.path());
    let refused = Client::new(folder.path()).delete(&"five".into()).await;
    assert_eq!(refused.expect_err("refused").to_string(), "no session five");
    served.end().await;
}

#[test]
fn a_folder_is_held_by_one_host_at_a_time() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("data");
    let held = Lock::take(&folder).expect("free");
    let error = Lock::take(&folder).expect_err("taken");
    assert_eq!(
        error.to_string(),
        format!(
            "a host runs already in `{}`, process {}",
            folder.display(),
            std::process::id()
        )
    );
    drop(held);
    Lock::take(&folder).expect("free again");
}

async fn store_with(rows: Vec<OutboxRow>) -> (tempfile::TempDir, Journal) {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(&folder.path().join("botyard.db")).expect("a store");
    journal
        .write(move |store| rows.iter().try_for_each(|row| store.outbox_put(row)))
        .await
        .expect("written");
    (folder, journal)
}

#[tokio::test]
async fn dead_letters_are_listed_and_show_what_they_say() {
    let (_folder, journal) = store_with(vec![
        row("dead", OutboxState::Dead),
        row("sent", OutboxState::Sent),
        row("pending", OutboxState::Pending),
    ])
    .await;
    assert_eq!(letter::list(&journal).await.expect("a list"), [letter_of("dead")]);
    let shown = letter::show(&journal, &"dead".into()).await.expect("a letter");
    assert_eq!(shown.text, "half an answer\n\n! it broke");
    let unknown = letter::show(&journal, &"none".into()).await.expect_err("unknown");
    assert_eq!(unknown.to_string(), "there is no turn `none` in the outbox");
    journal.close().await;
}

#[tokio::test]
async fn a_retried_letter_is_pending_with_all_its_attempts() {
    let (_folder, journal) = store_with(vec![row("dead", OutboxState::Dead)]).await;
    let retried = letter::retry(&journal, &"dead".into()).await.expect("retried");
    assert_eq!((retried.state, retried.attempts), (OutboxState::Pending, 0));
    let pending = journal
        .read(|store| store.outbox_pending(&"local".into()))
        .await
        .expect("read");
    assert_eq!(pending, [retried]);
    let again = letter::retry(&journal, &"dead".into())
        .await
        .expect_err("not dead any more");
    assert_eq!(again.to_string(), "turn `dead` is no dead letter: it is pending");
    journal.close().await;
}

#[tokio::test]
async fn a_dropped_letter_is_neither_pending_nor_listed() {
    let (_folder, journal) = store_with(vec![row("dead", OutboxState::Dead)]).await;
    letter::discard(&journal, &"dead".into()).await.expect("dropped");
    assert_eq!(letter::list(&journal).await.expect("a list"), []);
    assert_eq!(
        journal
            .read(|store| store.outbox_pending(&"local".into()))
            .await
            .expect("read"),
        []
    );
    journal.close().await;
}
