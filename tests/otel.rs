//! What a collector of OpenTelemetry is told of calls, as the built binary does it.

#![cfg(feature = "otel")]

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::binary::{Done, KEY, Llmx};
use common::bodies::{DONE, chunk, event, says};
use common::server::{Request, Script, Server};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;

const PROMPT: &str = "kingfisher";
const ANSWER: &str = "waterfall";

/// 100 tokens of input, 40 of them from a cache, and 20 of output, 8 of them thinking.
fn answering() -> Script {
    let usage = event(&json!({"id": "r1", "model": "gpt-4o-2024-08-06", "choices": [], "usage": {"prompt_tokens": 100,
        "completion_tokens": 20, "total_tokens": 120, "prompt_tokens_details": {"cached_tokens": 40},
        "completion_tokens_details": {"reasoning_tokens": 8}}}));
    let said = says(ANSWER).replace("m-1", "gpt-4o-2024-08-06");
    let stop = chunk(&json!({}), Some("stop")).replace("m-1", "gpt-4o-2024-08-06");
    Script::stream(format!("{said}{stop}{usage}{DONE}"))
}

fn collector() -> Server {
    Server::new(Script::json(200, "{}"))
}

fn ask(model: &Server, collector: &Server, args: &[&str]) -> Llmx {
    Llmx::openai(model, &[PROMPT]).env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()).args(args)
}

#[track_caller]
fn to<'a>(requests: &'a [Request], path: &str) -> &'a Request {
    let found: Vec<_> = requests.iter().filter(|request| request.path == path).collect();
    assert_eq!(found.len(), 1, "{path}: {:?}", requests.iter().map(|request| &request.path).collect::<Vec<_>>());
    found[0]
}

fn spans(collector: &Server) -> Vec<Span> {
    let requests = collector.requests();
    let request = to(&requests, "/v1/traces");
    assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    let told = ExportTraceServiceRequest::decode(request.body.as_slice()).expect("protobuf");
    let mut spans = Vec::new();
    for resource in told.resource_spans {
        let said = values(&resource.resource.expect("a resource").attributes);
        assert_eq!(said["service.name"], "llmx");
        spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
    spans
}

fn values(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let value = |attribute: &KeyValue| match attribute.value.clone().and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::ArrayValue(array)) => format!("{:?}", array.values.len()),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), value(attribute))).collect()
}

#[track_caller]
fn holds(said: &BTreeMap<String, String>, wanted: &[(&str, &str)]) {
    for (key, value) in wanted {
        assert_eq!(said.get(*key).map(String::as_str), Some(*value), "{key} in {said:#?}");
    }
}

fn hides(collector: &Server) {
    for request in collector.requests() {
        let body = String::from_utf8_lossy(&request.body);
        for secret in ["CANARY", PROMPT, ANSWER] {
            assert!(!body.contains(secret), "{secret} in {}", request.path);
        }
    }
}

#[test]
fn a_call_is_a_span_with_the_names_of_the_conventions_and_nothing_that_was_said() {
    let (model, collector) = (Server::new(answering()), collector());
    let done = ask(&model, &collector, &["-j", "--max-tokens", "50"])
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-team=pay%20ments")
        .run()
        .exits(0);
    let call = done.json();
    let spans = spans(&collector);
    let said = values(&spans[0].attributes);
    holds(
        &said,
        &[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "gpt-4o"),
            ("gen_ai.request.max_tokens", "50"),
            ("gen_ai.response.model", "gpt-4o-2024-08-06"),
            ("gen_ai.response.finish_reasons", "1"),
            // Cached ones among those of the input, thinking among those of the output.
            ("gen_ai.usage.input_tokens", "100"),
            ("gen_ai.usage.cache_read.input_tokens", "40"),
            ("gen_ai.usage.output_tokens", "20"),
            ("gen_ai.usage.reasoning.output_tokens", "8"),
            // 60 × $2.50 + 40 × $1.25 + 20 × $10, each for a million.
            ("llmx.cost.usd", "0.0004"),
            ("llmx.cost", "0.0004"),
            ("llmx.cost.basis", "table"),
            ("llmx.call.id", call["id"].as_str().expect("an id")),
        ],
    );
    assert_eq!((spans.len(), spans[0].name.as_str(), spans[0].kind), (1, "chat gpt-4o", 3));
    assert!(spans[0].end_time_unix_nano >= spans[0].start_time_unix_nano && spans[0].start_time_unix_nano > 0);
    assert_eq!((spans[0].trace_id.len(), spans[0].span_id.len()), (16, 8));
    assert_eq!(collector.requests()[0].header("x-team"), Some("pay ments"));
    hides(&collector);
}

#[test]
fn metrics_add_up_what_the_process_did() {
    let (model, collector) = (Server::new(answering()), collector());
    Llmx::new(&["compare", "-m", "openai/gpt-4o", "--runs", "2", PROMPT])
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", format!("{}/v1", model.url()))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .run()
        .exits(0);
    let requests = collector.requests();
    let body = to(&requests, "/v1/metrics").body.as_slice();
    let told = ExportMetricsServiceRequest::decode(body).expect("protobuf");
    let metrics = &told.resource_metrics[0].scope_metrics[0].metrics;
    let units: Vec<_> = metrics.iter().map(|metric| (metric.name.as_str(), metric.unit.as_str())).collect();
    assert_eq!(
        units,
        [("gen_ai.client.token.usage", "{token}"), ("gen_ai.client.operation.duration", "s"), ("llmx.cost", "{USD}")]
    );
    let Some(Data::Histogram(tokens)) = &metrics[0].data else { panic!("{:?}", metrics[0]) };
    let mut sums: Vec<_> = tokens
        .data_points
        .iter()
        .map(|point| (values(&point.attributes)["gen_ai.token.type"].clone(), point.count, point.sum))
        .collect();
    sums.sort_by(|one, two| one.0.cmp(&two.0));
    assert_eq!(sums, [("input".into(), 2, Some(200.0)), ("output".into(), 2, Some(40.0))]);
    // 100 lies in (64, 256], 20 in (16, 64].
    assert!(tokens.data_points.iter().any(|point| point.bucket_counts[4] == 2));
    let Some(Data::Histogram(times)) = &metrics[1].data else { panic!("{:?}", metrics[1]) };
    assert_eq!(times.data_points[0].count, 2);
    let Some(Data::Sum(cost)) = &metrics[2].data else { panic!("{:?}", metrics[2]) };
    assert_eq!(cost.data_points[0].value, Some(number_data_point::Value::AsDouble(0.0008)));
    holds(
        &values(&cost.data_points[0].attributes),
        &[("llmx.cost.basis", "table"), ("gen_ai.provider.name", "openai")],
    );
    hides(&collector);
    assert_eq!(spans(&collector).len(), 2);
}

#[test]
fn a_retry_is_a_span_of_its_own_in_the_same_trace() {
    let refusal = format!(r#"{{"error": {{"message": "{PROMPT} {KEY}"}}}}"#);
    let (model, collector) = (Server::of(vec![Script::json(503, refusal), answering()]), collector());
    ask(&model, &collector, &["--session", "nightly"]).run().exits(0);
    let spans = spans(&collector);
    assert_eq!((spans.len(), &spans[0].trace_id), (2, &spans[1].trace_id));
    assert_ne!(spans[0].span_id, spans[1].span_id);
    let failed = values(&spans[0].attributes);
    holds(&failed, &[("error.type", "overloaded"), ("http.response.status_code", "503"), ("llmx.cost.usd", "0")]);
    assert!(!failed.contains_key("gen_ai.usage.input_tokens"), "what is not known is not zero");
    assert_eq!(spans[0].status.as_ref().map(|status| status.code), Some(2));
    let again = [("llmx.retry_of", &*failed["llmx.call.id"]), ("session.id", "nightly")];
    holds(&values(&spans[1].attributes), &again);
    hides(&collector);
}

#[test]
fn what_was_said_goes_along_only_where_the_user_says_so() {
    let (model, collector) = (Server::new(answering()), collector());
    let config = format!("[otel]\nendpoint = \"{}\"\ncontent = true\n", collector.url());
    Llmx::openai(&model, &["-s", "be brief", PROMPT]).config(&config).run().exits(0);
    let said = values(&spans(&collector)[0].attributes);
    holds(
        &said,
        &[
            ("gen_ai.input.messages", r#"[{"role":"user","parts":[{"type":"text","content":"kingfisher"}]}]"#),
            (
                "gen_ai.output.messages",
                r#"[{"role":"assistant","parts":[{"type":"text","content":"waterfall"}],"finish_reason":"stop"}]"#,
            ),
            ("gen_ai.system_instructions", r#"[{"type":"text","content":"be brief"}]"#),
        ],
    );
}

#[test]
fn nothing_is_sent_unless_a_collector_is_named_and_never_by_a_project() {
    let (model, collector) = (Server::new(answering()), collector());
    Llmx::openai(&model, &[PROMPT]).run().exits(0).stays_quiet();
    ask(&model, &collector, &[]).env("OTEL_SDK_DISABLED", "true").run().exits(0).stays_quiet();
    let project = format!("[otel]\nendpoint = \"{}\"\n", collector.url());
    Llmx::openai(&model, &[PROMPT])
        .file(".llmx.toml", project)
        .run()
        .exits(2)
        .says(&["a project may not set \"otel\""]);
    assert_eq!(collector.requests().len(), 0);
}

#[test]
fn a_collector_that_is_down_refuses_or_hangs_changes_neither_answer_nor_exit_code() {
    let model = Server::new(answering());
    let answered = |done: Done| done.exits(0).prints(&format!("{ANSWER}\n"));
    let nobody = "http://127.0.0.1:9";
    let ask = |url: &str, args: &[&str]| {
        Llmx::openai(&model, &[PROMPT]).env("OTEL_EXPORTER_OTLP_ENDPOINT", url).args(args).run()
    };
    answered(ask(nobody, &[])).stays_quiet();
    answered(ask(nobody, &["-v"])).says(&["the collector cannot be reached what=spans class=network"]);
    answered(ask("no address CANARY", &["-v"])).says(&["the collector cannot be reached what=metrics class=config"]);
    let refusing = Server::new(Script::json(500, "{}"));
    answered(ask(&refusing.url(), &["-v"])).says(&["the collector refused what=spans status=500"]);
    let hanging = Server::new(Script::mute());
    let began = Instant::now();
    answered(ask(&hanging.url(), &["-v"])).says(&["did not take spans and metrics in time"]);
    let took = began.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(30)).contains(&took), "{took:?}");
}
