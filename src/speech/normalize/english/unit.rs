//! Numbers with units.

use super::quantity::{Number, takes_sign};
use super::{Dialect, Place, Reading, digits, gap, is_over};

/// Whether a unit may stand apart from its number: what is a word or a letter as well may not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    Apart,
    Attached,
}
use Stands::{Apart, Attached};

/// A unit as it is written, for one and for many.
type Unit = (&'static str, &'static str, &'static str, Stands);

const UNITS: &[Unit] = &[
    ("%", "percent", "percent", Apart),
    ("‰", "per mille", "per mille", Apart),
    ("°C", "degree Celsius", "degrees Celsius", Apart),
    ("℃", "degree Celsius", "degrees Celsius", Apart),
    ("°F", "degree Fahrenheit", "degrees Fahrenheit", Apart),
    ("℉", "degree Fahrenheit", "degrees Fahrenheit", Apart),
    ("ºC", "degree Celsius", "degrees Celsius", Apart),
    ("ºF", "degree Fahrenheit", "degrees Fahrenheit", Apart),
    ("°", "degree", "degrees", Apart),
    ("º", "degree", "degrees", Attached),
    ("nm", "nanometer", "nanometers", Apart),
    ("µm", "micrometer", "micrometers", Apart),
    ("μm", "micrometer", "micrometers", Apart),
    ("mm", "millimeter", "millimeters", Apart),
    ("cm", "centimeter", "centimeters", Apart),
    ("dm", "decimeter", "decimeters", Apart),
    ("m", "meter", "meters", Apart),
    ("km", "kilometer", "kilometers", Apart),
    ("in", "inch", "inches", Attached),
    ("ft", "foot", "feet", Apart),
    ("yd", "yard", "yards", Apart),
    ("mi", "mile", "miles", Apart),
    ("mm²", "square millimeter", "square millimeters", Apart),
    ("cm²", "square centimeter", "square centimeters", Apart),
    ("m²", "square meter", "square meters", Apart),
    ("m2", "square meter", "square meters", Apart),
    ("km²", "square kilometer", "square kilometers", Apart),
    ("km2", "square kilometer", "square kilometers", Apart),
    ("ft²", "square foot", "square feet", Apart),
    ("sq ft", "square foot", "square feet", Apart),
    ("ha", "hectare", "hectares", Attached),
    ("cm³", "cubic centimeter", "cubic centimeters", Apart),
    ("m³", "cubic meter", "cubic meters", Apart),
    ("m3", "cubic meter", "cubic meters", Apart),
    ("ft³", "cubic foot", "cubic feet", Apart),
    ("ml", "milliliter", "milliliters", Apart),
    ("mL", "milliliter", "milliliters", Apart),
    ("cl", "centiliter", "centiliters", Apart),
    ("dl", "deciliter", "deciliters", Apart),
    ("l", "liter", "liters", Apart),
    ("L", "liter", "liters", Apart),
    ("gal", "gallon", "gallons", Apart),
    ("fl oz", "fluid ounce", "fluid ounces", Apart),
    ("tbsp", "tablespoon", "tablespoons", Apart),
    ("tsp", "teaspoon", "teaspoons", Apart),
    ("µg", "microgram", "micrograms", Apart),
    ("μg", "microgram", "micrograms", Apart),
    ("mcg", "microgram", "micrograms", Apart),
    ("mg", "milligram", "milligrams", Apart),
    ("g", "gram", "grams", Apart),
    ("kg", "kilogram", "kilograms", Apart),
    ("t", "ton", "tons", Apart),
    ("oz", "ounce", "ounces", Apart),
    ("lb", "pound", "pounds", Apart),
    ("lbs", "pound", "pounds", Apart),
    ("ns", "nanosecond", "nanoseconds", Apart),
    ("µs", "microsecond", "microseconds", Apart),
    ("μs", "microsecond", "microseconds", Apart),
    ("ms", "millisecond", "milliseconds", Apart),
    ("s", "second", "seconds", Apart),
    ("s²", "second squared", "seconds squared", Apart),
    ("s2", "second squared", "seconds squared", Apart),
    ("sec", "second", "seconds", Apart),
    ("secs", "second", "seconds", Apart),
    ("min", "minute", "minutes", Apart),
    ("mins", "minute", "minutes", Apart),
    ("h", "hour", "hours", Apart),
    ("hr", "hour", "hours", Apart),
    ("hrs", "hour", "hours", Apart),
    ("d", "day", "days", Attached),
    ("yr", "year", "years", Apart),
    ("yrs", "year", "years", Apart),
    ("mph", "mile per hour", "miles per hour", Apart),
    ("kph", "kilometer per hour", "kilometers per hour", Apart),
    ("kmh", "kilometer per hour", "kilometers per hour", Apart),
    ("kn", "knot", "knots", Apart),
    ("mpg", "mile per gallon", "miles per gallon", Apart),
    ("rpm", "R P M", "R P M", Apart),
    ("RPM", "R P M", "R P M", Apart),
    ("bpm", "beat per minute", "beats per minute", Apart),
    ("BPM", "beat per minute", "beats per minute", Apart),
    ("fps", "frame per second", "frames per second", Apart),
    ("FPS", "frame per second", "frames per second", Apart),
    ("dpi", "dot per inch", "dots per inch", Apart),
    ("DPI", "dot per inch", "dots per inch", Apart),
    ("ppm", "part per million", "parts per million", Apart),
    ("px", "pixel", "pixels", Apart),
    ("pt", "point", "points", Attached),
    ("MP", "megapixel", "megapixels", Apart),
    ("Hz", "hertz", "hertz", Apart),
    ("kHz", "kilohertz", "kilohertz", Apart),
    ("MHz", "megahertz", "megahertz", Apart),
    ("GHz", "gigahertz", "gigahertz", Apart),
    ("THz", "terahertz", "terahertz", Apart),
    ("kB", "kilobyte", "kilobytes", Apart),
    ("KB", "kilobyte", "kilobytes", Apart),
    ("MB", "megabyte", "megabytes", Apart),
    ("GB", "gigabyte", "gigabytes", Apart),
    ("TB", "terabyte", "terabytes", Apart),
    ("PB", "petabyte", "petabytes", Apart),
    ("KiB", "kibibyte", "kibibytes", Apart),
    ("MiB", "mebibyte", "mebibytes", Apart),
    ("GiB", "gibibyte", "gibibytes", Apart),
    ("TiB", "tebibyte", "tebibytes", Apart),
    ("kb", "kilobit", "kilobits", Apart),
    ("Mb", "megabit", "megabits", Apart),
    ("Gb", "gigabit", "gigabits", Apart),
    ("kbit", "kilobit", "kilobits", Apart),
    ("Mbit", "megabit", "megabits", Apart),
    ("Gbit", "gigabit", "gigabits", Apart),
    ("bps", "bit per second", "bits per second", Apart),
    ("kbps", "kilobit per second", "kilobits per second", Apart),
    ("Kbps", "kilobit per second", "kilobits per second", Apart),
    ("Mbps", "megabit per second", "megabits per second", Apart),
    ("Gbps", "gigabit per second", "gigabits per second", Apart),
    ("mW", "milliwatt", "milliwatts", Apart),
    ("W", "watt", "watts", Apart),
    ("kW", "kilowatt", "kilowatts", Apart),
    ("MW", "megawatt", "megawatts", Apart),
    ("GW", "gigawatt", "gigawatts", Apart),
    ("Wh", "watt hour", "watt hours", Apart),
    ("kWh", "kilowatt hour", "kilowatt hours", Apart),
    ("MWh", "megawatt hour", "megawatt hours", Apart),
    ("mAh", "milliamp hour", "milliamp hours", Apart),
    ("Ah", "amp hour", "amp hours", Apart),
    ("mA", "milliamp", "milliamps", Apart),
    ("A", "amp", "amps", Attached),
    ("mV", "millivolt", "millivolts", Apart),
    ("V", "volt", "volts", Apart),
    ("kV", "kilovolt", "kilovolts", Apart),
    ("Ω", "ohm", "ohms", Apart),
    ("kΩ", "kilohm", "kilohms", Apart),
    ("MΩ", "megohm", "megohms", Apart),
    ("pF", "picofarad", "picofarads", Apart),
    ("nF", "nanofarad", "nanofarads", Apart),
    ("µF", "microfarad", "microfarads", Apart),
    ("dB", "decibel", "decibels", Apart),
    ("dBm", "D B M", "D B M", Apart),
    ("Pa", "pascal", "pascals", Apart),
    ("kPa", "kilopascal", "kilopascals", Apart),
    ("hPa", "hectopascal", "hectopascals", Apart),
    ("MPa", "megapascal", "megapascals", Apart),
    ("psi", "P S I", "P S I", Apart),
    ("atm", "atmosphere", "atmospheres", Attached),
    ("J", "joule", "joules", Attached),
    ("kJ", "kilojoule", "kilojoules", Apart),
    ("MJ", "megajoule", "megajoules", Apart),
    ("cal", "calorie", "calories", Apart),
    ("kcal", "kilocalorie", "kilocalories", Apart),
    ("eV", "electronvolt", "electronvolts", Apart),
    ("kN", "kilonewton", "kilonewtons", Apart),
    ("Nm", "newton meter", "newton meters", Apart),
    ("hp", "horsepower", "horsepower", Apart),
    ("lm", "lumen", "lumens", Apart),
    ("mol", "mole", "moles", Apart),
    ("mmol", "millimole", "millimoles", Apart),
];

/// A unit behind a number.
pub(super) struct Measured {
    /// How far it is from its number, in bytes.
    pub(super) gap: usize,
    /// Its own length.
    pub(super) length: usize,
    /// What it is called for one.
    singular: String,
    /// What it is called for many.
    pub(super) plural: String,
}

impl Measured {
    /// The unit that stands in `rest`, right behind `number`.
    pub(super) fn after(number: &Number<'_>, rest: &str) -> Option<Self> {
        let gap = gap(rest).unwrap_or(0);
        let unit = longest(&rest[gap..]).filter(|(.., stands)| gap == 0 || *stands == Apart)?;
        let (written, one, many, _) = *unit;
        let mut measured = Self { gap, length: written.len(), singular: one.to_owned(), plural: many.to_owned() };
        // `5 s.` and `9 m` may be anything, but not so `5's` and `5 m'`.
        let after = &rest[gap + written.len()..];
        let is_letter = written.len() == 1 && written.bytes().all(|b| b.is_ascii_alphabetic());
        if is_letter
            && (after.starts_with(['\'', '’', '-', '&'])
                || (gap > 0 && number.plain().is_none() && number.fraction.is_none()))
        {
            return None;
        }
        if let Some(per) = after.strip_prefix('/').and_then(longest) {
            measured.length += 1 + per.0.len();
            measured.singular += &format!(" per {}", per.1);
            measured.plural += &format!(" per {}", per.1);
        } else if after.strip_prefix('/').is_some_and(|word| word.starts_with(|c: char| c.is_ascii_alphabetic())) {
            measured.length += 1;
            measured.singular += " per";
            measured.plural += " per";
        }
        Some(measured)
    }

    fn name(&self, is_one: bool) -> &str {
        if is_one { &self.singular } else { &self.plural }
    }
}

/// The longest unit that `rest` begins with, as a whole word.
fn longest(rest: &str) -> Option<&'static Unit> {
    let is_here = |unit: &&Unit| rest.starts_with(unit.0) && is_over(&rest[unit.0.len()..]);
    UNITS.iter().filter(is_here).max_by_key(|unit| unit.0.len())
}

/// `5 km`, `60mph`, `20 °C`, `10 MB/s`, `a 5-km run`, `6'2"`.
pub(super) fn measure(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    let number = Number::read(rest, takes_sign(place))?;
    if let Some(reading) = feet_and_inches(place, &number) {
        return Some(reading);
    }
    let after = &rest[number.length..];
    if let Some(unit) = after.strip_prefix('-').and_then(longest)
        && unit.0.bytes().all(|b| b.is_ascii_alphabetic())
        && (unit.0.len() > 1 || unit.3 == Apart)
    {
        let end = number.length + 1 + unit.0.len();
        return Some(Reading::one(end, format!("{} {}", number.said(place.dialect), unit.1)));
    }
    let unit = Measured::after(&number, after)?;
    let (said, name) = (number.said(place.dialect), unit.name(number.is_one()).to_owned());
    let end = number.length + unit.gap + unit.length;
    if unit.gap == 0 {
        return Some(Reading::one(end, format!("{said} {name}")));
    }
    Some(Reading::several(vec![(0..number.length, said), (number.length + unit.gap..end, name)]))
}

/// `6'2"`, `6′ 2″`, `5′`, `12"` and `12″`.
fn feet_and_inches(place: &Place<'_>, number: &Number<'_>) -> Option<Reading> {
    let rest = &place.rest()[number.length..];
    let said = number.said(place.dialect);
    let inch = |rest: &str| ["\"", "″", "”", "''"].iter().find(|it| rest.starts_with(**it)).map(|it| it.len());
    if let Some(length) = inch(rest).filter(|_| rest.starts_with('″') || (rest.starts_with('"') && !place.is_quoted))
    {
        let name = if number.is_one() { "inch" } else { "inches" };
        return Some(Reading::one(number.length + length, format!("{said} {name}")));
    }
    let foot = ["'", "′", "’"].iter().find(|it| rest.starts_with(**it))?;
    let mut start = foot.len();
    if *foot == "′" {
        start += gap(&rest[start..]).unwrap_or(0);
    }
    let inches = digits(&rest[start..], 2);
    match inches {
        Some(inches) if inch(&rest[start + inches.len()..]).is_some() || is_over(&rest[start + inches.len()..]) => {
            let end = start + inches.len();
            let length = number.length + end + inch(&rest[end..]).unwrap_or(0);
            Some(Reading::one(length, format!("{said} foot {}", super::cardinal(inches, place.dialect))))
        }
        _ if *foot == "′" => {
            let name = if number.is_one() { "foot" } else { "feet" };
            Some(Reading::one(number.length + foot.len(), format!("{said} {name}")))
        }
        _ => None,
    }
}

/// `text` when it is nothing but a number with a unit, or a unit.
pub(super) fn unit_text(text: &str, dialect: Dialect) -> Option<String> {
    if let Some((_, one, ..)) = longest(text).filter(|unit| unit.0.len() == text.len()) {
        return Some((*one).to_owned());
    }
    let place = Place { text, at: 0, end: text.len(), is_quoted: false, dialect };
    let reading = measure(&place).filter(|reading| reading.length == text.len())?;
    Some(reading.said.into_iter().map(|(_, said)| said).collect::<Vec<_>>().join(" "))
}
