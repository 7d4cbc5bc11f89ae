//! Whether a manifest makes sense: lengths, counts, names that refer to each other, URLs that are https. What does not
//! is refused when the component is loaded, with a sentence for its author.

use url::Url;

use super::Offers;
use crate::manifest::{About, Minted, Piece, Placement, Route, SecretSpec, Slot, Transport, Verification};

/// Of names, which stand in bots.toml and in logs.
const NAME_MAX: usize = 64;
/// Of sentences and URLs.
const TEXT_MAX: usize = 2000;
/// Of every list in the manifest.
const LIST_MAX: usize = 64;
const ROUTE_BODY_MAX: u32 = 32 * 1024 * 1024;

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Everything that is wrong with it.
struct Check {
    problems: Vec<String>,
}

impl Check {
    fn that(&mut self, fine: bool, problem: impl FnOnce() -> String) {
        if !fine {
            self.problems.push(problem());
        }
    }

    fn count<T>(&mut self, what: &str, list: &[T]) {
        self.that(list.len() <= LIST_MAX, || {
            format!("{what}: {} are more than {LIST_MAX}", list.len())
        });
    }

    fn name(&mut self, what: &str, name: &str) {
        self.that(is_name(name), || {
            format!(
                "{what} `{}` is not 1 to {NAME_MAX} of a-z 0-9 - _",
                super::v1::from_guest::cut(name.to_owned(), 80)
            )
        });
    }

    fn text(&mut self, what: &str, text: &str) {
        self.that(text.len() <= TEXT_MAX, || {
            format!("{what} is longer than {TEXT_MAX} bytes")
        });
    }

    fn unique<'a>(&mut self, what: &str, names: impl Iterator<Item = &'a str>) {
        let mut seen = Vec::new();
        for name in names {
            self.that(!seen.contains(&name), || format!("{what} `{name}` is there twice"));
            seen.push(name);
        }
    }

    /// A URL prefix that may receive a secret: below the api-base, or https.
    fn target(&mut self, of: &str, target: &str, schemes: &[&str]) {
        self.text(&format!("a target of `{of}`"), target);
        if target.starts_with('/') && !target.starts_with("//") {
            return;
        }
        // `https://*.host:*`: the wildcards are the first label and the port.
        let plain = target.replacen("://*.", "://any.", 1).replacen(":*", "", 1);
        let fine = Url::parse(&plain).is_ok_and(|url| {
            schemes.contains(&url.scheme())
                && url.host_str().is_some_and(|host| !host.contains('*'))
                && url.username().is_empty()
        });
        self.that(fine, || {
            format!(
                "the target `{target}` of `{of}` is neither a path from `/` nor a URL with {}",
                schemes.join(" or ")
            )
        });
    }

    fn slot(&mut self, of: &str, slot: &Slot) {
        match slot {
            Slot::Header(name, prefix) => {
                let token = !name.is_empty()
                    && name
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
                self.that(token && name.len() <= NAME_MAX && prefix.len() <= NAME_MAX, || {
                    format!("the header slot `{name}` of `{of}` is not a header's name")
                });
                let forbidden = ["host", "content-length", "transfer-encoding", "connection", "cookie"];
                self.that(!forbidden.contains(&name.to_ascii_lowercase().as_str()), || {
                    format!("the header slot `{name}` of `{of}` is the host's own")
                });
            }
            Slot::Query(name) | Slot::FormField(name) => {
                self.that(!name.is_empty() && name.len() <= NAME_MAX, || {
                    format!("a slot of `{of}` has no name")
                });
            }
            Slot::PathSegment(n, prefix) => {
                self.that(*n < 16 && prefix.len() <= NAME_MAX, || {
                    format!("the path slot {n} of `{of}` is too far in")
                });
            }
            Slot::JsonPointer(pointer, prefix) => {
                let short = pointer.len() <= TEXT_MAX && prefix.len() <= NAME_MAX;
                self.that(pointer.starts_with('/') && short, || {
                    format!("the slot `{pointer}` of `{of}` is no JSON pointer")
                });
            }
            Slot::Frame(prefix) => {
                let plain = prefix.len() <= NAME_MAX && !prefix.contains(['\r', '\n', '\0']);
                self.that(plain, || {
                    format!("the frame slot of `{of}` has a prefix of more than one line")
                });
            }
            Slot::BasicUser | Slot::BasicPassword => {}
        }
    }

    fn secret(&mut self, secret: &SecretSpec) {
        self.name("the secret", &secret.name);
        self.text("a secret's purpose", &secret.purpose);
        self.count("targets of a secret", &secret.targets);
        self.count("slots of a secret", &secret.slots);
        for target in &secret.targets {
            self.target(&secret.name, target, &["https", "wss"]);
        }
        for slot in &secret.slots {
            self.slot(&secret.name, slot);
        }
        self.that(secret.slots.is_empty() || !secret.targets.is_empty(), || {
            format!("the secret `{}` has slots but no target", secret.name)
        });
    }

    fn placement(&mut self, of: &str, placement: &Placement, secrets: &[SecretSpec]) {
        self.slot(of, &placement.slot);
        self.that(secrets.iter().any(|s| s.name == placement.secret), || {
            format!(
                "`{of}` places the secret `{}`, which the manifest does not have",
                placement.secret
            )
        });
    }

    fn minted(&mut self, minted: &Minted, secrets: &[SecretSpec]) {
        self.name("the minted token", &minted.name);
        self.target(&minted.name, &minted.url, &["https"]);
        for target in &minted.targets {
            self.target(&minted.name, target, &["https", "wss"]);
        }
        for slot in &minted.slots {
            self.slot(&minted.name, slot);
        }
        for placement in &minted.placements {
            self.placement(&minted.name, placement, secrets);
        }
        let pointers = [
            Some(&minted.token_at),
            minted.lifetime_seconds_at.as_ref(),
            minted.refused.as_ref().map(|r| &r.at),
        ];
        for pointer in pointers.into_iter().flatten() {
            self.that(pointer.starts_with('/'), || {
                format!("`{pointer}` of `{}` is no JSON pointer", minted.name)
            });
        }
    }

    fn pieces(&mut self, route: &str, pieces: &[Piece], secrets: &[SecretSpec]) {
        self.count("signed pieces", pieces);
        for piece in pieces {
            if let Piece::Secret(name) = piece {
                self.verifies(route, name, secrets);
            }
        }
    }

    fn verifies(&mut self, route: &str, secret: &str, secrets: &[SecretSpec]) {
        self.that(secrets.iter().any(|s| s.name == secret), || {
            format!("the route `{route}` verifies with the secret `{secret}`, which the manifest does not have")
        });
    }

    fn route(&mut self, route: &Route, secrets: &[SecretSpec]) {
        let name = route.name.as_str();
        self.that(name.is_empty() || is_name(name), || {
            format!("the route `{name}` is not of a-z 0-9 - _")
        });
        self.that(!route.methods.is_empty(), || {
            format!("the route `{name}` takes no method")
        });
        for method in &route.methods {
            self.that(["GET", "POST", "PUT", "HEAD"].contains(&method.as_str()), || {
                format!("the route `{name}` has the method `{method}`; GET, POST, PUT and HEAD are there")
            });
        }
        self.that((1..=ROUTE_BODY_MAX).contains(&route.max_body_bytes), || {
            format!(
                "the route `{name}` takes {} bytes; 1 to {ROUTE_BODY_MAX} can be",
                route.max_body_bytes
            )
        });
        let deadline = route.deadline.as_millis();
        self.that((100..=60_000).contains(&deadline), || {
            format!("the route `{name}` answers within {deadline} ms; 100 to 60000 can be")
        });
        match &route.verification {
            Verification::Unverified | Verification::Guest => {}
            Verification::Shared(placement) => self.placement(name, placement, secrets),
            Verification::Signature(signature) => {
                self.pieces(name, &signature.signed, secrets);
                self.that(!signature.header.is_empty(), || {
                    format!("the signature of the route `{name}` is in no header")
                });
                match &signature.key {
                    Some(key) => self.verifies(name, key, secrets),
                    None => {
                        let keyed = signature.signed.iter().any(|p| matches!(p, Piece::Secret(_)));
                        self.that(keyed, || {
                            format!("the signature of the route `{name}` has no secret in it: anybody could make it")
                        });
                    }
                }
            }
            Verification::Ed25519 { public_key, signed, .. } => {
                self.verifies(name, public_key, secrets);
                self.pieces(name, signed, secrets);
            }
        }
    }
}

/// Everything that is wrong with a manifest; empty when it can be used.
pub(super) fn problems(about: &About, offers: Offers) -> Vec<String> {
    let mut check = Check { problems: Vec::new() };
    check.name("the platform", &about.platform);
    check.that(!about.title.is_empty() && about.title.len() <= NAME_MAX * 2, || {
        "the title is empty or too long".to_owned()
    });
    check.that(about.version.len() <= NAME_MAX, || "the version is too long".to_owned());
    if let Some(base) = &about.api_base {
        let fine =
            Url::parse(base).is_ok_and(|url| url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)));
        check.that(fine, || format!("the api-base `{base}` is no https URL"));
    }

    check.count("modes", &about.modes);
    check.count("settings", &about.settings);
    check.count("secrets", &about.secrets);
    check.count("minted tokens", &about.minted);
    check.count("egress", &about.egress);
    check.count("rates", &about.limits.rates);
    check.count("extra", &about.extra);
    check.unique("the mode", about.modes.iter().map(|m| m.name.as_str()));
    check.unique("the setting", about.settings.iter().map(|s| s.name.as_str()));
    let secret_names = about.secrets.iter().map(|s| s.name.as_str());
    check.unique(
        "the secret",
        secret_names.chain(about.minted.iter().map(|m| m.name.as_str())),
    );

    check.that(!about.modes.is_empty(), || {
        "it has no mode: there is no way to run it".to_owned()
    });
    for mode in &about.modes {
        check.name("the mode", &mode.name);
        check.text("a mode's purpose", &mode.purpose);
        check.count("transports of a mode", &mode.transports);
        for secret in &mode.secrets {
            check.that(about.secrets.iter().any(|s| s.name == *secret), || {
                format!(
                    "the mode `{}` needs the secret `{secret}`, which the manifest does not have",
                    mode.name
                )
            });
        }
        for transport in &mode.transports {
            match transport {
                Transport::Webhook(routes) => {
                    check.count("routes", routes);
                    for route in routes {
                        check.route(route, &about.secrets);
                    }
                }
                Transport::Managed { name, options } => {
                    check.name("the managed transport", name);
                    check.count("options of a transport", options);
                }
                Transport::Link => check.that(offers.link, || {
                    format!(
                        "the mode `{}` is a link, but `botyard:adapter/link` is not exported",
                        mode.name
                    )
                }),
            }
        }
    }
    for setting in &about.settings {
        check.name("the setting", &setting.name);
        check.text("a setting's purpose", &setting.purpose);
        check.count("choices", &setting.choices);
    }
    for secret in &about.secrets {
        check.secret(secret);
    }
    for minted in &about.minted {
        check.minted(minted, &about.secrets);
    }
    for host in &about.egress {
        check.target("egress", host, &["https", "wss"]);
        check.that(!host.starts_with('/'), || format!("egress `{host}` names no host"));
    }
    for rate in &about.limits.rates {
        check.that(rate.calls > 0 && !rate.per.is_zero() && !rate.bucket.is_empty(), || {
            format!("the rate of `{}` lets nothing through", rate.bucket)
        });
    }
    check.problems
}
