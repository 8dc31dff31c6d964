//! What was said and when: [`Word`], [`Segment`], [`Transcript`], and their plain text.
//!
//! Times are [`Duration`]s from the start of the audio. Wire shapes (JSON keys, rounding) belong to the dialects.

use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Speaker {
    /// A voice the caller gave a name to.
    Known(#[serde(with = "shared_text")] Arc<str>),
    /// A voice without a name, numbered from 0 in the order in which the voices are first heard.
    Unknown(u32),
}

/// One spoken word.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Word {
    /// The word with its punctuation, without surrounding spaces.
    pub text: String,
    /// When it begins.
    pub start: Duration,
    /// When it ends; never before `start`.
    pub end: Duration,
    /// How sure the engine is, in `0..=1`.
    #[serde(with = "figure")]
    pub confidence: f32,
    /// Who says it, when that was asked for.
    pub speaker: Option<Speaker>,
}

/// A piece of text as the engine writes it; several may make one word, or one letter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Token {
    /// The engine's number for it.
    pub id: i32,
    /// Its text: UTF-8, possibly cut within a letter.
    pub bytes: Vec<u8>,
    /// Natural logarithm of its probability.
    #[serde(with = "figure")]
    pub logprob: f32,
}

/// A sentence or phrase with the figures the engine reports for it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Segment {
    /// The text, without surrounding spaces.
    pub text: String,
    /// When it begins.
    pub start: Duration,
    /// When it ends; never before `start`.
    pub end: Duration,
    /// The words of the segment, in order, when the engine was asked for them.
    pub words: Vec<Word>,
    /// The engine's tokens of the text.
    pub tokens: Vec<Token>,
    /// Mean natural log-probability of the tokens.
    #[serde(with = "figure")]
    pub avg_logprob: f32,
    /// How likely the engine thinks it is that nobody speaks here, in `0..=1`.
    #[serde(with = "figure")]
    pub no_speech_prob: f32,
    /// The sampling temperature the text was decoded with.
    #[serde(with = "figure")]
    pub temperature: f32,
    /// ISO 639-1 code of the language spoken here, when it is known.
    pub language: Option<String>,
    /// Who says most of it, when that was asked for.
    pub speaker: Option<Speaker>,
    /// The audio channel, counted from 0, when channels were transcribed apart.
    pub channel: Option<u32>,
}

impl Segment {
    /// A segment of its own from the words in `range`, with their part of the text and of the tokens; the figures stay
    /// those of the whole. `range` must not be empty and lie within the words.
    pub fn part(mut self, range: Range<usize>) -> Self {
        if range == (0..self.words.len()) {
            return self;
        }
        let places = self.places_of_words();
        let text = places[range.start].start..places[range.end - 1].end;
        let lead =
            self.tokens.iter().flat_map(|token| &token.bytes).take_while(|byte| byte.is_ascii_whitespace()).count();
        let mut end = 0;
        self.tokens.retain(|token| {
            let start = end;
            end += token.bytes.len();
            (lead + text.start..lead + text.end).contains(&((start + end) / 2))
        });
        self.text = self.text[text].to_owned();
        self.words = self.words.drain(range).collect();
        (self.start, self.end) = (self.words[0].start, self.words[self.words.len() - 1].end);
        self
    }

    /// Where in the text each word is, in bytes.
    fn places_of_words(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let place = |word: &Word| {
            let Some(at) = self.text[end..].find(&word.text) else { return end..end };
            let start = end + at;
            end = start + word.text.len();
            start..end
        };
        self.words.iter().map(place).collect()
    }
}

/// A stretch of audio as text.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Transcript {
    /// The segments, in order of time.
    pub segments: Vec<Segment>,
    /// ISO 639-1 code of the spoken language, when it is known: of the first segment when there are several.
    pub language: Option<String>,
    /// How sure the engine is of `language`, in `0..=1`, when it found it out by itself.
    pub language_confidence: Option<f32>,
    /// What was done to get here.
    pub report: Report,
}

/// What became of the speech that was heard: the promise that none is dropped silently.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Coverage {
    /// How long somebody speaks.
    pub speech: Duration,
    /// How much of that is in the transcript.
    pub covered: Duration,
    /// Stretches of speech, a second or longer, that no text could be found for, in order.
    pub gaps: Vec<Range<Duration>>,
}

/// Text that was recognised and not believed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    /// Where it would have been.
    pub start: Duration,
    /// Where it would have ended.
    pub end: Duration,
    /// The text.
    pub text: String,
    /// Why it was not believed.
    pub reason: Doubt,
}

/// Why a text is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Doubt {
    /// It says the same again and again.
    Repetition,
    /// There are more words than anybody can say in that time.
    TooFast,
    /// The engine is unsure and thinks that nobody speaks.
    NoSpeech,
    /// The engine is unsure.
    Unsure,
    /// It describes the sound and is not in it: `[music]`.
    StageDirection,
}

/// What the stages that guard the quality of a transcript did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Pieces of audio that were recognised.
    pub pieces: u32,
    /// Pieces that had to end within speech because there was no pause.
    pub cut_in_speech: u32,
    /// Words that were left out at such cuts because both sides had them.
    pub seam_words: u32,
    /// Pieces that were decoded more than once because the first result was doubtful.
    pub decoded_again: u32,
    /// Text that was left out.
    pub dropped: Vec<Dropped>,
    /// Stretches of speech without text that were recognised once more by themselves.
    pub audited: u32,
    /// How many of those then had text.
    pub recovered: u32,
    /// What became of the speech; `None` when it was not checked.
    pub coverage: Option<Coverage>,
}

impl Report {
    /// Adds what was done later in the same audio.
    pub fn append(&mut self, later: Self) {
        self.pieces += later.pieces;
        self.cut_in_speech += later.cut_in_speech;
        self.seam_words += later.seam_words;
        self.decoded_again += later.decoded_again;
        self.dropped.extend(later.dropped);
        self.audited += later.audited;
        self.recovered += later.recovered;
        if let Some(later) = later.coverage {
            let coverage = self.coverage.get_or_insert_default();
            coverage.speech += later.speech;
            coverage.covered += later.covered;
            coverage.gaps.extend(later.gaps);
        }
    }
}

impl Transcript {
    /// The whole text: the segments joined by single spaces.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self.segments.iter().map(|s| s.text.as_str()).filter(|t| !t.is_empty()).collect();
        texts.join(" ")
    }

    /// All words, in order.
    pub fn words(&self) -> impl Iterator<Item = &Word> {
        self.segments.iter().flat_map(|segment| &segment.words)
    }

    /// Replaces every time `t` by `map(t)`; `map` must be monotone.
    pub fn map_times(&mut self, map: impl Fn(Duration) -> Duration) {
        for segment in &mut self.segments {
            segment.start = map(segment.start);
            segment.end = map(segment.end);
            for word in &mut segment.words {
                word.start = map(word.start);
                word.end = map(word.end);
            }
        }
        for dropped in &mut self.report.dropped {
            (dropped.start, dropped.end) = (map(dropped.start), map(dropped.end));
        }
    }

    /// Adds what was said after this transcript. The first known language stays.
    pub fn append(&mut self, later: Transcript) {
        self.segments.extend(later.segments);
        if self.language.is_none() {
            (self.language, self.language_confidence) = (later.language, later.language_confidence);
        }
        self.report.append(later.report);
    }
}

/// Bytes of `text` against bytes of its zlib stream: far above 2 means that the text repeats itself.
pub fn compression_ratio(text: &str) -> f64 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    match encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()) {
        Ok(packed) if !packed.is_empty() => text.len() as f64 / packed.len() as f64,
        _ => 0.0,
    }
}

/// Figures that may not be numbers, which JSON writes as null.
mod figure {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(figure: &f32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f32(*figure)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(f32::NAN))
    }
}

/// Text that is shared in memory and written out wherever it is stored.
mod shared_text {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use std::sync::Arc;

    pub(super) fn serialize<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(deserializer).map(Arc::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(text: &str, start_ms: u64, end_ms: u64) -> Segment {
        let (start, end) = (Duration::from_millis(start_ms), Duration::from_millis(end_ms));
        let words = vec![Word { text: text.into(), start, end, confidence: 1.0, speaker: None }];
        Segment { text: text.into(), start, end, words, ..Segment::default() }
    }

    #[test]
    fn mapping_times_moves_segments_and_words() {
        let mut transcript = Transcript { segments: vec![segment("x", 100, 200)], ..Transcript::default() };
        transcript.map_times(|t| t + Duration::from_secs(1));
        assert_eq!(transcript.segments[0].start, Duration::from_millis(1100));
        assert_eq!(transcript.segments[0].words[0].end, Duration::from_millis(1200));
    }

    #[test]
    fn a_part_of_a_segment_has_its_part_of_everything() {
        let word = |(index, text): (u64, &str)| Word {
            text: text.into(),
            start: Duration::from_secs(index),
            end: Duration::from_secs(index + 1),
            ..Word::default()
        };
        let words: Vec<Word> = (0..).zip(["Ship", "it", "on", "Monday."]).map(word).collect();
        let token = |(id, text): (i32, &str)| Token { id, bytes: text.into(), logprob: -0.5 };
        let tokens = (0..).zip([" Sh", "ip", " it", " on", " Mon", "day", "."]).map(token).collect();
        let end = Duration::from_secs(4);
        let segment = Segment { text: "Ship it on Monday.".into(), end, words, tokens, ..Segment::default() };
        let parts = [0..1, 1..3, 3..4].map(|range| segment.clone().part(range));
        assert_eq!(parts.each_ref().map(|part| part.text.as_str()), ["Ship", "it on", "Monday."]);
        let ids = |part: &Segment| part.tokens.iter().map(|token| token.id).collect::<Vec<_>>();
        assert_eq!(parts.each_ref().map(ids), [vec![0, 1], vec![2, 3], vec![4, 5, 6]]);
        assert_eq!((parts[1].start.as_secs(), parts[1].end.as_secs()), (1, 3));
    }

    #[test]
    fn a_transcript_that_is_stored_comes_back_as_it_was() {
        let mut first = segment("Ship it.", 100, 1_234);
        (first.speaker, first.words[0].speaker) = (Some(Speaker::Known("Ann".into())), Some(Speaker::Unknown(3)));
        first.tokens = vec![Token { id: 7, bytes: vec![0xe2, 0x82], logprob: -0.123_456_7 }];
        let coverage = Coverage { speech: first.end, covered: first.start, gaps: vec![first.start..first.end] };
        let report = Report { pieces: 3, coverage: Some(coverage), ..Report::default() };
        let transcript = Transcript { segments: vec![first], report, ..Transcript::default() };
        let stored = serde_json::to_string(&transcript).expect("all of it can be stored");
        assert_eq!(serde_json::from_str::<Transcript>(&stored).expect("the same"), transcript);
        let unknown = Token { logprob: f32::NEG_INFINITY, ..Token::default() };
        let stored = serde_json::to_string(&unknown).expect("JSON");
        assert!(!serde_json::from_str::<Token>(&stored).expect("a token").logprob.is_finite());
    }

    #[test]
    fn the_first_known_language_stays() {
        let mut transcript = Transcript { language: Some("en".into()), ..Transcript::default() };
        transcript.append(Transcript {
            segments: vec![segment("x", 0, 1)],
            language: Some("de".into()),
            ..Transcript::default()
        });
        assert_eq!(transcript.language.as_deref(), Some("en"));
        assert_eq!(transcript.text(), "x");
    }
}
