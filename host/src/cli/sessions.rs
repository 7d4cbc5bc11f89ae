//! `botyard sessions`: asks the running host; where none runs, reads the store itself, under the host's lock.

use std::path::Path;

use super::desk::{Desk, at_desk};
use super::failure::Failure;
use super::output;
use crate::chat::{BotName, SessionId};
use crate::control::talk;
use crate::control::{Talk, TalkLog};
use crate::session::transcript;

pub(super) fn list(file: &Path, bot: Option<String>, json: bool) -> Result<(), Failure> {
    let bot = bot.map(BotName);
    let talks = at_desk(file, async |desk| match desk {
        Desk::Host(client) => Ok(client.talks(bot).await?),
        Desk::Store { journal, .. } => Ok(talk::list(journal, bot).await?),
    })?;
    if json {
        return output::json(&talks);
    }
    if talks.is_empty() {
        output::note("nobody has said anything yet");
        return Ok(());
    }
    let head = [
        "SESSION",
        "BOT",
        "CONVERSATION",
        "STATE",
        "TURNS",
        "AGE",
        "NAME",
        "LAST WORDS",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(talks.iter().map(row));
    output::data(&output::table(&rows))?;
    if talks.len() >= talk::LISTED_MAX as usize {
        output::note("there may be more: only the newest are listed");
    }
    Ok(())
}

fn row(talk: &Talk) -> Vec<String> {
    let session = &talk.session;
    let state = match talk.live {
        Some(true) => "live",
        Some(false) => "asleep",
        None => "-",
    };
    vec![
        session.id.to_string(),
        session.bot.to_string(),
        output::line(&session.conversation.channel, 40),
        state.to_owned(),
        session.turns.to_string(),
        output::age(session.updated),
        output::line(session.name.as_deref().unwrap_or("-"), 30),
        output::line(&session.last, 50),
    ]
}

fn log(file: &Path, id: &SessionId) -> Result<TalkLog, Failure> {
    at_desk(file, async |desk| match desk {
        Desk::Host(client) => Ok(client.talk(id).await?),
        Desk::Store { journal, .. } => Ok(talk::log(journal, id).await?),
    })
}

pub(super) fn show(file: &Path, id: &SessionId, json: bool) -> Result<(), Failure> {
    let log = log(file, id)?;
    if json {
        return output::json(&log);
    }
    let session = &log.session;
    output::note(&format!(
        "session {} of {}, agent {}, {} turns, {} tokens in and {} out",
        session.id, session.bot, session.agent, session.turns, session.input_tokens, session.output_tokens
    ));
    output::data(&output::safe(&transcript::markdown(session, &log.turns)))
}

/// `json`: a line for each turn, instead of Markdown.
pub(super) fn export(file: &Path, id: &SessionId, json: bool) -> Result<(), Failure> {
    let log = log(file, id)?;
    if log.turns.len() >= talk::TURNS_MAX as usize {
        output::note("there may be more: only the newest turns are exported");
    }
    if json {
        return output::data(&transcript::json_lines(&log.session, &log.turns));
    }
    output::data(&output::safe(&transcript::markdown(&log.session, &log.turns)))
}

pub(super) fn interrupt(file: &Path, id: &SessionId, json: bool) -> Result<(), Failure> {
    let stopped = at_desk(file, async |desk| match desk {
        Desk::Host(client) => Ok(client.interrupt(id).await?),
        Desk::Store { .. } => Ok(false),
    })?;
    if json {
        return output::json(&stopped);
    }
    output::note(if stopped { "it is stopped" } else { "nothing runs in it" });
    Ok(())
}
