use super::*;
use crate::speech::script::{DateOrder, Part, SayAs};

/// The script as text: runs with what is special about them, and pauses in milliseconds.
fn shown(input: &str) -> String {
    let script = crate::speech::script::parse(input.to_owned()).expect("good SSML");
    let mut shown = Vec::new();
    for part in &script.parts {
        match part {
            Part::Pause(pause) => shown.push(format!("[{}]", pause.as_millis())),
            Part::Say(run) => {
                let mut said = script.text[run.text.clone()].to_owned();
                for (range, how) in &run.overrides {
                    assert!(run.text.start <= range.start && range.end <= run.text.end);
                    said += &format!(" {{{}: {how:?}}}", &script.text[range.clone()]);
                }
                if let Some(voice) = &run.style.voice {
                    said += &format!(" voice={voice}");
                }
                if let Some(language) = &run.style.language {
                    said += &format!(" lang={language}");
                }
                for (name, factor) in
                    [("rate", run.style.rate), ("pitch", run.style.pitch), ("volume", run.style.volume)]
                {
                    if factor != 1.0 {
                        said += &format!(" {name}={factor:.2}");
                    }
                }
                shown.push(said);
            }
        }
    }
    shown.join("|")
}

/// The script of what is inside `speak`.
fn inside(content: &str) -> String {
    shown(&format!("<speak>{content}</speak>"))
}

fn refused(content: &str) -> String {
    let input = format!("<speak>{content}</speak>");
    let error = crate::speech::script::parse(input).expect_err(content);
    assert_eq!(error.param(), Some("input"), "{content}");
    error.message().to_owned()
}

#[test]
fn text_is_what_people_would_read() {
    assert_eq!(inside("Tom &amp; Jerry &lt;3 caf&#233;"), "Tom & Jerry <3 café");
    assert_eq!(inside("\n  Hello\n  <!-- no -->there.\n "), "Hello there. ");
    assert_eq!(inside("<![CDATA[a < b]]>"), "a < b");
    assert_eq!(
        shown(
            "<?xml version=\"1.0\"?>\n<speak version=\"1.1\" xmlns=\"http://www.w3.org/2001/10/synthesis\">Hi</speak>"
        ),
        "Hi"
    );
    assert_eq!(shown("  <speak xml:lang=\"en-GB\">Hi</speak> "), "Hi lang=en-GB");
    assert_eq!(inside("<p><s>One.</s> <s>Two.</s></p><p>Three.</p>"), "One.\nTwo.\n\nThree.\n\n");
    assert_eq!(inside(""), "");
    assert_eq!(shown("<speaker>Hi"), "<speaker>Hi");
}

#[test]
fn breaks_are_pauses() {
    assert_eq!(inside("a<break time=\"500ms\"/>b<break time='1.5s' strength='none'/>c"), "a|[500]|b|[1500]|c");
    assert_eq!(inside("a <break/> b"), "a |[500]|b");
    assert_eq!(inside("a<break strength='weak'/>b<break strength='x-strong'/>c"), "a|[250]|b|[1000]|c");
    assert_eq!(inside("a <break strength='none'/>b<mark name='m'/> c"), "a b c");
}

#[test]
fn prosody_multiplies_down_the_tree() {
    assert_eq!(inside("a <prosody rate='slow'>b</prosody> c"), "a |b rate=0.75| c");
    assert_eq!(
        inside(
            "<prosody rate='50%' pitch='+12st'>a <prosody rate='150%' pitch='low' volume='+6dB'>b</prosody></prosody>"
        ),
        "a  rate=0.50 pitch=2.00|b rate=0.75 pitch=1.70 volume=2.00"
    );
    assert_eq!(inside("<prosody rate='+10%' volume='silent'>a</prosody>"), "a rate=1.10 volume=0.00");
    assert_eq!(
        inside("<prosody rate='1.5' pitch='-10%' volume='50'>a</prosody>"),
        "a rate=1.50 pitch=0.90 volume=0.50"
    );
    assert_eq!(
        inside("<prosody rate='1000%' pitch='+99st' volume='+99dB'>a</prosody>"),
        "a rate=4.00 pitch=2.00 volume=4.00"
    );
    assert_eq!(inside("<emphasis>a</emphasis><emphasis level='none'>b</emphasis>"), "a rate=0.92 volume=1.20|b");
}

#[test]
fn words_may_be_read_in_their_own_way() {
    assert_eq!(inside("The <sub alias='World Wide'> W3 </sub> is"), "The W3 is {W3: Sub(\"World Wide\")}");
    assert_eq!(inside("<phoneme ph='təˈmeɪtoʊ'>tomato</phoneme>"), "tomato {tomato: Phonemes(\"təˈmeɪtoʊ\")}");
    assert_eq!(
        inside("<phoneme alphabet='x-sampa' ph='p@\"kA:n'>pecan</phoneme>"),
        "pecan {pecan: Phonemes(\"pəˈkɑːn\")}"
    );
    let date = format!("3/4 {{3/4: SayAs({:?})}}", SayAs::Date(DateOrder::DayMonthYear));
    assert_eq!(inside("<say-as interpret-as='date' format='dm'>3/4</say-as>"), date);
    assert_eq!(inside("<say-as interpret-as='spell-out'>abc</say-as>"), "abc {abc: SayAs(Characters)}");
    for (format, order) in [("yyyymmdd", DateOrder::YearMonthDay), ("mm/dd/yyyy", DateOrder::MonthDayYear)] {
        assert_eq!(values::say_as("date", Some(format)), Ok(SayAs::Date(order)));
    }
}

#[test]
fn voices_and_languages_nest() {
    assert_eq!(
        inside("a <voice name='rachel'>b <lang xml:lang='de'>c</lang></voice> d"),
        "a |b  voice=rachel|c voice=rachel lang=de| d"
    );
    assert_eq!(shown("<speak xml:lang='en'><voice name='x'>a</voice></speak>"), "a voice=x");
    assert_eq!(
        inside("<voice name='af_heart(2)+af_bella(1)' xml:lang='en-US'>a</voice>"),
        "a voice=af_heart(2)+af_bella(1) lang=en-US"
    );
}

#[test]
fn what_cannot_be_done_is_refused_with_its_place() {
    let cases = [
        ("a\n <audio src='x'/>", "`audio` is not supported", "line 2, column 2"),
        ("<foo>a</foo>", "`foo` is not supported", "line 1, column 8"),
        ("<speak>a</speak>", "`speak` is not supported", "line 1, column 8"),
        ("<prosody contour='x'>a</prosody>", "`prosody` with `contour`", "line 1, column 8"),
        ("<prosody pitch='120Hz'>a</prosody>", "`120Hz` is no pitch", "line 1"),
        ("<prosody rate='-100%'>a</prosody>", "is no rate", "line 1"),
        ("<prosody rate='NaN'>a</prosody>", "is no rate", "line 1"),
        ("<prosody volume='inf'>a</prosody>", "is no volume", "line 1"),
        ("<break time='11s'/>", "at most 10 s", "line 1"),
        ("<break time='soon'/>", "is no time", "line 1"),
        ("<break strength='huge'/>", "is no strength", "line 1"),
        ("<break>a</break>", "must be empty", "line 1"),
        ("<say-as interpret-as='poem'>a</say-as>", "cannot be `poem`", "line 1"),
        ("<say-as>a</say-as>", "needs `interpret-as`", "line 1"),
        ("<say-as interpret-as='date' format='q'>a</say-as>", "format `q`", "line 1"),
        ("<phoneme ph='a'/>", "needs text", "line 1"),
        ("<phoneme ph='a' alphabet='zz'>a</phoneme>", "alphabet `zz`", "line 1"),
        ("<phoneme ph='a$'>a</phoneme>", "`$` is no sign", "line 1"),
        ("<sub>a</sub>", "needs `alias`", "line 1"),
        ("<sub alias='x'><p>a</p></sub>", "nothing but text", "line 1, column 23"),
        ("<lang>a</lang>", "needs `xml:lang`", "line 1"),
        ("<lang xml:lang='not a tag'>a</lang>", "no language tag", "line 1"),
        ("<voice gender='female'>a</voice>", "`voice` with `gender`", "line 1"),
        ("<emphasis level='huge'>a</emphasis>", "no level", "line 1"),
        ("<p>a</s>", "malformed", "line 1, column 12"),
        ("a & b", "malformed", "line 1, column 10"),
        ("&nbsp;", "malformed", "line 1, column 8"),
        ("<a:b>x</a:b>", "malformed", "line 1"),
    ];
    for (content, reason, place) in cases {
        let message = refused(content);
        assert!(message.contains(reason) && message.contains(place), "{content}: {message}");
    }
    for input in ["<speak>", "<speak", "<speak/>x", "<speak><p>", "<?xml version='1.0'?><speak>"] {
        assert!(crate::speech::script::parse(input.to_owned()).is_err(), "{input}");
    }
}

#[test]
fn documents_that_define_entities_are_refused() {
    let bomb = "<!DOCTYPE s [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><speak>&b;</speak>";
    for input in [bomb.to_owned(), format!("<?xml version='1.0'?>{bomb}")] {
        let error = crate::speech::script::parse(input).expect_err("a document type");
        assert!(error.message().contains("malformed"), "{error}");
    }
    let other = crate::speech::script::parse("<?xml version='1.0'?><html>a</html>".to_owned());
    assert!(other.expect_err("no speak").message().contains("must be `speak`"));
    assert!(refused("<!DOCTYPE s [<!ENTITY a 'aaaa'>]>&a;").contains("malformed"));
}

#[test]
fn deep_and_wide_documents_are_refused_in_no_time_and_on_a_small_stack() {
    let small = std::thread::Builder::new().stack_size(512 * 1024);
    let test = || {
        let deep = format!("{}a{}", "<p>".repeat(20_000), "</p>".repeat(20_000));
        assert!(refused(&deep).contains("nested more than"));
        assert!(refused(&"<p>".repeat(100_000)).contains("malformed"));
        assert!(refused(&"<mark/>".repeat(60_000)).contains("more than 50000"));
        let attributes: String = (0..20_000).map(|i| format!(" a{i}='1'")).collect();
        assert!(refused(&format!("<p{attributes}>a</p>")).contains("too many attributes"));
        let namespaces: String = (0..20_000).map(|i| format!(" xmlns:a{i}='{i}'")).collect();
        assert!(refused(&format!("<p{namespaces}>a</p>")).contains("too many attributes"));
        assert!(inside(&"<s>a = b</s>".repeat(20_000)).len() > 100_000);
        assert!(inside(&"=".repeat(100_000)).len() == 100_000);
    };
    small.spawn(test).expect("a thread").join().expect("no overflow");
}
