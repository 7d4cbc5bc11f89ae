//! `botyard check`: all that `run` would refuse, without running.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::failure::Failure;
use super::{adapter, block_on, output, wrong};
use crate::chat::{Finding, Severity};
use crate::config::{Config, Problem, check_against, locate, render};
use crate::plugin::Component;
use crate::supervisor;

/// A problem for programs.
#[derive(Debug, Serialize)]
struct Told<'a> {
    key: &'a str,
    line: Option<usize>,
    message: &'a str,
    hint: Option<&'a str>,
    warning: bool,
}

/// `online`: the platforms are asked too, where the file is good.
pub(super) fn check(file: &Path, online: bool, json: bool) -> Result<(), Failure> {
    let (bots, problems) = match Config::load(file) {
        Err(problems) => (0, problems),
        Ok((config, mut problems)) => {
            let mut found = block_on(against_adapters(&config, online))?;
            if let Ok(text) = std::fs::read_to_string(file) {
                locate(&text, &mut found);
            }
            problems.extend(found);
            problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
            (config.bots.len(), problems)
        }
    };
    let fine = problems.iter().all(|problem| problem.warning);
    if json {
        output::json(&problems.iter().map(told).collect::<Vec<_>>())?;
    }
    match (fine, json) {
        (true, true) => Ok(()),
        (true, false) => {
            if !problems.is_empty() {
                output::note(render(&file.display().to_string(), &problems).trim_end());
            }
            output::note(&format!(
                "{} is good: {bots} {}",
                file.display(),
                if bots == 1 { "bot" } else { "bots" }
            ));
            Ok(())
        }
        (false, true) => Err(Failure::user(format!("{} has problems", file.display()))),
        (false, false) => Err(wrong(file, &problems)),
    }
}

fn told(problem: &Problem) -> Told<'_> {
    Told {
        key: &problem.key,
        line: problem.line,
        message: &problem.message,
        hint: problem.hint.as_deref(),
        warning: problem.warning,
    }
}

/// What an account lacks, as a problem of its bot.
fn lacks(index: usize, finding: &Finding) -> Problem {
    Problem {
        key: format!("bot[{index}]"),
        line: None,
        message: format!("the platform says: {}", output::line(&finding.subject, 300)),
        hint: Some(output::line(&finding.advice, 600)).filter(|advice| !advice.is_empty()),
        warning: finding.severity == Severity::Warning,
    }
}

/// What the adapters' manifests say; an adapter that cannot be loaded is a problem of the bots that name it. Then, if
/// that is wanted, what the platforms say of the accounts of bots without such problems.
async fn against_adapters(config: &Config, online: bool) -> Result<Vec<Problem>, Failure> {
    let scratch = adapter::Scratch::new()?;
    let runtime = adapter::runtime(Some(config), scratch.path())?;
    let mut loaded: BTreeMap<&str, Result<Component, String>> = BTreeMap::new();
    let mut problems = Vec::new();
    for (index, bot) in config.bots.iter().enumerate() {
        if !loaded.contains_key(bot.adapter.as_str()) {
            let component = supervisor::load(&runtime, &bot.adapter)
                .await
                .map_err(|error| error.to_string());
            loaded.insert(&bot.adapter, component);
        }
        match &loaded[bot.adapter.as_str()] {
            Ok(component) => {
                let found = check_against(bot, index, component.about());
                if online && found.iter().all(|problem| problem.warning) {
                    let findings = adapter::findings(config, bot, &runtime, component).await?;
                    let lacking = findings.iter().filter(|finding| finding.severity != Severity::Fine);
                    problems.extend(lacking.map(|finding| lacks(index, finding)));
                }
                problems.extend(found);
            }
            Err(message) => problems.push(Problem {
                key: format!("bot[{index}].adapter"),
                line: None,
                message: message.clone(),
                hint: None,
                warning: false,
            }),
        }
    }
    Ok(problems)
}
