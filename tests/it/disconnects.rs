//! Clients that leave early: nothing they have taken stays taken.

use crate::app::{Form, TestApp};
use crate::sound::{samples_of, wav};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// The routes that take recordings.
const ROUTES: [&str; 2] = ["/v1/audio/transcriptions", "/v1/listen?model=fake-ears"];

/// A server that takes one request at a time and has one engine of each kind.
async fn narrow() -> TestApp {
    TestApp::start_with(|config| (config.engine.slots, config.limits.concurrent_requests) = (1, 1)).await
}

/// Waits until something is so, which takes no more than the server's next turn.
async fn until(mut so: impl AsyncFnMut() -> bool) {
    let turns = async {
        while !so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), turns).await.expect("it comes about");
}

/// Whether a request is answered; while there is another it is turned away.
async fn is_served(app: &TestApp, sound: &[u8]) -> bool {
    let response = app.transcribe(Form::default().with("model", "fake-ears").with_file(sound)).await;
    assert!([200, 429].contains(&response.status().as_u16()), "{}", response.status());
    response.status() == 200
}

/// A connection over which a whole head and half of a body have been sent.
async fn half_an_upload(app: &TestApp, path: &str, sound: &[u8]) -> TcpStream {
    let (content_type, body) = match path {
        "/v1/audio/transcriptions" => Form::default().with("model", "fake-ears").with_file(sound).finish(),
        _ => ("audio/wav".to_owned(), sound.to_vec()),
    };
    let host = app.url.trim_start_matches("http://");
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    );
    let mut connection = TcpStream::connect(host).await.expect("a connection");
    connection.write_all(head.as_bytes()).await.expect("a head");
    connection.write_all(&body[..length / 2]).await.expect("half a body");
    connection
}

#[tokio::test]
async fn half_an_upload_is_forgotten_with_its_client() {
    let app = narrow().await;
    let sound = app.speak("Hello world.", "wav").await;
    for path in ROUTES {
        let upload = half_an_upload(&app, path, &sound).await;
        until(async || !is_served(&app, &sound).await).await;
        drop(upload);
        until(async || is_served(&app, &sound).await).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_frees_the_engine_on_every_route() {
    let app = narrow().await;
    let sound = app.speak("Hello world.", "wav").await;
    let form = || Form::default().with("model", "fake-ears").with("prompt", "hold").with_file(&sound);
    let stream = || Form::default().with("model", "fake-ears").with("prompt", "hold").with("stream", "true");
    let send = async |left: usize| match left {
        0 => drop(app.transcribe(form()).await),
        1 => drop(app.transcribe(stream().with_file(&sound)).await.text().await),
        _ => drop(app.post_form("/v1/audio/translations", form()).await),
    };
    for left in 0..3 {
        app.fakes.hold();
        let mut request = Box::pin(send(left));
        while app.fakes.inside() == 0 {
            tokio::select! {
                () = &mut request => panic!("the engine holds this request"),
                () = tokio::task::yield_now() => {}
            }
        }
        drop(request);
        until(async || app.fakes.cancelled() == left + 1).await;
        until(async || is_served(&app, &sound).await).await;
    }
}

#[tokio::test]
async fn a_stream_that_nobody_reads_any_more_ends() {
    let app = narrow().await;
    let (line, rate) = samples_of(&app.speak("Turn on the bathroom music.", "wav").await);
    // Minutes of it take the engine many seconds.
    let long = wav(&line.repeat(100), rate, 1);
    let form = Form::default().with("model", "gpt-4o-transcribe").with("stream", "true").with_file(&long);
    let mut response = app.transcribe(form).await;
    let event = response.chunk().await.expect("no failure").expect("an event");
    assert!(event.starts_with(b"data: ") || event.starts_with(b": "), "{event:?}");
    assert!(!is_served(&app, &long).await, "it runs");
    drop(response);
    let short = wav(&line, rate, 1);
    until(async || is_served(&app, &short).await).await;
    let done = app.transcribe(Form::file(&short)).await;
    assert!(done.text().await.expect("a body").contains("bathroom music"), "the engine is free, too");
}

/// The ways to have a text spoken by the fake voice.
fn ways_to_speak(text: &str) -> Vec<(&'static str, Value)> {
    let openai = json!({"model": "fake-mouth", "voice": "tone", "input": text, "response_format": "pcm"});
    let with = |key: &str, value: Value| {
        let mut body = openai.clone();
        body[key] = value;
        body
    };
    vec![
        ("/v1/audio/speech", openai.clone()),
        ("/v1/audio/speech", with("response_format", "wav".into())),
        ("/v1/audio/speech", with("stream_format", "sse".into())),
        ("/v1/audio/speech/timestamps", openai.clone()),
        ("/v1/audio/speech/timestamps", with("stream", true.into())),
        ("/v1/speak?model=fake-mouth&encoding=linear16", json!({"text": text})),
    ]
}

/// Whether a request to speak is answered.
async fn is_spoken_to(app: &TestApp) -> bool {
    let body = json!({"model": "fake-mouth", "voice": "tone", "input": "Hello."});
    let response = app.post("/v1/audio/speech", &body).await;
    assert!([200, 429].contains(&response.status().as_u16()), "{}", response.status());
    response.status() == 200 && response.bytes().await.is_ok()
}

#[tokio::test]
async fn whoever_leaves_before_the_first_sound_or_after_it_stops_the_speech() {
    let app = narrow().await;
    let texts = ["Hold.", "This is the first sentence of all.\n\nHold.\n\nAnd this is never spoken."];
    let requests = texts.into_iter().flat_map(ways_to_speak);
    for (left, (path, body)) in requests.enumerate() {
        app.fakes.hold();
        let mut request = Box::pin(async {
            let mut response = app.post(path, &body).await;
            while response.chunk().await.expect("no failure").is_some() {}
        });
        while app.fakes.inside() == 0 {
            tokio::select! {
                () = &mut request => panic!("the engine holds this request: {path} {body}"),
                () = tokio::task::yield_now() => {}
            }
        }
        let spoken = app.fakes.spoken();
        drop(request);
        until(async || app.fakes.cancelled() == left + 1).await;
        assert_eq!(app.fakes.spoken(), spoken, "{path} {body}");
        until(async || is_spoken_to(&app).await).await;
    }
}
