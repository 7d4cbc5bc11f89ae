//! A session in the operator's terminal: taken over, spoken with, and back with the chat, however it ended. The terminal
//! is the binary with pipes; the agent is the scripted CLI.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::binary::{RealHost, botyard, eventually};
use crate::host::{PATIENCE, processes_in};
use crate::operator::{asked, listed, text};
use crate::web::{Page, write};

/// `botyard sessions ...`, spoken with.
struct Spoken {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Spoken {
    fn start(folder: &Path, words: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_botyard"))
            .arg("--config")
            .arg(folder.join("bots.toml"))
            .arg("sessions")
            .args(words)
            .current_dir(folder)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let input = child.stdin.take().expect("a pipe");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, input, lines }
    }

    /// In a terminal: the session is there when this returns.
    async fn attach(folder: &Path, id: &str, more: &[&str]) -> Self {
        let mut words = vec!["attach", id];
        words.extend(more);
        let mut terminal = Self::start(folder, &words);
        terminal.until("ready ").await;
        terminal
    }

    /// The next line that has this in it.
    async fn until(&mut self, text: &str) -> String {
        let read = async {
            while let Some(line) = self.lines.next_line().await.expect("lines are text") {
                if line.contains(text) {
                    return line;
                }
            }
            let mut said = String::new();
            let mut errors = self.child.stderr.take().expect("a pipe");
            errors.read_to_string(&mut said).await.expect("stderr is text");
            panic!("no line with `{text}`: {said}");
        };
        tokio::time::timeout(PATIENCE, read).await.expect("it is said in time")
    }

    /// Waits until the session is its own. Trying to take it would take it away.
    async fn has_the_lock(&self) {
        let pid = self.child.id().expect("it lives");
        let held = format!("FLOCK  ADVISORY  WRITE {pid} ");
        eventually("the lock", async || {
            let locks = std::fs::read_to_string("/proc/locks").expect("/proc is there");
            locks.contains(&held).then_some(())
        })
        .await;
    }

    async fn type_in(&mut self, line: &str) {
        self.input
            .write_all(format!("{line}\n").as_bytes())
            .await
            .expect("it reads");
    }

    /// Waits for its end: the code, and what it said to stderr.
    async fn ended(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        let mut errors = self.child.stderr.take().expect("a pipe");
        let ended = async {
            errors.read_to_string(&mut said).await.expect("stderr is text");
            self.child.wait().await.expect("it ends")
        };
        let status = tokio::time::timeout(PATIENCE, ended).await.expect("it ends in time");
        (status.code(), said)
    }
}

/// The process that this one started.
fn child_of(parent: u32) -> rustix::process::Pid {
    let status = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let all = std::fs::read_dir("/proc").expect("/proc is there").flatten();
    let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let of_it = format!("PPid:\t{parent}\n");
    let child = pids.find(|pid| status(*pid).contains(&of_it));
    child.and_then(rustix::process::Pid::from_raw).expect("it has a child")
}

/// A host with one session, in which something was said.
async fn host_with_session(folder: &Path) -> (RealHost, Page, String) {
    write(folder, "");
    let host = RealHost::start(folder).await;
    let page = Page::open(&host, folder).await;
    asked(&page, "m1", "remember red").await;
    let id = listed(folder).await[0]["id"].as_str().expect("an id").to_owned();
    (host, page, id)
}

const AWAY: &str = "This conversation is open in a terminal; the message waits until it is back.";

/// Says something in the chat that waits for the terminal.
async fn waits(page: &Page, message: &str, words: &str) {
    page.say("c1", message, words).await;
    eventually("a message that waits", async || {
        let views = page.views("c1").await;
        views.into_iter().find(|view| view.to_string().contains(AWAY))
    })
    .await;
}

/// The reply that is done and has this in it.
async fn answered(page: &Page, words: &str) -> Value {
    eventually(words, async || {
        let views = page.views("c1").await;
        views
            .into_iter()
            .find(|view| view["state"] == "done" && view.to_string().contains(words))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn session_goes_to_the_terminal_and_comes_back_with_what_was_said_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (host, page, id) = host_with_session(folder).await;
    let mut terminal = Spoken::attach(folder, &id, &[]).await;
    // The chat waits, and sees why; nobody else gets it meanwhile.
    waits(&page, "m2", "recall from the chat").await;
    let second = botyard(folder, &["sessions", "attach", &id]).await;
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1));
    assert!(said.contains("is open in a terminal already, of process "), "{said}");
    let deleted = botyard(folder, &["sessions", "delete", &id, "--yes"]).await;
    assert!(!deleted.status.success(), "{deleted:?}");

    terminal.type_in("recall here").await;
    terminal.until("remember red | recall here").await;
    terminal.type_in("/clear").await;
    terminal.until("ready ").await;
    terminal.type_in("after the clear").await;
    terminal.until("echo: after the clear").await;
    terminal.type_in("/exit").await;
    let (code, said) = terminal.ended().await;
    assert_eq!((code, said.contains("back with the chat")), (Some(0), true), "{said}");

    // The chat goes on in the conversation that the terminal went to.
    let reply = answered(&page, "after the clear | recall from the chat").await;
    assert!(!reply.to_string().contains("remember red"), "{reply}");
    assert!(!reply.to_string().contains(AWAY), "{reply}");
    let log = text(&botyard(folder, &["sessions", "show", &id]).await);
    let at = |words: &str| {
        log.find(words)
            .unwrap_or_else(|| panic!("`{words}` is in the log: {log}"))
    };
    let order = [
        at("remember red"),
        at("**operator:** recall here\n\nremember red | recall here"),
        at("**operator:** after the clear\n\necho: after the clear"),
        at("recall from the chat"),
    ];
    assert!(order.is_sorted(), "{log}");
    // The scripted CLI takes its own command for something said; the log does not.
    assert!(!log.contains("**operator:** <command-name>"), "{log}");
    // And again, with nothing said.
    let mut terminal = Spoken::attach(folder, &id, &[]).await;
    terminal.type_in("exit 3").await;
    let (code, said) = terminal.ended().await;
    assert_eq!(code, Some(1));
    assert!(said.contains("ended with code 3"), "{said}");
    asked(&page, "m3", "still there").await;
    host.terminate().await;
    assert_eq!(processes_in(folder), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_gives_the_session_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (host, page, id) = host_with_session(folder).await;
    let mut terminal = Spoken::attach(folder, &id, &[]).await;
    terminal.type_in("said before the end").await;
    terminal.until("echo: said before the end").await;
    terminal.type_in("hang").await;
    waits(&page, "m2", "recall after it").await;
    terminal.child.start_kill().expect("it is killed");
    terminal.child.wait().await.expect("it is gone");
    answered(&page, "remember red | said before the end | recall after it").await;
    let log = text(&botyard(folder, &["sessions", "show", &id]).await);
    assert!(log.contains("**operator:** said before the end"), "{log}");

    // A signal that asks it to end: the same, and it says so.
    let terminal = Spoken::attach(folder, &id, &[]).await;
    let pid = i32::try_from(terminal.child.id().expect("it lives")).expect("a pid");
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it gets the signal");
    let (code, said) = terminal.ended().await;
    assert_eq!(code, Some(1));
    assert!(said.contains("back with the chat"), "{said}");
    // Whoever guards the CLI: it is ended too.
    let terminal = Spoken::attach(folder, &id, &[]).await;
    let guard = child_of(terminal.child.id().expect("it lives"));
    rustix::process::kill_process(guard, rustix::process::Signal::KILL).expect("it gets the signal");
    let (code, said) = terminal.ended().await;
    assert_eq!((code, said.contains("was left alone")), (Some(2), true), "{said}");
    asked(&page, "m3", "and on").await;
    host.terminate().await;
    assert_eq!(processes_in(folder), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn turn_that_runs_is_not_taken_from_the_chat_but_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (host, page, id) = host_with_session(folder).await;
    page.say("c1", "m2", "hang").await;
    page.view_in("c1", "running").await;
    let refused = botyard(folder, &["sessions", "attach", &id]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said.contains("a turn runs or waits") && said.contains("`--wait`"),
        "{said}"
    );
    // One that waits and gives up holds up nobody.
    let mut gives_up = Spoken::start(folder, &["attach", &id, "--wait"]);
    gives_up.has_the_lock().await;
    let second = botyard(folder, &["sessions", "attach", &id]).await;
    assert!(
        String::from_utf8_lossy(&second.stderr).contains("already"),
        "{second:?}"
    );
    gives_up.child.start_kill().expect("it is killed");
    gives_up.child.wait().await.expect("it is gone");
    let mut waiting = Spoken::start(folder, &["attach", &id, "--wait"]);
    waiting.has_the_lock().await;
    page.say("c1", "m3", "recall behind it").await;
    eventually("the queue", async || {
        let views = page.views("c1").await;
        views.into_iter().find(|view| view["state"] == "waiting")
    })
    .await;
    text(&botyard(folder, &["sessions", "interrupt", &id]).await);
    // Before what waits in the chat.
    waiting.until("ready ").await;
    waiting.type_in("first").await;
    waiting.until("echo: first").await;
    drop(waiting.input);
    let status = tokio::time::timeout(PATIENCE, waiting.child.wait())
        .await
        .expect("in time");
    assert!(status.expect("it ends").success());
    answered(&page, "| first | recall behind it").await;
    host.terminate().await;
    assert_eq!(processes_in(folder), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn host_that_is_killed_meanwhile_leaves_the_session_in_the_terminal_and_the_next_waits_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (mut host, page, id) = host_with_session(folder).await;
    let mut terminal = Spoken::attach(folder, &id, &[]).await;
    waits(&page, "m2", "recall the old host").await;
    host.kill();
    terminal.type_in("nobody listens").await;
    terminal.until("echo: nobody listens").await;
    let host = RealHost::start(folder).await;
    let page = Page::open(&host, folder).await;
    waits(&page, "m3", "recall the new host").await;
    terminal.type_in("/exit").await;
    assert_eq!(terminal.ended().await.0, Some(0));
    let said = "remember red | nobody listens | recall the old host | recall the new host";
    answered(&page, said).await;
    let log = text(&botyard(folder, &["sessions", "show", &id]).await);
    assert_eq!(log.matches("**operator:** nobody listens").count(), 1, "{log}");
    host.terminate().await;

    // Nobody runs, and one that was killed loses nothing.
    let mut terminal = Spoken::attach(folder, &id, &[]).await;
    terminal.type_in("all alone").await;
    terminal.until("echo: all alone").await;
    terminal.child.start_kill().expect("it is killed");
    terminal.child.wait().await.expect("it is gone");
    eventually("the end of its CLI", async || {
        processes_in(folder).is_empty().then_some(())
    })
    .await;
    let mut terminal = Spoken::attach(folder, &id, &[]).await;
    terminal.type_in("recall").await;
    terminal.until("all alone | recall").await;
    terminal.type_in("/exit").await;
    assert_eq!(terminal.ended().await.0, Some(0));
    let log = text(&botyard(folder, &["sessions", "show", &id]).await);
    assert_eq!(log.matches("**operator:** all alone").count(), 1, "{log}");
    assert_eq!(log.matches("**operator:** recall\n").count(), 1, "{log}");
    assert_eq!(processes_in(folder), Vec::<String>::new());
}

/// Somebody says this in a terminal and is killed, and nobody is there to take it in.
async fn left_behind(folder: &Path, id: &str, words: &str) {
    let mut terminal = Spoken::attach(folder, id, &[]).await;
    terminal.type_in(words).await;
    terminal.until(&format!("echo: {words}")).await;
    terminal.child.start_kill().expect("it is killed");
    terminal.child.wait().await.expect("it is gone");
    eventually("the end of its CLI", async || {
        processes_in(folder).is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terminal_keeps_its_session_where_no_host_runs_and_a_host_may_begin_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (host, _, id) = host_with_session(folder).await;
    assert_eq!(listed(folder).await[0]["terminal"], false);
    host.terminate().await;
    let mut terminal = Spoken::attach(folder, &id, &[]).await;
    assert_eq!(listed(folder).await[0]["terminal"], true);
    for (words, why) in [
        (&["attach", &id][..], "is open in a terminal already, of process "),
        (&["delete", &id, "--yes"], "it is open in a terminal"),
        (&["fork", &id], "it is open in a terminal"),
    ] {
        let refused = botyard(folder, &[&["sessions"], words].concat()).await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!((refused.status.code(), said.contains(why)), (Some(1), true), "{said}");
    }
    let host = RealHost::start(folder).await;
    let page = Page::open(&host, folder).await;
    let table = text(&botyard(folder, &["sessions", "list"]).await);
    assert!(table.contains(" terminal "), "{table}");
    waits(&page, "m2", "recall from the chat").await;
    terminal.type_in("all alone").await;
    terminal.until("echo: all alone").await;
    terminal.type_in("/exit").await;
    let (code, said) = terminal.ended().await;
    assert_eq!((code, said.contains("back with the chat")), (Some(0), true), "{said}");
    answered(&page, "remember red | all alone | recall from the chat").await;
    assert_eq!(listed(folder).await[0]["terminal"], false);
    host.terminate().await;

    // A window is one of tmux.
    let nowhere = botyard(folder, &["sessions", "attach", &id, "--tmux"]).await;
    let why = "this is no tmux: `TMUX` is not set\n\nhint: start it within tmux, or leave out `--tmux`\n";
    assert_eq!(
        (nowhere.status.code(), String::from_utf8_lossy(&nowhere.stderr).as_ref()),
        (Some(1), why)
    );
    assert_eq!(listed(folder).await[0]["terminal"], false);

    // What was left behind is of the session, whatever is done to that.
    left_behind(folder, &id, "once more").await;
    let copy = text(&botyard(folder, &["sessions", "fork", &id]).await);
    for session in [&id, copy.trim()] {
        let log = text(&botyard(folder, &["sessions", "show", session]).await);
        assert_eq!(log.matches("**operator:** once more").count(), 1, "{log}");
    }
    left_behind(folder, &id, "for nothing").await;
    // As a host leaves it that is killed at the wrong time.
    std::fs::write(folder.join(format!("data/terminal/{}.visits", copy.trim())), "{}").expect("it is written");
    for session in [&id, copy.trim()] {
        text(&botyard(folder, &["sessions", "delete", session, "--yes"]).await);
    }
    let left: Vec<_> = std::fs::read_dir(folder.join("data/terminal"))
        .expect("it is there")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_while_it_happens() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (host, page, id) = host_with_session(folder).await;
    let mut one = Spoken::start(folder, &["tail", &id, "--since", "1"]);
    one.until("remember red").await;
    one.until("echo: remember red").await;
    one.until("= done").await;
    let mut all = Spoken::start(folder, &["tail", "--json"]);
    // Whoever watches sees what runs already.
    page.say("c1", "m2", "slow 60000 half whole").await;
    one.until("slow 60000").await;
    let event = async |all: &mut Spoken, kind: &str| -> Value {
        let line = all.until(&format!("\"event\":\"{kind}\"")).await;
        serde_json::from_str(&line).expect("each line is JSON")
    };
    let first = event(&mut all, "asked").await;
    assert_eq!(
        (&first["session"], &first["bot"]),
        (&Value::from(id.as_str()), &Value::from("local"))
    );
    let text_of = event(&mut all, "text").await;
    assert_eq!(text_of["text"], "half ");
    text(&botyard(folder, &["sessions", "interrupt", &id]).await);
    one.until("half ").await;
    let end = event(&mut all, "ended").await;
    assert_eq!(end["state"], "stopped");
    one.until("= stopped").await;
    page.say("c1", "m3", "tool notes.txt").await;
    one.until("- Read notes.txt (").await;
    one.until("I read notes.txt").await;
    page.say("c1", "m4", "permission rm x").await;
    one.until("? ").await;
    let unknown = botyard(folder, &["sessions", "tail", "nonsense"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    host.terminate().await;
    for tail in [one, all] {
        let (code, said) = tail.ended().await;
        assert_eq!((code, said.contains("the host ended")), (Some(0), true), "{said}");
    }
    let nobody = botyard(folder, &["sessions", "tail"]).await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&nobody.stderr).contains("no host runs"),
        "{nobody:?}"
    );
}
