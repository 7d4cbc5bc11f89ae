//! Names become addresses here, and only here: what was checked is what is connected.
//!
//! There are two doors. Through the public one no name leads to a private address, whatever a name server says, now
//! or on a second question. The operators' door is for hosts that an operator granted. Each door has its own client,
//! and so its own pool: a connection that one bot may have is never another's by accident.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use super::allow::is_private;

pub(crate) type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Asks the system, or, in tests, a table.
pub(crate) trait Lookup: Send + Sync {
    fn look_up(&self, name: &str) -> Looking;
}

/// The system's own resolver.
pub(crate) struct System;

impl Lookup for System {
    fn look_up(&self, name: &str) -> Looking {
        let name = name.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|a| a.ip()).collect()) })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name leads to private addresses only, and the operator did not grant that host")]
pub(crate) struct OnlyPrivate;

/// A door: how names become addresses behind it.
#[derive(Clone)]
pub(crate) struct Resolver {
    lookup: Arc<dyn Lookup>,
    private: bool,
    /// The operator's proxy may be anywhere.
    proxy: Option<Arc<str>>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("private", &self.private)
            .finish_non_exhaustive()
    }
}

impl Resolver {
    pub(crate) fn new(lookup: Arc<dyn Lookup>, private: bool, proxy: Option<&str>) -> Self {
        Self {
            lookup,
            private,
            proxy: proxy.map(Arc::from),
        }
    }

    /// The addresses that may be connected. Those that may not are left out; if none remains, [`OnlyPrivate`].
    pub(crate) async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        let found = match bare.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => self.lookup.look_up(name).await?,
        };
        if self.private || self.proxy.as_deref() == Some(name) {
            return Ok(found);
        }
        let any = !found.is_empty();
        let public: Vec<IpAddr> = found.into_iter().filter(|a| !is_private(*a)).collect();
        if public.is_empty() && any {
            Err(io::Error::other(OnlyPrivate))
        } else {
            Ok(public)
        }
    }
}

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.addresses(name.as_str()).await?;
            let addresses: reqwest::dns::Addrs = Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

/// Whether this error, or what caused it, is [`OnlyPrivate`].
pub(crate) fn is_only_private(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if error.is::<OnlyPrivate>() || inner.is_some_and(|inner| is_only_private(inner)) {
            return true;
        }
        next = error.source();
    }
    false
}
