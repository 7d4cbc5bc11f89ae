//! The team on a loopback port. Connections can be cut without a word, as networks do.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request as HttpRequest, State};
use axum::http::{Response, header};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::request::Request;
use super::workspace::Workspace;

/// A served team; it ends when this is dropped.
#[derive(Debug)]
pub struct Slack {
    pub workspace: Workspace,
    url: String,
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Slack {
    /// Serves a new team on a port of the system's choice.
    ///
    /// # Panics
    /// When loopback cannot be listened on.
    pub async fn start() -> Self {
        Self::serve(Workspace::new()).await
    }

    /// Serves this team.
    ///
    /// # Panics
    /// When loopback cannot be listened on.
    pub async fn serve(workspace: Workspace) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        workspace.lock().url.clone_from(&url);
        let cuts = Cuts::default();
        let app = Router::new()
            .fallback(handle)
            .with_state((workspace.clone(), cuts.clone()))
            .into_make_service_with_connect_info::<Peer>();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let listener = Cuttable { listener, cuts };
            let served = axum::serve(listener, app)
                .with_graceful_shutdown(stopped.cancelled_owned())
                .await;
            served.expect("serving does not fail");
        }));
        Self {
            workspace,
            url,
            stop,
            task,
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What belongs into `api_base`.
    pub fn api_base(&self) -> String {
        format!("{}/api/", self.url)
    }

    /// Waits until the server has ended.
    ///
    /// # Panics
    /// When it failed.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            panic!("the fake failed: {error}");
        }
    }
}

async fn handle(
    State((workspace, cuts)): State<(Workspace, Cuts)>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    http: HttpRequest,
) -> Response<Body> {
    if http.uri().path() == "/link/" {
        return super::socket::upgrade(&workspace, http);
    }
    let (parts, body) = http.into_parts();
    let text = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let request = Request {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        authorization: text(header::AUTHORIZATION),
        content_type: text(header::CONTENT_TYPE),
        body: Vec::new(),
    };
    let Ok(body) = to_bytes(body, 64 << 20).await else {
        return Response::new(Body::empty());
    };
    let reply = workspace.request(&Request {
        body: body.to_vec(),
        ..request
    });
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    if reply.cut {
        cuts.0.lock().unwrap_or_else(PoisonError::into_inner).insert(peer);
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    response
        .body(Body::from(reply.body))
        .expect("headers of ours are valid")
}

/// Peers whose connection is to be cut at the next byte to them.
#[derive(Debug, Clone, Default)]
struct Cuts(Arc<Mutex<HashSet<SocketAddr>>>);

#[derive(Debug, Clone, Copy)]
struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, Cuttable>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Cuttable>) -> Self {
        Self(*stream.remote_addr())
    }
}

#[derive(Debug)]
struct Cuttable {
    listener: TcpListener,
    cuts: Cuts,
}

impl Listener for Cuttable {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        loop {
            if let Ok((stream, peer)) = self.listener.accept().await {
                return (
                    Stream {
                        stream,
                        peer,
                        cuts: self.cuts.clone(),
                    },
                    peer,
                );
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[derive(Debug)]
struct Stream {
    stream: TcpStream,
    peer: SocketAddr,
    cuts: Cuts,
}

impl Stream {
    fn cut(&self) -> io::Result<()> {
        if self
            .cuts
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&self.peer)
        {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.cuts
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.peer);
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.cut()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
