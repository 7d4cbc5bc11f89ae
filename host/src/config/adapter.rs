//! What in a bot's keys only its adapter's manifest can judge: modes, settings and secrets.

use super::BotConfig;
use super::nearest::nearest;
use super::problem::Problem;
use super::section::{Place, join};
use crate::manifest::{About, MANAGED, Mode, Setting, SettingKind, Transport};

/// Everything in which `bot` does not fit what its adapter says of itself. `index`: the bot's place in the file, for
/// the key paths; their lines are found with [`super::locate`]. Used by `run` and `check` alike.
pub fn check_against(bot: &BotConfig, index: usize, about: &About) -> Vec<Problem> {
    let place = Place {
        key: format!("bot[{index}]"),
        line: 0,
    };
    let mut problems = Vec::new();
    let mode = mode(bot, about, &place, &mut problems);
    settings(bot, about, &place, &mut problems);
    secrets(bot, about, mode, &place, &mut problems);
    let served_here = mode.is_some_and(|mode| {
        mode.transports
            .iter()
            .any(|transport| matches!(transport, Transport::Managed { name, .. } if name == "web"))
    });
    if let Some(name) = mode.and_then(missing_transport) {
        problems.push(place.below("mode").problem(
            format!(
                "`{}` connects by the transport `{name}`, which this botyard does not have",
                about.platform
            ),
            "another of the adapter's modes, or another version of botyard",
        ));
    }
    if bot.api_base.is_none() && about.api_base.is_none() && !served_here {
        problems.push(place.below("api_base").problem(
            format!("is missing: `{}` has no address of its own", about.platform),
            "the base URL of your server's API, for example `api_base = \"https://chat.example.com/api/\"`",
        ));
    }
    problems
}

/// A transport of the mode that only another host has.
fn missing_transport(mode: &Mode) -> Option<&str> {
    mode.transports.iter().find_map(|transport| match transport {
        Transport::Managed { name, .. } if !MANAGED.contains(&name.as_str()) => Some(name.as_str()),
        Transport::Managed { .. } | Transport::Webhook(_) | Transport::Link => None,
    })
}

fn mode<'a>(bot: &BotConfig, about: &'a About, place: &Place, problems: &mut Vec<Problem>) -> Option<&'a Mode> {
    let Some(wanted) = &bot.mode else {
        return about.modes.first();
    };
    let found = about.modes.iter().find(|mode| mode.name == *wanted);
    if found.is_none() {
        let names = || about.modes.iter().map(|mode| mode.name.as_str());
        problems.push(place.below("mode").problem(
            format!("`{}` has no mode `{wanted}`", about.platform),
            did_you_mean(wanted, names()),
        ));
    }
    found
}

fn settings(bot: &BotConfig, about: &About, place: &Place, problems: &mut Vec<Problem>) {
    let place = place.below("settings");
    for (name, value) in &bot.settings {
        let place = place.below(name);
        let Some(setting) = about.settings.iter().find(|setting| setting.name == *name) else {
            let names = about.settings.iter().map(|setting| setting.name.as_str());
            problems.push(place.problem(
                format!("`{}` has no such setting", about.platform),
                did_you_mean(name, names),
            ));
            continue;
        };
        if let Some(wanted) = wrong_kind(setting, value) {
            problems.push(place.problem(format!("`{value}` is not {wanted}"), setting.purpose.clone()));
        }
    }
}

/// What the value should have been.
fn wrong_kind(setting: &Setting, value: &str) -> Option<String> {
    match setting.kind {
        SettingKind::Text => None,
        SettingKind::Flag => (!matches!(value, "true" | "false")).then(|| "true or false".to_owned()),
        SettingKind::Number => value.parse::<f64>().is_err().then(|| "a number".to_owned()),
        SettingKind::Choice => (!setting.choices.iter().any(|choice| choice == value))
            .then(|| format!("one of: {}", setting.choices.join(", "))),
    }
}

fn secrets(bot: &BotConfig, about: &About, mode: Option<&Mode>, place: &Place, problems: &mut Vec<Problem>) {
    let place = place.below("secrets");
    for name in bot.secrets.keys() {
        if about.secrets.iter().any(|secret| secret.name == *name) {
            continue;
        }
        let names = about.secrets.iter().map(|secret| secret.name.as_str());
        problems.push(place.below(name).problem(
            format!("`{}` takes no such secret", about.platform),
            did_you_mean(name, names),
        ));
    }
    let Some(mode) = mode else { return };
    for name in &mode.secrets {
        if bot.secrets.contains_key(name) {
            continue;
        }
        let purpose = about
            .secrets
            .iter()
            .find(|secret| secret.name == *name)
            .map(|secret| secret.purpose.as_str());
        problems.push(place.below(name).problem(
            format!("is missing: the mode `{}` needs it", mode.name),
            format!(
                "{}`secrets = {{ {} = \"env:NAME\" }}`",
                purpose.map(|purpose| format!("{purpose}: ")).unwrap_or_default(),
                join("", name),
            ),
        ));
    }
}

fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let known: Vec<&str> = known.collect();
            if known.is_empty() {
                "it has none".to_owned()
            } else {
                format!("known: {}", known.join(", "))
            }
        }
    }
}
