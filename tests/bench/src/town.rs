//! The binary with a bot on each line, and what is measured there: bursts of events, turns that stream side by side, and
//! a day of heartbeats.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::Value;

use crate::host::Host;
use crate::line::{DiscordLine, FeishuLine, Line, SlackLine, live, table};
use crate::report::Report;
use crate::vendor::now_nanos;

/// Conversations in which people speak at the same time.
const PLACES: usize = 50;
/// What is said in each of them in one burst.
const EACH: usize = 20;
/// Platforms take a message a second in a conversation, so that twenty answers take a while.
const PATIENCE: Duration = Duration::from_secs(300);
/// Words that a turn streams, and the pause after each.
const WORDS: usize = 300;
const PAUSE: Duration = Duration::from_millis(50);
/// Longer than a window of a channel's bucket on Discord, or of a chat on Feishu.
const WINDOW: Duration = Duration::from_secs(6);
/// Discord asks for a heartbeat every 41.25 s. serenity looks at its clock twice a second, so that no more can be had.
const BEATS: usize = 2_094;
const BEAT: Duration = Duration::from_millis(450);
/// Connections that are lost in a day, of each platform.
const CUTS: usize = 24;

/// Starts the binary with these lines; all are connected when it comes back.
async fn open(binary: &Path, lines: &mut [&mut dyn Line]) -> Result<Host> {
    let folder = tempfile::tempdir_in(std::env::current_dir()?)?;
    let own = std::env::current_exe()?;
    let mut text = format!(
        "[host]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"data\"\nmax_processes = 256\n\n[agent.scripted]\n\
         driver = \"claude\"\ncommand = [{own:?}, \"scripted-cli\"]\nlogin = \"none\"\n"
    );
    for line in lines.iter() {
        text.push_str(&table(*line, folder.path())?);
    }
    std::fs::write(folder.path().join("bots.toml"), text)?;
    let host = Host::start(binary, folder).await?;
    for line in lines.iter_mut() {
        line.attach(&format!("{}/hook/{}", host.base, line.name()));
    }
    let begun = Instant::now();
    loop {
        let told = host.ask(binary, &["status", "--json"]).await?;
        let report: Value = serde_json::from_slice(&told).context("the status is no JSON")?;
        if live(&report) == lines.len() {
            return Ok(host);
        }
        ensure!(begun.elapsed() < PATIENCE, "not all bots are connected: {report}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until a look says so.
async fn until(what: &str, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !look()? {
        ensure!(begun.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// How many calls the platform refused because there were too many.
fn refused(line: &dyn Line) -> usize {
    line.called().iter().filter(|call| call.status == 429).count()
}

/// A thousand messages at once on each transport, twenty in each of fifty conversations: acknowledged, and each answered
/// once.
pub(crate) async fn bursts(binary: &Path, report: &mut Report) -> Result<()> {
    let mut lines: Vec<Box<dyn Line>> = vec![
        Box::new(SlackLine::start(false, PLACES).await),
        Box::new(SlackLine::start(true, PLACES).await),
        Box::new(DiscordLine::start(true, PLACES).await),
        Box::new(DiscordLine::start(false, PLACES).await),
        Box::new(FeishuLine::start(true, PLACES).await),
        Box::new(FeishuLine::start(false, PLACES).await),
    ];
    for line in &mut lines {
        let name = line.name();
        eprintln!("burst, {name}");
        let host = open(binary, &mut [&mut **line]).await?;
        let begun = Instant::now();
        let said = (0..PLACES * EACH).map(|number| {
            let (place, serial) = (number % PLACES, number / PLACES);
            line.say(place, format!("please answer mark-{place}x{serial}x"))
        });
        let acknowledged: Vec<Duration> = try_join_all(said).await?.into_iter().flatten().collect();
        let answers = |line: &dyn Line| {
            let mut found: BTreeMap<String, usize> = BTreeMap::new();
            for place in 0..PLACES {
                let text = line.reads(place).join("\n");
                for rest in text.split("answer mark-").skip(1) {
                    if let Some((mark, _)) = rest.split_once(" over") {
                        *found.entry(mark.to_owned()).or_default() += 1;
                    }
                }
            }
            found
        };
        until(name, || Ok(answers(&**line).len() == PLACES * EACH)).await?;
        let took = begun.elapsed();
        let twice = answers(&**line).into_values().filter(|count| *count > 1).count();
        ensure!(twice == 0, "{name}: {twice} messages were answered twice");
        if !acknowledged.is_empty() {
            report.latency(&format!("burst of 1,000 events, {name}: acknowledged"), acknowledged);
        }
        report.value(
            &format!("burst of 1,000 events, {name}: the last of 1,000 answers stands"),
            took.as_secs_f64(),
            "s",
        );
        report.value(
            &format!("burst of 1,000 events, {name}: calls that the platform refused"),
            refused(&**line) as f64,
            "",
        );
        drop(host);
    }
    Ok(())
}

/// The words that a streaming agent says: where, and when in milliseconds.
fn newest(said: &str) -> Option<(usize, u128)> {
    let words = said.split(|c: char| !c.is_ascii_alphanumeric());
    let stamps = words.filter_map(|word| {
        let (place, at) = word.strip_prefix('w')?.split_once('t')?;
        Some((place.parse().ok()?, at.parse().ok()?))
    });
    stamps.max_by_key(|(_, at)| *at)
}

/// Fifty turns that stream at the same time in one bot: how old what people see is, at its worst between two updates.
pub(crate) async fn streams(binary: &Path, report: &mut Report) -> Result<()> {
    let mut lines: Vec<Box<dyn Line>> = vec![
        Box::new(SlackLine::start(true, PLACES).await),
        Box::new(DiscordLine::start(false, PLACES).await),
        Box::new(FeishuLine::start(false, PLACES).await),
    ];
    for line in &mut lines {
        let name = line.name();
        eprintln!("streams, {name}");
        let host = open(binary, &mut [&mut **line]).await?;
        // Their processes are there when it begins.
        try_join_all((0..PLACES).map(|place| line.say(place, format!("please answer mark-{place}xwarm")))).await?;
        until(name, || {
            Ok((0..PLACES).all(|place| line.reads(place).iter().any(|text| text.contains("xwarm over"))))
        })
        .await?;
        // What they drew from the platform's short windows (five seconds) is theirs again.
        tokio::time::sleep(WINDOW).await;
        let (begun, clock) = (Instant::now(), now_nanos() / 1_000_000);
        let cpu = host.cpu()?;
        let words = |place| format!("please stream-{place}-{WORDS}-{}", PAUSE.as_millis());
        try_join_all((0..PLACES).map(|place| line.say(place, words(place)))).await?;
        let last = |place| format!("w{place}over");
        until(name, || {
            Ok((0..PLACES).all(|place| line.reads(place).iter().any(|text| text.contains(&last(place)))))
        })
        .await?;
        let (took, cpu) = (begun.elapsed(), host.cpu()?.saturating_sub(cpu));
        let mut shown: HashMap<usize, u128> = HashMap::new();
        let mut ages = Vec::new();
        let mut updates = 0;
        for call in line.called().iter().filter(|call| call.at > begun && call.status < 300) {
            let Some((place, stamp)) = newest(&call.said) else {
                continue;
            };
            updates += 1;
            let now = clock + (call.at - begun).as_millis();
            // Until this update came, people saw what the last one had.
            if let Some(before) = shown.insert(place, stamp) {
                let age = now.saturating_sub(before);
                ages.push(Duration::from_millis(u64::try_from(age).unwrap_or(u64::MAX)));
            }
        }
        ensure!(!ages.is_empty(), "{name}: nothing was streamed");
        report.latency(
            &format!("50 turns stream, {name}: age of what is seen before an update"),
            ages,
        );
        for (what, value, unit) in [
            ("updates that came", f64::from(updates), ""),
            ("calls that the platform refused", refused(&**line) as f64, ""),
            ("the last final view stands after", took.as_secs_f64(), "s"),
            ("CPU of the host", 100.0 * cpu.as_secs_f64() / took.as_secs_f64(), "%"),
        ] {
            report.value(&format!("50 turns stream, {name}: {what}"), value, unit);
        }
        drop(host);
    }
    Ok(())
}

/// As many heartbeats and lost connections as a day has, at shortened intervals.
pub(crate) async fn day(binary: &Path, report: &mut Report) -> Result<()> {
    eprintln!("a day of heartbeats");
    let mut slack = SlackLine::start(true, 1).await;
    let mut discord = DiscordLine::start(false, 1).await;
    let mut feishu = FeishuLine::start(false, 1).await;
    discord.heartbeat(BEAT);
    feishu.ping(1);
    let host = open(binary, &mut [&mut slack, &mut discord, &mut feishu]).await?;
    let mut memory = Vec::new();
    for cut in 0..CUTS {
        let goal = BEATS * (cut + 1) / CUTS;
        until("heartbeats", || Ok(discord.heartbeats().0 >= goal))
            .await
            .with_context(|| format!("the gateway's log ends with {:#?}", discord.log_end()))?;
        memory.push(host.rss_kib()? as f64 / 1024.0);
        slack.refresh();
        discord.cut();
        feishu.cut();
    }
    for line in [&slack as &dyn Line, &discord, &feishu] {
        line.say(0, "please answer mark-evening".to_owned()).await?;
        until("the evening's answer", || {
            Ok(line.reads(0).iter().any(|text| text.contains("mark-evening over")))
        })
        .await?;
    }
    let (beats, faults) = discord.heartbeats();
    ensure!(faults == 0, "the gateway was used wrongly {faults} times");
    let (pings, links) = feishu.pings();
    let tenth = memory[CUTS / 10];
    for (what, value, unit) in [
        ("heartbeats of Discord", beats as f64, ""),
        ("pings of Feishu", pings as f64, ""),
        ("connections of Slack", slack.sockets() as f64, ""),
        ("connections of Feishu", links as f64, ""),
        ("memory (RSS) after a tenth of it", tenth, "MB"),
        ("memory (RSS) at its end", memory[CUTS - 1], "MB"),
    ] {
        report.value(&format!("a day's heartbeats and lost connections: {what}"), value, unit);
    }
    drop(host);
    Ok(())
}
