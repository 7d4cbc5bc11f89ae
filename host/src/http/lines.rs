//! How the bots' connections are, for the page: told at once when one changes, and from time to time what was heard.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::{BotLine, Bots};
use crate::chat::now;
use crate::transport::web::Update;

/// Between two looks at what was heard: no page needs it sooner.
const LOOK: Duration = Duration::from_secs(15);

/// What one page was told.
pub(super) struct Lines {
    bots: Arc<dyn Bots>,
    changed: watch::Receiver<u64>,
    told: Option<Vec<BotLine>>,
    /// A look is due.
    due: bool,
    looks: Interval,
}

impl Lines {
    pub(super) fn new(bots: Arc<dyn Bots>) -> Self {
        let mut looks = interval_at(Instant::now() + LOOK, LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            changed: bots.lines_changed(),
            bots,
            told: None,
            due: true,
            looks,
        }
    }

    /// All connections, once they are other than the page was told; at first at once. Cancel safe.
    pub(super) async fn next(&mut self) -> Update {
        loop {
            if std::mem::take(&mut self.due) {
                let lines = self.bots.lines();
                if self.told.as_ref() != Some(&lines) {
                    let data = json!({ "now": now(), "bots": lines }).to_string();
                    self.told = Some(lines);
                    return Update {
                        seq: None,
                        name: "lines",
                        data,
                    };
                }
            }
            // What changes before the look is seen by it, and what changes after wakes this again.
            tokio::select! {
                Ok(()) = self.changed.changed() => self.due = true,
                _ = self.looks.tick() => self.due = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::chat::{BotName, Health};
    use crate::http::{HookTarget, Readiness, WebTarget};

    struct One {
        line: Mutex<BotLine>,
        changed: watch::Sender<u64>,
    }

    impl Bots for One {
        fn hook(&self, _: &BotName) -> Option<HookTarget> {
            None
        }
        fn web(&self, _: &BotName) -> Option<WebTarget> {
            None
        }
        fn web_bots(&self) -> Vec<BotName> {
            Vec::new()
        }
        fn readiness(&self) -> Readiness {
            Readiness {
                ready: true,
                bots: 1,
                live: 1,
            }
        }
        fn lines(&self) -> Vec<BotLine> {
            vec![self.line.lock().unwrap().clone()]
        }
        fn lines_changed(&self) -> watch::Receiver<u64> {
            self.changed.subscribe()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_at_once_and_what_was_heard_in_time_and_nothing_twice() {
        let bots = Arc::new(One {
            line: Mutex::new(BotLine {
                bot: "team".into(),
                platform: "slack".into(),
                health: Health::Connecting,
                since: 5,
                heard: None,
            }),
            changed: watch::Sender::new(0),
        });
        let mut lines = Lines::new(bots.clone());
        let first = lines.next().await;
        assert_eq!((first.name, first.seq), ("lines", None));
        let told: serde_json::Value = serde_json::from_str(&first.data).unwrap();
        let line = json!([{ "bot": "team", "platform": "slack", "state": "connecting", "since": 5, "heard": null }]);
        assert_eq!(told["bots"], line);
        bots.changed.send_modify(|count| *count += 1);
        assert_eq!(lines.next().now_or_never(), None, "it is as it was");
        bots.line.lock().unwrap().health = Health::Refused { why: "no".into() };
        bots.changed.send_modify(|count| *count += 1);
        let begun = Instant::now();
        assert!(lines.next().await.data.contains(r#""state":"refused","why":"no""#));
        assert_eq!(begun.elapsed(), Duration::ZERO);
        bots.line.lock().unwrap().heard = Some(9);
        assert!(lines.next().await.data.contains(r#""heard":9"#));
        assert!(begun.elapsed() >= LOOK);
    }
}
