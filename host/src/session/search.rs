//! Which sessions have these words: in their name, their id, what was said first and last, or anywhere in what was
//! asked and answered. Looks through the store newest first, in small steps that let others in between, and not for
//! ever: what was not looked at is told.

use std::time::{Duration, Instant};

use super::transcript;
use crate::chat::{BotName, SessionKey};
use crate::store::{Journal, Result, SessionRow, Store};

/// Sessions in one step on the store's thread.
const STEP: u32 = 20;
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

/// At most `wanted` sessions that have all of the words, each anywhere, in any case.
pub async fn search(journal: &Journal, within: Within, words: &str, wanted: usize) -> Result<Found> {
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
    let mut skip = 0;
    loop {
        let (within, looked_for) = (within.clone(), words.clone());
        let step = journal
            .read(move |store| step(store, &within, &looked_for, skip))
            .await?;
        found.bounded |= step.bounded;
        found.rows.extend(step.rows);
        if step.looked_at < STEP {
            break;
        }
        skip += STEP;
        if found.rows.len() > wanted || begun.elapsed() > PATIENCE {
            found.bounded = true;
            break;
        }
    }
    found.bounded |= found.rows.len() > wanted;
    found.rows.truncate(wanted);
    Ok(found)
}

struct Step {
    rows: Vec<SessionRow>,
    looked_at: u32,
    bounded: bool,
}

fn step(store: &mut dyn Store, within: &Within, words: &[String], skip: u32) -> Result<Step> {
    let rows = match within {
        Within::Bot(bot) => store.sessions(bot.as_ref(), skip, STEP)?,
        Within::Key(key) => store.sessions_of(key, skip, STEP)?,
    };
    let mut step = Step {
        looked_at: u32::try_from(rows.len()).unwrap_or(STEP),
        rows: Vec::new(),
        bounded: false,
    };
    for row in rows {
        if has(store, &row, words)? {
            step.rows.push(row);
        } else {
            step.bounded |= row.turns > TURNS;
        }
    }
    Ok(step)
}

fn has(store: &mut dyn Store, row: &SessionRow, words: &[String]) -> Result<bool> {
    let name = row.name.as_deref().unwrap_or_default();
    let own = [row.id.as_str(), name, &row.first, &row.last].map(str::to_lowercase);
    for word in words {
        if own.iter().any(|text| text.contains(word.as_str())) {
            continue;
        }
        let turns = store.turns_like(&row.id, letters(word), TURNS)?;
        let said = |text: &str| text.to_lowercase().contains(word.as_str());
        let anywhere = turns
            .iter()
            .any(|turn| said(&turn.prompt) || turn.view.as_ref().is_some_and(|view| said(&transcript::answer(view))));
        if !anywhere {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The longest part of a word that is the same in any writing of it.
fn letters(word: &str) -> &str {
    let parts = word.split(|c: char| !c.is_ascii_alphanumeric());
    parts.max_by_key(|part| part.len()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Conversation, Part, SessionId, Target, TurnId, View};
    use crate::store::sqlite::SqliteStore;
    use crate::store::{TurnKind, TurnRow, TurnState};

    fn place() -> Conversation {
        Conversation {
            tenant: None,
            channel: "C".to_owned(),
            thread: None,
            direct: false,
        }
    }

    fn session(id: &str, key: &str, updated: i64) -> SessionRow {
        SessionRow {
            id: SessionId::from(id),
            updated,
            ..SessionRow::begin(
                SessionKey::from(key),
                BotName::from("team"),
                "claude".to_owned(),
                place(),
            )
        }
    }

    fn turn(id: String, session: &SessionRow, prompt: &str, answer: &str) -> TurnRow {
        TurnRow {
            id: TurnId(id),
            bot: session.bot.clone(),
            session: session.key.clone(),
            session_id: session.id.clone(),
            kind: TurnKind::Message,
            inbox: None,
            state: TurnState::Done,
            attempt: 1,
            target: Target {
                conversation: place(),
                reply_to: Vec::new(),
                private_to: None,
            },
            asker: "U1".to_owned(),
            prompt: prompt.to_owned(),
            opened: 5,
            view: Some(View::single(Part::Text(answer.to_owned()))),
            files: Vec::new(),
        }
    }

    async fn ids(journal: &Journal, within: Within, words: &str) -> (Vec<String>, bool) {
        let found = search(journal, within, words, 2).await.unwrap();
        (found.rows.into_iter().map(|row| row.id.0).collect(), found.bounded)
    }

    #[tokio::test]
    async fn words_are_found_wherever_they_were_said_and_what_was_not_looked_at_is_told() {
        let journal = Journal::over(Box::new(SqliteStore::in_memory().unwrap()));
        let named = SessionRow {
            name: Some("Die Übersicht".to_owned()),
            ..session("aa1", "k1", 4)
        };
        let spoken = session("bb2", "k1", 3);
        let other = SessionRow {
            last: "a \"quoted\" word".to_owned(),
            ..session("cc3", "k2", 2)
        };
        let long = SessionRow {
            turns: TURNS + 1,
            ..session("dd4", "k2", 1)
        };
        let rows = [named.clone(), spoken.clone(), other.clone(), long.clone()];
        let turns = [
            turn(
                "t1".to_owned(),
                &spoken,
                "Fix the C:\\build of Zoë",
                "It says \"Done\"\nin Größe 3",
            ),
            turn("t2".to_owned(), &long, "zebra", ""),
        ];
        let put = journal.write(move |store| {
            rows.iter().try_for_each(|row| store.session_keep(row))?;
            turns.iter().try_for_each(|turn| store.turn_put(turn))
        });
        put.await.unwrap();
        let all = || Within::Bot(None);
        let only = |id: &str, bounded| (vec![id.to_owned()], bounded);
        for (words, id) in [
            ("übersicht die", "aa1"),
            ("AA1", "aa1"),
            ("c:\\BUILD fix", "bb2"),
            ("GRÖSSE", ""),
            ("größe", "bb2"),
            ("\"done\" zoë", "bb2"),
            ("ZOË", "bb2"),
            ("\"quoted\"", "cc3"),
            ("blocks", ""),
            ("zebra fix", ""),
        ] {
            let expected = if id.is_empty() { (vec![], true) } else { only(id, true) };
            assert_eq!(ids(&journal, all(), words).await, expected, "{words}");
        }
        // Only of this key, and everything there was looked at.
        let own = |key: &str| Within::Key(SessionKey::from(key));
        assert_eq!(ids(&journal, own("k1"), "zoë").await, only("bb2", false));
        assert_eq!(ids(&journal, own("k2"), "zoë").await, (vec![], true));
        assert_eq!(
            ids(&journal, Within::Bot(Some(BotName::from("else"))), "zoë").await,
            (vec![], false)
        );
        // No more are wanted.
        assert_eq!(
            ids(&journal, all(), "").await,
            (vec!["aa1".to_owned(), "bb2".to_owned()], true)
        );
        journal.close().await;
    }

    #[tokio::test]
    async fn ten_thousand_sessions_are_searched_to_the_last() {
        let journal = Journal::over(Box::new(SqliteStore::in_memory().unwrap()));
        let put = journal.write(|store| {
            for number in 0..10_000 {
                let row = session(&format!("id{number}"), "k", number);
                store.session_keep(&row)?;
                let words = if number == 0 { "the needle" } else { "hay and straw" };
                store.turn_put(&turn(format!("t{number}"), &row, "what is here?", words))?;
            }
            Ok(())
        });
        put.await.unwrap();
        let begun = Instant::now();
        assert_eq!(
            ids(&journal, Within::Bot(None), "needle").await,
            (vec!["id0".to_owned()], false)
        );
        // A debug build of a busy machine; the search itself gives up before that.
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
        journal.close().await;
    }
}
