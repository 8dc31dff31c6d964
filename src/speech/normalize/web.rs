//! Addresses of the web: read out in English, made shorter in other languages.

use super::characters::is_word;
use super::{Place, Reading};

/// Nothing longer is an e-mail address, or a host without a scheme.
const LONGEST_MAIL: usize = 254;
/// Nothing longer is an address.
const LONGEST: usize = 2048;
/// Of a longer address only the host is read.
const LONGEST_PATH: usize = 120;
/// Schemes of addresses that are read.
const SCHEMES: &[&str] = &["https://", "http://", "ftp://", "wss://", "ws://", "mailto:"];
/// What hosts without a scheme end with.
const ENDS: &[&str] = &[
    "com", "org", "net", "edu", "gov", "io", "dev", "ai", "app", "info", "me", "tv", "co", "uk", "de", "fr", "eu",
    "us", "ca", "au", "in", "jp", "cn", "ru", "ch", "at", "nl", "it", "es", "pl", "se", "no", "be", "br", "nz", "ie",
    "gg", "xyz", "online", "shop", "tech", "cloud", "blog",
];

/// Reads an address: `https://www.example.com/path`, `example.org/a`, `jane.doe@example.com`.
pub(super) fn address(place: &Place<'_>) -> Option<Reading> {
    let address = Address::find(place)?;
    let mut said = Vec::new();
    if let Some(user) = address.user {
        spell(user, &mut said);
        said.push("at".to_owned());
    }
    spell_host(address.host, &mut said);
    if address.path.len() <= LONGEST_PATH {
        spell(address.path, &mut said);
    }
    Some(Reading::one(address.length, said.join(" ")))
}

/// The same, without what says nothing to a listener, for an engine to read.
pub(super) fn simplified(place: &Place<'_>) -> Option<Reading> {
    let address = Address::find(place).filter(|address| address.user.is_none())?;
    let path = if address.path.len() <= LONGEST_PATH { address.path } else { "" };
    Some(Reading::one(address.length, format!("{}{path}", address.host)))
}

struct Address<'a> {
    /// Of the whole of it.
    length: usize,
    user: Option<&'a str>,
    /// Without `www.` and port.
    host: &'a str,
    /// Without the slash at its end, the query and the fragment: they say nothing to a listener.
    path: &'a str,
}

impl<'a> Address<'a> {
    fn find(place: &Place<'a>) -> Option<Self> {
        let rest = place.rest();
        if !place.previous().is_none_or(|c| c.is_whitespace() || "([{<\"'“‘*_".contains(c))
            || !rest.starts_with(is_word)
        {
            return None;
        }
        let begins = |it: &&&str| rest.get(..it.len()).is_some_and(|there| there.eq_ignore_ascii_case(it));
        let scheme = SCHEMES.iter().find(begins).map(|it| it.len());
        let bare = &rest[scheme.unwrap_or(0)..];
        let length = length(bare, scheme.is_some());
        let (bare, length) = (&bare[..length], scheme.unwrap_or(0) + length);
        let (user, bare) = match bare.split_once('@') {
            Some((user, host)) if is_user(user) && !host.contains('@') => (Some(user), host),
            Some(_) if scheme.is_none() => return None,
            _ => (None, bare),
        };
        let at = bare.find(['/', '?', '#', ':']).unwrap_or(bare.len());
        let (host, path) = bare.split_at(at);
        let is_host = is_host(host, scheme.is_some() || user.is_some());
        if !is_host {
            return None;
        }
        let path = &path[path.find('/').unwrap_or(path.len())..];
        let path = path[..path.find(['?', '#']).unwrap_or(path.len())].trim_end_matches('/');
        let host = match host.get(..4) {
            Some(www) if www.eq_ignore_ascii_case("www.") => &host[4..],
            _ => host,
        };
        Some(Self { length, user, host, path })
    }
}

/// How long an address is that begins with `rest`; only what is short enough is looked at.
fn length(rest: &str, has_scheme: bool) -> usize {
    let is_part =
        |c: char| !c.is_whitespace() && !matches!(c, '<' | '>' | '"' | '[' | ']' | '{' | '}' | '“' | '”' | '|' | '`');
    let most = if has_scheme { LONGEST } else { LONGEST_MAIL };
    let end = rest.char_indices().take(most).find(|(_, c)| !is_part(*c)).map_or(rest.len(), |(at, _)| at);
    // A bracket that was opened outside is no part of it.
    let is_open = rest[..end].contains('(');
    let is_outside = |c: char| ".,;:!?'*_".contains(c) || (c == ')' && !is_open);
    rest[..end].trim_end_matches(is_outside).len()
}

fn is_user(user: &str) -> bool {
    !user.is_empty() && user.chars().all(|c| c.is_alphanumeric() || "._-+".contains(c))
}

/// Whether `host` is the name of one; a scheme in front says that more loosely.
fn is_host(host: &str, is_sure: bool) -> bool {
    let is_label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    let last = host.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_known =
        ENDS.contains(&last.as_str()) && host.contains('.') && !host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    !host.is_empty() && host.split('.').all(is_label) && (is_sure || is_known)
}

/// Labels that are spelled, though they might be read.
fn spell_host(host: &str, said: &mut Vec<String>) {
    let labels = host.split('.').count();
    for (at, label) in host.split('.').enumerate() {
        if at > 0 {
            said.push("dot".to_owned());
        }
        let is_country = at + 1 == labels && at > 0 && label.len() == 2;
        if is_country && !["me", "co", "be", "is", "it", "to", "so"].contains(&label) {
            said.extend(label.chars().map(|c| c.to_uppercase().to_string()));
        } else {
            spell(label, said);
        }
    }
}

/// Words as they stand, signs by their names.
fn spell(text: &str, said: &mut Vec<String>) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if length == 0 {
            said.extend(sign(c).map(str::to_owned));
            rest = &rest[c.len_utf8()..];
        } else {
            let word = &rest[..length];
            let has_digits = word.bytes().any(|b| b.is_ascii_digit());
            said.push(if has_digits { super::english::in_name(word) } else { word.to_owned() });
            rest = &rest[length..];
        }
    }
}

/// The name of a sign.
pub(super) fn sign(c: char) -> Option<&'static str> {
    Some(match c {
        '.' => "dot",
        ',' => "comma",
        ':' => "colon",
        ';' => "semicolon",
        '/' => "slash",
        '\\' => "backslash",
        '-' => "dash",
        '_' => "underscore",
        '@' => "at",
        '#' => "hash",
        '&' => "and",
        '+' => "plus",
        '=' => "equals",
        '*' => "star",
        '%' => "percent",
        '$' => "dollar",
        '!' => "exclamation mark",
        '?' => "question mark",
        '~' => "tilde",
        '\'' | '’' => "apostrophe",
        '"' => "quote",
        '(' => "open bracket",
        ')' => "close bracket",
        _ => return None,
    })
}
