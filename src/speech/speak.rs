//! Text to speech: text → pieces → engine → one stream of sound → one stream of bytes.
//!
//! Nothing here knows a voice, a file format or a client. An engine never waits for the reader, and no more than one
//! piece of text is spoken ahead of what the reader has taken.

use super::pause::Pauses;
use super::sentence::{Break, Pieces, pieces};
use super::step;
use crate::audio::Pcm;
use crate::audio::encode::{Encoder, Output, encoder};
use crate::audio::resample::Resampler;
use crate::engine::pool::Priority;
use crate::engine::{self, SpeakOptions, SynthesizerPool, Utterance};
use crate::error::{Error, Kind, Result};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use std::collections::VecDeque;
use std::iter::Peekable;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// The sample rate of everything that is spoken, in hertz.
pub const OUTPUT_SAMPLE_RATE: u32 = 24_000;

/// No block is longer, so that encoding it takes a few milliseconds: a quarter of a second.
const LONGEST_BLOCK: usize = OUTPUT_SAMPLE_RATE as usize / 4;

/// Speech that has begun waits so long, in all, for room in the queue.
const PATIENCE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(50);

/// Speaks `text` in blocks of [`OUTPUT_SAMPLE_RATE`]. Text with nothing to say is a short silence.
///
/// # Errors
/// As an item, after which the stream ends: what the engine says; `Overloaded` when the lane is full.
///
/// # Cancel safety
/// Dropping the stream cancels what the engine works on.
pub fn speak(
    pool: Arc<SynthesizerPool>,
    text: String,
    options: SpeakOptions,
    priority: Priority,
) -> impl Stream<Item = Result<Pcm>> + Send + 'static {
    let speech = Speech {
        pool,
        joiner: Some(Joiner { speed: options.speed, at_rate: None }),
        options,
        priority,
        text: pieces(text).peekable(),
        begun: false,
        current: None,
        ahead: None,
        ready: VecDeque::new(),
    };
    stream::try_unfold(speech, |mut speech| async move { Ok(speech.next_block().await?.map(|pcm| (pcm, speech))) })
}

/// Encodes `sound`, whose blocks all have one rate, as one file that is written as `output` says: each item holds the
/// bytes that are ready, and there are always some. The bytes do not depend on when they are read.
///
/// # Errors
/// As an item, after which the stream ends: the error of `sound`; `Unsupported` for a rate that the format cannot carry.
///
/// # Cancel safety
/// Dropping the stream drops `sound`.
pub fn encode(
    sound: impl Stream<Item = Result<Pcm>> + Send + 'static,
    output: impl Into<Output>,
) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    let encoding = Encoding { sound: Box::pin(sound), output: output.into(), encoder: None, ended: false };
    stream::try_unfold(encoding, |mut encoding| async move {
        Ok(encoding.next_bytes().await?.map(|bytes| (bytes, encoding)))
    })
}

/// One text being spoken.
struct Speech {
    pool: Arc<SynthesizerPool>,
    options: SpeakOptions,
    priority: Priority,
    text: Peekable<Pieces>,
    /// Whether the first piece has gone to an engine.
    begun: bool,
    current: Option<Spoken>,
    /// The piece after `current`, which the engine may work on while `current` is read.
    ahead: Option<Spoken>,
    /// `None` once all sound is given, and while a step works with it.
    joiner: Option<Joiner>,
    ready: VecDeque<Pcm>,
}

/// A piece of text in an engine.
struct Spoken {
    blocks: UnboundedReceiver<Result<engine::Spoken>>,
    end: Break,
}

impl Speech {
    async fn next_block(&mut self) -> Result<Option<Pcm>> {
        while self.ready.is_empty() {
            let Some(mut joiner) = self.joiner.take() else { return Ok(None) };
            if self.current.is_none() {
                self.current = self.next_piece().await?;
            }
            let Some(current) = &mut self.current else {
                // Everything is said: the joiner is not put back.
                self.ready = step(move || joiner.finish()).await?;
                continue;
            };
            match current.blocks.recv().await {
                Some(block) => {
                    let block = block?;
                    self.look_ahead();
                    let engine::Spoken::Sound(block) = block else {
                        self.joiner = Some(joiner);
                        continue;
                    };
                    (self.ready, joiner) = step(move || Ok((joiner.push(&block)?, joiner))).await?;
                }
                None => {
                    joiner.end_piece(current.end);
                    self.current = None;
                }
            }
            self.joiner = Some(joiner);
        }
        Ok(self.ready.pop_front())
    }

    /// The next piece in an engine; `None` after the last. Speech that has begun waits for room in the queue: failing
    /// here would cut it off in the middle.
    async fn next_piece(&mut self) -> Result<Option<Spoken>> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        let Some(piece) = self.text.next() else { return Ok(None) };
        let mut patience = if self.begun { PATIENCE } else { Duration::ZERO };
        self.begun = true;
        loop {
            match self.submit(piece.text.clone()) {
                Err(error) if error.kind() == Kind::Overloaded && !patience.is_zero() => {
                    tokio::time::sleep(RETRY).await;
                    patience = patience.saturating_sub(RETRY);
                }
                blocks => return Ok(Some(Spoken { blocks: blocks?, end: piece.end })),
            }
        }
    }

    /// Gives the engine the next piece once it is done with the current one, so that its sound is there in time.
    fn look_ahead(&mut self) {
        let is_done = self.current.as_ref().is_some_and(|current| current.blocks.is_closed());
        if !is_done || self.ahead.is_some() {
            return;
        }
        let Some(text) = self.text.peek().map(|piece| piece.text.clone()) else { return };
        // When the queue is full there is time to ask again.
        if let Ok(blocks) = self.submit(text) {
            self.ahead = self.text.next().map(|piece| Spoken { blocks, end: piece.end });
        }
    }

    fn submit(&self, text: String) -> Result<UnboundedReceiver<Result<engine::Spoken>>> {
        let (utterance, options) = (Utterance::from(text.as_str()), self.options.clone());
        self.pool.run_streaming(self.priority, move |engine, cancel, out| {
            engine.synthesize(&utterance, &options, cancel, out)
        })
    }
}

/// Makes one sound of the sounds of all pieces: one rate, natural pauses, short blocks.
struct Joiner {
    speed: f32,
    /// Known with the first block.
    at_rate: Option<AtRate>,
}

struct AtRate {
    sample_rate: u32,
    pauses: Pauses,
    resampler: Resampler,
}

impl Joiner {
    fn push(&mut self, block: &Pcm) -> Result<VecDeque<Pcm>> {
        let at_rate = self.at_rate(block.sample_rate)?;
        if at_rate.sample_rate != block.sample_rate {
            return Err(Error::new(Kind::Internal, "the engine changed its sample rate in the middle of a text"));
        }
        let (mut joined, mut resampled) = (Vec::new(), Vec::new());
        at_rate.pauses.push(&block.samples, &mut joined);
        at_rate.resampler.push(&joined, &mut resampled);
        Ok(short_blocks(resampled))
    }

    fn end_piece(&mut self, end: Break) {
        if let Some(at_rate) = &mut self.at_rate {
            at_rate.pauses.end_piece(end);
        }
    }

    fn finish(mut self) -> Result<VecDeque<Pcm>> {
        let at_rate = self.at_rate(OUTPUT_SAMPLE_RATE)?;
        let (mut joined, mut resampled) = (Vec::new(), Vec::new());
        at_rate.pauses.finish(&mut joined);
        at_rate.resampler.push(&joined, &mut resampled);
        at_rate.resampler.finish(&mut resampled);
        Ok(short_blocks(resampled))
    }

    fn at_rate(&mut self, sample_rate: u32) -> Result<&mut AtRate> {
        let at_rate = match self.at_rate.take() {
            Some(at_rate) => at_rate,
            None => AtRate {
                sample_rate,
                pauses: Pauses::new(sample_rate, self.speed),
                resampler: Resampler::new(sample_rate, OUTPUT_SAMPLE_RATE)?,
            },
        };
        Ok(self.at_rate.insert(at_rate))
    }
}

fn short_blocks(samples: Vec<f32>) -> VecDeque<Pcm> {
    samples.chunks(LONGEST_BLOCK).map(|block| Pcm::new(block.to_vec(), OUTPUT_SAMPLE_RATE)).collect()
}

/// One file being written.
struct Encoding {
    sound: Pin<Box<dyn Stream<Item = Result<Pcm>> + Send>>,
    output: Output,
    /// Made with the first block; `None` too while a step works with it.
    encoder: Option<Box<dyn Encoder>>,
    ended: bool,
}

impl Encoding {
    async fn next_bytes(&mut self) -> Result<Option<Bytes>> {
        while !self.ended {
            let block = self.sound.next().await.transpose()?;
            self.ended = block.is_none();
            let (output, known) = (self.output, self.encoder.take());
            let (bytes, encoder) = step(move || {
                let sample_rate = block.as_ref().map_or(OUTPUT_SAMPLE_RATE, |block| block.sample_rate);
                let mut encoder = known.map_or_else(|| encoder(output, sample_rate), Ok)?;
                let mut bytes = Vec::new();
                match block {
                    Some(block) => encoder.encode(&block.samples, &mut bytes)?,
                    None => encoder.finish(&mut bytes)?,
                }
                Ok((bytes, encoder))
            })
            .await?;
            self.encoder = Some(encoder);
            if !bytes.is_empty() {
                return Ok(Some(bytes.into()));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::encode::AudioFormat;
    use crate::engine::pool::PoolOptions;
    use crate::engine::{Cancel, Synthesizer};
    use futures::TryStreamExt;
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
            out: &mut dyn FnMut(engine::Spoken) -> Result<()>,
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
                out(engine::Spoken::Sound(Pcm::new((0..RATE / 10).map(tone).collect(), RATE)))?;
            }
            Ok(())
        }
    }

    /// A pool of one scripted engine, its log, and what lets it speak a word.
    fn scripted() -> (Arc<SynthesizerPool>, Receiver<String>, Sender<()>) {
        let (log, logged) = channel();
        let (go, gone) = channel();
        let gone = Arc::new(Mutex::new(gone));
        let options = PoolOptions { name: "scripted".into(), slots: 1, queue: 4, cores: None, threads: 1 };
        let factory = move || Ok(Box::new(Scripted { log: log.clone(), go: gone.clone() }) as Box<dyn Synthesizer>);
        (Arc::new(SynthesizerPool::start(options, factory).expect("it can be built")), logged, go)
    }

    fn sound(pool: &Arc<SynthesizerPool>, text: &str) -> impl Stream<Item = Result<Pcm>> + Send + 'static + use<> {
        let options = SpeakOptions::of_voice("any");
        speak(pool.clone(), text.to_owned(), options, Priority::Interactive)
    }

    async fn seconds(sound: impl Stream<Item = Result<Pcm>>) -> f32 {
        let blocks: Vec<Pcm> = sound.try_collect().await.expect("it speaks");
        assert!(blocks.iter().all(|block| block.sample_rate == OUTPUT_SAMPLE_RATE && !block.samples.is_empty()));
        blocks.iter().map(|block| block.samples.len()).sum::<usize>() as f32 / OUTPUT_SAMPLE_RATE as f32
    }

    #[tokio::test]
    async fn sentences_are_joined_with_pauses() {
        let (pool, logged, _) = scripted();
        let spoken = seconds(sound(
            &pool,
            "One two. Three four.

Five.",
        ))
        .await;
        // Five words, a pause after a sentence, one after a paragraph, and the end.
        assert!((spoken - (0.5 + 0.25 + 0.5 + 0.15)).abs() < 0.03, "{spoken}");
        assert_eq!(logged.try_iter().collect::<Vec<_>>(), ["One two.", "Three four.", "Five."]);
    }

    #[tokio::test]
    async fn text_with_nothing_to_say_is_a_short_silence() {
        let (pool, ..) = scripted();
        let spoken = seconds(sound(&pool, " ... ")).await;
        assert!((0.1..0.4).contains(&spoken), "{spoken}");
    }

    #[tokio::test]
    async fn the_first_bytes_are_there_before_the_engine_is_done() {
        for format in AudioFormat::ALL {
            let (pool, _, go) = scripted();
            let mut bytes = Box::pin(encode(sound(&pool, "One two three four five six seven eight."), format));
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
            let fast: Vec<Bytes> = encode(sound(&pool, text), format).try_collect().await.expect("it speaks");
            let (pool, _, go) = scripted();
            let mut slow = Box::pin(encode(sound(&pool, text), format));
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
        let mut sound = Box::pin(sound(&pool, "One two three four five. Six seven."));
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
        let mut bytes = Box::pin(encode(sound(&pool, "One two three four. FAIL five."), AudioFormat::Pcm));
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
        let mut sound = Box::pin(sound(&pool, &"This is one of many sentences that are spoken here. ".repeat(40)));
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
        let mut begun = Box::pin(sound(&pool, "One two three. Four five."));
        go.send(()).expect("the engine runs");
        assert!(begun.next().await.is_some_and(|block| block.is_ok()));
        // The engine waits inside the first piece; now the queue fills up.
        let submit = || pool.run_streaming::<(), _>(Priority::Interactive, |_, _, _| Ok(()));
        let others: Vec<_> = std::iter::repeat_with(submit).take(5).collect();
        assert!(others.last().is_some_and(Result::is_err));
        let refused = Box::pin(sound(&pool, "Too late.")).next().await;
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
            speak(pool.clone(), text.into(), SpeakOptions { speed, ..SpeakOptions::of_voice("en-us") }, Priority::Batch)
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
}
