//! The host as a test has it: in this process on a free port, or as the real binary that can be killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use botyard::config::{Config, environment};
use botyard::http::Bots as _;
use botyard::supervisor::{Host, Ready};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// More than anything here takes, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Events of a burst that wait for their acknowledgement at the same time: for more at once this build of the host, on a
/// busy machine, may need longer than the three seconds that vendors wait. `bench` sends all of them at once.
pub(crate) const AT_ONCE: usize = 16;

/// What bots.toml says in most tests.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) api_base: String,
    /// What follows the bot's table.
    pub(crate) more: String,
    /// None: the adapter's first.
    pub(crate) mode: Option<&'static str>,
    /// TOML of `allow`.
    pub(crate) allow: String,
    /// TOML of `login`.
    pub(crate) login: String,
    /// Inside the agent's table.
    pub(crate) agent: String,
    /// The agent's command and what comes with it.
    pub(crate) command: PathBuf,
    pub(crate) adapter: String,
    /// TOML of `secrets`.
    pub(crate) secrets: String,
    /// Files in its folder, by name, and what is in each.
    pub(crate) files: Vec<(&'static str, String)>,
}

impl Setup {
    /// A Slack bot on `api_base` whose agent is the scripted CLI.
    pub(crate) fn slack(api_base: &str) -> Self {
        Self {
            api_base: api_base.to_owned(),
            more: String::new(),
            mode: None,
            allow: r#"["*"]"#.to_owned(),
            login: r#""none""#.to_owned(),
            agent: String::new(),
            command: botyard_fakes::cli::program(),
            adapter: "slack".to_owned(),
            secrets: r#"{ bot_token = "file:token", signing_secret = "file:signing" }"#.to_owned(),
            files: vec![
                ("token", botyard_fakes::slack::BOT_TOKEN.to_owned()),
                ("signing", botyard_fakes::slack::SIGNING_SECRET.to_owned()),
            ],
        }
    }

    /// A Discord bot on `api_base`, whose agent is the scripted CLI; `key`: its application's public key.
    pub(crate) fn discord(api_base: &str, key: String) -> Self {
        Self {
            adapter: "discord".to_owned(),
            secrets: r#"{ token = "file:token", public_key = "file:public" }"#.to_owned(),
            files: vec![("token", botyard_fakes::discord::TOKEN.to_owned()), ("public", key)],
            ..Self::slack(api_base)
        }
    }

    /// A Feishu bot on `api_base` over the long connection, whose agent is the scripted CLI.
    pub(crate) fn feishu(api_base: &str) -> Self {
        use botyard_fakes::feishu::{APP_ID, APP_SECRET};
        Self {
            adapter: "feishu".to_owned(),
            secrets: r#"{ app_id = "file:id", app_secret = "file:secret" }"#.to_owned(),
            files: vec![("id", APP_ID.to_owned()), ("secret", APP_SECRET.to_owned())],
            ..Self::slack(api_base)
        }
    }

    /// The same with a webhook, with an encrypt key or without.
    #[must_use]
    pub(crate) fn over_webhook(mut self, encrypted: bool) -> Self {
        use botyard_fakes::feishu::{ENCRYPT_KEY, VERIFICATION_TOKEN};
        self.mode = Some("webhook");
        let key = if encrypted {
            r#", encrypt_key = "file:encrypt""#
        } else {
            ""
        };
        self.secrets =
            format!(r#"{{ app_id = "file:id", app_secret = "file:secret", verification_token = "file:token"{key} }}"#);
        self.files.push(("token", VERIFICATION_TOKEN.to_owned()));
        self.files.push(("encrypt", ENCRYPT_KEY.to_owned()));
        self
    }

    /// The same in Socket Mode.
    #[must_use]
    pub(crate) fn over_socket(mut self) -> Self {
        self.mode = Some("socket");
        self.secrets = r#"{ bot_token = "file:token", app_token = "file:app" }"#.to_owned();
        self.files.push(("app", botyard_fakes::slack::APP_TOKEN.to_owned()));
        self
    }

    #[must_use]
    pub(crate) fn with(mut self, lines: &str) -> Self {
        self.more.push_str(lines);
        self.more.push('\n');
        self
    }

    /// bots.toml and its secrets.
    pub(crate) fn write(&self, folder: &Path) {
        let Self {
            api_base,
            more,
            mode,
            allow,
            login,
            agent,
            command,
            adapter,
            secrets,
            files,
        } = self;
        let mode = mode.map_or_else(String::new, |mode| format!("mode = {mode:?}"));
        let scope = match more.contains("scope = ") {
            true => "",
            false => "scope = \"thread\"",
        };
        let text = format!(
            r#"
[host]
listen = "127.0.0.1:0"
data_dir = "data"

[agent.scripted]
driver = "claude"
command = [{command:?}]
login = {login}
{agent}

[[bot]]
name = "team"
adapter = {adapter:?}
agent = "scripted"
{scope}
workspace = "work"
allow = {allow}
api_base = {api_base:?}
{mode}
secrets = {secrets}
{more}
"#
        );
        std::fs::write(folder.join("bots.toml"), text).expect("bots.toml is written");
        for (name, component) in [
            ("room.wasm", botyard_test_guests::ROOM),
            ("mute.wasm", botyard_test_guests::MUTE),
        ] {
            std::fs::write(folder.join(name), component).expect("the component is written");
        }
        for (name, content) in files {
            std::fs::write(folder.join(name), content).expect("the file is written");
        }
        std::fs::write(folder.join("key"), "sk-ant-test-key").expect("the key is written");
    }
}

/// A host in this process. `stop` it at the end: dropped while it runs, it fails the test.
#[derive(Debug)]
pub(crate) struct TestHost {
    pub(crate) base: String,
    pub(crate) host: Host,
    folder: TempDir,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

impl TestHost {
    pub(crate) async fn start(setup: &Setup) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        setup.write(folder.path());
        Self::start_in(folder).await
    }

    /// With what another host left in `folder`.
    pub(crate) async fn start_in(folder: TempDir) -> Self {
        botyard::driver::process::set_guard_program(PathBuf::from(env!("CARGO_BIN_EXE_botyard")));
        let (config, _) = Config::load_with(&folder.path().join("bots.toml"), &environment())
            .unwrap_or_else(|problems| panic!("bots.toml is good: {problems:?}"));
        let stop = CancellationToken::new();
        let (tell, told) = oneshot::channel();
        let ends = stop.clone();
        let running = tokio::spawn(async move {
            let ready = move |ready: Ready, host: &Host| {
                let _ = tell.send((ready, host.clone()));
            };
            botyard::supervisor::run(config, ready, ends)
                .await
                .expect("the host runs");
        });
        let (ready, host) = tokio::time::timeout(PATIENCE, told)
            .await
            .expect("in time")
            .expect("the host is up");
        // Before a bot knows itself, vendors are told to come again.
        let begun = std::time::Instant::now();
        while host.readiness().live < host.readiness().bots {
            assert!(begun.elapsed() < PATIENCE, "the bots are not live");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self {
            base: format!("http://{}", ready.listen),
            host,
            folder,
            stop,
            running: Some(running),
        }
    }

    /// Waits until the host is as it should be.
    pub(crate) async fn until(&self, what: &str, like: impl Fn(&Host) -> bool) {
        let begun = std::time::Instant::now();
        while !like(&self.host) {
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn hook(&self) -> String {
        format!("{}/hook/team", self.base)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it as SIGTERM does, checks that nothing was left behind, and gives its folder for another start.
    pub(crate) async fn stop(mut self) -> TempDir {
        self.stop.cancel();
        let running = self.running.take().expect("it runs");
        tokio::time::timeout(PATIENCE, running)
            .await
            .expect("it ends")
            .expect("it ends well");
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"));
        assert_eq!(
            processes_in(folder.path()),
            Vec::<String>::new(),
            "processes were left behind"
        );
        folder
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        if self.running.is_some() && !std::thread::panicking() {
            panic!("the test did not stop its host");
        }
    }
}

/// Command lines of processes whose working folder lies in `folder`.
pub(crate) fn processes_in(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc is there").flatten() {
        let path = entry.path();
        let Ok(cwd) = std::fs::read_link(path.join("cwd")) else {
            continue;
        };
        if cwd.starts_with(folder) {
            let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
            if !line.is_empty() {
                found.push(String::from_utf8_lossy(&line).replace('\0', " "));
            }
        }
    }
    found
}
