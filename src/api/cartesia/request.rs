//! What Cartesia's clients ask for: the same fields on every route that speaks.

use crate::api::sound::Ask;
use crate::audio::encode::{AudioFormat, Output};
use crate::error::{Error, Kind, Result};
use serde::Deserialize;
use serde_json::Value;

/// The sample rates that there are, in hertz.
const RATES: [u32; 6] = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000];

/// The bit rates of MP3.
const BIT_RATES: [u32; 5] = [32_000, 64_000, 96_000, 128_000, 192_000];

/// Cartesia's generation request, field by field. Emotions are hints that the voices here cannot take.
#[derive(Debug, Default, Deserialize)]
pub struct GenerationRequest {
    model_id: Option<String>,
    /// What is to be said.
    pub transcript: Option<String>,
    /// An id or, from older clients, an object with one.
    voice: Option<Value>,
    output_format: Option<OutputFormat>,
    language: Option<String>,
    locale: Option<String>,
    generation_config: Option<GenerationConfig>,
    speed: Option<String>,
    normalization: Option<String>,
    pronunciation_dict_id: Option<String>,
    save: Option<bool>,
    /// Names the request in its answer.
    pub context_id: Option<String>,
    add_timestamps: Option<bool>,
    add_phoneme_timestamps: Option<bool>,
    /// Whether more of the text comes in another message.
    #[serde(rename = "continue")]
    pub continues: Option<bool>,
    /// Whether everything sent so far is said before what comes next.
    pub flush: Option<bool>,
    /// How long text may wait for the rest of its sentence, in milliseconds.
    pub max_buffer_delay_ms: Option<u64>,
    /// Whether nothing more is to be said.
    pub cancel: Option<bool>,
}

/// How the answer is to be written.
#[derive(Debug, Deserialize)]
struct OutputFormat {
    container: String,
    encoding: Option<String>,
    sample_rate: u32,
    bit_rate: Option<u32>,
}

/// How to speak.
#[derive(Debug, Deserialize)]
struct GenerationConfig {
    speed: Option<f32>,
    volume: Option<f32>,
}

impl GenerationRequest {
    /// Everything but the text: who speaks it, how, and how it is written.
    ///
    /// # Errors
    /// `InvalidRequest` that names the parameter.
    pub fn ask(&self) -> Result<(Ask, Output)> {
        self.refuse()?;
        let output = self.output_format.as_ref().ok_or_else(|| missing("output_format"))?.output()?;
        let model = self.model_id.as_deref().ok_or_else(|| missing("model_id"))?;
        let voice = self.voice.as_ref().ok_or_else(|| missing("voice"))?;
        let voice = voice.as_str().or_else(|| voice["id"].as_str());
        let voice = voice.ok_or_else(|| Error::invalid("voice", "`voice` must be an id or an object with an `id`."))?;
        let (speed, volume) = (self.speed()?, self.volume()?);
        let ask = Ask {
            voice: Some(voice.to_owned()),
            language: self.language()?,
            speed,
            volume,
            ..Ask::new(model, "", "transcript")
        };
        Ok((ask, output))
    }

    /// The text.
    ///
    /// # Errors
    /// `InvalidRequest` when there is none, or more than `limit` characters.
    pub fn text(&self, limit: usize) -> Result<String> {
        let text = self.transcript.as_ref().filter(|text| !text.trim().is_empty());
        let text =
            text.ok_or_else(|| Error::invalid("transcript", "`transcript` must hold at least one character."))?;
        let length = text.chars().count();
        if length > limit {
            let message = format!("`transcript` must not be longer than {limit} characters; it has {length}.");
            return Err(Error::invalid("transcript", message));
        }
        Ok(text.clone())
    }

    fn refuse(&self) -> Result<()> {
        let refused = [
            ("pronunciation_dict_id", self.pronunciation_dict_id.is_some()),
            ("save", self.save == Some(true)),
            ("add_phoneme_timestamps", self.add_phoneme_timestamps == Some(true)),
            ("normalization", self.normalization.as_deref().is_some_and(|how| how != "auto")),
        ];
        match refused.iter().find(|(_, asks)| *asks) {
            None => Ok(()),
            Some((name, _)) => Err(Error::invalid(*name, format!("`{name}` is not supported by this server."))),
        }
    }

    fn language(&self) -> Result<Option<String>> {
        match (self.language.as_deref(), self.locale.as_deref()) {
            (Some(_), Some(_)) => Err(Error::invalid("locale", "Send `language` or `locale`, not both.")),
            (language, locale) => {
                Ok(language.or(locale).map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned))
            }
        }
    }

    fn speed(&self) -> Result<f32> {
        let named = match self.speed.as_deref() {
            None | Some("normal") => 1.0,
            Some("slow") => 0.8,
            Some("fast") => 1.25,
            Some(_) => return Err(Error::invalid("speed", "`speed` must be slow, normal or fast.")),
        };
        let speed = self.generation_config.as_ref().and_then(|config| config.speed).unwrap_or(named);
        match (0.25..=4.0).contains(&speed) {
            true => Ok(speed),
            false => Err(Error::invalid("generation_config.speed", "`speed` must be between 0.25 and 4.")),
        }
    }

    fn volume(&self) -> Result<f32> {
        let volume = self.generation_config.as_ref().and_then(|config| config.volume).unwrap_or(1.0);
        match (0.0..=2.0).contains(&volume) {
            true => Ok(volume),
            false => Err(Error::invalid("generation_config.volume", "`volume` must be between 0 and 2.")),
        }
    }

    /// Whether the times of words are wanted.
    pub fn wants_words(&self) -> bool {
        self.add_timestamps == Some(true)
    }
}

impl OutputFormat {
    fn output(&self) -> Result<Output> {
        let format = match (self.container.as_str(), self.encoding.as_deref()) {
            ("mp3", _) => AudioFormat::Mp3,
            ("raw", Some("pcm_s16le")) => AudioFormat::Pcm,
            ("raw", Some("pcm_f32le")) => AudioFormat::Float,
            ("raw", Some("pcm_mulaw")) => AudioFormat::Mulaw,
            ("raw", Some("pcm_alaw")) => AudioFormat::Alaw,
            ("wav", Some("pcm_s16le")) => AudioFormat::Wav,
            ("wav", Some("pcm_f32le")) => AudioFormat::FloatWav,
            ("wav", Some("pcm_mulaw")) => AudioFormat::MulawWav,
            ("wav", Some("pcm_alaw")) => AudioFormat::AlawWav,
            ("raw" | "wav", None) => return Err(missing("output_format.encoding")),
            ("raw" | "wav", Some(_)) => {
                let message = "`encoding` must be pcm_f32le, pcm_s16le, pcm_mulaw or pcm_alaw.";
                return Err(Error::invalid("output_format.encoding", message));
            }
            _ => return Err(Error::invalid("output_format.container", "`container` must be raw, wav or mp3.")),
        };
        if !RATES.contains(&self.sample_rate) {
            let message = "`sample_rate` must be 8000, 16000, 22050, 24000, 44100 or 48000.";
            return Err(Error::invalid("output_format.sample_rate", message));
        }
        let output = Output { format, sample_rate: Some(self.sample_rate), bit_rate: self.bit_rate(format)? };
        // MP3 has the high bit rates only at high sample rates.
        crate::audio::encode::encoder(output, self.sample_rate)
            .map_err(|error| Error::invalid("output_format.bit_rate", error.message().to_owned()))?;
        Ok(output)
    }

    /// Only MP3 has a choice; `bit_rate` with anything else means nothing, there as here.
    fn bit_rate(&self, format: AudioFormat) -> Result<Option<u32>> {
        match self.bit_rate {
            _ if format != AudioFormat::Mp3 => Ok(None),
            Some(rate) if BIT_RATES.contains(&rate) => Ok(Some(rate)),
            Some(_) => {
                let message = "`bit_rate` must be 32000, 64000, 96000, 128000 or 192000.";
                Err(Error::invalid("output_format.bit_rate", message))
            }
            None => Err(missing("output_format.bit_rate")),
        }
    }
}

fn missing(name: &'static str) -> Error {
    Error::invalid(name, format!("The field `{name}` is required."))
}

/// The error with the names that these clients know.
pub fn named_as_here(error: Error) -> Error {
    let message = error.message().to_owned();
    match error.param() {
        Some("voice") => Error::new(Kind::NotFound, message).with_param("voice").with_code("voice_not_found"),
        Some("model") => Error::new(error.kind(), message).with_param("model_id").with_code("model_not_found"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn output(format: Value) -> Result<Output> {
        serde_json::from_value::<OutputFormat>(format).unwrap().output()
    }

    #[test]
    fn every_format_has_its_encoder() {
        for (encoding, raw, wav) in [
            ("pcm_s16le", AudioFormat::Pcm, AudioFormat::Wav),
            ("pcm_f32le", AudioFormat::Float, AudioFormat::FloatWav),
            ("pcm_mulaw", AudioFormat::Mulaw, AudioFormat::MulawWav),
            ("pcm_alaw", AudioFormat::Alaw, AudioFormat::AlawWav),
        ] {
            for (container, format) in [("raw", raw), ("wav", wav)] {
                let got = output(json!({"container": container, "encoding": encoding, "sample_rate": 22_050})).unwrap();
                assert_eq!(got, Output { format, sample_rate: Some(22_050), bit_rate: None });
            }
        }
        let mp3 = output(json!({"container": "mp3", "sample_rate": 44_100, "bit_rate": 192_000})).unwrap();
        let expected = Output { format: AudioFormat::Mp3, sample_rate: Some(44_100), bit_rate: Some(192_000) };
        assert_eq!(mp3, expected);
    }

    #[test]
    fn a_format_that_is_none_is_refused_by_name() {
        for (format, param) in [
            (json!({"container": "ogg", "sample_rate": 24_000}), "output_format.container"),
            (json!({"container": "raw", "sample_rate": 24_000}), "output_format.encoding"),
            (json!({"container": "wav", "encoding": "pcm_s24le", "sample_rate": 24_000}), "output_format.encoding"),
            (json!({"container": "raw", "encoding": "pcm_s16le", "sample_rate": 11_025}), "output_format.sample_rate"),
            (json!({"container": "mp3", "sample_rate": 44_100}), "output_format.bit_rate"),
            (json!({"container": "mp3", "sample_rate": 44_100, "bit_rate": 1}), "output_format.bit_rate"),
            (json!({"container": "mp3", "sample_rate": 22_050, "bit_rate": 192_000}), "output_format.bit_rate"),
        ] {
            assert_eq!(output(format).unwrap_err().param(), Some(param));
        }
    }

    #[test]
    fn speed_is_a_word_or_a_number() {
        let speed = |request: Value| serde_json::from_value::<GenerationRequest>(request).unwrap().speed();
        assert_eq!(speed(json!({})).unwrap(), 1.0);
        assert_eq!(speed(json!({"speed": "fast"})).unwrap(), 1.25);
        assert_eq!(speed(json!({"speed": "fast", "generation_config": {"speed": 0.6}})).unwrap(), 0.6);
        assert_eq!(speed(json!({"speed": "hasty"})).unwrap_err().param(), Some("speed"));
        let far = speed(json!({"generation_config": {"speed": 9}})).unwrap_err();
        assert_eq!(far.param(), Some("generation_config.speed"));
    }

    #[test]
    fn what_would_change_the_words_is_refused_by_name() {
        for (request, param) in [
            (json!({"pronunciation_dict_id": "d"}), "pronunciation_dict_id"),
            (json!({"save": true}), "save"),
            (json!({"add_phoneme_timestamps": true}), "add_phoneme_timestamps"),
            (json!({"normalization": "off"}), "normalization"),
        ] {
            let request: GenerationRequest = serde_json::from_value(request).unwrap();
            assert_eq!(request.refuse().unwrap_err().param(), Some(param));
        }
        let both: GenerationRequest = serde_json::from_value(json!({"language": "en", "locale": "en-GB"})).unwrap();
        assert_eq!(both.language().unwrap_err().param(), Some("locale"));
    }
}
