//! The clocks of `[agent.NAME]`.

use std::time::Duration;

use super::Checker;
use crate::config::raw::RawAgent;
use crate::config::section::At;
use crate::config::{DriverKind, Limit, Limits};

const SECOND: Duration = Duration::from_secs(1);
const MONTH: Duration = Duration::from_secs(30 * 86_400);

impl Checker<'_> {
    pub(super) fn limits(&mut self, raw: &RawAgent, driver: DriverKind) -> Limits {
        let default = Limits::of(driver);
        let tool = self.limit(raw.tool_timeout.as_ref(), default.tool);
        // A command that prints an answer is a step as a whole.
        let quiet = |own| if driver == DriverKind::Exec { tool } else { own };
        Limits {
            first: self.limit(raw.first_timeout.as_ref(), quiet(default.first)),
            silence: self.limit(raw.silence_timeout.as_ref(), quiet(default.silence)),
            tool,
            turn: self.limit(raw.turn_timeout.as_ref(), default.turn),
            asked: self.duration(raw.ask_hold.as_ref(), SECOND..=MONTH, default.asked),
        }
    }

    fn limit(&mut self, given: Option<&At<Vec<At<String>>>>, default: Limit) -> Limit {
        let Some(given) = given else { return default };
        let [tell, end] = given.value.as_slice() else {
            self.push(given.problem(
                "needs two durations",
                "when the chat is told, and when the agent is interrupted: `[\"5m\", \"30m\"]`",
            ));
            return default;
        };
        let limit = Limit {
            tell: self.duration(Some(tell), SECOND..=MONTH, default.tell),
            end: self.duration(Some(end), SECOND..=MONTH, default.end),
        };
        if limit.tell >= limit.end {
            self.push(given.problem(
                format!("`{}` is not before `{}`", tell.value, end.value),
                "first when the chat is told, then when the agent is interrupted: `[\"5m\", \"30m\"]`",
            ));
            return default;
        }
        limit
    }
}
