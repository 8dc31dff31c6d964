//! Deepgram's clients: a recording comes back as text in their shape.

use crate::app::TestApp;
use bytes::Bytes;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

const SENTENCE: &str = "Please turn on the kitchen lights at seven o'clock.";
const OTHER_SENTENCE: &str = "Turn off the lights.";

async fn listen(app: &TestApp, query: &str, body: impl Into<reqwest::Body>) -> Response {
    app.post_body(&format!("/v1/listen?{query}"), "application/octet-stream", body).await
}

async fn heard(app: &TestApp, query: &str, body: impl Into<reqwest::Body>) -> Value {
    let response = listen(app, query, body).await;
    let status = response.status();
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

/// The only alternative of a channel.
fn alternative(body: &Value, channel: usize) -> &Value {
    &body["results"]["channels"][channel]["alternatives"][0]
}

/// What Deepgram's clients read of a failure, after checking that all of it is there.
async fn failure_of(response: Response) -> (StatusCode, Value) {
    let (status, headers) = (response.status(), response.headers().clone());
    let body: Value = response.json().await.expect("JSON");
    for key in ["err_code", "err_msg", "request_id"] {
        assert!(body[key].as_str().is_some_and(|text| !text.is_empty()), "{key} in {body}");
    }
    assert_eq!(body.as_object().expect("an object").len(), 3, "{body}");
    assert_eq!(headers["dg-request-id"], body["request_id"].as_str().expect("text"));
    assert!(headers.contains_key("dg-error") && headers.contains_key("x-request-id"));
    assert_eq!(headers["content-type"], "application/json");
    (status, body)
}

/// The samples of a mono WAV with 16 bits, and their rate.
fn samples_of(wav: &[u8]) -> (Vec<i16>, u32) {
    let reader = hound::WavReader::new(std::io::Cursor::new(wav)).expect("a WAV file");
    let rate = reader.spec().sample_rate;
    (reader.into_samples().map(|sample| sample.expect("a sample")).collect(), rate)
}

fn bytes_of(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// Two mono recordings as the channels of one.
fn side_by_side(left: &[i16], right: &[i16]) -> Vec<i16> {
    let at = |samples: &[i16], index| samples.get(index).copied().unwrap_or(0);
    (0..left.len().max(right.len())).flat_map(|index| [at(left, index), at(right, index)]).collect()
}

async fn stereo(app: &TestApp) -> (Vec<i16>, u32) {
    let (left, rate) = samples_of(&app.speak(SENTENCE, "wav").await);
    let (right, _) = samples_of(&app.speak(OTHER_SENTENCE, "wav").await);
    (side_by_side(&left, &right), rate)
}

#[tokio::test]
async fn a_recording_comes_back_in_deepgrams_shape() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "wav").await;
    let response = listen(&app, "model=nova-3&punctuate=true&tag=first&tag=second", sound.clone()).await;
    let id = response.headers()["dg-request-id"].clone();
    assert!(response.headers()["x-mynah-coverage"].to_str().expect("text").ends_with("gaps=0"));
    let body: Value = response.json().await.expect("JSON");
    let metadata = &body["metadata"];
    assert_eq!(metadata["request_id"], id.to_str().expect("text"));
    assert_eq!(metadata["sha256"], format!("{:x}", Sha256::digest(&sound)));
    assert_eq!((&metadata["transaction_key"], &metadata["channels"]), (&json!("deprecated"), &json!(1)));
    let (samples, rate) = samples_of(&sound);
    let duration = samples.len() as f64 / f64::from(rate);
    assert!((metadata["duration"].as_f64().expect("a number") - duration).abs() < 0.01);
    assert_eq!(metadata["tags"], json!(["first", "second"]));
    let model = &metadata["model_info"][metadata["models"][0].as_str().expect("a uuid")];
    assert_eq!((&model["name"], &model["arch"]), (&json!("mynah-demo.en"), &json!("whisper")));
    assert_eq!((&metadata["x_mynah"]["pieces"], &metadata["x_mynah"]["coverage"]["gaps"]), (&json!(1), &json!([])));
    let alternative = alternative(&body, 0);
    assert_eq!(alternative["transcript"], SENTENCE);
    let words = alternative["words"].as_array().expect("words");
    assert_eq!(words.len(), SENTENCE.split(' ').count());
    assert_eq!((&words[8]["word"], &words[8]["punctuated_word"]), (&json!("o'clock"), &json!("o'clock.")));
    assert!(words.iter().all(|word| (0.0..=1.0).contains(&word["confidence"].as_f64().expect("a number"))));
    let keys: Vec<_> = body["results"].as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["channels"], "what was not asked for is not there");
}

#[tokio::test]
async fn without_punctuation_the_text_is_bare() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "mp3").await;
    let body = heard(&app, "", sound).await;
    let alternative = alternative(&body, 0);
    assert_eq!(alternative["transcript"], "please turn on the kitchen lights at seven o'clock");
    let word = alternative["words"][0].as_object().expect("an object");
    assert_eq!(word.keys().collect::<Vec<_>>(), ["confidence", "end", "start", "word"]);
}

#[tokio::test]
async fn a_recording_may_be_called_anything() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "flac").await;
    for content_type in ["", "audio/wav", "deepgram/audio+video", "application/octet-stream", "text/plain"] {
        let mut request = app.client.post(app.url.clone() + "/v1/listen?smart_format=true").body(sound.clone());
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        let body: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!(alternative(&body, 0)["transcript"], SENTENCE, "{content_type}");
    }
}

#[tokio::test]
async fn utterances_and_paragraphs_hold_the_words() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "wav").await;
    let body = heard(&app, "utterances=True&paragraphs=true", sound).await;
    let (alternative, utterance) = (alternative(&body, 0), &body["results"]["utterances"][0]);
    assert_eq!((&utterance["transcript"], &utterance["channel"]), (&json!(SENTENCE), &json!(0)));
    assert_eq!(utterance["words"], alternative["words"]);
    assert_eq!(utterance["id"].as_str().map(str::len), Some(36));
    assert!(utterance.get("speaker").is_none());
    assert_eq!(alternative["paragraphs"]["transcript"], format!("\n{SENTENCE}"));
    let paragraph = &alternative["paragraphs"]["paragraphs"][0];
    assert_eq!((&paragraph["num_words"], &paragraph["sentences"][0]["text"]), (&json!(9), &json!(SENTENCE)));
}

#[tokio::test]
async fn words_are_written_as_the_client_wants_them() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "wav").await;
    let body = heard(&app, "punctuate=true&replace=Kitchen+Lights:lamps&replace=please:", sound).await;
    assert_eq!(alternative(&body, 0)["transcript"], "turn on the lamps at seven o'clock.");
    assert_eq!(alternative(&body, 0)["words"].as_array().expect("words").len(), 7);
}

#[tokio::test]
async fn every_channel_has_a_transcript_of_its_own() {
    let app = TestApp::start().await;
    let (samples, rate) = stereo(&app).await;
    let spec =
        hound::WavSpec { channels: 2, sample_rate: rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut file = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).expect("a writer");
    samples.iter().for_each(|sample| writer.write_sample(*sample).expect("a sample"));
    writer.finalize().expect("a file");
    let body = heard(&app, "multichannel=true&punctuate=true&utterances=true", file.into_inner()).await;
    assert_eq!(body["metadata"]["channels"], 2);
    assert_eq!(alternative(&body, 0)["transcript"], SENTENCE);
    assert_eq!(alternative(&body, 1)["transcript"], OTHER_SENTENCE);
    let utterances = body["results"]["utterances"].as_array().expect("utterances");
    for (channel, said) in [SENTENCE, OTHER_SENTENCE].into_iter().enumerate() {
        let one = utterances.iter().find(|utterance| utterance["channel"] == channel).expect("an utterance");
        assert_eq!(one["transcript"], said);
    }
}

#[tokio::test]
async fn who_speaks_is_told_by_number() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "wav").await;
    let body = heard(&app, "diarize=true&smart_format=true&utterances=true", sound).await;
    let words = alternative(&body, 0)["words"].as_array().expect("words");
    assert!(!words.is_empty() && words.iter().all(|word| word["speaker"] == json!(0)), "{words:?}");
    assert_eq!(body["results"]["utterances"][0]["speaker"], json!(0));
    let paragraphs = &alternative(&body, 0)["paragraphs"];
    assert_eq!(paragraphs["transcript"], format!("\nSpeaker 0: {SENTENCE}"));
    assert_eq!(paragraphs["paragraphs"][0]["speaker"], json!(0));
}

#[tokio::test]
async fn sound_without_a_header_is_what_the_query_says() {
    let app = TestApp::start().await;
    let (samples, rate) = stereo(&app).await;
    let query = format!("encoding=linear16&sample_rate={rate}&channels=2&multichannel=true&punctuate=true");
    let body = heard(&app, &query, bytes_of(&samples)).await;
    assert_eq!(alternative(&body, 0)["transcript"], SENTENCE);
    assert_eq!(alternative(&body, 1)["transcript"], OTHER_SENTENCE);
    let seconds = samples.len() as f64 / 2.0 / f64::from(rate);
    assert!((body["metadata"]["duration"].as_f64().expect("a number") - seconds).abs() < 0.01);
}

#[tokio::test]
async fn silence_is_an_empty_alternative() {
    let app = TestApp::start().await;
    let query = "encoding=mulaw&sample_rate=8000&utterances=true&detect_language=true";
    let body = heard(&app, query, vec![0xff; 16_000]).await;
    assert_eq!(*alternative(&body, 0), json!({"transcript": "", "confidence": 0.0, "words": []}));
    assert_eq!((&body["results"]["utterances"], &body["metadata"]["duration"]), (&json!([]), &json!(2.0)));
}

#[tokio::test]
async fn the_language_that_was_found_is_told_when_asked_for() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "wav").await;
    let told = |body: Value| body["results"]["channels"][0]["detected_language"].clone();
    let query = "model=fake-ears&detect_language=en&detect_language=de";
    assert_eq!(told(heard(&app, query, sound.clone()).await), "en");
    assert_eq!(told(heard(&app, "model=fake-ears&language=multi", sound).await), Value::Null);
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_by_name() {
    let app = TestApp::start().await;
    for (query, name) in [
        ("callback=https://example.com/hook", "callback"), // the server of this test is offline
        ("callback_method=get", "callback_method"),
        ("summarize=v2", "summarize"),
        ("redact=pci", "redact"),
        ("search=lights", "search"),
        ("encoding=speex&sample_rate=8000", "encoding"),
        ("encoding=linear16", "sample_rate"),
        ("punctuate=perhaps", "punctuate"),
        ("language=klingon", "language"),
        ("language=de", "language"),
        ("model=nova-99", "nova-99"),
        ("model=tts-1", "tts-1"),
    ] {
        let (status, body) = failure_of(listen(&app, query, "sound").await).await;
        assert_eq!((status.as_u16(), &body["err_code"]), (400, &json!("Bad Request")), "{query}");
        assert!(body["err_msg"].as_str().is_some_and(|message| message.contains(name)), "{query}: {body}");
    }
}

#[tokio::test]
async fn what_is_no_sound_is_refused_in_deepgrams_words() {
    let app = TestApp::start_with(|config| config.limits.upload_bytes = 1_000).await;
    let huge = Bytes::from(vec![0; 1_001]);
    let chunks = futures::stream::iter(vec![Ok::<_, std::io::Error>(huge.clone())]);
    for (body, status, code) in [
        (reqwest::Body::from(""), 400, "Bad Request"),
        ("This is text, not sound.".into(), 400, "Bad Request"),
        (huge.into(), 413, "PAYLOAD_TOO_LARGE"),
        (reqwest::Body::wrap_stream(chunks), 413, "PAYLOAD_TOO_LARGE"),
    ] {
        let (found, body) = failure_of(listen(&app, "", body).await).await;
        assert_eq!((found.as_u16(), &body["err_code"]), (status, &json!(code)));
    }
}

#[tokio::test]
async fn a_recording_on_the_web_is_fetched() {
    let app = TestApp::start_with(|config| (config.offline, config.limits.allow_private_urls) = (false, true)).await;
    let (clip, listener) = (app.speak(SENTENCE, "flac").await, TcpListener::bind("127.0.0.1:0").await);
    let (listener, answer) = (listener.expect("a free port"), clip.clone());
    let files = axum::Router::new().route("/clip", axum::routing::get(move || async move { answer }));
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async { axum::serve(listener, files).await });
    let ask = |path| app.post_body("/v1/listen?punctuate=true", "Application/JSON; charset=utf-8", path);
    let url = |path: &str| json!({"url": format!("http://{address}{path}")}).to_string();
    let body: Value = ask(url("/clip")).await.json().await.expect("JSON");
    assert_eq!(alternative(&body, 0)["transcript"], SENTENCE);
    assert_eq!(body["metadata"]["sha256"], format!("{:x}", Sha256::digest(&clip)));
    let (status, body) = failure_of(ask(url("/nothing")).await).await;
    assert_eq!(status, 400);
    assert!(
        body["err_msg"].as_str().is_some_and(|message| message.contains("url") && message.contains("404")),
        "{body}"
    );
}

#[tokio::test]
async fn json_must_hold_an_address() {
    let app = TestApp::start().await;
    for body in ["{}", r#"{"url": 5}"#, r#"{"url": ""}"#, "not JSON"] {
        let (status, _) = failure_of(app.post_body("/v1/listen", "application/json; charset=utf-8", body).await).await;
        assert_eq!(status, 400, "{body}");
    }
}

#[tokio::test]
async fn a_wrong_key_and_a_wrong_method_are_told_in_deepgrams_words() {
    let app = TestApp::start_with(|config| config.auth.keys = vec![mynah::config::Secret::new("right")]).await;
    let with = |key: &'static str| {
        let request = app.client.post(app.url.clone() + "/v1/listen").header("authorization", key);
        request.body("This is text, not sound.").send()
    };
    for key in ["Token wrong", "Bearer wrong", "Basic right"] {
        let (status, body) = failure_of(with(key).await.expect("an answer")).await;
        assert_eq!((status.as_u16(), &body["err_code"]), (401, &json!("INVALID_AUTH")), "{key}");
    }
    for key in ["Token right", "bearer right"] {
        let (status, _) = failure_of(with(key).await.expect("an answer")).await;
        assert_eq!(status, 400, "{key}: the key is good, the sound is not");
    }
    let put = app.client.put(app.url.clone() + "/v1/listen").header("authorization", "Token right").send();
    let (status, body) = failure_of(put.await.expect("an answer")).await;
    assert_eq!((status.as_u16(), &body["err_code"]), (405, &json!("METHOD_NOT_ALLOWED")));
}

#[tokio::test]
async fn a_busy_server_says_so_in_deepgrams_words() {
    let app = TestApp::start_with(|config| config.limits.concurrent_requests = 0).await;
    let response = listen(&app, "", "sound").await;
    assert!(response.headers().contains_key("retry-after"));
    let (status, body) = failure_of(response).await;
    assert_eq!((status.as_u16(), &body["err_code"]), (429, &json!("TOO_MANY_REQUESTS")));
}

#[tokio::test]
async fn a_request_keeps_its_own_id_in_deepgrams_form() {
    let app = TestApp::start().await;
    let id = "019a8f5b-1c2d-7e3f-8a4b-5c6d7e8f9a0b";
    let request = app.client.post(app.url.clone() + "/v1/listen").header("x-request-id", id).body("text");
    let (_, body) = failure_of(request.send().await.expect("an answer")).await;
    assert_eq!(body["request_id"], id);
    assert!(
        !app.get("/health").await.headers().contains_key("dg-request-id"),
        "only Deepgram's routes have its headers"
    );
}

#[tokio::test]
async fn large_recordings_go_to_disk_and_back() {
    let app = TestApp::start_with(|config| config.limits.spool_bytes = 1_000).await;
    let sound = app.speak(SENTENCE, "wav").await;
    let body = heard(&app, "punctuate=true&multichannel=true", sound.clone()).await;
    assert_eq!(alternative(&body, 0)["transcript"], SENTENCE);
    assert_eq!(body["metadata"]["sha256"], format!("{:x}", Sha256::digest(&sound)));
}

#[tokio::test]
async fn models_are_listed_in_the_shape_of_whoever_asks() {
    let app = TestApp::start().await;
    let list = async |authorization: &str| -> Value {
        let request = app.client.get(app.url.clone() + "/v1/models").header("authorization", authorization);
        request.send().await.expect("an answer").json().await.expect("JSON")
    };
    let deepgram = list("Token any").await;
    let names = |task: &str| -> Vec<String> {
        let models = deepgram[task].as_array().expect("models").iter();
        models.map(|model| model["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert!(names("stt").contains(&"deepgram/nova-3".to_owned()) && names("tts").contains(&"tts-1".to_owned()));
    assert!(!names("stt").contains(&"whisper-large-v3".to_owned()), "what is not installed is not offered");
    assert_eq!(list("Bearer any").await["object"], "list");
}
