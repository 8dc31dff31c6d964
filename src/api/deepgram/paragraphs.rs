//! Sentences and paragraphs, as `paragraphs` and `smart_format` ask for them.

use super::spoken::{Spoken, join};
use std::time::Duration;

/// The most sentences in a paragraph.
const MOST_SENTENCES: usize = 5;

/// A pause after a sentence that begins a paragraph.
const PAUSE: Duration = Duration::from_millis(1_500);

/// What ends a sentence, perhaps followed by a quote or a bracket.
const ENDS: &str = ".!?…。！？।؟";

/// Sentences of one voice.
pub struct Paragraph<'a, 'b> {
    /// Each with one word or more.
    pub sentences: Vec<&'b [Spoken<'a>]>,
}

impl Paragraph<'_, '_> {
    /// The sentences as they are written.
    pub fn text(&self) -> String {
        join(self.sentences.iter().copied().flatten(), true)
    }

    /// Whose words they are.
    pub fn speaker(&self) -> Option<u32> {
        self.sentences.first()?.first()?.speaker
    }

    /// How many words there are.
    pub fn words(&self) -> usize {
        self.sentences.iter().map(|sentence| sentence.len()).sum()
    }

    /// When the first word begins.
    pub fn start(&self) -> Duration {
        self.sentences.first().and_then(|sentence| sentence.first()).map_or(Duration::ZERO, |word| word.start)
    }

    /// When the last word ends.
    pub fn end(&self) -> Duration {
        self.sentences.last().and_then(|sentence| sentence.last()).map_or(Duration::ZERO, |word| word.end)
    }
}

/// Cuts `words` into paragraphs: where the voice changes, after a pause behind a sentence, and after five sentences.
pub fn paragraphs<'a, 'b>(words: &'b [Spoken<'a>]) -> Vec<Paragraph<'a, 'b>> {
    let sentences = words.chunk_by(|one, next| !ends_sentence(one.text) && one.speaker == next.speaker);
    let mut paragraphs: Vec<Paragraph<'a, 'b>> = Vec::new();
    for sentence in sentences {
        let open = paragraphs.last_mut().filter(|open| {
            let goes_on = sentence
                .first()
                .is_some_and(|word| word.speaker == open.speaker() && word.start.saturating_sub(open.end()) < PAUSE);
            goes_on && open.sentences.len() < MOST_SENTENCES
        });
        match open {
            Some(open) => open.sentences.push(sentence),
            None => paragraphs.push(Paragraph { sentences: vec![sentence] }),
        }
    }
    paragraphs
}

/// The text of all of them, as Deepgram lays it out: who speaks is told where somebody else begins.
pub fn text(paragraphs: &[Paragraph<'_, '_>]) -> String {
    let mut out = String::new();
    let mut before = None;
    for paragraph in paragraphs {
        out.push_str(if out.is_empty() { "\n" } else { "\n\n" });
        if let Some(speaker) = paragraph.speaker().filter(|speaker| before != Some(*speaker)) {
            out.push_str(&format!("Speaker {speaker}: "));
            before = Some(speaker);
        }
        out.push_str(&paragraph.text());
    }
    out
}

fn ends_sentence(word: &str) -> bool {
    let word = word.trim_end_matches(|letter| "\"'”’»)]」』".contains(letter));
    word.ends_with(|letter| ENDS.contains(letter))
}

#[cfg(test)]
mod tests {
    use super::super::spoken::tests::transcript;
    use super::super::spoken::words;
    use super::*;

    fn laid_out(said: &[(&str, u64, Option<u32>)]) -> String {
        let transcript = transcript(said);
        text(&paragraphs(&words(&transcript)))
    }

    #[test]
    fn sentences_are_gathered_until_there_is_a_pause() {
        let said = [("Hello.", 0, None), ("How", 500, None), ("goes?", 1_000, None), ("Well.", 2_900, None)];
        assert_eq!(laid_out(&said), "\nHello. How goes?\n\nWell.");
    }

    #[test]
    fn a_pause_within_a_sentence_does_not_end_it() {
        assert_eq!(laid_out(&[("Well", 0, None), ("then.", 5_000, None)]), "\nWell then.");
    }

    #[test]
    fn five_sentences_are_enough() {
        let said: Vec<_> = (0..7).map(|index| ("So.", index * 400, None)).collect();
        assert_eq!(laid_out(&said), "\nSo. So. So. So. So.\n\nSo. So.");
    }

    #[test]
    fn who_speaks_is_told_when_it_changes() {
        let said = [("Tea?", 0, Some(0)), ("Yes", 400, Some(1)), ("please", 800, Some(1)), ("Fine.", 1_200, Some(0))];
        assert_eq!(laid_out(&said), "\nSpeaker 0: Tea?\n\nSpeaker 1: Yes please\n\nSpeaker 0: Fine.");
    }

    #[test]
    fn nothing_said_is_no_paragraph() {
        assert_eq!(laid_out(&[]), "");
    }

    #[test]
    fn a_quote_may_end_a_sentence() {
        assert!(ends_sentence("so.”") && ends_sentence("です。") && ends_sentence("what?!"));
        assert!(!ends_sentence("so,") && !ends_sentence(""));
    }
}
