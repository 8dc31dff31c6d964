//! The fields of a request, from a multipart form or a JSON object, in bounded memory.
//!
//! Both become the same list of text fields, so that one reader serves both. Names and declared types of files mean
//! nothing here: clients send `upload`, `blob` and `application/octet-stream`.

use super::upload::{Spool, Upload, too_large};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::Value;

/// The longest text field, in bytes, unless it holds sound. Prompts are a few hundred.
const MAX_FIELD: usize = 1 << 20;

/// The fields that hold sound as base64.
const SOUND: [&str; 2] = ["input_audio", "known_speaker_references"];

/// The most text fields a request may have.
const MAX_FIELDS: usize = 512;

/// A parsed request.
#[derive(Default)]
pub struct Form {
    /// The text fields, in the order they came.
    pub fields: Vec<(String, String)>,
    /// The part called `file`.
    pub file: Option<Upload>,
}

impl Form {
    /// Reads the whole request before anything is judged, because some clients send the file first.
    ///
    /// # Errors
    /// `Unsupported` when the body is neither multipart nor JSON, `InvalidRequest` when it is broken, `TooLarge` over a
    /// limit.
    pub async fn read(request: Request, config: &Config) -> Result<Self> {
        let content_type = header_text(&request, header::CONTENT_TYPE).to_ascii_lowercase();
        match content_type.split(';').next().unwrap_or_default().trim() {
            "multipart/form-data" => Self::read_multipart(request, config).await,
            "application/json" => Self::read_json(request, config).await,
            _ => {
                let message = "This route takes multipart/form-data with the audio in the part `file`, or \
                               application/json with `audio_url` or `input_audio`.";
                Err(Error::new(Kind::Unsupported, message))
            }
        }
    }

    async fn read_multipart(request: Request, config: &Config) -> Result<Self> {
        let limits = &config.limits;
        // The form around the file takes some bytes, too.
        check_length(&request, limits.upload_bytes, MAX_FIELD as u64)?;
        let mut multipart = Multipart::from_request(request, &())
            .await
            .map_err(|e| Error::new(Kind::InvalidRequest, "The multipart form has no boundary.").with_source(e))?;
        let (mut form, mut budget) = (Self::default(), Budget::new(limits.upload_bytes));
        let mut text_budget = Budget::new(limits.inline_bytes);
        while let Some(field) = multipart.next_field().await.map_err(broken)? {
            let name = field.name().unwrap_or_default().to_owned();
            if name == "file" {
                form.file = Some(spool(field, config, &mut budget).await?);
                continue;
            }
            let text = read_text(field, &name, [&mut budget, &mut text_budget]).await?;
            form.push(name, text)?;
        }
        Ok(form)
    }

    async fn read_json(request: Request, config: &Config) -> Result<Self> {
        let limits = &config.limits;
        let limit = limits.inline_bytes.min(limits.upload_bytes);
        let inline = |error: Error| error.with_param("input_audio");
        check_length(&request, limit, 0).map_err(inline)?;
        let (mut body, mut bytes, mut budget) = (request.into_body(), Vec::new(), Budget::new(limit));
        while let Some(frame) = body.frame().await {
            let cut = |e| Error::new(Kind::InvalidRequest, "The body was cut off.").with_source(e);
            let Ok(data) = frame.map_err(cut)?.into_data() else { continue };
            budget.take(&data).map_err(inline)?;
            bytes.extend_from_slice(&data);
        }
        crate::speech::step(move || Self::from_json(&bytes)).await
    }

    fn from_json(bytes: &[u8]) -> Result<Self> {
        let wrong =
            |reason: String| Error::new(Kind::InvalidRequest, format!("The body is not a JSON object: {reason}"));
        let object = match serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))? {
            Value::Object(object) => object,
            _ => return Err(wrong("it is another kind of value.".to_owned())),
        };
        let mut form = Self::default();
        for (name, value) in object {
            match value {
                Value::Null => {}
                Value::Array(items) => {
                    items.into_iter().try_for_each(|item| form.push(format!("{name}[]"), plain(item)))?;
                }
                Value::Object(members) => {
                    members.into_iter().try_for_each(|(key, it)| form.push(format!("{name}[{key}]"), plain(it)))?;
                }
                value => form.push(name, plain(value))?,
            }
        }
        Ok(form)
    }

    fn push(&mut self, name: String, text: String) -> Result<()> {
        if self.fields.len() >= MAX_FIELDS {
            return Err(Error::new(Kind::TooLarge, format!("The request has more than {MAX_FIELDS} fields.")));
        }
        if text.len() > longest(&name) {
            return Err(too_long(&name));
        }
        self.fields.push((name, text));
        Ok(())
    }

    /// The last value of the field `name`, without the spaces around it; `None` when that is nothing.
    pub fn text(&self, name: &str) -> Option<&str> {
        let value = self.fields.iter().rev().find(|(field, _)| field == name).map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// Takes the last value of the field `name` out.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let at = self.fields.iter().rposition(|(field, _)| field == name)?;
        Some(self.fields.remove(at).1)
    }

    /// Whether there is a field `name`, or one such as `name[key]`.
    pub fn has(&self, name: &str) -> bool {
        self.fields
            .iter()
            .any(|(field, _)| field.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('[')))
    }

    /// All values of a list of words in any spelling: `name[]`, `name`, `name[0]`, one JSON array, or joined by commas.
    pub fn list(&self, name: &str) -> Vec<String> {
        let values = self.values(name).flat_map(|(_, value)| opened(value).unwrap_or_else(|| at_commas(value)));
        values.filter(|item| !item.is_empty()).collect()
    }

    /// As [`Form::list`] for values that may hold commas themselves: only a bare `name` is split at them.
    pub fn phrases(&self, name: &str) -> Vec<String> {
        let split = |(bare, value): (bool, &str)| match opened(value) {
            Some(items) => items,
            None if bare => at_commas(value),
            None => vec![value.to_owned()],
        };
        self.values(name).flat_map(split).map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
    }

    /// As [`Form::list`] for values that are never split at commas, such as data URLs.
    pub fn wholes(&self, name: &str) -> Vec<String> {
        let values = self.values(name).flat_map(|(_, value)| opened(value).unwrap_or_else(|| vec![value.to_owned()]));
        values.filter(|item| !item.is_empty()).collect()
    }

    /// The values of a list field, and whether the name had no brackets.
    fn values(&self, name: &str) -> impl Iterator<Item = (bool, &str)> {
        self.fields.iter().filter_map(move |(field, value)| {
            let rest = field.strip_prefix(name)?;
            let index = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let spelled = rest.is_empty() || index?.bytes().all(|byte| byte.is_ascii_digit());
            spelled.then_some((rest.is_empty(), value.trim()))
        })
    }
}

/// The text of a JSON value; of a string, what is in it.
fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The items when `value` is a JSON array of strings.
fn opened(value: &str) -> Option<Vec<String>> {
    if value.starts_with('[') { serde_json::from_str(value).ok() } else { None }
}

fn at_commas(value: &str) -> Vec<String> {
    value.split(',').map(|item| item.trim().to_owned()).collect()
}

fn header_text(request: &Request, name: header::HeaderName) -> &str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Refuses by its header alone what is larger than `limit` and `more`.
fn check_length(request: &Request, limit: u64, more: u64) -> Result<()> {
    match header_text(request, header::CONTENT_LENGTH).parse::<u64>() {
        Ok(length) if length > limit.saturating_add(more) => Err(too_large(limit, length)),
        _ => Ok(()),
    }
}

/// How much of a limit is left.
struct Budget {
    limit: u64,
    read: u64,
}

impl Budget {
    fn new(limit: u64) -> Self {
        Self { limit, read: 0 }
    }

    fn take(&mut self, bytes: &Bytes) -> Result<()> {
        self.read += bytes.len() as u64;
        if self.read > self.limit { Err(too_large(self.limit, self.read)) } else { Ok(()) }
    }
}

fn broken(error: MultipartError) -> Error {
    let kind = if error.status() == StatusCode::PAYLOAD_TOO_LARGE { Kind::TooLarge } else { Kind::InvalidRequest };
    Error::new(kind, "The multipart form is broken or was cut off.").with_source(error)
}

/// How long the text field `name` may be; sound is only limited by what the whole request may hold.
fn longest(name: &str) -> usize {
    if SOUND.contains(&name.split('[').next().unwrap_or_default()) { usize::MAX } else { MAX_FIELD }
}

fn too_long(name: &str) -> Error {
    let message = format!("The field `{name}` is longer than {MAX_FIELD} bytes.");
    Error::new(Kind::TooLarge, message).with_param(name.to_owned())
}

async fn read_text(mut field: Field<'_>, name: &str, budgets: [&mut Budget; 2]) -> Result<String> {
    let [whole, text] = budgets;
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(broken)? {
        whole.take(&chunk)?;
        text.take(&chunk)?;
        bytes.extend_from_slice(&chunk);
        if bytes.len() > longest(name) {
            return Err(too_long(name));
        }
    }
    String::from_utf8(bytes)
        .map_err(|_| Error::invalid(name.to_owned(), format!("The field `{name}` is not UTF-8 text.")))
}

/// Reads the file, into memory up to a limit and to a temporary file from there on.
async fn spool(mut field: Field<'_>, config: &Config, budget: &mut Budget) -> Result<Upload> {
    let mut spool = Spool::new(config);
    while let Some(chunk) = field.chunk().await.map_err(broken)? {
        budget.take(&chunk)?;
        spool.push(chunk).await?;
    }
    Ok(spool.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> Form {
        Form { fields: fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(), file: None }
    }

    #[test]
    fn lists_are_read_in_every_spelling() {
        for fields in [
            &[("g[]", "word"), ("g[]", "segment")][..],
            &[("g", "word"), ("g", "segment")],
            &[("g[0]", "word"), ("g[1]", "segment")],
            &[("g", "word, segment")],
            &[("g", r#"["word","segment"]"#)],
        ] {
            assert_eq!(form(fields).list("g"), ["word", "segment"], "{fields:?}");
        }
        assert!(form(&[("gg[]", "word"), ("g[x]", "word"), ("g[]", "")]).list("g").is_empty());
    }

    #[test]
    fn phrases_keep_their_commas_where_a_list_is_spelled_as_one() {
        assert_eq!(form(&[("k[]", "Smith, John"), ("k", "a, b")]).phrases("k"), ["Smith, John", "a", "b"]);
        assert_eq!(form(&[("k", r#"["Smith, John"]"#)]).phrases("k"), ["Smith, John"]);
        assert_eq!(form(&[("k", "data:audio/wav;base64,AA==")]).wholes("k"), ["data:audio/wav;base64,AA=="]);
    }

    #[test]
    fn the_last_value_of_a_field_counts() {
        assert_eq!(form(&[("model", "a"), ("model", "b")]).text("model"), Some("b"));
        assert_eq!(form(&[("model", " ")]).text("model"), None);
    }

    #[test]
    fn a_json_object_has_the_fields_of_a_form() {
        let body = r#"{"model": "m", "temperature": 0.5, "stream": true, "prompt": null, "languages": ["en", "de"],
                       "keywords": "one, two", "chunking_strategy": {"type": "server_vad", "threshold": 0.5}}"#;
        let form = Form::from_json(body.as_bytes()).expect("an object");
        assert_eq!(
            (form.text("model"), form.text("temperature"), form.text("stream")),
            (Some("m"), Some("0.5"), Some("true"))
        );
        assert_eq!(
            (form.list("languages"), form.list("keywords")),
            (vec!["en".into(), "de".into()], vec!["one".into(), "two".into()])
        );
        assert_eq!(form.text("chunking_strategy[threshold]"), Some("0.5"));
        assert!(form.has("chunking_strategy") && !form.has("prompt") && !form.has("chunking"));
        assert!(Form::from_json(b"[]").is_err() && Form::from_json(b"{").is_err());
    }
}
