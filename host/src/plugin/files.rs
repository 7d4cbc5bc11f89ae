//! Files that the host keeps for one bot: attachments that came, files that go out. Known by unguessable ids; a guest
//! never sees a path.

use std::collections::HashSet;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::chat::{BotName, CallError, FileRef, UnixMillis, now};

/// What a guest may read at once.
pub const READ_MAX: u32 = 4 * 1024 * 1024;
/// What a guest may keep in one file; larger ones come by `http.download`.
pub const KEEP_MAX: u32 = 32 * 1024 * 1024;
const NAME_MAX: usize = 200;

/// One bot's files. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Files {
    folder: PathBuf,
}

fn unavailable(error: &io::Error) -> CallError {
    CallError::Unavailable(format!("the host's files: {error}"))
}

/// A name that means the same everywhere: no path, no control character.
pub fn plain_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut plain: String = last.chars().filter(|c| !c.is_control()).collect();
    plain.truncate(plain.floor_char_boundary(NAME_MAX));
    if plain.trim_matches('.').trim().is_empty() {
        "file".to_owned()
    } else {
        plain
    }
}

/// What was just brought is not yet referred to: milliseconds of an hour.
const FRESH: UnixMillis = 3600 * 1000;

fn sweep(
    folder: &Path,
    before: UnixMillis,
    most_bytes: u64,
    needed: &HashSet<String>,
    now: UnixMillis,
) -> io::Result<usize> {
    let mut files = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut total = 0;
    for entry in entries {
        let entry = entry?;
        let meta = entry.metadata()?;
        let since = meta
            .modified()?
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let made = UnixMillis::try_from(since.as_millis()).unwrap_or(UnixMillis::MAX);
        total += meta.len();
        let name = entry.file_name().to_string_lossy().into_owned();
        if meta.is_file() && !needed.contains(&name) && made < now - FRESH {
            files.push((made, meta.len(), entry.path()));
        }
    }
    files.sort();
    let mut gone = 0;
    for (made, size, path) in files {
        if made >= before && total <= most_bytes {
            break;
        }
        std::fs::remove_file(path)?;
        total -= size;
        gone += 1;
    }
    Ok(gone)
}

impl Files {
    /// `root`: the folder for the files of all bots.
    pub fn new(root: &Path, bot: &BotName) -> Self {
        Self {
            folder: root.join(bot.as_str()),
        }
    }

    /// Where they lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes what nobody refers to any more: files of before `before` that are not in `needed`; then the oldest, but
    /// none of the last hour, until all others take no more than `most_bytes`. How many went.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub async fn sweep(&self, before: UnixMillis, most_bytes: u64, needed: HashSet<String>) -> io::Result<usize> {
        let folder = self.folder.clone();
        tokio::task::spawn_blocking(move || sweep(&folder, before, most_bytes, &needed, now()))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// A new id and the path for it; nothing is there yet, its folder is.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub async fn place(&self) -> Result<(String, PathBuf), CallError> {
        tokio::fs::create_dir_all(&self.folder)
            .await
            .map_err(|e| unavailable(&e))?;
        let id = uuid::Uuid::new_v4().simple().to_string();
        let path = self.folder.join(&id);
        Ok((id, path))
    }

    /// Where the file of this id is, if it is one of this bot's.
    ///
    /// # Errors
    /// `Rejected`: there is none.
    pub fn path(&self, id: &str) -> Result<PathBuf, CallError> {
        let missing = || {
            CallError::Rejected(format!(
                "there is no file `{}`",
                super::v1::from_guest::cut(id.to_owned(), 64)
            ))
        };
        if id.len() != 32 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(missing());
        }
        let path = self.folder.join(id);
        if path.is_file() { Ok(path) } else { Err(missing()) }
    }

    /// Makes a file.
    ///
    /// # Errors
    /// `TooLarge` beyond [`KEEP_MAX`]; `Unavailable` when it cannot be written.
    pub async fn keep(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<FileRef, CallError> {
        let size_bytes = u32::try_from(bytes.len()).ok().filter(|size| *size <= KEEP_MAX);
        let size_bytes = size_bytes.ok_or(CallError::TooLarge(KEEP_MAX))?;
        let (id, path) = self.place().await?;
        tokio::fs::write(&path, bytes).await.map_err(|e| unavailable(&e))?;
        Ok(FileRef {
            id,
            name: plain_name(name),
            media_type: media_type.to_owned(),
            size_bytes,
        })
    }

    /// A part of a file: shorter at its end, empty behind it.
    ///
    /// # Errors
    /// `TooLarge`: more than [`READ_MAX`] at once; `Rejected`: no such file.
    pub async fn read(&self, id: &str, offset: u32, length: u32) -> Result<Vec<u8>, CallError> {
        if length > READ_MAX {
            return Err(CallError::TooLarge(READ_MAX));
        }
        let mut file = tokio::fs::File::open(self.path(id)?)
            .await
            .map_err(|e| unavailable(&e))?;
        file.seek(SeekFrom::Start(offset.into()))
            .await
            .map_err(|e| unavailable(&e))?;
        let mut bytes = Vec::new();
        file.take(length.into())
            .read_to_end(&mut bytes)
            .await
            .map_err(|e| unavailable(&e))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn old_files_go_and_then_the_oldest_but_none_that_is_needed_or_fresh() {
        let folder = TempDir::new().unwrap();
        let now: UnixMillis = 1_800_000_000_000;
        for (name, hours) in [("needed", 100), ("old", 90), ("older", 50), ("newer", 20), ("fresh", 0)] {
            let path = folder.path().join(name);
            fs::write(&path, [0; 100]).unwrap();
            let made = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now).unwrap() - hours * 3_600_000);
            fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(made)
                .unwrap();
        }
        let needed = HashSet::from(["needed".to_owned()]);
        let left = |before: i64, most: u64| {
            sweep(folder.path(), now - before * 3_600_000, most, &needed, now).unwrap();
            let names = ["needed", "old", "older", "newer", "fresh"];
            names
                .into_iter()
                .filter(|name| folder.path().join(name).exists())
                .collect::<Vec<_>>()
        };
        assert_eq!(left(95, 500), ["needed", "old", "older", "newer", "fresh"]);
        assert_eq!(left(80, 500), ["needed", "older", "newer", "fresh"]);
        assert_eq!(left(80, 399), ["needed", "newer", "fresh"]);
        assert_eq!(left(80, 0), ["needed", "fresh"]);
        assert_eq!(sweep(&folder.path().join("none"), now, 0, &needed, now).unwrap(), 0);
    }
}
