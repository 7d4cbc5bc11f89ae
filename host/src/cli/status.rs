//! `botyard status`.

use std::fmt::Write as _;
use std::path::Path;

use super::failure::Failure;
use super::{block_on, load, output};
use crate::control::{Client, StatusReport};

pub(super) fn status(file: &Path, json: bool) -> Result<(), Failure> {
    let config = load(file)?;
    let report = block_on(async { Ok(Client::new(&config.host.data_dir).status().await?) })?;
    if json {
        output::json(&report)
    } else {
        output::data(&show(&report))
    }
}

pub(super) fn show(report: &StatusReport) -> String {
    let mut text = format!(
        "botyard {}, process {}, up {}, on http://{}\n\n",
        output::line(&report.version, 40),
        report.pid,
        output::age(report.started),
        report.listen
    );
    let heading = [
        "BOT",
        "ADAPTER",
        "CONNECTION",
        "FOR",
        "HEARD",
        "AGENT",
        "LIVE",
        "BACKGROUND",
        "RUNNING",
        "WAITING",
        "EVENTS",
        "SKIPPED",
        "LAST",
        "FAILURES",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for bot in &report.bots {
        rows.push(vec![
            bot.name.to_string(),
            output::line(&bot.adapter, 20),
            bot.connection.clone(),
            bot.since.map_or_else(|| "-".to_owned(), output::age),
            bot.heard.map_or_else(|| "-".to_owned(), output::age),
            output::line(&bot.agent, 20),
            bot.sessions_live.to_string(),
            bot.sessions_background.to_string(),
            bot.running.to_string(),
            bot.waiting.to_string(),
            bot.events.to_string(),
            bot.skipped.to_string(),
            bot.last_event.map_or_else(|| "-".to_owned(), output::age),
            bot.failures.to_string(),
        ]);
    }
    text.push_str(&output::table(&rows));
    for bot in &report.bots {
        if let Some(detail) = &bot.detail {
            let _ = writeln!(
                text,
                "\n{}: {}: {}{}",
                bot.name,
                bot.connection,
                output::line(detail, 300),
                bot.retry_at
                    .map_or_else(String::new, |at| format!("; tried again in {}", output::until(at)))
            );
        }
        if let Some(failure) = &bot.last_failure {
            let _ = writeln!(
                text,
                "\n{}: the adapter's last failure: {}",
                bot.name,
                output::line(failure, 300)
            );
        }
    }
    let counts = &report.counts;
    let _ = writeln!(
        text,
        "\n{} sessions, {} open turns, {} new messages, {} replies on their way",
        counts.sessions, counts.turns_open, counts.inbox_new, counts.outbox_pending
    );
    if counts.outbox_dead > 0 {
        let _ = writeln!(text, "{} replies were not taken: `botyard outbox`", counts.outbox_dead);
    }
    if counts.aside > 0 {
        let _ = writeln!(text, "{} events were not understood and are set aside", counts.aside);
    }
    text
}
