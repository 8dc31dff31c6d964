//! HTTP: every route on one page, the layers in order, and the server's life.
//!
//! The dialects translate between a vendor's wire shapes and the neutral core in `speech`; they decide nothing.

mod auth;
mod cartesia;
mod contexts;
mod deepgram;
mod drain;
mod elevenlabs;
mod error;
mod files;
mod form;
mod health;
mod jobs;
mod json;
mod languages;
mod models;
mod observe;
mod openai;
mod realtime;
mod report;
mod socket;
pub mod sound;
mod tokens;
mod upload;
mod webhooks;

use crate::app::App;
use crate::config::Role;
use crate::error::{Error, Kind, Result};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use error::Rejection;
use std::time::Duration;
use tokio::net::TcpListener;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer, ExposeHeaders};

/// Headers of answers that web pages may see.
const EXPOSED: [&str; 9] = [
    "x-request-id",
    "retry-after",
    "x-mynah-coverage",
    "x-mynah-job",
    "dg-request-id",
    "dg-error",
    "dg-model-name",
    "dg-model-uuid",
    "dg-char-count",
];

/// How long giving back jobs may take at the end.
const GIVING_BACK: Duration = Duration::from_secs(5);

/// Every route, and the layers around them: the last of these sees a request first.
pub fn router(app: App) -> Result<Router> {
    let cors = cors(&app.config.server.cors_origins)?;
    let open = Router::new()
        .route("/health", get(health::get_health))
        .route("/ready", get(health::get_ready))
        .route("/v1/audio/voices", get(openai::models::list_voices))
        .route("/v1/audio/models", get(openai::models::list_audio_models));
    let guarded = Router::new()
        .route("/metrics", get(health::get_metrics))
        .route("/v1/models", get(models::list_models))
        .route("/v1/models/{*id}", get(openai::models::get_model))
        .route("/v1/audio/transcriptions", post(openai::transcriptions::create_transcription))
        .route("/v1/audio/translations", post(openai::transcriptions::create_translation))
        .route("/v1/audio/speech", post(openai::speech::create_speech))
        .route("/v1/audio/speech/timestamps", post(openai::speech::create_timed_speech))
        .route(deepgram::SPEAK, post(deepgram::speak::create_speech).get(deepgram::speak_live::open_socket))
        .route(deepgram::LISTEN, post(deepgram::listen::create_transcript).get(deepgram::listen_live::open_socket))
        .route(deepgram::FLUX, get(deepgram::flux::open_socket))
        .merge(other_voices())
        .route("/v1/jobs", get(jobs::list_jobs))
        .route("/v1/jobs/{id}", get(jobs::get_job).delete(jobs::cancel_job))
        .route("/v1/jobs/{id}/cancel", post(jobs::cancel_job))
        .route("/v1/jobs/{id}/redeliver", post(jobs::redeliver_job))
        .route("/v1/files/jobs/{id}/{name}/signed", get(files::get_link))
        .route(realtime::REALTIME, get(realtime::open_socket))
        .merge(keys_only())
        .route_layer(from_fn_with_state(app.clone(), observe::limit_requests))
        .route_layer(from_fn_with_state(app.clone(), auth::require_key));
    let linked = Router::new()
        .route("/v1/files/jobs/{id}/{name}", get(files::get_file))
        .route_layer(from_fn_with_state(app.clone(), auth::require_key_or_link));
    let routes = match app.config.server.role {
        Role::All | Role::Gateway => open.merge(guarded).merge(linked),
        Role::Worker => worker_routes(&app),
    };
    Ok(routes
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::disable()) // `upload` counts bytes itself and says how many were too many
        .layer(cors)
        .layer(from_fn(drain::drain_refused))
        .layer(from_fn(observe::answer_panics))
        .layer(from_fn(deepgram::error::speak_deepgram))
        .layer(from_fn(elevenlabs::error::speak_elevenlabs))
        .layer(from_fn(cartesia::error::speak_cartesia))
        .layer(from_fn(observe::log_request)) // sees every answer, also those of the layers above
        .with_state(app))
}

/// The routes that give out what outlives a short-lived token, and so want a key.
fn keys_only() -> Router<App> {
    Router::new()
        .route("/v1/webhook-secret", get(webhooks::get_secret))
        .route("/v1/webhook-secret/rotate", post(webhooks::rotate_secret))
        .route("/v1/realtime/client_secrets", post(openai::client_secrets::create_secret))
        .route("/v1/realtime/transcription_sessions", post(openai::client_secrets::create_session))
        .route(deepgram::GRANT, deepgram::grant::route())
        .route_layer(from_fn(auth::refuse_tokens))
}

/// What a server answers that only works on jobs: how it is.
fn worker_routes(app: &App) -> Router<App> {
    let guarded = Router::new()
        .route("/metrics", get(health::get_metrics))
        .route_layer(from_fn_with_state(app.clone(), auth::require_key));
    Router::new().route("/health", get(health::get_health)).route("/ready", get(health::get_ready)).merge(guarded)
}

/// The routes of ElevenLabs' and Cartesia's clients.
fn other_voices() -> Router<App> {
    Router::new()
        .route("/v1/voices", get(elevenlabs::voices::list_voices))
        .route("/v1/voices/{id}", get(elevenlabs::voices::get_voice))
        .route("/v2/voices", get(elevenlabs::voices::search_voices))
        .route("/v1/text-to-speech/{voice_id}", post(elevenlabs::speech::create_speech))
        .route("/v1/text-to-speech/{voice_id}/stream", post(elevenlabs::speech::create_speech))
        .route("/v1/text-to-speech/{voice_id}/with-timestamps", post(elevenlabs::timestamps::create_speech))
        .route("/v1/text-to-speech/{voice_id}/stream/with-timestamps", post(elevenlabs::timestamps::stream_speech))
        .route("/v1/text-to-speech/{voice_id}/stream-input", get(elevenlabs::live::open_socket))
        .route("/v1/text-to-speech/{voice_id}/multi-stream-input", get(elevenlabs::live::open_multi_socket))
        .route("/tts/websocket", get(cartesia::live::open_socket))
        .route("/tts/bytes", post(cartesia::speech::create_speech))
        .route("/tts/sse", post(cartesia::events::create_speech))
        .route("/voices", get(cartesia::voices::list_voices))
        .route("/voices/{id}", get(cartesia::voices::get_voice))
}

/// Answers requests on `listener` until the app stops, then finishes the running ones for as long as the settings
/// allow.
///
/// # Errors
/// `Internal` when the listener fails.
pub async fn serve(app: App, listener: TcpListener) -> Result<()> {
    let router = router(app.clone())?;
    // A first byte of sound is small; without this it may wait for an acknowledgement.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY cannot be set");
        }
    });
    let (sweeper, stopping) = (tokio::spawn(app.clone().sweep_models()), app.clone());
    let mut jobs = tokio::spawn(app.clone().run_jobs(jobs::render(app.clone())));
    let server = axum::serve(listener, router).with_graceful_shutdown(async move { stopping.stopping().await });
    // WebSockets are no requests to the server, but they hold a place as all others do.
    let all = |permits: usize| u32::try_from(permits).unwrap_or(u32::MAX);
    let (requests, sessions) = (all(app.config.limits.concurrent_requests), all(app.config.realtime.sessions));
    let server = async {
        server.await?;
        let _ = tokio::join!(app.requests.acquire_many(requests), app.sessions.acquire_many(sessions));
        Ok::<_, std::io::Error>(())
    };
    let drain = Duration::from_secs(app.config.server.drain_seconds);
    let deadline = async {
        app.stopping().await;
        tokio::time::sleep(drain).await;
    };
    let result = tokio::select! {
        result = server => result.map_err(|e| Error::internal("the server cannot go on", e)),
        () = deadline => {
            tracing::warn!(drain_seconds = drain.as_secs(), "requests were still running at the end of the drain time");
            Ok(())
        }
    };
    sweeper.abort();
    app.stop(); // also when the listener has failed
    if tokio::time::timeout(GIVING_BACK, &mut jobs).await.is_err() {
        tracing::warn!("jobs could not be given back in time; they are found at the next start");
        jobs.abort();
    }
    result
}

async fn no_such_route(method: Method, uri: axum::http::Uri) -> Rejection {
    Error::new(Kind::NotFound, format!("No such route: {method} {}", uri.path())).with_code("not_found").into()
}

async fn no_such_method(method: Method, uri: axum::http::Uri) -> Rejection {
    let message = format!("{} does not answer {method} requests", uri.path());
    Error::new(Kind::MethodNotAllowed, message).with_code("method_not_allowed").into()
}

/// Which web pages may call the server from a browser.
fn cors(origins: &[String]) -> Result<CorsLayer> {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(ExposeHeaders::list(EXPOSED.map(HeaderName::from_static)));
    if origins.iter().any(|origin| origin == "*") {
        return Ok(layer.allow_origin(AllowOrigin::any()));
    }
    let parse = |origin: &String| {
        HeaderValue::from_str(origin)
            .map_err(|_| Error::new(Kind::InvalidRequest, format!("server.cors_origins: `{origin}` is not an origin")))
    };
    Ok(layer.allow_origin(origins.iter().map(parse).collect::<Result<Vec<_>>>()?))
}
