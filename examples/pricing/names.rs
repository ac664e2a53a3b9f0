//! Names of models: dates, versions, cross-region prefixes, and whose word a price is.

use super::read::{Entry, Seller};

/// `provider/id`, through the row of the catalog by which it is called.
pub fn key(rules: &Seller, entry: &Entry) -> String {
    match rules.moves.iter().find(|it| entry.id.contains(&it.contains)) {
        Some(it) => format!("{}/{}", it.provider, entry.id.strip_prefix(&it.cut).unwrap_or(&entry.id)),
        None => format!("{}/{}", entry.provider, entry.id),
    }
}

/// The key without its cross-region prefix, where it has one, and that prefix.
pub fn base_of<'r>(key: &str, rules: &'r Seller) -> (Option<String>, &'r str) {
    let found = key.split_once('/').and_then(|(provider, id)| {
        rules.profile_prefixes.iter().find_map(|prefix| {
            let rest = id.strip_prefix(prefix.as_str())?.strip_prefix('.')?;
            Some((format!("{provider}/{rest}"), prefix.as_str()))
        })
    });
    found.map_or((None, "none"), |(base, prefix)| (Some(base), prefix))
}

/// The name itself, then without a `@version`, a Bedrock version, a date.
pub fn shortened(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    let mut push = |name: &str| {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    };
    let plain = name.split('@').next().unwrap_or(name);
    push(plain);
    let versionless = match plain.rsplit_once("-v") {
        Some((start, version)) if version.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') => start,
        _ => plain,
    };
    push(versionless);
    if let Some((start, _)) = versionless.rsplit_once('-').filter(|(_, date)| is_day(date)) {
        push(start);
    }
    names
}

pub fn ends_in_a_date(id: &str) -> bool {
    ["-0000-00-00", "-00000000", "@00000000"].iter().any(|shape| {
        let cut = id.len().saturating_sub(shape.len());
        id.get(..cut).and_then(|base| date_of(id, base)).is_some()
    })
}

pub fn is_day(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The date of a dated name: `base` and `-YYYY-MM-DD`, `-YYYYMMDD` or `@YYYYMMDD`.
pub fn date_of<'n>(name: &'n str, base: &str) -> Option<&'n str> {
    let rest = name.strip_prefix(base)?;
    let date = rest.strip_prefix('-').or_else(|| rest.strip_prefix('@'))?;
    let shape: String = date.chars().map(|it| if it.is_ascii_digit() { '0' } else { it }).collect();
    (shape == "00000000" || shape == "0000-00-00" && rest.starts_with('-')).then_some(date)
}

pub fn host(url: &str) -> &str {
    url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default()
}

/// Whether a single source is the seller's own word.
pub fn stands_alone(entry: &Entry, rules: &Seller) -> bool {
    let cites = |text: &str| rules.pages.iter().any(|page| text.contains(&format!("://{page}/")));
    let litellm = entry.sources.litellm.as_ref().and_then(|litellm| litellm.source_url.as_deref()).is_some_and(cites);
    let genai = entry.sources.genai.as_ref();
    let noted = genai.and_then(|genai| genai.note.as_deref()).is_some_and(cites);
    litellm || noted || (genai.is_some() && rules.genai_reads_the_page)
}
