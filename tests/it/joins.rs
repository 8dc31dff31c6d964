//! Speech is made of pieces: where they are joined nothing clicks, in any format.

use crate::app::TestApp;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mynah::audio::Pcm;
use mynah::audio::decode::Decoder;
use mynah::audio::encode::AudioFormat;
use mynah::audio::resample::resample;
use serde_json::{Value, json};
use std::io::Cursor;
use std::ops::Range;

/// Every sentence is a piece of its own, and some end in the middle of a loud sound.
const TEXT: &str = "Yes. No. Stop. Go on. Good. Six. Open it. All of them. Wait! Why? Now. Read this. She sees. Ten. Up. \
                    Who? Ah. Never. Come in. Bye.";

const RATE: u32 = 24_000;

/// Speech and the samples at which its words begin and end.
struct Spoken {
    samples: Vec<f32>,
    words: Vec<Range<usize>>,
}

async fn speak(app: &TestApp, voice: &str, format: AudioFormat) -> Spoken {
    let body = json!({"model": "tts-1", "voice": voice, "input": TEXT, "response_format": format.name()});
    let response = app.post("/v1/audio/speech/timestamps", &body).await;
    let answer: Value = response.json().await.expect("JSON");
    let file = BASE64_STANDARD.decode(answer["audio"].as_str().expect("sound")).expect("base64");
    let samples = match format {
        AudioFormat::Pcm => {
            file.chunks_exact(2).map(|bytes| f32::from(i16::from_le_bytes([bytes[0], bytes[1]])) / 32_768.0).collect()
        }
        _ => decoded(file),
    };
    // What these codecs put in front of the sound, in samples.
    let delay = match format {
        AudioFormat::Mp3 => 1_105,
        AudioFormat::Aac => 1_024,
        _ => 0,
    };
    let at = |time: &Value| (time.as_f64().expect("a number") * f64::from(RATE)) as usize + delay;
    let words = answer["words"].as_array().expect("words").iter().map(|word| at(&word["start"])..at(&word["end"]));
    Spoken { samples, words: words.collect() }
}

fn decoded(file: Vec<u8>) -> Vec<f32> {
    let blocks: Vec<Pcm> = Decoder::open(Box::new(Cursor::new(file)))
        .expect("a file")
        .collect::<Result<_, _>>()
        .expect("every block can be read");
    let sample_rate = blocks.first().expect("a block").sample_rate;
    let samples = blocks.into_iter().flat_map(|block| block.samples).collect();
    resample(&Pcm::new(samples, sample_rate), RATE).expect("a usual rate").samples
}

/// The most there is in `within` of what lies far above the tones of a voice: steps and spikes are full of it, and so
/// are consonants.
fn sharpness(samples: &[f32], within: Range<usize>) -> f32 {
    let within = &samples[within.start.min(samples.len())..within.end.min(samples.len())];
    let fourth_difference = |s: &[f32]| (s[0] - 4.0 * s[1] + 6.0 * s[2] - 4.0 * s[3] + s[4]).abs();
    within.windows(5).map(fourth_difference).fold(0.0, f32::max)
}

impl Spoken {
    /// As sharp as a join may be: the consonants are at least twice as sharp.
    fn limit(&self) -> f32 {
        self.words.iter().map(|word| sharpness(&self.samples, word.clone())).fold(0.0, f32::max) / 2.0
    }

    /// The silences: before, between and after the words.
    fn joins(&self) -> Vec<Range<usize>> {
        let ends = [0].into_iter().chain(self.words.iter().map(|word| word.end));
        let begins = self.words.iter().map(|word| word.start).chain([self.samples.len()]);
        ends.zip(begins).map(|(end, begin)| end..begin.max(end)).collect()
    }

    /// How sharp the step would be if the word ended where it is loudest.
    fn cut(&self, word: &Range<usize>) -> f32 {
        let loud = |at: &usize| (self.samples[*at].abs() * 32_768.0) as u32;
        let loudest = word.clone().max_by_key(loud).expect("a word is not empty");
        let mut samples = self.samples.clone();
        samples[loudest + 1..word.end].fill(0.0);
        sharpness(&samples, loudest - 4..loudest + 6)
    }
}

#[tokio::test]
async fn no_format_clicks_where_sentences_are_joined() {
    let app = TestApp::start().await;
    for voice in ["alloy", "en-gb+m1"] {
        for format in AudioFormat::ALL {
            let spoken = speak(&app, voice, format).await;
            let (limit, joins) = (spoken.limit(), spoken.joins());
            assert!(joins.len() > 25 && joins.iter().filter(|join| join.len() > 2_000).count() > 15, "{joins:?}");
            for join in joins {
                let sharpness = sharpness(&spoken.samples, join.clone());
                assert!(sharpness < limit, "{voice} {}: {sharpness} at {join:?}, limit {limit}", format.name());
            }
        }
    }
}

#[tokio::test]
async fn a_word_that_is_cut_off_would_be_noticed() {
    let app = TestApp::start().await;
    let spoken = speak(&app, "alloy", AudioFormat::Wav).await;
    let noticed = spoken.words.iter().filter(|word| spoken.cut(word) > spoken.limit()).count();
    assert!(noticed * 3 > spoken.words.len() * 2, "{noticed} of {}", spoken.words.len());
}
