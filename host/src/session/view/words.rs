//! What the host itself says in a view, and how long a quotation may be.

use std::time::Duration;

pub(super) fn retrying(attempt: u32, of: u32, after: Duration, reason: &str) -> String {
    let seconds = after.as_secs_f32().ceil();
    format!("The model does not answer ({reason}). Trying again in {seconds} s ({attempt} of {of}).")
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
pub(super) fn shorten(text: &str, max_bytes: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max_bytes - MARK.len());
    format!("{}{MARK}", &text[..end])
}
