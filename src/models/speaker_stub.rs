//! placeholder
#![allow(missing_docs)]
use super::catalog::ModelTask;
use super::registry::{ModelInfo, Registry};
use crate::error::Result;
pub struct Speaker {
    pub model: ModelInfo,
    pub voice: String,
    pub language: String,
}
impl Registry {
    pub fn speaker(&self, model: &str, voice: Option<&str>, _: Option<&str>) -> Result<Speaker> {
        let model = self.resolve(model, ModelTask::Speak)?;
        let voice = match voice {
            Some(voice) => self.voice(&model.id, voice)?,
            None => self.default_voice(&model.id)?,
        };
        let language = self
            .voices()
            .iter()
            .find(|known| known.id == voice.split('+').next().unwrap_or_default())
            .map(|v| v.language.clone())
            .unwrap_or_default();
        Ok(Speaker { model, voice, language })
    }
}
