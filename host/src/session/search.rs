//! Which sessions have these words: in their name, their id, what was said first and last, or anywhere in what was
//! asked and answered. Looks through the store newest first, in small steps that let others in between, and not for
//! ever: what was not looked at is told.

use std::time::{Duration, Instant};

use super::transcript;
use crate::chat::{BotName, SessionId, SessionKey, UnixMillis};
use crate::store::{Journal, Result, SessionRow, Store};

/// Sessions in one step on the store's thread.
const STEP: u32 = 20;
/// A step ends when so many turns were read in it: others wait meanwhile.
const READ: usize = 200;
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
    let words: Vec<String> = words
        .split_whitespace()
        .map(str::to_lowercase)
        .take(WORDS_MAX)
        .collect();
    let mut found = Found {
        rows: Vec::new(),
        bounded: false,
    };
    let begun = Instant::now();
    let mut behind = None;
    loop {
        let (within, looked_for) = (within.clone(), words.clone());
        let step = journal
            .read(move |store| step(store, &within, &looked_for, behind.as_ref()))
            .await?;
        found.bounded |= step.bounded;
        found.rows.extend(step.rows);
        if step.last.is_none() {
            break;
        }
        behind = step.last;
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

struct Step {
    rows: Vec<SessionRow>,
    /// Which was looked at last; none: none is left.
    last: Option<Place>,
    bounded: bool,
}

fn step(store: &mut dyn Store, within: &Within, words: &[String], behind: Option<&Place>) -> Result<Step> {
    let behind = behind.map(|(updated, id)| (*updated, id));
    let (bot, key) = match within {
        Within::Bot(bot) => (bot.as_ref(), None),
        Within::Key(key) => (None, Some(key)),
    };
    let rows = store.sessions_behind(bot, key, behind, STEP)?;
    // What is damaged is left out: fewer than there are in a step, or none, may come before the end.
    let end = if rows.len() < STEP as usize {
        store.sessions_end(bot, key, behind, STEP)?
    } else {
        rows.last().map(|row| (row.updated, row.id.clone()))
    };
    let mut step = Step {
        rows: Vec::new(),
        last: end,
        bounded: false,
    };
    let mut read = 0;
    for row in rows {
        let place = (row.updated, row.id.clone());
        if has(store, &row, words, &mut read)? {
            step.rows.push(row);
        } else {
            step.bounded |= row.turns > TURNS;
        }
        if read >= READ {
            step.last = Some(place);
            break;
        }
    }
    Ok(step)
}

/// `read`: counts the turns that were read.
fn has(store: &mut dyn Store, row: &SessionRow, words: &[String], read: &mut usize) -> Result<bool> {
    let name = row.name.as_deref().unwrap_or_default();
    let own = [row.id.as_str(), name, &row.first, &row.last].map(str::to_lowercase);
    let elsewhere = |word: &&String| own.iter().all(|text| !text.contains(word.as_str()));
    let words: Vec<&String> = words.iter().filter(elsewhere).collect();
    if words.is_empty() {
        return Ok(true);
    }
    let looked_for: Vec<String> = words.iter().map(|word| core(word).to_owned()).collect();
    let turns = store.turns_like(&row.id, &looked_for, TURNS)?;
    *read += turns.len();
    let said = turns.iter().flat_map(|turn| {
        let answer = turn.view.as_ref().map(|view| transcript::answer(view).to_lowercase());
        std::iter::once(turn.prompt.to_lowercase()).chain(answer)
    });
    let said: Vec<String> = said.collect();
    Ok(words
        .iter()
        .all(|word| said.iter().any(|text| text.contains(word.as_str()))))
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
