//! Checks that bytes are a whole model in whisper.cpp's ggml format, before whisper.cpp reads them: it believes every
//! number in the file, and a bad one would end the process. The weights themselves are skipped.

use std::io::{Read, Seek};
use std::ops::RangeInclusive;

/// What is wrong with the file, as the end of a sentence.
pub(super) type Flaw = String;

/// `ggml` as a little-endian number.
const MAGIC: u32 = 0x6767_6d6c;

/// The special tokens have fixed numbers below the first of these.
const VOCABULARY: RangeInclusive<i32> = 51_864..=60_000;

/// Tensor types as (number in the file, values in a block, bytes of a block).
const TENSOR_TYPES: [(i32, u64, u64); 13] = [
    (0, 1, 4),
    (1, 1, 2),
    (2, 32, 18),
    (3, 32, 20),
    (6, 32, 22),
    (7, 32, 24),
    (8, 32, 34),
    (10, 256, 84),
    (11, 256, 110),
    (12, 256, 144),
    (13, 256, 176),
    (14, 256, 210),
    (30, 1, 2),
];

/// Reads through `file` from its start.
pub(super) fn check(file: &mut (impl Read + Seek)) -> Result<(), Flaw> {
    let length = file.seek(std::io::SeekFrom::End(0)).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let mut fields = Fields { file, at: 0, length };
    if length < 4 || fields.unsigned()? != MAGIC {
        return Err("it is not in whisper.cpp's ggml format".into());
    }
    check_sizes(&mut fields)?;
    check_filters(&mut fields)?;
    check_vocabulary(&mut fields)?;
    while fields.at < fields.length {
        check_tensor(&mut fields)?;
    }
    Ok(())
}

fn check_sizes(fields: &mut Fields<'_, impl Read + Seek>) -> Result<(), Flaw> {
    let limits: [(&str, RangeInclusive<i32>); 11] = [
        ("vocabulary", VOCABULARY),
        ("audio context", 1..=10_000),
        ("audio state", 8..=16_384),
        ("audio heads", 1..=256),
        ("audio layers", 1..=256),
        ("text context", 16..=10_000),
        ("text state", 8..=16_384),
        ("text heads", 1..=256),
        ("text layers", 1..=256),
        ("mel bands", 1..=512),
        ("weight type", 0..=100_000),
    ];
    let mut sizes = [0; 11];
    for (size, (name, range)) in sizes.iter_mut().zip(limits) {
        *size = fields.number()?;
        if !range.contains(size) {
            return Err(format!("its header gives {size} for {name}"));
        }
    }
    let [_, _, audio_state, audio_heads, _, _, text_state, text_heads, ..] = sizes;
    if audio_state != text_state || audio_state % audio_heads != 0 || text_state % text_heads != 0 {
        return Err("the sizes in its header do not fit together".into());
    }
    Ok(())
}

fn check_filters(fields: &mut Fields<'_, impl Read + Seek>) -> Result<(), Flaw> {
    let (bands, bins) = (fields.number()?, fields.number()?);
    // Whisper's spectra have 201 bins, and whisper.cpp reads as many for each band.
    if !(1..=512).contains(&bands) || bins != 201 {
        return Err(format!("its mel filters are {bands} × {bins}"));
    }
    fields.skip(4 * bands as u64 * bins as u64)
}

fn check_vocabulary(fields: &mut Fields<'_, impl Read + Seek>) -> Result<(), Flaw> {
    let tokens = fields.number()?;
    if !(1..=*VOCABULARY.end()).contains(&tokens) {
        return Err(format!("its vocabulary has {tokens} tokens"));
    }
    let mut has_space = false;
    for _ in 0..tokens {
        let length = fields.unsigned()?;
        if length > 1024 {
            return Err(format!("its vocabulary has a token of {length} bytes"));
        }
        has_space |= fields.bytes(length as usize)? == b" ";
    }
    if has_space { Ok(()) } else { Err("its vocabulary has no space".into()) }
}

fn check_tensor(fields: &mut Fields<'_, impl Read + Seek>) -> Result<(), Flaw> {
    let (dimensions, name_length, kind) = (fields.number()?, fields.number()?, fields.number()?);
    if !(1..=4).contains(&dimensions) || !(1..=256).contains(&name_length) {
        return Err("it has a tensor without a shape or a name".into());
    }
    let (_, block, bytes) = TENSOR_TYPES
        .into_iter()
        .find(|(number, ..)| *number == kind)
        .ok_or_else(|| format!("it has a tensor of the unknown type {kind}"))?;
    let mut values: u64 = 1;
    for _ in 0..dimensions {
        let size = fields.number()?;
        let product = u64::try_from(size).ok().and_then(|size| values.checked_mul(size));
        values = product.filter(|v| (1..=i32::MAX as u64).contains(v)).ok_or("it has a tensor of impossible size")?;
    }
    fields.skip(name_length as u64)?;
    fields.skip(values.div_ceil(block) * bytes)
}

/// Reads little-endian fields and knows where the file ends.
struct Fields<'a, F> {
    file: &'a mut F,
    at: u64,
    length: u64,
}

impl<F: Read + Seek> Fields<'_, F> {
    fn bytes(&mut self, count: usize) -> Result<Vec<u8>, Flaw> {
        self.advance(count as u64)?;
        let mut bytes = vec![0; count];
        self.file.read_exact(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }

    fn unsigned(&mut self) -> Result<u32, Flaw> {
        self.advance(4)?;
        let mut bytes = [0; 4];
        self.file.read_exact(&mut bytes).map_err(unreadable)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn number(&mut self) -> Result<i32, Flaw> {
        self.unsigned().map(u32::cast_signed)
    }

    fn skip(&mut self, count: u64) -> Result<(), Flaw> {
        self.advance(count)?;
        self.file.seek_relative(count as i64).map_err(unreadable)
    }

    fn advance(&mut self, count: u64) -> Result<(), Flaw> {
        self.at += count;
        if self.at <= self.length { Ok(()) } else { Err("it ends too early: the download may be incomplete".into()) }
    }
}

fn unreadable(error: std::io::Error) -> Flaw {
    format!("it cannot be read ({})", error.kind())
}
