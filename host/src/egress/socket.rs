//! Websockets that the host holds: the same allow-list, doors, TLS and secrets as every call, with bounded channels
//! on both sides. Who does not read slows the vendor down, and nothing else.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use reqwest::header::{HeaderValue, USER_AGENT};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, http};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use url::Url;

use super::allow::{self, Target};
use super::call::Inner;
use super::resolve::{Resolver, is_only_private};
use super::secret::{Content, Draft, Filled, fill, headers_of_guest, json_with};
use super::wire::headers_shown;
use super::{AGENT, Frame, OpenError, Opening, Socket};
use crate::chat::CallError;
use crate::manifest::{Placement, Slot};

/// From the name to the answered handshake.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
/// One address of several.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// For the other side's word when we close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Of a message in either direction. Discord's READY of a large bot is a few MiB.
const FRAME_MAX: usize = 8 << 20;
const QUEUE: usize = 64;
const PING_MIN: Duration = Duration::from_millis(10);

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn failed(text: impl Into<String>) -> OpenError {
    OpenError::Failed(CallError::Unavailable(text.into()))
}

/// Opens; a handshake that is refused for a minted token is tried once more with a new one.
pub(crate) async fn open(inner: &Arc<Inner>, opening: Opening) -> Result<Socket, OpenError> {
    let draft = draft(inner, &opening).map_err(OpenError::Failed)?;
    let mut first = true;
    loop {
        let opened = timeout(OPEN_TIMEOUT, async {
            let (values, used) = inner.values(&draft.placements).await.map_err(OpenError::Failed)?;
            let filled = fill(&draft, &values, &inner.rules).map_err(OpenError::Failed)?;
            match handshake(inner, filled, &opening.protocols).await {
                Err(OpenError::Refused { status: 401, .. }) if first && !used.is_empty() => {
                    for (index, generation) in used {
                        inner.minted[index].forget(generation);
                    }
                    Ok(None)
                }
                other => other.map(Some),
            }
        });
        match opened.await {
            Err(_) => return Err(failed("the socket was not open in time")),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(None)) => first = false,
            Ok(Ok(Some(stream))) => return Ok(start(inner.clone(), stream, draft.allowed.url, opening.ping_every)),
        }
    }
}

fn draft(inner: &Inner, opening: &Opening) -> Result<Draft, CallError> {
    inner.check_slots(&opening.secrets)?;
    let rejected = |text: String| CallError::Rejected(inner.redact(text));
    let mut allowed = inner.allow.read(&opening.url).map_err(|e| rejected(e.to_string()))?;
    // From `/`: the api-base is written with `https`.
    let scheme = if allow::is_tls(&allowed.url) == Some(true) {
        "wss"
    } else {
        "ws"
    };
    allowed
        .url
        .set_scheme(scheme)
        .map_err(|()| rejected("the url cannot be used".to_owned()))?;
    let headers = headers_of_guest(&opening.headers, &opening.secrets)?;
    let placements = opening.secrets.clone();
    Ok(Draft {
        method: Method::GET,
        allowed,
        headers,
        body: Content::Empty,
        placements,
    })
}

/// Connects to a URL's host within the grant, with TLS where its scheme asks for it, and says nothing.
pub(crate) async fn dial_url(inner: &Inner, url: &str) -> io::Result<MaybeTlsStream<TcpStream>> {
    let allowed = inner
        .allow
        .read(url)
        .map_err(|error| io::Error::new(io::ErrorKind::PermissionDenied, error.to_string()))?;
    let stream = connect(inner, &allowed.url, allowed.private).await?;
    if allow::is_tls(&allowed.url) != Some(true) {
        return Ok(MaybeTlsStream::Plain(stream));
    }
    let host = allowed.url.host_str().unwrap_or_default().to_owned();
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    let stream = TlsConnector::from(inner.egress.socket_tls())
        .connect(name, stream)
        .await?;
    Ok(MaybeTlsStream::Rustls(stream))
}

async fn handshake(inner: &Inner, filled: Filled, protocols: &[String]) -> Result<Stream, OpenError> {
    let request = request(&filled, protocols).map_err(|why| OpenError::Failed(CallError::Rejected(why.to_owned())))?;
    let stream = connect(inner, &filled.url, filled.private).await.map_err(|error| {
        if is_only_private(&error) {
            OpenError::Failed(CallError::Rejected(error.to_string()))
        } else {
            failed(inner.redact(error.to_string()))
        }
    })?;
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(0)
        .max_message_size(Some(FRAME_MAX))
        .max_frame_size(Some(FRAME_MAX));
    let connector = Connector::Rustls(inner.egress.socket_tls());
    match client_async_tls_with_config(request, stream, Some(config), Some(connector)).await {
        Ok((stream, _)) => Ok(stream),
        Err(Error::Http(answer)) => Err(OpenError::Refused {
            status: answer.status().as_u16(),
            headers: headers_shown(answer.headers(), &inner.needles()),
        }),
        Err(error) => Err(failed(inner.redact(error.to_string()))),
    }
}

fn request(filled: &Filled, protocols: &[String]) -> Result<http::Request<()>, &'static str> {
    let host = match (filled.url.host_str(), filled.url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => return Err("the url has no host"),
    };
    let mut request = http::Request::get(filled.url.as_str())
        .header("host", host)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", generate_key());
    if !protocols.is_empty() {
        request = request.header("sec-websocket-protocol", protocols.join(", "));
    }
    let mut request = request.body(()).map_err(|_| "the url or a protocol cannot be used")?;
    request.headers_mut().extend(filled.headers.clone());
    request
        .headers_mut()
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(AGENT));
    Ok(request)
}

async fn dial(resolver: &Resolver, host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in resolver.addresses(host).await? {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect((address, port))).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// What was checked is what is connected: the addresses come from this bot's door.
async fn connect(inner: &Inner, url: &Url, private: bool) -> io::Result<TcpStream> {
    let resolver = inner.egress.resolver(private);
    let host = url.host_str().unwrap_or_default();
    let port = allow::port(url);
    let Some(proxy) = inner.egress.proxy_for(url) else {
        return dial(resolver, host, port).await;
    };
    let mut stream = dial(resolver, proxy.host_str().unwrap_or_default(), allow::port(proxy)).await?;
    let mut hello = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    if let Some(credentials) = credentials(proxy) {
        hello.push_str(&format!(
            "Proxy-Authorization: Basic {}\r\n",
            STANDARD.encode(credentials)
        ));
    }
    hello.push_str("\r\n");
    stream.write_all(hello.as_bytes()).await?;
    // Byte by byte, so that nothing of the tunnel is read with the proxy's answer.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 16 << 10 {
            return Err(io::Error::other("the proxy's answer is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    let status = head.get(9..12).unwrap_or_default();
    if status.first() == Some(&b'2') {
        Ok(stream)
    } else {
        Err(io::Error::other(format!(
            "the proxy refused with status {}",
            String::from_utf8_lossy(status)
        )))
    }
}

fn credentials(proxy: &Url) -> Option<String> {
    let decoded = |text: &str| -> String {
        let text = text.replace('+', "%2B");
        url::form_urlencoded::parse(text.as_bytes())
            .next()
            .map(|(name, _)| name.into_owned())
            .unwrap_or_default()
    };
    let user = proxy.username();
    (!user.is_empty()).then(|| format!("{}:{}", decoded(user), decoded(proxy.password().unwrap_or_default())))
}

fn start(inner: Arc<Inner>, stream: Stream, url: Url, ping_every: Option<Duration>) -> Socket {
    let (send, outgoing) = mpsc::channel(QUEUE);
    let (incoming, receive) = mpsc::channel(QUEUE);
    let (close, closing) = oneshot::channel();
    tokio::spawn(async move {
        let task = Task {
            inner,
            url,
            outgoing,
            incoming,
            closing: Some(closing),
            ping_every,
        };
        task.run(stream).await;
    });
    Socket { send, receive, close }
}

struct Task {
    inner: Arc<Inner>,
    url: Url,
    outgoing: mpsc::Receiver<(Frame, Vec<Placement>)>,
    incoming: mpsc::Sender<Result<Frame, (u16, String)>>,
    closing: Option<oneshot::Receiver<(u16, String)>>,
    ping_every: Option<Duration>,
}

/// How it ended.
enum End {
    /// We say goodbye.
    Ours(u16, String),
    /// The other side did, or the connection is gone.
    Theirs(u16, String),
}

impl Task {
    async fn run(mut self, mut stream: Stream) {
        let (code, reason) = match self.talk(&mut stream).await {
            End::Ours(code, reason) => {
                goodbye(&mut stream, code, &reason).await;
                (code, reason)
            }
            End::Theirs(code, reason) => {
                // The answer to a close is written by reading on.
                let _ = timeout(CLOSE_TIMEOUT, async { while let Some(Ok(_)) = stream.next().await {} }).await;
                (code, self.inner.redact(reason))
            }
        };
        drop(stream);
        self.outgoing.close();
        let _ = self.incoming.send(Err((code, reason))).await;
    }

    async fn talk(&mut self, stream: &mut Stream) -> End {
        let every = self.ping_every.map(|every| every.max(PING_MIN));
        let mut ticks = tokio::time::interval(every.unwrap_or(Duration::from_secs(3600)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        let (mut heard, mut pinged) = (Instant::now(), None::<Instant>);
        loop {
            // Closing comes first; then pings, which must not wait behind a flood; then what the guest says, which is
            // bounded; what it hears comes last, and only when there is room for it.
            tokio::select! {
                biased;
                asked = closing(&mut self.closing) => match asked {
                    Some((code, reason)) => return End::Ours(code, reason),
                    None => self.closing = None,
                },
                _ = ticks.tick(), if every.is_some() => {
                    let reading = self.incoming.capacity() > 0;
                    if reading && pinged.is_some_and(|pinged| heard < pinged) {
                        return End::Theirs(1006, "no answer to a ping".to_owned());
                    }
                    // While nobody reads here, a pong cannot be seen.
                    pinged = reading.then(Instant::now);
                    if let Err(end) = write(stream, Message::Ping(bytes::Bytes::new())).await {
                        return end;
                    }
                }
                frame = self.outgoing.recv() => match frame {
                    None => return End::Ours(1000, String::new()),
                    Some((frame, placements)) => match self.message(frame, &placements).await {
                        Err(error) => return End::Ours(1008, error.to_string()),
                        Ok(message) => if let Err(end) = write(stream, message).await {
                            return end;
                        },
                    },
                },
                came = read(&self.incoming, stream) => {
                    let Some((permit, message)) = came else { return End::Ours(1001, String::new()) };
                    heard = Instant::now();
                    match message {
                        None => return End::Theirs(1006, "the connection ended".to_owned()),
                        Some(Err(Error::Capacity(_))) => {
                            return End::Ours(1009, format!("a frame is larger than {FRAME_MAX} bytes"));
                        }
                        Some(Err(error)) => return End::Theirs(1006, error.to_string()),
                        Some(Ok(Message::Text(text))) => {
                            permit.send(Ok(Frame::Text(self.inner.redact(text.as_str().to_owned()))));
                        }
                        Some(Ok(Message::Binary(bytes))) => {
                            let mut bytes = Vec::from(bytes);
                            self.inner.needles().blank(&mut bytes);
                            permit.send(Ok(Frame::Binary(bytes)));
                        }
                        Some(Ok(Message::Close(frame))) => {
                            let (code, reason) = frame
                                .map_or((1005, String::new()), |f| (f.code.into(), f.reason.as_str().to_owned()));
                            return End::Theirs(code, reason);
                        }
                        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                    }
                }
            }
        }
    }

    /// A frame with its secrets.
    async fn message(&self, frame: Frame, placements: &[Placement]) -> Result<Message, CallError> {
        self.inner.check_slots(placements)?;
        let (values, _) = self.inner.values(placements).await?;
        let mut frame = frame;
        for Placement { secret, slot } in placements {
            let covers = |target: &Target| target.covers(&self.url);
            if !self
                .inner
                .rules
                .get(secret)
                .is_some_and(|rule| rule.targets.iter().any(covers))
            {
                return Err(CallError::Rejected(format!(
                    "the secret `{secret}` may not go to this socket"
                )));
            }
            let filled = match (slot, &frame, values.get(secret)) {
                (Slot::JsonPointer(pointer, prefix), Frame::Text(text), Some(value)) => {
                    let value = format!("{prefix}{}", value.reveal());
                    let filled = json_with(text.as_bytes(), pointer, &value)?;
                    String::from_utf8(filled).map_err(|_| CallError::Rejected("the frame is not text".to_owned()))?
                }
                (Slot::Frame(prefix), Frame::Text(_), Some(value)) => format!("{prefix}{}", value.reveal()),
                _ => {
                    return Err(CallError::Rejected(
                        "a frame takes secrets in JSON text, or as the whole of a text".to_owned(),
                    ));
                }
            };
            frame = Frame::Text(filled);
        }
        let message = match frame {
            Frame::Text(text) => Message::text(text),
            Frame::Binary(bytes) => Message::binary(bytes),
        };
        if message.len() > FRAME_MAX {
            Err(CallError::TooLarge(FRAME_MAX as u32))
        } else {
            Ok(message)
        }
    }
}

/// None: nobody can ask any more. Never ends once that is known.
async fn closing(receiver: &mut Option<oneshot::Receiver<(u16, String)>>) -> Option<(u16, String)> {
    match receiver {
        Some(receiver) => receiver.await.ok(),
        None => std::future::pending().await,
    }
}

type Permit<'a> = mpsc::Permit<'a, Result<Frame, (u16, String)>>;

/// Room first, then a message: so nothing is lost when another branch wins. None: nobody listens any more.
async fn read<'a>(
    incoming: &'a mpsc::Sender<Result<Frame, (u16, String)>>,
    stream: &mut Stream,
) -> Option<(Permit<'a>, Option<Result<Message, Error>>)> {
    let permit = incoming.reserve().await.ok()?;
    tokio::select! {
        biased;
        () = incoming.closed() => None,
        message = stream.next() => Some((permit, message)),
    }
}

async fn write(stream: &mut Stream, message: Message) -> Result<(), End> {
    match timeout(WRITE_TIMEOUT, stream.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::Theirs(1006, error.to_string())),
        Err(_) => Err(End::Theirs(1006, "the other side does not read".to_owned())),
    }
}

async fn goodbye(stream: &mut Stream, code: u16, reason: &str) {
    let code = Some(CloseCode::from(code))
        .filter(|code| code.is_allowed())
        .unwrap_or(CloseCode::Normal);
    // RFC 6455: 123 bytes at most.
    let end = (0..=reason.len().min(123))
        .rev()
        .find(|at| reason.is_char_boundary(*at))
        .unwrap_or(0);
    let frame = CloseFrame {
        code,
        reason: reason[..end].into(),
    };
    let _ = timeout(CLOSE_TIMEOUT, async {
        if stream.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = stream.next().await {}
        }
    })
    .await;
}
