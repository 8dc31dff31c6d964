use super::super::normalize;
use crate::speech::lexicon::Lexicon;
use crate::speech::script::{DateOrder, Override, SayAs};

/// Compares what is said for every text of a table, and shows all that is wrong with it.
fn check(language: &str, table: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (text, expected) in table {
        let said = normalize(text, &[], language, &Lexicon::default()).utterance.text;
        if said != *expected {
            wrong.push(format!("{text:?}: {said:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn numbers() {
    check(
        "en-US",
        &[
            ("0", "zero"),
            ("7 of 13", "seven of thirteen"),
            ("21 and 40", "twenty-one and forty"),
            ("105", "one hundred five"),
            ("1,234,567.89", "one million two hundred thirty-four thousand five hundred sixty-seven point eight nine"),
            ("1000000", "one million"),
            ("-5 and −3", "minus five and minus three"),
            ("It is -40", "It is minus forty"),
            ("3.14", "three point one four"),
            (".5", "point five"),
            ("0.05", "zero point zero five"),
            ("007", "zero zero seven"),
            ("1,2,3", "one, two, three"),
            ("12345", "twelve thousand three hundred forty-five"),
            ("2,000,000,000,000", "two trillion"),
            (
                "999999999999999999999999999999999999",
                "nine hundred ninety-nine decillion nine hundred ninety-nine nonillion nine hundred ninety-nine octillion nine hundred ninety-nine septillion nine hundred ninety-nine sextillion nine hundred ninety-nine quintillion nine hundred ninety-nine quadrillion nine hundred ninety-nine trillion nine hundred ninety-nine billion nine hundred ninety-nine million nine hundred ninety-nine thousand nine hundred ninety-nine",
            ),
            ("I am 10.", "I am ten."),
            ("ten-year-old and 10-year-old", "ten-year-old and ten-year-old"),
            ("3.5 million people", "three point five million people"),
            ("(5)", "(five)"),
            ("①", "one"),
        ],
    );
    check(
        "en-GB",
        &[
            ("105", "one hundred and five"),
            ("1,001", "one thousand and one"),
            ("2,150", "two thousand one hundred and fifty"),
        ],
    );
    let huge = normalize(&"1".repeat(37), &[], "en", &Lexicon::default()).utterance.text;
    assert_eq!(huge, vec!["one"; 37].join(" "));
}

#[test]
fn ordinals_and_roman_numerals() {
    check(
        "en-US",
        &[
            ("1st, 2nd, 3rd, 4th", "first, second, third, fourth"),
            ("the 22nd time", "the twenty-second time"),
            ("12th and 100th", "twelfth and one hundredth"),
            ("the 1,000th", "the one thousandth"),
            ("20TH", "twentieth"),
            ("Henry VIII", "Henry the eighth"),
            ("Henry VIII's wives", "Henry the eighth's wives"),
            ("Elizabeth I was queen", "Elizabeth the first was queen"),
            ("Elizabeth II", "Elizabeth the second"),
            ("Chapter IV", "Chapter four"),
            ("World War II ended", "World War two ended"),
            ("Part I of it", "Part one of it"),
            ("John I think so", "John I think so"),
            ("I am I", "I am I"),
            ("CD and MIX and DIM", "CD and MIX and DIM"),
            ("a civil matter", "a civil matter"),
            ("Chapter IIII", "Chapter IIII"),
        ],
    );
}

#[test]
fn years_and_decades() {
    check(
        "en-US",
        &[
            ("in 1066", "in ten sixty-six"),
            ("It was 1999.", "It was nineteen ninety-nine."),
            ("since 2005", "since two thousand five"),
            ("2024", "twenty twenty-four"),
            ("in 1900 and 1905", "in nineteen hundred and nineteen oh five"),
            ("in 2000", "in two thousand"),
            ("the 1990s", "the nineteen nineties"),
            ("the '90s and the 80s", "the nineties and the eighties"),
            ("the 1800s", "the eighteen hundreds"),
            ("the 2010s", "the twenty tens"),
            ("2000 people", "two thousand people"),
            ("1500 items", "one thousand five hundred items"),
            ("1200 BC", "twelve hundred BC"),
            ("2024's best", "twenty twenty-four's best"),
            ("2019–2021", "twenty nineteen to twenty twenty-one"),
            ("1939-45", "nineteen thirty-nine to forty-five"),
        ],
    );
    check("en-GB", &[("2005", "two thousand and five")]);
}

#[test]
fn money() {
    check(
        "en-US",
        &[
            ("$5", "five dollars"),
            ("$1", "one dollar"),
            ("$12.50", "twelve dollars and fifty cents"),
            ("$3.00", "three dollars"),
            ("$0.99", "ninety-nine cents"),
            ("$1.01", "one dollar and one cent"),
            ("$0.005", "zero point zero zero five dollars"),
            ("-$5", "minus five dollars"),
            ("£3m", "three million pounds"),
            ("£1.01", "one pound and one penny"),
            ("€1,000", "one thousand euros"),
            ("$2.5 billion", "two point five billion dollars"),
            ("$10k", "ten thousand dollars"),
            ("50¢", "fifty cents"),
            ("USD 20 and 20 USD", "twenty U S dollars and twenty U S dollars"),
            ("5€ and 10 €", "five euros and ten euros"),
            ("¥500", "five hundred yen"),
            ("$5-10", "five to ten dollars"),
            ("$5–$10 million", "five to ten million dollars"),
            ("$9.99/month", "nine dollars and ninety-nine cents per month"),
            ("$5, please", "five dollars, please"),
            ("US$100", "one hundred U S dollars"),
        ],
    );
    check("en-GB", &[("50p", "fifty pence"), ("£4.20", "four pounds and twenty pence")]);
}

#[test]
fn percent_and_fractions() {
    check(
        "en-US",
        &[
            ("50%", "fifty percent"),
            ("0.5 %", "zero point five percent"),
            ("10-20%", "ten to twenty percent"),
            ("10%-20%", "ten percent to twenty percent"),
            ("1/2", "one half"),
            ("3/4 cup", "three quarters cup"),
            ("2/3", "two thirds"),
            ("1 1/2 cups", "one and a half cups"),
            ("2½", "two and a half"),
            ("½ and ¾", "one half and three quarters"),
            ("24/7", "twenty-four seven"),
            ("9/11", "nine eleven"),
            ("8/10", "eight out of ten"),
            ("120/80", "one hundred twenty slash eighty"),
            ("1/100", "one one hundredth"),
        ],
    );
}

#[test]
fn dates() {
    check(
        "en-US",
        &[
            ("2024-05-03", "May third twenty twenty-four"),
            ("3 May 2024", "the third of May twenty twenty-four"),
            ("on the 3rd of May", "on the third of May"),
            ("May 3rd, 2024", "May third twenty twenty-four"),
            ("May 3, 2024.", "May third twenty twenty-four."),
            ("5/3/2024", "May third twenty twenty-four"),
            ("25/12/1999", "December twenty-fifth nineteen ninety-nine"),
            ("5/3/24", "May third twenty twenty-four"),
            ("3.5.2024", "May third twenty twenty-four"),
            ("Jan. 5", "January fifth"),
            ("5 Jan", "the fifth of January"),
            ("Sept. 11, 2001", "September eleventh two thousand one"),
            ("Jan. 2024", "January twenty twenty-four"),
            ("May 3-5", "May third to fifth"),
            ("3–5 May", "the third to the fifth of May"),
            ("in May", "in May"),
            ("you may 5", "you may five"),
            ("Mon. 3 May", "Monday the third of May"),
            ("Mon., May 3", "Monday, May third"),
            ("He sat. Then 5", "He sat. Then five"),
            ("2024-05-03T17:45:00Z", "May third twenty twenty-four seventeen forty-five and zero seconds U T C"),
            ("July 4th", "July fourth"),
            ("by Jan.", "by January."),
        ],
    );
    check("en-GB", &[("5/3/2024", "the fifth of March twenty twenty-four")]);
}

#[test]
fn times() {
    check(
        "en-US",
        &[
            ("5:30pm", "five thirty PM"),
            ("17:45", "seventeen forty-five"),
            ("9 a.m. to noon", "nine AM to noon"),
            ("at 9 p.m.", "at nine PM."),
            ("at 9 p.m. Then we left", "at nine PM. Then we left"),
            ("9am", "nine AM"),
            ("5:05", "five oh five"),
            ("5:00", "five o'clock"),
            ("17:00", "seventeen hundred"),
            ("12:34:56", "twelve thirty-four and fifty-six seconds"),
            ("10:00-12:30", "ten o'clock to twelve thirty"),
            ("5pm-7pm", "five PM to seven PM"),
            ("16:9", "sixteen to nine"),
            ("2:1", "two to one"),
            ("I am 5", "I am five"),
            ("09:30", "oh nine thirty"),
            ("00:15", "zero fifteen"),
            ("5:30 p.m. tomorrow", "five thirty PM tomorrow"),
        ],
    );
}

#[test]
fn units() {
    check(
        "en-US",
        &[
            ("5 km", "five kilometers"),
            ("1 km", "one kilometer"),
            ("0.5km", "zero point five kilometers"),
            ("20 °C", "twenty degrees Celsius"),
            ("20°", "twenty degrees"),
            ("-5°C", "minus five degrees Celsius"),
            ("60mph", "sixty miles per hour"),
            ("3.5GHz", "three point five gigahertz"),
            ("10 MB/s", "ten megabytes per second"),
            ("100 km/h", "one hundred kilometers per hour"),
            ("9.8 m/s²", "nine point eight meters per second squared"),
            ("6'2\"", "six foot two"),
            ("a 5-km run", "a five kilometer run"),
            ("5-10 km", "five to ten kilometers"),
            ("2h 30min", "two hours thirty minutes"),
            ("30s", "thirty seconds"),
            ("16 GB of RAM", "sixteen gigabytes of RAM"),
            ("50 m²", "fifty square meters"),
            ("220V", "two hundred twenty volts"),
            ("5 lbs.", "five pounds."),
            ("I have 5 in my bag", "I have five in my bag"),
            ("5 apples", "five apples"),
            ("a 12\" screen", "a twelve inches screen"),
            ("\"I am 12\" he said", "\"I am twelve\" he said"),
            ("10 m/s", "ten meters per second"),
            ("60 km/hour", "sixty kilometers per hour"),
            ("250 ms", "two hundred fifty milliseconds"),
        ],
    );
}

#[test]
fn ranges_scores_and_computing() {
    check(
        "en-US",
        &[
            ("10-20", "ten to twenty"),
            ("pages 10–20", "pages ten to twenty"),
            ("won 3-1", "won three to one"),
            ("12-34-56", "twelve, thirty-four, fifty-six"),
            ("2 + 2 = 4", "two plus two equals four"),
            ("3 × 4", "three times four"),
            ("2*3", "two times three"),
            ("10 - 4", "ten minus four"),
            ("8 / 2", "eight divided by two"),
            ("2^10", "two to the power of ten"),
            ("x² + y³", "x squared plus y cubed"),
            ("a < b", "a less than b"),
            ("x >= 5", "x greater than or equal to five"),
            ("5±1", "five plus or minus one"),
            ("1920x1080", "nineteen twenty by ten eighty"),
            ("10x faster", "ten times faster"),
            ("~5", "about five"),
            ("5+", "five plus"),
        ],
    );
}

#[test]
fn telephone_numbers() {
    check(
        "en-US",
        &[
            ("555-123-4567", "five five five, one two three, four five six seven"),
            ("(555) 123-4567", "five five five, one two three, four five six seven"),
            ("Call 555-1234.", "Call five five five, one two three four."),
            ("+44 20 7946 0958", "plus four four, two zero, seven nine four six, zero nine five eight"),
            ("+15551234567", "plus one five five five one two three four five six seven"),
            ("1-800-555-0199", "one, eight zero zero, five five five, zero one nine nine"),
            ("020 7946 0958", "zero two zero, seven nine four six, zero nine five eight"),
            ("100-2000", "one hundred to two thousand"),
        ],
    );
}

#[test]
fn versions_and_addresses_of_computers() {
    check(
        "en-US",
        &[
            ("v1.2.3", "version one point two point three"),
            ("Python 3.12.1", "Python three point twelve point one"),
            ("192.168.0.1", "one nine two dot one six eight dot zero dot one"),
            ("v2", "version two"),
        ],
    );
}

#[test]
fn abbreviations() {
    check(
        "en-US",
        &[
            ("Dr. Smith", "Doctor Smith"),
            ("Dr Smith met Mr Jones", "Doctor Smith met Mister Jones"),
            ("12 Elm Dr.", "twelve Elm Drive."),
            ("on Elm Dr. today", "on Elm Drive today"),
            ("St. Mary", "Saint Mary"),
            ("Main St. is long", "Main Street is long"),
            ("on Main St.", "on Main Street."),
            ("Mr. and Mrs. Brown", "Mister and Missus Brown"),
            ("e.g. this", "for example this"),
            ("fruit, i.e., apples", "fruit, that is, apples"),
            ("apples, etc.", "apples, et cetera."),
            ("apples, etc. and more", "apples, et cetera and more"),
            ("cats vs. dogs", "cats versus dogs"),
            ("No. 5", "Number five"),
            ("No. That is it.", "No. That is it."),
            ("approx. 5", "approximately five"),
            ("Acme Inc. said", "Acme Incorporated said"),
            ("the U.S. Army", "the U S Army"),
            ("in the U.S.", "in the U S."),
            ("J. R. R. Tolkien", "J R R Tolkien"),
            ("George W. Bush", "George W Bush"),
            ("Plan B. Then", "Plan B. Then"),
            ("It was I. He", "It was I. He"),
            ("Gen. Lee", "General Lee"),
            ("a Ph.D. student", "a P H D student"),
            ("Smith et al. say", "Smith and others say"),
            ("pp. 5-7", "pages five to seven"),
            ("w/ milk and w/o sugar", "with milk and without sugar"),
            ("Mt. Everest", "Mount Everest"),
            ("Who is the max?", "Who is the max?"),
            ("Col and I", "Col and I"),
            ("I said no.", "I said no."),
        ],
    );
}

#[test]
fn addresses_of_the_web() {
    check(
        "en-US",
        &[
            ("https://www.example.com/path", "example dot com slash path"),
            ("See https://example.com/a-b_c?q=1#x.", "See example dot com slash a dash b underscore c."),
            ("(http://example.org/)", "(example dot org)"),
            ("example.com/docs", "example dot com slash docs"),
            ("www.example.co.uk", "example dot co dot U K"),
            ("jane.doe@example.com", "jane dot doe at example dot com"),
            ("Mail me at a1@b.io!", "Mail me at a one at b dot I O!"),
            ("@handle said", "at handle said"),
            ("#hashtag and #5", "hashtag hashtag and number five"),
            ("Node.js and main.rs", "Node dot js and main dot rs"),
            ("The end.Next one", "The end. Next one"),
        ],
    );
}

#[test]
fn names_with_digits_and_signs() {
    check(
        "en-US",
        &[
            ("A4", "A four"),
            ("COVID-19", "COVID nineteen"),
            ("F-16", "F sixteen"),
            ("mp3", "mp three"),
            ("3D and 4K", "three D and four K"),
            ("1080p", "ten eighty p"),
            ("RTX4090", "RTX forty ninety"),
            ("H2O", "H two O"),
            ("C++ and C#", "C plus plus and C sharp"),
            ("AT&T", "AT and T"),
            ("R & D", "R and D"),
            ("50 % off", "fifty percent off"),
            ("§ 5", "section five"),
            ("© 2024", "copyright twenty twenty-four"),
            ("A → B", "A to B"),
            ("he/she", "he she"),
            ("snake_case", "snake case"),
            ("the angle α", "the angle alpha"),
            ("Coke™", "Coke"),
            ("007th", "seventh"),
        ],
    );
}

fn as_kind(language: &str, text: &str, kind: SayAs) -> String {
    let overrides = [(0..text.len(), Override::SayAs(kind))];
    normalize(text, &overrides, language, &Lexicon::default()).utterance.text
}

#[test]
fn words_are_said_as_what_they_are() {
    let rows = [
        ("abc-1", SayAs::Characters, "A B C dash one"),
        ("1234", SayAs::Digits, "one two three four"),
        ("1984", SayAs::Cardinal, "one thousand nine hundred eighty-four"),
        ("IV", SayAs::Cardinal, "four"),
        ("3", SayAs::Ordinal, "third"),
        ("XIV", SayAs::Ordinal, "fourteenth"),
        ("5/17", SayAs::Fraction, "five seventeenths"),
        ("1 1/2", SayAs::Fraction, "one and a half"),
        ("10 km", SayAs::Unit, "ten kilometers"),
        ("3/4", SayAs::Date(DateOrder::DayMonthYear), "April third"),
        ("3/4/2021", SayAs::Date(DateOrder::MonthDayYear), "March fourth twenty twenty-one"),
        ("20240503", SayAs::Date(DateOrder::YearMonthDay), "May third twenty twenty-four"),
        ("5/2024", SayAs::Date(DateOrder::MonthYear), "May twenty twenty-four"),
        ("1999", SayAs::Date(DateOrder::Year), "nineteen ninety-nine"),
        ("May 3", SayAs::Date(DateOrder::Any), "May third"),
        ("3/4", SayAs::Date(DateOrder::Any), "March fourth"),
        ("2:30pm", SayAs::Time, "two thirty PM"),
        ("2025551212", SayAs::Telephone, "two zero two five five five one two one two"),
        ("(202) 555-1212", SayAs::Telephone, "two zero two, five five five, one two one two"),
        ("$42.01", SayAs::Currency, "forty-two dollars and one cent"),
        ("no number", SayAs::Cardinal, "no number"),
    ];
    for (text, kind, expected) in rows {
        assert_eq!(as_kind("en-US", text, kind), expected, "{text}");
    }
    assert_eq!(as_kind("en-GB", "3/4", SayAs::Date(DateOrder::Any)), "the third of April");
    assert_eq!(as_kind("de", "AB1", SayAs::Characters), "A B 1");
    assert_eq!(as_kind("de", "123", SayAs::Digits), "1 2 3");
    assert_eq!(as_kind("de", "123", SayAs::Cardinal), "123");
}
