//! Pieces of a recording become text: recognised, looked at twice where need be.

use super::{Heard, Request, audit};
use crate::audio::Pcm;
use crate::engine::{TranscribeOptions, TranscriberPool, VoicePrint};
use crate::error::{Error, Kind, Result};
use crate::speech::chunk::Piece;
use crate::speech::speakers;
use crate::transcript::{Segment, Transcript};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// How long a file that is under way waits before it asks a full queue again.
const RETRY: Duration = Duration::from_millis(100);

/// So much around speech without text is recognised with it.
const AROUND_GAP: Duration = Duration::from_millis(300);

/// A piece with its text and its voices, in the times of the file.
pub(super) struct Recognized {
    pub(super) piece: Arc<Piece>,
    pub(super) transcript: Transcript,
    pub(super) prints: Vec<VoicePrint>,
}

/// What recognises the pieces of one file.
pub(super) struct Recognizer {
    pub(super) pool: Arc<TranscriberPool>,
    pub(super) request: Request,
}

pub(super) type Answer = UnboundedReceiver<Result<Transcript>>;

impl Recognizer {
    pub(super) fn submit(&self, audio: Arc<Pcm>, options: TranscribeOptions) -> Result<Answer> {
        self.pool.run_streaming(self.request.priority, move |engine, cancel, out| {
            engine.transcribe(&audio, &options, cancel).and_then(&mut *out)
        })
    }

    /// Waits for room in the queue.
    pub(super) async fn submit_patiently(&self, audio: Arc<Pcm>, options: TranscribeOptions) -> Result<Answer> {
        loop {
            match self.submit(audio.clone(), options.clone()) {
                Err(error) if error.kind() == Kind::Overloaded => tokio::time::sleep(RETRY).await,
                answer => return answer,
            }
        }
    }

    /// Waits for the text of `piece`, and looks whether it is all. Meanwhile the voices are listened to.
    pub(super) async fn finish(
        &self,
        number: usize,
        piece: Arc<Piece>,
        answer: Answer,
        options: TranscribeOptions,
    ) -> Result<Recognized> {
        let (transcript, prints) = tokio::try_join!(self.text(&piece, answer, options), self.voices(&piece))?;
        let Some(notes) = &self.request.notes else { return Ok(Recognized { piece, transcript, prints }) };
        let heard = Heard { transcript, prints };
        notes.keep(self.request.channel, number, &heard).await?;
        Ok(Recognized { piece, transcript: heard.transcript, prints: heard.prints })
    }

    /// What was heard in the piece with this number before the work was interrupted.
    pub(super) fn recall(&self, number: usize) -> Option<Heard> {
        self.request.notes.as_ref()?.recall(self.request.channel, number)
    }

    async fn text(&self, piece: &Piece, answer: Answer, options: TranscribeOptions) -> Result<Transcript> {
        let mut transcript = receive(answer).await?;
        piece.to_file_times(&mut transcript);
        transcript.report.pieces += 1;
        audit::fit_to_voices(&piece.begun(), &mut transcript.segments);
        audit::fit_to_pauses(&piece.heard(), &mut transcript.segments);
        if options.guard && self.request.stages.cut {
            audit::disbelieve(&piece.voiced(), &mut transcript);
        }
        if self.audits() {
            self.audit(piece, &mut transcript, options).await?;
        }
        Ok(transcript)
    }

    /// The prints of the voices, where they are to be told apart.
    async fn voices(&self, piece: &Piece) -> Result<Vec<VoicePrint>> {
        let Some(diarization) = &self.request.diarization else { return Ok(Vec::new()) };
        let mut prints = loop {
            match speakers::listen(&diarization.pool, piece.audio.clone(), self.request.priority).await {
                Err(error) if error.kind() == Kind::Overloaded => tokio::time::sleep(RETRY).await,
                prints => break prints?,
            }
        };
        for print in &mut prints {
            (print.start, print.end) = piece.place_of(print.start, print.end);
        }
        Ok(prints)
    }

    /// Whether speech without text is looked for: that takes knowing where speech is.
    pub(super) fn audits(&self) -> bool {
        self.request.stages.audit && self.request.stages.cut
    }

    /// Recognises the speech that has no text once more, by itself, and notes what stays without.
    async fn audit(&self, piece: &Piece, transcript: &mut Transcript, mut options: TranscribeOptions) -> Result<()> {
        let voiced = piece.voiced();
        options.language = transcript.language.clone().or(options.language);
        for segment in audit::take_stretched(&mut transcript.segments) {
            let mut found = Vec::new();
            for stretch in audit::stretches(&voiced, &segment) {
                found.extend(self.recognise_apart(piece, &stretch, transcript, &options).await?);
            }
            let is_better = audit::says_more(&found, &segment);
            transcript.report.recovered += u32::from(is_better);
            transcript.segments.extend(if is_better { found } else { vec![segment] });
        }
        for (gap, voice) in audit::doubts(&voiced, &transcript.segments) {
            let found = self.recognise_apart(piece, &voice, transcript, &options).await?;
            let found = audit::within(&gap, found);
            transcript.report.recovered += u32::from(!found.is_empty());
            transcript.segments.extend(found);
        }
        transcript.segments.sort_by_key(|segment| segment.start);
        let gaps = audit::gaps(&voiced, &transcript.segments);
        let spoken = piece.spoken(|place| audit::is_said(place, &transcript.segments));
        transcript.report.coverage = Some(audit::coverage(&spoken, gaps));
        Ok(())
    }

    /// What is said in a `stretch` of `piece`, recognised with nothing but a little of what is around it.
    async fn recognise_apart(
        &self,
        piece: &Piece,
        stretch: &Range<Duration>,
        transcript: &mut Transcript,
        options: &TranscribeOptions,
    ) -> Result<Vec<Segment>> {
        let Some(part) = piece.part(stretch, AROUND_GAP) else { return Ok(Vec::new()) };
        let answer = self.submit_patiently(part.audio.clone(), options.clone()).await?;
        let mut found = receive(answer).await?;
        part.to_file_times(&mut found);
        transcript.report.append(found.report);
        transcript.report.audited += 1;
        Ok(audit::within(stretch, found.segments))
    }
}

async fn receive(mut answer: Answer) -> Result<Transcript> {
    let lost = || Err(Error::new(Kind::Unavailable, "the model was unloaded during the work; try again"));
    answer.recv().await.unwrap_or_else(lost)
}
