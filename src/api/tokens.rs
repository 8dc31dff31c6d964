//! Credentials that last minutes, so that browsers and telephones need not hold the key: made with a key, signed, and kept
//! nowhere. Every server that shares the jobs takes them.

use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::jobs::signature::{is_good_link, sign_link};
use crate::jobs::{Owner, now};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most settings that a token can hold, in bytes: it must fit into a header.
const MOST_SETTINGS: usize = 4 << 10;

/// In front of the tokens that open OpenAI's live sessions, and of those that may do what a key may.
const PREFIXES: [(&str, Scope); 2] = [("ek_", Scope::Session), ("at_", Scope::Requests)];

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Opening live sessions on `/v1/realtime`.
    Session,
    /// Whatever its maker may ask for, but for what outlives it.
    Requests,
}

/// A credential of a few minutes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// What it is good for.
    pub scope: Scope,
    /// Whoever made it.
    owner: String,
    /// When it ends, in seconds since 1970.
    pub expires_at: u64,
    /// The settings that sessions which it opens begin with.
    pub session: Option<Value>,
}

impl Token {
    /// A token for `seconds` from now.
    pub fn new(scope: Scope, owner: &Owner, seconds: u64) -> Self {
        Self { scope, owner: owner.as_str().to_owned(), expires_at: now().as_secs() + seconds, session: None }
    }

    /// Whose requests it makes.
    pub fn owner(&self) -> Owner {
        Owner::from_stored(self.owner.clone())
    }

    /// The token as text: letters, digits, `_`, `-` and `.`, which are good in headers and subprotocols.
    ///
    /// # Errors
    /// `InvalidRequest` (param `session`) when it has too many settings; `Unavailable` when there is no key to sign with
    /// yet.
    pub async fn seal(&self, app: &App) -> Result<String> {
        let content = serde_json::to_vec(self).map_err(|e| Error::internal("a token cannot be written", e))?;
        if content.len() > MOST_SETTINGS {
            let message =
                format!("The settings of a session that is to begin with a secret have at most {MOST_SETTINGS} bytes.");
            return Err(Error::invalid("session", message).with_code("invalid_value"));
        }
        let prefix = PREFIXES.iter().find(|(_, scope)| *scope == self.scope).map(|(prefix, _)| *prefix);
        let text = format!("{}{}", prefix.unwrap_or_default(), URL_SAFE_NO_PAD.encode(content));
        let signature = sign_link(&app.token_key().await?, &text);
        Ok(format!("{text}.{signature}"))
    }

    /// The token in `presented`; `None` for what is none.
    ///
    /// # Errors
    /// `Unauthorized` for one that has ended; `Unavailable` when it cannot be told yet whether it is one.
    pub async fn open(app: &App, presented: &str) -> Result<Option<Self>> {
        let Some((text, signature)) = presented.rsplit_once('.') else { return Ok(None) };
        let Some(content) = PREFIXES.iter().find_map(|(prefix, _)| text.strip_prefix(prefix)) else { return Ok(None) };
        if !is_good_link(&app.token_key().await?, text, signature) {
            return Ok(None);
        }
        let Some(token) = Self::read(content) else { return Ok(None) };
        if token.expires_at <= now().as_secs() {
            let message = "This token has expired: get a new one.";
            return Err(Error::new(Kind::Unauthorized, message).with_code("token_expired"));
        }
        Ok(Some(token))
    }

    fn read(content: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(content).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::Engines;

    fn app() -> App {
        let folder = tempfile::tempdir().expect("a folder");
        App::new(Config { data_dir: folder.path().to_owned(), ..Config::default() }, Engines::default())
            .expect("an app")
    }

    #[tokio::test]
    async fn a_token_is_what_it_was() {
        let app = app();
        for scope in [Scope::Session, Scope::Requests] {
            let mut token = Token::new(scope, &Owner::of_key("k"), 60);
            token.session = Some(serde_json::json!({"include": null}));
            let sealed = token.seal(&app).await.expect("it is short");
            assert!(sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)));
            assert_eq!(Token::open(&app, &sealed).await.expect("in time"), Some(token));
        }
    }

    #[tokio::test]
    async fn only_what_was_signed_with_the_key_is_a_token() {
        let (app, other) = (app(), app());
        let sealed = Token::new(Scope::Session, &Owner::everyone(), 60).seal(&app).await.expect("it is short");
        let (text, signature) = sealed.rsplit_once('.').expect("two parts");
        let as_key = format!("at_{}.{signature}", &text[3..]);
        for wrong in [as_key.as_str(), text, "", ".", "ek_.", "sk-1", &sealed[1..]] {
            assert_eq!(Token::open(&app, wrong).await.expect("none"), None, "{wrong}");
        }
        assert_eq!(Token::open(&other, &sealed).await.expect("none"), None);
    }

    #[tokio::test]
    async fn a_token_ends() {
        let app = app();
        let sealed = Token::new(Scope::Session, &Owner::everyone(), 0).seal(&app).await.expect("it is short");
        assert_eq!(Token::open(&app, &sealed).await.expect_err("too late").kind(), Kind::Unauthorized);
    }

    #[tokio::test]
    async fn a_token_holds_so_many_settings_and_no_more() {
        let mut token = Token::new(Scope::Session, &Owner::everyone(), 60);
        token.session = Some(Value::String("x".repeat(MOST_SETTINGS)));
        assert_eq!(token.seal(&app()).await.expect_err("too long").param(), Some("session"));
    }
}
