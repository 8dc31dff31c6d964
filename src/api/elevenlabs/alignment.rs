//! When each character of a text is said, made of when its words are.

use crate::speech::speak::TimedWord;
use serde_json::{Value, json};
use std::time::Duration;

/// Which characters of a text have been told so far.
#[derive(Debug, Default)]
pub struct Alignment {
    /// How many bytes have been told, and when the last of them ended.
    told: usize,
    at: Duration,
}

/// A character and when it is said.
pub type Timed = (char, Duration, Duration);

impl Alignment {
    /// For a text that follows one that ended then.
    pub fn following(at: Duration) -> Self {
        Self { told: 0, at }
    }

    /// When the last character that was told ended.
    pub fn end(&self) -> Duration {
        self.at
    }

    /// The characters of `text` up to the end of `words`, which follow those before.
    pub fn up_to(&mut self, text: &str, words: &[TimedWord]) -> Vec<Timed> {
        let mut timed = Vec::new();
        for word in words {
            let Some(between) = text.get(self.told..word.text.start) else { continue };
            let Some(said) = text.get(word.text.clone()) else { continue };
            let start = word.start.max(self.at);
            spread(between, self.at, start, &mut timed);
            spread(said, start, word.end.max(start), &mut timed);
            (self.told, self.at) = (word.text.end, word.end.max(start));
        }
        timed
    }

    /// What is left of `text`: marks that nobody says.
    pub fn rest(&mut self, text: &str) -> Vec<Timed> {
        let mut timed = Vec::new();
        spread(text.get(self.told..).unwrap_or_default(), self.at, self.at, &mut timed);
        self.told = text.len();
        timed
    }
}

/// Three lists of the same length, in milliseconds, as connections have them: the times begin anew with every message, so
/// that they add up.
pub fn in_milliseconds(timed: &[Timed], begin: Duration) -> Value {
    if timed.is_empty() {
        return Value::Null;
    }
    let milliseconds = |time: Duration| time.as_millis() as u64;
    let from_begin = |time: Duration| milliseconds(time) - milliseconds(begin);
    json!({
        "chars": timed.iter().map(|(c, ..)| c).collect::<Vec<_>>(),
        "charStartTimesMs": timed.iter().map(|(_, start, _)| from_begin(*start)).collect::<Vec<_>>(),
        "charDurationsMs": timed.iter().map(|(_, start, end)| milliseconds(*end) - milliseconds(*start)).collect::<Vec<_>>(),
    })
}

/// Gives every character of `text` the same share of the time.
fn spread(text: &str, start: Duration, end: Duration, timed: &mut Vec<Timed>) {
    let count = text.chars().count().max(1) as u32;
    let share = end.saturating_sub(start) / count;
    timed.extend(text.chars().zip(0..).map(|(c, at): (char, u32)| (c, start + share * at, start + share * (at + 1))));
}

/// Three lists of the same length, in seconds; nothing where there are no characters.
pub fn in_seconds(timed: &[Timed]) -> Value {
    if timed.is_empty() {
        return Value::Null;
    }
    let seconds = |time: Duration| (time.as_secs_f64() * 1000.0).round() / 1000.0;
    json!({
        "characters": timed.iter().map(|(c, ..)| c).collect::<Vec<_>>(),
        "character_start_times_seconds": timed.iter().map(|(_, start, _)| seconds(*start)).collect::<Vec<_>>(),
        "character_end_times_seconds": timed.iter().map(|(.., end)| seconds(*end)).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: std::ops::Range<usize>, start: u64, end: u64) -> TimedWord {
        TimedWord { text, start: Duration::from_millis(start), end: Duration::from_millis(end) }
    }

    #[test]
    fn every_character_is_told_once_and_in_order() {
        let text = "“Für 5 €, ja!” ";
        let mut alignment = Alignment::default();
        let words = [word(3..7, 100, 400), word(8..9, 500, 600), word(10..13, 600, 900)];
        let mut timed = alignment.up_to(text, &words);
        timed.extend(alignment.up_to(text, &[word(15..17, 1_000, 1_200)]));
        timed.extend(alignment.rest(text));
        assert_eq!(timed.iter().map(|(c, ..)| *c).collect::<String>(), text);
        assert!(timed.iter().all(|(_, start, end)| start <= end));
        assert!(timed.windows(2).all(|pair| pair[0].2 <= pair[1].1 + Duration::from_millis(1)));
        assert_eq!(timed[1], ('F', Duration::from_millis(100), Duration::from_millis(200)));
        assert_eq!(in_seconds(&timed)["character_end_times_seconds"][12], 1.2);
    }

    #[test]
    fn times_of_messages_add_up() {
        let text = "ab cd";
        let mut alignment = Alignment::following(Duration::from_millis(1_000));
        let first = in_milliseconds(&alignment.up_to(text, &[word(0..2, 1_100, 1_300)]), Duration::from_millis(1_000));
        assert_eq!(first["charStartTimesMs"], json!([100, 200]));
        assert_eq!(first["charDurationsMs"], json!([100, 100]));
        let begin = alignment.end();
        let second = in_milliseconds(&alignment.up_to(text, &[word(3..5, 1_400, 1_500)]), begin);
        assert_eq!(second["chars"], json!([" ", "c", "d"]));
        assert_eq!(second["charStartTimesMs"], json!([0, 100, 150]));
        assert_eq!(in_milliseconds(&[], begin), Value::Null);
    }

    #[test]
    fn words_out_of_order_do_no_harm() {
        let mut alignment = Alignment::default();
        let timed = alignment.up_to("ab cd", &[word(3..5, 500, 900), word(0..2, 100, 200), word(9..12, 0, 1)]);
        assert_eq!(timed.iter().map(|(c, ..)| *c).collect::<String>(), "ab cd");
        assert_eq!(in_seconds(&[]), Value::Null);
    }
}
