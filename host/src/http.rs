//! The host's own port: webhooks, health, the local web chat. The only module that names axum.
//!
//! [`Server::bind`] takes the port before any bot starts, so that bots know their addresses; [`Server::run`] serves
//! until it is told to stop. What it needs of the rest of the host it asks of [`Bots`].

mod chat;
mod files;
mod guard;
mod hook;
mod lines;
mod login;
mod page;
mod reply;
#[cfg(test)]
mod tests;
mod vendor;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post, put};
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::chat::{BotName, Health, UnixMillis};
use crate::config::SecretText;
use crate::manifest::Route;
use crate::plugin::files::Files;
use crate::store::Journal;
use crate::transport::Inlet;
use crate::transport::web::WebChat;

use guard::Guard;
use login::Login;

/// Connections that may wait to be taken: webhooks come in bursts, and one that finds no place comes again after a second, or
/// is reset. The kernel may bound it lower (`net.core.somaxconn`).
const BACKLOG: u32 = 1024;
/// From the first byte of a request, or the end of the one before, to the end of its header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// From the header to the end of a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);
/// What requests under way get when the server stops.
const GRACE: Duration = Duration::from_secs(5);
/// Event streams at the same time, over all pages.
const STREAMS_MAX: usize = 128;

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("cannot listen on `{address}`: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    /// Anyone on the network could use the page.
    #[error("listening on `{0}`, beyond this machine, needs a password")]
    NeedsPassword(SocketAddr),
}

#[derive(Debug, Clone)]
pub struct ServerSettings {
    pub listen: SocketAddr,
    /// As vendors and browsers reach this host from outside; no trailing slash.
    pub public_url: Option<String>,
    /// Opens the page, beside the one-time links.
    pub password: Option<SecretText>,
    pub connections_max: usize,
}

impl ServerSettings {
    /// For an address, with nothing else configured.
    pub const fn at(listen: SocketAddr) -> Self {
        Self {
            listen,
            public_url: None,
            password: None,
            connections_max: 1024,
        }
    }
}

/// Where webhooks of a bot go.
#[derive(Clone)]
pub struct HookTarget {
    pub routes: Arc<[Route]>,
    pub secrets: Arc<BTreeMap<String, SecretText>>,
    pub inlet: Arc<dyn Inlet>,
}

impl fmt::Debug for HookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookTarget")
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

/// A bot that lives in the local web chat.
#[derive(Clone)]
pub struct WebTarget {
    /// What people read above the conversation.
    pub title: String,
    pub chat: WebChat,
    pub inlet: Arc<dyn Inlet>,
    /// The bot's own.
    pub files: Files,
    /// The largest that a person may send.
    pub files_max_bytes: u64,
    /// Files that one message may bring.
    pub files_most: usize,
}

impl fmt::Debug for WebTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebTarget")
            .field("title", &self.title)
            .field("chat", &self.chat)
            .finish_non_exhaustive()
    }
}

/// How a bot's connection is, as the page shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BotLine {
    pub bot: BotName,
    pub platform: String,
    #[serde(flatten)]
    pub health: Health,
    /// How long it has been so.
    pub since: UnixMillis,
    /// When something last came over it; none: nothing yet.
    pub heard: Option<UnixMillis>,
}

/// For `/healthz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Readiness {
    /// The host takes events.
    pub ready: bool,
    pub bots: usize,
    /// Bots that listen now.
    pub live: usize,
}

/// What the server asks of the host. Answers at once.
pub trait Bots: Send + Sync + 'static {
    /// None: there is no such bot, or it takes no webhooks.
    fn hook(&self, bot: &BotName) -> Option<HookTarget>;
    /// None: there is no such bot, or it is not in the web chat.
    fn web(&self, bot: &BotName) -> Option<WebTarget>;
    /// The bots of the web chat, in the order of bots.toml.
    fn web_bots(&self) -> Vec<BotName>;
    fn readiness(&self) -> Readiness;
    /// The connections of all bots, in the order of bots.toml.
    fn lines(&self) -> Vec<BotLine>;
    /// Rises whenever one of them is in another state.
    fn lines_changed(&self) -> watch::Receiver<u64>;
}

/// A port that is taken, and not served yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    settings: ServerSettings,
    login: Arc<Login>,
}

/// Makes links that log in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Door {
    login: Arc<Login>,
    base: String,
}

impl Door {
    /// A link that opens the page once. At most sixteen are good at the same time.
    pub fn link(&self) -> String {
        format!("{}/?token={}", self.base, self.login.invite())
    }
}

/// What every handler has.
#[derive(Clone)]
struct App(Arc<Shared>);

struct Shared {
    guard: Guard,
    login: Arc<Login>,
    bots: Arc<dyn Bots>,
    public_url: Option<String>,
    streams: Arc<Semaphore>,
    stop: CancellationToken,
}

/// Who connected: an extension of every request.
#[derive(Debug, Clone, Copy)]
struct Peer(IpAddr);

impl Server {
    /// Takes the port. `journal` keeps who is logged in.
    pub async fn bind(settings: ServerSettings, journal: Journal) -> Result<Self, HttpError> {
        if !settings.listen.ip().is_loopback() && settings.password.is_none() {
            return Err(HttpError::NeedsPassword(settings.listen));
        }
        let failed = |source| HttpError::Listen {
            address: settings.listen,
            source,
        };
        let listener = listen(settings.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let login = Arc::new(Login::new(journal, settings.password.clone(), address.port()));
        Ok(Self {
            listener,
            address,
            settings,
            login,
        })
    }

    /// Where it listens; the port is real even if 0 was asked for.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How this machine reaches it, without trailing slash: also where listening is on all addresses.
    pub fn local_base(&self) -> String {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        format!("http://{}", SocketAddr::new(ip, self.address.port()))
    }

    /// The api-base of a web bot's adapter.
    pub fn api_base(&self, bot: &BotName) -> String {
        format!("{}/web-api/{bot}/", self.local_base())
    }

    pub fn door(&self) -> Door {
        Door {
            login: Arc::clone(&self.login),
            base: self.local_base(),
        }
    }

    /// Serves until `stop`; then takes no more, ends event streams at once, and gives other requests under way five
    /// seconds.
    pub async fn run(self, bots: Arc<dyn Bots>, stop: CancellationToken) {
        let app = App(Arc::new(Shared {
            guard: Guard::new(self.address, self.settings.public_url.as_deref()),
            login: self.login,
            bots,
            public_url: self.settings.public_url,
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            stop: stop.clone(),
        }));
        let router = router(app);
        let slots = Arc::new(Semaphore::new(self.settings.connections_max));
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                biased;
                // Stopping comes first, or a flood of connections could keep the server alive.
                () = stop.cancelled() => break,
                accepted = accept(&self.listener, &slots) => accepted,
            };
            let (stream, peer, slot) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: others must close before the next can be taken.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (router, stop) = (router.clone(), stop.clone());
            connections.spawn(async move {
                serve(stream, peer, router, stop).await;
                drop(slot);
            });
        }
        drop(self.listener);
        connections.close();
        connections.wait().await;
    }
}

/// `TcpListener::bind` lets 128 wait.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // A port of which connections are still closing is free.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The next connection, once there is a slot for it.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, slot))
}

/// One connection, until it ends or the server does.
async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    // Small writes are events of a stream: they must not wait for more.
    let _ = stream.set_nodelay(true);
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        inner.call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn router(app: App) -> Router {
    // The page: only for who is logged in, and only under names that are ours.
    let page = Router::new()
        .route("/chat/{bot}/", get(page::chat))
        .route("/chat/{bot}/about", get(chat::about))
        .route("/chat/{bot}/events", get(chat::events))
        .route("/chat/{bot}/files", post(files::take))
        .route("/chat/{bot}/files/{id}", get(files::give))
        .route("/chat/{bot}/channels/{channel}/messages", post(chat::say))
        .route("/chat/{bot}/channels/{channel}/presses", post(chat::press))
        .route("/chat/{bot}/channels/{channel}/stop", post(chat::stop))
        .route("/logout", post(login::logout))
        .route_layer(middleware::from_fn_with_state(app.clone(), login::required));
    // What tells the way in, and the adapter's API with its own token.
    let open = Router::new()
        .route("/", get(login::front))
        .route("/login", post(login::enter))
        .route("/page/{file}", get(page::asset))
        .route("/web-api/{bot}/messages", post(vendor::post))
        .route("/web-api/{bot}/messages/{id}", put(vendor::update))
        .route("/web-api/{bot}/commands", put(vendor::commands));
    // Vendors come by whatever name a tunnel gave them, and prove themselves by signature.
    let outside = Router::new()
        .route("/healthz", get(healthz))
        .route("/hook/{bot}", any(hook::bare))
        .route("/hook/{bot}/{route}", any(hook::named));
    page.merge(open)
        .route_layer(middleware::from_fn_with_state(app.clone(), guard::check))
        .merge(outside)
        .fallback(reply::nothing_here)
        .layer(middleware::map_response(guard::harden))
        .with_state(app)
}

async fn healthz(State(app): State<App>) -> Response {
    let readiness = app.0.bots.readiness();
    let status = if readiness.ready { 200 } else { 503 };
    let code = axum::http::StatusCode::from_u16(status).unwrap_or_default();
    (code, axum::Json(readiness)).into_response()
}
