//! What a running link has besides: its mailbox, its sockets, its events that are under way, and those who wait for
//! its word.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Emitted, LinkHost};
use crate::chat::{CallError, Event};
use crate::egress::{Frame, Socket};
use crate::manifest::Placement;
use crate::outbox::BoxFuture;

/// Sockets of one link at the same time.
pub(super) const SOCKETS_MAX: usize = 8;
/// Questions that wait in a link's mailbox.
pub(super) const MAILBOX: usize = 64;
/// Questions that a link took and has not answered.
const UNANSWERED_MAX: usize = 256;
/// Events of a link that are under way at the same time.
pub(super) const UNDER_WAY_MAX: usize = 256;
/// Outcomes of events that a link has not taken out of its mailbox.
pub(super) const UNTOLD_MAX: usize = 1024;

/// Another instance of the adapter asks the link.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) payload: Vec<u8>,
    pub(super) reply: oneshot::Sender<Result<Vec<u8>, CallError>>,
}

/// What comes out of the mailbox.
#[derive(Debug)]
pub(super) enum Happening {
    Frame(u32, Frame),
    Closed(u32, u16, String),
    Call(u32, Vec<u8>),
    Emitted(u32, Emitted),
    Stop,
    Quiet,
}

/// A socket, until its end was told.
struct Held {
    send: mpsc::Sender<(Frame, Vec<Placement>)>,
    receive: mpsc::Receiver<Result<Frame, (u16, String)>>,
    /// None: the guest closed it already.
    close: Option<oneshot::Sender<(u16, String)>>,
}

pub(super) struct LinkState {
    pub(super) host: Arc<dyn LinkHost>,
    stop: CancellationToken,
    told_to_stop: bool,
    mailbox: mpsc::Receiver<Question>,
    unanswered: HashMap<u32, oneshot::Sender<Result<Vec<u8>, CallError>>>,
    last_call: u32,
    under_way: FuturesUnordered<BoxFuture<'static, (u32, Emitted)>>,
    untold: VecDeque<(u32, Emitted)>,
    last_event: u32,
    sockets: BTreeMap<u32, Held>,
    last_socket: u32,
    /// The socket that spoke last: the others are heard first.
    heard: u32,
    /// Since when log lines are counted.
    pub(super) log_since: Instant,
}

impl LinkState {
    pub(super) fn new(host: Arc<dyn LinkHost>, stop: CancellationToken, mailbox: mpsc::Receiver<Question>) -> Self {
        Self {
            host,
            stop,
            told_to_stop: false,
            mailbox,
            unanswered: HashMap::new(),
            last_call: 0,
            under_way: FuturesUnordered::new(),
            untold: VecDeque::new(),
            last_event: 0,
            sockets: BTreeMap::new(),
            last_socket: 0,
            heard: 0,
            log_since: Instant::now(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.sockets.len() >= SOCKETS_MAX
    }

    pub(super) fn add(&mut self, socket: Socket) -> u32 {
        self.last_socket += 1;
        let held = Held {
            send: socket.send,
            receive: socket.receive,
            close: Some(socket.close),
        };
        self.sockets.insert(self.last_socket, held);
        self.last_socket
    }

    /// Where frames for a socket go; none once the guest closed it.
    pub(super) fn sender(&self, id: u32) -> Option<mpsc::Sender<(Frame, Vec<Placement>)>> {
        self.sockets
            .get(&id)
            .filter(|held| held.close.is_some())
            .map(|held| held.send.clone())
    }

    pub(super) fn answer(&mut self, call: u32, outcome: Result<Vec<u8>, CallError>) {
        if let Some(reply) = self.unanswered.remove(&call) {
            // Whoever asked may have gone.
            let _ = reply.send(outcome);
        }
    }

    /// Hands an event over; the number names it until `Emitted`. None: too many outcomes wait to be taken out.
    /// Waits while too many events are under way, and for a place in the bot's line. Not cancel safe: an event that
    /// was handed over is forgotten.
    pub(super) async fn emit(&mut self, event: Event, within: Duration) -> Option<u32> {
        while self.under_way.len() >= UNDER_WAY_MAX && self.untold.len() < UNTOLD_MAX {
            if let Some(emitted) = self.under_way.next().await {
                self.untold.push_back(emitted);
            }
        }
        if self.untold.len() >= UNTOLD_MAX {
            return None;
        }
        let outcome = self.host.emit(event, within).await;
        self.last_event += 1;
        let id = self.last_event;
        self.under_way.push(Box::pin(async move { (id, outcome.await) }));
        Some(id)
    }

    /// The next happening, or `Quiet` when nothing came in time. Cancel safe: what was not returned is still there.
    pub(super) async fn next(&mut self, within: Duration) -> Happening {
        self.unanswered.retain(|_, reply| !reply.is_closed());
        let stop = self.stop.clone();
        let mut stopped = pin!(stop.cancelled());
        let mut late = pin!(tokio::time::sleep(within));
        poll_fn(|context| {
            // To stop comes first, once: a busy socket must not keep the host from ending.
            if !self.told_to_stop && stopped.as_mut().poll(context).is_ready() {
                self.told_to_stop = true;
                return Poll::Ready(Happening::Stop);
            }
            // Then those who wait for an answer, so that a flood of frames does not starve them.
            while self.unanswered.len() < UNANSWERED_MAX
                && let Poll::Ready(Some(question)) = self.mailbox.poll_recv(context)
            {
                if question.reply.is_closed() {
                    // Whoever asked has given up: it must not be done behind their back.
                    continue;
                }
                self.last_call += 1;
                self.unanswered.insert(self.last_call, question.reply);
                return Poll::Ready(Happening::Call(self.last_call, question.payload));
            }
            // Then what became of events: vendors wait for it.
            if let Some((id, emitted)) = self.untold.pop_front() {
                return Poll::Ready(Happening::Emitted(id, emitted));
            }
            if let Poll::Ready(Some((id, emitted))) = self.under_way.poll_next_unpin(context) {
                return Poll::Ready(Happening::Emitted(id, emitted));
            }
            // Then the sockets, beginning behind the one that spoke last.
            let ids: Vec<u32> = self
                .sockets
                .range(self.heard + 1..)
                .chain(self.sockets.range(..=self.heard))
                .map(|(id, _)| *id)
                .collect();
            for id in ids {
                let Some(socket) = self.sockets.get_mut(&id) else {
                    continue;
                };
                let Poll::Ready(brought) = socket.receive.poll_recv(context) else {
                    continue;
                };
                self.heard = id;
                return Poll::Ready(match brought {
                    Some(Ok(frame)) => Happening::Frame(id, frame),
                    Some(Err((code, reason))) => {
                        self.sockets.remove(&id);
                        Happening::Closed(id, code, reason)
                    }
                    None => {
                        self.sockets.remove(&id);
                        Happening::Closed(id, 1006, String::new())
                    }
                });
            }
            late.as_mut().poll(context).map(|()| Happening::Quiet)
        })
        .await
    }

    /// Asks for a socket's end; `Closed` comes when it has ended.
    pub(super) fn close(&mut self, id: u32, code: u16, reason: &str) {
        if let Some(close) = self.sockets.get_mut(&id).and_then(|held| held.close.take()) {
            // It may have ended by itself.
            let _ = close.send((code, reason.to_owned()));
        }
    }
}
