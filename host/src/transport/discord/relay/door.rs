//! Where serenity knocks: a port on loopback with a secret path.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;

use super::{Knock, Local};
use crate::transport::discord::BACKOFF;

pub(super) const HANDSHAKE: Duration = Duration::from_secs(5);
/// Hands are shaken with so many at a time; who comes then waits.
const OPEN_MAX: usize = 16;

/// Where serenity knocks.
pub(in crate::transport::discord) struct Door {
    pub(super) listener: TcpListener,
    pub(super) path: String,
}

impl Door {
    /// Answers serenity while it ends, which it does well only where its farewell is heard.
    pub(in crate::transport::discord) async fn part(&self, ended: impl Future<Output = ()>) {
        let hears = async {
            loop {
                let mut local = self.accept().await;
                while let Some(Ok(_)) = local.next().await {}
            }
        };
        tokio::select! {
            () = ended => {}
            () = hears => {}
        }
    }

    /// `accept`, to be waited for beside other things.
    pub(super) fn knock(self: &Arc<Self>) -> Knock {
        let door = Arc::clone(self);
        Box::pin(async move { door.accept().await })
    }

    /// serenity's next connection; whoever does not know the path is refused. A stranger that says nothing holds nobody up.
    pub(super) async fn accept(&self) -> Local {
        let mut open = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(shaken) = open.next() => {
                    if let Some(local) = shaken {
                        return local;
                    }
                }
                accepted = self.listener.accept(), if open.len() < OPEN_MAX => match accepted {
                    Ok((stream, _)) => open.push(self.shake(stream)),
                    // Too many files are open, say: that does not pass in an instant.
                    Err(_) => sleep(BACKOFF.0).await,
                },
            }
        }
    }

    /// Shakes hands with whoever came, if it is serenity.
    async fn shake(&self, stream: TcpStream) -> Option<Local> {
        let path = self.path.clone();
        #[expect(clippy::result_large_err, reason = "the library's own type")]
        let check = move |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            if request.uri().path() == path {
                return Ok(response);
            }
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = StatusCode::FORBIDDEN;
            Err(refusal)
        };
        let shaken = timeout(HANDSHAKE, tokio_tungstenite::accept_hdr_async(stream, check)).await;
        shaken.ok()?.ok()
    }
}
