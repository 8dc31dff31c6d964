//! How deliveries, links and short-lived tokens are signed.
//!
//! One delivery carries the signatures of three schemes, so that whatever a receiver verifies with is content: Standard
//! Webhooks, the gateway's headers `aig-*`, and the header its client libraries look at.

use crate::error::{Error, Kind, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

/// The bytes of a key.
pub const KEY: usize = 32;

/// In front of the secrets that people handle.
const PREFIX: &str = "whsec_";

/// A secret for whoever receives deliveries.
///
/// # Errors
/// `Internal` when the system gives no random bytes.
pub fn new_secret() -> Result<String> {
    Ok(format!("{PREFIX}{}", STANDARD.encode(new_key()?)))
}

/// A key that nobody else has.
///
/// # Errors
/// `Internal` when the system gives no random bytes.
pub fn new_key() -> Result<[u8; KEY]> {
    let mut bytes = [0; KEY];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Error::new(Kind::Internal, "the system has no random numbers"))?;
    Ok(bytes)
}

/// A key for one `purpose`, made of another, which cannot be told from it.
pub fn derive(key: &[u8], purpose: &str) -> Arc<[u8]> {
    hmac_of(key, &[purpose.as_bytes()]).as_ref().into()
}

/// The headers of a delivery with `body`, which is sent now: `timestamp`, in seconds since 1970. `id` is that of the event,
/// the same in every attempt.
pub fn headers(secret: &str, id: &str, timestamp: u64, body: &[u8]) -> Vec<(&'static str, String)> {
    let decoded = STANDARD.decode(secret.strip_prefix(PREFIX).unwrap_or(secret)).unwrap_or_default();
    let standard = hmac_of(&decoded, &[format!("{id}.{timestamp}.").as_bytes(), body]);
    let whole = hmac_of(secret.as_bytes(), &[format!("{timestamp}.").as_bytes(), body]);
    let hexadecimal: String = whole.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", format!("v1,{}", STANDARD.encode(standard))),
        ("aig-timestamp", timestamp.to_string()),
        ("aig-signature", hexadecimal.clone()),
        ("x-gateway-signature", format!("t={timestamp},v1={hexadecimal}")),
    ]
}

fn hmac_of(key: &[u8], parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    context.sign()
}

/// The key in the file at `path`, which is made when it is not there.
///
/// # Errors
/// `Unavailable` when it can be neither read nor made.
pub fn key_in(path: &Path) -> Result<Vec<u8>> {
    let failed = |e| Error::new(Kind::Unavailable, format!("{} cannot be used", path.display())).with_source(e);
    match fs::read(path) {
        Ok(key) if key.len() == KEY => return Ok(key),
        _ => {}
    }
    let (key, folder) = (new_key()?, path.parent().unwrap_or(path));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(&key).map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(key.to_vec())
}

/// The signature of a link, or of something like it, with this content.
pub fn sign_link(key: &[u8], content: &str) -> String {
    URL_SAFE_NO_PAD.encode(hmac_of(key, &[content.as_bytes()]))
}

/// Whether `signature` is that of a link with this content; takes the same time whether it almost is.
pub fn is_good_link(key: &[u8], content: &str, signature: &str) -> bool {
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), content.as_bytes(), &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_schemes_sign_what_their_receivers_expect() {
        // Computed with Python's hmac module.
        let secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        let headers = headers(secret, "evt_1", 1_700_000_000, br#"{"a":1}"#);
        let value = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        assert_eq!(value("webhook-signature"), Some("v1,E91RjL3XwKNvhbIjLEB4Oo053Uu727CszikrY+6s9HE="));
        assert_eq!(
            value("x-gateway-signature"),
            Some("t=1700000000,v1=9d11143238390e896343bee27af85e468c8d1cb0a6821f60322f5b45a2f76170")
        );
        assert_eq!(value("aig-signature").map(str::len), Some(64));
        assert_eq!((value("webhook-id"), value("aig-timestamp")), (Some("evt_1"), Some("1700000000")));
    }

    #[test]
    fn secrets_are_new_every_time_and_keys_are_kept() {
        assert_ne!(new_secret().unwrap(), new_secret().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert_eq!(key_in(&path).unwrap(), key_in(&path).unwrap());
    }

    #[test]
    fn a_link_is_good_only_as_it_was_signed() {
        let signature = sign_link(b"key", "a/b/1");
        assert!(is_good_link(b"key", "a/b/1", &signature));
        for (content, signature) in [("a/b/2", signature.as_str()), ("a/b/1", ""), ("a/b/1", "*")] {
            assert!(!is_good_link(b"key", content, signature));
        }
        assert!(!is_good_link(b"other", "a/b/1", &signature));
    }
}
