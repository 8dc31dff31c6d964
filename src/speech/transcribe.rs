//! Audio becomes text, piece by piece: decode, resample, find the speech, recognise, put the times right.
//!
//! The stream cuts one piece ahead of the engines and holds as many more as the pool has slots, so its memory does
//! not depend on the length of the file. Every piece queues by itself, so long files let others through.

use super::chunk::{Chunker, EndpointerOptions, Piece};
use super::speakers::Diarization;
use super::step;
use crate::audio::Pcm;
use crate::audio::decode::{Decoder, Source};
use crate::audio::resample::Resampler;
use crate::engine::pool::Priority;
use crate::engine::{SPEECH_SAMPLE_RATE, TranscribeOptions, TranscriberPool};
use crate::error::{Error, Kind, Result};
use crate::telemetry;
use crate::transcript::Transcript;
use futures::{Stream, StreamExt as _, stream};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;

/// How much audio is worked on at once outside the engines.
const STEP: Duration = Duration::from_secs(5);

/// How long a file that is under way waits before it asks a full queue again.
const RETRY: Duration = Duration::from_millis(100);

/// How to transcribe a recording.
#[derive(Clone)]
pub struct Request {
    /// What the engine is to do with every piece.
    pub options: TranscribeOptions,
    /// How urgent it is.
    pub priority: Priority,
    /// Which stages take part.
    pub stages: Stages,
    /// When sound counts as speech.
    pub endpointing: EndpointerOptions,
    /// The only channel to listen to, counted from 0; `None` mixes all of them.
    pub channel: Option<u32>,
    /// Tells who speaks.
    pub diarization: Option<Diarization>,
}

impl Request {
    /// With every stage, all channels mixed, nobody told apart.
    pub fn new(options: TranscribeOptions, priority: Priority) -> Self {
        let (stages, endpointing) = (Stages::default(), EndpointerOptions::default());
        Self { options, priority, stages, endpointing, channel: None, diarization: None }
    }
}

/// The stages around the engine that can be switched off. The engine's own are in [`TranscribeOptions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stages {
    /// Finds the speech and recognises nothing else. Without it the whole recording is recognised in stretches of 28 s.
    pub cut: bool,
    /// Looks for speech that has no text, recognises it once more and reports what stays without.
    pub audit: bool,
}

impl Default for Stages {
    fn default() -> Self {
        Self { cut: true, audit: true }
    }
}

/// What is new since the item before.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The new segments, with times from the start of the file.
    pub transcript: Transcript,
    /// The audio is done up to here.
    pub until: Duration,
    /// Whether this is the last item; `until` is then the duration of the file.
    pub finished: bool,
}

/// Transcribes the audio file or raw audio in `source`. Nobody speaking is an empty transcript, not an error.
///
/// # Errors
/// The stream ends with its first error: `InvalidAudio` for what cannot be decoded, `Overloaded` when there is no
/// room for the first piece, and whatever the engine says.
///
/// # Cancel safety
/// Dropping the stream gives up everything that waits or runs for it.
pub fn transcribe(
    pool: Arc<TranscriberPool>,
    source: Box<dyn Source>,
    request: Request,
) -> impl Stream<Item = Result<Progress>> + Send + 'static {
    let Request { options, priority, channel, .. } = request;
    let opening = stream::once(step(move || Cutter::open(source, channel)));
    opening.flat_map(move |cutter| {
        let run = cutter.map(|cutter| Some(Run::new(pool.clone(), cutter, options.clone(), priority)));
        stream::try_unfold(run, |run| async {
            let Some(mut run) = run? else { return Ok(None) };
            let progress = run.advance().await?;
            let rest = if progress.finished { None } else { Some(run) };
            Ok(Some((progress, Ok(rest))))
        })
        .boxed()
    })
}

/// [`transcribe`] to its end: the whole transcript, and the duration of the audio.
///
/// # Errors
/// As [`transcribe`].
///
/// # Cancel safety
/// Dropping the future gives up everything that waits or runs for it.
pub async fn transcribe_all(
    pool: Arc<TranscriberPool>,
    source: Box<dyn Source>,
    request: Request,
) -> Result<(Transcript, Duration)> {
    let mut pieces = std::pin::pin!(transcribe(pool, source, request));
    let (mut transcript, mut duration) = (Transcript::default(), Duration::ZERO);
    while let Some(progress) = pieces.next().await {
        let progress = progress?;
        transcript.append(progress.transcript);
        duration = progress.until;
    }
    Ok((transcript, duration))
}

/// One file on its way.
struct Run {
    pool: Arc<TranscriberPool>,
    /// `None` once the file is read to its end, or while a step has it.
    cutter: Option<Cutter>,
    options: TranscribeOptions,
    /// Whether the caller wants words; the engine gives them always, because they put the times right.
    words: bool,
    priority: Priority,
    /// Cut, but not yet given to the pool.
    ready: VecDeque<Piece>,
    /// In the pool, in order.
    running: VecDeque<Running>,
    /// How much of the file has been read.
    read: Duration,
    started: Instant,
    /// Whether a piece has found room in the pool's queue.
    admitted: bool,
}

/// A piece that waits for an engine or is in one.
struct Running {
    piece: Arc<Piece>,
    answer: UnboundedReceiver<Result<Transcript>>,
}

impl Run {
    fn new(pool: Arc<TranscriberPool>, cutter: Cutter, mut options: TranscribeOptions, priority: Priority) -> Self {
        let words = std::mem::replace(&mut options.words, true);
        Self {
            pool,
            cutter: Some(cutter),
            options,
            words,
            priority,
            ready: VecDeque::new(),
            running: VecDeque::new(),
            read: Duration::ZERO,
            started: Instant::now(),
            admitted: false,
        }
    }

    async fn advance(&mut self) -> Result<Progress> {
        loop {
            self.cut_ahead().await?;
            if self.running.len() < self.at_once()
                && let Some(piece) = self.ready.pop_front()
            {
                self.start(Arc::new(piece)).await?;
                continue;
            }
            return match self.running.pop_front() {
                Some(running) => self.receive(running).await,
                None => Ok(self.progress(Transcript::default(), self.read)),
            };
        }
    }

    /// How many pieces may be in the pool: one until the language is known, which the first one tells.
    fn at_once(&self) -> usize {
        if self.options.language.is_some() { self.pool.slots() } else { 1 }
    }

    /// Reads on until a piece is ready or the file ends.
    async fn cut_ahead(&mut self) -> Result<()> {
        while self.ready.is_empty()
            && let Some(mut cutter) = self.cutter.take()
        {
            let (cutter, pieces) = step(move || cutter.read().map(|pieces| (cutter, pieces))).await?;
            self.read = cutter.chunker.duration();
            self.ready.extend(pieces);
            self.cutter = Some(cutter).filter(|cutter| !cutter.at_end);
        }
        Ok(())
    }

    /// Gives `piece` to the pool. Only the first piece of a file is refused when the queue is full: the work already
    /// done would be lost.
    async fn start(&mut self, piece: Arc<Piece>) -> Result<()> {
        loop {
            let (work, options) = (piece.clone(), self.options.clone());
            let answer = self.pool.run_streaming(self.priority, move |engine, cancel, out| {
                engine.transcribe(&work.audio, &options, cancel).and_then(&mut *out)
            });
            match answer {
                Err(error) if error.kind() == Kind::Overloaded && self.admitted => tokio::time::sleep(RETRY).await,
                Err(error) => return Err(error),
                Ok(answer) => {
                    self.admitted = true;
                    self.running.push_back(Running { piece, answer });
                    return Ok(());
                }
            }
        }
    }

    async fn receive(&mut self, mut running: Running) -> Result<Progress> {
        let lost = || Err(Error::new(Kind::Unavailable, "the model was unloaded during the work; try again"));
        let mut transcript = running.answer.recv().await.unwrap_or_else(lost)?;
        running.piece.to_file_times(&mut transcript);
        if !self.words {
            transcript.segments.iter_mut().for_each(|segment| segment.words.clear());
        }
        match transcript.segments.is_empty() {
            // What is said in silence has no language.
            true => transcript.language = self.options.language.clone(),
            false => self.options.language = self.options.language.take().or_else(|| transcript.language.clone()),
        }
        Ok(self.progress(transcript, running.piece.end()))
    }

    fn progress(&self, transcript: Transcript, until: Duration) -> Progress {
        let finished = self.cutter.is_none() && self.ready.is_empty() && self.running.is_empty();
        if finished {
            telemetry::audio_seconds("in", self.read);
            telemetry::real_time_factor(self.started.elapsed(), self.read);
        }
        Progress { transcript, until: if finished { self.read } else { until }, finished }
    }
}

/// Reads a file and cuts it into pieces. Blocking.
struct Cutter {
    blocks: Box<dyn Iterator<Item = Result<Pcm>> + Send>,
    /// The rate of the blocks and what changes it.
    resampler: Option<(u32, Resampler)>,
    chunker: Chunker,
    at_end: bool,
}

impl Cutter {
    fn open(source: Box<dyn Source>, channel: Option<u32>) -> Result<Self> {
        Ok(Self::new(Box::new(Decoder::open_channel(source, channel)?)))
    }

    fn new(blocks: Box<dyn Iterator<Item = Result<Pcm>> + Send>) -> Self {
        Self { blocks, resampler: None, chunker: Chunker::default(), at_end: false }
    }

    /// The pieces in the next [`STEP`] of audio.
    fn read(&mut self) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut samples = Vec::new();
        let mut taken = Duration::ZERO;
        while taken < STEP && pieces.is_empty() {
            match self.blocks.next() {
                Some(block) => {
                    let block = block?;
                    taken += block.duration();
                    self.resample(&block, &mut samples)?;
                }
                None => {
                    self.at_end = true;
                    self.end_resampling(&mut samples);
                    self.chunker.push(&samples, &mut pieces);
                    self.chunker.finish(&mut pieces);
                    return Ok(pieces);
                }
            }
            self.chunker.push(&samples, &mut pieces);
            samples.clear();
        }
        Ok(pieces)
    }

    fn resample(&mut self, block: &Pcm, samples: &mut Vec<f32>) -> Result<()> {
        if self.resampler.as_ref().is_none_or(|(rate, _)| *rate != block.sample_rate) {
            self.end_resampling(samples);
            self.resampler = Some((block.sample_rate, Resampler::new(block.sample_rate, SPEECH_SAMPLE_RATE)?));
        }
        if let Some((_, resampler)) = &mut self.resampler {
            resampler.push(&block.samples, samples);
        }
        Ok(())
    }

    fn end_resampling(&mut self, samples: &mut Vec<f32>) {
        if let Some((_, mut resampler)) = self.resampler.take() {
            resampler.finish(samples);
        }
    }
}

#[cfg(all(test, feature = "espeak", feature = "whisper"))]
mod tests {
    use super::*;
    use crate::config::EngineConfig;
    use crate::engine::pool::{Pool, PoolOptions};
    use crate::engine::spoken::{silence, speak};
    use crate::engine::{Cancel, Load, Transcriber, Weights, whisper};
    use crate::transcript::{Segment, Word};
    use std::io::Cursor;
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Barrier, Mutex};

    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo/mynah-demo.en-q8_0.bin");

    fn demo_pool(slots: usize) -> Arc<TranscriberPool> {
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
    fn wav(samples: &[f32]) -> Box<dyn Source> {
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

    fn scripted(
        slots: usize,
        work: impl Fn(&Pcm, &TranscribeOptions, &Cancel<'_>) -> Result<Transcript> + Send + Sync + 'static,
    ) -> Arc<TranscriberPool> {
        let work: Arc<Work> = Arc::new(work);
        pool(slots, move || Ok(Box::new(Scripted(work.clone()))))
    }

    fn said(text: &str, language: &str, audio: &Pcm) -> Transcript {
        let end = audio.duration();
        let word = Word { text: text.into(), start: Duration::ZERO, end, confidence: 1.0, speaker: None };
        let segment = Segment { text: text.into(), end, words: vec![word], ..Segment::default() };
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
        let stream = transcribe(pool, wav(&two_minutes()), Request::new(english(), Priority::Batch));
        let items: Vec<Progress> = stream.map(|item| item.expect("a good file")).collect().await;
        assert_eq!(items.len(), 5);
        assert!(items.windows(2).all(|pair| pair[0].until < pair[1].until && !pair[0].finished));
        let starts: Vec<Duration> = items.iter().map(|item| item.transcript.segments[0].start).collect();
        assert!(starts.is_sorted() && starts[4] > Duration::from_secs(90), "{starts:?}");
        assert_eq!((items[4].finished, items[4].until), (true, Duration::from_secs(120)));
        assert!(items.iter().all(|item| item.transcript.words().count() == 0), "nobody asked for words");
    }

    #[tokio::test]
    async fn the_language_of_the_first_speech_is_used_from_then_on() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let pool = scripted(2, move |audio, options, _| {
            let mut asked = asked.lock().expect("no test panics here");
            asked.push(options.language.clone());
            match asked.len() {
                1 => Ok(Transcript { segments: Vec::new(), language: Some("xx".into()), ..Transcript::default() }),
                _ => Ok(said("piece", "de", audio)),
            }
        });
        let (transcript, _) =
            transcribe_all(pool, wav(&two_minutes()), Request::new(TranscribeOptions::default(), Priority::Batch))
                .await
                .expect("good");
        let german = Some("de".to_owned());
        assert_eq!(
            *seen.lock().expect("no test panics here"),
            [None, None, german.clone(), german.clone(), german.clone()]
        );
        assert_eq!(transcript.language, german);
    }

    #[tokio::test]
    async fn silence_is_an_empty_transcript_and_no_work() {
        let pool = scripted(1, |_, _, _| panic!("there is nothing to recognise"));
        let stream = transcribe(pool, wav(&silence(40.0)), Request::new(TranscribeOptions::default(), Priority::Batch));
        let items: Vec<Result<Progress>> = stream.collect().await;
        let expected = Progress { transcript: Transcript::default(), until: Duration::from_secs(40), finished: true };
        assert_eq!(items.into_iter().map(|item| item.expect("a good file")).collect::<Vec<_>>(), [expected]);
    }

    #[tokio::test]
    async fn what_is_not_audio_is_said_so_once() {
        let pool = scripted(1, |audio, _, _| Ok(said("piece", "en", audio)));
        let text = Box::new(Cursor::new(b"This is not a recording.".repeat(100)));
        let items: Vec<Result<Progress>> =
            transcribe(pool, text, Request::new(english(), Priority::Batch)).collect().await;
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
        assert_eq!(
            transcript.text(),
            "Please turn on the kitchen lights at seven o'clock. Turn on the kitchen lights."
        );
        assert_eq!(duration.as_millis() as usize, samples.len() / 16);
        let starts: Vec<f64> = transcript.segments.iter().map(|segment| segment.start.as_secs_f64()).collect();
        assert!((starts[0] - 12.0).abs() < 0.3 && (starts[1] - 34.5).abs() < 0.5, "{starts:?}");
    }
}
