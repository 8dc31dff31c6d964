//! Phonemes of the International Phonetic Alphabet in espeak-ng's own notation, to be spoken between words.

use espeak_ng::phoneme::load::PhonemeData;
use espeak_ng::translate::phoneme_ipa::write_ph_mnemonic_ipa;
use espeak_ng::translate::select_phoneme_table;
use std::collections::BTreeMap;
use std::path::Path;
use unicode_normalization::UnicodeNormalization;

/// The notation of one language.
pub struct Mnemonics {
    /// By sound, with accents as characters of their own.
    known: BTreeMap<String, String>,
    /// The most characters in a sound.
    longest: usize,
}

/// Sounds that are said as others where a language lacks them, in the order of likeness.
const ALIKE: &[(&str, &[&str])] = &[
    ("g", &["ɡ"]),
    ("r", &["ɹ", "ɾ", "ʁ"]),
    ("ɹ", &["r", "ɾ", "ʁ"]),
    ("ʁ", &["ʀ", "r", "ɾ", "ɹ"]),
    ("ʀ", &["ʁ", "r", "ɾ", "ɹ"]),
    ("ɾ", &["r", "ɹ", "ʁ"]),
    ("ɫ", &["l"]),
    ("ɝ", &["ɜː", "ɜ", "ɚ"]),
    ("ɚ", &["ə"]),
    ("ɜ", &["ɜː", "ə"]),
    ("ɜː", &["ɜ", "øː", "ə"]),
    ("a", &["æ", "ɑ", "ɐ"]),
    ("æ", &["a", "ɛ"]),
    ("ɑ", &["ɑː", "a"]),
    ("ɒ", &["ɔ", "ɑ", "o"]),
    ("ɐ", &["ə", "a"]),
    ("ʌ", &["ɐ", "ə", "a"]),
    ("e", &["ɛ"]),
    ("ɛ", &["e"]),
    ("o", &["ɔ"]),
    ("ɔ", &["o"]),
    ("ɪ", &["i"]),
    ("i", &["iː", "ɪ"]),
    ("ʊ", &["u"]),
    ("u", &["uː", "ʊ"]),
    ("y", &["ʏ", "u", "uː"]),
    ("ʏ", &["y", "ʊ"]),
    ("ø", &["œ", "ə"]),
    ("œ", &["ø", "ə"]),
    ("ɨ", &["ɪ", "i"]),
    ("ᵻ", &["ɪ", "i"]),
    ("ʉ", &["u", "uː"]),
    ("ɯ", &["u", "uː"]),
    ("θ", &["s"]),
    ("ð", &["z", "d"]),
    ("x", &["χ", "h", "k"]),
    ("χ", &["x", "h", "k"]),
    ("ç", &["ʃ", "x"]),
    ("c\u{327}", &["ʃ", "x"]),
    ("ɣ", &["ɡ"]),
    ("β", &["b", "v"]),
    ("ʎ", &["l"]),
    ("ɲ", &["n"]),
    ("ɥ", &["j", "w"]),
    ("ʋ", &["v", "w"]),
    ("w", &["v"]),
    ("ʒ", &["ʃ"]),
    ("ɕ", &["ʃ"]),
    ("ʑ", &["ʒ"]),
    ("ʂ", &["ʃ"]),
    ("ʐ", &["ʒ"]),
];

impl Mnemonics {
    /// The notation of `language`, with the data in `data`; `None` when there is none.
    pub fn of(language: &str, data: &Path) -> Option<Self> {
        let mut table = PhonemeData::load(data).ok()?;
        select_phoneme_table(&mut table, data, language).ok()?;
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        for code in 1..=u8::MAX {
            let Some(phoneme) = table.get(code) else { continue };
            // From vowels to nasals: the others are stress, pauses and notes to the rules.
            if !(2..=8).contains(&phoneme.typ) || phoneme.program == 0 {
                continue;
            }
            let letters = phoneme.mnemonic.to_le_bytes().map(char::from);
            let mnemonic: String = letters.into_iter().take_while(|letter| *letter != '\0').collect();
            let sound: String = write_ph_mnemonic_ipa(&table, code, &Default::default()).nfd().collect();
            let is_plain = !sound.is_empty() && mnemonic.is_ascii() && !mnemonic.contains([']', '|', ' ', '\'', ',']);
            // Of several for one sound the plainest, which is not bound to its neighbours.
            let better = |other: &String| plainness(&mnemonic) < plainness(other);
            if is_plain && known.get(&sound).is_none_or(better) {
                known.insert(sound, mnemonic);
            }
        }
        let longest = known.keys().map(|sound| sound.chars().count()).max()?;
        Some(Self { known, longest })
    }

    /// `ipa` in the notation, for speaking between other words; sounds that the language has nothing like are left out.
    pub fn spoken(&self, ipa: &str) -> String {
        let sounds: Vec<char> = ipa.nfd().collect();
        let (mut words, mut at) = (vec![Vec::new()], 0);
        while let Some(first) = sounds.get(at) {
            let word = words.last_mut().expect("there is always a word");
            let lengths = (1..=self.longest.min(sounds.len() - at)).rev();
            let found = lengths.filter_map(|length| Some((length, self.similar(&sounds[at..at + length])?))).next();
            at += found.map_or(1, |(length, _)| length);
            match (first, found) {
                (_, Some((_, mnemonic))) => word.push(mnemonic),
                ('ˈ' | '\'', None) => word.push("'"),
                ('ˌ', None) => word.push(","),
                ('ː', None) => word.push(":"),
                (space, None) if space.is_whitespace() => words.push(Vec::new()),
                (_, None) => {}
            }
        }
        let words: Vec<String> = words.iter().filter(|word| !word.is_empty()).map(|word| word.join("|")).collect();
        if words.is_empty() { String::new() } else { format!("[[{}]]", words.join(" ")) }
    }

    /// What is written for `sound`, or for the most similar one.
    fn similar(&self, sound: &[char]) -> Option<&str> {
        let sound: String = sound.iter().collect();
        let alike = || ALIKE.iter().find(|(other, _)| *other == sound).into_iter().flat_map(|(_, alike)| *alike);
        let known = |sound: &str| self.known.get(sound);
        known(&sound).or_else(|| alike().find_map(|other| known(other))).map(String::as_str)
    }
}

/// The plainer of two mnemonics has the smaller one of these.
fn plainness(mnemonic: &str) -> (usize, usize) {
    let bound = mnemonic.chars().filter(|c| c.is_ascii_digit() || "#*-/".contains(*c)).count();
    (bound, mnemonic.len())
}
