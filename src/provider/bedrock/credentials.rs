//! Which AWS credential signs the calls, and what it shadows. The SDK's providers do the work; the order is ours, since
//! the SDK's default chain asks the environment's keys even where a profile is named.

use std::path::PathBuf;
use std::time::Duration;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_bedrockruntime::config::retry::RetryConfig;
use aws_sdk_bedrockruntime::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};

use super::connector::Wire;
use super::region;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::secret::Secret;
use crate::provider::{Choice, Env};

/// How long the instance itself is asked, per request: on a laptop nobody answers.
const IMDS_WAIT: Duration = Duration::from_millis(500);

/// What was found without asking anyone; never prints a secret.
#[derive(Debug)]
pub struct Found {
    pub source: Source,
    /// The profile in the shared files.
    pub profile: String,
    shadowed: Vec<&'static str>,
    files: (Option<PathBuf>, Option<PathBuf>),
    web_identity: Option<StaticConfiguration>,
    /// LiteLLM's way to name a role that is assumed with what the chain finds.
    role: Option<(String, Option<String>)>,
    /// Another address of STS than AWS's own.
    sts: Option<String>,
    container: bool,
    imds: Option<Imds>,
}

#[derive(Debug)]
pub enum Source {
    /// `--profile`, and nothing else.
    Profile,
    /// An API key of Bedrock: no signature at all.
    Bearer(Secret),
    Keys {
        id: String,
        secret: Secret,
        session: Option<Secret>,
    },
    /// Shared files, web identity, container, instance: the first that has one.
    Chain,
}

#[derive(Debug, Clone)]
struct Imds {
    endpoint: Option<String>,
}

/// Looks at the choice and the environment.
#[must_use]
pub fn find(choice: &Choice, env: Env<'_>) -> Found {
    let get = |names: &[&str]| {
        names.iter().find_map(|name| env(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
    };
    let bearer = env("AWS_BEARER_TOKEN_BEDROCK").as_deref().and_then(Secret::new);
    let id = get(&["AWS_ACCESS_KEY_ID"]);
    let secret = get(&["AWS_SECRET_ACCESS_KEY", "SECRET_ACCESS_KEY"]).as_deref().and_then(Secret::new);
    let keys = id.zip(secret).map(|(id, secret)| {
        let session = env("AWS_SESSION_TOKEN").as_deref().and_then(Secret::new);
        Source::Keys { id, secret, session }
    });
    let named = get(&["AWS_PROFILE", "AWS_PROFILE_NAME"]);
    let present = [
        (bearer.is_some(), "AWS_BEARER_TOKEN_BEDROCK"),
        (keys.is_some(), "AWS_ACCESS_KEY_ID"),
        (named.is_some(), "AWS_PROFILE"),
    ];
    let (source, won) = match (&choice.profile, bearer, keys) {
        (Some(_), _, _) => (Source::Profile, 0),
        (None, Some(bearer), _) => (Source::Bearer(bearer), 1),
        (None, None, Some(keys)) => (keys, 2),
        (None, None, None) => (Source::Chain, 3),
    };
    let shadowed = present.iter().skip(won).filter(|(is_set, _)| *is_set).map(|(_, name)| *name).collect();
    let role = get(&["AWS_ROLE_ARN", "AWS_ROLE_NAME"]);
    let session_name = get(&["AWS_ROLE_SESSION_NAME", "AWS_SESSION_NAME"]);
    let token_file = get(&["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN"]).map(PathBuf::from);
    let web_identity = token_file.filter(|file| file.is_absolute()).zip(role.clone()).map(|(file, role_arn)| {
        let session_name = session_name.clone().unwrap_or_else(|| "llmx".into());
        StaticConfiguration { web_identity_token_file: file, role_arn, session_name }
    });
    let role = match (&source, &web_identity) {
        (Source::Profile | Source::Bearer(_), _) | (_, Some(_)) => None,
        (Source::Keys { .. } | Source::Chain, None) => get(&["AWS_ROLE_NAME"]).map(|role| (role, session_name)),
    };
    let off = get(&["AWS_EC2_METADATA_DISABLED"]).is_some_and(|text| text.eq_ignore_ascii_case("true"));
    Found {
        source,
        profile: choice.profile.clone().or(named).unwrap_or_else(|| "default".into()),
        shadowed,
        files: region::files(env),
        web_identity,
        role,
        sts: get(&["AWS_ENDPOINT_URL_STS"]),
        container: get(&["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"]).is_some(),
        imds: (!off).then(|| Imds { endpoint: get(&["AWS_EC2_METADATA_SERVICE_ENDPOINT"]) }),
    }
}

impl Found {
    /// Where the credential comes from, in words.
    #[must_use]
    pub fn origin(&self) -> String {
        let base = match &self.source {
            Source::Profile => format!("the profile {}", self.profile),
            Source::Bearer(_) => "AWS_BEARER_TOKEN_BEDROCK".into(),
            Source::Keys { .. } => "AWS_ACCESS_KEY_ID".into(),
            Source::Chain => self.looked_at().join(", "),
        };
        match &self.role {
            Some((role, _)) => format!("{base}, for the role {role}"),
            None => base,
        }
    }

    /// The places that the chain asks, in order.
    fn looked_at(&self) -> Vec<String> {
        let mut places = vec![format!("the profile {}", self.profile)];
        places.extend(self.web_identity.is_some().then(|| "the web identity token".to_owned()));
        places.extend(self.container.then(|| "the container's credentials".to_owned()));
        places.extend(self.imds.is_some().then(|| "EC2 instance metadata".to_owned()));
        places
    }

    /// What the user must know before anything is sent.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut said = Vec::new();
        if !self.shadowed.is_empty() && !matches!(self.source, Source::Profile) {
            said.push(format!("{} is used; it shadows {}", self.origin(), self.shadowed.join(" and ")));
        }
        if self.asks_the_instance() {
            said.push("looking for EC2 credentials; AWS_EC2_METADATA_DISABLED=true turns this off".into());
        }
        said
    }

    /// Whether only the instance is left to be asked.
    fn asks_the_instance(&self) -> bool {
        let exists = |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| path.exists());
        matches!(self.source, Source::Chain)
            && self.imds.is_some()
            && self.web_identity.is_none()
            && !self.container
            && !exists(&self.files.0)
            && !exists(&self.files.1)
    }

    /// Whether the instance may be asked for what nobody else knows.
    #[must_use]
    pub fn may_ask_the_instance(&self) -> bool {
        self.imds.is_some() && !matches!(self.source, Source::Profile)
    }

    /// What has to be looked at where none was found, and how to log in.
    #[must_use]
    pub fn advice(&self) -> String {
        format!(
            "export AWS_BEARER_TOKEN_BEDROCK or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or `aws configure` or \
             `{}` (looked at: the environment, {})",
            self.login(),
            self.looked_at().join(", ")
        )
    }

    /// The command that renews a log-in.
    #[must_use]
    pub fn login(&self) -> String {
        if self.profile == "default" {
            "aws sso login".into()
        } else {
            format!("aws sso login --profile {}", self.profile)
        }
    }

    /// The key that is sent as it is, where it is one.
    #[must_use]
    pub fn bearer(&self) -> Option<Secret> {
        match &self.source {
            Source::Bearer(key) => Some(key.clone()),
            Source::Keys { .. } | Source::Profile | Source::Chain => None,
        }
    }

    /// `text` without the secrets that were found.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        match &self.source {
            Source::Bearer(key) => key.redact(text),
            Source::Keys { secret, session, .. } => {
                let text = secret.redact(text);
                session.as_ref().map_or_else(|| text.clone(), |session| session.redact(&text))
            }
            Source::Profile | Source::Chain => text.to_owned(),
        }
    }

    /// The provider of signing credentials; `None` where a bearer key is sent instead.
    pub async fn provider(&self, wire: &Wire, region: &str) -> Option<SharedCredentialsProvider> {
        let config = self.config(wire, region);
        let base = match &self.source {
            Source::Bearer(_) => return None,
            Source::Profile => SharedCredentialsProvider::new(self.profile_provider(&config)),
            Source::Keys { id, secret, session } => SharedCredentialsProvider::new(Credentials::new(
                id,
                secret.expose(),
                session.as_ref().map(|token| token.expose().to_owned()),
                None,
                "Environment",
            )),
            Source::Chain => SharedCredentialsProvider::new(self.chain(&config)),
        };
        let Some((role, session)) = &self.role else {
            return Some(base);
        };
        let mut sdk = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(wire.clone())
            .region(Region::new(region.to_owned()))
            .retry_config(RetryConfig::disabled())
            .credentials_provider(base.clone());
        if let Some(sts) = &self.sts {
            sdk = sdk.endpoint_url(sts);
        }
        let sdk = sdk.load().await;
        let assume = AssumeRoleProvider::builder(role)
            .session_name(session.as_deref().unwrap_or("llmx"))
            .region(Region::new(region.to_owned()))
            .configure(&sdk);
        Some(SharedCredentialsProvider::new(assume.build_from_provider(base).await))
    }

    /// The region of the instance that this runs on.
    pub async fn instance_region(&self, wire: &Wire) -> Option<String> {
        let config = ProviderConfig::without_region().with_http_client(wire.clone());
        let provider = ImdsRegionProvider::builder().configure(&config).imds_client(self.imds_client(&config)?).build();
        provider.region().await.map(|region| region.as_ref().to_owned())
    }

    fn config(&self, wire: &Wire, region: &str) -> ProviderConfig {
        ProviderConfig::without_region()
            .with_region(Some(Region::new(region.to_owned())))
            .with_http_client(wire.clone())
            .with_retry_config(RetryConfig::disabled())
    }

    fn profile_provider(&self, config: &ProviderConfig) -> ProfileFileCredentialsProvider {
        let (config_file, credentials_file) = &self.files;
        let kinds = [(EnvConfigFileKind::Config, config_file), (EnvConfigFileKind::Credentials, credentials_file)];
        let files = kinds.into_iter().fold(EnvConfigFiles::builder(), |files, (kind, path)| {
            // A file that is named must exist for the SDK; one that does not says nothing.
            match path.as_ref().filter(|path| path.exists()) {
                Some(path) => files.with_file(kind, path),
                None => files.with_contents(kind, ""),
            }
        });
        ProfileFileCredentialsProvider::builder()
            .configure(config)
            .profile_files(files.build())
            .profile_name(&self.profile)
            .build()
    }

    fn chain(&self, config: &ProviderConfig) -> CredentialsProviderChain {
        let mut chain = CredentialsProviderChain::first_try("Profile", self.profile_provider(config));
        if let Some(web) = &self.web_identity {
            let provider =
                WebIdentityTokenCredentialsProvider::builder().configure(config).static_configuration(web.clone());
            chain = chain.or_else("WebIdentityToken", provider.build());
        }
        chain = chain.or_else("EcsContainer", EcsCredentialsProvider::builder().configure(config).build());
        if let Some(client) = self.imds_client(config) {
            let instance = ImdsCredentialsProvider::builder().configure(config).imds_client(client).build();
            chain = chain.or_else("Ec2InstanceMetadata", instance);
        }
        chain
    }

    fn imds_client(&self, config: &ProviderConfig) -> Option<imds::Client> {
        let imds = self.imds.as_ref()?;
        let mut builder = imds::Client::builder()
            .configure(config)
            .max_attempts(1)
            .connect_timeout(IMDS_WAIT)
            .read_timeout(IMDS_WAIT);
        if let Some(endpoint) = &imds.endpoint {
            builder = builder.endpoint(endpoint).ok()?;
        }
        Some(builder.build())
    }
}

/// A credential that was not to be had, from the SDK's own words.
#[must_use]
pub fn unusable(found: &Found, words: &str) -> Failure {
    let lower = words.to_ascii_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| lower.contains(text));
    // The chain's own words list every place that has none, each "not enabled".
    if says(&["found in chain"]) {
        return Failure::new(ErrorClass::Auth, "no AWS credential was found").advise(found.advice());
    }
    let advice = if says(&["sso", "session has expired", "expired token", "login"]) {
        format!("log in again: `{}`", found.login())
    } else if says(&["profile"]) && says(&["not defined", "not found", "no profile"]) {
        "`aws configure list-profiles` shows the profiles that exist".to_owned()
    } else {
        found.advice()
    };
    let words: String = words.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect();
    Failure::new(ErrorClass::Auth, format!("no AWS credential from {}: {words}", found.origin())).advise(advice)
}
