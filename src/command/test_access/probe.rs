//! One probe: open, quote, ask, judge. And many of them at once, within what the test may cost.

use std::cell::{Cell as Count, RefCell};

use tokio::sync::watch;

use super::args::TestAccessArgs;
use super::select::Cell;
use super::together::{Gate, together};
use crate::call::{Call, Guard, News, Target};
use crate::command::calling::Calling;
use crate::command::desk::Desk;
use crate::domain::access::{Access, AccessClass, Facts, Probed, judge, unasked};
use crate::domain::bill::{Bill, Quote};
use crate::domain::budget::Budget;
use crate::domain::chat::{ChatRequest, Message, Part, Role, Settings};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::domain::money::Usd;
use crate::domain::report::{CallReport, Stop};
use crate::provider::catalog::{Auth, Row};
use crate::provider::listing::{self, Listing};
use crate::provider::{Choice, Provider, access, models};
use crate::render::budget;
use crate::render::terminal::Terminal;
use crate::wire::contract::Dialect;

/// What a probe says: short, since it is paid for.
const GREETING: &str = "Hi";
/// Output tokens of a probe, and where the API takes no fewer than 16 (developers.openai.com/api/reference, `max_output_tokens`)
/// or counts thinking in (OpenAI's reasoning models).
const TOKENS: u32 = 1;
const TOKENS_OF_OPENAI: u32 = 16;

/// Whom a listing is asked of: one for all models of a provider in one region with one credential.
type Lister = (String, Option<String>, Option<String>);

/// All that the probes of one round share.
pub struct Bench<'a> {
    pub desk: &'a Desk,
    pub args: &'a TestAccessArgs,
    /// `None` where nothing is sent that costs.
    pub calling: Option<&'a Calling>,
    pub terminal: &'a RefCell<&'a mut Terminal>,
    pub gate: Gate,
    pub stop: watch::Receiver<Option<Stop>>,
    /// The id that the calls of this round share.
    pub group: String,
    /// The soft budgets of which it was said that a probe does not fit them.
    pub passed: RefCell<Vec<Budget>>,
}

/// A cell with what is known of it before anything is sent.
pub struct Opened {
    cell: Cell,
    provider: Result<Provider, Failure>,
    request: ChatRequest,
    quote: Option<Result<Quote, Failure>>,
    facts: Facts,
}

impl Opened {
    /// The most that asking it can cost; `None`: it costs nothing, or nobody can say.
    pub fn ceiling(&self) -> Option<Usd> {
        self.quote.as_ref()?.as_ref().ok()?.ceiling
    }

    /// It would be asked, and nobody can say what that costs.
    pub fn is_unknown(&self) -> bool {
        matches!(&self.quote, Some(Ok(quote)) if quote.ceiling.is_none())
    }

    pub fn warnings(&self) -> Vec<String> {
        self.provider.as_ref().map(Provider::warnings).unwrap_or_default()
    }

    fn lister(&self) -> Lister {
        let region = self.provider.as_ref().ok().and_then(|provider| provider.region().map(str::to_owned));
        (self.cell.row.id.clone(), region, self.cell.profile.clone())
    }
}

impl Bench<'_> {
    /// Looks at what is here. Nothing is sent.
    pub fn open(&self, cell: Cell) -> Opened {
        let choice = Choice { profile: cell.profile.clone(), ..Choice::default() };
        let provider = self.desk.provider(&cell.name, &choice);
        let request = request(&cell, provider.as_ref().ok());
        let quote = provider.as_ref().ok().zip(self.calling).map(|(provider, calling)| {
            let targets = [Target { name: &cell.name, provider }];
            calling.call(&targets, &request, None).quote()
        });
        // An id that is refused for its region does not say which that is; the model's own does.
        let own = provider.as_ref().is_err_and(|failure| failure.class == ErrorClass::Region).then(|| {
            let name = ModelName { model: access::bare(&cell.row, &cell.name.model), ..cell.name.clone() };
            self.desk.provider(&name, &choice).ok()
        });
        let mut facts = facts(&cell, provider.as_ref().ok().or(own.flatten().as_ref()));
        facts.priced = quote.as_ref().and_then(|quote| quote.as_ref().ok()).map(|quote| quote.priced);
        Opened { cell, provider, request, quote, facts }
    }

    /// Asks every model for its one token.
    pub async fn ask(&self, opened: Vec<Opened>) -> Vec<Probed> {
        let (all, done) = (opened.len(), Count::new(0));
        let probe = |opened: Opened| async {
            let probed = self.probe(opened).await;
            done.set(done.get() + 1);
            let told = format!("{} of {all}: {} {}", done.get(), probed.name, probed.access.class.label());
            self.terminal.borrow_mut().status(&told);
            probed
        };
        together(opened.into_iter().map(|opened| Box::pin(probe(opened)) as _).collect()).await
    }

    async fn probe(&self, opened: Opened) -> Probed {
        let (provider, calling) = match (&opened.provider, self.calling) {
            (Ok(provider), Some(calling)) => (provider, calling),
            (Err(failure), _) => return failed(&opened, failure.clone()),
            (Ok(_), None) => return told(&opened, unasked(AccessClass::Present, &opened.facts)),
        };
        let unknown = opened.is_unknown();
        if unknown && !self.args.unpriced {
            return told(&opened, unasked(AccessClass::Unpriced, &opened.facts));
        }
        let ceiling = opened.ceiling().unwrap_or_default();
        let pass = self.gate.enter(ceiling).await;
        if self.stop.borrow().is_some() {
            return told(&opened, unasked(AccessClass::NotAsked, &opened.facts));
        }
        let targets = [Target { name: &opened.cell.name, provider }];
        let call = calling.call(&targets, &opened.request, Some(&self.group));
        // Asked for in so many words: a purse would refuse what has no price.
        let guard = if unknown { Guard { purse: None, ..call.guard } } else { call.guard };
        let call = Call { guard, ..call };
        let mut stop = self.stop.clone();
        let stopping = Box::pin(async move {
            match stop.wait_for(Option::is_some).await.map(|stop| *stop) {
                Ok(Some(stop)) => stop,
                _ => std::future::pending().await,
            }
        });
        let mut show = |news: News<'_>| {
            if let News::Passed { budget, said } = news
                && !self.passed.borrow().contains(budget)
            {
                self.passed.borrow_mut().push(budget.clone());
                self.say(&format!("{}: {said}", opened.cell.name));
            }
            true
        };
        match call.run(&mut show, stopping).await {
            Err(failure) => failed(&opened, failure),
            Ok(report) => {
                report.all_alerts().for_each(|alert| self.say(&budget::alert(alert)));
                // A charge that nobody knows counts as the most that it can be.
                let most = |bill: &Bill| bill.at_most.or(bill.total).unwrap_or(ceiling).picos;
                pass.pay(Usd::from_picos(report.bills().map(most).fold(0, i64::saturating_add)));
                answered(&opened, report)
            }
        }
    }

    /// A sentence for standard error.
    fn say(&self, said: &str) {
        if !self.args.global.quiet {
            let _ = self.terminal.borrow_mut().note(&format!("llmx: {said}\n"));
        }
    }

    /// The listing of one lister; nothing where the user stopped before.
    async fn listing(&self, one: &Opened) -> (Lister, Option<Result<Listing, Failure>>) {
        let lister = one.lister();
        let Ok(provider) = &one.provider else { return (lister, None) };
        let _pass = self.gate.enter(Usd::default()).await;
        let mut stop = self.stop.clone();
        let listing = tokio::select! {
            biased;
            _ = stop.wait_for(Option::is_some) => None,
            listing = listing::list(provider, &self.desk.limits) => Some(listing),
        };
        (lister, listing)
    }

    /// Asks providers for their listings, each once, and looks for the models in them.
    pub async fn list(&self, opened: Vec<Opened>) -> Vec<Probed> {
        let mut listers: Vec<&Opened> = Vec::new();
        for one in opened.iter().filter(|one| one.provider.is_ok()) {
            if !listers.iter().any(|other| other.lister() == one.lister()) {
                listers.push(one);
            }
        }
        let listings = together(listers.iter().map(|one| Box::pin(self.listing(one)) as _).collect()).await;
        let find =
            |one: &Opened| listings.iter().find(|(lister, _)| *lister == one.lister()).map(|(_, listing)| listing);
        opened.iter().map(|one| listed(one, find(one).and_then(Option::as_ref))).collect()
    }
}

/// What can be said without asking anyone.
pub fn here(opened: &Opened) -> Probed {
    let has_none = opened.facts.credential.is_none() && opened.cell.row.auth == Auth::Key;
    match &opened.provider {
        Err(failure) => failed(opened, failure.clone()),
        Ok(_) if has_none => told(opened, unasked(AccessClass::NoKey, &opened.facts)),
        Ok(_) => told(opened, unasked(AccessClass::Present, &opened.facts)),
    }
}

fn listed(opened: &Opened, listing: Option<&Result<Listing, Failure>>) -> Probed {
    match listing {
        None => match &opened.provider {
            Err(failure) => failed(opened, failure.clone()),
            Ok(_) => told(opened, unasked(AccessClass::NotAsked, &opened.facts)),
        },
        // Without a listing there is only what is here.
        Some(Err(failure)) if failure.class == ErrorClass::Config => here(opened),
        Some(Err(failure)) => failed(opened, failure.clone()),
        Some(Ok(listing)) if listing.has(&opened.cell.name.model) => {
            told(opened, unasked(AccessClass::Listed, &opened.facts))
        }
        Some(Ok(listing)) => {
            let models = listing.models.iter().map(|model| model.id.clone()).collect();
            let row = Row { models, ..opened.cell.row.clone() };
            let facts = Facts { near: row.near(&opened.cell.name.model), ..opened.facts.clone() };
            told(opened, unasked(AccessClass::NotFound, &facts))
        }
    }
}

fn request(cell: &Cell, provider: Option<&Provider>) -> ChatRequest {
    let (facts, _) = models::facts(&cell.row, &cell.name);
    let dialect = match provider {
        Some(Provider::Http(http)) => Some(http.dialect()),
        _ => None,
    };
    let more = dialect == Some(Dialect::Responses) || facts.max_completion_tokens;
    let max_tokens = Some(if more { TOKENS_OF_OPENAI } else { TOKENS });
    let greeting = Message { role: Role::User, parts: vec![Part::Text(GREETING.into())] };
    ChatRequest {
        messages: vec![greeting],
        settings: Settings { max_tokens, ..Settings::default() },
        ..ChatRequest::default()
    }
}

fn facts(cell: &Cell, provider: Option<&Provider>) -> Facts {
    let Cell { row, name, profile } = cell;
    let region = provider.and_then(Provider::region).map(str::to_owned).or_else(|| name.region.clone());
    let own = format!("{}/{}", name.provider, name.model);
    Facts {
        provider: row.name.clone(),
        model: name.model.clone(),
        credential: provider.and_then(Provider::credential),
        key: row.key.first().or(row.token.first()).cloned(),
        login: access::login(row, profile.as_deref()),
        ids: region.as_deref().map(|region| access::ids(row, &name.model, region)).unwrap_or_default(),
        near: row.near(&name.model).into_iter().filter(|near| *near != own).collect(),
        page: access::console(row, region.as_deref()).or_else(|| row.docs.clone()),
        region,
        priced: None,
    }
}

fn told(opened: &Opened, access: Access) -> Probed {
    let Cell { row, name, profile } = &opened.cell;
    Probed {
        provider: row.id.clone(),
        provider_name: row.name.clone(),
        model: name.model.clone(),
        name: name.to_string(),
        region: opened.facts.region.clone(),
        profile: profile.clone(),
        credential: opened.facts.credential.clone(),
        access,
        failure: None,
        first_token_ms: None,
        call: None,
        cost: Some(Usd::default()),
        works: Vec::new(),
        fix: Vec::new(),
    }
}

/// It could not be asked, or was not: nothing was charged.
fn failed(opened: &Opened, failure: Failure) -> Probed {
    let access = judge(Some(&failure), &opened.facts);
    Probed { failure: Some(failure), ..told(opened, access) }
}

fn answered(opened: &Opened, report: CallReport) -> Probed {
    let facts = Facts { region: report.region.clone().or_else(|| opened.facts.region.clone()), ..opened.facts.clone() };
    let access = match (&report.failure, report.stopped) {
        (None, Some(_)) => unasked(AccessClass::NotAsked, &facts),
        (failure, _) => judge(failure.as_ref(), &facts),
    };
    let cost = report.bills().try_fold(Usd::default(), |sum, bill| sum.checked_add(bill.total?));
    Probed {
        region: facts.region,
        first_token_ms: report.timing.first_token_ms,
        cost,
        call: (!report.refused).then_some(report.id),
        failure: report.failure,
        ..told(opened, access)
    }
}
