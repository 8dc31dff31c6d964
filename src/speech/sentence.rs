//! Text to pieces short enough to synthesize: whole sentences where possible, the first piece short so that sound
//! starts at once. Nothing here knows a voice or a sound.
//!
//! The rules are those of Unicode's sentence borders, simplified, plus what they leave out: abbreviations, initials,
//! lists and wrapped lines. A border that is missed costs nothing, for pieces hold several sentences anyway.

use std::ops::Range;

/// The first piece ends at the last clause within so many characters.
const FIRST: usize = 60;
/// The first piece may be a whole sentence of so many characters when it has no such clause.
const FIRST_WHOLE: usize = 90;
/// The second piece takes whole sentences up to so many characters, each later one up to twice as many as the one
/// before it: the sound at hand always lasts longer than the next piece takes to make.
const SECOND: usize = 120;
/// No piece has more characters.
const LONGEST: usize = 280;
/// How many characters around a mark are looked at; a limit, so that no text takes more than its length to cut.
const NEAR: usize = 32;

/// What ends a piece, weakest first; the pause after it follows from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Break {
    /// A word, in the middle of a clause.
    Word,
    /// A comma, a semicolon, a dash.
    Clause,
    /// A full stop and the like.
    Sentence,
    /// An empty line.
    Paragraph,
}

/// A piece of text to synthesize in one go. It always has something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it is in the text, in bytes, without white space around it.
    pub text: Range<usize>,
    /// What ends it.
    pub end: Break,
}

/// Cuts texts into pieces. One value cuts one speech from its beginning to its end, so it knows how much sound there is
/// already.
#[derive(Debug, Clone, Default)]
pub struct Cutter {
    /// How many pieces there were.
    given: u32,
}

impl Cutter {
    /// The first piece of `text[within]`, or nothing when there is nothing to say. What follows after `within` tells what
    /// ends a piece that reaches so far.
    pub fn next(&mut self, text: &str, within: Range<usize>) -> Option<Piece> {
        let mut at = within.start;
        loop {
            let rest = &text[at..within.end];
            let start = at + rest.find(|c: char| !c.is_whitespace())?;
            let (length, mut end) = cut(&text[start..within.end], self.given);
            at = start + length;
            let piece = text[start..at].trim_end();
            if piece.chars().any(is_speakable) {
                self.given += 1;
                if at == within.end && !text[at..].trim_start().is_empty() {
                    end = ending(&text[start..], piece.len());
                }
                return Some(Piece { text: start..start + piece.len(), end });
            }
        }
    }
}

/// What ends the piece of `length` bytes in front of `rest`, when it was not cut there for its own sake.
fn ending(rest: &str, length: usize) -> Break {
    let said = rest[..length].trim_end_matches(|c: char| !c.is_alphanumeric()).len();
    let behind = rest[said..].char_indices().take_while(|(_, c)| !c.is_alphanumeric()).take(NEAR);
    behind.filter_map(|(at, c)| border(rest, said + at, c)).max().unwrap_or(Break::Word)
}

/// The borders of clauses, sentences and paragraphs in `text` that stay where they are whatever text follows, each as the
/// number of bytes before it.
pub fn settled_borders(text: &str) -> impl Iterator<Item = (usize, Break)> + '_ {
    text.char_indices().filter_map(move |(at, c)| {
        let end = border(text, at, c).filter(|end| *end > Break::Word)?;
        let after = if c == '\n' { at + 1 } else { closed(text, at + c.len_utf8()) };
        is_settled(&text[after..], end).then_some((after, end))
    })
}

/// Whether a border in front of `following` is one whatever comes after that: the word behind the end of a sentence must
/// be complete, for it tells whether the full stop was only that of an abbreviation.
fn is_settled(following: &str, end: Break) -> bool {
    let Some(word) = following.find(char::is_alphanumeric) else { return false };
    end == Break::Clause || following[word..].chars().next().is_some_and(is_cjk) || {
        let word = &following[word..];
        word.contains(|c: char| !c.is_alphanumeric()) || word.chars().count() > NEAR
    }
}

/// Whether a voice has something to say for `c`.
pub(super) fn is_speakable(c: char) -> bool {
    c.is_alphanumeric()
        || "$€£¥%&@#+=<>^*/\\|~°§©®™".contains(c)
        || matches!(u32::from(c), 0x2190..=0x2BFF | 0x1_F000..=0x1_FAFF)
}

/// The latest border of each kind seen so far, as the number of bytes before it.
#[derive(Default)]
struct Borders {
    word: Option<usize>,
    clause: Option<usize>,
    sentence: Option<usize>,
    /// The last place inside a word where a cut does not tear a character apart.
    letter: Option<usize>,
}

/// How many bytes of `rest`, which begins with a visible character, make the piece after `given` others.
fn cut(rest: &str, given: u32) -> (usize, Break) {
    let whole_sentences = SECOND.saturating_mul(1 << given.saturating_sub(1).min(8)).min(LONGEST);
    let mut borders = Borders::default();
    let mut clause_in_time = None;
    let mut count = 0;
    for (at, c) in rest.char_indices() {
        if count == FIRST {
            clause_in_time = borders.clause;
        }
        let over = if given == 0 { count >= FIRST_WHOLE } else { count >= LONGEST };
        if over || (given > 0 && count >= whole_sentences && borders.sentence.is_some()) {
            let word = if given == 0 { last_word(rest, FIRST) } else { None };
            return best(&borders, clause_in_time, word, at);
        }
        count += 1;
        let after = at + c.len_utf8();
        match border(rest, at, c) {
            Some(Break::Paragraph) => return (after, Break::Paragraph),
            Some(Break::Sentence) => {
                let after = if c == '\n' { after } else { closed(rest, after) };
                match (given, clause_in_time) {
                    // The sentence is long, so its first clause is enough to begin with.
                    (0, Some(clause)) => return (clause, Break::Clause),
                    (0, None) => return (after, Break::Sentence),
                    _ if count > whole_sentences => return (after, Break::Sentence),
                    _ => borders.sentence = Some(after),
                }
            }
            Some(Break::Clause) => borders.clause = Some(closed(rest, after)),
            Some(Break::Word) => borders.word = Some(after),
            None if !is_mark(next_char(rest, after)) => borders.letter = Some(after),
            None => {}
        }
    }
    match clause_in_time {
        Some(clause) if given == 0 => (clause, Break::Clause),
        _ => (rest.len(), Break::Sentence),
    }
}

/// The best of the borders seen when the text up to `limit` is too long for one piece.
fn best(borders: &Borders, clause_in_time: Option<usize>, first_word: Option<usize>, limit: usize) -> (usize, Break) {
    let clause = clause_in_time.or(borders.clause);
    borders
        .sentence
        .map(|at| (at, Break::Sentence))
        .or(clause.map(|at| (at, Break::Clause)))
        .or(first_word.or(borders.word).map(|at| (at, Break::Word)))
        .unwrap_or((borders.letter.unwrap_or(limit), Break::Word))
}

/// The end of the last word within the first `limit` characters.
fn last_word(rest: &str, limit: usize) -> Option<usize> {
    let words = rest.char_indices().take(limit).filter(|(at, c)| border(rest, *at, *c).is_some());
    words.last().map(|(at, c)| at + c.len_utf8())
}

/// Which border, if any, follows the character `c` that stands at `at`.
fn border(rest: &str, at: usize, c: char) -> Option<Break> {
    let after = at + c.len_utf8();
    match c {
        '\n' | '\u{2029}' => Some(line_end(rest, at, after)),
        '。' | '！' | '？' | '｡' | '．' => Some(Break::Sentence),
        '.' | '!' | '?' | '…' | '؟' | '۔' | '।' | '॥' | '։' | '።' | '။' | '។' => {
            ends_sentence(rest, at, c).then_some(Break::Sentence)
        }
        '，' | '、' | '；' | '：' => Some(Break::Clause),
        ',' | ';' | ':' | '،' | '؛' | '–' | '—' => {
            let space_follows = next_char(rest, closed(rest, after)).is_none_or(char::is_whitespace);
            (space_follows || c == '—').then_some(Break::Clause)
        }
        _ if c.is_whitespace() => Some(Break::Word),
        // These are written without spaces, so a cut between any two of them is as good as another.
        _ if is_cjk(c) && next_char(rest, after).is_some_and(is_cjk) => Some(Break::Word),
        _ => None,
    }
}

/// What a line break means: an empty line ends a paragraph, a line that goes on in lower case was only wrapped.
fn line_end(rest: &str, at: usize, after: usize) -> Break {
    match rest[after..].chars().take(NEAR).find(|c| !matches!(c, ' ' | '\t' | '\r')) {
        Some('\n') => Break::Paragraph,
        Some(c) if c.is_lowercase() => Break::Word,
        // A wrapped line after a comma; everything else is a title or an item of a list.
        Some(_) if rest[..at].trim_end().ends_with([',', '-']) => Break::Word,
        _ => Break::Sentence,
    }
}

/// Whether the mark `c` at `at` ends a sentence.
fn ends_sentence(rest: &str, at: usize, c: char) -> bool {
    let after = closed(rest, at + c.len_utf8());
    let following = &rest[after..];
    let Some(next) = following.chars().next() else { return true };
    if is_cjk(next) {
        return c != '.';
    }
    if !next.is_whitespace() {
        return false;
    }
    let Some(start) = following.chars().take(NEAR).find(|c| c.is_alphanumeric()) else { return true };
    if start.is_lowercase() {
        return false;
    }
    c != '.' || !is_abbreviation(&rest[..at], following)
}

/// Whether the full stop after `before` belongs to the word in front of it, with `following` after it.
fn is_abbreviation(before: &str, following: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '\'' | '’' | '-');
    let start = before.char_indices().rev().take_while(|(_, c)| is_part(*c)).last().map_or(before.len(), |(at, _)| at);
    let word = &before[start..];
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    if word.chars().all(|c| c.is_ascii_digit()) && !word.is_empty() {
        // `1. First item`: the number of an item begins its line.
        return word.len() <= 3
            && before[..start].trim_end_matches([' ', '\t']).chars().next_back().is_none_or(|c| c == '\n');
    }
    if letters == 1 && word.chars().count() == 1 {
        return word != "I" && word.chars().all(char::is_uppercase);
    }
    let word = word.to_lowercase();
    if ALWAYS_BEFORE_A_WORD.contains(&word.as_str()) {
        return true;
    }
    // `U.S.`, `etc.` and `p.m.` may end a sentence or not; the word after them tells.
    let may_be = word.contains('.') || MAYBE_BEFORE_A_WORD.contains(&word.as_str());
    let next = following.trim_start().split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    may_be && !SENTENCE_STARTERS.contains(&next)
}

/// Abbreviations after which the sentence goes on: titles, and words that need another word.
const ALWAYS_BEFORE_A_WORD: &[&str] = &[
    "mr", "mrs", "ms", "mx", "dr", "prof", "st", "gen", "col", "sgt", "capt", "lt", "cmdr", "adm", "rev", "hon",
    "pres", "gov", "sen", "rep", "messrs", "mme", "mlle", "mgr", "sr", "sra", "srta", "dra", "hr", "fr", "frl", "vs",
    "e.g", "i.e", "cf", "viz", "approx", "ca", "fig", "eq", "vol", "ch", "sec", "pp", "nr", "z.b", "d.h", "u.a", "bzw",
    "sog", "evtl", "p.ej", "sig", "dott", "ing",
];

/// Abbreviations that may also be the last word of a sentence.
const MAYBE_BEFORE_A_WORD: &[&str] = &[
    "etc", "inc", "ltd", "co", "corp", "jr", "esq", "dept", "est", "no", "jan", "feb", "mar", "apr", "jun", "jul",
    "aug", "sep", "sept", "oct", "nov", "dec", "ave", "blvd", "rd", "mt", "ft", "usw", "str",
];

/// Words that begin so many sentences that an abbreviation in front of them was the end of one.
const SENTENCE_STARTERS: &[&str] = &[
    "The", "A", "An", "He", "She", "It", "We", "They", "You", "I", "This", "That", "These", "Those", "There", "But",
    "And", "So", "In", "On", "At", "If", "When", "What", "Who", "How", "Why", "However", "Then", "Now", "Please",
    "Der", "Die", "Das", "Ein", "Eine", "Er", "Sie", "Es", "Wir", "Ich", "Le", "La", "Les", "Il", "Elle", "El", "Los",
];

/// The end of the marks and closing quotes that belong to what ends at `at`.
fn closed(rest: &str, at: usize) -> usize {
    let is_closing = |c: char| {
        matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？' | '"' | '\'' | '”' | '’' | '»' | '›' | ')' | ']' | '}')
            || matches!(c, '」' | '』' | '】' | '）' | '》' | '〉')
    };
    at + rest[at..].chars().take(NEAR).take_while(|c| is_closing(*c)).map(char::len_utf8).sum::<usize>()
}

fn next_char(rest: &str, at: usize) -> Option<char> {
    rest[at..].chars().next()
}

/// Whether `c` is written without spaces around words: Han, kana, and their marks.
fn is_cjk(c: char) -> bool {
    matches!(u32::from(c), 0x3000..=0x30FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0xFF00..=0xFF9F
        | 0x2_0000..=0x3_FFFF)
}

/// Whether `next` continues the character before it: accents, vowel signs, joiners, variation selectors.
fn is_mark(next: Option<char>) -> bool {
    next.is_some_and(|c| {
        matches!(u32::from(c), 0x0300..=0x036F | 0x0483..=0x0489 | 0x0591..=0x05C7 | 0x0610..=0x061A | 0x064B..=0x065F
            | 0x0900..=0x0903 | 0x093A..=0x094F | 0x0981..=0x0983 | 0x09BC..=0x09CD | 0x0E31 | 0x0E33..=0x0E3A
            | 0x0E47..=0x0E4E | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x200C..=0x200D | 0x20D0..=0x20FF
            | 0xFE00..=0xFE0F | 0xFE20..=0xFE2F | 0x1_F3FB..=0x1_F3FF | 0xE_0100..=0xE_01EF)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<Piece> {
        let (mut cutter, mut at) = (Cutter::default(), 0);
        std::iter::from_fn(|| cutter.next(text, at..text.len()).inspect(|piece| at = piece.text.end)).collect()
    }

    fn cut_all(text: &str) -> Vec<String> {
        pieces(text).into_iter().map(|piece| text[piece.text].to_owned()).collect()
    }

    fn spoken(text: &str) -> String {
        text.chars().filter(|c| c.is_alphanumeric()).collect()
    }

    /// Where sentences end: each is filled up so that no two fit into one piece.
    fn sentences(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        let mut start = 0;
        for (at, c) in text.char_indices() {
            if at >= start && border(&text[start..], at - start, c) >= Some(Break::Sentence) {
                let end = start + closed(&text[start..], at - start + c.len_utf8());
                found.push(text[start..end].trim());
                start = end;
            }
        }
        if !text[start..].trim().is_empty() {
            found.push(text[start..].trim());
        }
        found
    }

    #[test]
    fn abbreviations_initials_and_numbers_do_not_end_a_sentence() {
        for whole in [
            "Mr. Smith met Dr. Jones.",
            "J. R. R. Tolkien wrote it.",
            "Use tools, e.g. Rust or C.",
            "It costs 3.5 million.",
            "The U.S. Army came at 5 p.m. Monday.",
            "Wait... what?",
            "\"Stop!\" he said.",
            "Visit www.example.com today.",
            "Das ist z.B. Obst.",
            "1. Buy milk.",
        ] {
            assert_eq!(sentences(whole), [whole], "{whole}");
        }
    }

    #[test]
    fn sentences_end_where_a_reader_would_say() {
        assert_eq!(sentences("Hello there. How are you? Fine!"), ["Hello there.", "How are you?", "Fine!"]);
        assert_eq!(sentences("He said \"Go.\" Then he left."), ["He said \"Go.\"", "Then he left."]);
        assert_eq!(
            sentences("I live in the U.S. The weather is good."),
            ["I live in the U.S.", "The weather is good."]
        );
        assert_eq!(sentences("Wait... Then go."), ["Wait...", "Then go."]);
        assert_eq!(sentences("It was I. He knew."), ["It was I.", "He knew."]);
        assert_eq!(sentences("你好。今天天气很好！真的吗？"), ["你好。", "今天天气很好！", "真的吗？"]);
        assert_eq!(sentences("नमस्ते। आप कैसे हैं।"), ["नमस्ते।", "आप कैसे हैं।"]);
        assert_eq!(sentences("A Title\nAnd text.\nwrapped\nlines."), ["A Title", "And text.\nwrapped\nlines."]);
    }

    #[test]
    fn the_first_piece_is_a_clause_or_a_short_sentence() {
        let long =
            "When the sun rose over the hills, the village woke slowly, and people walked to the fields together.";
        assert_eq!(cut_all(long)[0], "When the sun rose over the hills, the village woke slowly,");
        assert_eq!(cut_all("Hi. I am here.")[0], "Hi.");
        let no_clause = "The quick brown fox jumps over the lazy dog near the river bank today.";
        assert_eq!(cut_all(no_clause), [no_clause]);
        let endless = "word ".repeat(40);
        let first = &cut_all(&endless)[0];
        assert!(first.len() <= FIRST && first.ends_with("word"), "{first}");
        assert_eq!(pieces(long)[0].end, Break::Clause);
    }

    #[test]
    fn later_pieces_hold_whole_sentences_and_grow() {
        let text = "One short sentence here. ".repeat(60);
        let lengths: Vec<usize> = cut_all(&text).iter().map(String::len).collect();
        assert_eq!(lengths[0], 24);
        assert!(lengths[1] <= SECOND && lengths[2] > lengths[1], "{lengths:?}");
        assert!(lengths.iter().all(|length| *length <= LONGEST), "{lengths:?}");
        assert!(cut_all(&text).iter().all(|piece| piece.ends_with("here.")));
    }

    #[test]
    fn a_long_sentence_is_cut_at_clauses_then_at_words() {
        let text = format!("Go. {} Then {}.", "a long clause without an end, ".repeat(30), "word ".repeat(100));
        let cut = cut_all(&text);
        assert!(cut.iter().all(|piece| piece.chars().count() <= LONGEST));
        assert!(cut[1].ends_with(','), "{cut:?}");
        assert_eq!(spoken(&cut.concat()), spoken(&text));
    }

    #[test]
    fn a_word_over_the_limit_is_cut_between_characters() {
        let text = format!("{}.", "e\u{301}".repeat(400));
        let cut = cut_all(&text);
        assert!(cut.len() > 2 && cut.iter().all(|piece| !piece.starts_with('\u{301}')));
        assert_eq!(cut.concat().chars().filter(|c| *c == '\u{301}').count(), 400);
    }

    #[test]
    fn nothing_speakable_is_lost_and_nothing_else_is_a_piece() {
        let chinese = "天地玄黄宇宙洪荒".repeat(60);
        for text in
            ["", " \n ", "...", "—!?—", "a", "...a...", "😀", "$5", "x\n\n\ny", "(a) [b] {c}. \"D?\" e", &chinese]
        {
            let cut = cut_all(text);
            assert!(cut.iter().all(|piece| piece.chars().any(is_speakable)), "{cut:?}");
            assert_eq!(spoken(&cut.concat()), spoken(text));
        }
        assert!(cut_all("... !!!").is_empty());
        assert_eq!(cut_all("😀"), ["😀"]);
        let ends: Vec<Break> = pieces("A title\n\nSome text").iter().map(|piece| piece.end).collect();
        assert_eq!(ends, [Break::Paragraph, Break::Sentence]);
    }

    #[test]
    fn a_part_of_a_text_ends_as_the_text_around_it_says() {
        for (part, rest, end) in [
            ("I", " really mean it.", Break::Word),
            ("First,", " then.", Break::Clause),
            ("Done.", " Next.", Break::Sentence),
            ("Done", ". Next.", Break::Sentence),
            ("Done. ", "Next.", Break::Sentence),
            ("A title", "\n\nText.", Break::Paragraph),
            ("Dr.", " Smith came.", Break::Word),
            ("The end", "  ", Break::Sentence),
        ] {
            let text = format!("{part}{rest}");
            let piece = Cutter::default().next(&text, 0..part.len()).expect("something to say");
            assert_eq!((piece.end, &text[piece.text]), (end, part.trim_end()), "{text}");
        }
    }

    #[test]
    fn half_a_million_characters_take_no_time() {
        let text = "Dr. No, e.g. said: \"3.5 is it... no\" and\n went (far) — away! ".repeat(8_000);
        assert_eq!(spoken(&cut_all(&text).concat()), spoken(&text));
        assert!(cut_all(&" ".repeat(500_000)).is_empty());
        assert!(cut_all(&".".repeat(500_000)).is_empty());
    }
}
