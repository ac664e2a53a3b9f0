//! What a user can do about a model that does not work, line by line, ready to be copied. Nothing is done here.

use serde_json::json;

use super::select::Cell;
use crate::domain::access::{AccessClass, Probed};
use crate::provider::access;

/// The lines for one probe; none where it works or only time helps.
pub fn fix(cell: &Cell, probed: &Probed) -> Vec<String> {
    let row = &cell.row;
    let region = probed.region.as_deref();
    let mut lines = Vec::new();
    let page = access::console(row, region).or_else(|| row.docs.clone());
    let open = page.map(|page| format!("open {page}"));
    match probed.access.class {
        AccessClass::NoKey | AccessClass::BadKey => {
            lines.extend(row.key.first().or(row.token.first()).map(|key| format!("export {key}=…")));
            lines.extend(access::login(row, cell.profile.as_deref()));
            lines.extend(row.docs.as_ref().map(|docs| format!("open {docs}")));
            if !row.key.is_empty() {
                lines.extend(config(&format!("[provider.{}]", row.id), "key_file = \"/path/to/a/file/with/the/key\""));
            }
        }
        AccessClass::Expired => match access::login(row, cell.profile.as_deref()) {
            Some(login) => lines.push(login),
            None => lines.extend(row.key.first().map(|key| format!("export {key}=…"))),
        },
        AccessClass::ClockSkew => lines.push("sudo timedatectl set-ntp true".into()),
        AccessClass::NoRegion => {
            let variable = row.vars.get("region").and_then(|names| names.first()).map_or("AWS_REGION", String::as_str);
            lines.push(format!("export {variable}=…"));
        }
        AccessClass::NotEnabled => {
            lines.extend(open);
            lines.extend(policy(cell, probed));
        }
        AccessClass::Denied => lines.extend(policy(cell, probed).into_iter().chain(open.filter(|_| region.is_none()))),
        AccessClass::NeedsProfile | AccessClass::WrongRegion | AccessClass::NotFound | AccessClass::Retired => {
            lines.extend(open.filter(|_| probed.works.is_empty()));
        }
        AccessClass::NoQuota => lines.extend(open),
        AccessClass::Unpriced => {
            lines.push("add to pricing.toml beside config.toml, in USD per 1M tokens:".into());
            lines.push(format!("  [model.\"{}/{}\"]", cell.name.provider, cell.name.model));
            lines.push("  price = { input = …, output = … }".into());
            lines.push("  source = \"https://…\"".into());
            lines.push("  checked = YYYY-MM-DD".into());
        }
        AccessClass::NetworkTls => lines.extend(config("", "ca_bundle = \"/path/to/your/company/roots.pem\"")),
        AccessClass::NetworkProxy => lines.push("export HTTPS_PROXY=http://HOST:PORT".into()),
        AccessClass::Ok
        | AccessClass::Present
        | AccessClass::Listed
        | AccessClass::RateLimited
        | AccessClass::Budget
        | AccessClass::NetworkDns
        | AccessClass::NetworkRefused
        | AccessClass::Network
        | AccessClass::Timeout
        | AccessClass::Overloaded
        | AccessClass::Protocol
        | AccessClass::InvalidRequest
        | AccessClass::Config
        | AccessClass::NotAsked => {}
    }
    if let Some(works) = probed.works.first() {
        lines.extend(config("", &format!("model = \"{works}\"")));
    }
    lines
}

fn config(table: &str, line: &str) -> Vec<String> {
    let table = (!table.is_empty()).then(|| format!("  {table}"));
    std::iter::once("add to config.toml:".to_owned()).chain(table).chain([format!("  {line}")]).collect()
}

/// The IAM policy that allows the model, and where it routes to.
fn policy(cell: &Cell, probed: &Probed) -> Vec<String> {
    let words = probed.failure.as_ref().and_then(|failure| failure.provider_message.as_deref()).unwrap_or_default();
    // The account may stand in the words; it is no secret to its own user.
    let account = access::account(words);
    let region = probed.region.as_deref().unwrap_or("*");
    let Some(statement) = access::statement(&cell.row, &cell.name.model, region, account) else { return Vec::new() };
    let document = json!({"Version": "2012-10-17", "Statement": [statement]});
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    std::iter::once("attach to the user or role, and allow the same in service control policies:".to_owned())
        .chain(text.lines().map(|line| format!("  {line}")))
        .collect()
}
