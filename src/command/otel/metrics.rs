//! What the calls of this process add up to: tokens, seconds and cost, each by provider and model.

use std::collections::BTreeMap;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
};

use super::span::{Tokens, provider, tokens};
use super::{nanos, text};
use crate::domain::money::Usd;
use crate::domain::report::CallReport;

/// Bounds of the conventions: of tokens, and of milliseconds.
const TOKENS: [u64; 14] =
    [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864];
const MILLIS: [u64; 14] = [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_240, 20_480, 40_960, 81_920];

/// Of one call, what is added up.
pub struct Told {
    labels: Labels,
    input: Option<u64>,
    output: Option<u64>,
    total_ms: u64,
    cost: Option<Usd>,
    basis: &'static str,
    from_ms: i64,
    to_ms: i64,
}

type Labels = Vec<(&'static str, String)>;

impl Told {
    pub fn of(report: &CallReport, opened_ms: i64) -> Told {
        let mut labels = vec![
            ("gen_ai.operation.name", "chat".to_owned()),
            ("gen_ai.provider.name", provider(&report.name.provider).to_owned()),
            ("gen_ai.request.model", report.name.model.clone()),
        ];
        labels.extend(report.answer.model_served.clone().map(|model| ("gen_ai.response.model", model)));
        labels.extend(report.failure.as_ref().map(|failure| ("error.type", failure.class.as_str().to_owned())));
        let counted = report.outcome.usage().map(tokens);
        let Tokens { input, output } = counted.unwrap_or(Tokens { input: None, output: None });
        let total_ms = report.timing.total_ms;
        Told {
            labels,
            input,
            output,
            total_ms,
            cost: report.bill.total,
            basis: report.bill.basis.as_str(),
            from_ms: opened_ms,
            to_ms: opened_ms.saturating_add(i64::try_from(total_ms).unwrap_or(i64::MAX)),
        }
    }
}

/// The metrics of these calls, as what this process adds.
pub fn of(told: &[Told]) -> Vec<Metric> {
    let span = Span {
        from: nanos(told.iter().map(|told| told.from_ms).min().unwrap_or_default()),
        to: nanos(told.iter().map(|told| told.to_ms).max().unwrap_or_default()),
    };
    let with = |told: &Told, more: Option<(&'static str, &str)>| {
        let more = more.map(|(key, value)| (key, value.to_owned()));
        told.labels.iter().cloned().chain(more).collect::<Labels>()
    };
    let (mut counts, mut times) = (BTreeMap::new(), BTreeMap::new());
    let mut costs: BTreeMap<Labels, Usd> = BTreeMap::new();
    for told in told {
        for (kind, count) in [("input", told.input), ("output", told.output)] {
            let of_kind: &mut Vec<u64> = counts.entry(with(told, Some(("gen_ai.token.type", kind)))).or_default();
            of_kind.extend(count);
        }
        let of_model: &mut Vec<u64> = times.entry(with(told, None)).or_default();
        of_model.push(told.total_ms);
        if let Some(cost) = told.cost {
            let sum = costs.entry(with(told, Some(("llmx.cost.basis", told.basis)))).or_default();
            *sum = Usd::from_picos(sum.picos.saturating_add(cost.picos));
        }
    }
    let tokens = counts.into_iter().map(|(labels, counts)| span.histogram(labels, &counts, &TOKENS, plain)).collect();
    let times = times.into_iter().map(|(labels, times)| span.histogram(labels, &times, &MILLIS, seconds)).collect();
    let costs = costs.into_iter().map(|(labels, cost)| span.amount(labels, cost)).collect();
    let delta = AggregationTemporality::Delta.into();
    let histogram = |points: Vec<HistogramDataPoint>| {
        let data_points = points.into_iter().filter(|point| point.count > 0).collect();
        Data::Histogram(Histogram { data_points, aggregation_temporality: delta })
    };
    vec![
        metric("gen_ai.client.token.usage", "{token}", histogram(tokens)),
        metric("gen_ai.client.operation.duration", "s", histogram(times)),
        metric(
            "llmx.cost",
            "{USD}",
            Data::Sum(Sum { data_points: costs, aggregation_temporality: delta, is_monotonic: true }),
        ),
    ]
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    Metric { name: name.into(), unit: unit.into(), data: Some(data), ..Metric::default() }
}

/// From the first call to the end of the last one, in nanoseconds.
struct Span {
    from: u64,
    to: u64,
}

impl Span {
    fn histogram(&self, labels: Labels, values: &[u64], bounds: &[u64], shown: fn(u64) -> f64) -> HistogramDataPoint {
        // A value on a bound belongs below it.
        let mut buckets = vec![0; bounds.len() + 1];
        for value in values {
            buckets[bounds.partition_point(|bound| bound < value)] += 1;
        }
        HistogramDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: self.from,
            time_unix_nano: self.to,
            count: values.len() as u64,
            sum: Some(shown(values.iter().copied().fold(0, u64::saturating_add))),
            min: values.iter().min().copied().map(shown),
            max: values.iter().max().copied().map(shown),
            bucket_counts: buckets,
            explicit_bounds: bounds.iter().copied().map(shown).collect(),
            ..HistogramDataPoint::default()
        }
    }

    fn amount(&self, labels: Labels, cost: Usd) -> NumberDataPoint {
        NumberDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: self.from,
            time_unix_nano: self.to,
            value: cost.to_string().parse().ok().map(Value::AsDouble),
            ..NumberDataPoint::default()
        }
    }
}

fn attributes(labels: Labels) -> Vec<KeyValue> {
    labels.into_iter().map(|(key, value)| text(key, value)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "OTLP's histograms hold doubles, which are exact for counts below 2^53")]
fn plain(count: u64) -> f64 {
    count as f64
}

fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}
