//! Finds the program of an agent's command.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::environment::Environment;

/// Why a program cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProgramError {
    #[error("`{0}` is not on PATH")]
    NotOnPath(String),
    #[error("there is no file `{0}`")]
    Missing(String),
    #[error("`{0}` is a folder")]
    Folder(String),
    #[error("`{0}` is not executable")]
    NotExecutable(String),
}

/// A word with a slash is a path, relative to `folder`; any other is looked up in PATH. The answer is absolute.
pub(super) fn find(word: &str, folder: &Path, environment: &Environment) -> Result<PathBuf, ProgramError> {
    if word.contains('/') {
        // Collected from its components: without `.`.
        let path: PathBuf = folder.join(word).components().collect();
        return usable(&path).map(|()| path);
    }
    let mut error = ProgramError::NotOnPath(word.to_owned());
    for place in std::env::split_paths(&environment.path) {
        // An empty or relative place means the working folder, which agents can write to.
        if !place.is_absolute() {
            continue;
        }
        let path = place.join(word);
        match usable(&path) {
            Ok(()) => return Ok(path),
            Err(found @ ProgramError::NotExecutable(_)) => error = found,
            Err(_) => {}
        }
    }
    Err(error)
}

fn usable(path: &Path) -> Result<(), ProgramError> {
    let name = || path.display().to_string();
    let Ok(about) = path.metadata() else {
        return Err(ProgramError::Missing(name()));
    };
    if about.is_dir() {
        return Err(ProgramError::Folder(name()));
    }
    if about.permissions().mode() & 0o111 == 0 {
        return Err(ProgramError::NotExecutable(name()));
    }
    Ok(())
}
