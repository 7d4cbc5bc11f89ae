//! What the CLI asks of the host, and what people decide about it.

use serde_json::{Value, json};

use super::Translator;
use crate::driver::claude::wire::Asked;
use crate::driver::claude::{lasting, tool};
use crate::driver::{AgentEvent, Answer, Permission};

/// A `can_use_tool` that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    input: Value,
    call: String,
}

impl Translator {
    pub(super) fn decide(&mut self, request: &str, answer: Answer) {
        let Some(waiting) = self.waiting.remove(request) else {
            return;
        };
        let mut input = waiting.input;
        // 2.1.197 fails the tool if the input is not given back.
        let answer = match answer {
            Answer::Allow => json!({"behavior": "allow", "updatedInput": input}),
            Answer::AllowLasting(updates) => {
                let updates = serde_json::from_str::<Value>(&updates).unwrap_or(Value::Array(Vec::new()));
                json!({"behavior": "allow", "updatedInput": input, "updatedPermissions": updates})
            }
            Answer::AllowWith(changed) => {
                let input = serde_json::from_str::<Value>(&changed).unwrap_or(input);
                json!({"behavior": "allow", "updatedInput": input})
            }
            Answer::Answers(answers) => {
                let answers = answers.into_iter().map(|(question, answer)| (question, answer.into()));
                if let Value::Object(fields) = &mut input {
                    fields.insert("answers".to_owned(), Value::Object(answers.collect()));
                }
                json!({"behavior": "allow", "updatedInput": input})
            }
            Answer::Deny(message) => {
                self.denied.insert(waiting.call);
                let message = if message.is_empty() {
                    "The user does not allow this.".to_owned()
                } else {
                    message
                };
                json!({"behavior": "deny", "message": message})
            }
        };
        self.respond(request, &answer);
    }

    pub(super) fn asked(&mut self, request: &str, asked: Asked) {
        match asked.subtype.as_str() {
            "can_use_tool" => {
                let (path, reason) = (asked.blocked_path.as_deref(), asked.decision_reason.as_deref());
                self.queues
                    .events
                    .push_back(AgentEvent::Permission(Box::new(Permission {
                        request: request.to_owned(),
                        call: asked.tool_use_id.clone(),
                        input: asked.input.to_string(),
                        title: tool::title(&asked.tool_name, &asked.input, &self.workspace),
                        detail: tool::question(&asked.tool_name, &asked.input, path, reason),
                        subject: tool::subject(&asked.tool_name, &asked.input),
                        editable: tool::editable(&asked.tool_name, &asked.input),
                        lasting: lasting::of(&asked.permission_suggestions),
                        hears: true,
                        tool: asked.tool_name,
                    })));
                let waiting = Waiting {
                    input: asked.input,
                    call: asked.tool_use_id,
                };
                self.waiting.insert(request.to_owned(), waiting);
            }
            "request_user_dialog" => self.respond(request, &json!({"behavior": "cancelled"})),
            "elicitation" => self.respond(request, &json!({"action": "decline"})),
            other => {
                let error = format!("Unsupported control request subtype: {other}");
                self.queues.line(&json!({
                    "type": "control_response",
                    "response": {"subtype": "error", "request_id": request, "error": error},
                }));
            }
        }
    }
}
