//! What comes next of a message that goes from agent to agent. Pure.

use super::words;
use crate::chat::{Notice, RouteStep, View, ViewState};
use crate::config::{ANSWER_PLACE, MESSAGE_PLACE};
use crate::session::transcript;
use crate::store::{Came, RunRow};

/// What is handed on of the answers of a step, in bytes: with the message and the words around them less than what a program
/// takes as one argument, 128 KiB on Linux.
const ANSWER_MAX: usize = 48 * 1024;

/// What is to be done for a run.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// An agent of the step has not ended.
    Wait,
    /// This step begins; what its agents are told.
    Step(usize, String),
    /// It is over; what is said of it.
    Over(Option<Notice>),
}

/// A route is a finite list and answers are never read for names, so it always comes to an end.
pub(super) fn next(run: &RunRow) -> Next {
    if run.parts.iter().any(|part| part.came.is_none()) {
        return Next::Wait;
    }
    let answered = run
        .parts
        .iter()
        .any(|part| matches!(part.came, Some(Came::Answered(_))));
    let after = run.step + 1;
    match run.steps.get(after) {
        Some(step) if answered && !run.stopped => Next::Step(after, told(step, run)),
        _ => Next::Over(words::over(run)),
    }
}

/// What an agent of the first step is told.
pub(super) fn opening(step: &RouteStep, message: &str) -> String {
    match &step.say {
        Some(say) => fill(say, message, ""),
        None => message.to_owned(),
    }
}

/// What an agent of a later step is told, when all before it have ended.
fn told(step: &RouteStep, run: &RunRow) -> String {
    let answer = joined(run);
    let Some(say) = &step.say else {
        return format!("{}\n\n<what was asked>\n{}", answer, run.message);
    };
    let mut text = fill(say, &run.message, &answer);
    if !say.contains(ANSWER_PLACE) {
        for line in missing(run) {
            text.push_str(&format!("\n\n{line}"));
        }
    }
    text
}

/// Puts both in, once: what is put in is not looked through, and everything else stays as it is.
fn fill(say: &str, message: &str, answer: &str) -> String {
    let mut text = String::with_capacity(say.len() + message.len() + answer.len());
    let mut rest = say;
    loop {
        let places = [(MESSAGE_PLACE, message), (ANSWER_PLACE, answer)];
        let found = places
            .iter()
            .filter_map(|(place, with)| Some((rest.find(place)?, *place, *with)));
        let Some((at, place, with)) = found.min_by_key(|(at, ..)| *at) else {
            text.push_str(rest);
            return text;
        };
        text.push_str(&rest[..at]);
        text.push_str(with);
        rest = &rest[at + place.len()..];
    }
}

/// The answers of a step as one; of several agents, each under its name, and of those that are too long together the longest
/// cut.
fn joined(run: &RunRow) -> String {
    let answers = run.parts.iter().filter_map(|part| match &part.came {
        Some(Came::Answered(text)) => Some((&part.agent, text)),
        _ => None,
    });
    let most = share(answers.clone().map(|(_, text)| text.len()).collect(), ANSWER_MAX);
    let mut parts: Vec<String> = match run.parts.as_slice() {
        [_] => answers.map(|(_, text)| text.clone()).collect(),
        _ => answers
            .map(|(agent, text)| format!("<{agent} answered>\n{}", cut(text.clone(), most)))
            .collect(),
    };
    parts.extend(missing(run));
    parts.join("\n\n")
}

/// The most that each may have so that all have no more than `all` together: what short ones leave is for the long ones.
fn share(mut lengths: Vec<usize>, all: usize) -> usize {
    lengths.sort_unstable();
    let mut left = all;
    for (at, length) in lengths.iter().enumerate() {
        let most = left / (lengths.len() - at);
        if *length > most {
            return most;
        }
        left -= length;
    }
    all
}

/// At most so many bytes of a text, and a word on it if that is not all.
fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push_str("\n(It is longer; the rest is left out.)");
    }
    text
}

/// A line for each agent of the step that did not answer.
fn missing(run: &RunRow) -> Vec<String> {
    let line = |agent: &str, came: &Came| Some(format!("<{agent} {}>", words::missed(came)?));
    let parts = run.parts.iter();
    parts
        .filter_map(|part| line(&part.agent, part.came.as_ref()?))
        .collect()
}

/// How a turn ended, for those who wait for it: all that the agent itself said, in order.
pub(super) fn came(view: &View) -> Came {
    match &view.state {
        ViewState::Failed(why) => Came::Failed(why.clone()),
        ViewState::Stopped => Came::Stopped,
        _ => Came::Answered(cut(transcript::words(view), ANSWER_MAX)),
    }
}

/// What came with the message goes where the message goes.
pub(super) fn brings_files(step: &RouteStep) -> bool {
    step.say.as_ref().is_none_or(|say| say.contains(MESSAGE_PLACE))
}

#[cfg(test)]
mod tests;
