//! What Bedrock itself lists in a region: models that can be called by their own id, and inference profiles. Two signed
//! requests over our own client: the service's control plane has no other use here, and its SDK would be a second one.

use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::time::timeout;

use super::connector::{Call, Head, Wire, read};
use super::errors::{self, Place};
use super::{Bedrock, credentials};
use crate::domain::failure::{ErrorClass, Failure};
use crate::provider::departure::Departure;
use crate::provider::listing::{Listed, Listing};
use crate::provider::{Limits, error};
use crate::wire::contract::DecodeError;

/// docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html and API_ListInferenceProfiles.html, read
/// 2026-11-22.
const MODELS: &str = "/foundation-models?byOutputModality=TEXT";
const PROFILES: &str = "/inference-profiles?maxResults=1000";
/// Most of a listing that is read, in bytes.
const LISTING_MAX: usize = 16 << 20;

impl Bedrock {
    /// What can be called from the region, by its id. Needs `bedrock:ListFoundationModels` and
    /// `bedrock:ListInferenceProfiles`.
    ///
    /// # Errors
    /// Why it could not be had. It never costs anything.
    pub async fn list(&self, limits: &Limits) -> Result<Listing, Failure> {
        let models = self.page(MODELS, limits).await?;
        let profiles = self.page(PROFILES, limits).await?;
        let rows = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let on_demand = |model: &Value| {
            let types = model["inferenceTypesSupported"].as_array();
            types.is_none_or(|types| types.iter().any(|kind| kind == "ON_DEMAND"))
        };
        let bare = rows(&models, "modelSummaries").into_iter().filter(on_demand).filter_map(|model| {
            Some(Listed { id: text(&model["modelId"])?, name: text(&model["modelName"]), context: None })
        });
        let profile = rows(&profiles, "inferenceProfileSummaries").into_iter().filter_map(|profile| {
            let own = profile["type"] == "APPLICATION";
            let id = text(&profile[if own { "inferenceProfileArn" } else { "inferenceProfileId" }])?;
            Some(Listed { id, name: text(&profile["inferenceProfileName"]), context: None })
        });
        Ok(Listing { models: bare.chain(profile).collect(), is_part: profiles["nextToken"].is_string() })
    }

    async fn page(&self, path: &str, limits: &Limits) -> Result<Value, Failure> {
        let (_, region) = self.client(limits).await?;
        // Who moved the calls to a gateway or a stand-in wants the listing from there, too.
        let base = self.moved.as_ref().map_or_else(
            || format!("https://{}", self.host(region).replacen("bedrock-runtime", "bedrock", 1)),
            |(base, _)| base.as_str().trim_end_matches('/').to_owned(),
        );
        let text = format!("{base}{path}");
        let url = Url::parse(&text)
            .map_err(|error| Failure::new(ErrorClass::Config, format!("{text} is no URL: {error}")))?;
        let departure = Departure::default();
        let call = Arc::new(Call::new(self.whose(region), *limits, false, &departure));
        let place = Place { call: &call, region, found: &self.credentials };
        let headers = self.signed(&url, region, limits).await?;
        let caller = call.whose.caller();
        let asked = self.net.client(&url)?.get(url).headers(headers).send();
        let mut response = match timeout(limits.connect + limits.head, asked).await {
            Err(_) => return Err(Failure::new(ErrorClass::Timeout, format!("{base}: no listing in time"))),
            Ok(Err(fault)) => {
                return Err(free(error::unanswered(&fault, &departure, self.net.proxy(), &caller)));
            }
            Ok(Ok(response)) => response,
        };
        let head = Head::now(response.status().as_u16(), response.headers().clone());
        let (body, _) = read(&mut response, LISTING_MAX, limits, &caller).await.map_err(free)?;
        if head.status >= 300 {
            return Err(free(errors::refused(&head, &body, &place)));
        }
        let unreadable = |error: serde_json::Error| {
            free(error::unreadable(DecodeError::Malformed(error.to_string()), false, &caller))
        };
        serde_json::from_slice(&body).map_err(unreadable)
    }

    /// The headers that carry the credential: a bearer key as it is, any other as a signature.
    async fn signed(&self, url: &Url, region: &str, limits: &Limits) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::from_iter([
            (HeaderName::from_static("accept"), HeaderValue::from_static("application/json")),
            (HeaderName::from_static("accept-encoding"), HeaderValue::from_static("identity")),
        ]);
        let unfit = |_| Failure::new(ErrorClass::Auth, "the credential holds characters that no header can carry");
        let mut add = |name: &'static str, value: &str| -> Result<(), Failure> {
            let mut value = HeaderValue::from_str(value).map_err(unfit)?;
            value.set_sensitive(true);
            headers.insert(name, value);
            Ok(())
        };
        if let Some(key) = self.credentials.bearer() {
            add("authorization", &format!("Bearer {}", key.expose()))?;
            return Ok(headers);
        }
        let wire = Wire::for_credentials(&self.net, &self.whose(region), limits);
        let unusable = |words: &str| credentials::unusable(&self.credentials, words);
        let provider = self.credentials.provider(&wire, region).await.ok_or_else(|| unusable("none"))?;
        let found = provider.provide_credentials().await.map_err(|error| unusable(&words(&error)))?;
        let identity: Identity = found.into();
        let unsigned = |why: String| Failure::new(ErrorClass::Config, format!("the request cannot be signed: {why}"));
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("bedrock")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsigned(error.to_string()))?
            .into();
        let request = SignableRequest::new("GET", url.as_str(), std::iter::empty(), SignableBody::Bytes(&[]))
            .map_err(|error| unsigned(error.to_string()))?;
        let signing = sign(request, &params).map_err(|error| unsigned(error.to_string()))?;
        let (instructions, _) = signing.into_parts();
        let (signatures, _) = instructions.into_parts();
        for header in signatures {
            add(header.name(), header.value())?;
        }
        Ok(headers)
    }
}

/// A listing costs nothing, whatever became of it.
fn free(failure: Failure) -> Failure {
    Failure { may_be_billed: false, ..failure }
}

/// An error with all its causes.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
