//! Turns through the whole journey: signed event in, scripted CLI, vendor call out.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::host::Host;
use crate::report::Report;
use crate::vendor::{Vendor, now_nanos, send};

/// More than any turn takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// When each turn's line reached the CLI, and when the CLI's last line left it.
fn cli_times(path: &Path) -> Result<HashMap<String, (u128, u128)>> {
    let text = std::fs::read_to_string(path).context("the scripted CLI left no log")?;
    let mut times = HashMap::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        if let (Some(mark), Some(received), Some(last)) = (words.next(), words.next(), words.next()) {
            times.insert(mark.to_owned(), (received.parse()?, last.parse()?));
        }
    }
    Ok(times)
}

fn between(from: u128, to: u128) -> Duration {
    Duration::from_nanos(u64::try_from(to.saturating_sub(from)).unwrap_or(u64::MAX))
}

struct Measured {
    inward: Vec<Duration>,
    outward: Vec<Duration>,
    acknowledged: Vec<Duration>,
}

/// `turns` one after the other, in one warm conversation.
async fn one_by_one(host: &Host, vendor: &Vendor, turns: usize) -> Result<Measured> {
    let client = reqwest::Client::new();
    let hook = host.hook();
    let mut sent = Vec::new();
    for index in 0..turns + 20 {
        let mark = format!("mark-{index}");
        let (began, acknowledged) = send(&client, &hook, 1, &mark).await?;
        let answered = vendor.answered(&mark, PATIENCE).await?;
        // The first ones warm up.
        if index >= 20 {
            sent.push((mark, began, acknowledged, answered));
        }
    }
    let times = cli_times(&host.cli_log())?;
    let mut measured = Measured {
        inward: Vec::new(),
        outward: Vec::new(),
        acknowledged: Vec::new(),
    };
    for (mark, began, acknowledged, answered) in sent {
        let (received, last) = times.get(&mark).with_context(|| format!("the CLI never saw {mark}"))?;
        measured.inward.push(between(began, *received));
        measured.outward.push(between(*last, answered));
        measured.acknowledged.push(between(began, acknowledged));
    }
    Ok(measured)
}

pub(crate) async fn latency(binary: &Path, turns: usize, report: &mut Report) -> Result<()> {
    let vendor = Vendor::start().await?;
    let host = Host::start(binary, Host::prepare(&vendor.api, 0).await?).await?;
    let measured = one_by_one(&host, &vendor, turns).await?;
    report.latency(
        "event sent → acknowledged (with its disk commit)",
        measured.acknowledged,
    );
    report.latency("event sent → line at the CLI (with its disk commits)", measured.inward);
    report.latency("last CLI line → vendor call (with its disk commits)", measured.outward);
    Ok(())
}

/// The same beside many known sessions: the cost per event must not grow.
pub(crate) async fn known(binary: &Path, known: usize, turns: usize, report: &mut Report) -> Result<()> {
    let vendor = Vendor::start().await?;
    let host = Host::start(binary, Host::prepare(&vendor.api, known).await?).await?;
    let measured = one_by_one(&host, &vendor, turns).await?;
    report.latency(
        &format!("event sent → line at the CLI, {known} known sessions"),
        measured.inward,
    );
    Ok(())
}

/// `users` people, each sending the next message when the last was answered.
pub(crate) async fn throughput(binary: &Path, users: usize, span: Duration, report: &mut Report) -> Result<()> {
    let vendor = Arc::new(Vendor::start().await?);
    let host = Host::start(binary, Host::prepare(&vendor.api, 0).await?).await?;
    let hook = host.hook();
    let count = Arc::new(AtomicUsize::new(0));
    // Everybody once first: their processes start.
    let client = reqwest::Client::builder().pool_max_idle_per_host(users).build()?;
    let warm: Vec<_> = (0..users)
        .map(|user| {
            let (client, hook, vendor) = (client.clone(), hook.clone(), Arc::clone(&vendor));
            tokio::spawn(async move {
                let mark = format!("mark-{user}-warm");
                send(&client, &hook, user, &mark).await?;
                vendor.answered(&mark, PATIENCE * 4).await
            })
        })
        .collect();
    for task in warm {
        task.await??;
    }
    let cpu = host.cpu()?;
    let begun = Instant::now();
    let tasks: Vec<_> = (0..users)
        .map(|user| {
            let (client, hook, vendor, count) = (client.clone(), hook.clone(), Arc::clone(&vendor), Arc::clone(&count));
            tokio::spawn(async move {
                let mut times = Vec::new();
                let mut index = 0;
                while begun.elapsed() < span {
                    let mark = format!("mark-{user}-{index}");
                    let from = now_nanos();
                    send(&client, &hook, user, &mark).await?;
                    let to = vendor.answered(&mark, PATIENCE).await?;
                    times.push(between(from, to));
                    count.fetch_add(1, Ordering::Relaxed);
                    index += 1;
                }
                anyhow::Ok(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let took = begun.elapsed();
    let replies = count.load(Ordering::Relaxed);
    let cpu = host.cpu()?.saturating_sub(cpu);
    report.value(
        &format!("replies per second, {users} users"),
        replies as f64 / took.as_secs_f64(),
        "/s",
    );
    report.value(
        &format!("CPU of the host per message, {users} users"),
        cpu.as_secs_f64() * 1000.0 / replies.max(1) as f64,
        "ms",
    );
    report.latency(&format!("message sent → answer at the vendor, {users} users"), times);
    report.value(
        &format!("memory (RSS) after that, {users} users"),
        host.rss_kib()? as f64 / 1024.0,
        "MB",
    );
    Ok(())
}
