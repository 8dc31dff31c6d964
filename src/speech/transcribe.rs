//! Audio becomes text, piece by piece: decode, resample, find the speech, recognise, put the times right.
//!
//! The stream cuts one piece ahead of the engines and holds as many more as the pool has slots, so its memory does
//! not depend on the length of the file. Every piece queues by itself, so long files let others through.

mod audit;
mod cutter;
mod seam;

use super::chunk::{Chunker, EndpointerOptions, Piece};
use super::speakers::Diarization;
use super::step;
use crate::audio::decode::Source;
use crate::audio::{Pcm, samples_to_duration};
use crate::engine::pool::Priority;
use crate::engine::{SPEECH_SAMPLE_RATE, TranscribeOptions, TranscriberPool};
use crate::error::{Error, Kind, Result};
use crate::telemetry;
use crate::transcript::Transcript;
use cutter::Cutter;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;

/// How long a file that is under way waits before it asks a full queue again.
const RETRY: Duration = Duration::from_millis(100);

/// So much around speech without text is recognised with it.
const AROUND_GAP: Duration = Duration::from_millis(300);

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
    let (stages, channel) = (request.stages, request.channel);
    let endpointing = request.endpointing.clone();
    let chunker = move || if stages.cut { Chunker::new(endpointing) } else { Chunker::of_everything() };
    let opening = stream::once(step(move || Cutter::open(source, channel, chunker())));
    let recognizer = Recognizer { pool, request };
    opening.zip(stream::iter([recognizer])).flat_map(|(cutter, recognizer)| {
        let run = cutter.map(|cutter| Some(Run::new(cutter, recognizer)));
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
    recognizer: Arc<Recognizer>,
    /// `None` once the file is read to its end, or while a step has it.
    cutter: Option<Cutter>,
    /// Cut, but not yet given to the pool.
    ready: VecDeque<Piece>,
    /// In the pool or being audited, in order.
    running: FuturesOrdered<BoxFuture<'static, Result<Recognized>>>,
    /// The language of the first speech, when the caller has not named one.
    language: Option<String>,
    /// The end of a piece that the next one is to be joined to.
    open_end: Option<(Transcript, Duration)>,
    /// How much of the file has been read.
    read: Duration,
    started: Instant,
    /// Whether a piece has found room in the pool's queue.
    admitted: bool,
}

/// A piece with its text, in the times of the file.
struct Recognized {
    piece: Arc<Piece>,
    transcript: Transcript,
}

impl Run {
    fn new(cutter: Cutter, recognizer: Recognizer) -> Self {
        Self {
            language: recognizer.request.options.language.clone(),
            recognizer: Arc::new(recognizer),
            cutter: Some(cutter),
            ready: VecDeque::new(),
            running: FuturesOrdered::new(),
            open_end: None,
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
            return match self.running.next().await {
                Some(recognized) => Ok(self.take(recognized?)),
                None => Ok(self.progress(Transcript::default(), self.read)),
            };
        }
    }

    /// How many pieces may be in the pool: one until the language is known, which the first one tells.
    fn at_once(&self) -> usize {
        if self.language.is_some() { self.recognizer.pool.slots() } else { 1 }
    }

    /// Reads on until a piece is ready or the file ends.
    async fn cut_ahead(&mut self) -> Result<()> {
        while self.ready.is_empty()
            && let Some(mut cutter) = self.cutter.take()
        {
            let (cutter, pieces) = step(move || cutter.read().map(|pieces| (cutter, pieces))).await?;
            self.read = cutter.duration();
            self.ready.extend(pieces);
            self.cutter = Some(cutter).filter(|cutter| !cutter.is_at_end());
        }
        Ok(())
    }

    /// Gives `piece` to the pool. Only the first piece of a file is refused when the queue is full: the work already
    /// done would be lost.
    async fn start(&mut self, piece: Arc<Piece>) -> Result<()> {
        let options = TranscribeOptions {
            words: true,
            expected_language: self.language.clone(),
            ..self.recognizer.request.options.clone()
        };
        let answer = match self.recognizer.submit(piece.audio.clone(), options.clone()) {
            Err(error) if error.kind() == Kind::Overloaded && self.admitted => {
                self.recognizer.submit_patiently(piece.audio.clone(), options.clone()).await?
            }
            answer => answer?,
        };
        self.admitted = true;
        let recognizer = self.recognizer.clone();
        self.running.push_back(async move { recognizer.finish(piece, answer, options).await }.boxed());
        Ok(())
    }

    /// Puts a piece behind those before it.
    fn take(&mut self, Recognized { piece, mut transcript }: Recognized) -> Progress {
        match transcript.segments.is_empty() {
            // What is said in silence has no language.
            true => (transcript.language, transcript.language_confidence) = (self.language.clone(), None),
            false => self.language = self.language.take().or_else(|| transcript.language.clone()),
        }
        if let Some((mut before, at)) = self.open_end.take() {
            transcript.report.seam_words += seam::join(&mut before, &mut transcript, at);
            before.append(transcript);
            transcript = before;
        }
        if let Some(cut) = piece.cut {
            transcript.report.cut_in_speech += 1;
            let at = samples_to_duration(cut.at, SPEECH_SAMPLE_RATE);
            if cut.overlaps {
                self.open_end = Some((split_off(&mut transcript, seam::begins_to_matter(at)), at));
            }
        }
        self.progress(transcript, piece.end())
    }

    fn progress(&mut self, mut transcript: Transcript, until: Duration) -> Progress {
        let finished = self.cutter.is_none() && self.ready.is_empty() && self.running.is_empty();
        if finished {
            if let Some((end, _)) = self.open_end.take() {
                transcript.append(end);
            }
            if self.recognizer.audits() {
                transcript.report.coverage.get_or_insert_default();
            }
            telemetry::audio_seconds("in", self.read);
            telemetry::real_time_factor(self.started.elapsed(), self.read);
        }
        if !self.recognizer.request.options.words {
            transcript.segments.iter_mut().for_each(|segment| segment.words.clear());
        }
        Progress { transcript, until: if finished { self.read } else { until }, finished }
    }
}

/// Takes the segments that end after `time`.
fn split_off(transcript: &mut Transcript, time: Duration) -> Transcript {
    let from = transcript.segments.iter().position(|segment| segment.end > time);
    let segments = from.map_or_else(Vec::new, |from| transcript.segments.split_off(from));
    Transcript { segments, ..Transcript::default() }
}

/// What recognises the pieces of one file.
struct Recognizer {
    pool: Arc<TranscriberPool>,
    request: Request,
}

type Answer = UnboundedReceiver<Result<Transcript>>;

impl Recognizer {
    fn submit(&self, audio: Arc<Pcm>, options: TranscribeOptions) -> Result<Answer> {
        self.pool.run_streaming(self.request.priority, move |engine, cancel, out| {
            engine.transcribe(&audio, &options, cancel).and_then(&mut *out)
        })
    }

    /// Waits for room in the queue.
    async fn submit_patiently(&self, audio: Arc<Pcm>, options: TranscribeOptions) -> Result<Answer> {
        loop {
            match self.submit(audio.clone(), options.clone()) {
                Err(error) if error.kind() == Kind::Overloaded => tokio::time::sleep(RETRY).await,
                answer => return answer,
            }
        }
    }

    /// Waits for the text of `piece`, and looks whether it is all.
    async fn finish(&self, piece: Arc<Piece>, answer: Answer, options: TranscribeOptions) -> Result<Recognized> {
        let mut transcript = receive(answer).await?;
        piece.to_file_times(&mut transcript);
        transcript.report.pieces += 1;
        if options.guard && self.request.stages.cut {
            audit::disbelieve(&piece.voiced(), &mut transcript);
        }
        if self.audits() {
            self.audit(&piece, &mut transcript, options).await?;
        }
        Ok(Recognized { piece, transcript })
    }

    /// Whether speech without text is looked for: that takes knowing where speech is.
    fn audits(&self) -> bool {
        self.request.stages.audit && self.request.stages.cut
    }

    /// Recognises the speech that has no text once more, by itself, and notes what stays without.
    async fn audit(&self, piece: &Piece, transcript: &mut Transcript, mut options: TranscribeOptions) -> Result<()> {
        let voiced = piece.voiced();
        options.language = transcript.language.clone().or(options.language);
        for gap in audit::gaps(&voiced, &transcript.segments) {
            let Some(part) = piece.part(&gap, AROUND_GAP) else { continue };
            let answer = self.submit_patiently(part.audio.clone(), options.clone()).await?;
            let mut found = receive(answer).await?;
            part.to_file_times(&mut found);
            let segments = audit::within(&gap, found.segments);
            transcript.report.append(found.report);
            transcript.report.audited += 1;
            transcript.report.recovered += u32::from(!segments.is_empty());
            transcript.segments.extend(segments);
            transcript.segments.sort_by_key(|segment| segment.start);
        }
        let gaps = audit::gaps(&voiced, &transcript.segments);
        transcript.report.coverage = Some(audit::coverage(&voiced, gaps));
        Ok(())
    }
}

async fn receive(mut answer: Answer) -> Result<Transcript> {
    let lost = || Err(Error::new(Kind::Unavailable, "the model was unloaded during the work; try again"));
    answer.recv().await.unwrap_or_else(lost)
}

#[cfg(all(test, feature = "espeak", feature = "whisper"))]
mod tests {
    use super::*;
    use crate::config::EngineConfig;
    use crate::engine::pool::{Pool, PoolOptions};
    use crate::engine::spoken::{silence, speak};
    use crate::engine::{Cancel, Load, Transcriber, Weights, whisper};
    use crate::transcript::{Coverage, Report, Segment, Word};
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
        let expected = Progress { transcript, until: Duration::from_secs(40), finished: true };
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
