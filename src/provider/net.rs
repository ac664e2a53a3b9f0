//! Sockets: one TLS configuration and at most two clients for the whole process.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Client, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::connect::{Names, Steps, sessions};
use super::{Env, Limits};
use crate::domain::failure::{ErrorClass, Failure};

/// Makes clients. Nothing is read or built before the first call needs it: roots of trust cost milliseconds.
#[derive(Debug)]
pub struct Net {
    /// A PEM file of further roots (`--ca-file`, `ca_bundle`, `SSL_CERT_FILE`).
    ca_file: Option<PathBuf>,
    steps: Steps,
    /// What the user calls the proxy.
    proxy: Option<String>,
    /// The variable of a proxy that the HTTP client cannot read: it would go past it in silence.
    misread: Option<&'static str>,
    excepted: Vec<Excepted>,
    /// By what a client must have: a way past the proxy (this machine is never behind one), roots (not for `http://`).
    clients: [OnceLock<Client>; 4],
}

impl Net {
    /// `ca_file`: PEM roots beside the built-in ones. Of the limits, those until a connection stands. `env`: where the
    /// HTTP client finds its proxy, too.
    #[must_use]
    pub fn new(ca_file: Option<PathBuf>, limits: &Limits, env: Env<'_>) -> Net {
        let steps = Steps { connect: limits.connect, tls: limits.tls };
        let (proxy, misread, excepted) = (proxy(env), misread(env), excepted(env));
        Net { ca_file, steps, proxy, misread, excepted, clients: Default::default() }
    }

    /// The proxy for `https://`: host, port and the variable that names it, for those who ask why it fails.
    #[must_use]
    pub fn proxy(&self) -> Option<&str> {
        self.proxy.as_deref()
    }

    /// Whether the roots of trust can be read; nothing is sent.
    ///
    /// # Errors
    /// `config` where the CA file cannot be read or holds no certificate.
    pub fn check_roots(&self) -> Result<(), Failure> {
        self.tls(false).map(drop)
    }

    /// Whether no proxy stands before a URL, whatever the client finds in the environment: this machine, and what
    /// `NO_PROXY` excepts in a way that the client does not know.
    pub(super) fn is_direct(&self, url: &Url) -> bool {
        is_loopback(url) || is_instance(url) || self.excepted.iter().any(|one| one.holds(url))
    }

    /// The client for a URL. It follows no redirect, sends no referer, inflates nothing and keeps no cookie.
    ///
    /// # Errors
    /// `config` where the CA file or the address of the proxy cannot be read.
    pub fn client(&self, url: &Url) -> Result<Client, Failure> {
        let (direct, bare) = (self.is_direct(url), url.scheme() == "http");
        if let Some(name) = self.misread.filter(|_| !direct) {
            let said = format!("{name} is no address of a proxy");
            let known = "give it as http://host:port, https://host:port or socks5h://host:port";
            return Err(Failure::new(ErrorClass::Config, said).advise(known));
        }
        let slot = &self.clients[usize::from(direct) + 2 * usize::from(bare)];
        if let Some(client) = slot.get() {
            return Ok(client.clone());
        }
        let mut builder = Client::builder()
            .dns_resolver(Names)
            .connector_layer(self.steps)
            // The server may close a kept connection just when a request is written to it, and then nobody knows whether
            // that request was billed: each one gets its own.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("llmx/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .tls_backend_preconfigured(self.tls(bare)?);
        if direct {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| {
            Failure::new(ErrorClass::Config, format!("the HTTP client cannot be made: {error}"))
                .advise("check the proxy variables (HTTPS_PROXY, ALL_PROXY, NO_PROXY)")
        })?;
        Ok(slot.get_or_init(|| client).clone())
    }

    /// A page or picture from the web, at most `most` bytes. No credential goes with it, and no redirect is followed.
    ///
    /// # Errors
    /// `config` with the reason: it is the user's input that cannot be had.
    pub async fn fetch(&self, name: &str, most: usize, limit: Duration) -> Result<Vec<u8>, Failure> {
        let failed = |reason: String| {
            Failure::new(ErrorClass::Config, format!("{name}: {reason}"))
                .advise("download it yourself and give the file")
        };
        let url = Url::parse(name).map_err(|error| failed(error.to_string()))?;
        let sent = self.client(&url)?.get(url).timeout(limit).send().await;
        let mut response = sent.map_err(|error| failed(error.to_string()))?;
        if let Some(place) = response.headers().get("location").and_then(|place| place.to_str().ok()) {
            return Err(failed(format!("it redirects to {place}")).advise("give that URL"));
        }
        if !response.status().is_success() {
            return Err(failed(format!("HTTP {}", response.status().as_u16())));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| failed(error.to_string()))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > most {
                break;
            }
        }
        Ok(bytes)
    }

    /// rustls with ring; the roots of webpki-roots and of the CA file. `bare`: no root at all, for plain `http://`.
    /// Hands a body over and gives the status of the answer, whose own body is not read.
    ///
    /// # Errors
    /// `config` for what is no address or no header, `network` where nobody takes it.
    #[cfg(feature = "otel")]
    pub async fn deliver(
        &self,
        to: &str,
        content_type: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<u16, Failure> {
        // Neither an address nor a header is repeated: both may hold a secret.
        let url = Url::parse(to).map_err(|error| Failure::new(ErrorClass::Config, error.to_string()))?;
        let mut sending = self.client(&url)?.post(url).header("content-type", content_type).body(body);
        for (name, value) in headers {
            sending = sending.header(name, value);
        }
        let sent = sending.send().await.map_err(|error| {
            Failure::new(if error.is_builder() { ErrorClass::Config } else { ErrorClass::Network }, "not delivered")
        })?;
        Ok(sent.status().as_u16())
    }

    fn tls(&self, bare: bool) -> Result<rustls::ClientConfig, Failure> {
        let mut roots = rustls::RootCertStore::empty();
        if !bare {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            if let Some(path) = &self.ca_file {
                let unreadable = |reason: String| {
                    Failure::new(ErrorClass::Config, format!("CA file {}: {reason}", path.display()))
                        .advise("give a PEM file of root certificates (--ca-file, ca_bundle or SSL_CERT_FILE)")
                };
                let certificates =
                    CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))?;
                let built_in = roots.len();
                for certificate in certificates {
                    let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
                    roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
                }
                if roots.len() == built_in {
                    return Err(unreadable("it holds no certificate".into()));
                }
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(ErrorClass::Config, format!("TLS: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = sessions();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl Default for Net {
    fn default() -> Net {
        Net::new(None, &Limits::default(), &|_| None)
    }
}

/// The proxy for `https://` that the environment names, with the variable's name. Its password is not said.
fn proxy(env: Env<'_>) -> Option<String> {
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].into_iter().find_map(|name| {
        let value = env(name)?;
        let url = Url::parse(&value).ok().filter(Url::has_host).or_else(|| Url::parse(&format!("http://{value}")).ok());
        Some(match url.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?))) {
            Some((host, port)) => format!("the proxy {host}:{port} ({name})"),
            None => format!("the proxy in {name}"),
        })
    })
}

fn misread(env: Env<'_>) -> Option<&'static str> {
    // Of each pair the client reads the first one that is there.
    let pairs = [["ALL_PROXY", "all_proxy"], ["HTTP_PROXY", "http_proxy"], ["HTTPS_PROXY", "https_proxy"]];
    let set = pairs.into_iter().filter_map(|pair| pair.into_iter().find_map(|name| Some((name, env(name)?))));
    let known = |value: String| {
        let anywhere = "http://x.invalid".parse().ok();
        anywhere.is_none_or(|url| Matcher::builder().all(value).build().intercept(&url).is_some())
    };
    set.into_iter().find_map(|(name, value)| (!known(value)).then_some(name))
}

/// What stands in `NO_PROXY` with a port, in brackets, or with `*.` before it: the client knows names, addresses and networks.
#[derive(Debug, PartialEq, Eq)]
struct Excepted {
    host: String,
    port: Option<u16>,
}

impl Excepted {
    fn read(entry: &str) -> Option<Excepted> {
        let (host, port) = match (entry.strip_prefix('['), entry.split_once(':')) {
            (Some(bracketed), _) => {
                let (host, rest) = bracketed.split_once(']')?;
                (host, rest.strip_prefix(':'))
            }
            // An address of IPv6 has more than one colon.
            (None, Some((host, port))) if !port.contains(':') => (host, Some(port)),
            (None, Some(_)) => return None,
            (None, None) => (entry.strip_prefix("*.")?, None),
        };
        let host = host.trim_start_matches("*.").trim_start_matches('.');
        let host = host.parse().map_or_else(|_| host.to_ascii_lowercase(), |address: IpAddr| address.to_string());
        Some(Excepted { host, port: port.map(str::parse).transpose().ok()? })
    }

    /// A name holds for all names below it, too.
    fn holds(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let below = |host: &str| host.strip_suffix(self.host.as_str()).is_some_and(|above| above.ends_with('.'));
        (self.port.is_none() || self.port == url.port_or_known_default()) && (host == self.host || below(host))
    }
}

fn excepted(env: Env<'_>) -> Vec<Excepted> {
    let list = env("NO_PROXY").or_else(|| env("no_proxy")).unwrap_or_default();
    list.split(',').map(str::trim).filter_map(Excepted::read).collect()
}

/// Whether a URL is of the cloud's own service beside this machine, which hands out its credentials: never by a proxy.
fn is_instance(url: &Url) -> bool {
    // 169.254.169.254, 169.254.170.2, 169.254.170.23 and their IPv6 twins under fd00:ec2::/32.
    url.host_str().is_some_and(|host| host.starts_with("169.254.") || host.starts_with("[fd00:ec2:"))
}

/// Whether a URL's host is this machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use reqwest::Url;

    use super::Net;
    use crate::provider::Limits;

    fn net(name: &str, value: &str) -> Net {
        Net::new(None, &Limits::default(), &|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn a_host_may_be_excepted_with_its_port_in_brackets_or_with_a_star() {
        let cases = [
            ("models.example:8443", "https://models.example:8443/v1", true),
            ("models.example:8443", "https://eu.models.example:8443/v1", true),
            ("models.example:443", "https://models.example/v1", true),
            ("models.example:8443", "https://models.example/v1", false),
            ("example:8443", "https://not-example:8443/v1", false),
            ("a.example, *.models.example", "https://eu.models.example/v1", true),
            ("*.models.example", "https://other.example/v1", false),
            ("192.0.2.7:80", "http://192.0.2.7/v1", true),
            ("[2001:DB8::7]", "https://[2001:db8::7]/v1", true),
            ("[2001:db8:0::7]:8443", "https://[2001:db8::7]:8443/v1", true),
            ("[2001:db8::7]:8443", "https://[2001:db8::7]/v1", false),
            ("", "https://models.example/v1", false),
        ];
        for (list, url, direct) in cases {
            for name in ["NO_PROXY", "no_proxy"] {
                let url = Url::parse(url).expect("a URL");
                assert_eq!(net(name, list).is_direct(&url), direct, "{list} {url}");
            }
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_read_is_told_where_it_would_be_passed_by() {
        let beyond = Url::parse("https://models.example/v1").expect("a URL");
        let here = Url::parse("http://127.0.0.1:8080/v1").expect("a URL");
        for (value, read) in [
            ("http://proxy.example:3128", true),
            ("proxy.example:3128", true),
            ("https://user:CANARY@proxy.example", true),
            ("socks5h://proxy.example:1080", true),
            ("quic://user:CANARY@proxy.example:3128", false),
            ("http://", false),
        ] {
            let made = net("https_proxy", value).client(&beyond).map(drop);
            assert_eq!(made.is_ok(), read, "{value}: {made:?}");
            assert!(!format!("{made:?}").contains("CANARY"));
            assert!(net("https_proxy", value).client(&here).is_ok());
        }
    }
}
