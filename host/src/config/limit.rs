//! How patient the host is with an agent.

use std::time::Duration;

use super::DriverKind;

const MINUTE: Duration = Duration::from_secs(60);

/// One clock: when the chat is told, and when the host steps in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub tell: Duration,
    /// Later than `tell`.
    pub end: Duration,
}

impl Limit {
    const fn minutes(tell: u32, end: u32) -> Self {
        Self {
            tell: MINUTE.saturating_mul(tell),
            end: MINUTE.saturating_mul(end),
        }
    }
}

/// The clocks of a turn, all of them so long that no good work is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the prompt to the first sign of life. Default: 2 and 15 minutes.
    pub first: Limit,
    /// From one sign of life to the next. Default: 5 and 30 minutes.
    pub silence: Limit,
    /// The same while a step runs: a build says nothing for long. Default: 30 minutes and 4 hours.
    pub tool: Limit,
    /// The whole turn, without the time in which a question waits for a person. Default: 2 hours and a day.
    pub turn: Limit,
    /// A process whose agent waits for a person is kept so long; then it may give its place to another session.
    /// Default: 30 minutes.
    pub asked: Duration,
}

impl Limits {
    /// What holds if nothing is set. A command that prints an answer is a step as a whole.
    pub const fn of(driver: DriverKind) -> Self {
        let tool = Limit::minutes(30, 4 * 60);
        let (first, silence) = match driver {
            DriverKind::Claude | DriverKind::Acp => (Limit::minutes(2, 15), Limit::minutes(5, 30)),
            DriverKind::Exec => (tool, tool),
        };
        Self {
            first,
            silence,
            tool,
            turn: Limit::minutes(2 * 60, 24 * 60),
            asked: MINUTE.saturating_mul(30),
        }
    }
}
