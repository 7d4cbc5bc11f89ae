//! `botyard adapter`.

mod describe;
mod test;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::failure::Failure;
use super::{block_on, load, output, owner, wrong};
use crate::chat::{CallError, Finding, Severity};
use crate::config::{BotConfig, Config, check_against, environment, locate};
use crate::egress::{Egress, EgressSettings, Grant};
use crate::manifest::Transport;
use crate::plugin::{Adapter, BotServices, CallLimits, Component, Runtime};
use crate::store::Journal;
use crate::supervisor;

pub(super) use test::{TestArguments, test};

/// What an account's check may hand over.
const OUTPUT_BYTES: usize = 1 << 20;

/// The runtime of this command: compiled code is kept where the host keeps it, if the host can open it then.
pub(super) fn runtime(config: Option<&Config>, scratch: &Path) -> Result<Runtime, Failure> {
    let data_dir = config.map(|config| config.host.data_dir.as_path());
    Ok(Runtime::new(&cache(data_dir, scratch, owner::user()))?)
}

/// `user`: who this is.
pub(super) fn cache(data_dir: Option<&Path>, scratch: &Path, user: u32) -> PathBuf {
    let own = data_dir.filter(|folder| owner::own(folder, user).is_ok());
    own.unwrap_or(scratch).join("cache")
}

/// A folder of this process for as long as it is held.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt as _;
        let name: [u8; 8] = crate::chat::random();
        let path = environment().temp_dir.join(format!("botyard-{}", hex::encode(name)));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| Failure::user(format!("`{}` cannot be made: {error}", path.display())))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug, Serialize)]
struct Listed {
    adapter: String,
    platform: String,
    version: String,
    built_in: bool,
    bots: Vec<String>,
    /// Why it cannot be used.
    problem: Option<String>,
}

pub(super) fn list(file: &Path, json: bool) -> Result<(), Failure> {
    // Without a file there are still the built-in ones.
    let config = if file.exists() { Some(load(file)?) } else { None };
    let scratch = Scratch::new()?;
    let bots = config.as_ref().map_or(&[][..], |config| &config.bots);
    let names: BTreeSet<&str> = supervisor::BUILT_IN
        .iter()
        .map(|(name, _)| *name)
        .chain(bots.iter().map(|bot| bot.adapter.as_str()))
        .collect();
    let listed = block_on(async {
        let runtime = runtime(config.as_ref(), &scratch.0)?;
        let mut listed = Vec::new();
        for name in names {
            let loaded = supervisor::load(&runtime, name).await;
            let about = loaded.as_ref().ok().map(Component::about);
            listed.push(Listed {
                adapter: name.to_owned(),
                platform: about.map(|about| about.platform.clone()).unwrap_or_default(),
                version: about.map(|about| about.version.clone()).unwrap_or_default(),
                built_in: supervisor::BUILT_IN.iter().any(|(built_in, _)| *built_in == name),
                bots: bots
                    .iter()
                    .filter(|bot| bot.adapter == name)
                    .map(|bot| bot.name.to_string())
                    .collect(),
                problem: loaded.err().map(|error| error.to_string()),
            });
        }
        Ok(listed)
    })?;
    if json {
        return output::json(&listed);
    }
    let mut rows = vec![
        ["ADAPTER", "PLATFORM", "VERSION", "FROM", "BOTS"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(listed.iter().map(|adapter| {
        vec![
            adapter.adapter.clone(),
            output::line(&adapter.platform, 40),
            output::line(&adapter.version, 20),
            if adapter.built_in { "built in" } else { "file" }.to_owned(),
            if adapter.bots.is_empty() {
                "-".to_owned()
            } else {
                adapter.bots.join(", ")
            },
        ]
    }));
    output::data(&output::table(&rows))?;
    for adapter in &listed {
        if let Some(problem) = &adapter.problem {
            output::note(&format!("{}: {}", adapter.adapter, output::line(problem, 400)));
        }
    }
    Ok(())
}

/// `component`: a file, or a built-in adapter's name.
pub(super) fn inspect(file: &Path, component: &str, json: bool) -> Result<(), Failure> {
    // A bots.toml that is wrong must not keep anybody from looking at a component.
    let config = Config::load(file).ok().map(|(config, _)| config);
    let scratch = Scratch::new()?;
    let component = block_on(async {
        let runtime = runtime(config.as_ref(), &scratch.0)?;
        Ok(supervisor::load(&runtime, component).await?)
    })?;
    if json {
        output::json(&describe::Inspected::of(&component))
    } else {
        output::data(&output::safe(&describe::show(&component)))
    }
}

/// Asks the platform, with the bot's own secrets, through the bot's own adapter.
pub(super) fn check(file: &Path, bot: &str, json: bool) -> Result<(), Failure> {
    let config = load(file)?;
    let Some((index, bot)) = config
        .bots
        .iter()
        .enumerate()
        .find(|(_, known)| known.name.as_str() == bot)
    else {
        let known: Vec<&str> = config.bots.iter().map(|bot| bot.name.as_str()).collect();
        return Err(Failure::user(format!("there is no bot `{bot}`")).hint(format!("known: {}", known.join(", "))));
    };
    let scratch = Scratch::new()?;
    let findings = block_on(async {
        let runtime = runtime(Some(&config), &scratch.0)?;
        let component = supervisor::load(&runtime, &bot.adapter).await?;
        let mut problems = check_against(bot, index, component.about());
        if problems.iter().any(|problem| !problem.warning) {
            if let Ok(text) = std::fs::read_to_string(file) {
                locate(&text, &mut problems);
            }
            return Err(wrong(file, &problems));
        }
        findings(&config, bot, &runtime, &component).await
    })?;
    let fine = findings.iter().all(|finding| finding.severity != Severity::Error);
    if json {
        output::json(&findings)?;
    } else {
        for finding in &findings {
            let mark = match finding.severity {
                Severity::Fine => "ok  ",
                Severity::Warning => "warn",
                Severity::Error => "FAIL",
            };
            let advice = if finding.advice.is_empty() {
                String::new()
            } else {
                format!(": {}", finding.advice)
            };
            output::data(&output::line(&format!("{mark}  {}{advice}", finding.subject), 1000))?;
        }
    }
    if fine {
        Ok(())
    } else {
        Err(Failure::user(format!(
            "the account of `{}` is not set up yet",
            bot.name
        )))
    }
}

/// What the platform says of a bot's account. What the adapter keeps meanwhile is thrown away.
pub(super) async fn findings(
    config: &Config,
    bot: &BotConfig,
    runtime: &Runtime,
    component: &Component,
) -> Result<Vec<Finding>, Failure> {
    let scratch = Scratch::new()?;
    let journal = Journal::open(&scratch.0.join("check.db"))?;
    let asked = ask(config, bot, runtime, component, journal.clone(), &scratch.0).await;
    journal.close().await;
    asked
}

async fn ask(
    config: &Config,
    bot: &BotConfig,
    runtime: &Runtime,
    component: &Component,
    journal: Journal,
    scratch: &Path,
) -> Result<Vec<Finding>, Failure> {
    let about = Arc::clone(component.about());
    let mode = about
        .modes
        .iter()
        .find(|mode| bot.mode.as_ref().is_none_or(|name| mode.name == *name));
    let mode = mode.ok_or_else(|| Failure::user("the adapter has no way to connect"))?;
    let served_here = mode
        .transports
        .iter()
        .any(|transport| matches!(transport, Transport::Managed { name, .. } if name == "web"));
    if served_here || !component.offers().account {
        let why = if served_here {
            "this host serves it itself"
        } else {
            "the adapter has no account to check"
        };
        return Ok(vec![Finding {
            severity: Severity::Fine,
            subject: why.to_owned(),
            advice: String::new(),
        }]);
    }
    let mut api_base = bot
        .api_base
        .clone()
        .or_else(|| about.api_base.clone())
        .unwrap_or_default();
    if !api_base.ends_with('/') {
        api_base.push('/');
    }
    let egress = Egress::new(&EgressSettings {
        proxy: config.host.proxy.clone(),
        ca_file: config.host.ca_file.clone(),
    })
    .map_err(|error| Failure::user(error.to_string()))?;
    let outlet = egress
        .outlet(Grant {
            bot: bot.name.to_string(),
            api_base: api_base.clone(),
            api_base_by_operator: bot.api_base.is_some(),
            about: Arc::clone(&about),
            secrets: bot.secrets.clone(),
            hosts: bot.grant_hosts.clone(),
        })
        .map_err(|reasons| Failure::user(reasons.join("\n")))?;
    let services = BotServices {
        bot: bot.name.clone(),
        mode: mode.name.clone(),
        api_base,
        settings: bot.settings.clone(),
        secrets: bot.secrets.clone(),
        hook_base: config
            .host
            .public_url
            .as_ref()
            .map(|base| format!("{base}/hook/{}", bot.name)),
        outlet: outlet.clone(),
        journal,
        files_dir: scratch.join("files"),
        limits: CallLimits {
            memory_bytes: bot.memory_bytes,
            deadline: bot.call_timeout,
            output_bytes: OUTPUT_BYTES,
            file_bytes: u32::try_from(bot.files_max_bytes).unwrap_or(u32::MAX),
        },
    };
    let adapter = Adapter::bind(runtime, component, services);
    // Who the bot is comes first: a token that is wrong makes every other finding a repetition.
    let failed = |subject: &str, error: &CallError| Finding {
        severity: Severity::Error,
        subject: subject.to_owned(),
        advice: outlet.redact(&error.to_string()),
    };
    let me = match adapter.me().await {
        Err(error) => return Ok(vec![failed("the bot's own account", &error)]),
        Ok(me) => me,
    };
    let mut findings = vec![Finding {
        severity: Severity::Fine,
        subject: format!("the bot is {} ({})", me.label(), me.id),
        advice: String::new(),
    }];
    adapter.set_me(me);
    match adapter.check().await {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(failed("the check", &error)),
    }
    Ok(findings)
}
