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

use super::{Answer, ControlError, ControlHandler, Request, answer};

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
/// Connections at the same time that last as long as whoever opened them likes.
const LASTING_MAX: usize = 32;

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
        let lasting = Arc::new(tokio::sync::Semaphore::new(LASTING_MAX));
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
            let (handler, lasting, stop) = (Arc::clone(&handler), Arc::clone(&lasting), stop.clone());
            tasks.spawn(async move {
                let stays = match tokio::time::timeout(EXCHANGE, exchange(stream, &*handler)).await {
                    Ok(Ok(stays)) => stays,
                    Ok(Err(error)) => return debug!(%error, "a control connection ended early"),
                    Err(_) => return debug!("a control connection was too slow"),
                };
                drop(permit);
                let Some((stream, request)) = stays else { return };
                let Ok(_place) = lasting.try_acquire() else {
                    return full(stream).await;
                };
                tokio::select! {
                    biased;
                    // The end of the connection tells whoever listens that the host ends.
                    () = stop.cancelled() => {}
                    ended = last(stream, request, &*handler) => if let Err(error) = ended {
                        debug!(%error, "a control connection ended early");
                    },
                }
            });
        }
        tasks.close();
        tasks.wait().await;
    }
}

/// One request, one answer. Some: the answer comes when it comes, see [`last`].
async fn exchange(mut stream: UnixStream, handler: &dyn ControlHandler) -> io::Result<Option<(UnixStream, Request)>> {
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
        match super::understood(&line) {
            Ok(request) if request.lasts() => return Ok(Some((stream, request))),
            Ok(request) => answer(handler, request).await,
            Err(refused) => refused,
        }
    } else {
        Answer::Refused("the request is not one line".to_owned())
    };
    writing.write_all(&json_line(&answered)?).await?;
    writing.shutdown().await?;
    Ok(None)
}

/// There are as many as there may be that last.
async fn full(mut stream: UnixStream) {
    let refused = Answer::Refused(format!("{LASTING_MAX} terminals and tails are open already: end one"));
    let told = async { stream.write_all(&json_line(&refused)?).await };
    if let Ok(Err(error)) = tokio::time::timeout(EXCHANGE, told).await {
        debug!(%error, "a control connection ended early");
    }
}

fn json_line(value: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    Ok(text)
}

/// A connection that lasts: an answer, and then lines for as long as both sides like. Whoever asked says nothing more; that
/// it goes away ends it.
async fn last(mut stream: UnixStream, request: Request, handler: &dyn ControlHandler) -> io::Result<()> {
    let (mut reading, mut writing) = stream.split();
    let served = async {
        let (answered, lines) = super::answer_lasting(handler, request).await;
        writing.write_all(&json_line(&answered)?).await?;
        let Some(mut lines) = lines else {
            return Ok::<(), io::Error>(());
        };
        loop {
            // Nothing more is asked for before this is taken: a slow reader holds up itself alone.
            for line in lines.next().await {
                writing.write_all(&json_line(&line)?).await?;
            }
        }
    };
    let gone = async {
        let mut nothing = [0; 16];
        while reading.read(&mut nothing).await.is_ok_and(|read| read > 0) {}
    };
    tokio::select! {
        ended = served => ended,
        () = gone => Ok(()),
    }
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

    /// The host takes the request. `NotRunning` if nobody listens.
    async fn connect(&self, path: &Path, mut line: Vec<u8>) -> Result<UnixStream, ControlError> {
        let failed = |error: io::Error| io(path, &error);
        line.push(b'\n');
        let mut stream = UnixStream::connect(path).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ControlError::NotRunning(self.folder.display().to_string())
            }
            _ => io(path, &error),
        })?;
        // Anybody can make a file in the temporary folder: do not believe a stranger.
        let peer = stream.peer_cred().map_err(failed)?.uid();
        let own = rustix::process::geteuid().as_raw();
        let owner = std::fs::metadata(&self.folder).map_err(failed)?;
        if peer != own && peer != std::os::unix::fs::MetadataExt::uid(&owner) {
            return Err(ControlError::Protocol(format!("it comes from user {peer}")));
        }
        stream.write_all(&line).await.map_err(failed)?;
        Ok(stream)
    }

    /// One line there, and lines back for as long as the host gives some.
    pub(super) async fn lines(&self, line: Vec<u8>) -> Result<Lines, ControlError> {
        let path = self.path()?;
        let stream = tokio::time::timeout(EXCHANGE, self.connect(&path, line)).await;
        let stream = stream.unwrap_or_else(|_| Err(io(&path, &io::ErrorKind::TimedOut.into())))?;
        Ok(Lines {
            stream: BufReader::new(stream),
            line: Vec::new(),
            path,
        })
    }

    /// One line there, one line back. `NotRunning` if nobody listens.
    pub(super) async fn exchange(&self, line: Vec<u8>) -> Result<Vec<u8>, ControlError> {
        let path = self.path()?;
        let failed = |error: io::Error| io(&path, &error);
        let talk = async {
            let stream = self.connect(&path, line).await?;
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

/// What the host says on one connection.
#[derive(Debug)]
pub struct Lines {
    stream: BufReader<UnixStream>,
    line: Vec<u8>,
    path: PathBuf,
}

impl Lines {
    /// The next line; none: the host is gone. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, ControlError> {
        let read = self.stream.read_until(b'\n', &mut self.line).await;
        match read {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(io(&self.path, &error)),
            // What has no end was cut off.
            _ => Ok(Some(std::mem::take(&mut self.line)).filter(|line| line.ends_with(b"\n"))),
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
