//! What a turn costs: one command that measures the real binary beside a scripted CLI and a scripted vendor, and
//! leaves a table and a plot in its output folder.
//!
//! `cargo run --release -p botyard-bench` builds what it needs first; see tests/bench/README.md.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command of its own"
)]

mod cli;
mod disk;
mod guest;
mod host;
mod life;
mod line;
mod report;
mod town;
mod turn;
mod vendor;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;

use report::Report;

/// Measures what botyard adds to a turn.
#[derive(Debug, Parser)]
struct Args {
    /// The binary to measure; by default it is built with `cargo build --release`.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where the table and the plot go.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// The real Claude Code, for the part `crowd`; without it that is left out.
    #[arg(long)]
    claude: Option<PathBuf>,
    /// One part alone: disk, adapters, start, turns, life, crowd, bursts, streams or day.
    #[arg(long)]
    only: Option<String>,
    /// Turns measured one after the other.
    #[arg(long, default_value_t = 400)]
    turns: usize,
    /// Seconds of each throughput run.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("scripted-cli") {
        return cli::run();
    }
    let args = Args::parse();
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(measure(args))
}

async fn measure(args: Args) -> Result<()> {
    let binary = match args.binary {
        Some(binary) => binary.canonicalize().context("the binary is not there")?,
        None => build()?,
    };
    std::fs::create_dir_all(&args.out)?;
    let mut report = Report::default();
    let wanted = |part: &str| args.only.as_deref().is_none_or(|only| only == part);
    report.size(&binary)?;
    if wanted("disk") {
        eprintln!("disk");
        report.latency("one disk commit (write and fdatasync of 4 KiB)", disk::commits(300)?);
    }
    if wanted("adapters") {
        eprintln!("adapter calls");
        guest::calls(&mut report).await?;
    }
    if wanted("start") {
        eprintln!("start");
        host::starts(&binary, &mut report).await?;
        eprintln!("memory");
        host::memory(&binary, &mut report).await?;
    }
    if wanted("turns") {
        eprintln!("turns");
        turn::latency(&binary, args.turns, &mut report).await?;
        for users in [20, 200] {
            eprintln!("{users} users");
            turn::throughput(&binary, users, Duration::from_secs(args.seconds), &mut report).await?;
        }
        for known in [10, 10_000] {
            eprintln!("{known} known sessions");
            turn::known(&binary, known, args.turns / 2, &mut report).await?;
        }
    }
    if wanted("life") {
        eprintln!("stops and deaths");
        life::ends(&binary, &mut report).await?;
        eprintln!("wakes");
        life::wakes(&binary, &mut report).await?;
        eprintln!("new people");
        life::news(&binary, &mut report).await?;
        eprintln!("commands");
        life::commands(&binary, &mut report).await?;
        eprintln!("a thousand turns");
        life::thousand(&binary, &mut report).await?;
    }
    if wanted("crowd") {
        match &args.claude {
            Some(claude) => {
                eprintln!("a hundred people");
                let claude = claude.canonicalize().context("that Claude Code is not there")?;
                life::real(&binary, &claude, &mut report).await?;
                life::crowd(&binary, &claude, &mut report).await?;
            }
            None => eprintln!("no `--claude`: neither its starts nor a hundred people are measured"),
        }
    }
    if wanted("bursts") {
        town::bursts(&binary, &mut report).await?;
    }
    if wanted("streams") {
        town::streams(&binary, &mut report).await?;
    }
    if wanted("day") {
        town::day(&binary, &mut report).await?;
    }
    let table = report.table();
    std::fs::write(args.out.join("table.md"), &table)?;
    std::fs::write(args.out.join("plot.svg"), report.plot())?;
    println!("{table}");
    Ok(())
}

/// Builds the release binary and says where it lies.
fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = std::process::Command::new(cargo)
        .args(["build", "--release", "--locked", "-p", "botyard"])
        .status()
        .context("cargo could not be started")?;
    anyhow::ensure!(status.success(), "the release binary could not be built");
    let own = std::env::current_exe()?;
    Ok(own.with_file_name("botyard"))
}
