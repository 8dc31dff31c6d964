//! Deepgram's clients over a WebSocket: sound goes in while it is made, what is said comes back while it is said.

use crate::app::TestApp;
use crate::socket::{Received, Socket};
use crate::sound::{samples_of, say, side_by_side};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

const SENTENCE: &str = "Please turn on the kitchen lights at seven o'clock.";
const OTHER_SENTENCE: &str = "Turn off the lights.";

/// A tenth of a second of linear16 sound at 24 kHz.
const TENTH: usize = 4_800;

/// How the sound of these tests is written down, and what most of them want.
const LINEAR: &str = "encoding=linear16&sample_rate=24000";
const USUAL: &str = "encoding=linear16&sample_rate=24000&interim_results=true&punctuate=true";

async fn open(app: &TestApp, query: &str) -> Socket {
    Socket::open(app, &format!("/v1/listen?{query}"), &[]).await.expect("a connection")
}

async fn order(socket: &mut Socket, order: &str) {
    socket.send(&json!({"type": order})).await;
}

/// Sends `sound` in messages of `size` bytes.
async fn hear(socket: &mut Socket, sound: &[u8], size: usize) {
    for part in sound.chunks(size) {
        socket.send_raw(Message::binary(part.to_vec())).await;
    }
}

/// Everything up to the end, which must be orderly.
async fn rest(socket: &mut Socket) -> Vec<Value> {
    let (rest, code) = socket.rest().await;
    assert_eq!(code, 1000, "{rest:?}");
    rest.into_iter().map(Received::json).collect()
}

/// What a connection says to `sound`, which then ends.
async fn told(app: &TestApp, query: &str, sound: &[u8]) -> Vec<Value> {
    let mut socket = open(app, query).await;
    hear(&mut socket, sound, TENTH).await;
    order(&mut socket, "CloseStream").await;
    rest(&mut socket).await
}

/// The samples of what a voice says, at 24 kHz, without a header.
async fn spoken(app: &TestApp, text: &str) -> Vec<u8> {
    let (samples, rate) = samples_of(&app.speak(text, "wav").await);
    assert_eq!(rate, 24_000);
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn silence(tenths: usize) -> Vec<u8> {
    vec![0; tenths * TENTH]
}

fn of_type<'a>(told: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    told.iter().filter(move |message| message["type"] == name)
}

fn finals(told: &[Value]) -> impl Iterator<Item = &Value> {
    of_type(told, "Results").filter(|result| result["is_final"] == true)
}

fn text(result: &Value) -> &str {
    result["channel"]["alternatives"][0]["transcript"].as_str().expect("text")
}

/// The final text of a channel.
fn heard_on(told: &[Value], channel: u64) -> String {
    let texts = finals(told).filter(|result| result["channel_index"][0] == channel).map(text);
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

fn heard(told: &[Value]) -> String {
    heard_on(told, 0)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Checks what all clients rely on: every key of every message, final results that follow each other without gap or
/// overlap, interim results that begin with their final one, and a description of the sound as the last message.
fn check(told: &[Value], seconds: f64) {
    let (last, before) = told.split_last().expect("messages");
    assert_eq!(last["type"], "Metadata");
    for key in ["transaction_key", "request_id", "sha256", "created", "duration", "channels", "models", "model_info"] {
        assert!(!last[key].is_null(), "{key} in {last}");
    }
    assert!((number(&last["duration"]) - seconds).abs() < 0.05, "{last} of {seconds} s");
    let mut ends = vec![0.0; 16];
    for message in before {
        match message["type"].as_str().expect("a type") {
            "Results" => check_result(message, &mut ends, &last["request_id"]),
            "SpeechStarted" => assert!(message["timestamp"].is_f64() && message["channel"].is_array(), "{message}"),
            "UtteranceEnd" => assert!(message["last_word_end"].is_f64() && message["channel"].is_array(), "{message}"),
            other => panic!("no client knows {other}"),
        }
    }
    for (channel, end) in ends.iter().take(last["channels"].as_u64().expect("a number") as usize).enumerate() {
        assert!((end - number(&last["duration"])).abs() < 0.05, "channel {channel} ends at {end}: {last}");
    }
}

fn check_result(result: &Value, ends: &mut [f64], id: &Value) {
    let (start, duration) = (number(&result["start"]), number(&result["duration"]));
    let end = &mut ends[result["channel_index"][0].as_u64().expect("a channel") as usize];
    assert!((start - *end).abs() < 0.002, "after {end} comes {result}");
    if result["is_final"] == true {
        *end = start + duration;
    }
    for key in ["is_final", "speech_final", "from_finalize"] {
        assert!(result[key].is_boolean(), "{key} in {result}");
    }
    assert_eq!(&result["metadata"]["request_id"], id);
    for key in ["name", "version", "arch"] {
        assert!(result["metadata"]["model_info"][key].is_string(), "{key} in {result}");
    }
    assert_eq!(result["metadata"]["model_uuid"].as_str().map(str::len), Some(36));
    let alternative = &result["channel"]["alternatives"][0];
    let words = alternative["words"].as_array().expect("words");
    assert_eq!(text(result).is_empty(), words.is_empty(), "{result}");
    assert!((0.0..=1.0).contains(&number(&alternative["confidence"])));
    for word in words {
        assert!(word["word"].is_string() && (0.0..=1.0).contains(&number(&word["confidence"])), "{word}");
        assert!(number(&word["start"]) <= number(&word["end"]), "{word}");
    }
}

#[tokio::test]
async fn what_is_said_comes_back_while_it_is_said_and_when_it_is_over() {
    let app = TestApp::start().await;
    let sound = [silence(5), spoken(&app, SENTENCE).await, silence(10), spoken(&app, OTHER_SENTENCE).await].concat();
    let mut socket = open(&app, USUAL).await;
    hear(&mut socket, &sound[..20 * TENTH], TENTH).await;
    // The speaker waits in the middle of the sentence: what has been said so far comes.
    let mut told = Vec::new();
    while told.last().is_none_or(|message: &Value| text(message).is_empty()) {
        told.push(socket.next().await.json());
    }
    assert_eq!(told.last().expect("a message")["is_final"], false);
    hear(&mut socket, &sound[20 * TENTH..], TENTH).await;
    order(&mut socket, "CloseStream").await;
    told.extend(rest(&mut socket).await);
    check(&told, sound.len() as f64 / 48_000.0);
    assert_eq!(heard(&told), format!("{SENTENCE} {OTHER_SENTENCE}"));
    let first = finals(&told).find(|result| !text(result).is_empty()).expect("a final result");
    assert_eq!((text(first), &first["speech_final"]), (SENTENCE, &json!(true)));
    let words = first["channel"]["alternatives"][0]["words"].as_array().expect("words");
    assert_eq!((&words[8]["word"], &words[8]["punctuated_word"]), (&json!("o'clock"), &json!("o'clock.")));
    let mean = words.iter().map(|word| number(&word["confidence"])).sum::<f64>() / words.len() as f64;
    assert!((number(&first["channel"]["alternatives"][0]["confidence"]) - mean).abs() < 0.001 && mean > 0.3);
    assert_eq!(told.last().expect("a message")["sha256"], format!("{:x}", Sha256::digest(&sound)));
}

#[tokio::test]
async fn without_being_asked_for_there_are_neither_interim_results_nor_marks() {
    let app = TestApp::start().await;
    let sound = [spoken(&app, SENTENCE).await, silence(10)].concat();
    let told = told(&app, LINEAR, &sound).await;
    assert_eq!(heard(&told), "please turn on the kitchen lights at seven o'clock");
    assert!(of_type(&told, "Results").all(|result| result["is_final"] == true));
    let types: Vec<_> = told.iter().filter(|it| it["type"] != "Results").map(|it| &it["type"]).collect();
    assert_eq!(types, ["Metadata"]);
}

#[tokio::test]
async fn nobody_speaks_in_silence() {
    let app = TestApp::start().await;
    let sound = silence(80);
    let told = told(&app, USUAL, &sound).await;
    check(&told, 8.0);
    assert!(finals(&told).count() > 1, "there is news of silence");
    for result in of_type(&told, "Results") {
        let expected = json!({"alternatives": [{"transcript": "", "confidence": 0.0, "words": []}]});
        assert_eq!((&result["channel"], &result["speech_final"]), (&expected, &json!(false)));
    }
}

#[tokio::test]
async fn everything_so_far_can_be_asked_for_and_the_session_goes_on() {
    let app = TestApp::start().await;
    let mut socket = open(&app, &format!("{USUAL}&endpointing=false")).await;
    let sound = spoken(&app, SENTENCE).await;
    hear(&mut socket, &sound, TENTH).await;
    order(&mut socket, "Finalize").await;
    let mut told = Vec::new();
    while told.last().is_none_or(|message: &Value| message["from_finalize"] != true) {
        told.push(socket.next().await.json());
    }
    assert_eq!(heard(&told), SENTENCE);
    order(&mut socket, "Finalize").await;
    hear(&mut socket, &spoken(&app, OTHER_SENTENCE).await, TENTH).await;
    order(&mut socket, "CloseStream").await;
    told.extend(rest(&mut socket).await);
    assert_eq!(heard(&told), format!("{SENTENCE} {OTHER_SENTENCE}"));
    assert_eq!(finals(&told).filter(|result| result["from_finalize"] == true).count(), 1, "there was nothing new");
}

#[tokio::test]
async fn an_empty_message_ends_the_sound_as_well() {
    let app = TestApp::start().await;
    let sound = spoken(&app, SENTENCE).await;
    let sound = [silence(10), sound].concat();
    let mut socket = open(&app, USUAL).await;
    hear(&mut socket, &sound[..30 * TENTH], 1_920).await;
    socket.send_raw(Message::binary(Vec::new())).await;
    // What comes after the end is not heard.
    hear(&mut socket, &sound[..TENTH], TENTH).await;
    let told = rest(&mut socket).await;
    check(&told, 3.0);
    assert!(heard(&told).starts_with("Please turn on"), "{}", heard(&told));
}

#[tokio::test]
async fn a_connection_without_sound_ends_in_order() {
    let app = TestApp::start().await;
    let mut socket = open(&app, LINEAR).await;
    for message in ["KeepAlive", "Finalize", "Surprise", "CloseStream"] {
        order(&mut socket, message).await;
    }
    let told = rest(&mut socket).await;
    assert_eq!((told.len(), &told[0]["type"], &told[0]["duration"]), (1, &json!("Metadata"), &json!(0.0)));
}

#[tokio::test]
async fn the_start_and_the_end_of_speech_are_told_to_those_who_ask() {
    let app = TestApp::start().await;
    let sound = [silence(10), spoken(&app, SENTENCE).await, silence(30)].concat();
    let told = told(&app, &format!("{USUAL}&vad_events=true&utterance_end_ms=1000"), &sound).await;
    check(&told, sound.len() as f64 / 48_000.0);
    let place = |name: &str| told.iter().position(|message| message["type"] == name).expect("a message");
    let first = told.iter().position(|it| it["type"] == "Results" && !text(it).is_empty()).expect("a result");
    assert!(place("SpeechStarted") < first);
    assert!((0.5..1.3).contains(&number(&told[place("SpeechStarted")]["timestamp"])));
    let last = finals(&told).filter(|result| !text(result).is_empty()).last().expect("a final result");
    let word = last["channel"]["alternatives"][0]["words"].as_array().expect("words").last().expect("a word");
    let end = of_type(&told, "UtteranceEnd").last().expect("a message");
    assert_eq!((&end["last_word_end"], &end["channel"]), (&word["end"], &json!([0, 1])));
    assert!(told.iter().position(|it| it == last) < told.iter().position(|it| it == end));
}

#[tokio::test]
async fn samples_are_heard_in_every_encoding() {
    let app = TestApp::start().await;
    let (samples, _) = samples_of(&app.speak(SENTENCE, "wav").await);
    let seconds = samples.len() as f64 / 24_000.0;
    let linear32: Vec<u8> = samples.iter().flat_map(|sample| (i32::from(*sample) << 16).to_le_bytes()).collect();
    for (query, sound) in [
        ("encoding=linear32&sample_rate=24000", linear32),
        ("encoding=mulaw&sample_rate=8000", telephone(&app, "mulaw").await),
        ("encoding=alaw&sample_rate=8000", telephone(&app, "alaw").await),
    ] {
        let told = told(&app, &format!("{query}&punctuate=true"), &sound).await;
        check(&told, seconds);
        // Give or take a word: a telephone has no high sounds.
        assert!(wrong_words(SENTENCE, &heard(&told)) <= 1, "{query}: {}", heard(&told));
    }
}

/// How many words have to be changed, left out or put in to make one text of the other.
fn wrong_words(said: &str, heard: &str) -> usize {
    let words = |text: &str| -> Vec<String> {
        let bare = |word: &str| word.chars().filter(|c| c.is_alphanumeric() || *c == '\'').collect::<String>();
        text.to_lowercase().split_whitespace().map(bare).collect()
    };
    let (said, heard) = (words(said), words(heard));
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (index, word) in said.iter().enumerate() {
        let mut before = std::mem::replace(&mut row[0], index + 1);
        for (place, other) in heard.iter().enumerate() {
            let best = (before + usize::from(word != other)).min(row[place] + 1).min(row[place + 1] + 1);
            before = std::mem::replace(&mut row[place + 1], best);
        }
    }
    row[heard.len()]
}

/// The sentence as a telephone has it.
async fn telephone(app: &TestApp, encoding: &str) -> Vec<u8> {
    let path = format!("/v1/speak?encoding={encoding}&sample_rate=8000&container=none");
    let response = app.post(&path, &json!({"text": SENTENCE})).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.bytes().await.expect("sound").to_vec()
}

#[tokio::test]
async fn files_are_heard_while_they_come() {
    let app = TestApp::start().await;
    for (format, query) in [
        ("wav", ""),
        ("flac", "encoding=flac&sample_rate=24000"),
        ("opus", "encoding=ogg-opus"),
        ("opus", ""),
        ("webm", ""),
        ("mp3", ""),
    ] {
        let file = app.speak(SENTENCE, format).await;
        let mut socket = open(&app, &format!("{query}&punctuate=true")).await;
        hear(&mut socket, &file, 1_000).await;
        order(&mut socket, "CloseStream").await;
        assert_eq!(heard(&rest(&mut socket).await), SENTENCE, "{format} {query}");
    }
}

#[tokio::test]
async fn packets_of_opus_need_no_container() {
    let app = TestApp::start().await;
    let packets = packets_of(&app.speak(SENTENCE, "opus").await);
    let mut socket = open(&app, "encoding=opus&sample_rate=48000&punctuate=true").await;
    for packet in packets.into_iter().skip(2) {
        socket.send_raw(Message::binary(packet)).await;
    }
    order(&mut socket, "CloseStream").await;
    assert_eq!(heard(&rest(&mut socket).await), SENTENCE);
}

/// The packets in an Ogg file; the first two describe what follows.
fn packets_of(mut ogg: &[u8]) -> Vec<Vec<u8>> {
    let (mut packets, mut open) = (Vec::new(), Vec::new());
    while !ogg.is_empty() {
        assert!(ogg.starts_with(b"OggS"));
        let count = usize::from(ogg[26]);
        let (lengths, mut rest) = ogg[27..].split_at(count);
        for length in lengths {
            let (part, behind) = rest.split_at(usize::from(*length));
            open.extend_from_slice(part);
            rest = behind;
            if *length < 255 {
                packets.push(std::mem::take(&mut open));
            }
        }
        ogg = rest;
    }
    packets
}

#[tokio::test]
async fn sound_of_a_known_rate_is_a_file_where_it_begins_like_one() {
    let app = TestApp::start().await;
    let wav = app.speak(SENTENCE, "wav").await;
    for sound in [wav.to_vec(), spoken(&app, SENTENCE).await] {
        let told = told(&app, "sample_rate=24000&punctuate=true", &sound).await;
        assert_eq!(heard(&told), SENTENCE);
    }
}

#[tokio::test]
async fn every_channel_is_heard_by_itself() {
    let app = TestApp::start().await;
    let (left, right) = (say(&app, "alloy", SENTENCE).await, say(&app, "onyx", OTHER_SENTENCE).await);
    let both = side_by_side(&left, &right);
    let (samples, _) = samples_of(&both);
    let raw: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    for (query, sound) in [(LINEAR, raw), ("", both)] {
        let told = told(&app, &format!("{query}&multichannel=true&channels=2&punctuate=true"), &sound).await;
        check(&told, samples.len() as f64 / 48_000.0); // 24,000 samples of each channel in a second
        assert_eq!((heard_on(&told, 0), heard_on(&told, 1)), (SENTENCE.into(), OTHER_SENTENCE.into()));
        assert!(of_type(&told, "Results").all(|result| result["channel_index"][1] == 2));
    }
}

#[tokio::test]
async fn two_voices_have_two_numbers() {
    let app = TestApp::start().await;
    let lines = [("alloy", SENTENCE), ("onyx", "Turn off the lights in the living room."), ("alloy", SENTENCE)];
    let (samples, _) = samples_of(&crate::sound::converse(&app, &lines).await);
    let sound: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let told = told(&app, &format!("{USUAL}&diarize=true"), &sound).await;
    let words = finals(&told).flat_map(|it| it["channel"]["alternatives"][0]["words"].as_array().expect("words"));
    let mut speakers: Vec<u64> = words.map(|word| word["speaker"].as_u64().expect("a number")).collect();
    speakers.dedup();
    assert_eq!(speakers, [0, 1, 0]);
}

/// Sentences that the built-in model knows.
const SENTENCES: &str = include_str!("fixtures/demo-sentences.txt");

#[tokio::test]
async fn what_is_heard_live_is_what_is_heard_in_a_file() {
    let app = TestApp::start().await;
    let (mut wrong_live, mut wrong_in_files, mut words) = (0, 0, 0);
    for sentence in SENTENCES.lines().step_by(2) {
        let sound = [silence(3), spoken(&app, sentence).await, silence(5)].concat();
        let live = heard(&told(&app, USUAL, &sound).await);
        let file = app.post_body(&format!("/v1/listen?{LINEAR}&punctuate=true"), "audio/raw", sound).await;
        let file: Value = file.json().await.expect("JSON");
        let file = file["results"]["channels"][0]["alternatives"][0]["transcript"].as_str().expect("text").to_owned();
        wrong_live += wrong_words(sentence, &live);
        wrong_in_files += wrong_words(sentence, &file);
        words += sentence.split(' ').count();
    }
    // Within a word in a hundred.
    assert!(wrong_live <= wrong_in_files + words / 100, "{wrong_live} and {wrong_in_files} of {words} words are wrong");
}

#[tokio::test]
async fn words_are_written_as_the_client_wants_them() {
    let app = TestApp::start().await;
    let sound = spoken(&app, SENTENCE).await;
    let query = format!("{USUAL}&replace=Kitchen+Lights:lamps&tag=mine&extra=call:7");
    let told = told(&app, &query, &sound).await;
    assert_eq!(heard(&told), "Please turn on the lamps at seven o'clock.");
    let last = told.last().expect("a message");
    assert_eq!((&last["tags"], &last["extra"]), (&json!(["mine"]), &json!({"call": "7"})));
    assert_eq!(told[0]["metadata"]["extra"], json!({"call": "7"}));
}

#[tokio::test]
async fn a_client_can_change_what_is_likely_to_be_said() {
    let app = TestApp::start().await;
    let mut socket = open(&app, "model=fake-ears&encoding=linear16&sample_rate=24000").await;
    let configure = |wish: Value| {
        Value::from_iter(
            [("type".to_owned(), json!("Configure"))].into_iter().chain(wish.as_object().expect("an object").clone()),
        )
    };
    socket.send(&configure(json!({"keyterms": ["Blue Harbor"], "features": {"punctuate": true}}))).await;
    let told = socket.next().await.json();
    assert_eq!((&told["type"], &told["keyterms"]), (&json!("ConfigureSuccess"), &json!(["Blue Harbor"])));
    assert_eq!(told["request_id"].as_str().map(str::len), Some(36));
    for (wish, code) in [
        (json!({"features": {"numerals": true}}), "CONFIGURE_FEATURE_NOT_SUPPORTED"),
        (json!({"keyterms": ["word ".repeat(501)]}), "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"),
        (json!({"keyterms": "word"}), "CONFIGURE_INVALID"),
    ] {
        socket.send(&configure(wish)).await;
        let told = socket.next().await.json();
        assert_eq!((&told["type"], &told["code"]), (&json!("ConfigureFailure"), &json!(code)));
        assert!(told["description"].is_string());
    }
    hear(&mut socket, &spoken(&app, SENTENCE).await, TENTH).await;
    order(&mut socket, "CloseStream").await;
    assert_eq!(heard(&rest(&mut socket).await), "Heard.");
}

#[tokio::test]
async fn what_is_no_sound_and_what_is_no_message_end_the_connection() {
    let app = TestApp::start().await;
    let mut socket = open(&app, "").await;
    hear(&mut socket, &[b'x'; 40_000], 4_000).await;
    order(&mut socket, "CloseStream").await;
    assert_eq!(socket.rest().await, (Vec::new(), 1008));
    let mut socket = open(&app, LINEAR).await;
    socket.send_raw(Message::text("hello")).await;
    assert_eq!(socket.rest().await, (Vec::new(), 1008));
}

#[tokio::test]
async fn a_client_that_says_nothing_is_gone() {
    let app = TestApp::start_with(|config| config.realtime.idle_seconds = 0).await;
    let mut socket = open(&app, LINEAR).await;
    assert_eq!(socket.rest().await, (Vec::new(), 1011));
    drop(socket);
    while app.app.sessions.available_permits() < app.app.config.realtime.sessions {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_session_that_has_lasted_too_long_ends_with_its_results() {
    let app = TestApp::start_with(|config| config.realtime.session_seconds = 0).await;
    let mut socket = open(&app, LINEAR).await;
    let (told, code) = socket.rest().await;
    assert_eq!((told.len(), code), (1, 1008));
    assert_eq!(told[0].clone().json()["type"], "Metadata");
}

#[tokio::test]
async fn a_server_that_stops_says_what_it_has_heard() {
    let app = TestApp::start().await;
    let mut socket = open(&app, USUAL).await;
    let sound = spoken(&app, SENTENCE).await;
    hear(&mut socket, &sound, TENTH).await;
    let mut told = Vec::new();
    while told.last().is_none_or(|message: &Value| text(message).is_empty()) {
        told.push(socket.next().await.json());
    }
    app.app.stop();
    let (last, code) = socket.rest().await;
    told.extend(last.into_iter().map(Received::json));
    assert_eq!(code, 1001);
    assert!(heard(&told).starts_with("Please turn"), "{}", heard(&told));
    assert_eq!(told.last().expect("a message")["type"], "Metadata");
    drop(socket);
    app.server.await.expect("no panic").expect("an orderly end");
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_engine_and_its_place() {
    let app = TestApp::start_with(|config| (config.engine.slots, config.realtime.sessions) = (1, 1)).await;
    let mut socket = open(&app, USUAL).await;
    let refused = Socket::open(&app, &format!("/v1/listen?{LINEAR}"), &[]).await.err().expect("a refusal");
    assert_eq!(
        (refused.status(), refused.headers()["retry-after"].as_bytes()),
        (StatusCode::TOO_MANY_REQUESTS, &b"2"[..])
    );
    let sound = spoken(&app, SENTENCE).await;
    hear(&mut socket, &sound, TENTH).await;
    socket.next().await;
    drop(socket);
    while app.app.sessions.available_permits() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(heard(&told(&app, USUAL, &sound).await), SENTENCE);
}

#[tokio::test]
async fn a_handshake_that_cannot_be_fails_before_the_connection_is_open() {
    let app = TestApp::start_with(|config| config.auth.keys = vec![mynah::config::Secret::new("key")]).await;
    let keyed = [("authorization", "Token key")];
    for (query, headers, status, code) in [
        ("model=nova-99", &keyed[..], 400, "Bad Request"),
        ("encoding=speex&sample_rate=8000", &keyed, 400, "Bad Request"),
        ("encoding=linear16", &keyed, 400, "Bad Request"),
        ("redact=pci", &keyed, 400, "Bad Request"),
        (LINEAR, &[("authorization", "Token wrong")], 401, "INVALID_AUTH"),
        (LINEAR, &[], 401, "INVALID_AUTH"),
    ] {
        let refused = Socket::open(&app, &format!("/v1/listen?{query}"), headers).await.err().expect("a refusal");
        let body: Value = serde_json::from_slice(refused.body().as_deref().expect("a body")).expect("JSON");
        assert_eq!((refused.status().as_u16(), &body["err_code"]), (status, &json!(code)), "{query}");
        assert!(refused.headers().contains_key("dg-error"), "{query}");
        assert_eq!(refused.headers()["dg-request-id"], body["request_id"].as_str().expect("text"));
    }
    let plain = app.client.get(format!("{}/v1/listen?{LINEAR}", app.url)).header("authorization", "Token key");
    assert_eq!(plain.send().await.expect("an answer").status(), StatusCode::UPGRADE_REQUIRED);
    for protocol in ["token", "bearer"] {
        let offered = format!("{protocol}, key");
        let headers = [("sec-websocket-protocol", &offered[..])];
        let socket = Socket::open(&app, &format!("/v1/listen?{LINEAR}"), &headers).await.expect("a connection");
        assert_eq!(socket.protocol.as_deref(), Some(protocol));
    }
}

#[tokio::test]
async fn a_client_that_closes_is_answered() {
    let app = TestApp::start().await;
    let mut socket = open(&app, LINEAR).await;
    socket.send_raw(Message::Binary(vec![0; 3200].into())).await;
    socket.send_raw(Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))).await;
    let (_, code) = socket.rest().await;
    assert_eq!(code, 1000, "the server says goodbye, too");
}
