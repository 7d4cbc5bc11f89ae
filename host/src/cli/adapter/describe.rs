//! What a component is, for an operator who decides whether to run it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::manifest::{About, SettingKind, Slot, Transport, Verification};
use crate::plugin::Component;

/// For programs: the manifest, the optional interfaces it exports, and all that it imports.
#[derive(Debug, Serialize)]
pub(super) struct Inspected<'a> {
    about: &'a About,
    offers: Vec<&'static str>,
    imports: Vec<String>,
}

impl<'a> Inspected<'a> {
    pub(super) fn of(component: &'a Component) -> Self {
        Self {
            about: component.about(),
            offers: offers(component),
            imports: component.imports(),
        }
    }
}

fn offers(component: &Component) -> Vec<&'static str> {
    let offers = component.offers();
    [
        ("interaction", offers.interaction),
        ("attachments", offers.attachments),
        ("account", offers.account),
        ("history", offers.history),
        ("link", offers.link),
    ]
    .into_iter()
    .filter_map(|(name, offered)| offered.then_some(name))
    .collect()
}

pub(super) fn show(component: &Component) -> String {
    let about = component.about();
    let mut text = format!("{} ({}) {}\n", about.title, about.platform, about.version);
    reach(&mut text, about);
    secrets(&mut text, about);
    modes(&mut text, about);
    settings(&mut text, about);
    let limits = &about.limits;
    let _ = write!(
        text,
        "\npace: a message is updated at most every {} ms",
        limits.update_interval.as_millis()
    );
    if let Some(most) = limits.updates_max {
        let _ = write!(text, ", {most} times");
    }
    text.push('\n');
    for rate in &limits.rates {
        let _ = writeln!(
            text,
            "  {}: {} calls in {} s",
            rate.bucket,
            rate.calls,
            rate.per.as_secs_f64()
        );
    }
    let abilities: Vec<String> = about
        .abilities
        .iter()
        .map(|ability| words(&format!("{ability:?}")))
        .collect();
    let _ = writeln!(text, "\nabilities: {}", listed(&abilities));
    let _ = writeln!(text, "offers: {}", listed(&offers(component)));
    let _ = writeln!(text, "imports:");
    for import in component.imports() {
        let _ = writeln!(text, "  {import}");
    }
    text
}

/// `FilesIn`: `files in`.
fn words(camel: &str) -> String {
    let mut text = String::new();
    for (at, letter) in camel.char_indices() {
        if at > 0 && letter.is_uppercase() {
            text.push(' ');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

fn listed<T: AsRef<str>>(words: &[T]) -> String {
    if words.is_empty() {
        return "none".to_owned();
    }
    words.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", ")
}

fn reach(text: &mut String, about: &About) {
    text.push_str("\nreaches:\n");
    match &about.api_base {
        Some(base) => {
            let _ = writeln!(text, "  {base} (or the bot's `api_base`)");
        }
        None => text.push_str("  the bot's `api_base`\n"),
    }
    for host in &about.egress {
        let _ = writeln!(text, "  {host}");
    }
}

fn secrets(text: &mut String, about: &About) {
    text.push_str("\nsecrets, which it names and never sees:\n");
    if about.secrets.is_empty() {
        text.push_str("  none\n");
    }
    for secret in &about.secrets {
        let _ = writeln!(text, "  {}: {}", secret.name, secret.purpose);
        if secret.slots.is_empty() {
            text.push_str("    used by the host alone\n");
        } else {
            let places: Vec<String> = secret.slots.iter().map(slot).collect();
            let _ = writeln!(text, "    {}; only to {}", places.join(", "), listed(&secret.targets));
        }
        if secret.crypto {
            text.push_str("    it may sign and encrypt with it\n");
        }
    }
    for minted in &about.minted {
        let _ = writeln!(
            text,
            "  {}: a token that the host gets from {} {}",
            minted.name, minted.method, minted.url
        );
    }
}

fn slot(slot: &Slot) -> String {
    match slot {
        Slot::Header(name, _) => format!("in the header `{name}`"),
        Slot::Query(name) => format!("in the query `{name}`"),
        Slot::PathSegment(at, _) => format!("in segment {at} of the path"),
        Slot::JsonPointer(at, _) => format!("in the body at `{at}`"),
        Slot::Frame(prefix) => format!("in a frame of its own, after `{prefix}`"),
        Slot::FormField(name) => format!("in the form field `{name}`"),
        Slot::BasicUser => "as the user's name".to_owned(),
        Slot::BasicPassword => "as the password".to_owned(),
    }
}

fn modes(text: &mut String, about: &About) {
    text.push_str("\nmodes, the first is the default:\n");
    for mode in &about.modes {
        let _ = writeln!(text, "  {}: {}", mode.name, mode.purpose);
        for transport in &mode.transports {
            match transport {
                Transport::Webhook(routes) => {
                    for route in routes {
                        let path = if route.name.is_empty() {
                            String::new()
                        } else {
                            format!("/{}", route.name)
                        };
                        let _ = writeln!(
                            text,
                            "    webhook {} /hook/BOT{path}, {}",
                            route.methods.join(" "),
                            verification(&route.verification)
                        );
                    }
                }
                Transport::Managed { name, .. } => {
                    let _ = writeln!(text, "    the host's own transport `{name}`");
                }
                Transport::Link => text.push_str("    a connection of its own\n"),
            }
        }
        let _ = writeln!(text, "    needs: {}", listed(&mode.secrets));
    }
}

const fn verification(verification: &Verification) -> &'static str {
    match verification {
        Verification::Unverified => "NOT verified",
        Verification::Shared(_) => "verified by a shared secret",
        Verification::Signature(_) => "verified by signature",
        Verification::Ed25519 { .. } => "verified by public key",
        Verification::Guest => "verified by the adapter",
    }
}

fn settings(text: &mut String, about: &About) {
    text.push_str("\nsettings:\n");
    if about.settings.is_empty() {
        text.push_str("  none\n");
    }
    for setting in &about.settings {
        let kind = match setting.kind {
            SettingKind::Text => "text".to_owned(),
            SettingKind::Flag => "true or false".to_owned(),
            SettingKind::Number => "number".to_owned(),
            SettingKind::Choice => setting.choices.join(" | "),
        };
        let default = setting
            .default
            .as_ref()
            .map(|value| format!(", default `{value}`"))
            .unwrap_or_default();
        let _ = writeln!(text, "  {} ({kind}{default}): {}", setting.name, setting.purpose);
    }
}
