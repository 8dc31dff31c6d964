//! What the speakers of a recording are called on the wire.

use crate::transcript::Speaker;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How to call the voices that nobody gave a name to. Those with a name keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpeakerNames {
    /// `A`, `B`, …, `Z`, `AA`, as OpenAI does, without those that are names of known speakers.
    Letters(Vec<String>),
    /// Numbers from 0, as Deepgram does.
    Numbers,
}

impl SpeakerNames {
    /// The name for people.
    pub fn of(&self, speaker: &Speaker) -> String {
        match (speaker, self) {
            (Speaker::Known(name), _) => name.to_string(),
            (Speaker::Unknown(number), Self::Numbers) => number.to_string(),
            (Speaker::Unknown(number), Self::Letters(taken)) => {
                let mut free = (0..).map(letters).filter(|name| !taken.contains(name));
                free.nth(*number as usize).unwrap_or_default()
            }
        }
    }

    /// The name for JSON: a string, or the number.
    pub fn value(&self, speaker: &Speaker) -> Value {
        match (speaker, self) {
            (Speaker::Unknown(number), Self::Numbers) => json!(number),
            _ => json!(self.of(speaker)),
        }
    }
}

/// `A` for 0, `Z` for 25, `AA` for 26.
fn letters(number: u32) -> String {
    let last = char::from(b'A' + (number % 26) as u8);
    match (number / 26).checked_sub(1) {
        Some(rest) => letters(rest) + &last.to_string(),
        None => last.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_on_after_z() {
        let names = [0, 1, 25, 26, 51, 52, 701, 702].map(letters);
        assert_eq!(names, ["A", "B", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]);
    }

    #[test]
    fn nobody_gets_the_name_of_a_known_speaker() {
        let names = SpeakerNames::Letters(vec!["A".into(), "Ann".into()]);
        assert_eq!(names.of(&Speaker::Known("A".into())), "A");
        assert_eq!([0, 1].map(|number| names.of(&Speaker::Unknown(number))), ["B", "C"]);
    }

    #[test]
    fn numbers_are_numbers() {
        assert_eq!(SpeakerNames::Numbers.value(&Speaker::Unknown(3)), 3);
        assert_eq!(SpeakerNames::Numbers.value(&Speaker::Known("Ann".into())), "Ann");
    }
}
