//! What people are told of a message that went from agent to agent.

use crate::chat::{Notice, Tone};
use crate::session::transcript::one_line;
use crate::store::{Came, RunRow};

/// Of a failure, in characters.
const WHY: usize = 200;

/// How an agent did not answer. None: it did.
pub(super) fn missed(came: &Came) -> Option<String> {
    match came {
        Came::Answered(_) => None,
        Came::Stopped => Some("was stopped".to_owned()),
        Came::Failed(why) => {
            let why: String = one_line(why).chars().take(WHY).collect();
            Some(format!("did not answer: {}", why.trim_end_matches('.')))
        }
    }
}

/// The last word. None: the answer stands for itself.
pub(super) fn over(run: &RunRow) -> Option<Notice> {
    let said = |tone, text| Some(Notice { tone, text });
    let of = run.steps.len();
    let place = match (&run.route, of) {
        (Some(_), 2..) => format!(" at step {} of {of}", run.step + 1),
        _ => String::new(),
    };
    if run.stopped {
        let text = match &run.route {
            Some(route) => format!("The route `{route}` was stopped{place}."),
            None => "Stopped for all of them.".to_owned(),
        };
        return said(Tone::Info, text);
    }
    let answered = run
        .parts
        .iter()
        .filter(|part| matches!(part.came, Some(Came::Answered(_))));
    let answered: Vec<String> = answered.map(|part| format!("`{}`", part.agent)).collect();
    let now = run
        .parts
        .iter()
        .filter_map(|part| Some((&part.agent, part.came.as_ref()?)));
    let before = run.missed.iter().map(|(agent, came)| (agent, came));
    let missing = before
        .chain(now)
        .filter_map(|(agent, came)| Some(format!("`{agent}` {}", missed(came)?)));
    let missing: Vec<String> = missing.collect();
    let (names, missing) = (listed(&answered), missing.join("; "));
    match (answered.len(), missing.is_empty()) {
        (1, true) => None,
        (_, true) => said(Tone::Info, format!("{names} answered.")),
        (0, false) if run.step + 1 < of => {
            let route = run.route.as_deref().unwrap_or_default();
            said(Tone::Warning, format!("The route `{route}` ended{place}: {missing}."))
        }
        (0, false) => said(Tone::Warning, format!("Nobody answered: {missing}.")),
        (_, false) => said(Tone::Warning, format!("{names} answered; {missing}.")),
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
