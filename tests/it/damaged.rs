//! Recordings that have been cut off or spoilt are transcribed as far as they go or refused, on every route.

use crate::app::{Form, TestApp};
use serde_json::Value;
use std::path::Path;

/// Every fixture with its name: each container and codec that can be read, and some that cannot.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/audio");
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let mut all: Vec<_> = files
        .map(|file| (file.file_name().to_string_lossy().into_owned(), std::fs::read(file.path()).expect("a fixture")))
        .collect();
    all.sort();
    all
}

/// `bytes` with one in so many overwritten from `start` on, always in the same way.
fn spoilt(bytes: &[u8], start: usize, one_in: u32) -> Vec<u8> {
    let mut dice = 0x2545_f491_u32;
    let mut bytes = bytes.to_vec();
    for byte in bytes.iter_mut().skip(start) {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if (dice >> 8).is_multiple_of(one_in) {
            *byte = (dice >> 24) as u8;
        }
    }
    bytes
}

/// What can happen to a file on its way, by name.
fn damages(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let ahead = bytes.len().min(64);
    vec![
        ("a few bytes", bytes[..ahead].to_vec()),
        ("the first half", bytes[..bytes.len() / 2].to_vec()),
        ("all but the end", bytes[..bytes.len() * 15 / 16].to_vec()),
        ("the second half", bytes[bytes.len() / 2..].to_vec()),
        ("spoilt in the head", [spoilt(&bytes[..ahead], 4, 4), bytes[ahead..].to_vec()].concat()),
        ("spoilt now and then", spoilt(bytes, ahead, 200)),
        ("spoilt often", spoilt(bytes, 12, 12)),
        ("zeros behind the head", [&bytes[..ahead], &vec![0; bytes.len() - ahead]].concat()),
        ("sent twice", [bytes, bytes].concat()),
    ]
}

/// Answered, or refused as sound that cannot be read.
fn assert_honest(what: &str, status: u16, body: &Value) {
    let (text, refusal) = match body.get("err_code").or(body.get("metadata")) {
        Some(_) => {
            (&body["results"]["channels"][0]["alternatives"][0]["transcript"], body["err_code"] == "Bad Request")
        }
        None => (&body["text"], body["error"]["code"] == "unsupported_format"),
    };
    assert!(status == 200 && text.is_string() || status == 400 && refusal, "{what}: {status} {body}");
}

#[tokio::test]
async fn damaged_recordings_are_answered_or_refused_but_never_a_failure() {
    let app = TestApp::start().await;
    let mut answered = 0;
    for (name, bytes) in fixtures() {
        for (damage, damaged) in damages(&bytes) {
            let form = Form::default().with("model", "fake-ears").with_file(&damaged);
            let openai = app.transcribe(form).await;
            let deepgram = app.post_body("/v1/listen?model=fake-ears", "audio/wav", damaged).await;
            for (route, response) in [("OpenAI", openai), ("Deepgram", deepgram)] {
                let status = response.status().as_u16();
                let body = response.json().await.expect("JSON");
                assert_honest(&format!("{name}, {damage}, {route}"), status, &body);
                answered += usize::from(status == 200);
            }
        }
    }
    assert!(answered > 200, "what is left of most of them can be heard: {answered}");
}
