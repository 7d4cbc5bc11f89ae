//! Durations and sizes as people write them.

use std::time::Duration;

/// `90s`, `8h`, `1h30m`: whole numbers with `ms`, `s`, `m`, `h` or `d`. None: it is none of these, or too long.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let (number, unit, after) = part(rest)?;
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        sum = sum.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = after.trim_start();
    }
    // A century: what is longer is a mistake, and overflows sums of times.
    (sum <= Duration::from_secs(100 * 366 * 86_400)).then_some(sum)
}

/// `64MiB`, in bytes: a whole number with `KiB`, `MiB` or `GiB`.
pub(super) fn size(text: &str) -> Option<usize> {
    let (number, unit, after) = part(text.trim())?;
    let bytes: u64 = match unit {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    if !after.is_empty() {
        return None;
    }
    usize::try_from(number.checked_mul(bytes)?).ok()
}

/// As [`size`] reads it, in the largest unit that leaves a whole number.
pub(super) fn show_size(bytes: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units
        .iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

/// As [`duration`] reads it: `7d`, `1h 30m`.
pub(super) fn show(duration: Duration) -> String {
    let mut left = duration.as_millis();
    let mut parts = Vec::new();
    for (millis, unit) in [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
        (1, "ms"),
    ] {
        if left >= millis {
            parts.push(format!("{}{unit}", left / millis));
            left %= millis;
        }
    }
    if parts.is_empty() {
        "0s".to_owned()
    } else {
        parts.join(" ")
    }
}

/// Number, unit, and what follows.
fn part(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number = text[..digits].parse().ok()?;
    let rest = text[digits..].trim_start();
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    Some((number, &rest[..end], &rest[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let seconds = |text| duration(text).map(|read| read.as_millis());
        assert_eq!(
            ["250ms", "90s", "10m", "8h", "1d", "1h30m", "1h 30m", " 5 s "].map(seconds),
            [
                250, 90_000, 600_000, 28_800_000, 86_400_000, 5_400_000, 5_400_000, 5_000
            ]
            .map(Some)
        );
        assert_eq!(
            [
                "",
                "8",
                "h",
                "8 hours",
                "-1h",
                "1.5h",
                "99999999999999999999d",
                "900000d",
                "18446744073709551615d"
            ]
            .map(duration),
            [None; 9]
        );
    }

    #[test]
    fn sizes_are_read_in_binary_units() {
        assert_eq!(
            ["64MiB", "512 KiB", "1GiB"].map(size),
            [Some(64 << 20), Some(512 << 10), Some(1 << 30)]
        );
        assert_eq!(["64", "64MB", "MiB", "1MiB2", "99999999999GiB"].map(size), [None; 5]);
    }

    #[test]
    fn a_shown_duration_reads_back() {
        for text in ["7d", "1h 30m", "250ms", "0s"] {
            assert_eq!(show(duration(text).expect(text)), text);
        }
    }
}
