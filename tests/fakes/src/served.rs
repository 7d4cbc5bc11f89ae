//! What the vendors' fakes have in common: HTTP and sockets on a loopback port, forms, answers that come late or are cut.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// More than any vendor takes in one call.
const BODY: usize = 64 << 20;

/// As it came over the wire.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub authorization: Option<String>,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

/// A part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// None: it is no file.
    pub(crate) filename: Option<String>,
    pub(crate) bytes: Vec<u8>,
}

/// The parts of a multipart body, none if it is another. What breaks off is left out.
pub(crate) fn parts(request: &Request) -> Vec<Part> {
    let kind = request.content_type.as_deref().unwrap_or_default();
    let Some((_, boundary)) = kind
        .strip_prefix("multipart/form-data")
        .and_then(|rest| rest.split_once("boundary="))
    else {
        return Vec::new();
    };
    let mark = format!("--{}", boundary.trim_matches('"'));
    let find = |what: &[u8], from: usize| {
        let rest = request.body.get(from..)?;
        rest.windows(what.len())
            .position(|window| window == what)
            .map(|at| at + from)
    };
    let mut found = Vec::new();
    let mut at = find(mark.as_bytes(), 0);
    while let Some(begin) = at.map(|at| at + mark.len()) {
        let Some(head) = find(b"\r\n\r\n", begin) else {
            break;
        };
        let Some(end) = find(format!("\r\n{mark}").as_bytes(), head + 4) else {
            break;
        };
        let fields = String::from_utf8_lossy(&request.body[begin..head]).into_owned();
        let named = |name: &str| {
            let (_, rest) = fields.split_once(&format!("; {name}=\""))?;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        found.push(Part {
            name: named("name").unwrap_or_default(),
            filename: named("filename"),
            bytes: request.body[head + 4..end].to_vec(),
        });
        at = Some(end + 2);
    }
    found
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Answer only after this.
    pub delay: Duration,
    /// Answer nothing at all.
    pub cut: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        Self {
            status,
            headers,
            body,
            delay: Duration::ZERO,
            cut: false,
        }
    }

    /// A body of this media type.
    pub(crate) fn of(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, vec![("content-type".into(), kind.into())], body.into())
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::of(status, "application/json; charset=utf-8", body.to_string())
    }
}

/// A websocket that a client opened.
pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;
/// What is done with it.
pub(crate) type Serve = Box<dyn FnOnce(Socket) -> Task + Send>;
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A fake that can stand behind a port.
pub(crate) trait Vendor: Clone + Send + Sync + 'static {
    fn request(&self, request: &Request) -> Reply;

    /// A client wants a websocket here. The error: it is refused with this status.
    fn socket(&self, _at: &Uri) -> Result<Serve, StatusCode> {
        Err(StatusCode::NOT_FOUND)
    }

    /// Serves one connection until it ends.
    fn connection(self, stream: TcpStream) -> Task {
        Box::pin(http(self, stream))
    }
}

/// A vendor behind a port; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Server {
    /// On a port of the system's choice. `tell` hears the address before anybody is served.
    ///
    /// # Panics
    /// When loopback cannot be listened on.
    pub(crate) async fn start(vendor: impl Vendor, tell: impl FnOnce(&str)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        tell(&url);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            // They end with this task.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                        connections.spawn(vendor.clone().connection(stream));
                    },
                }
                while connections.try_join_next().is_some() {}
            }
        }));
        Self { url, stop, task }
    }

    /// Waits until the server has ended.
    ///
    /// # Panics
    /// When it failed.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            panic!("the fake failed: {error}");
        }
    }
}

/// Serves one connection by HTTP/1.1. A cut ends it at once, as networks do.
pub(crate) async fn http(vendor: impl Vendor, stream: TcpStream) {
    let cut = CancellationToken::new();
    let service = {
        let cut = cut.clone();
        service_fn(move |request| {
            let (vendor, cut) = (vendor.clone(), cut.clone());
            async move { Ok::<_, Infallible>(handle(vendor, cut, request).await) }
        })
    };
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        () = cut.cancelled() => {}
        _ = served => {}
    }
}

async fn handle(vendor: impl Vendor, cut: CancellationToken, http: hyper::Request<Incoming>) -> Response<Full<Bytes>> {
    let text = |name: HeaderName| http.headers().get(name)?.to_str().ok().map(str::to_owned);
    if let Some(key) = text(header::SEC_WEBSOCKET_KEY) {
        return match vendor.socket(http.uri()) {
            Ok(serve) => upgrade(http, &key, serve),
            Err(status) => plain(status),
        };
    }
    let request = Request {
        method: http.method().to_string(),
        target: http.uri().to_string(),
        authorization: text(header::AUTHORIZATION),
        content_type: text(header::CONTENT_TYPE),
        body: Vec::new(),
    };
    let Ok(body) = Limited::new(http.into_body(), BODY).collect().await else {
        return plain(StatusCode::BAD_REQUEST);
    };
    let reply = vendor.request(&Request {
        body: body.to_bytes().to_vec(),
        ..request
    });
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    if reply.cut {
        cut.cancel();
        std::future::pending::<()>().await;
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    response
        .body(Full::from(reply.body))
        .expect("headers of ours are valid")
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn upgrade(mut http: hyper::Request<Incoming>, key: &str, serve: Serve) -> Response<Full<Bytes>> {
    let upgrade = hyper::upgrade::on(&mut http);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            serve(socket).await;
        }
    });
    let mut response = plain(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(body: &[u8]) -> Vec<Part> {
        parts(&Request {
            content_type: Some("multipart/form-data; boundary=\"b\"".into()),
            body: body.to_vec(),
            ..Request::default()
        })
    }

    #[test]
    fn forms_are_taken_apart_byte_for_byte() {
        let head = "Content-Disposition: form-data; name=";
        // Bytes of a file may look like the boundary, end a line, or be none.
        let body = format!(
            "--b\r\n{head}\"kind\"\r\n\r\npdf\r\n--b\r\n{head}\"file\"; filename=\"a.pdf\"\r\nContent-Type: x/y\r\n\r\n\
             --b of\r\n\r\n\r\n--b\r\n{head}\"empty\"; filename=\"\"\r\n\r\n\r\n--b--\r\n"
        );
        let part = |name: &str, filename: Option<&str>, bytes: &[u8]| Part {
            name: name.into(),
            filename: filename.map(str::to_owned),
            bytes: bytes.to_vec(),
        };
        assert_eq!(
            form(body.as_bytes()),
            [
                part("kind", None, b"pdf"),
                part("file", Some("a.pdf"), b"--b of\r\n\r\n"),
                part("empty", Some(""), b""),
            ]
        );
        // Cut anywhere it is fewer parts, and no panic.
        for end in 0..body.len() {
            assert!(form(&body.as_bytes()[..end]).len() <= 3);
        }
        let plain = Request {
            content_type: Some("application/json".into()),
            body: body.into_bytes(),
            ..Request::default()
        };
        assert_eq!(parts(&plain), []);
    }
}
