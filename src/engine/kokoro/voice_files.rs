//! The voices of Kokoro on the disk: a file of styles each, or one archive of all.

use super::symbols::{Language, language_of};
use crate::engine::zip;
use crate::error::{Error, Kind, Result};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The numbers of a style.
pub const STYLE: usize = 256;

/// The styles of a voice: one for each number of tokens.
const ROWS: usize = 510;

/// No more voices are blended into one.
const BLENDED: usize = 16;

/// The styles of a voice, row by row.
pub struct Style<'a>(Cow<'a, [f32]>);

impl Style<'_> {
    /// The style for so many tokens.
    pub fn for_tokens(&self, count: usize) -> &[f32] {
        &self.0[count.min(ROWS - 1) * STYLE..][..STYLE]
    }
}

/// A model and its voices.
pub struct VoiceFiles {
    model: PathBuf,
    voices: BTreeMap<String, Vec<f32>>,
}

impl VoiceFiles {
    /// Reads all voices in `folder`.
    ///
    /// # Errors
    /// `Unavailable` without exactly one model, without voices, and for files of another size than theirs.
    pub fn read(folder: &Path) -> Result<Self> {
        let model = model_in(folder)?;
        let mut voices = BTreeMap::new();
        for path in files_in(folder) {
            let bytes = read(&path)?;
            if !zip::is_archive(&bytes) {
                voices.insert(stem(&path), numbers(&bytes).map_err(|reason| unfit(&path, &reason))?);
                continue;
            }
            for entry in zip::entries(&bytes).map_err(|reason| unfit(&path, reason))? {
                let Some(name) = entry.name.strip_suffix(".npy") else { continue };
                let array = entry.content(LARGEST).and_then(array).map_err(|reason| unfit(&path, reason))?;
                let array = numbers(&array).map_err(|reason| unfit(&path, &format!("{name}: {reason}")))?;
                voices.insert(name.to_owned(), array);
            }
        }
        if voices.is_empty() {
            return Err(unfit(folder, "there is no voice in it"));
        }
        Ok(Self { model, voices })
    }

    /// The names of the voices in `folder`, without reading them.
    pub fn names(folder: &Path) -> Vec<String> {
        let mut names = Vec::new();
        for path in files_in(folder) {
            match zip::names(&path) {
                Some(entries) => {
                    names.extend(entries.iter().filter_map(|name| name.strip_suffix(".npy")).map(str::to_owned))
                }
                None => names.push(stem(&path)),
            }
        }
        names.sort_unstable();
        names
    }

    /// Where the model is.
    pub fn model(&self) -> &Path {
        &self.model
    }

    /// The voice `id` and its language: a name such as `af_heart`, or several with their shares, as in
    /// `af_heart(2)+af_bella(1)`, which speak the language of the first.
    ///
    /// # Errors
    /// `InvalidRequest` (param `voice`) for one that does not exist, and for a language that cannot be spoken.
    pub fn voice(&self, id: &str) -> Result<(&'static Language, Style<'_>)> {
        let parts = self.parts(id)?;
        let [(first, _), ..] = parts.as_slice() else { return Err(self.unknown(id)) };
        let language = language_of(first).ok_or_else(|| {
            let message = format!("the voice `{first}` speaks a language that this server has no phonemes for");
            Error::invalid("voice", message)
        })?;
        let styles: Vec<&Vec<f32>> = parts.iter().filter_map(|(name, _)| self.voices.get(*name)).collect();
        if let [style] = styles.as_slice() {
            return Ok((language, Style(Cow::Borrowed(style))));
        }
        let total: f32 = parts.iter().map(|(_, share)| share).sum();
        let mut blended = vec![0.0; ROWS * STYLE];
        for (style, (_, share)) in styles.iter().zip(&parts) {
            blended.iter_mut().zip(*style).for_each(|(sum, value)| *sum += value * share / total);
        }
        Ok((language, Style(Cow::Owned(blended))))
    }

    /// The voices in `id` and their shares; all of them exist.
    fn parts<'a>(&'a self, id: &'a str) -> Result<Vec<(&'a str, f32)>> {
        if let ("" | "default", Some((first, _))) = (id, self.voices.first_key_value()) {
            return Ok(vec![(first, 1.0)]);
        }
        let part = |part: &'a str| {
            let part = part.trim();
            let (name, share) = match part.strip_suffix(')').and_then(|part| part.split_once('(')) {
                Some((name, share)) => (name.trim(), share.trim().parse().ok()?),
                None => (part, 1.0),
            };
            let is_here = self.voices.contains_key(name) && (0.001..=1000.0).contains(&share);
            is_here.then_some((name, share))
        };
        let parts: Vec<Option<(&str, f32)>> = id.split('+').take(BLENDED + 1).map(part).collect();
        let is_small = parts.len() <= BLENDED;
        parts.into_iter().collect::<Option<Vec<_>>>().filter(|_| is_small).ok_or_else(|| self.unknown(id))
    }

    fn unknown(&self, id: &str) -> Error {
        let some: Vec<&str> = self.voices.keys().map(String::as_str).take(8).collect();
        let message = format!(
            "the voice `{id}` does not exist; {} do, and blends such as `{}(2)+{}(1)`",
            some.join(", "),
            some.first().unwrap_or(&"one"),
            some.last().unwrap_or(&"other"),
        );
        Error::invalid("voice", message)
    }
}

/// The largest file in an archive of voices, in bytes: a voice with its description.
const LARGEST: usize = ROWS * STYLE * 4 + 4096;

fn unfit(path: &Path, reason: &str) -> Error {
    Error::new(Kind::Unavailable, format!("{} is not a voice of Kokoro v1.0: {reason}", path.display()))
}

/// The bytes of the file at `path`, unless there are more than voices have.
fn read(path: &Path) -> Result<Vec<u8>> {
    const MOST: u64 = 256 << 20;
    let failed = |e: std::io::Error| unfit(path, &e.to_string()).with_source(e);
    match fs::metadata(path).map_err(failed)?.len() {
        size if size > MOST => Err(unfit(path, "it is too large")),
        _ => fs::read(path).map_err(failed),
    }
}

/// The one model in `folder`.
fn model_in(folder: &Path) -> Result<PathBuf> {
    let mut models = with_ending(folder, "onnx");
    let model = models.pop();
    model.filter(|_| models.is_empty()).ok_or_else(|| {
        let message = format!("there must be one .onnx file of Kokoro in {}", folder.display());
        Error::new(Kind::Unavailable, message)
    })
}

/// The files with voices, in `folder` and in `voices` inside it, in the order of their names.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = with_ending(folder, "bin");
    files.extend(with_ending(folder, "npz"));
    files.extend(with_ending(&folder.join("voices"), "bin"));
    files.sort_unstable();
    files
}

fn with_ending(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|it| it == ending) && path.is_file()).collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The styles in `bytes`, 32-bit floating point numbers with the lowest byte first.
fn numbers(bytes: &[u8]) -> Result<Vec<f32>, String> {
    let expected = ROWS * STYLE * 4;
    if bytes.len() != expected {
        return Err(format!("it has {} bytes of numbers instead of {expected}", bytes.len()));
    }
    let (chunks, _) = bytes.as_chunks::<4>();
    let numbers: Vec<f32> = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
    if numbers.iter().all(|number| number.is_finite()) { Ok(numbers) } else { Err("not all of it are numbers".into()) }
}

/// The numbers in a file of NumPy, as bytes.
fn array(mut file: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    let header = match file.as_slice() {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, low, high, ..] => {
            10 + usize::from(u16::from_le_bytes([*low, *high]))
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d, ..] => {
            12 + u32::from_le_bytes([*a, *b, *c, *d]) as usize
        }
        _ => return Err("it holds a file that is not of NumPy"),
    };
    let described = file.get(..header).ok_or("it holds a damaged file")?;
    let described = String::from_utf8_lossy(described);
    if !described.contains("'<f4'") || described.contains("'fortran_order': True") {
        return Err("it holds numbers of another kind than 32-bit floating point");
    }
    Ok(file.split_off(header))
}
