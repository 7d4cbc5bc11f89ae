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
