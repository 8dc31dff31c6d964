use super::*;
use crate::speech::script::DateOrder;

fn said_in(language: &str, text: &str) -> String {
    let said = normalize(text, &[], language, &Lexicon::default());
    check(text, &said);
    said.utterance.text
}

fn said(text: &str) -> String {
    said_in("en-US", text)
}

/// Every range is inside, on borders of characters, and in order.
fn check(text: &str, said: &Normalized) {
    let spoken = &said.utterance.text;
    let (mut last_spoken, mut last_source) = (0, 0..0);
    for word in &said.words {
        assert!(!word.spoken.is_empty() && !word.source.is_empty(), "{text:?}: {word:?}");
        assert!(spoken.get(word.spoken.clone()).is_some(), "{text:?}: {word:?} of {spoken:?}");
        assert!(text.get(word.source.clone()).is_some(), "{text:?}: {word:?}");
        assert!(word.spoken.start >= last_spoken, "{text:?}: {:?}", said.words);
        assert!(word.source == last_source || word.source.start >= last_source.end, "{text:?}: {:?}", said.words);
        (last_spoken, last_source) = (word.spoken.end, word.source.clone());
    }
    for (range, _) in &said.utterance.phonemes {
        assert!(spoken.get(range.clone()).is_some(), "{text:?}");
    }
    assert!(!spoken.contains("  ") && !spoken.starts_with(' ') && !spoken.ends_with(' '), "{spoken:?}");
}

/// The spoken words, each with its source where it is another.
fn mapped(text: &str) -> String {
    let said = normalize(text, &[], "en-US", &Lexicon::default());
    check(text, &said);
    let mut shown: Vec<String> = Vec::new();
    let mut last = 0..0;
    for word in &said.words {
        let spoken = &said.utterance.text[word.spoken.clone()];
        match shown.last_mut() {
            Some(before) if word.source == last => *before += &format!(" {spoken}"),
            _ => shown.push(format!("{}={spoken}", &text[word.source.clone()])),
        }
        last = word.source.clone();
    }
    shown.join("|")
}

#[test]
fn plain_text_stays_as_it_is() {
    for text in [
        "Hello there, how are you?",
        "It's a well-known fact: \"don't\" isn't 'new' (really).",
        "NASA and the FBI said so.",
        "Über die Straße, naïve café.",
        "I came; I saw.",
    ] {
        assert_eq!(said(text), text);
    }
    assert_eq!(said(""), "");
    assert_eq!(said(" \n "), "");
}

#[test]
fn layout_is_seen_and_not_said() {
    for (text, expected) in [
        ("**bold** and *italic* and `code`", "bold and italic and code"),
        ("__init__ ~~gone~~", "init gone"),
        ("# Title\nText", "Title. Text"),
        ("- one\n- two\n- three", "one. two. three"),
        ("* a\n* b", "a. b"),
        ("1. Buy milk\n2. Go home", "one. Buy milk two. Go home"),
        ("See [the docs](https://x.org/a(b).", "See the docs."),
        ("[text](url) and [1]", "text and one"),
        ("![alt](img.png)", "alt"),
        ("> quoted", "quoted"),
        ("```rust\nlet x\n```", "let x"),
        ("a\n\n---\n\nb", "a. b"),
        ("| a | b |\n|---|---|\n| c | d |", "a, b, c, d,"),
        ("- [x] done", "done"),
        ("one<br>two <b>bold</b>", "one two bold"),
        ("Title\n\nText", "Title. Text"),
        ("wrapped\nline", "wrapped line"),
    ] {
        assert_eq!(said(text), expected, "{text:?}");
    }
}

#[test]
fn pictures_and_what_nobody_sees_are_left_out() {
    for (text, expected) in [
        ("Hi 😀 there 👍🏽!", "Hi there!"),
        ("👨‍👩‍👧 family 🇩🇪", "family"),
        ("1️⃣ first", "one first"),
        ("co\u{AD}operate zero\u{200B}width", "cooperate zerowidth"),
        ("a\u{0}b\u{7} \u{1b}c", "ab c"),
        ("\u{FEFF}Hello\u{202E} you", "Hello you"),
        ("✓ done ★★★", "done"),
        ("😀😀😀", ""),
    ] {
        assert_eq!(said(text), expected, "{text:?}");
    }
}

#[test]
fn marks_that_repeat_are_one() {
    assert_eq!(said("What?!?! No!!!! Well....... yes,, so"), "What? No! Well... yes, so");
    assert_eq!(said("word—word -- word – word"), "word — word — word — word");
    assert_eq!(said("— start"), "start");
    assert_eq!(said("Wait… what"), "Wait... what");
}

#[test]
fn every_word_knows_the_users_own() {
    assert_eq!(mapped("Hello, world!"), "Hello=Hello|world=world");
    assert_eq!(mapped("It costs $12.50."), "It=It|costs=costs|$12.50=twelve dollars and fifty cents");
    assert_eq!(mapped("$2.5 billion, yes"), "$2.5=two point five|billion=billion dollars|yes=yes");
    assert_eq!(mapped("Dr. Smith"), "Dr.=Doctor|Smith=Smith");
    assert_eq!(mapped("May 3rd, 2024."), "May=May|3rd=third|2024=twenty twenty-four");
    assert_eq!(mapped("5 km/h"), "5=five|km/h=kilometers per hour");
    assert_eq!(mapped("\"Henry VIII's\""), "Henry=Henry|VIII's=the eighth's");
    assert_eq!(mapped("a 😀 **b** c"), "a=a|b=b|c=c");
    assert_eq!(mapped("9 a.m. now"), "9=nine|a.m.=AM|now=now");
    assert_eq!(mapped("https://a.org/b c"), "https://a.org/b=a dot org slash b|c=c");
    assert_eq!(mapped("AT&T"), "AT=AT|&=and|T=T");
    assert_eq!(mapped("10-20 co\u{AD}op"), "10=ten|20=to twenty|co\u{AD}op=coop");
    assert_eq!(mapped("Node.js"), "Node.=Node dot|js=js");
}

#[test]
fn the_letter_a_is_no_article() {
    let phonemes = |text: &str| normalize(text, &[], "en", &Lexicon::default()).utterance.phonemes;
    for text in ["A4 paper", "plan A works", "vitamin A.", "A. Smith"] {
        assert_eq!(phonemes(text).iter().map(|it| it.1.as_str()).collect::<Vec<_>>(), ["ˈeɪ"], "{text}");
    }
    for text in ["A dog", "Yes. A dog", "Once Upon A Time", "THIS IS A TEST", "9 a.m."] {
        assert_eq!(phonemes(text), [], "{text}");
    }
}

fn overridden(text: &str, part: &str, how: Override) -> Normalized {
    let start = text.find(part).expect("it is in the text");
    let said = normalize(text, &[(start..start + part.len(), how)], "en-US", &Lexicon::default());
    check(text, &said);
    said
}

#[test]
fn what_a_script_says_goes_before_the_rules() {
    let said = overridden("The W3C is 5", "W3C", Override::Sub("World Wide Web Consortium, No. 1".to_owned()));
    assert_eq!(said.utterance.text, "The World Wide Web Consortium, Number one is five");
    assert!(said.words[1..7].iter().all(|word| word.source == (4..7)), "{:?}", said.words);
    let said = overridden("my 10 tomato s", "10 tomato", Override::Phonemes("təˈmeɪtoʊ".to_owned()));
    assert_eq!(said.utterance.text, "my 10 tomato s");
    assert_eq!(said.utterance.phonemes, [(3..12, "təˈmeɪtoʊ".to_owned())]);
    let said = overridden("say 12 twice", "12", Override::SayAs(SayAs::Digits));
    assert_eq!(said.utterance.text, "say one two twice");
    let said = overridden("due 3/4/21.", "3/4/21", Override::SayAs(SayAs::Date(DateOrder::DayMonthYear)));
    assert_eq!(said.utterance.text, "due April third twenty twenty-one.");
    let said = overridden("a gone b", "gone", Override::Sub(String::new()));
    assert_eq!(said.utterance.text, "a b");
}

#[test]
fn overrides_that_make_no_sense_are_left_out() {
    let how = || Override::Sub("x".to_owned());
    let overrides = [(2..3, how()), (5..5, how()), (7..99, how())];
    let said = normalize("a é b c", &overrides, "en", &Lexicon::default());
    assert_eq!(said.utterance.text, "a é b c");
}

fn lexicon(file: &str) -> Lexicon {
    let path = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(path.path(), file).expect("it can be written");
    Lexicon::load(path.path()).expect("a lexicon")
}

#[test]
fn the_lexicon_goes_before_the_rules() {
    let lexicon = lexicon("Mynah = /ˈmaɪnə/\nDr. Who = Doctor Who\nGPT-4 = G P T four\n[de]\nChef = Scheff\n");
    let said = normalize("mynah's Dr. Who uses GPT-4.", &[], "en", &lexicon);
    assert_eq!(said.utterance.text, "mynah's Doctor Who uses G P T four.");
    assert_eq!(said.utterance.phonemes, [(0..5, "ˈmaɪnə".to_owned())]);
    assert_eq!(said.words[0].source, 0..7);
    check("mynah's Dr. Who uses GPT-4.", &said);
    assert_eq!(normalize("Der Chef.", &[], "de-DE", &lexicon).utterance.text, "Der Scheff.");
    assert_eq!(normalize("The chef.", &[], "en", &lexicon).utterance.text, "The chef.");
}

#[test]
fn other_languages_are_cleaned_and_left_to_the_engine() {
    for (language, text, expected) in [
        ("de", "**Am 3.5.** um 17:30 kostet es 1.234,56 € 😀!", "Am 3.5. um 17:30 kostet es 1.234,56 €!"),
        ("fr", "Voir https://www.exemple.fr/a?b=c, c'est 50 %", "Voir exemple.fr/a, c'est 50 %"),
        ("", "Dr. Smith & Co. paid $5", "Dr. Smith & Co. paid $5"),
        ("ja", "こんにちは、世界。３番", "こんにちは、世界。３番"),
        ("hi", "क्\u{200D}ष नमस्ते।", "क्\u{200D}ष नमस्ते।"),
        ("ru", "- один\n- два", "один. два"),
    ] {
        assert_eq!(said_in(language, text), expected, "{language}");
    }
}

#[test]
fn odd_texts_have_good_words() {
    let signs = [
        "$", "5", ".", ",", "-", "'", "\"", "é", "e\u{301}", "😀", "\u{200D}", " ", "\n", "(", "[", "]", "(", "/", "%",
        "#", "@", "*", "1st", "May", "pm", "°C", "½", "I", "St.", "Dr", ":", "http://", "x.com", "’s", "&", "–", "日",
        "\u{0}", "1,000", "e.g.", "|", "_", "<", ">", "=", "+", "~", "`", "v1", "km", "²", "①",
    ];
    let mut seed = 1u32;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..(seed >> 16) % 9 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text += signs[(seed >> 16) as usize % signs.len()];
        }
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        for language in ["en-US", "en-GB", "de"] {
            check(&text, &normalize(&text, &[], language, &Lexicon::default()));
        }
    }
}

#[test]
fn long_and_hostile_texts_take_no_time() {
    for part in [
        "a",
        "1",
        "1 ",
        "😀",
        "(",
        "[",
        "](",
        "<a",
        "1-",
        "1.",
        "1,111",
        "$1a",
        "a.",
        "a.b@",
        "http://!",
        "x@y.z ",
        "1:",
        "'",
        "\"",
        "I ",
        "Dr. ",
        "**",
        "|-",
        "- ",
        "\n- ",
        "1/2 ",
        "+1 ",
        "e\u{301}",
        "\u{200B}",
        "5 km ",
        "&amp;",
        "1'2\"",
        "a,b,",
        "#",
        "v1.",
        "----",
        "http://a)",
        "\u{200D}a",
        "A.",
        "0",
        "5 ",
        "１",
        "½",
        "May 3 ",
    ] {
        let text = part.repeat(100_000 / part.len());
        let said = normalize(&text, &[], "en-US", &Lexicon::default());

        check(&text, &said);
    }
}
