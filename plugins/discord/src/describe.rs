//! What the adapter needs and can do, whether the bot's account has it, and the commands it tells Discord of.

use botyard_sdk::account::{CommandSpec, Finding, Severity};
use botyard_sdk::json::{array_at, str_at};
use botyard_sdk::manifest::{
    Abilities, About, Ed25519, Limits, Managed, Mode, Piece, Rate, Route, Secret, Setting, SettingKind, Slot,
    Transport, Verification,
};
use botyard_sdk::serde_json::{Value, json};
use botyard_sdk::split::clip;
use botyard_sdk::types::{Answer, Error};

use crate::api::{Api, Wire};
use crate::interactive::{ASK, ASK_ABOUT};

/// What Discord takes by default; boosted servers take more (docs.discord.com/developers/reference#uploading-files).
pub const UPLOAD: u32 = 10 << 20;

/// Intents: docs.discord.com/developers/events/gateway#gateway-intents. Servers, messages and reactions there, direct
/// messages and reactions there.
const INTENTS: u64 = (1 << 0) | (1 << 9) | (1 << 10) | (1 << 12) | (1 << 13);
/// The words of messages that do not name the bot: privileged.
const MESSAGE_CONTENT: u64 = 1 << 15;

/// What the adapter reads of the gateway.
const EVENTS: &str = "MESSAGE_CREATE MESSAGE_UPDATE MESSAGE_DELETE MESSAGE_DELETE_BULK MESSAGE_REACTION_ADD \
                      MESSAGE_REACTION_REMOVE INTERACTION_CREATE";

/// The manifest.
pub fn about() -> About {
    let gateway = |name: &str, intents: u64, purpose: &str| Mode {
        name: name.into(),
        purpose: purpose.into(),
        transports: vec![Transport::Managed(Managed {
            name: "discord".into(),
            options: vec![
                ("token".into(), "token".into()),
                ("intents".into(), intents.to_string()),
                ("events".into(), EVENTS.into()),
            ],
        })],
        secrets: vec!["token".into()],
    };
    About {
        platform: "discord".into(),
        title: "Discord".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        api_base: Some("https://discord.com/api/v10/".into()),
        modes: vec![
            gateway(
                "gateway",
                INTENTS | MESSAGE_CONTENT,
                "A connection of the bot's: direct messages, mentions, whole threads, commands",
            ),
            gateway(
                "mentions",
                INTENTS,
                "The same without the privileged intent: in servers the bot reads only what names it",
            ),
            Mode {
                name: "interactions".into(),
                purpose: "Discord calls this host, for commands and buttons alone".into(),
                transports: vec![Transport::Webhook(vec![interactions("")])],
                secrets: vec!["token".into(), "public_key".into()],
            },
        ],
        settings: vec![Setting {
            name: "threads".into(),
            kind: SettingKind::Flag,
            choices: Vec::new(),
            default: Some("true".into()),
            purpose: "A question in a channel opens a thread for the answer; false: a reply in the channel".into(),
        }],
        secrets: vec![
            Secret {
                name: "token".into(),
                purpose: "The bot's token: your application's page, Bot, Reset Token".into(),
                targets: vec!["/".into()],
                slots: vec![Slot::Header(("Authorization".into(), "Bot ".into()))],
                crypto: false,
            },
            Secret {
                name: "public_key".into(),
                purpose: "Proves that a call is Discord's: your application's page, General Information".into(),
                targets: Vec::new(),
                slots: Vec::new(),
                crypto: false,
            },
        ],
        minted: Vec::new(),
        egress: vec![
            "wss://gateway.discord.gg".into(),
            "wss://*.discord.gg".into(),
            "https://cdn.discordapp.com".into(),
            "https://media.discordapp.net".into(),
        ],
        limits: Limits {
            // Posts and edits of a channel share its bucket, of which Discord tells the size with each answer.
            update_interval_ms: 1_200,
            updates_max: None,
            // The sign that somebody is typing lasts ten seconds.
            refresh_ms: Some(8_000),
            upload_max_bytes: UPLOAD,
            rates: vec![
                Rate {
                    bucket: "channel".into(),
                    calls: 5,
                    per_ms: 5_000,
                },
                // docs.discord.com/developers/topics/rate-limits#global-rate-limit
                Rate {
                    bucket: "global".into(),
                    calls: 50,
                    per_ms: 1_000,
                },
            ],
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

/// Discord probes with wrong signatures and wants 401: docs.discord.com/developers/interactions/overview.
fn interactions(name: &str) -> Route {
    Route {
        name: name.into(),
        methods: vec!["POST".into()],
        verification: Verification::Ed25519(Ed25519 {
            public_key: "public_key".into(),
            header: "X-Signature-Ed25519".into(),
            signed: vec![Piece::Header("X-Signature-Timestamp".into()), Piece::Body],
        }),
        max_body_bytes: 1 << 20,
        // Discord waits three seconds.
        deadline_ms: 2_500,
        fallback: Answer {
            status: 200,
            headers: vec![("Content-Type".into(), "application/json".into())],
            body: br#"{"type":5}"#.to_vec(),
        },
    }
}

/// A permission, its name as people click it, and what is missing without it.
/// Bits: docs.discord.com/developers/topics/permissions.
const PERMISSIONS: [(u64, &str, &str); 7] = [
    (1 << 10, "View Channels", "the bot sees nothing"),
    (1 << 11, "Send Messages", "the bot cannot answer"),
    (1 << 38, "Send Messages in Threads", "the bot cannot answer in threads"),
    (1 << 35, "Create Public Threads", "answers stand in the channel itself"),
    (1 << 14, "Embed Links", "the bot cannot show its steps"),
    (1 << 15, "Attach Files", "the bot cannot send files"),
    (
        1 << 16,
        "Read Message History",
        "the bot cannot reply, nor read what was said before",
    ),
];
/// View Channels, Send Messages, Read Message History: the bot is of no use without one of them.
const NEEDED: u64 = (1 << 10) | (1 << 11) | (1 << 16);
const ADMINISTRATOR: u64 = 1 << 3;

/// Flags of an application: the privileged intent, approved or for bots in few servers.
const CONTENT_FLAGS: u64 = (1 << 18) | (1 << 19);

/// One sentence for each thing that is missing.
///
/// # Errors
/// Discord could not be asked; a token that is refused is a finding.
pub fn check<W: Wire>(api: &Api<W>, mode: &str) -> Result<Vec<Finding>, Error> {
    let application = match api.get("/applications/@me") {
        Ok(found) => found,
        Err(failure) => match failure.error {
            Error::Unauthorized(advice) => {
                return Ok(vec![finding(false, "token", advice)]);
            }
            error => return Err(error),
        },
    };
    let name = str_at(&application, "/bot/username")
        .or(str_at(&application, "/name"))
        .unwrap_or("?");
    let mut findings = vec![finding(true, "token", format!("it is {name}"))];
    let flags = application.get("flags").and_then(Value::as_u64).unwrap_or(0);
    if mode == "gateway" {
        findings.push(finding(
            flags & CONTENT_FLAGS != 0,
            "intent Message Content",
            "Discord will refuse the connection: switch on Message Content Intent on your application's page, Bot, \
             Privileged Gateway Intents, or set mode = \"mentions\"",
        ));
    }
    let endpoint = str_at(&application, "/interactions_endpoint_url");
    if mode == "interactions" {
        findings.push(finding(
            endpoint.is_some(),
            "Interactions Endpoint URL",
            "Discord does not know where to call: fill it in on your application's page, General Information",
        ));
    } else if let Some(url) = endpoint {
        findings.push(finding(
            false,
            "Interactions Endpoint URL",
            format!("commands and buttons go to {url} and not to this bot: empty the field on your application's page"),
        ));
    }
    servers(api, &application, &mut findings)?;
    for one in &mut findings {
        if one.severity == Severity::Fine && one.subject != "token" {
            one.advice.clear();
        }
    }
    Ok(findings)
}

fn finding(fine: bool, subject: &str, advice: impl Into<String>) -> Finding {
    let severity = if fine { Severity::Fine } else { Severity::Error };
    Finding {
        severity,
        subject: subject.into(),
        advice: advice.into(),
    }
}

fn servers<W: Wire>(api: &Api<W>, application: &Value, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let guilds = api.get("/users/@me/guilds")?;
    let guilds = guilds.as_array().map_or(&[][..], Vec::as_slice);
    let wanted = PERMISSIONS.iter().fold(0, |all, (bit, ..)| all | bit);
    let id = str_at(application, "/id").unwrap_or("YOUR_APPLICATION_ID");
    let invite = format!(
        "https://discord.com/oauth2/authorize?client_id={id}&scope=bot+applications.commands&permissions={wanted}"
    );
    findings.push(finding(
        !guilds.is_empty(),
        "servers",
        format!("the bot is in no server: invite it with {invite}"),
    ));
    for guild in guilds {
        let has: u64 = str_at(guild, "/permissions")
            .and_then(|bits| bits.parse().ok())
            .unwrap_or(0);
        let name = str_at(guild, "/name").unwrap_or("?");
        for (bit, permission, lack) in PERMISSIONS {
            if has & (bit | ADMINISTRATOR) == 0 {
                let mut found = finding(
                    false,
                    &format!("permission {permission} in {name}"),
                    format!("{lack}: give it to the bot's role, or invite it again with {invite}"),
                );
                if bit & NEEDED == 0 {
                    found.severity = Severity::Warning;
                }
                findings.push(found);
            }
        }
    }
    Ok(())
}

/// The commands as Discord takes them: names of 32, descriptions of 100, 25 choices
/// (docs.discord.com/developers/interactions/application-commands). A question of one's own, and a message's menu,
/// come first.
pub fn commands(specs: &[CommandSpec]) -> Vec<Value> {
    let mut all = vec![
        json!({
            "name": ASK, "type": 1, "description": "Ask the agent",
            "options": [
                { "name": "question", "type": 3, "description": "What you want done", "required": true },
                { "name": "file", "type": 11, "description": "Something to look at", "required": false },
            ],
        }),
        json!({ "name": ASK_ABOUT, "type": 3, "description": "", "options": [] }),
    ];
    all.extend(specs.iter().filter(|spec| spec.name != ASK).map(|spec| {
        let options: Vec<Value> = spec
            .argument
            .iter()
            .map(|argument| {
                let mut option = json!({
                    "name": clip(&argument.name.to_lowercase(), 32),
                    "type": 3,
                    "description": described(&argument.description),
                    "required": argument.required,
                });
                if (1..=25).contains(&argument.choices.len()) {
                    option["choices"] = argument
                        .choices
                        .iter()
                        .map(|choice| json!({ "name": clip(choice, 100), "value": clip(choice, 100) }))
                        .collect();
                }
                option
            })
            .collect();
        json!({
            "name": clip(&spec.name.to_lowercase(), 32), "type": 1,
            "description": described(&spec.description), "options": options,
        })
    }));
    // Discord takes 100 commands of an application.
    all.truncate(100);
    all
}

fn described(text: &str) -> String {
    clip(if text.trim().is_empty() { "–" } else { text.trim() }, 100)
}

/// Tells Discord of the commands, if it has others: an overwrite counts against a limit of 200 a day.
///
/// # Errors
/// As the vendor's error says.
pub fn announce<W: Wire>(api: &Api<W>, specs: &[CommandSpec]) -> Result<(), Error> {
    let application = api.get("/applications/@me")?;
    let app = str_at(&application, "/id").ok_or_else(|| Error::Unavailable("discord named no application".into()))?;
    let there = api.get(&format!("/applications/{app}/commands"))?;
    let wanted = commands(specs);
    let mut has: Vec<String> = array_at(&there, "").iter().map(essence).collect();
    let mut want: Vec<String> = wanted.iter().map(essence).collect();
    has.sort();
    want.sort();
    if has != want {
        api.put_commands(app, &wanted)?;
    }
    Ok(())
}

/// What we say of a command, of everything that Discord says of it.
fn essence(command: &Value) -> String {
    let options: Vec<Value> = array_at(command, "/options")
        .iter()
        .map(|option| {
            let choices: Vec<&Value> = array_at(option, "/choices")
                .iter()
                .filter_map(|c| c.get("value"))
                .collect();
            json!([
                option.get("name"),
                option.get("type"),
                option.get("description"),
                option.get("required").and_then(Value::as_bool).unwrap_or(false),
                choices,
            ])
        })
        .collect();
    let kind = command.get("type").and_then(Value::as_u64).unwrap_or(1);
    let description = str_at(command, "/description").unwrap_or_default();
    json!([str_at(command, "/name"), kind, description, options]).to_string()
}
