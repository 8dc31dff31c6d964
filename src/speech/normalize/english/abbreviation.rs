//! Abbreviations. Their dots belong to them, and end a sentence only where what follows says so.

use super::{Place, Reading, gap, is_end, is_over, letters, may_end_sentence};

/// When an abbreviation is one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// With a dot, in the middle of a sentence; at its end it may be another word.
    Dotted,
    /// With a dot, or without one; it may end a sentence.
    Always,
    /// With a dot; it may end a sentence.
    Last,
    /// In front of a capital, with a dot or without one.
    Title,
    /// In front of a number.
    Number,
}
use When::{Always, Dotted, Last, Number, Title};

const ABBREVIATIONS: &[(&str, &str, When)] = &[
    ("Mr", "Mister", Always),
    ("Mrs", "Missus", Always),
    ("Ms", "Miz", Always),
    ("Mx", "Mix", Title),
    ("Messrs", "Messieurs", Always),
    ("Prof", "Professor", Dotted),
    ("Rev", "Reverend", Title),
    ("Hon", "Honorable", Title),
    ("Gen", "General", Title),
    ("Col", "Colonel", Title),
    ("Capt", "Captain", Title),
    ("Cpt", "Captain", Title),
    ("Lt", "Lieutenant", Title),
    ("Sgt", "Sergeant", Title),
    ("Maj", "Major", Title),
    ("Cmdr", "Commander", Title),
    ("Adm", "Admiral", Title),
    ("Gov", "Governor", Title),
    ("Sen", "Senator", Title),
    ("Rep", "Representative", Title),
    ("Pres", "President", Title),
    ("Supt", "Superintendent", Title),
    ("Mt", "Mount", Title),
    ("Ft", "Fort", Title),
    ("Sr", "Senior", Last),
    ("Jr", "Junior", Last),
    ("Esq", "Esquire", Last),
    ("Ave", "Avenue", Last),
    ("Blvd", "Boulevard", Always),
    ("Rd", "Road", Last),
    ("Ln", "Lane", Last),
    ("Hwy", "Highway", Always),
    ("Pkwy", "Parkway", Always),
    ("Sq", "Square", Last),
    ("Apt", "Apartment", Number),
    ("Dept", "Department", Last),
    ("dept", "department", Last),
    ("Inc", "Incorporated", Last),
    ("Ltd", "Limited", Always),
    ("Corp", "Corporation", Last),
    ("Co", "Company", Last),
    ("Bros", "Brothers", Last),
    ("Univ", "University", Dotted),
    ("Assn", "Association", Last),
    ("Govt", "Government", Last),
    ("govt", "government", Last),
    ("vs", "versus", Always),
    ("etc", "et cetera", Always),
    ("cf", "compare", Dotted),
    ("approx", "approximately", Last),
    ("Approx", "Approximately", Last),
    ("est", "established", Number),
    ("ca", "circa", Number),
    ("c", "circa", Number),
    ("No", "Number", Number),
    ("no", "number", Number),
    ("Nos", "Numbers", Number),
    ("nos", "numbers", Number),
    ("Nr", "Number", Number),
    ("Vol", "Volume", Number),
    ("vol", "volume", Number),
    ("p", "page", Number),
    ("pp", "pages", Number),
    ("pg", "page", Number),
    ("Fig", "Figure", Number),
    ("fig", "figure", Number),
    ("Figs", "Figures", Number),
    ("Eq", "Equation", Number),
    ("Sec", "Section", Number),
    ("Ch", "Chapter", Number),
    ("ch", "chapter", Number),
    ("Art", "Article", Number),
    ("Ed", "Edition", Number),
    ("ext", "extension", Number),
    ("Ext", "Extension", Number),
    ("Tel", "Telephone", Dotted),
    ("tel", "telephone", Dotted),
    ("max", "maximum", Last),
    ("Max", "Maximum", Number),
    ("min", "minimum", Number),
    ("Min", "Minimum", Number),
    ("avg", "average", Last),
    ("Avg", "Average", Last),
    ("incl", "including", Dotted),
    ("excl", "excluding", Dotted),
    ("misc", "miscellaneous", Dotted),
    ("viz", "namely", Dotted),
    ("fl", "floor", Number),
    ("Rm", "Room", Number),
    ("hrs", "hours", Last),
    ("mins", "minutes", Last),
    ("secs", "seconds", Last),
    ("yrs", "years", Last),
    ("lbs", "pounds", Last),
];

/// Abbreviations with dots inside.
const DOTTED: &[(&str, &str)] = &[
    ("et al.", "and others"),
    ("e.g.", "for example"),
    ("e.g", "for example"),
    ("i.e.", "that is"),
    ("i.e", "that is"),
    ("a.m.", "AM"),
    ("p.m.", "PM"),
    ("Ph.D.", "P H D"),
    ("Ph.D", "P H D"),
    ("M.Sc.", "M S C"),
    ("B.Sc.", "B S C"),
    ("a.k.a.", "also known as"),
    ("w/o", "without"),
    ("w/", "with"),
    ("b/c", "because"),
    ("c/o", "care of"),
    ("n/a", "not applicable"),
    ("N/A", "not applicable"),
];

/// What follows `Dr.`, `St.` and their like decides; so does what went before.
pub(super) fn abbreviation(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    if let Some(reading) = inside_dots(rest).or_else(|| initials(rest)) {
        return Some(reading);
    }
    let word = letters(rest, 8)?;
    let dot = usize::from(rest[word.len()..].starts_with('.') && !rest[word.len()..].starts_with(".."));
    let length = word.len() + dot;
    let after = &rest[length..];
    if word == "Dr" || word == "St" {
        return doctor_or_drive(place, word, length);
    }
    if word.len() == 1 {
        return initial(place, word, dot).or_else(|| by_table(word, dot, after));
    }
    by_table(word, dot, after)
}

fn by_table(word: &str, dot: usize, after: &str) -> Option<Reading> {
    let (_, said, when) = ABBREVIATIONS.iter().find(|(short, ..)| *short == word)?;
    let next = gap(after).map(|gap| &after[gap..]);
    let before = |is_it: fn(char) -> bool| next.is_some_and(|next| next.starts_with(is_it));
    let is_one = match when {
        Always => true,
        Last => dot > 0,
        Dotted => dot > 0 && !is_end(after),
        Title => before(char::is_uppercase),
        Number => dot > 0 && (before(|c| c.is_ascii_digit()) || after.starts_with(|c: char| c.is_ascii_digit())),
    };
    let ends = dot > 0 && matches!(when, Always | Last) && !said.starts_with('M') && may_end_sentence(after);
    let length = word.len() + dot;
    is_one.then(|| Reading { ends_sentence: ends || (dot > 0 && is_end(after)), ..Reading::one(length, *said) })
}

/// `Dr. Smith` and `St. Mary`, but `Elm Dr.` and `Main St.`
fn doctor_or_drive(place: &Place<'_>, word: &str, length: usize) -> Option<Reading> {
    let after = &place.rest()[length..];
    let is_dotted = length > word.len();
    let next = gap(after).map(|gap| &after[gap..]);
    let is_before_name = next.is_some_and(|next| next.starts_with(char::is_uppercase));
    let previous = place.previous_word();
    let is_after_name = place.before().ends_with(' ')
        && place.before().trim_end().ends_with(previous)
        && previous.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit());
    let (title, street) = if word == "Dr" { ("Doctor", "Drive") } else { ("Saint", "Street") };
    // `the Main St. Bridge` is rarer than `met Dr. Jones`; but a name in front and no dot is `On Main St Tom`.
    let is_road = is_after_name && !BEFORE_TITLES.contains(&previous) && (!is_before_name || is_number_before(place));
    let said = match (is_before_name && !is_road, is_road) {
        (true, _) => title,
        (_, true) => street,
        _ if is_dotted => title,
        _ => return None,
    };
    let ends_sentence = is_dotted && (is_end(after) || (said == street && may_end_sentence(after)));
    Some(Reading { ends_sentence, ..Reading::one(length, said) })
}

/// Words with a capital that are no names of streets.
const BEFORE_TITLES: &[&str] =
    &["The", "A", "And", "But", "Is", "Ask", "Dear", "Hello", "Hi", "When", "As", "If", "With"];

/// Whether the name of the street has a number in front: `12 Elm Dr.`
fn is_number_before(place: &Place<'_>) -> bool {
    let mut words = place.before().split_whitespace().rev().skip(1);
    words.next().is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit()))
}

fn inside_dots(rest: &str) -> Option<Reading> {
    let is_it = |it: &&(&str, &str)| {
        let there = rest.get(..it.0.len());
        let is_same = there.is_some_and(|there| {
            there == it.0 || (it.0.starts_with(['e', 'i', 'a', 'p', 'w']) && there.eq_ignore_ascii_case(it.0))
        });
        is_same && (it.0 == "w/" || is_over(&rest[it.0.len()..]))
    };
    let (written, said) = DOTTED.iter().find(is_it)?;
    let after = &rest[written.len()..];
    let may_end = !matches!(*said, "for example" | "that is") && may_end_sentence(after);
    let ends_sentence = written.ends_with('.') && (may_end || is_end(after));
    Some(Reading { ends_sentence, ..Reading::one(written.len(), *said) })
}

/// `U.S.`, `J.R.R.`: letters, each with a dot.
fn initials(rest: &str) -> Option<Reading> {
    let bytes = rest.as_bytes();
    let pair = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic) && bytes.get(at + 1) == Some(&b'.');
    let mut length = (0..12).take_while(|at| pair(at * 2)).count() * 2;
    let mut said: Vec<String> =
        bytes[..length].iter().step_by(2).map(|letter| char::from(letter.to_ascii_uppercase()).to_string()).collect();
    // The last may have no dot: `U.S`.
    if bytes.get(length).is_some_and(u8::is_ascii_uppercase) && is_over(&rest[length + 1..]) && length > 0 {
        said.push(char::from(bytes[length]).to_string());
        length += 1;
    }
    let after = &rest[length..];
    if said.len() < 2 || !is_over(after) {
        return None;
    }
    let ends_sentence = bytes[length - 1] == b'.' && is_end(after);
    Some(Reading { ends_sentence, ..Reading::one(length, said.join(" ")) })
}

/// The dot of `J. Smith` is no end of a sentence; that of `plan B. Then` is.
fn initial(place: &Place<'_>, word: &str, dot: usize) -> Option<Reading> {
    let after = &place.rest()[word.len() + dot..];
    let is_before_name = gap(after).is_some_and(|gap| after[gap..].starts_with(char::is_uppercase));
    let previous = place.previous_word();
    let is_name = previous.is_empty()
        || (previous.starts_with(char::is_uppercase) && !BEFORE_LETTERS.contains(&previous.to_lowercase().as_str()));
    let is_initial =
        dot > 0 && word != "I" && word.starts_with(|c: char| c.is_ascii_uppercase()) && is_before_name && is_name;
    is_initial.then(|| Reading::one(word.len() + dot, word))
}

/// Words that letters number.
const BEFORE_LETTERS: &[&str] = &[
    "plan",
    "vitamin",
    "group",
    "type",
    "grade",
    "class",
    "option",
    "appendix",
    "section",
    "team",
    "hepatitis",
    "part",
    "figure",
    "table",
    "exhibit",
    "item",
    "point",
    "step",
    "answer",
    "model",
];
