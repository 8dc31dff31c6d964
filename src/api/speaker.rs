//! Which model and which voice a request of any dialect means.

use crate::app::App;
use crate::engine::SpeakOptions;
use crate::error::Result;
use crate::models::catalog::ModelTask;
use crate::models::registry::ModelInfo;

/// The model called `model`, and how to speak with its voice called `voice`, or with its default voice.
///
/// # Errors
/// `NotFound` (param `model`) for a model that is not here, `InvalidRequest` (param `voice`) for a voice that it does
/// not have.
pub fn find_speaker(
    app: &App,
    model: &str,
    voice: Option<&str>,
    language: Option<&str>,
) -> Result<(ModelInfo, SpeakOptions)> {
    let model = app.models.resolve(model.trim(), ModelTask::Speak)?;
    let voice = match voice {
        Some(voice) => app.models.voice(&model.id, voice)?,
        None => app.models.default_voice(&model.id)?,
    };
    let options = SpeakOptions { language: language.map(str::to_owned), ..SpeakOptions::of_voice(voice) };
    Ok((model, options))
}
