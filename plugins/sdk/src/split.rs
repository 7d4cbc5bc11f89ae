//! Cuts Markdown into pieces that stand alone: at paragraphs, then at lines, with code fences closed and opened again.
//!
//! Nothing is lost: the pieces without what was added are the text. A piece that is full stays the same when the
//! text grows; the end of the last one may go to the next then with [`split`], and never does with [`flow`].

/// How long a text is in UTF-16 units: the larger measure where a vendor does not say what it counts.
pub fn length(text: &str) -> usize {
    units(text.as_bytes())
}

/// Of UTF-8: of each character its first byte; those of four bytes are two units.
pub(crate) fn units(bytes: &[u8]) -> usize {
    let unit = |byte: &u8| usize::from(byte & 0xc0 != 0x80) + usize::from(*byte >= 0xf0);
    bytes.iter().map(unit).sum()
}

/// At most `limit` long, with an ellipsis where something was cut.
pub fn clip(text: &str, limit: usize) -> String {
    if text.len() <= limit || length(text) <= limit {
        return text.to_owned();
    }
    let mut clipped = String::new();
    let mut left = limit.saturating_sub(1);
    for c in text.chars() {
        let Some(rest) = left.checked_sub(c.len_utf16()) else {
            break;
        };
        left = rest;
        clipped.push(c);
    }
    clipped.push('…');
    clipped
}

/// The words of a text with one space between two.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// A part of a text, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub text: String,
    /// How many bytes in front were added to open a fence again.
    pub opened: usize,
    /// How many bytes at the end were added to close a fence.
    pub closed: usize,
}

impl Piece {
    /// What of it is the text's own.
    pub fn own(&self) -> &str {
        &self.text[self.opened..self.text.len() - self.closed]
    }
}

/// The longest info string that is opened again.
const INFO: usize = 30;

/// The longest run of marks that is a fence.
const LONGEST_MARK: usize = 12;

/// An open code fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fence<'a> {
    mark: char,
    count: usize,
    info: &'a str,
}

impl<'a> Fence<'a> {
    /// By CommonMark, but with any indentation: agents put fences into lists.
    fn opening(line: &'a str) -> Option<Self> {
        let line = line.trim();
        let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let count = line.chars().take_while(|c| *c == mark).count();
        let info = &line[count..];
        // A longer run is decoration, and could not be closed and opened again within the limit.
        if !(3..=LONGEST_MARK).contains(&count) || (mark == '`' && info.contains('`')) {
            return None;
        }
        let info = info.split_whitespace().next().unwrap_or_default();
        let info = if length(info) > INFO { "" } else { info };
        Some(Self { mark, count, info })
    }

    fn closed_by(self, line: &str) -> bool {
        let line = line.trim();
        line.len() >= self.count && line.chars().all(|c| c == self.mark)
    }

    /// The line that opens it again.
    fn open(self, piece: &mut String) {
        piece.extend(std::iter::repeat_n(self.mark, self.count));
        piece.push_str(self.info);
        piece.push('\n');
    }

    /// The line that closes it; on one of its own.
    fn close(self, piece: &mut String) {
        if !piece.ends_with('\n') {
            piece.push('\n');
        }
        piece.extend(std::iter::repeat_n(self.mark, self.count));
    }

    /// How much that adds behind this.
    fn closing(self, before: &str) -> usize {
        self.count + usize::from(!before.ends_with('\n'))
    }
}

/// What follows a line: the fence that is open then.
pub(crate) fn after<'a>(open: Option<Fence<'a>>, line: &'a str) -> Option<Fence<'a>> {
    match open {
        Some(fence) if fence.closed_by(line) => None,
        Some(fence) => Some(fence),
        None => Fence::opening(line),
    }
}

/// After so much of a word there may be a cut: some scripts have no spaces.
const WORD: usize = 32;

/// A line, or a part of a very long one.
struct Atom<'a> {
    text: &'a str,
    length: usize,
    /// The fence that is open after it.
    open: Option<Fence<'a>>,
    /// How good a place to cut comes after it: 0 within a word or right after a fence's first line, 1 a space or
    /// within a fence, 2 a line, 3 a paragraph.
    rank: u8,
}

/// With `words`, lines are taken apart into words, but for those that begin or end a fence.
fn atoms(text: &str, longest: usize, words: bool) -> Vec<Atom<'_>> {
    let mut atoms = Vec::new();
    let mut open = None;
    for line in text.split_inclusive('\n') {
        let before = open;
        open = after(open, line);
        let rank = match (&before, &open) {
            (None, Some(_)) => 0,
            (Some(_), Some(_)) => 1,
            (Some(_), None) => 3,
            (None, None) if line.trim().is_empty() => 3,
            (None, None) => 2,
        };
        let part = |text| Atom {
            text,
            length: length(text),
            open: before,
            rank: u8::from(text.ends_with(' ')),
        };
        let mut rest = line;
        if words && before == open {
            while let Some(at) = word(rest, longest) {
                atoms.push(part(&rest[..at]));
                rest = &rest[at..];
            }
        }
        // A text has no more units than bytes.
        while rest.len() > longest && length(rest) > longest {
            let at = within(rest, longest);
            atoms.push(part(&rest[..at]));
            rest = &rest[at..];
        }
        atoms.push(Atom {
            text: rest,
            length: length(rest),
            open,
            rank,
        });
    }
    atoms
}

/// Where the first word of a line ends, if it is not the last one and not too long; never before a mark that would
/// then look like a fence.
fn word(line: &str, longest: usize) -> Option<usize> {
    let (mut used, mut chars) = (0, line.char_indices().peekable());
    while let Some((at, c)) = chars.next() {
        used += c.len_utf16();
        let (_, next) = chars.peek()?;
        if used > longest {
            return None;
        }
        if !matches!(next, ' ' | '\n' | '`' | '~') && (c == ' ' || used >= WORD) {
            return Some(at + c.len_utf8());
        }
    }
    None
}

/// Where to cut a line that is too long: after the last space of the second half, else as late as it goes; never
/// before a mark that would then look like a fence, if that can be.
fn within(line: &str, longest: usize) -> usize {
    let (mut used, mut best, mut plain, mut last) = (0, None, None, 0);
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        used += c.len_utf16();
        if used > longest {
            break;
        }
        last = at + c.len_utf8();
        if chars.peek().is_some_and(|(_, next)| matches!(next, '`' | '~')) {
            continue;
        }
        plain = Some(last);
        if c == ' ' && used > longest / 2 {
            best = Some(last);
        }
    }
    let first = line.chars().next().map_or(0, char::len_utf8);
    best.or(plain).unwrap_or(last).max(first)
}

/// Cuts `text` into pieces of at most `limit` UTF-16 units, the first of at most `first` (both at least 200). An empty
/// text has no piece.
pub fn split(text: &str, first: usize, limit: usize) -> Vec<Piece> {
    pieces(text, first, limit, false)
}

/// The same of a text that is shown while it grows: what was shown in a piece stays in it, but for a word that is too
/// long for it. In return a piece ends at the first good place in its last quarter, though there may be room for more.
pub fn flow(text: &str, first: usize, limit: usize) -> Vec<Piece> {
    pieces(text, first, limit, true)
}

fn pieces(text: &str, first: usize, limit: usize, flows: bool) -> Vec<Piece> {
    let (first, rest) = (first.max(200), limit.max(200));
    // Room for the fence that is opened in front and closed behind.
    let longest = first.min(rest) - 2 * (INFO + 20);
    if let Some(whole) = whole(text, first, flows) {
        return whole;
    }
    let atoms = atoms(text, longest, flows);
    let mut pieces = Vec::new();
    let mut open: Option<Fence<'_>> = None;
    let mut next = 0;
    while next < atoms.len() {
        let limit = if pieces.is_empty() { first } else { rest };
        let mut piece = String::new();
        if let Some(fence) = open {
            fence.open(&mut piece);
        }
        let opened = piece.len();
        let mut used = length(&piece);
        let mut end = next;
        // The best cut so far, by rank; a better rank counts only in the second half.
        let mut cuts = [None; 4];
        while let Some(atom) = atoms.get(end) {
            let close = atom.open.map_or(0, |fence| fence.closing(atom.text));
            if used + atom.length + close > limit && end > next {
                break;
            }
            used += atom.length;
            end += 1;
            if atom.rank == 0 || used > limit / 2 {
                cuts[usize::from(atom.rank)] = Some(end);
            }
            // Nothing that comes later may change a cut: it is made at the first place that is good enough.
            let enough = match atom.rank {
                0 => 16,
                1 if !atom.text.ends_with('\n') => 15,
                1 | 2 => 14,
                _ => 12,
            };
            if flows && used > limit * enough / 16 {
                break;
            }
        }
        if !flows && end < atoms.len() {
            end = cuts[3].or(cuts[2]).or(cuts[1]).or(cuts[0]).unwrap_or(end);
        }
        for atom in &atoms[next..end] {
            piece.push_str(atom.text);
        }
        open = atoms[end - 1].open;
        let own = piece.len();
        if let Some(fence) = open {
            fence.close(&mut piece);
        }
        pieces.push(Piece {
            opened,
            closed: piece.len() - own,
            text: piece,
        });
        next = end;
    }
    pieces
}

/// The one piece of a text so short that no place in it is good enough to cut it; nothing of it is measured twice.
fn whole(text: &str, limit: usize, flows: bool) -> Option<Vec<Piece>> {
    // The first place that is good enough comes after twelve sixteenths; else the end is what counts.
    let most = if flows { limit * 12 / 16 } else { limit };
    let short = most.saturating_sub(LONGEST_MARK + 1);
    if text.len() > short && length(text) > short {
        return None;
    }
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut piece = text.to_owned();
    if let Some(fence) = text.split_inclusive('\n').fold(None, after) {
        fence.close(&mut piece);
    }
    Some(vec![Piece {
        opened: 0,
        closed: piece.len() - text.len(),
        text: piece,
    }])
}

#[cfg(test)]
mod tests;
