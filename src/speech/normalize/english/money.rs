//! Amounts of money.

use super::quantity::{Number, dash, takes_sign};
use super::{Dialect, Place, Reading, gap, is_over, letters};

/// What a currency is called.
struct Currency {
    /// How it is written, before or after the amount.
    written: &'static str,
    one: &'static str,
    many: &'static str,
    /// A hundredth, if it is paid with; for one and for many.
    cent: Option<(&'static str, &'static str)>,
}

const fn currency(
    written: &'static str,
    one: &'static str,
    many: &'static str,
    cent: Option<(&'static str, &'static str)>,
) -> Currency {
    Currency { written, one, many, cent }
}

const CENTS: Option<(&str, &str)> = Some(("cent", "cents"));
const PENCE: Option<(&str, &str)> = Some(("penny", "pence"));

/// Signs that others begin with come after those.
const SIGNS: &[Currency] = &[
    currency("US$", "U S dollar", "U S dollars", CENTS),
    currency("CA$", "Canadian dollar", "Canadian dollars", CENTS),
    currency("AU$", "Australian dollar", "Australian dollars", CENTS),
    currency("NZ$", "New Zealand dollar", "New Zealand dollars", CENTS),
    currency("HK$", "Hong Kong dollar", "Hong Kong dollars", CENTS),
    currency("C$", "Canadian dollar", "Canadian dollars", CENTS),
    currency("A$", "Australian dollar", "Australian dollars", CENTS),
    currency("S$", "Singapore dollar", "Singapore dollars", CENTS),
    currency("R$", "real", "reais", Some(("centavo", "centavos"))),
    currency("$", "dollar", "dollars", CENTS),
    currency("£", "pound", "pounds", PENCE),
    currency("€", "euro", "euros", CENTS),
    currency("¥", "yen", "yen", None),
    currency("₹", "rupee", "rupees", Some(("paisa", "paise"))),
    currency("₩", "won", "won", None),
    currency("₽", "ruble", "rubles", Some(("kopek", "kopeks"))),
    currency("₺", "lira", "lira", Some(("kurush", "kurush"))),
    currency("₴", "hryvnia", "hryvnias", Some(("kopek", "kopeks"))),
    currency("₪", "shekel", "shekels", Some(("agora", "agorot"))),
    currency("₿", "bitcoin", "bitcoins", None),
];

const CODES: &[Currency] = &[
    currency("USD", "U S dollar", "U S dollars", CENTS),
    currency("CAD", "Canadian dollar", "Canadian dollars", CENTS),
    currency("AUD", "Australian dollar", "Australian dollars", CENTS),
    currency("NZD", "New Zealand dollar", "New Zealand dollars", CENTS),
    currency("HKD", "Hong Kong dollar", "Hong Kong dollars", CENTS),
    currency("SGD", "Singapore dollar", "Singapore dollars", CENTS),
    currency("GBP", "pound", "pounds", PENCE),
    currency("EUR", "euro", "euros", CENTS),
    currency("JPY", "yen", "yen", None),
    currency("CNY", "yuan", "yuan", None),
    currency("CHF", "Swiss franc", "Swiss francs", Some(("centime", "centimes"))),
    currency("INR", "rupee", "rupees", Some(("paisa", "paise"))),
    currency("SEK", "Swedish krona", "Swedish kronor", None),
    currency("NOK", "Norwegian krone", "Norwegian kroner", None),
    currency("DKK", "Danish krone", "Danish kroner", None),
    currency("PLN", "zloty", "zlotys", None),
    currency("BTC", "bitcoin", "bitcoins", None),
];

/// Letters behind an amount, and what they multiply it with.
const SCALES: &[(&str, &str)] = &[
    ("k", "thousand"),
    ("K", "thousand"),
    ("mn", "million"),
    ("mm", "million"),
    ("MM", "million"),
    ("m", "million"),
    ("M", "million"),
    ("bn", "billion"),
    ("b", "billion"),
    ("B", "billion"),
    ("tn", "trillion"),
    ("T", "trillion"),
    ("t", "trillion"),
];

/// Money: `$5`, `-$12.50`, `£3m`, `$2.5 billion`, `50¢`, `20 USD`, `$5-10`, `$9/month`.
pub(super) fn money(place: &Place<'_>) -> Option<Reading> {
    prefixed(place).or_else(|| suffixed(place))
}

/// `text` when it is nothing but money.
pub(super) fn money_text(text: &str, dialect: Dialect) -> Option<String> {
    let place = Place { text, at: 0, end: text.len(), is_quoted: false, dialect };
    let reading = money(&place).filter(|reading| reading.length == text.len())?;
    Some(reading.said.into_iter().map(|(_, said)| said).collect::<Vec<_>>().join(" "))
}

/// The currency that `rest` begins with, and its length.
fn sign(rest: &str) -> Option<(&'static Currency, usize)> {
    let sign = SIGNS.iter().find(|it| rest.starts_with(it.written));
    let code = || CODES.iter().find(|it| rest.starts_with(it.written));
    sign.or_else(code).map(|currency| (currency, currency.written.len()))
}

fn prefixed(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    let minus = ["-", "−"].iter().find(|it| rest.starts_with(**it) && takes_sign(place)).map_or(0, |it| it.len());
    let (currency, length) = sign(&rest[minus..])?;
    let start = minus + length + gap(&rest[minus + length..]).unwrap_or(0);
    let number = Number::read(&rest[start..], minus == 0)?;
    let end = start + number.length;
    let minus = if minus > 0 { "minus " } else { "" };
    if let Some(reading) = prefixed_range(place, currency, &number, end) {
        return Some(reading);
    }
    let (scale, scale_end) = scale(rest, end);
    if !is_over(&rest[scale_end..]) {
        return None;
    }
    let after = per(&rest[scale_end..]);
    let length = scale_end + usize::from(!after.is_empty());
    let said = match scale {
        // The word of the scale is a word of the user's.
        Some(scale) if scale_end - end > 2 => vec![
            (0..end, format!("{minus}{}", number.said(place.dialect))),
            (scale_end - scale.len()..scale_end, format!("{scale} {}{after}", currency.many)),
        ],
        Some(scale) => {
            vec![(0..scale_end, format!("{minus}{} {scale} {}{after}", number.said(place.dialect), currency.many))]
        }
        None => vec![(0..end, format!("{minus}{}{after}", amount(&number, currency, place.dialect)))],
    };
    Some(Reading { length, said, ends_sentence: false })
}

/// `$5-10`, `$5–$10 million`.
fn prefixed_range(place: &Place<'_>, currency: &Currency, from: &Number<'_>, end: usize) -> Option<Reading> {
    let rest = place.rest();
    let second = end + dash(&rest[end..])?;
    let start = second + sign(&rest[second..]).map_or(0, |(_, length)| length);
    let to = Number::read(&rest[start..], false)?;
    let to_end = start + to.length;
    let (scale, length) = scale(rest, to_end);
    if !is_over(&rest[length..]) {
        return None;
    }
    let first = from.said(place.dialect);
    let last = match scale {
        Some(scale) => format!("to {} {scale} {}", to.said(place.dialect), currency.many),
        None => format!("to {}", amount(&to, currency, place.dialect)),
    };
    Some(Reading::several(vec![(0..end, first), (second..length, last)]))
}

/// Money with the currency behind the amount.
fn suffixed(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    let number = Number::read(rest, takes_sign(place))?;
    let after = &rest[number.length..];
    if after.starts_with('¢') {
        let cents = if number.is_one() { "cent" } else { "cents" };
        return Some(Reading::one(number.length + '¢'.len_utf8(), format!("{} {cents}", number.said(place.dialect))));
    }
    if place.dialect == Dialect::British && letters(after, 1) == Some("p") {
        let pence = if number.is_one() { "penny" } else { "pence" };
        return Some(Reading::one(number.length + 1, format!("{} {pence}", number.said(place.dialect))));
    }
    let gap = gap(after).unwrap_or(0);
    let (currency, length) = sign(&after[gap..])?;
    let end = number.length + gap + length;
    let is_prefix = rest[end..].starts_with(|c: char| c.is_ascii_digit()) || !is_over(&rest[end..]);
    if is_prefix {
        return None;
    }
    Some(Reading::one(end, amount(&number, currency, place.dialect)))
}

/// The scale behind the amount that ends at `end`, and where it ends.
fn scale(rest: &str, end: usize) -> (Option<&'static str>, usize) {
    let after = &rest[end..];
    let attached = SCALES.iter().find(|(short, _)| after.starts_with(short) && is_over(&after[short.len()..]));
    if let Some((short, scale)) = attached {
        return (Some(scale), end + short.len());
    }
    let gap = gap(after).or_else(|| after.starts_with('-').then_some(1));
    let word = gap.and_then(|gap| letters(&after[gap..], 12)).unwrap_or_default();
    let scales = ["thousand", "million", "billion", "trillion", "quadrillion"];
    let scale = scales.iter().find(|scale| word.eq_ignore_ascii_case(scale));
    match (scale, gap) {
        (Some(scale), Some(gap)) => (Some(scale), end + gap + scale.len()),
        _ => (None, end),
    }
}

/// What `/` in front of a word says after an amount.
fn per(rest: &str) -> &'static str {
    let is_word = rest.strip_prefix('/').is_some_and(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()));
    if is_word { " per" } else { "" }
}

fn amount(number: &Number<'_>, currency: &Currency, dialect: Dialect) -> String {
    let name = |is_one: bool| if is_one { currency.one } else { currency.many };
    let (Some(fraction), Some((cent, cents))) = (number.fraction.filter(|it| it.len() == 2), currency.cent) else {
        return format!("{} {}", number.said(dialect), name(number.is_one()));
    };
    let whole = number.without_fraction();
    let cents = if fraction == "01" { cent } else { cents };
    let hundredths = super::cardinal(fraction, dialect);
    match (number.whole.trim_start_matches('0'), fraction) {
        (_, "00") => format!("{} {}", whole.said(dialect), name(whole.is_one())),
        ("", _) => format!("{hundredths} {cents}"),
        _ => format!("{} {} and {hundredths} {cents}", whole.said(dialect), name(whole.is_one())),
    }
}
