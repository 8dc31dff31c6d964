//! Marks of layout, as chat models write them: they are seen, not said.

/// A mark at the beginning of a line.
pub(super) struct LineMark {
    /// Its length in bytes, always more than none.
    pub(super) length: usize,
    /// Whether its line is a title or an item of a list.
    pub(super) is_item: bool,
    /// Whether the line goes on as if it began after the mark.
    pub(super) is_quote: bool,
}

/// The mark that the line `rest` begins with.
pub(super) fn line_mark(rest: &str) -> Option<LineMark> {
    let c = rest.chars().next()?;
    let mark = |length: usize, is_item: bool| Some(LineMark { length, is_item, is_quote: c == '>' });
    let same = rest.len() - rest.trim_start_matches(c).len();
    let ends = |length: usize| rest[length..].chars().next().is_none_or(char::is_whitespace);
    match c {
        '#' if same <= 6 && ends(same) => mark(same, true),
        '>' if ends(1) => mark(1, false),
        '`' | '~' if same >= 3 => mark(same + language_length(&rest[same..]), false),
        '*' | '_' | '=' | '-' if same >= 3 && is_line_end(&rest[same..]) => mark(same, true),
        '|' | '-' | ':' if table_line(rest) > 0 => mark(table_line(rest), false),
        '|' => mark(1, true),
        '-' | '*' | '+' | '•' | '‣' | '▪' | '●' | '○' | '◦' | '–' if same == c.len_utf8() && ends(same) => {
            mark(same + task_length(&rest[same..]), true)
        }
        _ => None,
    }
}

/// The name of a language after the marks that open code.
fn language_length(rest: &str) -> usize {
    let length = rest.bytes().take(20).take_while(|b| b.is_ascii_alphanumeric() || b"+#-_".contains(b)).count();
    if is_line_end(&rest[length..]) { length } else { 0 }
}

fn is_line_end(rest: &str) -> bool {
    rest.chars().take(8).find(|c| !matches!(c, ' ' | '\t' | '\r')).is_none_or(|c| c == '\n')
}

/// The box of a task, ticked or not.
fn task_length(rest: &str) -> usize {
    [" [ ]", " [x]", " [X]"].iter().find(|it| rest.starts_with(**it)).map_or(0, |it| it.len())
}

/// The length of a line that draws a table; 0 when it says something.
fn table_line(rest: &str) -> usize {
    let length = rest.bytes().take_while(|b| b"|-: \t".contains(b)).count();
    let drawn = &rest[..length];
    if drawn.contains("--") && drawn.contains('|') && is_line_end(&rest[length..]) { length } else { 0 }
}

/// An address in Markdown is at most so long.
const LONGEST_ADDRESS: usize = 512;
/// A tag of HTML is at most so long.
const LONGEST_TAG: usize = 64;

/// The length of what `rest` begins with that is skipped: the address of a link, the sign of an image, a tag of HTML.
pub(super) fn skipped(rest: &str) -> Option<usize> {
    match rest.as_bytes() {
        [b']', b'(', ..] => {
            let inside = rest.bytes().take(LONGEST_ADDRESS).position(|b| b == b')' || b == b'\n')?;
            let is_address = rest.as_bytes()[inside] == b')';
            is_address.then_some(inside + 1)
        }
        [b'!', b'[', ..] => Some(1),
        [b'<', b'/' | b'a'..=b'z' | b'A'..=b'Z', ..] => tag_length(rest),
        _ => None,
    }
}

fn tag_length(rest: &str) -> Option<usize> {
    let end = rest.bytes().take(LONGEST_TAG).position(|b| b == b'>')?;
    let inside = rest[1..end].trim_start_matches('/').trim_end_matches('/');
    let name = inside.split_ascii_whitespace().next()?;
    TAGS.contains(&name.to_ascii_lowercase().as_str()).then_some(end + 1)
}

/// The tags that Markdown is mixed with.
const TAGS: &[&str] = &[
    "a",
    "b",
    "i",
    "u",
    "s",
    "p",
    "br",
    "hr",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "ul",
    "ol",
    "li",
    "tt",
    "th",
    "tr",
    "td",
    "sub",
    "sup",
    "del",
    "ins",
    "kbd",
    "pre",
    "div",
    "span",
    "code",
    "mark",
    "small",
    "table",
    "tbody",
    "thead",
    "strong",
    "summary",
    "details",
    "blockquote",
];
