//! What people are told of a message that went from agent to agent.

use crate::bot::dispatch::{info, warning};
use crate::chat::Part;
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
pub(super) fn over(run: &RunRow) -> Option<Part> {
    let of = run.steps.len();
    let place = match (&run.route, of) {
        (Some(_), 2..) => format!(" at step {} of {of}", run.step + 1),
        _ => String::new(),
    };
    if run.stopped {
        return Some(info(&match &run.route {
            Some(route) => format!("The route `{route}` was stopped{place}."),
            None => "Stopped for all of them.".to_owned(),
        }));
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
    match (answered.is_empty(), missing.is_empty()) {
        (false, true) if answered.len() == 1 => None,
        (false, true) => Some(info(&format!("{} answered.", listed(&answered)))),
        (true, _) if run.step + 1 < of => Some(warning(&format!(
            "The route `{}` ended{place}: {}.",
            run.route.as_deref().unwrap_or_default(),
            missing.join("; ")
        ))),
        (true, _) => Some(warning(&format!("Nobody answered: {}.", missing.join("; ")))),
        (false, false) => Some(warning(&format!(
            "{} answered; {}.",
            listed(&answered),
            missing.join("; ")
        ))),
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
