use futures_util::poll;

use super::*;

const MB: u64 = 1 << 20;
const AGENT: &str = "claude";

fn pool(max: usize, budget: u64) -> Processes {
    let bounds = Bounds {
        max,
        budget_bytes: budget * MB,
    };
    // A process takes as many MB as its number says.
    let sizes = |pids: &[u32]| pids.iter().map(|pid| (*pid, u64::from(*pid) * MB)).collect();
    Processes::with_gauge(bounds, Arc::new(sizes))
}

/// A live process of this size in MB that has worked.
fn live(pool: &Processes, size: u32) -> Permit {
    let permit = pool.try_acquire(AGENT).expect("there is room");
    at_work(&permit, size);
    permit
}

fn at_work(permit: &Permit, size: u32) {
    permit.started(size);
    permit.works();
}

/// How many more are let in.
fn room(pool: &Processes) -> usize {
    let more: Vec<Permit> = std::iter::from_fn(|| pool.try_acquire(AGENT)).collect();
    more.len()
}

async fn granted(waiting: &mut Waiting) -> Permit {
    loop {
        if let Waited::Permit(permit) = waiting.next().await {
            return permit;
        }
    }
}

async fn is_granted(waiting: &mut Waiting) -> bool {
    while let std::task::Poll::Ready(waited) = poll!(Box::pin(waiting.next())) {
        if let Waited::Permit(_) = waited {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn longest_idle_process_gives_way() {
    let pool = pool(2, 10_000);
    let (first, second) = (live(&pool, 1), live(&pool, 1));
    let (second_gives, first_gives) = (second.idle(), first.idle());
    let mut third = pool.acquire("ann", AGENT);
    second_gives.cancelled().await;
    assert!(!first_gives.is_cancelled(), "one waits, so one gives way");
    second.leaves();
    assert!(!first_gives.is_cancelled(), "it is on its way out");
    drop(second);
    let third = granted(&mut third).await;
    assert!(pool.try_acquire(AGENT).is_none());
    drop((first, third));
    assert!(pool.try_acquire(AGENT).is_some());
}

#[tokio::test]
async fn whoever_becomes_idle_while_others_wait_gives_way_at_once() {
    let pool = pool(1, 10_000);
    let only = live(&pool, 1);
    let mut waits = pool.acquire("ann", AGENT);
    assert!(!is_granted(&mut waits).await);
    assert!(only.idle().is_cancelled());
    only.busy();
    drop(waits);
    assert!(!only.idle().is_cancelled(), "nobody waits any more");
}

#[tokio::test]
async fn memory_bounds_what_lives_as_it_is_measured() {
    let pool = pool(100, 1000);
    // Before anything is known, each counts as 256 MB.
    let unknown: Vec<Permit> = std::iter::from_fn(|| pool.try_acquire(AGENT)).collect();
    assert_eq!(unknown.len(), 3);
    // They turn out to be smaller; whoever asks has them measured first.
    unknown.iter().for_each(|permit| at_work(permit, 100));
    let mut more = vec![granted(&mut pool.acquire("ann", AGENT)).await];
    more.extend(std::iter::from_fn(|| pool.try_acquire(AGENT)));
    assert_eq!(unknown.len() + more.len(), 10, "100 MB each in 1000 MB");

    // They grow: nobody is let in, and the idle ones go until it fits, though nobody waits.
    let idle: Vec<CancellationToken> = unknown.iter().map(Permit::idle).collect();
    more.iter().for_each(|permit| at_work(permit, 120));
    pool.measure().await;
    let asked = || idle.iter().map(CancellationToken::is_cancelled).collect::<Vec<_>>();
    assert_eq!(asked(), [true, true, false], "3 x 100 + 7 x 120 is 140 MB too much");
    drop(unknown);
    assert!(pool.try_acquire(AGENT).is_some());
}

#[tokio::test]
async fn process_that_begins_counts_as_what_it_will_take() {
    let pool = pool(100, 1080);
    let works = live(&pool, 100);
    pool.measure().await;
    let begins = pool.try_acquire(AGENT).expect("there is room");
    begins.started(10);
    pool.measure().await;
    assert_eq!(room(&pool), 8, "100 MB each");
    begins.works();
    assert_eq!(room(&pool), 8, "it was measured before it worked");
    pool.measure().await;
    assert_eq!(room(&pool), 97, "10 MB each, as the smaller of two");
    drop((works, begins));
    assert_eq!(room(&pool), 100, "what is gone is remembered");
}

#[tokio::test]
async fn process_on_its_way_out_says_nothing_about_others() {
    let size = Arc::new(std::sync::atomic::AtomicU64::new(100));
    let now = Arc::clone(&size);
    let sizes = move |pids: &[u32]| {
        let bytes = now.load(Ordering::Relaxed) * MB;
        pids.iter().map(|pid| (*pid, bytes)).collect()
    };
    let bounds = Bounds {
        max: 100,
        budget_bytes: 1000 * MB,
    };
    let pool = Processes::with_gauge(bounds, Arc::new(sizes));
    let leaves = live(&pool, 1);
    pool.measure().await;
    leaves.leaves();
    // It lets go of its memory.
    size.store(1, Ordering::Relaxed);
    pool.measure().await;
    assert_eq!(room(&pool), 9, "1 MB and nine times 100 MB");
}

#[tokio::test]
async fn process_that_builds_something_large_does_not_stand_for_all() {
    let pool = pool(100, 1000);
    let _all = [live(&pool, 50), live(&pool, 50), live(&pool, 500)];
    pool.measure().await;
    assert_eq!(room(&pool), 8, "50 MB each in what is left");
}

#[tokio::test]
async fn process_that_was_larger_than_the_budget_keeps_nobody_out_when_it_is_gone() {
    let pool = pool(100, 1000);
    let large = live(&pool, 3000);
    pool.measure().await;
    assert_eq!(room(&pool), 0);
    drop(large);
    let _small = live(&pool, 100);
    pool.measure().await;
    assert_eq!(room(&pool), 9, "one that is not as large is enough");
}

#[tokio::test]
async fn what_was_measured_before_a_process_worked_is_not_taken_for_its_work() {
    let begun = Arc::new(std::sync::Barrier::new(2));
    let measuring = Arc::clone(&begun);
    let sizes = move |pids: &[u32]| {
        // Between the two it shows something.
        measuring.wait();
        measuring.wait();
        pids.iter().map(|pid| (*pid, MB)).collect()
    };
    let bounds = Bounds {
        max: 100,
        budget_bytes: 1000 * MB,
    };
    let pool = Processes::with_gauge(bounds, Arc::new(sizes));
    let begins = pool.try_acquire(AGENT).expect("there is room");
    begins.started(1);
    let measured = tokio::spawn({
        let pool = pool.clone();
        async move { pool.measure().await }
    });
    let wait = Arc::clone(&begun);
    tokio::task::spawn_blocking(move || wait.wait()).await.unwrap();
    begins.works();
    // Somebody else has it measured, which is under way already.
    pool.measure().await;
    tokio::task::spawn_blocking(move || begun.wait()).await.unwrap();
    measured.await.unwrap();
    assert_eq!(room(&pool), 2, "256 MB each: nothing is known yet");
}

#[tokio::test]
async fn process_that_is_there_only_while_it_works_counts_while_it_works() {
    let pool = pool(100, 1000);
    let working: Vec<Permit> = std::iter::from_fn(|| {
        let permit = pool.try_acquire("script")?;
        permit.started(0);
        Some(permit)
    })
    .collect();
    assert_eq!(working.len(), 3, "each as much as what is not known");
    let idle = working[0].idle();
    let another = pool.try_acquire("script").expect("there is room for its place");
    assert!(!idle.is_cancelled());
    working[0].busy();
    drop(another);
    assert!(pool.try_acquire("script").is_none(), "it works again");
}

#[tokio::test]
async fn one_process_is_always_let_in_however_large() {
    let pool = pool(4, 10);
    let large = live(&pool, 500);
    let gives = large.idle();
    pool.measure().await;
    assert!(!gives.is_cancelled(), "it has all to itself");
    assert!(pool.try_acquire(AGENT).is_none());
    drop(large);
    assert!(pool.try_acquire(AGENT).is_some());
}

#[tokio::test]
async fn people_take_turns_and_each_sees_how_many_are_before() {
    let pool = pool(1, 10_000);
    let mut holder = live(&pool, 1);
    let mut line: Vec<(&str, Waiting)> = ["ann 1", "ann 2", "ann 3", "bob 1", "eve 1", "bob 2"]
        .into_iter()
        .map(|name| (name, pool.acquire(&name[..3], AGENT)))
        .collect();
    let before = |line: &[(&str, Waiting)]| line.iter().map(|(_, waits)| waits.before()).collect::<Vec<_>>();
    assert_eq!(before(&line), [0, 3, 5, 1, 2, 4]);
    // Who gives up holds up nobody.
    line.remove(1);
    assert_eq!(before(&line), [0, 3, 1, 2, 4]);
    let mut served = Vec::new();
    while !line.is_empty() {
        let next = line
            .iter()
            .position(|(_, waits)| waits.before() == 0)
            .expect("somebody is first");
        drop(holder);
        let (name, mut waits) = line.remove(next);
        holder = granted(&mut waits).await;
        served.push(name);
    }
    assert_eq!(served, ["ann 1", "bob 1", "eve 1", "ann 3", "bob 2"]);
    assert!(pool.try_acquire(AGENT).is_none());
}

#[tokio::test]
async fn place_that_somebody_got_and_did_not_take_goes_to_the_next() {
    let pool = pool(1, 10_000);
    let holder = live(&pool, 1);
    let (mut first, mut second) = (pool.acquire("ann", AGENT), pool.acquire("bob", AGENT));
    assert!(!is_granted(&mut first).await && !is_granted(&mut second).await);
    drop(holder);
    assert!(!is_granted(&mut second).await, "it is ann's");
    drop(first);
    drop(granted(&mut second).await);
    assert!(pool.try_acquire(AGENT).is_some());
}

#[tokio::test(start_paused = true)]
async fn memory_is_measured_from_time_to_time() {
    let (pool, stop) = (pool(100, 300), CancellationToken::new());
    let _live = live(&pool, 100);
    assert!(pool.try_acquire(AGENT).is_none(), "twice 256 MB, as far as is known");
    let watching = tokio::spawn(pool.clone().watch(stop.clone()));
    sleep(SELDOM - Duration::from_secs(1)).await;
    assert!(pool.try_acquire(AGENT).is_none());
    sleep(Duration::from_secs(2)).await;
    assert!(pool.try_acquire(AGENT).is_some(), "it takes less");
    stop.cancel();
    watching.await.unwrap();
}

#[tokio::test]
async fn spare_process_is_had_where_nobody_wants_the_place_and_gives_way_first() {
    let pool = pool(3, 10_000);
    let (first, second) = (live(&pool, 1), live(&pool, 1));
    let mut spare = Box::pin(pool.spare(AGENT));
    assert!(poll!(&mut spare).is_pending(), "a place is left to those who come");
    drop(second);
    let spare = spare.await;
    let (older, newer) = (first.idle(), spare.spare());
    let second = live(&pool, 1);
    let _waits = pool.acquire("ann", AGENT);
    newer.cancelled().await;
    assert!(!older.is_cancelled(), "it was had before, but somebody has used it");
    drop(spare);
    drop(second);
}

#[tokio::test]
async fn spare_process_waits_for_memory_and_behind_people() {
    let pool = pool(100, 1000);
    let large = live(&pool, 300);
    pool.measure().await;
    let small = live(&pool, 300);
    let mut spare = Box::pin(pool.spare(AGENT));
    assert!(
        poll!(&mut spare).is_pending(),
        "300 MB twice, and twice 300 more, are too much"
    );
    let (third, mut fourth) = (live(&pool, 300), pool.acquire("ann", AGENT));
    drop(third);
    let fourth = granted(&mut fourth).await;
    assert!(poll!(&mut spare).is_pending());
    drop((fourth, small));
    drop(spare.await);
    drop(large);
}

#[tokio::test]
async fn spare_process_that_fits_is_had_though_a_larger_one_has_waited_longer() {
    let pool = pool(100, 800);
    let _large = live(&pool, 300);
    let small = pool.try_acquire("small").expect("there is room");
    at_work(&small, 10);
    pool.measure().await;
    let (mut larger, mut smaller) = (Box::pin(pool.spare(AGENT)), Box::pin(pool.spare("small")));
    assert!(poll!(&mut larger).is_pending());
    assert!(poll!(&mut smaller).is_ready());
    assert!(poll!(&mut larger).is_pending(), "there is no room for two of its kind");
}
