//! The outbox's view of an adapter.

use std::time::Duration;

use tokio::time::Instant;

use crate::chat::{CallError, Conversation, Target, View};
use crate::outbox::{BoxFuture, Place, Presenter};
use crate::plugin::Adapter;

/// Shows views through the bot's adapter.
#[derive(Debug)]
pub(super) struct AdapterPresenter {
    pub(super) adapter: Adapter,
    pub(super) outlet: crate::egress::Outlet,
}

impl Presenter for AdapterPresenter {
    fn show<'a>(
        &'a self,
        view: View,
        target: Target,
        nonce: String,
        memory: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Option<Duration>, CallError>> {
        Box::pin(async move { self.adapter.show(&view, &target, &nonce, memory).await })
    }

    fn ready_in(&self, conversation: &Conversation) -> Duration {
        self.outlet.ready_in(&self.adapter.buckets_of(conversation))
    }

    fn place(&self, conversation: &Conversation) -> Option<Place> {
        let calls = self.adapter.calls_of_update(conversation);
        if calls.is_empty() {
            return None;
        }
        let (at, moment) = self.outlet.moment(&calls);
        if at <= Instant::now() {
            return None;
        }
        Some(Place {
            at,
            kept: Box::new(moment),
        })
    }
}
