//! Writes `models/voices/whitening.f32` from voices of the built-in synthesizer:
//! `cargo test --release --lib write_the_whitening -- --ignored`.

use super::*;
use crate::audio::resample::resample;
use crate::config::EngineConfig;
use crate::engine::SPEECH_SAMPLE_RATE;
use crate::engine::{SpeakOptions, Weights, espeak, say_all};
use std::path::Path;

const VARIANTS: &[&str] = &["", "+f1", "+f2", "+f4", "+linda", "+m1", "+m2", "+m5", "+m7", "+m8"];

/// Not in English, in which the engine is tried.
const SENTENCES: &[(&str, &str)] = &[
    ("de", "Guten Morgen zusammen, vielen Dank, dass ihr heute zu der Besprechung gekommen seid."),
    ("de", "Wir sollten den Kunden in Hamburg anrufen und fragen, was gestern passiert ist."),
    ("de", "Die alte Bücherei am Fluss bleibt bis zum Frühling geschlossen."),
    ("fr", "Bonjour à tous, merci d'être venus à la réunion ce matin."),
    ("fr", "Nous devons appeler le client à Lyon et demander ce qui est arrivé hier."),
    ("fr", "La vieille bibliothèque près de la rivière reste fermée jusqu'au printemps."),
    ("es", "Buenos días a todos, gracias por venir a la reunión de hoy."),
    ("es", "Tenemos que llamar al cliente de Sevilla y preguntar qué pasó ayer."),
    ("es", "La vieja biblioteca junto al río estará cerrada hasta la primavera."),
    ("it", "Buongiorno a tutti, grazie di essere venuti alla riunione di questa mattina."),
    ("it", "Dobbiamo chiamare il cliente di Torino e chiedere che cosa è successo ieri."),
    ("it", "La vecchia biblioteca vicino al fiume resterà chiusa fino alla primavera."),
    ("pl", "Dzień dobry wszystkim, dziękuję za przybycie na dzisiejsze spotkanie."),
    ("pl", "Musimy zadzwonić do klienta w Krakowie i zapytać, co się stało wczoraj."),
    ("nl", "Goedemorgen allemaal, bedankt dat jullie vandaag naar de vergadering zijn gekomen."),
    ("nl", "We moeten de klant in Utrecht bellen en vragen wat er gisteren is gebeurd."),
];

/// So much of each variance is added to it, because there are few sentences.
const CAUTION: f64 = 0.05;

type Matrix = Vec<[f64; SHAPE]>;

#[test]
#[ignore = "writes a file of the repository"]
fn write_the_whitening() {
    let voices = spoken();
    let all: Vec<&Features> = voices.iter().flatten().collect();
    let (mean, matrix) = (mean_of(&all), inverse_root(&scatter(&voices)));
    let pitches: Vec<f32> = all.iter().filter_map(|features| features.pitch).collect();
    let pitch = pitches.iter().sum::<f32>() / pitches.len() as f32;
    let numbers = mean.iter().map(|value| *value as f32).chain([pitch]);
    let numbers = numbers.chain(matrix.iter().flatten().map(|value| *value as f32));
    let bytes: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/voices/whitening.f32");
    std::fs::write(path, bytes).expect("written");
}

/// The features of all windows, by voice: a variant in a language.
fn spoken() -> Vec<Vec<Features>> {
    let data = tempfile::tempdir().expect("a temporary folder");
    let load =
        espeak::load(&Load { weights: &Weights::BuiltIn, config: &EngineConfig::default(), cache_dir: data.path() });
    let mut synthesizer = load.expect("the data can be written")().expect("an engine");
    let (mut listener, mut voices) = (Listener::new(), std::collections::BTreeMap::<String, Vec<Features>>::new());
    for (language, sentence) in SENTENCES {
        for variant in VARIANTS {
            let options = SpeakOptions::of_voice(format!("{language}{variant}"));
            let said = say_all(&mut *synthesizer, &(*sentence).into(), &options, &Cancel::never());
            let sound = said.expect("a voice");
            let samples = resample(&sound, SPEECH_SAMPLE_RATE).expect("a common rate").samples;
            let heard = listener.hear(&samples);
            let windows = windows(&samples, WINDOW_HOP);
            let features = windows.iter().filter_map(|window| heard.describe(&mut listener, &window.heard));
            voices.entry(options.voice).or_default().extend(features);
        }
    }
    voices.into_values().collect()
}

fn mean_of(features: &[&Features]) -> [f64; SHAPE] {
    let mean = |index: usize| features.iter().map(|features| f64::from(features.shape[index])).sum::<f64>();
    std::array::from_fn(|index| mean(index) / features.len() as f64)
}

/// How the features of one voice scatter, on average over the voices.
fn scatter(voices: &[Vec<Features>]) -> Matrix {
    let (mut scatter, mut count) = (vec![[0.0; SHAPE]; SHAPE], 0.0);
    for voice in voices {
        let mean = mean_of(&voice.iter().collect::<Vec<_>>());
        for features in voice {
            let off: [f64; SHAPE] = std::array::from_fn(|index| f64::from(features.shape[index]) - mean[index]);
            for (row, a) in scatter.iter_mut().zip(off) {
                row.iter_mut().zip(off).for_each(|(value, b)| *value += a * b);
            }
            count += 1.0;
        }
    }
    for (index, row) in scatter.iter_mut().enumerate() {
        row.iter_mut().for_each(|value| *value /= count);
        row[index] *= 1.0 + CAUTION;
    }
    scatter
}

/// The matrix after which what scatters by `matrix` scatters evenly: the inverse of its Cholesky factor.
fn inverse_root(matrix: &Matrix) -> Matrix {
    let mut root = vec![[0.0; SHAPE]; SHAPE];
    for row in 0..SHAPE {
        for column in 0..=row {
            let rest = matrix[row][column] - (0..column).map(|k| root[row][k] * root[column][k]).sum::<f64>();
            root[row][column] = if row == column { rest.sqrt() } else { rest / root[column][column] };
        }
    }
    // Column by column: what the root makes of it is a column of the unit matrix.
    let column = |column: usize| {
        let mut values = [0.0; SHAPE];
        for row in column..SHAPE {
            let unit = if row == column { 1.0 } else { 0.0 };
            values[row] = (unit - (column..row).map(|k| root[row][k] * values[k]).sum::<f64>()) / root[row][row];
        }
        values
    };
    let columns: Matrix = (0..SHAPE).map(column).collect();
    (0..SHAPE).map(|row| std::array::from_fn(|column| columns[column][row])).collect()
}
