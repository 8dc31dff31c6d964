//! Conversations of built-in voices, told apart by what is built in.

use crate::der::{Span, errors};
use mynah::audio::Pcm;
use mynah::audio::resample::resample;
use mynah::config::EngineConfig;
use mynah::engine::pool::{Pool, PoolOptions, Priority};
use mynah::engine::{
    Cancel, Diarizer, DiarizerPool, Load, SPEECH_SAMPLE_RATE, SpeakOptions, Synthesizer, VoicePrint, Weights, diarize,
    espeak, say_all,
};
use mynah::speech::speakers::{Diarization, Voices, listen};
use mynah::transcript::Speaker;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Voices that people would not take for each other; those of one row they might.
const VOICES: &[&[&str]] = &[
    &["en-us", "en-us+m1"],
    &["en-us+f1", "en-us+f2"],
    &["en-us+m8", "en-us+m7"],
    &["en-us+f4", "en-us+f3"],
    &["en-us+linda"],
    &["en-us+m5"],
];

const SENTENCES: &[&str] = &[
    "Good morning everyone, thank you for coming to the meeting today.",
    "I looked at the figures again and they are better than last month.",
    "Could you send me the report before the end of the week?",
    "The weather was terrible on Sunday, so we stayed at home and cooked.",
    "We should call the customer in London and ask what happened.",
    "That is a good idea, but we need a little more time to finish.",
    "My brother bought a new car and drove it through the mountains.",
    "Please remember to bring the green folder and the long cable.",
    "Nobody told me that the train would leave ten minutes early.",
    "How much does it cost to repair the window in the kitchen?",
];

/// Pieces of a recording are no longer than this, as when it is transcribed.
const PIECE: usize = 28 * SPEECH_SAMPLE_RATE as usize;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Speaks, and remembers what it has spoken.
struct Actor {
    engine: Box<dyn Synthesizer>,
    spoken: HashMap<(String, usize), Vec<f32>>,
}

impl Actor {
    fn new(data: &Path) -> Self {
        let load = Load { weights: &Weights::BuiltIn, config: &EngineConfig::default(), cache_dir: data };
        let engine = espeak::load(&load).expect("the data can be written")().expect("an engine");
        Self { engine, spoken: HashMap::new() }
    }

    /// A sentence without the silence around it.
    fn say(&mut self, voice: &str, sentence: usize) -> Vec<f32> {
        let Self { engine, spoken } = self;
        let say = || {
            let options = SpeakOptions::of_voice(voice);
            let said = say_all(&mut **engine, &SENTENCES[sentence].into(), &options, &Cancel::never());
            let sound = said.expect("a voice");
            let samples = resample(&sound, SPEECH_SAMPLE_RATE).expect("a common rate").samples;
            let loud = |sample: &f32| sample.abs() > 0.005;
            let start = samples.iter().position(loud).unwrap_or(0);
            let end = samples.iter().rposition(loud).map_or(0, |last| last + 1);
            samples[start..end].to_vec()
        };
        spoken.entry((voice.to_owned(), sentence)).or_insert_with(say).clone()
    }
}

/// A conversation: its pieces with the time they begin at, and who speaks when.
struct Conversation {
    pieces: Vec<(Duration, Pcm)>,
    truth: Vec<Span>,
}

fn time(samples: usize) -> Duration {
    Duration::from_secs_f64(samples as f64 / f64::from(SPEECH_SAMPLE_RATE))
}

/// `voices` take turns of one or two sentences, with short pauses; each speaks at least once.
fn converse(actor: &mut Actor, voices: &[&str], seed: u64) -> Conversation {
    let mut dice = Dice(seed);
    let (mut pieces, mut truth, mut piece, mut start) = (Vec::new(), Vec::new(), Vec::<f32>::new(), 0);
    let mut last = voices.len();
    for turn in 0..10 {
        let others: Vec<usize> = (0..voices.len()).filter(|voice| *voice != last).collect();
        last = if turn < voices.len() { turn } else { others[dice.below(others.len())] };
        for _ in 0..=dice.below(2) {
            let sentence = actor.say(voices[last], dice.below(SENTENCES.len()));
            if piece.len() + sentence.len() > PIECE {
                let complete = Pcm::new(std::mem::take(&mut piece), SPEECH_SAMPLE_RATE);
                let length = complete.samples.len();
                pieces.push((time(start), complete));
                start += length;
            }
            let begin = start + piece.len();
            truth.push((time(begin)..time(begin + sentence.len()), last));
            piece.extend(sentence);
            piece.extend(vec![0.0; 3200 + dice.below(6400)]);
        }
    }
    pieces.push((time(start), Pcm::new(piece, SPEECH_SAMPLE_RATE)));
    Conversation { pieces, truth }
}

fn pool() -> Arc<DiarizerPool> {
    let load = Load { weights: &Weights::BuiltIn, config: &EngineConfig::default(), cache_dir: Path::new("unused") };
    let factory = diarize::spectral::load(&load).expect("nothing is loaded");
    let options = PoolOptions { name: "spectral".into(), slots: 2, queue: 64, cores: None, threads: 1 };
    Arc::new(Pool::<dyn Diarizer>::start(options, factory).expect("it starts"))
}

/// What is heard in `conversation`, at its times.
async fn prints(conversation: &Conversation, pool: &DiarizerPool) -> Vec<VoicePrint> {
    let mut all = Vec::new();
    for (start, audio) in &conversation.pieces {
        let prints = listen(pool, Arc::new(audio.clone()), Priority::Batch).await.expect("prints");
        let later = |print: VoicePrint| VoicePrint { start: print.start + *start, end: print.end + *start, ..print };
        all.extend(prints.into_iter().map(later));
    }
    all
}

/// Who speaks when, as the server finds it, and how many speak.
async fn diarize(prints: Vec<VoicePrint>, diarization: &Diarization) -> (Vec<Span>, usize) {
    let mut voices = Voices::new(diarization, Priority::Batch).await.expect("a diarizer");
    voices.add(prints);
    let number = |speaker: &Speaker| match speaker {
        Speaker::Unknown(number) => *number as usize,
        Speaker::Known(name) => panic!("nobody knows {name}"),
    };
    let turns = voices.turns();
    let found: Vec<Span> = turns.iter().map(|turn| (turn.start..turn.end, number(&turn.speaker))).collect();
    let count = found.iter().map(|(_, speaker)| speaker).collect::<HashSet<_>>().len();
    (found, count)
}

/// How well ten conversations are told apart.
#[derive(Default)]
struct Score {
    /// The mean error rate.
    rate: f64,
    /// How often the number of speakers was right.
    right: usize,
    /// A line for each.
    report: String,
}

impl Score {
    async fn add(&mut self, truth: &[Span], prints: Vec<VoicePrint>, count: usize, diarization: &Diarization) {
        let (found, found_count) = diarize(prints, diarization).await;
        let errors = errors(truth, &found);
        self.report += &format!("{count} speakers: {found_count} found, {errors:.3?}\n");
        self.rate += errors.rate() / 10.0;
        self.right += usize::from(found_count == count);
    }
}

#[tokio::test]
async fn clearly_different_voices_are_told_apart_and_counted() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let (mut actor, pool) = (Actor::new(data.path()), pool());
    let (mut alone, mut told) = (Score::default(), Score::default());
    for index in 0..10 {
        let rows = (0..2 + index % 3).map(|row| VOICES[(index + row) % VOICES.len()]);
        let speakers: Vec<&str> = rows.map(|row| row[index % row.len()]).collect();
        let conversation = converse(&mut actor, &speakers, index as u64);
        let prints = prints(&conversation, &pool).await;
        let mut diarization = Diarization { pool: pool.clone(), known: Vec::new(), count: None };
        alone.add(&conversation.truth, prints.clone(), speakers.len(), &diarization).await;
        diarization.count = Some(speakers.len());
        told.add(&conversation.truth, prints, speakers.len(), &diarization).await;
    }
    let Score { rate, right, report } = alone;
    println!("{:.1} % wrong, the number right in {right} of 10\n{report}", rate * 100.0);
    assert!(rate <= 0.15 && right >= 8, "{rate}, {right} of 10:\n{report}");
    let Score { rate, right, report } = told;
    println!("told the number: {:.1} % wrong, {right} of 10\n{report}", rate * 100.0);
    assert!(rate <= 0.05 && right == 10, "told the number: {rate}, {right} of 10:\n{report}");
}
