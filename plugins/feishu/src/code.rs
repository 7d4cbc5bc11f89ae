//! Feishu's error codes, by what can be done about them.
//!
//! From open.feishu.cn/document/server-docs (copies in larkoffice, 2026) and the comments of the official node SDK.
//! Confirmed by no page of the vendor's that we hold: 300309 and 300317. Not as that SDK has it: 99991400 is a rate
//! limit and no missing permission, 230020 a rate limit and no recalled message.

use botyard_sdk::http::header;
use botyard_sdk::raw_http::Response;
use botyard_sdk::types::Error;

/// The message was recalled, deleted, or never there: what answers it must stand alone.
pub const WITHDRAWN: [i64; 4] = [230_011, 230_110, 231_003, 230_019];
/// The stream of a card was closed, by us or after ten minutes.
pub const STREAM_CLOSED: [i64; 2] = [300_309, 300_311];
/// A lower sequence than one that was seen.
pub const SEQUENCE: i64 = 300_317;
/// The scope is not granted, to the app or by the tenant.
pub const SCOPE: [i64; 2] = [99_991_672, 99_991_679];
/// The person cannot be written to directly.
pub const NOT_DIRECT: [i64; 4] = [230_013, 230_038, 230_050, 230_053];
/// A message that takes no more changes: older than 14 days, changed 20 times, of another kind.
pub const UNCHANGEABLE: [i64; 4] = [230_031, 230_072, 230_071, 230_054];
/// What a card holds is refused; a plainer one may be taken.
const CARD: i64 = 230_099;
/// This chat, for a moment: five messages a second, shared by all bots.
pub const CHAT_BUSY: i64 = 230_020;
/// This app, for a moment.
const APP_BUSY: [i64; 2] = [99_991_400, 11_232];

/// What is sent is larger than Feishu takes.
const TOO_LARGE: [i64; 3] = [230_025, 200_860, 300_305];

/// A code that says that the card, and neither its size nor the place, is the problem.
pub fn of_card(code: i64) -> bool {
    if TOO_LARGE.contains(&code) {
        return false;
    }
    code == CARD || matches!(code, 300_000..=300_999 | 200_000..=200_999 | 11_310) || code == 230_001
}

/// What the vendor said, in a sentence without what people wrote.
fn said(code: i64, message: &str) -> String {
    let message: String = message.chars().take(200).collect();
    format!("feishu says {code} {message}").trim_end().to_owned()
}

/// How long the vendor asks to wait.
fn pause(response: &Response) -> Option<u32> {
    ["x-ogw-ratelimit-reset", "retry-after"].iter().find_map(|name| {
        let seconds = header(&response.headers, name)?.trim().parse::<u32>().ok()?;
        Some(seconds.clamp(1, 3600) * 1000)
    })
}

/// What a refusal means to the caller. `code`: of the body, 0 where it has none.
pub fn meaning(code: i64, message: &str, response: &Response) -> Error {
    if response.status == 429 || APP_BUSY.contains(&code) || code == CHAT_BUSY {
        let unsaid = if code == 11_232 { 12_000 } else { 1_000 };
        return Error::RateLimited(Some(pause(response).unwrap_or(unsaid)));
    }
    match code {
        _ if WITHDRAWN.contains(&code) => Error::Gone("the message is not there any more".into()),
        230_002 => Error::Gone("the bot is not in the chat: add it to the group".into()),
        232_009 | 232_006 | 230_029 => Error::Gone(said(code, message)),
        230_018 | 230_035 => Error::Gone("the group does not let the bot write: ask its owner".into()),
        _ if NOT_DIRECT.contains(&code) => {
            Error::Gone("the person is outside of the app's availability: widen it in the developer console".into())
        }
        230_006 => Error::Unauthorized("the app has no bot: add the feature Bot and publish a version".into()),
        _ if SCOPE.contains(&code) => Error::Unauthorized(format!(
            "the app lacks a scope: add it under Permissions & Scopes and publish a version ({})",
            said(code, message)
        )),
        10_003 | 10_014 | 10_015 | 99_991_661 | 99_991_663 | 99_991_664 | 99_991_543 => Error::Unauthorized(format!(
            "feishu refuses the app's credentials: copy App ID and App Secret again ({})",
            said(code, message)
        )),
        _ if TOO_LARGE.contains(&code) => Error::TooLarge(30_000),
        _ => match response.status {
            500..=599 => Error::Unavailable(said(code, message)),
            404 if code == 0 => Error::Rejected("status 404".into()),
            401 if code == 0 => Error::Unauthorized("status 401".into()),
            _ => Error::Rejected(said(code, message)),
        },
    }
}
