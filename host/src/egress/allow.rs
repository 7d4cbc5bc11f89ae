//! Which URLs a bot's adapter may reach: its api-base, what its manifest asks for, what the operator granted.
//!
//! Everything is compared after the `url` crate has normalised it (case, punycode, every notation of an IPv4
//! address), and what two programs could read differently (userinfo, backslashes, dot segments behind
//! percent-encoding) is refused rather than understood.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Longer URLs are no vendor's.
const URL_MAX: usize = 16 * 1024;

/// Why a URL is not for this bot. Never shows path or query: secrets may stand there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAllowed {
    #[error("the url cannot be used: {0}")]
    Malformed(&'static str),
    #[error("`{0}` is not among the hosts that this adapter may reach")]
    Host(String),
    #[error("`{0}` is a private address, and the operator did not grant it")]
    Private(String),
}

/// Loopback, private, link-local (with the clouds' metadata), shared, documentation, benchmark, multicast and
/// reserved addresses: everything that is not a public host.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => private_v4(v4),
        IpAddr::V6(v6) => private_v6(v6),
    }
}

fn private_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    v4.is_loopback()
        || v4.is_private()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_documentation()
        || a == 0
        || a >= 240
        // RFC 6598 (carrier-grade NAT; Alibaba's metadata is 100.100.100.200), RFC 2544, RFC 6890.
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (b == 18 || b == 19))
        || (a == 192 && b == 0 && c == 0)
        // Azure's wire server.
        || v4 == Ipv4Addr::new(168, 63, 129, 16)
}

fn private_v6(v6: Ipv6Addr) -> bool {
    let s = v6.segments();
    let v4_at = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        private_v4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        // ::, ::1, IPv4-compatible and IPv4-mapped.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => s[5] == 0 || v4_at(high, low),
        // SIIT (RFC 7915), NAT64 (RFC 6052) and its local prefix (RFC 8215): the address behind it counts.
        [0, 0, 0, 0, 0xffff, 0, high, low] => v4_at(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4_at(high, low),
        [0x64, 0xff9b, 1, ..] => true,
        // 6to4, Teredo and the rest of 2001::/23, documentation.
        [0x2002, high, low, ..] => v4_at(high, low),
        [0x2001, 0..0x200, ..] => true,
        [0x2001, 0xdb8, ..] | [0x3fff, ..] => true,
        // Discard, unique local, link-local, site-local, multicast.
        [0x100, 0, 0, 0, ..] => true,
        [first, ..] => first & 0xfe00 == 0xfc00 || first & 0xff80 == 0xfe80 || first & 0xff00 == 0xff00,
    }
}

/// `https` and `wss` to one host are one right, `http` and `ws` another.
pub(crate) fn is_tls(url: &Url) -> Option<bool> {
    match url.scheme() {
        "https" | "wss" => Some(true),
        "http" | "ws" => Some(false),
        _ => None,
    }
}

/// The url crate knows the default ports of all four schemes.
pub(crate) fn port(url: &Url) -> u16 {
    url.port_or_known_default().unwrap_or(0)
}

/// Whether both go to the same place with the same protection.
pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    is_tls(a) == is_tls(b) && a.host() == b.host() && port(a) == port(b)
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Exactly(Host<String>),
    /// Any depth below, not the name itself.
    Below(String),
}

/// `https://host`, `https://*.host`, `wss://host:port`, `http://host:*`. Without a port: the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    tls: bool,
    name: Name,
    /// None: any.
    port: Option<u16>,
    by_operator: bool,
}

impl Pattern {
    /// A path is not part of a pattern; one that is given must be `/`.
    pub(crate) fn parse(text: &str, by_operator: bool) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{text}` is no host pattern: {why}"));
        if text.contains(['\\', '@', '?', '#']) || text.bytes().any(|b| b <= b' ') {
            return wrong("a scheme, a host and perhaps a port are all it has");
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return wrong("it begins with `https://`");
        };
        let tls = match scheme {
            "https" | "wss" => true,
            "http" | "ws" if by_operator => false,
            "http" | "ws" => return wrong("only an operator may grant a host without TLS"),
            _ => return wrong("the scheme is `https` or `wss`"),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (rest, any_port) = rest.strip_suffix(":*").map_or((rest, false), |r| (r, true));
        let (rest, below) = rest.strip_prefix("*.").map_or((rest, false), |r| (r, true));
        if rest.is_empty() || rest.contains(['*', '/']) {
            return wrong("`*.` may stand in front of a host, `:*` behind it");
        }
        let Ok(url) = Url::parse(&format!("{scheme}://{rest}")) else {
            return wrong("the host cannot be read");
        };
        let Some(host) = url.host() else {
            return wrong("the host is missing");
        };
        let name = match host.to_owned() {
            Host::Domain(name) if below && !name.trim_end_matches('.').contains('.') => {
                return wrong("below a top-level domain is everybody");
            }
            Host::Domain(name) if below => Name::Below(format!(".{name}")),
            _ if below => return wrong("nothing is below an address"),
            host => Name::Exactly(host),
        };
        Ok(Self {
            tls,
            name,
            port: (!any_port).then(|| port(&url)),
            by_operator,
        })
    }

    /// The place of a URL: its scheme, host and port.
    fn of(url: &Url, by_operator: bool) -> Option<Self> {
        let name = Name::Exactly(url.host()?.to_owned());
        Some(Self {
            tls: is_tls(url)?,
            name,
            port: Some(port(url)),
            by_operator,
        })
    }

    fn covers(&self, url: &Url) -> bool {
        is_tls(url) == Some(self.tls)
            && self.port.is_none_or(|p| p == port(url))
            && match (&self.name, url.host()) {
                (Name::Exactly(name), Some(host)) => *name == host.to_owned(),
                (Name::Below(suffix), Some(Host::Domain(name))) => {
                    name.len() > suffix.len() && name.ends_with(suffix.as_str())
                }
                _ => false,
            }
    }
}

/// A URL that may be called.
#[derive(Debug, Clone)]
pub(crate) struct Allowed {
    pub(crate) url: Url,
    /// The operator granted this host: its address may be private.
    pub(crate) private: bool,
    /// Where the request's own path begins, in segments: those of the api-base come before.
    pub(crate) own_path: usize,
}

/// A bot's list.
#[derive(Debug)]
pub(crate) struct AllowList {
    api_base: Url,
    patterns: Vec<Pattern>,
}

impl AllowList {
    /// Every problem at once.
    pub(crate) fn new(
        api_base: &str,
        api_base_by_operator: bool,
        asked: &[String],
        granted: &[String],
    ) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut patterns = Vec::new();
        for (texts, by_operator) in [(asked, false), (granted, true)] {
            for text in texts {
                match Pattern::parse(text, by_operator) {
                    Ok(pattern) => patterns.push(pattern),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        match checked(api_base) {
            Ok(url) => {
                let plain = is_tls(&url) == Some(false);
                let operators = Pattern::of(&url, true)
                    .filter(|_| api_base_by_operator || patterns.iter().any(|p| p.by_operator && p.covers(&url)));
                if plain && operators.is_none() {
                    problems.push("`api_base` without TLS must be set by the operator".to_owned());
                }
                if !url.path().ends_with('/') || url.query().is_some() {
                    problems.push("`api_base` ends with `/`".to_owned());
                }
                patterns.extend(operators.or_else(|| Pattern::of(&url, false)));
                if problems.is_empty() {
                    let list = Self {
                        api_base: url,
                        patterns,
                    };
                    match list.allow(list.api_base.clone(), 0) {
                        Ok(_) => return Ok(list),
                        Err(problem) => problems.push(format!("`api_base`: {problem}")),
                    }
                }
            }
            Err(problem) => problems.push(format!("`api_base`: {problem}")),
        }
        Err(problems)
    }

    fn segments_of_base(&self) -> usize {
        self.api_base.path().matches('/').count().saturating_sub(1)
    }

    /// Reads what a guest asks for: whole, or from `/` below the api-base.
    pub(crate) fn read(&self, text: &str) -> Result<Allowed, NotAllowed> {
        if let Some(rest) = text.strip_prefix('/') {
            if rest.starts_with('/') {
                return Err(NotAllowed::Malformed("it begins with `//`"));
            }
            let url = checked(&format!("{}{rest}", self.api_base))?;
            if !same_origin(&url, &self.api_base) || !url.path().starts_with(self.api_base.path()) {
                return Err(NotAllowed::Malformed("it leaves the api-base"));
            }
            return self.allow(url, self.segments_of_base());
        }
        self.allow(checked(text)?, 0)
    }

    /// Where an answer from `from` sends us.
    pub(crate) fn follow(&self, from: &Url, location: &str) -> Result<Allowed, NotAllowed> {
        if location.contains('\\') {
            return Err(NotAllowed::Malformed("it has a backslash"));
        }
        let url = from
            .join(location)
            .map_err(|_| NotAllowed::Malformed("the redirect cannot be read"))?;
        self.allow(checked(url.as_str())?, 0)
    }

    fn allow(&self, url: Url, own_path: usize) -> Result<Allowed, NotAllowed> {
        let host = url.host_str().unwrap_or_default();
        let private = self.patterns.iter().any(|p| p.by_operator && p.covers(&url));
        if !private {
            if !self.patterns.iter().any(|p| p.covers(&url)) {
                return Err(NotAllowed::Host(host.to_owned()));
            }
            let private_host = match url.host() {
                Some(Host::Ipv4(v4)) => private_v4(v4),
                Some(Host::Ipv6(v6)) => private_v6(v6),
                Some(Host::Domain(name)) => is_local_name(name),
                None => true,
            };
            if private_host {
                return Err(NotAllowed::Private(host.to_owned()));
            }
        }
        Ok(Allowed { url, private, own_path })
    }

    /// URL prefixes of the manifest (from `/`: below the api-base), read once. Those that this bot cannot reach are
    /// left out: an operator may have set another api-base.
    pub(crate) fn targets(&self, texts: &[String]) -> Result<Vec<Target>, String> {
        texts.iter().filter_map(|text| self.target(text).transpose()).collect()
    }

    fn target(&self, text: &str) -> Result<Option<Target>, String> {
        let problem = |e: NotAllowed| format!("target `{text}`: {e}");
        // A target may name many hosts: `https://*.example.com/files/`.
        if let Some((scheme, rest)) = text.split_once("://")
            && let Some((host, path)) = rest.strip_prefix("*.").map(|r| r.split_once('/').unwrap_or((r, "")))
        {
            let place = Pattern::parse(&format!("{scheme}://*.{host}"), false)?;
            let shape = checked(&format!("{scheme}://{host}/{path}")).map_err(problem)?;
            return Ok(Some(Target {
                place,
                path: shape.path().to_owned(),
            }));
        }
        match self.read(text) {
            Ok(allowed) => Ok(Pattern::of(&allowed.url, allowed.private).map(|place| Target {
                place,
                path: allowed.url.path().to_owned(),
            })),
            Err(NotAllowed::Malformed(why)) => Err(problem(NotAllowed::Malformed(why))),
            Err(NotAllowed::Host(_) | NotAllowed::Private(_)) => Ok(None),
        }
    }
}

/// Where a secret may go: a place and a path; below it, segment by segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    place: Pattern,
    path: String,
}

impl Target {
    pub(crate) fn covers(&self, url: &Url) -> bool {
        self.place.covers(url)
            && url
                .path()
                .strip_prefix(self.path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/'))
    }
}

/// Parses, and refuses everything that two programs could read differently.
fn checked(text: &str) -> Result<Url, NotAllowed> {
    use NotAllowed::Malformed;
    if text.len() > URL_MAX {
        return Err(Malformed("it is too long"));
    }
    if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err(Malformed("it has a space or a control character"));
    }
    let scheme_end = text.find("://").ok_or(Malformed("it is neither whole nor from `/`"))?;
    let rest = &text[scheme_end + 3..];
    let path_end = rest.find(['?', '#']).unwrap_or(rest.len());
    let before_query = &rest[..path_end];
    if before_query.contains('\\') {
        return Err(Malformed("it has a backslash"));
    }
    let authority = before_query.split('/').next().unwrap_or_default();
    if authority.is_empty() {
        return Err(Malformed("the host is missing"));
    }
    if authority.contains('@') {
        return Err(Malformed("it has a user or a password"));
    }
    if before_query[authority.len()..].split('/').any(is_dots) {
        return Err(Malformed("it has a dot segment"));
    }
    let mut url = Url::parse(text).map_err(|_| Malformed("it is not a url"))?;
    if is_tls(&url).is_none() {
        return Err(Malformed("its scheme is none of `https`, `wss`, `http`, `ws`"));
    }
    url.set_fragment(None);
    Ok(url)
}

/// `.` or `..`, also behind percent-encoding (several times), encoded slashes, and with parameters (`..;x`).
fn is_dots(segment: &str) -> bool {
    let mut text = segment.as_bytes().to_vec();
    for _ in 0..4 {
        let hit = text.split(|b| matches!(b, b'/' | b'\\')).any(|piece| {
            let name = piece.split(|b| *b == b';').next().unwrap_or_default();
            matches!(name, b"." | b"..")
        });
        if hit || text.contains(&0) {
            return true;
        }
        let decoded = percent_decoded(&text);
        if decoded == text {
            return false;
        }
        text = decoded;
    }
    // Encoded more often than anybody does in earnest.
    true
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let value = (byte == b'%').then(|| after.get(..2)).flatten().and_then(|two| {
            two.iter()
                .all(u8::is_ascii_hexdigit)
                .then(|| std::str::from_utf8(two).ok())?
        });
        match value.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(value) => {
                out.push(value);
                rest = &after[2..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
