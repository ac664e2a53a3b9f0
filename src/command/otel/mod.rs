//! Spans and metrics of calls to an OpenTelemetry collector: kept while the process runs, sent once when it ends.
//!
//! OTLP over HTTP as protobuf (opentelemetry.io/docs/specs/otlp and /protocol/exporter, read 2026-11-22).

mod metrics;
mod span;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use tracing::{info, warn};

use crate::call::{Call, Witness};
use crate::command::config::Config;
use crate::command::outside::{env, secrets};
use crate::domain::report::CallReport;
use crate::domain::secret::Secret;
use crate::provider::net::Net;
use crate::provider::{Env, Limits};
use metrics::Told;

/// The longest that an end of the process waits for the collector.
const LIMIT: Duration = Duration::from_secs(2);

static EXPORTER: OnceLock<Arc<Exporter>> = OnceLock::new();

/// Who keeps what is told of calls, where a collector is named; made once.
pub fn witness(config: &Config) -> Option<Arc<dyn Witness>> {
    let places = Places::of(config.otel.endpoint.as_deref(), &env)?;
    let exporter = EXPORTER.get_or_init(|| {
        let roots = config.ca_bundle.clone().or_else(|| env("SSL_CERT_FILE").map(Into::into));
        Arc::new(Exporter {
            places,
            content: config.otel.content,
            net: Net::new(roots, &Limits::default(), &env),
            secrets: secrets(),
            kept: Mutex::default(),
        })
    });
    Some(Arc::<Exporter>::clone(exporter))
}

/// Sends what was kept. It takes two seconds at the most, and its failure is only told to those who listen.
pub fn export() {
    let Some(exporter) = EXPORTER.get() else { return };
    let kept = std::mem::take(&mut *exporter.kept());
    if kept.spans.is_empty() {
        return;
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        if tokio::time::timeout(LIMIT, exporter.send(kept)).await.is_err() {
            warn!(limit_ms = 2000, "the collector did not take spans and metrics in time");
        }
    });
    // A name look-up that hangs must not keep the process.
    runtime.shutdown_background();
}

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Places {
    traces: Option<String>,
    metrics: Option<String>,
}

impl Places {
    /// By the variables of OpenTelemetry, else by the configuration.
    fn of(configured: Option<&str>, env: Env<'_>) -> Option<Places> {
        if env("OTEL_SDK_DISABLED").is_some_and(|text| text.trim().eq_ignore_ascii_case("true")) {
            return None;
        }
        let base = env("OTEL_EXPORTER_OTLP_ENDPOINT").or_else(|| configured.map(str::to_owned));
        let below = |signal: &str| base.as_ref().map(|base| format!("{}/v1/{signal}", base.trim_end_matches('/')));
        let places = Places {
            traces: env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| below("traces")),
            metrics: env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT").or_else(|| below("metrics")),
        };
        (places.traces.is_some() || places.metrics.is_some()).then_some(places)
    }
}

/// What is to be sent, and where.
struct Exporter {
    places: Places,
    /// Prompts and answers go along.
    content: bool,
    net: Net,
    secrets: Vec<Secret>,
    kept: Mutex<Kept>,
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Exporter").field("places", &self.places).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Kept {
    spans: Vec<Span>,
    told: Vec<Told>,
}

impl Witness for Exporter {
    fn settled(&self, call: &Call<'_>, report: &CallReport, retry_of: Option<&str>, opened_ms: i64) {
        let clean = |text: &str| self.secrets.iter().fold(text.to_owned(), |text, secret| secret.redact(&text));
        let request = call.request;
        let mut span = span::of(request, report, retry_of, opened_ms);
        if self.content {
            span.attributes.extend(span::content(request, report));
        }
        for attribute in &mut span.attributes {
            if let Some(AnyValue { value: Some(Value::StringValue(text)) }) = &mut attribute.value {
                *text = clean(text);
            }
        }
        let mut kept = self.kept();
        kept.spans.push(span);
        kept.told.push(Told::of(report, opened_ms));
    }
}

impl Exporter {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, kept: Kept) {
        let scope = Some(InstrumentationScope {
            name: "llmx".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            ..InstrumentationScope::default()
        });
        let resource = Some(Resource { attributes: resource(&env), ..Resource::default() });
        let headers = headers(&env("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default());
        let metrics =
            ScopeMetrics { scope: scope.clone(), metrics: metrics::of(&kept.told), ..ScopeMetrics::default() };
        let metrics = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: resource.clone(),
                scope_metrics: vec![metrics],
                ..ResourceMetrics::default()
            }],
        };
        let spans = ScopeSpans { scope, spans: kept.spans, ..ScopeSpans::default() };
        let spans = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { resource, scope_spans: vec![spans], ..ResourceSpans::default() }],
        };
        tokio::join!(
            self.deliver("spans", self.places.traces.as_deref(), &headers, spans.encode_to_vec()),
            self.deliver("metrics", self.places.metrics.as_deref(), &headers, metrics.encode_to_vec()),
        );
    }

    async fn deliver(&self, what: &str, to: Option<&str>, headers: &[(String, String)], body: Vec<u8>) {
        let Some(to) = to else { return };
        match self.net.deliver(to, "application/x-protobuf", headers, body).await {
            Ok(status) if (200..300).contains(&status) => info!(what, status, "collector"),
            Ok(status) => warn!(what, status, "the collector refused"),
            Err(failure) => warn!(what, class = failure.class.as_str(), "the collector cannot be reached"),
        }
    }
}

/// Who says it.
fn resource(env: Env<'_>) -> Vec<KeyValue> {
    let said = headers(&env("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
    let own = [
        ("service.name", env("OTEL_SERVICE_NAME").unwrap_or_else(|| "llmx".into())),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let own = own
        .into_iter()
        .filter(|(name, _)| env("OTEL_SERVICE_NAME").is_some() || !said.iter().any(|(key, _)| key == name));
    let own: Vec<KeyValue> = own.map(|(name, value)| text(name, value)).collect();
    let others = said.iter().filter(|(key, _)| !own.iter().any(|own| own.key == *key));
    others.map(|(key, value)| text(key, value.clone())).chain(own.iter().cloned()).collect()
}

/// `k=v,k2=v2`, values percent-encoded, as OpenTelemetry writes headers and attributes of a resource.
fn headers(said: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        Some((key.trim().to_owned(), decoded(value.trim())))
    };
    said.split(',').filter_map(pair).filter(|(key, _)| !key.is_empty()).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (first, _) => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn whole(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn number(key: &str, value: f64) -> KeyValue {
    attribute(key, Value::DoubleValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// Nanoseconds since 1970.
fn nanos(at_ms: i64) -> u64 {
    u64::try_from(at_ms).unwrap_or_default().saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::{Places, headers};

    #[test]
    fn the_variables_of_opentelemetry_go_before_the_configuration() {
        let with = |variables: &'static [(&str, &str)], configured| {
            Places::of(configured, &|name| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let place = |text: &str| Some(text.to_owned());
        assert_eq!(with(&[], None), None);
        let configured = Places { traces: place("http://a:1/v1/traces"), metrics: place("http://a:1/v1/metrics") };
        assert_eq!(with(&[], Some("http://a:1/")), Some(configured));
        let traces = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:2/x")];
        assert_eq!(
            with(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:2/x")], None),
            Some(Places { traces: place(traces[0].1), metrics: None })
        );
        assert_eq!(
            with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:3")], Some("http://a:1")).and_then(|places| places.traces),
            place("http://c:3/v1/traces")
        );
        assert_eq!(with(&[("OTEL_SDK_DISABLED", "true")], Some("http://a:1")), None);
    }

    #[test]
    fn headers_are_percent_decoded() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            headers("authorization=Basic%20a%3D%3D, x = 1,,odd"),
            [pair("authorization", "Basic a=="), pair("x", "1")]
        );
        assert_eq!(headers("a=100%"), [pair("a", "100%")]);
    }
}
