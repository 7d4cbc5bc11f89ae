//! The life of sessions: how soon an agent hears of a stop, how soon its death is told, what waking it costs, commands among
//! many sessions, one session over many turns; and with the real Claude Code a hundred people on two gigabytes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use botyard_fakes::model::{Model, Reply};
use futures_util::future::try_join_all;

use crate::cli::LOG;
use crate::host::Host;
use crate::report::Report;
use crate::vendor::{Vendor, now_nanos, send};

/// More than any of it takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Each is measured so often.
const SAMPLES: usize = 50;
/// People on a small box, what each of them says, and what their agents may take together.
const PEOPLE: usize = 100;
const EACH: usize = 2;
const BUDGET: &str = "2GiB";
/// Starts of the real CLI, one after the other, and how long one has to become ready.
const STARTS: usize = 8;
const READY: Duration = Duration::from_secs(8);
/// A hundred starts of the real CLI on two cores take minutes.
const LONG: Duration = Duration::from_secs(900);

fn between(from: u128, to: u128) -> Duration {
    Duration::from_nanos(u64::try_from(to.saturating_sub(from)).unwrap_or(u64::MAX))
}

/// What the scripted CLI noted under this mark: when, and its process. Waits for it.
async fn noted(host: &Host, mark: &str) -> Result<(u128, u128)> {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(host.cli_log()).unwrap_or_default();
        let found = text.lines().find_map(|line| {
            let mut words = line.split(' ');
            (words.next()? == mark).then_some(())?;
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        });
        if let Some(found) = found {
            return Ok(found);
        }
        ensure!(begun.elapsed() < PATIENCE, "the CLI never noted {mark}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// One person, whose agent is stopped and killed again and again.
pub(crate) async fn ends(binary: &Path, report: &mut Report) -> Result<()> {
    let vendor = Vendor::start().await?;
    let host = Host::start(binary, Host::prepare(&vendor.api, 0).await?).await?;
    let (client, hook) = (reqwest::Client::new(), host.hook());
    let (mut stops, mut deaths) = (Vec::new(), Vec::new());
    for index in 0..SAMPLES {
        let mark = format!("mark-hang-{index}");
        send(&client, &hook, 1, &mark).await?;
        noted(&host, &mark).await?;
        let (sent, _) = vendor.command(&client, &hook, 1, "/stop").await?;
        let (heard, _) = noted(&host, &format!("stopped-{mark}")).await?;
        stops.push(between(sent, heard));
        vendor.shown_after(sent, "", PATIENCE).await?;
    }
    for index in SAMPLES..SAMPLES * 2 {
        let mark = format!("mark-hang-{index}");
        send(&client, &hook, 1, &mark).await?;
        let (begun, process) = noted(&host, &mark).await?;
        // It has shown something, so that it is told and not done again.
        vendor.shown_after(begun, &format!("begun {mark}"), PATIENCE).await?;
        let pid = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
        let killed = now_nanos();
        rustix::process::kill_process(pid.context("a process")?, rustix::process::Signal::KILL)?;
        deaths.push(between(killed, vendor.shown_after(killed, "", PATIENCE).await?));
    }
    report.latency("`/stop` sent → interrupt at the CLI (with its disk commit)", stops);
    report.latency("death of a CLI → told at the vendor (with its disk commit)", deaths);
    Ok(())
}

/// A message for a session whose process is closed, beside the CLI's own start.
pub(crate) async fn wakes(binary: &Path, report: &mut Report) -> Result<()> {
    let vendor = Vendor::start().await?;
    let folder = Host::prepare_with(&vendor.api, 0, "idle_timeout = \"1s\"").await?;
    let host = Host::start(binary, folder).await?;
    let (client, hook) = (reqwest::Client::new(), host.hook());
    let mut wakes = Vec::new();
    for index in 0..10 {
        let mark = format!("mark-wake-{index}");
        let (sent, _) = send(&client, &hook, 1, &mark).await?;
        vendor.answered(&mark, PATIENCE).await?;
        let (heard, process) = noted(&host, &mark).await?;
        if index > 0 {
            wakes.push(between(sent, heard));
        }
        let process = format!("/proc/{process}");
        let begun = Instant::now();
        while Path::new(&process).exists() {
            ensure!(begun.elapsed() < PATIENCE, "the idle process was not closed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let own = std::env::current_exe()?;
    let starts = (0..10).map(|_| own_start(&own)).collect::<Result<Vec<_>>>()?;
    report.latency("scripted CLI: its own start, up to its first answer", starts);
    report.latency("message for a session that sleeps → line at the scripted CLI", wakes);
    Ok(())
}

/// Waits until the scripted CLI that is kept ready has answered the host.
async fn spare(host: &Host) -> Result<()> {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(host.cli_log()).unwrap_or_default();
        let ready = text.lines().filter(|line| line.starts_with("ready ")).count();
        let mut had: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("mark-new-")?.split('-').next())
            .collect();
        had.dedup();
        if ready > had.len() {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "no process is kept ready");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The first message of each of many people, with a process that is kept ready and without; beside one of somebody whose
/// process waits for it.
pub(crate) async fn news(binary: &Path, report: &mut Report) -> Result<()> {
    for (lines, name) in [
        ("", "without a spare process"),
        ("spare = true", "with a spare process"),
    ] {
        let vendor = Vendor::start().await?;
        let host = Host::start(binary, Host::prepare_with(&vendor.api, 0, lines).await?).await?;
        let (client, hook) = (reqwest::Client::new(), host.hook());
        let (mut first, mut next) = (Vec::new(), Vec::new());
        for person in 0..20 {
            if !lines.is_empty() {
                spare(&host).await?;
            }
            for (serial, times) in [&mut first, &mut next].into_iter().enumerate() {
                let mark = format!("mark-new-{person}-{serial}");
                let (sent, _) = send(&client, &hook, 100 + person, &mark).await?;
                vendor.answered(&mark, PATIENCE).await?;
                times.push(between(sent, noted(&host, &mark).await?.0));
            }
        }
        report.latency(
            &format!("first message of somebody new → line at the scripted CLI, {name}"),
            first,
        );
        report.latency(
            &format!("second message of the same → line at the scripted CLI, {name}"),
            next,
        );
    }
    Ok(())
}

/// From the start of the CLI to its answer to `initialize`.
fn own_start(own: &Path) -> Result<Duration> {
    use std::io::{BufRead as _, BufReader, Write as _};
    let begun = Instant::now();
    let mut child = std::process::Command::new(own)
        .arg("scripted-cli")
        .env_remove(LOG)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    writeln!(
        stdin,
        r#"{{"type":"control_request","request_id":"1","request":{{"subtype":"initialize"}}}}"#
    )?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    BufReader::new(stdout).lines().next().context("an answer")??;
    let took = begun.elapsed();
    drop(stdin);
    child.wait()?;
    Ok(took)
}

/// What people say to the host itself, in a place with fifty sessions among ten thousand.
pub(crate) async fn commands(binary: &Path, report: &mut Report) -> Result<()> {
    let vendor = Vendor::start().await?;
    let host = Host::start(binary, Host::prepare(&vendor.api, 10_000).await?).await?;
    let (client, hook) = (reqwest::Client::new(), host.hook());
    for index in 0..SAMPLES {
        let mark = format!("mark-known-{index}");
        send(&client, &hook, 1, &mark).await?;
        vendor.answered(&mark, PATIENCE).await?;
        let (sent, _) = vendor.command(&client, &hook, 1, "/new").await?;
        vendor.shown_after(sent, "", PATIENCE).await?;
    }
    for word in ["/list", "/status", "/cost"] {
        let mut times = Vec::new();
        for _ in 0..SAMPLES {
            let (sent, _) = vendor.command(&client, &hook, 1, word).await?;
            times.push(between(sent, vendor.shown_after(sent, "", PATIENCE).await?));
        }
        report.latency(
            &format!("`{word}` sent → its answer at the vendor, 10,000 known sessions"),
            times,
        );
    }
    // `/resume` without more goes on with the newest other one: to and fro.
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        let (sent, _) = vendor.command(&client, &hook, 1, "/resume").await?;
        times.push(between(sent, vendor.shown_after(sent, "", PATIENCE).await?));
    }
    report.latency(
        "`/resume` sent → its answer at the vendor, 10,000 known sessions",
        times,
    );
    Ok(())
}

/// The host's memory over a thousand turns of one session.
pub(crate) async fn thousand(binary: &Path, report: &mut Report) -> Result<()> {
    let vendor = Vendor::start().await?;
    let host = Host::start(binary, Host::prepare(&vendor.api, 0).await?).await?;
    let (client, hook) = (reqwest::Client::new(), host.hook());
    let mut sizes = HashMap::new();
    for index in 1..=1000 {
        let mark = format!("mark-turn-{index}");
        send(&client, &hook, 1, &mark).await?;
        vendor.answered(&mark, PATIENCE).await?;
        if index % 100 == 0 {
            sizes.insert(index, host.rss_kib()? as f64 / 1024.0);
        }
    }
    for turns in [100, 500, 1000] {
        report.value(
            &format!("memory (RSS) after {turns} turns of one session"),
            sizes[&turns],
            "MB",
        );
    }
    Ok(())
}

/// A model that answers at once with the mark of what was asked.
async fn echo() -> Model {
    Model::scripted(|request| {
        let mark = request.text.split_whitespace().find(|word| word.starts_with("mark-"));
        Reply::Text(format!("answer {} over", mark.unwrap_or("mark-none")))
    })
    .await
}

/// The real Claude Code: the first message of somebody new with a process that is kept ready and without, the second of
/// the same, and one for a session that sleeps, beside what the CLI alone takes for an answer.
pub(crate) async fn real(binary: &Path, claude: &Path, report: &mut Report) -> Result<()> {
    let model = echo().await;
    for (lines, name) in [("", "without a spare process"), ("spare = true", "with one")] {
        let vendor = Vendor::start().await?;
        let folder = Host::prepare_claude(&vendor.api, claude, &model.url(), "8GiB", lines).await?;
        let host = Host::start(binary, folder).await?;
        let (client, hook) = (reqwest::Client::new(), host.hook());
        let (mut first, mut next) = (Vec::new(), Vec::new());
        for person in 0..STARTS {
            if !lines.is_empty() {
                // It does not say when it is ready.
                tokio::time::sleep(READY).await;
            }
            for (serial, times) in [&mut first, &mut next].into_iter().enumerate() {
                let mark = format!("mark-{person}-{serial}");
                let (sent, _) = send(&client, &hook, person, &mark).await?;
                times.push(between(sent, vendor.answered(&mark, PATIENCE).await?));
            }
        }
        report.latency(
            &format!("real claude, first message of somebody new → answer, {name}"),
            first,
        );
        report.latency(
            &format!("real claude, second message of the same → answer, {name}"),
            next,
        );
    }
    let vendor = Vendor::start().await?;
    let folder = Host::prepare_claude(&vendor.api, claude, &model.url(), "8GiB", "idle_timeout = \"1s\"").await?;
    let host = Host::start(binary, folder).await?;
    let (client, hook) = (reqwest::Client::new(), host.hook());
    let (mut wakes, mut alone) = (Vec::new(), Vec::new());
    for index in 0..=STARTS {
        let mark = format!("mark-wake-{index}");
        let (sent, _) = send(&client, &hook, 1, &mark).await?;
        let woken = between(sent, vendor.answered(&mark, PATIENCE).await?);
        let begun = Instant::now();
        while descendants(host.pid()).1 > 0 {
            ensure!(begun.elapsed() < PATIENCE, "the idle process was not closed");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if index > 0 {
            wakes.push(woken);
            let (claude, model) = (claude.to_owned(), model.url());
            alone.push(tokio::task::spawn_blocking(move || answer_of(&claude, &model)).await??);
        }
    }
    report.latency("real claude alone: from its start to its answer", alone);
    report.latency("real claude, message for a session that sleeps → answer", wakes);
    Ok(())
}

/// From the start of the real CLI to the result of its first turn, with the flags that speak JSON.
fn answer_of(claude: &Path, model: &str) -> Result<Duration> {
    use std::io::{BufRead as _, BufReader, Write as _};
    let home = tempfile::tempdir()?;
    let begun = Instant::now();
    let mut child = std::process::Command::new(claude)
        .args([
            "-p",
            "--input-format",
            "stream-json",
            "--output-format",
            "stream-json",
            "--verbose",
        ])
        .current_dir(home.path())
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", home.path())
        .env("ANTHROPIC_API_KEY", "sk-ant-dummy-key")
        .env("ANTHROPIC_BASE_URL", model)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()?;
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    writeln!(
        stdin,
        r#"{{"type":"user","message":{{"role":"user","content":[{{"type":"text","text":"mark-alone"}}]}}}}"#
    )?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let result = BufReader::new(stdout).lines().find(|line| {
        line.as_ref()
            .is_ok_and(|line| line.contains(r#""type":"result""#) && line.contains("mark-alone"))
    });
    result.context("the CLI gave no answer")??;
    let took = begun.elapsed();
    drop(stdin);
    child.wait()?;
    Ok(took)
}

/// A hundred people speak at the same time, each again when answered; their agents are the real Claude Code on 2 GiB.
pub(crate) async fn crowd(binary: &Path, claude: &Path, report: &mut Report) -> Result<()> {
    let model = echo().await;
    let vendor = Arc::new(Vendor::start().await?);
    let folder = Host::prepare_claude(&vendor.api, claude, &model.url(), BUDGET, "").await?;
    let host = Host::start(binary, folder).await?;
    let (client, hook) = (reqwest::Client::new(), host.hook());
    let over = Arc::new(AtomicBool::new(false));
    let watch = {
        let (over, pid) = (Arc::clone(&over), host.pid());
        std::thread::spawn(move || {
            let (mut peak, mut most) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                let (bytes, processes) = descendants(pid);
                peak = peak.max(bytes);
                most = most.max(processes);
                std::thread::sleep(Duration::from_millis(500));
            }
            (peak, most)
        })
    };
    let begun = Instant::now();
    let speak = |person: usize| {
        let (client, hook, vendor) = (client.clone(), hook.clone(), Arc::clone(&vendor));
        async move {
            let mut waits = Vec::new();
            for serial in 0..EACH {
                let mark = format!("mark-{person}-{serial}");
                let (sent, _) = send(&client, &hook, person, &mark).await?;
                waits.push(between(sent, vendor.answered(&mark, LONG).await?));
            }
            anyhow::Ok(waits)
        }
    };
    let all = try_join_all((0..PEOPLE).map(speak)).await;
    over.store(true, Ordering::Relaxed);
    let (peak, most) = watch.join().ok().context("the memory was watched")?;
    let waits: Vec<Duration> = all?.into_iter().flatten().collect();
    let took = begun.elapsed();
    let mut sorted = waits.clone();
    sorted.sort_unstable();
    report.value(
        "100 people, real claude, 2 GiB: all answered after",
        took.as_secs_f64(),
        "s",
    );
    report.value(
        "100 people, real claude, 2 GiB: p95 of the wait for an answer",
        sorted[sorted.len() * 95 / 100].as_secs_f64(),
        "s",
    );
    report.latency(
        "100 people, real claude, 2 GiB: message sent → answer at the vendor",
        waits,
    );
    report.value(
        "100 people, real claude, 2 GiB: peak (PSS) of all agents",
        peak as f64 / f64::from(1 << 20),
        "MiB",
    );
    report.value(
        "100 people, real claude, 2 GiB: most processes at the same time",
        most as f64,
        "",
    );
    Ok(())
}

/// Proportional memory in bytes of all processes that descend from this one, and how many they are.
fn descendants(root: u32) -> (u64, usize) {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(pid);
        }
    }
    let (mut bytes, mut count, mut left) = (0, 0, children.remove(&root).unwrap_or_default());
    while let Some(pid) = left.pop() {
        left.extend(children.remove(&pid).unwrap_or_default());
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let pss = rollup.lines().find_map(|line| {
            let kib = line.strip_prefix("Pss:")?.split_whitespace().next()?;
            kib.parse::<u64>().ok()
        });
        bytes += pss.unwrap_or_default() * 1024;
        count += 1;
    }
    (bytes, count)
}
