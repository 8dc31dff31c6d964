//! Text that comes bit by bit, as a language model writes it, cut into pieces that can be said before the rest is there.
//! Nothing here knows a voice or a sound.

use super::sentence::{Break, is_speakable, settled_borders};

/// A clause is said by itself from so many characters on, so that nobody hears single words.
const CLAUSE: usize = 12;

/// As [`CLAUSE`], once there is sound to play meanwhile.
const LATER_CLAUSE: usize = 60;

/// Text without any border is cut between words from so many characters on.
const LONGEST: usize = 280;

/// The text that has come and is not said yet.
#[derive(Debug, Default)]
pub struct LiveText {
    text: String,
    /// Whether something has been given since the last [`LiveText::rest`].
    begun: bool,
}

impl LiveText {
    /// Adds what comes next.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// How many bytes wait.
    pub fn waiting(&self) -> usize {
        self.text.len()
    }

    /// What can be said already: whole sentences, or clauses where a sentence is long in coming. `None` as long as more
    /// text is needed.
    pub fn ready(&mut self) -> Option<String> {
        loop {
            let piece = self.take(self.cut()?);
            if is_said(&piece) {
                self.begun = true;
                return Some(piece);
            }
        }
    }

    /// Everything that waits, if there is something to say in it: no more text belongs to it.
    pub fn rest(&mut self) -> Option<String> {
        self.begun = false;
        Some(self.take(self.text.len())).filter(|piece| is_said(piece))
    }

    fn take(&mut self, length: usize) -> String {
        self.text.drain(..length).collect()
    }

    /// How many bytes can be said.
    fn cut(&self) -> Option<usize> {
        let shortest = if self.begun { LATER_CLAUSE } else { CLAUSE };
        let length = |at: usize| self.text[..at].trim_start().chars().count();
        let (mut clause, mut sentence) = (None, None);
        for (at, end) in settled_borders(&self.text) {
            match end {
                Break::Sentence | Break::Paragraph => sentence = Some(at),
                _ if length(at) >= shortest => clause = Some(at),
                _ => {}
            }
        }
        sentence.or(clause).or_else(|| self.word())
    }

    /// The end of the last whole word, when there is too much text without a border.
    fn word(&self) -> Option<usize> {
        let (limit, _) = self.text.char_indices().nth(LONGEST)?;
        Some(self.text.rfind(char::is_whitespace).filter(|at| *at > 0).unwrap_or(limit))
    }
}

fn is_said(text: &str) -> bool {
    text.chars().any(is_speakable)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of `text` when it comes in bits of `size` characters: the pieces, and how many characters had come when
    /// each was there.
    fn pieces(text: &str, size: usize) -> Vec<(String, usize)> {
        let (mut live, mut came, mut pieces) = (LiveText::default(), 0, Vec::new());
        let letters: Vec<char> = text.chars().collect();
        for bit in letters.chunks(size) {
            live.push(&bit.iter().collect::<String>());
            came += bit.len();
            while let Some(piece) = live.ready() {
                pieces.push((piece.trim().to_owned(), came));
            }
        }
        pieces.extend(live.rest().map(|piece| (piece.trim().to_owned(), usize::MAX)));
        pieces
    }

    fn texts(text: &str, size: usize) -> Vec<String> {
        pieces(text, size).into_iter().map(|(piece, _)| piece).collect()
    }

    #[test]
    fn a_clause_is_said_before_its_sentence_is_there() {
        let pieces = pieces("Well, to tell you the truth, nobody knows. We will see.", 1);
        assert_eq!(pieces[0].0, "Well, to tell you the truth,");
        assert!(pieces[0].1 <= 30, "{pieces:?}");
        assert_eq!(pieces[1].0, "nobody knows.");
        assert_eq!(pieces[2], ("We will see.".to_owned(), usize::MAX));
    }

    #[test]
    fn nothing_is_cut_that_later_text_may_join() {
        for size in [1, 2, 3, 7] {
            assert_eq!(texts("It costs 3.50 dollars, Dr. Smith said. Yes.", size)[0], "It costs 3.50 dollars,");
            assert_eq!(texts("Ask Dr. Smith. Then go.", size), ["Ask Dr. Smith.", "Then go."]);
            assert_eq!(texts("At 10:30 we go. Fine.", size), ["At 10:30 we go.", "Fine."]);
        }
    }

    #[test]
    fn text_that_comes_at_once_is_not_cut_to_bits() {
        let text = "One sentence, with a clause. Another one. And the beginning of";
        assert_eq!(texts(text, text.len()), ["One sentence, with a clause. Another one.", "And the beginning of"]);
    }

    #[test]
    fn every_character_is_said_once() {
        let text = "Hello there, my friend! «Комment» ça va? 今日は、いい天気ですね。本当に。 And a1b2c3, or so…\n\nA new line.";
        let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        for size in [1, 2, 5, 1000] {
            assert_eq!(bare(&texts(text, size).concat()), bare(text), "{size}");
        }
    }

    #[test]
    fn text_without_borders_does_not_pile_up() {
        let words = "word ".repeat(200);
        assert!(texts(&words, 3).iter().all(|piece| piece.len() <= LONGEST + 5));
        assert!(texts(&"x".repeat(1_000), 10).iter().all(|piece| piece.len() <= LONGEST + 10));
    }

    #[test]
    fn white_space_and_marks_alone_are_nothing_to_say() {
        let mut live = LiveText::default();
        live.push(" ... \n\n ");
        assert_eq!((live.ready(), live.rest()), (None, None));
        assert_eq!(live.waiting(), 0);
    }
}
