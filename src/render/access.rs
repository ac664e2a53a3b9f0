//! A test of access as a matrix, as JSON, and as JUnit's XML.

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::call;
use super::face::{Face, RESET, change};
use super::models::columns;
use crate::domain::access::{AccessClass, AccessReport, Depth, Probed, Rung, Verdict};
use crate::domain::instant;
use crate::domain::money::Usd;
use crate::domain::untrusted::one_line;

/// How the table is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    pub colour: bool,
    /// With the ladder of each probe and what was asked beside them.
    pub whole: bool,
    /// One of several: headed by its instant.
    pub again: bool,
}

/// What is said before anything is sent.
#[must_use]
pub fn announcement(why: &str, probes: usize, most: Usd, limit: Usd, unknown: usize, asked: bool) -> String {
    let plural = if probes == 1 { "" } else { "s" };
    let beyond = if most > limit { ": what does not fit is not asked" } else { "" };
    let unpriced = match (unknown, asked) {
        (0, _) => String::new(),
        (_, true) => format!("; {unknown} of them without a known price, which counts nowhere"),
        (_, false) => format!("; {unknown} of them without a known price, which are not asked (--unpriced asks them)"),
    };
    format!("llmx: {why}{probes} probe{plural}, at most ${most} (--max-cost ${limit}){beyond}{unpriced}\n")
}

/// The matrix, grouped by provider and profile: one line for each model, regions as columns where there are several. Under
/// each group what does not work, with the line that mends it; at the end the sum.
#[must_use]
pub fn table(report: &AccessReport, style: Style) -> String {
    let mut text = String::new();
    if style.again {
        text.push_str(&format!("{}\n", instant::utc(report.at_ms)));
    }
    let mut groups: Vec<Vec<&Probed>> = Vec::new();
    for probed in &report.probes {
        let together = |group: &&mut Vec<&Probed>| {
            group.first().is_some_and(|first| first.provider == probed.provider && first.profile == probed.profile)
        };
        match groups.iter_mut().find(together) {
            Some(group) => group.push(probed),
            None => groups.push(vec![probed]),
        }
    }
    for group in &groups {
        text.push_str(&matrix(group, style));
        text.push_str(&faults(group, style));
        text.push('\n');
    }
    if style.whole && !report.search.is_empty() {
        text.push_str("asked beside them\n");
        for probed in &report.search {
            text.push_str(&format!("  {}: {}\n", one_line(&probed.name), probed.access.class.label()));
        }
        text.push('\n');
    }
    text + &summary(report)
}

fn matrix(group: &[&Probed], style: Style) -> String {
    let mut regions: Vec<&Option<String>> = Vec::new();
    let mut models: Vec<&str> = Vec::new();
    for probed in group {
        if !regions.contains(&&probed.region) {
            regions.push(&probed.region);
        }
        if !models.contains(&probed.model.as_str()) {
            models.push(&probed.model);
        }
    }
    let name = |region: &Option<String>| region.clone().unwrap_or_else(|| "–".into());
    let mut text = heading(group, &regions);
    let mut rows: Vec<Vec<(String, Face)>> = Vec::new();
    if regions.len() > 1 {
        let plain = |text: String| (text, Face::DIM);
        rows.push(
            std::iter::once(plain(String::new())).chain(regions.iter().map(|region| plain(name(region)))).collect(),
        );
    }
    for model in models {
        let cell = |region: &&Option<String>| {
            let there = group.iter().find(|probed| probed.model == model && probed.region == **region);
            there.map_or((String::new(), Face::PLAIN), |probed| cell(probed))
        };
        rows.push(std::iter::once((one_line(model), Face::PLAIN)).chain(regions.iter().map(cell)).collect());
    }
    let columns = regions.len() + 1;
    let width = |column: usize| rows.iter().map(|row| row[column].0.width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &rows {
        let mut line = String::from(" ");
        let mut owed = 0;
        for ((cell, face), width) in row.iter().zip(&widths) {
            line.push_str(&" ".repeat(owed + 1));
            line.push_str(&painted(cell, *face, style.colour));
            owed = width - cell.width() + 1;
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Whose models follow: id, name, credential, and the region where there is only one.
fn heading(group: &[&Probed], regions: &[&Option<String>]) -> String {
    let Some(first) = group.first() else { return String::new() };
    let credential = group.iter().find_map(|probed| probed.credential.clone());
    let profile = first.profile.as_ref().map(|profile| format!("the profile {profile}"));
    let region = if let [Some(region)] = regions { Some(region.clone()) } else { None };
    let parts = [Some(first.provider_name.clone()), credential.or(profile), region];
    let parts: Vec<String> = parts.into_iter().flatten().map(|part| one_line(&part)).collect();
    format!("{}  {}\n", one_line(&first.provider), parts.join(" · "))
}

fn cell(probed: &Probed) -> (String, Face) {
    let class = probed.access.class;
    let face = match class.works() {
        Some(true) => Face::STRING,
        Some(false) => Face::REMOVED,
        None => Face::COMMENT,
    };
    match probed.first_token_ms.filter(|_| class == AccessClass::Ok) {
        Some(millis) => (format!("{} {}", class.label(), seconds(millis)), face),
        None => (class.label().to_owned(), face),
    }
}

/// `0.61s`.
fn seconds(millis: u64) -> String {
    let hundredths = millis.div_ceil(10);
    format!("{}.{:02}s", hundredths / 100, hundredths % 100)
}

fn painted(text: &str, face: Face, colour: bool) -> String {
    if !colour || face == Face::PLAIN || text.is_empty() {
        return text.to_owned();
    }
    let mut out = String::new();
    change(Face::PLAIN, face, &mut out);
    out + text + RESET
}

/// What does not work, each with the provider's words and the line that mends it. Models that fail alike are told once.
fn faults(group: &[&Probed], style: Style) -> String {
    let mut text = String::new();
    let mut told: Vec<(&Probed, Vec<&str>)> = Vec::new();
    for probed in group.iter().filter(|probed| style.whole || probed.access.class.works() != Some(true)) {
        let alike = |(other, _): &&mut (&Probed, Vec<&str>)| {
            let why = |probed: &Probed| probed.failure.as_ref().map(|failure| failure.message.clone());
            !style.whole
                && other.access.class == probed.access.class
                && other.next() == probed.next()
                && other.fix == probed.fix
                && why(other) == why(probed)
        };
        match told.iter_mut().find(alike) {
            Some((_, names)) => names.push(&probed.name),
            None => told.push((probed, vec![&probed.name])),
        }
    }
    for (probed, names) in told {
        text.push_str(&fault(probed, &names, style));
    }
    text
}

fn fault(probed: &Probed, names: &[&str], style: Style) -> String {
    let names: Vec<String> = names.iter().map(|name| one_line(name)).collect();
    let words = probed.failure.as_ref().map(|failure| format!(" — {}", one_line(&failure.message))).unwrap_or_default();
    let mut text = format!("\n  {}: {}{words}\n", names.join(", "), probed.access.class.label());
    if style.whole {
        let rung = |(rung, verdict): &(Rung, Verdict)| {
            let sign = match verdict {
                Verdict::Passed => "+",
                Verdict::Failed => "x",
                Verdict::Unknown => "?",
            };
            format!("{sign} {}", rung.as_str())
        };
        let ladder: Vec<String> = probed.access.rungs.iter().map(rung).collect();
        text.push_str(&format!("    {}\n", ladder.join("  ")));
        if let Some(id) = probed.failure.as_ref().and_then(|failure| failure.request_id.as_ref()) {
            text.push_str(&format!("    request {}\n", one_line(id)));
        }
    }
    if let Some(next) = probed.next() {
        text.push_str(&format!("    try: {}\n", one_line(&next)));
    }
    for works in probed.works.iter().skip(1) {
        text.push_str(&format!("      or -m {}\n", one_line(works)));
    }
    for line in &probed.fix {
        text.push_str(&format!("    | {}\n", one_line(line)));
    }
    text
}

/// `3 of 5 work · 1 expired · 1 not enabled · cost $0.00012`.
fn summary(report: &AccessReport) -> String {
    let count = |class: AccessClass| report.probes.iter().filter(|probed| probed.access.class == class).count();
    let good = [AccessClass::Ok, AccessClass::Present, AccessClass::Listed];
    let working: usize = good.into_iter().map(count).sum();
    let what = match report.depth {
        Depth::Keys => "have what they need here; nothing was sent",
        Depth::List => "are listed or have what they need; none was asked",
        Depth::Invoke => "work",
    };
    let mut parts = vec![format!("{working} of {} {what}", report.probes.len())];
    for class in AccessClass::all().filter(|class| !good.contains(class)) {
        let count = count(class);
        if count > 0 {
            parts.push(format!("{count} {}", class.label()));
        }
    }
    if report.depth == Depth::Invoke {
        let unknown =
            if report.unknown > 0 { format!(" and {} of unknown cost", report.unknown) } else { String::new() };
        parts.push(format!("cost ${}{unknown}", report.spent));
    }
    format!("{}\n", parts.join(" · "))
}

/// The JSON object of a test (`schema` 1). Money is a decimal text; what is unknown is null, never 0.
#[must_use]
pub fn object(report: &AccessReport, exit_code: u8) -> Value {
    let probes = |probes: &[Probed]| probes.iter().map(probe).collect::<Vec<_>>();
    json!({
        "schema": 1,
        "at": instant::utc(report.at_ms),
        "depth": report.depth.as_str(),
        "cost": {"most_usd": report.most.to_string(), "usd": report.spent.to_string(), "unknown": report.unknown},
        "probes": probes(&report.probes),
        "search": probes(&report.search),
        "exit_code": exit_code,
    })
}

fn probe(probed: &Probed) -> Value {
    let rungs: serde_json::Map<String, Value> =
        probed.access.rungs.iter().map(|(rung, verdict)| (rung.as_str().to_owned(), verdict.as_str().into())).collect();
    json!({
        "name": probed.name,
        "provider": probed.provider,
        "model": probed.model,
        "region": probed.region,
        "profile": probed.profile,
        "credential": probed.credential,
        "class": probed.access.class.key(),
        "works": probed.access.class.works(),
        "rungs": rungs,
        "first_token_ms": probed.first_token_ms,
        "cost_usd": probed.cost.map(|cost| cost.to_string()),
        "call": probed.call,
        "try": probed.next(),
        "works_as": probed.works,
        "fix": probed.fix,
        "error": probed.failure.as_ref().map(call::error),
    })
}

/// JUnit's XML: a suite for each provider, a case for each probe.
#[must_use]
pub fn junit(report: &AccessReport) -> String {
    let mut providers: Vec<&str> = report.probes.iter().map(|probed| probed.provider.as_str()).collect();
    providers.dedup();
    let mut seen: Vec<&str> = Vec::new();
    providers.retain(|provider| {
        !seen.contains(provider) && {
            seen.push(provider);
            true
        }
    });
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"llmx test-access\">\n");
    for provider in providers {
        let cases: Vec<&Probed> = report.probes.iter().filter(|probed| probed.provider == provider).collect();
        let is_skipped = |probed: &&&Probed| probed.access.class == AccessClass::NotAsked;
        let failures =
            cases.iter().filter(|probed| probed.access.class.works() != Some(true) && !is_skipped(probed)).count();
        let skipped = cases.iter().filter(is_skipped).count();
        text.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\" timestamp=\"{}\">\n",
            xml(provider),
            cases.len(),
            instant::utc(report.at_ms).replace(' ', "T").trim_end_matches('Z'),
        ));
        cases.iter().for_each(|probed| text.push_str(&case(probed)));
        text.push_str("  </testsuite>\n");
    }
    text + "</testsuites>\n"
}

fn case(probed: &Probed) -> String {
    let profile = probed.profile.as_ref().map(|profile| format!(" ({profile})")).unwrap_or_default();
    let millis = probed.first_token_ms.unwrap_or(0);
    let head = format!(
        "    <testcase name=\"{}\" classname=\"{}\" time=\"{}.{:03}\"",
        xml(&format!("{}{profile}", probed.name)),
        xml(&format!("{}.{}", probed.provider, probed.region.as_deref().unwrap_or("-"))),
        millis / 1000,
        millis % 1000
    );
    let class = probed.access.class;
    match class.works() {
        Some(true) => format!("{head}/>\n"),
        _ if class == AccessClass::NotAsked => format!("{head}><skipped/></testcase>\n"),
        _ => {
            let words = probed.failure.as_ref().map(|failure| failure.message.as_str()).unwrap_or_default();
            let next = probed.next().map(|next| format!("try: {next}")).unwrap_or_default();
            format!(
                "{head}><failure type=\"{}\" message=\"{}\">{}</failure></testcase>\n",
                class.key(),
                xml(words),
                xml(&next)
            )
        }
    }
}

/// Text in XML, on one line and without what steers a terminal.
fn xml(text: &str) -> String {
    one_line(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A model that works here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsableLine {
    /// As `-m` takes it.
    pub name: String,
    /// Where it was asked.
    pub region: Option<String>,
    pub profile: Option<String>,
    pub first_token_ms: Option<u64>,
    /// USD per 1M tokens of input and of output.
    pub price: Option<(String, String)>,
    /// Milliseconds since it was asked.
    pub age_ms: i64,
}

/// What works here as a table.
#[must_use]
pub fn usable_table(lines: &[UsableLine]) -> String {
    let head = ["model", "in", "out", "first", "tested", "where"].map(str::to_owned);
    let cells = |line: &UsableLine| {
        let (input, output) = line.price.clone().unwrap_or_else(|| ("-".into(), "-".into()));
        let profile = line.profile.as_ref().map(|profile| format!("the profile {profile}"));
        let place: Vec<String> = line.region.iter().cloned().chain(profile).collect();
        let first = line.first_token_ms.map(seconds).unwrap_or_default();
        [line.name.clone(), input, output, first, ago(line.age_ms), place.join(", ")].map(|cell| one_line(&cell))
    };
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(lines.iter().map(cells)).collect();
    columns(&rows, 1..4)
}

/// What a provider lists: name, context window, the provider's own name for people.
#[must_use]
pub fn listed(models: &[[String; 3]]) -> String {
    let head = ["model", "context", "name"].map(str::to_owned);
    let rows = models.iter().map(|row| row.clone().map(|cell| one_line(&cell)));
    columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), 1..2)
}

/// How long ago, in words: `3 h ago`.
#[must_use]
pub fn ago(millis: i64) -> String {
    let minutes = millis.max(0) / 60_000;
    match minutes {
        0 => "just now".into(),
        1..=119 => format!("{minutes} min ago"),
        120..=2879 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::{Style, ago, announcement, junit, object, table};
    use crate::domain::access::{AccessReport, Depth, Facts, Probed, judge};
    use crate::domain::failure::{ErrorClass, Failure};
    use crate::domain::money::Usd;

    fn probed(model: &str, region: &str, failure: Option<Failure>) -> Probed {
        let facts = Facts { provider: "Amazon Bedrock".into(), region: Some(region.into()), ..Facts::default() };
        Probed {
            provider: "bedrock".into(),
            provider_name: "Amazon Bedrock".into(),
            model: model.into(),
            name: format!("bedrock@{region}/{model}"),
            region: Some(region.into()),
            profile: None,
            credential: Some("AWS_ACCESS_KEY_ID".into()),
            access: judge(failure.as_ref(), &facts),
            first_token_ms: failure.is_none().then_some(612),
            failure,
            call: None,
            cost: Some(Usd::default()),
            works: Vec::new(),
            fix: Vec::new(),
        }
    }

    fn report() -> AccessReport {
        let profile = || Failure::new(ErrorClass::Region, "Invocation with on-demand throughput isn't supported.");
        let denied = Failure::new(ErrorClass::Permission, "<no>\u{1b}[31m & \"never\"").advise("ask");
        let mut one = probed("anthropic.claude-sonnet-4-6", "eu-west-1", Some(profile()));
        one.works =
            vec!["bedrock/eu.anthropic.claude-sonnet-4-6".into(), "bedrock/global.anthropic.claude-sonnet-4-6".into()];
        AccessReport {
            at_ms: 0,
            depth: Depth::Invoke,
            most: Usd::parse("0.002").expect("an amount"),
            spent: Usd::parse("0.00012").expect("an amount"),
            unknown: 0,
            probes: vec![
                one,
                probed("anthropic.claude-sonnet-4-6", "us-east-1", None),
                probed("amazon.nova-lite-v1:0", "eu-west-1", None),
                probed("amazon.nova-lite-v1:0", "us-east-1", Some(denied)),
            ],
            search: Vec::new(),
        }
    }

    #[test]
    fn regions_are_columns_and_what_fails_is_told_with_what_mends_it() {
        insta::assert_snapshot!(table(&report(), Style::default()), @r#"
        bedrock  Amazon Bedrock · AWS_ACCESS_KEY_ID
                                       eu-west-1      us-east-1
          anthropic.claude-sonnet-4-6  needs profile  ok 0.62s
          amazon.nova-lite-v1:0        ok 0.62s       denied

          bedrock@eu-west-1/anthropic.claude-sonnet-4-6: needs profile — Invocation with on-demand throughput isn't supported.
            try: -m bedrock/eu.anthropic.claude-sonnet-4-6   (asked: it answers)
              or -m bedrock/global.anthropic.claude-sonnet-4-6

          bedrock@us-east-1/amazon.nova-lite-v1:0: denied — <no>␛[31m & "never"
            try: ask

        2 of 4 work · 1 denied · 1 needs profile · cost $0.00012
        "#);
    }

    #[test]
    fn colour_is_only_where_it_is_asked_for() {
        assert!(!table(&report(), Style { whole: true, again: true, colour: false }).contains('\u{1b}'));
        let coloured = table(&report(), Style { colour: true, ..Style::default() });
        assert!(coloured.contains("\u{1b}[32mok 0.62s\u{1b}[0m"), "{coloured:?}");
    }

    #[test]
    fn the_files_hold_every_probe() {
        let json = object(&report(), 9);
        assert_eq!(
            (json["probes"][0]["class"].as_str(), json["probes"][0]["rungs"]["reachable"].as_str()),
            (Some("needs-profile"), Some("failed"))
        );
        assert_eq!((json["probes"][1]["works"].as_bool(), json["exit_code"].as_u64()), (Some(true), Some(9)));
        let xml = junit(&report());
        assert!(xml.contains("tests=\"4\" failures=\"2\" skipped=\"0\" timestamp=\"1970-01-01T00:00:00\""), "{xml}");
        assert!(xml.contains("&lt;no&gt;␛[31m &amp; &quot;never&quot;"), "{xml}");
        assert_eq!(xml.matches("<testcase").count(), 4);
    }

    #[test]
    fn the_most_that_it_can_cost_is_said_first() {
        let usd = |text| Usd::parse(text).expect("an amount");
        assert_eq!(
            announcement("", 1, usd("0.002"), usd("0.05"), 0, false),
            "llmx: 1 probe, at most $0.002 (--max-cost $0.05)\n"
        );
        let dear = announcement("", 9, usd("0.06"), usd("0.05"), 2, false);
        assert!(dear.contains("what does not fit is not asked; 2 of them without a known price"), "{dear}");
    }

    #[test]
    fn ages_are_told_in_whole_units() {
        for (millis, told) in [
            (-5, "just now"),
            (59_999, "just now"),
            (60_000, "1 min ago"),
            (7_200_000, "2 h ago"),
            (691_200_000, "8 days ago"),
        ] {
            assert_eq!(ago(millis), told);
        }
    }
}
