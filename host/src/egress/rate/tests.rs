use std::sync::Arc;

use super::*;

const S: Duration = Duration::from_secs(1);

fn buckets(rates: &[(&str, u32, u64)]) -> Arc<Buckets> {
    let rates: Vec<Rate> = rates
        .iter()
        .map(|(name, calls, seconds)| Rate {
            bucket: (*name).to_owned(),
            calls: *calls,
            per: S * *seconds as u32,
        })
        .collect();
    Arc::new(Buckets::new(&rates))
}

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(|n| (*n).to_owned()).collect()
}

/// Starts calls one after the other; what each came to, in the order in which they came back: number, result, and
/// the second.
async fn run(buckets: &Arc<Buckets>, calls: &[(&[&str], Duration)]) -> Vec<(usize, bool, u64)> {
    let start = Instant::now();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(calls.len());
    for (index, (names_of, wait)) in calls.iter().enumerate() {
        let (buckets, sender, names_of, wait) = (buckets.clone(), sender.clone(), names(names_of), *wait);
        tokio::spawn(async move {
            let went = buckets.acquire(&names_of, wait).await.is_ok();
            let _ = sender.send((index, went, start.elapsed().as_secs())).await;
        });
        tokio::task::yield_now().await;
    }
    drop(sender);
    let mut out = Vec::new();
    while let Some(one) = receiver.recv().await {
        out.push(one);
    }
    out
}

#[tokio::test(start_paused = true)]
async fn calls_go_in_order_within_the_rate() {
    let buckets = buckets(&[("post", 2, 10)]);
    let all: Vec<(&[&str], Duration)> = vec![(&["post"], S * 60); 5];
    let expected = vec![(0, true, 0), (1, true, 0), (2, true, 10), (3, true, 10), (4, true, 20)];
    assert_eq!(run(&buckets, &all).await, expected);
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_too_long_is_told_at_once_and_takes_no_place() {
    let buckets = buckets(&[("post", 1, 10)]);
    let calls: [(&[&str], Duration); 4] = [(&["post"], S), (&["post"], S), (&["post"], S * 10), (&["post"], S * 10)];
    let came = run(&buckets, &calls).await;
    assert_eq!(came, vec![(0, true, 0), (1, false, 0), (3, false, 0), (2, true, 10)]);
    assert_eq!(buckets.acquire(&names(&["post"]), S).await, Err(S * 10));
}

#[tokio::test(start_paused = true)]
async fn a_rate_stands_for_every_name_below_it_each_with_its_own_count() {
    let buckets = buckets(&[("post", 1, 10), ("post:vip", 2, 10)]);
    let calls: Vec<(&[&str], Duration)> = vec![
        (&["post:a"], Duration::ZERO),
        (&["post:b"], Duration::ZERO),
        (&["post:a"], Duration::ZERO),
        (&["post:vip"], Duration::ZERO),
        (&["post:vip"], Duration::ZERO),
        (&["post:vip"], Duration::ZERO),
        (&["poster"], Duration::ZERO),
        (&["poster"], Duration::ZERO),
    ];
    let went: Vec<bool> = run(&buckets, &calls)
        .await
        .into_iter()
        .map(|(_, went, _)| went)
        .collect();
    assert_eq!(went, [true, true, false, true, true, false, true, true]);
}

#[tokio::test(start_paused = true)]
async fn one_held_bucket_does_not_hold_others_that_share_another() {
    let buckets = buckets(&[("all", 10, 1)]);
    buckets.hold("post:a", S * 30);
    let calls: [(&[&str], Duration); 3] = [
        (&["all", "post:a"], S * 60),
        (&["all", "post:b"], S * 60),
        (&["all", "post:a"], S),
    ];
    assert_eq!(
        run(&buckets, &calls).await,
        vec![(1, true, 0), (2, false, 0), (0, true, 30)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_hold_moves_those_who_wait_and_keeps_their_order() {
    let buckets = buckets(&[("post", 1, 1)]);
    buckets.acquire(&names(&["post"]), S).await.unwrap();
    let waiting = tokio::spawn({
        let buckets = buckets.clone();
        let calls: Vec<(&[&str], Duration)> = vec![(&["post"], S * 9), (&["post"], S * 60), (&["post"], S * 60)];
        async move { run(&buckets, &calls).await }
    });
    tokio::task::yield_now().await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    buckets.hold("post", S * 10);
    // A newcomer waits behind them.
    assert_eq!(buckets.ready_in(&names(&["post"])).as_secs(), 13);
    // The first had until 9 s and learns at its old moment that it will not be served.
    assert_eq!(
        waiting.await.unwrap(),
        vec![(0, false, 1), (1, true, 11), (2, true, 12)]
    );
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_gives_the_place_back() {
    let buckets = buckets(&[("post", 1, 10)]);
    buckets.acquire(&names(&["post"]), S).await.unwrap();
    let gone = tokio::time::timeout(S, buckets.acquire(&names(&["post"]), S * 60)).await;
    assert!(gone.is_err());
    assert_eq!(buckets.ready_in(&names(&["post"])), S * 9);
    assert!(buckets.state().waiting.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_shorter_hold_does_not_shorten_a_longer_one() {
    let buckets = buckets(&[]);
    buckets.hold("x", S * 10);
    buckets.hold("x", S);
    assert_eq!(buckets.ready_in(&names(&["x"])), S * 10);
    assert_eq!(buckets.ready_in(&names(&["y"])), Duration::ZERO);
    buckets.hold("z", Duration::MAX);
    assert_eq!(buckets.ready_in(&names(&["z"])), LONGEST_HOLD);
}

#[tokio::test(start_paused = true)]
async fn idle_buckets_are_forgotten() {
    let buckets = buckets(&[("post", 1, 1)]);
    for round in 0..20 {
        for channel in 0..100 {
            buckets.acquire(&[format!("post:{round}-{channel}")], S).await.unwrap();
        }
        tokio::time::advance(S * 2).await;
    }
    let kept = buckets.state().buckets.len();
    assert!(kept <= 2 * FIRST_SWEEP, "{kept}");
}

/// Whatever is asked, no window ever has more calls than its rate.
#[tokio::test(start_paused = true)]
async fn no_window_is_ever_overfull() {
    let buckets = buckets(&[("a", 3, 5), ("b", 2, 3)]);
    let mut seed = 7u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12345);
        seed >> 16
    };
    let start = Instant::now();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(200);
    for _ in 0..100 {
        let asked: &[&str] = [&["a"][..], &["b"], &["a", "b"]][next() as usize % 3];
        let (buckets, sender, asked) = (buckets.clone(), sender.clone(), names(asked));
        tokio::spawn(async move {
            if buckets.acquire(&asked, S * 20).await.is_ok() {
                let _ = sender.send((asked, start.elapsed())).await;
            }
        });
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(u64::from(next() % 900))).await;
    }
    drop(sender);
    let mut went = Vec::new();
    while let Some(one) = receiver.recv().await {
        went.push(one);
    }
    assert!(went.len() > 20, "{}", went.len());
    for (name, calls, per) in [("a", 3, S * 5), ("b", 2, S * 3)] {
        let times: Vec<Duration> = went
            .iter()
            .filter(|w| w.0.iter().any(|b| b == name))
            .map(|w| w.1)
            .collect();
        for window in times.windows(calls + 1) {
            // Timers of a paused clock are exact to the millisecond.
            assert!(
                window[calls] - window[0] + Duration::from_millis(2) >= per,
                "{name}: {window:?}"
            );
        }
    }
}

#[test]
fn answers_teach_how_long_to_pause() {
    let of = |status, headers: &[(&str, &str)]| {
        let headers = headers.to_vec();
        pause(
            status,
            |name| headers.iter().find(|h| h.0 == name).map(|h| h.1.to_owned()),
            784_111_777,
        )
    };
    let ms = Duration::from_millis;
    assert_eq!(of(429, &[("retry-after", "30")]), Some(ms(30_000)));
    assert_eq!(of(429, &[("retry-after", "0.35")]), Some(ms(350)));
    assert_eq!(
        of(429, &[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")]),
        Some(ms(10_000))
    );
    assert_eq!(
        of(429, &[("retry-after", "Sun, 06 Nov 1994 08:49:07 GMT")]),
        Some(ms(0))
    );
    assert_eq!(of(503, &[("retry-after", "7")]), Some(ms(7000)));
    assert_eq!(of(429, &[]), Some(ms(1000)));
    assert_eq!(
        of(429, &[("retry-after", "soon"), ("x-ratelimit-reset-after", "2.5")]),
        Some(ms(2500))
    );
    assert_eq!(of(429, &[("x-ogw-ratelimit-reset", "4")]), Some(ms(4000)));
    assert_eq!(of(429, &[("retry-after", "inf")]), Some(ms(1000)));
    assert_eq!(of(429, &[("retry-after", "-5")]), Some(ms(0)));
    assert_eq!(of(429, &[("retry-after", "1e300")]), Some(LONGEST_HOLD));
    assert_eq!(
        of(
            200,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-after", "1.2")]
        ),
        Some(ms(1200))
    );
    assert_eq!(
        of(
            200,
            &[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset-after", "1.2")]
        ),
        None
    );
    assert_eq!(of(200, &[("retry-after", "9")]), None);
    assert_eq!(of(503, &[]), None);
}

#[test]
fn dates_are_read() {
    assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
    assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
    assert_eq!(http_date("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
    for wrong in [
        "",
        "Sunday",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49 GMT",
        "Sun, 06 Nov 1969 00:00:00 GMT",
    ] {
        assert_eq!(http_date(wrong), None, "{wrong}");
    }
}
