//! Files that the host keeps for one bot: attachments that came, files that go out. Known by unguessable ids; a guest
//! never sees a path.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::chat::{BotName, CallError, FileRef};

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

impl Files {
    /// `root`: the folder for the files of all bots.
    pub fn new(root: &Path, bot: &BotName) -> Self {
        Self {
            folder: root.join(bot.as_str()),
        }
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
