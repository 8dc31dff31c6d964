//! What live speech promises, tried on an engine that does as it is told.

use super::*;
use crate::audio::encode::AudioFormat;
use crate::engine::SpeakOptions;
use crate::error::Kind;
use crate::speech::speak::tests::scripted;

async fn voice(pool: Arc<SynthesizerPool>, format: AudioFormat) -> Result<LiveVoice> {
    let request = Request::plain("", SpeakOptions::of_voice("any"));
    let (output, priority) = (format.into(), Priority::Realtime);
    Ok(LiveVoice { pool, request, volume: 1.0, output, priority, patience: None })
}

/// What comes out until the first mark, or the end: bytes, then the words as they are written.
async fn until_mark(stream: &mut (impl Stream<Item = Result<Live<&'static str>>> + Unpin)) -> (usize, Vec<String>) {
    let (mut bytes, mut said) = (0, Vec::new());
    while let Some(live) = stream.next().await {
        match live.expect("it speaks") {
            Live::Bytes(some) => bytes += some.len(),
            Live::Words { text, words } => said.extend(words.iter().map(|word| text[word.text.clone()].to_owned())),
            Live::Mark(mark) => {
                said.push(mark.to_owned());
                break;
            }
        }
    }
    (bytes, said)
}

#[tokio::test]
async fn a_clause_is_said_while_the_text_is_still_written() {
    let (pool, logged, go) = scripted();
    let (writer, stream) = live::<&str>(voice(pool, AudioFormat::Pcm));
    let mut stream = Box::pin(stream);
    drop(go);
    for bit in ["Well, to", " tell you the", " truth, no"] {
        writer.write(bit);
    }
    assert!(matches!(stream.next().await, Some(Ok(Live::Bytes(_)))));
    assert_eq!(logged.recv().expect("the engine runs"), "Well, to tell you the truth,");
    assert_eq!(writer.waiting(), " no".len());
}

#[tokio::test]
async fn a_mark_comes_between_what_is_before_it_and_what_is_behind() {
    let (pool, logged, go) = scripted();
    let (writer, stream) = live(voice(pool, AudioFormat::Pcm));
    let mut stream = Box::pin(stream);
    drop(go);
    writer.write("One two");
    writer.mark("first");
    writer.mark("second");
    writer.write("Three");
    writer.mark("third");
    let (bytes, said) = until_mark(&mut stream).await;
    // Two tenths of a second, and the silence at the end.
    assert!((9_600..25_000).contains(&bytes), "{bytes}");
    assert_eq!(said, ["One", "two", "first"]);
    assert_eq!(logged.try_iter().collect::<Vec<_>>(), ["One two"]);
    assert_eq!(until_mark(&mut stream).await, (0, vec!["second".to_owned()]));
    assert_eq!(until_mark(&mut stream).await.1, ["Three", "third"]);
}

#[tokio::test]
async fn the_end_of_the_text_is_the_end_of_one_file() {
    let (pool, _, go) = scripted();
    let (writer, stream) = live::<&str>(voice(pool, AudioFormat::Opus));
    drop(go);
    writer.write("One two. Three four. Fi");
    writer.mark("here");
    writer.write("ve");
    drop(writer);
    let said: Vec<Live<&str>> = stream.try_collect().await.expect("it speaks");
    let bytes = said.iter().filter_map(|live| if let Live::Bytes(bytes) = live { Some(&bytes[..]) } else { None });
    let file = bytes.collect::<Vec<_>>().concat();
    // The headers are at the beginning alone, and only the last page says that it is the last.
    assert!(file.starts_with(b"OggS") && file.windows(8).filter(|bytes| *bytes == b"OpusHead").count() == 1);
    let pages: Vec<u8> = file.windows(6).filter(|bytes| bytes.starts_with(b"OggS")).map(|page| page[5]).collect();
    let (last, before) = pages.split_last().expect("pages");
    assert!(last & 4 != 0 && before.iter().all(|flags| flags & 4 == 0), "{pages:?}");
}

#[tokio::test]
async fn words_keep_their_times_through_all_pieces() {
    let (pool, _, go) = scripted();
    let (writer, stream) = live(voice(pool, AudioFormat::Pcm));
    drop(go);
    for bit in ["One two", "Three", "Four five"] {
        writer.write(bit);
        writer.mark(());
    }
    drop(writer);
    let (mut at, mut words) = (Duration::ZERO, 0);
    let said: Vec<Live<()>> = stream.try_collect().await.expect("it speaks");
    for live in said {
        let Live::Words { words: some, .. } = live else { continue };
        for word in some {
            assert!(at <= word.start && word.start < word.end, "{word:?} after {at:?}");
            (at, words) = (word.end, words + 1);
        }
    }
    assert_eq!(words, 5);
    assert!(at > Duration::from_millis(800), "{at:?}");
}

#[tokio::test]
async fn dropping_the_stream_stops_the_engine() {
    let (pool, logged, go) = scripted();
    let (writer, stream) = live::<&str>(voice(pool, AudioFormat::Pcm));
    let mut stream = Box::pin(stream);
    writer.write("One two three");
    writer.mark("never");
    go.send(()).expect("the engine runs");
    assert!(stream.next().await.is_some_and(|live| live.is_ok()));
    drop(stream);
    drop(go);
    let logged = tokio::task::spawn_blocking(move || (logged.recv(), logged.recv())).await.expect("no panic");
    assert_eq!(logged, (Ok("One two three".to_owned()), Ok("stopped".to_owned())));
}

#[tokio::test]
async fn a_failure_is_the_end() {
    let (pool, _, go) = scripted();
    let (writer, stream) = live(voice(pool, AudioFormat::Pcm));
    drop(go);
    writer.write("One FAIL");
    writer.mark("never");
    let items: Vec<Result<Live<&str>>> = stream.collect().await;
    let (last, sound) = items.split_last().expect("items");
    assert_eq!(last.as_ref().expect_err("a failure").kind(), Kind::Internal);
    assert!(sound.iter().all(|item| matches!(item, Ok(Live::Bytes(_)))));
}

#[tokio::test]
async fn nothing_written_is_nothing_said() {
    let (pool, ..) = scripted();
    let (writer, stream) = live::<&str>(voice(pool, AudioFormat::Wav));
    writer.write(" \n ... ");
    drop(writer);
    assert_eq!(stream.collect::<Vec<_>>().await.len(), 0);
}

#[tokio::test]
async fn patience_has_an_end() {
    let (pool, logged, go) = scripted();
    let patient =
        async { Ok(LiveVoice { patience: Some(Duration::from_millis(1)), ..voice(pool, AudioFormat::Pcm).await? }) };
    let (writer, stream) = live::<&str>(patient);
    let mut stream = Box::pin(stream);
    drop(go);
    writer.write("One two");
    assert!(matches!(stream.next().await, Some(Ok(Live::Bytes(_)))));
    assert_eq!(logged.try_iter().collect::<Vec<_>>(), ["One two"]);
    assert_eq!(writer.waiting(), 0);
}

#[tokio::test]
async fn what_waits_is_counted_until_it_is_said() {
    let (pool, _, go) = scripted();
    let (writer, stream) = live(voice(pool, AudioFormat::Pcm));
    let mut stream = Box::pin(stream);
    drop(go);
    writer.write("");
    assert_eq!(writer.waiting(), 0);
    for _ in 0..100 {
        writer.mark("here");
    }
    writer.write("One");
    assert!(writer.waiting() > 6_000);
    writer.mark("last");
    while until_mark(&mut stream).await.1.last().is_some_and(|mark| mark != "last") {}
    assert_eq!(writer.waiting(), 0);
}
