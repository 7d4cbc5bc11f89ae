//! What is on disk after each step of a run, and that none is done twice.

use std::collections::BTreeSet;

use super::record::{begin_step, go_on_in, run_now};
use super::runs_of;
use crate::chat::{InboxId, Item, Part, RouteStep, TurnId, View, ViewState, What};
use crate::store::conformance::sample::{bot, run_row, turn_row, view};
use crate::store::{Journal, RunRow, TurnState};

struct Desk {
    journal: Journal,
    folder: tempfile::TempDir,
}

impl Desk {
    /// With a run of these steps that has begun; what was given out.
    async fn new(steps: &[&[&str]]) -> (Self, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("store.sqlite")).unwrap();
        let steps = steps.iter().map(|to| RouteStep {
            to: to.iter().map(|&to| to.to_owned()).collect(),
            say: None,
        });
        let mut row = RunRow {
            steps: steps.collect(),
            parts: Vec::new(),
            ..run_row(1000)
        };
        let items = journal.write(move |store| {
            let items = begin_step(store, &mut row)?;
            // The host ended before it could say that it had done so.
            assert_eq!(begin_step(store, &mut row)?, []);
            store.run_put(&row, 1)?;
            Ok(items)
        });
        let items = named(items.await.unwrap());
        let desk = Self { journal, folder };
        (desk, items)
    }

    async fn run(&self) -> RunRow {
        let run = self.journal.read(|store| store.run_get(InboxId(1000))).await;
        run.unwrap().unwrap()
    }

    /// This agent's turn stands so; its text, if it is done.
    async fn turn(&self, agent: &str, state: ViewState, text: &str) {
        let run = self.run().await;
        let part = run.parts.iter().find(|part| part.agent == agent).unwrap();
        let done = state.is_final();
        let shown = View {
            blocks: View::single(Part::Text(text.to_owned())).blocks,
            ..view("t", 1, state)
        };
        let turn = crate::store::TurnRow {
            inbox: Some(part.item),
            view: Some(shown),
            ..turn_row(agent, if done { TurnState::Done } else { TurnState::Running }, 1)
        };
        self.journal.write(move |store| store.turn_put(&turn)).await.unwrap();
    }

    /// What is given out, and whether a last word is said.
    async fn go_on(&self) -> (Vec<String>, bool) {
        let done = self
            .journal
            .write(|store| go_on_in(store, InboxId(1000)))
            .await
            .unwrap();
        (named(done.items), done.word.is_some())
    }

    async fn open(&self) -> bool {
        let open = self.journal.read(|store| store.runs_open(&bot())).await.unwrap();
        !open.is_empty()
    }
}

fn named(items: Vec<(InboxId, Item)>) -> Vec<String> {
    let name = |item: Item| match item.what {
        What::Routed(routed) => format!("{} {}", routed.step, routed.agent),
        other => panic!("{other:?}"),
    };
    items.into_iter().map(|(_, item)| name(item)).collect()
}

#[tokio::test]
async fn every_step_is_given_out_once_however_often_it_is_looked_at() {
    let (desk, items) = Desk::new(&[&["coder"], &["reviewer", "tester"], &["coder"]]).await;
    assert_eq!(items, ["0 coder"]);
    let nothing = (Vec::new(), false);
    assert_eq!(desk.go_on().await, nothing);
    desk.turn("coder", ViewState::Running, "half").await;
    assert_eq!(desk.go_on().await, nothing);
    desk.turn("coder", ViewState::Done, "@tester done").await;
    let both = vec!["1 reviewer".to_owned(), "1 tester".to_owned()];
    assert_eq!(desk.go_on().await, (both, false));
    assert_eq!(desk.go_on().await, nothing);
    assert_eq!(desk.run().await.text, "@tester done\n\n<what was asked>\nhello");
    desk.turn("reviewer", ViewState::Failed("It died.".to_owned()), "")
        .await;
    assert_eq!(desk.go_on().await, nothing);
    desk.turn("tester", ViewState::Done, "fine").await;
    assert_eq!(desk.go_on().await, (vec!["2 coder".to_owned()], false));
    assert!(desk.run().await.text.contains("<reviewer did not answer: It died>"));
    desk.turn("coder", ViewState::Done, "all").await;
    assert_eq!(desk.go_on().await, (Vec::new(), true));
    assert!(!desk.open().await);
    assert_eq!(desk.go_on().await, nothing);
}

#[tokio::test]
async fn run_that_is_stopped_gives_nothing_more_out() {
    let (desk, _) = Desk::new(&[&["coder"], &["reviewer"]]).await;
    let mut run = desk.run().await;
    run.stopped = true;
    desk.journal.write(move |store| store.run_put(&run, 1)).await.unwrap();
    desk.turn("coder", ViewState::Done, "done all the same").await;
    assert_eq!(desk.go_on().await, (Vec::new(), true));
    assert!(!desk.open().await);
}

#[tokio::test]
async fn what_follows_is_said_where_the_turn_went_to_live() {
    let (desk, _) = Desk::new(&[&["coder"], &["reviewer"]]).await;
    desk.turn("coder", ViewState::Done, "done").await;
    let to = crate::chat::Conversation {
        thread: Some("T9".to_owned()),
        ..desk.run().await.target.conversation
    };
    let (home, turn) = (to.clone(), TurnId::from("coder"));
    let moved = desk.journal.write(move |store| store.turn_moved(&bot(), &turn, &home));
    moved.await.unwrap();
    desk.go_on().await;
    assert_eq!(desk.run().await.target.conversation, to);
    // Also where that is known only after the next step began.
    let later = crate::chat::Conversation {
        thread: Some("T10".to_owned()),
        ..to
    };
    let (home, turn) = (later.clone(), TurnId::from("coder"));
    let moved = desk.journal.write(move |store| store.turn_moved(&bot(), &turn, &home));
    moved.await.unwrap();
    let now = desk.journal.read(|store| run_now(store, InboxId(1000))).await.unwrap();
    assert_eq!(now.unwrap().target.conversation, later);
}

#[tokio::test]
async fn run_that_is_over_keeps_nothing_of_what_was_said() {
    let (desk, _) = Desk::new(&[&["coder"], &["reviewer", "tester"]]).await;
    desk.turn("coder", ViewState::Done, "the needle").await;
    desk.go_on().await;
    desk.turn("reviewer", ViewState::Done, "a needle").await;
    desk.turn("tester", ViewState::Failed("no needle".to_owned()), "").await;
    assert!(format!("{:?}", desk.run().await).contains("needle"));
    assert_eq!(desk.go_on().await, (Vec::new(), true));
    let run = format!("{:?}", desk.run().await);
    assert!(!run.contains("needle") && !run.contains("hello"), "{run}");
}

#[tokio::test]
async fn part_whose_item_is_damaged_is_still_its_runs() {
    let (desk, _) = Desk::new(&[&["coder", "reviewer"]]).await;
    let item = desk.run().await.parts[0].item;
    let file = rusqlite::Connection::open(desk.folder.path().join("store.sqlite")).unwrap();
    assert_eq!(
        file.execute("UPDATE inbox SET item = '{' WHERE id = ?", [item.0])
            .unwrap(),
        1
    );
    let runs = async |items: &[InboxId]| {
        let items: BTreeSet<InboxId> = items.iter().copied().collect();
        desk.journal
            .read(move |store| runs_of(store, &bot(), &items))
            .await
            .unwrap()
    };
    assert_eq!(runs(&[item]).await, [InboxId(1000)].into());
    assert_eq!(runs(&[InboxId(4000)]).await, [].into());
}
