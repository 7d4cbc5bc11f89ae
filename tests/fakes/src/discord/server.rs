//! The world on a loopback port: REST, files and the gateway. Connections can be cut without a word, as networks do.

use hyper::{StatusCode, Uri};

use super::gateway;
use super::world::World;
use crate::served::{Reply, Request, Serve, Server, Vendor};

/// A served world; it ends when this is dropped.
#[derive(Debug)]
pub struct Discord {
    pub world: World,
    server: Server,
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
        let server = Server::start(world.clone(), |url| url.clone_into(&mut world.lock().url)).await;
        Self { world, server }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// What belongs into `api_base`.
    pub fn api_base(&self) -> String {
        format!("{}/api/v10/", self.server.url)
    }

    /// Waits until the server has ended.
    ///
    /// # Panics
    /// When it failed.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl Vendor for World {
    fn request(&self, request: &Request) -> Reply {
        Self::request(self, request)
    }

    fn socket(&self, at: &Uri) -> Result<Serve, StatusCode> {
        let path = at.path().trim_end_matches('/').to_owned();
        let version = at.query().and_then(|query| {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find(|(name, _)| name == "v").map(|(_, value)| value.into_owned())
        });
        let world = self.clone();
        Ok(Box::new(move |socket| {
            Box::pin(gateway::serve(world, socket, path, version))
        }))
    }
}
