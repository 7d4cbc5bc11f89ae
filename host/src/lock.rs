//! A file that one process holds at a time. The kernel lets go of it with the last process that has it open, however that
//! ends; what is in it says who that is.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// What became of a try.
#[derive(Debug)]
pub enum Locked {
    /// It is ours for as long as this, or a descriptor that was made of it, is open.
    Taken(File),
    /// Another has it: to be read only.
    Held(File),
}

/// Tries to take it. Makes it, and the folder that it is in, for their owner alone, if they are not there. May block shortly.
pub fn lock(path: &Path) -> io::Result<Locked> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut opened = OpenOptions::new();
    let file = opened
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Locked::Taken(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(Locked::Held(file)),
        Err(error) => Err(error.into()),
    }
}

/// Writes this in the place of what is there.
pub fn write(file: &mut File, text: &[u8]) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text)
}
