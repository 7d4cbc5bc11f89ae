//! Where serenity knocks: a port on loopback with a secret path.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;

use super::{Knock, Local};
use crate::transport::discord::BACKOFF;

const HANDSHAKE: Duration = Duration::from_secs(5);

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

    /// serenity's next connection; whoever does not know the path is refused.
    pub(super) async fn accept(&self) -> Local {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // Too many files are open, say: that does not pass in an instant.
                sleep(BACKOFF.0).await;
                continue;
            };
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
            if let Ok(Ok(local)) = shaken {
                return local;
            }
        }
    }
}
