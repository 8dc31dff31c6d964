//! One loudness for all voices: neural ones speak at whatever level they were recorded at.

/// The level that speech is brought to, as the root mean square of the parts that are not silent: that of the built-in
/// voice.
const SPEECH: f32 = 0.16;

/// Nothing is made louder than by this factor, so that what is meant to be quiet, such as breath alone, stays so.
const MOST: f32 = 12.0;

/// Over how many seconds the level is looked at.
const FRAME: f32 = 0.02;

/// Parts of speech are at least so loud, as a share of the loudest part.
const SPOKEN: f32 = 0.1;

/// Brings `samples`, a sentence of speech, to the common level; none of them clips then.
pub fn level(samples: &mut [f32], sample_rate: u32) {
    amplify(samples, gain(samples, sample_rate));
}

/// The factor that brings `samples`, some speech of a voice, to the common level.
pub fn gain(samples: &[f32], sample_rate: u32) -> f32 {
    let level = speech_level(samples, sample_rate);
    if level > 0.0 { (SPEECH / level).min(MOST) } else { 1.0 }
}

/// Makes `samples` louder by the factor `gain`; none of them clips then.
pub fn amplify(samples: &mut [f32], gain: f32) {
    samples.iter_mut().for_each(|sample| *sample = limited(*sample * gain));
}

/// The root mean square of the parts of `samples` in which somebody speaks; 0 for silence.
pub fn speech_level(samples: &[f32], sample_rate: u32) -> f32 {
    let frame = ((FRAME * sample_rate as f32) as usize).max(1);
    let power = |frame: &[f32]| frame.iter().map(|sample| sample * sample).sum::<f32>() / frame.len() as f32;
    let powers: Vec<f32> = samples.chunks(frame).map(power).collect();
    let quietest = powers.iter().copied().fold(0.0, f32::max) * SPOKEN * SPOKEN;
    let spoken: Vec<f32> = powers.into_iter().filter(|power| *power > 0.0 && *power >= quietest).collect();
    (spoken.iter().sum::<f32>() / spoken.len().max(1) as f32).sqrt()
}

/// `sample` as one that never clips: what goes over 0.8 is squeezed below 1.
pub fn limited(sample: f32) -> f32 {
    const KNEE: f32 = 0.8;
    let over = sample.abs() - KNEE;
    if over <= 0.0 { sample } else { (KNEE + (1.0 - KNEE) * 0.95 * (over / (1.0 - KNEE)).tanh()).copysign(sample) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 22_050;

    /// A tone of half a second, then as much silence.
    fn speech(amplitude: f32) -> Vec<f32> {
        let half = RATE as usize / 2;
        let tone = (0..half).map(|i| (i as f32 * 0.1).sin() * amplitude);
        tone.chain(std::iter::repeat_n(0.0, half)).collect()
    }

    #[test]
    fn quiet_and_loud_speech_come_out_alike() {
        for amplitude in [0.03, 0.3, 0.9, 3.0] {
            let mut samples = speech(amplitude);
            level(&mut samples, RATE);
            let reached = speech_level(&samples, RATE);
            assert!((reached / SPEECH - 1.0).abs() < 0.02, "{amplitude}: {reached}");
        }
    }

    #[test]
    fn nothing_clips_and_silence_stays_silent() {
        let mut samples = speech(0.01);
        samples[100] = 1.0;
        level(&mut samples, RATE);
        assert!(samples.iter().all(|sample| sample.abs() < 1.0));
        let mut silence = vec![0.0; 1000];
        level(&mut silence, RATE);
        assert!(silence.iter().all(|sample| *sample == 0.0));
        level(&mut [], RATE);
    }
}
