//! AAC that symphonia does not take: more than two channels, and what is not the low-complexity profile.
//! The only file that decodes with oxideav-aac, which is slower.

use super::stream::Channel;
use oxideav_aac::asc::AudioSpecificConfig;
use oxideav_aac::decode::StreamDecoder;

/// A decoder of AAC packets.
pub(super) struct Aac {
    decoder: StreamDecoder,
    /// The numbers by which the standard calls the profile, the sample rate and the channels.
    object: u8,
    rate_index: u8,
    channels: u8,
    sample_rate: u32,
}

impl Aac {
    /// A decoder for a stream that has this configuration, ISO 14496-3 section 1.6.2.1, if there is one.
    pub(super) fn new(config: &[u8]) -> Option<Self> {
        let (config, _) = AudioSpecificConfig::parse(config).ok()?;
        let mut decoder = StreamDecoder::new();
        // At the rate of the core, what SBR adds above it is not computed.
        decoder.set_sbr_downsampled(true);
        decoder.set_frame_family(config.ga_body.frame_length.family(config.aot));
        if let Some(layout) = config.ga_body.pce {
            decoder.set_program_config(layout);
        }
        Some(Self {
            decoder,
            object: config.aot,
            rate_index: config.sampling_frequency_index,
            channels: config.channel_configuration,
            sample_rate: config.sample_rate,
        })
    }

    /// Appends `channel` of `packet` to `out`, and tells the sample rate and how many channels there
    /// are; `None` if it is damaged.
    pub(super) fn decode(&mut self, packet: &[u8], channel: Channel, out: &mut Vec<f32>) -> Option<(u32, u32)> {
        let frame = self
            .decoder
            .decode_raw_data_block(self.object, self.rate_index, self.sample_rate, self.channels, 1, packet)
            .ok()?;
        let channels = frame.channels.max(1);
        let frames = frame.pcm.chunks_exact(channels);
        match channel {
            Channel::Mix => {
                let share = 1.0 / (32_768.0 * channels as f32);
                out.extend(frames.map(|samples| samples.iter().map(|sample| f32::from(*sample)).sum::<f32>() * share));
            }
            Channel::One(channel) => {
                let sample = |samples: &[i16]| samples.get(channel as usize).map_or(0.0, |it| f32::from(*it));
                out.extend(frames.map(|samples| sample(samples) / 32_768.0));
            }
            Channel::Each => out.extend(frames.flatten().map(|sample| f32::from(*sample) / 32_768.0)),
        }
        Some((frame.sample_rate, channels as u32))
    }
}
