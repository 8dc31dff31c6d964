//! What Kokoro reads: phonemes as the tokens that it was trained on, which spell some sounds of their own way.

/// A language that Kokoro speaks.
#[derive(Debug, PartialEq, Eq)]
pub struct Language {
    /// The letter that names of its voices begin with.
    letter: char,
    /// Its tag.
    pub tag: &'static str,
    /// What espeak-ng calls it.
    pub espeak: &'static str,
    /// How sounds are spelled, the longest first.
    spelling: &'static [(&'static str, &'static str)],
}

/// Japanese (`j`) and Chinese (`z`) are missing: Kokoro was trained on phonemes that other programs make of them.
const LANGUAGES: &[Language] = &[
    Language { letter: 'a', tag: "en-US", espeak: "en-us", spelling: AMERICAN },
    Language { letter: 'b', tag: "en-GB", espeak: "en-gb", spelling: BRITISH },
    Language { letter: 'e', tag: "es", espeak: "es", spelling: OTHERS },
    Language { letter: 'f', tag: "fr-FR", espeak: "fr", spelling: OTHERS },
    Language { letter: 'h', tag: "hi", espeak: "hi", spelling: OTHERS },
    Language { letter: 'i', tag: "it", espeak: "it", spelling: OTHERS },
    Language { letter: 'p', tag: "pt-BR", espeak: "pt-br", spelling: OTHERS },
];

/// The language of the voice `name`, such as `af_heart`; `None` for one that cannot be spoken.
pub fn language_of(name: &str) -> Option<&'static Language> {
    let letter = name.chars().next()?;
    LANGUAGES.iter().find(|language| language.letter == letter)
}

impl Language {
    /// The language that espeak-ng calls `name`, or another kind of the same.
    pub fn called(name: &str) -> Option<&'static Self> {
        let base = |name: &str| name.split('-').next().unwrap_or_default().to_owned();
        let exact = LANGUAGES.iter().find(|language| name.starts_with(language.espeak));
        exact.or_else(|| LANGUAGES.iter().find(|language| base(language.espeak) == base(name)))
    }

    /// The tags of all languages.
    pub fn tags() -> Vec<&'static str> {
        LANGUAGES.iter().map(|language| language.tag).collect()
    }
}

const AMERICAN: &[(&str, &str)] = &[
    ("ʔˌn\u{329}", "tᵊn"),
    ("ʔn\u{329}", "tᵊn"),
    ("ʔn", "tᵊn"),
    ("l\u{329}", "ᵊl"),
    ("m\u{329}", "ᵊm"),
    ("n\u{329}", "ᵊn"),
    ("ɹ\u{329}", "ᵊɹ"),
    ("ɜːɹ", "ɜɹ"),
    ("ɜː", "ɜɹ"),
    ("aɪ", "I"),
    ("aʊ", "W"),
    ("eɪ", "A"),
    ("oʊ", "O"),
    ("ɔɪ", "Y"),
    ("dʒ", "ʤ"),
    ("tʃ", "ʧ"),
    ("ɪə", "iə"),
    ("e", "A"),
    ("o", "ɔ"),
    ("r", "ɹ"),
    ("x", "k"),
    ("ç", "k"),
    ("c\u{327}", "k"),
    ("ɐ", "ə"),
    ("ɚ", "əɹ"),
    ("ɬ", "l"),
    ("ʔ", "t"),
    ("ɾ", "T"),
    ("ʲ", ""),
    ("ː", ""),
    ("\u{303}", ""),
    ("\u{329}", ""),
    ("-", ""),
];

const BRITISH: &[(&str, &str)] = &[
    ("ʔˌn\u{329}", "tᵊn"),
    ("ʔn\u{329}", "tᵊn"),
    ("ʔn", "tᵊn"),
    ("l\u{329}", "ᵊl"),
    ("m\u{329}", "ᵊm"),
    ("n\u{329}", "ᵊn"),
    ("ɹ\u{329}", "ᵊɹ"),
    ("aɪ", "I"),
    ("aʊ", "W"),
    ("eə", "ɛː"),
    ("eɪ", "A"),
    ("əʊ", "Q"),
    ("iə", "ɪə"),
    ("ɔɪ", "Y"),
    ("dʒ", "ʤ"),
    ("tʃ", "ʧ"),
    ("e", "A"),
    ("o", "ɔ"),
    ("r", "ɹ"),
    ("x", "k"),
    ("ç", "k"),
    ("c\u{327}", "k"),
    ("ɐ", "ə"),
    ("ɚ", "əɹ"),
    ("ɬ", "l"),
    ("ʔ", "t"),
    ("ʲ", ""),
    ("\u{303}", ""),
    ("\u{329}", ""),
    ("-", ""),
];

const OTHERS: &[(&str, &str)] = &[
    ("aɪ", "I"),
    ("aʊ", "W"),
    ("dz", "ʣ"),
    ("dʒ", "ʤ"),
    ("eɪ", "A"),
    ("oʊ", "O"),
    ("əʊ", "Q"),
    ("ts", "ʦ"),
    ("tʃ", "ʧ"),
    ("ɔɪ", "Y"),
    ("c\u{327}", "ç"),
    ("-", ""),
];

/// `phonemes`, as espeak-ng writes them with accents of their own, in Kokoro's symbols.
pub fn of(phonemes: &str, language: &Language) -> String {
    let mut symbols = String::with_capacity(phonemes.len());
    let mut rest = phonemes;
    while let Some(first) = rest.chars().next() {
        match language.spelling.iter().find(|(sound, _)| rest.starts_with(sound)) {
            Some((sound, symbol)) => {
                symbols.push_str(symbol);
                rest = &rest[sound.len()..];
            }
            None => {
                symbols.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    symbols
}

/// The tokens of `symbols`, and how many of them Kokoro does not know.
pub fn tokens(symbols: &str) -> (Vec<i64>, usize) {
    let token = |symbol: char| VOCABULARY.iter().find(|(known, _)| *known == symbol).map(|(_, token)| *token);
    let tokens: Vec<i64> = symbols.chars().filter_map(token).collect();
    let unknown = symbols.chars().count() - tokens.len();
    (tokens, unknown)
}

/// The published vocabulary of Kokoro v1.0.
const VOCABULARY: &[(char, i64)] = &[
    (';', 1),
    (':', 2),
    (',', 3),
    ('.', 4),
    ('!', 5),
    ('?', 6),
    ('—', 9),
    ('…', 10),
    ('"', 11),
    ('(', 12),
    (')', 13),
    ('“', 14),
    ('”', 15),
    (' ', 16),
    ('\u{303}', 17),
    ('ʣ', 18),
    ('ʥ', 19),
    ('ʦ', 20),
    ('ʨ', 21),
    ('ᵝ', 22),
    ('ꭧ', 23),
    ('A', 24),
    ('I', 25),
    ('O', 31),
    ('Q', 33),
    ('S', 35),
    ('T', 36),
    ('W', 39),
    ('Y', 41),
    ('ᵊ', 42),
    ('a', 43),
    ('b', 44),
    ('c', 45),
    ('d', 46),
    ('e', 47),
    ('f', 48),
    ('h', 50),
    ('i', 51),
    ('j', 52),
    ('k', 53),
    ('l', 54),
    ('m', 55),
    ('n', 56),
    ('o', 57),
    ('p', 58),
    ('q', 59),
    ('r', 60),
    ('s', 61),
    ('t', 62),
    ('u', 63),
    ('v', 64),
    ('w', 65),
    ('x', 66),
    ('y', 67),
    ('z', 68),
    ('ɑ', 69),
    ('ɐ', 70),
    ('ɒ', 71),
    ('æ', 72),
    ('β', 75),
    ('ɔ', 76),
    ('ɕ', 77),
    ('ç', 78),
    ('ɖ', 80),
    ('ð', 81),
    ('ʤ', 82),
    ('ə', 83),
    ('ɚ', 85),
    ('ɛ', 86),
    ('ɜ', 87),
    ('ɟ', 90),
    ('ɡ', 92),
    ('ɥ', 99),
    ('ɨ', 101),
    ('ɪ', 102),
    ('ʝ', 103),
    ('ɯ', 110),
    ('ɰ', 111),
    ('ŋ', 112),
    ('ɳ', 113),
    ('ɲ', 114),
    ('ɴ', 115),
    ('ø', 116),
    ('ɸ', 118),
    ('θ', 119),
    ('œ', 120),
    ('ɹ', 123),
    ('ɾ', 125),
    ('ɻ', 126),
    ('ʁ', 128),
    ('ɽ', 129),
    ('ʂ', 130),
    ('ʃ', 131),
    ('ʈ', 132),
    ('ʧ', 133),
    ('ʊ', 135),
    ('ʋ', 136),
    ('ʌ', 138),
    ('ɣ', 139),
    ('ɤ', 140),
    ('χ', 142),
    ('ʎ', 143),
    ('ʒ', 147),
    ('ʔ', 148),
    ('ˈ', 156),
    ('ˌ', 157),
    ('ː', 158),
    ('ʰ', 162),
    ('ʲ', 164),
    ('↓', 169),
    ('→', 171),
    ('↗', 172),
    ('↘', 173),
    ('ᵻ', 177),
];
