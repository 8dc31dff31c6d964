//! How fast sound goes in and out: `cargo bench --bench audio`.
//!
//! `cargo bench --bench audio -- ratio` compares decoding ten minutes with ffmpeg, where that is installed: both run on
//! one thread, by turns, and processor time is what counts on a machine that is busy with other things.

#![expect(clippy::print_stdout, reason = "a table of ratios is what is asked for")]

use criterion::{Criterion, Throughput};
use mynah::audio::Pcm;
use mynah::audio::decode::Decoder;
use mynah::audio::encode::{AudioFormat, encoder};
use mynah::audio::resample::Resampler;
use std::fs::File;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Read by engines.
const SPEECH_RATE: u32 = 16_000;

/// Written by voices.
const VOICE_RATE: u32 = 24_000;

fn main() {
    let is_wanted = |name: &str| std::env::args().skip(1).all(|word| word.starts_with('-') || word == name);
    if !is_wanted("ratio") || is_wanted("") {
        let mut criterion = Criterion::default()
            .measurement_time(Duration::from_secs(2))
            .warm_up_time(Duration::from_millis(500))
            .configure_from_args();
        decode(&mut criterion);
        resample(&mut criterion);
        encode(&mut criterion);
        criterion.final_summary();
    }
    // `cargo test --benches` passes no `--bench`.
    if is_wanted("ratio") && std::env::args().any(|word| word == "--bench") {
        ratio();
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/audio").join(name)
}

/// Decodes and resamples a file as a transcription does, and counts the samples.
fn read(path: &Path) -> usize {
    let decoder = Decoder::open(Box::new(File::open(path).expect("the file is there"))).expect("it is sound");
    let mut resampler = Resampler::new(decoder.sample_rate(), SPEECH_RATE).expect("its rate is usual");
    let mut count = 0;
    let mut samples = Vec::new();
    for block in decoder {
        samples.clear();
        resampler.push(&block.expect("the file can be read").samples, &mut samples);
        count += black_box(&samples).len();
    }
    samples.clear();
    resampler.finish(&mut samples);
    count + samples.len()
}

/// One second of each format, to 16 kHz.
fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for name in ["reference.wav", "cbr.mp3", "native.flac", "vorbis.ogg", "opus.ogg", "opus.webm", "lc.m4a", "alac.m4a"]
    {
        let path = fixture(name);
        group.bench_function(name, |bencher| bencher.iter(|| read(&path)));
    }
    group.finish();
}

/// Ten seconds of noise in pieces of 20 ms.
fn resample(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resample");
    for (from, to) in [(44_100, 16_000), (48_000, 16_000), (24_000, 16_000), (8_000, 16_000), (22_050, 24_000)] {
        let noise = noise(from, 10);
        group.throughput(Throughput::Elements(noise.samples.len() as u64));
        group.bench_function(format!("{from} to {to}"), |bencher| {
            let mut resampler = Resampler::new(from, to).expect("the rates are usual");
            let mut out = Vec::new();
            bencher.iter(|| {
                out.clear();
                noise.samples.chunks(from as usize / 50).for_each(|piece| resampler.push(piece, &mut out));
                resampler.finish(&mut out);
                out.len()
            });
        });
    }
    group.finish();
}

/// Five seconds of speech-like sound in pieces of 20 ms.
fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let second =
        Decoder::open(Box::new(File::open(fixture("reference.wav")).expect("it is there"))).expect("it is WAV");
    let second: Vec<f32> = second.flat_map(|block| block.expect("it can be read").samples).collect();
    let sound = Pcm::new(second.repeat(5), SPEECH_RATE);
    let sound = mynah::audio::resample::resample(&sound, VOICE_RATE).expect("the rates are usual");
    for format in AudioFormat::ALL {
        group.bench_function(format.name(), |bencher| {
            bencher.iter(|| {
                let mut encoder = encoder(format, VOICE_RATE).expect("every format has this rate");
                let mut bytes = Vec::new();
                for piece in sound.samples.chunks(480) {
                    encoder.encode(piece, &mut bytes).expect("encoders take anything");
                }
                encoder.finish(&mut bytes).expect("encoders take anything");
                bytes.len()
            });
        });
    }
    group.finish();
}

/// The same noise every time.
fn noise(rate: u32, seconds: u32) -> Pcm {
    let mut state = 1_u32;
    let samples = (0..rate * seconds).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    });
    Pcm::new(samples.collect(), rate)
}

/// Ten minutes of stereo to 16 kHz mono, here and by ffmpeg, by turns.
fn ratio() {
    const ROUNDS: usize = 5;
    let is_there = Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).status().is_ok();
    if !is_there {
        return println!("ffmpeg is not installed: nothing to compare with");
    }
    println!("\n10 minutes of stereo to 16 kHz mono, best of {ROUNDS}; below 1 is faster than ffmpeg");
    println!(
        "{:<6} {:>20} {:>20} {:>14} {:>14}",
        "", "mynah wall / cpu s", "ffmpeg wall / cpu s", "wall ratio", "cpu ratio"
    );
    for (name, options) in [
        ("mp3", &["-c:a", "libmp3lame", "-b:a", "128k"][..]),
        ("m4a", &["-c:a", "aac", "-b:a", "128k"]),
        ("opus", &["-c:a", "libopus", "-b:a", "64k"]),
        ("flac", &["-c:a", "flac"]),
    ] {
        let path = ten_minutes(name, options);
        let (mut ours, mut theirs) = ([f64::MAX; 2], [f64::MAX; 2]);
        for _ in 0..ROUNDS {
            best(&mut ours, || {
                read(&path);
            });
            best(&mut theirs, || ffmpeg(&path));
        }
        let text = |[wall, cpu]: [f64; 2]| format!("{wall:.2} / {cpu:.2}");
        let [wall, cpu] = [ours[0] / theirs[0], ours[1] / theirs[1]];
        println!("{name:<6} {:>20} {:>20} {wall:>14.2} {cpu:>14.2}", text(ours), text(theirs));
    }
}

/// Makes the file once.
fn ten_minutes(name: &str, options: &[&str]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ten-minutes.{name}"));
    if path.exists() {
        return path;
    }
    let voice = "sin(2*PI*(140*t+30*sin(3*t)))+sin(6*PI*(140*t+30*sin(3*t)))/3+sin(26*PI*(140*t+30*sin(3*t)))/6";
    let sound = format!("0.2*(0.6-0.4*cos(8*PI*t))*({voice})+0.02*(random(0)-0.5)");
    let source = format!("aevalsrc='{sound}|0.7*({sound})':s=44100:d=600");
    let status = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-y", "-f", "lavfi", "-i", &source])
        .args(options)
        .arg(&path)
        .status();
    assert!(status.is_ok_and(|status| status.success()), "ffmpeg could not make {name}");
    path
}

fn ffmpeg(path: &Path) {
    let status = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-threads", "1", "-i"])
        .arg(path)
        .args(["-ar", "16000", "-ac", "1", "-threads", "1", "-f", "f32le", "-"])
        .stdout(Stdio::null())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "ffmpeg could not read {}", path.display());
}

/// Keeps the lowest wall and processor time of `work`, in seconds.
fn best(times: &mut [f64; 2], work: impl FnOnce()) {
    let (start, before) = (Instant::now(), processor_time());
    work();
    times[0] = times[0].min(start.elapsed().as_secs_f64());
    times[1] = times[1].min(processor_time() - before);
}

/// Seconds that this process and its finished children have computed, user and system, as Linux counts them.
fn processor_time() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in front is in parentheses and may hold anything. Behind it, times are the 12th to the 15th word.
    let words = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    words.skip(11).take(4).filter_map(|word| word.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}
