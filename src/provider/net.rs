//! Sockets: one TLS configuration and at most two clients for the whole process.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

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
    /// By what a client must have: a way past the proxy (this machine is never behind one), roots (not for `http://`).
    clients: [OnceLock<Client>; 4],
}

impl Net {
    /// `ca_file`: PEM roots beside the built-in ones. Of the limits, those until a connection stands. `env`: where the
    /// HTTP client finds its proxy, too.
    #[must_use]
    pub fn new(ca_file: Option<PathBuf>, limits: &Limits, env: Env<'_>) -> Net {
        let steps = Steps { connect: limits.connect, tls: limits.tls };
        Net { ca_file, steps, proxy: proxy(env), clients: Default::default() }
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

    /// The client for a URL. It follows no redirect, sends no referer, inflates nothing and keeps no cookie.
    ///
    /// # Errors
    /// `config` where the CA file cannot be read.
    pub fn client(&self, url: &Url) -> Result<Client, Failure> {
        let (here, bare) = (is_direct(url), url.scheme() == "http");
        let slot = &self.clients[usize::from(here) + 2 * usize::from(bare)];
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
        if here {
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

/// Whether no proxy stands before a URL, whatever the environment says.
pub(super) fn is_direct(url: &Url) -> bool {
    is_loopback(url) || is_instance(url)
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
