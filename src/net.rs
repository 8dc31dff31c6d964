//! Calls to web addresses that callers name: recordings are fetched from them and results are pushed to them, and to
//! nowhere that callers could not reach themselves.
//!
//! Private, link-local, loopback and other special addresses are refused: as numbers in the address, and after every
//! look-up of a name, so that a name which changes its meaning meanwhile gains nothing. Every redirect is checked anew.
//! Nothing of the caller's request is passed on, and no proxy is used, because it would look names up by itself.

use crate::config::Config;
use crate::error::{Error, Kind, Result};
use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, StatusCode, Url, header};
use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Redirects followed for one recording.
const MAX_REDIRECTS: usize = 5;

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// When a recording that could not be had because of its server may be there.
const LATER: Duration = Duration::from_secs(10);

/// A file on its way from a web address.
pub struct Download {
    fetch: Fetch,
    response: Response,
    /// Bytes that have arrived.
    read: u64,
    deadline: Instant,
}

impl Download {
    /// Asks for the file at `address`, which the request parameter `param` named, and follows redirects.
    ///
    /// # Errors
    /// `InvalidRequest` (with `param`) and the reason when it cannot be had: not an address, one that is refused,
    /// offline, no answer in time, another status than 200, too large, empty. Where the server of the file is to blame
    /// rather than the address, the error says when to try again.
    ///
    /// # Cancel safety
    /// Dropping the future, and later the download, closes the connection.
    pub async fn begin(address: &str, param: &'static str, config: &Config) -> Result<Self> {
        let (fetch, url) = Fetch::new(address, param, config)?;
        let deadline = Instant::now() + Duration::from_secs(fetch.seconds);
        let response = timeout_at(deadline, fetch.follow(url)).await.map_err(|_| fetch.late())??;
        if response.content_length().is_some_and(|length| length > fetch.limit) {
            return Err(fetch.too_large());
        }
        Ok(Self { fetch, response, read: 0, deadline })
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// As [`Download::begin`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let chunk = timeout_at(self.deadline, self.response.chunk()).await.map_err(|_| self.fetch.late())?;
        let cut_off = |e| self.fetch.refused("was cut off").with_source(e).with_retry_after(LATER);
        let Some(chunk) = chunk.map_err(cut_off)? else {
            return if self.read == 0 { Err(self.fetch.refused("is empty")) } else { Ok(None) };
        };
        self.read += chunk.len() as u64;
        if self.read > self.fetch.limit { Err(self.fetch.too_large()) } else { Ok(Some(chunk)) }
    }
}

/// Something to be pushed to a web address.
pub struct Push<'a> {
    /// Where to.
    pub address: &'a str,
    /// PUT instead of POST.
    pub put: bool,
    /// What the body is and whose it is.
    pub headers: Vec<(&'static str, String)>,
    /// What to send.
    pub body: Bytes,
    /// How long the receiver has for its answer.
    pub timeout: Duration,
}

impl Push<'_> {
    /// Sends it and returns the status of the answer. Redirects are answers as any other.
    ///
    /// # Errors
    /// `InvalidRequest` when the address is refused or nobody answers there in time.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; the receiver may have got all of it.
    pub async fn send(self, config: &Config) -> Result<u16> {
        let (fetch, url) = Fetch::new(self.address, "webhook_url", config)?;
        let mut request = if self.put { fetch.client.put(url) } else { fetch.client.post(url) };
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let answer = request.timeout(self.timeout).body(self.body).send().await;
        answer.map(|answer| answer.status().as_u16()).map_err(|error| fetch.no_answer(error))
    }
}

/// Refuses an address, named by the request parameter `param`, from which nothing would be fetched and to which nothing
/// would be pushed, as far as that can be known now.
///
/// # Errors
/// `InvalidRequest` (with `param`).
pub async fn check(address: &str, param: &'static str, config: &Config) -> Result<()> {
    let (fetch, url) = Fetch::new(address, param, config)?;
    let host = url.host_str().unwrap_or_default();
    let found = tokio::net::lookup_host((host.trim_matches(['[', ']']), 0)).await;
    // A name that nobody knows now may be known when it is needed.
    let mut found = found.into_iter().flatten().peekable();
    let refused = found.peek().is_some() && !found.any(|it| (fetch.allowed)(it.ip()));
    if refused { Err(fetch.private()) } else { Ok(()) }
}

/// Which addresses may be called.
type Allowed = fn(IpAddr) -> bool;

/// A client is made once, because reading the certificates of the system takes longer than a small download.
fn shared_client(kind: usize, allowed: Allowed) -> Result<Client> {
    static CLIENTS: [OnceLock<Client>; 2] = [OnceLock::new(), OnceLock::new()];
    match CLIENTS[kind].get() {
        Some(client) => Ok(client.clone()),
        None => client(allowed).map(|client| CLIENTS[kind].get_or_init(|| client).clone()),
    }
}

/// A client that remembers nothing between two recordings, not even a connection.
fn client(allowed: Allowed) -> Result<Client> {
    // Fails only when it has been installed already, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("mynah/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT_TIMEOUT)
        .dns_resolver(Guard { allowed });
    builder.build().map_err(|e| {
        let message = "web addresses cannot be called: no certificates were found (install `ca-certificates`)";
        Error::new(Kind::Unavailable, message).with_source(e)
    })
}

/// One call.
struct Fetch {
    client: Client,
    allowed: Allowed,
    param: &'static str,
    /// The most bytes.
    limit: u64,
    /// How long it may take.
    seconds: u64,
}

impl Fetch {
    /// Refuses what the address alone shows to be wrong.
    fn new(address: &str, param: &'static str, config: &Config) -> Result<(Self, Url)> {
        if config.offline {
            return Err(Error::invalid(
                param,
                format!("This server is offline and calls nobody: leave `{param}` out."),
            ));
        }
        let url = Url::parse(address).map_err(|_| Error::invalid(param, format!("`{param}` is not a web address.")))?;
        let allowed = if config.limits.allow_private_urls { |_| true } else { is_public };
        let client = shared_client(usize::from(config.limits.allow_private_urls), allowed)?;
        let (limit, seconds) = (config.limits.upload_bytes, config.limits.fetch_seconds);
        let fetch = Self { client, allowed, param, limit, seconds };
        fetch.check(&url)?;
        Ok((fetch, url))
    }

    fn too_large(&self) -> Error {
        self.refused(format!("is larger than {} bytes", self.limit))
    }

    fn late(&self) -> Error {
        self.refused(format!("did not arrive within {} seconds", self.seconds)).with_retry_after(LATER)
    }

    /// The answer at the end of the redirects.
    async fn follow(&self, mut url: Url) -> Result<Response> {
        for _ in 0..=MAX_REDIRECTS {
            self.check(&url)?;
            let response = self.client.get(url.clone()).send().await.map_err(|e| self.no_answer(e))?;
            match response.status() {
                StatusCode::OK => return Ok(response),
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => url = self.next_hop(&url, &response)?,
                status => return Err(self.wrong_status(status)),
            }
        }
        Err(self.refused(format!("was redirected more than {MAX_REDIRECTS} times")))
    }

    fn wrong_status(&self, status: StatusCode) -> Error {
        let error = self.refused(format!("was answered with status {}", status.as_u16()));
        let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
        if passing || status.is_server_error() { error.with_retry_after(LATER) } else { error }
    }

    fn next_hop(&self, url: &Url, response: &Response) -> Result<Url> {
        let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
        let next = location.and_then(|location| url.join(location).ok());
        next.ok_or_else(|| self.refused("was redirected to what is not a web address"))
    }

    /// Refuses what the address alone shows to be wrong. Names are looked up by [`Guard`].
    fn check(&self, url: &Url) -> Result<()> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(self.refused("is not at an http or https address"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(self.refused("is at an address with a user name or password, which is not sent"));
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        match host.parse::<IpAddr>() {
            Ok(ip) if !(self.allowed)(ip) => Err(self.private()),
            _ => Ok(()),
        }
    }

    fn no_answer(&self, error: reqwest::Error) -> Error {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
        while let Some(current) = cause {
            if current.is::<NotPublic>() {
                return self.private();
            }
            cause = current.source();
        }
        self.refused("cannot be fetched: its server cannot be reached").with_source(error).with_retry_after(LATER)
    }

    fn private(&self) -> Error {
        self.refused("is at a private or special network address, which this server does not call")
    }

    fn refused(&self, reason: impl fmt::Display) -> Error {
        Error::invalid(self.param, format!("The file of `{}` {reason}.", self.param)).with_code("invalid_value")
    }
}

/// Looks names up, and forgets the addresses that are not allowed.
struct Guard {
    allowed: Allowed,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.allowed;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let had_some = !found.is_empty();
            let good: Vec<SocketAddr> = found.into_iter().filter(|it| allowed(it.ip())).collect();
            match good.is_empty() && had_some {
                true => Err(Box::new(NotPublic) as Box<dyn StdError + Send + Sync>),
                false => Ok(Box::new(good.into_iter()) as Addrs),
            }
        })
    }
}

/// A name that stands for no public address.
#[derive(Debug)]
struct NotPublic;

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name has no public address")
    }
}

impl StdError for NotPublic {}

/// Whether everyone on the internet can reach `ip`, so that fetching from it gives nothing away.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// Everything but IANA's special-purpose registry: <https://www.iana.org/assignments/iana-ipv4-special-registry>.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let special = matches!(
        ip.octets(),
        [0 | 10 | 127, ..]                            // this network, private, loopback
            | [100, 64..=127, ..]                     // shared by customers of a provider
            | [169, 254, ..]                          // link-local, and the metadata of clouds
            | [172, 16..=31, ..] | [192, 168, ..]     // private
            | [192, 0, 0 | 2, _] | [192, 88, 99, _]   // protocols, examples, relays
            | [198, 18 | 19, ..]                      // benchmarks
            | [198, 51, 100, _] | [203, 0, 113, _]    // examples
            | [224..=255, ..] // multicast, reserved, broadcast
    );
    !special
}

/// Global unicast without its special parts; an address that stands for one of version 4 is judged as that.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let parts = ip.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        [0, 0, 0, 0, 0, 0xffff, high, low] => v4(high, low),    // mapped
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low), // translated
        [0x2002, high, low, ..] => v4(high, low),               // 6to4
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] => false, // Teredo and other protocols, examples
        [0x3fff, 0..=0xfff, ..] => false,                       // examples
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn fetch_from(allowed: Allowed) -> Fetch {
        let client = client(allowed).expect("a client");
        Fetch { client, allowed, param: "audio_url", limit: 1000, seconds: 10 }
    }

    #[test]
    fn only_public_addresses_are_public() {
        for public in [
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
        for special in [
            "0.0.0.0",
            "10.1.2.3",
            "127.0.0.1",
            "127.9.9.9",
            "100.64.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.1",
            "192.168.1.1",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "fec0::1",
        ] {
            assert!(!is_public(special.parse().expect("an address")), "{special}");
        }
    }

    #[test]
    fn disguised_numbers_are_numbers() {
        let fetch = fetch_from(is_public);
        for url in ["http://2130706433/", "http://0x7f.1/", "http://017700000001/", "http://[::ffff:7f00:1]/a.wav"] {
            let error = fetch.check(&Url::parse(url).expect("an address")).expect_err("loopback");
            assert_eq!(error.param(), Some("audio_url"), "{url}");
        }
        for url in ["ftp://example.com/", "file:///etc/passwd", "http://user:key@example.com/"] {
            assert!(fetch.check(&Url::parse(url).expect("an address")).is_err(), "{url}");
        }
        assert!(fetch.check(&Url::parse("https://example.com/a.wav").expect("an address")).is_ok());
    }

    #[tokio::test]
    async fn every_redirect_is_checked() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.expect("a request");
            let answer = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer).await.expect("written");
        });
        let fetch = fetch_from(|ip| ip == IpAddr::from([127, 0, 0, 1]));
        let url = Url::parse(&format!("http://{address}/")).expect("an address");
        let error = fetch.follow(url).await.expect_err("the second address is refused");
        assert!(error.message().contains("private"), "{error}");
        served.await.expect("the first address was asked");
    }
}
