//! The voices of Piper's public catalog as models of their own: `piper/en_US-lessac-medium` and its like.
//!
//! `models/piper-voices.toml` has of each only what differs; what follows from its id is put together here.

use super::catalog::{Model, ModelFile, ModelTask};
use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

const TABLE: &str = include_str!("../../models/piper-voices.toml");

/// The engine that runs them.
pub(super) const ENGINE: &str = "piper";

/// What comes behind the name of a model's file to name that of its settings.
pub(super) const SETTINGS: &str = ".json";

/// Where a voice tells what it was made from, and its licence.
pub(super) const MODEL_CARD: &str = "MODEL_CARD";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    base: String,
    voices: Vec<Row>,
    languages: BTreeMap<String, String>,
}

/// Id, speakers, then size and MD5 of the model, of its settings and of its card.
#[derive(Deserialize)]
struct Row(String, u32, u64, String, u64, String, u64, String);

/// Every voice as a model; English ones first.
///
/// # Errors
/// `Internal` when the table in the binary is wrong, which a test rules out.
pub(super) fn models() -> Result<Vec<Model>> {
    let table: Table = toml::from_str(TABLE).map_err(|e| Error::internal("the table of Piper's voices is wrong", e))?;
    table.voices.iter().map(|row| model(row, &table)).collect()
}

fn model(row: &Row, table: &Table) -> Result<Model> {
    let Row(published, speakers, size, md5, settings_size, settings_md5, card_size, card_md5) = row;
    let wrong = || Error::internal("the table of Piper's voices is wrong", published.clone());
    let name = Name::parse(published).ok_or_else(wrong)?;
    let language = table.languages.get(name.language).ok_or_else(wrong)?;
    let id = plain(published);
    let url = |file: &str| format!("{}{}/{file}", table.base, name.folder());
    let file = |name: String, url: String, size: &u64, md5: &str| ModelFile {
        name,
        url,
        size: Some(*size),
        md5: Some(md5.to_owned()),
        ..ModelFile::default()
    };
    let files = vec![
        file(format!("{id}.onnx"), url(&format!("{published}.onnx")), size, md5),
        file(format!("{id}.onnx{SETTINGS}"), url(&format!("{published}.onnx{SETTINGS}")), settings_size, settings_md5),
        ModelFile { optional: true, ..file(MODEL_CARD.into(), url(MODEL_CARD), card_size, card_md5) },
    ];
    let mut model = Model::new(&id, ENGINE, ModelTask::Speak, files);
    model.aka = vec![format!("piper-{id}")];
    model.aka.extend((id != *published).then(|| published.clone()));
    model.name = format!("Piper {} ({language}, {}, {})", name.name, name.tag(), name.quality.replace('_', " "));
    model.languages = vec![name.language.to_owned()];
    model.licence = format!("its own, in its {MODEL_CARD}");
    model.owned_by = "rhasspy".into();
    model.description = match speakers {
        1 => format!("A voice in {language} from Piper's catalog."),
        _ => format!("{speakers} voices in {language} from Piper's catalog, in one model."),
    };
    Ok(model)
}

/// What the id of a voice says: `en_US-lessac-medium`.
pub(super) struct Name<'a> {
    /// The code of the language, such as `en`.
    pub(super) language: &'a str,
    region: &'a str,
    name: &'a str,
    quality: &'a str,
}

impl<'a> Name<'a> {
    /// Takes `id` apart; `None` for one that is named otherwise.
    pub(super) fn parse(id: &'a str) -> Option<Self> {
        let (locale, rest) = id.split_once('-')?;
        let (language, region) = locale.split_once('_')?;
        let (name, quality) = rest.rsplit_once('-')?;
        let lower = (2..=3).contains(&language.len()) && language.chars().all(|c| c.is_ascii_lowercase());
        let upper = region.len() == 2 && region.chars().all(|c| c.is_ascii_uppercase());
        (lower && upper && !name.is_empty()).then_some(Self { language, region, name, quality })
    }

    /// Where the files are published, below the base.
    fn folder(&self) -> String {
        let Self { language, region, name, quality } = self;
        format!("{language}/{language}_{region}/{name}/{quality}")
    }

    fn tag(&self) -> String {
        format!("{}-{}", self.language, self.region)
    }
}

/// `id` with the letters that names of files have on every system.
fn plain(id: &str) -> String {
    id.replace('ã', "a")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::catalog::{Catalog, Named};

    #[test]
    fn every_published_voice_can_be_asked_for_by_the_names_people_use() {
        let catalog = Catalog::load(None).expect("the catalog in the binary is good");
        assert_eq!(models().expect("the table is good").len(), 97);
        for name in ["en_US-lessac-medium", "piper/en_US-lessac-medium", "speaches-ai/piper-en_us-lessac-medium"] {
            let Some(Named::Model(model)) = catalog.find(name) else { panic!("{name} is unknown") };
            assert_eq!((model.id.as_str(), model.engine.as_str()), ("en_US-lessac-medium", "piper"));
        }
        let Some(Named::Model(tugao)) = catalog.find("piper/pt_PT-tugão-medium") else { panic!("unknown") };
        assert_eq!(tugao.id, "pt_PT-tugao-medium");
        assert!(
            tugao.files[0].url.ends_with("/pt/pt_PT/tugão/medium/pt_PT-tugão-medium.onnx"),
            "{}",
            tugao.files[0].url
        );
    }

    #[test]
    fn a_voice_comes_with_its_settings_and_its_card() {
        let models = models().expect("the table is good");
        let lessac = models.iter().find(|model| model.id == "en_US-lessac-medium").expect("published");
        let files: Vec<&str> = lessac.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(files, ["en_US-lessac-medium.onnx", "en_US-lessac-medium.onnx.json", "MODEL_CARD"]);
        assert!(lessac.files.iter().all(|file| file.md5.is_some() && file.size.is_some()));
        assert_eq!(lessac.size(), Some(63_208_655));
        assert_eq!(lessac.name, "Piper lessac (English, en-US, medium)");
        let base = "https://huggingface.co/rhasspy/piper-voices/resolve/main/en/en_US/lessac/medium/";
        assert_eq!(lessac.files[2].url, format!("{base}MODEL_CARD"));
    }

    #[test]
    fn a_name_of_another_form_is_not_taken_apart() {
        assert!(["mine", "en-us-x", "EN_us-a-b", "en_US-lessac"].iter().all(|id| Name::parse(id).is_none()));
    }
}
