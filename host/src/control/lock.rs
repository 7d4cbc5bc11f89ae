//! One host for a data folder: two would answer every message twice.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::ControlError;

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
        let failed = |error: std::io::Error| super::socket::io(&path, &error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| super::socket::io(folder, &error))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // Best effort: who holds it may be writing its id just now.
                let _ = file.read_to_string(&mut text);
                let pid = text.trim().parse().ok();
                return Err(ControlError::Running {
                    folder: folder.display().to_string(),
                    pid,
                });
            }
            Err(error) => return Err(failed(error.into())),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(Self { _file: file })
    }
}
