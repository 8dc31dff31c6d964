//! Voices with names: learnt from samples, recognised in a recording.

use super::KnownSpeaker;
use super::cluster::Cluster;
use crate::audio::Pcm;
use crate::audio::decode::Decoder;
use crate::audio::resample::Resampler;
use crate::engine::pool::Priority;
use crate::engine::{DiarizerPool, MAX_PIECE, SPEECH_SAMPLE_RATE};
use crate::error::{Error, Kind, Result};
use crate::speech::step;
use crate::transcript::Speaker;
use std::io::Cursor;
use std::sync::Arc;

/// A voice and its name.
pub struct Known {
    name: Arc<str>,
    voice: Cluster,
}

/// Listens to the sample of `speaker`.
///
/// # Errors
/// `InvalidAudio` for a sample that cannot be decoded or in which nobody speaks; whatever the engine says.
pub async fn learn(pool: &DiarizerPool, speaker: &KnownSpeaker, priority: Priority) -> Result<Known> {
    let (name, sample) = (speaker.name.clone(), speaker.sample.clone());
    let audio =
        step(move || decode(sample)).await.map_err(|error| unusable(&name, error.message().to_owned(), error))?;
    let prints = super::listen(pool, Arc::new(audio), priority).await?;
    let nobody = || Error::new(Kind::InvalidAudio, format!("nobody speaks in the sample of the speaker `{name}`"));
    let mut clusters = prints.iter().map(Cluster::of);
    let mut voice = clusters.next().ok_or_else(nobody)?;
    clusters.for_each(|cluster| voice.absorb(&cluster));
    Ok(Known { name: name.clone(), voice })
}

fn unusable(name: &str, reason: String, error: Error) -> Error {
    let message = format!("the sample of the speaker `{name}` cannot be used: {reason}");
    Error::new(error.kind(), message).with_source(error)
}

/// The beginning of the sound file `sample`, at 16 kHz.
fn decode(sample: Arc<[u8]>) -> Result<Pcm> {
    let most = MAX_PIECE.as_secs() as usize * SPEECH_SAMPLE_RATE as usize;
    let (mut samples, mut resampler) = (Vec::new(), None::<(u32, Resampler)>);
    for block in Decoder::open(Box::new(Cursor::new(sample)))? {
        let block = block?;
        if resampler.as_ref().is_none_or(|(rate, _)| *rate != block.sample_rate) {
            if let Some((_, mut resampler)) = resampler.take() {
                resampler.finish(&mut samples);
            }
            resampler = Some((block.sample_rate, Resampler::new(block.sample_rate, SPEECH_SAMPLE_RATE)?));
        }
        if let Some((_, resampler)) = &mut resampler {
            resampler.push(&block.samples, &mut samples);
        }
        if samples.len() >= most {
            break;
        }
    }
    if let Some((_, mut resampler)) = resampler {
        resampler.finish(&mut samples);
    }
    samples.truncate(most);
    Ok(Pcm::new(samples, SPEECH_SAMPLE_RATE))
}

/// The names of `voices`, where one is known: the most alike first, no name twice.
pub fn recognise(known: &[Known], voices: &[Cluster], same_voice: f32) -> Vec<Option<Speaker>> {
    let pairs = known
        .iter()
        .enumerate()
        .flat_map(|(k, known)| voices.iter().enumerate().map(move |(v, voice)| (known.voice.likeness(voice), k, v)));
    let mut pairs: Vec<_> = pairs.filter(|(likeness, ..)| *likeness >= same_voice).collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut names, mut taken) = (vec![None; voices.len()], vec![false; known.len()]);
    for (_, k, v) in pairs {
        if !taken[k] && names[v].is_none() {
            (taken[k], names[v]) = (true, Some(Speaker::Known(known[k].name.clone())));
        }
    }
    names
}

/// The name of `voice` when other voices already have `names`: that of the known speaker it is most like, or the next
/// number.
pub fn name(known: &[Known], names: &[Option<Speaker>], voice: &Cluster, same_voice: f32) -> Speaker {
    let is_free = |known: &&Known| !names.iter().flatten().any(|name| *name == Speaker::Known(known.name.clone()));
    let alike = known.iter().filter(is_free).map(|known| (known.voice.likeness(voice), known));
    let best = alike.filter(|(likeness, _)| *likeness >= same_voice).max_by(|a, b| a.0.total_cmp(&b.0));
    let numbers = names.iter().flatten().filter(|name| matches!(name, Speaker::Unknown(_))).count();
    best.map_or(Speaker::Unknown(numbers as u32), |(_, known)| Speaker::Known(known.name.clone()))
}
