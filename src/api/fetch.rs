//! Fetches recordings from web addresses that callers name, and from nowhere that they could not reach themselves.
//!
//! Private, link-local, loopback and other special addresses are refused: as numbers in the address, and after every
//! look-up of a name, so that a name which changes its meaning meanwhile gains nothing. Every redirect is checked anew.
//! Nothing of the caller's request is passed on, and no proxy is used, because it would look names up by itself.

use super::upload::{Spool, Upload};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, StatusCode, Url, header};
use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

/// Redirects followed for one recording.
const MAX_REDIRECTS: usize = 5;

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Fetches the file at `address`, which the request parameter `param` named.
///
/// # Errors
/// `InvalidRequest` (with `param`) and the reason when it cannot be had: not an address, one that is refused, offline,
/// no answer in time, another status than 200, too large, empty.
///
/// # Cancel safety
/// Dropping the future closes the connection and forgets what has arrived.
pub async fn fetch(address: &str, param: &'static str, config: &Config) -> Result<Upload> {
    if config.offline {
        return Err(Error::invalid(param, "This server is offline and fetches nothing: send the file itself."));
    }
    let url = Url::parse(address).map_err(|_| Error::invalid(param, format!("`{param}` is not a web address.")))?;
    let allowed = if config.limits.allow_private_urls { |_| true } else { is_public };
    let client = shared_client(usize::from(config.limits.allow_private_urls), allowed)?;
    let fetch = Fetch { client, allowed, param, config };
    let seconds = config.limits.fetch_seconds;
    let late = |_| fetch.refused(format!("did not arrive within {seconds} seconds"));
    tokio::time::timeout(Duration::from_secs(seconds), fetch.run(url)).await.map_err(late)?
}

/// Which addresses may be fetched from.
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
        let message = "recordings cannot be fetched: no certificates were found (install `ca-certificates`)";
        Error::new(Kind::Unavailable, message).with_source(e)
    })
}

/// One recording on its way.
struct Fetch<'a> {
    client: Client,
    allowed: Allowed,
    param: &'static str,
    config: &'a Config,
}

impl Fetch<'_> {
    async fn run(&self, url: Url) -> Result<Upload> {
        let mut response = self.follow(url).await?;
        let limit = self.config.limits.upload_bytes;
        let too_large = || self.refused(format!("is larger than {limit} bytes"));
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let (mut spool, mut read) = (Spool::new(self.config.limits.spool_bytes), 0);
        while let Some(chunk) = response.chunk().await.map_err(|e| self.refused("was cut off").with_source(e))? {
            read += chunk.len() as u64;
            if read > limit {
                return Err(too_large());
            }
            spool.push(chunk).await?;
        }
        if read == 0 { Err(self.refused("is empty")) } else { Ok(spool.finish()) }
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
                status => return Err(self.refused(format!("was answered with status {}", status.as_u16()))),
            }
        }
        Err(self.refused(format!("was redirected more than {MAX_REDIRECTS} times")))
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
        self.refused("cannot be fetched: its server cannot be reached").with_source(error)
    }

    fn private(&self) -> Error {
        self.refused("is at a private or special network address, from which this server fetches nothing")
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

    fn fetch_from(allowed: Allowed, config: &Config) -> Fetch<'_> {
        Fetch { client: client(allowed).expect("a client"), allowed, param: "audio_url", config }
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
        let config = Config::default();
        let fetch = fetch_from(is_public, &config);
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
        let config = Config::default();
        let fetch = fetch_from(|ip| ip == IpAddr::from([127, 0, 0, 1]), &config);
        let url = Url::parse(&format!("http://{address}/")).expect("an address");
        let error = fetch.run(url).await.err().expect("the second address is refused");
        assert!(error.message().contains("private"), "{error}");
        served.await.expect("the first address was asked");
    }
}
