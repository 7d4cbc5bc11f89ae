//! Where to connect, and the connection itself: `apps.connections.open` by slack-morphism, over the bot's way out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use slack_morphism::errors::SlackClientError;
use slack_morphism::prelude::{SlackApiAppsConnectionOpenRequest, SlackClientHyperConnector};
use slack_morphism::{SlackApiToken, SlackApiTokenValue, SlackClient};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tower_service::Service;

use crate::egress::Outlet;
use crate::outbox::BoxFuture;

/// From the first byte to the answered handshake.
const OPEN: Duration = Duration::from_secs(20);
/// Of one frame. Slack's envelopes are below 1 MiB.
const FRAME_MAX: usize = 8 << 20;

/// A connection whose TLS, where the URL asks for it, is done.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Who connects: the bot's way out, or a test.
pub(super) trait Dial: Send + Sync + 'static {
    /// Connects to the host of an `http`, `https`, `ws` or `wss` URL. HTTP/1.1 or a websocket may be spoken then.
    fn dial<'a>(&'a self, url: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Wire>>>;
}

impl Dial for Outlet {
    fn dial<'a>(&'a self, url: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Wire>>> {
        Box::pin(async move {
            let wire: Box<dyn Wire> = Box::new(Self::dial(self, url).await?);
            Ok(wire)
        })
    }
}

pub(super) type Opened = WebSocketStream<Box<dyn Wire>>;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// It may go better later, not before `after`.
    Retry { why: String, after: Option<Duration> },
    /// One sentence with what the operator must do.
    Refused(String),
}

fn later(why: impl Into<String>) -> Failure {
    Failure::Retry {
        why: why.into(),
        after: None,
    }
}

pub(super) struct Opener {
    client: SlackClient<SlackClientHyperConnector<Way>>,
    token: SlackApiToken,
    dial: Arc<dyn Dial>,
}

impl Opener {
    pub(super) fn new(api_base: &str, token: &str, dial: Arc<dyn Dial>) -> Self {
        let way = Way {
            dial: Arc::clone(&dial),
        };
        let connector =
            SlackClientHyperConnector::with_connector(way).with_slack_api_url(api_base.trim_end_matches('/'));
        Self {
            client: SlackClient::new(connector),
            token: SlackApiToken::new(SlackApiTokenValue(token.to_owned())),
            dial,
        }
    }

    /// Asks for an address and connects to it, in 20 s.
    pub(super) async fn open(&self) -> Result<Opened, Failure> {
        match timeout(OPEN, self.connect()).await {
            Ok(opened) => opened,
            Err(_) => Err(later("slack did not answer in time")),
        }
    }

    async fn connect(&self) -> Result<Opened, Failure> {
        let session = self.client.open_session(&self.token);
        let answer = session
            .apps_connections_open(&SlackApiAppsConnectionOpenRequest::new())
            .await
            .map_err(meaning)?;
        let url = answer.url.0.to_string();
        let wire = self
            .dial
            .dial(&url)
            .await
            .map_err(|error| later(format!("slack's socket cannot be reached: {error}")))?;
        let request = url
            .into_client_request()
            .map_err(|_| later("slack named an address that cannot be used"))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_MAX))
            .max_frame_size(Some(FRAME_MAX));
        match client_async_with_config(request, wire, Some(config)).await {
            Ok((socket, _)) => Ok(socket),
            // The address carries a ticket: it is not shown.
            Err(error) => Err(later(format!("slack's socket did not open: {error}"))),
        }
    }
}

/// What an answer means. Names: docs.slack.dev/reference/methods/apps.connections.open.
fn meaning(error: SlackClientError) -> Failure {
    let code = match error {
        SlackClientError::ApiError(error) => error.code,
        SlackClientError::RateLimitError(error) => {
            return Failure::Retry {
                why: "slack limits how often connections are opened".to_owned(),
                after: error.retry_after,
            };
        }
        SlackClientError::HttpError(error) => {
            return later(format!("slack answered with status {}", error.status_code));
        }
        SlackClientError::ProtocolError(_) => return later("slack's answer cannot be understood"),
        other => return later(format!("slack cannot be reached: {}", root(&other))),
    };
    let mend = "on your app's page, Basic Information, App-Level Tokens";
    match code.as_str() {
        "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org"
        | "accesslimited"
        | "ratelimited" => later(format!("slack says {code}")),
        "missing_scope" => Failure::Refused(format!(
            "the app token lacks the scope connections:write: make one that has it {mend}"
        )),
        "not_allowed_token_type" => Failure::Refused(format!(
            "slack takes no token of this kind for Socket Mode: the app token begins with `xapp-`; make one {mend}"
        )),
        "invalid_auth" | "not_authed" | "missing_args" | "token_revoked" | "token_expired" | "account_inactive" => {
            Failure::Refused(format!("slack refuses the app token ({code}): make a new one {mend}"))
        }
        code => Failure::Refused(format!(
            "slack refuses Socket Mode ({code}): switch it on on your app's page, Socket Mode"
        )),
    }
}

/// The last of an error's causes says what happened.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The bot's way out as hyper's connector.
#[derive(Clone)]
pub(super) struct Way {
    dial: Arc<dyn Dial>,
}

impl Service<Uri> for Way {
    type Response = TokioIo<Conn>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dial = Arc::clone(&self.dial);
        Box::pin(async move { Ok(TokioIo::new(Conn(dial.dial(&uri.to_string()).await?))) })
    }
}

/// A connection of ours for hyper.
pub(super) struct Conn(Box<dyn Wire>);

impl Connection for Conn {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Conn {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
