//! What the host itself says in a view, and how long a quotation may be.

use std::time::Duration;

use crate::chat::UnixMillis;

pub(super) fn retrying(attempt: u32, of: u32, after: Duration, reason: &str) -> String {
    let seconds = after.as_secs_f32().ceil();
    format!("The model does not answer ({reason}). Trying again in {seconds} s ({attempt} of {of}).")
}

/// What whoever waits is told.
pub(super) const AWAY: &str = "This conversation is open in a terminal; the message waits until it is back.";

/// `until` and `now` are of the wall clock.
pub(super) fn limited(until: Option<UnixMillis>, reached: bool, now: UnixMillis) -> String {
    let what = if reached {
        "The agent's account has used up its allowance"
    } else {
        "The agent's account has nearly used up its allowance"
    };
    match until.map(|until| until.saturating_sub(now)).filter(|left| *left > 0) {
        Some(left) => format!("{what}; it is renewed in {}.", duration(left)),
        None => format!("{what}."),
    }
}

/// Milliseconds as people say them, never too short: `3 min`, `2 h 5 min`.
pub(in crate::session) fn duration(milliseconds: UnixMillis) -> String {
    let minutes = milliseconds.max(0).saturating_add(59_999) / 60_000;
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

pub(super) fn no_place(before: u32) -> String {
    match before {
        0 => "Waiting for a free place; this is next.".to_owned(),
        before => format!("Waiting for a free place ({before} before you)."),
    }
}

pub(super) fn usage(input: u64, output: u64, cost: Option<f64>) -> String {
    let mut text = format!("{} tokens in, {} out", count(input), count(output));
    if let Some(cost) = cost.filter(|cost| *cost > 0.0) {
        text.push_str(&format!(" · ${cost:.4}"));
    }
    text
}

fn count(tokens: u64) -> String {
    match tokens {
        0..1_000 => tokens.to_string(),
        1_000..1_000_000 => format!("{:.1}k", tokens as f64 / 1e3),
        _ => format!("{:.1}M", tokens as f64 / 1e6),
    }
}

/// At most `max_bytes` of it, whole characters, with a mark where something is missing.
pub(in crate::session) fn shorten(text: &str, max_bytes: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max_bytes - MARK.len());
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowance_is_told_with_the_time_of_its_renewal() {
        let now = 1_000_000_000_000;
        let minutes = |minutes: i64| Some(now + minutes * 60_000);
        for (until, reached, told) in [
            (minutes(3), true, "has used up its allowance; it is renewed in 3 min."),
            (
                minutes(125),
                true,
                "has used up its allowance; it is renewed in 2 h 5 min.",
            ),
            (
                minutes(60),
                false,
                "has nearly used up its allowance; it is renewed in 1 h.",
            ),
            // A time that is over tells nothing.
            (minutes(0), true, "has used up its allowance."),
            (minutes(-5), false, "has nearly used up its allowance."),
            (None, true, "has used up its allowance."),
            (Some(UnixMillis::MIN), true, "has used up its allowance."),
        ] {
            assert_eq!(limited(until, reached, now), format!("The agent's account {told}"));
        }
    }
}
