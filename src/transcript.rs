//! What was said and when: [`Word`], [`Segment`], [`Transcript`], and their text forms.
//!
//! Times are [`Duration`]s from the start of the audio. Wire shapes (JSON keys, rounding) belong to the dialects.

use std::fmt::Write as _;
use std::time::Duration;

/// One spoken word.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// The word with its punctuation, without surrounding spaces.
    pub text: String,
    /// When it begins.
    pub start: Duration,
    /// When it ends; never before `start`.
    pub end: Duration,
    /// How sure the engine is, in `0..=1`.
    pub confidence: f32,
}

/// A sentence or phrase with the figures the engine reports for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Segment {
    /// The text, without surrounding spaces.
    pub text: String,
    /// When it begins.
    pub start: Duration,
    /// When it ends; never before `start`.
    pub end: Duration,
    /// The words of the segment, in order, when the engine was asked for them.
    pub words: Vec<Word>,
    /// The engine's token ids of the text.
    pub tokens: Vec<i32>,
    /// Mean natural log-probability of the tokens.
    pub avg_logprob: f32,
    /// How likely the engine thinks it is that nobody speaks here, in `0..=1`.
    pub no_speech_prob: f32,
    /// The sampling temperature the text was decoded with.
    pub temperature: f32,
}

/// A stretch of audio as text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transcript {
    /// The segments, in order of time.
    pub segments: Vec<Segment>,
    /// ISO 639-1 code of the spoken language, when it is known.
    pub language: Option<String>,
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
    }

    /// Adds what was said after this transcript. The first known language stays.
    pub fn append(&mut self, later: Transcript) {
        self.segments.extend(later.segments);
        self.language = self.language.take().or(later.language);
    }

    /// SubRip subtitles: numbered cues, comma before the milliseconds.
    pub fn to_srt(&self) -> String {
        let mut out = String::new();
        for (number, segment) in self.cues().enumerate() {
            let (start, end) = (timestamp(segment.start, ','), timestamp(segment.end, ','));
            let _ = write!(out, "{}\n{start} --> {end}\n{}\n\n", number + 1, segment.text);
        }
        out
    }

    /// WebVTT subtitles: <https://www.w3.org/TR/webvtt1/>.
    pub fn to_vtt(&self) -> String {
        let mut out = String::from("WEBVTT\n\n");
        for segment in self.cues() {
            let (start, end) = (timestamp(segment.start, '.'), timestamp(segment.end, '.'));
            let text = segment.text.replace('&', "&amp;").replace('<', "&lt;").replace("-->", "--&gt;");
            let _ = write!(out, "{start} --> {end}\n{text}\n\n");
        }
        out
    }

    fn cues(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| !segment.text.is_empty())
    }
}

/// `HH:MM:SS` and milliseconds after `separator`.
fn timestamp(time: Duration, separator: char) -> String {
    let ms = (time.as_secs_f64() * 1000.0).round() as u64;
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{separator}{:03}", ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(text: &str, start_ms: u64, end_ms: u64) -> Segment {
        let (start, end) = (Duration::from_millis(start_ms), Duration::from_millis(end_ms));
        let words = vec![Word { text: text.into(), start, end, confidence: 1.0 }];
        Segment { text: text.into(), start, end, words, ..Segment::default() }
    }

    #[test]
    fn srt_numbers_its_cues_and_uses_a_comma() {
        let transcript = Transcript {
            segments: vec![segment("Hello.", 0, 1500), segment("Bye.", 3_661_004, 3_662_000)],
            language: None,
        };
        insta::assert_snapshot!(transcript.to_srt(), @r"
        1
        00:00:00,000 --> 00:00:01,500
        Hello.

        2
        01:01:01,004 --> 01:01:02,000
        Bye.
        ");
    }

    #[test]
    fn vtt_escapes_what_the_format_reserves() {
        let transcript = Transcript { segments: vec![segment("a < b & c --> d", 0, 20)], language: None };
        insta::assert_snapshot!(transcript.to_vtt(), @r"
        WEBVTT

        00:00:00.000 --> 00:00:00.020
        a &lt; b &amp; c --&gt; d
        ");
    }

    #[test]
    fn mapping_times_moves_segments_and_words() {
        let mut transcript = Transcript { segments: vec![segment("x", 100, 200)], language: None };
        transcript.map_times(|t| t + Duration::from_secs(1));
        assert_eq!(transcript.segments[0].start, Duration::from_millis(1100));
        assert_eq!(transcript.segments[0].words[0].end, Duration::from_millis(1200));
    }

    #[test]
    fn the_first_known_language_stays() {
        let mut transcript = Transcript { language: Some("en".into()), ..Transcript::default() };
        transcript.append(Transcript { segments: vec![segment("x", 0, 1)], language: Some("de".into()) });
        assert_eq!(transcript.language.as_deref(), Some("en"));
        assert_eq!(transcript.text(), "x");
    }
}
