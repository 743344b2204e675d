//! How the network may be used: which hub, which proxy, which token, or not at all. Read once from the environment by
//! whoever may; here it is pure.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where models come from unless told otherwise.
pub const HUB: &str = "https://huggingface.co";
/// A token is a line.
const LONGEST_TOKEN: usize = 4096;

/// Something that stands in no log, message or dump.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// What holds for all fetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The hub or a mirror of it, without a slash at the end.
    pub endpoint: String,
    pub(super) token: Option<Secret>,
    /// Nothing may be fetched; the variable that says so.
    pub offline: Option<&'static str>,
    pub(super) https_proxy: Option<Secret>,
    pub(super) http_proxy: Option<Secret>,
    pub(super) no_proxy: Option<String>,
    /// How long a connection may say nothing before it is given up and tried again.
    pub stall: Duration,
    /// The first wait after a failure; each further one is twice as long.
    pub first_wait: Duration,
    /// Connections for one large file.
    pub connections: usize,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            endpoint: HUB.to_owned(),
            token: None,
            offline: None,
            https_proxy: None,
            http_proxy: None,
            no_proxy: None,
            stall: Duration::from_secs(30),
            first_wait: Duration::from_millis(500),
            connections: 4,
        }
    }
}

impl Network {
    /// What the environment says, by the names that other tools of the hub know: `HF_ENDPOINT`, `HF_TOKEN`,
    /// `HF_HUB_OFFLINE`, and `MEETCAP_OFFLINE`; proxies in capitals or not. `file` reads the hub's own file for a token.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<OsString>,
        file: impl Fn(&PathBuf) -> Option<String>,
    ) -> Self {
        let text = |name: &str| {
            let value = variable(name)?.into_string().ok()?.trim().to_owned();
            (!value.is_empty()).then_some(value)
        };
        let either = |name: &str| text(name).or_else(|| text(&name.to_lowercase()));
        let is_on =
            |name: &str| text(name).is_some_and(|value| !["0", "false", "no", "off"].contains(&&*value.to_lowercase()));
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| HUB.to_owned());
        let home = || {
            text("HF_HOME").map(PathBuf::from).or_else(|| {
                let cache = text("XDG_CACHE_HOME").map(PathBuf::from);
                Some(cache.or_else(|| Some(PathBuf::from(text("HOME")?).join(".cache")))?.join("huggingface"))
            })
        };
        let token_file = || text("HF_TOKEN_PATH").map(PathBuf::from).or_else(|| Some(home()?.join("token")));
        let token = text("HF_TOKEN").or_else(|| {
            let token = file(&token_file()?)?.trim().to_owned();
            (!token.is_empty()).then_some(token)
        });
        let all = either("ALL_PROXY");
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: token
                .filter(|token| token.len() <= LONGEST_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic()))
                .map(Secret),
            offline: ["MEETCAP_OFFLINE", "HF_HUB_OFFLINE"].into_iter().find(|name| is_on(name)),
            https_proxy: either("HTTPS_PROXY").or_else(|| all.clone()).map(Secret),
            // In capitals it can come from a request's header where a program is run by a web server.
            http_proxy: text("http_proxy").or_else(|| text("HTTP_PROXY")).or(all).map(Secret),
            no_proxy: either("NO_PROXY"),
            ..Self::default()
        }
    }

    /// The address of a file in a repository of the hub.
    pub fn address(&self, repo: &str, revision: &str, file: &str) -> String {
        format!("{}/{repo}/resolve/{revision}/{file}", self.endpoint)
    }

    /// The hub's host, for people.
    pub fn host(&self) -> &str {
        host(&self.endpoint)
    }

    /// Whether the token may go with a request to this address: only to the hub itself, and only where nobody reads it
    /// on the way.
    pub(super) fn may_know_token(&self, address: &str) -> bool {
        let (Some(hub), Some(origin)) = (Origin::of(&self.endpoint), Origin::of(address)) else { return false };
        // In the clear, even to this machine, a proxy reads along.
        let is_read = !origin.is_encrypted() && self.http_proxy.is_some();
        hub == origin && origin.is_private() && !is_read
    }
}

/// Host and port in an address, for people.
pub(super) fn host(address: &str) -> &str {
    Origin::of(address).map_or(address, |origin| origin.authority)
}

/// Scheme, host and port of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin<'a> {
    pub(super) scheme: &'a str,
    pub(super) authority: &'a str,
}

impl<'a> Origin<'a> {
    /// `None` for what is no address of the web.
    pub(super) fn of(address: &'a str) -> Option<Self> {
        let (scheme, rest) = address.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())?;
        // What stands before an @ is a name and a password, which no address here may have.
        let is_plain = !authority.contains(['@', '\\']) && address.bytes().all(|byte| byte.is_ascii_graphic());
        (matches!(scheme, "http" | "https") && is_plain).then_some(Self { scheme, authority })
    }

    pub(super) fn is_encrypted(self) -> bool {
        self.scheme == "https"
    }

    /// Nobody on the way can read along, or there is no way.
    pub(super) fn is_private(self) -> bool {
        let host = match self.authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.authority.split(':').next().unwrap_or_default(),
        };
        self.is_encrypted() || matches!(host, "127.0.0.1" | "::1" | "localhost")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(variables: &[(&str, &str)], file: Option<&str>) -> Network {
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        Network::from_environment(variable, |_| file.map(str::to_owned))
    }

    #[test]
    fn the_environment_is_read_by_the_names_that_people_know() {
        assert_eq!(network(&[], None), Network::default());
        let told = network(
            &[
                ("HF_ENDPOINT", "https://mirror.example/hf/"),
                ("HF_TOKEN", " hf_abc\n"),
                ("https_proxy", "http://p:1"),
                ("NO_PROXY", "a,b"),
            ],
            Some("from the file"),
        );
        assert_eq!(told.endpoint, "https://mirror.example/hf");
        assert_eq!(told.host(), "mirror.example");
        assert_eq!((told.token, told.https_proxy), (Some(Secret("hf_abc".into())), Some(Secret("http://p:1".into()))));
        assert_eq!((told.http_proxy, told.no_proxy.as_deref()), (None, Some("a,b")));
        let home = network(&[("HOME", "/home/me")], Some("hf_file\n"));
        assert_eq!(home.token, Some(Secret("hf_file".into())));
        for no_token in ["two words", "", "line\nline"] {
            assert_eq!(network(&[("HF_TOKEN", no_token)], None).token, None, "{no_token}");
        }
        let all = network(&[("ALL_PROXY", "http://all:1"), ("HTTPS_PROXY", "http://s:1")], None);
        assert_eq!(
            (all.https_proxy, all.http_proxy),
            (Some(Secret("http://s:1".into())), Some(Secret("http://all:1".into())))
        );
    }

    #[test]
    fn offline_is_any_word_but_no() {
        for (value, offline) in [("1", true), ("true", true), ("on", true), ("0", false), ("False", false), ("", false)]
        {
            assert_eq!(network(&[("HF_HUB_OFFLINE", value)], None).offline.is_some(), offline, "{value}");
        }
        assert_eq!(network(&[("MEETCAP_OFFLINE", "yes")], None).offline, Some("MEETCAP_OFFLINE"));
    }

    #[test]
    fn the_token_is_for_the_hub_alone_and_never_in_the_clear() {
        let hub = |endpoint: &str| Network { endpoint: endpoint.to_owned(), ..Network::default() };
        assert!(hub(HUB).may_know_token("https://huggingface.co/a/b/resolve/main/c.bin?x=1"));
        for other in [
            "http://huggingface.co/a",
            "https://huggingface.co.evil.example/a",
            "https://huggingface.co@evil.example/a",
            "https://evil.example/https://huggingface.co/",
            "https://huggingface.co:444/a",
            "huggingface.co/a",
            "https://cdn-lfs.huggingface.co/a",
            "https://huggingface.co\\@evil.example/",
        ] {
            assert!(!hub(HUB).may_know_token(other), "{other}");
        }
        assert!(hub("http://127.0.0.1:8080/x").may_know_token("http://127.0.0.1:8080/y"));
        assert!(!hub("http://mirror.lan").may_know_token("http://mirror.lan/y"));
        let proxied = Network { http_proxy: Some(Secret("http://p:1".into())), ..hub("http://127.0.0.1:8080") };
        assert!(!proxied.may_know_token("http://127.0.0.1:8080/y"), "the proxy would read it");
    }

    #[test]
    fn secrets_are_not_shown() {
        let told = network(&[("HF_TOKEN", "hf_secret"), ("HTTPS_PROXY", "http://me:word@proxy:1")], None);
        let shown = format!("{told:?}");
        assert!(!shown.contains("hf_secret") && !shown.contains("word"), "{shown}");
    }
}
