//! Blanks secrets in what comes back: one pass over the bytes for all of them, in place, by the method of Wu and
//! Manber (most bytes are skipped, not looked at).

use std::collections::BTreeSet;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shorter values cannot be told from ordinary text.
pub(crate) const SHORTEST: usize = 4;
/// Derived forms (base64 parts) shorter than this would hit ordinary text.
const SHORTEST_DERIVED: usize = 12;
const TABLE: usize = 4096;

/// What to look for: secrets, as they are and as they look url-encoded, in JSON, in hex and inside base64.
pub(crate) struct Needles {
    patterns: Vec<Box<[u8]>>,
    /// Length of the shortest; what is looked up first of every pattern.
    window: usize,
    longest: usize,
    /// By the hash of two bytes: how far the window may move.
    shift: Vec<u8>,
    /// By the hash of a window's last two bytes: the patterns that it may begin.
    starts: Vec<Vec<u16>>,
}

impl std::fmt::Debug for Needles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Needles({})", self.patterns.len())
    }
}

fn hash(a: u8, b: u8) -> usize {
    (usize::from(a) << 4 ^ usize::from(b)) & (TABLE - 1)
}

/// Percent-encoded but for unreserved characters and `also`.
pub(crate) fn percent_encoded(text: &str, also: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What base64 of any text with the secret in it has in common, for the three ways that it can lie in it.
fn inside_base64(secret: &[u8], forms: &mut BTreeSet<Vec<u8>>) {
    for offset in 0..3usize {
        let mut padded = vec![0; offset];
        padded.extend_from_slice(secret);
        // A first character that also depends on what stands before, a last one that depends on what follows.
        let first = (offset * 8).div_ceil(6);
        let last = padded.len() * 8 / 6;
        if last < first + SHORTEST_DERIVED {
            continue;
        }
        for text in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            forms.insert(text.as_bytes()[first..last].to_vec());
        }
    }
}

fn forms(secret: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    forms.insert(secret.as_bytes().to_vec());
    for also in [&b""[..], b":", b":/+=@!$&'()*,;"] {
        let encoded = percent_encoded(secret, also);
        forms.insert(encoded.replace("%20", "+").into_bytes());
        let mut lower = encoded.clone().into_bytes();
        let mut at = 0;
        while at < lower.len() {
            if lower[at] == b'%' {
                lower[at..at + 3].make_ascii_lowercase();
                at += 2;
            }
            at += 1;
        }
        forms.insert(lower);
        forms.insert(encoded.into_bytes());
    }
    if let Ok(quoted) = serde_json::to_string(secret) {
        let inner = &quoted[1..quoted.len() - 1];
        forms.insert(inner.as_bytes().to_vec());
        forms.insert(inner.replace('/', "\\/").into_bytes());
    }
    if secret.len() * 2 >= SHORTEST_DERIVED {
        forms.insert(hex::encode(secret).into_bytes());
        forms.insert(hex::encode_upper(secret).into_bytes());
    }
    inside_base64(secret.as_bytes(), &mut forms);
    forms
}

impl Needles {
    /// Secrets and everything that is easily made of them. Values below [`SHORTEST`] are passed over.
    pub(crate) fn of_secrets<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        Self::exact(secrets.into_iter().filter(|s| s.len() >= SHORTEST).flat_map(forms))
    }

    /// Exactly these texts.
    pub(crate) fn exact(texts: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let all: BTreeSet<Vec<u8>> = texts.into_iter().filter(|t| t.len() >= 2).collect();
        let mut patterns: Vec<Box<[u8]>> = all.into_iter().map(Vec::into_boxed_slice).collect();
        // Longest first, so that the first hit covers most.
        patterns.sort_by_key(|p| std::cmp::Reverse(p.len()));
        patterns.truncate(usize::from(u16::MAX));
        let window = patterns.last().map_or(0, |p| p.len()).min(usize::from(u8::MAX));
        let longest = patterns.first().map_or(0, |p| p.len());
        let (mut shift, mut starts) = (Vec::new(), Vec::new());
        if window > 0 {
            shift = vec![(window - 1) as u8; TABLE];
            starts = vec![Vec::new(); TABLE];
            for (index, pattern) in patterns.iter().enumerate() {
                for end in 1..window {
                    let slot = &mut shift[hash(pattern[end - 1], pattern[end])];
                    *slot = (*slot).min((window - 1 - end) as u8);
                }
                starts[hash(pattern[window - 2], pattern[window - 1])].push(index as u16);
            }
        }
        Self {
            patterns,
            window,
            longest,
            shift,
            starts,
        }
    }

    /// Calls `hit` with every place; stops when it says so.
    fn scan(&self, text: &[u8], mut hit: impl FnMut(Range<usize>) -> bool) {
        if self.window == 0 {
            return;
        }
        let mut end = self.window - 1;
        while end < text.len() {
            let slot = hash(text[end - 1], text[end]);
            let shift = usize::from(self.shift[slot]);
            if shift > 0 {
                end += shift;
                continue;
            }
            let start = end + 1 - self.window;
            let found = self.starts[slot].iter().map(|i| &self.patterns[usize::from(*i)]);
            if let Some(pattern) = found.into_iter().find(|p| text[start..].starts_with(p))
                && !hit(start..start + pattern.len())
            {
                return;
            }
            end += 1;
        }
    }

    pub(crate) fn found_in(&self, text: &[u8]) -> bool {
        let mut found = false;
        self.scan(text, |_| {
            found = true;
            false
        });
        found
    }

    /// Every hit becomes as many `*`: JSON stays JSON, and nothing moves.
    pub(crate) fn blank(&self, text: &mut [u8]) {
        // Places first: two secrets may overlap.
        let mut places = Vec::new();
        self.scan(text, |place| {
            places.push(place);
            true
        });
        for place in places {
            text[place].fill(b'*');
        }
    }

    pub(crate) fn blank_text(&self, text: String) -> String {
        if !self.found_in(text.as_bytes()) {
            return text;
        }
        let mut bytes = text.into_bytes();
        self.blank(&mut bytes);
        // Whole patterns were replaced, and they are text: what remains is.
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Blanks what comes in pieces: keeps back the end of each, where a secret may have begun.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    needles: &'a Needles,
    kept: Vec<u8>,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(needles: &'a Needles) -> Self {
        Self {
            needles,
            kept: Vec::new(),
        }
    }

    /// What is certain now.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.kept.extend_from_slice(piece);
        self.needles.blank(&mut self.kept);
        let keep = self.needles.longest.saturating_sub(1).min(self.kept.len());
        let rest = self.kept.split_off(self.kept.len() - keep);
        std::mem::replace(&mut self.kept, rest)
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blanked(secrets: &[&str], text: &str) -> String {
        Needles::of_secrets(secrets.iter().copied()).blank_text(text.to_owned())
    }

    #[test]
    fn secrets_are_blanked_in_every_cheap_form() {
        let secret = "xoxb-1/2+3 4\"5=secret";
        let needles = Needles::of_secrets([secret]);
        let mut shown = vec![
            secret.to_owned(),
            serde_json::to_string(secret).unwrap(),
            serde_json::to_string(secret).unwrap().replace('/', "\\/"),
            url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
            percent_encoded(secret, b""),
            percent_encoded(secret, b"").to_lowercase(),
            hex::encode(secret),
            hex::encode_upper(secret),
        ];
        for before in ["", "u", "us", "user:"] {
            for after in ["", ":", "ab"] {
                let all = format!("{before}{secret}{after}");
                shown.push(STANDARD_NO_PAD.encode(&all));
                shown.push(base64::engine::general_purpose::STANDARD.encode(&all));
                shown.push(URL_SAFE_NO_PAD.encode(&all));
            }
        }
        for text in shown {
            let line = format!("before {text} after");
            assert!(needles.found_in(line.as_bytes()), "{line}");
            let blank = needles.blank_text(line.clone());
            assert_eq!(blank.len(), line.len());
            assert!(
                !needles.found_in(blank.as_bytes()) && blank.contains("********"),
                "{blank}"
            );
            assert!(blank.starts_with("before ") && blank.ends_with(" after"), "{blank}");
        }
    }

    #[test]
    fn overlapping_secrets_are_both_blanked() {
        assert_eq!(blanked(&["abcdef", "defghi"], "-abcdefghi-"), "-*********-");
        assert_eq!(blanked(&["abcd", "abcdef"], "abcdef abcd abc"), "****** **** abc");
        assert_eq!(blanked(&[], "anything"), "anything");
        assert_eq!(blanked(&["Grüße!"], "a Grüße! b"), "a ******** b");
    }

    proptest! {
        #[test]
        fn a_place_is_found_exactly_where_a_simple_search_finds_it(
            texts in prop::collection::vec("[ab]{2,6}", 1..4), hay in "[abc]{0,60}",
        ) {
            let needles = Needles::exact(texts.iter().map(|t| t.clone().into_bytes()));
            let mut expected = hay.clone().into_bytes();
            for text in &texts {
                for at in 0..hay.len() {
                    if hay[at..].starts_with(text.as_str()) {
                        expected[at..at + text.len()].fill(b'*');
                    }
                }
            }
            prop_assert_eq!(needles.found_in(hay.as_bytes()), expected.contains(&b'*'));
            prop_assert_eq!(needles.blank_text(hay).into_bytes(), expected);
        }

        #[test]
        fn pieces_come_to_the_same_as_the_whole(cuts in prop::collection::vec(0usize..9, 1..30)) {
            let needles = Needles::of_secrets(["token-12345", "other-secret"]);
            let whole = "a token-12345 b other-secret token-1234 token-12345token-12345 end".repeat(2);
            let mut stream = Stream::new(&needles);
            let (mut out, mut at) = (Vec::new(), 0);
            for cut in cuts {
                let next = (at + cut).min(whole.len());
                out.extend(stream.push(&whole.as_bytes()[at..next]));
                at = next;
            }
            out.extend(stream.push(&whole.as_bytes()[at..]));
            out.extend(stream.finish());
            prop_assert_eq!(String::from_utf8(out).unwrap(), needles.blank_text(whole));
        }
    }
}
