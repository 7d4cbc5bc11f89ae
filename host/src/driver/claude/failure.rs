//! What went wrong, in one plain sentence for the person and with its cause for the operator.

use super::wire::TurnResult;
use crate::driver::failure::{self, NO_CONVERSATION, NO_CREDIT, NOT_LOGGED_IN, failure, used_up};
use crate::driver::process::Ended;
use crate::driver::{Failure, FailureKind};

/// What the CLI itself said in place of its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    /// The kind of failure, by its name; none: it is not called one.
    pub(super) error: Option<String>,
    pub(super) text: String,
}

/// A result that is a failure. `complaint`: what was said before it.
pub(super) fn of_result(result: &TurnResult, complaint: Option<&Complaint>) -> Failure {
    let mut words = result.errors.join("; ");
    let said = complaint.map(|complaint| complaint.text.as_str());
    for text in [result.result.as_deref(), said].into_iter().flatten() {
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
    let named = complaint.and_then(|complaint| complaint.error.as_deref());
    // A status says more than a name.
    let named = named.filter(|_| status.is_none()).unwrap_or_default();
    let cause = format!("{} {reason} {}{named}: {words}", result.subtype, status.unwrap_or(0));
    let lower = words.to_lowercase();
    let says = |part: &str| lower.contains(part);
    if says("no conversation found") {
        return failure(FailureKind::NoConversation, NO_CONVERSATION, cause);
    }
    // The API says so with a status of 400.
    if says("credit balance") || named == "billing_error" {
        return failure(FailureKind::NotLoggedIn, NO_CREDIT, cause);
    }
    let unknown = says("not logged in") || says("/login") || says("invalid api key");
    if unknown || named == "authentication_failed" || status == Some(401) {
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
    if matches!(status, None | Some(429))
        && let Some(sentence) = used_up(&words)
    {
        return failure(FailureKind::RateLimited, &sentence, cause);
    }
    let many = says("rate limit") || named == "rate_limit";
    match status {
        Some(429) | None if status.is_some() || many => failure(
            FailureKind::RateLimited,
            "The agent's model refuses more requests for now; try again in a while.",
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
        Some(400 | 413) | None if status.is_some() || says("context limit") || says("prompt is too long") => failure(
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
        use FailureKind::{Api, Limit, NotLoggedIn, Other, RateLimited};
        let credit = "The agent's account has no credit left; whoever runs this bot must look at it.";
        let many = "The agent's model refuses more requests for now; try again in a while.";
        let refused = "The agent's model refused this request; a new conversation may help.";
        let cost = "The agent stopped because it reached its limit of cost.";
        let ended = "The agent ended this turn with an error.";
        for (status, text, kind, sentence) in [
            (None, "Not logged in · Please run /login", NotLoggedIn, NOT_LOGGED_IN),
            (Some(401), "Failed to authenticate", NotLoggedIn, NOT_LOGGED_IN),
            (Some(400), "Credit balance is too low", NotLoggedIn, credit),
            (None, "Credit balance is too low", NotLoggedIn, credit),
            (Some(429), "API Error: 429", RateLimited, many),
            (None, "API Error: Rate limit reached", RateLimited, many),
            (
                None,
                "5-hour limit reached · resets 2am",
                RateLimited,
                "The agent has used up its allowance for now; it says that this resets 2am.",
            ),
            (
                Some(429),
                "You've hit your session limit · resets 2pm",
                RateLimited,
                "The agent has used up its allowance for now; it says that this resets 2pm.",
            ),
            (Some(400), "API Error: 400", Api, refused),
            (None, "Prompt is too long", Api, refused),
            (
                None,
                "Context limit reached · /compact or /clear to continue",
                Api,
                refused,
            ),
            (
                Some(529),
                "API Error: overloaded",
                Api,
                "The agent's model has a problem right now; try again in a while.",
            ),
            (
                None,
                "API Error: Connection error.",
                Api,
                "The agent cannot reach its model right now; try again in a while.",
            ),
            (None, "", Other, ended),
        ] {
            let told = of_result(&result(status, text), None);
            assert_eq!(
                (told.kind, told.sentence.as_str()),
                (kind, sentence),
                "{status:?} {text}"
            );
        }
        for (subtype, kind, sentence) in [
            (
                "error_max_turns",
                Limit,
                "The agent stopped because it reached its limit of steps.",
            ),
            ("error_max_budget_usd", Limit, cost),
            ("error_max_structured_output_retries", Other, ended),
            ("error_during_execution", Other, ended),
        ] {
            let told = of_result(
                &TurnResult {
                    subtype: subtype.to_owned(),
                    ..result(None, "")
                },
                None,
            );
            assert_eq!((told.kind, told.sentence.as_str()), (kind, sentence), "{subtype}");
        }
        let gone = TurnResult {
            errors: vec!["No conversation found with session ID: x".to_owned()],
            ..result(None, "")
        };
        assert_eq!(of_result(&gone, None).kind, FailureKind::NoConversation);
    }

    #[test]
    fn name_of_a_complaint_counts_where_there_is_no_status() {
        let complaint = |error: &str| Complaint {
            error: Some(error.to_owned()),
            text: "it did not work".to_owned(),
        };
        for (status, error, kind) in [
            (None, "authentication_failed", FailureKind::NotLoggedIn),
            (None, "billing_error", FailureKind::NotLoggedIn),
            (None, "rate_limit", FailureKind::RateLimited),
            (None, "unknown", FailureKind::Other),
            (Some(529), "authentication_failed", FailureKind::Api),
        ] {
            let told = of_result(&result(status, ""), Some(&complaint(error)));
            assert_eq!(told.kind, kind, "{error}");
            assert!(told.cause.ends_with(": it did not work"), "{}", told.cause);
        }
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
