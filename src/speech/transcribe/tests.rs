//! Whole recordings through scripted engines and the demo model.

use super::*;
use crate::audio::Pcm;
use crate::config::EngineConfig;
use crate::engine::SPEECH_SAMPLE_RATE;
use crate::engine::pool::{Pool, PoolOptions};
use crate::engine::spoken::{silence, speak};
use crate::engine::{Cancel, Load, Transcriber, Weights, whisper};
use crate::error::{Error, Kind};
use crate::transcript::{Coverage, Report, Segment, Word};
use futures::StreamExt as _;
use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo/mynah-demo.en-q8_0.bin");

pub(in crate::speech) fn demo_pool(slots: usize) -> Arc<TranscriberPool> {
    let weights = Weights::File(MODEL.into());
    let load = Load { weights: &weights, config: &EngineConfig::default(), cache_dir: Path::new("unused") };
    pool(slots, whisper::load(&load).expect("the demo model is good"))
}

fn pool(
    slots: usize,
    factory: impl Fn() -> Result<Box<dyn Transcriber>> + Send + Sync + 'static,
) -> Arc<TranscriberPool> {
    let options = PoolOptions { name: "test".into(), slots, queue: 8, cores: None, threads: 1 };
    Arc::new(Pool::start(options, factory).expect("the engine starts"))
}

/// A WAV file at 16 kHz.
pub(in crate::speech) fn wav(samples: &[f32]) -> Box<dyn Source> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: SPEECH_SAMPLE_RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).expect("a WAV file");
    for sample in samples {
        writer.write_sample((sample * 32_767.0) as i16).expect("written to memory");
    }
    writer.finalize().expect("written to memory");
    Box::new(Cursor::new(file.into_inner()))
}

type Work = dyn Fn(&Pcm, &TranscribeOptions, &Cancel<'_>) -> Result<Transcript> + Send + Sync;

/// An engine that does what a closure says.
struct Scripted(Arc<Work>);

impl Transcriber for Scripted {
    fn transcribe(&mut self, audio: &Pcm, options: &TranscribeOptions, cancel: &Cancel<'_>) -> Result<Transcript> {
        (self.0)(audio, options, cancel)
    }
}

pub(in crate::speech) fn scripted(
    slots: usize,
    work: impl Fn(&Pcm, &TranscribeOptions, &Cancel<'_>) -> Result<Transcript> + Send + Sync + 'static,
) -> Arc<TranscriberPool> {
    let work: Arc<Work> = Arc::new(work);
    pool(slots, move || Ok(Box::new(Scripted(work.clone()))))
}

fn said(text: &str, language: &str, audio: &Pcm) -> Transcript {
    let (start, end) = (audio.duration() / 2, audio.duration() / 2 + Duration::from_millis(300));
    let word = Word { text: text.into(), start, end, confidence: 1.0, speaker: None };
    let segment = Segment { text: text.into(), start, end, words: vec![word], ..Segment::default() };
    Transcript { segments: vec![segment], language: Some(language.into()), ..Transcript::default() }
}

/// Two minutes of speech without a pause: five pieces.
fn two_minutes() -> Vec<f32> {
    let speech = speak("Please turn on the kitchen lights at seven o'clock.").samples;
    speech.iter().copied().cycle().take(120 * 16_000).collect()
}

fn english() -> TranscribeOptions {
    TranscribeOptions { language: Some("en".into()), ..TranscribeOptions::default() }
}

/// Without a second look at what the scripted engines leave out.
fn unaudited(options: TranscribeOptions) -> Request {
    Request { stages: Stages { audit: false, ..Stages::default() }, ..Request::new(options, Priority::Batch) }
}

#[tokio::test]
async fn pieces_are_recognised_together_and_arrive_in_order() {
    // The first two pieces meet: neither is answered before both are in an engine.
    let (calls, meeting) = (AtomicUsize::new(0), Barrier::new(2));
    let pool = scripted(2, move |audio, _, _| {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        if call < 2 {
            meeting.wait();
        }
        Ok(said("piece", "en", audio))
    });
    let stream = transcribe(pool, wav(&two_minutes()), unaudited(english()));
    let items: Vec<Progress> = stream.map(|item| item.expect("a good file")).collect().await;
    assert_eq!(items.len(), 5);
    assert!(items.windows(2).all(|pair| pair[0].until < pair[1].until && !pair[0].finished));
    let starts: Vec<Duration> = items.iter().map(|item| item.transcript.segments[0].start).collect();
    assert!(starts.is_sorted() && starts[4] > Duration::from_secs(90), "{starts:?}");
    assert_eq!((items[4].finished, items[4].until), (true, Duration::from_secs(120)));
    assert!(items.iter().all(|item| item.transcript.words().count() == 0), "nobody asked for words");
}

#[tokio::test]
async fn the_language_of_the_first_speech_is_expected_from_then_on() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let pool = scripted(2, move |audio, options, _| {
        let mut asked = asked.lock().expect("no test panics here");
        asked.push(options.expected_language.clone());
        match asked.len() {
            1 => Ok(Transcript { segments: Vec::new(), language: Some("xx".into()), ..Transcript::default() }),
            _ => Ok(said("piece", "de", audio)),
        }
    });
    let request = unaudited(TranscribeOptions::default());
    let (transcript, _) = transcribe_all(pool, wav(&two_minutes()), request).await.expect("good");
    let german = Some("de".to_owned());
    assert_eq!(
        *seen.lock().expect("no test panics here"),
        [None, None, german.clone(), german.clone(), german.clone()]
    );
    assert_eq!(transcript.language, german);
}

#[tokio::test]
async fn speech_that_was_left_out_is_recognised_by_itself_or_reported() {
    let speech = speak("Please turn on the kitchen lights at seven o'clock.").samples;
    let file = [silence(1.0), speech, silence(1.0)].concat();
    for recovers in [true, false] {
        let calls = AtomicUsize::new(0);
        let pool = scripted(1, move |audio, _, _| match calls.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(Transcript::default()),
            _ if recovers => Ok(said_all_along(audio)),
            _ => Ok(Transcript::default()),
        });
        let request = Request::new(english(), Priority::Batch);
        let (transcript, _) = transcribe_all(pool, wav(&file), request).await.expect("good");
        let report = transcript.report.clone();
        let coverage = report.coverage.expect("it was checked");
        assert_eq!((report.audited, report.recovered), (1, u32::from(recovers)));
        assert!(coverage.speech > Duration::from_secs(2), "{coverage:?}");
        assert_eq!(coverage.gaps.is_empty(), recovers, "{coverage:?}");
        assert_eq!(coverage.covered == coverage.speech, recovers);
        assert_eq!(transcript.text().is_empty(), !recovers);
    }
}

/// A word every 200 ms.
fn said_all_along(audio: &Pcm) -> Transcript {
    let step = Duration::from_millis(200);
    let count = (audio.duration().as_millis() / step.as_millis()) as u32;
    let word = |index| Word { text: "la".into(), start: step * index, end: step * (index + 1), ..Word::default() };
    let words: Vec<Word> = (0..count).map(word).collect();
    let text = vec!["la"; words.len()].join(" ");
    let segment = Segment { text, end: audio.duration(), words, ..Segment::default() };
    Transcript { segments: vec![segment], ..Transcript::default() }
}

#[tokio::test]
async fn words_on_both_sides_of_a_cut_are_told_once() {
    // The cuts overlap, because the speech has no pause.
    let pool = scripted(2, |audio, _, _| Ok(said_all_along(audio)));
    let request = Request::new(TranscribeOptions { words: true, ..english() }, Priority::Batch);
    let (transcript, _) = transcribe_all(pool, wav(&two_minutes()), request).await.expect("good");
    assert_eq!(transcript.report.cut_in_speech, 4);
    assert!(transcript.report.seam_words >= 4 * 9, "{:?}", transcript.report);
    let words = transcript.words().count();
    assert!((590..=605).contains(&words), "{words} words in 120 s");
    assert!(transcript.words().is_sorted_by_key(|word| word.start));
}

#[tokio::test]
async fn without_cutting_everything_is_recognised() {
    let (calls, heard) = (AtomicUsize::new(0), Arc::new(Mutex::new(Duration::ZERO)));
    let total = heard.clone();
    let pool = scripted(1, move |audio, _, _| {
        calls.fetch_add(1, Ordering::SeqCst);
        *total.lock().expect("no test panics here") += audio.duration();
        Ok(Transcript::default())
    });
    let mut request = Request::new(english(), Priority::Batch);
    request.stages.cut = false;
    let (transcript, duration) = transcribe_all(pool, wav(&silence(40.0)), request).await.expect("good");
    assert_eq!(transcript.report.coverage, None, "nobody knows where speech is");
    assert!(*heard.lock().expect("no test panics here") >= duration);
}

#[tokio::test]
async fn silence_is_an_empty_transcript_and_no_work() {
    let pool = scripted(1, |_, _, _| panic!("there is nothing to recognise"));
    let stream = transcribe(pool, wav(&silence(40.0)), Request::new(TranscribeOptions::default(), Priority::Batch));
    let items: Vec<Result<Progress>> = stream.collect().await;
    let report = Report { coverage: Some(Coverage::default()), ..Report::default() };
    let transcript = Transcript { report, ..Transcript::default() };
    let expected =
        Progress { transcript, until: Duration::from_secs(40), read: Duration::from_secs(40), finished: true };
    assert_eq!(items.into_iter().map(|item| item.expect("a good file")).collect::<Vec<_>>(), [expected]);
}

#[tokio::test]
async fn what_is_not_audio_is_said_so_once() {
    let pool = scripted(1, |audio, _, _| Ok(said("piece", "en", audio)));
    let text = Box::new(Cursor::new(b"This is not a recording.".repeat(100)));
    let items: Vec<Result<Progress>> = transcribe(pool, text, Request::new(english(), Priority::Batch)).collect().await;
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].as_ref().expect_err("no audio").kind(), Kind::InvalidAudio);
}

#[tokio::test]
async fn an_error_of_the_engine_ends_the_stream() {
    let pool = scripted(1, |_, _, _| Err(Error::invalid("model", "no")));
    let items: Vec<Result<Progress>> =
        transcribe(pool, wav(&two_minutes()), Request::new(english(), Priority::Batch)).collect().await;
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].as_ref().expect_err("refused").param(), Some("model"));
}

#[tokio::test]
async fn dropping_the_stream_cancels_the_engine() {
    let (started, mut has_started) = tokio::sync::mpsc::unbounded_channel();
    let (stopped, mut has_stopped) = tokio::sync::mpsc::unbounded_channel();
    let pool = scripted(1, move |_, _, cancel| {
        let _ = started.send(());
        while !cancel.is_cancelled() {
            std::thread::yield_now();
        }
        let _ = stopped.send(());
        Err(Error::new(Kind::Cancelled, "nobody waits"))
    });
    let mut stream = Box::pin(transcribe(pool, wav(&two_minutes()), Request::new(english(), Priority::Batch)));
    tokio::select! {
        _ = stream.next() => panic!("the engine answers only when it is cancelled"),
        _ = has_started.recv() => drop(stream),
    }
    has_stopped.recv().await.expect("the engine saw that its caller left");
}

#[tokio::test]
async fn a_file_becomes_text_at_its_own_times() {
    let mut samples = silence(12.0);
    samples.extend(speak("Please turn on the kitchen lights at seven o'clock.").samples);
    samples.extend(silence(20.0));
    samples.extend(speak("Turn on the kitchen lights.").samples);
    let options = TranscribeOptions { words: true, ..TranscribeOptions::default() };
    let (transcript, duration) =
        transcribe_all(demo_pool(1), wav(&samples), Request::new(options, Priority::Interactive))
            .await
            .expect("a good file");
    assert_eq!(transcript.text(), "Please turn on the kitchen lights at seven o'clock. Turn on the kitchen lights.");
    assert_eq!(duration.as_millis() as usize, samples.len() / 16);
    let starts: Vec<f64> = transcript.segments.iter().map(|segment| segment.start.as_secs_f64()).collect();
    assert!((starts[0] - 12.0).abs() < 0.3 && (starts[1] - 34.5).abs() < 0.5, "{starts:?}");
}

#[tokio::test]
async fn a_single_word_is_speech() {
    let samples = [silence(0.2), speak("Hello world.").samples, silence(0.2)].concat();
    let request = Request::new(english(), Priority::Interactive);
    let (transcript, _) = transcribe_all(demo_pool(1), wav(&samples), request).await.expect("a good file");
    assert_eq!(transcript.text(), "Hello world.");
    let coverage = transcript.report.coverage.expect("it was checked");
    assert!(coverage.speech > Duration::from_millis(500) && coverage.covered == coverage.speech, "{coverage:?}");
}
