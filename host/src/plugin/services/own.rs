//! `store`, `memory` and `host`: what belongs to this bot alone.

use std::time::{Duration, Instant};

use crate::chat::{self, CallError};
use crate::plugin::adapter::Bound;
use crate::plugin::sandbox::{Export, Service, Shown, State};
use crate::plugin::v1::types::{Conversation, Error, Person};
use crate::plugin::v1::{from_guest, host, memory, store, to_guest};
use crate::store::{Store, StoreError};

const KEY_MAX: usize = 200;
const VALUE_MAX: usize = 256 * 1024;
const ENTRIES_MAX: u64 = 10_000;
const BYTES_MAX: u64 = 64 * 1024 * 1024;
const MEMORY_MAX: usize = 32 * 1024;
const LINE_MAX: usize = 2 * 1024;
/// Of one call; of a link, in a second.
const LINES_MAX: u32 = 50;

/// A guest's keys, apart from the host's own of the same bot.
fn guest_key(key: &str) -> Result<String, Error> {
    if key.is_empty() || key.len() > KEY_MAX {
        return Err(Error::Rejected(format!(
            "a key is 1 to {KEY_MAX} bytes, not {}",
            key.len()
        )));
    }
    Ok(format!("guest/{key}"))
}

fn unavailable(error: &StoreError) -> Error {
    Error::Unavailable(error.to_string())
}

/// Whether the bot's adapter may keep so many bytes under this key.
fn fits(store: &mut dyn Store, bound: &Bound, key: &str, bytes: usize) -> Result<bool, StoreError> {
    let (entries, size) = store.kv_size(&bound.bot)?;
    let before = store.kv_get(&bound.bot, key, chat::now())?;
    let more = u64::from(before.is_none());
    let freed = before.map_or(0, |value| value.len() as u64);
    Ok(entries + more <= ENTRIES_MAX && size.saturating_sub(freed) + bytes as u64 <= BYTES_MAX)
}

fn expiry(lifetime_seconds: Option<u32>) -> Option<chat::UnixMillis> {
    lifetime_seconds.map(|seconds| chat::now() + i64::from(seconds) * 1000)
}

fn full() -> Error {
    Error::TooLarge(u32::try_from(BYTES_MAX).unwrap_or(u32::MAX))
}

impl State {
    async fn put_value(
        &mut self,
        key: String,
        value: Vec<u8>,
        lifetime_seconds: Option<u32>,
        only_if_absent: bool,
    ) -> wasmtime::Result<Result<bool, Error>> {
        self.spend(value.len())?;
        let ready = self.granted(Service::Store).and_then(|bound| {
            let key = guest_key(&key)?;
            if value.len() > VALUE_MAX {
                return Err(Error::TooLarge(u32::try_from(VALUE_MAX).unwrap_or(u32::MAX)));
            }
            Ok((bound, key))
        });
        let (bound, key) = match ready {
            Ok(ready) => ready,
            Err(error) => return Ok(Err(error)),
        };
        let expires = expiry(lifetime_seconds);
        let journal = bound.journal.clone();
        let written = self
            .waiting(journal.write(move |store| {
                if !fits(store, &bound, &key, value.len())? {
                    return Ok(None);
                }
                if only_if_absent {
                    return store
                        .kv_put_if_absent(&bound.bot, &key, &value, expires, chat::now())
                        .map(Some);
                }
                store.kv_put(&bound.bot, &key, &value, expires)?;
                Ok(Some(true))
            }))
            .await;
        Ok(match written {
            Ok(Some(put)) => Ok(put),
            Ok(None) => Err(full()),
            Err(error) => Err(unavailable(&error)),
        })
    }
}

impl store::Host for State {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let ready = self
            .granted(Service::Store)
            .and_then(|bound| Ok((bound, guest_key(&key)?)));
        let (bound, key) = match ready {
            Ok(ready) => ready,
            Err(error) => return Ok(Err(error)),
        };
        let journal = bound.journal.clone();
        let value = self
            .waiting(journal.read(move |store| store.kv_get(&bound.bot, &key, chat::now())))
            .await;
        Ok(value.map_err(|error| unavailable(&error)))
    }

    async fn put(
        &mut self,
        key: String,
        value: Vec<u8>,
        lifetime_seconds: Option<u32>,
    ) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.put_value(key, value, lifetime_seconds, false).await?.map(|_| ()))
    }

    async fn put_if_absent(
        &mut self,
        key: String,
        value: Vec<u8>,
        lifetime_seconds: Option<u32>,
    ) -> wasmtime::Result<Result<bool, Error>> {
        self.put_value(key, value, lifetime_seconds, true).await
    }

    async fn remove(&mut self, key: String) -> wasmtime::Result<Result<(), Error>> {
        let ready = self
            .granted(Service::Store)
            .and_then(|bound| Ok((bound, guest_key(&key)?)));
        let (bound, key) = match ready {
            Ok(ready) => ready,
            Err(error) => return Ok(Err(error)),
        };
        let journal = bound.journal.clone();
        let removed = self
            .waiting(journal.write(move |store| store.kv_remove(&bound.bot, &key)))
            .await;
        Ok(removed.map_err(|error| unavailable(&error)))
    }
}

impl State {
    /// Writes for the turn that is shown.
    async fn remember(
        &mut self,
        write: impl FnOnce(&mut dyn Store, &Bound, &Shown) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), Error> {
        let bound = self.granted(Service::Memory)?;
        let Some(shown) = self.shown.clone() else {
            return Err(Error::Rejected("nothing is shown".to_owned()));
        };
        let journal = bound.journal.clone();
        self.waiting(journal.write(move |store| write(store, &bound, &shown)))
            .await
            .map_err(|error| unavailable(&error))
    }
}

impl memory::Host for State {
    async fn save(&mut self, memory: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        if memory.len() > MEMORY_MAX {
            return Ok(Err(Error::TooLarge(u32::try_from(MEMORY_MAX).unwrap_or(u32::MAX))));
        }
        Ok(self
            .remember(move |store, _, shown| store.outbox_memory(&shown.turn, &memory))
            .await)
    }

    async fn posted(&mut self, message: String) -> wasmtime::Result<Result<(), Error>> {
        Ok(self
            .remember(move |store, _, shown| store.outbox_posted(&shown.turn, &message))
            .await)
    }

    async fn moved(&mut self, to: Conversation) -> wasmtime::Result<Result<(), Error>> {
        let to = match from_guest::conversation(to) {
            Ok(to) => to,
            Err(text) => return Ok(Err(to_guest::error(CallError::Rejected(text)))),
        };
        Ok(self
            .remember(move |store, bound, shown| store.turn_moved(&bound.bot, &shown.turn, &to))
            .await)
    }
}

impl State {
    /// Whether one more line of the guest's may go to the log.
    fn may_log(&mut self) -> bool {
        if let Some(link) = &mut self.link
            && link.log_since.elapsed() > Duration::from_secs(1)
        {
            link.log_since = Instant::now();
            self.log_lines = 0;
        }
        self.log_lines = self.log_lines.saturating_add(1);
        self.log_lines <= LINES_MAX
    }
}

impl host::Host for State {
    async fn log(&mut self, level: host::Level, message: String) -> wasmtime::Result<()> {
        self.spend(message.len())?;
        let Ok(bound) = self.granted(Service::Host) else {
            return Ok(());
        };
        if !self.may_log() {
            return Ok(());
        }
        let message = bound.outlet.redact(&from_guest::cut(message, LINE_MAX));
        let (bot, export) = (&bound.bot, self.export);
        match level {
            host::Level::Debug => tracing::debug!(%bot, %export, "{message}"),
            host::Level::Info => tracing::info!(%bot, %export, "{message}"),
            host::Level::Warn => tracing::warn!(%bot, %export, "{message}"),
            host::Level::Error => tracing::error!(%bot, %export, "{message}"),
        }
        Ok(())
    }

    async fn now(&mut self) -> wasmtime::Result<u32> {
        // A manifest depends on nothing, and not on the time.
        Ok(if self.export == Export::Describe {
            0
        } else {
            to_guest::unix_time(chat::now())
        })
    }

    async fn setting(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.granted(Service::Host).ok().and_then(|bound| bound.setting(&name)))
    }

    async fn api_base(&mut self) -> wasmtime::Result<String> {
        Ok(self
            .granted(Service::Host)
            .map_or_else(|_| String::new(), |bound| bound.api_base.clone()))
    }

    async fn mode(&mut self) -> wasmtime::Result<String> {
        Ok(self
            .granted(Service::Host)
            .map_or_else(|_| String::new(), |bound| bound.mode.clone()))
    }

    async fn me(&mut self) -> wasmtime::Result<Option<Person>> {
        Ok(self
            .granted(Service::Host)
            .ok()
            .and_then(|bound| bound.me().as_ref().map(to_guest::person)))
    }

    async fn route_url(&mut self, route: String) -> wasmtime::Result<Option<String>> {
        Ok(self
            .granted(Service::Host)
            .ok()
            .and_then(|bound| bound.route_url(&route)))
    }
}
