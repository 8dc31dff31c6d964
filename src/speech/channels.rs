//! Recordings with a speaker in every channel: each channel is transcribed apart, and the results are put together.

use super::step;
use super::transcribe::{Request, transcribe_all};
use crate::audio::decode::{Decoder, Source};
use crate::engine::TranscriberPool;
use crate::error::{Error, Result};
use crate::transcript::{Speaker, Transcript};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::sync::Arc;
use std::time::Duration;

/// The most channels that are transcribed apart.
pub const MAX_CHANNELS: u32 = 16;

/// Transcribes every channel of a recording by itself, as many at the same time as the pool has slots: more would only
/// fill its queue. `open` is called once for every channel and once before that, to count them. The segments say which
/// channel they are of.
///
/// # Errors
/// `InvalidRequest` (param `multichannel`) for more than [`MAX_CHANNELS`]; whatever `open` says; the first error of any
/// channel, as [`transcribe_all`].
///
/// # Cancel safety
/// Dropping the future gives up everything that waits or runs for it.
pub async fn transcribe_channels(
    pool: Arc<TranscriberPool>,
    open: impl Fn() -> Result<Box<dyn Source>>,
    request: Request,
) -> Result<(Vec<Transcript>, Duration)> {
    let source = open()?;
    let count = step(move || Ok(Decoder::open(source)?.channels())).await?;
    if count > MAX_CHANNELS {
        let message = format!("The recording has {count} channels; up to {MAX_CHANNELS} are transcribed apart.");
        return Err(Error::invalid("multichannel", message).with_code("invalid_value"));
    }
    let channels = (0..count).map(|channel| {
        let (request, source, pool) = (Request { channel: Some(channel), ..request.clone() }, open(), pool.clone());
        async move {
            let (mut transcript, duration) = transcribe_all(pool, source?, request).await?;
            transcript.segments.iter_mut().for_each(|segment| segment.channel = Some(channel));
            Ok::<_, Error>((transcript, duration))
        }
    });
    let at_once = pool.slots().max(1);
    let done: Vec<(Transcript, Duration)> = stream::iter(channels).buffered(at_once).try_collect().await?;
    let (transcripts, durations): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    Ok((transcripts, durations.into_iter().max().unwrap_or_default()))
}

/// One transcript in order of time. Voices without a name are numbered anew, because every channel has its own.
pub fn merge(transcripts: Vec<Transcript>) -> Transcript {
    let mut merged = Transcript::default();
    transcripts.into_iter().for_each(|transcript| merged.append(transcript));
    merged.segments.sort_by_key(|segment| (segment.start, segment.channel));
    merged.report.dropped.sort_by_key(|dropped| dropped.start);
    if let Some(coverage) = &mut merged.report.coverage {
        coverage.gaps.sort_by_key(|gap| gap.start);
    }
    number_voices(&mut merged);
    merged
}

fn number_voices(transcript: &mut Transcript) {
    let mut heard: Vec<(Option<u32>, u32)> = Vec::new();
    for segment in &mut transcript.segments {
        let channel = segment.channel;
        let words = segment.words.iter_mut().map(|word| &mut word.speaker);
        for speaker in std::iter::once(&mut segment.speaker).chain(words) {
            let Some(Speaker::Unknown(number)) = speaker else { continue };
            let voice = (channel, *number);
            let place = heard.iter().position(|it| *it == voice).unwrap_or_else(|| {
                heard.push(voice);
                heard.len() - 1
            });
            *number = place as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Coverage, Report, Segment, Word};

    fn channel(number: u32, said: &[(&str, u64)]) -> Transcript {
        let segment = |(text, start): &(&str, u64)| Segment {
            text: (*text).into(),
            start: Duration::from_secs(*start),
            end: Duration::from_secs(start + 1),
            words: vec![Word { speaker: Some(Speaker::Unknown(0)), ..Word::default() }],
            speaker: Some(Speaker::Unknown(0)),
            channel: Some(number),
            ..Segment::default()
        };
        let (second, gaps) = (Duration::from_secs(1), Vec::new());
        let coverage = Coverage { speech: second, covered: second, gaps };
        let report = Report { pieces: 1, coverage: Some(coverage), ..Report::default() };
        Transcript { segments: said.iter().map(segment).collect(), report, ..Transcript::default() }
    }

    #[test]
    fn channels_are_merged_by_time() {
        let merged = merge(vec![channel(0, &[("a", 0), ("c", 4)]), channel(1, &[("b", 2), ("d", 4)])]);
        assert_eq!(merged.text(), "a b c d");
        let channels: Vec<_> = merged.segments.iter().map(|segment| segment.channel).collect();
        assert_eq!(channels, [Some(0), Some(1), Some(0), Some(1)]);
        assert_eq!(merged.report.pieces, 2);
        assert_eq!(merged.report.coverage.expect("checked").speech, Duration::from_secs(2));
    }

    #[test]
    fn voices_of_different_channels_are_different() {
        let merged = merge(vec![channel(0, &[("b", 1)]), channel(1, &[("a", 0), ("c", 2)])]);
        let speakers: Vec<_> = merged.segments.iter().map(|segment| segment.speaker.clone()).collect();
        assert_eq!(speakers, [0, 1, 0].map(|number| Some(Speaker::Unknown(number))));
        assert_eq!(merged.segments[1].words[0].speaker, Some(Speaker::Unknown(1)));
    }
}
