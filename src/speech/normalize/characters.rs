//! Which characters are words, which are nothing, and where a word ends.

use crate::speech::script::SayAs;

/// Whether `c` is part of a word: letters, digits, and the marks on them.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphabetic() || (c.is_numeric() && !is_number_sign(c)) || is_mark(c)
}

/// Whether `c` is a number that no digits make up, such as `²`, `½` and `①`.
fn is_number_sign(c: char) -> bool {
    matches!(u32::from(c), 0xB2..=0xBE | 0x2070..=0x218F | 0x2460..=0x24FF | 0x2776..=0x2793)
}

/// Whether `c` continues the character before it: accents, vowel signs.
pub(in crate::speech) fn is_mark(c: char) -> bool {
    matches!(u32::from(c), 0x0300..=0x036F | 0x0483..=0x0489 | 0x0591..=0x05C7 | 0x0610..=0x061A | 0x064B..=0x065F
        | 0x0670 | 0x06D6..=0x06ED | 0x0900..=0x0903 | 0x093A..=0x094F | 0x0951..=0x0963 | 0x0980..=0x0983
        | 0x09BC..=0x09D7 | 0x0A01..=0x0A03 | 0x0A3C..=0x0A51 | 0x0A81..=0x0A83 | 0x0ABC..=0x0ACD | 0x0B01..=0x0B03
        | 0x0B3C..=0x0B57 | 0x0B82 | 0x0BBE..=0x0BD7 | 0x0C00..=0x0C04 | 0x0C3C..=0x0C56 | 0x0C81..=0x0C83
        | 0x0CBC..=0x0CD6 | 0x0D00..=0x0D03 | 0x0D3B..=0x0D57 | 0x0D81..=0x0DDF | 0x0E31 | 0x0E34..=0x0E3A
        | 0x0E47..=0x0E4E | 0x0EB1 | 0x0EB4..=0x0ECE | 0x0F35..=0x0FBC | 0x102B..=0x103E | 0x1AB0..=0x1AFF
        | 0x1DC0..=0x1DFF | 0x20D0..=0x20DC)
}

/// Whether nobody sees `c`: control characters, zero-width ones, private ones, directions, selectors of looks.
pub(super) fn is_ignored(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || matches!(u32::from(c), 0xAD | 0x034F | 0x061C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180E
            | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0x20DD..=0x20FF | 0x3164 | 0xE000..=0xF8FF
            | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFD | 0xE_0000..=0x10_FFFF)
}

/// Whether `c` is a picture: emoji, dingbats, arrows, boxes, and what colours them.
pub(super) fn is_pictograph(c: char) -> bool {
    matches!(u32::from(c), 0x2190..=0x21FF | 0x2300..=0x23FF | 0x2400..=0x2426 | 0x2500..=0x27BF | 0x2900..=0x297F
        | 0x2B00..=0x2BFF | 0x3030 | 0x303D | 0x3297 | 0x3299 | 0x1_F000..=0x1_FAFF)
}

/// How long the word is that `rest` begins with. With `with_numbers`, numbers keep their dots and commas.
pub(super) fn word_length(rest: &str, with_numbers: bool) -> usize {
    let mut length = 0;
    let mut last = ' ';
    let mut characters = rest.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        let is_inside = match c {
            _ if is_word(c) => true,
            // Zero-width characters belong to the word they are in.
            _ if is_ignored(c) => next.is_some_and(|next| is_word(next) || is_ignored(next)),
            '\'' | '’' | 'ʼ' => last.is_alphabetic() && next.is_some_and(char::is_alphabetic),
            '-' | '‐' | '‑' => is_word(last) && next.is_some_and(is_word),
            '.' | ',' | ':' | '/' => {
                with_numbers && last.is_ascii_digit() && next.is_some_and(|next| next.is_ascii_digit())
            }
            _ => false,
        };
        if !is_inside {
            return at;
        }
        length = at + c.len_utf8();
        last = c;
    }
    length
}

/// What is said for `text` as a `kind` of thing in any language; `None` leaves it to the engine.
pub(super) fn say_as(kind: SayAs, text: &str) -> Option<String> {
    let is_wanted = |c: &char| match kind {
        SayAs::Characters => !c.is_whitespace() && !is_ignored(*c),
        _ => c.is_numeric() || *c == '+',
    };
    let is_spelled = matches!(kind, SayAs::Characters | SayAs::Digits | SayAs::Telephone);
    is_spelled.then(|| spaced(text.chars().filter(is_wanted)))
}

/// Characters, apart by spaces; marks stay with what they are on.
pub(super) fn spaced(characters: impl Iterator<Item = char>) -> String {
    let mut said = String::new();
    for c in characters {
        if !is_mark(c) && !said.is_empty() {
            said.push(' ');
        }
        said.push(c);
    }
    said
}
