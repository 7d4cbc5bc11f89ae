//! The manifest of version 1 in the host's words.

use std::time::Duration;

use super::from_guest::answer;
use super::manifest_wit as wit;
use crate::manifest as ours;

fn slot(s: wit::Slot) -> ours::Slot {
    match s {
        wit::Slot::Header((name, prefix)) => ours::Slot::Header(name, prefix),
        wit::Slot::Query(name) => ours::Slot::Query(name),
        wit::Slot::PathSegment((n, prefix)) => ours::Slot::PathSegment(n, prefix),
        wit::Slot::JsonPointer((pointer, prefix)) => ours::Slot::JsonPointer(pointer, prefix),
        wit::Slot::FormField(name) => ours::Slot::FormField(name),
        wit::Slot::BasicUser => ours::Slot::BasicUser,
        wit::Slot::BasicPassword => ours::Slot::BasicPassword,
        wit::Slot::Frame(prefix) => ours::Slot::Frame(prefix),
    }
}

pub(in crate::plugin) fn placement(p: wit::Placement) -> ours::Placement {
    ours::Placement {
        secret: p.secret,
        slot: slot(p.slot),
    }
}

fn piece(p: wit::Piece) -> ours::Piece {
    match p {
        wit::Piece::Literal(text) => ours::Piece::Literal(text),
        wit::Piece::Header(name) => ours::Piece::Header(name),
        wit::Piece::Query(name) => ours::Piece::Query(name),
        wit::Piece::Url => ours::Piece::Url,
        wit::Piece::Body => ours::Piece::Body,
        wit::Piece::Secret(name) => ours::Piece::Secret(name),
    }
}

pub(in crate::plugin) fn digest(d: wit::Digest) -> ours::Digest {
    match d {
        wit::Digest::Md5 => ours::Digest::Md5,
        wit::Digest::Sha1 => ours::Digest::Sha1,
        wit::Digest::Sha256 => ours::Digest::Sha256,
        wit::Digest::Sha512 => ours::Digest::Sha512,
    }
}

fn verification(v: wit::Verification) -> ours::Verification {
    match v {
        wit::Verification::Unverified => ours::Verification::Unverified,
        wit::Verification::Shared(p) => ours::Verification::Shared(placement(p)),
        wit::Verification::Signature(s) => ours::Verification::Signature(ours::Signature {
            key: s.key,
            digest: digest(s.digest),
            encoding: match s.encoding {
                wit::Encoding::Hex => ours::Encoding::Hex,
                wit::Encoding::Base64 => ours::Encoding::Base64,
            },
            header: s.header,
            prefix: s.prefix,
            signed: s.signed.into_iter().map(piece).collect(),
            timestamp_header: s.timestamp_header,
            tolerance: Duration::from_secs(s.tolerance_seconds.into()),
        }),
        wit::Verification::Ed25519(e) => ours::Verification::Ed25519 {
            public_key: e.public_key,
            header: e.header,
            signed: e.signed.into_iter().map(piece).collect(),
        },
        wit::Verification::Guest => ours::Verification::Guest,
    }
}

fn route(r: wit::Route) -> Result<ours::Route, String> {
    Ok(ours::Route {
        name: r.name,
        methods: r.methods,
        verification: verification(r.verification),
        max_body_bytes: r.max_body_bytes,
        deadline: Duration::from_millis(r.deadline_ms.into()),
        fallback: answer(r.fallback)?,
    })
}

fn mode(m: wit::Mode) -> Result<ours::Mode, String> {
    let transport = |t| {
        Ok(match t {
            wit::Transport::Webhook(routes) => {
                ours::Transport::Webhook(routes.into_iter().map(route).collect::<Result<_, String>>()?)
            }
            wit::Transport::Managed(m) => ours::Transport::Managed {
                name: m.name,
                options: m.options,
            },
            wit::Transport::Link => ours::Transport::Link,
        })
    };
    Ok(ours::Mode {
        name: m.name,
        purpose: m.purpose,
        transports: m.transports.into_iter().map(transport).collect::<Result<_, String>>()?,
        secrets: m.secrets,
    })
}

fn minted(m: wit::Minted) -> ours::Minted {
    ours::Minted {
        name: m.name,
        method: m.method,
        url: m.url,
        headers: m.headers,
        body: match m.body {
            wit::MintBody::Empty => ours::MintBody::Empty,
            wit::MintBody::Json(text) => ours::MintBody::Json(text),
            wit::MintBody::Form(fields) => ours::MintBody::Form(fields),
        },
        placements: m.placements.into_iter().map(placement).collect(),
        token_at: m.token_at,
        lifetime_seconds_at: m.lifetime_seconds_at,
        refused: m.refused.map(|r| ours::Refusal {
            at: r.at,
            values: r.values,
        }),
        targets: m.targets,
        slots: m.slots.into_iter().map(slot).collect(),
    }
}

fn abilities(flags: wit::Abilities) -> Vec<ours::Ability> {
    use ours::Ability as A;
    use wit::Abilities as F;
    [
        (F::UPDATE, A::Update),
        (F::THREADS, A::Threads),
        (F::BUTTONS, A::Buttons),
        (F::CHOICES, A::Choices),
        (F::FORMS, A::Forms),
        (F::FILES_IN, A::FilesIn),
        (F::FILES_OUT, A::FilesOut),
        (F::REACTIONS, A::Reactions),
        (F::NATIVE_STOP, A::NativeStop),
        (F::COMMANDS, A::Commands),
        (F::WHISPERS, A::Whispers),
    ]
    .into_iter()
    .filter_map(|(flag, ability)| flags.contains(flag).then_some(ability))
    .collect()
}

/// The answer of `describe`. Fails where a value cannot even be said in the host's words.
pub(in crate::plugin) fn about(a: wit::About) -> Result<ours::About, String> {
    Ok(ours::About {
        platform: a.platform,
        title: a.title,
        version: a.version,
        api_base: a.api_base,
        modes: a.modes.into_iter().map(mode).collect::<Result<_, String>>()?,
        settings: a
            .settings
            .into_iter()
            .map(|s| ours::Setting {
                name: s.name,
                kind: match s.kind {
                    wit::SettingKind::Text => ours::SettingKind::Text,
                    wit::SettingKind::Flag => ours::SettingKind::Flag,
                    wit::SettingKind::Number => ours::SettingKind::Number,
                    wit::SettingKind::Choice => ours::SettingKind::Choice,
                },
                choices: s.choices,
                default: s.default,
                purpose: s.purpose,
            })
            .collect(),
        secrets: a
            .secrets
            .into_iter()
            .map(|s| ours::SecretSpec {
                name: s.name,
                purpose: s.purpose,
                targets: s.targets,
                slots: s.slots.into_iter().map(slot).collect(),
                crypto: s.crypto,
            })
            .collect(),
        minted: a.minted.into_iter().map(minted).collect(),
        egress: a.egress,
        limits: ours::Limits {
            update_interval: Duration::from_millis(a.limits.update_interval_ms.into()),
            updates_max: a.limits.updates_max,
            refresh: a.limits.refresh_ms.map(|ms| Duration::from_millis(ms.into())),
            upload_max_bytes: a.limits.upload_max_bytes,
            rates: a
                .limits
                .rates
                .into_iter()
                .map(|r| ours::Rate {
                    bucket: r.bucket,
                    calls: r.calls,
                    per: Duration::from_millis(r.per_ms.into()),
                })
                .collect(),
        },
        abilities: abilities(a.abilities),
        extra: a.extra,
    })
}
