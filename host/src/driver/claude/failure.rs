//! What went wrong, in one plain sentence for the person and with its cause for the operator.

use super::wire::TurnResult;
use crate::driver::failure::{self, NO_CONVERSATION, NOT_LOGGED_IN, failure};
use crate::driver::process::Ended;
use crate::driver::{Failure, FailureKind};

/// A result whose `is_error` is set. `complaint`: what the CLI's own (synthetic) message said.
pub(super) fn of_result(result: &TurnResult, complaint: Option<&str>) -> Failure {
    let mut words = result.errors.join("; ");
    for text in [result.result.as_deref(), complaint].into_iter().flatten() {
        if !text.is_empty() && !words.contains(text) {
            words = if words.is_empty() {
                text.to_owned()
            } else {
                format!("{words}; {text}")
            };
        }
    }
    let status = result.api_error_status;
    let reason = result.terminal_reason.as_deref().unwrap_or_default();
    let cause = format!("{} {reason} {}: {words}", result.subtype, status.unwrap_or(0));
    let lower = words.to_lowercase();
    let says = |part: &str| lower.contains(part);
    if says("no conversation found") {
        return failure(FailureKind::NoConversation, NO_CONVERSATION, cause);
    }
    if says("not logged in") || says("/login") || says("invalid api key") || status == Some(401) {
        return failure(FailureKind::NotLoggedIn, NOT_LOGGED_IN, cause);
    }
    if result.subtype == "error_max_turns" || reason == "max_turns" {
        let sentence = "The agent stopped because it reached its limit of steps.";
        return failure(FailureKind::Limit, sentence, cause);
    }
    if result.subtype.contains("budget") {
        let sentence = "The agent stopped because it reached its limit of cost.";
        return failure(FailureKind::Limit, sentence, cause);
    }
    match status {
        Some(429) => failure(
            FailureKind::RateLimited,
            "The agent's model refuses more requests for now; try again in a while.",
            cause,
        ),
        None if says("usage limit") || says("rate limit") || says("hit your limit") => failure(
            FailureKind::RateLimited,
            "The agent has used up its allowance for now; try again in a while.",
            cause,
        ),
        Some(403) => failure(
            FailureKind::NotLoggedIn,
            "The agent's account may not use its model; whoever runs this bot must look at it.",
            cause,
        ),
        Some(404) => failure(
            FailureKind::Api,
            "The agent's model was not found; whoever runs this bot must name another one.",
            cause,
        ),
        Some(400 | 413) => failure(
            FailureKind::Api,
            "The agent's model refused this request; a new conversation may help.",
            cause,
        ),
        Some(_) => failure(
            FailureKind::Api,
            "The agent's model has a problem right now; try again in a while.",
            cause,
        ),
        None if reason == "api_error" || says("api error") || says("connection") => failure(
            FailureKind::Api,
            "The agent cannot reach its model right now; try again in a while.",
            cause,
        ),
        None => failure(FailureKind::Other, "The agent ended this turn with an error.", cause),
    }
}

/// It ended and nobody had asked for that.
pub(super) fn of_exit(ended: Ended, ready: bool, stderr: &str, last: Option<&Failure>) -> Failure {
    let lower = stderr.to_lowercase();
    let mut failure = failure::of_end(ended, ready, stderr, last);
    if lower.contains("no conversation found") {
        NO_CONVERSATION.clone_into(&mut failure.sentence);
        failure.kind = FailureKind::NoConversation;
    } else if !ready
        && (lower.contains("not logged in") || lower.contains("/login") || lower.contains("invalid api key"))
    {
        NOT_LOGGED_IN.clone_into(&mut failure.sentence);
        failure.kind = FailureKind::NotLoggedIn;
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(status: Option<u32>, text: &str) -> TurnResult {
        TurnResult {
            subtype: "success".to_owned(),
            is_error: true,
            api_error_status: status,
            result: Some(text.to_owned()),
            ..TurnResult::default()
        }
    }

    #[test]
    fn results_are_told_apart() {
        let kind = |result| of_result(&result, None).kind;
        assert_eq!(
            kind(result(None, "Not logged in · Please run /login")),
            FailureKind::NotLoggedIn
        );
        assert_eq!(
            kind(result(Some(401), "Failed to authenticate")),
            FailureKind::NotLoggedIn
        );
        assert_eq!(kind(result(Some(429), "API Error: 429")), FailureKind::RateLimited);
        assert_eq!(kind(result(Some(529), "API Error: overloaded")), FailureKind::Api);
        assert_eq!(kind(result(None, "API Error: Connection error.")), FailureKind::Api);
        let turns = TurnResult {
            subtype: "error_max_turns".to_owned(),
            ..result(None, "")
        };
        assert_eq!(kind(turns), FailureKind::Limit);
        let gone = TurnResult {
            errors: vec!["No conversation found with session ID: x".to_owned()],
            ..result(None, "")
        };
        assert_eq!(kind(gone), FailureKind::NoConversation);
        assert_eq!(kind(result(None, "")), FailureKind::Other);
    }

    #[test]
    fn an_exit_names_its_code_and_the_end_of_stderr() {
        let died = of_exit(Ended::Exited(3), true, "boom", None);
        assert_eq!(
            (died.kind, died.cause.as_str()),
            (FailureKind::Died, "exit code 3; stderr: boom")
        );
        let start = of_exit(Ended::Exited(1), false, "bad flag", None);
        assert_eq!(start.kind, FailureKind::Unready);
        let ended = of_exit(Ended::Signalled(9), false, "", None);
        assert_eq!(ended.kind, FailureKind::Died, "what somebody ended refused nothing");
        let gone = of_exit(
            Ended::Exited(1),
            false,
            "No conversation found with session ID: 1",
            None,
        );
        assert_eq!(gone.kind, FailureKind::NoConversation);
    }
}
