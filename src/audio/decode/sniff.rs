//! Files that are not sound, told by how they begin: what looks like sound somewhere inside them is chance.

/// How kinds of files begin that people send by mistake.
const SIGNATURES: &[(&[u8], &str)] = &[
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"MThd", "a MIDI file, which holds notes and no sound"),
];

/// Says what to do about a file that begins with `head` and is not sound.
pub(super) fn not_audio(head: &[u8]) -> Option<String> {
    if head.is_empty() {
        return Some("The file is empty. Send a file with sound in it.".to_owned());
    }
    let kind = SIGNATURES.iter().find(|(signature, _)| head.starts_with(signature)).map(|(_, kind)| *kind);
    let kind = kind.or_else(|| is_webp(head).then_some("a WebP image")).or_else(|| is_text(head).then_some("text"))?;
    Some(format!("The file is not sound but {kind}. Send a sound file, such as WAV, MP3, FLAC, OGG, WebM or M4A."))
}

fn is_webp(head: &[u8]) -> bool {
    head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP")
}

/// Whether these bytes are text: UTF-8, or the start of it, without control characters.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character may be cut off.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or(""),
        Err(_) => return false,
    };
    !text.is_empty() && text.chars().all(|character| !character.is_control() || "\t\r\n\x0c".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_sound() {
        assert!(is_text("Liebe Grüße".as_bytes()));
        assert!(is_text(&"Grü".as_bytes()[..3]));
        assert!(!is_text(b"ID3\x03\x00\x00"));
        assert!(!is_text(&[0xff, 0xfb, 0x90]));
        assert!(!is_text(b"RIFF\x24\x00\x00\x00WAVE"));
    }
}
