//! `botyard sessions tail`: tells what happens in sessions while it happens.

use std::path::Path;

use super::desk::Desk;
use super::failure::Failure;
use super::{block_on, load, output};
use crate::chat::SessionId;
use crate::control::{Client, ControlError};
use crate::session::tail::{Happened, Line};

/// Until the host ends, or the reader goes, or Ctrl-C.
pub(super) fn tail(file: &Path, id: Option<SessionId>, since: u32, json: bool) -> Result<(), Failure> {
    let folder = load(file)?.host.data_dir;
    block_on(async {
        match Desk::open(&folder).await? {
            Desk::Host(client) => follow(&client, id, since, json).await,
            desk @ Desk::Store { .. } => {
                desk.close().await;
                Err(ControlError::NotRunning(folder.display().to_string()).into())
            }
        }
    })
}

async fn follow(client: &Client, id: Option<SessionId>, since: u32, json: bool) -> Result<(), Failure> {
    let mut told = Told {
        named: id.is_none(),
        open: false,
    };
    let mut following = client.tail(id, since).await?;
    let end = tokio::signal::ctrl_c();
    tokio::pin!(end);
    loop {
        let line = tokio::select! {
            _ = &mut end => return Ok(()),
            line = following.next() => line?,
        };
        let Some(line) = line else {
            output::note("the host ended");
            return Ok(());
        };
        let text = if json {
            let line = serde_json::to_string(&line).map_err(|error| Failure::ours(error.to_string()))?;
            format!("{line}\n")
        } else {
            told.tell(&line)
        };
        if !output::piece(&text)? {
            return Ok(());
        }
    }
}

/// What stands at the terminal.
struct Told {
    /// Every line says of which session it is.
    named: bool,
    /// The last line has no end yet.
    open: bool,
}

impl Told {
    /// What is to be written now.
    fn tell(&mut self, line: &Line) -> String {
        if self.named {
            let session = line.session.as_str();
            return format!("{session:<10}  {}\n", output::line(&words(&line.what), 1000));
        }
        let mut text = String::new();
        if let Happened::Text { text: added } = &line.what {
            text.push_str(&output::safe(added));
        } else {
            if self.open {
                text.push('\n');
            }
            text.push_str(&output::safe(&words(&line.what)));
            text.push('\n');
        }
        if !text.is_empty() {
            self.open = !text.ends_with('\n');
        }
        text
    }
}

/// One thing that happened, for a person.
fn words(what: &Happened) -> String {
    match what {
        Happened::Asked { asker, prompt } if prompt.is_empty() => format!("> (the agent speaks first, to {asker})"),
        Happened::Asked { asker, prompt } => format!("> {asker}: {prompt}"),
        Happened::Waiting { place } => format!("- waits, place {place}"),
        Happened::Working => "- works".to_owned(),
        Happened::Text { text } => text.clone(),
        Happened::Thinking { text } => format!("~ {text}"),
        Happened::Rewritten { text } if text.is_empty() => "- what was said last is withdrawn".to_owned(),
        Happened::Rewritten { text } => format!("- it is now: {text}"),
        Happened::Step { title, state } => format!("- {title} ({state})"),
        Happened::Question { title, text, choices } => {
            let choices = choices.join(" / ");
            format!("? {title} [{choices}]\n{text}").trim_end().to_owned()
        }
        Happened::Settled { title, words } => format!("? {title}: {words}"),
        Happened::Plan { items } => items.join("\n"),
        Happened::Notice { text } => format!("! {text}"),
        Happened::File { name } => format!("- gives `{name}`"),
        Happened::Ended { state, why } => match why {
            Some(why) => format!("= {state}: {why}"),
            None => format!("= {state}"),
        },
        Happened::Missed { turns } => format!("! {turns} turns went by unseen: this reader is too slow"),
    }
}
