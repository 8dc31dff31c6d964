//! Roman numerals, only where they can be nothing else.

use super::{Place, Reading, is_over, ordinal};

/// Words before a number of a part.
const PARTS: &[&str] = &[
    "chapter",
    "part",
    "section",
    "volume",
    "vol",
    "act",
    "scene",
    "book",
    "article",
    "appendix",
    "phase",
    "type",
    "stage",
    "title",
    "war",
    "bowl",
    "grade",
    "class",
    "division",
    "episode",
    "season",
    "table",
    "figure",
    "mark",
    "generation",
    "level",
    "schedule",
    "amendment",
];

/// Names of rulers and popes.
const NAMES: &[&str] = &[
    "Albert",
    "Alexander",
    "Alfonso",
    "Anne",
    "Benedict",
    "Carl",
    "Catherine",
    "Charles",
    "Christian",
    "Clement",
    "Constantine",
    "Edward",
    "Elizabeth",
    "Felipe",
    "Ferdinand",
    "Francis",
    "Franz",
    "Frederick",
    "Friedrich",
    "George",
    "Gregory",
    "Gustav",
    "Haakon",
    "Harald",
    "Henri",
    "Henry",
    "Innocent",
    "Isabella",
    "Ivan",
    "James",
    "John",
    "Juan",
    "Julius",
    "Karl",
    "Leo",
    "Leopold",
    "Louis",
    "Ludwig",
    "Margaret",
    "Mary",
    "Maximilian",
    "Napoleon",
    "Nicholas",
    "Olav",
    "Otto",
    "Paul",
    "Peter",
    "Philip",
    "Pius",
    "Ptolemy",
    "Rama",
    "Ramesses",
    "Ramses",
    "Richard",
    "Robert",
    "Rudolf",
    "Sigismund",
    "Stephen",
    "Theodosius",
    "Urban",
    "Victoria",
    "Wilhelm",
    "William",
];

/// What may follow `Elizabeth I`, where `I` is not the speaker.
const AFTER_FIRST: &[&str] =
    &["of", "was", "and", "died", "became", "ruled", "reigned", "is", "had", "to", "by", "in", "the"];

/// `Henry VIII`, `Chapter IV`, `World War II`.
pub(super) fn roman(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    let length = rest.bytes().take(16).take_while(|b| b"IVXLCDM".contains(b)).count();
    let after = &rest[length..];
    if length == 0 || length == 16 || !is_over(after) || !place.before().ends_with([' ', '\u{A0}']) {
        return None;
    }
    let value = value(&rest[..length])?;
    let word = place.previous_word();
    // `I'm` and `I am` are somebody's own.
    let next = after.trim_start().split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    let is_own = &rest[..length] == "I"
        && ((after.starts_with(['\'', '’'])
            && !after[1..].trim_start_matches(|c: char| !c.is_ascii()).starts_with('s'))
            || ["am", "will", "have", "think", "was", "would", "can", "know", "do", "did"].contains(&next));
    if PARTS.contains(&word.to_lowercase().as_str()) && word.starts_with(char::is_uppercase) && !is_own {
        return Some(Reading::one(length, super::number(value, place.dialect)));
    }
    let ends = after.chars().next().is_none_or(|c| !c.is_whitespace() && c != '\'' && c != '’');
    let is_ruler =
        NAMES.contains(&word) && value < 40 && (length > 1 || value == 5 || ends || AFTER_FIRST.contains(&next));
    is_ruler.then(|| Reading::one(length, format!("the {}", ordinal(&value.to_string(), place.dialect))))
}

/// The value of a Roman numeral in capitals, as it is written today.
pub(super) fn value(numeral: &str) -> Option<u32> {
    let digit = |b: u8| match b {
        b'I' => Some(1),
        b'V' => Some(5),
        b'X' => Some(10),
        b'L' => Some(50),
        b'C' => Some(100),
        b'D' => Some(500),
        b'M' => Some(1000),
        _ => None,
    };
    if numeral.is_empty() || numeral.len() > 15 {
        return None;
    }
    let digits: Vec<u32> = numeral.bytes().map(digit).collect::<Option<_>>()?;
    let next = digits.iter().skip(1).chain([&0]);
    let value: i64 = digits
        .iter()
        .zip(next)
        .map(|(digit, next)| if digit < next { -i64::from(*digit) } else { i64::from(*digit) })
        .sum();
    let value = u32::try_from(value).ok()?;
    (written(value) == numeral).then_some(value)
}

fn written(mut value: u32) -> String {
    let steps = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let mut numeral = String::new();
    for (step, letters) in steps {
        while value >= step {
            numeral += letters;
            value -= step;
        }
    }
    numeral
}
