//! Keeps other web pages out: under which names this host answers, whose requests may change something, and what
//! browsers are told of every answer.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use url::Url;

use super::App;
use super::reply::refusal;

/// Nothing but what this host itself serves, no inline script or style, in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The names under which the page is served.
#[derive(Debug)]
pub(super) struct Guard {
    /// `host:port`, or `host` where the port is the scheme's own; lower case.
    names: Vec<String>,
    /// As browsers write them in `Origin`.
    origins: Vec<String>,
    /// It listens on every address of the machine: an address as a name is as good as another. (A hostile page
    /// can point a name at us, but not an address.)
    any_address: bool,
}

impl Guard {
    pub(super) fn new(address: SocketAddr, public_url: Option<&str>) -> Self {
        let port = address.port();
        let mut names = vec![address.to_string()];
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            names.extend([
                format!("localhost:{port}"),
                format!("127.0.0.1:{port}"),
                format!("[::1]:{port}"),
            ]);
        }
        if port == 80 {
            let bare: Vec<_> = names
                .iter()
                .filter_map(|name| name.strip_suffix(":80"))
                .map(str::to_owned)
                .collect();
            names.extend(bare);
        }
        let mut origins: Vec<_> = names.iter().map(|name| format!("http://{name}")).collect();
        if let Some(url) = public_url.and_then(|text| Url::parse(text).ok())
            && let Some(host) = url.host_str()
        {
            names.push(
                url.port()
                    .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
            );
            origins.push(url.origin().ascii_serialization());
        }
        Self {
            names,
            origins,
            any_address: address.ip().is_unspecified(),
        }
    }

    pub(super) fn knows_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.names.contains(&host) || self.any_address && is_address(&host)
    }

    pub(super) fn knows_origin(&self, origin: &str) -> bool {
        let address = |origin: &str| origin.strip_prefix("http://").is_some_and(is_address);
        self.origins.iter().any(|known| known == origin) || self.any_address && address(origin)
    }
}

/// An IP address with or without a port.
fn is_address(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    host.parse::<SocketAddr>().is_ok() || bare.parse::<IpAddr>().is_ok()
}

/// Refuses what came under a foreign name, and what another page wants to change here.
pub(super) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    match refused(&app.0.guard, &request) {
        Some((word, sentence)) => refusal(StatusCode::FORBIDDEN, word, sentence),
        None => next.run(request).await,
    }
}

fn refused(guard: &Guard, request: &Request) -> Option<(&'static str, &'static str)> {
    // A value that is not text is no name of ours: it counts as an empty one.
    let text = |name: HeaderName| {
        request
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    let named = request.uri().authority().map(axum::http::uri::Authority::as_str);
    let hosts = [text(header::HOST), named];
    if hosts[0].is_none() || hosts.iter().flatten().any(|host| !guard.knows_host(host)) {
        return Some((
            "host",
            "this host does not answer under that name; `host.public_url` in bots.toml adds one",
        ));
    }
    if [Method::GET, Method::HEAD].contains(request.method()) {
        return None;
    }
    let foreign = text(header::ORIGIN).is_some_and(|origin| !guard.knows_origin(origin));
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let outside = site.is_some_and(|site| !["same-origin", "none"].contains(&site));
    (foreign || outside).then_some(("origin", "another page may not do this"))
}

/// What every answer tells a browser.
pub(super) async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(listen: &str, public_url: Option<&str>) -> Guard {
        Guard::new(listen.parse().unwrap(), public_url)
    }

    #[test]
    fn only_our_own_names_are_known() {
        let guard = guard("127.0.0.1:8787", Some("https://bots.example.org"));
        let known = |name: &str| guard.knows_host(name);
        for name in [
            "127.0.0.1:8787",
            "localhost:8787",
            "LOCALHOST:8787",
            "[::1]:8787",
            "bots.example.org",
        ] {
            assert!(known(name), "{name}");
        }
        for name in [
            "evil.example:8787",
            "localhost",
            "localhost:80",
            "192.168.1.2:8787",
            "localhost:8787.evil",
            "",
        ] {
            assert!(!known(name), "{name}");
        }
        assert!(guard.knows_origin("http://localhost:8787"));
        assert!(guard.knows_origin("https://bots.example.org"));
        for origin in [
            "https://localhost:8787",
            "http://bots.example.org",
            "null",
            "http://localhost:8788",
        ] {
            assert!(!guard.knows_origin(origin), "{origin}");
        }
    }

    #[test]
    fn where_every_address_is_listened_on_any_address_is_a_name_and_no_foreign_word() {
        let guard = guard("0.0.0.0:8787", None);
        assert!(guard.knows_host("192.168.1.2:8787"));
        assert!(guard.knows_host("[fe80::1]:8787"));
        assert!(guard.knows_origin("http://192.168.1.2:8787"));
        assert!(!guard.knows_host("rebound.example:8787"));
        assert!(!guard.knows_origin("http://rebound.example:8787"));
    }
}
