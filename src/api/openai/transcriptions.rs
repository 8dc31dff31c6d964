//! `POST /v1/audio/transcriptions` and `/v1/audio/translations`: forms in, transcripts out.

use super::transcript_body::respond;
use super::transcript_events::{Check, stream_events};
use super::transcription_form::{Asked, Sound, parse};
use crate::api::error::Rejection;
use crate::api::fetch::fetch;
use crate::api::form::Form;
use crate::api::upload::Upload;
use crate::app::App;
use crate::engine::pool::Priority;
use crate::engine::{Task, TranscriberPool};
use crate::error::{Error, Kind, Result};
use crate::speech::channels::{merge, transcribe_channels};
use crate::speech::speakers::Diarization;
use crate::speech::step;
use crate::speech::transcribe::{Request, transcribe, transcribe_all};
use crate::transcript::Transcript;
use axum::extract::{Request as HttpRequest, State};
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;

/// Writes a recording down in the language spoken.
pub async fn create_transcription(State(app): State<App>, request: HttpRequest) -> Result<Response, Rejection> {
    let form = Form::read(request, &app.config.limits).await?;
    Ok(answer(&app, form, Task::Transcribe).await?)
}

/// Writes a recording down in English, whatever language is spoken.
pub async fn create_translation(State(app): State<App>, request: HttpRequest) -> Result<Response, Rejection> {
    let form = Form::read(request, &app.config.limits).await?;
    Ok(answer(&app, form, Task::Translate).await?)
}

async fn answer(app: &App, form: Form, task: Task) -> Result<Response> {
    let parsing = app.clone();
    let asked = step(move || parse(&parsing, form, task)).await?;
    let upload = match &asked.sound {
        Sound::Sent(upload) => upload.clone(),
        Sound::At(address) => fetch(address, "audio_url", &app.config).await?,
    };
    let request = request(app, &asked).await?;
    let pool = app.models.transcriber(&asked.model.id).await?;
    let check: Check = if asked.strict { check_complete } else { |_| Ok(()) };
    if asked.stream {
        return stream_events(transcribe(pool, upload.source(), request), asked.wanted, check).await;
    }
    let (mut transcript, duration) = whole(pool, &upload, request, asked.multichannel).await?;
    check(&transcript)?;
    transcript.language = transcript.language.or(asked.options.language);
    Ok(respond(&transcript, duration, &asked.wanted))
}

async fn request(app: &App, asked: &Asked) -> Result<Request> {
    let mut request = Request::new(asked.options.clone(), Priority::Interactive);
    (request.stages, request.endpointing) = (asked.stages, asked.endpointing.clone());
    if let Some(voices) = &asked.voices {
        let (known, count) = (voices.known.clone(), voices.count);
        request.diarization = Some(Diarization { pool: app.models.diarizer().await?, known, count });
    }
    Ok(request)
}

async fn whole(
    pool: Arc<TranscriberPool>,
    upload: &Upload,
    request: Request,
    multichannel: bool,
) -> Result<(Transcript, Duration)> {
    if !multichannel {
        return transcribe_all(pool, upload.source(), request).await;
    }
    let (transcripts, duration) = transcribe_channels(pool, || Ok(upload.source()), request).await?;
    Ok((merge(transcripts), duration))
}

/// Refuses a transcript that lacks speech.
fn check_complete(transcript: &Transcript) -> Result<()> {
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
