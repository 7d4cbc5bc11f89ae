//! `botyard outbox`: asks the running host; where none runs, works on the store itself, under the host's lock.

use std::path::Path;

use super::desk::{Desk, at_desk};
use super::failure::Failure;
use super::output;
use crate::chat::TurnId;
use crate::control::{Letter, letter};

pub(super) fn list(file: &Path, json: bool) -> Result<(), Failure> {
    let letters = at_desk(file, async |desk, _| match desk {
        Desk::Host(client) => Ok(client.letters().await?),
        Desk::Store { journal, .. } => Ok(letter::list(journal).await?),
    })?;
    if json {
        return output::json(&letters);
    }
    if letters.is_empty() {
        output::note("every reply was taken");
        return Ok(());
    }
    let mut rows = vec![
        ["TURN", "BOT", "CONVERSATION", "STATE", "TRIES", "AGE", "WHY"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(letters.iter().map(row));
    output::data(&output::table(&rows))?;
    if letters.len() >= letter::LISTED_MAX as usize {
        output::note("there may be more: only the newest are listed");
    }
    Ok(())
}

fn row(letter: &Letter) -> Vec<String> {
    vec![
        letter.turn.to_string(),
        letter.bot.to_string(),
        place(letter),
        letter::state_name(letter.state).to_owned(),
        letter.attempts.to_string(),
        output::age(letter.updated),
        output::line(letter.last_error.as_deref().unwrap_or("-"), 80),
    ]
}

fn place(letter: &Letter) -> String {
    let conversation = &letter.conversation;
    let thread = conversation
        .thread
        .as_deref()
        .map(|thread| format!("/{thread}"))
        .unwrap_or_default();
    output::line(&format!("{}{thread}", conversation.channel), 60)
}

pub(super) fn show(file: &Path, turn: &TurnId, json: bool) -> Result<(), Failure> {
    let shown = at_desk(file, async |desk, _| match desk {
        Desk::Host(client) => Ok(client.letter(turn).await?),
        Desk::Store { journal, .. } => Ok(letter::show(journal, turn).await?),
    })?;
    if json {
        return output::json(&shown);
    }
    let letter = &shown.letter;
    output::data(&format!(
        "turn {} of {} in {}: {}, {} tries, {} ago\n{}\n{}",
        letter.turn,
        letter.bot,
        place(letter),
        letter::state_name(letter.state),
        letter.attempts,
        output::age(letter.updated),
        letter
            .last_error
            .as_deref()
            .map(|why| format!("{}\n", output::line(why, 400)))
            .unwrap_or_default(),
        output::safe(&shown.text),
    ))
}

pub(super) fn retry(file: &Path, turn: &TurnId, json: bool) -> Result<(), Failure> {
    let (letter, running) = at_desk(file, async |desk, _| match desk {
        Desk::Host(client) => Ok((client.retry(turn).await?, true)),
        Desk::Store { journal, .. } => Ok((Letter::from(letter::retry(journal, turn).await?), false)),
    })?;
    let when = if running {
        "is tried again now"
    } else {
        "will be tried when the host runs"
    };
    told(&letter, json, when)
}

pub(super) fn discard(file: &Path, turn: &TurnId, json: bool) -> Result<(), Failure> {
    let letter = at_desk(file, async |desk, _| match desk {
        Desk::Host(client) => Ok(client.discard(turn).await?),
        Desk::Store { journal, .. } => Ok(Letter::from(letter::discard(journal, turn).await?)),
    })?;
    told(&letter, json, "is dropped")
}

fn told(letter: &Letter, json: bool, what: &str) -> Result<(), Failure> {
    if json {
        return output::json(letter);
    }
    output::note(&format!("turn {} of {} {what}", letter.turn, letter.bot));
    Ok(())
}
