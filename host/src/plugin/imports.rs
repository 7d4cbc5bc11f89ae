//! The fixed list of what a component may import. Read before anything of it runs.

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::v1;

const PACKAGE: &str = "botyard:adapter/";

/// Our interfaces, and their functions as of 1.0. Types alone have none.
const OURS: &[(&str, &[&str])] = &[
    (
        "host",
        &["log", "now", "setting", "api-base", "mode", "me", "route-url"],
    ),
    ("http", &["send", "download", "hold"]),
    ("files", &["read", "keep"]),
    ("store", &["get", "put", "put-if-absent", "remove"]),
    (
        "crypto",
        &[
            "hash",
            "hmac",
            "matches",
            "aes-256-cbc-decrypt",
            "aes-256-cbc-encrypt",
            "random",
        ],
    ),
    ("memory", &["save", "posted", "moved"]),
    ("socket", &["open", "send", "close"]),
    ("events", &["next", "emit", "reply", "report"]),
    ("link-call", &["call"]),
];

/// What wasmtime-wasi's p2 offers: there, but empty. No file, no socket, no environment behind them.
const WASI: &[&str] = &[
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:filesystem/types",
    "wasi:filesystem/preopens",
    "wasi:sockets/network",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// `a:b/c@1.2.3` in two; the version may be missing.
fn split(name: &str) -> (&str, Option<(u32, u32)>) {
    let Some((name, version)) = name.split_once('@') else {
        return (name, None);
    };
    let mut numbers = version.split('.').map(|n| n.parse().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (name, Some((major, minor))),
        _ => (name, None),
    }
}

/// One import against the list; `functions` are those it asks of an interface. Err: a sentence that names it.
pub(super) fn refused(import: &str, functions: &[&str]) -> Result<(), String> {
    let (name, version) = split(import);
    if let Some(interface) = name.strip_prefix(PACKAGE) {
        let Some((major, minor)) = version else {
            return Err(format!("it imports `{import}`, which says no version"));
        };
        let ours = format!("{}.{}", v1::MAJOR, v1::MINOR);
        if major != v1::MAJOR {
            return Err(format!(
                "it imports `{import}`: this host offers botyard:adapter {ours} and has no version {major}"
            ));
        }
        // Words alone are compared with nothing: an adapter may use those of an interface that this host does not know,
        // for an export that it does not call.
        if functions.is_empty() {
            return Ok(());
        }
        let known = OURS.iter().find(|(name, _)| *name == interface);
        let lacking = match known {
            None => Some(format!("`{interface}`")),
            Some((_, offered)) => functions
                .iter()
                .find(|f| !offered.contains(f))
                .map(|f| format!("`{interface}.{f}`")),
        };
        return match lacking {
            Some(what) if minor > v1::MINOR => Err(format!(
                "it imports `{import}`: {what} needs a host with botyard:adapter {major}.{minor}, this one offers {ours}"
            )),
            Some(what) => Err(format!("it imports `{import}`: botyard:adapter {ours} has no {what}")),
            None => Ok(()),
        };
    }
    if name.starts_with("wasi:http/") {
        return Err(format!(
            "it imports `{import}`: adapters reach vendors through `botyard:adapter/http` alone"
        ));
    }
    if WASI.contains(&name) && version.is_some_and(|(major, minor)| (major, minor) == (0, 2)) {
        return Ok(());
    }
    Err(format!("it imports `{import}`, which this host does not offer"))
}

/// Names of everything it imports, or one sentence for each import that is refused.
pub(super) fn check(engine: &Engine, component: &Component) -> Result<Vec<String>, String> {
    let kind = component.component_type();
    let mut names = Vec::new();
    let mut refusals = Vec::new();
    for (name, import) in kind.imports(engine) {
        let functions: Vec<String> = match &import.ty {
            ComponentItem::ComponentInstance(instance) => instance
                .exports(engine)
                .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
                .map(|(function, _)| function.to_owned())
                .collect(),
            _ => Vec::new(),
        };
        // The functions of WASI are its own matter: the linker compares them.
        let functions: Vec<&str> = functions.iter().map(String::as_str).collect();
        if let Err(sentence) = refused(name, &functions) {
            refusals.push(sentence);
        }
        names.push(name.to_owned());
    }
    if refusals.is_empty() {
        Ok(names)
    } else {
        Err(refusals.join("; "))
    }
}

/// Interfaces of ours that it exports, of this major version, without package and version.
pub(super) fn exports(engine: &Engine, component: &Component) -> Vec<String> {
    component
        .component_type()
        .exports(engine)
        .filter_map(|(name, _)| match split(name) {
            (name, Some((major, _))) if major == v1::MAJOR => name.strip_prefix(PACKAGE).map(str::to_owned),
            _ => None,
        })
        .collect()
}
