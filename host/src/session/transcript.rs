//! What was said in a session, from the host's own log: as Markdown for people, as JSON lines for programs. Pure.

use serde_json::json;

use crate::chat::{Part, StepState, View, ViewState};
use crate::session::view::{HEADING, shorten};
use crate::store::{SessionRow, TurnKind, TurnRow};

/// What a list shows of what was said first and last, in bytes.
const WORDS_MAX: usize = 200;

/// What an answer says, with its steps as one line each; without what passes.
pub fn answer(view: &View) -> String {
    let part = |part: &Part| match part {
        Part::Text(text) => Some(text.clone()),
        Part::Step(step) => {
            let state = match step.state {
                StepState::Failed => " (failed)",
                StepState::Denied => " (denied)",
                StepState::Waiting | StepState::Running | StepState::Done => "",
            };
            Some(format!("> {}{state}", one_line(&step.title)))
        }
        Part::Ask(ask) => {
            let settled = ask.settled.as_deref().unwrap_or("open");
            Some(format!("> {}: {}", one_line(&ask.title), one_line(settled)))
        }
        _ => None,
    };
    let blocks = view.blocks.iter().filter(|block| block.id != HEADING);
    let mut parts: Vec<String> = blocks.filter_map(|block| part(&block.part)).collect();
    match &view.state {
        ViewState::Stopped => parts.push("> stopped".to_owned()),
        ViewState::Failed(why) => parts.push(format!("> failed: {}", one_line(why))),
        _ => {}
    }
    parts.join("\n\n")
}

/// What the agent itself said, without its steps and what others said for it.
pub fn words(view: &View) -> String {
    let said = view
        .blocks
        .iter()
        .filter(|block| block.id != HEADING && block.parent.is_none());
    let text = said.filter_map(|block| match &block.part {
        Part::Text(text) => Some(text.trim()),
        _ => None,
    });
    text.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// For whom a log is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Markdown,
    /// For programs: a line for the session and one for each turn.
    JsonLines,
}

impl Form {
    /// What stands before the turns.
    pub fn head(self, session: &SessionRow) -> String {
        match self {
            Self::Markdown => {
                let name = session.name.as_deref().map(one_line);
                format!("# {}\n", name.unwrap_or_else(|| format!("Session {}", session.id)))
            }
            Self::JsonLines => {
                let head = json!({"session": session.id.as_str(), "name": session.name, "agent": session.agent,
                    "created_ms": session.created, "turns": session.turns});
                format!("{head}\n")
            }
        }
    }

    pub fn turn(self, turn: &TurnRow) -> String {
        match self {
            Self::Markdown => {
                let mut text = String::new();
                if !turn.prompt.is_empty() {
                    text.push_str(&format!("\n**{}:** {}\n", one_line(&turn.asker), turn.prompt));
                }
                if let Some(view) = &turn.view {
                    text.push_str(&format!("\n{}\n", answer(view)));
                }
                text
            }
            Self::JsonLines => {
                let line = json!({"turn": turn.id.as_str(), "opened_ms": turn.opened, "asker": turn.asker,
                    "prompt": turn.prompt, "answer": turn.view.as_ref().map(answer), "view": turn.view});
                format!("{line}\n")
            }
        }
    }

    /// The whole of it. `turns`: oldest first.
    pub fn whole(self, session: &SessionRow, turns: &[TurnRow]) -> String {
        let turns = turns.iter().map(|turn| self.turn(turn));
        std::iter::once(self.head(session)).chain(turns).collect()
    }
}

/// `turns`: oldest first.
pub fn markdown(session: &SessionRow, turns: &[TurnRow]) -> String {
    Form::Markdown.whole(session, turns)
}

/// What an agent is given that has lost what was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recalled {
    pub log: String,
    /// Nothing is left out.
    pub whole: bool,
}

/// What was said, for an agent that has lost it: the newest of it, at most `max_bytes`, and of what alone is longer its
/// beginning. None: nothing was said.
/// `turns`: newest first. `older`: before these, more was said.
pub fn recall(turns: &[TurnRow], older: bool, max_bytes: usize) -> Option<Recalled> {
    let (mut left, mut whole) = (max_bytes, !older);
    let mut parts = Vec::new();
    for turn in turns.iter().filter(|turn| turn.kind == TurnKind::Message) {
        let mut part = String::new();
        if !turn.prompt.is_empty() {
            part.push_str(&format!("<{} said>\n{}\n", one_line(&turn.asker), turn.prompt));
        }
        if let Some(view) = &turn.view {
            part.push_str(&format!("<you answered>\n{}\n", answer(view)));
        }
        if part.len() > left {
            whole = false;
            if parts.is_empty() {
                parts.push(shorten(&part, left) + "\n");
            }
            break;
        }
        left -= part.len();
        parts.push(part);
    }
    if parts.is_empty() {
        return None;
    }
    if !whole {
        parts.push("(More was said; that is left out.)\n".to_owned());
    }
    parts.reverse();
    Some(Recalled {
        log: parts.concat(),
        whole,
    })
}

/// What lists show of a session after one more turn of it.
pub(super) fn sum_up<'a>(row: &mut SessionRow, prompt: &str, said: impl DoubleEndedIterator<Item = &'a Part>) {
    row.turns = row.turns.saturating_add(1);
    if row.first.is_empty() {
        row.first = shorten(&one_line(prompt), WORDS_MAX);
    }
    let last = said.rev().find_map(|part| match part {
        Part::Text(text) => Some(text),
        _ => None,
    });
    if let Some(last) = last {
        row.last = shorten(&one_line(last), WORDS_MAX);
    }
}

/// Without line breaks and other control characters.
pub fn one_line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Block, BotName, Conversation, SessionKey, Step, Target, TurnId};
    use crate::store::TurnState;

    fn turn(parts: Vec<Part>) -> TurnRow {
        let mut view = View::single(Part::Text(String::new()));
        let block = |(id, part): (u32, Part)| Block {
            id,
            parent: None,
            revision: 1,
            part,
            complete: true,
        };
        view.blocks = (1..).zip(parts).map(block).collect();
        view.state = ViewState::Stopped;
        let session = session();
        TurnRow {
            id: TurnId::from("t1"),
            bot: session.bot,
            session: session.key,
            session_id: session.id,
            kind: TurnKind::Message,
            inbox: None,
            state: TurnState::Done,
            attempt: 1,
            target: Target {
                conversation: session.conversation,
                reply_to: Vec::new(),
                private_to: None,
            },
            asker: "U1".to_owned(),
            prompt: "hello".to_owned(),
            opened: 5,
            view: Some(view),
            files: Vec::new(),
        }
    }

    fn session() -> SessionRow {
        let conversation = Conversation {
            tenant: None,
            channel: "C".to_owned(),
            thread: None,
            direct: true,
        };
        let mut row = SessionRow::begin(
            SessionKey::from("k"),
            BotName::from("team"),
            "claude".to_owned(),
            conversation,
        );
        row.name = Some("my\nwork".to_owned());
        row
    }

    #[test]
    fn newest_of_what_was_said_is_recalled_within_its_bound() {
        let said = |prompt: &str, words: &str| TurnRow {
            prompt: prompt.to_owned(),
            ..turn(vec![Part::Text(words.to_owned())])
        };
        let turns = [said("three", "c"), said("two", "b"), said("one", &"a".repeat(200))];
        let newest =
            "<U1 said>\ntwo\n<you answered>\nb\n\n> stopped\n<U1 said>\nthree\n<you answered>\nc\n\n> stopped\n";
        let left_out = "(More was said; that is left out.)\n";
        let recalled = |log: String, whole| Some(Recalled { log, whole });
        let cut = recalled(format!("{left_out}{newest}"), false);
        assert_eq!(recall(&turns, false, 150), cut);
        assert_eq!(recall(&turns[..2], false, 150), recalled(newest.to_owned(), true));
        assert_eq!(recall(&turns[..2], true, 150), cut, "more was said than is there");
        let long = recall(&turns[2..], false, 150).expect("its beginning");
        assert!(
            !long.whole && long.log.contains("<U1 said>\none\n<you answered>\naaa"),
            "{long:?}"
        );
        assert!(long.log.len() < 150 + left_out.len() + 5, "{long:?}");
        assert_eq!([recall(&[], false, 150), recall(&[], true, 150)], [None, None]);
    }

    #[test]
    fn what_was_said_is_told_in_its_order_for_people_and_for_programs() {
        let step = Step {
            kind: "execute".into(),
            title: "Bash: ls\nx".into(),
            detail: String::new(),
            output: String::new(),
            state: StepState::Failed,
            elapsed: None,
        };
        let turn = turn(vec![
            Part::Text("hi".into()),
            Part::Step(step),
            Part::Thinking("no".into()),
        ]);
        let text = markdown(&session(), std::slice::from_ref(&turn));
        assert_eq!(
            text,
            "# my work\n\n**U1:** hello\n\nhi\n\n> Bash: ls x (failed)\n\n> stopped\n"
        );
        let lines: Vec<serde_json::Value> = Form::JsonLines
            .whole(&session(), &[turn])
            .lines()
            .map(|line| serde_json::from_str(line).expect("every line is JSON"))
            .collect();
        assert_eq!(lines[0]["name"], "my\nwork");
        assert_eq!(
            (&lines[1]["prompt"], &lines[1]["asker"]),
            (&json!("hello"), &json!("U1"))
        );
        assert_eq!(lines[1]["answer"], "hi\n\n> Bash: ls x (failed)\n\n> stopped");
    }
}
