//! Numbers with several points: versions and addresses of computers.

use super::{Dialect, Place, Reading, cardinal, digits, is_over, one_by_one};

/// `1.2.3`, `v1.2`, `V2`, `192.168.0.1`.
pub(super) fn dotted(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    let is_version = rest.starts_with(['v', 'V']) && digits(&rest[1..], 6).is_some();
    let start = usize::from(is_version);
    let (parts, end) = parts(&rest[start..])?;
    let end = start + end;
    if !is_over(&rest[end..]) || (parts.len() < 3 && !is_version) {
        return None;
    }
    let is_address = parts.len() == 4 && !is_version && parts.iter().all(|it| it.parse::<u8>().is_ok());
    let said = match is_address {
        true => parts.iter().map(|part| one_by_one(part)).collect::<Vec<_>>().join(" dot "),
        false => parts.iter().map(|part| part_said(part, place.dialect)).collect::<Vec<_>>().join(" point "),
    };
    let version = if is_version { "version " } else { "" };
    Some(Reading::one(end, format!("{version}{said}")))
}

fn part_said(digits: &str, dialect: Dialect) -> String {
    if digits.len() > 1 && digits.starts_with('0') { one_by_one(digits) } else { cardinal(digits, dialect) }
}

/// At most eight numbers with points between them, and their length.
fn parts(rest: &str) -> Option<(Vec<&str>, usize)> {
    let first = digits(rest, 6)?;
    let (mut parts, mut length) = (vec![first], first.len());
    while let Some(next) = rest[length..].strip_prefix('.').and_then(|rest| digits(rest, 6)) {
        if parts.len() == 8 {
            return None;
        }
        parts.push(next);
        length += 1 + next.len();
    }
    Some((parts, length))
}
