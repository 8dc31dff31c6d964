//! What the parameters of `/v2/listen` ask for, and when a turn is over.

use crate::api::deepgram::listen_live::Route;
use crate::api::deepgram::query::{Parameters, code_of, wrong_model};
use crate::app::App;
use crate::audio::decode::live::LiveFormat;
use crate::engine::TranscribeOptions;
use crate::error::{Error, Result};
use crate::models::catalog::ModelTask;
use crate::models::registry::ModelInfo;
use crate::speech::realtime::Ending;
use axum::http::Uri;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The model of clients that name none.
const DEFAULT_MODEL: &str = "flux-general-en";

/// How the model is called that hears more than English.
const MULTILINGUAL: &str = "-multi";

/// Parameters that change the answer in ways that this server does not have. Switched off they are fine.
pub const REFUSED: [&str; 3] = ["numerals", "profanity_filter", "redact"];

/// When a turn is over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// From this confidence on it is over; 1 never by confidence.
    pub eot_threshold: f32,
    /// From this confidence on it may be over; without one nobody is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eager_eot_threshold: Option<f32>,
    /// After a pause of so many milliseconds it is over, whatever the confidence.
    pub eot_timeout_ms: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { eot_threshold: 0.7, eager_eot_threshold: None, eot_timeout_ms: 5_000 }
    }
}

impl Thresholds {
    /// The same, if they can be.
    ///
    /// # Errors
    /// `InvalidRequest` that names the one that cannot.
    pub fn checked(self) -> Result<Self> {
        let wrong = |name: &'static str, wanted: &str| Err(Error::invalid(name, format!("`{name}` must be {wanted}.")));
        if !(0.5..=1.0).contains(&self.eot_threshold) {
            return wrong("eot_threshold", "from 0.5 to 1");
        }
        if self.eager_eot_threshold.is_some_and(|eager| !(0.3..=0.9).contains(&eager)) {
            return wrong("eager_eot_threshold", "from 0.3 to 0.9");
        }
        if self.eager_eot_threshold.is_some_and(|eager| eager > self.eot_threshold) {
            return wrong("eager_eot_threshold", "no more than `eot_threshold`");
        }
        if !(500..=60_000).contains(&self.eot_timeout_ms) {
            return wrong("eot_timeout_ms", "from 500 to 60000");
        }
        Ok(self)
    }

    /// The same for the core, for which only a confidence above 1 is never reached.
    pub fn ending(self) -> Ending {
        let confidence = if self.eot_threshold < 1.0 { self.eot_threshold } else { f32::INFINITY };
        Ending::Turn { confidence, timeout: Duration::from_millis(self.eot_timeout_ms) }
    }
}

/// A query that has been understood.
pub struct Asked {
    /// What transcribes.
    pub model: ModelInfo,
    /// What the engine is to do.
    pub options: TranscribeOptions,
    /// How the sound is written down.
    pub format: LiveFormat,
    /// When a turn is over.
    pub thresholds: Thresholds,
    /// Whether several languages may be spoken.
    pub is_multilingual: bool,
    /// The languages that the client expects, as it has named them.
    pub hints: Vec<String>,
}

impl Asked {
    /// Reads the parameters in `uri`.
    ///
    /// # Errors
    /// `InvalidRequest` that names the parameter.
    pub fn parse(app: &App, uri: &Uri) -> Result<Self> {
        let query = Parameters::read(uri)?;
        query.refuse(&REFUSED)?;
        let id = query.text("model").unwrap_or(DEFAULT_MODEL);
        let model = app.models.resolve(id, ModelTask::Transcribe).map_err(wrong_model)?;
        let is_multilingual = id.ends_with(MULTILINGUAL);
        let hints: Vec<String> = query.list("language_hint").map(str::to_owned).collect();
        let mut options =
            TranscribeOptions { keywords: query.keywords()?, words: true, ..TranscribeOptions::default() };
        expect_languages(&mut options, &model, is_multilingual, &hints)?;
        let thresholds = query.thresholds()?;
        Ok(Self { options, format: query.format(Route::Listen)?, thresholds, is_multilingual, hints, model })
    }
}

/// Has the languages expected that are hinted at.
///
/// # Errors
/// `InvalidRequest` for a language that the model does not know.
pub fn expect_languages(
    options: &mut TranscribeOptions,
    model: &ModelInfo,
    is_multilingual: bool,
    hints: &[String],
) -> Result<()> {
    if !is_multilingual && !hints.is_empty() {
        let message = "`language_hint` is for models that know several languages, such as flux-general-multi.";
        return Err(Error::invalid("language_hint", message));
    }
    let codes: Vec<String> = hints.iter().map(|hint| code_of("language_hint", hint, model)).collect::<Result<_>>()?;
    (options.language, options.languages) = match codes.len() {
        _ if !is_multilingual || model.english_only => (Some("en".to_owned()), Vec::new()),
        1 => (codes.into_iter().next(), Vec::new()),
        _ => (None, codes),
    };
    Ok(())
}

impl Parameters {
    fn thresholds(&self) -> Result<Thresholds> {
        let usual = Thresholds::default();
        let thresholds = Thresholds {
            eot_threshold: self.number("eot_threshold", "a number")?.unwrap_or(usual.eot_threshold),
            eager_eot_threshold: self.number("eager_eot_threshold", "a number")?,
            eot_timeout_ms: self.number("eot_timeout_ms", "a number of milliseconds")?.unwrap_or(usual.eot_timeout_ms),
        };
        thresholds.checked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::deepgram::query::tests::model;

    fn thresholds(query: &str) -> Result<Thresholds> {
        Parameters::read(&format!("/v2/listen?{query}").parse().unwrap()).unwrap().thresholds()
    }

    #[test]
    fn thresholds_have_defaults_and_limits() {
        assert_eq!(thresholds("").unwrap(), Thresholds::default());
        let all = thresholds("eot_threshold=1.0&eager_eot_threshold=0.9&eot_timeout_ms=60000").unwrap();
        assert_eq!((all.eager_eot_threshold, all.eot_timeout_ms), (Some(0.9), 60_000));
        for (query, param) in [
            ("eot_threshold=0.49", "eot_threshold"),
            ("eot_threshold=1.01", "eot_threshold"),
            ("eot_threshold=NaN", "eot_threshold"),
            ("eot_threshold=often", "eot_threshold"),
            ("eager_eot_threshold=0.2", "eager_eot_threshold"),
            ("eager_eot_threshold=0.8&eot_threshold=0.6", "eager_eot_threshold"),
            ("eot_timeout_ms=499", "eot_timeout_ms"),
            ("eot_timeout_ms=60001", "eot_timeout_ms"),
        ] {
            assert_eq!(thresholds(query).unwrap_err().param(), Some(param), "{query}");
        }
    }

    #[test]
    fn at_the_highest_threshold_no_confidence_ends_a_turn() {
        let ending = |query: &str| thresholds(query).unwrap().ending();
        let timeout = Duration::from_millis(5_000);
        assert_eq!(ending("eot_threshold=0.9"), Ending::Turn { confidence: 0.9, timeout });
        assert_eq!(ending("eot_threshold=1"), Ending::Turn { confidence: f32::INFINITY, timeout });
    }

    #[test]
    fn languages_are_hinted_at_where_several_may_be_spoken() {
        let expected = |is_multilingual, hints: &[&str]| {
            let mut options = TranscribeOptions::default();
            let hints: Vec<String> = hints.iter().map(|hint| (*hint).to_owned()).collect();
            expect_languages(&mut options, &model(false), is_multilingual, &hints)
                .map(|()| (options.language, options.languages))
        };
        assert_eq!(expected(false, &[]).unwrap(), (Some("en".into()), Vec::new()));
        assert_eq!(expected(true, &[]).unwrap(), (None, Vec::new()));
        assert_eq!(expected(true, &["es"]).unwrap(), (Some("es".into()), Vec::new()));
        assert_eq!(expected(true, &["es", "de"]).unwrap(), (None, vec!["es".into(), "de".into()]));
        assert_eq!(expected(false, &["es"]).unwrap_err().param(), Some("language_hint"));
        assert_eq!(expected(true, &["klingon"]).unwrap_err().param(), Some("language_hint"));
    }
}
