//! The company on a loopback port: calls by HTTP, and the long connection on the same port. Connections can be cut
//! without a word, as networks do.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request as HttpRequest, State};
use axum::http::{Response, header};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::request::Request;
use super::tenant::Tenant;

/// A served company; it ends when this is dropped.
#[derive(Debug)]
pub struct Feishu {
    pub tenant: Tenant,
    url: String,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Feishu {
    /// Serves a new company on a port of the system's choice.
    ///
    /// # Panics
    /// When loopback cannot be listened on.
    pub async fn start() -> Self {
        Self::serve(Tenant::new()).await
    }

    /// Serves this company.
    ///
    /// # Panics
    /// When loopback cannot be listened on.
    pub async fn serve(tenant: Tenant) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        tenant.lock().url.clone_from(&url);
        let (calls, accepted) = mpsc::channel(64);
        let app = Router::new()
            .fallback(handle)
            .with_state(tenant.clone())
            .into_make_service_with_connect_info::<Cut>();
        let http = tokio::spawn(async move {
            let served = axum::serve(Accepted(accepted), app).await;
            served.expect("serving does not fail");
        });
        let sort = tokio::spawn(sort(listener, tenant.clone(), calls));
        Self {
            tenant,
            url,
            _tasks: [AbortOnDropHandle::new(http), AbortOnDropHandle::new(sort)],
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Long connections are served here, all else goes on to the HTTP server.
async fn sort(listener: TcpListener, tenant: Tenant, calls: mpsc::Sender<TcpStream>) {
    // Ends with this task.
    let mut lines = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (tenant, calls) = (tenant.clone(), calls.clone());
        lines.spawn(async move {
            if is_line(&stream).await {
                tenant.line(stream).await;
            } else {
                let _ = calls.send(stream).await;
            }
        });
        while lines.try_join_next().is_some() {}
    }
}

async fn is_line(stream: &TcpStream) -> bool {
    const BEGIN: &[u8] = b"GET /ws/";
    let mut begin = [0; BEGIN.len()];
    loop {
        match stream.peek(&mut begin).await {
            Ok(n) if n > 0 && n < BEGIN.len() && BEGIN.starts_with(&begin[..n]) => tokio::task::yield_now().await,
            Ok(n) => return begin[..n] == *BEGIN,
            Err(_) => return false,
        }
    }
}

async fn handle(State(tenant): State<Tenant>, ConnectInfo(cut): ConnectInfo<Cut>, http: HttpRequest) -> Response<Body> {
    let (parts, body) = http.into_parts();
    let text = |name| {
        let value = parts.headers.get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let Ok(body) = to_bytes(body, 64 << 20).await else {
        return Response::new(Body::empty());
    };
    let reply = tenant.request(&Request {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        authorization: text(header::AUTHORIZATION),
        content_type: text(header::CONTENT_TYPE),
        body: body.to_vec(),
    });
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    if reply.cut {
        cut.0.store(true, Ordering::Relaxed);
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    response
        .body(Body::from(reply.body))
        .expect("headers of ours are valid")
}

/// Whether a connection is to be cut at the next byte to it.
#[derive(Debug, Clone, Default)]
struct Cut(Arc<AtomicBool>);

impl Connected<IncomingStream<'_, Accepted>> for Cut {
    fn connect_info(stream: IncomingStream<'_, Accepted>) -> Self {
        stream.remote_addr().clone()
    }
}

#[derive(Debug)]
struct Accepted(mpsc::Receiver<TcpStream>);

impl Listener for Accepted {
    type Io = Stream;
    type Addr = Cut;

    async fn accept(&mut self) -> (Stream, Cut) {
        let Some(stream) = self.0.recv().await else {
            return std::future::pending().await;
        };
        let cut = Cut::default();
        let stream = Stream {
            stream,
            cut: cut.clone(),
        };
        (stream, cut)
    }

    fn local_addr(&self) -> io::Result<Cut> {
        Ok(Cut::default())
    }
}

#[derive(Debug)]
struct Stream {
    stream: TcpStream,
    cut: Cut,
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.cut.0.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
