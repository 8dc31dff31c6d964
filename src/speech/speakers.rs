//! Who said what: voices told apart, and words given to them.
//!
//! An engine describes the voices of each piece of audio while it is being recognised ([`listen`]). [`Voices`] collects
//! these prints, decides which are of one voice, and writes the speakers into the transcript: at the end of a recording
//! with all that was heard ([`Voices::label`]), or piece by piece where the text is wanted at once
//! ([`Voices::label_so_far`]).
//!
//! ```text
//! let mut voices = Voices::new(&diarization, priority).await?;
//! for each piece {
//!     let prints = listen(&diarization.pool, audio, priority).await?;   // while the piece is being recognised
//!     voices.add(prints at the times of the file);
//!     voices.label_so_far(&mut transcript of the piece);                // only when it is streamed
//! }
//! voices.label(&mut whole_transcript);                                  // when it is not; in a `step`
//! ```

mod cluster;
mod known;
mod turns;
mod words;

use crate::audio::Pcm;
use crate::engine::pool::Priority;
use crate::engine::{DiarizerPool, VoicePrint};
use crate::error::Result;
use crate::transcript::{Speaker, Transcript};
use cluster::Cluster;
use known::Known;
use std::sync::Arc;
use std::time::Duration;
use turns::{Turn, turns};

/// In a stream, a voice that has spoken less is taken for one that was heard before.
const NEW_VOICE: Duration = Duration::from_secs(1);

/// How to tell the voices of a recording apart.
#[derive(Clone)]
pub struct Diarization {
    /// What tells voices apart.
    pub pool: Arc<DiarizerPool>,
    /// Voices that have names.
    pub known: Vec<KnownSpeaker>,
    /// How many voices there are; `None` when that is not known.
    pub count: Option<usize>,
}

/// A voice with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSpeaker {
    /// The name.
    pub name: Arc<str>,
    /// A sound file in which nobody but this speaker speaks, for two seconds or more; the first 30 s are listened to.
    pub sample: Arc<[u8]>,
}

/// The prints of the voices in `audio`, one piece at 16 kHz. Times are relative to its start.
///
/// # Errors
/// `Overloaded` when the queue of the diarizer is full, and whatever the engine says.
///
/// # Cancel safety
/// Dropping the future gives up the work.
pub async fn listen(pool: &DiarizerPool, audio: Arc<Pcm>, priority: Priority) -> Result<Vec<VoicePrint>> {
    pool.run(priority, move |engine, cancel| engine.voices(&audio, cancel)).await
}

/// A span of time in which one speaker speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpeakerTurn {
    /// When it begins.
    pub start: Duration,
    /// When it ends.
    pub end: Duration,
    /// Who speaks.
    pub speaker: Speaker,
}

/// The voices of one recording. Holds one print for about every 0.75 s of speech, some 15 MB in three hours.
pub struct Voices {
    same_voice: f32,
    count: Option<usize>,
    known: Vec<Known>,
    /// In order of time.
    prints: Vec<VoicePrint>,
    stream: Stream,
}

/// What [`Voices::label_so_far`] has decided: it does not change its mind.
#[derive(Default)]
struct Stream {
    /// How many prints it has looked at.
    seen: usize,
    voices: Vec<Cluster>,
    names: Vec<Option<Speaker>>,
    /// The last turn of the piece before.
    last: Option<Turn>,
}

impl Voices {
    /// At the start of a recording. Listens to the samples of the known speakers.
    ///
    /// # Errors
    /// `InvalidAudio` for a sample that cannot be decoded or in which nobody speaks, with the name of the speaker;
    /// whatever the engine says.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the work.
    pub async fn new(diarization: &Diarization, priority: Priority) -> Result<Self> {
        let Diarization { pool, known, count } = diarization;
        let same_voice = pool.run(priority, |engine, _| Ok(engine.same_voice())).await?;
        let mut voices = Self::with_threshold(same_voice, *count);
        for speaker in known {
            voices.known.push(known::learn(pool, speaker, priority).await?);
        }
        Ok(voices)
    }

    fn with_threshold(same_voice: f32, count: Option<usize>) -> Self {
        Self { same_voice, count, known: Vec::new(), prints: Vec::new(), stream: Stream::default() }
    }

    /// Adds the prints of the next piece, with times from the start of the recording.
    pub fn add(&mut self, mut prints: Vec<VoicePrint>) {
        self.prints.append(&mut prints);
        let new = &mut self.prints[self.stream.seen..];
        new.sort_by_key(|print| print.start);
    }

    /// Writes into `transcript`, which is that of everything added, who says each word and each segment. A segment in
    /// which the speaker changes becomes several; without words it stays whole and belongs to whoever speaks most in it.
    /// Unknown speakers are numbered in the order in which they first have text. Without prints nothing changes.
    ///
    /// This computes, for hours of sound about a second: call it in [`step`](crate::speech::step).
    pub fn label(&self, transcript: &mut Transcript) {
        let (turns, names) = self.turns_and_names();
        words::assign(transcript, &turns, &mut numbered(names));
    }

    /// Who speaks when in everything added, in order of time. Unknown speakers are numbered in the order in which they
    /// are first heard, which is not always that of [`Voices::label`].
    pub fn turns(&self) -> Vec<SpeakerTurn> {
        let (turns, names) = self.turns_and_names();
        let mut name = numbered(names);
        let named = |turn: &Turn| SpeakerTurn { start: turn.start, end: turn.end, speaker: name(turn.voice) };
        turns.iter().map(named).collect()
    }

    /// The turns of the whole recording, and the names of the voices that are known.
    fn turns_and_names(&self) -> (Vec<Turn>, Vec<Option<Speaker>>) {
        let voices = cluster::voices(&self.prints, self.same_voice, self.count);
        let names = known::recognise(&self.known, &voices, self.same_voice);
        (turns(&self.prints, &voices), names)
    }

    /// As [`Voices::label`], for `transcript` of what was added since the last call. A voice keeps the speaker it once
    /// got, so this knows less than [`Voices::label`] and is wrong more often in the first minute. Takes milliseconds.
    pub fn label_so_far(&mut self, transcript: &mut Transcript) {
        let new = &self.prints[self.stream.seen..];
        for heard in cluster::voices(new, self.same_voice, None) {
            self.stream.hear(heard, self.same_voice, self.count);
        }
        let mut turns: Vec<Turn> = self.stream.last.take().into_iter().collect();
        turns.extend(self::turns(new, &self.stream.voices));
        self.stream.last = turns.last().cloned();
        self.stream.seen = self.prints.len();
        let Self { stream: Stream { voices, names, .. }, known, same_voice, .. } = self;
        words::assign(transcript, &turns, &mut |voice| {
            if names[voice].is_none() {
                names[voice] = Some(known::name(known, names, &voices[voice], *same_voice));
            }
            names[voice].clone().unwrap_or(Speaker::Unknown(0))
        });
    }
}

/// Names voices: those without a name get numbers in the order in which they are asked for.
fn numbered(mut names: Vec<Option<Speaker>>) -> impl FnMut(usize) -> Speaker {
    let mut numbers = 0..;
    move |voice| names[voice].get_or_insert_with(|| Speaker::Unknown(numbers.next().unwrap_or(u32::MAX))).clone()
}

impl Stream {
    /// Takes a voice of a piece for one that was heard before, or for a new one.
    fn hear(&mut self, heard: Cluster, same_voice: f32, count: Option<usize>) {
        let is_full = count.is_some_and(|count| self.voices.len() >= count.max(1));
        let likely = |voice: &usize| self.voices[*voice].likeness(&heard) >= same_voice;
        match cluster::nearest(&self.voices, &heard) {
            Some(nearest) if is_full || heard.speech() < NEW_VOICE || likely(&nearest) => {
                self.voices[nearest].absorb(&heard);
            }
            _ => {
                self.voices.push(heard);
                self.names.push(None);
            }
        }
    }
}

#[cfg(test)]
mod tests;
