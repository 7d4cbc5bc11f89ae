//! What the adapter needs and can do.

use botyard_sdk::manifest::{
    Abilities, About, Limits, MintBody, Minted, Mode, Placement, Rate, Refusal, Route, Secret, Slot, Transport,
    Verification,
};
use botyard_sdk::serde_json::json;

use crate::api::TENANT;
use crate::event::answer_json;
use crate::show::give::FILE_MAX;

const MINT: &str = "/open-apis/auth/v3/tenant_access_token/internal";
const ENDPOINT: &str = "/callback/ws/endpoint";

/// The manifest.
pub fn about() -> About {
    About {
        platform: "feishu".into(),
        title: "Feishu / Lark".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        api_base: Some("https://open.feishu.cn/".into()),
        modes: modes(),
        settings: Vec::new(),
        secrets: secrets(),
        minted: vec![minted()],
        // The long connection; where, the endpoint says. Files and calls are below the api-base.
        egress: ["feishu.cn", "larksuite.com", "larksuitecdn.com"]
            .map(|domain| format!("wss://*.{domain}"))
            .into(),
        limits: Limits {
            // Ten operations a second on a card; two for each view leave room for 1,000 a minute in all of the app.
            update_interval_ms: 500,
            updates_max: None,
            // A long silence gets a card, and a stream is opened anew before its ten minutes are over.
            refresh_ms: Some(10_000),
            upload_max_bytes: FILE_MAX,
            rates: rates(),
        },
        abilities: Abilities::UPDATE
            | Abilities::THREADS
            | Abilities::BUTTONS
            | Abilities::CHOICES
            | Abilities::FORMS
            | Abilities::FILES_IN
            | Abilities::FILES_OUT
            | Abilities::REACTIONS
            | Abilities::COMMANDS
            | Abilities::WHISPERS,
        extra: Vec::new(),
    }
}

fn modes() -> Vec<Mode> {
    let app = || vec!["app_id".into(), "app_secret".into()];
    let mut hook = app();
    hook.push("verification_token".into());
    vec![
        Mode {
            name: "connection".into(),
            purpose: "The bot calls Feishu: a long connection, no public address needed; self-built apps only".into(),
            transports: vec![Transport::Link],
            secrets: app(),
        },
        Mode {
            name: "webhook".into(),
            purpose: "Feishu calls this host: events and card callbacks".into(),
            transports: vec![Transport::Webhook(["", "events", "cards"].map(route).into())],
            secrets: hook,
        },
    ]
}

/// One URL serves both kinds of calls; an operator may also give each its own.
fn route(name: &str) -> Route {
    Route {
        name: name.into(),
        methods: vec!["POST".into()],
        // How a call is signed depends on whether there is an encrypt key.
        verification: Verification::Guest,
        max_body_bytes: 1 << 20,
        // Feishu waits three seconds, for a challenge one: that one is answered by the guest at once.
        deadline_ms: 2_500,
        fallback: answer_json(&json!({})),
    }
}

fn secrets() -> Vec<Secret> {
    let at_endpoint = |name: &str| vec![Slot::JsonPointer((format!("/{name}"), String::new()))];
    let both = || vec![ENDPOINT.to_owned(), MINT.to_owned()];
    let secret = |name: &str, purpose: &str| Secret {
        name: name.into(),
        purpose: purpose.into(),
        targets: Vec::new(),
        slots: Vec::new(),
        crypto: true,
    };
    vec![
        Secret {
            name: "app_id".into(),
            purpose: "The App ID (`cli_...`): the developer console, Credentials & Basic Info".into(),
            targets: both(),
            slots: at_endpoint("AppID"),
            crypto: false,
        },
        Secret {
            name: "app_secret".into(),
            purpose: "The App Secret: the developer console, Credentials & Basic Info".into(),
            targets: both(),
            slots: at_endpoint("AppSecret"),
            crypto: false,
        },
        secret(
            "verification_token",
            "Proves that a call is Feishu's: Events & Callbacks, Encryption Strategy",
        ),
        secret(
            "encrypt_key",
            "Encrypts and signs calls, if it is set: Events & Callbacks, Encryption Strategy",
        ),
    ]
}

/// open.feishu.cn/document/server-docs/authentication-management/access-token/tenant_access_token_internal.
fn minted() -> Minted {
    let placed = |secret: &str| Placement {
        secret: secret.into(),
        slot: Slot::JsonPointer((format!("/{secret}"), String::new())),
    };
    Minted {
        name: TENANT.into(),
        method: "POST".into(),
        url: MINT.into(),
        headers: vec![("Content-Type".into(), "application/json; charset=utf-8".into())],
        body: MintBody::Json(json!({ "app_id": "", "app_secret": "" }).to_string()),
        placements: vec![placed("app_id"), placed("app_secret")],
        token_at: "/tenant_access_token".into(),
        lifetime_seconds_at: Some("/expire".into()),
        refused: Some(Refusal {
            at: "/code".into(),
            values: vec!["99991663".into(), "99991661".into()],
        }),
        targets: vec!["/open-apis/".into()],
        slots: vec![Slot::Header(("Authorization".into(), "Bearer ".into()))],
    }
}

/// open.feishu.cn/document/server-docs/api-call-guide/frequency-control: 1,000 a minute and 50 a second for each API;
/// five messages a second for each chat, shared by its bots; ten operations a second for each card.
fn rates() -> Vec<Rate> {
    let rate = |bucket: &str, calls, per_ms| Rate {
        bucket: bucket.into(),
        calls,
        per_ms,
    };
    vec![
        rate("im", 1_000, 60_000),
        rate("im.second", 50, 1_000),
        rate("cardkit", 1_000, 60_000),
        rate("cardkit.second", 50, 1_000),
        rate("chat", 5, 1_000),
        rate("patch", 5, 1_000),
        rate("card", 10, 1_000),
        rate("read", 1_000, 60_000),
        rate("upload", 1_000, 60_000),
        rate("resource", 1_000, 60_000),
    ]
}
