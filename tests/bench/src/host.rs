//! The binary under measurement: started as an operator starts it, watched from outside.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use botyard::chat::{BotName, Conversation, SessionKey};
use botyard::store::{Journal, SessionRow};
use tempfile::TempDir;

use crate::report::Report;
use crate::vendor::{SIGNING, Vendor};

/// A running host in a folder of its own.
#[derive(Debug)]
pub(crate) struct Host {
    child: Child,
    folder: TempDir,
    pub(crate) base: String,
    pub(crate) ready: Duration,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Host {
    /// A folder with bots.toml for a Slack bot and the local web chat, and `known` idle sessions in the store.
    pub(crate) async fn prepare(api: &str, known: usize) -> Result<TempDir> {
        Self::prepare_with(api, known, "").await
    }

    /// The same, for one bot with the real Claude Code, whose model is at this address, within a memory budget; with these
    /// lines more for the agent.
    pub(crate) async fn prepare_claude(
        api: &str,
        claude: &Path,
        model: &str,
        budget: &str,
        agent: &str,
    ) -> Result<TempDir> {
        let folder = tempfile::tempdir_in(std::env::current_dir()?)?;
        let config = format!(
            r#"
[host]
listen = "127.0.0.1:0"
data_dir = "data"
memory_budget = {budget:?}

[agent.claude]
driver = "claude"
command = [{claude:?}]
login = {{ api_key = "file:token" }}
env = {{ ANTHROPIC_BASE_URL = {model:?} }}
{agent}

[[bot]]
name = "team"
adapter = "plain.wasm"
agent = "claude"
scope = "user"
workspace = "work"
allow = ["*"]
api_base = {api:?}
secrets = {{ bot_token = "file:token", signing_secret = "file:signing" }}
"#
        );
        std::fs::write(folder.path().join("bots.toml"), config)?;
        std::fs::write(folder.path().join("plain.wasm"), include_bytes!(env!("GUEST_PLAIN")))?;
        std::fs::write(folder.path().join("token"), "sk-ant-dummy-key")?;
        std::fs::write(folder.path().join("signing"), SIGNING)?;
        Ok(folder)
    }

    /// With these lines more for the agent.
    pub(crate) async fn prepare_with(api: &str, known: usize, agent: &str) -> Result<TempDir> {
        // Beside the build, so that the disk is a real one: a folder in memory would cost nothing to sync.
        let folder = tempfile::tempdir_in(std::env::current_dir()?)?;
        let own = std::env::current_exe()?;
        let config = format!(
            r#"
[host]
listen = "127.0.0.1:0"
data_dir = "data"
max_processes = 256

[agent.scripted]
driver = "claude"
command = [{own:?}, "scripted-cli"]
login = "none"
env = {{ BENCH_LOG = {log:?} }}
{agent}

[[bot]]
name = "team"
adapter = "plain.wasm"
agent = "scripted"
scope = "user"
workspace = "work"
allow = ["*"]
api_base = {api:?}
secrets = {{ bot_token = "file:token", signing_secret = "file:signing" }}

[[bot]]
name = "slack"
adapter = "slack"
agent = "scripted"
scope = "user"
workspace = "work-slack"
allow = ["*"]
api_base = {api:?}
secrets = {{ bot_token = "file:token", signing_secret = "file:signing" }}

[[bot]]
name = "local"
adapter = "web"
agent = "scripted"
scope = "channel"
workspace = "work-local"
allow = ["*"]
"#,
            log = folder.path().join("cli.log"),
        );
        std::fs::write(folder.path().join("bots.toml"), config)?;
        std::fs::write(folder.path().join("plain.wasm"), include_bytes!(env!("GUEST_PLAIN")))?;
        std::fs::write(folder.path().join("token"), "xoxb-bench")?;
        std::fs::write(folder.path().join("signing"), SIGNING)?;
        if known > 0 {
            std::fs::create_dir_all(folder.path().join("data"))?;
            let journal = Journal::open(&folder.path().join("data/botyard.db"))?;
            for chunk in (0..known).collect::<Vec<_>>().chunks(500) {
                let chunk = chunk.to_vec();
                journal
                    .write(move |store| {
                        for index in chunk {
                            store.session_put(&SessionRow {
                                cli_session: Some(format!("00000000-0000-4000-8000-{index:012}")),
                                resumable: true,
                                updated: 1_700_000_000_000,
                                ..SessionRow::begin(
                                    SessionKey(format!("team/known/{index}")),
                                    BotName("team".into()),
                                    "scripted".into(),
                                    Conversation {
                                        tenant: Some("T1".into()),
                                        channel: format!("K{index}"),
                                        thread: None,
                                        direct: true,
                                    },
                                )
                            })?;
                        }
                        Ok(())
                    })
                    .await?;
            }
            journal.close().await;
        }
        Ok(folder)
    }

    /// Starts it and waits until the port answers.
    pub(crate) async fn start(binary: &Path, folder: TempDir) -> Result<Self> {
        let begun = Instant::now();
        let mut child = Command::new(binary)
            .arg("--config")
            .arg(folder.path().join("bots.toml"))
            .arg("run")
            .current_dir(folder.path())
            .env_clear()
            // With where node is, for what is not a program of its own.
            .env(
                "PATH",
                std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()),
            )
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("the binary could not be started")?;
        let stderr = child.stderr.take().context("stderr is piped")?;
        let (found, base) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut found = Some(found);
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let (Some(at), true) = (line.find("http://127.0.0.1:"), found.is_some()) {
                    let address: String = line[at + 7..]
                        .chars()
                        .take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':'))
                        .collect();
                    if let Some(found) = found.take() {
                        let _ = found.send(format!("http://{address}"));
                    }
                }
                if line.contains("ERROR") || line.contains("WARN") {
                    eprintln!("  host: {line}");
                }
            }
        });
        let base = tokio::time::timeout(Duration::from_secs(60), base)
            .await
            .context("the host said no address")??;
        let client = reqwest::Client::new();
        loop {
            if client
                .get(format!("{base}/healthz"))
                .send()
                .await
                .is_ok_and(|r| r.status() == 200)
            {
                break;
            }
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "the port did not answer");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Self {
            child,
            folder,
            base,
            ready: begun.elapsed(),
        })
    }

    /// What the binary says to these words about this host.
    pub(crate) async fn ask(&self, binary: &Path, words: &[&str]) -> Result<Vec<u8>> {
        let said = tokio::process::Command::new(binary)
            .arg("--config")
            .arg(self.folder.path().join("bots.toml"))
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        anyhow::ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        Ok(said.stdout)
    }

    pub(crate) fn hook(&self) -> String {
        format!("{}/hook/team", self.base)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn cli_log(&self) -> PathBuf {
        self.folder.path().join("cli.log")
    }

    /// Resident memory of the host process alone, in KiB.
    pub(crate) fn rss_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .context("no VmRSS")?;
        Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
    }

    /// Processor time of the host process alone.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit_once(')').context("no name")?.1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(
            ticks * 1000 / rustix::param::clock_ticks_per_second(),
        ))
    }

    /// Ends it and gives the folder back, for another start with the same data.
    pub(crate) fn stop(mut self) -> Result<TempDir> {
        let other = tempfile::tempdir_in(std::env::current_dir()?)?;
        let folder = std::mem::replace(&mut self.folder, other);
        drop(self);
        Ok(folder)
    }
}

/// From the start of the process to the port's answer: with nothing cached, and again.
pub(crate) async fn starts(binary: &Path, report: &mut Report) -> Result<()> {
    let vendor = Vendor::start().await?;
    let mut cold = Vec::new();
    let mut warm = Vec::new();
    for _ in 0..5 {
        let host = Host::start(binary, Host::prepare(&vendor.api, 0).await?).await?;
        cold.push(host.ready);
        let host = Host::start(binary, host.stop()?).await?;
        warm.push(host.ready);
    }
    report.latency("start to ready, first time (guests compiled)", cold);
    report.latency("start to ready, guests cached", warm);
    Ok(())
}

/// Idle memory with few and many known sessions.
pub(crate) async fn memory(binary: &Path, report: &mut Report) -> Result<()> {
    let vendor = Vendor::start().await?;
    for known in [0, 1_000, 10_000] {
        let folder = Host::start(binary, Host::prepare(&vendor.api, known).await?)
            .await?
            .stop()?;
        let host = Host::start(binary, folder).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        report.value(
            &format!("idle memory (RSS), {known} known sessions"),
            host.rss_kib()? as f64 / 1024.0,
            "MB",
        );
    }
    Ok(())
}
