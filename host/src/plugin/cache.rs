//! Compiled code and manifests on disk, keyed by the component's content and the engine.
//!
//! A cache and no more: what is missing, damaged, or of another engine is made again. Files are written beside their
//! place and renamed into it, in a folder that only this user may enter.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::{LoadError, v1};
use crate::manifest::About;

/// Rises when more is known of a component that is kept: what was kept before is made again. 2: it was compared as a whole
/// with the interface.
const FORMAT: u32 = 2;

/// What stands beside the code.
#[derive(Serialize, Deserialize)]
struct Beside {
    /// Of the code file: a damaged one is not run.
    code_sha256: String,
    about: About,
}

#[derive(Debug, Clone)]
pub(super) struct Cache {
    folder: PathBuf,
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl Cache {
    /// Makes the folder, for this user alone.
    pub(super) fn open(folder: &Path) -> Result<Self, LoadError> {
        let failed = |error: io::Error| {
            LoadError(format!(
                "the cache folder `{}` cannot be used: {error}",
                folder.display()
            ))
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
        // It may have been there already, open to others: code is read from it.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// The name of a component's entry: its content, the engine and its settings, the interface, what is known of it.
    pub(super) fn key(engine: &Engine, wasm: &[u8]) -> String {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        (v1::MAJOR, v1::MINOR, FORMAT).hash(&mut hasher);
        format!("{}-{:016x}", sha256(wasm), hasher.finish())
    }

    fn code(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.cwasm"))
    }

    fn beside(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.json"))
    }

    /// The compiled component and its manifest, if both are there and whole.
    pub(super) fn find(&self, engine: &Engine, key: &str) -> Option<(Component, About)> {
        let beside: Beside = serde_json::from_slice(&fs::read(self.beside(key)).ok()?).ok()?;
        let path = self.code(key);
        if sha256(&fs::read(&path).ok()?) != beside.code_sha256 {
            tracing::warn!(path = %path.display(), "compiled code is damaged and made again");
            return None;
        }
        #[expect(
            unsafe_code,
            reason = "the folder is this user's alone, and the file is what `keep` wrote: its hash says so"
        )]
        // SAFETY: as above; wasmtime itself checks that version and settings are this engine's.
        let component = unsafe { Component::deserialize_file(engine, &path) };
        match component {
            Ok(component) => Some((component, beside.about)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled code cannot be used and is made again");
                None
            }
        }
    }

    /// The same component for another engine with the same settings. `found`: `find` gave it, so both read the same file.
    /// None: that engine takes no such component.
    pub(super) fn again(&self, engine: &Engine, key: &str, component: &Component, found: bool) -> Option<Component> {
        #[expect(
            unsafe_code,
            reason = "it is the file that `find` has just compared with its hash, or what this process has compiled"
        )]
        // SAFETY: as above; wasmtime itself checks that version and settings are this engine's.
        let again = unsafe {
            if found {
                Component::deserialize_file(engine, self.code(key))
            } else {
                component
                    .serialize()
                    .and_then(|code| Component::deserialize(engine, code))
            }
        };
        again
            .inspect_err(|error| tracing::debug!(%error, "this component gets no place in the pool"))
            .ok()
    }

    /// Keeps both. The manifest comes last: without it an entry is not there.
    pub(super) fn keep(&self, key: &str, component: &Component, about: &About) -> io::Result<()> {
        let code = component
            .serialize()
            .map_err(|error| io::Error::other(error.to_string()))?;
        self.write(&self.code(key), &code)?;
        let beside = Beside {
            code_sha256: sha256(&code),
            about: about.clone(),
        };
        self.write(&self.beside(key), &serde_json::to_vec(&beside)?)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.folder.join(format!(".{}", uuid::Uuid::new_v4().simple()));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        let written = file.write_all(bytes).and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            // The first error says more than this one could.
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}
