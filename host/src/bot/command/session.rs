//! The commands about sessions: which there are, which one is current, what it is called, costs and said.

use std::fmt::Write as _;

use super::super::dispatch::{info, warning};
use super::super::{Bot, ago};
use crate::access;
use crate::chat::{Ask, Choice, Origin, Part, SessionId, SessionKey, Style, Target, Token, TurnId, View, now};
use crate::command::Action;
use crate::config::DriverKind;
use crate::manifest::Ability;
use crate::session::transcript::{self, one_line};
use crate::session::{Change, ChangeError, NAME_MAX, SessionStatus, copy, modes, search};
use crate::store::{Decision, Result as StoreResult, SessionRow, TokenRow, TurnRow};

/// Sessions on one page of the list.
const PAGE: u32 = 5;
/// A number of so many digits is always a page's; a longer one is looked for, if there is no such page.
const PAGE_DIGITS: usize = 2;
/// Sessions that are looked through for a name.
const NAMES_MAX: u32 = 1000;
/// Sessions that a search finds at most.
const FOUND_MAX: usize = 200;
/// Turns that `history` shows.
const HISTORY: u32 = 5;
/// What is shown of a message, in characters.
const FIRST_WORDS: usize = 60;
/// How long a list can be clicked: milliseconds of a day.
const LIST_LASTS: i64 = 24 * 3600 * 1000;

impl Bot {
    /// What a command about sessions answers. None: it was answered already.
    pub(super) async fn about_sessions(
        &self,
        action: Action,
        key: &SessionKey,
        origin: &Origin,
        argument: &str,
        private: bool,
    ) -> Option<Part> {
        let registry = &self.inner.registry;
        let part = match action {
            Action::List => return self.list(key, origin, argument, private).await,
            Action::Switch => match self.find_session(key, argument).await {
                Some(row) => {
                    let done = format!("This is {} now.", called(&row));
                    changed(registry.change(key, Change::Switch(row.id)).await, &done)
                }
                None => refusal(&ChangeError::Unknown),
            },
            Action::Rename => {
                let renamed = registry.change(key, Change::Rename(argument.to_owned())).await;
                changed(renamed, "Renamed.")
            }
            Action::Fork => self.fork_here(key).await,
            Action::Delete => self.delete_one(key, origin, argument).await,
            Action::Model | Action::Mode => self.choose(action, key, origin, argument).await,
            Action::History => self.history(key).await,
            Action::Export => self.export(key, origin, argument, private).await,
            Action::Queue => self.queue(key, origin, argument).await,
            Action::Whoami => self.whoami(key, origin).await,
            Action::Tools | Action::Workspace | Action::Cost => match registry.status(key).await {
                Some(status) => self.about(action, &status),
                None => info("No conversation yet."),
            },
            _ => return None,
        };
        Some(part)
    }

    async fn fork_here(&self, key: &SessionKey) -> Part {
        let registry = &self.inner.registry;
        let forked = registry.change(key, Change::Fork).await;
        let rest = match (&forked, registry.status(key).await) {
            (Ok(()), Some(status)) => copy::left_out(status.row.turns),
            _ => None,
        };
        let rest = rest.map(|rest| format!(" Here {rest}.")).unwrap_or_default();
        changed(
            forked,
            &format!("This is a copy now; the original is in `/list`.{rest}"),
        )
    }

    fn about(&self, action: Action, status: &SessionStatus) -> Part {
        let row = &status.row;
        let driver = self.inner.registry.agent_of(&row.key).driver;
        match action {
            Action::Tools => match &status.offers.tools {
                Some(tools) => Part::Text(format!("It can use: {}.", listed(tools))),
                None if driver == DriverKind::Claude => {
                    info("The agent has not said yet what it can use; it does with its first answer.")
                }
                None => info("This agent does not tell its tools."),
            },
            Action::Workspace => {
                let folder = self.inner.registry.workspace(row);
                Part::Text(format!("It works in `{}`.", folder.display()))
            }
            _ if !counts(driver, row) => info(&format!("{}. This agent does not count what it uses.", turns(row))),
            _ => {
                let cost = match row.cost_micros {
                    0 => String::new(),
                    micros => format!(
                        ", {}.{:04} US dollars by the agent's own count",
                        micros / 1_000_000,
                        micros % 1_000_000 / 100
                    ),
                };
                let text = format!(
                    "{}, {} tokens in and {} out{cost}.",
                    turns(row),
                    row.input_tokens,
                    row.output_tokens
                );
                Part::Text(text)
            }
        }
    }

    /// The sessions under this key, a page of them, each with a button.
    async fn list(&self, key: &SessionKey, origin: &Origin, argument: &str, private: bool) -> Option<Part> {
        let (mut page, mut words) = page_of(argument);
        let Ok(mut found) = self.page(key, page, words).await else {
            return Some(unread());
        };
        if found.rows.is_empty() && page > 1 && argument.len() > PAGE_DIGITS {
            // There is no such page: it is what somebody looks for, `2026` or `2026/11`.
            match self.page(key, 1, argument).await {
                Ok(other) if !other.rows.is_empty() => (page, words, found) = (1, argument, other),
                Ok(_) => {}
                Err(_) => return Some(unread()),
            }
        }
        let Page {
            rows,
            current,
            count,
            all,
            bounded,
        } = found;
        if rows.is_empty() {
            return Some(info(match (all, count, words.is_empty()) {
                (0, ..) => "No conversation yet.",
                (_, 0, false) if page == 1 => "No conversation here has these words.",
                _ => "There are no more.",
            }));
        }
        let mut text = String::new();
        let mut choices: Vec<(String, String)> = Vec::new();
        for row in &rows {
            let here = current.as_ref() == Some(&row.id);
            let mark = if here { " (current)" } else { "" };
            let last = if row.last.is_empty() { "" } else { " … " };
            let _ = writeln!(
                text,
                "- `{}`{}{mark}: {}, {} ago. {}{last}{}",
                row.id,
                row.name
                    .as_deref()
                    .map(|name| format!(" **{}**", plain(name)))
                    .unwrap_or_default(),
                turns(row),
                ago(row.updated),
                plain(&clip(&row.first)),
                plain(&clip(&row.last)),
            );
            if !here {
                choices.push((called(row), format!("switch {}", row.id)));
            }
        }
        let more = (count > page.saturating_mul(PAGE)).then(|| {
            let next = page + 1;
            if words.is_empty() {
                format!("list {next}")
            } else {
                format!("list {next}/{words}")
            }
        });
        if bounded {
            text.push_str("\nThere may be more: the newest were looked at.\n");
        }
        let title = format!("Sessions ({count})");
        if !self.can(Ability::Buttons) {
            let more = more.map(|more| format!("\n\n`/{}` shows more.", plain(&more)));
            return Some(Part::Text(format!(
                "**{title}**\n\n{text}\n`/switch ID` goes on with one.{}",
                more.unwrap_or_default()
            )));
        }
        choices.extend(more.map(|more| ("More".to_owned(), more)));
        let private_to = self.whispers(origin, private).then(|| origin.sender.id.clone());
        self.offer(key, origin, private_to, title, text, choices).await;
        None
    }

    /// One page of the sessions under this key, with words or all.
    async fn page(&self, key: &SessionKey, page: u32, words: &str) -> StoreResult<Page> {
        let (wanted, skip) = (key.clone(), (page - 1).saturating_mul(PAGE));
        let whole = words.is_empty();
        let read = self.inner.journal.read(move |store| {
            let rows = if whole {
                store.sessions_of(&wanted, skip, PAGE)?
            } else {
                Vec::new()
            };
            let current = store.session_get(&wanted)?.map(|row| row.id);
            let (all, _) = store.session_counts(&wanted)?;
            Ok(Page {
                rows,
                current,
                count: all,
                all,
                bounded: false,
            })
        });
        let mut found = read.await?;
        if !whole {
            let within = search::Within::Key(key.clone());
            let matches = search::search(&self.inner.journal, within, words, FOUND_MAX).await?;
            found.count = u32::try_from(matches.rows.len()).unwrap_or(u32::MAX);
            found.bounded = matches.bounded;
            let of_page = matches.rows.into_iter().skip(skip as usize).take(PAGE as usize);
            found.rows = of_page.collect();
        }
        Ok(found)
    }

    /// A person forgets what is theirs: under a key that others speak under too, what nobody else said anything in, unless
    /// they may decide for others.
    async fn delete_one(&self, key: &SessionKey, origin: &Origin, argument: &str) -> Part {
        let id = SessionId(argument.trim().trim_matches('`').to_owned());
        let asker = origin.sender.id.clone();
        let (wanted, own) = (id.clone(), key.clone());
        let read = self.inner.journal.read(move |store| {
            let found = store.session_by_id(&wanted)?.filter(|row| row.key == own);
            Ok((found, store.said_by_others(&wanted, &asker)?))
        });
        match read.await {
            Ok((None, _)) => return refusal(&ChangeError::Unknown),
            Ok((Some(_), true)) if !access::may_decide(&self.inner.config, "", &origin.sender) => {
                return refusal(&ChangeError::NotTheirs);
            }
            Ok(_) => {}
            Err(_) => return unread(),
        }
        let deleted = self.inner.registry.delete(key, &id, &origin.sender.id).await;
        changed(deleted.map(drop), "It is deleted. What stands in the chat stays there.")
    }

    /// Shows buttons that stand for commands.
    async fn offer(
        &self,
        key: &SessionKey,
        origin: &Origin,
        private_to: Option<String>,
        title: String,
        text: String,
        commands: Vec<(String, String)>,
    ) {
        let turn = TurnId::random();
        let token = |command: &String| TokenRow {
            token: Token::random(),
            bot: self.inner.config.name.clone(),
            conversation: origin.conversation.clone(),
            session: key.clone(),
            turn: turn.clone(),
            ask: None,
            decision: Decision::Say(command.clone()),
            expires: now().saturating_add(LIST_LASTS),
        };
        let tokens: Vec<TokenRow> = commands.iter().map(|(_, command)| token(command)).collect();
        let choice = |((label, _), token): (&(String, String), &TokenRow)| Choice {
            label: label.clone(),
            description: String::new(),
            token: token.token.clone(),
            style: Style::Plain,
        };
        let ask = Ask {
            title,
            text,
            choices: commands.iter().zip(&tokens).map(choice).collect(),
            selection: None,
            settled: None,
        };
        let mut view = View::single(Part::Ask(ask));
        view.turn = turn;
        let target = Target {
            conversation: origin.conversation.clone(),
            reply_to: origin.reply_to.clone(),
            private_to,
        };
        let kept = self
            .inner
            .journal
            .write(move |store| tokens.iter().try_for_each(|token| store.token_put(token)))
            .await;
        let shown = match kept {
            Ok(()) => self.inner.outbox.post(target, view).await,
            Err(error) => Err(error),
        };
        if let Err(error) = shown {
            tracing::warn!(bot = %self.inner.config.name, %error, "a list could not be stored");
        }
    }

    /// By its id or its name; without either, the one before the current one.
    async fn find_session(&self, key: &SessionKey, wanted: &str) -> Option<SessionRow> {
        let (key, wanted) = (key.clone(), wanted.trim().trim_matches('`').to_owned());
        let found = self
            .inner
            .journal
            .read(move |store| {
                if wanted.is_empty() {
                    let current = store.session_get(&key)?.map(|row| row.id);
                    let mut rows = store.sessions_of(&key, 0, 2)?.into_iter();
                    return Ok(rows.find(|row| Some(&row.id) != current.as_ref()));
                }
                if let Some(row) = store.session_by_id(&SessionId(wanted.clone()))? {
                    return Ok(Some(row).filter(|row| row.key == key));
                }
                let named = |row: &SessionRow| {
                    row.name
                        .as_ref()
                        .is_some_and(|name| name.to_lowercase() == wanted.to_lowercase())
                };
                Ok(store.sessions_of(&key, 0, NAMES_MAX)?.into_iter().find(named))
            })
            .await;
        found.ok().flatten()
    }

    /// Shows what there is to choose from, or chooses.
    async fn choose(&self, action: Action, key: &SessionKey, origin: &Origin, argument: &str) -> Part {
        let model = action == Action::Model;
        if argument.is_empty() {
            let Some(status) = self.inner.registry.status(key).await else {
                return info("No conversation yet.");
            };
            let (now, all) = if model {
                (status.model.or(status.row.model), status.offers.models)
            } else {
                let modes = modes(self.inner.registry.agent_of(key), &status.offers);
                (
                    status.row.mode.or(status.offers.mode),
                    Some(modes).filter(|modes| !modes.is_empty()),
                )
            };
            let now = now.map_or_else(|| "the agent's own".to_owned(), |now| format!("`{}`", plain(&now)));
            let all = all
                .map(|all| format!(" There are: {}.", listed(&all)))
                .unwrap_or_default();
            return Part::Text(format!("It is {now}.{all} `own` goes back to the agent's own."));
        }
        // Who may not decide what an agent does may not choose either how much it asks.
        if !model && !access::may_decide(&self.inner.config, &origin.sender.id, &origin.sender) {
            return warning("This is not yours to decide.");
        }
        let value = Some(argument.to_owned()).filter(|value| value != "own");
        let change = if model {
            Change::Model(value)
        } else {
            Change::Mode(value)
        };
        changed(self.inner.registry.change(key, change).await, "From now on, then.")
    }

    /// The current session with its turns, oldest first.
    async fn log(&self, key: &SessionKey, turns: u32) -> StoreResult<Option<(SessionRow, Vec<TurnRow>)>> {
        let key = key.clone();
        let read = self.inner.journal.read(move |store| {
            let Some(row) = store.session_get(&key)? else {
                return Ok(None);
            };
            let mut turns = store.turns_of(&row.id, turns)?;
            turns.reverse();
            Ok(Some((row, turns)))
        });
        read.await
    }

    async fn history(&self, key: &SessionKey) -> Part {
        match self.log(key, HISTORY).await {
            Ok(Some((session, turns))) if !turns.is_empty() => Part::Text(transcript::markdown(&session, &turns)),
            Ok(_) => info("Nothing was said yet."),
            Err(_) => unread(),
        }
    }

    async fn queue(&self, key: &SessionKey, origin: &Origin, argument: &str) -> Part {
        if let Some(place) = argument.strip_prefix("drop") {
            let Ok(place) = place.trim().parse::<usize>() else {
                return warning("Say it like this: `/queue drop 1`.");
            };
            let theirs = access::may_decide(&self.inner.config, "", &origin.sender);
            let of = (!theirs).then(|| origin.sender.id.clone());
            let dropped = self.inner.registry.change(key, Change::Drop { place, of }).await;
            return changed(dropped, "It waits no longer.");
        }
        let waiting = self.inner.registry.status(key).await.map(|status| status.queue);
        let waiting = waiting.unwrap_or_default();
        if waiting.is_empty() {
            return info("Nothing waits.");
        }
        let line = |(at, one): (usize, &crate::session::Waiting)| {
            format!("{}. <@{}>: {}", at + 1, one.asker, plain(&clip(&one.prompt)))
        };
        Part::Text(waiting.iter().enumerate().map(line).collect::<Vec<_>>().join("\n"))
    }

    async fn whoami(&self, key: &SessionKey, origin: &Origin) -> Part {
        let person = &origin.sender;
        let name = person.name.as_deref().map(|name| format!(" ({})", plain(name)));
        let may = if access::may_decide(&self.inner.config, &person.id, person) {
            "You may decide what the agent asks you."
        } else {
            "Others decide what the agent asks."
        };
        let status = self.inner.registry.status(key).await;
        let session = status.map(|status| format!(" This is {}.", called(&status.row)));
        Part::Text(format!(
            "You are `{}`{}. {may}{}",
            plain(&person.id),
            name.unwrap_or_default(),
            session.unwrap_or_default()
        ))
    }
}

/// A page of a list.
struct Page {
    rows: Vec<SessionRow>,
    current: Option<SessionId>,
    /// Of those with the words.
    count: u32,
    /// With the words or without.
    all: u32,
    bounded: bool,
}

/// Which page of which words: `2`, `words`, or, as the button for more says it, `2/words`. Whether there is such a page is
/// for whoever looks.
fn page_of(argument: &str) -> (u32, &str) {
    let (page, words) = argument.split_once('/').unwrap_or((argument, ""));
    let plain = !page.is_empty() && page.bytes().all(|byte| byte.is_ascii_digit());
    match page.parse::<u32>() {
        Ok(1) if plain && page == argument => (1, ""),
        Ok(page) if plain && page > 1 => (page, words.trim()),
        _ => (1, argument),
    }
}

fn changed(result: Result<(), ChangeError>, done: &str) -> Part {
    match result {
        Ok(()) => info(done),
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &ChangeError) -> Part {
    let text = match error {
        ChangeError::Unknown => "There is nothing like that here.".to_owned(),
        ChangeError::Busy => "The agent is working. Wait for it, or say `/stop` first.".to_owned(),
        ChangeError::Background => {
            "A task of the agent runs on in the background. Wait for it, or say `/stop` to end it.".to_owned()
        }
        ChangeError::Nothing => "Nothing was said here yet.".to_owned(),
        ChangeError::Unable => "This agent cannot do that.".to_owned(),
        ChangeError::Away => "That conversation is open in a terminal; it is back when that ends.".to_owned(),
        ChangeError::NotTaken => format!("That is no name: one line, {NAME_MAX} characters at most."),
        ChangeError::NoModel => "That is no model: one word, as the agent calls it, or `own`.".to_owned(),
        ChangeError::NotOffered(all) => format!("There is no such one. There are: {}.", listed(all)),
        ChangeError::NotTheirs => "This is not yours.".to_owned(),
        ChangeError::Unavailable(_) => return unread(),
    };
    warning(&text)
}

pub(super) fn unread() -> Part {
    warning("That could not be looked up just now. Please try again.")
}

/// The agent tells what it uses. Whether one that speaks ACP does is seen when it has answered.
const fn counts(driver: DriverKind, row: &SessionRow) -> bool {
    match driver {
        DriverKind::Claude => true,
        DriverKind::Acp => row.turns == 0 || row.input_tokens > 0 || row.output_tokens > 0,
        DriverKind::Exec => false,
    }
}

/// What a session is called: its name, or its id.
fn called(row: &SessionRow) -> String {
    row.name.as_deref().map_or_else(|| row.id.to_string(), plain)
}

fn turns(row: &SessionRow) -> String {
    match row.turns {
        1 => "1 turn".to_owned(),
        turns => format!("{turns} turns"),
    }
}

fn listed(all: &[String]) -> String {
    let one = |name: &String| format!("`{}`", plain(name));
    all.iter().take(100).map(one).collect::<Vec<_>>().join(", ")
}

fn plain(text: &str) -> String {
    one_line(text).replace(['`', '*'], "'")
}

fn clip(text: &str) -> String {
    let mut clipped: String = text.chars().take(FIRST_WORDS).collect();
    if text.chars().nth(FIRST_WORDS).is_some() {
        clipped.push('…');
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_a_number_alone_or_before_words_and_everything_else_is_words() {
        let u32_max = u32::MAX.to_string();
        for (argument, expected) in [
            ("", (1, "")),
            ("1", (1, "")),
            ("2", (2, "")),
            ("2/red things", (2, "red things")),
            ("2/ red / blue", (2, "red / blue")),
            ("2/", (2, "")),
            (u32_max.as_str(), (u32::MAX, "")),
            // If there is no such page, they are words: that is seen by whoever looks.
            ("2026", (2026, "")),
            ("2026/11", (2026, "11")),
            ("0", (1, "0")),
            ("-1", (1, "-1")),
            ("+2", (1, "+2")),
            ("1/2", (1, "1/2")),
            ("/2", (1, "/2")),
            ("red/2", (1, "red/2")),
            ("2 red", (1, "2 red")),
            ("4294967296", (1, "4294967296")),
        ] {
            assert_eq!(page_of(argument), expected, "`{argument}`");
        }
    }
}
