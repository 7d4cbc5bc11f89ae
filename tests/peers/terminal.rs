//! The real CLI in a real terminal, which is a window of tmux: taken over from the chat, and back.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use botyard_fakes::model::Model;

use crate::binary::{botyard, eventually};
use crate::journey::{programs, team};

/// A server of its own with one window, and nothing in its environment.
struct Tmux {
    name: String,
    home: PathBuf,
}

impl Tmux {
    /// With this command line of ours; what it ended with goes into the file `code`.
    fn start(folder: &Path, words: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let program = env!("CARGO_BIN_EXE_botyard");
        let config = folder.join("bots.toml").display().to_string();
        let home = folder.display();
        let line = format!("{program} --config {config} {words}; echo $? > {home}/code");
        let tmux = Self {
            name: format!("botyard-test-{}-{count}", std::process::id()),
            home: folder.to_owned(),
        };
        tmux.run(&["-f", "/dev/null", "new-session", "-d", "-x", "140", "-y", "45", &line]);
        tmux
    }

    fn run(&self, words: &[&str]) -> Output {
        let ran = Command::new("tmux")
            .arg("-L")
            .arg(&self.name)
            .args(words)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &self.home)
            .env("LANG", "C.UTF-8")
            .output();
        ran.expect("tmux is installed; see .ci/run")
    }

    /// What its windows are called.
    fn windows(&self) -> Vec<String> {
        let listed = self.run(&["list-windows", "-F", "#{window_name}"]).stdout;
        String::from_utf8_lossy(&listed).lines().map(str::to_owned).collect()
    }

    async fn until(&self, what: &str, like: impl Fn(&str) -> bool) {
        eventually(&format!("{what} in the terminal"), async || {
            let pane = self.run(&["capture-pane", "-p"]).stdout;
            like(&String::from_utf8_lossy(&pane)).then_some(())
        })
        .await;
    }

    async fn shows(&self, words: &str) {
        self.until(words, |pane| pane.contains(words)).await;
    }

    /// Types a line and waits for what comes of it.
    async fn types(&self, line: &str, then: &str) {
        self.run(&["send-keys", "-l", line]);
        self.shows(line).await;
        self.run(&["send-keys", "Enter"]);
        self.shows(then).await;
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}

/// Waits until the command line is over; what it ended with.
async fn code(folder: &Path) -> String {
    eventually("its end", async || {
        let code = std::fs::read_to_string(folder.join("code")).ok()?;
        (!code.is_empty()).then_some(code)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn session_is_spoken_with_in_a_terminal_and_goes_on_in_the_chat() {
    for program in programs() {
        let model = Model::start().await;
        let team = team(program, &model).await;
        team.write("U1", "hello model").await;
        team.final_with("D1", "hello model").await;
        let team = team
            .restart_after(async |folder| {
                let listed = botyard(folder, &["sessions", "list", "--json"]).await;
                let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
                let id = listed[0]["id"].as_str().expect("one session").to_owned();
                let tmux = Tmux::start(folder, &format!("sessions attach {id}"));
                // Nothing is asked about the folder or the key: the conversation is there.
                tmux.shows("hello model").await;
                tmux.types("typed by hand", "echo: typed by hand").await;
                tmux.run(&["send-keys", "-l", "/clear"]);
                tmux.shows("/clear").await;
                tmux.run(&["send-keys", "Enter"]);
                tmux.until("nothing of before", |pane| !pane.contains("typed by hand"))
                    .await;
                tmux.types("after the clear", "echo: after the clear").await;
                tmux.run(&["send-keys", "-l", "/exit"]);
                tmux.run(&["send-keys", "Enter"]);
                assert_eq!(code(folder).await, "0\n");
                let log = botyard(folder, &["sessions", "show", &id]).await;
                let log = String::from_utf8_lossy(&log.stdout).into_owned();
                for said in [
                    "hello model",
                    "**operator:** typed by hand\n",
                    "**operator:** after the clear\n",
                ] {
                    assert!(log.contains(said), "{log}");
                }
            })
            .await;
        let before = model.requests().len();
        team.write("U1", "and on in the chat").await;
        team.final_with("D1", "and on in the chat").await;
        let asked: String = model.requests()[before..].iter().map(ToString::to_string).collect();
        assert!(
            asked.contains("after the clear") && !asked.contains("hello model"),
            "{asked}"
        );
        team.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_is_opened_in_a_window_of_its_own_and_is_back_when_that_closes() {
    let program = programs().into_iter().next().expect("a program");
    let model = Model::start().await;
    let team = team(program, &model).await;
    team.write("U1", "hello model").await;
    team.final_with("D1", "hello model").await;
    let team = team
        .restart_after(async |folder| {
            let session = async || {
                let listed = botyard(folder, &["sessions", "list", "--json"]).await;
                let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
                listed[0].clone()
            };
            let id = session().await["id"].as_str().expect("one session").to_owned();
            let tmux = Tmux::start(folder, &format!("sessions attach {id} --tmux"));
            // The new window is the one that is seen.
            tmux.shows("hello model").await;
            let windows = tmux.windows();
            assert_eq!((windows.len(), windows.last()), (2, Some(&format!("botyard {id}"))));
            assert_eq!(session().await["terminal"], true);
            let refused = botyard(folder, &["sessions", "attach", &id]).await;
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(
                !refused.status.success() && said.contains("is open in a terminal already"),
                "{said}"
            );
            tmux.types("typed in a window", "echo: typed in a window").await;
            assert!(
                !folder.join("code").exists(),
                "whoever opened the window waits for its end"
            );
            tmux.run(&["send-keys", "-l", "/exit"]);
            tmux.run(&["send-keys", "Enter"]);
            assert_eq!(code(folder).await, "0\n");
            assert_eq!(session().await["terminal"], false);
            let log = botyard(folder, &["sessions", "show", &id]).await;
            let log = String::from_utf8_lossy(&log.stdout).into_owned();
            assert!(log.contains("**operator:** typed in a window\n"), "{log}");
        })
        .await;
    let before = model.requests().len();
    team.write("U1", "and on in the chat").await;
    team.final_with("D1", "and on in the chat").await;
    let asked: String = model.requests()[before..].iter().map(ToString::to_string).collect();
    assert!(asked.contains("typed in a window"), "{asked}");
    team.stop().await;
}
