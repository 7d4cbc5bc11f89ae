//! The two trays of a session's workspace: `inbox`, where what came with messages is laid for the agent, and `outbox`,
//! from which what the agent leaves goes into the chat. Names come from people and from agents: only plain files count,
//! no links and no folders.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::chat::{FileRef, TurnId};
use crate::driver::Image;
use crate::session::Bounds;
use crate::store::InFile;

/// Where messages' files are laid, below the workspace; each message has a folder of its own in it.
const INBOX: &str = "inbox";
/// An image up to this also goes to the model itself: base64 makes five megabytes of it, which is what Anthropic's API
/// takes (<https://docs.anthropic.com/en/docs/build-with-claude/vision>).
const IMAGE_MAX_BYTES: u64 = 3_750_000;
/// Images of one message that go to the model itself, and their bytes together: a request of that API has 32 MB.
const IMAGES: usize = 8;
const IMAGES_MAX_BYTES: usize = 12_000_000;
/// Files that one turn brings into the chat.
const FILES: usize = 10;

/// What was laid for the agent.
#[derive(Debug, Default)]
pub(super) struct Laid {
    /// For the agent: where it is.
    pub(super) told: String,
    pub(super) images: Vec<Image>,
}

/// What an agent left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Kept by the host already; and where each still lies.
    pub(super) files: Vec<(FileRef, PathBuf)>,
    /// What cannot go into the chat: its name, and why.
    pub(super) stays: Vec<(String, String)>,
}

impl Left {
    /// What goes into the chat.
    pub(super) fn files(&self) -> impl Iterator<Item = FileRef> {
        self.files.iter().map(|(file, _)| file.clone())
    }

    /// What the person is told of the others.
    pub(super) fn notices(&self) -> Vec<String> {
        let stays = self.stays.iter();
        let notice =
            |(name, why): &(String, String)| format!("`{}` stays in the outbox: {why}.", name.replace('`', "'"));
        stays.map(notice).collect()
    }
}

/// What an agent is told of its outbox; none where files go nowhere.
pub(super) fn note(outbox: &Path, workspace: &Path, bounds: Bounds) -> Option<String> {
    let most = bounds.upload_max_bytes?.min(bounds.files_max_bytes);
    let place = outbox.strip_prefix(workspace).unwrap_or(outbox);
    Some(format!(
        "To give files to the people in this chat, put them into the folder `{}` of your working folder (make it if it is \
         not there); when your turn ends they are sent and taken out of it: at most {FILES} with one answer, each of at \
         most {most} bytes. What does not go stays there.",
        place.display()
    ))
}

/// Puts the files of a message into the workspace. The same again changes nothing.
pub(super) async fn lay(kept: PathBuf, workspace: PathBuf, turn: TurnId, files: Vec<InFile>) -> Laid {
    if files.is_empty() {
        return Laid::default();
    }
    let laid = tokio::task::spawn_blocking(move || lay_now(&kept, &workspace, &turn, &files));
    laid.await.unwrap_or_default()
}

fn lay_now(kept: &Path, workspace: &Path, turn: &TurnId, files: &[InFile]) -> Laid {
    let (mut laid, mut bytes) = (Laid::default(), 0);
    let short = turn.as_str().get(..8).unwrap_or(turn.as_str());
    let folder = Path::new(INBOX).join(short);
    for file in files {
        let place = folder.join(&file.name);
        let put = fs::create_dir_all(workspace.join(&folder))
            .and_then(|()| fs::copy(kept.join(&file.id), workspace.join(&place)));
        match put {
            Ok(_) => {
                let size = file.size_bytes;
                laid.told.push_str(&format!(
                    "\n\n(A file came with this message: `{}`, {}, {size} bytes.)",
                    place.display(),
                    file.media_type
                ));
                if laid.images.len() < IMAGES
                    && let Some(image) = image(&workspace.join(&place))
                    && bytes + image.bytes.len() <= IMAGES_MAX_BYTES
                {
                    bytes += image.bytes.len();
                    laid.images.push(image);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a file could not be laid into a workspace");
                laid.told.push_str(&format!(
                    "\n\n(A file `{}` came with this message and is not here: it could not be stored.)",
                    file.name
                ));
            }
        }
    }
    laid
}

/// The image in a file, by what is in it and not by its name: an API refuses a whole conversation over a wrong type.
fn image(path: &Path) -> Option<Image> {
    if fs::metadata(path).ok()?.len() > IMAGE_MAX_BYTES {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let media_type = match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ => return None,
    };
    Some(Image { media_type, bytes })
}

/// Takes copies of what the agent left into the host's keeping; [`clear`] removes the originals once the end of the turn
/// is on disk.
pub(super) async fn collect(outbox: PathBuf, kept: PathBuf, bounds: Bounds) -> Left {
    let left = tokio::task::spawn_blocking(move || collect_now(&outbox, &kept, bounds));
    match left.await {
        Ok(Ok(left)) => left,
        Ok(Err(error)) => {
            tracing::warn!(%error, "what an agent left could not be taken");
            Left::default()
        }
        Err(_) => Left::default(),
    }
}

fn collect_now(outbox: &Path, kept: &Path, bounds: Bounds) -> io::Result<Left> {
    let mut left = Left::default();
    let tray = match fs::symlink_metadata(outbox) {
        Ok(tray) => tray,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(left),
        Err(error) => return Err(error),
    };
    if !tray.is_dir() {
        return Ok(left);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(outbox)? {
        let entry = entry?;
        let meta = fs::symlink_metadata(entry.path())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Hidden ones are half-written, or an editor's.
        if meta.is_file() && !name.starts_with('.') {
            found.push((name, entry.path(), meta.len()));
        }
    }
    found.sort();
    for (name, path, size) in found {
        let most = bounds.upload_max_bytes.unwrap_or(0).min(bounds.files_max_bytes);
        let why = match bounds.upload_max_bytes {
            None => "this chat takes no files".to_owned(),
            Some(_) if size > most => format!("it has {size} bytes and {most} may be sent"),
            Some(_) if size == 0 => "it is empty".to_owned(),
            Some(_) if left.files.len() >= FILES => format!("{FILES} files go with one answer"),
            Some(_) => {
                let id = uuid::Uuid::new_v4().simple().to_string();
                fs::create_dir_all(kept)?;
                fs::copy(&path, kept.join(&id))?;
                let file = FileRef {
                    id,
                    media_type: crate::chat::media_type(&name).to_owned(),
                    size_bytes: u32::try_from(size).unwrap_or(u32::MAX),
                    name,
                };
                left.files.push((file, path));
                continue;
            }
        };
        left.stays.push((name, why));
    }
    Ok(left)
}

/// What went out is not there any more.
pub(super) async fn clear(left: Left) {
    for (_, path) in left.files {
        if let Err(error) = tokio::fs::remove_file(&path).await {
            tracing::warn!(%error, "a file that was sent could not be taken out of the outbox; it is sent again");
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";

    fn file(id: &str, name: &str) -> InFile {
        InFile {
            id: id.into(),
            name: name.into(),
            media_type: "image/png".into(),
            size_bytes: 12,
        }
    }

    fn bounds(upload_max_bytes: Option<u64>) -> Bounds {
        Bounds {
            upload_max_bytes,
            files_max_bytes: 1000,
        }
    }

    #[tokio::test]
    async fn files_are_laid_where_the_agent_is_told_and_images_are_known_by_their_bytes() {
        let folder = TempDir::new().unwrap();
        let (kept, workspace) = (folder.path().join("kept"), folder.path().join("work"));
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join("f1"), PNG).unwrap();
        fs::write(kept.join("f2"), "no image").unwrap();
        let files = vec![file("f1", "plan.png"), file("f2", "liar.png"), file("f3", "lost.png")];
        let turn = TurnId::from("abcdefgh23456789");
        for _ in 0..2 {
            let laid = lay(kept.clone(), workspace.clone(), turn.clone(), files.clone()).await;
            assert!(
                laid.told.contains("`inbox/abcdefgh/plan.png`, image/png, 12 bytes"),
                "{}",
                laid.told
            );
            assert!(
                laid.told.contains("`lost.png` came with this message and is not here"),
                "{}",
                laid.told
            );
            let images: Vec<_> = laid
                .images
                .iter()
                .map(|image| (image.media_type, image.bytes.as_slice()))
                .collect();
            assert_eq!(images, [("image/png", PNG)]);
        }
        assert_eq!(fs::read(workspace.join("inbox/abcdefgh/plan.png")).unwrap(), PNG);
        assert_eq!(
            fs::read(workspace.join("inbox/abcdefgh/liar.png")).unwrap(),
            b"no image"
        );
    }

    #[test]
    fn agent_is_told_before_how_many_files_go_and_how_large_each_may_be() {
        let (outbox, workspace) = (Path::new("/w/outbox"), Path::new("/w"));
        let told = note(outbox, workspace, bounds(Some(500))).unwrap();
        assert_eq!(
            told,
            "To give files to the people in this chat, put them into the folder `outbox` of your working folder (make it if it \
             is not there); when your turn ends they are sent and taken out of it: at most 10 with one answer, each of at most \
             500 bytes. What does not go stays there."
        );
        // What the operator allows, if the platform takes more.
        let told = note(outbox, workspace, bounds(Some(5000))).unwrap();
        assert!(told.contains("each of at most 1000 bytes"), "{told}");
        assert_eq!(note(outbox, workspace, bounds(None)), None);
    }

    #[tokio::test]
    async fn only_plain_files_go_out_and_stay_until_they_are_cleared() {
        let folder = TempDir::new().unwrap();
        let (kept, outbox) = (folder.path().join("kept"), folder.path().join("outbox"));
        fs::create_dir_all(outbox.join("folder")).unwrap();
        let secret = folder.path().join("secret");
        fs::write(&secret, "nobody's business").unwrap();
        std::os::unix::fs::symlink(&secret, outbox.join("link")).unwrap();
        fs::write(outbox.join("b.txt"), "two").unwrap();
        fs::write(outbox.join("a.csv"), "one").unwrap();
        fs::write(outbox.join(".half"), "x").unwrap();
        fs::write(outbox.join("large"), vec![0; 600]).unwrap();
        let left = collect(outbox.clone(), kept.clone(), bounds(Some(500))).await;
        let names: Vec<_> = left
            .files
            .iter()
            .map(|(file, _)| (file.name.as_str(), file.media_type.as_str()))
            .collect();
        assert_eq!(names, [("a.csv", "text/csv"), ("b.txt", "text/plain")]);
        assert_eq!(
            left.stays,
            [("large".to_owned(), "it has 600 bytes and 500 may be sent".to_owned())]
        );
        assert_eq!(fs::read(kept.join(&left.files[0].0.id)).unwrap(), b"one");
        assert!(outbox.join("a.csv").exists(), "until it is cleared");
        clear(left).await;
        assert!(!outbox.join("a.csv").exists() && outbox.join("large").exists());
    }

    #[tokio::test]
    async fn a_chat_without_files_is_told_of_them() {
        let folder = TempDir::new().unwrap();
        let outbox = folder.path().join("outbox");
        fs::create_dir_all(&outbox).unwrap();
        fs::write(outbox.join("a"), "one").unwrap();
        let left = collect(outbox, folder.path().join("kept"), bounds(None)).await;
        assert_eq!(left.stays, [("a".to_owned(), "this chat takes no files".to_owned())]);
        assert!(left.files.is_empty());
        let none = collect(folder.path().join("nowhere"), folder.path().join("kept"), bounds(None)).await;
        assert!(none.files.is_empty() && none.stays.is_empty());
    }
}
