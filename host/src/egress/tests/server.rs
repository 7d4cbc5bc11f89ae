//! A scripted HTTP/1.1 server on loopback: it records what arrives and answers what the test says.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

#[derive(Debug, Clone)]
pub(super) enum Reply {
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Says that more comes than comes.
    Cut,
    Hangup,
    Never,
}

pub(super) fn ok(body: &str) -> Reply {
    Reply::Answer(200, Vec::new(), body.as_bytes().to_vec())
}

pub(super) fn status(status: u16, headers: &[(&'static str, &str)]) -> Reply {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Reply::Answer(status, headers, Vec::new())
}

type Answering = Pin<Box<dyn Future<Output = Reply> + Send>>;
type Handler = dyn Fn(usize, Seen) -> Answering + Send + Sync;

/// Stops when it is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// `handler` gets the number of the request, from 0.
    pub(super) async fn new(handler: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::slow(move |number, seen| {
            let reply = handler(number, &seen);
            Box::pin(async move { reply })
        })
        .await
    }

    pub(super) async fn slow(handler: impl Fn(usize, Seen) -> Answering + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let handler: Arc<Handler> = Arc::new(handler);
        let task = tokio::spawn({
            let seen = seen.clone();
            async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(connection(stream, handler.clone(), seen.clone()));
                }
            }
        });
        Self { address, seen, task }
    }

    pub(super) fn base(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn connection(stream: tokio::net::TcpStream, handler: Arc<Handler>, all: Arc<Mutex<Vec<Seen>>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let seen = request(&mut stream).await?;
        let number = {
            let mut all = all.lock().unwrap();
            all.push(seen.clone());
            all.len() - 1
        };
        match handler(number, seen).await {
            Reply::Answer(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                let mut bytes = (head + "\r\n").into_bytes();
                bytes.extend(body);
                stream.write_all(&bytes).await.ok()?;
                stream.flush().await.ok()?;
            }
            Reply::Cut => {
                stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\nfour").await.ok()?;
                return stream.shutdown().await.ok();
            }
            Reply::Hangup => return None,
            Reply::Never => std::future::pending().await,
        }
    }
}

async fn request(stream: &mut BufReader<tokio::net::TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
    let mut words = line.split(' ');
    let mut seen = Seen { method: words.next()?.to_owned(), target: words.next()?.to_owned(), ..Seen::default() };
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        seen.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if let Some(length) = seen.header("content-length") {
        seen.body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut seen.body).await.ok()?;
    }
    while seen.header("transfer-encoding").is_some() {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let mut chunk = vec![0; usize::from_str_radix(line.trim(), 16).unwrap() + 2];
        stream.read_exact(&mut chunk).await.ok()?;
        if chunk.len() == 2 {
            break;
        }
        seen.body.extend(&chunk[..chunk.len() - 2]);
    }
    Some(seen)
}
