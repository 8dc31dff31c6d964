//! The import rules of the crate docs, checked against every source file.

use std::fs;
use std::path::{Path, PathBuf};

/// Which modules a module may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("transcript", &[]),
    ("subtitle", &["transcript"]),
    ("config", &["error"]),
    ("net", &["config", "error"]),
    ("telemetry", &["config", "error"]),
    ("audio", &["error"]),
    ("engine", &["error", "config", "audio", "transcript", "telemetry"]),
    ("models", &["error", "config", "audio", "engine", "telemetry"]),
    ("speech", &["error", "audio", "transcript", "telemetry", "engine"]),
    ("jobs", &["error", "config", "net", "audio", "transcript", "telemetry", "engine", "models", "speech"]),
    ("app", &["error", "config", "engine", "models", "speech", "jobs"]),
    (
        "api",
        &[
            "error",
            "config",
            "net",
            "audio",
            "transcript",
            "subtitle",
            "telemetry",
            "engine",
            "models",
            "speech",
            "jobs",
            "app",
        ],
    ),
    (
        "cli",
        &[
            "error",
            "config",
            "audio",
            "transcript",
            "subtitle",
            "telemetry",
            "engine",
            "models",
            "speech",
            "app",
            "api",
        ],
    ),
];

/// Heavy crates, and the only places that may name them.
const NAMED_IN: &[(&str, &[&str])] = &[
    ("symphonia", &["audio/decode/stream.rs"]),
    ("rubato", &["audio/resample.rs"]),
    ("mp3lame_encoder", &["audio/encode/mp3.rs"]),
    ("flacenc", &["audio/encode/flac.rs"]),
    ("oxideav_aac", &["audio/encode/aac", "audio/decode/aac.rs"]),
    ("whisper_rs", &["engine/whisper"]),
    ("ort", &["engine/onnx"]),
    ("espeak_ng", &["engine/espeak", "engine/spoken.rs"]),
    ("earshot", &["engine/vad.rs"]),
    ("realfft", &["engine/diarize/", "engine/turn/"]),
    ("roxmltree", &["speech/ssml.rs"]),
    ("reqwest", &["models/pull.rs", "net.rs", "cli/jobs.rs"]),
    ("rusqlite", &["jobs/embedded"]),
    ("async_nats", &["jobs/nats/connection.rs", "jobs/nats/follower.rs"]),
    ("axum", &["api/"]),
    ("tower_http", &["api/"]),
    ("clap", &["cli/", "main.rs"]),
    ("tracing_subscriber", &["telemetry.rs"]),
    ("metrics_exporter_prometheus", &["telemetry.rs"]),
    ("indicatif", &["cli/"]),
];

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut found) = (vec![root.clone()], Vec::<PathBuf>::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a source folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.push(path);
            }
        }
    }
    let name = |path: &Path| path.strip_prefix(&root).expect("below the root").to_string_lossy().replace('\\', "/");
    found.iter().map(|path| (name(path), fs::read_to_string(path).expect("a source file"))).collect()
}

/// The code without the unit tests at its end, which may use what they like, as may files called `tests.rs`.
fn without_tests(code: &str) -> &str {
    code.split("\nmod tests {").next().unwrap_or(code)
}

#[test]
fn every_module_uses_only_what_it_may() {
    let mut wrong = Vec::new();
    for (file, code) in sources().into_iter().filter(|(file, _)| !file.ends_with("/tests.rs")) {
        let module = file.split(['/', '.']).next().expect("a first part");
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else { continue };
        for used in without_tests(&code).match_indices("crate::").map(|(at, _)| &code[at + 7..]) {
            let used: String = used.chars().take_while(|it| it.is_ascii_lowercase() || *it == '_').collect();
            let known = MAY_USE.iter().any(|(name, _)| *name == used);
            if known && used != module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("src/{file} uses crate::{used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn heavy_crates_are_named_in_their_own_files() {
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        for (name, places) in NAMED_IN {
            let named = code.contains(&format!("{name}::")) || code.contains(&format!("use {name};"));
            if named && !places.iter().any(|place| file.starts_with(place)) && !is_part_of_word(&code, name) {
                wrong.push(format!("src/{file} names {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether `name::` occurs only at the end of a longer word, as `ort::` does in `import::`.
fn is_part_of_word(code: &str, name: &str) -> bool {
    let path = format!("{name}::");
    code.match_indices(&path)
        .all(|(at, _)| code[..at].chars().next_back().is_some_and(|before| before.is_alphanumeric() || before == '_'))
}

#[test]
fn every_module_is_in_the_table() {
    for (file, _) in sources() {
        let module = file.split(['/', '.']).next().expect("a first part").to_owned();
        let known = MAY_USE.iter().any(|(name, _)| *name == module) || ["lib", "main"].contains(&module.as_str());
        assert!(known, "src/{file} belongs to no module of the table");
    }
}
