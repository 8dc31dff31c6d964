//! Text to phonemes with espeak-ng's dictionaries and rules, clause by clause, as its C library hands them to the programs
//! that neural voices were trained with.

use super::{halves, install, readable, voices};
use crate::engine::phonemes::{Clause, Rules};
use crate::error::{Error, Result};
use espeak_ng::phoneme::load::PhonemeData;
use espeak_ng::translate::phoneme_ipa::codes_to_ipa;
use espeak_ng::translate::{Translator, select_phoneme_table};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The rules, with their data in `cache_dir`.
///
/// # Errors
/// `Unavailable` when the folder cannot be written.
pub fn rules(cache_dir: &Path) -> Result<Box<dyn Rules>> {
    Ok(Box::new(Espeak { data: install(cache_dir)?, table: None }))
}

struct Espeak {
    data: PathBuf,
    /// The phonemes of the language spoken last.
    table: Option<(String, PhonemeData)>,
}

impl Rules for Espeak {
    fn language(&self, tag: &str, own: &str) -> Option<String> {
        voices::language(tag, own).map(str::to_owned)
    }

    fn clauses(&mut self, text: &str, language: &str) -> Result<Vec<Clause>> {
        self.load(language).map_err(|_| voices::unknown_language(language))?;
        let mut clauses = Vec::new();
        self.translate_or_less(&marked(&readable(text)), language, &mut clauses)?;
        Ok(clauses)
    }
}

impl Espeak {
    fn load(&mut self, language: &str) -> espeak_ng::Result<()> {
        if self.table.as_ref().is_none_or(|(loaded, _)| loaded != language) {
            let mut table = PhonemeData::load(&self.data)?;
            select_phoneme_table(&mut table, &self.data, language)?;
            self.table = Some((language.to_owned(), table));
        }
        Ok(())
    }

    /// The crate panics on some odd texts. Then each half of the text is tried alone, and so on: what has no phonemes at
    /// all is left out.
    fn translate_or_less(&self, text: &str, language: &str, clauses: &mut Vec<Clause>) -> Result<()> {
        if text.trim().is_empty() {
            return Ok(());
        }
        let translated = catch_unwind(AssertUnwindSafe(|| self.translate(text, language)));
        match (translated, halves(text)) {
            (Ok(Ok(more)), _) => clauses.extend(more),
            (Ok(Err(error)), _) => return Err(Error::internal("this text has no phonemes", error)),
            (Err(_), Some((first, second))) => {
                self.translate_or_less(first, language, clauses)?;
                self.translate_or_less(second, language, clauses)?;
            }
            (Err(_), None) => {}
        }
        Ok(())
    }

    fn translate(&self, text: &str, language: &str) -> espeak_ng::Result<Vec<Clause>> {
        let Some((_, table)) = &self.table else { return Ok(Vec::new()) };
        let codes = Translator::new(language, Some(&self.data))?.translate_to_codes(text)?;
        let ipa = codes_to_ipa(&codes, table, &self.data, language, false);
        let ends = codes.iter().filter(|code| code.is_boundary && code.code == 0).filter_map(|code| code.clause_char);
        let mut clauses: Vec<Clause> = Vec::new();
        for (line, end) in ipa.lines().zip(ends.map(Some).chain(std::iter::repeat(None))) {
            let ipa = without_flags(line);
            // Of several marks in a row the first counts.
            if !ipa.is_empty() || clauses.is_empty() {
                clauses.push(Clause { ipa, end: end.and_then(mark) });
            }
        }
        Ok(clauses)
    }
}

/// What kind of clause ends with `c`.
fn mark(c: char) -> Option<char> {
    match c {
        '.' | '。' => Some('.'),
        '!' | '！' => Some('!'),
        '?' | '？' => Some('?'),
        ':' | '：' => Some(':'),
        ';' | '；' => Some(';'),
        ',' | '，' | '、' => Some(','),
        _ => None,
    }
}

/// `line` without the notes such as `(en)` on words of another language.
fn without_flags(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, (_, after))) = rest.split_once('(').and_then(|(a, b)| Some((a, b.split_once(')')?))) {
        plain.push_str(before);
        rest = after;
    }
    plain.push_str(rest);
    plain.trim().to_owned()
}

/// `text` with the marks that end a clause for espeak-ng in C, but not for the crate, as ones that do for both.
fn marked(text: &str) -> String {
    let text = text.replace("...", "…");
    let mut marked = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '–' | '—' => marked.push_str("; "),
            '…' => marked.push_str(", "),
            _ => marked.push(c),
        }
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::phonemes::sentences;
    use crate::error::Kind;
    use unicode_normalization::UnicodeNormalization;

    /// What Piper 1.8 makes of these texts with espeak-ng in C.
    const AS_PIPER: &[(&str, &str, &[&str])] = &[
        ("en-us", "Hello world.", &["həlˈoʊ wˈɜːld."]),
        ("en-us", "Hello, world! How are you?", &["həlˈoʊ, wˈɜːld!", "hˈaʊ ɑːɹ juː?"]),
        ("en-us", "No punctuation at all", &["nˈoʊ pˌʌŋktʃuːˈeɪʃən æɾ ˈɔːl"]),
        ("en-us", "He said \"hello there\" (quietly) and left.", &["hiː sˈɛd həlˈoʊ ðɛɹ kwˈaɪətli ænd lˈɛft."]),
        ("en-us", "A dash — here, and - there.", &["ɐ dˈæʃ; hˈɪɹ, ænd ðˈɛɹ."]),
        ("en-us", "Black & white: 50% off.", &["blˈæk ænd wˈaɪt: fˈɪfti pɚsˈɛnt ˈɔf."]),
        ("en-us", "(In brackets.) After.", &["ɪn bɹˈækɪts.", "ˈæftɚ."]),
        ("en-us", "I can't believe it's not butter; really.", &["aɪ kˈænt bᵻlˈiːv ɪts nˌɑːt bˈʌɾɚ; ɹˈiəli."]),
        ("de", "Guten Morgen, wie geht es Ihnen?", &["ɡˈuːtən mˈɔɾɡən, viː ɡˈeːt ɛs ˈiːnən?"]),
        ("de", "Wir haben ein Update für die App.", &["viːɾ hˌɑːbən aɪn ˈʌpdeɪt fyːɾ diː ˈap."]),
        ("fr", "Un bon vin blanc.", &["œ̃ bˈɔ̃ vˈɛ̃ blˈɑ̃."]),
        ("es", "¡Qué bueno!", &["kˈe βwˈeno!"]),
        ("pl", "Dzień dobry, jak się masz?", &["dʑˈɛɲ dˈɔbrɨ, jˈak ɕɛ mˈaʃ?"]),
        ("ru", "Доброе утро.", &["dˈobrʌjɪ ˈutrʌ."]),
        ("nl", "Goedemorgen allemaal.", &["ɣˈudəmˌɔrɣən ˌɑləmˈaːl."]),
        ("sv", "God morgon, hur mår du?", &["ɡˈuːd mˈɔrɔn, hˈʉːr mˈoːr dʉː?"]),
    ];

    fn said(rules: &mut dyn Rules, text: &str, language: &str) -> Vec<String> {
        sentences(rules, &text.into(), language).unwrap_or_else(|error| panic!("{language}, {text:?}: {error}"))
    }

    #[test]
    fn phonemes_are_those_that_piper_makes() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut rules = rules(folder.path()).expect("rules");
        for (language, text, expected) in AS_PIPER {
            let expected: Vec<String> = expected.iter().map(|sentence| sentence.nfd().collect()).collect();
            assert_eq!(said(rules.as_mut(), text, language), expected);
        }
        // In C these words run into each other.
        assert_eq!(said(rules.as_mut(), "Wait... what?", "en-us"), ["wˈeɪt, wˈʌt?"]);
    }

    #[test]
    fn what_is_no_text_has_no_phonemes_and_breaks_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut rules = rules(folder.path()).expect("rules");
        let long_word = "Donaudampfschifffahrt".repeat(20);
        for text in [
            "",
            " \n",
            "...",
            "[[h@l'oU]]",
            "\u{1}5P",
            "😀👩‍👩‍👧‍👦",
            "日本語",
            "e\u{301}\u{302}",
            &long_word,
            &"9".repeat(300),
        ] {
            for language in ["en-us", "de", "cmn", "ar"] {
                let said = said(rules.as_mut(), text, language);
                assert!(said.iter().all(|sentence| !sentence.contains(['(', '[', '\n'])), "{language}: {said:?}");
            }
        }
        let error = sentences(rules.as_mut(), &"Hi.".into(), "xx").expect_err("no such language");
        assert_eq!((error.kind(), error.param()), (Kind::InvalidRequest, Some("language")));
    }

    #[test]
    fn tags_are_found_whatever_their_form() {
        let folder = tempfile::tempdir().expect("a folder");
        let rules = rules(folder.path()).expect("rules");
        let cases = [
            ("en", "en-us", Some("en-us")),
            ("en", "en-gb-x-rp", Some("en-gb-x-rp")),
            ("en-GB", "en-us", Some("en-gb")),
            ("en_AU", "de", Some("en-gb")),
            ("de-AT", "en-us", Some("de")),
            ("PT-br", "pt", Some("pt-br")),
            ("zh-CN", "en-us", Some("cmn")),
            ("no", "en-us", Some("nb")),
            ("", "en-us", None),
            ("english", "en-us", None),
        ];
        for (tag, own, expected) in cases {
            assert_eq!(rules.language(tag, own).as_deref(), expected, "{tag} for {own}");
        }
    }
}
