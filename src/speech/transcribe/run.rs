//! One recording on its way: read, cut, recognised piece by piece, put together in order.

use super::cutter::Cutter;
use super::recognizer::{Recognized, Recognizer};
use super::{Heard, Progress, Request, seam};
use crate::audio::decode::Source;
use crate::audio::samples_to_duration;
use crate::engine::{SPEECH_SAMPLE_RATE, TranscribeOptions, TranscriberPool};
use crate::error::{Kind, Result};
use crate::speech::chunk::{Chunker, Piece};
use crate::speech::speakers::Voices;
use crate::speech::step;
use crate::telemetry;
use crate::transcript::Transcript;
use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One file on its way.
pub(super) struct Run {
    recognizer: Arc<Recognizer>,
    /// `None` once the file is read to its end, or while a step has it.
    cutter: Option<Cutter>,
    /// Cut, but not yet given to the pool.
    ready: VecDeque<Piece>,
    /// In the pool or being audited, in order.
    running: FuturesOrdered<BoxFuture<'static, Result<Recognized>>>,
    /// How many pieces have been started.
    count: usize,
    /// The language of the first speech, when the caller has not named one.
    language: Option<String>,
    /// The end of a piece that the next one is to be joined to.
    open_end: Option<(Transcript, Duration)>,
    /// What has been heard of the speakers, when they are to be told apart.
    voices: Option<Voices>,
    /// How much of the file has been read.
    read: Duration,
    started: Instant,
    /// Whether a piece has found room in the pool's queue.
    admitted: bool,
}

impl Run {
    /// Begins to read `source`.
    pub(super) async fn open(
        pool: Arc<TranscriberPool>,
        source: Box<dyn Source>,
        request: Request,
    ) -> Result<Box<Self>> {
        let (stages, channel, endpointing) = (request.stages, request.channel, request.endpointing.clone());
        let chunker = move || if stages.cut { Chunker::new(endpointing) } else { Chunker::of_everything() };
        let cutter = step(move || Cutter::open(source, channel, chunker())).await?;
        let voices = match &request.diarization {
            Some(diarization) => Some(Voices::new(diarization, request.priority).await?),
            None => None,
        };
        Ok(Box::new(Self {
            language: request.options.language.clone(),
            recognizer: Arc::new(Recognizer { pool, request }),
            cutter: Some(cutter),
            ready: VecDeque::new(),
            running: FuturesOrdered::new(),
            count: 0,
            open_end: None,
            voices,
            read: Duration::ZERO,
            started: Instant::now(),
            admitted: false,
        }))
    }

    /// The text of the next piece. The words are still in it, and nobody is named.
    pub(super) async fn advance(&mut self) -> Result<Progress> {
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
        let number = self.count;
        self.count += 1;
        if let Some(Heard { transcript, prints }) = self.recognizer.recall(number) {
            self.running.push_back(std::future::ready(Ok(Recognized { piece, transcript, prints })).boxed());
            return Ok(());
        }
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
        self.running.push_back(async move { recognizer.finish(number, piece, answer, options).await }.boxed());
        Ok(())
    }

    /// Puts a piece behind those before it.
    fn take(&mut self, Recognized { piece, mut transcript, prints }: Recognized) -> Progress {
        if let Some(voices) = &mut self.voices {
            voices.add(prints);
        }
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
        Progress { transcript, until: if finished { self.read } else { until }, read: self.read, finished }
    }

    /// Tells the notes, if any are taken, how far the text is.
    pub(super) fn tell<'a>(&self, progress: &'a Progress) -> impl Future<Output = Result<()>> + Send + use<'a> {
        let (notes, channel) = (self.recognizer.request.notes.clone(), self.recognizer.request.channel);
        async move {
            match notes {
                Some(notes) => notes.advance(channel, progress).await,
                None => Ok(()),
            }
        }
    }

    /// Writes who speaks into what is new, as far as can be told by now, and leaves out the words if nobody wants them.
    pub(super) fn label_so_far(&mut self, transcript: &mut Transcript) {
        if let Some(voices) = &mut self.voices {
            voices.label_so_far(transcript);
        }
        self.leave_out_words(transcript);
    }

    /// Writes who speaks into the whole `transcript`, and leaves out the words if nobody wants them.
    pub(super) async fn label(&mut self, mut transcript: Transcript) -> Result<Transcript> {
        if let Some(voices) = self.voices.take() {
            transcript = step(move || {
                voices.label(&mut transcript);
                Ok(transcript)
            })
            .await?;
        }
        self.leave_out_words(&mut transcript);
        Ok(transcript)
    }

    fn leave_out_words(&self, transcript: &mut Transcript) {
        if !self.recognizer.request.options.words {
            transcript.segments.iter_mut().for_each(|segment| segment.words.clear());
        }
    }
}

/// Takes the segments that end after `time`.
fn split_off(transcript: &mut Transcript, time: Duration) -> Transcript {
    let from = transcript.segments.iter().position(|segment| segment.end > time);
    let segments = from.map_or_else(Vec::new, |from| transcript.segments.split_off(from));
    Transcript { segments, ..Transcript::default() }
}
