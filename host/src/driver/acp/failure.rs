//! What went wrong in a conversation over ACP. The protocol has one code that means something (-32000: log in first);
//! all else stands in the words.

use super::message::{Refusal, text};
use crate::driver::failure::{NO_CONVERSATION, NO_CREDIT, NOT_LOGGED_IN, failure, used_up};
use crate::driver::{Failure, FailureKind};

/// `Authentication required`.
pub(super) const AUTH_REQUIRED: i64 = -32000;

/// The turn ended with an error.
pub(super) fn of_prompt(refusal: &Refusal) -> Failure {
    let kind = match refusal.code {
        AUTH_REQUIRED | 401 | 403 => Some(FailureKind::NotLoggedIn),
        429 => Some(FailureKind::RateLimited),
        400..=599 => Some(FailureKind::Api),
        _ => match text(&refusal.data, "errorKind") {
            "authentication_failed" => Some(FailureKind::NotLoggedIn),
            "rate_limit" => Some(FailureKind::RateLimited),
            _ => None,
        },
    };
    told(kind, &refusal.message, words(refusal))
}

/// The turn ended well, and its answer is this complaint.
pub(super) fn of_words(words: &str) -> Failure {
    told(None, words, words.to_owned())
}

fn told(kind: Option<FailureKind>, message: &str, words: String) -> Failure {
    let lower = words.to_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    // Whatever status came with it: 400 of Anthropic, 429 of OpenAI.
    if says(&["credit balance", "insufficient_quota"]) {
        return failure(FailureKind::NotLoggedIn, NO_CREDIT, words);
    }
    if matches!(kind, None | Some(FailureKind::RateLimited))
        && let Some(sentence) = used_up(message)
    {
        return failure(FailureKind::RateLimited, &sentence, words);
    }
    let kind = kind.unwrap_or_else(|| {
        if says(&[
            "401",
            "403",
            "unauthorized",
            "authenticat",
            "api key",
            "not logged in",
            "/login",
        ]) {
            FailureKind::NotLoggedIn
        } else if says(&[
            "429",
            "rate limit",
            "rate_limit",
            "too many requests",
            "quota",
            "usage limit",
        ]) {
            FailureKind::RateLimited
        } else if says(&[
            "apierror",
            "api error",
            "invalid_request_error",
            "server_error",
            "status code",
            "overloaded",
            "stream",
            "connect",
            "network",
            "fetch failed",
            "timed out",
        ]) {
            FailureKind::Api
        } else {
            FailureKind::Other
        }
    });
    let sentence = match kind {
        FailureKind::NotLoggedIn => NOT_LOGGED_IN,
        FailureKind::RateLimited => "The agent's model refuses more requests for now; try again in a while.",
        FailureKind::Api => "The agent's model has a problem right now; try again in a while.",
        _ => "The agent ended this turn with an error.",
    };
    failure(kind, sentence, words)
}

/// It did not begin: its answer to `initialize`, to `authenticate`, to `session/new`, or to a setting.
pub(super) fn of_start(what: &str, refusal: &Refusal) -> Failure {
    let cause = format!("{what}: {}", words(refusal));
    if refusal.code == AUTH_REQUIRED {
        return failure(FailureKind::NotLoggedIn, NOT_LOGGED_IN, cause);
    }
    failure(
        FailureKind::Start,
        "The agent's program could not begin a conversation.",
        cause,
    )
}

/// It does not go on with the conversation. Nothing was asked of a model for that: whatever it says, it does not have
/// it (it has no code of its own for that: -32002, -32603 and others were seen).
pub(super) fn of_resume(refusal: &Refusal) -> Failure {
    failure(FailureKind::NoConversation, NO_CONVERSATION, words(refusal))
}

fn words(refusal: &Refusal) -> String {
    let mut words = format!("{} (code {})", refusal.message, refusal.code);
    if !refusal.data.is_null() {
        words = format!("{words}: {}", refusal.data);
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn kind(code: i64, message: &str, data: Value) -> FailureKind {
        of_prompt(&Refusal {
            code,
            message: message.to_owned(),
            data,
        })
        .kind
    }

    #[test]
    fn errors_as_the_agents_tell_them_are_told_apart() {
        // gemini
        assert_eq!(
            kind(401, "{\"error\":{\"code\":401}}", json!(null)),
            FailureKind::NotLoggedIn
        );
        assert_eq!(kind(400, "{\"error\":{\"code\":400}}", json!(null)), FailureKind::Api);
        // opencode: one name for all, and the API's own words
        let api = json!({"service": "session", "errorName": "APIError"});
        assert_eq!(
            kind(-32603, "Internal error: told to fail", api.clone()),
            FailureKind::Api
        );
        assert_eq!(
            kind(-32603, "Internal error: Rate limit reached", api),
            FailureKind::RateLimited
        );
        // claude-agent-acp
        let failed = json!({"errorKind": "authentication_failed"});
        assert_eq!(kind(-32603, "Internal error: Failed", failed), FailureKind::NotLoggedIn);
        let unknown = json!({"errorKind": "unknown"});
        assert_eq!(
            kind(-32603, "Internal error: API Error: 400 x", unknown),
            FailureKind::Api
        );
        // codex-acp
        assert_eq!(
            kind(-32000, "Authentication required", json!(null)),
            FailureKind::NotLoggedIn
        );
        let words = "exceeded retry limit, last status: 429 Too Many Requests";
        assert_eq!(of_words(words).kind, FailureKind::RateLimited);
        assert_eq!(kind(-32603, "Internal error", json!(null)), FailureKind::Other);
    }

    #[test]
    fn used_up_credit_is_the_operators_and_an_allowance_has_its_time() {
        // claude-agent-acp hands on the words of Claude Code, codex-acp those of OpenAI's API.
        let invalid = json!({"errorKind": "invalid_request"});
        for (code, message, data, told) in [
            (-32603, "Internal error: Credit balance is too low", invalid, NO_CREDIT),
            (429, "{\"code\":\"insufficient_quota\"}", json!(null), NO_CREDIT),
            (
                -32603,
                "Internal error: You've hit your limit · resets 2pm",
                json!({"errorKind": "rate_limit"}),
                "The agent has used up its allowance for now; it says that this resets 2pm.",
            ),
        ] {
            let message = message.to_owned();
            assert_eq!(of_prompt(&Refusal { code, message, data }).sentence, told);
        }
    }
}
