//! Which sessions have these words: in their name, their id, what was said first and last, or anywhere in what was
//! asked and answered. Looks through the store newest first, in small steps that let others in between, and not for
//! ever: what was not looked at is told.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::transcript;
use crate::chat::{BotName, SessionId, SessionKey, UnixMillis};
use crate::store::{Journal, Result, SessionRow, Store};

/// Sessions in one step on the store's thread.
const STEP: u32 = 20;
/// So many turns does a step look at, once for each word and whether or not it is there: others wait meanwhile.
const READ: u32 = 200;
/// Turns of one session that are looked at, the newest.
const TURNS: u32 = 200;
/// Words beyond are left out.
const WORDS_MAX: usize = 8;
/// A search ends after this long.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where to look.
#[derive(Debug, Clone)]
pub enum Within {
    Bot(Option<BotName>),
    /// What is of one key.
    Key(SessionKey),
}

/// What was found, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub rows: Vec<SessionRow>,
    /// There may be more: not everything was looked at, or no more were wanted.
    pub bounded: bool,
}

/// At most `wanted` sessions that have all of the words, each anywhere, in any case. What is used for the first time in a
/// while just now may be missed.
pub async fn search(journal: &Journal, within: Within, words: &str, wanted: usize) -> Result<Found> {
    search_for(journal, within, words, wanted, PATIENCE).await
}

async fn search_for(
    journal: &Journal,
    within: Within,
    words: &str,
    wanted: usize,
    patience: Duration,
) -> Result<Found> {
    let mut words: Vec<String> = words
        .split_whitespace()
        .map(str::to_lowercase)
        .take(WORDS_MAX)
        .collect();
    // The longest first: it is the most likely one to be nowhere, and then no other need be looked for.
    words.sort_by_key(|word| Reverse(word.chars().count()));
    let mut found = Found {
        rows: Vec::new(),
        bounded: false,
    };
    let begun = Instant::now();
    let mut from = Cursor::default();
    loop {
        let (within, looked_for) = (within.clone(), words.clone());
        let step = journal
            .read(move |store| step(store, &within, &looked_for, from))
            .await?;
        found.bounded |= step.bounded;
        found.rows.extend(step.rows);
        let Some(next) = step.next else { break };
        from = next;
        if found.rows.len() > wanted || begun.elapsed() > patience {
            found.bounded = true;
            break;
        }
    }
    found.bounded |= found.rows.len() > wanted;
    found.rows.truncate(wanted);
    Ok(found)
}

/// A session's place in the order in which they are looked at.
type Place = (UnixMillis, SessionId);

/// How far a search is.
#[derive(Debug, Default)]
struct Cursor {
    /// The session that was looked at last.
    behind: Option<Place>,
    /// Where a step ended within the one behind it: that one, and the words that are still to be looked for in it.
    begun: Option<(SessionId, Vec<String>)>,
}

struct Step {
    rows: Vec<SessionRow>,
    /// Where to go on; none: none is left.
    next: Option<Cursor>,
    bounded: bool,
}

fn step(store: &mut dyn Store, within: &Within, words: &[String], from: Cursor) -> Result<Step> {
    let (bot, key) = match within {
        Within::Bot(bot) => (bot.as_ref(), None),
        Within::Key(key) => (None, Some(key)),
    };
    let Cursor { mut behind, mut begun } = from;
    let place = behind.as_ref().map(|(updated, id)| (*updated, id));
    let rows = store.sessions_behind(bot, key, place, STEP)?;
    // What is damaged is left out: fewer than there are in a step, or none, may come before the end.
    let end = if rows.len() < STEP as usize {
        store.sessions_end(bot, key, place, STEP)?
    } else {
        rows.last().map(|row| (row.updated, row.id.clone()))
    };
    let mut step = Step {
        rows: Vec::new(),
        next: end.map(|end| Cursor {
            behind: Some(end),
            begun: None,
        }),
        bounded: false,
    };
    let mut read = 0;
    for row in rows {
        let mut missing = match begun.take() {
            Some((id, missing)) if id == row.id => missing,
            _ => elsewhere(&row, words),
        };
        match look(store, &row.id, &mut missing, &mut read)? {
            Looked::Enough => {
                let begun = Some((row.id, missing));
                step.next = Some(Cursor { behind, begun });
                break;
            }
            looked => {
                behind = Some((row.updated, row.id.clone()));
                if matches!(looked, Looked::Has) {
                    step.rows.push(row);
                } else {
                    step.bounded |= row.turns > TURNS;
                }
            }
        }
    }
    Ok(step)
}

/// The words that the row itself does not have.
fn elsewhere(row: &SessionRow, words: &[String]) -> Vec<String> {
    let name = row.name.as_deref().unwrap_or_default();
    let own = [row.id.as_str(), name, &row.first, &row.last].map(str::to_lowercase);
    let elsewhere = |word: &&String| own.iter().all(|text| !text.contains(word.as_str()));
    words.iter().filter(elsewhere).cloned().collect()
}

enum Looked {
    Has,
    HasNot,
    /// The step has read enough; the session is not done.
    Enough,
}

/// One word after the other, until one is not found. `words`: those found are taken out. `read`: counts the turns that each
/// was looked for in.
fn look(store: &mut dyn Store, session: &SessionId, words: &mut Vec<String>, read: &mut u32) -> Result<Looked> {
    if words.is_empty() {
        return Ok(Looked::Has);
    }
    let turns = store.turns_count(session, TURNS)?;
    while let Some(word) = words.first().cloned() {
        // One word in one session is never too much.
        if *read > 0 && *read + turns > READ {
            return Ok(Looked::Enough);
        }
        *read += turns;
        let found = store.turns_like(session, &[core(&word).to_owned()], TURNS)?;
        let said = found.iter().flat_map(|turn| {
            let answer = turn.view.as_ref().map(|view| transcript::answer(view).to_lowercase());
            std::iter::once(turn.prompt.to_lowercase()).chain(answer)
        });
        let said: Vec<String> = said.collect();
        words.retain(|word| said.iter().all(|text| !text.contains(word.as_str())));
        if words.first() == Some(&word) {
            return Ok(Looked::HasNot);
        }
    }
    Ok(Looked::Has)
}

/// The longest part of a word that stands in the log as it stands in the answer: letters and digits; all of it, where it
/// has none.
fn core(word: &str) -> &str {
    let parts = word.split(|c: char| !c.is_alphanumeric());
    let longest = parts.max_by_key(|part| part.len()).unwrap_or_default();
    if longest.is_empty() { word } else { longest }
}

#[cfg(test)]
mod tests;
