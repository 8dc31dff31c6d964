//! Text that only grows: what has been sent stays as it is, whatever is understood later.

use std::ops::Range;

/// The text of an item, as far as the client has it.
#[derive(Default)]
pub struct Growing {
    sent: String,
    /// Up to here it is final; the rest was sent before it was.
    settled: usize,
}

impl Growing {
    /// Everything that has been sent.
    pub fn text(&self) -> &str {
        &self.sent
    }

    /// Whether something was sent since the last final result.
    pub fn has_guesses(&self) -> bool {
        self.sent.len() > self.settled
    }

    /// What can be sent of `text`, which is what has been understood since the last final result. Where it does not go on
    /// as it began there is nothing to send: the final result says how. The last mark of punctuation is kept back, because
    /// it often becomes another when more is said.
    pub fn guess(&mut self, text: &str) -> String {
        let text = text.trim_end_matches(|letter: char| !letter.is_alphanumeric());
        match text.strip_prefix(self.unsettled()) {
            Some(rest) => self.send(rest.to_owned()),
            None => String::new(),
        }
    }

    /// What is still to be sent of `text`, which is the final result for what was guessed at. What was sent and is not in it
    /// stays; behind that the text goes on where the two match best.
    pub fn settle(&mut self, text: &str) -> String {
        let unsettled = self.unsettled();
        let rest = match text.strip_prefix(unsettled) {
            Some(rest) => rest.to_owned(),
            None => continuation(unsettled, text),
        };
        let rest = self.send(rest);
        self.settled = self.sent.len();
        rest
    }

    /// What was sent since the last final result.
    fn unsettled(&self) -> &str {
        self.sent[self.settled..].trim_start()
    }

    fn send(&mut self, rest: String) -> String {
        let begins = self.unsettled().is_empty() && !self.sent.is_empty() && !rest.is_empty();
        let rest = if begins { format!(" {rest}") } else { rest };
        self.sent.push_str(&rest);
        rest
    }
}

/// What follows `sent` in `text`, when the words of `sent` are those at the beginning of `text`, or some like them.
fn continuation(sent: &str, text: &str) -> String {
    let (known, units) = (units(sent), units(text));
    let matching = best_match(&folded(sent, &known), &folded(text, &units));
    match matching.checked_sub(1) {
        Some(last) => text[units[last].end..].to_owned(),
        None if sent.is_empty() || text.is_empty() => text.to_owned(),
        None => format!(" {text}"),
    }
}

/// How many of `units` are what `known` is: so many that the fewest are to be changed, and then about as many as there are.
fn best_match(known: &[String], units: &[String]) -> usize {
    let mut costs: Vec<usize> = (0..=units.len()).collect();
    for (row, one) in known.iter().enumerate() {
        let mut above_left = std::mem::replace(&mut costs[0], row + 1);
        for (column, other) in units.iter().enumerate() {
            let changed = above_left + usize::from(one != other);
            above_left = costs[column + 1];
            costs[column + 1] = changed.min(above_left + 1).min(costs[column] + 1);
        }
    }
    let distance = |count: usize| count.abs_diff(known.len());
    (0..=units.len()).min_by_key(|count| (costs[*count], distance(*count))).unwrap_or(0)
}

fn folded(text: &str, units: &[Range<usize>]) -> Vec<String> {
    units.iter().map(|unit| text[unit.clone()].to_lowercase()).collect()
}

/// Where the words are in `text`, without the punctuation around them; in scripts without spaces every letter is one.
fn units(text: &str) -> Vec<Range<usize>> {
    let mut units: Vec<Range<usize>> = Vec::new();
    let mut is_open = false;
    for (at, letter) in text.char_indices() {
        let end = at + letter.len_utf8();
        let is_within = letter.is_alphanumeric() || (is_open && matches!(letter, '\'' | '’'));
        match units.last_mut() {
            Some(last) if is_within && is_open && !stands_alone(letter) => last.end = end,
            _ if is_within => units.push(at..end),
            _ => {}
        }
        is_open = is_within && !stands_alone(letter);
    }
    units
}

/// `words` as a text: with spaces between them, but not where the script has none.
pub fn join<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for word in words {
        let alone = |letter: Option<char>| letter.is_none_or(stands_alone);
        let is_dense = alone(text.chars().next_back()) && alone(word.chars().next());
        if !text.is_empty() && !is_dense {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// Whether a letter is of a script that has no spaces between words.
fn stands_alone(letter: char) -> bool {
    matches!(letter as u32,
        0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3000..=0x30ff | 0x3400..=0x9fff | 0xf900..=0xfaff
        | 0xff01..=0xff60 | 0x20000..=0x3ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent of guesses and of the final result, and the whole of it.
    fn grown(guesses: &[&str], last: &str) -> (Vec<String>, String) {
        let mut text = Growing::default();
        let mut sent: Vec<String> = guesses.iter().map(|guess| text.guess(guess)).collect();
        sent.push(text.settle(last));
        assert_eq!(sent.concat(), text.text());
        (sent, text.text().to_owned())
    }

    #[test]
    fn guesses_that_hold_are_sent_bit_by_bit() {
        let (sent, text) = grown(&["Turn", "Turn off.", "Turn off the"], "Turn off the lights.");
        assert_eq!(sent, ["Turn", " off", " the", " lights."]);
        assert_eq!(text, "Turn off the lights.");
    }

    #[test]
    fn a_final_result_without_guesses_is_sent_as_it_is() {
        assert_eq!(grown(&[], "Turn off the lights.").0, ["Turn off the lights."]);
        assert_eq!(grown(&[], "").1, "");
    }

    #[test]
    fn what_was_sent_stays_when_the_final_result_is_another() {
        for (guess, last, expected) in [
            ("turn of the", "Turn off the lights.", "turn of the lights."),
            ("hello world", "Hello, world.", "hello world."),
            ("turn turn off", "Turn off the lights.", "turn turn off the lights."),
            ("I scream for", "Ice cream for all of us", "I scream for all of us"),
            ("a big dog", "A dog barks.", "a big dog barks."),
            ("yes", "", "yes"),
            ("yes", "No.", "yes."),
            ("你好世", "你好,世界。", "你好世界。"),
        ] {
            assert_eq!(grown(&[guess], last).1, expected, "{guess} {last}");
        }
    }

    #[test]
    fn a_guess_that_contradicts_what_was_sent_waits_for_the_final_result() {
        let (sent, text) = grown(&["Turn of", "Turn off the"], "Turn off the lights.");
        assert_eq!((sent[1].as_str(), text.as_str()), ("f the", "Turn off the lights."));
        let (sent, text) = grown(&["Burn", "Turn off"], "Turn off the lights.");
        assert_eq!((sent[1].as_str(), text.as_str()), ("", "Burn off the lights."));
    }

    #[test]
    fn one_final_result_follows_the_other() {
        let mut text = Growing::default();
        assert_eq!([text.guess("One"), text.settle("One two."), text.settle("")].concat(), "One two.");
        assert_eq!(
            [text.guess("Three"), text.guess("Three four"), text.settle("Three four.")].concat(),
            " Three four."
        );
        assert_eq!(text.text(), "One two. Three four.");
    }

    #[test]
    fn words_are_joined_as_their_script_joins_them() {
        assert_eq!(join(["Turn", "off."].into_iter()), "Turn off.");
        assert_eq!(join(["你好", "世界", "OK"].into_iter()), "你好世界 OK");
    }
}
