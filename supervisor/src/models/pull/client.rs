//! One request at a time: redirects followed by hand, so that it is known who is asked, what the hub says of the file on
//! the way, and that the token goes no further than to the hub.
//!
//! The HTTP client is `ureq`: blocking like the rest of a fetch, with rustls, the system's own certificates and proxies.
//! With what is under it, it adds 19 crates on Linux, 21 on macOS and 20 on Windows (`cargo tree -e normal --target …`
//! of this library, with the feature `pull` and without).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ureq::config::AutoHeaderValue;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, BodyReader, Proxy, ProxyProtocol};

use super::answer::{Answer, Meaning, target};
use super::error::PullError;
use super::network::{Network, Origin, Secret};
use crate::clock::seconds_since_1970;
use crate::models::store::bare;

const MOST_REDIRECTS: usize = 10;
const CONNECT: Duration = Duration::from_secs(15);

/// Sends requests for one file.
#[derive(Debug)]
pub(super) struct Client {
    network: Network,
    name: String,
    /// None where a proxy is named that cannot be used: whoever named one does not want to be seen without it.
    https: Option<Agent>,
    http: Option<Agent>,
}

/// Content that can be read.
pub(super) struct Content {
    pub(super) body: BodyReader<'static>,
    pub(super) meaning: Meaning,
    /// Of the last answer, with what the hub said on the way.
    pub(super) answer: Answer,
}

/// Why there is no content.
#[derive(Debug)]
pub(super) enum Hitch {
    /// For good.
    Failed(PullError),
    /// Nobody was reached.
    Unreachable { host: String, cause: String },
    /// It may be better after a while.
    Again { why: String, wait: Option<Duration> },
}

impl From<PullError> for Hitch {
    fn from(error: PullError) -> Self {
        Self::Failed(error)
    }
}

impl Client {
    pub(super) fn new(name: &str, network: &Network) -> Self {
        let agent = |proxy: Option<&Secret>| {
            let proxy = match proxy {
                Some(Secret(proxy)) => Some(with_exceptions(proxy, network.no_proxy.as_deref())?),
                None => None,
            };
            let tls = TlsConfig::builder()
                .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .root_certs(RootCerts::PlatformVerifier)
                .build();
            let agent = Agent::config_builder()
                .tls_config(tls)
                .proxy(proxy)
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .user_agent(concat!("meetcap-supervisor/", env!("CARGO_PKG_VERSION")))
                .accept(AutoHeaderValue::from("*/*"))
                .accept_encoding(AutoHeaderValue::from("identity"))
                .timeout_connect(Some(CONNECT))
                .timeout_resolve(Some(CONNECT))
                .timeout_recv_response(Some(network.stall))
                .timeout_per_read(Some(network.stall))
                .max_idle_connections(8)
                .build()
                .new_agent();
            Some(agent)
        };
        let (https, http) = (agent(network.https_proxy.as_ref()), agent(network.http_proxy.as_ref()));
        Self { network: network.clone(), name: name.to_owned(), https, http }
    }

    /// Asks for bytes `range` (first and last), or for all of them.
    pub(super) fn get(
        &self,
        address: &str,
        range: Option<(u64, u64)>,
        unchanged: Option<&str>,
    ) -> Result<Content, Hitch> {
        let mut address = address.to_owned();
        let mut linked = Answer::default();
        for _ in 0..=MOST_REDIRECTS {
            let (answer, body) = self.ask(&address, range, unchanged)?;
            let host = self.host(&address);
            let answer = Answer {
                // What the hub said counts, not what somebody says whom it leads to.
                linked_size: linked.linked_size.or(answer.linked_size),
                linked_etag: linked.linked_etag.or(answer.linked_etag.clone()),
                commit: linked.commit.or(answer.commit.clone()),
                ..answer
            };
            match answer.meaning(range, seconds_since_1970()) {
                Meaning::Redirect(location) => {
                    let next = target(&address, &location).ok_or_else(|| self.insecure(&location))?;
                    let is_downgrade = Origin::of(&address).is_some_and(Origin::is_encrypted)
                        && !Origin::of(&next).is_some_and(Origin::is_encrypted);
                    if is_downgrade {
                        return Err(self.insecure(&next).into());
                    }
                    (address, linked) = (next, answer);
                }
                Meaning::Refused => return Err(self.refused(answer.status, &address, &host).into()),
                Meaning::Busy(wait) => {
                    let why = format!("{host} answers with HTTP {}", answer.status);
                    return Err(Hitch::Again { why, wait });
                }
                Meaning::Nonsense(what) => {
                    return Err(Hitch::Again { why: format!("{host} sends {what}"), wait: None });
                }
                meaning @ (Meaning::Whole | Meaning::Part(_)) => return Ok(Content { body, meaning, answer }),
            }
        }
        Err(Hitch::Again { why: format!("{} redirects in a circle", self.host(&address)), wait: None })
    }

    fn ask(
        &self,
        address: &str,
        range: Option<(u64, u64)>,
        unchanged: Option<&str>,
    ) -> Result<(Answer, BodyReader<'static>), Hitch> {
        let origin = Origin::of(address).ok_or_else(|| self.insecure(address))?;
        // Whoever named a mirror in the clear gets it, without the token.
        let is_named = Origin::of(&self.network.endpoint) == Some(origin);
        if !(origin.is_private() || is_named) {
            return Err(self.insecure(address).into());
        }
        let (agent, variable) = match origin.is_encrypted() {
            true => (&self.https, "HTTPS_PROXY or ALL_PROXY"),
            false => (&self.http, "HTTP_PROXY or ALL_PROXY"),
        };
        let agent = agent.as_ref().ok_or(PullError::Proxy { variable })?;
        let mut request = agent.get(address);
        if let Some((first, last)) = range {
            request = request.header("range", format!("bytes={first}-{last}"));
            if let Some(etag) = unchanged {
                request = request.header("if-range", etag);
            }
        }
        if let Some(Secret(token)) = self.network.token.as_ref().filter(|_| self.network.may_know_token(address)) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.call().map_err(|error| self.hitch(error, address))?;
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let number = |name: &str| text(name)?.trim().parse().ok();
        let answer = Answer {
            status: response.status().as_u16(),
            location: text("location"),
            content_length: number("content-length"),
            content_range: text("content-range"),
            etag: text("etag"),
            linked_size: number("x-linked-size"),
            linked_etag: text("x-linked-etag"),
            commit: text("x-repo-commit"),
            retry_after: text("retry-after"),
        };
        Ok((answer, response.into_body().into_with_config().limit(u64::MAX).reader()))
    }

    /// An error of the client, without anything of the address but its host: what stands behind it may be signed.
    fn hitch(&self, error: ureq::Error, address: &str) -> Hitch {
        let host = self.host(address);
        let unreachable = |cause: &str| Hitch::Unreachable { host: host.clone(), cause: cause.to_owned() };
        let again = |why: &str| Hitch::Again { why: format!("{host}: {why}"), wait: None };
        let untrusted = |cause: String| Hitch::Failed(PullError::Untrusted { host: host.clone(), cause });
        match error {
            ureq::Error::HostNotFound => unreachable("its name is not known"),
            ureq::Error::ConnectionFailed => unreachable("it does not answer"),
            ureq::Error::ConnectProxyFailed(why) => unreachable(&format!("the proxy refuses: {why}")),
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                unreachable("it does not answer in time")
            }
            ureq::Error::Timeout(_) => again("it says nothing more"),
            ureq::Error::Rustls(error) => untrusted(error.to_string()),
            ureq::Error::Tls(why) => untrusted(why.to_owned()),
            ureq::Error::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => unreachable("nobody listens there"),
                // A name that the system does not find has no kind of its own.
                _ if error.to_string().contains("lookup address") => unreachable("its name is not known"),
                io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                    unreachable("there is no way to it")
                }
                // How an error of the certificates arrives that shows in the middle of a handshake.
                io::ErrorKind::InvalidData if is_about_certificates(&error) => untrusted(error.to_string()),
                _ => again(&error.to_string()),
            },
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Hitch::Failed(self.insecure(address)),
            other => again(&other.to_string()),
        }
    }

    fn refused(&self, status: u16, address: &str, host: &str) -> PullError {
        let (name, host) = (self.name.clone(), host.to_owned());
        match status {
            401 | 403 if self.network.may_know_token(address) && self.network.token.is_some() => {
                PullError::TokenRefused { name, host, status }
            }
            401 | 403 => PullError::TokenMissing { name, host, status },
            404 | 410 => PullError::NotFound { name, host, address: bare(address), status },
            status => PullError::Server { name, host, status },
        }
    }

    fn insecure(&self, address: &str) -> PullError {
        PullError::Insecure { address: bare(address) }
    }

    fn host(&self, address: &str) -> String {
        Origin::of(address).map_or_else(|| bare(address), |origin| origin.authority.to_owned())
    }
}

fn is_about_certificates(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
}

/// A proxy, but not for those that `NO_PROXY` names.
fn with_exceptions(proxy: &str, exceptions: Option<&str>) -> Option<Proxy> {
    // Another kind the client would pass by without a word.
    let is_usable = |told: &Proxy| matches!(told.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
    let told = Proxy::new(proxy).ok().filter(is_usable)?;
    let Some(exceptions) = exceptions else { return Some(told) };
    let mut built = Proxy::builder(told.protocol()).host(told.host()).port(told.port());
    if let Some(user) = told.username() {
        built = built.username(user);
    }
    if let Some(password) = told.password() {
        built = built.password(password);
    }
    exceptions
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .fold(built, ureq::ProxyBuilder::no_proxy)
        .build()
        .ok()
}
