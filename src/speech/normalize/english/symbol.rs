//! Signs that are said.

use super::{Place, Reading, characters, digits};

/// Signs and what is said for them wherever they stand beside something.
const SYMBOLS: &[(&str, &str)] = &[
    ("&amp;", "and"),
    ("&lt;", "less than"),
    ("&gt;", "greater than"),
    ("&nbsp;", ""),
    ("&quot;", ""),
    ("&", "and"),
    ("->", "to"),
    ("=>", "to"),
    ("→", "to"),
    ("⇒", "to"),
    ("<=", "less than or equal to"),
    (">=", "greater than or equal to"),
    ("!=", "does not equal"),
    ("==", "equals"),
    ("≤", "less than or equal to"),
    ("≥", "greater than or equal to"),
    ("≠", "does not equal"),
    ("≈", "is about"),
    ("±", "plus or minus"),
    ("×", "times"),
    ("÷", "divided by"),
    ("√", "the square root of"),
    ("∞", "infinity"),
    ("§§", "sections"),
    ("§", "section"),
    ("©", "copyright"),
    ("°", "degrees"),
    ("%", "percent"),
    ("‰", "per mille"),
    ("$", "dollars"),
    ("£", "pounds"),
    ("€", "euros"),
    ("¥", "yen"),
    ("²", "squared"),
    ("³", "cubed"),
    ("¢", "cents"),
    ("№", "number"),
    ("∑", "the sum of"),
    ("π", "pi"),
    ("µ", "micro"),
];

/// Greek letters by themselves, as formulas have them.
const GREEK: &[(char, &str)] = &[
    ('α', "alpha"),
    ('β', "beta"),
    ('γ', "gamma"),
    ('δ', "delta"),
    ('Δ', "delta"),
    ('ε', "epsilon"),
    ('ζ', "zeta"),
    ('η', "eta"),
    ('θ', "theta"),
    ('λ', "lambda"),
    ('μ', "mu"),
    ('ν', "nu"),
    ('ξ', "xi"),
    ('ρ', "rho"),
    ('σ', "sigma"),
    ('Σ', "sigma"),
    ('τ', "tau"),
    ('φ', "phi"),
    ('χ', "chi"),
    ('ψ', "psi"),
    ('ω', "omega"),
    ('Ω', "omega"),
];

/// `&`, `+`, `=`, `#5`, `@home`, `2^10` and the like.
pub(super) fn symbol(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    let c = rest.chars().next()?;
    if c.is_ascii_alphanumeric() {
        return None;
    }
    between(place, c).or_else(|| in_front(place, c)).or_else(|| alone(place, c))
}

/// Signs of computing, which need something on both sides, maybe apart by spaces.
fn between(place: &Place<'_>, c: char) -> Option<Reading> {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, ')' | '(');
    let left = place.before().trim_end_matches(' ').chars().next_back();
    let right = place.rest()[c.len_utf8()..].chars().find(|c| *c != ' ');
    let both = |is_it: fn(char) -> bool| left.is_some_and(is_it) && right.is_some_and(is_it);
    let numbers = left.is_some_and(is_number) && right.is_some_and(is_number);
    let is_apart = place.before().ends_with(' ');
    let said = match c {
        '*' if numbers => "times",
        '^' if both(characters::is_word) => "to the power of",
        '<' if right.is_some_and(|c| characters::is_word(c) || c == '$') && !place.rest().starts_with("<=") => {
            "less than"
        }
        '>' if both(characters::is_word) && !place.rest().starts_with(">=") => "greater than",
        '=' if both(|c| !c.is_whitespace() && c != '=') && !place.rest().starts_with("=>") => "equals",
        '-' | '−' if is_apart && place.rest()[c.len_utf8()..].starts_with(' ') && both(|c| c.is_ascii_digit()) => {
            "minus"
        }
        '/' if is_apart && both(|c| c.is_ascii_digit()) => "divided by",
        '+' if left.is_some_and(characters::is_word) || right.is_some_and(characters::is_word) => "plus",
        _ => return None,
    };
    let length = if c == '=' && place.rest().starts_with("==") { 2 } else { c.len_utf8() };
    Some(Reading::one(length, said))
}

/// Signs in front of a word or a number.
fn in_front(place: &Place<'_>, c: char) -> Option<Reading> {
    let rest = &place.rest()[c.len_utf8()..];
    let is_number = digits(rest, 12).is_some();
    let is_word = rest.starts_with(characters::is_word);
    let said = match c {
        '#' if is_number => "number",
        '#' if is_word => "hashtag",
        '@' if is_word || rest.starts_with([' ', '_']) => "at",
        '~' if is_number || rest.starts_with(['$', '€', '£']) => "about",
        _ => return None,
    };
    Some(Reading::one(c.len_utf8(), said))
}

fn alone(place: &Place<'_>, c: char) -> Option<Reading> {
    let rest = place.rest();
    if let Some((sign, said)) = SYMBOLS.iter().find(|(sign, _)| rest.starts_with(sign)) {
        return Some(Reading::one(sign.len(), *said));
    }
    let is_alone = !rest[c.len_utf8()..].starts_with(characters::is_word);
    if let Some((_, said)) = GREEK.iter().find(|(letter, _)| *letter == c && is_alone) {
        return Some(Reading::one(c.len_utf8(), *said));
    }
    // A number in a circle.
    let value = u32::from(c).checked_sub(0x245F).filter(|value| (1..=20).contains(value))?;
    Some(Reading::one(c.len_utf8(), super::number(value, place.dialect)))
}
