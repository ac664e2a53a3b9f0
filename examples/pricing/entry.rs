//! From a row of the snapshot to an entry of the table.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::Maker;
use super::figures::{OUTPUT, RATES, Rates, Sheet, Usd, completed, factor_text, scaled, thousandths, unscaled};
use super::names::{date_of, ends_in_a_date, host, shortened};
use super::read::{CachedInMode, Entry, Like, RawSheet, Seller};
use super::write::{Model, bare, field, grouped, price, quoted};

impl Maker<'_> {
    /// The entry that a row of the snapshot makes.
    ///
    /// # Errors
    /// What contradicts what.
    pub fn model(&mut self, key: &str, entry: &Entry, rules: &Seller) -> Result<Model, String> {
        let mut model = Model::default();
        names(&mut model, key, entry, rules, &self.left);
        if entry.mode == "embedding" {
            model.set("kind", quoted("embedding"));
        }
        limits(&mut model, entry);
        if entry.free {
            model.set("free", "true".to_owned());
        } else if let Some(video) = entry.rates.keys().find(|name| name.ends_with("_video")) {
            let reason = format!("video tokens have a rate of their own ({video}) and no count of their own");
            model.set("unpriced", quoted(&reason));
        } else {
            model = self.priced(model, key, entry, rules)?;
        }
        self.finish(&mut model, key)?;
        Ok(model)
    }

    /// With `like` where every figure follows, else with its own `price`.
    fn priced(&self, mut model: Model, key: &str, entry: &Entry, rules: &Seller) -> Result<Model, String> {
        let sheet = Sheet::read(&entry.rates, entry.tiers.as_deref().unwrap_or(&[]), rules.places)?;
        let rows = self.rows(entry, rules, &sheet)?;
        model.has_dates = rows.len() > 1;
        model.fees = fees(entry)?;
        if let Some(note) = self.note(key, entry) {
            model.set("note", quoted(&note));
        }
        if let Some(mut inheriting) = self.inheriting(&model, key, &sheet, rules)
            && self.modes(&mut inheriting, key, entry, rules)?
        {
            return Ok(inheriting);
        }
        let mut own = self.with_price(&model, key, entry, &rows)?;
        self.modes(&mut own, key, entry, rules)?;
        let single = entry.agreement_flag == "single";
        if let Some(source) = self.source(key, entry, rules).filter(|_| single) {
            own.set("source", quoted(&source));
        }
        Ok(own)
    }

    fn inheriting(&self, model: &Model, key: &str, sheet: &Sheet, rules: &Seller) -> Option<Model> {
        let (target, like) = self.like(rules, key, |like| like.profiles.is_empty())?;
        let scale = like.scale.map_or(Some(1000), |scale| thousandths(&Value::Float(scale)))?;
        let other = &self.models[&target];
        let fees_follow = model.fees.iter().all(|(name, fee)| self.fee(&target, name) == Some(*fee));
        let dates_follow = !other.has_dates || rules.own_dates;
        let ruled = self.rulings.change.get(key).is_some_and(|change| change.contains_key("price"));
        if ruled || !fees_follow || !dates_follow || !sheet.follows(other.sheet.as_ref()?, scale) {
            return None;
        }
        let mut model = Model { has_dates: other.has_dates, ..model.clone() };
        model.set("like", quoted(&target));
        if scale != 1000 {
            model.set("scale", factor_text(scale));
        }
        model.sheet = other.sheet.as_ref().map(|sheet| scaled(sheet, scale));
        Some(model)
    }

    /// With rows of its own, checked for what a price must have.
    fn with_price(
        &self,
        model: &Model,
        key: &str,
        entry: &Entry,
        rows: &[(Option<String>, Sheet)],
    ) -> Result<Model, String> {
        let mut model = model.clone();
        let today = rows.iter().rev().find(|(from, _)| from.as_ref().is_none_or(|from| !self.announced(from)));
        let (_, sheet) = today.ok_or("no price holds today")?;
        if sheet.base.values().any(|usd| usd.0 == 0) {
            return Err("a zero that nobody confirmed".to_owned());
        }
        if entry.mode == "chat" && !sheet.base.contains_key(&OUTPUT) {
            return Err("a chat model without a price for its output".to_owned());
        }
        let ratio = self.ratio(key);
        model.set("price", price(rows, &ratio));
        model.sheet = Some(sheet.with(&ratio));
        let provider = self.provider(key, "fees");
        let own = model.fees.iter().filter(|(name, fee)| provider.get(*name) != Some(*fee));
        let own: Vec<String> = own.map(|(name, fee)| format!("{} = {}", bare(name), fee.text())).collect();
        if !own.is_empty() {
            model.set("fees", format!("{{ {} }}", own.join(", ")));
        }
        Ok(model)
    }

    /// Whether an instant is after the day on which the table was checked.
    fn announced(&self, from: &str) -> bool {
        *from > *self.rulings.checked.to_string()
    }

    /// The dated rows, oldest first; the last is the sheet of today or one that is announced.
    fn rows(&self, entry: &Entry, rules: &Seller, today: &Sheet) -> Result<Vec<(Option<String>, Sheet)>, String> {
        if entry.time_of_day_note.is_some() {
            return Err("prices by the hour are written by hand".to_owned());
        }
        let read = |row: &RawSheet| -> Result<(Option<String>, Sheet), String> {
            let from = row.effective_from.as_ref().map(|day| format!("{day}T00:00:00Z"));
            Ok((from, Sheet::read(&row.base, &row.tiers, rules.places)?))
        };
        let mut rows = match entry.history.last() {
            Some(last) if rules.own_dates && read(last)?.1 == *today => {
                entry.history.iter().map(read).collect::<Result<Vec<_>, _>>()?
            }
            _ => vec![(None, today.clone())],
        };
        if rules.own_dates {
            rows.extend(entry.future.iter().map(read).collect::<Result<Vec<_>, _>>()?);
        }
        rows.dedup_by(|later, earlier| later.1 == earlier.1);
        if !rows.is_sorted_by(|one, other| one.0 < other.0) {
            return Err("its rows are not in the order of their dates".to_owned());
        }
        Ok(rows)
    }

    /// Own factors and sheets of modes, and the factors of attributes. `false`: the entry's `scale`, which a sheet of a
    /// mode is multiplied by, too, does not lead to the figures of one.
    pub fn modes(&self, model: &mut Model, key: &str, entry: &Entry, rules: &Seller) -> Result<bool, String> {
        let Some(standard) = model.sheet.clone() else { return Ok(true) };
        let own = Sheet::read(&entry.rates, entry.tiers.as_deref().unwrap_or(&[]), rules.places)?;
        let like = model.get("like").map(|like| like.trim_matches('"').to_owned());
        let scale = model.get("scale").map_or(Ok(Usd(1_000_000_000)), |scale| Usd::parse(scale, None))?.0 / 1_000_000;
        let provider = self.provider_factors(key, "mode");
        let ratio = self.ratio(like.as_deref().unwrap_or(key));
        let mut times: BTreeMap<String, i128> = BTreeMap::new();
        let mut written: Vec<(String, String)> = Vec::new();
        for (name, mode) in entry.modes.iter().filter(|(name, _)| SERVED.contains(&name.as_str())) {
            let disputed = entry.agreement_modes.get(name).is_some_and(|agreement| agreement.starts_with("conflict"));
            if disputed && !self.rulings.take.contains_key(key) {
                continue;
            }
            let listed = Sheet::read(&mode.base, &mode.tiers, rules.places)?;
            let target = like.as_ref().and_then(|like| self.models.get(like)).and_then(|like| like.modes.get(name));
            let target = target.filter(|_| model.get("profiles").is_none()).map(|sheet| scaled(sheet, scale));
            // A sheet would not follow the dates: only a factor does.
            let cached = if model.has_dates { CachedInMode::Factor } else { rules.cached_in_mode };
            let sheet =
                completed(&listed, &own, target.as_ref(), cached).map_err(|error| format!("{name}: {error}"))?;
            let sheet = match sheet.factor_of(&own) {
                // Whatever the standard sheet has beside, such as what a ratio gives, follows the factor.
                Some(factor) => scaled(&standard, factor),
                None => sheet.with(&ratio),
            };
            let factor = sheet.factor_of(&standard);
            if let Some(attribute) = rules.mode_is.get(name) {
                let factor = factor.ok_or(format!("{name} is no factor, and stands for {attribute}"))?;
                if entry.multipliers.get(attribute).is_some_and(|other| *other != factor_text(factor)) {
                    return Err(format!("{name} and {attribute} contradict each other"));
                }
                times.insert(attribute.clone(), factor);
                continue;
            }
            match factor {
                Some(factor) if provider.get(name) == Some(&factor) => {}
                Some(factor) => written.push((name.clone(), factor_text(factor))),
                // A list that rounds the provider's factor to cents: the factor is what outlives a change of price.
                None if model.has_dates
                    && provider.get(name).is_some_and(|it| sheet.rounds(&scaled(&standard, *it))) => {}
                None if model.has_dates => return Err(format!("{name} is a sheet of today beside dated prices")),
                None if model.get("profiles").is_some() => return Err(format!("{name} is a sheet of one profile")),
                None => match unscaled(&sheet, scale) {
                    Some(sheet) => written.push((name.clone(), format!("{{ {} }}", sheet.text(&ratio)))),
                    None => return Ok(false),
                },
            }
            model.modes.insert(name.clone(), sheet);
        }
        if written.iter().all(|(_, text)| !text.starts_with('{')) && !written.is_empty() {
            let parts: Vec<String> = written.iter().map(|(name, text)| format!("{name} = {text}")).collect();
            model.set("mode", format!("{{ {} }}", parts.join(", ")));
        } else {
            for (name, text) in written {
                model.set(&format!("mode.{name}"), text);
            }
        }
        self.times(model, key, entry, rules, times)?;
        Ok(true)
    }

    /// Factors of attributes, with those that a mode stood for; the provider's are switched off where the row has none.
    fn times(
        &self,
        model: &mut Model,
        key: &str,
        entry: &Entry,
        rules: &Seller,
        mut times: BTreeMap<String, i128>,
    ) -> Result<(), String> {
        for (name, factor) in &entry.multipliers {
            let factor = Usd::parse(factor, None)?.over(Usd(1_000_000_000)).ok_or(format!("{name} is too fine"))?;
            times.insert(rules.attribute.get(name).unwrap_or(name).clone(), factor);
        }
        let provider = self.provider_factors(key, "times");
        for name in rules.attribute.values().filter(|name| provider.contains_key(*name)) {
            times.entry(name.clone()).or_insert(1000);
        }
        times.retain(|name, factor| provider.get(name) != Some(factor));
        if !times.is_empty() {
            let parts = times.iter().map(|(name, factor)| format!("{} = {}", quoted(name), factor_text(*factor)));
            model.set("times", format!("{{ {} }}", parts.collect::<Vec<_>>().join(", ")));
        }
        Ok(())
    }

    /// The first `like` that fits a key and whose target is there: as it stands, or without its version or date.
    pub fn like<'r>(&self, rules: &'r Seller, key: &str, wanted: impl Fn(&Like) -> bool) -> Option<(String, &'r Like)> {
        rules.like.iter().filter(|like| wanted(like)).find_map(|like| {
            let target = format!("{}{}", like.of, key.strip_prefix(&like.starts)?);
            shortened(&target)
                .into_iter()
                .find(|target| target != key && self.models.contains_key(target))
                .map(|it| (it, like))
        })
    }

    fn note(&self, key: &str, entry: &Entry) -> Option<String> {
        if let Some(why) = self.rulings.take.get(key) {
            return Some(why.clone());
        }
        match entry.agreement_flag.as_str() {
            "resolved" => entry.resolution.as_ref().map(|resolution| resolution.why.clone()),
            "majority" => majority(entry),
            _ => None,
        }
    }

    fn source(&self, key: &str, entry: &Entry, rules: &Seller) -> Option<String> {
        let url = entry.sources.litellm.as_ref().and_then(|litellm| litellm.source_url.clone())?;
        if !rules.pages.iter().any(|page| host(&url) == page) {
            return None;
        }
        let provider = key.split('/').next()?;
        let known = self.rulings.provider.get(provider)?.get("source")?.as_str()?;
        (!url.starts_with(known)).then_some(url)
    }

    /// A ruling's changes last, so that it wins; an empty table takes a field away.
    pub fn finish(&mut self, model: &mut Model, key: &str) -> Result<(), String> {
        let Some(change) = self.rulings.change.get(key) else { return Ok(()) };
        self.used.insert(key.to_owned());
        let why = change.get("why").and_then(Value::as_str).ok_or(format!("change.{key:?} has no why"))?;
        for (name, value) in change.iter().filter(|(name, _)| name.as_str() != "why") {
            match value.as_table().is_some_and(Table::is_empty) {
                true => model.fields.retain(|(field, _)| field != name),
                false => model.set(name, field(name, value)),
            }
        }
        model.set("note", quoted(why));
        Ok(())
    }

    fn provider(&self, key: &str, rule: &str) -> BTreeMap<String, Usd> {
        let provider = key.split('/').next().unwrap_or_default();
        let rules = self.rulings.provider.get(provider).and_then(|rules| rules.get(rule)).and_then(Value::as_table);
        let usd = |value: &Value| thousandths(value).map(|thousandths| Usd(thousandths * 1_000_000));
        rules.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), usd(value)?))).collect()
    }

    pub fn provider_factors(&self, key: &str, rule: &str) -> BTreeMap<String, i128> {
        self.provider(key, rule).into_iter().map(|(name, usd)| (name, usd.0 / 1_000_000)).collect()
    }

    /// Ratios by dimension, in thousandths.
    fn ratio(&self, key: &str) -> Rates {
        let ratio = self.provider_factors(key, "ratio").into_iter();
        ratio.filter_map(|(name, it)| Some((RATES.iter().position(|known| *known == name)?, Usd(it)))).collect()
    }

    /// A fee as it resolves: the entry's, or its provider's.
    fn fee(&self, key: &str, name: &str) -> Option<Usd> {
        self.models[key].fees.get(name).copied().or_else(|| self.provider(key, "fees").get(name).copied())
    }
}

/// The two whose figures were taken, and the one whose were not.
fn majority(entry: &Entry) -> Option<String> {
    let lost = |name: &str| {
        entry.conflicts.iter().any(|(dimension, says)| {
            let said = says.get(name).and_then(|said| said.as_str());
            said.is_some_and(|said| entry.rates.get(dimension).is_none_or(|taken| taken != said))
        })
    };
    let named = [("litellm", "LiteLLM"), ("genai", "genai-prices"), ("modelsdev", "models.dev")];
    let (against, taken): (Vec<_>, Vec<_>) = named.into_iter().partition(|(name, _)| lost(name));
    let [(_, one), (_, other)] = taken.as_slice() else { return None };
    Some(format!("{one} and {other}, against {}", against.first()?.1))
}

/// Modes that a response names. The others are products of their own (`decisions`) or a router's route.
const SERVED: [&str; 5] = ["batch", "flex", "priority", "fast", "ultrafast"];

/// Aliases: a date is `dated`, and a dated name that is left out for another price is an exception.
fn names(model: &mut Model, key: &str, entry: &Entry, rules: &Seller, left: &BTreeMap<String, &Entry>) {
    let is_alias = |alias: &&String| date_of(alias, &entry.id).is_none();
    let dated_here = ends_in_a_date(&entry.id);
    let may_be_dated = rules.dated && !dated_here && !entry.id.contains([':', '@']) && !entry.id.ends_with("-latest");
    if may_be_dated || !entry.aliases.iter().all(|alias| is_alias(&alias)) {
        model.set("dated", "true".to_owned());
        let other = left.iter().filter(|(_, other)| other.rates != entry.rates);
        let except: Vec<String> = other.filter_map(|(name, _)| date_of(name, key)).map(quoted).collect();
        if !except.is_empty() {
            model.set("except", format!("[{}]", except.join(", ")));
        }
    }
    let aliases: Vec<String> = entry.aliases.iter().filter(is_alias).map(|alias| quoted(alias)).collect();
    if !aliases.is_empty() {
        model.set("alias", format!("[{}]", aliases.join(", ")));
    }
}

pub fn limits(model: &mut Model, entry: &Entry) {
    let known = |number: Option<u64>| number.filter(|number| *number > 0);
    if let Some(context) = known(entry.context_window) {
        model.set("context", grouped(context));
    }
    if let Some(max_output) = known(entry.max_output).filter(|_| entry.mode != "embedding") {
        model.set("max_output", grouped(max_output));
    }
}

/// Fees that are prices: a unit is none, and Sonar's `request` repeats its dearest search.
fn fees(entry: &Entry) -> Result<BTreeMap<String, Usd>, String> {
    let mut fees = BTreeMap::new();
    for (name, fee) in &entry.fees_per_1k {
        let name = match name.as_str() {
            "web_search_unit" => continue,
            "request" if entry.fees_per_1k.contains_key("web_search:high") => continue,
            "maps_grounding" => "maps",
            name => name,
        };
        fees.insert(name.to_owned(), Usd::parse(fee, None).map_err(|error| format!("{name}: {error}"))?);
    }
    Ok(fees)
}
