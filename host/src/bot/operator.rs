//! What the operator does with this bot's sessions at the terminal.

use std::collections::HashMap;

use super::Bot;
use crate::chat::{BotName, SessionId};
use crate::session::tail::Watcher;
use crate::session::{Change, ChangeError, OPERATOR};
use crate::store::SessionRow;

impl Bot {
    pub fn name(&self) -> &BotName {
        &self.inner.config.name
    }

    /// Sessions that have a process or a turn just now, each with the tasks that its agent runs in the background.
    pub fn live_sessions(&self) -> HashMap<SessionId, u32> {
        let live = self.inner.registry.live();
        live.into_values().map(|now| (now.row.id, now.background)).collect()
    }

    /// Gives a session of ours to whoever holds its lock, see [`Registry::attach`](crate::session::Registry::attach).
    pub async fn attach(&self, session: &SessionRow, wait: bool) -> Result<SessionRow, ChangeError> {
        self.inner.registry.attach(&session.key, &session.id, wait).await
    }

    /// Takes a session of ours back, see [`Registry::returned`](crate::session::Registry::returned).
    pub async fn returned(&self, session: &SessionRow) {
        self.inner.registry.returned(&session.key, &session.id).await;
    }

    /// Whoever watches what happens in this session, or in all of them.
    pub fn watch(&self, session: Option<SessionId>) -> Watcher {
        self.inner.registry.tail().watch(session)
    }

    /// Ends the turn that runs in this session, or what runs in the background where there is none. False: it is not ours,
    /// or nothing runs in it.
    pub async fn interrupt(&self, session: &SessionRow) -> bool {
        let registry = &self.inner.registry;
        let current = registry
            .live()
            .get(&session.key)
            .is_some_and(|now| now.row.id == session.id);
        let ours = session.bot == self.inner.config.name && current;
        ours && (registry.stop(&session.key).await || registry.end_background(&session.key).await)
    }

    /// A copy of a session of ours; `current`: what is said next goes to it. The second: why it is not the current one,
    /// though it was wanted.
    ///
    /// # Errors
    /// There is no copy.
    pub async fn fork(
        &self,
        session: &SessionRow,
        name: Option<String>,
        current: bool,
    ) -> Result<(SessionRow, Option<ChangeError>), ChangeError> {
        let registry = &self.inner.registry;
        let copy = registry.copy(session, name).await?;
        let switched = if current { self.switch(&copy).await } else { Ok(()) };
        Ok((copy, switched.err()))
    }

    /// What is said next goes to this session of ours.
    ///
    /// # Errors
    /// It is as it was.
    pub async fn switch(&self, session: &SessionRow) -> Result<(), ChangeError> {
        let change = Change::Switch(session.id.clone());
        self.inner.registry.change(&session.key, change).await
    }

    /// Forgets a session of ours. What stays of it, a sentence each.
    ///
    /// # Errors
    /// It is as it was.
    pub async fn delete(&self, session: &SessionRow) -> Result<Vec<String>, ChangeError> {
        self.inner.registry.delete(&session.key, &session.id, OPERATOR).await
    }
}
