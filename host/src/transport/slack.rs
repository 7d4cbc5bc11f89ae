//! Slack: Socket Mode.
//!
//! slack-morphism asks Slack where to connect ([`open`]); the sockets are held here ([`line`]), because its own
//! manager closes the old socket before it opens the new one, waits for each acknowledgement in the loop that reads,
//! tells nobody why Slack refuses, and dials past the operator's proxy and certificates. Frames reach the adapter as
//! they came: an event's name is the envelope's type, its payload the whole frame.
//!
//! An envelope is acknowledged when it is stored, from a task of its own: a word that takes its time (a form's
//! problems, a command's whisper) is written into the acknowledgement later, while the socket is read on. What could
//! not be stored is not acknowledged, and Slack sends it again.

mod line;
mod open;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Connected, Managed};
use crate::chat::{Health, now};
use crate::outbox::BoxFuture;
use line::{Line, News};
use open::{Failure, Opened, Opener};

/// The option of the manifest that names the app token's secret.
const TOKEN: &str = "token";
/// Between two tries, at first and at last. `apps.connections.open` is tier 1: once a minute, with bursts.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// What only the operator can mend is tried again this often: it may have been mended on Slack's pages.
const REFUSED: Duration = Duration::from_secs(60);
/// A connection that lived so long was a good one.
const GOOD: Duration = Duration::from_secs(30);
/// Sockets have so long to say goodbye when the host stops.
const GOODBYE: Duration = Duration::from_secs(2);

/// Holds a connection until `managed.stop`.
pub async fn run(managed: Managed) {
    let Managed {
        options,
        secrets,
        api_base,
        outlet,
        inlet,
        stop,
        ..
    } = managed;
    let name = options.get(TOKEN).map_or("app_token", String::as_str);
    let Some(token) = secrets.get(name) else {
        let why = format!("Socket Mode needs the secret `{name}`");
        return inlet.report(Health::Refused { why });
    };
    let opener = Opener::new(&api_base, token.reveal(), Arc::new(outlet));
    keep(opener, inlet, stop).await;
}

async fn keep(opener: Opener, inlet: Arc<dyn Connected>, stop: CancellationToken) {
    let (tell, news) = mpsc::channel(16);
    let keeper = Keeper {
        opener: Arc::new(opener),
        inlet,
        stop,
        tell,
        tasks: TaskTracker::new(),
        lines: BTreeMap::new(),
        current: None,
        last: 0,
        pause: PAUSES.0,
        due: Instant::now(),
        live: false,
    };
    keeper.run(news).await;
}

/// A socket that is open.
struct Held {
    /// It will be closed by Slack soon, or another has taken its place.
    retire: CancellationToken,
    /// Slack's hello was heard then.
    greeted: Option<Instant>,
}

impl Held {
    fn is_good(&self) -> bool {
        self.greeted.is_some_and(|since| since.elapsed() >= GOOD)
    }
}

/// Keeps one socket, and two while one follows the other.
struct Keeper {
    opener: Arc<Opener>,
    inlet: Arc<dyn Connected>,
    stop: CancellationToken,
    tell: mpsc::Sender<(u64, News)>,
    tasks: TaskTracker,
    lines: BTreeMap<u64, Held>,
    /// The socket that is to stay.
    current: Option<u64>,
    last: u64,
    pause: Duration,
    /// When to open the next one, if none is to stay.
    due: Instant,
    /// What was reported last was that it is live.
    live: bool,
}

impl Keeper {
    async fn run(mut self, mut news: mpsc::Receiver<(u64, News)>) {
        self.report(Health::Connecting);
        let mut opening: Option<BoxFuture<'static, Result<Opened, Failure>>> = None;
        loop {
            let wanted = self.current.is_none() && opening.is_none();
            // Stopping comes first; what happened to sockets before a new one.
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some((line, what)) = news.recv() => self.heard(line, what),
                opened = async { opening.as_mut().expect("checked").await }, if opening.is_some() => {
                    opening = None;
                    match opened {
                        Ok(opened) => self.hold(opened),
                        Err(failure) => self.failed(failure),
                    }
                }
                () = sleep_until(self.due), if wanted => {
                    let opener = Arc::clone(&self.opener);
                    opening = Some(Box::pin(async move { opener.open().await }));
                }
            }
        }
        // Every socket hears of the end by the same token; their news has no reader any more.
        drop(news);
        self.tasks.close();
        let _ = timeout(GOODBYE, self.tasks.wait()).await;
    }

    fn hold(&mut self, opened: Opened) {
        self.last += 1;
        let retire = CancellationToken::new();
        let line = Line {
            id: self.last,
            inlet: Arc::clone(&self.inlet),
            tell: self.tell.clone(),
            retire: retire.clone(),
            stop: self.stop.clone(),
        };
        self.tasks.spawn(line.run(opened));
        self.lines.insert(self.last, Held { retire, greeted: None });
        self.current = Some(self.last);
    }

    fn heard(&mut self, line: u64, what: News) {
        match what {
            News::Hello => {
                if let Some(held) = self.lines.get_mut(&line) {
                    held.greeted = Some(Instant::now());
                }
                // Only now may the one before it go.
                for (_, held) in self.lines.iter().filter(|(id, _)| **id < line) {
                    held.retire.cancel();
                }
                self.report(Health::Live);
            }
            News::Leaving => {
                if self.lines.get(&line).is_some_and(Held::is_good) {
                    self.pause = PAUSES.0;
                }
                if self.current == Some(line) {
                    self.current = None;
                    self.due = Instant::now();
                }
            }
            News::SwitchedOff => {
                self.current = None;
                self.due = Instant::now() + REFUSED;
                let why = "Socket Mode is switched off: switch it on on your app's page, Socket Mode".to_owned();
                self.report(Health::Refused { why });
            }
            News::Ended(why) => self.ended(line, why),
        }
    }

    fn ended(&mut self, line: u64, why: String) {
        let good = self.lines.remove(&line).is_some_and(|held| held.is_good());
        if self.current == Some(line) {
            self.current = None;
            // A good connection that is cut is opened again at once.
            let pause = if good {
                self.pause = PAUSES.0;
                Duration::ZERO
            } else {
                self.next_pause()
            };
            self.retry(why, pause);
        } else if self.live && !self.lines.values().any(|held| held.greeted.is_some()) {
            self.report(Health::Connecting);
        }
    }

    fn failed(&mut self, failure: Failure) {
        match failure {
            Failure::Retry { why, after } => {
                let pause = self.next_pause().max(after.unwrap_or_default());
                self.retry(why, pause);
            }
            Failure::Refused(why) => {
                self.due = Instant::now() + REFUSED;
                if !self.served() {
                    self.report(Health::Refused { why });
                }
            }
        }
    }

    fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSES.1);
        pause
    }

    fn retry(&mut self, why: String, pause: Duration) {
        self.due = Instant::now() + pause;
        if !self.served() {
            let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
            let retry_at = Some(now().saturating_add(pause));
            self.report(Health::Degraded { why, retry_at });
        }
    }

    /// Some socket still brings events.
    fn served(&self) -> bool {
        self.lines.values().any(|held| held.greeted.is_some())
    }

    fn report(&mut self, health: Health) {
        self.live = health == Health::Live;
        self.inlet.report(health);
    }
}

#[cfg(test)]
mod tests;
