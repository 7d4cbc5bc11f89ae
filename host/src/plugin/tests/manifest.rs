//! Manifests that make no sense are refused, each with a sentence for its author.

use std::sync::Arc;
use std::time::Duration;

use super::Plan;
use crate::chat::Answer;
use crate::manifest::{
    About, Digest, Encoding, MintBody, Minted, Mode, Placement, Rate, Route, Signature, Slot, Transport, Verification,
};
use crate::plugin::Offers;
use crate::plugin::describe::problems;

const ALL: Offers = Offers {
    interaction: true,
    attachments: true,
    account: true,
    history: true,
    link: true,
};

async fn hostile() -> About {
    About::clone(Arc::as_ref(Plan::hostile().ready().await.component.about()))
}

/// What is said of the hostile guest's manifest with one thing changed.
async fn said(change: impl FnOnce(&mut About)) -> Vec<String> {
    let mut about = hostile().await;
    change(&mut about);
    problems(&about, ALL)
}

#[tokio::test]
async fn a_sound_manifest_has_no_problems() {
    assert_eq!(said(|_| {}).await, Vec::<String>::new());
    let patterns = [
        "https://*.example.com",
        "wss://*.example.com:*",
        "https://example.com:8443",
    ];
    assert_eq!(
        said(|a| a.egress = patterns.map(str::to_owned).to_vec()).await,
        Vec::<String>::new()
    );
    assert_eq!(
        said(|a| a.api_base = Some("http://127.0.0.1:8787/".to_owned())).await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn names_and_modes() {
    assert_eq!(
        said(|a| a.platform = "Sla ck".to_owned()).await,
        ["the platform `Sla ck` is not 1 to 64 of a-z 0-9 - _"]
    );
    assert_eq!(
        said(|a| a.modes.clear()).await,
        ["it has no mode: there is no way to run it"]
    );
    assert_eq!(
        said(|a| a.modes[1].name = "webhook".to_owned()).await,
        ["the mode `webhook` is there twice"]
    );
    assert_eq!(
        said(|a| a.modes[0].secrets.push("x".to_owned())).await,
        ["the mode `webhook` needs the secret `x`, which the manifest does not have"]
    );
    let no_link = Offers { link: false, ..ALL };
    assert_eq!(
        problems(&hostile().await, no_link),
        ["the mode `link` is a link, but `botyard:adapter/link` is not exported"]
    );
    let mode = |n: usize| Mode {
        name: format!("m{n}"),
        purpose: String::new(),
        transports: Vec::new(),
        secrets: Vec::new(),
    };
    assert_eq!(
        said(|a| a.modes.extend((0..63).map(mode))).await,
        ["modes: 65 are more than 64"]
    );
}

#[tokio::test]
async fn only_https_may_be_reached_and_receive_secrets() {
    assert_eq!(
        said(|a| a.secrets[0].targets = vec!["http://example.com/".to_owned()]).await,
        ["the target `http://example.com/` of `bot_token` is neither a path from `/` nor a URL with https or wss"]
    );
    assert_eq!(
        said(|a| a.secrets[0].targets = vec!["//example.com/".to_owned()])
            .await
            .len(),
        1
    );
    assert_eq!(
        said(|a| a.secrets[0].targets = vec!["https://*/".to_owned()])
            .await
            .len(),
        1
    );
    assert_eq!(
        said(|a| a.secrets[0].targets.clear()).await,
        ["the secret `bot_token` has slots but no target"]
    );
    assert_eq!(
        said(|a| a.egress = vec!["http://example.com".to_owned()]).await.len(),
        1
    );
    assert_eq!(
        said(|a| a.egress = vec!["/api/".to_owned()]).await,
        ["egress `/api/` names no host"]
    );
    assert_eq!(
        said(|a| a.api_base = Some("http://example.com/".to_owned())).await,
        ["the api-base `http://example.com/` is no https URL"]
    );
}

#[tokio::test]
async fn slots_are_known_places() {
    let slot = |slot: Slot| said(move |a| a.secrets[0].slots = vec![slot]);
    assert_eq!(
        slot(Slot::Header("Host".to_owned(), String::new())).await,
        ["the header slot `Host` of `bot_token` is the host's own"]
    );
    assert_eq!(slot(Slot::Header("a b".to_owned(), String::new())).await.len(), 1);
    assert_eq!(
        slot(Slot::JsonPointer("token".to_owned(), String::new())).await,
        ["the slot `token` of `bot_token` is no JSON pointer"]
    );
    assert_eq!(
        slot(Slot::Frame("PASS x\r\nQUIT ".to_owned())).await,
        ["the frame slot of `bot_token` has a prefix of more than one line"]
    );
    assert_eq!(slot(Slot::Frame("PASS ".to_owned())).await, Vec::<String>::new());
    assert_eq!(slot(Slot::PathSegment(99, String::new())).await.len(), 1);
    assert_eq!(slot(Slot::PathSegment(0, "bot".to_owned())).await, Vec::<String>::new());
}

fn with_route(about: &mut About, change: impl FnOnce(&mut Route)) {
    let Transport::Webhook(routes) = &mut about.modes[0].transports[0] else {
        panic!("it is a webhook")
    };
    change(&mut routes[0]);
}

#[tokio::test]
async fn routes_can_be_verified_and_answered() {
    let route = |change: fn(&mut Route)| said(move |a| with_route(a, change));
    assert_eq!(route(|r| r.methods = vec!["TRACE".to_owned()]).await.len(), 1);
    assert_eq!(route(|r| r.max_body_bytes = 0).await.len(), 1);
    assert_eq!(route(|r| r.deadline = Duration::ZERO).await.len(), 1);
    assert_eq!(
        route(|r| {
            r.verification = Verification::Signature(Signature {
                key: None,
                digest: Digest::Sha256,
                encoding: Encoding::Hex,
                header: "X-Signature".to_owned(),
                prefix: String::new(),
                signed: vec![crate::manifest::Piece::Body],
                timestamp_header: None,
                tolerance: Duration::from_secs(300),
            });
        })
        .await,
        ["the signature of the route `` has no secret in it: anybody could make it"]
    );
    assert_eq!(
        route(|r| {
            r.verification = Verification::Shared(Placement {
                secret: "nobody".to_owned(),
                slot: Slot::Query("token".to_owned()),
            });
            r.fallback = Answer {
                status: 204,
                headers: Vec::new(),
                body: Vec::new(),
            };
        })
        .await,
        ["`` places the secret `nobody`, which the manifest does not have"]
    );
}

#[tokio::test]
async fn minted_tokens_and_rates() {
    let minted = Minted {
        name: "tenant".to_owned(),
        method: "POST".to_owned(),
        url: "/auth".to_owned(),
        headers: Vec::new(),
        body: MintBody::Empty,
        placements: vec![Placement {
            secret: "app".to_owned(),
            slot: Slot::JsonPointer("/secret".to_owned(), String::new()),
        }],
        token_at: "token".to_owned(),
        lifetime_seconds_at: Some("/expire".to_owned()),
        refused: None,
        targets: vec!["/".to_owned()],
        slots: Vec::new(),
    };
    assert_eq!(
        said(|a| a.minted.push(minted)).await,
        [
            "`tenant` places the secret `app`, which the manifest does not have",
            "`token` of `tenant` is no JSON pointer"
        ]
    );
    let rate = Rate {
        bucket: "post".to_owned(),
        calls: 0,
        per: Duration::from_secs(1),
    };
    assert_eq!(
        said(|a| a.limits.rates.push(rate)).await,
        ["the rate of `post` lets nothing through"]
    );
}
