//! The tokens of a model: which of them are text, which are signs of Whisper's own, and which are never written.

use std::ops::Range;
use whisper_rs::WhisperContext;

/// Signs that are not spoken; models write them around sounds (`[music]`, `♪`) and in loops. The list is that of
/// OpenAI's Whisper, each with and without a space in front.
const NOT_SPOKEN: [&str; 54] = [
    "\"",
    "#",
    "(",
    ")",
    "*",
    "+",
    "/",
    ":",
    ";",
    "<",
    "=",
    ">",
    "@",
    "[",
    "\\",
    "]",
    "^",
    "_",
    "`",
    "{",
    "|",
    "}",
    "~",
    "「",
    "」",
    "『",
    "』",
    "<<",
    ">>",
    "<<<",
    ">>>",
    "--",
    "---",
    "-(",
    "-[",
    "('",
    "(\"",
    "((",
    "))",
    "(((",
    ")))",
    "[[",
    "]]",
    "{{",
    "}}",
    "♪♪",
    "♪♪♪",
    "♩",
    "♪",
    "♫",
    "♬",
    "♭",
    "♮",
    "♯",
];

/// Never at the beginning of a word; within words they are letters.
const NOT_IN_FRONT: [&str; 2] = [" -", " '"];

/// The numbers of the tokens that mean something to the decoder.
pub(super) struct Vocabulary {
    /// How many tokens there are.
    pub(super) size: usize,
    /// Ends the text; all text tokens have smaller numbers.
    pub(super) end_of_text: i32,
    /// Begins a transcript.
    pub(super) start: i32,
    /// Begins the text of before.
    pub(super) previous: i32,
    /// Asks for text without times.
    pub(super) no_times: i32,
    /// Stands for silence; it is never written, its probability is asked for.
    pub(super) no_speech: i32,
    /// Stands for 0.00 s; the next ones are 20 ms apart.
    pub(super) first_time: i32,
    pub(super) transcribe: i32,
    pub(super) translate: i32,
    /// A space without a word.
    pub(super) blank: Option<i32>,
    /// Text that is never written.
    pub(super) not_spoken: Vec<i32>,
    /// Languages by their ISO 639-1 codes; none when English is the only one.
    pub(super) languages: Vec<(&'static str, i32)>,
}

impl Vocabulary {
    /// Of the model that is loaded in `context`.
    pub(super) fn of(context: &WhisperContext) -> Self {
        let text = |id: i32| context.token_to_bytes(id).unwrap_or_default();
        let is = |id: &i32, signs: &[&str]| signs.iter().any(|sign| sign.as_bytes() == text(*id));
        let silent = |id: &i32| is(id, &NOT_IN_FRONT) || is_not_spoken(text(*id));
        let words = 0..context.token_eot();
        Self {
            size: usize::try_from(context.n_vocab()).unwrap_or(0),
            end_of_text: context.token_eot(),
            start: context.token_sot(),
            previous: context.token_prev(),
            no_times: context.token_not(),
            no_speech: context.token_nosp(),
            first_time: context.token_beg(),
            transcribe: context.token_transcribe(),
            translate: context.token_translate(),
            blank: words.clone().find(|id| text(*id) == b" "),
            not_spoken: words.filter(silent).collect(),
            languages: languages(context),
        }
    }

    /// Tokens that are neither text nor times.
    pub(super) fn special(&self) -> Range<usize> {
        (self.end_of_text + 1) as usize..self.first_time as usize
    }

    /// Whether `token` names a point in time.
    pub(super) fn is_time(&self, token: i32) -> bool {
        token >= self.first_time
    }
}

fn is_not_spoken(text: &[u8]) -> bool {
    let bare = text.strip_prefix(b" ").unwrap_or(text);
    NOT_SPOKEN.iter().any(|sign| sign.as_bytes() == bare)
}

/// The language tokens lie between the start token and that of translation.
fn languages(context: &WhisperContext) -> Vec<(&'static str, i32)> {
    if !context.is_multilingual() {
        return Vec::new();
    }
    let known = (0..=whisper_rs::get_lang_max_id()).map(|id| (whisper_rs::get_lang_str(id), context.token_lang(id)));
    known
        .filter_map(|(code, token)| Some((code?, token)))
        .filter(|(_, token)| *token < context.token_translate())
        .collect()
}
