//! The team on a loopback port. Connections can be cut without a word, as networks do.

use hyper::{StatusCode, Uri};

use super::workspace::Workspace;
use crate::served::{Reply, Request, Serve, Server, Vendor};

/// A served team; it ends when this is dropped.
#[derive(Debug)]
pub struct Slack {
    pub workspace: Workspace,
    server: Server,
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
        let server = Server::start(workspace.clone(), |url| url.clone_into(&mut workspace.lock().url)).await;
        Self { workspace, server }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// What belongs into `api_base`.
    pub fn api_base(&self) -> String {
        format!("{}/api/", self.server.url)
    }

    /// Waits until the server has ended.
    ///
    /// # Panics
    /// When it failed.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl Vendor for Workspace {
    fn request(&self, request: &Request) -> Reply {
        Self::request(self, request)
    }

    fn socket(&self, at: &Uri) -> Result<Serve, StatusCode> {
        self.socket_at(at)
    }
}
