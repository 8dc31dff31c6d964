//! What the makers of a Piper voice write about it, in the `.onnx.json` beside the model.

use crate::engine::Voice;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The begin, the end, and what stands between phonemes.
const BEGIN: &str = "^";
const END: &str = "$";
const BETWEEN: &str = "_";

/// The description of a voice.
#[derive(Debug, Clone, Deserialize)]
pub struct Description {
    audio: Audio,
    #[serde(default)]
    espeak: Option<Espeak>,
    /// How to speak.
    #[serde(default)]
    pub inference: Inference,
    /// What it takes for phonemes.
    #[serde(default)]
    pub phoneme_type: PhonemeType,
    phoneme_id_map: BTreeMap<String, Vec<i64>>,
    #[serde(default = "one")]
    num_speakers: i64,
    #[serde(default)]
    speaker_id_map: BTreeMap<String, i64>,
    #[serde(default)]
    language: Option<Language>,
    /// Vowels that are one phoneme together.
    #[serde(default)]
    vowel_clusters: Vec<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Audio {
    sample_rate: u32,
}

#[derive(Debug, Clone, Deserialize)]
struct Espeak {
    voice: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Language {
    code: String,
}

/// How much chance there is in the voice, and how long its phonemes are.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default)]
pub struct Inference {
    /// Chance in the sound.
    pub noise_scale: f32,
    /// How much longer phonemes are than the model has it.
    pub length_scale: f32,
    /// Chance in the length of phonemes.
    pub noise_w: f32,
}

impl Default for Inference {
    fn default() -> Self {
        Self { noise_scale: 0.667, length_scale: 1.0, noise_w: 0.8 }
    }
}

/// What a voice takes for phonemes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PhonemeType {
    /// The International Phonetic Alphabet as espeak-ng writes it.
    #[default]
    Espeak,
    /// The letters of the text.
    Text,
    /// Anything else, which is not supported.
    #[serde(other)]
    Other,
}

fn one() -> i64 {
    1
}

impl Description {
    /// Why the voice cannot work, if it cannot.
    pub fn fault(&self) -> Option<&'static str> {
        let scales = [self.inference.noise_scale, self.inference.length_scale, self.inference.noise_w];
        if !(1_000..=384_000).contains(&self.audio.sample_rate) {
            Some("its sample rate makes no sense")
        } else if [BEGIN, END, BETWEEN].iter().any(|symbol| !self.phoneme_id_map.contains_key(*symbol)) {
            Some("its phoneme_id_map lacks `^`, `$` or `_`")
        } else if scales.iter().any(|scale| !(0.0..=10.0).contains(scale)) || self.inference.length_scale < 0.1 {
            Some("its inference scales make no sense")
        } else if self.phoneme_type == PhonemeType::Other {
            Some("its phoneme_type is neither `espeak` nor `text`")
        } else {
            None
        }
    }

    /// In hertz.
    pub fn sample_rate(&self) -> u32 {
        self.audio.sample_rate
    }

    /// What espeak-ng calls the language of the voice.
    pub fn espeak_voice(&self) -> &str {
        self.espeak.as_ref().map_or("en-us", |espeak| espeak.voice.as_str())
    }

    /// The tag of the voice's language, such as `en-US`.
    pub fn language(&self) -> String {
        let code = self.language.as_ref().map(|language| language.code.as_str());
        code.unwrap_or(self.espeak_voice()).replace('_', "-")
    }

    /// The voices in the file called `name`: one, or one for each speaker.
    pub fn voices(&self, name: &str) -> Vec<Voice> {
        let shown = name.split_once('-').map_or(name, |(_, rest)| rest).replace(['-', '_'], " ");
        let voice = |id: String, name: String| Voice { id, name, language: self.language() };
        if self.num_speakers <= 1 {
            return vec![voice(name.to_owned(), shown)];
        }
        let mut named: Vec<(&String, &i64)> = self.speaker_id_map.iter().collect();
        named.sort_by_key(|(_, number)| **number);
        if named.is_empty() {
            let numbers = 0..self.num_speakers.min(10_000);
            return numbers.map(|number| voice(format!("{name}#{number}"), format!("{shown}, {number}"))).collect();
        }
        named.iter().map(|(speaker, _)| voice(format!("{name}#{speaker}"), format!("{shown}, {speaker}"))).collect()
    }

    /// The number of the speaker called `speaker`, which may be a number itself; `None` if there is no such speaker.
    pub fn speaker(&self, speaker: &str) -> Option<i64> {
        let number = || speaker.parse().ok().filter(|number| (0..self.num_speakers).contains(number));
        self.speaker_id_map.get(speaker).copied().or_else(number)
    }

    /// The numbers that the model knows `phonemes` by, and how many of them it does not know.
    pub fn ids(&self, phonemes: &str) -> (Vec<i64>, usize) {
        let between = self.known(BETWEEN);
        let mut ids = [self.known(BEGIN), between].concat();
        let (mut rest, mut unknown) = (phonemes, 0);
        while let Some(first) = rest.chars().next() {
            let cluster = self.cluster(rest);
            let length = cluster.map_or(first.len_utf8(), |(length, _)| length);
            let known = cluster.map(|(_, ids)| ids).or_else(|| self.lookup(&rest[..length]));
            match known {
                Some(known) => ids.extend([known, between].concat()),
                None => unknown += 1,
            }
            rest = &rest[length..];
        }
        ids.extend(self.known(END));
        (ids, unknown)
    }

    fn known(&self, symbol: &str) -> &[i64] {
        self.phoneme_id_map.get(symbol).map(Vec::as_slice).unwrap_or_default()
    }

    /// Voices that take letters know some only as small ones.
    fn lookup(&self, symbol: &str) -> Option<&[i64]> {
        let small = || self.phoneme_id_map.get(&symbol.to_lowercase());
        let text = self.phoneme_type == PhonemeType::Text;
        self.phoneme_id_map.get(symbol).or_else(|| small().filter(|_| text)).map(Vec::as_slice)
    }

    /// The longest cluster that `phonemes` begins with: its length in bytes, and its numbers.
    fn cluster(&self, phonemes: &str) -> Option<(usize, &[i64])> {
        let joined = self.vowel_clusters.iter().map(|cluster| cluster.concat());
        let fitting = joined.filter(|cluster| !cluster.is_empty() && phonemes.starts_with(cluster.as_str()));
        let longest = fitting.max_by_key(|cluster| cluster.len())?;
        Some((longest.len(), self.phoneme_id_map.get(&longest)?))
    }
}
