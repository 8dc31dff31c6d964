//! Voices to tell apart, and those among them that have names.

use super::speaker_names::SpeakerNames;
use crate::api::form::Form;
use crate::api::upload::decode_base64;
use crate::audio::decode::Decoder;
use crate::error::{Error, Result};
use crate::speech::speakers::KnownSpeaker;
use std::io::Cursor;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// The most known speakers of one request.
const MOST: usize = 4;

/// The longest name, in characters.
const LONGEST_NAME: usize = 64;

/// How long a reference may be. The edges are soft: encoders add or take away a little.
const REFERENCE: RangeInclusive<Duration> = Duration::from_millis(1_900)..=Duration::from_millis(10_250);

/// How many voices there may be.
const VOICES: RangeInclusive<usize> = 1..=32;

/// The names of the fields for the number of voices.
const COUNTS: [&str; 2] = ["num_speakers", "speaker_count"];

/// The voices to tell apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Voices {
    /// Those with names.
    pub known: Vec<KnownSpeaker>,
    /// How many there are, when that is known.
    pub count: Option<usize>,
}

impl Voices {
    /// What OpenAI calls them: letters besides the names.
    pub fn letters(&self) -> SpeakerNames {
        SpeakerNames::Letters(self.known.iter().map(|speaker| speaker.name.to_string()).collect())
    }
}

/// The voices that `form` speaks of; `None` when it does not want them told apart. Decodes the references: blocking.
///
/// # Errors
/// `InvalidRequest` that names the field.
pub fn voices(form: &Form, told_apart: bool) -> Result<Option<Voices>> {
    let names = form.phrases("known_speaker_names");
    let references = form.wholes("known_speaker_references");
    let given = [
        (!names.is_empty()).then_some("known_speaker_names"),
        (!references.is_empty()).then_some("known_speaker_references"),
        COUNTS.into_iter().find(|name| form.text(name).is_some()),
    ];
    if !told_apart {
        return match given.into_iter().flatten().next() {
            Some(name) => Err(wrong(name, format!("`{name}` needs diarize=true or response_format=diarized_json."))),
            None => Ok(None),
        };
    }
    check_names(&names)?;
    if names.len() != references.len() {
        let message = format!("There are {} names for {} references.", names.len(), references.len());
        return Err(wrong("known_speaker_references", message));
    }
    let known = names.iter().zip(&references).enumerate();
    let known = known.map(|(index, (name, reference))| {
        let sample = sample(reference).map_err(|reason| {
            wrong("known_speaker_references", format!("The reference number {} {reason}.", index + 1))
        })?;
        Ok(KnownSpeaker { name: name.as_str().into(), sample })
    });
    let known = known.collect::<Result<Vec<_>>>()?;
    Ok(Some(Voices { count: count(form, known.len())?, known }))
}

fn wrong(name: &'static str, message: String) -> Error {
    Error::invalid(name, message).with_code("invalid_value")
}

fn check_names(names: &[String]) -> Result<()> {
    let name = "known_speaker_names";
    if names.len() > MOST {
        return Err(wrong(name, format!("There may be at most {MOST} known speakers, not {}.", names.len())));
    }
    if names.iter().any(|it| it.chars().count() > LONGEST_NAME || it.chars().any(char::is_control)) {
        return Err(wrong(name, format!("A name is one line of at most {LONGEST_NAME} characters.")));
    }
    match names.iter().enumerate().find(|(index, it)| names[..*index].contains(it)) {
        Some((_, twice)) => Err(wrong(name, format!("The name `{twice}` is there twice."))),
        None => Ok(()),
    }
}

/// The sound file in a data URL, after a look at its length.
fn sample(reference: &str) -> std::result::Result<Arc<[u8]>, String> {
    let data = reference.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let (_, data) = data.ok_or("is not a data URL such as `data:audio/wav;base64,…`")?;
    let bytes = decode_base64(data).ok_or("is not valid base64")?;
    let length = duration(bytes.clone()).map_err(|error| format!("cannot be decoded: {error}"))?;
    if !REFERENCE.contains(&length) {
        return Err(format!("is {:.1} s long and must be of 2 to 10 s", length.as_secs_f64()));
    }
    Ok(bytes.into())
}

/// How long a sound file is; of a long one only that it is too long.
fn duration(bytes: Vec<u8>) -> Result<Duration> {
    let mut length = Duration::ZERO;
    for block in Decoder::open(Box::new(Cursor::new(bytes)))? {
        length += block?.duration();
        if length > *REFERENCE.end() {
            break;
        }
    }
    Ok(length)
}

/// How many voices there are, at least the known ones.
fn count(form: &Form, known: usize) -> Result<Option<usize>> {
    let Some((name, text)) = COUNTS.into_iter().find_map(|name| Some((name, form.text(name)?))) else {
        return Ok(None);
    };
    let count = text.parse().ok().filter(|count| VOICES.contains(count) && *count >= known);
    let fewest = known.max(*VOICES.start());
    let message = || format!("`{name}` must be a whole number from {fewest} to {}.", VOICES.end());
    count.map(Some).ok_or_else(|| wrong(name, message()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::encode::wav;
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    /// A data URL of so much silence.
    fn reference(milliseconds: usize) -> String {
        let sound = vec![0; 32 * milliseconds];
        let file = [wav::header(16_000, Some(sound.len() as u32)).to_vec(), sound].concat();
        format!("data:audio/wav;base64,{}", BASE64_STANDARD.encode(file))
    }

    fn form(fields: &[(&str, &str)]) -> Form {
        Form { fields: fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(), file: None }
    }

    #[test]
    fn names_and_references_belong_together() {
        let (one, two) = (reference(2_000), reference(10_000));
        let voices = voices(
            &form(&[
                ("known_speaker_names[]", "Smith, Ann"),
                ("known_speaker_references[]", &one),
                ("known_speaker_references[]", &two),
                ("known_speaker_names[]", "Bob"),
                ("num_speakers", "3"),
            ]),
            true,
        );
        let voices = voices.expect("all is good").expect("voices");
        assert_eq!(voices.known.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["Smith, Ann", "Bob"]);
        assert_eq!((voices.count, voices.known[1].sample.len()), (Some(3), 320_044));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let (good, short, long) = (reference(3_000), reference(1_000), reference(11_000));
        let names = |names: &[&'static str]| names.iter().map(|name| ("known_speaker_names[]", *name)).collect();
        let cases: Vec<(Vec<(&str, &str)>, &str)> = vec![
            (names(&["A", "B", "C", "D", "E"]), "known_speaker_names"),
            (names(&["A", "A"]), "known_speaker_names"),
            (names(&["A"]), "known_speaker_references"),
            (vec![("known_speaker_references", &good)], "known_speaker_references"),
            (vec![("known_speaker_names", "A"), ("known_speaker_references", &short)], "known_speaker_references"),
            (vec![("known_speaker_names", "A"), ("known_speaker_references", &long)], "known_speaker_references"),
            (
                vec![("known_speaker_names", "A"), ("known_speaker_references", "data:audio/wav;base64,%")],
                "known_speaker_references",
            ),
            (
                vec![("known_speaker_names", "A"), ("known_speaker_references", "https://example.com")],
                "known_speaker_references",
            ),
            (vec![("num_speakers", "0")], "num_speakers"),
            (vec![("speaker_count", "many")], "speaker_count"),
        ];
        for (fields, param) in cases {
            let error = voices(&form(&fields), true).expect_err(param);
            assert_eq!(error.param(), Some(param), "{error}");
        }
        assert_eq!(
            voices(&form(&[("known_speaker_names", "A")]), false).expect_err("not asked for").param(),
            Some("known_speaker_names")
        );
        assert_eq!(voices(&form(&[]), false).expect("nothing"), None);
    }
}
