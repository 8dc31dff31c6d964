//! The commands of the binary, run as a person runs them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

fn mynah(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mynah"));
    command.env_clear().env("HOME", data).env("MYNAH_DATA_DIR", data).env("MYNAH_OFFLINE", "1");
    command
}

fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

#[test]
fn speech_to_a_file_and_back() {
    let data = folder();
    let (mp3, wav) = (data.path().join("a.mp3"), data.path().join("b.wav"));
    for (text, file) in [("Hello world.", &mp3), ("Turn off the lights.", &wav)] {
        let (code, _, error) = run(mynah(data.path()).args(["speak", text, "-o"]).arg(file));
        assert_eq!(code, 0, "{error}");
    }
    let (code, text, error) = run(mynah(data.path()).arg("transcribe").args([&mp3, &wav]));
    assert_eq!((code, text.as_str()), (0, "Hello world.\nTurn off the lights.\n"), "{error}");
    let target = data.path().join("out");
    let (code, _, error) =
        run(mynah(data.path()).args(["transcribe", "--format", "srt", "--output-dir"]).arg(&target).args([&mp3, &wav]));
    assert_eq!(code, 0, "{error}");
    let srt = std::fs::read_to_string(target.join("a.srt")).expect("a subtitle file");
    assert!(srt.starts_with("1\n00:00:00,") && srt.contains("Hello world."), "{srt}");
    assert!(target.join("b.srt").exists());
}

#[test]
fn text_from_standard_input_goes_to_standard_output() {
    let data = folder();
    let mut child = mynah(data.path())
        .args(["speak", "-", "--format", "flac"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("a pipe").write_all(b"Hello.").expect("written");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stdout.starts_with(b"fLaC"));
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let data = folder();
    let (good, bad) = (data.path().join("good.wav"), data.path().join("bad.wav"));
    run(mynah(data.path()).args(["speak", "Hello world.", "-o"]).arg(&good));
    std::fs::write(&bad, "not a recording").expect("written");
    let (code, text, error) = run(mynah(data.path()).arg("transcribe").args([&bad, &good]));
    assert_eq!((code, text.as_str()), (1, "Hello world.\n"));
    assert!(error.contains("bad.wav"), "{error}");
}

#[test]
fn exit_codes_tell_faults_of_use_from_failures() {
    let data = folder();
    assert_eq!(run(mynah(data.path()).arg("--help")).0, 0);
    assert_eq!(run(mynah(data.path()).arg("dance")).0, 2);
    assert_eq!(run(mynah(data.path()).args(["speak", "x", "-o", "x.midi"])).0, 2);
    assert_eq!(run(mynah(data.path()).args(["transcribe", "/no/such/file.wav"])).0, 1);
    let (code, _, error) = run(mynah(data.path()).args(["serve", "--host", "0.0.0.0", "--port", "0"]));
    assert_eq!(code, 2);
    assert!(error.contains("without a key"), "{error}");
    let (code, _, error) = run(mynah(data.path()).arg("config").env("MYNAH_SERVER__PORT", "eighty"));
    assert_eq!(code, 2);
    assert!(error.contains("MYNAH_SERVER__PORT"), "{error}");
}

#[test]
fn every_command_explains_itself() {
    let data = folder();
    for command in ["serve", "transcribe", "speak", "models", "jobs", "config", "doctor"] {
        let (code, help, _) = run(mynah(data.path()).args([command, "--help"]));
        assert!(code == 0 && help.len() > 300, "{command}: {help}");
    }
}

#[test]
fn the_effective_settings_are_printed_without_keys() {
    let data = folder();
    let (code, text, _) =
        run(mynah(data.path()).arg("config").env("MYNAH_AUTH__KEYS", "hunter2").env("MYNAH_SERVER__PORT", "9000"));
    assert!(code == 0 && text.contains("port = 9000") && !text.contains("hunter2"), "{text}");
}

/// In a process of its own, because a process keeps the first library it has loaded.
#[cfg(feature = "onnx")]
#[test]
fn the_doctor_says_what_to_do_about_a_library_that_is_none() {
    let data = tempfile::tempdir().expect("a folder");
    let library = data.path().join("libonnxruntime.so");
    std::fs::write(&library, "not a library").expect("written");
    let (_, text, _) = run(mynah(data.path()).env("MYNAH_ENGINE__ONNX_RUNTIME", &library).arg("doctor"));
    assert!(text.contains("does not load") && text.contains("scripts/serve"), "{text}");
}

#[test]
fn the_doctor_proves_that_the_chain_works() {
    let data = folder();
    let (code, text, error) = run(mynah(data.path()).arg("doctor"));
    assert_eq!(code, 0, "{text}{error}");
    for topic in ["cores", "memory", "gpu", "onnx runtime", "data folder", "mynah-demo.en", "self-test"] {
        assert!(text.contains(topic), "{topic} is missing in {text}");
    }
}

#[test]
fn the_models_are_listed_with_what_they_resolve_to() {
    let data = folder();
    let (code, text, error) = run(mynah(data.path()).args(["models", "list"]));
    assert_eq!(code, 0, "{error}");
    assert!(text.contains("mynah-demo.en") && text.contains("whisper-1") && text.contains("large-v3-turbo"), "{text}");
}

#[cfg(feature = "espeak")]
#[test]
fn the_voices_are_listed_with_language_and_licence() {
    let data = folder();
    let (code, text, error) = run(mynah(data.path()).args(["speak", "--voice", "list"]));
    assert_eq!(code, 0, "{error}");
    let alloy = text.lines().find(|line| line.starts_with("alloy ")).expect("listed");
    assert!(alloy.contains("en-US") && alloy.contains("mynah-voice") && alloy.contains("GPL-3.0-or-later"), "{alloy}");
    assert!(text.lines().any(|line| line.starts_with("de ")), "{text}");
    assert_eq!(run(mynah(data.path()).args(["speak", "-o", "x.wav"])).0, 2, "there is nothing to say");
}

/// A server process that is killed when the test ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(unix)]
#[test]
fn a_server_says_where_it_listens_and_stops_on_a_signal() {
    let data = folder();
    let child = mynah(data.path()).args(["serve", "--port", "0"]).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut server = Server(child);
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    assert!(line.starts_with("listening on http://127.0.0.1:"), "{line}");
    let kill = Command::new("kill").args(["-TERM", &server.0.id().to_string()]).status().expect("kill runs");
    assert!(kill.success());
    assert!(server.0.wait().expect("it ends").success());
}
