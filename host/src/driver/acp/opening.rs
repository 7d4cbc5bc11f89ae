//! From the first word to a session that takes prompts: who it is, logging in, the conversation, the model and the mode.

use serde_json::{Value, json};

use super::client::{Client, Sent};
use super::failure::{self, AUTH_REQUIRED};
use super::message::{Refusal, list, text};
use crate::driver::{self, AgentEvent, Offers};

/// What a session is to begin with.
#[derive(Debug, Clone, Default)]
pub(super) struct Opening {
    /// The agent's id of a conversation to go on with.
    pub(super) resume: Option<String>,
    /// The agent's id of one to go on with a copy of.
    pub(super) fork: Option<String>,
    /// The operator's word, as the mode is: an agent that refuses it does not begin.
    pub(super) model: Option<String>,
    /// In the chat.
    pub(super) chosen: bool,
    pub(super) mode: Option<String>,
    /// In the chat, instead of `mode`, if it is there.
    pub(super) chosen_mode: Option<String>,
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

impl Opening {
    /// With a conversation that there is.
    const fn goes_on(&self) -> bool {
        self.resume.is_some() || self.fork.is_some()
    }
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

/// One thing to choose.
#[derive(Debug, Clone, Default)]
pub(super) struct Setting {
    pub(super) now: Option<String>,
    how: How,
    /// What there is; empty if it does not say.
    pub(super) choices: Vec<String>,
}

/// What it offers to choose from.
#[derive(Debug, Clone, Default)]
pub(super) struct Offer {
    pub(super) model: Setting,
    pub(super) mode: Setting,
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
            let refusal = Refusal::ours(format!("it speaks version {version:?} of the protocol, not 1"));
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
        // Whether or not it lets us in.
        self.queues.events.push_back(AgentEvent::Offers(Offers {
            abilities: Some(driver::Abilities {
                resume: self.opening.abilities.load || self.opening.abilities.resume,
                fork: self.opening.abilities.fork,
                images: self.opening.abilities.images,
                approvals: true,
                steer: false,
            }),
            ..Offers::default()
        }));
        let methods = list(answer, "authMethods").map(|method| text(method, "id").to_owned());
        self.opening.auth_methods = methods.collect();
        self.open();
    }

    /// Asks for the session.
    pub(super) fn open(&mut self) {
        let mut params = json!({"cwd": self.workspace, "mcpServers": []});
        let able = self.opening.abilities;
        let method = if let Some(id) = &self.opening.resume {
            if !able.resume && !able.load {
                self.refuse(failure::of_resume(&Refusal::ours(
                    "it cannot resume a session".to_owned(),
                )));
                return;
            }
            params["sessionId"] = id.as_str().into();
            // It is in the chat already: without the history, where that can be.
            if able.resume { "session/resume" } else { "session/load" }
        } else if let Some(id) = &self.opening.fork {
            if !able.fork {
                self.refuse(failure::of_resume(&Refusal::ours(
                    "it cannot copy a session".to_owned(),
                )));
                return;
            }
            params["sessionId"] = id.as_str().into();
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
        if self.opening.goes_on() {
            // It was told already.
            self.opening.instructions = None;
        }
        self.offer.learn(&answer);
        self.settle(&id, self.opening.history);
        let models = &self.offer.model.choices;
        // What was chosen in a chat and is not there must not keep everybody from it; the operator's word must fit.
        let there = |model: &String| !self.opening.chosen || models.is_empty() || models.contains(model);
        if let Some(model) = self.opening.model.take().filter(there) {
            let setting = self.offer.model.clone();
            self.set("model", setting, ("session/set_model", "modelId"), &model);
        }
        let modes = &self.offer.mode.choices;
        let asking = self
            .quirk
            .asking_mode
            .filter(|mode| modes.iter().any(|offered| offered == mode));
        let chosen = self.opening.chosen_mode.take().filter(|mode| modes.contains(mode));
        let mode = chosen.or_else(|| self.opening.mode.take());
        if let Some(mode) = mode.or_else(|| asking.map(str::to_owned)) {
            let setting = self.offer.mode.clone();
            self.set("mode", setting, ("session/set_mode", "modeId"), &mode);
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
            _ if refusal.code == AUTH_REQUIRED || !self.opening.goes_on() => {
                self.refuse(failure::of_start("session", refusal));
            }
            _ => self.refuse(failure::of_resume(refusal)),
        }
    }

    fn set(&mut self, what: &'static str, setting: Setting, own: (&str, &str), value: &str) {
        if setting.now.as_deref() == Some(value) {
            return;
        }
        let session = self.session.clone();
        let (method, params) = match setting.how {
            How::Own => (own.0, json!({"sessionId": session, own.1: value})),
            How::Option(id) => (
                "session/set_config_option",
                json!({"sessionId": session, "configId": id, "value": value}),
            ),
            How::Not => {
                let refusal = Refusal::ours(format!("it has no choice of a {what}; `{value}` was wanted"));
                self.refuse(failure::of_start(what, &refusal));
                return;
            }
        };
        self.request(Sent::Setting { what }, method, &params);
        match what {
            "model" => self.offer.model.now = Some(value.to_owned()),
            _ => self.offer.mode.now = Some(value.to_owned()),
        }
    }
}

impl Offer {
    /// From the answer to a session's beginning.
    fn learn(&mut self, answer: &Value) {
        self.options(answer);
        let own = |name: &str, now: &str, (all, id): (&str, &str)| {
            let found = answer.get(name).filter(|found| found.is_object())?;
            Some(Setting {
                now: Some(text(found, now).to_owned()).filter(|id| !id.is_empty()),
                how: How::Own,
                choices: list(found, all).map(|one| text(one, id).to_owned()).collect(),
            })
        };
        if let Some(model) = own("models", "currentModelId", ("availableModels", "modelId")) {
            self.model = model;
        }
        if let Some(mode) = own("modes", "currentModeId", ("availableModes", "id")) {
            self.mode = mode;
        }
    }

    fn options(&mut self, told: &Value) {
        for option in list(told, "configOptions") {
            let setting = Setting {
                now: Some(text(option, "currentValue").to_owned()).filter(|value| !value.is_empty()),
                how: How::Option(text(option, "id").to_owned()),
                choices: list(option, "options")
                    .map(|one| text(one, "value").to_owned())
                    .collect(),
            };
            match text(option, "category") {
                "model" => self.model = setting,
                "mode" => self.mode = setting,
                _ => {}
            }
        }
    }

    /// It changed by itself, or because we said so.
    pub(super) fn update(&mut self, update: &Value) {
        let mode = text(update, "currentModeId");
        if !mode.is_empty() {
            self.mode.now = Some(mode.to_owned());
        }
        self.options(update);
    }
}
