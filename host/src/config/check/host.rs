//! `[host]`.

use std::net::SocketAddr;
use std::time::Duration;

use super::Checker;
use crate::config::raw::RawHost;
use crate::config::section::At;
use crate::config::{HostConfig, SecretText, secret, unit};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Feishu repeats an event for 7.1 hours: its key must still be known then.
const RETENTION_MIN: Duration = Duration::from_secs(8 * 3600);
/// No agent fits into less.
const BUDGET_MIN_BYTES: usize = 64 << 20;
/// Shorter ones are guessed.
const PASSWORD_MIN_CHARS: usize = 8;

impl Checker<'_> {
    pub(super) fn host(&mut self, raw: &RawHost) -> HostConfig {
        let password = raw.password.as_ref().and_then(|given| self.password(given));
        let listen = self.listen(raw);
        HostConfig {
            listen,
            data_dir: self
                .folder
                .join(self.line(raw.data_dir.as_ref()).unwrap_or_else(|| "data".to_owned())),
            public_url: raw.public_url.as_ref().and_then(|given| self.public_url(given)),
            password,
            retention: self.duration(raw.retention.as_ref(), RETENTION_MIN..=3650 * DAY, 168 * HOUR),
            proxy: raw.proxy.as_ref().and_then(|given| self.proxy(given)),
            ca_file: raw.ca_file.as_ref().and_then(|given| self.ca_file(given)),
            memory_budget_bytes: raw.memory_budget.as_ref().and_then(|given| self.budget(given)),
            max_processes: self
                .number(raw.max_processes.as_ref(), 1..=10_000)
                .and_then(|number| usize::try_from(number).ok())
                .unwrap_or(256),
        }
    }

    fn listen(&mut self, raw: &RawHost) -> SocketAddr {
        let default = SocketAddr::from(([127, 0, 0, 1], 8787));
        let Some(given) = &raw.listen else { return default };
        let Ok(listen) = given.value.parse::<SocketAddr>() else {
            self.push(given.problem(
                format!("`{}` is not an address and a port", given.value),
                "for example `127.0.0.1:8787` (this machine only), `[::1]:8787`, or `0.0.0.0:8787` (every network)",
            ));
            return default;
        };
        if !listen.ip().is_loopback() && raw.password.is_none() {
            self.push(given.problem(
                format!(
                    "`{}` is reachable from other machines, and no password is set",
                    given.value
                ),
                "set `host.password = \"env:BOTYARD_PASSWORD\"`, or listen on `127.0.0.1` behind a reverse proxy",
            ));
        }
        listen
    }

    fn budget(&mut self, given: &At<String>) -> Option<u64> {
        let read = unit::size(&given.value).filter(|bytes| *bytes >= BUDGET_MIN_BYTES);
        if read.is_none() {
            self.push(given.problem(
                format!("`{}` is no such size", given.value),
                format!("at least {}, for example `2GiB`", unit::show_size(BUDGET_MIN_BYTES)),
            ));
        }
        read.and_then(|bytes| u64::try_from(bytes).ok())
    }

    fn password(&mut self, given: &At<String>) -> Option<SecretText> {
        let password = self.secret(given)?;
        if password.reveal().chars().count() < PASSWORD_MIN_CHARS {
            self.push(given.problem("is too short", format!("at least {PASSWORD_MIN_CHARS} characters")));
        }
        Some(password)
    }

    fn public_url(&mut self, given: &At<String>) -> Option<String> {
        let url = self.web_url(given, "https://bots.example.com")?;
        if url.scheme() == "http" && !super::is_loopback(&url) {
            self.push(given.warning("is not https", "chat platforms refuse request URLs without TLS"));
        }
        Some(url.as_str().trim_end_matches('/').to_owned())
    }

    /// May be a reference, since proxies have passwords.
    fn proxy(&mut self, given: &At<String>) -> Option<String> {
        let referred = secret::is_reference(&given.value);
        let text = if referred {
            self.secret(given)?.reveal().to_owned()
        } else {
            given.value.clone()
        };
        let hint = "for example `http://proxy.example.com:3128`";
        let Ok(url) = url::Url::parse(&text) else {
            self.push(given.problem("is not a URL", hint));
            return None;
        };
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            self.push(given.problem("is not an http or https URL", hint));
            return None;
        }
        if url.password().is_some() && !referred {
            self.push(given.problem(
                "has a password in it",
                "keep the whole URL elsewhere: `env:NAME` or `file:PATH`",
            ));
            return None;
        }
        Some(text)
    }

    fn ca_file(&mut self, given: &At<String>) -> Option<std::path::PathBuf> {
        let path = self.folder.join(&given.value);
        let hint = "a file with one or more PEM certificates";
        match std::fs::read_to_string(&path) {
            Err(error) => {
                self.push(given.problem(format!("`{}` cannot be read: {error}", path.display()), hint));
                None
            }
            Ok(text) if !text.contains("-----BEGIN CERTIFICATE-----") => {
                self.push(given.problem(format!("there is no certificate in `{}`", path.display()), hint));
                None
            }
            Ok(_) => Some(path),
        }
    }
}
