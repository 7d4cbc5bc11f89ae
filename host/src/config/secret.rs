//! Secrets by reference: `env:NAME` and `file:PATH`. A value itself is never taken, and never printed.

use std::path::Path;

use super::SecretText;
use super::environment::Environment;

/// More is not a secret but a mistake in the path.
const SIZE_MAX_BYTES: u64 = 64 * 1024;

/// What is wrong with a reference, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) message: String,
    pub(super) hint: String,
}

fn refused(message: impl Into<String>, hint: impl Into<String>) -> Refused {
    Refused {
        message: message.into(),
        hint: hint.into(),
    }
}

/// It is written as a reference; it need not resolve.
pub(super) fn is_reference(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}

/// The value behind a reference; `file:` is relative to `folder`. Line ends at the end of a file are not part of it.
pub(super) fn resolve(text: &str, folder: &Path, environment: &Environment) -> Result<SecretText, Refused> {
    if let Some(name) = text.strip_prefix("env:") {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(refused(
                "`env:` needs the name of a variable",
                "for example `env:SLACK_BOT_TOKEN`",
            ));
        }
        return match environment.variables.get(name).map(String::as_str) {
            None => Err(refused(
                format!("the environment variable `{name}` is not set"),
                format!("set it for this process (`export {name}=...`), or keep the secret in a file: `file:PATH`"),
            )),
            Some("") => Err(refused(
                format!("the environment variable `{name}` is empty"),
                "set it to the secret",
            )),
            Some(value) => Ok(SecretText::new(value)),
        };
    }
    if let Some(name) = text.strip_prefix("file:") {
        return from_file(name, folder);
    }
    Err(refused(
        "a secret is given by reference, not by its value",
        "write `env:NAME` to take it from an environment variable, or `file:PATH` to take it from a file; a value \
         that stood here should be replaced at the vendor",
    ))
}

fn from_file(name: &str, folder: &Path) -> Result<SecretText, Refused> {
    if name.is_empty() {
        return Err(refused("`file:` needs a path", "for example `file:/run/secrets/slack`"));
    }
    let path = folder.join(name);
    let shown = path.display();
    match path.metadata() {
        Ok(about) if about.is_dir() => {
            return Err(refused(
                format!("`{shown}` is a folder"),
                "name the file that holds the secret",
            ));
        }
        Ok(about) if about.len() > SIZE_MAX_BYTES => {
            return Err(refused(format!("`{shown}` is too big for a secret"), "at most 64 KiB"));
        }
        _ => {}
    }
    let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => refused(
            format!("there is no file `{shown}`"),
            "make it, readable only for the user that runs botyard",
        ),
        std::io::ErrorKind::InvalidData => refused(format!("`{shown}` is not text"), "a secret is UTF-8 text"),
        _ => refused(
            format!("`{shown}` cannot be read: {error}"),
            "it must be readable for the user that runs botyard",
        ),
    })?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(refused(format!("`{shown}` is empty"), "write the secret into it")),
        value => Ok(SecretText::new(value)),
    }
}

/// A text that should not stand in bots.toml, by how vendors' tokens begin.
pub(super) fn looks_secret(text: &str) -> bool {
    const BEGINNINGS: [&str; 18] = [
        "xoxb-",
        "xoxp-",
        "xoxe",
        "xoxa-",
        "xapp-",
        "sk-",
        "sk_",
        "ghp_",
        "gho_",
        "ghs_",
        "github_pat_",
        "glpat-",
        "AKIA",
        "AIza",
        "eyJ",
        "npm_",
        "hf_",
        "-----BEGIN",
    ];
    text.len() >= 16 && BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
}

/// A variable of which the value is likely a secret, by its name.
pub(super) fn names_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    ["TOKEN", "SECRET", "PASSWORD", "API_KEY", "PRIVATE_KEY", "CREDENTIAL"]
        .iter()
        .any(|word| name.contains(word))
}
