//! How fast neural voices speak, against Piper's own package on the same voice with the same threads, in one run.
//!
//! `cargo bench --bench speech`. The voice is as large as a real one and has random weights:
//! `python scripts/onnx-fixtures/vits.py target/bench-voice/en_US-noise-medium.onnx` makes it. With `MYNAH_BENCH_PIPER` set to a Python that
//! has `piper-tts`, that is measured too. The machine should be quiet.

#![expect(clippy::print_stdout, reason = "the figures are what this is for")]

use bytes::Bytes;
use futures::TryStreamExt;
use mynah::audio::Pcm;
use mynah::audio::encode::AudioFormat;
use mynah::config::EngineConfig;
use mynah::engine::pool::{Pool, PoolOptions, Priority};
use mynah::engine::{
    Cancel, Load, Loader, SpeakOptions, Spoken, Synthesizer, SynthesizerPool, Utterance, Weights, espeak, onnx,
    phonemes, piper, say_all,
};
use mynah::error::Result;
use mynah::speech::speak::{Encoded, Request, encode, sound, speak};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const VOICE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench-voice/en_US-noise-medium.onnx");

const FIRST_SENTENCE: &str =
    "It was a bright morning, and the people of the little town came slowly out of their houses to look at the market.";
const OTHERS: &str = "Nobody had seen so many colours before. The old man at the corner sold apples, pears and plums. \
                      In the evening everybody went home.";

const ROUNDS: usize = 7;

/// Prints how long Piper's package takes for the first sentence and for everything, in seconds, and the seconds of sound.
const PIPER: &str = "
import statistics, sys, time
from piper import PiperVoice
voice = PiperVoice.load(sys.argv[1])
list(voice.synthesize(sys.argv[2]))
firsts, wholes = [], []
for _ in range(int(sys.argv[3])):
    begun, first, sound = time.perf_counter(), None, 0
    for chunk in voice.synthesize(sys.argv[2]):
        first = first or time.perf_counter() - begun
        sound += len(chunk.audio_float_array) / chunk.sample_rate
    firsts.append(first)
    wholes.append(time.perf_counter() - begun)
print(statistics.median(firsts), statistics.median(wholes), sound)
";

fn main() {
    // `cargo test` runs benches once, to see that they work; that is not what these figures are for.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let found = onnx::find(&EngineConfig::default(), Path::new("")).is_some();
    if !Path::new(VOICE).is_file() || !found {
        println!(
            "nothing is measured: there is no {VOICE}, or no ONNX Runtime; the head of benches/speech.rs says how"
        );
        return;
    }
    let bench = Bench { runtime: Runtime::new().expect("a runtime"), cache: tempfile::tempdir().expect("a folder") };
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let built_in = bench.pool(Arc::new(espeak::load), &Weights::BuiltIn, (cores, 1));
    let (first, ..) = bench.median(&built_in, "en-us", AudioFormat::Mp3);
    println!("the built-in voice: first bytes of MP3 after {:.0} ms", first * 1e3);
    bench.one_request(cores);
    bench.outside_the_model();
    bench.leaving();
    bench.several_requests(cores);
}

struct Bench {
    runtime: Runtime,
    cache: tempfile::TempDir,
}

impl Bench {
    fn pool(
        &self,
        loader: Loader<dyn Synthesizer>,
        weights: &Weights,
        (slots, threads): (usize, usize),
    ) -> Arc<SynthesizerPool> {
        let config = EngineConfig { threads, ..EngineConfig::default() };
        let factory = loader(&Load { weights, config: &config, cache_dir: self.cache.path() }).expect("a voice");
        let options = PoolOptions { name: "voice".into(), slots, queue: 64, cores: None, threads };
        Arc::new(Pool::<dyn Synthesizer>::start(options, factory).expect("it starts"))
    }

    fn piper(&self, size: (usize, usize)) -> Arc<SynthesizerPool> {
        self.pool(Arc::new(piper::load), &Weights::File(VOICE.into()), size)
    }

    /// The median of some rounds of all sentences in `format`: seconds to the first bytes, to the last, and of sound.
    fn median(&self, pool: &Arc<SynthesizerPool>, voice: &str, format: AudioFormat) -> (f64, f64, f64) {
        let (mut firsts, mut wholes) = (Vec::new(), Vec::new());
        // The first round warms up.
        for round in 0..=ROUNDS {
            let request = || Request::plain(format!("{FIRST_SENTENCE} {OTHERS}"), SpeakOptions::of_voice(voice));
            let (first, whole) = self.runtime.block_on(async {
                let begun = Instant::now();
                let mut encoded = Box::pin(encode(speak(pool.clone(), request(), Priority::Interactive), format));
                let mut first = None;
                while let Some(part) = encoded.try_next().await.expect("it speaks") {
                    let has_bytes = matches!(&part, Encoded::Bytes(bytes) if *bytes != Bytes::new());
                    first = first.or(has_bytes.then(|| begun.elapsed()));
                }
                (first.expect("bytes").as_secs_f64(), begun.elapsed().as_secs_f64())
            });
            if round > 0 {
                firsts.push(first);
                wholes.push(whole);
            }
        }
        let sound = self.runtime.block_on(seconds(pool, format!("{FIRST_SENTENCE} {OTHERS}"), voice));
        (middle(firsts), middle(wholes), sound)
    }

    fn one_request(&self, threads: usize) {
        let pool = self.piper((1, threads));
        let (first, in_mp3, _) = self.median(&pool, "default", AudioFormat::Mp3);
        // Piper's package gives samples, and so does this.
        let (_, whole, sound) = self.median(&pool, "default", AudioFormat::Pcm);
        println!("a neural voice with {threads} threads: first bytes of MP3 after {:.0} ms", first * 1e3);
        println!("whole text {:.0} ms for {sound:.1} s, {:.3} of real time", whole * 1e3, whole / sound);
        println!("as MP3 {:.0} ms", in_mp3 * 1e3);
        let Some(python) = std::env::var_os("MYNAH_BENCH_PIPER") else { return };
        let text = format!("{FIRST_SENTENCE} {OTHERS}");
        let output = Command::new(python).args(["-c", PIPER, VOICE, &text, &ROUNDS.to_string()]).output();
        let output = output.expect("Python");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let figures: Vec<f64> = printed.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
        let [their_first, their_whole, their_sound] = figures[..] else {
            println!("Piper's package says: {}", String::from_utf8_lossy(&output.stderr));
            return;
        };
        println!(
            "Piper's package: first sentence {:.0} ms, whole text {:.0} ms for {their_sound:.1} s",
            their_first * 1e3,
            their_whole * 1e3
        );
        println!("first bytes / its first sentence: {:.2}", first / their_first);
        println!("throughput / its throughput: {:.2}", (sound / whole) / (their_sound / their_whole));
    }

    /// How long everything but the model takes, as a share of the sound.
    fn outside_the_model(&self) {
        let mut rules = phonemes::rules(self.cache.path()).expect("rules");
        let text = Utterance::from(FIRST_SENTENCE);
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            phonemes::sentences(rules.as_mut(), &text, "en-us").expect("phonemes");
        }
        let took = begun.elapsed().as_secs_f64() / ROUNDS as f64;
        let options = SpeakOptions::of_voice("default");
        let said = say_all(&mut *self.engine(), &text, &options, &Cancel::never()).expect("it speaks");
        let phonemes = took / said.duration().as_secs_f64();
        // An engine that has its sound ready leaves what is done around it: words, joining, resampling, encoding.
        let loader: Loader<dyn Synthesizer> = Arc::new(move |_| {
            let said = said.clone();
            Ok(Box::new(move || Ok(Box::new(Ready(said.clone())) as Box<dyn Synthesizer>)))
        });
        let (_, around, sound) = self.median(&self.pool(loader, &Weights::BuiltIn, (1, 1)), "any", AudioFormat::Mp3);
        let (phonemes, around) = (phonemes * 1e2, around / sound * 1e2);
        println!("outside the model: phonemes {phonemes:.2} %, everything else {around:.2} % of the sound");
    }

    fn engine(&self) -> Box<dyn Synthesizer> {
        let (config, weights) = (EngineConfig::default(), Weights::File(VOICE.into()));
        let load = Load { weights: &weights, config: &config, cache_dir: self.cache.path() };
        piper::load(&load).expect("a voice")().expect("an engine")
    }

    /// How soon an engine is free again after its caller has left in the middle of a long text.
    fn leaving(&self) {
        let mut engine = self.engine();
        let options = SpeakOptions::of_voice("default");
        // The first words make the engine ready.
        say_all(&mut *engine, &"one".into(), &options, &Cancel::never()).expect("it speaks");
        let text = format!("{} ", FIRST_SENTENCE.replace(',', "").trim_end_matches('.')).repeat(3);
        let gone = AtomicBool::new(false);
        let took = std::thread::scope(|scope| {
            let left = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(300));
                gone.store(true, Ordering::Relaxed);
                Instant::now()
            });
            let is_gone = || gone.load(Ordering::Relaxed);
            let result =
                engine.synthesize(&text.as_str().into(), &options, &Cancel::new(&is_gone), &mut |_: Spoken| Ok(()));
            assert!(result.is_err(), "it was done too soon to measure");
            left.join().expect("no panic").elapsed()
        });
        println!("an engine that nobody listens to is free after {:.0} ms", took.as_secs_f64() * 1e3);
    }

    /// What one, two and four requests at once get done in the same time.
    fn several_requests(&self, cores: usize) {
        let pool = self.piper((cores, 1));
        let mut alone = 0.0;
        // The first round makes the engines ready.
        for requests in [4, 1, 2, 4] {
            let begun = Instant::now();
            let sound: f64 = self.runtime.block_on(async {
                let one = |_| seconds(&pool, format!("{FIRST_SENTENCE} {OTHERS}"), "default");
                futures::future::join_all((0..requests).map(one)).await.iter().sum()
            });
            let throughput = sound / begun.elapsed().as_secs_f64();
            if requests == 1 {
                alone = throughput;
            }
            if alone > 0.0 {
                println!("{requests} at once: {:.2} times the throughput of one", throughput / alone);
            }
        }
    }
}

/// Says the same whatever it is given.
struct Ready(Pcm);

impl Synthesizer for Ready {
    fn synthesize(
        &mut self,
        _: &Utterance,
        _: &SpeakOptions,
        _: &Cancel<'_>,
        out: &mut dyn FnMut(Spoken) -> Result<()>,
    ) -> Result<()> {
        out(Spoken::Sound(self.0.clone()))
    }
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Speaks `text` and returns how many seconds it sounds.
async fn seconds(pool: &Arc<SynthesizerPool>, text: String, voice: &str) -> f64 {
    let request = Request::plain(text, SpeakOptions::of_voice(voice));
    let blocks = sound(speak(pool.clone(), request, Priority::Interactive));
    let length = blocks.try_fold(0.0, async |length, block| Ok(length + block.duration().as_secs_f64()));
    length.await.expect("it speaks")
}
