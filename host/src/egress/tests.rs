//! Against real servers on loopback, port 0.

mod calls;
mod door;
mod minting;
mod secrets;
mod server;
mod sockets;
mod tls;

use super::*;
use crate::manifest::{Limits, Minted, Rate, SecretSpec, Slot};

const TOKEN: &str = "xoxb-12345-secret-token";

/// The clock goes on by this.
async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

fn about() -> About {
    About {
        platform: "test".to_owned(),
        title: "Test".to_owned(),
        version: "1".to_owned(),
        api_base: None,
        modes: Vec::new(),
        settings: Vec::new(),
        secrets: Vec::new(),
        minted: Vec::new(),
        egress: Vec::new(),
        limits: Limits {
            update_interval: Duration::ZERO,
            updates_max: None,
            refresh: None,
            upload_max_bytes: 0,
            rates: Vec::new(),
        },
        abilities: Vec::new(),
        extra: Vec::new(),
    }
}

fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

fn headers(all: &[(&str, &str)]) -> Headers {
    all.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn spec(name: &str, targets: &[&str], slots: Vec<Slot>) -> SecretSpec {
    SecretSpec {
        name: name.to_owned(),
        purpose: String::new(),
        targets: strings(targets),
        slots,
        crypto: false,
    }
}

fn at(secret: &str, slot: Slot) -> Placement {
    Placement {
        secret: secret.to_owned(),
        slot,
    }
}

fn bearer() -> Slot {
    Slot::Header("Authorization".to_owned(), "Bearer ".to_owned())
}

fn get(url: &str) -> Request {
    Request {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: Headers::new(),
        body: Body::Empty,
        secrets: Vec::new(),
        timeout: Some(Duration::from_secs(10)),
        repeatable: false,
        buckets: Vec::new(),
        wait: Duration::ZERO,
        max_bytes: None,
    }
}

fn post(url: &str, body: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        body: Body::Bytes(body.as_bytes().to_vec()),
        ..get(url)
    }
}

fn with(request: Request, secret: &str, slot: Slot) -> Request {
    Request {
        secrets: vec![at(secret, slot)],
        ..request
    }
}

fn grant(base: &str, about: About) -> Grant {
    Grant {
        bot: "team".to_owned(),
        api_base: base.to_owned(),
        api_base_by_operator: true,
        about: Arc::new(about),
        secrets: BTreeMap::from([("token".to_owned(), SecretText::new(TOKEN))]),
        hosts: Vec::new(),
    }
}

fn outlet(base: &str, about: About) -> Outlet {
    Egress::new(&EgressSettings::default())
        .unwrap()
        .outlet(grant(base, about))
        .unwrap()
}

/// One secret `token` for everything below the api-base, in these slots.
fn with_slots(base: &str, slots: Vec<Slot>) -> Outlet {
    outlet(
        base,
        About {
            secrets: vec![spec("token", &["/"], slots)],
            ..about()
        },
    )
}

fn text(response: &Response) -> &str {
    std::str::from_utf8(&response.body).unwrap()
}
