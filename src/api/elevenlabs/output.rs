//! The names of ElevenLabs' formats: `codec_rate` or `codec_rate_kilobits`.

use crate::audio::encode::{AudioFormat, Output};
use crate::error::{Error, Result};

/// The format of clients that name none.
pub const DEFAULT: &str = "mp3_44100_128";

/// What stands for a codec, with the sample rates that there are and, where there is a choice, the kilobits.
type Codec = (&'static str, AudioFormat, &'static [u32], &'static [u32]);

const RATES: &[u32] = &[8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

const CODECS: [Codec; 8] = [
    ("mp3", AudioFormat::Mp3, &[44_100], &[32, 64, 96, 128, 192]),
    ("mp3", AudioFormat::Mp3, &[22_050], &[32]),
    ("mp3", AudioFormat::Mp3, &[24_000], &[48]),
    ("opus", AudioFormat::Opus, &[48_000], &[32, 64, 96, 128, 192]),
    ("pcm", AudioFormat::Pcm, RATES, &[]),
    ("wav", AudioFormat::Wav, RATES, &[]),
    ("ulaw", AudioFormat::Mulaw, &[8_000], &[]),
    ("alaw", AudioFormat::Alaw, &[8_000], &[]),
];

/// What `name` stands for.
///
/// # Errors
/// `InvalidRequest` (param `output_format`) for a name that is none.
pub fn parse(name: &str) -> Result<Output> {
    let found = CODECS.iter().find_map(|codec| read(name, codec));
    found.ok_or_else(|| {
        let message = format!(
            "`output_format` cannot be `{name}`. There are mp3_44100_KBIT and opus_48000_KBIT with 32, 64, 96, 128 or 192 \
             kbit/s, mp3_22050_32, mp3_24000_48, pcm_RATE and wav_RATE with 8000 to 48000 Hz, ulaw_8000 and alaw_8000."
        );
        Error::invalid("output_format", message)
    })
}

fn read(name: &str, (codec, format, rates, kilobits): &Codec) -> Option<Output> {
    let rest = name.strip_prefix(codec)?.strip_prefix('_')?;
    let (rate, bits) = rest.split_once('_').map_or((rest, None), |(rate, bits)| (rate, Some(bits)));
    let sample_rate = rates.iter().find(|known| known.to_string() == rate)?;
    let bit_rate = match bits {
        Some(bits) => Some(kilobits.iter().find(|known| known.to_string() == bits)? * 1_000),
        None if kilobits.is_empty() => None,
        None => return None,
    };
    Some(Output { format: *format, sample_rate: Some(*sample_rate), bit_rate })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::encode::encoder;

    #[test]
    fn every_name_is_a_format_that_can_be_written() {
        let mut names: Vec<String> =
            ["mp3_22050_32", "mp3_24000_48", "ulaw_8000", "alaw_8000"].map(str::to_owned).to_vec();
        for bits in [32, 64, 96, 128, 192] {
            names.extend([format!("mp3_44100_{bits}"), format!("opus_48000_{bits}")]);
        }
        names.extend(RATES.iter().flat_map(|rate| [format!("pcm_{rate}"), format!("wav_{rate}")]));
        for name in &names {
            assert!(encoder(parse(name).unwrap(), 24_000).is_ok(), "{name}");
        }
        assert_eq!(names.len(), 28);
        let best = Output { format: AudioFormat::Mp3, sample_rate: Some(44_100), bit_rate: Some(128_000) };
        assert_eq!(parse(DEFAULT).unwrap(), best);
    }

    #[test]
    fn any_other_name_is_refused() {
        for name in ["mp3", "mp3_44100", "mp3_22050_64", "pcm_11025", "pcm_16000_32", "flac_44100", "", "mp3_44100_032"]
        {
            assert_eq!(parse(name).unwrap_err().param(), Some("output_format"), "{name}");
        }
    }
}
