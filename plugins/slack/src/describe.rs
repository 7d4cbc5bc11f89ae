//! What the adapter needs and can do, and whether the bot's token has it.

use botyard_sdk::account::{Finding, Severity};
use botyard_sdk::http::header;
use botyard_sdk::json::str_at;
use botyard_sdk::manifest::{
    Abilities, About, Digest, Encoding, Limits, Managed, Mode, Piece, Rate, Route, Secret, Setting, SettingKind,
    Signature, Slot, Transport, Verification,
};
use botyard_sdk::types::Error;

use crate::api::{Api, Wire};
use crate::event::taken;

/// The slash command whose first word is a command of ours, unless the operator says otherwise.
pub const COMMAND: &str = "/botyard";

/// The manifest.
pub fn about() -> About {
    About {
        platform: "slack".into(),
        title: "Slack".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        api_base: Some("https://slack.com/api/".into()),
        modes: vec![
            Mode {
                name: "webhook".into(),
                purpose: "Slack calls this host: Events API, interactivity and slash commands".into(),
                transports: vec![Transport::Webhook(
                    ["", "events", "interactive", "command"].map(route).into(),
                )],
                secrets: vec!["bot_token".into(), "signing_secret".into()],
            },
            Mode {
                name: "socket".into(),
                purpose: "Socket Mode: this host calls Slack, and needs no address of its own".into(),
                transports: vec![Transport::Managed(Managed {
                    name: "slack".into(),
                    options: vec![("token".into(), "app_token".into())],
                })],
                secrets: vec!["bot_token".into(), "app_token".into()],
            },
        ],
        settings: settings(),
        secrets: vec![
            Secret {
                name: "bot_token".into(),
                purpose: "The bot user's token (`xoxb-...`): your app's page, OAuth & Permissions".into(),
                targets: vec!["/".into(), "https://files.slack.com/".into()],
                slots: vec![Slot::Header(("Authorization".into(), "Bearer ".into()))],
                crypto: false,
            },
            Secret {
                name: "app_token".into(),
                purpose: "The app-level token (`xapp-...`) with the scope connections:write, for Socket Mode: your \
                          app's page, Basic Information"
                    .into(),
                targets: vec!["/apps.connections.open".into()],
                slots: vec![Slot::Header(("Authorization".into(), "Bearer ".into()))],
                crypto: false,
            },
            Secret {
                name: "signing_secret".into(),
                purpose: "Proves that a request is Slack's: your app's page, Basic Information".into(),
                targets: Vec::new(),
                slots: Vec::new(),
                crypto: false,
            },
        ],
        minted: Vec::new(),
        // Files, the URLs that come with a press, and the hosts of sockets (wss-primary, wss-backup, ...).
        egress: vec![
            "https://files.slack.com".into(),
            "https://hooks.slack.com".into(),
            "wss://*.slack.com".into(),
        ],
        limits: Limits {
            // `chat.update` is tier 3, 50 per minute and workspace: 60 s / 50.
            update_interval_ms: 1200,
            updates_max: None,
            // A thread's status goes away after two minutes, and is soon not enough (`show::flow`).
            refresh_ms: Some(25_000),
            upload_max_bytes: 1_000_000_000,
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
            | Abilities::NATIVE_STOP
            | Abilities::COMMANDS
            | Abilities::WHISPERS,
        extra: Vec::new(),
    }
}

fn settings() -> Vec<Setting> {
    vec![
        Setting {
            name: "command".into(),
            kind: SettingKind::Text,
            choices: Vec::new(),
            default: Some(COMMAND.into()),
            purpose: "The app's slash command: its first word is a command, as in `/botyard stop`".into(),
        },
        Setting {
            name: "progress".into(),
            kind: SettingKind::Choice,
            choices: ["auto", "stream", "edit"].map(Into::into).into(),
            default: Some("auto".into()),
            purpose: "How a running answer is shown in a thread: `edit` by changing a message that has a Stop button, `stream` \
                      as Slack's own stream, `auto` as a stream where Slack has its own stop control"
                .into(),
        },
    ]
}

/// One URL serves all three kinds of requests; an operator may also give each its own.
/// Signature: docs.slack.dev/authentication/verifying-requests-from-slack.
fn route(name: &str) -> Route {
    Route {
        name: name.into(),
        methods: vec!["POST".into()],
        verification: Verification::Signature(Signature {
            key: Some("signing_secret".into()),
            digest: Digest::Sha256,
            encoding: Encoding::Hex,
            header: "X-Slack-Signature".into(),
            prefix: "v0=".into(),
            signed: vec![
                Piece::Literal("v0:".into()),
                Piece::Header("X-Slack-Request-Timestamp".into()),
                Piece::Literal(":".into()),
                Piece::Body,
            ],
            timestamp_header: Some("X-Slack-Request-Timestamp".into()),
            tolerance_seconds: 300,
        }),
        max_body_bytes: 1 << 20,
        // Slack waits three seconds.
        deadline_ms: 2500,
        fallback: taken(),
    }
}

/// docs.slack.dev/apis/web-api/rate-limits: one message per second and channel with short bursts; tier 3 is 50, tier 4
/// is 100 per minute.
fn rates() -> Vec<Rate> {
    let minute = |bucket: &str, calls| Rate {
        bucket: bucket.into(),
        calls,
        per_ms: 60_000,
    };
    vec![
        Rate {
            bucket: "post".into(),
            calls: 3,
            per_ms: 3_000,
        },
        minute("update", 50),
        minute("delete", 50),
        minute("read", 50),
        minute("ephemeral", 100),
        // chat.startStream and chat.stopStream are tier 2, chat.appendStream is tier 4.
        minute("stream", 20),
        minute("stop", 20),
        minute("append", 100),
        minute("status", 50),
    ]
}

/// A scope, and what is missing without it.
const SCOPES: [(&str, &str); 12] = [
    ("chat:write", "the bot cannot answer"),
    ("app_mentions:read", "the bot does not hear mentions"),
    ("im:history", "the bot does not hear direct messages"),
    (
        "channels:history",
        "the bot does not hear threads in public channels, nor find its own messages there",
    ),
    (
        "groups:history",
        "the bot does not hear threads in private channels, nor find its own messages there",
    ),
    (
        "mpim:history",
        "the bot does not hear threads in group messages, nor find its own messages there",
    ),
    ("users:read", "the bot does not know people's names"),
    ("files:read", "the bot cannot read files that people send"),
    ("files:write", "the bot cannot send files"),
    ("reactions:read", "the bot does not see reactions"),
    ("commands", "the slash command and the shortcuts are not there"),
    (
        "im:write",
        "what is asked by the shortcut does not go on in the direct conversation",
    ),
];

/// Without one of these the bot is of no use.
const NEEDED: [&str; 3] = ["chat:write", "app_mentions:read", "im:history"];

/// One sentence for each scope that is missing; in Socket Mode also for what the app token lacks.
///
/// # Errors
/// Slack could not be asked; a token that is refused is a finding.
pub fn check<W: Wire>(api: &Api<W>, socket: bool) -> Result<Vec<Finding>, Error> {
    let mut findings = check_bot(api)?;
    if socket {
        findings.push(check_app(api)?);
    }
    Ok(findings)
}

/// Asks for a socket's address and lets it lapse: nothing else tells whether Socket Mode works.
fn check_app<W: Wire>(api: &Api<W>) -> Result<Finding, Error> {
    let subject = "app_token".to_owned();
    let Err(failure) = api.open_connection() else {
        return Ok(Finding {
            severity: Severity::Fine,
            subject,
            advice: "Socket Mode is on".into(),
        });
    };
    let page = "on your app's page, Basic Information, App-Level Tokens";
    let advice = match failure.name.as_deref() {
        Some("missing_scope") => format!("it lacks the scope connections:write: make one that has it {page}"),
        Some("not_allowed_token_type") => {
            format!("it is no app-level token, which begins with `xapp-`: make one {page}")
        }
        Some(name @ ("invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive")) => {
            format!("slack refuses it ({name}): make a new one {page}")
        }
        Some(name) if matches!(failure.error, Error::Rejected(_)) => {
            format!("slack refuses Socket Mode ({name}): switch it on on your app's page, Socket Mode")
        }
        _ => return Err(failure.error),
    };
    Ok(Finding {
        severity: Severity::Error,
        subject,
        advice,
    })
}

fn check_bot<W: Wire>(api: &Api<W>) -> Result<Vec<Finding>, Error> {
    let (answer, headers) = match api.auth_test() {
        Ok(found) => found,
        Err(failure) => match failure.error {
            Error::Unauthorized(why) => {
                return Ok(vec![Finding {
                    severity: Severity::Error,
                    subject: "bot_token".into(),
                    advice: format!("{why}; copy the `xoxb-` token from your app's page, OAuth & Permissions"),
                }]);
            }
            error => return Err(error),
        },
    };
    let (user, team) = (
        str_at(&answer, "/user").unwrap_or("?"),
        str_at(&answer, "/team").unwrap_or("?"),
    );
    let mut findings = vec![Finding {
        severity: Severity::Fine,
        subject: "bot_token".into(),
        advice: format!("it is {user} in {team}"),
    }];
    let Some(scopes) = header(&headers, "x-oauth-scopes") else {
        return Ok(findings);
    };
    let has: Vec<&str> = scopes.split(',').map(str::trim).collect();
    for (scope, lack) in SCOPES {
        let fine = has.contains(&scope);
        let advice = if fine {
            String::new()
        } else {
            format!("{lack}: add it under OAuth & Permissions, Bot Token Scopes, and install the app again")
        };
        findings.push(Finding {
            severity: match fine {
                true => Severity::Fine,
                false if NEEDED.contains(&scope) => Severity::Error,
                false => Severity::Warning,
            },
            subject: format!("scope {scope}"),
            advice,
        });
    }
    Ok(findings)
}
