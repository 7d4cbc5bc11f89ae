//! `botyard agents`: each agent of bots.toml, as the installed CLI describes itself. No model is called.

use std::path::Path;

use serde::Serialize;

use super::adapter::Scratch;
use super::failure::Failure;
use super::{block_on, output, wrong};
use crate::config::{AgentProfile, Config, DriverKind, Problem, environment};
use crate::driver::{Abilities, About, about};

#[derive(Debug, Serialize)]
struct Told {
    agent: String,
    driver: &'static str,
    command: Vec<String>,
    /// None: it was not found.
    path: Option<String>,
    version: Option<String>,
    models: Option<Vec<String>>,
    modes: Option<Vec<String>>,
    resume: Option<bool>,
    fork: Option<bool>,
    images: Option<bool>,
    approvals: Option<bool>,
    steer: Option<bool>,
    /// Why it cannot be used, and what to do.
    problem: Option<String>,
}

pub(super) fn agents(file: &Path, json: bool) -> Result<(), Failure> {
    let agents = Config::agents(file, &environment()).map_err(|problems| wrong(file, &problems))?;
    let scratch = Scratch::new()?;
    let told = block_on(async {
        let asked = agents
            .iter()
            .enumerate()
            .map(|(at, (profile, problems))| ask(profile, problems, scratch.path().join(at.to_string())));
        Ok(futures_util::future::join_all(asked).await)
    })?;
    if json {
        output::json(&told)?;
    } else if told.is_empty() {
        output::note("there is no `[agent.NAME]`; the built-in agents are `auto` and `demo`");
    } else {
        output::data(&output::safe(&table(&told)))?;
        for one in &told {
            if let Some(problem) = &one.problem {
                output::note(&format!("{}: {}", one.agent, output::line(problem, 600)));
            }
        }
    }
    let bad = told.iter().filter(|one| one.problem.is_some()).count();
    match bad {
        0 => Ok(()),
        1 => Err(Failure::user("one agent cannot be used")),
        bad => Err(Failure::user(format!("{bad} agents cannot be used"))),
    }
}

async fn ask(profile: &AgentProfile, problems: &[Problem], folder: std::path::PathBuf) -> Told {
    let said = match problems.first() {
        // What `run` would refuse is not started.
        Some(_) => About::default(),
        None => about(profile, &folder).await,
    };
    let wrong = problems.first().map(|problem| match &problem.hint {
        Some(hint) => format!("{}: {hint}", problem.message),
        None => problem.message.clone(),
    });
    let failed = said
        .failure
        .as_ref()
        .map(|failure| format!("{} ({})", failure.sentence, failure.cause));
    let can = |which: fn(&Abilities) -> bool| said.abilities.as_ref().map(which);
    let path = profile.command.first().filter(|program| program.starts_with('/'));
    Told {
        agent: profile.name.clone(),
        driver: match profile.driver {
            DriverKind::Claude => "claude",
            DriverKind::Acp => "acp",
            DriverKind::Exec => "exec",
        },
        command: profile.command.clone(),
        path: path.cloned(),
        resume: can(|able| able.resume),
        fork: can(|able| able.fork),
        images: can(|able| able.images),
        approvals: can(|able| able.approvals),
        steer: can(|able| able.steer),
        problem: wrong.or(failed),
        version: said.version,
        models: said.models,
        modes: said.modes,
    }
}

fn table(told: &[Told]) -> String {
    let head = [
        "AGENT",
        "DRIVER",
        "COMMAND",
        "PATH",
        "VERSION",
        "RESUME",
        "FORK",
        "IMAGES",
        "APPROVALS",
        "STEER",
        "MODELS",
        "MODES",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let yes = |able: Option<bool>| match able {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    };
    let list = |all: &Option<Vec<String>>| match all {
        Some(all) if !all.is_empty() => output::line(&all.join(", "), 50),
        _ => "-".to_owned(),
    };
    for one in told {
        let mut words = one.command.iter().map(String::as_str);
        let program = words.next().unwrap_or_default();
        let program = program.rsplit('/').next().unwrap_or_default();
        let command: Vec<&str> = std::iter::once(program).chain(words).collect();
        rows.push(vec![
            one.agent.clone(),
            one.driver.to_owned(),
            output::line(&command.join(" "), 30),
            output::line(one.path.as_deref().unwrap_or("-"), 60),
            output::line(one.version.as_deref().unwrap_or("-"), 20),
            yes(one.resume).to_owned(),
            yes(one.fork).to_owned(),
            yes(one.images).to_owned(),
            yes(one.approvals).to_owned(),
            yes(one.steer).to_owned(),
            list(&one.models),
            list(&one.modes),
        ]);
    }
    output::table(&rows)
}
