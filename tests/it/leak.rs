//! Of processes that came and went nothing is left: no zombie, no descriptor, no orphan. Two hundred lives in every run of
//! the suite; `BOTYARD_CYCLES=1000 cargo test --test it leak` makes them a thousand.

use std::path::Path;

use botyard::driver::Command;
use botyard_fakes::cli;
use uuid::Uuid;

use crate::left::{Left, alone};
use crate::yard::{Yard, text};

const CYCLES: usize = 200;
/// Lives at the same time.
const SIDE_BY_SIDE: usize = 4;

fn is_alive(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

/// Start, turn, hibernate, resume, turn, kill.
async fn live(yard: &mut Yard) {
    yard.session = Uuid::new_v4().to_string();
    let mut first = yard.start(false);
    let said = text(&first.turn("spawn").await);
    let orphan = said.strip_prefix("pid ").expect("it says the id").to_owned();
    assert!(is_alive(&orphan));
    first.send(Command::Close).await;
    assert_eq!(first.exit().await, None);
    assert!(!is_alive(&orphan), "what it left behind goes with it");
    let mut second = yard.start(true);
    assert_eq!(text(&second.turn("recall").await), "spawn | recall");
    let said = text(&second.turn("spawn").await);
    second.send(Command::Kill).await;
    assert_eq!(second.exit().await, None);
    assert!(!is_alive(said.strip_prefix("pid ").expect("it says the id")));
}

async fn lives(cycles: usize) {
    let line = (0..SIDE_BY_SIDE).map(|_| async move {
        let mut yard = Yard::new(&[&cli::program().display().to_string()]);
        for _ in 0..cycles.div_ceil(SIDE_BY_SIDE) {
            live(&mut yard).await;
        }
    });
    futures_util::future::join_all(line).await;
}

/// The process of the next test, so that what others open and start meanwhile is not counted.
#[test]
#[ignore = "run by `two_hundred_lives_leave_nothing_behind`"]
fn process_of_many_lives() {
    let cycles = botyard::config::variable("BOTYARD_CYCLES");
    let cycles = cycles.and_then(|count| count.to_str()?.parse().ok());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        // What is opened once and kept.
        lives(SIDE_BY_SIDE).await;
        let before = Left::at_rest().await;
        lives(cycles.unwrap_or(CYCLES)).await;
        before.comes_back().await;
    });
}

#[test]
fn two_hundred_lives_leave_nothing_behind() {
    // Built here, not while its children are counted.
    let _ = cli::program();
    alone("leak::process_of_many_lives");
}
