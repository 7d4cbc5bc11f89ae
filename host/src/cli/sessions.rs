//! `botyard sessions`: asks the running host; where none runs, reads the store itself, under the host's lock.

use std::path::Path;

use super::desk::{Desk, at_desk};
use super::failure::Failure;
use super::output;
use crate::chat::{BotName, SessionId};
use crate::control::talk;
use crate::control::{ControlError, Listed, Talk, TalkLog};
use crate::session::{ChangeError, NAME_MAX, OPERATOR, copy, transcript};

/// `words`: only what has them; without the newest `skip`.
pub(super) fn list(
    file: &Path,
    bot: Option<String>,
    words: Option<String>,
    skip: u32,
    json: bool,
) -> Result<(), Failure> {
    let (bot, searched) = (bot.map(BotName), words.is_some());
    let listed = at_desk(file, async |desk, config| match desk {
        Desk::Host(client) => Ok(client.talks(bot, words, skip).await?),
        Desk::Store { journal, .. } => Ok(talk::list(journal, config, bot, words.as_deref(), skip).await?),
    })?;
    if let Some(more) = more(&listed, searched, skip) {
        output::note(&more);
    } else if listed.talks.is_empty() && !json {
        output::note(if skip > 0 {
            "there are no more"
        } else if searched {
            "no session has these words"
        } else {
            "nobody has said anything yet"
        });
    }
    let talks = listed.talks;
    if json {
        return output::json(&talks);
    }
    if talks.is_empty() {
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
    output::data(&output::table(&rows))
}

/// What there is beside what is listed, if there is or may be something.
pub(super) fn more(listed: &Listed, searched: bool, skip: u32) -> Option<String> {
    let full = listed.talks.len() >= talk::LISTED_MAX as usize;
    // A search ends where it found enough, or before it has looked at everything. A list ends at its page's end, which has
    // fewer where some cannot be read.
    match listed.bounded {
        true if full || !searched => {
            let next = skip.saturating_add(talk::LISTED_MAX);
            Some(format!("there are more: `--skip {next}` shows those that come next"))
        }
        true => Some("there may be more: the newest were looked at".to_owned()),
        false => None,
    }
}

/// What `--name` says.
pub(super) fn named(name: Option<String>) -> Result<Option<String>, Failure> {
    let refused = || Failure::user(format!("`--name` is one line of 1 to {NAME_MAX} characters"));
    name.map(|name| copy::name(&name).ok_or_else(refused)).transpose()
}

pub(super) fn fork(
    file: &Path,
    id: &SessionId,
    name: Option<String>,
    current: bool,
    json: bool,
) -> Result<(), Failure> {
    let name = named(name)?;
    let copied = at_desk(file, async |desk, config| match desk {
        Desk::Host(client) => Ok(client.fork(id, name, current).await?),
        Desk::Store { journal, .. } => Ok(talk::fork(journal, config, id, name, current).await?),
    })?;
    if let Some(why) = &copied.aside {
        output::note(&format!("it is not the current one, because {why}"));
    }
    if let Some(rest) = copy::left_out(copied.session.turns) {
        output::note(&rest);
    }
    if json {
        return output::json(&copied.session);
    }
    output::data(copied.session.id.as_str())
}

/// Asks first, unless `yes`.
pub(super) fn delete(file: &Path, id: &SessionId, yes: bool, json: bool) -> Result<(), Failure> {
    if !yes {
        let session = at_desk(file, async |desk, _| match desk {
            Desk::Host(client) => Ok(client.session(id).await?),
            Desk::Store { journal, .. } => Ok(talk::get(journal, id).await?),
        })?;
        let called = session.name.as_deref().unwrap_or("no name");
        let question = format!(
            "session {} ({}) of {}, {} turns: `{}`. Delete it for ever?",
            session.id,
            output::line(called, 40),
            session.bot,
            session.turns,
            output::line(&session.first, 60)
        );
        match output::asked(&question) {
            Some(true) => {}
            Some(false) => return Err(Failure::user("nothing was deleted")),
            None => {
                return Err(Failure::user("nobody is there to be asked, nothing was deleted")
                    .hint("`--yes` deletes without a question"));
            }
        }
    }
    let kept = at_desk(file, async |desk, config| match desk {
        Desk::Host(client) => client.delete(id).await.map_err(busy),
        Desk::Store { journal, .. } => Ok(talk::delete(journal, config, id, OPERATOR).await?),
    })?;
    if json {
        return output::json(&kept);
    }
    output::note("it is deleted");
    for line in kept {
        output::note(&format!("kept: {}", output::line(&line, 1000)));
    }
    Ok(())
}

/// What the host refuses because something runs.
fn busy(error: ControlError) -> Failure {
    let said = |what: ChangeError| matches!(&error, ControlError::Refused(why) if *why == what.to_string());
    let (busy, background) = (said(ChangeError::Busy), said(ChangeError::Background));
    let failure = Failure::from(error);
    if busy {
        return failure
            .hint("`botyard sessions interrupt` stops it; what waits begins then, or is taken out in the chat");
    }
    if background {
        return failure.hint("`botyard sessions interrupt` ends it");
    }
    failure
}

fn state(talk: &Talk) -> String {
    match talk.live {
        _ if talk.terminal => "terminal".to_owned(),
        _ if talk.background > 0 => format!("background ({})", talk.background),
        Some(true) => "live".to_owned(),
        Some(false) => "asleep".to_owned(),
        None => "-".to_owned(),
    }
}

pub(super) fn row(talk: &Talk) -> Vec<String> {
    let session = &talk.session;
    vec![
        session.id.to_string(),
        session.bot.to_string(),
        output::line(&session.conversation.channel, 40),
        state(talk),
        session.turns.to_string(),
        output::age(session.updated),
        output::line(session.name.as_deref().unwrap_or("-"), 30),
        output::line(&session.last, 50),
    ]
}

/// All that was said.
fn log(file: &Path, id: &SessionId) -> Result<TalkLog, Failure> {
    at_desk(file, async |desk, _| {
        TalkLog::whole(async |before| match desk {
            Desk::Host(client) => Ok(client.talk(id, before).await?),
            Desk::Store { journal, .. } => Ok(talk::log(journal, id, before).await?),
        })
        .await
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
    if json {
        return output::data(&transcript::Form::JsonLines.whole(&log.session, &log.turns));
    }
    output::data(&output::safe(&transcript::markdown(&log.session, &log.turns)))
}

pub(super) fn interrupt(file: &Path, id: &SessionId, json: bool) -> Result<(), Failure> {
    let stopped = at_desk(file, async |desk, _| match desk {
        Desk::Host(client) => Ok(client.interrupt(id).await?),
        Desk::Store { .. } => Ok(false),
    })?;
    if json {
        return output::json(&stopped);
    }
    output::note(if stopped { "it is stopped" } else { "nothing runs in it" });
    Ok(())
}
