//! `botyard adapter test`: the suite that the built-in adapter of a platform passes, for anybody's.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;

use super::super::failure::Failure;
use super::super::{block_on, output};
use super::{Scratch, runtime};
use crate::config::Config;
use crate::conformance::{self, ConformanceError, Finding, PLATFORMS, Plan, Verdict};
use crate::supervisor;

/// How an adapter is tested.
#[derive(Debug, Args)]
pub(in crate::cli) struct TestArguments {
    /// A component; also a built-in adapter's name
    file: String,
    /// Whose protocol it speaks: discord, feishu or slack
    #[arg(long, value_name = "NAME")]
    platform: String,
    /// One of the adapter's modes
    #[arg(long, value_name = "NAME")]
    mode: Option<String>,
    /// How the adapter calls a secret, where the built-in one calls it otherwise
    #[arg(long = "secret", value_name = "THEIRS=OURS", value_parser = pair)]
    secrets: Vec<(String, String)>,
    /// A setting of the adapter
    #[arg(long = "setting", value_name = "NAME=VALUE", value_parser = pair)]
    settings: Vec<(String, String)>,
    /// Only scenarios whose name contains this
    #[arg(long, value_name = "WORDS")]
    only: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("two words with `=` between them")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(in crate::cli) fn test(file: &Path, arguments: TestArguments, json: bool) -> Result<(), Failure> {
    if !PLATFORMS.contains(&arguments.platform.as_str()) {
        return Err(Failure::user(format!("there is no fake of `{}`", arguments.platform))
            .hint(format!("known: {}", PLATFORMS.join(", "))));
    }
    let config = Config::load(file).ok().map(|(config, _)| config);
    let scratch = Scratch::new()?;
    let findings = block_on(async {
        let runtime = runtime(config.as_ref(), &scratch.0)?;
        let component = supervisor::load(&runtime, &arguments.file).await?;
        let plan = Plan {
            runtime,
            component,
            platform: arguments.platform,
            mode: arguments.mode,
            secrets: BTreeMap::from_iter(arguments.secrets),
            settings: BTreeMap::from_iter(arguments.settings),
            only: arguments.only,
            folder: scratch.0.join("suite"),
        };
        // Seen as they come: the whole takes a minute.
        let tell = |finding: &Finding| {
            if !json {
                output::note(&line(finding));
            }
        };
        conformance::run(plan, tell).await.map_err(Failure::from)
    })?;
    if json {
        output::json(&findings)?;
    }
    let count = |wanted: fn(&Verdict) -> bool| findings.iter().filter(|f| wanted(&f.verdict)).count();
    let bad = count(|verdict| matches!(verdict, Verdict::Failed(_)));
    let passed = count(|verdict| *verdict == Verdict::Passed);
    match (bad, passed) {
        (0, 0) => Err(Failure::user("no scenario was run").hint("`--only` fits none")),
        (0, _) => {
            output::note(&format!("{passed} scenarios passed"));
            Ok(())
        }
        _ => Err(Failure::user(format!("{bad} of {} scenarios failed", findings.len()))),
    }
}

fn line(finding: &Finding) -> String {
    let (mark, why) = match &finding.verdict {
        Verdict::Passed => ("ok  ", None),
        Verdict::Failed(why) => ("FAIL", Some(why)),
        Verdict::NotApplicable(why) => ("n/a ", Some(why)),
    };
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    output::line(&format!("{mark}  {}{why}", finding.scenario), 2000)
}

impl From<ConformanceError> for Failure {
    fn from(error: ConformanceError) -> Self {
        Self::user(error.to_string())
    }
}
