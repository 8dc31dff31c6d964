//! Text to speech with espeak-ng: a small formant synthesizer that speaks more than a hundred languages and needs no
//! download. The only file that knows the crate.
//!
//! Its data is inside the binary, but it reads files: they are written once to the cache folder.

pub mod phonemes;
pub mod voices;

pub use voices::voices;

use super::loudness::limited;
use super::{Cancel, Factory, Load, SpeakOptions, Spoken, Synthesizer, Utterance};
use crate::audio::Pcm;
use crate::audio::stretch::Stretch;
use crate::error::{Error, Kind, Result};
use espeak_ng::{EspeakNg, Parameter};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

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
}

impl Espeak {
    fn new(data: &Path) -> Result<Self> {
        let mut engine = EspeakNg::with_data_dir("en-us", data)
            .map_err(|e| Error::new(Kind::Unavailable, "the data of the built-in voice is gone").with_source(e))?;
        // Pauses after a text are made where texts are joined.
        engine.set_no_final_pause(true);
        Ok(Self { engine })
    }

    /// Speaks `text`. `sink` returns true to stop, and so does this when it was stopped.
    ///
    /// The crate panics on some odd texts, before any sound. Then each half of the text is spoken alone, and so on:
    /// what cannot be spoken at all is left out.
    fn stream(&self, text: &str, sink: &mut dyn FnMut(&[i16]) -> bool) -> Result<bool> {
        let (mut begun, mut stopped) = (false, false);
        let spoken = catch_unwind(AssertUnwindSafe(|| {
            self.engine.synth_streaming(text, |samples, _| {
                begun = true;
                stopped = sink(samples);
                stopped
            })
        }));
        match (spoken, halves(text)) {
            (Ok(Ok(_)), _) => Ok(stopped),
            (Ok(Err(error)), _) => Err(Error::internal("the built-in voice cannot speak this text", error)),
            (Err(_), Some((first, second))) if !begun => Ok(self.stream(first, sink)? || self.stream(second, sink)?),
            (Err(_), _) => Ok(stopped),
        }
    }
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
        let speaker = voices::speaker(&options.voice).ok_or_else(|| unknown(&options.voice))?;
        let pace = Pace::of(options.speed);
        self.engine.set_voice(&options.voice);
        self.engine.set_parameter(Parameter::Rate, pace.words_per_minute);
        let mut stretch = (pace.stretch != 1.0).then(|| Stretch::new(SAMPLE_RATE, pace.stretch));
        let mut given = 0;
        let mut give = |samples: Vec<f32>| {
            given += samples.len();
            if samples.is_empty() { Ok(()) } else { out(Spoken::Sound(Pcm::new(samples, SAMPLE_RATE))) }
        };
        let mut stopped = Ok(());
        self.stream(&readable(&utterance.text), &mut |samples| {
            let samples: Vec<f32> =
                samples.iter().map(|sample| limited(f32::from(*sample) / 32_768.0 * speaker.gain)).collect();
            stopped = match (&mut stretch, cancel.is_cancelled()) {
                (_, true) => Err(Error::new(Kind::Cancelled, "nobody listens any more")),
                (None, _) => give(samples),
                (Some(stretch), _) => give(pushed(stretch, &samples)),
            };
            stopped.is_err()
        })?;
        stopped?;
        if let Some(stretch) = &mut stretch {
            let mut rest = Vec::new();
            stretch.finish(&mut rest);
            give(rest)?;
        }
        if given == 0 { out(Spoken::Sound(Pcm::new(vec![0.0; NOTHING], SAMPLE_RATE))) } else { Ok(()) }
    }
}

fn pushed(stretch: &mut Stretch, samples: &[f32]) -> Vec<f32> {
    let mut out = Vec::new();
    stretch.push(samples, &mut out);
    out
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

#[cfg(test)]
mod tests;
