//! The socket: where it is, who may speak, one line each way.

use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::{Answer, ControlError, ControlHandler, answer};

const SOCKET: &str = "control.sock";
/// Names the socket where it could not be in the folder.
const ELSEWHERE: &str = "control.path";
/// `sun_path` of Linux is 108 bytes with its zero (unix(7)); other systems have 104.
const PATH_MAX_BYTES: usize = 103;
const REQUEST_MAX_BYTES: u64 = 64 * 1024;
const ANSWER_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// For one exchange, on either side.
const EXCHANGE: Duration = Duration::from_secs(10);
/// Exchanges at the same time.
const PARALLEL_MAX: usize = 16;

pub(super) fn io(path: &Path, error: &io::Error) -> ControlError {
    ControlError::Io {
        path: path.display().to_string(),
        reason: error.to_string(),
    }
}

/// A socket that takes connections and is not served yet. Removed from the file system when it is dropped.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
    /// The file that names the socket, where there is one.
    pointer: Option<PathBuf>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        if let Some(pointer) = &self.pointer {
            let _ = std::fs::remove_file(pointer);
        }
    }
}

impl Listener {
    /// Opens the socket of a data folder. The caller holds the folder's [`super::Lock`]: what lies there from an
    /// earlier host is replaced. `temp_dir` is where the socket goes if the folder's name is too long for one.
    /// Within a tokio runtime.
    pub fn bind(folder: &Path, temp_dir: &Path) -> Result<Self, ControlError> {
        let pointer = folder.join(ELSEWHERE);
        let near = std::path::absolute(folder)
            .unwrap_or_else(|_| folder.to_owned())
            .join(SOCKET);
        let (path, pointer) = if near.as_os_str().len() <= PATH_MAX_BYTES {
            remove(&pointer)?;
            (near, None)
        } else {
            let far = temp_dir.join(far_name(&near));
            remove(&pointer)?;
            let written = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&pointer)
                .and_then(|mut file| io::Write::write_all(&mut file, far.as_os_str().as_encoded_bytes()));
            written.map_err(|error| io(&pointer, &error))?;
            (far, Some(pointer))
        };
        remove(&path)?;
        let listener = UnixListener::bind(&path).map_err(|error| io(&path, &error))?;
        // From here on dropping cleans up. Between bind and this, whoever connects is another user and is refused.
        let bound = Self {
            listener,
            path,
            pointer,
        };
        std::fs::set_permissions(&bound.path, std::fs::Permissions::from_mode(0o600))
            .map_err(|error| io(&bound.path, &error))?;
        Ok(bound)
    }

    /// Answers until `stop`, then lets exchanges under way finish.
    pub async fn serve(self, handler: Arc<dyn ControlHandler>, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let room = Arc::new(tokio::sync::Semaphore::new(PARALLEL_MAX));
        loop {
            let permit = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                permit = Arc::clone(&room).acquire_owned() => permit,
            };
            let stream = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        // Out of descriptors: they come back, but not by asking at once.
                        warn!(%error, "a control connection could not be taken");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            let handler = Arc::clone(&handler);
            tasks.spawn(async move {
                let _permit = permit;
                match tokio::time::timeout(EXCHANGE, exchange(stream, &*handler)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => debug!(%error, "a control connection ended early"),
                    Err(_) => debug!("a control connection was too slow"),
                }
            });
        }
        tasks.close();
        tasks.wait().await;
    }
}

/// One request, one answer.
async fn exchange(mut stream: UnixStream, handler: &dyn ControlHandler) -> io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    let peer = stream.peer_cred()?.uid();
    if peer != own && peer != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("user {peer} may not speak here"),
        ));
    }
    let (reading, mut writing) = stream.split();
    let mut line = Vec::new();
    BufReader::new(reading.take(REQUEST_MAX_BYTES))
        .read_until(b'\n', &mut line)
        .await?;
    let answered = if line.ends_with(b"\n") {
        answer(handler, &line).await
    } else {
        Answer::Refused("the request is not one line".to_owned())
    };
    let mut text = serde_json::to_vec(&answered)?;
    text.push(b'\n');
    writing.write_all(&text).await?;
    writing.shutdown().await
}

/// Speaks to the host of a data folder. Every request is a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    folder: PathBuf,
}

impl Client {
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// One line there, one line back. `NotRunning` if nobody listens.
    pub(super) async fn exchange(&self, mut line: Vec<u8>) -> Result<Vec<u8>, ControlError> {
        let path = self.path()?;
        let failed = |error: io::Error| io(&path, &error);
        line.push(b'\n');
        let talk = async {
            let mut stream = UnixStream::connect(&path).await.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    ControlError::NotRunning(self.folder.display().to_string())
                }
                _ => io(&path, &error),
            })?;
            // Anybody can make a file in the temporary folder: do not believe a stranger.
            let peer = stream.peer_cred().map_err(failed)?.uid();
            let own = rustix::process::geteuid().as_raw();
            let owner = std::fs::metadata(&self.folder).map_err(failed)?;
            if peer != own && peer != std::os::unix::fs::MetadataExt::uid(&owner) {
                return Err(ControlError::Protocol(format!("it comes from user {peer}")));
            }
            stream.write_all(&line).await.map_err(failed)?;
            let mut answered = Vec::new();
            stream
                .take(ANSWER_MAX_BYTES)
                .read_to_end(&mut answered)
                .await
                .map_err(failed)?;
            Ok(answered)
        };
        match tokio::time::timeout(EXCHANGE, talk).await {
            Ok(answered) => answered,
            Err(_) => Err(ControlError::Io {
                path: path.display().to_string(),
                reason: format!("no answer within {} seconds", EXCHANGE.as_secs()),
            }),
        }
    }

    fn path(&self) -> Result<PathBuf, ControlError> {
        let pointer = self.folder.join(ELSEWHERE);
        match std::fs::read_to_string(&pointer) {
            Ok(far) => Ok(PathBuf::from(far)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let near = std::path::absolute(&self.folder)
                    .unwrap_or_else(|_| self.folder.clone())
                    .join(SOCKET);
                // A name that no socket can have: no host of ours listens there.
                if near.as_os_str().len() > PATH_MAX_BYTES {
                    return Err(ControlError::NotRunning(self.folder.display().to_string()));
                }
                Ok(near)
            }
            Err(error) => Err(io(&pointer, &error)),
        }
    }
}

/// The same for the same folder, and no other's.
fn far_name(near: &Path) -> String {
    let digest = Sha256::digest(near.as_os_str().as_encoded_bytes());
    format!(
        "botyard-{}-{}.sock",
        rustix::process::geteuid().as_raw(),
        hex::encode(&digest[..8])
    )
}

fn remove(path: &Path) -> Result<(), ControlError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io(path, &error)),
        _ => Ok(()),
    }
}
