//! Sound on its way in, in bounded memory: small files stay there, large ones go to disk.

use crate::audio::decode::Source;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::net::Download;
use axum::extract::Request;
use axum::http::header;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use futures::TryStreamExt as _;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::NamedTempFile;

/// How much of a file on disk is read at once, in bytes.
const BUFFER: usize = 1 << 16;

/// The usual alphabet, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An uploaded file. Cheap to clone, and read as often as one likes.
#[derive(Clone)]
pub enum Upload {
    /// Small enough for memory.
    Memory(Bytes),
    /// A temporary file, gone when the last clone and the last source of it are, unless it has been moved away.
    Disk(Arc<NamedTempFile>),
}

impl Upload {
    /// Whether there is not a single byte.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Memory(bytes) if bytes.is_empty())
    }

    /// The bytes from the start, to decode from. Sources of one upload do not disturb each other.
    pub fn source(&self) -> Box<dyn Source> {
        match self {
            Self::Memory(bytes) => Box::new(Cursor::new(bytes.clone())),
            Self::Disk(file) => {
                Box::new(BufReader::with_capacity(BUFFER, Positioned { file: file.clone(), position: 0 }))
            }
        }
    }
}

impl Upload {
    /// Reads a body that is nothing but the file.
    ///
    /// # Errors
    /// `InvalidRequest` when it is cut off, `TooLarge` over a limit.
    pub async fn from_body(request: Request, config: &Config) -> Result<Self> {
        let limits = &config.limits;
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if let Some(length) = length.filter(|length| *length > limits.upload_bytes) {
            return Err(too_large(limits.upload_bytes, length));
        }
        let cut_off = |e| Error::new(Kind::InvalidRequest, "The body was cut off.").with_source(e);
        let mut chunks = request.into_body().into_data_stream();
        let (mut spool, mut read) = (Spool::new(config), 0);
        while let Some(chunk) = chunks.try_next().await.map_err(cut_off)? {
            read += chunk.len() as u64;
            if read > limits.upload_bytes {
                return Err(too_large(limits.upload_bytes, read));
            }
            spool.push(chunk).await?;
        }
        Ok(spool.finish())
    }
}

/// Reads a file at a position of its own, because all handles of a file share one.
struct Positioned {
    file: Arc<NamedTempFile>,
    position: u64,
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(self.file.as_file(), buffer, self.position)?;
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(self.file.as_file(), buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Positioned {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.file.as_file().metadata()?.len().checked_add_signed(offset),
        };
        let before = || io::Error::new(io::ErrorKind::InvalidInput, "a position before the start of the file");
        self.position = position.ok_or_else(before)?;
        Ok(self.position)
    }
}

/// Takes an upload as it comes: into memory at first, and into a temporary file once it is too large for that.
pub struct Spool {
    /// So many bytes stay in memory.
    in_memory: u64,
    /// Where the temporary file is put, next to where it stays if it becomes a job.
    folder: PathBuf,
    memory: Vec<u8>,
    disk: Option<NamedTempFile>,
}

impl Spool {
    /// Nothing yet; how much stays in memory and where the rest goes is said by `config`.
    pub fn new(config: &Config) -> Self {
        let (in_memory, folder) = (config.limits.spool_bytes, config.incoming_dir());
        Self { in_memory, folder, memory: Vec::new(), disk: None }
    }

    /// Appends `bytes`. Counting them is the caller's business.
    ///
    /// # Errors
    /// `Unavailable` when there is no room on the disk.
    ///
    /// # Cancel safety
    /// When it is dropped half-way what has been taken so far is lost.
    pub async fn push(&mut self, bytes: Bytes) -> Result<()> {
        if self.disk.is_none() && self.memory.len() as u64 + bytes.len() as u64 > self.in_memory {
            self.disk = Some(to_disk(Err(self.folder.clone()), Bytes::from(std::mem::take(&mut self.memory))).await?);
        }
        match self.disk.take() {
            Some(file) => self.disk = Some(to_disk(Ok(file), bytes).await?),
            None => self.memory.extend_from_slice(&bytes),
        }
        Ok(())
    }

    /// What was taken.
    pub fn finish(self) -> Upload {
        match self.disk {
            Some(file) => Upload::Disk(Arc::new(file)),
            None => Upload::Memory(self.memory.into()),
        }
    }
}

/// Appends `bytes` to the file, or to a new temporary file in the folder, off the async threads.
async fn to_disk(place: Result<NamedTempFile, PathBuf>, bytes: Bytes) -> Result<NamedTempFile> {
    let written = tokio::task::spawn_blocking(move || {
        let mut file = match place {
            Ok(file) => file,
            Err(folder) => {
                std::fs::create_dir_all(&folder)?;
                NamedTempFile::new_in(folder)?
            }
        };
        file.write_all(&bytes)?;
        Ok(file)
    });
    written.await.map_err(|e| Error::internal("the upload cannot be stored", e))?.map_err(no_disk)
}

fn no_disk(error: io::Error) -> Error {
    let message = "The server has no room to store the upload.";
    Error::new(Kind::Unavailable, message).with_source(error)
}

/// Fetches the file at `address`, which the request parameter `param` named.
///
/// # Errors
/// `InvalidRequest` (with `param`) and the reason when it cannot be had; see [`Download`].
///
/// # Cancel safety
/// Dropping the future closes the connection and forgets what has arrived.
pub async fn fetch(address: &str, param: &'static str, config: &Config) -> Result<Upload> {
    let mut download = Download::begin(address, param, config).await?;
    let mut spool = Spool::new(config);
    while let Some(chunk) = download.chunk().await? {
        spool.push(chunk).await?;
    }
    Ok(spool.finish())
}

/// The bytes of base64 `text`, in which line breaks and spaces mean nothing; `None` when it is not base64.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let dense: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        return BASE64.decode(dense).ok();
    }
    BASE64.decode(text).ok()
}

/// The refusal of more than `limit` bytes, of which `read` are known.
pub fn too_large(limit: u64, read: u64) -> Error {
    let message = format!("Maximum content size limit ({limit}) exceeded ({read} bytes read)");
    Error::new(Kind::TooLarge, message).with_param("file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upload_is_read_as_often_as_one_likes() {
        let folder = tempfile::tempdir().expect("a folder");
        for in_memory in [0, 4, 1000] {
            let mut config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
            config.limits.spool_bytes = in_memory;
            let mut spool = Spool::new(&config);
            for part in ["one ", "two ", "three"] {
                spool.push(Bytes::from_static(part.as_bytes())).await.expect("there is room");
            }
            let upload = spool.finish();
            let (mut first, mut second) = (upload.source(), upload.source());
            let mut text = String::new();
            assert_eq!(first.seek(SeekFrom::End(-5)).expect("within"), 8);
            first.read_to_string(&mut text).expect("readable");
            second.read_to_string(&mut text).expect("readable");
            assert_eq!(text, "threeone two three", "{in_memory} bytes in memory");
            assert!(first.seek(SeekFrom::Start(0)).is_ok() && first.seek(SeekFrom::Current(-1)).is_err());
        }
    }

    #[test]
    fn base64_may_have_line_breaks_and_no_padding() {
        assert_eq!(decode_base64("aGVs\r\nbG8=").as_deref(), Some(&b"hello"[..]));
        assert_eq!(decode_base64("aGVsbG8").as_deref(), Some(&b"hello"[..]));
        assert_eq!(decode_base64("aGV*"), None);
    }
}
