//! Which sound the parameters of `/v1/speak` ask for: the combinations of encoding, container and rates that Deepgram has.

use super::query::{Parameters, wrong};
use crate::audio::encode::{AudioFormat, Output};
use crate::error::{Error, Result};

/// The sample rate of MP3 and AAC, in hertz.
const MUSIC_RATE: u32 = 22_050;

/// The sample rates of samples as they are, and of those of telephones: the default first.
const LINEAR_RATES: [u32; 5] = [24_000, 8_000, 16_000, 32_000, 48_000];
const TELEPHONE_RATES: [u32; 2] = [8_000, 16_000];

/// How an answer is to be written.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// For the encoder.
    pub output: Output,
    /// For the client.
    pub content_type: String,
}

impl Asked {
    /// Reads `encoding`, `container`, `sample_rate` and `bit_rate`.
    ///
    /// # Errors
    /// `InvalidRequest` that names the parameter.
    pub fn parse(query: &Parameters) -> Result<Self> {
        let encoding = query.text("encoding").unwrap_or("mp3");
        let choices = Choices { query, encoding };
        let (format, container, rates): (_, &[&str], &[u32]) = match encoding {
            "linear16" => (AudioFormat::Wav, &["wav", "none"], &LINEAR_RATES),
            "mulaw" => (AudioFormat::MulawWav, &["wav", "none"], &TELEPHONE_RATES),
            "alaw" => (AudioFormat::AlawWav, &["wav", "none"], &TELEPHONE_RATES),
            "mp3" => (AudioFormat::Mp3, &["none"], &[MUSIC_RATE]),
            "aac" => (AudioFormat::Aac, &["none"], &[MUSIC_RATE]),
            "flac" => (AudioFormat::Flac, &["none"], &[24_000, 8_000, 16_000, 22_050, 32_000, 48_000]),
            "opus" => (AudioFormat::Opus, &["ogg"], &[48_000]),
            other => return Err(wrong("encoding", other, "linear16, mulaw, alaw, mp3, opus, flac or aac")),
        };
        let format = if choices.container(container)? == "none" { without_header(format) } else { format };
        let sample_rate = choices.sample_rate(rates)?;
        let bit_rate = choices.bit_rate()?;
        let output = Output { format, sample_rate: Some(sample_rate), bit_rate };
        Ok(Self { output, content_type: content_type(format, sample_rate) })
    }
}

impl Asked {
    /// As [`Asked::parse`], for sound without a header and with nothing but samples in it.
    ///
    /// # Errors
    /// `InvalidRequest` that names the parameter.
    pub fn live(query: &Parameters) -> Result<Self> {
        let encoding = query.text("encoding").unwrap_or("linear16");
        let choices = Choices { query, encoding };
        let (format, rates): (_, &[u32]) = match encoding {
            "linear16" => (AudioFormat::Pcm, &LINEAR_RATES),
            "mulaw" => (AudioFormat::Mulaw, &TELEPHONE_RATES),
            "alaw" => (AudioFormat::Alaw, &TELEPHONE_RATES),
            other => return Err(wrong("encoding", other, "linear16, mulaw or alaw")),
        };
        choices.container(&["none"])?;
        choices.bit_rate()?;
        let sample_rate = choices.sample_rate(rates)?;
        let output = Output { format, sample_rate: Some(sample_rate), bit_rate: None };
        Ok(Self { output, content_type: content_type(format, sample_rate) })
    }
}

fn without_header(format: AudioFormat) -> AudioFormat {
    match format {
        AudioFormat::Wav => AudioFormat::Pcm,
        AudioFormat::MulawWav => AudioFormat::Mulaw,
        AudioFormat::AlawWav => AudioFormat::Alaw,
        format => format,
    }
}

fn content_type(format: AudioFormat, sample_rate: u32) -> String {
    match format {
        AudioFormat::Pcm => format!("audio/l16;rate={sample_rate};channels=1"),
        AudioFormat::Mulaw | AudioFormat::Alaw => format!("{};rate={sample_rate}", format.content_type()),
        AudioFormat::Opus => "audio/ogg;codecs=opus".to_owned(),
        format => format.content_type().to_owned(),
    }
}

/// What can be chosen, once the encoding is.
struct Choices<'a> {
    query: &'a Parameters,
    encoding: &'a str,
}

impl Choices<'_> {
    /// One of `known`, the first when the client names none.
    fn container(&self, known: &[&'static str]) -> Result<&'static str> {
        let Some(asked) = self.query.text("container") else { return Ok(known.first().copied().unwrap_or("none")) };
        let found = known.iter().find(|known| **known == asked).copied();
        found.ok_or_else(|| self.wrong("container", asked, &known.join(" or ")))
    }

    /// One of `known`, the first when the client names none.
    fn sample_rate(&self, known: &[u32]) -> Result<u32> {
        let names = || known.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        match self.query.text("sample_rate") {
            None => Ok(known.first().copied().unwrap_or(MUSIC_RATE)),
            Some(asked) => {
                let found = known.iter().find(|known| asked.parse() == Ok(**known)).copied();
                found.ok_or_else(|| self.wrong("sample_rate", asked, &names()))
            }
        }
    }

    /// Bits per second, for encodings that have a choice.
    fn bit_rate(&self) -> Result<Option<u32>> {
        let asked = self.query.text("bit_rate");
        let number: Option<u32> = self.query.number("bit_rate", "a whole number of bits per second")?;
        let (good, wanted, default) = match self.encoding {
            "mp3" => (matches!(number, None | Some(32_000 | 48_000)), "32000 or 48000", Some(48_000)),
            "opus" => (number.is_none_or(|rate| (4_000..=650_000).contains(&rate)), "4000 to 650000", Some(12_000)),
            "aac" => (number.is_none_or(|rate| (4_000..=192_000).contains(&rate)), "4000 to 192000", Some(48_000)),
            _ => (number.is_none(), "left out", None),
        };
        match good {
            true => Ok(number.or(default)),
            false => Err(self.wrong("bit_rate", asked.unwrap_or_default(), wanted)),
        }
    }

    fn wrong(&self, name: &'static str, asked: &str, wanted: &str) -> Error {
        let message = format!("`{name}` must be {wanted} with encoding {}, not `{asked}`.", self.encoding);
        Error::invalid(name, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<Asked> {
        Asked::parse(&Parameters::read(&format!("/v1/speak?{query}").parse().unwrap()).unwrap())
    }

    #[test]
    fn every_encoding_has_its_defaults() {
        for (query, format, sample_rate, bit_rate, content_type) in [
            ("", AudioFormat::Mp3, 22_050, Some(48_000), "audio/mpeg"),
            ("encoding=mp3&bit_rate=32000", AudioFormat::Mp3, 22_050, Some(32_000), "audio/mpeg"),
            ("encoding=linear16", AudioFormat::Wav, 24_000, None, "audio/wav"),
            ("encoding=linear16&container=none", AudioFormat::Pcm, 24_000, None, "audio/l16;rate=24000;channels=1"),
            ("encoding=mulaw", AudioFormat::MulawWav, 8_000, None, "audio/wav"),
            ("encoding=mulaw&container=none", AudioFormat::Mulaw, 8_000, None, "audio/mulaw;rate=8000"),
            (
                "encoding=alaw&container=none&sample_rate=16000",
                AudioFormat::Alaw,
                16_000,
                None,
                "audio/alaw;rate=16000",
            ),
            ("encoding=opus", AudioFormat::Opus, 48_000, Some(12_000), "audio/ogg;codecs=opus"),
            ("encoding=flac&sample_rate=32000", AudioFormat::Flac, 32_000, None, "audio/flac"),
            ("encoding=aac&bit_rate=64000", AudioFormat::Aac, 22_050, Some(64_000), "audio/aac"),
        ] {
            let output = Output { format, sample_rate: Some(sample_rate), bit_rate };
            assert_eq!(asked(query).unwrap(), Asked { output, content_type: content_type.into() }, "{query}");
        }
    }

    #[test]
    fn a_connection_carries_samples_alone() {
        let live = |query: &str| {
            Asked::live(&Parameters::read(&format!("/v1/speak?{query}").parse().unwrap()).unwrap()).map(|it| it.output)
        };
        let output = |format, sample_rate| Output { format, sample_rate: Some(sample_rate), bit_rate: None };
        assert_eq!(live("").unwrap(), output(AudioFormat::Pcm, 24_000));
        assert_eq!(live("encoding=linear16&sample_rate=48000").unwrap(), output(AudioFormat::Pcm, 48_000));
        assert_eq!(live("encoding=mulaw&container=none").unwrap(), output(AudioFormat::Mulaw, 8_000));
        assert_eq!(live("encoding=alaw&sample_rate=16000").unwrap(), output(AudioFormat::Alaw, 16_000));
        for (query, param) in [
            ("encoding=mp3", "encoding"),
            ("container=wav", "container"),
            ("encoding=mulaw&sample_rate=24000", "sample_rate"),
            ("bit_rate=48000", "bit_rate"),
        ] {
            assert_eq!(live(query).unwrap_err().param(), Some(param), "{query}");
        }
    }

    #[test]
    fn a_wrong_combination_names_its_parameter() {
        for (query, param) in [
            ("encoding=speex", "encoding"),
            ("encoding=linear16&container=ogg", "container"),
            ("container=wav", "container"),
            ("encoding=opus&container=none", "container"),
            ("encoding=linear16&sample_rate=44100", "sample_rate"),
            ("encoding=mulaw&sample_rate=24000", "sample_rate"),
            ("sample_rate=24000", "sample_rate"),
            ("encoding=flac&sample_rate=fast", "sample_rate"),
            ("bit_rate=64000", "bit_rate"),
            ("encoding=linear16&bit_rate=48000", "bit_rate"),
            ("encoding=opus&bit_rate=3999", "bit_rate"),
            ("encoding=aac&bit_rate=192001", "bit_rate"),
            ("encoding=aac&bit_rate=-1", "bit_rate"),
        ] {
            assert_eq!(asked(query).unwrap_err().param(), Some(param), "{query}");
        }
    }
}
