//! What went wrong with a process, in one plain sentence for the person and with its cause for the operator.

use super::process::{Ended, SpawnError};
use super::{Failure, FailureKind, words};

/// What is kept of a cause.
const CAUSE_LIMIT: usize = 2 * 1024;

/// A failure; the cause is cut.
pub(super) fn failure(kind: FailureKind, sentence: &str, cause: String) -> Failure {
    Failure {
        kind,
        sentence: sentence.to_owned(),
        cause: words::cut(cause, CAUSE_LIMIT),
    }
}

pub(super) const NOT_LOGGED_IN: &str = "The agent is not logged in to its model; whoever runs this bot must log it in.";
pub(super) const NO_CONVERSATION: &str = "The agent no longer has this conversation.";
pub(super) const NO_CREDIT: &str = "The agent's account has no credit left; whoever runs this bot must look at it.";

/// At most so much of a time is told that an agent says in its own words.
const RENEWAL_LIMIT: usize = 40;

/// An account's allowance is used up, in the words of Claude Code. A time of day is not reckoned with: it lacks its day,
/// and often its zone. It is told as it stands.
pub(super) fn used_up(words: &str) -> Option<String> {
    let lower = words.to_lowercase();
    let says = |part: &str| lower.contains(part);
    // Of the conversation, and of a moment.
    let other = says("context limit") || says("rate limit");
    let limit = says("limit reached") && !other || says("hit your") && says("limit");
    if !limit && !says("usage limit") {
        return None;
    }
    let renewal = words.split_once("resets ").map(|(_, rest)| {
        let end = rest.find(['\n', ';', '·', '|']).unwrap_or(rest.len());
        let time = rest[..end].trim_end_matches(['.', ' ']);
        time.chars()
            .filter(|c| !c.is_control())
            .take(RENEWAL_LIMIT)
            .collect::<String>()
    });
    Some(match renewal.filter(|time| !time.is_empty()) {
        Some(time) => format!("The agent has used up its allowance for now; it says that this resets {time}."),
        None => "The agent has used up its allowance for now; try again in a while.".to_owned(),
    })
}

/// The program did not start.
pub(super) fn of_spawn(error: &SpawnError) -> Failure {
    let sentence = match error {
        SpawnError::NotFound(_) => "The agent's program was not found; whoever runs this bot must install it.",
        SpawnError::NotExecutable(_) => {
            "The agent's program may not be executed; whoever runs this bot must mend that."
        }
        SpawnError::Failed { .. } | SpawnError::Guard(_) => "The agent's program could not be started.",
    };
    let mut cause = error.to_string();
    if let SpawnError::Guard(source) = error {
        cause = format!("{cause}: {source}");
    }
    failure(FailureKind::Start, sentence, cause)
}

/// It runs but does not answer.
pub(super) fn silent(stderr: &str) -> Failure {
    let cause = format!("no answer to `initialize` in time; stderr: {stderr}");
    failure(
        FailureKind::Start,
        "The agent's program started but gave no answer.",
        cause,
    )
}

/// It ended and nobody had asked for that. `last`: what it failed with before; a conversation that it did not have is
/// what it ended of.
pub(super) fn of_end(ended: Ended, ready: bool, stderr: &str, last: Option<&Failure>) -> Failure {
    let mut cause = format!("{}; stderr: {stderr}", how(ended));
    if let Some(last) = last {
        if last.kind == FailureKind::NoConversation {
            return failure(FailureKind::NoConversation, NO_CONVERSATION, cause);
        }
        cause = format!("{cause}; {}", last.cause);
    }
    if ready {
        let sentence = "The agent's program ended unexpectedly; the next message starts it again.";
        return failure(FailureKind::Died, sentence, cause);
    }
    let sentence = "The agent's program ended before it was ready.";
    // One that was ended says nothing of what it was to go on with.
    let kind = match ended {
        Ended::Exited(_) => FailureKind::Unready,
        Ended::Signalled(_) | Ended::GuardLost => FailureKind::Died,
    };
    failure(kind, sentence, cause)
}

pub(super) fn how(ended: Ended) -> String {
    match ended {
        Ended::Exited(code) => format!("exit code {code}"),
        Ended::Signalled(signal) => format!("signal {signal}"),
        Ended::GuardLost => "the guard process was ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_at_which_an_allowance_is_renewed_is_told_as_it_stands() {
        let resets = |time: &str| {
            let begin = "The agent has used up its allowance for now;";
            Some(format!("{begin} it says that this resets {time}."))
        };
        let unknown = "The agent has used up its allowance for now; try again in a while.";
        for (words, told) in [
            ("5-hour limit reached · resets 2am", resets("2am")),
            (
                "You've hit your session limit · resets 2pm (Europe/Berlin)\n/upgrade to go on",
                resets("2pm (Europe/Berlin)"),
            ),
            ("Weekly limit reached · resets Oct 9, 5pm.", resets("Oct 9, 5pm")),
            (
                &format!("You've hit your limit · resets \u{7}{}", "9".repeat(99)),
                resets(&"9".repeat(40)),
            ),
            ("Claude AI usage limit reached|1749924000", Some(unknown.to_owned())),
            ("You've hit your limit · resets ", Some(unknown.to_owned())),
            ("Context limit reached · /compact or /clear to continue", None),
            ("API Error: Rate limit reached", None),
            ("API Error: 529 overloaded; the timer resets 2am", None),
        ] {
            assert_eq!(used_up(words), told, "{words}");
        }
    }
}
