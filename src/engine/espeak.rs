//! Text to speech with espeak-ng: a small formant synthesizer that speaks more than a hundred languages and needs no
//! download. The only file that knows the crate.
//!
//! Its data is inside the binary, but it reads files: they are written once to the cache folder.

mod mnemonics;
pub mod phonemes;
pub mod voices;

pub use voices::voices;

use super::loudness::limited;
use super::{Cancel, Factory, Load, Mark, SpeakOptions, Spoken, Synthesizer, Utterance};
use crate::audio::Pcm;
use crate::audio::pitch::Pitch;
use crate::audio::stretch::Stretch;
use crate::error::{Error, Kind, Result};
use espeak_ng::{EspeakNg, EventKind, Parameter, SynthEvent};
use mnemonics::Mnemonics;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The rate of everything espeak-ng speaks, in hertz.
const SAMPLE_RATE: u32 = 22_050;

/// What an engine says that has nothing to say: a tenth of a second of silence.
const NOTHING: usize = SAMPLE_RATE as usize / 10;

/// Writes espeak-ng's data to the cache folder, unless it is there, and returns what makes the engines.
///
/// # Errors
/// `Unavailable` when the cache folder cannot be written.
pub fn load(load: &Load<'_>) -> Result<Factory<dyn Synthesizer>> {
    let data = install(load.cache_dir)?;
    Ok(Box::new(move || Ok(Box::new(Espeak::new(&data)?))))
}

/// The folder with the data inside `cache_dir`. It gets its name only when it is complete, so that a crash or another
/// process at the same work leaves nothing half done, and the name has the version in it.
fn install(cache_dir: &Path) -> Result<PathBuf> {
    let data = cache_dir.join(format!("espeak-ng-data-{}", EspeakNg::version()));
    if works(&data) {
        return Ok(data);
    }
    let refused = |error: std::io::Error| {
        let message = format!("the built-in voice cannot write its data to {}: {error}", cache_dir.display());
        Error::new(Kind::Unavailable, message).with_source(error)
    };
    fs::create_dir_all(cache_dir).map_err(refused)?;
    let fresh = tempfile::Builder::new().prefix(".espeak-ng-").tempdir_in(cache_dir).map_err(refused)?;
    let complete = fresh.path().join("data");
    fs::create_dir(&complete).and_then(|()| espeak_ng::install_bundled_data(&complete)).map_err(refused)?;
    if data.exists() && !works(&data) {
        // Damaged, for it has the right name. It goes away with the temporary folder.
        let _ = fs::rename(&data, fresh.path().join("damaged"));
    }
    match fs::rename(&complete, &data) {
        Err(error) if !works(&data) => Err(refused(error)),
        // Written now, or by another process in the meantime.
        _ => Ok(data),
    }
}

/// Whether the data in `data` is there and speaks.
fn works(data: &Path) -> bool {
    let speaks = || Ok::<_, espeak_ng::Error>(!EspeakNg::with_data_dir("en-us", data)?.synth("yes")?.0.is_empty());
    data.is_dir() && catch_unwind(AssertUnwindSafe(speaks)).is_ok_and(|spoken| spoken.unwrap_or(false))
}

/// One slot.
struct Espeak {
    engine: EspeakNg,
    data: PathBuf,
    /// How phonemes are written in the language that last had some.
    mnemonics: Option<(String, Mnemonics)>,
}

impl Espeak {
    fn new(data: &Path) -> Result<Self> {
        let mut engine = EspeakNg::with_data_dir("en-us", data)
            .map_err(|e| Error::new(Kind::Unavailable, "the data of the built-in voice is gone").with_source(e))?;
        // Pauses after a text are made where texts are joined.
        engine.set_no_final_pause(true);
        Ok(Self { engine, data: data.to_owned(), mnemonics: None })
    }

    /// What to hand to the crate: the text, and the phonemes in the places of their words.
    fn script(&mut self, utterance: &Utterance, voice: &str) -> String {
        let language = voice.split('+').next().unwrap_or_default();
        let is_known = self.mnemonics.as_ref().is_some_and(|(known, _)| known == language);
        if !utterance.phonemes.is_empty() && !is_known {
            self.mnemonics = Mnemonics::of(language, &self.data).map(|mnemonics| (language.to_owned(), mnemonics));
        }
        let text = |from: usize, to: usize| readable(utterance.text.get(from..to).unwrap_or_default());
        let (mut script, mut at) = (String::new(), 0);
        for (range, ipa) in &utterance.phonemes {
            script += &text(at, range.start);
            let spoken = self.mnemonics.as_ref().map(|(_, mnemonics)| mnemonics.spoken(ipa)).unwrap_or_default();
            script += if spoken.is_empty() { text(range.start, range.end) } else { spoken }.as_str();
            at = range.end;
        }
        script + &text(at, utterance.text.len())
    }

    /// Speaks `text` and returns where its words are, in so far as that is known. `sink` returns true to stop.
    ///
    /// The crate panics on some odd texts, before any sound. Then each half of the text is spoken alone, and so on:
    /// what cannot be spoken at all is left out.
    fn stream(&self, text: &str, sink: &mut dyn FnMut(&[i16]) -> bool) -> Result<Streamed> {
        let (mut begun, mut stopped, mut events) = (false, false, Vec::new());
        let spoken = catch_unwind(AssertUnwindSafe(|| {
            self.engine.synth_streaming_with_events(text, |samples, _, found| {
                begun = true;
                stopped = sink(samples);
                events.extend_from_slice(found);
                stopped
            })
        }));
        match (spoken, halves(text)) {
            (Ok(Ok(_)), _) => Ok(Streamed { stopped, events }),
            (Ok(Err(error)), _) => Err(Error::internal("the built-in voice cannot speak this text", error)),
            (Err(_), Some((first, second))) if !begun => {
                let stopped = self.stream(first, sink)?.stopped || self.stream(second, sink)?.stopped;
                Ok(Streamed { stopped, events: Vec::new() })
            }
            (Err(_), _) => Ok(Streamed { stopped, events: Vec::new() }),
        }
    }
}

/// What became of a text.
struct Streamed {
    /// Whether nobody wanted to hear the rest.
    stopped: bool,
    /// Where words begin; empty when that is not known.
    events: Vec<SynthEvent>,
}

/// `text` cut in the middle, between words if there are several; `None` for a single character.
fn halves(text: &str) -> Option<(&str, &str)> {
    let middle = text.len() / 2;
    let near_middle = |at: &usize| at.abs_diff(middle);
    let spaces = text.char_indices().filter(|(_, c)| c.is_whitespace()).map(|(at, _)| at);
    let letters = text.char_indices().map(|(at, _)| at).skip(1);
    let inside = |at: &usize| (1..text.trim_end().len()).contains(at);
    let at = spaces.filter(inside).min_by_key(near_middle).or_else(|| letters.min_by_key(near_middle))?;
    Some(text.split_at(at))
}

impl Synthesizer for Espeak {
    fn synthesize(
        &mut self,
        utterance: &Utterance,
        options: &SpeakOptions,
        cancel: &Cancel<'_>,
        out: &mut dyn FnMut(Spoken) -> Result<()>,
    ) -> Result<()> {
        voices::speaker(&options.voice).ok_or_else(|| unknown(&options.voice))?;
        let voice = match options.language.as_deref() {
            Some(tag) => voices::in_language(&options.voice, tag).ok_or_else(|| voices::unknown_language(tag))?,
            None => options.voice.clone(),
        };
        let gain = voices::speaker(&voice).map_or(1.0, |speaker| speaker.gain);
        let pace = Pace::of(options.speed);
        self.engine.set_voice(&voice);
        self.engine.set_parameter(Parameter::Rate, pace.words_per_minute);
        let height = Height::of(options.pitch, voices::melody(&voice));
        self.engine.set_parameter(Parameter::Pitch, height.parameter);
        let script = self.script(utterance, &voice);
        let mut sound = Sound::new(gain, pace.stretch, height.rest, out)?;
        let mut result = Ok(());
        let streamed = self.stream(&script, &mut |samples| {
            result = match cancel.is_cancelled() {
                true => Err(Error::new(Kind::Cancelled, "nobody listens any more")),
                false => sound.push(samples),
            };
            result.is_err()
        })?;
        result?;
        sound.finish()?;
        for (text, milliseconds) in marks(&utterance.text, &streamed.events, pace.words_per_minute) {
            let start = Duration::from_secs_f64(f64::from(milliseconds) / 1000.0 / f64::from(pace.stretch));
            out(Spoken::Mark(Mark { text, start }))?;
        }
        Ok(())
    }
}

/// The sound on its way from the crate to the caller.
struct Sound<'a> {
    gain: f32,
    stretch: Option<Stretch>,
    pitch: Option<Pitch>,
    given: usize,
    out: &'a mut dyn FnMut(Spoken) -> Result<()>,
}

impl<'a> Sound<'a> {
    fn new(gain: f32, speed: f32, pitch: f32, out: &'a mut dyn FnMut(Spoken) -> Result<()>) -> Result<Self> {
        let stretch = (speed != 1.0).then(|| Stretch::new(SAMPLE_RATE, speed));
        let pitch = if pitch == 1.0 { None } else { Some(Pitch::new(SAMPLE_RATE, pitch)?) };
        Ok(Self { gain, stretch, pitch, given: 0, out })
    }

    fn push(&mut self, samples: &[i16]) -> Result<()> {
        let mut samples: Vec<f32> = samples.iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
        if let Some(stretch) = &mut self.stretch {
            let input = std::mem::take(&mut samples);
            stretch.push(&input, &mut samples);
        }
        self.raise(samples)
    }

    fn raise(&mut self, mut samples: Vec<f32>) -> Result<()> {
        if let Some(pitch) = &mut self.pitch {
            let input = std::mem::take(&mut samples);
            pitch.push(&input, &mut samples);
        }
        self.give(samples)
    }

    /// Hands out the rest, or a short silence when there was no sound at all.
    fn finish(&mut self) -> Result<()> {
        let mut rest = Vec::new();
        if let Some(stretch) = &mut self.stretch {
            stretch.finish(&mut rest);
        }
        self.raise(rest)?;
        let mut rest = Vec::new();
        if let Some(pitch) = &mut self.pitch {
            pitch.finish(&mut rest);
        }
        if self.given == 0 && rest.is_empty() {
            rest = vec![0.0; NOTHING];
        }
        self.give(rest)
    }

    fn give(&mut self, mut samples: Vec<f32>) -> Result<()> {
        samples.iter_mut().for_each(|sample| *sample = limited(*sample * self.gain));
        self.given += samples.len();
        if samples.is_empty() { Ok(()) } else { (self.out)(Spoken::Sound(Pcm::new(samples, SAMPLE_RATE))) }
    }
}

/// Where the words of `text` begin, in bytes, and when, in milliseconds: nothing unless the crate has counted as many
/// words as there are. It counts dashes too, and the end of the last clause.
fn marks(text: &str, events: &[SynthEvent], words_per_minute: i32) -> Vec<(usize, u32)> {
    let at = |event: &SynthEvent| event.audio_position_ms;
    let end = events.iter().map(at).max().unwrap_or_default();
    let begun = events.iter().filter(|event| matches!(event.kind, EventKind::Word(_)));
    let begun: Vec<u32> = begun.map(at).collect();
    // The gap behind a word that is none takes 10 ms at the usual 175 words per minute.
    let shortest = 15 * 175 / words_per_minute.max(1) as u32;
    let next = begun.iter().skip(1).copied().chain([end]);
    let mut starts: Vec<u32> =
        begun.iter().zip(next).filter(|(start, next)| next - *start >= shortest).map(|(start, _)| *start).collect();
    let last_clause = events.iter().filter(|event| event.kind == EventKind::Sentence).map(at).max();
    let words: Vec<usize> = words(text).collect();
    if starts.len() == words.len() + 1 && starts.last().copied() == last_clause {
        starts.pop();
    }
    if starts.len() == words.len() { words.into_iter().zip(starts).collect() } else { Vec::new() }
}

/// Where the words of `text` begin: what stands between spaces and has a letter or a digit, from that on.
fn words(text: &str) -> impl Iterator<Item = usize> {
    let start = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
    text.split_whitespace().filter_map(move |part| Some(start(part) + part.find(char::is_alphanumeric)?))
}

fn unknown(voice: &str) -> Error {
    let message = format!("the built-in voice `{voice}` does not exist; `en-us`, `en-gb+f2` and `de` do");
    Error::invalid("voice", message)
}

/// `text` without what espeak-ng takes for commands: control characters set its parameters, `[[` begins phonemes.
/// Marks that only steer a screen go too.
fn readable(text: &str) -> String {
    let is_steering =
        |c: char| matches!(u32::from(c), 0x200B | 0x200E..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0xFEFF);
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().filter(|c| !is_steering(*c)).map(visible).collect();
    text.replace("[[", "[ [")
}

/// How to reach a speed: with espeak-ng's own rate as far as that sounds natural, the rest by stretching.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pace {
    words_per_minute: i32,
    /// The factor left to the stretch; 1 is none.
    stretch: f32,
}

/// How much longer speech gets at a rate in words per minute, measured over several languages.
const LENGTHS: &[(i32, f32)] = &[
    (80, 2.16),
    (90, 1.985),
    (100, 1.78),
    (110, 1.594),
    (120, 1.45),
    (140, 1.226),
    (160, 1.084),
    (175, 1.0),
    (200, 0.893),
    (240, 0.772),
    (260, 0.731),
    (300, 0.661),
];

impl Pace {
    fn of(speed: f32) -> Self {
        let length = 1.0 / speed.clamp(0.25, 4.0);
        let between = LENGTHS.windows(2).find(|pair| (pair[1].1..=pair[0].1).contains(&length));
        if let Some(&[(slow, long), (fast, short)]) = between {
            let share = (long - length) / (long - short);
            return Self { words_per_minute: slow + ((fast - slow) as f32 * share).round() as i32, stretch: 1.0 };
        }
        let (words_per_minute, reached) = if length > 1.0 { LENGTHS[0] } else { LENGTHS[LENGTHS.len() - 1] };
        Self { words_per_minute, stretch: reached / length }
    }
}

/// How to reach a pitch: with espeak-ng's own, which keeps the sound of the speaker, as far as that goes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Height {
    /// In espeak-ng's steps, of which 50 double the pitch.
    parameter: i32,
    /// The factor left; 1 is none.
    rest: f32,
}

impl Height {
    /// Reaches `pitch` for a voice with so much `melody`, which espeak-ng's pitch does not move.
    fn of(pitch: f32, melody: f32) -> Self {
        let pitch = pitch.clamp(0.5, 2.0);
        let base = ((1.0 + melody) * pitch - melody).clamp(0.5, 1.98);
        let reached = (base + melody) / (1.0 + melody);
        let rest = if (pitch / reached - 1.0).abs() < 0.01 { 1.0 } else { pitch / reached };
        Self { parameter: (50.0 + 50.0 * base.log2()).round() as i32, rest }
    }
}

#[cfg(test)]
mod tests;
