//! Digests of files: computed in one pass, compared with what was published.

use super::catalog::ModelFile;
use super::folder::unreadable;
use crate::error::Result;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;

/// How much is read at once.
const BLOCK: usize = 1 << 20;

/// Computes the digests of bytes as they come.
pub struct Hasher {
    sha256: Sha256,
    sha1: Option<Sha1>,
    md5: Option<Md5>,
}

/// The digests of some bytes, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// SHA-256.
    pub sha256: String,
    /// SHA-1, when it was wanted.
    pub sha1: Option<String>,
    /// MD5, when it was wanted.
    pub md5: Option<String>,
}

impl Hasher {
    /// Computes SHA-256 and whatever else is published of `file`.
    pub fn new(file: &ModelFile) -> Self {
        let sha1 = file.sha1.as_ref().map(|_| Sha1::new());
        let md5 = file.md5.as_ref().map(|_| Md5::new());
        Self { sha256: Sha256::new(), sha1, md5 }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    /// The digests of everything taken.
    pub fn finish(self) -> Digests {
        Digests {
            sha256: format!("{:x}", self.sha256.finalize()),
            sha1: self.sha1.map(|sha1| format!("{:x}", sha1.finalize())),
            md5: self.md5.map(|md5| format!("{:x}", md5.finalize())),
        }
    }
}

impl Digests {
    /// The digests of the file at `path`, as far as they are published of `file`. Blocks.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be read.
    pub fn of(path: &Path, file: &ModelFile) -> Result<Self> {
        let mut reader = std::fs::File::open(path).map_err(|e| unreadable(path, e))?;
        let mut hasher = Hasher::new(file);
        let mut block = vec![0; BLOCK];
        loop {
            match reader.read(&mut block).map_err(|e| unreadable(path, e))? {
                0 => return Ok(hasher.finish()),
                length => hasher.update(&block[..length]),
            }
        }
    }

    /// Compares with everything published of `file`.
    ///
    /// # Errors
    /// A sentence with the two digests that differ.
    pub fn compare(&self, file: &ModelFile) -> Result<(), String> {
        compare("SHA-256", Some(&self.sha256), file.sha256.as_ref())?;
        compare("SHA-1", self.sha1.as_ref(), file.sha1.as_ref())?;
        compare("MD5", self.md5.as_ref(), file.md5.as_ref())
    }
}

fn compare(name: &str, computed: Option<&String>, published: Option<&String>) -> Result<(), String> {
    match (computed, published) {
        (Some(computed), Some(published)) if !computed.eq_ignore_ascii_case(published) => {
            Err(format!("its {name} is {computed}, published is {published}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standards() {
        let text = |text: &str| Some(text.to_owned());
        let sha256 = text("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let sha1 = text("A9993E364706816ABA3E25717850C26C9CD0D89D");
        let md5 = text("900150983cd24fb0d6963f7d28e17f72");
        let file = ModelFile { sha256, sha1, md5, ..ModelFile::default() };
        let mut hasher = Hasher::new(&file);
        hasher.update(b"a");
        hasher.update(b"bc");
        let digests = hasher.finish();
        assert_eq!(digests.compare(&file), Ok(()));
        let other = ModelFile { md5: text("000150983cd24fb0d6963f7d28e17f72"), ..file };
        assert!(digests.compare(&other).expect_err("another MD5").contains("its MD5 is 9001"));
    }
}
