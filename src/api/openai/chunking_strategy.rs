//! `chunking_strategy`: when sound counts as speech.

use crate::api::form::Form;
use crate::error::{Error, Result};
use crate::speech::chunk::EndpointerOptions;
use serde_json::Value;
use std::ops::RangeInclusive;
use std::time::Duration;

const NAME: &str = "chunking_strategy";

/// What is asked for in any spelling: `auto`, an object as JSON, or `chunking_strategy[type]` and its neighbours.
/// `None` when nothing is.
///
/// # Errors
/// `InvalidRequest` (param `chunking_strategy`) for another strategy, an unknown member, or one out of range.
pub fn chunking_strategy(form: &Form) -> Result<Option<EndpointerOptions>> {
    let mut members = bracketed(form);
    if let Some(whole) = form.text(NAME).filter(|whole| !whole.eq_ignore_ascii_case("null")) {
        if whole.eq_ignore_ascii_case("auto") {
            return Ok(Some(EndpointerOptions::default()));
        }
        let object = serde_json::from_str::<serde_json::Map<String, Value>>(whole);
        let object =
            object.map_err(|_| wrong("chunking_strategy must be `auto` or an object of type `server_vad`."))?;
        let text = |value: Value| value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
        members.extend(object.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key, text(value))));
    }
    if members.is_empty() { Ok(None) } else { server_vad(&members).map(Some) }
}

/// `chunking_strategy[key]=value`.
fn bracketed(form: &Form) -> Vec<(String, String)> {
    let key = |name: &str| Some(name.strip_prefix(NAME)?.strip_prefix('[')?.strip_suffix(']')?.to_owned());
    form.fields.iter().filter_map(|(name, value)| Some((key(name)?, value.trim().to_owned()))).collect()
}

fn server_vad(members: &[(String, String)]) -> Result<EndpointerOptions> {
    let mut options = EndpointerOptions::default();
    let mut is_vad = false;
    for (key, value) in members {
        match key.as_str() {
            "type" if value == "auto" && members.len() == 1 => return Ok(options),
            "type" if value == "server_vad" => is_vad = true,
            "type" => return Err(wrong(format!("`{value}` is not a strategy: send `auto` or `server_vad`."))),
            "prefix_padding_ms" => options.margin = milliseconds(key, value, 0.0..=1000.0)?,
            "silence_duration_ms" => options.silence = milliseconds(key, value, 50.0..=5000.0)?,
            "threshold" => {
                let begin = number(key, value, 0.0..=1.0)? as f32;
                // The end is as much below the beginning as usual, so that one uncertain moment ends nothing.
                let usual = EndpointerOptions::default();
                (options.begin, options.end) = (begin, begin * usual.end / usual.begin);
            }
            _ => return Err(wrong(format!("`{key}` is not a member of a server_vad strategy."))),
        }
    }
    if is_vad { Ok(options) } else { Err(wrong("chunking_strategy needs a `type`: `server_vad`.")) }
}

fn milliseconds(key: &str, value: &str, range: RangeInclusive<f64>) -> Result<Duration> {
    number(key, value, range).map(|milliseconds| Duration::from_secs_f64(milliseconds / 1000.0))
}

fn number(key: &str, value: &str, range: RangeInclusive<f64>) -> Result<f64> {
    value.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
        wrong(format!("chunking_strategy: `{key}` must be a number from {} to {}.", range.start(), range.end()))
    })
}

fn wrong(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid(NAME, message).with_code("invalid_value")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two thresholds, the silence and the margin.
    type Options = (f32, f32, Duration, Duration);

    fn told(options: EndpointerOptions) -> Options {
        (options.begin, options.end, options.silence, options.margin)
    }

    fn parse(fields: &[(&str, &str)]) -> Result<Option<Options>> {
        let fields = fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        chunking_strategy(&Form { fields, file: None }).map(|options| options.map(told))
    }

    #[test]
    fn the_three_spellings_are_understood() {
        let expected = (0.5, 0.25, Duration::from_millis(300), Duration::from_millis(100));
        let object = r#"{"type":"server_vad","prefix_padding_ms":100,"silence_duration_ms":300,"threshold":0.5}"#;
        assert_eq!(parse(&[(NAME, object)]).expect("good"), Some(expected));
        let brackets = [
            ("chunking_strategy[type]", "server_vad"),
            ("chunking_strategy[threshold]", "0.5"),
            ("chunking_strategy[silence_duration_ms]", "300"),
            ("chunking_strategy[prefix_padding_ms]", "100"),
        ];
        assert_eq!(parse(&brackets).expect("good"), Some(expected));
        assert_eq!(parse(&[(NAME, "auto")]).expect("good"), Some(told(EndpointerOptions::default())));
        assert_eq!(parse(&[]).expect("good"), None);
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for value in [
            "fixed",
            "{}x",
            r#"{"type":"semantic_vad"}"#,
            r#"{"threshold":0.5}"#,
            r#"{"type":"server_vad","threshold":2}"#,
            r#"{"type":"server_vad","threshold":"NaN"}"#,
            r#"{"type":"server_vad","silence_duration_ms":-1}"#,
            r#"{"type":"server_vad","eagerness":"high"}"#,
        ] {
            assert_eq!(parse(&[(NAME, value)]).expect_err(value).param(), Some(NAME), "{value}");
        }
    }
}
