//! `socket`, `events` and `link-call`: a long connection of the adapter's own, and the way to it.

use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use crate::chat::{self, CallError, Health};
use crate::egress::{Frame, OpenError};
use crate::plugin::link::{Happening, Question, SOCKETS_MAX};
use crate::plugin::sandbox::{Service, State};
use crate::plugin::v1::events::{self, Health as WitHealth};
use crate::plugin::v1::manifest_wit::Placement;
use crate::plugin::v1::socket::{self as wit, Closed};
use crate::plugin::v1::types::{Error, Event};
use crate::plugin::v1::{from_guest, link_call, manifest, to_guest};

/// Longest that a guest may ask a link to be waited for.
const CALL_MAX: Duration = Duration::from_secs(60);
/// Longest that an event's answer may be waited for.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const DETAIL_MAX: usize = 400;

fn rejected(text: impl Into<String>) -> Error {
    Error::Rejected(text.into())
}

impl wit::Host for State {
    async fn open(&mut self, opening: wit::Opening) -> wasmtime::Result<Result<u32, wit::OpenError>> {
        let bound = match self.granted(Service::Socket) {
            Ok(bound) => bound,
            Err(error) => return Ok(Err(wit::OpenError::Failed(error))),
        };
        if self.link.as_ref().is_none_or(|link| link.is_full()) {
            let text = format!("a link holds {SOCKETS_MAX} sockets at most");
            return Ok(Err(wit::OpenError::Failed(rejected(text))));
        }
        let opening = from_guest::opening(opening);
        let opened = self.waiting(async { bound.outlet.open(opening).await }).await;
        Ok(match opened {
            Ok(socket) => match &mut self.link {
                Some(link) => Ok(link.add(socket)),
                None => Err(wit::OpenError::Failed(rejected("no link runs"))),
            },
            Err(OpenError::Refused { status, headers }) => {
                Err(wit::OpenError::Refused(wit::Handshake { status, headers }))
            }
            Err(OpenError::Failed(error)) => Err(wit::OpenError::Failed(to_guest::error(error))),
        })
    }

    async fn send(
        &mut self,
        socket: u32,
        frame: wit::Frame,
        secrets: Vec<Placement>,
    ) -> wasmtime::Result<Result<(), Error>> {
        if let Err(error) = self.granted(Service::Socket) {
            return Ok(Err(error));
        }
        let gone = || Error::Gone(format!("the socket {socket} is closed"));
        let Some(send) = self.link.as_ref().and_then(|link| link.sender(socket)) else {
            return Ok(Err(gone()));
        };
        let frame = from_guest::frame(frame);
        let secrets = secrets.into_iter().map(manifest::placement).collect();
        let sent = self.waiting(async { send.send((frame, secrets)).await }).await;
        Ok(sent.map_err(|_| gone()))
    }

    async fn close(&mut self, socket: u32, code: u16, reason: String) -> wasmtime::Result<()> {
        if self.granted(Service::Socket).is_ok()
            && let Some(link) = &mut self.link
        {
            link.close(socket, code, &reason);
        }
        Ok(())
    }
}

impl events::Host for State {
    async fn next(&mut self, timeout_ms: u32) -> wasmtime::Result<events::Happening> {
        if self.granted(Service::Events).is_err() {
            return Ok(events::Happening::Stop);
        }
        let Some(link) = &mut self.link else {
            return Ok(events::Happening::Stop);
        };
        self.budget.pause();
        let happening = link.next(Duration::from_millis(timeout_ms.into())).await;
        // What came is worth the guest's time, and so is what it waited for. A guest that asks again and again
        // without waiting keeps its budget.
        if !matches!(happening, Happening::Quiet) || timeout_ms >= 10 {
            self.budget.renew();
            self.output_left = self.limits.output_bytes;
        }
        self.budget.resume();
        if matches!(happening, Happening::Frame(..)) {
            link.host.heard();
        }
        Ok(match happening {
            Happening::Frame(socket, Frame::Text(text)) => events::Happening::Frame((socket, wit::Frame::Text(text))),
            Happening::Frame(socket, Frame::Binary(bytes)) => {
                events::Happening::Frame((socket, wit::Frame::Binary(bytes)))
            }
            Happening::Closed(socket, code, reason) => events::Happening::Closed((socket, Closed { code, reason })),
            Happening::Call(id, payload) => events::Happening::Call(events::Call { id, payload }),
            Happening::Emitted(id, emitted) => {
                let emitted = emitted
                    .map(|answer| answer.map(to_guest::answer))
                    .map_err(to_guest::error);
                events::Happening::Emitted((id, emitted))
            }
            Happening::Stop => events::Happening::Stop,
            Happening::Quiet => events::Happening::Quiet,
        })
    }

    async fn emit(&mut self, event: Event, answer_within_ms: u32) -> wasmtime::Result<Result<u32, Error>> {
        self.spend(event.payload.len())?;
        if let Err(error) = self.granted(Service::Events) {
            return Ok(Err(error));
        }
        let Some(link) = &mut self.link else {
            return Ok(Err(rejected("no link runs")));
        };
        let event = from_guest::event(event, chat::now());
        let within = Duration::from_millis(answer_within_ms.into()).min(ANSWER_MAX);
        self.budget.pause();
        let emitted = link.emit(event, within).await;
        self.budget.resume();
        Ok(emitted.ok_or(Error::RateLimited(None)))
    }

    async fn reply(&mut self, call: u32, outcome: Result<Vec<u8>, Error>) -> wasmtime::Result<()> {
        if self.granted(Service::Events).is_ok()
            && let Some(link) = &mut self.link
        {
            link.answer(call, outcome.map_err(from_guest::error));
        }
        Ok(())
    }

    async fn report(&mut self, health: WitHealth, detail: String, retry_ms: Option<u32>) -> wasmtime::Result<()> {
        let Ok(bound) = self.granted(Service::Events) else {
            return Ok(());
        };
        let Some(link) = &self.link else { return Ok(()) };
        let detail = bound.outlet.redact(&from_guest::cut(detail, DETAIL_MAX));
        link.host.report(match health {
            WitHealth::Connecting => Health::Connecting,
            WitHealth::Live => Health::Live,
            WitHealth::Degraded => Health::Degraded {
                why: detail,
                retry_at: retry_ms.map(|ms| chat::now().saturating_add(ms.into())),
            },
            WitHealth::Refused => Health::Refused { why: detail },
        });
        Ok(())
    }
}

impl link_call::Host for State {
    async fn call(&mut self, payload: Vec<u8>, timeout_ms: u32) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        self.spend(payload.len())?;
        let bound = match self.granted(Service::LinkCall) {
            Ok(bound) => bound,
            Err(error) => return Ok(Err(error)),
        };
        let unavailable = |text: &str| Error::Unavailable(text.to_owned());
        let Some(mailbox) = bound.running_link() else {
            return Ok(Err(unavailable("no link runs")));
        };
        let (reply, answered) = oneshot::channel();
        match mailbox.try_send(Question { payload, reply }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Ok(Err(unavailable("the link has too much to do"))),
            Err(TrySendError::Closed(_)) => return Ok(Err(unavailable("no link runs"))),
        }
        drop(mailbox);
        let within = Duration::from_millis(timeout_ms.into()).min(CALL_MAX);
        let answer = self.waiting(tokio::time::timeout(within, answered)).await;
        Ok(match answer {
            Ok(Ok(outcome)) => outcome.map_err(to_guest::error),
            // It took the question: what it did of it nobody knows.
            Ok(Err(_)) => Err(to_guest::error(CallError::Ambiguous(
                "the link ended before it answered".to_owned(),
            ))),
            Err(_) => Err(to_guest::error(CallError::Ambiguous(
                "the link did not answer in time".to_owned(),
            ))),
        })
    }
}
