//! Texts that nobody means to hear are spoken, or refused, and do no harm.

use crate::app::{TestApp, error_of};
use reqwest::{Response, StatusCode};
use serde_json::json;

/// How much sound is listened to at most, in bytes: some of these texts take hours.
const ENOUGH: usize = 1_000_000;

/// Texts by what is wrong with them.
fn texts() -> Vec<(&'static str, String)> {
    let controls: String = (0..32).filter_map(char::from_u32).collect();
    let styles = "<prosody rate=\"slow\">".repeat(5_000) + "Hi." + &"</prosody>".repeat(5_000);
    let entities = "<!DOCTYPE speak [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>";
    vec![
        ("a word of 100 kB", "a".repeat(100_000)),
        ("a word that cannot be said", "xkcd".repeat(25_000)),
        ("a huge number", "1".repeat(100_000)),
        ("huge numbers", format!("{0}.{0} -{0} ${0} {0}% {0}/{0}/{0} {0}:{0} {0}th 1e{0} {0}km", "9".repeat(500))),
        ("commas in numbers", "1,".repeat(50_000)),
        ("control characters", controls.repeat(300) + "Hi."),
        ("nothing but zeros", "\0".repeat(100_000)),
        ("directions", "\u{202e}\u{202d}\u{2066}".repeat(20_000) + "Hi."),
        ("accents", "a".to_owned() + &"\u{301}".repeat(50_000)),
        ("emoji", "\u{1f600}\u{200d}".repeat(20_000)),
        ("no characters", "\u{fffe}\u{ffff}\u{fffd}".repeat(1_000)),
        ("lines", "\n".repeat(100_000) + "Hi."),
        ("full stops", ".".repeat(100_000)),
        ("tiny sentences", "A. ".repeat(30_000)),
        ("brackets", "[".repeat(100_000)),
        ("phonemes", format!("[[{}]]", "x".repeat(50_000))),
        ("quotes", "'\"`".repeat(30_000)),
        ("another script", "\u{6f22}".repeat(30_000)),
        ("an address", format!("http://{}", "a/".repeat(40_000))),
        ("a mailbox", "a@".repeat(40_000)),
        ("hyphens", "a-".repeat(40_000)),
        ("endless pauses", "[pause:99999999999999999999s]".repeat(100) + "Hi."),
        ("wrong pauses", "[pause:-1s][pause:NaNs][pause:1e9s][pause:]".repeat(100) + "Hi."),
        ("nested markup", "<speak>".repeat(20_000)),
        ("nested styles", format!("<speak>{styles}</speak>")),
        ("markup without an end", "<speak><p>Hi.".to_owned()),
        ("entities", format!("{entities}<speak>&b;</speak>")),
        ("unknown entities", format!("<speak>{}</speak>", "&b;".repeat(1_000))),
        ("wild numbers in markup", "<speak><prosody rate=\"1e99%\">Hi.</prosody></speak>".to_owned()),
        ("an endless break", "<speak><break time=\"99999999999999s\"/>Hi.</speak>".to_owned()),
        ("long attributes", format!("<speak><sub alias=\"{}\">Hi.</sub></speak>", "a".repeat(50_000))),
    ]
}

async fn speak(app: &TestApp, text: &str) -> Response {
    let body = json!({"model": "tts-1", "voice": "alloy", "input": text, "response_format": "pcm"});
    app.post("/v1/audio/speech", &body).await
}

#[tokio::test]
async fn every_text_is_spoken_or_refused_and_the_next_one_is_spoken() {
    let app = TestApp::start_with(|config| config.limits.input_chars = 200_000).await;
    let expected = speak(&app, "Hello world.").await.bytes().await.expect("sound");
    for (name, text) in texts() {
        let mut response = speak(&app, &text).await;
        if response.status() == StatusCode::OK {
            let mut heard = 0;
            while heard < ENOUGH
                && let Some(chunk) = response.chunk().await.expect("no failure once it has begun")
            {
                heard += chunk.len();
            }
            assert!(heard > 0, "{name}");
        } else {
            let (status, error) = error_of(response).await;
            assert_eq!((status.as_u16(), error["param"].as_str()), (400, Some("input")), "{name}: {error}");
        }
        assert_eq!(speak(&app, "Hello world.").await.bytes().await.expect("sound"), expected, "after {name}");
    }
}
