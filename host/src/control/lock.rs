//! One host for a data folder: two would answer every message twice.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::ControlError;
use crate::lock::{self, Locked};

const FILE: &str = "host.lock";

/// Held until it is dropped, and gone with the process however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the folder for this process; makes it, for its owner alone, if it is not there.
    pub fn take(folder: &Path) -> Result<Self, ControlError> {
        let path = folder.join(FILE);
        let failed = |error: io::Error| super::socket::io(&path, &error);
        let mut file = match lock::lock(&path).map_err(failed)? {
            Locked::Taken(file) => file,
            Locked::Held(mut file) => {
                let mut text = String::new();
                // Best effort: who holds it may be writing its id just now.
                let _ = file.read_to_string(&mut text);
                let pid = text.trim().parse().ok();
                return Err(ControlError::Running {
                    folder: folder.display().to_string(),
                    pid,
                });
            }
        };
        let own = format!("{}\n", std::process::id());
        lock::write(&mut file, own.as_bytes()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}
