//! What the speech of a script promises, tried on an engine that does as it is told.

use super::*;
use crate::audio::encode::AudioFormat;
use crate::engine::pool::PoolOptions;
use crate::engine::{Cancel, Synthesizer, Utterance};
use crate::speech::script::{Part, Run, Style};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

const RATE: u32 = 22_050;

/// Speaks every word as a tenth of a second of tone, and asks its script before each.
struct Scripted {
    /// What was given to the engine, and `stopped` when it saw that nobody listens.
    log: Sender<String>,
    /// One message for each word that may be spoken; closed means all.
    go: Arc<Mutex<Receiver<()>>>,
}

impl Synthesizer for Scripted {
    fn synthesize(
        &mut self,
        utterance: &Utterance,
        _: &SpeakOptions,
        cancel: &Cancel<'_>,
        out: &mut dyn FnMut(Spoken) -> Result<()>,
    ) -> Result<()> {
        let _ = self.log.send(utterance.text.clone());
        for word in utterance.text.split_whitespace() {
            let _ = self.go.lock().expect("one engine").recv();
            if cancel.is_cancelled() {
                let _ = self.log.send("stopped".to_owned());
                return Err(Error::new(Kind::Cancelled, "nobody listens"));
            }
            if word.starts_with("FAIL") {
                return Err(Error::new(Kind::Internal, "broken voice"));
            }
            let tone = |i: u32| (i as f32 * 0.06).sin() * 0.5;
            out(Spoken::Sound(Pcm::new((0..RATE / 10).map(tone).collect(), RATE)))?;
        }
        Ok(())
    }
}

/// A pool of one scripted engine, its log, and what lets it speak a word.
pub fn scripted() -> (Arc<SynthesizerPool>, Receiver<String>, Sender<()>) {
    let (log, logged) = channel();
    let (go, gone) = channel();
    let gone = Arc::new(Mutex::new(gone));
    let options = PoolOptions { name: "scripted".into(), slots: 1, queue: 4, cores: None, threads: 1 };
    let factory = move || Ok(Box::new(Scripted { log: log.clone(), go: gone.clone() }) as Box<dyn Synthesizer>);
    (Arc::new(SynthesizerPool::start(options, factory).expect("it can be built")), logged, go)
}

fn speech(pool: &Arc<SynthesizerPool>, text: &str) -> impl Stream<Item = Result<Said>> + Send + 'static + use<> {
    let options = SpeakOptions::of_voice("any");
    speak(pool.clone(), Request::plain(text, options), Priority::Interactive)
}

fn written(
    speech: impl Stream<Item = Result<Said>> + Send + 'static,
    format: AudioFormat,
) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    super::bytes(encode(speech, format))
}

async fn seconds(speech: impl Stream<Item = Result<Said>> + Send + 'static) -> f32 {
    let blocks: Vec<Pcm> = super::sound(speech).try_collect().await.expect("it speaks");
    assert!(blocks.iter().all(|block| block.sample_rate == OUTPUT_SAMPLE_RATE && !block.samples.is_empty()));
    blocks.iter().map(|block| block.samples.len()).sum::<usize>() as f32 / OUTPUT_SAMPLE_RATE as f32
}

#[tokio::test]
async fn sentences_are_joined_with_pauses() {
    let (pool, logged, _) = scripted();
    let spoken = seconds(speech(
        &pool,
        "One two. Three four.

Five.",
    ))
    .await;
    // Five words, a pause after a sentence, one after a paragraph, and the end.
    assert!((spoken - (0.5 + 0.25 + 0.5 + 0.15)).abs() < 0.03, "{spoken}");
    assert_eq!(logged.try_iter().collect::<Vec<_>>(), ["One two.", "Three four.", "Five."]);
}

/// A script of the words of a test: `+` in front of one says it as a run of its own, a number is a pause of so many
/// milliseconds.
fn script(words: &str) -> Script {
    let mut parts = Vec::new();
    let mut text = String::new();
    for word in words.split(' ') {
        if let Ok(pause) = word.parse() {
            parts.push(Part::Pause(Duration::from_millis(pause)));
            continue;
        }
        let start = text.len();
        text.push_str(word.trim_start_matches('+'));
        text.push(' ');
        let style = if word.starts_with('+') {
            Style { voice: Some("other".into()), rate: 0.5, pitch: 3.0, ..Style::default() }
        } else {
            Style::default()
        };
        parts.push(Part::Say(Run { text: start..text.len(), style, overrides: Vec::new() }));
    }
    Script { text, parts }
}

#[tokio::test]
async fn pauses_of_a_script_have_their_length_and_words_their_times() {
    let (pool, ..) = scripted();
    let request =
        Request { script: script("300 One 500 two. 1000"), ..Request::plain("", SpeakOptions::of_voice("any")) };
    let said: Vec<Said> = speak(pool, request, Priority::Batch).try_collect().await.expect("it speaks");
    let (mut words, mut samples) = (Vec::new(), 0);
    for said in said {
        match said {
            Said::Words(timed) => words.extend(timed),
            Said::Sound(block) => samples += block.samples.len(),
        }
    }
    assert!((samples as f32 / OUTPUT_SAMPLE_RATE as f32 - 2.0).abs() < 0.02, "{samples}");
    let starts: Vec<(usize, f32)> = words.iter().map(|word| (word.text.start, word.start.as_secs_f32())).collect();
    assert!(starts[0].0 == 0 && (starts[0].1 - 0.3).abs() < 0.02, "{starts:?}");
    assert!(starts[1].0 == 4 && (starts[1].1 - 0.9).abs() < 0.02, "{starts:?}");
    assert!((words[1].end.as_secs_f32() - 1.0).abs() < 0.02, "{words:?}");
}

#[tokio::test]
async fn the_times_of_words_are_those_of_the_joined_sound() {
    let (pool, ..) = scripted();
    let text = "One two. Three, four five six. Seven eight.";
    let said: Vec<Said> = speech(&pool, text).try_collect().await.expect("it speaks");
    let mut words = Vec::new();
    let mut samples = Vec::new();
    for said in said {
        match said {
            Said::Words(timed) => words.extend(timed),
            Said::Sound(block) => samples.extend(block.samples),
        }
    }
    let names: Vec<&str> = words.iter().map(|word| &text[word.text.clone()]).collect();
    assert_eq!(names.len(), 8, "{names:?}");
    let rate = OUTPUT_SAMPLE_RATE as f32;
    let loud =
        |from: f32, to: f32| samples[(from * rate) as usize..(to * rate) as usize].iter().any(|it| it.abs() > 0.1);
    for pair in words.windows(2) {
        let (start, end, next) = (pair[0].start.as_secs_f32(), pair[0].end.as_secs_f32(), pair[1].start.as_secs_f32());
        assert!(start < end && end <= next + 0.001 && loud(start, end), "{pair:?}");
        assert!(next - end < 0.05 || !loud(end + 0.02, next - 0.02), "{pair:?}");
    }
}

#[tokio::test]
async fn a_style_changes_the_voice_in_the_middle_of_a_sentence() {
    let (pool, logged, go) = scripted();
    drop(go);
    let request = Request { script: script("I +really mean it."), ..Request::plain("", SpeakOptions::of_voice("any")) };
    let lines: Vec<Line> =
        Lines::new(request.script.clone(), request.options.clone(), String::new(), Arc::default()).collect();
    let Line::Say(sentence) = &lines[1] else { panic!("a line") };
    assert_eq!((sentence.options.voice.as_str(), sentence.options.speed, sentence.options.pitch), ("other", 0.5, 2.0));
    let spoken = seconds(speak(pool, request, Priority::Batch)).await;
    // Four words, hardly a pause between them, and the end.
    assert!((0.54..0.68).contains(&spoken), "{spoken}");
    assert_eq!(logged.try_iter().count(), 4);
}

#[tokio::test]
async fn any_sample_rate_can_be_asked_for() {
    for sample_rate in [8_000, 22_050, 44_100] {
        let (pool, ..) = scripted();
        let request = Request { sample_rate, ..Request::plain("One two.", SpeakOptions::of_voice("any")) };
        let blocks: Vec<Pcm> =
            super::sound(speak(pool, request, Priority::Batch)).try_collect().await.expect("it speaks");
        assert!(blocks.iter().all(|block| block.sample_rate == sample_rate));
        let seconds = blocks.iter().map(|block| block.samples.len()).sum::<usize>() as f32 / sample_rate as f32;
        assert!((seconds - 0.35).abs() < 0.02, "{seconds}");
    }
}

#[tokio::test]
async fn text_with_nothing_to_say_is_a_short_silence() {
    let (pool, ..) = scripted();
    let spoken = seconds(speech(&pool, " ... ")).await;
    assert!((0.1..0.4).contains(&spoken), "{spoken}");
}

#[tokio::test]
async fn the_first_bytes_are_there_before_the_engine_is_done() {
    for format in AudioFormat::ALL {
        let (pool, _, go) = scripted();
        let mut bytes = Box::pin(written(speech(&pool, "One two three four five six seven eight."), format));
        // Seven words may be spoken; for the eighth the engine waits.
        (0..7).for_each(|_| go.send(()).expect("the engine runs"));
        assert!(bytes.next().await.expect("there are bytes").is_ok_and(|bytes| !bytes.is_empty()), "{format:?}");
        drop(go);
        assert!(bytes.try_collect::<Vec<_>>().await.is_ok());
    }
}

#[tokio::test]
async fn the_bytes_do_not_depend_on_the_reader() {
    let text = "One two. Three, four five six. Seven eight nine ten.";
    for format in AudioFormat::ALL {
        let (pool, _, go) = scripted();
        drop(go);
        let fast: Vec<Bytes> = written(speech(&pool, text), format).try_collect().await.expect("it speaks");
        let (pool, _, go) = scripted();
        let mut slow = Box::pin(written(speech(&pool, text), format));
        let mut bytes = Vec::new();
        let release = tokio::task::spawn_blocking(move || (0..10).all(|_| go.send(()).is_ok()));
        while let Some(some) = slow.next().await {
            tokio::task::yield_now().await;
            bytes.extend_from_slice(&some.expect("it speaks"));
        }
        assert!(release.await.expect("no panic"));
        assert!(fast.concat() == bytes, "{format:?}");
    }
}

#[tokio::test]
async fn dropping_the_stream_stops_the_engine() {
    let (pool, logged, go) = scripted();
    let mut sound = Box::pin(speech(&pool, "One two three four five. Six seven."));
    (0..3).for_each(|_| go.send(()).expect("the engine runs"));
    assert!(sound.next().await.is_some_and(|block| block.is_ok()));
    drop((sound, go));
    assert_eq!(logged.recv().expect("the first piece"), "One two three four five.");
    assert_eq!(logged.recv().expect("the engine sees it"), "stopped");
    drop(pool);
    assert!(logged.recv().is_err(), "the second piece is never spoken");
}

#[tokio::test]
async fn an_error_in_the_middle_ends_the_stream_with_it() {
    let (pool, _, go) = scripted();
    drop(go);
    let mut bytes = Box::pin(written(speech(&pool, "One two three four. FAIL five."), AudioFormat::Pcm));
    assert!(bytes.next().await.is_some_and(|bytes| bytes.is_ok()));
    let rest: Vec<Result<Bytes>> = bytes.collect().await;
    let (last, others) = rest.split_last().expect("an error");
    assert_eq!(last.as_ref().expect_err("the voice is broken").message(), "broken voice");
    assert!(others.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_slow_reader_is_not_read_ahead_for_more_than_one_piece() {
    let (pool, logged, go) = scripted();
    drop(go);
    let mut sound = Box::pin(speech(&pool, &"This is one of many sentences that are spoken here. ".repeat(40)));
    assert!(sound.next().await.is_some_and(|block| block.is_ok()));
    // The engine is idle once it has run something else that came after.
    for _ in 0..2 {
        pool.run(Priority::Batch, |_, _| Ok(())).await.expect("an idle engine");
    }
    assert!(logged.try_iter().count() <= 2);
    assert!(sound.try_collect::<Vec<_>>().await.is_ok());
    assert!(logged.try_iter().count() > 5);
}

#[tokio::test]
async fn speech_that_has_begun_waits_for_room_in_the_queue() {
    let (pool, _, go) = scripted();
    let mut begun = Box::pin(speech(&pool, "One two three. Four five."));
    go.send(()).expect("the engine runs");
    assert!(begun.next().await.is_some_and(|block| block.is_ok()));
    // The engine waits inside the first piece; now the queue fills up.
    let submit = || pool.run_streaming::<(), _>(Priority::Interactive, |_, _, _| Ok(()));
    let others: Vec<_> = std::iter::repeat_with(submit).take(5).collect();
    assert!(others.last().is_some_and(Result::is_err));
    let refused = Box::pin(speech(&pool, "Too late.")).next().await;
    assert_eq!(refused.and_then(Result::err).map(|error| error.kind()), Some(Kind::Overloaded));
    drop(go);
    assert!(begun.try_collect::<Vec<_>>().await.is_ok());
}

#[cfg(feature = "espeak")]
#[tokio::test]
async fn the_built_in_voice_speaks_through_it() {
    use crate::engine::{Load, Weights, espeak};
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = crate::config::EngineConfig::default();
    let load = Load { weights: &Weights::BuiltIn, config: &config, cache_dir: folder.path() };
    let factory = espeak::load(&load).expect("the data can be written");
    let options = PoolOptions { name: "espeak".into(), slots: 1, queue: 4, cores: None, threads: 1 };
    let pool = Arc::new(SynthesizerPool::start(options, factory).expect("it can be built"));
    let text = "Good morning, dear listeners. This is the news. It is short.";
    let spoken = |speed| {
        let options = SpeakOptions { speed, ..SpeakOptions::of_voice("en-us") };
        speak(pool.clone(), Request::plain(text, options), Priority::Batch)
    };
    let mut bytes = Box::pin(encode(spoken(1.0), AudioFormat::Mp3));
    assert!(bytes.next().await.is_some_and(|bytes| bytes.is_ok()));
    let plain = seconds(spoken(1.0)).await;
    assert!((3.0..6.0).contains(&plain), "{plain}");
    for speed in [0.25, 0.5, 2.0, 4.0] {
        let ratio = seconds(spoken(speed)).await / plain * speed;
        assert!((0.9..1.1).contains(&ratio), "{speed}: {ratio}");
    }
}
