//! The real binary, as an operator starts it, for tests that kill it.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::host::{PATIENCE, Setup};

/// The real binary, for tests that kill it.
#[derive(Debug)]
pub(crate) struct RealHost {
    child: Child,
    pub(crate) base: String,
}

impl RealHost {
    /// Makes the folder that `start` runs in.
    pub(crate) fn folder(setup: &Setup) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        setup.write(folder.path());
        folder
    }

    /// Starts it in a folder that [`Setup`] was written to.
    pub(crate) async fn start(folder: &Path) -> Self {
        Self::start_of(Path::new(env!("CARGO_BIN_EXE_botyard")), folder).await
    }

    /// The same of a copy of the binary.
    pub(crate) async fn start_of(binary: &Path, folder: &Path) -> Self {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("stderr"))
            .expect("a log");
        let seen = std::fs::read_to_string(folder.join("stderr")).unwrap_or_default().len();
        let mut child = Command::new(binary)
            .arg("--config")
            .arg(folder.join("bots.toml"))
            .arg("run")
            .current_dir(folder)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        let begun = Instant::now();
        let base = loop {
            let text = std::fs::read_to_string(folder.join("stderr")).unwrap_or_default();
            if let Some(at) = text[seen..].find("127.0.0.1:") {
                let address: String = text[seen + at..]
                    .chars()
                    .take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':'))
                    .collect();
                if text[seen + at..].contains('\n') {
                    break format!("http://{address}");
                }
            }
            if let Ok(Some(status)) = child.try_wait() {
                panic!("the host ended with {status}:\n{}", &text[seen..]);
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "the host said no address:\n{}",
                &text[seen..]
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        Self { child, base }
    }

    pub(crate) fn hook(&self) -> String {
        format!("{}/hook/team", self.base)
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is gone");
    }

    /// As SIGTERM; waits for the end.
    pub(crate) async fn terminate(mut self) {
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        )
        .expect("it gets the signal");
        let begun = Instant::now();
        while self.child.try_wait().expect("it can be waited for").is_none() {
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for RealHost {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `check` gives something.
pub(crate) async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, found).await {
        Ok(found) => found,
        Err(_) => panic!("timed out waiting for {what}"),
    }
}

/// What the binary does with these words in a folder that has a bots.toml; it ends with the test.
pub(crate) async fn botyard(folder: &Path, words: &[&str]) -> Output {
    botyard_with(folder, words, &[]).await
}

/// The same with these variables.
pub(crate) async fn botyard_with(folder: &Path, words: &[&str], variables: &[(&str, &str)]) -> Output {
    let ended = tokio::process::Command::new(env!("CARGO_BIN_EXE_botyard"))
        .arg("--config")
        .arg(folder.join("bots.toml"))
        .args(words)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("it ends in time")
        .expect("the binary runs")
}
