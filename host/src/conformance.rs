//! One suite for every adapter, ours and anybody's: the same scripted scenarios against a fake of the platform, through
//! the same sandbox, egress, webhooks and connections that the host uses. Knows no platform; a [`Platform`] acts as
//! people do and reads as people read.

mod bench;
mod fault;
mod hear;
mod show;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use botyard_fakes::platform::{DiscordPlatform, FeishuPlatform, Platform, SlackPlatform};
use serde::Serialize;

use crate::plugin::{Component, Runtime};
use bench::Bench;

/// The platforms that there is a fake of.
pub const PLATFORMS: &[&str] = &["discord", "feishu", "slack"];

/// What is tested, and how it is bound.
#[derive(Debug, Clone)]
pub struct Plan {
    pub runtime: Runtime,
    pub component: Component,
    /// One of [`PLATFORMS`].
    pub platform: String,
    /// None: the mode that the built-in adapter is tested in if there is one of that name, else the first.
    pub mode: Option<String>,
    /// The adapter's name of a secret, and the built-in adapter's name of the same.
    pub secrets: BTreeMap<String, String>,
    /// Settings of the adapter.
    pub settings: BTreeMap<String, String>,
    /// Only scenarios whose name contains this.
    pub only: Option<String>,
    /// An empty folder for the store and the files.
    pub folder: PathBuf,
}

/// How one scenario went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "why", rename_all = "snake_case")]
pub enum Verdict {
    Passed,
    Failed(String),
    /// The adapter does not claim it, or the platform has no such thing.
    NotApplicable(String),
}

/// One scenario's name, which is what it promises, and its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub scenario: &'static str,
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Why the suite could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    #[error("there is no fake of `{0}`")]
    Platform(String),
    #[error("the adapter cannot be bound: {0}")]
    Setup(String),
    /// It is not brought up: nothing can be said of it.
    #[error("the adapter does not come up: {0}")]
    Start(String),
}

/// Why a scenario is not passed.
enum Wrong {
    Failed(String),
    NotApplicable(String),
}

type Outcome = Result<(), Wrong>;

fn failed<T>(why: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::Failed(why.into()))
}

fn not_applicable<T>(why: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::NotApplicable(why.into()))
}

async fn platform(name: &str) -> Result<Arc<dyn Platform>, ConformanceError> {
    Ok(match name {
        "discord" => Arc::new(DiscordPlatform::start().await),
        "feishu" => Arc::new(FeishuPlatform::start().await),
        "slack" => Arc::new(SlackPlatform::start().await),
        _ => return Err(ConformanceError::Platform(name.to_owned())),
    })
}

/// Runs a scenario of the table on a bench of its own.
macro_rules! scenarios {
    ($plan:ident, $tell:ident, $($name:literal => $scenario:path),+ $(,)?) => {{
        let mut findings = Vec::new();
        $(
            if $plan.only.as_deref().is_none_or(|only| $name.contains(only)) {
                let bench = Bench::start(&$plan, platform(&$plan.platform).await?, findings.len()).await?;
                let verdict = match $scenario(&bench).await {
                    Ok(()) => Verdict::Passed,
                    Err(Wrong::Failed(why)) => Verdict::Failed(why),
                    Err(Wrong::NotApplicable(why)) => Verdict::NotApplicable(why),
                };
                bench.close().await;
                let finding = Finding { scenario: $name, verdict };
                $tell(&finding);
                findings.push(finding);
            }
        )+
        findings
    }};
}

/// Runs the scenarios one after the other, each against a vendor of its own; `tell` hears of each when it is over.
///
/// # Errors
/// The suite could not begin. What an adapter does wrong is a verdict.
pub async fn run(plan: Plan, mut tell: impl FnMut(&Finding)) -> Result<Vec<Finding>, ConformanceError> {
    Ok(scenarios!(plan, tell,
        "a direct message is heard once" => hear::direct,
        "a mention is heard once, without the mention" => hear::mention,
        "what is not said to the bot is told as such" => hear::overheard,
        "an event that comes again has the same key" => hear::again,
        "the bot and other programs are told from people" => hear::programs,
        "an event that nobody knows, or that breaks off, harms nothing" => hear::noise,
        "an edit, a deletion and a reaction name their message" => hear::changes,
        "an edit or a deletion that overtakes its message is of that message" => hear::overtaken,
        "a command of the platform's is heard" => hear::command,
        "a file that came is fetched whole" => hear::file,
        "a short answer stands there once" => show::short,
        "an answer that grows stands there once" => show::growing,
        "a long answer is shown whole and in order" => show::long,
        "an answer calls nobody" => show::harmless,
        "steps, plans and notices can be read" => show::parts,
        "a question is pressed and settled" => show::question,
        "a form is opened, filled and sent" => show::form,
        "a running answer can be stopped by its button" => show::stop,
        "a file is given to the people" => show::file,
        "a word for one person is seen by that person alone" => show::whisper,
        "a rate limit delays an answer and loses nothing" => fault::limited,
        "an answer survives a server error of any of its calls" => fault::failing,
        "an answer survives a server error after any of its calls was done" => fault::failing_after,
        "an answer survives a cut before any of its calls" => fault::cut_before,
        "an answer survives a cut after any of its calls was done" => fault::cut_after,
        "an answer survives a kill between any two of its calls" => fault::kills,
        "a refused token is said to be one" => fault::revoked,
        "an answer whose message was removed is shown again or given up" => fault::removed,
    ))
}
