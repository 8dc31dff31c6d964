//! Multipart forms into bounded memory: text fields as they come, the file in memory or, when large, on disk.
//!
//! Names and declared types of files mean nothing here: clients send `upload`, `blob` and `application/octet-stream`.

use crate::audio::decode::Source;
use crate::config::LimitsConfig;
use crate::error::{Error, Kind, Result};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use std::io::{Cursor, Seek, SeekFrom, Write};

/// The largest text field, in bytes. Prompts are a few hundred.
const MAX_FIELD: usize = 1 << 20;

/// The most text fields a form may have.
const MAX_FIELDS: usize = 512;

/// A parsed form.
#[derive(Default)]
pub struct Form {
    /// The text fields, in the order they came.
    pub fields: Vec<(String, String)>,
    /// The part called `file`.
    pub file: Option<Upload>,
}

/// An uploaded file.
pub enum Upload {
    /// Small enough for memory.
    Memory(Vec<u8>),
    /// A temporary file without a name, gone when it is closed.
    Disk(std::fs::File),
}

impl Upload {
    /// Whether there is not a single byte.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Memory(bytes) if bytes.is_empty())
    }

    /// The bytes, to decode from.
    pub fn into_source(self) -> Box<dyn Source> {
        match self {
            Self::Memory(bytes) => Box::new(Cursor::new(bytes)),
            Self::Disk(file) => Box::new(std::io::BufReader::with_capacity(1 << 16, file)),
        }
    }
}

impl Form {
    /// Reads the whole form before anything is judged, because some clients send the file first.
    ///
    /// # Errors
    /// `Unsupported` when the body is not multipart, `InvalidRequest` when it is broken, `TooLarge` over a limit.
    pub async fn read(request: Request, limits: &LimitsConfig) -> Result<Self> {
        check_declared(&request, limits)?;
        let mut multipart = Multipart::from_request(request, &())
            .await
            .map_err(|e| Error::new(Kind::InvalidRequest, "The multipart form has no boundary.").with_source(e))?;
        let (mut form, mut budget) = (Self::default(), Budget::new(limits.upload_bytes));
        while let Some(field) = multipart.next_field().await.map_err(broken)? {
            let name = field.name().unwrap_or_default().to_owned();
            if name == "file" {
                form.file = Some(spool(field, limits.spool_bytes, &mut budget).await?);
                continue;
            }
            if form.fields.len() >= MAX_FIELDS {
                return Err(Error::new(Kind::TooLarge, format!("The form has more than {MAX_FIELDS} fields.")));
            }
            let text = read_text(field, &name, &mut budget).await?;
            form.fields.push((name, text));
        }
        Ok(form)
    }

    /// The last value of the field `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.iter().rev().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// All values of a list field in any spelling: `name[]`, `name`, `name[0]`, one JSON array, or joined by commas.
    pub fn list(&self, name: &str) -> Vec<String> {
        let spelled = |field: &str| {
            field.strip_prefix(name).is_some_and(|rest| {
                let index = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                rest.is_empty() || index.is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
            })
        };
        let values = self.fields.iter().filter(|(field, _)| spelled(field)).map(|(_, value)| value.trim());
        values.flat_map(split_list).filter(|item| !item.is_empty()).collect()
    }
}

fn split_list(value: &str) -> Vec<String> {
    match serde_json::from_str::<Vec<String>>(value) {
        Ok(items) => items,
        Err(_) => value.split(',').map(|item| item.trim().to_owned()).collect(),
    }
}

/// Refuses by the headers alone what can be refused by them.
fn check_declared(request: &Request, limits: &LimitsConfig) -> Result<()> {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = text(header::CONTENT_TYPE).to_ascii_lowercase();
    if !content_type.starts_with("multipart/form-data") {
        let message = "This route takes multipart/form-data with the audio in the part `file`.";
        return Err(Error::new(Kind::Unsupported, message));
    }
    // The form around the file takes some bytes, too.
    match text(header::CONTENT_LENGTH).parse::<u64>() {
        Ok(length) if length > limits.upload_bytes.saturating_add(MAX_FIELD as u64) => {
            Err(too_large(limits.upload_bytes, length))
        }
        _ => Ok(()),
    }
}

/// How much of the upload limit is left.
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

fn too_large(limit: u64, read: u64) -> Error {
    let message = format!("Maximum content size limit ({limit}) exceeded ({read} bytes read)");
    Error::new(Kind::TooLarge, message).with_param("file")
}

fn broken(error: MultipartError) -> Error {
    let kind = if error.status() == StatusCode::PAYLOAD_TOO_LARGE { Kind::TooLarge } else { Kind::InvalidRequest };
    Error::new(kind, "The multipart form is broken or was cut off.").with_source(error)
}

async fn read_text(mut field: Field<'_>, name: &str, budget: &mut Budget) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(broken)? {
        budget.take(&chunk)?;
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_FIELD {
            let message = format!("The field `{name}` is longer than {MAX_FIELD} bytes.");
            return Err(Error::new(Kind::TooLarge, message).with_param(name.to_owned()));
        }
    }
    String::from_utf8(bytes)
        .map_err(|_| Error::invalid(name.to_owned(), format!("The field `{name}` is not UTF-8 text.")))
}

/// Reads the file, into memory up to `spool_bytes` and to a temporary file from there on.
async fn spool(mut field: Field<'_>, spool_bytes: u64, budget: &mut Budget) -> Result<Upload> {
    let mut memory = Vec::new();
    let mut disk = None;
    while let Some(chunk) = field.chunk().await.map_err(broken)? {
        budget.take(&chunk)?;
        if disk.is_none() && memory.len() as u64 + chunk.len() as u64 > spool_bytes {
            disk = Some(to_disk(None, Bytes::from(std::mem::take(&mut memory))).await?);
        }
        match disk.take() {
            Some(file) => disk = Some(to_disk(Some(file), chunk).await?),
            None => memory.extend_from_slice(&chunk),
        }
    }
    let Some(mut file) = disk else { return Ok(Upload::Memory(memory)) };
    file.seek(SeekFrom::Start(0)).map_err(no_disk)?;
    Ok(Upload::Disk(file))
}

/// Appends `bytes` to `file`, or to a new temporary file, off the async threads.
async fn to_disk(file: Option<std::fs::File>, bytes: Bytes) -> Result<std::fs::File> {
    let written = tokio::task::spawn_blocking(move || {
        let mut file = match file {
            Some(file) => file,
            None => tempfile::tempfile()?,
        };
        file.write_all(&bytes)?;
        Ok(file)
    });
    written.await.map_err(|e| Error::internal("the upload cannot be stored", e))?.map_err(no_disk)
}

fn no_disk(error: std::io::Error) -> Error {
    let message = "The server has no room to store the upload.";
    Error::new(Kind::Unavailable, message).with_source(error)
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
    fn the_last_value_of_a_field_counts() {
        assert_eq!(form(&[("model", "a"), ("model", "b")]).text("model"), Some("b"));
    }
}
