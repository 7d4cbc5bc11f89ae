//! The one way out: allow-list, secrets put in at the last moment, minted tokens, rate limits, retries, redaction.
//!
//! One pooled client for the process; an [`Outlet`] for each bot holds what that bot's adapter may reach.

mod allow;
mod call;
mod mint;
mod rate;
mod resolve;
mod secret;
mod socket;
mod spread;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::MaybeTlsStream;
use url::{Host, Url};

use crate::chat::{CallError, FileRef, Headers};
use crate::config::SecretText;
use crate::crypto::redact::{Needles, SHORTEST};
use crate::manifest::{About, Placement};
use allow::AllowList;
use call::Inner;
use mint::Mint;
use rate::Buckets;
use resolve::{Lookup, Resolver, System};
use secret::Rule;
use spread::Spread;

/// What we call ourselves, where a guest does not say.
const AGENT: &str = concat!("botyard/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than what common load balancers and servers allow (60 s and more): a connection that the server just
/// closed costs a call that cannot be repeated.
const IDLE: Duration = Duration::from_secs(50);

/// The process-wide part: client, name resolution, proxy.
#[derive(Debug, Clone)]
pub struct Egress {
    shared: Arc<Shared>,
}

/// A door to the net: how names are resolved behind it, and its pool.
#[derive(Debug)]
struct Door {
    resolver: Resolver,
    client: reqwest::Client,
}

#[derive(Debug)]
struct Shared {
    /// Never leads to a private address.
    public: Door,
    /// For hosts that an operator granted.
    operators: Door,
    socket_tls: Arc<rustls::ClientConfig>,
    proxy: Option<Url>,
}

#[derive(Debug, Clone, Default)]
pub struct EgressSettings {
    /// `http://[user:password@]host:port`; loopback and private addresses go without it. With a proxy, names are
    /// resolved there: it has to refuse private addresses itself.
    pub proxy: Option<String>,
    pub ca_file: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EgressError(pub String);

/// What one bot's adapter may reach: its manifest and the operator's grants.
#[derive(Debug, Clone)]
pub struct Grant {
    pub bot: String,
    /// In force: the operator's or the manifest's. Always ends with `/`.
    pub api_base: String,
    /// The operator set `api_base`: its host may be private.
    pub api_base_by_operator: bool,
    pub about: Arc<About>,
    pub secrets: BTreeMap<String, SecretText>,
    /// `https://host[:port]` patterns that the operator added; their hosts may be private.
    pub hosts: Vec<String>,
}

#[derive(Debug, Clone)]
pub enum Content {
    Bytes(Vec<u8>),
    /// A file of the host's: its path and size.
    File(PathBuf),
}

#[derive(Debug, Clone)]
pub struct FormPart {
    pub name: String,
    pub filename: Option<String>,
    pub media_type: Option<String>,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub enum Body {
    Empty,
    Bytes(Vec<u8>),
    File(PathBuf),
    Multipart(Vec<FormPart>),
}

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Whole, or from `/`: below the api-base.
    pub url: String,
    pub headers: Headers,
    pub body: Body,
    pub secrets: Vec<Placement>,
    pub timeout: Option<Duration>,
    pub repeatable: bool,
    pub buckets: Vec<String>,
    pub wait: Duration,
    pub max_bytes: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
}

#[derive(Debug)]
pub enum Downloaded {
    File(FileRef),
    Refused(Response),
}

/// A websocket to open.
#[derive(Debug, Clone)]
pub struct Opening {
    pub url: String,
    pub headers: Headers,
    pub protocols: Vec<String>,
    pub secrets: Vec<Placement>,
    pub ping_every: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Text(String),
    Binary(Vec<u8>),
}

#[derive(Debug)]
pub enum OpenError {
    Refused { status: u16, headers: Headers },
    Failed(CallError),
}

/// A socket that the host holds.
#[derive(Debug)]
pub struct Socket {
    /// Bounded. A frame, with the secrets to put into it; one that may not go there closes the socket (1008).
    /// Dropping it closes the socket with 1000, after what was sent before.
    pub send: tokio::sync::mpsc::Sender<(Frame, Vec<Placement>)>,
    /// Bounded. Ends with `Err((code, reason))`, once. Dropping it closes the socket.
    pub receive: tokio::sync::mpsc::Receiver<Result<Frame, (u16, String)>>,
    /// Closes it with a code and a reason, ahead of what still waits to be sent.
    pub close: tokio::sync::oneshot::Sender<(u16, String)>,
}

/// Loopback and private addresses are never behind the operator's proxy.
fn is_direct(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(v4)) => allow::is_private(v4.into()),
        Some(Host::Ipv6(v6)) => allow::is_private(v6.into()),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

fn tls(ca_file: Option<&PathBuf>) -> Result<rustls::ClientConfig, EgressError> {
    let mut roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(path) = ca_file {
        let problem = |why: String| EgressError(format!("the CA file `{}` cannot be used: {why}", path.display()));
        let pem = std::fs::read(path).map_err(|e| problem(e.to_string()))?;
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|e| problem(e.to_string()))?;
            roots.add(certificate).map_err(|e| problem(e.to_string()))?;
        }
        if roots.len() == before {
            return Err(problem("it has no certificate".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| EgressError(format!("TLS cannot be set up: {e}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

impl Egress {
    /// Reads the operator's CA file; connects nothing.
    pub fn new(settings: &EgressSettings) -> Result<Self, EgressError> {
        Self::with_lookup(settings, &(Arc::new(System) as Arc<dyn Lookup>))
    }

    pub(crate) fn with_lookup(settings: &EgressSettings, lookup: &Arc<dyn Lookup>) -> Result<Self, EgressError> {
        let proxy = match &settings.proxy {
            None => None,
            Some(text) => {
                let url = Url::parse(text)
                    .ok()
                    .filter(|url| url.scheme() == "http" && url.has_host());
                Some(url.ok_or_else(|| EgressError("the proxy is not `http://host:port`".to_owned()))?)
            }
        };
        let tls = tls(settings.ca_file.as_ref())?;
        let door = |private: bool| -> Result<Door, EgressError> {
            let resolver = Resolver::new(lookup.clone(), private, proxy.as_ref().and_then(Url::host_str));
            let mut client = reqwest::Client::builder()
                .use_preconfigured_tls(tls.clone())
                .dns_resolver(resolver.clone())
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .user_agent(AGENT)
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(IDLE)
                .tcp_nodelay(true)
                .http2_adaptive_window(true)
                // Calls are repeated in `call`, where it is known which may be.
                .retry(reqwest::retry::never())
                .no_proxy();
            if let Some(proxy) = proxy.clone() {
                let choose = move |url: &Url| (!is_direct(url)).then(|| proxy.clone());
                client = client.proxy(reqwest::Proxy::custom(choose));
            }
            let client = client
                .build()
                .map_err(|e| EgressError(format!("no http client: {}", wire::told(e))))?;
            Ok(Door { resolver, client })
        };
        let shared = Shared {
            public: door(false)?,
            operators: door(true)?,
            socket_tls: Arc::new(tls.clone()),
            proxy,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    fn door(&self, private: bool) -> &Door {
        if private {
            &self.shared.operators
        } else {
            &self.shared.public
        }
    }

    pub(crate) fn client(&self, private: bool) -> &reqwest::Client {
        &self.door(private).client
    }

    pub(crate) fn resolver(&self, private: bool) -> &Resolver {
        &self.door(private).resolver
    }

    pub(crate) fn socket_tls(&self) -> Arc<rustls::ClientConfig> {
        self.shared.socket_tls.clone()
    }

    pub(crate) fn proxy_for(&self, url: &Url) -> Option<&Url> {
        self.shared.proxy.as_ref().filter(|_| !is_direct(url))
    }

    /// Fails with every reason why this grant cannot be: a bad URL, a secret that no target may receive, one that is
    /// too short to be told from ordinary text.
    pub fn outlet(&self, grant: Grant) -> Result<Outlet, Vec<String>> {
        let about = &grant.about;
        let allow = AllowList::new(&grant.api_base, grant.api_base_by_operator, &about.egress, &grant.hosts)?;
        let mut problems = Vec::new();
        let mut rules = BTreeMap::new();
        let secrets = about.secrets.iter().map(|s| (&s.name, &s.targets, &s.slots));
        let tokens = about.minted.iter().map(|m| (&m.name, &m.targets, &m.slots));
        for (name, targets, slots) in secrets.chain(tokens) {
            let targets = allow.targets(targets).unwrap_or_else(|problem| {
                problems.push(format!("`{name}`: {problem}"));
                Vec::new()
            });
            if targets.is_empty() && !slots.is_empty() {
                problems.push(format!("`{name}` may be placed, but in no url that this bot can reach"));
            }
            if rules
                .insert(
                    name.clone(),
                    Rule {
                        targets,
                        slots: slots.clone(),
                    },
                )
                .is_some()
            {
                problems.push(format!("`{name}` is there twice"));
            }
        }
        for (name, text) in &grant.secrets {
            if text.reveal().len() < SHORTEST {
                problems.push(format!("the secret `{name}` has fewer than {SHORTEST} bytes"));
            }
        }
        let mut minted: Vec<Mint> = Vec::new();
        for spec in &about.minted {
            let known =
                |name: &String| about.secrets.iter().any(|s| s.name == *name) || minted.iter().any(|m| m.name == *name);
            if let Some(unknown) = spec.placements.iter().find(|p| !known(&p.secret)) {
                problems.push(format!(
                    "token `{}`: there is no `{}` before it",
                    spec.name, unknown.secret
                ));
                continue;
            }
            match call::mint_draft(&allow, spec) {
                Err(problem) => problems.push(problem),
                Ok(draft) => {
                    if let Err(error) = call::try_fill(&draft, &rules) {
                        problems.push(format!("token `{}`: {error}", spec.name));
                    }
                    minted.push(Mint::new(spec, draft));
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let inner = Inner {
            egress: self.clone(),
            bot: grant.bot,
            allow,
            secrets: grant.secrets,
            rules,
            minted,
            buckets: Buckets::new(&about.limits.rates),
            spread: Spread::new(&about.limits.rates),
            needles: RwLock::new(Arc::new(Needles::of_secrets([]))),
        };
        inner.renew_needles();
        Ok(Outlet { inner: Arc::new(inner) })
    }
}

/// One bot's way out. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outlet {
    inner: Arc<Inner>,
}

impl Outlet {
    fn shown(&self, mut got: wire::Got) -> Response {
        let needles = self.inner.needles();
        needles.blank(&mut got.body);
        Response {
            status: got.status,
            headers: got.shown(&needles),
            body: got.body,
        }
    }

    /// Sends, within the grant. An answer of any status is a response; an error says that none came.
    ///
    /// Repeats what is repeatable, and what the vendor answered with 429 while `wait` lasts. Without a timeout it has
    /// 30 s, and never more than 10 minutes; an answer has 8 MiB at most.
    /// Cancel safe: a request that was not sent is not sent.
    pub async fn send(&self, request: Request) -> Result<Response, CallError> {
        Ok(self.shown(self.inner.call(request, None).await?))
    }
    /// The same; the body of a 2xx goes to `into` (a path the caller made), at most `max_bytes`. After an error the
    /// file may have a part of it.
    pub async fn download(&self, request: Request, into: PathBuf) -> Result<Result<u32, Response>, CallError> {
        let got = self.inner.call(request, Some(&into)).await?;
        Ok(match got.filed {
            Some(size) => Ok(size),
            None => Err(self.shown(got)),
        })
    }
    /// The vendor said in a body of its own that this bucket is empty for so long.
    pub fn hold(&self, bucket: &str, pause: Duration) {
        self.inner.buckets.hold(bucket, pause);
    }
    /// How long the longest of these buckets still holds a call back.
    pub fn ready_in(&self, buckets: &[String]) -> Duration {
        self.inner.buckets.ready_in(buckets)
    }
    /// The moment for so many calls in these buckets that can wait, such as a stream's update: the rates are spread
    /// evenly, and a part of each is left for what cannot wait. It is kept while what comes back with it lives.
    pub fn moment(&self, calls: &[(String, u32)]) -> (Instant, impl Send + 'static) {
        let moment = self.inner.spread.moment(calls);
        (moment.at(), moment)
    }
    /// Opens a websocket within the grant, in at most 20 s. From `/`: below the api-base, as `wss`. It lives until one
    /// side closes it or the [`Socket`] is dropped; frames have 8 MiB at most.
    pub async fn open(&self, opening: Opening) -> Result<Socket, OpenError> {
        socket::open(&self.inner, opening).await
    }
    /// A connection to a URL's host within the grant, through the operator's proxy and with the operator's CA, in at
    /// most 20 s. Nothing is said on it yet.
    pub async fn dial(&self, url: &str) -> std::io::Result<MaybeTlsStream<TcpStream>> {
        match tokio::time::timeout(socket::OPEN_TIMEOUT, socket::dial_url(&self.inner, url)).await {
            Ok(dialled) => dialled.map_err(|error| std::io::Error::new(error.kind(), self.redact(&error.to_string()))),
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        }
    }
    /// Blanks every secret and minted token in a text that goes to a log or a guest.
    pub fn redact(&self, text: &str) -> String {
        self.inner.redact(text.to_owned())
    }
}
