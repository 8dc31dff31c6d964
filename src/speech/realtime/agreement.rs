//! Which words of an utterance that goes on are settled: those on which successive guesses agree (LocalAgreement-2, Liu et
//! al. 2020, as Macháček et al. 2023 use it with Whisper), but for the newest of them, which the next sound may still
//! change.

use crate::transcript::Word;
use std::time::Duration;

/// A word that ends so close to the end of the sound may be cut off.
const EDGE: Duration = Duration::from_millis(200);

/// Times of words differ by so much from guess to guess.
const JITTER: Duration = Duration::from_millis(100);

/// So many words may be said twice when a guess does not begin where the settled words end.
const REPEATED: usize = 5;

/// The guesses at one utterance.
#[derive(Default)]
pub(super) struct Agreement {
    settled: Vec<Word>,
    /// The last guess, without the settled words.
    rest: Vec<Word>,
}

impl Agreement {
    /// Takes a guess at everything from the beginning of the utterance to `end`, and returns the best there is now, of which
    /// the first so many words are settled.
    pub(super) fn hear(&mut self, guess: Vec<Word>, end: Duration) -> (Vec<Word>, usize) {
        let new = self.behind_settled(guess);
        let agreed = new.iter().zip(&self.rest).take_while(|(one, other)| is_same(one, other)).count();
        let is_safe = |word: &Word| word.end + EDGE <= end;
        // The newest word on which they agree is held back.
        let safe = new[..agreed].iter().take_while(|word| is_safe(word)).count().min(agreed.saturating_sub(1));
        let mut new = new;
        self.rest = new.split_off(safe);
        self.settled.append(&mut new);
        (self.settled.iter().chain(&self.rest).cloned().collect(), self.settled.len())
    }

    /// The part of `guess` that is not settled.
    fn behind_settled(&self, mut guess: Vec<Word>) -> Vec<Word> {
        let count = self.settled.len();
        if guess.len() >= count && self.settled.iter().zip(&guess).all(|(one, other)| is_same(one, other)) {
            return guess.split_off(count);
        }
        let Some(last) = self.settled.last() else { return guess };
        // It does not say the same any more: what is settled stays, and time tells where it goes on.
        let from = guess.iter().position(|word| word.end > last.end + JITTER).unwrap_or(guess.len());
        let mut rest = guess.split_off(from);
        let repeated = (1..=REPEATED.min(rest.len()).min(count)).rev();
        let is_repeated = |length: &usize| {
            let said = &self.settled[count - length..];
            said.iter().zip(&rest).all(|(one, other)| is_same(one, other))
        };
        if let Some(length) = repeated.into_iter().find(is_repeated) {
            rest.drain(..length);
        }
        rest
    }
}

/// Whether two words are the same but for case and punctuation.
pub(super) fn is_same(one: &Word, other: &Word) -> bool {
    folded(&one.text).eq(folded(&other.text))
}

fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of 300 ms each, one after the other.
    fn words(text: &str) -> Vec<Word> {
        let word = |(index, text): (usize, &str)| Word {
            text: text.to_owned(),
            start: Duration::from_millis(300) * index as u32,
            end: Duration::from_millis(300) * (index as u32 + 1),
            ..Word::default()
        };
        text.split_whitespace().enumerate().map(word).collect()
    }

    fn hear(agreement: &mut Agreement, text: &str) -> (String, usize) {
        let guess = words(text);
        let end = guess.last().map_or(Duration::ZERO, |word| word.end) + Duration::from_millis(50);
        let (words, settled) = agreement.hear(guess, end);
        (words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" "), settled)
    }

    #[test]
    fn what_two_guesses_agree_on_is_settled_but_for_the_newest() {
        let mut agreement = Agreement::default();
        assert_eq!(hear(&mut agreement, "please turn"), ("please turn".into(), 0));
        assert_eq!(hear(&mut agreement, "Please turn of"), ("Please turn of".into(), 1));
        assert_eq!(hear(&mut agreement, "Please turn off the"), ("Please turn off the".into(), 1));
        assert_eq!(hear(&mut agreement, "Please turn off the light"), ("Please turn off the light".into(), 3));
    }

    #[test]
    fn settled_words_stay_whatever_comes() {
        let mut agreement = Agreement::default();
        hear(&mut agreement, "one two three four");
        assert_eq!(hear(&mut agreement, "one two three four").1, 3);
        assert_eq!(hear(&mut agreement, "won two free four five"), ("one two three four five".into(), 3));
        assert_eq!(hear(&mut agreement, ""), ("one two three".into(), 3));
        assert_eq!(hear(&mut agreement, "a one two three six"), ("one two three six".into(), 3));
    }

    #[test]
    fn a_guess_that_says_settled_words_again_later_does_not_double_them() {
        let mut agreement = Agreement::default();
        hear(&mut agreement, "one two three");
        hear(&mut agreement, "one two three");
        let (text, settled) = hear(&mut agreement, "er er one two three");
        assert_eq!((text.as_str(), settled), ("one two three", 2));
    }

    #[test]
    fn nothing_settles_from_silence() {
        let mut agreement = Agreement::default();
        assert_eq!(hear(&mut agreement, ""), (String::new(), 0));
        assert_eq!(hear(&mut agreement, ""), (String::new(), 0));
    }
}
