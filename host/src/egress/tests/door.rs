//! Names that lead inside.

use std::net::IpAddr;
use std::sync::Mutex;

use super::resolve::{Looking, Lookup, Resolver};
use super::server::{Server, ok};
use super::*;

/// Answers from a table; a name with several rows gets the next row each time.
struct Table(Mutex<Vec<(&'static str, Vec<IpAddr>)>>);

impl Lookup for Table {
    fn look_up(&self, name: &str) -> Looking {
        let mut rows = self.0.lock().unwrap();
        let several = rows.iter().filter(|row| row.0 == name).count() > 1;
        let at = rows.iter().position(|row| row.0 == name);
        let found = at.map(|at| if several { rows.remove(at).1 } else { rows[at].1.clone() });
        Box::pin(async move { found.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound)) })
    }
}

pub(super) fn table(rows: &[(&'static str, &[&str])]) -> Arc<dyn Lookup> {
    let row = |(name, all): &(&'static str, &[&str])| (*name, all.iter().map(|a| a.parse().unwrap()).collect());
    Arc::new(Table(Mutex::new(rows.iter().map(row).collect())))
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_unless_the_operator_granted_it() {
    let server = Server::new(|_, _| ok("inside")).await;
    let port = server.address.port();
    let lookup = table(&[
        ("inside.example", &["127.0.0.1"]),
        ("api.example.com", &["10.0.0.1", "fd00::1"]),
    ]);
    let egress = Egress::with_lookup(&EgressSettings::default(), &lookup).unwrap();
    let asking = |hosts: &[String]| {
        let mut grant = grant(
            "https://api.example.com/",
            About {
                egress: vec![
                    format!("https://inside.example:{port}"),
                    "wss://inside.example".to_owned(),
                ],
                ..about()
            },
        );
        grant.api_base_by_operator = false;
        grant.hosts = hosts.to_vec();
        egress.outlet(grant).unwrap()
    };
    let without = asking(&[]);
    for url in ["/x".to_owned(), format!("https://inside.example:{port}/x")] {
        let refused = without.send(post(&url, "")).await;
        let Err(CallError::Rejected(why)) = &refused else {
            panic!("{url}: {refused:?}")
        };
        assert!(why.contains("private"), "{why}");
    }
    let opening = Opening {
        url: "wss://inside.example/".to_owned(),
        headers: Headers::new(),
        protocols: Vec::new(),
        secrets: Vec::new(),
        ping_every: None,
    };
    let refused = without.open(opening).await;
    assert!(
        matches!(refused, Err(OpenError::Failed(CallError::Rejected(_)))),
        "{refused:?}"
    );
    assert_eq!(server.seen().len(), 0);

    let granted = asking(&[format!("http://inside.example:{port}")]);
    let response = granted
        .send(get(&format!("http://inside.example:{port}/x")))
        .await
        .unwrap();
    assert_eq!((text(&response), server.seen().len()), ("inside", 1));
    // Another bot's grant opens nothing for this one, although the connection is there.
    let refused = without.send(get(&format!("http://inside.example:{port}/x"))).await;
    assert!(matches!(refused, Err(CallError::Rejected(_))), "{refused:?}");
}

#[tokio::test]
async fn private_addresses_are_left_out_on_every_question() {
    let lookup = table(&[
        (
            "mixed.example",
            &["10.0.0.1", "1.1.1.1", "::ffff:127.0.0.1", "2606:4700::1111"],
        ),
        ("rebound.example", &["1.1.1.1"]),
        ("rebound.example", &["127.0.0.1"]),
        ("rebound.example", &["169.254.169.254"]),
    ]);
    let public = Resolver::new(lookup.clone(), false, None);
    let shown = |found: Vec<IpAddr>| found.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        shown(public.addresses("mixed.example").await.unwrap()),
        ["1.1.1.1", "2606:4700::1111"]
    );
    assert_eq!(shown(public.addresses("rebound.example").await.unwrap()), ["1.1.1.1"]);
    for name in ["rebound.example", "rebound.example", "127.0.0.1", "[::1]"] {
        assert!(
            resolve::is_only_private(&public.addresses(name).await.unwrap_err()),
            "{name}"
        );
    }
    let granted = Resolver::new(lookup.clone(), true, None);
    assert_eq!(granted.addresses("mixed.example").await.unwrap().len(), 4);
    let proxied = Resolver::new(lookup, false, Some("rebound.example"));
    assert_eq!(
        shown(proxied.addresses("rebound.example").await.unwrap()),
        ["169.254.169.254"]
    );
}

#[tokio::test]
async fn calls_go_through_the_operators_proxy_but_not_those_inside() {
    let server = Server::new(|_, _| ok("direct")).await;
    let proxy = Server::new(|_, _| ok("proxied")).await;
    let lookup = table(&[("far.example", &["1.1.1.1"])]);
    let settings = EgressSettings {
        proxy: Some(format!("http://user:pass@{}", proxy.address)),
        ..EgressSettings::default()
    };
    let egress = Egress::with_lookup(&settings, &lookup).unwrap();
    let mut grant = grant(&server.base(), about());
    grant.hosts = strings(&["http://far.example", "https://far.example"]);
    let out = egress.outlet(grant).unwrap();
    assert_eq!(text(&out.send(get("/x")).await.unwrap()), "direct");
    assert_eq!(text(&out.send(get("http://far.example/x")).await.unwrap()), "proxied");
    assert_eq!(
        proxy.seen()[0].header("proxy-authorization"),
        Some("Basic dXNlcjpwYXNz")
    );
    let wss = out.send(get("https://far.example/x")).await;
    assert!(
        matches!(wss, Err(CallError::Unavailable(_))),
        "this proxy makes no tunnel: {wss:?}"
    );
    assert_eq!(proxy.seen().last().unwrap().method, "CONNECT");
    for wrong in ["socks5://127.0.0.1:1", "127.0.0.1:1", ""] {
        assert!(
            Egress::new(&EgressSettings {
                proxy: Some(wrong.to_owned()),
                ca_file: None
            })
            .is_err(),
            "{wrong}"
        );
    }
}
