//! Several agents in one conversation, as its commands see them: who is here, who works, who asks.

use super::super::gather::size;
use super::Bot;
use crate::chat::{CommandSpec, SessionKey};
use crate::command::{self, Row};
use crate::manifest::Ability;
use crate::store::Result as StoreResult;

pub(super) const SEVERAL_ASK: &str =
    "More than one agent asks here. Begin with the name of the one that you answer, for example `@NAME /allow`.";

impl Bot {
    /// What can be said here; what no agent of the bot can do is left out.
    fn rows(&self) -> Vec<&'static Row> {
        command::offered(&self.inner.registry.agents().collect::<Vec<_>>())
    }

    /// The same, for the platform's menus.
    pub fn commands(&self) -> Vec<CommandSpec> {
        command::specs(self.rows())
    }

    /// The same, for people.
    pub(in crate::bot) fn help(&self) -> String {
        let mut text = command::help(self.rows());
        if self.can(Ability::FilesIn) {
            let most = size(self.inner.config.files_max_bytes);
            text.push_str(&format!("\n\nFiles go along with a message, each of at most {most}."));
        }
        if !self.inner.config.agents.is_empty() || !self.inner.config.routes.is_empty() {
            text.push_str("\n\n");
            text.push_str(&self.crew());
        }
        text
    }

    /// Who is here, and how each is spoken to.
    pub(in crate::bot) fn crew(&self) -> String {
        let config = &self.inner.config;
        if config.agents.is_empty() && config.routes.is_empty() {
            return format!("`{}` is the only agent here.", config.agent);
        }
        let mut text = format!(
            "A message that begins with `@NAME` is for that agent, with several names for each of them, and a command behind \
             a name too:\n\n- `@{}`, also without a name",
            config.agent
        );
        for name in &config.agents {
            text.push_str(&format!("\n- `@{name}`"));
        }
        for route in &config.routes {
            let steps = route.steps.iter().map(|step| step.to.join(" and "));
            let steps = steps.collect::<Vec<_>>().join(", then ");
            text.push_str(&format!("\n- `@{}` goes from one to the next: {steps}", route.name));
        }
        text
    }

    /// The keys of all agents here; `base` is the first one's.
    pub(in crate::bot) fn keys_here(&self, base: &SessionKey) -> Vec<SessionKey> {
        let names = self.inner.config.every_agent();
        names.map(|name| self.inner.registry.key_of(base, name)).collect()
    }

    /// Ends whatever runs here, and of what goes to several agents also what waits; other messages that wait stay. False:
    /// nothing ran.
    ///
    /// # Errors
    /// The store's: what ran is stopped, but further steps of runs may begin.
    pub(in crate::bot) async fn stop_all(&self, base: &SessionKey) -> StoreResult<bool> {
        let registry = &self.inner.registry;
        // Before any of it ends: the next that waits begins then.
        let mut running = Vec::new();
        for key in self.keys_here(base) {
            if let Some(turn) = registry.at_work(&key).await.and_then(|status| status.running) {
                running.push((key, turn));
            }
        }
        // First, so that no next step begins.
        let stopped = self.stop_runs(base, None).await;
        let mut some = false;
        for (key, turn) in running {
            some |= registry.stop_turn(&key, &turn).await;
        }
        Ok(stopped? || some)
    }

    /// Ends what agents here run in the background; `named`: this one's alone. False: none runs anything.
    pub(super) async fn end_background(&self, key: &SessionKey, named: bool) -> bool {
        let keys = if named { vec![key.clone()] } else { self.keys_here(key) };
        let mut some = false;
        for key in keys {
            some |= self.inner.registry.end_background(&key).await;
        }
        some
    }

    /// The session whose question an answer is for: the one that is named, or the one that asks.
    ///
    /// # Errors
    /// Several ask: these.
    pub(super) async fn asking_here(
        &self,
        key: &SessionKey,
        agent: Option<&str>,
    ) -> Result<SessionKey, Vec<SessionKey>> {
        if agent.is_some() || self.inner.config.agents.is_empty() {
            return Ok(key.clone());
        }
        let mut asking = Vec::new();
        for key in self.keys_here(key) {
            let status = self.inner.registry.at_work(&key).await;
            if status.is_some_and(|status| status.asking) {
                asking.push(key);
            }
        }
        match asking.as_slice() {
            [] => Ok(key.clone()),
            [one] => Ok(one.clone()),
            _ => Err(asking),
        }
    }

    /// A line for each other agent that has something to do here.
    pub(super) async fn others_at_work(&self, base: &SessionKey) -> String {
        let mut lines = String::new();
        for name in &self.inner.config.agents {
            let key = self.inner.registry.key_of(base, name);
            let Some(status) = self.inner.registry.at_work(&key).await else {
                continue;
            };
            if status.running.is_none() && status.waiting == 0 && status.background == 0 {
                continue;
            }
            let doing = match (status.asking, status.running.is_some(), status.waiting) {
                (true, ..) => "waits for a decision",
                (false, true, _) => "is working",
                (false, false, 0) => "runs something in the background",
                (false, false, _) => "is about to begin",
            };
            lines.push_str(&format!("\n\n`{name}` {doing}; {} waiting.", status.waiting));
        }
        lines
    }
}
