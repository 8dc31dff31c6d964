//! Whole sessions through scripted engines and the demo model.

use super::*;
use crate::audio::decode::raw::{RawEncoding, RawFormat};
use crate::engine::SPEECH_SAMPLE_RATE;
use crate::engine::spoken::{silence, speak};
use crate::error::{Error, Kind};
use crate::speech::transcribe::tests::{demo_pool, scripted};
use crate::transcript::Segment;
use futures::StreamExt as _;

fn pcm() -> LiveFormat {
    LiveFormat::Raw(RawFormat { encoding: RawEncoding::Linear16, sample_rate: SPEECH_SAMPLE_RATE, channels: 1 })
}

fn bytes(samples: &[f32]) -> Bytes {
    samples.iter().flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes()).collect()
}

fn english() -> TranscribeOptions {
    TranscribeOptions { language: Some("en".into()), ..TranscribeOptions::default() }
}

fn settings(ending: Ending) -> Settings {
    Settings { ending, ..Settings::new(demo_pool(1), english()) }
}

/// Everything that is told of `sound`, which comes in messages of 20 ms and faster than it plays.
async fn events(request: Request, sound: &[f32]) -> Vec<Event> {
    let (listener, events) = listen(request);
    sound.chunks(320).for_each(|message| listener.hear(bytes(message)));
    drop(listener);
    events.map(|event| event.expect("the demo model hears")).collect().await
}

/// As [`events`], but the next message comes only when everything is told of what came before.
async fn events_in_time(request: Request, sound: &[f32]) -> Vec<Event> {
    let (listener, events) = listen(request);
    let mut events = Box::pin(events);
    let mut told = Vec::new();
    for message in sound.chunks(1600) {
        listener.hear(bytes(message));
        let quiet = Duration::from_millis(30);
        while let Ok(Some(event)) = tokio::time::timeout(quiet, events.next()).await {
            told.push(event.expect("the demo model hears"));
        }
    }
    drop(listener);
    told.extend(events.map(|event| event.expect("the demo model hears")).collect::<Vec<_>>().await);
    told
}

fn finals(events: &[Event]) -> Vec<(String, Why)> {
    let text = |event: &Event| match event {
        Event::Final { transcript, why, .. } => Some((transcript.text(), *why)),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

fn assert_tiled(events: &[Event]) {
    let mut end = Duration::ZERO;
    for event in events {
        match event {
            Event::Final { span, transcript, .. } => {
                assert_eq!(span.start, end, "{event:?}");
                end = span.end;
                let around = Duration::from_millis(300);
                assert!(
                    transcript.words().all(|word| word.start + around >= span.start && word.end <= span.end + around)
                );
            }
            Event::Interim { span, .. } => assert_eq!(span.start, end, "{event:?}"),
            Event::Over { duration, .. } => assert_eq!(*duration, end),
            _ => {}
        }
    }
}

const SENTENCES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/demo-sentences.txt"));
const FIRST: &str = "Please turn on the kitchen lights at seven o'clock.";
const SECOND: &str = "Call the doctor at half past nine.";

fn two_sentences() -> Vec<f32> {
    let [one, two] = [FIRST, SECOND].map(|text| speak(text).samples);
    [silence(0.5), one, silence(1.5), two, silence(1.2)].concat()
}

#[tokio::test]
async fn sentences_become_utterances_with_final_texts_that_tile_the_sound() {
    let request = Request::new(settings(Ending::Silence(Duration::from_millis(500))), pcm());
    let events = events(request, &two_sentences()).await;
    let texts = finals(&events);
    let expected = [(FIRST.to_owned(), Why::Silence), (SECOND.to_owned(), Why::Silence), (String::new(), Why::Closed)];
    assert_eq!(texts, expected);
    assert_tiled(&events);
    let order: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::Started { .. } => Some("started"),
            Event::Ended { .. } => Some("ended"),
            Event::Final { .. } => Some("final"),
            Event::Over { .. } => Some("over"),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["started", "ended", "final", "started", "ended", "final", "final", "over"]);
}

/// An engine that hears a word in every 300 ms of sound, at once.
fn prompt_engine() -> Arc<TranscriberPool> {
    scripted(1, |audio, _, _| {
        let length = Duration::from_millis(300);
        let word = |number: u32| Word {
            text: format!("word{number}"),
            start: length * number,
            end: length * (number + 1),
            confidence: 1.0,
            speaker: None,
        };
        let words: Vec<Word> = (0..(audio.duration().as_millis() / 300) as u32).map(word).collect();
        let text = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        let segment = Segment { text, end: audio.duration(), words, ..Segment::default() };
        Ok(Transcript { segments: vec![segment], language: Some("en".into()), ..Transcript::default() })
    })
}

#[tokio::test]
async fn words_come_while_somebody_speaks_and_those_that_are_settled_stay() {
    let settings = Settings { pool: prompt_engine(), ..settings(Ending::Silence(Duration::from_millis(500))) };
    let events = events_in_time(Request::new(settings, pcm()), &two_sentences()).await;
    assert_tiled(&events);
    let mut settled_words: Vec<String> = Vec::new();
    let (mut interims, mut with_settled) = (0, 0);
    for event in &events {
        match event {
            Event::Interim { words, settled, .. } => {
                let texts: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
                assert!(*settled >= settled_words.len() && texts.starts_with(&settled_words), "{texts:?}");
                settled_words = texts[..*settled].to_vec();
                interims += 1;
                with_settled += usize::from(*settled > 0);
            }
            Event::Final { .. } => settled_words.clear(),
            _ => {}
        }
    }
    assert!(interims >= 4 && with_settled >= 2, "{interims} interim results, {with_settled} with settled words");
}

#[tokio::test]
async fn nobody_speaking_is_no_text_and_no_work_for_the_engine() {
    let pool = scripted(1, |_, _, _| panic!("there is nothing to hear"));
    let settings = Settings { pool, ..settings(Ending::Silence(Duration::from_millis(500))) };
    let request = Request { silence: Some(Duration::from_secs(3)), ..Request::new(settings, pcm()) };
    let events = events(request, &silence(10.0)).await;
    let texts = finals(&events);
    assert!(texts.len() >= 3 && texts.iter().all(|(text, _)| text.is_empty()), "{texts:?}");
    assert_tiled(&events);
}

fn turns() -> Settings {
    settings(Ending::Turn { confidence: 0.7, timeout: Duration::from_secs(5) })
}

#[tokio::test]
async fn a_turn_ends_when_the_speaker_seems_to_have_finished_with_what_was_said_at_the_last_look() {
    let request = Request::new(turns(), pcm());
    let events = events(request, &two_sentences()).await;
    let texts = finals(&events);
    let expected =
        [(FIRST.to_owned(), Why::Finished), (SECOND.to_owned(), Why::Finished), (String::new(), Why::Closed)];
    assert_eq!(texts, expected);
    let mut last_look = None;
    for event in &events {
        match event {
            Event::Pause { words, confidence, .. } => last_look = Some((words.clone(), *confidence)),
            Event::Ended { why, confidence, .. } => {
                let looked = last_look.as_ref().expect("it is looked before it ends").1;
                assert!(*why == Why::Finished && *confidence >= 0.7 && *confidence == looked, "{confidence} {looked}");
            }
            Event::Final { transcript, why: Why::Finished, .. } => {
                let (words, _) = last_look.take().expect("it is looked before it ends");
                assert!(transcript.words().eq(&words));
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_pause_in_a_turn_is_no_end_when_somebody_goes_on() {
    let [one, two] =
        ["Please turn on the kitchen lights and", "call the doctor at half past nine."].map(|text| speak(text).samples);
    let sound = [silence(0.5), one, silence(0.4), two, silence(2.0)].concat();
    let events = events(Request::new(turns(), pcm()), &sound).await;
    let texts = finals(&events);
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].0.contains("kitchen") && texts[0].0.contains("doctor"), "{texts:?}");
    let order: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::Pause { .. } => Some("pause"),
            Event::Resumed { .. } => Some("resumed"),
            Event::Ended { .. } => Some("ended"),
            _ => None,
        })
        .collect();
    let resumed = order.iter().position(|event| *event == "resumed").expect("somebody goes on");
    assert!(resumed > 0 && order[resumed - 1] == "pause" && order.last() == Some(&"ended"), "{order:?}");
}

#[tokio::test]
async fn a_turn_without_confidence_ends_with_time() {
    let ending = Ending::Turn { confidence: 1.1, timeout: Duration::from_secs(1) };
    let texts = finals(&events(Request::new(settings(ending), pcm()), &two_sentences()).await);
    assert_eq!(texts[..2], [(FIRST.to_owned(), Why::Silence), (SECOND.to_owned(), Why::Silence)]);
}

#[tokio::test]
async fn without_an_end_there_are_parts_until_the_client_asks() {
    let (listener, events) = listen(Request::new(settings(Ending::Never), pcm()));
    listener.hear(bytes(&two_sentences()));
    listener.finalize();
    listener.finalize();
    drop(listener);
    let events: Vec<Event> = events.map(|event| event.expect("the demo model hears")).collect().await;
    let expected = [
        (FIRST.to_owned(), Why::Cut),
        (SECOND.to_owned(), Why::Cut),
        (String::new(), Why::Asked),
        (String::new(), Why::Asked),
        (String::new(), Why::Closed),
    ];
    assert_eq!(finals(&events), expected);
    assert_tiled(&events);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Started { .. })).count(), 1);
}

#[tokio::test]
async fn what_is_asked_for_in_the_middle_of_speech_comes_at_once() {
    let sound = two_sentences();
    let (listener, events) = listen(Request::new(settings(Ending::Silence(Duration::from_millis(500))), pcm()));
    let middle = 16_000 * 2;
    listener.hear(bytes(&sound[..middle]));
    listener.finalize();
    listener.hear(bytes(&sound[middle..]));
    drop(listener);
    let events: Vec<Event> = events.map(|event| event.expect("the demo model hears")).collect().await;
    let texts = finals(&events);
    assert!(texts[0].1 == Why::Asked && texts[0].0.starts_with("Please turn on the kitchen"), "{texts:?}");
    assert!(texts[1].1 == Why::Silence && texts[1].0.contains("seven"), "{texts:?}");
    assert_tiled(&events);
}

#[tokio::test]
async fn what_is_forgotten_has_no_text() {
    let sound = two_sentences();
    let (listener, events) = listen(Request::new(settings(Ending::Never), pcm()));
    let middle = 16_000 * 4;
    listener.hear(bytes(&sound[..middle]));
    listener.forget();
    listener.hear(bytes(&sound[middle..]));
    drop(listener);
    let events: Vec<Event> = events.map(|event| event.expect("the demo model hears")).collect().await;
    let forgotten = events.iter().position(|event| *event == Event::Forgotten).expect("it is said");
    let texts = finals(&events[forgotten..]);
    assert!(texts[0].0 == SECOND, "{texts:?}");
}

#[tokio::test]
async fn speech_without_a_pause_is_final_in_parts() {
    let sentences: Vec<&str> = SENTENCES.lines().take(30).collect();
    let sound: Vec<f32> = sentences.iter().flat_map(|sentence| speak(sentence).samples).collect();
    let events = events(Request::new(settings(Ending::Silence(Duration::from_millis(500))), pcm()), &sound).await;
    assert_tiled(&events);
    let texts = finals(&events);
    assert!(texts.len() >= 3 && texts[..texts.len() - 1].iter().all(|(_, why)| *why == Why::Cut), "{texts:?}");
    let count = |text: &str| text.split_whitespace().count();
    let heard: usize = texts.iter().map(|(text, _)| count(text)).sum();
    let said: usize = sentences.iter().copied().map(count).sum();
    assert!(heard * 100 >= said * 85 && heard * 10 <= said * 12, "{heard} of {said} words: {texts:?}");
}

#[tokio::test]
async fn nobody_saying_another_word_is_told_once() {
    let settings = settings(Ending::Silence(Duration::from_millis(300)));
    let request = Request { utterance_end: Some(Duration::from_secs(1)), ..Request::new(settings, pcm()) };
    let events = events(request, &two_sentences()).await;
    let words = events.iter().filter_map(|event| match event {
        Event::Final { transcript, .. } => transcript.words().last().map(|word| word.end),
        _ => None,
    });
    let ends = events.iter().filter_map(|event| match event {
        Event::UtteranceEnd { last_word, .. } => Some(*last_word),
        _ => None,
    });
    assert_eq!(words.collect::<Vec<_>>(), ends.collect::<Vec<_>>());
}

#[tokio::test]
async fn guesses_that_fail_are_left_out_and_a_text_that_fails_once_is_recognised_again() {
    let (failures, texts) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (failed, asked) = (failures.clone(), texts.clone());
    let pool = scripted(1, move |_, options, _| {
        if options.hasty || asked.fetch_add(1, Ordering::SeqCst) == 0 {
            failed.fetch_add(1, Ordering::SeqCst);
            return Err(Error::new(Kind::Internal, "told to fail"));
        }
        Ok(Transcript::default())
    });
    let settings = Settings { pool, ..settings(Ending::Silence(Duration::from_millis(500))) };
    let events = events(Request::new(settings, pcm()), &two_sentences()).await;
    assert_eq!(finals(&events).len(), 3);
    assert!(failures.load(Ordering::SeqCst) > 0 && texts.load(Ordering::SeqCst) > 2);
}

#[tokio::test]
async fn dropping_the_events_stops_the_engine() {
    let (began, has_begun) = std::sync::mpsc::channel();
    let (left, has_left) = std::sync::mpsc::channel();
    let pool = scripted(1, move |_, _, cancel| {
        let _ = began.send(());
        while !cancel.is_cancelled() {
            std::thread::yield_now();
        }
        let _ = left.send(());
        Err(Error::new(Kind::Cancelled, "nobody listens"))
    });
    let settings = Settings { pool, ..settings(Ending::Silence(Duration::from_millis(500))) };
    let (listener, events) = listen(Request::new(settings, pcm()));
    let mut events = Box::pin(events);
    listener.hear(bytes(&two_sentences()));
    let wait = tokio::task::spawn_blocking(move || has_begun.recv());
    tokio::select! {
        begun = wait => begun.expect("no panic").expect("the engine is asked"),
        () = async { while events.next().await.is_some() {} } => panic!("the engine never answers"),
    }
    drop(events);
    tokio::task::spawn_blocking(move || has_left.recv()).await.expect("no panic").expect("the engine stops");
}
