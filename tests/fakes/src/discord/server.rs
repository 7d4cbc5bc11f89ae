//! The world on a loopback port: REST, files and the gateway. Connections can be cut without a word, as networks do.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::gateway;
use super::request::Request;
use super::world::World;

/// A served world; it ends when this is dropped.
#[derive(Debug)]
pub struct Discord {
    pub world: World,
    url: String,
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Discord {
    /// Serves a new world on a port of the system's choice.
    ///
    /// # Panics
    /// When loopback cannot be listened on.
    pub async fn start() -> Self {
        Self::serve(World::new()).await
    }

    /// Serves this world.
    ///
    /// # Panics
    /// When loopback cannot be listened on.
    pub async fn serve(world: World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address: SocketAddr = listener.local_addr().expect("bound");
        let url = format!("http://{address}");
        world.lock().url.clone_from(&url);
        let stop = CancellationToken::new();
        let (stopped, served) = (stop.clone(), world.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let tasks = TaskTracker::new();
            loop {
                let stream = tokio::select! {
                    () = stopped.cancelled() => break,
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => stream,
                        Err(_) => continue,
                    },
                };
                let (world, stopped) = (served.clone(), stopped.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        () = stopped.cancelled() => {}
                        () = connection(world, stream) => {}
                    }
                });
            }
            tasks.close();
            tasks.wait().await;
        }));
        Self { world, url, stop, task }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What belongs into `api_base`.
    pub fn api_base(&self) -> String {
        format!("{}/api/v10/", self.url)
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

async fn connection(world: World, stream: TcpStream) {
    let cut = CancellationToken::new();
    let service = {
        let cut = cut.clone();
        service_fn(move |request| {
            let (world, cut) = (world.clone(), cut.clone());
            async move { Ok::<_, Infallible>(handle(world, cut, request).await) }
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

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

async fn handle(world: World, cut: CancellationToken, mut http: hyper::Request<Incoming>) -> Response<Full<Bytes>> {
    let text = |name: header::HeaderName| {
        let value = http.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    if let Some(key) = text(header::SEC_WEBSOCKET_KEY) {
        let path = http.uri().path().trim_end_matches('/').to_owned();
        let version = http.uri().query().and_then(|query| {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find(|(name, _)| name == "v").map(|(_, value)| value.into_owned())
        });
        let upgrade = hyper::upgrade::on(&mut http);
        tokio::spawn(async move {
            if let Ok(upgraded) = upgrade.await {
                let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
                gateway::serve(world, socket, path, version).await;
            }
        });
        let mut response = plain(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
        if let Ok(accept) = header::HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        return response;
    }
    let request = Request {
        method: http.method().to_string(),
        target: http
            .uri()
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        authorization: text(header::AUTHORIZATION),
        content_type: text(header::CONTENT_TYPE),
        body: Vec::new(),
    };
    let Ok(body) = http.into_body().collect().await else {
        return plain(StatusCode::BAD_REQUEST);
    };
    let reply = world.request(&Request {
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
