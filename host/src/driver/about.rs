//! What an installed CLI says of itself. It is started as for a session, up to where it would take the first message, so its
//! model is never called.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::{Abilities, AgentEvent, Command, Failure, FailureKind, Launch, Offers};
use crate::config::{AgentProfile, Login};

/// How long a process may take to leave, beside its start.
const LEAVE: Duration = Duration::from_secs(15);

/// What it said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    pub version: Option<String>,
    pub models: Option<Vec<String>>,
    pub modes: Option<Vec<String>>,
    /// None: it did not come so far.
    pub abilities: Option<Abilities>,
    /// Why it cannot be used.
    pub failure: Option<Failure>,
}

/// Starts it in `folder`, which is for this alone, and ends it.
pub async fn about(profile: &AgentProfile, folder: &Path) -> About {
    let own = !matches!(profile.login, Login::Operator);
    let launch = Launch {
        workspace: folder.join("work"),
        config_dir: own.then(|| folder.join("config")),
        temp_dir: folder.join("tmp"),
        cli_session: uuid::Uuid::new_v4().to_string(),
        resume: false,
        fork: None,
        model: None,
        mode: None,
        allowed: Vec::new(),
        note: None,
    };
    let mut about = About::default();
    let mut agent = super::start(profile, launch);
    let ask = async {
        while let Some(event) = agent.events.recv().await {
            match event {
                AgentEvent::Ready { version, .. } => {
                    about.version = version;
                    // What it offers is told before its end.
                    let _ = agent.commands.send(Command::Close).await;
                }
                AgentEvent::Offers(offers) => {
                    let Offers {
                        models,
                        modes,
                        abilities,
                        ..
                    } = offers;
                    about.models = models.or(about.models.take());
                    about.modes = modes.or(about.modes.take());
                    about.abilities = abilities.or(about.abilities);
                }
                AgentEvent::Exited { failure } => about.failure = failure,
                _ => {}
            }
        }
    };
    if timeout(profile.start_timeout + LEAVE, ask).await.is_err() && about.abilities.is_none() {
        about.failure = Some(super::failure::failure(
            FailureKind::Start,
            "The agent's program gave no answer.",
            "it neither answered nor ended in time".to_owned(),
        ));
    }
    about
}
