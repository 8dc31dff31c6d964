//! Prints become speakers of words, at the end and on the way.

use super::*;
use crate::engine::pool::{Pool, PoolOptions};
use crate::engine::{Cancel, Diarizer};
use crate::error::Kind;
use crate::transcript::{Segment, Token, Word};

const SAME_VOICE: f32 = 0.8;

fn seconds(time: f64) -> Duration {
    Duration::from_millis((time * 1000.0).round() as u64)
}

/// Prints of 0.5 s over this span of seconds that point to `angle` in degrees.
fn prints(start: f64, end: f64, angle: f32) -> Vec<VoicePrint> {
    let (sin, cos) = angle.to_radians().sin_cos();
    let count = ((end - start) / 0.5).round() as usize;
    let at = |index: usize| seconds(start + index as f64 * 0.5);
    (0..count).map(|index| VoicePrint { start: at(index), end: at(index + 1), embedding: vec![cos, sin] }).collect()
}

fn word(text: &str, start: f64, end: f64) -> Word {
    Word { text: text.into(), start: seconds(start), end: seconds(end), confidence: 1.0, speaker: None }
}

/// A segment with these words, half a second each, and a token for each of them.
fn segment(text: &str, start: f64) -> Segment {
    let at = |index: usize| start + index as f64 * 0.5;
    let words: Vec<Word> =
        text.split(' ').enumerate().map(|(index, text)| word(text, at(index), at(index + 1))).collect();
    let token = |(index, word): (usize, &Word)| Token {
        id: index as i32,
        bytes: format!(" {}", word.text).into_bytes(),
        logprob: -(index as f32),
    };
    let tokens = words.iter().enumerate().map(token).collect();
    Segment {
        text: text.into(),
        start: seconds(start),
        end: seconds(at(words.len())),
        words,
        tokens,
        ..Segment::default()
    }
}

fn transcript(segments: Vec<Segment>) -> Transcript {
    Transcript { segments, ..Transcript::default() }
}

fn voices(prints: Vec<VoicePrint>, count: Option<usize>) -> Voices {
    let mut voices = Voices::with_threshold(SAME_VOICE, count);
    voices.add(prints);
    voices
}

/// `0: text | 1: text`.
fn told(transcript: &Transcript) -> String {
    let name = |speaker: &Option<Speaker>| match speaker {
        None => "-".to_owned(),
        Some(Speaker::Unknown(number)) => number.to_string(),
        Some(Speaker::Known(name)) => name.to_string(),
    };
    let segments = transcript.segments.iter();
    assert!(transcript.segments.iter().all(|it| it.words.iter().all(|word| word.speaker == it.speaker)));
    segments.map(|segment| format!("{}: {}", name(&segment.speaker), segment.text)).collect::<Vec<_>>().join(" | ")
}

#[test]
fn a_segment_is_split_where_the_speaker_changes() {
    let mut transcript = transcript(vec![segment("One two three four. Five six seven eight.", 0.0)]);
    voices([prints(0.0, 2.0, 90.0), prints(2.0, 4.0, 0.0)].concat(), None).label(&mut transcript);
    assert_eq!(told(&transcript), "0: One two three four. | 1: Five six seven eight.");
    let [first, second] = &transcript.segments[..] else { panic!("two segments") };
    assert_eq!(
        (first.start, first.end, second.start, second.end),
        (seconds(0.0), seconds(2.0), seconds(2.0), seconds(4.0))
    );
    let ids = |segment: &Segment| segment.tokens.iter().map(|token| token.id).collect::<Vec<_>>();
    assert_eq!((ids(first), ids(second)), (vec![0, 1, 2, 3], vec![4, 5, 6, 7]));
    assert_eq!((first.avg_logprob, second.avg_logprob), (-1.5, -5.5));
}

#[test]
fn text_without_spaces_is_split_at_its_words() {
    let mut one = segment("你好 吗 我 很 好", 0.0);
    one.text = one.text.replace(' ', "");
    one.words.iter_mut().for_each(|word| word.end = word.start + seconds(0.5));
    let mut transcript = transcript(vec![one]);
    let heard = [prints(0.0, 1.0, 90.0), prints(1.0, 2.5, 0.0)].concat();
    voices(heard, None).label(&mut transcript);
    assert_eq!(told(&transcript), "0: 你好吗 | 1: 我很好");
}

#[test]
fn a_sentence_is_not_torn_by_a_late_border_but_by_a_real_change() {
    let text = "One two three four. Five six seven eight.";
    let mut late = transcript(vec![segment(text, 0.0)]);
    voices([prints(0.0, 2.5, 90.0), prints(2.5, 6.0, 0.0)].concat(), None).label(&mut late);
    assert_eq!(told(&late), "0: One two three four. | 1: Five six seven eight.");
    let mut real = transcript(vec![segment("One two three four five six seven eight.", 0.0)]);
    voices([prints(0.0, 2.0, 90.0), prints(2.0, 6.0, 0.0)].concat(), None).label(&mut real);
    assert_eq!(told(&real), "0: One two three four | 1: five six seven eight.");
}

#[test]
fn a_stray_word_follows_its_turn_and_an_answer_between_pauses_does_not() {
    let said = |gap: f64| {
        let segments = [segment("We go.", 0.0), segment("Yes.", 1.0 + gap), segment("Then we sleep.", 1.5 + 2.0 * gap)];
        let heard = [prints(0.0, 1.0, 90.0), prints(1.0 + gap, 1.5 + gap, 0.0), prints(1.5 + 2.0 * gap, 4.0, 90.0)];
        // So that there is a second voice at all.
        let mut voices = voices(heard.concat(), None);
        voices.add(prints(10.0, 14.0, 0.0));
        let mut transcript = transcript(segments.to_vec());
        voices.label(&mut transcript);
        told(&transcript)
    };
    assert_eq!(said(0.0), "0: We go. | 0: Yes. | 0: Then we sleep.");
    assert_eq!(said(0.5), "0: We go. | 1: Yes. | 0: Then we sleep.");
}

#[test]
fn without_words_a_segment_belongs_to_whoever_speaks_most() {
    let mut whole = segment("One two three four.", 0.0);
    whole.words.clear();
    whole.end = seconds(4.0);
    let mut transcript = transcript(vec![whole]);
    voices([prints(0.0, 1.0, 90.0), prints(1.0, 4.0, 0.0)].concat(), None).label(&mut transcript);
    assert_eq!(told(&transcript), "0: One two three four.");
    assert_eq!(transcript.segments.len(), 1);
}

#[test]
fn speakers_are_numbered_in_the_order_of_their_text() {
    // The voice that speaks first has no text.
    let heard = [prints(0.0, 3.0, 45.0), prints(3.0, 5.0, 135.0), prints(5.0, 9.0, 0.0)].concat();
    let mut transcript = transcript(vec![segment("One two three.", 3.0), segment("Four five six.", 5.5)]);
    voices(heard, None).label(&mut transcript);
    assert_eq!(told(&transcript), "0: One two three. | 1: Four five six.");
}

#[test]
fn without_prints_nobody_is_named() {
    let mut transcript = transcript(vec![segment("One two.", 0.0)]);
    voices(Vec::new(), Some(2)).label(&mut transcript);
    assert_eq!(told(&transcript), "-: One two.");
    voices(Vec::new(), None).label_so_far(&mut transcript);
    assert_eq!(told(&transcript), "-: One two.");
}

#[test]
fn on_the_way_a_voice_keeps_its_number() {
    let mut voices = Voices::with_threshold(SAME_VOICE, None);
    let mut said = Vec::new();
    for (start, angle) in [(0.0, 90.0), (10.0, 0.0), (20.0, 95.0), (30.0, 178.0), (40.0, 5.0)] {
        voices.add(prints(start, start + 3.0, angle));
        let mut piece = transcript(vec![segment("One two three.", start)]);
        voices.label_so_far(&mut piece);
        said.push(told(&piece));
    }
    let numbers: Vec<&str> = said.iter().filter_map(|text| text.split(':').next()).collect();
    assert_eq!(numbers, ["0", "1", "0", "2", "1"]);
}

#[test]
fn on_the_way_there_are_never_more_voices_than_given() {
    let mut voices = Voices::with_threshold(SAME_VOICE, Some(2));
    for (start, angle) in [(0.0, 90.0), (10.0, 0.0), (20.0, 60.0)] {
        voices.add(prints(start, start + 3.0, angle));
        let mut piece = transcript(vec![segment("One two three.", start)]);
        voices.label_so_far(&mut piece);
        assert_ne!(piece.segments[0].speaker, Some(Speaker::Unknown(2)));
    }
}

/// Hears one voice as long as the audio is, whose direction is its loudest sample in quarters of a turn.
struct Simple;

impl Diarizer for Simple {
    fn voices(&mut self, audio: &Pcm, _: &Cancel<'_>) -> Result<Vec<VoicePrint>> {
        let loudest = audio.samples.iter().copied().fold(0.0, f32::max);
        let (sin, cos) = (loudest * std::f32::consts::TAU).sin_cos();
        let print = VoicePrint { start: Duration::ZERO, end: audio.duration(), embedding: vec![cos, sin] };
        Ok(if loudest > 0.05 { vec![print] } else { Vec::new() })
    }

    fn same_voice(&self) -> f32 {
        SAME_VOICE
    }
}

fn simple() -> Arc<DiarizerPool> {
    let options = PoolOptions { name: "simple".into(), slots: 1, queue: 8, cores: None, threads: 1 };
    Arc::new(Pool::start(options, || Ok(Box::new(Simple) as Box<dyn Diarizer>)).expect("it starts"))
}

/// A sound file of one second and this level.
fn sample(level: f32) -> Arc<[u8]> {
    let mut file = std::io::Cursor::new(Vec::new());
    let sample_format = hound::SampleFormat::Float;
    let spec = hound::WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 32, sample_format };
    let mut writer = hound::WavWriter::new(&mut file, spec).expect("a file in memory");
    (0..16_000).for_each(|_| writer.write_sample(level).expect("written to memory"));
    writer.finalize().expect("written to memory");
    file.into_inner().into()
}

fn known(names: &[(&str, f32)]) -> Diarization {
    let known = |(name, level): &(&str, f32)| KnownSpeaker { name: (*name).into(), sample: sample(*level) };
    Diarization { pool: simple(), known: names.iter().map(known).collect(), count: None }
}

#[tokio::test]
async fn a_known_voice_gets_its_name_and_others_numbers() {
    let heard = [prints(0.0, 2.0, 0.0), prints(2.0, 4.0, 90.0), prints(4.0, 6.0, 180.0)].concat();
    let said = || transcript(vec![segment("A b c d.", 0.0), segment("E f g h.", 2.0), segment("I j k l.", 4.0)]);
    // Nobody in the recording sounds like Eve; two claim the second voice and the nearer one gets it.
    let diarization = known(&[("Eve", 0.75), ("Dan", 0.27), ("Ann", 0.25)]);
    let mut voices = Voices::new(&diarization, Priority::Batch).await.expect("good samples");
    voices.add(heard.clone());
    let (mut at_the_end, mut on_the_way) = (said(), said());
    voices.label(&mut at_the_end);
    assert_eq!(told(&at_the_end), "0: A b c d. | Ann: E f g h. | 1: I j k l.");
    voices.label_so_far(&mut on_the_way);
    assert_eq!(told(&on_the_way), told(&at_the_end));
}

#[tokio::test]
async fn a_sample_without_a_voice_or_sound_is_named_in_the_error() {
    for (sample, reason) in [(sample(0.0), "nobody speaks"), (b"no sound"[..].into(), "cannot be used")] {
        let known = vec![KnownSpeaker { name: "Ann".into(), sample }];
        let diarization = Diarization { pool: simple(), known, count: None };
        let error = Voices::new(&diarization, Priority::Batch).await.err().expect("no voice");
        assert_eq!(error.kind(), Kind::InvalidAudio);
        assert!(error.message().contains("`Ann`") && error.message().contains(reason), "{error}");
    }
}
