//! The real binary with a bot on each of some platforms.

use std::path::Path;

use botyard_fakes::platform::Platform;
use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{RealHost, botyard, eventually};

/// Platforms by the name of their adapter, which is also the bot's.
pub(crate) type Platforms = [(&'static str, Box<dyn Platform>)];

/// A folder with bots.toml and its secrets; `agent` is inside of the agent's table.
pub(crate) fn folder(agent: &str, platforms: &Platforms) -> TempDir {
    folder_with(agent, "scope = \"thread\"", platforms)
}

/// The same with these lines in the table of each bot.
pub(crate) fn folder_with(agent: &str, more: &str, platforms: &Platforms) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut text = format!("[host]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"data\"\n\n[agent.one]\n{agent}\n");
    for (name, platform) in platforms {
        let mut secrets = Vec::new();
        for (secret, value) in platform.secrets() {
            let file = format!("{name}-{secret}");
            std::fs::write(folder.path().join(&file), value).expect("a secret is written");
            secrets.push(format!("{secret} = \"file:{file}\""));
        }
        let settings: Vec<String> = platform
            .settings()
            .into_iter()
            .map(|(key, value)| format!("{key} = {value:?}"))
            .collect();
        let mode = platform
            .mode()
            .map_or_else(String::new, |mode| format!("mode = {mode:?}\n"));
        text.push_str(&format!(
            "\n[[bot]]\nname = {name:?}\nadapter = {name:?}\nagent = \"one\"\n{more}\n\
             workspace = \"work-{name}\"\nallow = [\"*\"]\nhistory = 20\napi_base = {:?}\ngrant_hosts = {:?}\n\
             {mode}secrets = {{ {} }}\nsettings = {{ {} }}\n",
            platform.api_base(),
            platform.hosts(),
            secrets.join(", "),
            settings.join(", "),
        ));
    }
    std::fs::write(folder.path().join("bots.toml"), text).expect("bots.toml is written");
    folder
}

/// Starts the binary there; every bot is connected when it comes back.
pub(crate) async fn open(folder: &Path, platforms: &[(&'static str, &dyn Platform)]) -> RealHost {
    let host = RealHost::start(folder).await;
    for (name, platform) in platforms {
        platform.attach(&format!("{}/hook/{name}", host.base));
    }
    eventually("every bot to be connected", async || {
        let told = botyard(folder, &["status", "--json"]).await;
        let report: Value = serde_json::from_slice(&told.stdout).ok()?;
        let bots = report["bots"].as_array()?;
        let live = bots.iter().filter(|bot| bot["connection"] == "live").count();
        (live == platforms.len()).then_some(())
    })
    .await;
    host
}
