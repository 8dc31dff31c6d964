//! What the server says over a live `/v1/listen`. Clients of some generations stop listening at a message or a key that they
//! do not expect: what is here is always complete, and there is nothing else.

use super::query::Asked;
use crate::api::deepgram::replace::{Replacement, replace};
use crate::api::deepgram::response::{ModelNamed, Wanted, channel, seconds, timestamp, uuid_of};
use crate::api::deepgram::spoken::{needs_spaces, words};
use crate::models::registry::ModelInfo;
use crate::speech::realtime::{Event, Why};
use crate::transcript::{Segment, Transcript, Word};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, SystemTime};
use uuid::Uuid;

/// Tells one client what is heard.
pub struct Teller {
    request_id: Uuid,
    created: SystemTime,
    model: ModelInfo,
    replacements: Vec<Replacement>,
    wanted: Wanted,
    extra: BTreeMap<String, String>,
    vad_events: bool,
    /// Whether channels are told apart.
    is_apart: bool,
    /// How many channels there are, as far as is known.
    channels: u32,
    /// On these an utterance is over whose last result has not come.
    ended: BTreeSet<u32>,
}

impl Teller {
    /// For the client that has `asked`.
    pub fn new(asked: Asked, request_id: Uuid) -> Self {
        let Asked { model, replacements, wanted, extra, vad_events, apart, .. } = asked;
        let (created, ended) = (SystemTime::now(), BTreeSet::new());
        let (is_apart, channels) = (apart.is_some(), apart.unwrap_or(1).into());
        Self { request_id, created, model, replacements, wanted, extra, vad_events, is_apart, channels, ended }
    }

    /// The message about `event`, if there is one. What ends the session is not for this: [`Teller::metadata`].
    pub fn message(&mut self, event: Event) -> Option<Value> {
        match event {
            Event::Started { channel, at } if self.vad_events => {
                Some(json!({"type": "SpeechStarted", "channel": self.index(channel), "timestamp": seconds(at)}))
            }
            Event::Interim { channel, span, words, language, .. } => {
                let transcript = transcript_of(words, language);
                Some(self.results(channel, &span, transcript, None))
            }
            Event::Final { channel, span, transcript, why } => {
                Some(self.results(channel, &span, transcript, Some(why)))
            }
            Event::UtteranceEnd { channel, last_word } => {
                let last_word_end = seconds(last_word);
                Some(json!({"type": "UtteranceEnd", "channel": self.index(channel), "last_word_end": last_word_end}))
            }
            Event::Ended { channel, .. } => {
                self.ended.insert(channel);
                None
            }
            _ => None,
        }
    }

    /// A result; `why` it is final, if it is.
    fn results(&mut self, on: u32, span: &Range<Duration>, mut transcript: Transcript, why: Option<Why>) -> Value {
        replace(&mut transcript, &self.replacements);
        if words(&transcript).is_empty() {
            transcript.segments.clear(); // marks alone are nothing that anybody has said
        }
        let said = channel(&transcript, &self.wanted);
        let (start, end) = (seconds(span.start), seconds(span.end));
        let is_over = match why {
            Some(Why::Cut | Why::Nobody) | None => false,
            Some(why) => {
                let is_ended = self.ended.remove(&on) || !transcript.segments.is_empty();
                is_ended || matches!(why, Why::Silence | Why::Finished)
            }
        };
        let mut metadata = json!({
            "request_id": self.request_id,
            "model_info": ModelNamed::new(&self.model),
            "model_uuid": uuid_of(self.model.model_id()),
        });
        if !self.extra.is_empty() {
            metadata["extra"] = json!(self.extra);
        }
        json!({
            "type": "Results",
            "channel_index": self.index(on),
            "duration": seconds(Duration::try_from_secs_f64(end - start).unwrap_or_default()),
            "start": start,
            "is_final": why.is_some(),
            "speech_final": is_over,
            "from_finalize": why == Some(Why::Asked),
            "channel": said,
            "metadata": metadata,
        })
    }

    /// What is said last: about `duration` of sound with so many channels and this digest.
    pub fn metadata(&self, duration: Duration, channels: u32, sha256: &str) -> Value {
        let id = uuid_of(self.model.model_id());
        let mut told = json!({
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": self.request_id,
            "sha256": sha256,
            "created": timestamp(self.created),
            "duration": seconds(duration),
            "channels": if self.is_apart { channels } else { 1 },
            "models": [id],
            "model_info": Map::from_iter([(id.to_string(), json!(ModelNamed::new(&self.model)))]),
        });
        if !self.wanted.tags.is_empty() {
            told["tags"] = json!(self.wanted.tags);
        }
        if !self.extra.is_empty() {
            told["extra"] = json!(self.extra);
        }
        told
    }

    /// The client's wish has been granted.
    pub fn configured(&self, keyterms: Option<&[String]>) -> Value {
        let mut told = json!({"type": "ConfigureSuccess", "request_id": self.request_id});
        if let Some(keyterms) = keyterms {
            told["keyterms"] = json!(keyterms);
        }
        told
    }

    /// The client's wish cannot be granted; nothing has changed.
    pub fn not_configured(&self, code: &str, description: &str) -> Value {
        json!({"type": "ConfigureFailure", "request_id": self.request_id, "code": code, "description": description})
    }

    /// Results have punctuation and capitals from here on, or have none.
    pub fn punctuate(&mut self, punctuate: bool) {
        self.wanted.punctuate = punctuate;
    }

    /// A channel as clients count them: which, and of how many. A file may have more than was said.
    fn index(&mut self, channel: u32) -> [u32; 2] {
        self.channels = self.channels.max(channel + 1);
        [channel, self.channels]
    }
}

/// Words as a transcript, which is empty when there are none.
pub(in crate::api::deepgram) fn transcript_of(words: Vec<Word>, language: Option<String>) -> Transcript {
    let (Some(first), Some(last)) = (words.first(), words.last()) else {
        return Transcript { language, ..Transcript::default() };
    };
    let (start, end) = (first.start, last.end);
    let between = if needs_spaces(language.as_deref()) { " " } else { "" };
    let text = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(between);
    let segment = Segment { text, start, end, words, ..Segment::default() };
    Transcript { segments: vec![segment], language, ..Transcript::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::deepgram::query::tests::model;
    use crate::api::deepgram::spoken::tests::transcript;
    use std::time::UNIX_EPOCH;

    fn teller(change: impl FnOnce(&mut Teller)) -> Teller {
        let mut teller = Teller {
            request_id: Uuid::nil(),
            created: UNIX_EPOCH + Duration::from_millis(1_767_323_045_678),
            model: model(true),
            replacements: Vec::new(),
            wanted: Wanted { punctuate: true, ..Wanted::default() },
            extra: BTreeMap::new(),
            vad_events: false,
            is_apart: false,
            channels: 1,
            ended: BTreeSet::new(),
        };
        change(&mut teller);
        teller
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn said(teller: &mut Teller, words: &[(&str, u64, Option<u32>)], why: Why) -> Value {
        let transcript = if words.is_empty() { Transcript::default() } else { transcript(words) };
        teller.message(Event::Final { channel: 0, span: ms(0)..ms(2_400), transcript, why }).unwrap()
    }

    #[test]
    fn a_result_has_every_key_that_clients_look_for() {
        let told = said(&mut teller(|_| {}), &[("Ship", 100, None), ("it!", 500, None)], Why::Silence);
        insta::assert_json_snapshot!(told);
    }

    #[test]
    fn an_interim_result_is_not_final() {
        let words = transcript(&[("Ship", 100, None)]).segments.remove(0).words;
        let interim = Event::Interim { channel: 0, span: ms(0)..ms(1_000), words, settled: 0, language: None };
        let told = teller(|_| {}).message(interim).unwrap();
        assert_eq!((&told["is_final"], &told["speech_final"]), (&json!(false), &json!(false)));
        assert_eq!((&told["start"], &told["duration"]), (&json!(0.0), &json!(1.0)));
        assert_eq!(told["channel"]["alternatives"][0]["transcript"], "Ship");
    }

    #[test]
    fn silence_is_one_alternative_without_words() {
        let told = said(&mut teller(|_| {}), &[], Why::Nobody);
        let expected = json!({"alternatives": [{"transcript": "", "confidence": 0.0, "words": []}]});
        assert_eq!(
            (&told["channel"], &told["is_final"], &told["speech_final"]),
            (&expected, &json!(true), &json!(false))
        );
        let marks = said(&mut teller(|_| {}), &[("...", 0, None)], Why::Closed);
        assert_eq!(marks["channel"], expected, "marks alone are no words");
    }

    #[test]
    fn the_end_of_an_utterance_and_what_the_client_asked_for_are_told_apart() {
        for (why, over, asked) in [
            (Why::Silence, true, false),
            (Why::Finished, true, false),
            (Why::Cut, false, false),
            (Why::Asked, true, true),
            (Why::Closed, true, false),
        ] {
            let told = said(&mut teller(|_| {}), &[("Yes.", 0, None)], why);
            assert_eq!((&told["speech_final"], &told["from_finalize"]), (&json!(over), &json!(asked)), "{why:?}");
        }
        let mut teller = teller(|_| {});
        let nothing = said(&mut teller, &[], Why::Asked);
        assert_eq!((&nothing["speech_final"], &nothing["from_finalize"]), (&json!(false), &json!(true)));
        let ended = Event::Ended { channel: 0, at: ms(0), why: Why::Asked, confidence: 0.0 };
        assert_eq!(teller.message(ended), None);
        assert_eq!(said(&mut teller, &[], Why::Cut)["speech_final"], false);
        assert_eq!(said(&mut teller, &[], Why::Asked)["speech_final"], true, "there was an utterance, without words");
        assert_eq!(said(&mut teller, &[], Why::Asked)["speech_final"], false);
    }

    #[test]
    fn speakers_are_numbers_and_channels_are_counted() {
        let mut teller = teller(|teller| teller.channels = 2);
        let told = said(&mut teller, &[("Yes.", 0, Some(1))], Why::Silence);
        assert_eq!(told["channel"]["alternatives"][0]["words"][0]["speaker"], 1);
        assert_eq!(told["channel_index"], json!([0, 2]));
        let event = Event::UtteranceEnd { channel: 2, last_word: ms(1_500) };
        let told = teller.message(event).unwrap();
        assert_eq!(told, json!({"type": "UtteranceEnd", "channel": [2, 3], "last_word_end": 1.5}));
    }

    #[test]
    fn the_start_of_speech_is_told_to_those_who_want_to_know() {
        let started = || Event::Started { channel: 0, at: ms(700) };
        assert_eq!(teller(|_| {}).message(started()), None);
        let told = teller(|teller| teller.vad_events = true).message(started()).unwrap();
        assert_eq!(told, json!({"type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.7}));
    }

    #[test]
    fn the_last_message_describes_the_sound() {
        let mut teller = teller(|_| {});
        insta::assert_json_snapshot!(teller.metadata(ms(3_000), 1, "00"));
        teller.wanted.tags = vec!["mine".into()];
        teller.extra = BTreeMap::from([("call".into(), "7".into())]);
        let told = teller.metadata(ms(3_000), 1, "00");
        assert_eq!((&told["tags"], &told["extra"]), (&json!(["mine"]), &json!({"call": "7"})));
        assert_eq!(said(&mut teller, &[], Why::Nobody)["metadata"]["extra"], json!({"call": "7"}));
    }

    #[test]
    fn words_are_written_as_the_client_wants_them() {
        let mut teller = teller(|teller| teller.replacements = vec![Replacement::parse("ship:send").unwrap()]);
        let told = said(&mut teller, &[("Ship", 0, None), ("it.", 500, None)], Why::Silence);
        assert_eq!(told["channel"]["alternatives"][0]["transcript"], "send it.");
        teller.punctuate(false);
        let told = said(&mut teller, &[("Yes.", 0, None)], Why::Silence);
        assert_eq!(told["channel"]["alternatives"][0]["transcript"], "yes");
        assert!(told["channel"]["alternatives"][0]["words"][0].get("punctuated_word").is_none());
    }
}
