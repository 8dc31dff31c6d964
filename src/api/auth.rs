//! Who may come in: every way that real clients present a key or a short-lived token, compared in constant time.

use super::error::Rejection;
use super::jobs::idempotency_key;
use super::realtime::REALTIME;
use super::tokens::{Scope, Token};
use crate::app::App;
use crate::config::Secret;
use crate::error::{Error, Kind};
use crate::jobs::Owner;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use subtle::{Choice, ConstantTimeEq};

/// Headers that hold nothing but a key.
const KEY_HEADERS: [&str; 2] = ["xi-api-key", "x-api-key"];

/// Parameters of the query that hold nothing but a key, for browsers, which cannot set headers.
const KEY_PARAMETERS: [&str; 2] = ["api_key", "access_token"];

/// Subprotocol entry with which browsers, which cannot set headers, present a key.
const SUBPROTOCOL_KEY: &str = "openai-insecure-api-key.";

/// Who sends a request.
#[derive(Debug, Clone)]
pub struct Client {
    /// Whose jobs they may see.
    pub owner: Owner,
    /// What makes a request that is sent twice one job.
    pub idempotency_key: Option<String>,
    /// What they presented, when it was no key.
    pub token: Option<Token>,
    /// In front of links for them: what they call this server, `http://host:port`; empty when they do not say.
    pub base: String,
}

/// Lets a request pass when no key is set or when it presents one of them.
pub async fn require_key(State(app): State<App>, mut request: Request, next: Next) -> Result<Response, Rejection> {
    let (presented, path) = (presented_keys(request.headers(), request.uri().query()), request.uri().path().to_owned());
    let (owner, token) = owner(&app, &presented, &path).await?;
    let idempotency_key = idempotency_key(request.headers())?;
    let base = base(&request);
    request.extensions_mut().insert(Client { owner, idempotency_key, token, base });
    Ok(next.run(request).await)
}

/// What whoever sends a request calls this server, which therefore is good for them.
fn base(request: &Request) -> String {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let is_https = text("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    let host = text("host").or(request.uri().authority().map(|authority| authority.as_str()));
    host.map(|host| format!("{}://{host}", if is_https { "https" } else { "http" })).unwrap_or_default()
}

/// Lets a request pass that presents a key, and none with a token: what it would get outlives that.
pub async fn refuse_tokens(
    Extension(client): Extension<Client>,
    request: Request,
    next: Next,
) -> Result<Response, Rejection> {
    if client.token.is_some() {
        let message = "A short-lived token is not enough for this: present the key.";
        return Err(Error::new(Kind::Forbidden, message).with_code("scope_exceeded").into());
    }
    Ok(next.run(request).await)
}

/// As [`require_key`]; a request with a signature passes without, and without a [`Client`].
pub async fn require_key_or_link(state: State<App>, request: Request, next: Next) -> Result<Response, Rejection> {
    let mut parameters = request.uri().query().unwrap_or_default().split('&');
    match parameters.any(|pair| pair.starts_with("signature=")) {
        true => Ok(next.run(request).await),
        false => require_key(state, request, next).await,
    }
}

/// Whose request it is that presents these keys, and the token that says so.
async fn owner(app: &App, presented: &[String], path: &str) -> Result<(Owner, Option<Token>), Rejection> {
    let keys = &app.config.auth.keys;
    if let Some(key) = presented.iter().find(|key| is_known(key, keys)) {
        return Ok((Owner::of_key(key), None));
    }
    for key in presented {
        if let Some(token) = Token::open(app, key).await? {
            // It outlives a restart, but not the key that it was made with.
            let mut owners = keys.iter().map(|key| Owner::of_key(key.expose()));
            let is_anybodys = keys.is_empty() && token.owner() == Owner::everyone();
            if !is_anybodys && !owners.any(|owner| owner == token.owner()) {
                return Err(refused("The key that this token was made with is no longer one.").into());
            }
            return Ok(admitted(token, path)?);
        }
    }
    if keys.is_empty() {
        return Ok((Owner::everyone(), None));
    }
    if presented.is_empty() {
        return Err(refused("You didn't provide an API key. Send it as `Authorization: Bearer YOUR_KEY`.").into());
    }
    Err(refused("Incorrect API key provided.").into())
}

/// Lets a token in where it is good.
fn admitted(token: Token, path: &str) -> Result<(Owner, Option<Token>), Error> {
    if token.scope == Scope::Session && path != REALTIME {
        let message = format!("A client secret opens sessions on {REALTIME} only.");
        return Err(Error::new(Kind::Forbidden, message).with_code("scope_exceeded"));
    }
    Ok((token.owner(), Some(token)))
}

fn refused(message: &'static str) -> Error {
    Error::new(Kind::Unauthorized, message).with_code("invalid_api_key")
}

/// Compares with every key to the end, so that the time taken says nothing about which came close.
fn is_known(presented: &str, keys: &[Secret]) -> bool {
    let equal = |key: &Secret| key.expose().as_bytes().ct_eq(presented.as_bytes());
    keys.iter().map(equal).fold(Choice::from(0), |any, one| any | one).into()
}

/// Every key a request presents, in any of the accepted forms.
fn presented_keys(headers: &HeaderMap, query: Option<&str>) -> Vec<String> {
    let mut keys = Vec::new();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_scheme = |scheme: &str| ["bearer", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    if let Some((scheme, key)) = text("authorization").and_then(|value| value.trim().split_once(' '))
        && is_scheme(scheme)
    {
        keys.push(key.trim().to_owned());
    }
    keys.extend(KEY_HEADERS.iter().filter_map(|name| text(name)).map(|key| key.trim().to_owned()));
    let protocols: Vec<&str> = text("sec-websocket-protocol").unwrap_or_default().split(',').map(str::trim).collect();
    keys.extend(protocols.iter().filter_map(|entry| entry.strip_prefix(SUBPROTOCOL_KEY)).map(str::to_owned));
    if let [scheme, key, ..] = protocols[..]
        && is_scheme(scheme)
    {
        keys.push(key.to_owned());
    }
    let parameters = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let in_query = parameters.filter(|(name, _)| KEY_PARAMETERS.contains(name)).map(|(_, key)| key);
    keys.extend(in_query.map(|key| percent_encoding::percent_decode_str(key).decode_utf8_lossy().into_owned()));
    keys.retain(|key| !key.is_empty());
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys_of(headers: &[(&'static str, &str)], query: Option<&str>) -> Vec<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a header value"));
        }
        presented_keys(&map, query)
    }

    #[test]
    fn every_accepted_form_presents_its_key() {
        for header in [
            ("authorization", "Bearer k1"),
            ("authorization", "bearer k1"),
            ("authorization", "Token k1"),
            ("xi-api-key", "k1"),
            ("x-api-key", "k1"),
            ("sec-websocket-protocol", "realtime, openai-insecure-api-key.k1"),
            ("sec-websocket-protocol", "token, k1"),
        ] {
            assert_eq!(keys_of(&[header], None), ["k1"], "{header:?}");
        }
        assert_eq!(keys_of(&[], Some("model=x&api_key=k%201")), ["k 1"]);
        assert_eq!(keys_of(&[], Some("access_token=k1&x")), ["k1"]);
        assert!(keys_of(&[("authorization", "Basic k1")], Some("key=k1")).is_empty());
    }

    #[test]
    fn only_a_whole_key_is_known() {
        let keys = [Secret::new("first"), Secret::new("second")];
        assert!(is_known("second", &keys));
        assert!(!is_known("secon", &keys) && !is_known("second ", &keys) && !is_known("", &keys));
    }
}
