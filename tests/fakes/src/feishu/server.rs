//! The company on a loopback port: calls by HTTP, and the long connection on the same port. Connections can be cut
//! without a word, as networks do.

use tokio::net::TcpStream;

use super::tenant::Tenant;
use crate::served::{Reply, Request, Server, Task, Vendor, http};

/// A served company; it ends when this is dropped.
#[derive(Debug)]
pub struct Feishu {
    pub tenant: Tenant,
    server: Server,
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
        let server = Server::start(tenant.clone(), |url| url.clone_into(&mut tenant.lock().url)).await;
        Self { tenant, server }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.server.url
    }
}

impl Vendor for Tenant {
    fn request(&self, request: &Request) -> Reply {
        Self::request(self, request)
    }

    /// The long connection answers a handshake in headers of its own, all else is HTTP.
    fn connection(self, stream: TcpStream) -> Task {
        Box::pin(async move {
            if is_line(&stream).await {
                self.line(stream).await;
            } else {
                http(self, stream).await;
            }
        })
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
