//! What a finished transcript looks like on Deepgram's wire. Keys that were not asked for are left out: older clients
//! make numbers of what they find and fail on null.

use super::paragraphs::{self, Paragraph, paragraphs};
use super::spoken::{self, Spoken, bare, confidence, join, utterances};
use crate::api::report;
use crate::models::registry::ModelInfo;
use crate::transcript::{Report, Transcript};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// What the answer is to tell.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Wanted {
    /// Texts have punctuation and capitals, and words have both forms.
    pub punctuate: bool,
    /// Sentences and paragraphs.
    pub paragraphs: bool,
    /// Utterances, which end at pauses of this length.
    pub utterances: Option<Duration>,
    /// The language that was found.
    pub detect_language: bool,
    /// The languages of the words, because several may be spoken.
    pub multi: bool,
    /// What the client calls the request.
    pub tags: Vec<String>,
}

/// A recording that has been transcribed.
pub struct Done {
    /// The id of the request.
    pub request_id: Uuid,
    /// When it came.
    pub created: SystemTime,
    /// SHA-256 of the recording, in hexadecimal.
    pub sha256: String,
    /// How long the recording is.
    pub duration: Duration,
    /// What transcribed it.
    pub model: ModelInfo,
    /// The transcript of every channel, or the one of all.
    pub channels: Vec<Transcript>,
}

/// The body of an answer.
#[derive(Serialize)]
pub struct Answer {
    metadata: Metadata,
    results: Results,
}

#[derive(Serialize)]
struct Metadata {
    transaction_key: &'static str,
    request_id: Uuid,
    sha256: String,
    created: String,
    duration: f64,
    channels: usize,
    models: [Uuid; 1],
    model_info: BTreeMap<Uuid, ModelNamed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    /// Not Deepgram's: what became of the speech that was heard.
    x_mynah: Value,
}

/// What a model is called.
#[derive(Serialize)]
pub(super) struct ModelNamed {
    name: String,
    version: String,
    arch: String,
}

#[derive(Serialize)]
struct Results {
    channels: Vec<Channel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    utterances: Option<Vec<Utterance>>,
}

/// What was said on one channel.
#[derive(Serialize)]
pub(super) struct Channel {
    alternatives: [Alternative; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    detected_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language_confidence: Option<f64>,
}

#[derive(Serialize)]
struct Alternative {
    transcript: String,
    confidence: f64,
    words: Vec<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paragraphs: Option<Paragraphs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    languages: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Word {
    word: String,
    start: f64,
    end: f64,
    confidence: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    punctuated_word: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
}

#[derive(Serialize)]
struct Paragraphs {
    transcript: String,
    paragraphs: Vec<OneParagraph>,
}

#[derive(Serialize)]
struct OneParagraph {
    sentences: Vec<Sentence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<u32>,
    num_words: usize,
    start: f64,
    end: f64,
}

#[derive(Serialize)]
struct Sentence {
    text: String,
    start: f64,
    end: f64,
}

#[derive(Serialize)]
struct Utterance {
    start: f64,
    end: f64,
    confidence: f64,
    channel: usize,
    transcript: String,
    words: Vec<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<u32>,
    id: Uuid,
}

impl ModelNamed {
    pub(super) fn new(model: &ModelInfo) -> Self {
        Self {
            name: model.model_id().to_owned(),
            version: date(UNIX_EPOCH + Duration::from_secs(model.created)),
            arch: model.engine.clone(),
        }
    }
}

impl Answer {
    /// The answer for `done` that tells what is `wanted`.
    pub fn new(done: &Done, wanted: &Wanted) -> Self {
        let channels = done.channels.iter().map(|transcript| channel(transcript, wanted)).collect();
        let utterances = wanted.utterances.map(|pause| all_utterances(&done.channels, pause, wanted));
        Self { metadata: metadata(done, wanted), results: Results { channels, utterances } }
    }
}

/// What became of the speech of all channels together.
pub fn report_of(channels: &[Transcript]) -> Report {
    let mut report = Report::default();
    channels.iter().for_each(|transcript| report.append(transcript.report.clone()));
    report
}

fn metadata(done: &Done, wanted: &Wanted) -> Metadata {
    let id = uuid_of(done.model.model_id());
    let named = ModelNamed::new(&done.model);
    Metadata {
        transaction_key: "deprecated",
        request_id: done.request_id,
        sha256: done.sha256.clone(),
        created: timestamp(done.created),
        duration: seconds(done.duration),
        channels: done.channels.len(),
        models: [id],
        model_info: BTreeMap::from([(id, named)]),
        tags: wanted.tags.clone(),
        x_mynah: told(&report_of(&done.channels)),
    }
}

fn told(report: &Report) -> Value {
    let mut told = report::report(report);
    if let Some(coverage) = &report.coverage {
        told["coverage"] = report::coverage(coverage);
    }
    told
}

/// What was said on one channel, as far as it is `wanted`.
pub(super) fn channel(transcript: &Transcript, wanted: &Wanted) -> Channel {
    let words = spoken::words(transcript);
    let text = transcript.text();
    let alternative = Alternative {
        transcript: if wanted.punctuate { text } else { bare(&text) },
        confidence: rounded(confidence(&words).into(), 4),
        words: words.iter().map(|it| word(it, wanted)).collect(),
        paragraphs: wanted.paragraphs.then(|| all_paragraphs(&paragraphs(&words))),
        languages: wanted.multi.then(|| languages(&words)),
    };
    let is_told = wanted.detect_language;
    Channel {
        alternatives: [alternative],
        detected_language: transcript.language.clone().filter(|_| is_told),
        language_confidence: transcript.language_confidence.filter(|_| is_told).map(|it| rounded(it.into(), 4)),
    }
}

/// Every language there is, in the order in which they are first spoken.
fn languages(words: &[Spoken<'_>]) -> Vec<String> {
    let mut languages: Vec<String> = Vec::new();
    for language in words.iter().filter_map(|word| word.language) {
        if !languages.iter().any(|known| known == language) {
            languages.push(language.to_owned());
        }
    }
    languages
}

fn word(word: &Spoken<'_>, wanted: &Wanted) -> Word {
    Word {
        word: word.bare.clone(),
        start: seconds(word.start),
        end: seconds(word.end),
        confidence: rounded(word.confidence.into(), 4),
        punctuated_word: wanted.punctuate.then(|| word.text.to_owned()),
        speaker: word.speaker,
        language: word.language.filter(|_| wanted.multi).map(str::to_owned),
    }
}

fn all_paragraphs(paragraphs: &[Paragraph<'_, '_>]) -> Paragraphs {
    let sentence = |words: &&[Spoken<'_>]| Sentence {
        text: join(*words, true),
        start: words.first().map_or(0.0, |word| seconds(word.start)),
        end: words.last().map_or(0.0, |word| seconds(word.end)),
    };
    let one = |paragraph: &Paragraph<'_, '_>| OneParagraph {
        sentences: paragraph.sentences.iter().map(sentence).collect(),
        speaker: paragraph.speaker(),
        num_words: paragraph.words(),
        start: seconds(paragraph.start()),
        end: seconds(paragraph.end()),
    };
    Paragraphs { transcript: paragraphs::text(paragraphs), paragraphs: paragraphs.iter().map(one).collect() }
}

/// The utterances of all channels, in the order in which they begin.
fn all_utterances(channels: &[Transcript], pause: Duration, wanted: &Wanted) -> Vec<Utterance> {
    let mut all = Vec::new();
    for (channel, transcript) in channels.iter().enumerate() {
        let words = spoken::words(transcript);
        all.extend(utterances(&words, pause).map(|words| utterance(words, channel, wanted)));
    }
    all.sort_by(|one, other| one.start.total_cmp(&other.start));
    all
}

fn utterance(words: &[Spoken<'_>], channel: usize, wanted: &Wanted) -> Utterance {
    Utterance {
        start: words.first().map_or(0.0, |word| seconds(word.start)),
        end: words.last().map_or(0.0, |word| seconds(word.end)),
        confidence: rounded(confidence(words).into(), 4),
        channel,
        transcript: join(words, wanted.punctuate),
        words: words.iter().map(|it| word(it, wanted)).collect(),
        speaker: words.first().and_then(|word| word.speaker),
        id: Uuid::now_v7(),
    }
}

/// The id of a model, always the same: Deepgram's models have UUIDs, ours have names.
pub fn uuid_of(model: &str) -> Uuid {
    let digest = Sha256::digest(model.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

pub(super) fn seconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64(), 3)
}

/// JSON has no number for what is not finite.
pub(super) fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    if value.is_finite() { (value * scale).round() / scale } else { 0.0 }
}

/// ISO 8601 in UTC, to the millisecond.
pub fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let in_day = since.as_secs() % 86_400;
    let (hours, minutes, seconds) = (in_day / 3_600, in_day / 60 % 60, in_day % 60);
    format!("{}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", date(time), since.subsec_millis())
}

/// `YYYY-MM-DD` in UTC.
fn date(time: SystemTime) -> String {
    // Counted from the first of March of the year 0, a leap day is the last day of its year, and 400 years are one
    // period: http://howardhinnant.github.io/date_algorithms.html#civil_from_days
    let days = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400 + 719_468;
    let (period, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", period * 400 + year + next)
}

#[cfg(test)]
mod tests {
    use super::super::spoken::tests::transcript;
    use super::*;
    use crate::models::catalog::ModelTask;
    use crate::transcript::Coverage;
    use serde_json::json;

    fn done(channels: Vec<Transcript>) -> Done {
        let model = ModelInfo {
            id: "deepgram/nova-3".into(),
            resolves_to: Some("whisper-tiny".into()),
            is_alias: true,
            name: "Tiny".into(),
            task: ModelTask::Transcribe,
            engine: "whisper".into(),
            languages: Vec::new(),
            multilingual: true,
            english_only: false,
            installed: true,
            usable: true,
            loaded: true,
            built_in: false,
            size: None,
            licence: String::new(),
            owned_by: String::new(),
            description: String::new(),
            created: 1_664_755_200,
        };
        Done {
            request_id: Uuid::nil(),
            created: UNIX_EPOCH + Duration::from_millis(1_767_323_045_678),
            sha256: "00".into(),
            duration: Duration::from_millis(2_400),
            model,
            channels,
        }
    }

    fn answer(channels: Vec<Transcript>, wanted: Wanted) -> Value {
        serde_json::to_value(Answer::new(&done(channels), &wanted)).unwrap()
    }

    #[test]
    fn an_answer_has_only_what_was_asked_for() {
        let said = transcript(&[("Ship", 100, None), ("it!", 500, None)]);
        insta::assert_json_snapshot!(answer(vec![said], Wanted::default()));
    }

    #[test]
    fn an_answer_to_everything_has_everything() {
        let mut said = transcript(&[("Ship", 100, Some(0)), ("it!", 500, Some(0)), ("When?", 1_000, Some(1))]);
        said.language_confidence = Some(0.75);
        let gaps = vec![Duration::from_secs(1)..Duration::from_secs(2)];
        let coverage = Coverage { speech: Duration::from_secs(3), covered: Duration::from_secs(2), gaps };
        said.report = Report { pieces: 1, coverage: Some(coverage), ..Report::default() };
        let wanted = Wanted {
            punctuate: true,
            paragraphs: true,
            utterances: Some(Duration::from_millis(800)),
            detect_language: true,
            multi: true,
            tags: vec!["first".into()],
        };
        let mut answer = answer(vec![said], wanted);
        for utterance in answer["results"]["utterances"].as_array_mut().unwrap() {
            Uuid::try_parse(utterance["id"].as_str().unwrap()).unwrap();
            utterance["id"] = "a uuid".into();
        }
        insta::assert_json_snapshot!(answer);
    }

    #[test]
    fn silence_is_one_alternative_without_words() {
        let wanted =
            Wanted { paragraphs: true, utterances: Some(Duration::ZERO), detect_language: true, ..Wanted::default() };
        let answer = answer(vec![Transcript::default()], wanted);
        let expected = json!({"channels": [{"alternatives": [{
            "transcript": "", "confidence": 0.0, "words": [], "paragraphs": {"transcript": "", "paragraphs": []},
        }]}], "utterances": []});
        assert_eq!(answer["results"], expected);
    }

    #[test]
    fn utterances_of_all_channels_are_in_order_of_time() {
        let left = transcript(&[("One.", 0, None), ("Three.", 4_000, None)]);
        let right = transcript(&[("Two.", 2_000, None)]);
        let wanted = Wanted { utterances: Some(Duration::from_secs(1)), ..Wanted::default() };
        let answer = answer(vec![left, right], wanted);
        let told: Vec<_> =
            answer["results"]["utterances"].as_array().unwrap().iter().map(|it| &it["channel"]).collect();
        assert_eq!(told, [0, 1, 0]);
        assert_eq!(
            (&answer["metadata"]["channels"], answer["results"]["channels"].as_array().unwrap().len()),
            (&json!(2), 2)
        );
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| timestamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_709_251_199), "2024-02-29T23:59:59.000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn the_id_of_a_model_is_always_the_same() {
        assert_eq!(uuid_of("a"), uuid_of("a"));
        assert_ne!(uuid_of("a"), uuid_of("b"));
    }
}
