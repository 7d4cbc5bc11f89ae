//! From the first word to a session that takes prompts: who it is, logging in, the conversation, the model and the mode.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::client::{Client, Sent};
use super::failure::{self, AUTH_REQUIRED};
use super::message::{Refusal, list, text};
use crate::driver::AgentEvent;

/// What a session is to begin with.
#[derive(Debug, Clone, Default)]
pub(super) struct Opening {
    /// The agent's id of a conversation to go on with.
    pub(super) resume: Option<String>,
    /// Copy this conversation.
    pub(super) fork: Option<String>,
    pub(super) model: Option<String>,
    pub(super) mode: Option<String>,
    /// A refused model or mode ends it: it is the operator's word.
    pub(super) wanted: bool,
    /// Said before the first prompt of a new conversation.
    pub(super) instructions: Option<String>,
    /// It was given a key, so it may be told to use it.
    pub(super) has_key: bool,
    pub(super) abilities: Abilities,
    pub(super) auth_methods: Vec<String>,
    pub(super) authenticated: bool,
    /// It is going to tell what was said before.
    pub(super) history: bool,
}

/// What it said it can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Abilities {
    pub(super) load: bool,
    pub(super) resume: bool,
    pub(super) fork: bool,
    pub(super) images: bool,
}

/// How a setting is changed: by a method of its own, or as one of the agent's options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum How {
    #[default]
    Not,
    Own,
    Option(String),
}

/// What it offers to choose from.
#[derive(Debug, Clone, Default)]
pub(super) struct Offer {
    pub(super) models: Vec<String>,
    pub(super) model: Option<String>,
    pub(super) modes: Vec<String>,
    pub(super) mode: Option<String>,
    how_model: How,
    how_mode: How,
}

impl Client {
    pub(super) fn initialize(&mut self) {
        let params = json!({
            "protocolVersion": 1,
            "clientCapabilities": {"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false},
            "clientInfo": {"name": "botyard", "version": env!("CARGO_PKG_VERSION")},
        });
        self.request(Sent::Initialize, "initialize", &params);
    }

    pub(super) fn initialized(&mut self, answer: &Value) {
        let version = answer.get("protocolVersion").and_then(Value::as_u64);
        if version != Some(1) {
            let refusal = Refusal {
                code: 0,
                message: format!("it speaks version {version:?} of the protocol, not 1"),
                data: Value::Null,
            };
            self.refuse(failure::of_start("initialize", &refusal));
            return;
        }
        let says = |pointer: &str| {
            answer
                .pointer(pointer)
                .is_some_and(|value| value != false && !value.is_null())
        };
        self.opening.abilities = Abilities {
            load: says("/agentCapabilities/loadSession"),
            resume: says("/agentCapabilities/sessionCapabilities/resume"),
            fork: says("/agentCapabilities/sessionCapabilities/fork"),
            images: says("/agentCapabilities/promptCapabilities/image"),
        };
        let methods = list(answer, "authMethods").map(|method| text(method, "id").to_owned());
        self.opening.auth_methods = methods.collect();
        self.open();
    }

    /// Asks for the session.
    pub(super) fn open(&mut self) {
        let mut params = json!({"cwd": self.workspace, "mcpServers": []});
        let able = self.opening.abilities;
        let lacks = |what: &str| Refusal {
            code: 0,
            message: format!("it cannot {what} a session"),
            data: Value::Null,
        };
        let method = if let Some(id) = &self.opening.resume {
            if !able.resume && !able.load {
                self.refuse(failure::of_resume(&lacks("resume")));
                return;
            }
            params["sessionId"] = id.as_str().into();
            // It is in the chat already: without the history, where that can be.
            if able.resume { "session/resume" } else { "session/load" }
        } else if let Some(from) = &self.opening.fork {
            if !able.fork {
                self.refuse(failure::of_start("session/fork", &lacks("fork")));
                return;
            }
            params["sessionId"] = from.as_str().into();
            "session/fork"
        } else {
            "session/new"
        };
        self.opening.history = method == "session/load";
        self.request(Sent::Open, method, &params);
    }

    pub(super) fn opened(&mut self, result: Result<Value, Refusal>) {
        let answer = match result {
            Ok(answer) => answer,
            Err(refusal) => return self.not_opened(&refusal),
        };
        let told = Some(text(&answer, "sessionId")).filter(|id| !id.is_empty());
        let id = told.or(self.opening.resume.as_deref()).unwrap_or_default().to_owned();
        if self.opening.resume.is_some() {
            // It was told already.
            self.opening.instructions = None;
        }
        self.offer.learn(&answer);
        self.settle(&id, self.opening.history);
        let (model, mode, wanted) = (self.opening.model.take(), self.opening.mode.take(), self.opening.wanted);
        if let Some(model) = model {
            self.set_model(&model, wanted);
        }
        if let Some(mode) = mode {
            self.set_mode(&mode, wanted);
        }
        self.check_ready();
    }

    fn not_opened(&mut self, refusal: &Refusal) {
        let method = self.quirk.auth_method.filter(|method| {
            let offered = self.opening.auth_methods.iter().any(|offered| offered == method);
            offered && self.opening.has_key && !self.opening.authenticated
        });
        match method {
            Some(method) if refusal.code == AUTH_REQUIRED => {
                self.opening.authenticated = true;
                let params = json!({"methodId": method});
                self.request(Sent::Authenticate, "authenticate", &params);
            }
            _ if refusal.code == AUTH_REQUIRED || self.opening.resume.is_none() => {
                self.refuse(failure::of_start("session", refusal));
            }
            _ => self.refuse(failure::of_resume(refusal)),
        }
    }

    /// `wanted`: nothing begins without it.
    pub(super) fn set_model(&mut self, model: &str, wanted: bool) {
        let how = self.offer.how_model.clone();
        if self.offer.model.as_deref() != Some(model) {
            self.set("model", &how, ("session/set_model", "modelId"), model, wanted);
        }
    }

    pub(super) fn set_mode(&mut self, mode: &str, wanted: bool) {
        let how = self.offer.how_mode.clone();
        if self.offer.mode.as_deref() != Some(mode) {
            self.set("mode", &how, ("session/set_mode", "modeId"), mode, wanted);
        }
    }

    fn set(&mut self, what: &'static str, how: &How, own: (&str, &str), value: &str, wanted: bool) {
        let session = self.session.clone();
        let (method, params) = match how {
            How::Own => (own.0, json!({"sessionId": session, own.1: value})),
            How::Option(id) => (
                "session/set_config_option",
                json!({"sessionId": session, "configId": id, "value": value}),
            ),
            How::Not => {
                let refusal = Refusal {
                    code: 0,
                    message: format!("it has no choice of a {what}; `{value}` was wanted"),
                    data: Value::Null,
                };
                if wanted {
                    self.refuse(failure::of_start(what, &refusal));
                }
                return;
            }
        };
        self.request(Sent::Setting { what, wanted }, method, &params);
        match what {
            "model" => self.offer.model = Some(value.to_owned()),
            _ => self.offer.mode = Some(value.to_owned()),
        }
    }
}

impl Offer {
    /// From the answer to a session's beginning.
    fn learn(&mut self, answer: &Value) {
        for option in list(answer, "configOptions") {
            self.option(option);
        }
        let ids = |list: &mut dyn Iterator<Item = &Value>, name: &str| -> Vec<String> {
            list.map(|one| text(one, name).to_owned()).collect()
        };
        let current = |value: &Value, name: &str| Some(text(value, name).to_owned()).filter(|id| !id.is_empty());
        if let Some(models) = answer.get("models").filter(|models| models.is_object()) {
            self.models = ids(&mut list(models, "availableModels"), "modelId");
            self.model = current(models, "currentModelId");
            self.how_model = How::Own;
        }
        if let Some(modes) = answer.get("modes").filter(|modes| modes.is_object()) {
            self.modes = ids(&mut list(modes, "availableModes"), "id");
            self.mode = current(modes, "currentModeId");
            self.how_mode = How::Own;
        }
    }

    fn option(&mut self, option: &Value) {
        let how = How::Option(text(option, "id").to_owned());
        let current = Some(text(option, "currentValue").to_owned()).filter(|value| !value.is_empty());
        // Options may stand in groups.
        let values = list(option, "options").flat_map(|one| match one.get("options") {
            Some(_) => list(one, "options").map(|one| text(one, "value").to_owned()).collect(),
            None => vec![text(one, "value").to_owned()],
        });
        match text(option, "category") {
            "model" => (self.models, self.model, self.how_model) = (values.collect(), current, how),
            "mode" => (self.modes, self.mode, self.how_mode) = (values.collect(), current, how),
            _ => {}
        }
    }

    /// It changed by itself, or because we said so.
    pub(super) fn update(&mut self, update: &Value, events: &mut VecDeque<AgentEvent>) {
        let mode = text(update, "currentModeId");
        if !mode.is_empty() {
            self.mode = Some(mode.to_owned());
        }
        for option in list(update, "configOptions") {
            self.option(option);
        }
        self.tell(events);
    }

    pub(super) fn tell(&self, _events: &mut VecDeque<AgentEvent>) {}
}
