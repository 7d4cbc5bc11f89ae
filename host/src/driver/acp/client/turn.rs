//! The end of a turn: what a prompt's answer means, what was left open, and what it cost.

use serde_json::Value;

use super::{Client, Running};
use crate::driver::acp::failure;
use crate::driver::acp::message::{Refusal, text};
use crate::driver::acp::quirk::Quirk;
use crate::driver::{AgentEvent, Failure, FailureKind, Outcome};

impl Client {
    pub(super) fn turn_over(&mut self, result: &Result<Value, Refusal>) {
        self.taken_up();
        let Some(running) = self.running.take() else { return };
        if let Err(refusal) = result
            && self.reply.repeats(&refusal.message)
        {
            self.reply.withdraw(&mut self.queues.events);
        }
        self.reply.close(&mut self.queues.events);
        let outcome = match result {
            Ok(_) if running.broken.is_some() && !running.interrupted => {
                Outcome::Failed(failure::of_words(running.broken.as_deref().unwrap_or_default()))
            }
            Ok(answer) => outcome(text(answer, "stopReason"), &running, self.quirk),
            Err(_) if running.interrupted => Outcome::Stopped,
            Err(refusal) => Outcome::Failed(failure::of_prompt(refusal)),
        };
        // What it asked and what it did not tell the end of.
        self.withdraw_requests();
        for (name, call) in self.calls.drain().filter(|(_, call)| !call.ended) {
            self.queues.events.push_back(AgentEvent::ToolEnded {
                call: name,
                failed: call.denied || outcome != Outcome::Ok,
                denied: call.denied,
                output: call.output(),
            });
        }
        self.tell_usage(result.as_ref().ok());
        self.queues.events.push_back(AgentEvent::Result { outcome });
        self.go_on();
        if self.running.is_none() {
            self.queues.events.push_back(AgentEvent::Idle { background: 0 });
        }
    }

    fn tell_usage(&mut self, answer: Option<&Value>) {
        let cost = (self.cost - self.told_cost).max(0.0);
        self.told_cost = self.cost;
        let number = |value: &Value, names: [&str; 2]| {
            let found = names.iter().find_map(|name| value.get(*name)?.as_u64());
            found.unwrap_or_default()
        };
        let counted = answer.and_then(|answer| {
            // gemini's is not yet the protocol's own.
            let own = answer.get("usage").filter(|usage| usage.is_object());
            let counts = own.or_else(|| {
                answer
                    .pointer("/_meta/quota/token_count")
                    .filter(|count| count.is_object())
            })?;
            let output = number(counts, ["outputTokens", "output_tokens"]);
            let total = number(counts, ["totalTokens", "total_tokens"]);
            let input = number(counts, ["inputTokens", "input_tokens"]);
            Some((input.max(total.saturating_sub(output)), output))
        });
        if let Some((input_tokens, output_tokens)) = counted {
            self.queues.events.push_back(AgentEvent::Usage {
                input_tokens,
                output_tokens,
                cost_usd: (self.cost > 0.0).then_some(cost),
            });
        }
    }
}

/// What a prompt's answer means.
fn outcome(stop: &str, running: &Running, quirk: &Quirk) -> Outcome {
    let limit = |sentence: &str| {
        Outcome::Failed(Failure {
            kind: FailureKind::Limit,
            sentence: sentence.to_owned(),
            cause: format!("stop reason `{stop}`"),
        })
    };
    match stop {
        _ if running.interrupted => Outcome::Stopped,
        "cancelled" if running.denied && quirk.denial_cancels => Outcome::Ok,
        "cancelled" => Outcome::Stopped,
        "max_tokens" => limit("The agent stopped because its answer became too long."),
        "max_turn_requests" => limit("The agent stopped because it reached its limit of steps."),
        "refusal" => Outcome::Failed(Failure {
            kind: FailureKind::Other,
            sentence: "The agent's model refuses to go on with this conversation.".to_owned(),
            cause: "stop reason `refusal`".to_owned(),
        }),
        _ => Outcome::Ok,
    }
}
