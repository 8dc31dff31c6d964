//! Whether a transcript has all that was said, for those who insist on it.

use crate::error::{Error, Kind, Result};
use crate::transcript::Transcript;

/// Refuses a transcript that lacks speech.
///
/// # Errors
/// `Incomplete` (param `strict`) that says where speech has no text.
pub fn check_complete(transcript: &Transcript) -> Result<()> {
    let gaps = transcript.report.coverage.as_ref().map(|coverage| coverage.gaps.as_slice()).unwrap_or_default();
    if gaps.is_empty() {
        return Ok(());
    }
    let gaps = gaps.iter().map(|gap| format!("{:.2}–{:.2} s", gap.start.as_secs_f64(), gap.end.as_secs_f64()));
    let gaps = gaps.collect::<Vec<_>>().join(", ");
    let message = format!("No text could be found for the speech at {gaps}. Without strict=true the rest is answered.");
    Err(Error::new(Kind::Incomplete, message).with_param("strict").with_code("incomplete_transcript"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Coverage, Report};
    use std::time::Duration;

    #[test]
    fn speech_without_text_is_listed() {
        let second = Duration::from_secs(1);
        let with_gaps = |gaps| {
            let coverage = Coverage { speech: 9 * second, covered: 6 * second, gaps };
            Transcript { report: Report { coverage: Some(coverage), ..Report::default() }, ..Transcript::default() }
        };
        assert!(check_complete(&with_gaps(Vec::new())).is_ok());
        let error = check_complete(&with_gaps(vec![second..3 * second, 4 * second..5 * second])).expect_err("gaps");
        assert_eq!((error.kind(), error.code()), (Kind::Incomplete, Some("incomplete_transcript")));
        assert!(error.message().contains("1.00–3.00 s, 4.00–5.00 s"), "{error}");
    }
}
