//! How answers tell what became of the speech that was heard: the same in every dialect, as none of them has words for it.

use crate::transcript::{Coverage, Doubt, Dropped, Report};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use serde_json::{Value, json};
use std::ops::Range;
use std::time::Duration;

const COVERAGE: HeaderName = HeaderName::from_static("x-mynah-coverage");

/// How much of the speech is in the transcript, and where it is not.
pub fn coverage(coverage: &Coverage) -> Value {
    let gap = |gap: &Range<Duration>| json!({"start": seconds(gap.start), "end": seconds(gap.end)});
    json!({
        "speech_seconds": seconds(coverage.speech),
        "covered_seconds": seconds(coverage.covered),
        "gaps": coverage.gaps.iter().map(gap).collect::<Vec<_>>(),
    })
}

/// Puts the coverage into a header, where there is one: seconds of speech, seconds of it that have text, and how many
/// stretches have none.
pub fn add_coverage(response: &mut Response, report: &Report) {
    let header = report.coverage.as_ref().map(|coverage| HeaderValue::try_from(coverage_header(coverage)));
    if let Some(Ok(header)) = header {
        response.headers_mut().insert(COVERAGE, header);
    }
}

fn coverage_header(coverage: &Coverage) -> String {
    let (speech, covered) = (coverage.speech.as_secs_f64(), coverage.covered.as_secs_f64());
    format!("speech={speech:.2}; covered={covered:.2}; gaps={}", coverage.gaps.len())
}

/// What the stages around the engine did.
pub fn report(report: &Report) -> Value {
    let dropped = |it: &Dropped| json!({"start": seconds(it.start), "end": seconds(it.end), "text": it.text, "reason": reason(it.reason)});
    json!({
        "pieces": report.pieces,
        "cut_in_speech": report.cut_in_speech,
        "seam_words": report.seam_words,
        "decoded_again": report.decoded_again,
        "dropped": report.dropped.iter().map(dropped).collect::<Vec<_>>(),
        "audited": report.audited,
        "recovered": report.recovered,
    })
}

fn reason(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Repetition => "repetition",
        Doubt::TooFast => "too_fast",
        Doubt::NoSpeech => "no_speech",
        Doubt::Unsure => "unsure",
        Doubt::StageDirection => "stage_direction",
    }
}

/// To the millisecond.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coverage_header_counts_gaps() {
        let gaps = vec![Duration::ZERO..Duration::from_secs(1)];
        let (speech, covered) = (Duration::from_millis(12_300), Duration::from_secs(11));
        let header = coverage_header(&Coverage { speech, covered, gaps });
        assert_eq!(header, "speech=12.30; covered=11.00; gaps=1");
    }

    #[test]
    fn a_report_says_what_was_left_out_and_why() {
        let (start, end) = (Duration::from_secs(1), Duration::from_millis(2_500));
        let dropped = Dropped { start, end, text: "la la la".into(), reason: Doubt::Repetition };
        let told = report(&Report { pieces: 2, dropped: vec![dropped], ..Report::default() });
        let expected = json!([{"start": 1.0, "end": 2.5, "text": "la la la", "reason": "repetition"}]);
        assert_eq!((&told["pieces"], &told["dropped"]), (&json!(2), &expected));
    }
}
