//! What is around llmx: its own build, its prices, the way to the network, the terminal, other programs of its name.

use crate::command::config::Config;
use crate::command::desk;
use crate::command::outside::{self, env, machine, program};
use crate::command::{GlobalArgs, colour};
use crate::domain::failure::Failure;
use crate::domain::instant::day;
use crate::domain::window::Zone;
use crate::pricing::Prices;
use crate::provider::Limits;
use crate::provider::net::Net;
use crate::render::doctor::Finding;
use crate::render::terminal::{Screen, Terminal};

const DAY_MS: i64 = 86_400_000;
/// Prices that are older may have changed, in days.
const PRICES_OLD: i64 = 90;

/// The build.
pub fn version() -> Finding {
    let features = [("bedrock", cfg!(feature = "bedrock")), ("otel", cfg!(feature = "otel"))];
    let features: Vec<&str> = features.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
    let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
    let said = format!("llmx {} for {}, features: {features}", env!("CARGO_PKG_VERSION"), machine());
    Finding::ok("version", said)
}

/// The price tables in use, and how old the bundled one is.
pub fn prices(read: Result<Prices, Failure>, now_ms: i64) -> Finding {
    let (prices, failure) = match read {
        Ok(prices) => (prices, None),
        Err(failure) => (Prices::bundled(), Some(failure)),
    };
    if let Some(failure) = failure {
        let advice = failure.advice.unwrap_or_else(|| "mend the file".into());
        return Finding::problem("prices", failure.message, advice);
    }
    let tables: Vec<String> =
        prices.tables().map(|table| format!("{} {}", table.name(), table.version()).trim().to_owned()).collect();
    let said = tables.join(", over it ");
    // The bundled table is the last, and its version begins with its day.
    let version = prices.tables().last().map(|table| table.version()).unwrap_or_default();
    match version.get(..10).and_then(day).map(|day_ms| now_ms.saturating_sub(day_ms) / DAY_MS) {
        Some(days) if days < -1 => Finding::problem(
            "clock",
            format!("it is {} days before the prices of this build ({version})", -days),
            "set the clock",
        ),
        Some(days) if days > PRICES_OLD => {
            let said = format!("{said}: {days} days old");
            Finding::warning("prices", said, "use a newer llmx, or put prices that changed into your pricing.toml")
        }
        Some(days) => Finding::ok("prices", format!("{said}: {} day(s) old", days.max(0))),
        None => Finding::ok("prices", said),
    }
}

/// Proxies and roots of trust, as the environment and the configuration name them.
pub fn network(config: &Config) -> Vec<Finding> {
    const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let mut findings: Vec<Finding> = PROXIES
        .into_iter()
        .filter_map(|name| Some(Finding::ok("proxy", format!("{name} is {}", host_only(&env(name)?)))))
        .collect();
    for name in ["NO_PROXY", "no_proxy"] {
        let excepted = env(name).map(|hosts| hosts.split(',').filter(|host| !host.trim().is_empty()).count());
        findings.extend(excepted.map(|count| Finding::ok("proxy", format!("{name} excepts {count} host(s)"))));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("proxy", "none is set"));
    }
    let named = match (&config.ca_bundle, env("SSL_CERT_FILE")) {
        (Some(path), _) => Some(("ca_bundle", path.clone())),
        (None, Some(path)) => Some(("SSL_CERT_FILE", path.into())),
        (None, None) => None,
    };
    findings.push(match named {
        Some((origin, path)) => {
            let net = Net::new(Some(path.clone()), &Limits::default(), &env);
            match net.check_roots() {
                Ok(()) => Finding::ok("roots", format!("built-in, and those of {} ({origin})", path.display())),
                Err(failure) => Finding::problem("roots", failure.message, failure.advice.unwrap_or_default()),
            }
        }
        None => match ["SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"]
            .into_iter()
            .find(|name| env(name).is_some())
        {
            Some(other) => Finding::warning(
                "roots",
                format!("built-in; {other} is set, which llmx does not read"),
                "name a PEM file in SSL_CERT_FILE or ca_bundle if your network has roots of its own",
            ),
            None => Finding::ok("roots", "built-in"),
        },
    });
    findings
}

/// Host and port of a proxy, whatever else stands in its variable.
fn host_only(value: &str) -> String {
    let address = value.rsplit('@').next().unwrap_or_default();
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    address.split(['/', '?', '#']).next().unwrap_or_default().to_owned()
}

/// The terminal, other programs of the same name, language and zone.
pub fn here(global: &GlobalArgs) -> Vec<Finding> {
    let terminal = Terminal::new(colour(global.color), global.quiet, env);
    let set: Vec<String> = ["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS"]
        .into_iter()
        .filter(|name| env(name).is_some())
        .map(|name| format!(", {name} is set"))
        .collect();
    let mut findings = vec![Finding::ok(
        "terminal",
        format!(
            "standard output {}; standard error {}; TERM {}{}",
            screen(&terminal.out),
            screen(&terminal.err),
            env("TERM").as_deref().unwrap_or("not set"),
            set.concat()
        ),
    )];
    findings.push(programs());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| Some((name, env(name)?)));
    findings.push(Finding::ok(
        "locale",
        match locale {
            Some((name, locale)) => format!("{name} is {locale}"),
            None => "none is set".to_owned(),
        },
    ));
    findings.push(Finding::ok("zone", zone()));
    findings
}

fn screen(screen: &Screen) -> String {
    let kind = if screen.terminal { "is a terminal" } else { "is no terminal" };
    let width = screen.width.map(|width| format!(", {width} columns")).unwrap_or_default();
    format!("{kind}{width}, {}", if screen.colour { "in colour" } else { "without colour" })
}

fn programs() -> Finding {
    let found = outside::programs(if cfg!(windows) { "llmx.exe" } else { "llmx" });
    let listed = found.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let this = program();
    let running = this.as_ref().map_or_else(|| "llmx".to_owned(), |path| path.display().to_string());
    match found.as_slice() {
        [] => Finding::ok("program", format!("{running}, which is not on PATH")),
        [only] if this.as_ref() == Some(only) => Finding::ok("program", running),
        _ => Finding::warning(
            "program",
            format!("this is {running}; on PATH, the first one first: {listed}"),
            "remove those that you do not mean, or give the whole path",
        ),
    }
}

/// By `TZ`, else by the system's own link.
fn zone() -> String {
    if let Some(zone) = env("TZ") {
        return format!("{zone} (TZ)");
    }
    let link = std::fs::read_link("/etc/localtime").ok();
    let name = link.and_then(|link| Some(link.to_str()?.split_once("zoneinfo/")?.1.to_owned()));
    if let Some(name) = name {
        return format!("{name} (/etc/localtime)");
    }
    // Windows names it elsewhere.
    match desk::zone(Some("local")) {
        Ok(zone) if zone != Zone::utc() => format!("{} (the system's)", zone.name()),
        Ok(_) | Err(_) => "not named; UTC is taken".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::host_only;

    #[test]
    fn of_a_proxy_only_its_host_is_told() {
        for (value, host) in [
            ("http://me:CANARY@proxy.example:3128/", "proxy.example:3128"),
            ("me:CAN@ARY/CANARY@proxy.example:3128", "proxy.example:3128"),
            ("socks5h://127.0.0.1:1080?key=CANARY", "127.0.0.1:1080"),
            ("proxy.example", "proxy.example"),
        ] {
            assert_eq!(host_only(value), host);
        }
    }
}
