//! X-SAMPA, phonemes in ASCII, to the International Phonetic Alphabet.

/// Signs of several characters come before those they begin with.
const SIGNS: &[(&str, &str)] = &[
    ("_?\\", "ˤ"),
    ("_B_L", "᷅"),
    ("_H_T", "᷄"),
    ("_R_F", "᷈"),
    ("_X", "̆"),
    ("_\"", "̈"),
    ("_+", "̟"),
    ("_-", "̠"),
    ("_/", "̌"),
    ("_0", "̥"),
    ("_=", "̩"),
    ("_>", "ʼ"),
    ("_\\", "̂"),
    ("_^", "̯"),
    ("_}", "̚"),
    ("_A", "̘"),
    ("_a", "̺"),
    ("_B", "̏"),
    ("_c", "̜"),
    ("_d", "̪"),
    ("_e", "̴"),
    ("_F", "̂"),
    ("_G", "ˠ"),
    ("_H", "́"),
    ("_h", "ʰ"),
    ("_j", "ʲ"),
    ("_k", "̰"),
    ("_L", "̀"),
    ("_l", "ˡ"),
    ("_M", "̄"),
    ("_m", "̻"),
    ("_N", "̼"),
    ("_n", "ⁿ"),
    ("_O", "̹"),
    ("_o", "̞"),
    ("_q", "̙"),
    ("_R", "̌"),
    ("_r", "̝"),
    ("_T", "̋"),
    ("_t", "̤"),
    ("_v", "̬"),
    ("_w", "ʷ"),
    ("_x", "̽"),
    ("_~", "̃"),
    ("|\\|\\", "ǁ"),
    ("r\\`", "ɻ"),
    ("G\\_<", "ʛ"),
    ("J\\_<", "ʄ"),
    ("_<", ""),
    ("b_<", "ɓ"),
    ("d_<", "ɗ"),
    ("g_<", "ɠ"),
    ("d`", "ɖ"),
    ("l`", "ɭ"),
    ("n`", "ɳ"),
    ("r`", "ɽ"),
    ("s`", "ʂ"),
    ("t`", "ʈ"),
    ("z`", "ʐ"),
    ("@`", "ɚ"),
    ("3`", "ɝ"),
    ("h\\", "ɦ"),
    ("j\\", "ʝ"),
    ("l\\", "ɺ"),
    ("p\\", "ɸ"),
    ("r\\", "ɹ"),
    ("s\\", "ɕ"),
    ("v\\", "ʋ"),
    ("x\\", "ɧ"),
    ("z\\", "ʑ"),
    ("B\\", "ʙ"),
    ("G\\", "ɢ"),
    ("H\\", "ʜ"),
    ("I\\", "ᵻ"),
    ("J\\", "ɟ"),
    ("K\\", "ɮ"),
    ("L\\", "ʟ"),
    ("M\\", "ɰ"),
    ("N\\", "ɴ"),
    ("O\\", "ʘ"),
    ("R\\", "ʀ"),
    ("U\\", "ᵿ"),
    ("X\\", "ħ"),
    ("@\\", "ɘ"),
    ("3\\", "ɞ"),
    ("?\\", "ʕ"),
    ("<\\", "ʢ"),
    (">\\", "ʡ"),
    ("!\\", "ǃ"),
    ("|\\", "ǀ"),
    ("=\\", "ǂ"),
    ("-\\", "‿"),
    (":\\", "ˑ"),
    ("||", "‖"),
    ("%", "ˌ"),
    ("\"", "ˈ"),
    (":", "ː"),
    ("'", "ʲ"),
    ("`", "˞"),
    ("~", "̃"),
    ("=", "̩"),
    ("|", "|"),
    (".", "."),
    ("-", ""),
    (" ", " "),
    ("A", "ɑ"),
    ("B", "β"),
    ("C", "ç"),
    ("D", "ð"),
    ("E", "ɛ"),
    ("F", "ɱ"),
    ("G", "ɣ"),
    ("H", "ɥ"),
    ("I", "ɪ"),
    ("J", "ɲ"),
    ("K", "ɬ"),
    ("L", "ʎ"),
    ("M", "ɯ"),
    ("N", "ŋ"),
    ("O", "ɔ"),
    ("P", "ʋ"),
    ("Q", "ɒ"),
    ("R", "ʁ"),
    ("S", "ʃ"),
    ("T", "θ"),
    ("U", "ʊ"),
    ("V", "ʌ"),
    ("W", "ʍ"),
    ("X", "χ"),
    ("Y", "ʏ"),
    ("Z", "ʒ"),
    ("@", "ə"),
    ("{", "æ"),
    ("}", "ʉ"),
    ("1", "ɨ"),
    ("2", "ø"),
    ("3", "ɜ"),
    ("4", "ɾ"),
    ("5", "ɫ"),
    ("6", "ɐ"),
    ("7", "ɤ"),
    ("8", "ɵ"),
    ("9", "œ"),
    ("&", "ɶ"),
    ("?", "ʔ"),
    ("g", "ɡ"),
    ("^", "ꜛ"),
    ("!", "ꜜ"),
];

/// Converts X-SAMPA.
///
/// # Errors
/// The reason, when something is no sign of it.
pub(super) fn to_ipa(written: &str) -> Result<String, String> {
    let mut ipa = String::new();
    let mut rest = written;
    while let Some(c) = rest.chars().next() {
        // The longest sign wins: `r\`` before `r\`.
        let sign = SIGNS.iter().filter(|(sign, _)| rest.starts_with(sign)).max_by_key(|(sign, _)| sign.len());
        match sign {
            Some((sign, _)) if *sign == "_<" => return Err(no_sign('<')),
            Some((sign, said)) => {
                ipa.push_str(said);
                rest = &rest[sign.len()..];
            }
            None if c.is_ascii_lowercase() => {
                ipa.push(c);
                rest = &rest[1..];
            }
            None => return Err(no_sign(c)),
        }
    }
    Ok(ipa)
}

fn no_sign(c: char) -> String {
    format!("`{c}` is no sign of X-SAMPA")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x_sampa_becomes_ipa() {
        for (written, ipa) in [
            ("p@\"kA:n", "pəˈkɑːn"),
            ("pI\"kA:n", "pɪˈkɑːn"),
            ("\"maIn@", "ˈmaɪnə"),
            ("r\\EdIN", "ɹɛdɪŋ"),
            ("r\\`", "ɻ"),
            ("t_hOt~", "tʰɔt̃"),
            ("b_<a", "ɓa"),
            ("bUt=", "bʊt̩"),
            ("tSIps", "tʃɪps"),
        ] {
            assert_eq!(to_ipa(written).as_deref(), Ok(ipa), "{written}");
        }
    }

    #[test]
    fn what_is_no_x_sampa_is_refused() {
        for written in ["ˈa", "a_<", "ü", "a$"] {
            assert!(to_ipa(written).is_err(), "{written}");
        }
    }
}
