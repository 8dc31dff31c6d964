//! What `instructions` ask of a voice, as far as a voice here can do it: pace, pitch and loudness. Everything else in them
//! is accepted and has no effect, as with OpenAI's older models.

/// What to multiply what the voice does by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Manner {
    /// Speaking rate.
    pub rate: f32,
    /// Pitch.
    pub pitch: f32,
    /// Loudness.
    pub volume: f32,
}

/// What a word asks for.
#[derive(Clone, Copy)]
enum Quality {
    Rate(f32),
    Pitch(f32),
    Volume(f32),
}

/// The beginnings of words, and what they ask for.
const WORDS: &[(&str, Quality)] = &[
    ("slow", Quality::Rate(0.8)),
    ("unhurried", Quality::Rate(0.85)),
    ("leisurely", Quality::Rate(0.85)),
    ("deliberate", Quality::Rate(0.88)),
    ("calm", Quality::Rate(0.92)),
    ("fast", Quality::Rate(1.25)),
    ("quick", Quality::Rate(1.2)),
    ("rapid", Quality::Rate(1.3)),
    ("brisk", Quality::Rate(1.15)),
    ("hurried", Quality::Rate(1.25)),
    ("excited", Quality::Rate(1.1)),
    ("deep", Quality::Pitch(0.85)),
    ("low-pitched", Quality::Pitch(0.85)),
    ("lower", Quality::Pitch(0.9)),
    ("high-pitched", Quality::Pitch(1.2)),
    ("higher", Quality::Pitch(1.12)),
    ("quiet", Quality::Volume(0.6)),
    ("soft", Quality::Volume(0.7)),
    ("whisper", Quality::Volume(0.45)),
    ("loud", Quality::Volume(1.4)),
    ("shout", Quality::Volume(1.6)),
];

/// Words before a word that take it back.
const NEGATIONS: &[&str] = &["not", "don't", "dont", "never", "without", "no", "less", "avoid", "isn't"];

/// Words that make the word after them stronger or weaker, and by how much.
const DEGREES: &[(&str, f32)] = &[
    ("very", 1.6),
    ("extremely", 2.0),
    ("really", 1.5),
    ("slightly", 0.5),
    ("bit", 0.5),
    ("little", 0.5),
    ("somewhat", 0.6),
];

/// How many words before a word can change it.
const REACH: usize = 3;

impl Manner {
    /// Reads `instructions`, in English. The first word of a kind counts.
    pub fn of(instructions: &str) -> Self {
        let lower = instructions.to_lowercase();
        let is_inside = |c: char| c.is_alphanumeric() || matches!(c, '\'' | '-');
        let words: Vec<&str> = lower.split(|c: char| !is_inside(c)).filter(|word| !word.is_empty()).collect();
        let (mut rate, mut pitch, mut volume) = (None, None, None);
        for (at, word) in words.iter().enumerate() {
            let Some((_, quality)) = WORDS.iter().find(|(start, _)| word.starts_with(start)) else { continue };
            let before = &words[at.saturating_sub(REACH)..at];
            if before.iter().any(|word| NEGATIONS.contains(word)) {
                continue;
            }
            let degree = before.iter().rev().find_map(|word| DEGREES.iter().find(|(name, _)| name == word));
            let degree = degree.map_or(1.0, |(_, degree)| *degree);
            match *quality {
                Quality::Rate(factor) => rate = rate.or(Some(factor.powf(degree))),
                Quality::Pitch(factor) => pitch = pitch.or(Some(factor.powf(degree))),
                Quality::Volume(factor) => volume = volume.or(Some(factor.powf(degree))),
            }
        }
        Self { rate: rate.unwrap_or(1.0), pitch: pitch.unwrap_or(1.0), volume: volume.unwrap_or(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_pitch_and_loudness_are_read_and_the_rest_is_not() {
        let manner = |rate, pitch, volume| Manner { rate, pitch, volume };
        for (instructions, expected) in [
            ("", manner(1.0, 1.0, 1.0)),
            ("Speak slowly and clearly.", manner(0.8, 1.0, 1.0)),
            ("Talk FAST, in a deep voice", manner(1.25, 0.85, 1.0)),
            ("Whisper.", manner(1.0, 1.0, 0.45)),
            ("A high-pitched, excited child", manner(1.1, 1.2, 1.0)),
            ("Don't speak quickly", manner(1.0, 1.0, 1.0)),
            ("Not too loud, please; slowly", manner(0.8, 1.0, 1.0)),
            ("a pirate with a French accent", manner(1.0, 1.0, 1.0)),
            ("slow at first, then fast", manner(0.8, 1.0, 1.0)),
        ] {
            assert_eq!(Manner::of(instructions), expected, "{instructions}");
        }
    }

    #[test]
    fn degrees_make_more_or_less_of_it() {
        assert!(Manner::of("very slowly").rate < Manner::of("slowly").rate);
        assert!(Manner::of("slightly faster").rate < Manner::of("faster").rate);
        let most = Manner::of("extremely rapid, extremely deep, extremely loud shouting");
        assert!(most.rate < 2.0 && most.pitch > 0.5 && most.volume < 3.0, "{most:?}");
    }
}
