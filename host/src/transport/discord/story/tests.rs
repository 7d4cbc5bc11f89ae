//! Events whose place Discord must be asked for, and what comes behind them.

use serde_json::json;

use super::super::tests::{Asked, Yard, yard};
use super::*;

const THREAD: &str = r#"{"id":"7","type":11,"parent_id":"5"}"#;

struct Told {
    tell: mpsc::Sender<super::Told>,
    progress: watch::Receiver<Progress>,
}

/// A story that runs.
fn begin(yard: &Yard) -> Told {
    let (progress, heard) = watch::channel(Progress::default());
    let (tell, told) = mpsc::channel(16);
    let story = Story {
        gateway: Arc::clone(&yard.gateway),
        shard: 0,
        shards: 1,
        progress,
        words: TaskTracker::new(),
        last: None,
        pressed: None,
    };
    tokio::spawn(story.run(told));
    Told { tell, progress: heard }
}

impl Told {
    async fn dispatch(&self, epoch: u64, seq: u64, name: &str, data: &Value) {
        let dispatch = Dispatch {
            epoch,
            seq,
            name: name.to_owned(),
            frame: json!({ "op": 0, "s": seq, "t": name, "d": data }).to_string(),
            came: Instant::now(),
        };
        self.tell.send(super::Told::Dispatch(dispatch)).await.expect("it runs");
    }

    async fn say(&self, epoch: u64, seq: u64) {
        let said = json!({ "id": seq.to_string(), "guild_id": "1", "channel_id": "7", "content": "x" });
        self.dispatch(epoch, seq, "MESSAGE_CREATE", &said).await;
    }
}

impl Yard {
    async fn asked(&mut self, what: &str) -> Asked {
        let asked = self.asked.recv().await.expect("a request");
        assert_eq!(asked.what, what);
        asked
    }

    /// The next event, which is stored: its name and headers.
    async fn event(&mut self) -> (String, Vec<(String, String)>) {
        let (event, outcome) = self.events.recv().await.expect("an event");
        let answer = Answer {
            status: 200,
            headers: Vec::new(),
            body: br#"{"type":7}"#.to_vec(),
        };
        outcome.send(Accepted::Stored(Some(answer))).expect("awaited");
        (event.name, event.headers)
    }
}

fn answer(asked: Asked, status: u16, body: &str) {
    asked.answer.send((status, body.to_owned())).expect("awaited");
}

fn parent(headers: &[(String, String)]) -> Option<&str> {
    let found = headers.iter().find(|(name, _)| name == "botyard-thread-parent");
    found.map(|(_, value)| value.as_str())
}

#[tokio::test]
async fn interactions_do_not_wait_for_what_discord_is_asked_about_others() {
    let mut yard = yard().await;
    let told = begin(&yard);
    told.say(1, 1).await;
    let place = yard.asked("GET /channels/7").await;
    told.say(1, 2).await;
    let press = json!({ "id": "30", "token": "t", "type": 3 });
    told.dispatch(1, 3, "INTERACTION_CREATE", &press).await;
    assert_eq!(yard.event().await.0, "INTERACTION_CREATE");
    let word = yard.asked("POST /interactions/30/t/callback").await;
    assert_eq!(word.body, json!({ "type": 7 }), "the adapter's word");
    answer(word, 204, "");
    answer(place, 200, THREAD);
    for seq in ["1", "2"] {
        let (name, headers) = yard.event().await;
        assert_eq!((name.as_str(), parent(&headers)), ("MESSAGE_CREATE", Some("5")));
        let sequence = headers.iter().find(|(name, _)| name == "botyard-sequence");
        assert_eq!(
            sequence.map(|(_, value)| value.as_str()),
            Some(format!(":{seq}").as_str())
        );
    }
}

#[tokio::test]
async fn message_whose_place_discord_does_not_say_is_told_again() {
    for (status, body) in [(404, "<html>"), (403, "{}"), (400, "{}")] {
        let mut yard = yard().await;
        let mut told = begin(&yard);
        told.say(1, 1).await;
        told.say(1, 2).await;
        for _ in 0..3 {
            answer(yard.asked("GET /channels/7").await, status, body);
        }
        tokio::select! {
            failed = told.progress.wait_for(|progress| progress.failed == Some(1)) => drop(failed.expect("it runs")),
            event = yard.events.recv() => panic!("{status}: {event:?}"),
        }
        assert!(
            yard.events.try_recv().is_err(),
            "{status}: neither it nor what came behind it"
        );
        // Told again, it is asked again.
        told.say(2, 1).await;
        told.say(2, 2).await;
        answer(yard.asked("GET /channels/7").await, 200, THREAD);
        for _ in 0..2 {
            assert_eq!(parent(&yard.event().await.1), Some("5"), "{status}");
        }
    }
}

#[tokio::test]
async fn busy_discord_is_asked_again_and_the_connection_stays() {
    let mut yard = yard().await;
    let told = begin(&yard);
    told.say(1, 1).await;
    answer(yard.asked("GET /channels/7").await, 500, "{}");
    let asked = Instant::now();
    answer(yard.asked("GET /channels/7").await, 429, r#"{"retry_after":0.9}"#);
    answer(yard.asked("GET /channels/7").await, 200, THREAD);
    assert!(asked.elapsed() >= Duration::from_millis(900), "{:?}", asked.elapsed());
    assert_eq!(parent(&yard.event().await.1), Some("5"));
    assert_eq!(told.progress.borrow().failed, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interactions_keep_their_order() {
    let mut yard = yard().await;
    let told = begin(&yard);
    let press = |seq: u64| json!({ "id": seq.to_string(), "token": "t", "type": 3 });
    let presses = async {
        for seq in 1..=100 {
            told.dispatch(1, seq, "INTERACTION_CREATE", &press(seq)).await;
        }
    };
    let heard = async {
        for seq in 1..=100 {
            let (event, outcome) = yard.events.recv().await.expect("an event");
            let sequence = ("botyard-sequence".to_owned(), format!(":{seq}"));
            assert_eq!(event.headers, [sequence]);
            outcome.send(Accepted::Stored(None)).expect("awaited");
        }
    };
    let answers = async {
        while let Some(asked) = yard.asked.recv().await {
            answer(asked, 204, "");
        }
    };
    tokio::select! {
        ((), ()) = futures_util::future::join(presses, heard) => {}
        () = answers => panic!("the yard ended"),
    }
}

#[tokio::test]
async fn question_that_discord_leaves_open_holds_the_line_for_a_bounded_time() {
    let mut yard = yard().await;
    let mut told = begin(&yard);
    told.say(1, 1).await;
    let begun = Instant::now();
    let mut unanswered = vec![yard.asked("GET /channels/7").await];
    tokio::time::pause();
    tokio::select! {
        failed = told.progress.wait_for(|progress| progress.failed == Some(1)) => drop(failed.expect("it runs")),
        () = async { while let Some(asked) = yard.asked.recv().await { unanswered.push(asked) } } => panic!("the yard ended"),
    }
    assert!(begun.elapsed() <= Duration::from_secs(21), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn interactions_do_not_wait_behind_a_full_line() {
    let mut yard = yard().await;
    let mut told = begin(&yard);
    let session = Session {
        id: "s".to_owned(),
        url: String::new(),
        seq: 0,
    };
    told.tell.send(super::Told::Begun(1, session)).await.expect("it runs");
    let said = u64::try_from(OPEN).expect("small") + 20;
    for seq in 1..=said {
        told.say(1, seq).await;
    }
    let place = yard.asked("GET /channels/7").await;
    let press = json!({ "id": "30", "token": "t", "type": 3 });
    told.dispatch(1, said + 1, "INTERACTION_CREATE", &press).await;
    let first = tokio::time::timeout(Duration::from_secs(5), yard.event()).await;
    assert_eq!(first.expect("at once").0, "INTERACTION_CREATE");
    answer(yard.asked("POST /interactions/30/t/callback").await, 204, "");
    let heard = |progress: &Progress| progress.session.as_ref().map(|session| session.seq);
    assert_eq!(
        heard(&told.progress.borrow()),
        Some(0),
        "what came before it is not stored"
    );
    answer(place, 200, THREAD);
    for _ in 0..said {
        assert_eq!(yard.event().await.0, "MESSAGE_CREATE");
    }
    let all = told.progress.wait_for(|progress| heard(progress) == Some(said + 1));
    drop(all.await.expect("it runs"));
}

#[tokio::test]
async fn channel_that_discord_does_not_show_is_asked_about_once() {
    for (status, code) in [(404, 10003), (403, 50001), (400, 50035)] {
        let mut yard = yard().await;
        let told = begin(&yard);
        told.say(1, 1).await;
        let body = json!({ "message": "no", "code": code }).to_string();
        answer(yard.asked("GET /channels/7").await, status, &body);
        assert_eq!(parent(&yard.event().await.1), None);
        told.say(1, 2).await;
        assert_eq!(parent(&yard.event().await.1), None);
        assert!(yard.asked.try_recv().is_err());
    }
}
