//! How often each method may be called, for an app in a workspace: docs.slack.dev/apis/web-api/rate-limits, and the tier
//! on each method's page.
//!
//! Confirmed by no page of the vendor's that we hold: how many posts a "short burst" is (three here, made good within
//! three seconds), how much more than its number a tier with a plus takes (nothing here), and how often a thread's and an
//! agent session's status may be set, which is of no tier (as tier 3 here). What is not named here is not counted.

use std::time::Duration;

use crate::rate::{Count, Rate};

const MINUTE: Duration = Duration::from_secs(60);
/// chat.postMessage: one in a second for each channel.
const POSTS: Rate = Rate::new(3, Duration::from_secs(3));
const TIER_2: Rate = Rate::new(20, MINUTE);
const TIER_3: Rate = Rate::new(50, MINUTE);
const TIER_4: Rate = Rate::new(100, MINUTE);

/// What a call counts against.
pub(crate) fn of(method: &str, channel: &str) -> Option<Count> {
    let rate = match method {
        "chat.postMessage" => return Some((format!("{method} {channel}"), POSTS)),
        "chat.startStream" | "chat.stopStream" => TIER_2,
        "chat.update" | "chat.delete" | "reactions.add" => TIER_3,
        "conversations.info" | "conversations.replies" | "conversations.history" | "conversations.open" => TIER_3,
        "assistant.threads.setStatus" | "agents.sessions.setStatus" => TIER_3,
        "chat.appendStream" | "chat.postEphemeral" | "users.info" | "views.open" => TIER_4,
        "files.info" | "files.getUploadURLExternal" | "files.completeUploadExternal" => TIER_4,
        _ => return None,
    };
    Some((method.to_owned(), rate))
}
