//! Who speaks for which request.

use super::*;
use crate::config::Config;
use crate::engine::{Engines, Weights};
use crate::error::Kind;
use std::path::Path;

fn engines() -> Engines {
    let loader = |_: &crate::engine::Load<'_>| Err(Error::new(Kind::Internal, "never loaded"));
    Engines::default().with_synthesizer("espeak", Arc::new(loader))
}

fn registry() -> Registry {
    Registry::new(&Config::default(), engines()).expect("the catalog in the binary is good")
}

fn with_voices() -> Registry {
    told(registry())
}

fn told(registry: Registry) -> Registry {
    registry.with_voices("espeak", vec![voice("en-us", "en-US"), voice("en-gb", "en-GB"), voice("de", "de")])
}

fn voice(id: &str, language: &str) -> Voice {
    Voice { id: id.into(), name: id.into(), language: language.into() }
}

/// Kokoro's voices are its files; Piper's are lines in its settings.
fn read(weights: &Weights) -> Vec<Voice> {
    let Weights::File(path) = weights else { panic!("the weights are files") };
    if let Ok(files) = std::fs::read_dir(path.join("voices")) {
        let languages = [("a", "en-US"), ("b", "en-GB"), ("f", "fr-FR")];
        let mut ids: Vec<String> = files.flatten().filter_map(|it| it.file_name().into_string().ok()).collect();
        ids.sort();
        let ids = ids.iter().map(|id| id.trim_end_matches(".bin"));
        return ids
            .filter_map(|id| Some(voice(id, languages.iter().find(|(first, _)| id.starts_with(first))?.1)))
            .collect();
    }
    let file = if path.is_file() {
        path.clone()
    } else {
        std::fs::read_dir(path)
            .unwrap()
            .flatten()
            .map(|it| it.path())
            .find(|it| it.extension().is_some_and(|it| it == "onnx"))
            .unwrap()
    };
    let settings = std::fs::read_to_string(folder_suffix(&file)).unwrap();
    settings.lines().filter_map(|line| line.split_once(' ')).map(|(id, language)| voice(id, language)).collect()
}

fn folder_suffix(file: &Path) -> PathBuf {
    crate::models::folder::with_suffix(file, "json")
}

/// A machine with the built-in voice and what was put into its folder of models.
struct Machine {
    data: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { data: tempfile::tempdir().expect("a folder") }
    }

    fn with(self, files: &[(&str, &str)]) -> Self {
        for (name, text) in files {
            let path = self.data.path().join("models").join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
            std::fs::write(path, text).expect("writable");
        }
        self
    }

    fn with_kokoro(self) -> Self {
        let voices = ["af_heart", "af_alloy", "am_onyx", "bf_emma", "ff_siwis"];
        let voices: Vec<String> = voices.iter().map(|id| format!("kokoro-82m/voices/{id}.bin")).collect();
        let files: Vec<(&str, &str)> = voices.iter().map(|name| (name.as_str(), "")).collect();
        self.with(&[("kokoro-82m/model.onnx", "")]).with(&files)
    }

    fn with_piper(self, id: &str, voices: &str) -> Self {
        let (model, settings) = (format!("{id}/{id}.onnx"), format!("{id}/{id}.onnx.json"));
        self.with(&[(&model, "x"), (&settings, voices)])
    }

    fn registry(&self) -> Registry {
        let loader = |_: &crate::engine::Load<'_>| Err(Error::new(Kind::Internal, "never loaded"));
        let engines = engines()
            .with_synthesizer("kokoro", Arc::new(loader))
            .with_synthesizer("piper", Arc::new(loader))
            .with_voice_reader("kokoro", read)
            .with_voice_reader("piper", read);
        let config = Config { data_dir: self.data.path().to_owned(), ..Config::default() };
        told(Registry::new(&config, engines).expect("the catalog in the binary is good"))
    }
}

/// The model, the voice and its language, or the message.
fn asked(registry: &Registry, model: &str, voice: Option<&str>, language: Option<&str>) -> (String, String, String) {
    let speaker = registry.speaker(model, voice, language).expect("somebody speaks");
    (speaker.model.model_id().to_owned(), speaker.voice, speaker.language)
}

fn names(model: &str, voice: &str, language: &str) -> (String, String, String) {
    (model.to_owned(), voice.to_owned(), language.to_owned())
}

#[test]
fn a_voice_is_an_alias_or_one_of_the_engine() {
    let registry = with_voices();
    let voice = |voice: &str| registry.voice("tts-1", voice);
    for (asked, own) in [
        ("alloy", "en-us"),
        ("Rachel", "en-us+linda"),
        ("21m00Tcm4TlvDq8ikWAM", "en-us+linda"),
        ("DE", "de"),
        ("de+f2", "de+f2"),
    ] {
        assert_eq!(voice(asked).expect(asked), own);
    }
    for wrong in ["nobody", "", "xx+f2", "+f2"] {
        let error = voice(wrong).expect_err("no such voice");
        assert_eq!((error.kind(), error.param()), (Kind::InvalidRequest, Some("voice")));
        assert!(error.message().contains("alloy, ash, ballad") && error.message().contains("cedar"), "{error}");
    }
    assert_eq!(registry.default_voice("tts-1").expect("installed"), "en-us");
}

#[test]
fn an_engine_that_does_not_tell_its_voices_judges_them_itself() {
    assert_eq!(registry().voice("mynah-voice", "anyone").expect("not for us to say"), "anyone");
}

#[test]
fn well_known_names_are_listed_first_with_the_language_of_their_voice() {
    let voices = with_voices().voices();
    let first: Vec<&str> = voices.iter().take(3).map(|voice| voice.id.as_str()).collect();
    assert_eq!(first, ["alloy", "ash", "ballad"]);
    let alloy = &voices[0];
    assert_eq!((alloy.name.as_str(), alloy.language.as_str()), ("Alloy", "en-US"));
    assert_eq!(alloy.licence, "GPL-3.0-or-later");
    assert_eq!(voices.iter().filter(|voice| voice.alias_of.is_none()).count(), 3);
    assert!(voices.iter().all(|voice| !voice.id.starts_with(DEFAULT_VOICE) && voice.model == "mynah-voice"));
}

#[test]
fn without_a_pulled_voice_the_built_in_one_speaks_every_language_in_every_manner() {
    let machine = Machine::new();
    let registry = machine.registry();
    assert_eq!(asked(&registry, "tts-1", Some("nova"), None), names("mynah-voice", "en-us+f3", "en-US"));
    // The engine changes the language and keeps the manner.
    assert_eq!(asked(&registry, "tts-1", Some("nova"), Some("de")), names("mynah-voice", "en-us+f3", "en-US"));
    assert_eq!(asked(&registry, "tts-1", None, None), names("mynah-voice", "en-us", "en-US"));
}

#[test]
fn the_best_installed_model_that_speaks_the_language_speaks() {
    let machine = Machine::new().with_kokoro().with_piper("de_DE-thorsten-medium", "de_DE-thorsten-medium de-DE");
    let registry = machine.registry();
    for (voice, language, speaker) in [
        (Some("alloy"), None, names("kokoro-82m", "af_alloy", "en-US")),
        (None, None, names("kokoro-82m", "af_heart", "en-US")),
        (Some("alloy"), Some("en"), names("kokoro-82m", "af_alloy", "en-US")),
        (Some("alloy"), Some("en-GB"), names("kokoro-82m", "bf_emma", "en-GB")),
        (Some("alloy"), Some("fr"), names("kokoro-82m", "ff_siwis", "fr-FR")),
        (Some("onyx"), None, names("kokoro-82m", "am_onyx", "en-US")),
        // Its own voice has not been pulled.
        (Some("echo"), None, names("kokoro-82m", "af_heart", "en-US")),
        (Some("af_heart(2)+af_alloy"), None, names("kokoro-82m", "af_heart(2)+af_alloy", "en-US")),
        (Some("alloy"), Some("de"), names("de_DE-thorsten-medium", "de_DE-thorsten-medium", "de-DE")),
        (None, Some("de-AT"), names("de_DE-thorsten-medium", "de_DE-thorsten-medium", "de-DE")),
        (Some("de"), None, names("mynah-voice", "de", "de")),
    ] {
        assert_eq!(asked(&registry, "tts-1", voice, language), speaker, "{voice:?} {language:?}");
    }
    let info = registry.speaker("tts-1", Some("alloy"), Some("de")).expect("spoken").model;
    assert!(info.is_alias && info.id == "tts-1", "{info:?}");
}

#[test]
fn a_voice_of_another_model_is_spoken_by_that_one() {
    let machine = Machine::new().with_kokoro().with_piper("de_DE-thorsten-medium", "de_DE-thorsten-medium de-DE");
    let registry = machine.registry();
    let thorsten = names("de_DE-thorsten-medium", "de_DE-thorsten-medium", "de-DE");
    assert_eq!(asked(&registry, "kokoro-82m", Some("de_DE-thorsten-medium"), None), thorsten);
    assert_eq!(asked(&registry, "mynah-voice", Some("AF_heart"), None), names("kokoro-82m", "af_heart", "en-US"));
    assert!(registry.speaker("kokoro-82m", Some("nobody"), None).is_err());
}

#[test]
fn a_model_with_one_voice_answers_to_every_name_that_clients_know() {
    let machine = Machine::new().with_piper("en_US-lessac-medium", "en_US-lessac-medium en-US");
    let registry = machine.registry();
    let lessac = names("en_US-lessac-medium", "en_US-lessac-medium", "en-US");
    for name in ["alloy", "Rachel", "EXAVITQu4vr4xnSDxMaL", "thalia", "default", "en_us-LESSAC-medium"] {
        assert_eq!(asked(&registry, "piper/en_US-lessac-medium", Some(name), None), lessac, "{name}");
    }
    let error = registry.speaker("en_US-lessac-medium", Some("nobody"), None).expect_err("unknown");
    assert!(error.message().contains("has en_US-lessac-medium, alloy, "), "{error}");
}

#[test]
fn a_speaker_of_a_model_is_named_or_numbered() {
    let machine =
        Machine::new().with_piper("en_GB-vctk-medium", "en_GB-vctk-medium#p239 en-GB\nen_GB-vctk-medium#p236 en-GB");
    let registry = machine.registry();
    let speaker = |voice: &str| asked(&registry, "tts-1", Some(voice), None).1;
    for voice in ["en_GB-vctk-medium#p236", "en_GB-vctk-medium#7"] {
        assert_eq!(speaker(voice), voice);
    }
    assert_eq!(speaker("shimmer"), "en_GB-vctk-medium#p239");
    assert_eq!(speaker("en_gb-vctk-medium"), "en_GB-vctk-medium#p239", "the model's own name is its first speaker's");
    assert_eq!(asked(&registry, "mynah-voice", Some("en_GB-vctk-medium"), None).1, "en_GB-vctk-medium#p239");
}

#[test]
fn the_region_chooses_among_the_voices_of_one_engine_only() {
    let machine = Machine::new().with_piper("en_US-lessac-medium", "en_US-lessac-medium en-US");
    let registry = machine.registry();
    // The built-in voice would have the region, but not the sound.
    assert_eq!(asked(&registry, "tts-1", Some("alloy"), Some("en-GB")).0, "en_US-lessac-medium");
    let machine = machine.with_piper("en_GB-alan-medium", "en_GB-alan-medium en-GB");
    assert_eq!(asked(&machine.registry(), "tts-1", Some("alloy"), Some("en_GB")).0, "en_GB-alan-medium");
    assert_eq!(asked(&machine.registry(), "tts-1", Some("alloy"), None).0, "en_US-lessac-medium");
}

#[test]
fn a_voice_that_no_catalog_knows_speaks_from_a_file_or_a_folder() {
    let machine = Machine::new()
        .with(&[("fy_NL-mine-medium.onnx", "x"), ("fy_NL-mine-medium.onnx.json", "fy_NL-mine-medium fy-NL")])
        .with(&[("brother/voice.onnx", "x"), ("brother/voice.onnx.json", "voice en-US")])
        .with(&[("lonely.onnx", "x"), ("two/a.onnx", ""), ("two/b.onnx", ""), ("two/a.onnx.json", "")]);
    let registry = machine.registry();
    for id in ["fy_NL-mine-medium", "brother"] {
        let info = registry.get(id).expect(id);
        assert!(info.installed && info.usable && info.engine == "piper" && info.owned_by == "user", "{info:?}");
    }
    assert_eq!(registry.get("fy_NL-mine-medium").expect("there").languages, ["fy"]);
    assert!(registry.get("lonely").is_none() && registry.get("two").is_none());
    assert_eq!(registry.list().iter().filter(|info| info.owned_by == "user" && !info.is_alias).count(), 2);
    assert_eq!(asked(&registry, "brother", Some("alloy"), None), names("brother", "voice", "en-US"));
    assert_eq!(asked(&registry, "tts-1", None, Some("fy")), names("fy_NL-mine-medium", "fy_NL-mine-medium", "fy-NL"));
    assert_eq!(asked(&registry, "tts-1", Some("voice"), None).0, "brother");
}

#[test]
fn a_published_voice_may_lie_beside_the_folders_and_without_its_card() {
    let machine = Machine::new()
        .with(&[("en_US-amy-low.onnx", "x"), ("en_US-amy-low.onnx.json", "en_US-amy-low en-US")])
        .with_piper("en_US-lessac-medium", "en_US-lessac-medium en-US");
    let registry = machine.registry();
    for id in ["en_US-amy-low", "en_US-lessac-medium"] {
        let info = registry.get(id).expect("published");
        assert!(info.installed && info.owned_by == "rhasspy", "{info:?}");
        assert_eq!(asked(&registry, id, None, None), names(id, id, "en-US"));
    }
    registry.remove("en_US-amy-low").expect("it is here");
    assert!(!registry.get("en_US-amy-low").expect("published").installed);
}

#[test]
fn voices_are_read_again_when_their_files_change() {
    let machine = Machine::new().with_kokoro();
    let registry = machine.registry();
    let has = |id: &str| registry.voices().iter().any(|voice| voice.id == id);
    assert!(has("af_heart") && !has("af_sky"));
    let _machine = machine.with(&[("kokoro-82m/voices/af_sky.bin", "")]);
    assert!(has("af_sky"));
}

#[test]
fn voices_are_read_once_while_their_files_stay() {
    let (read, folder) = (VoicesRead::default(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("a.onnx");
    std::fs::write(&path, "x").expect("writable");
    let times = std::cell::Cell::new(0);
    let look = || {
        let voices = read.get("a", vec![path.clone()], || {
            times.set(times.get() + 1);
            vec![voice("one", "en")]
        });
        assert_eq!(voices.len(), 1);
    };
    look();
    look();
    assert_eq!(times.get(), 1);
    let later = SystemTime::now() + std::time::Duration::from_secs(5);
    std::fs::File::options().write(true).open(&path).expect("there").set_modified(later).expect("settable");
    look();
    assert_eq!(times.get(), 2);
}

#[test]
fn the_licence_of_a_voice_is_that_of_its_card() {
    let card = "# Model card for lessac (medium)\n\n## Dataset\n\n* URL: https://a\n* License: CC-BY 4.0\n";
    let machine = Machine::new()
        .with_piper("en_US-lessac-medium", "en_US-lessac-medium en-US")
        .with(&[("en_US-lessac-medium/MODEL_CARD", card)]);
    let voices = machine.registry().voices();
    let lessac = voices.iter().find(|voice| voice.id == "en_US-lessac-medium").expect("listed");
    assert_eq!(lessac.licence, "CC-BY 4.0");
    assert_eq!(licence_in("* Licence:\n"), None);
    assert_eq!(licence_in(&format!("License: {}", "x".repeat(1000))).map(|it| it.len()), Some(LONGEST_LICENCE));
}

#[test]
fn names_are_listed_once_and_for_the_model_that_would_speak() {
    let machine = Machine::new().with_kokoro();
    let registry = machine.registry();
    let voices = registry.voices();
    let alloy: Vec<_> = voices.iter().filter(|voice| voice.id == "alloy").collect();
    assert_eq!(alloy.len(), 1);
    assert_eq!((alloy[0].model.as_str(), alloy[0].alias_of.as_deref()), ("kokoro-82m", Some("af_alloy")));
    assert!(["ff_siwis", "de"].iter().all(|id| voices.iter().any(|voice| voice.id == *id)));
    assert_eq!(registry.voice_id_of("rachel"), Some("21m00Tcm4TlvDq8ikWAM"));
    assert_eq!(registry.voice_id_of("ash"), None);
}
