//! The voices espeak-ng brings: every language it has data for, and variants that change the speaker.

use crate::engine::Voice;
use crate::error::Error;

/// A speaker: its name behind the `+` of a voice, the name to show, and what makes it as loud as the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variant {
    /// The name of its file in espeak-ng's data.
    pub id: &'static str,
    name: &'static str,
    /// The factor that brings all voices to one loudness.
    pub gain: f32,
    /// The part of the voice's height that its pitch moves, in hertz; its melody above that stays what it is.
    base: f32,
}

const fn variant(id: &'static str, name: &'static str, gain: f32, base: f32) -> Variant {
    Variant { id, name, gain, base }
}

/// The speaker of a voice without a variant.
const PLAIN: Variant = variant("", "", 1.3, 69.0);

/// The speakers any language can have.
const VARIANTS: &[Variant] = &[
    variant("f1", "female 1", 1.34, 118.0),
    variant("f2", "female 2", 1.45, 120.0),
    variant("f3", "female 3", 1.65, 119.0),
    variant("f4", "female 4", 1.57, 120.0),
    variant("f5", "female 5", 1.42, 135.0),
    variant("linda", "female 6", 1.33, 170.0),
    variant("m1", "male 1", 1.36, 62.0),
    variant("m2", "male 2", 1.52, 72.0),
    variant("m3", "male 3", 1.34, 68.0),
    variant("m4", "male 4", 1.33, 59.0),
    variant("m5", "male 5", 1.43, 70.0),
    variant("m6", "male 6", 1.52, 70.0),
    variant("m7", "male 7", 1.5, 64.0),
    variant("m8", "male 8", 2.05, 54.0),
];

/// The height of the melody above [`Variant::base`], in hertz: of English and of other languages.
const MELODY: (f32, f32) = (41.0, 50.0);

/// How much of the height of the voice `id` is melody, as a share of the part that its pitch moves.
pub fn melody(id: &str) -> f32 {
    let melody = if id.starts_with("en") { MELODY.0 } else { MELODY.1 };
    melody / speaker(id).map_or(PLAIN.base, |speaker| speaker.base)
}

/// The languages whose variants are listed; for all others they can be asked for.
const LISTED_WITH_VARIANTS: &[&str] = &["en-us", "en-gb", "de", "fr", "es", "it", "pt", "pt-br"];

/// Every voice to show: all languages, and the variants of some.
pub fn voices() -> Vec<Voice> {
    let with_variants = |(id, tag, name): &(&str, &str, &str)| {
        let voice = |id: String, name: String| Voice { id, name, language: (*tag).to_owned() };
        let variants: &[Variant] = if LISTED_WITH_VARIANTS.contains(id) { VARIANTS } else { &[] };
        let plain = voice((*id).to_owned(), (*name).to_owned());
        let varied = |variant: &Variant| voice(format!("{id}+{}", variant.id), format!("{name}, {}", variant.name));
        std::iter::once(plain).chain(variants.iter().map(varied)).collect::<Vec<_>>()
    };
    LANGUAGES.iter().flat_map(with_variants).collect()
}

/// The speaker of the voice `id`, such as `en-us` or `de+f3`; `None` if there is no such voice.
pub fn speaker(id: &str) -> Option<Variant> {
    let (language, variant) = match id.split_once('+') {
        Some((language, id)) => (language, *VARIANTS.iter().find(|variant| variant.id == id)?),
        None => (id, PLAIN),
    };
    LANGUAGES.iter().find(|(id, ..)| *id == language)?;
    let quieter = LOUD_LANGUAGES.iter().find(|(id, _)| *id == language).map_or(1.0, |(_, factor)| *factor);
    Some(Variant { gain: variant.gain * quieter, ..variant })
}

/// What espeak-ng calls the language with the tag `tag`, such as `de`, `en-GB` or `pt_BR`, for somebody who speaks `own`:
/// a tag that leaves the region open means the own one. `None` for a language it does not have.
pub fn language(tag: &str, own: &str) -> Option<&'static str> {
    let tag = tag.trim().replace('_', "-").to_lowercase();
    let known = |wanted: &str| {
        let found = LANGUAGES.iter().find(|(id, tag, _)| *id == wanted || tag.eq_ignore_ascii_case(wanted));
        found.map(|(id, ..)| *id)
    };
    let region_of =
        |wanted: &str| own.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    if region_of(&tag) {
        return known(own);
    }
    let mut wanted = tag.as_str();
    loop {
        let usual = USUAL.iter().find(|(tag, _)| *tag == wanted).map(|(_, id)| *id);
        if let Some(id) = usual.or_else(|| known(wanted)) {
            return Some(id);
        }
        wanted = wanted.rsplit_once('-')?.0;
    }
}

/// The speaker of `voice` in the language with the tag `tag`: `en-us+f1` in German is `de+f1`. `None` for a language that
/// espeak-ng does not have.
pub fn in_language(voice: &str, tag: &str) -> Option<String> {
    let (own, variant) = voice.split_once('+').map_or((voice, None), |(own, variant)| (own, Some(variant)));
    let language = language(tag, own)?;
    Some(variant.map_or_else(|| language.to_owned(), |variant| format!("{language}+{variant}")))
}

/// The error for a language that espeak-ng does not have.
pub fn unknown_language(tag: &str) -> Error {
    Error::invalid("language", format!("this voice cannot speak `{tag}`; use a language tag such as `en-US` or `de`"))
}

/// Tags that mean one of several, or go by another name.
const USUAL: &[(&str, &str)] = &[
    ("en", "en-us"),
    ("en-au", "en-gb"),
    ("en-ie", "en-gb"),
    ("en-in", "en-gb"),
    ("en-nz", "en-gb"),
    ("en-za", "en-gb"),
    ("es-es", "es"),
    ("es-ar", "es-419"),
    ("es-co", "es-419"),
    ("es-mx", "es-419"),
    ("es-us", "es-419"),
    ("in", "id"),
    ("iw", "he"),
    ("no", "nb"),
    ("zh", "cmn"),
    ("zh-hk", "yue"),
];

/// Languages whose vowels are recorded louder than those of all others, and the factor that makes up for it.
const LOUD_LANGUAGES: &[(&str, f32)] =
    &[("haw", 0.38), ("ltg", 0.4), ("lv", 0.5), ("piqd", 0.6), ("vi", 0.65), ("tn", 0.7), ("mi", 0.8)];

/// The languages: espeak-ng's tag, the BCP 47 tag, the name to show.
const LANGUAGES: &[(&str, &str, &str)] = &[
    ("ab", "ab", "Abkhaz"),
    ("af", "af", "Afrikaans"),
    ("am", "am", "Amharic"),
    ("an", "an", "Aragonese"),
    ("ar", "ar", "Arabic"),
    ("as", "as", "Assamese"),
    ("az", "az", "Azerbaijani"),
    ("ba", "ba", "Bashkir"),
    ("be", "be", "Belarusian"),
    ("bg", "bg", "Bulgarian"),
    ("bn", "bn", "Bengali"),
    ("bpy", "bpy", "Bishnupriya Manipuri"),
    ("bs", "bs", "Bosnian"),
    ("ca", "ca", "Catalan"),
    ("ca-ba", "ca-x-balear", "Catalan (Balearic)"),
    ("ca-nw", "ca-x-northwest", "Catalan (North-western)"),
    ("ca-va", "ca-valencia", "Catalan (Valencian)"),
    ("chr", "chr", "Cherokee"),
    ("cmn", "cmn", "Chinese (Mandarin)"),
    ("cmn-latn-pinyin", "cmn-Latn-pinyin", "Chinese (Mandarin, Pinyin)"),
    ("crh", "crh", "Crimean Tatar"),
    ("cs", "cs", "Czech"),
    ("cv", "cv", "Chuvash"),
    ("cy", "cy", "Welsh"),
    ("da", "da", "Danish"),
    ("de", "de", "German"),
    ("el", "el", "Greek"),
    ("en-029", "en-029", "English (Caribbean)"),
    ("en-gb", "en-GB", "English (UK)"),
    ("en-gb-scotland", "en-GB-scotland", "English (Scotland)"),
    ("en-gb-x-gbclan", "en-GB-x-gbclan", "English (UK, Lancaster)"),
    ("en-gb-x-gbcwmd", "en-GB-x-gbcwmd", "English (UK, West Midlands)"),
    ("en-gb-x-rp", "en-GB-x-rp", "English (UK, Received Pronunciation)"),
    ("en-shaw", "en-Shaw", "English (Shavian alphabet)"),
    ("en-us", "en-US", "English (US)"),
    ("en-us-nyc", "en-US-x-nyc", "English (New York)"),
    ("eo", "eo", "Esperanto"),
    ("es", "es", "Spanish (Spain)"),
    ("es-419", "es-419", "Spanish (Latin America)"),
    ("et", "et", "Estonian"),
    ("eu", "eu", "Basque"),
    ("fa", "fa", "Persian"),
    ("fa-latn", "fa-Latn", "Persian (Pinglish)"),
    ("fi", "fi", "Finnish"),
    ("fo", "fo", "Faroese"),
    ("fr", "fr", "French (France)"),
    ("fr-be", "fr-BE", "French (Belgium)"),
    ("fr-ch", "fr-CH", "French (Switzerland)"),
    ("ga", "ga", "Irish"),
    ("gd", "gd", "Scottish Gaelic"),
    ("gn", "gn", "Guarani"),
    ("grc", "grc", "Greek (Ancient)"),
    ("gu", "gu", "Gujarati"),
    ("hak", "hak", "Hakka Chinese"),
    ("haw", "haw", "Hawaiian"),
    ("he", "he", "Hebrew"),
    ("hi", "hi", "Hindi"),
    ("hr", "hr", "Croatian"),
    ("ht", "ht", "Haitian Creole"),
    ("hu", "hu", "Hungarian"),
    ("hy", "hy", "Armenian (East Armenia)"),
    ("hyw", "hyw", "Armenian (West Armenia)"),
    ("ia", "ia", "Interlingua"),
    ("id", "id", "Indonesian"),
    ("io", "io", "Ido"),
    ("is", "is", "Icelandic"),
    ("it", "it", "Italian"),
    ("ja", "ja", "Japanese"),
    ("jbo", "jbo", "Lojban"),
    ("ka", "ka", "Georgian"),
    ("kaa", "kaa", "Karakalpak"),
    ("kk", "kk", "Kazakh"),
    ("kl", "kl", "Greenlandic"),
    ("kn", "kn", "Kannada"),
    ("ko", "ko", "Korean"),
    ("kok", "kok", "Konkani"),
    ("ku", "ku", "Kurdish"),
    ("ky", "ky", "Kyrgyz"),
    ("la", "la", "Latin"),
    ("lb", "lb", "Luxembourgish"),
    ("lfn", "lfn", "Lingua Franca Nova"),
    ("lij", "lij", "Ligurian"),
    ("lt", "lt", "Lithuanian"),
    ("ltg", "ltg", "Latgalian"),
    ("lv", "lv", "Latvian"),
    ("mi", "mi", "Māori"),
    ("mk", "mk", "Macedonian"),
    ("ml", "ml", "Malayalam"),
    ("mr", "mr", "Marathi"),
    ("ms", "ms", "Malay"),
    ("mt", "mt", "Maltese"),
    ("mto", "mto", "Totontepec Mixe"),
    ("my", "my", "Burmese"),
    ("nb", "nb", "Norwegian Bokmål"),
    ("nci", "nci", "Nahuatl (Classical)"),
    ("ne", "ne", "Nepali"),
    ("nl", "nl", "Dutch"),
    ("nog", "nog", "Nogai"),
    ("om", "om", "Oromo"),
    ("or", "or", "Oriya"),
    ("pa", "pa", "Punjabi"),
    ("pap", "pap", "Papiamento"),
    ("piqd", "tlh", "Klingon"),
    ("pl", "pl", "Polish"),
    ("ps", "ps", "Pashto"),
    ("ps-x-northwest", "ps-x-northwest", "Pashto (Northwestern)"),
    ("ps-x-southeast", "ps-x-southeast", "Pashto (Southeastern)"),
    ("ps-x-yusufzai", "ps-x-yusufzai", "Pashto (Yusufzai)"),
    ("pt", "pt", "Portuguese (Portugal)"),
    ("pt-br", "pt-BR", "Portuguese (Brazil)"),
    ("qdb", "art-x-belta", "Lang Belta"),
    ("qu", "qu", "Quechua"),
    ("quc", "quc", "K'iche'"),
    ("qya", "qya", "Quenya"),
    ("ro", "ro", "Romanian"),
    ("ru", "ru", "Russian"),
    ("ru-cl", "ru-x-classic", "Russian (Classic)"),
    ("ru-lv", "ru-LV", "Russian (Latvia)"),
    ("rup", "rup", "Aromanian"),
    ("sd", "sd", "Sindhi"),
    ("shn", "shn", "Shan"),
    ("si", "si", "Sinhala"),
    ("sjn", "sjn", "Sindarin"),
    ("sk", "sk", "Slovak"),
    ("sl", "sl", "Slovenian"),
    ("smj", "smj", "Lule Saami"),
    ("sq", "sq", "Albanian"),
    ("sr", "sr", "Serbian"),
    ("sv", "sv", "Swedish"),
    ("sw", "sw", "Swahili"),
    ("ta", "ta", "Tamil"),
    ("te", "te", "Telugu"),
    ("th", "th", "Thai"),
    ("ti", "ti", "Tigrinya"),
    ("tk", "tk", "Turkmen"),
    ("tn", "tn", "Setswana"),
    ("tr", "tr", "Turkish"),
    ("tt", "tt", "Tatar"),
    ("ug", "ug", "Uyghur"),
    ("uk", "uk", "Ukrainian"),
    ("ur", "ur", "Urdu"),
    ("uz", "uz", "Uzbek"),
    ("vi", "vi", "Vietnamese (Northern)"),
    ("vi-vn-x-central", "vi-VN-x-central", "Vietnamese (Central)"),
    ("vi-vn-x-south", "vi-VN-x-south", "Vietnamese (Southern)"),
    ("yue", "yue", "Chinese (Cantonese)"),
];
