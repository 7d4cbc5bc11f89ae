//! What agents that speak ACP do each in their own way. Measured with gemini 0.61.0, opencode 1.18.33,
//! codex-acp 2.6.0 and claude-agent-acp 0.49.0.
//!
//! | | gemini | opencode | codex-acp | claude-agent-acp |
//! | --- | --- | --- | --- | --- |
//! | a second prompt | ends the first | waits | goes into the first | waits |
//! | a denied tool | fails, the turn goes on | ends the turn | ends it as cancelled | fails, it goes on |
//! | an error of its model | its status as the code | one code for all | text of the answer | text, then an error |
//! | goes on with a session | by loading it, and tells the history late | resumes | resumes | resumes |
//!
//! No second prompt is ever given to any; the rest is below.

use crate::config::KnownAgent;

/// One agent's ways.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Quirk {
    /// How it is told to use its API key, where the variable alone does not make it.
    pub(super) auth_method: Option<&'static str>,
    /// Variables that keep it quiet.
    pub(super) env: &'static [(&'static str, &'static str)],
    /// Files of its folder that must be there before it starts.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// A tool that was denied ends the turn, as if it had been cancelled.
    pub(super) denial_cancels: bool,
    /// It tells an error of its model as a piece of the answer.
    pub(super) errors_are_text: bool,
    /// It goes on telling the history after it said that the session is loaded.
    pub(super) history_is_late: bool,
}

const NONE: Quirk = Quirk {
    auth_method: None,
    env: &[],
    files: &[],
    denial_cancels: false,
    errors_are_text: false,
    history_is_late: false,
};

static UNKNOWN: Quirk = NONE;

static GEMINI: Quirk = Quirk {
    auth_method: Some("gemini-api-key"),
    // It reports how it is used unless its settings say otherwise; no variable does.
    files: &[(
        ".gemini/settings.json",
        "{\n  \"general\": { \"enableAutoUpdate\": false },\n  \"privacy\": { \"usageStatisticsEnabled\": false }\n}\n",
    )],
    history_is_late: true,
    ..NONE
};

static OPENCODE: Quirk = Quirk {
    env: &[("OPENCODE_DISABLE_AUTOUPDATE", "1")],
    ..NONE
};

static CODEX: Quirk = Quirk {
    auth_method: Some("api-key"),
    env: &[("NO_BROWSER", "1")],
    denial_cancels: true,
    errors_are_text: true,
    ..NONE
};

static CLAUDE: Quirk = Quirk {
    env: &[
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        // Ten retries, its own default, are three minutes of silence.
        ("CLAUDE_CODE_MAX_RETRIES", "3"),
    ],
    ..NONE
};

impl Quirk {
    pub(super) fn of(known: Option<KnownAgent>) -> &'static Self {
        match known {
            Some(KnownAgent::Gemini) => &GEMINI,
            Some(KnownAgent::OpenCode) => &OPENCODE,
            Some(KnownAgent::Codex) => &CODEX,
            Some(KnownAgent::Claude) => &CLAUDE,
            None => &UNKNOWN,
        }
    }
}
