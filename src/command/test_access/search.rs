//! Where a model can be had that cannot be had where it was asked for: candidates of the table, each asked, none guessed.

use super::probe::{Bench, Opened};
use super::select::Cell;
use crate::command::test_access::announce;
use crate::domain::access::{AccessClass, Probed};
use crate::domain::model::ModelName;
use crate::domain::money::Usd;
use crate::provider::access::{self, Place};

/// Most candidates in other regions, for one model.
const ELSEWHERE_MAX: usize = 12;

/// Asks for the models that failed for their place: under other ids in the same region first, then in others. Writes the
/// names that work into `probes`; gives all that was asked, and the most that it could cost.
pub async fn search(bench: &Bench<'_>, cells: &[Cell], probes: &mut [Probed]) -> (Vec<Probed>, Usd) {
    let mut asked: Vec<Probed> = Vec::new();
    let mut most = Usd::default();
    for stage in [Stage::Here, Stage::Elsewhere] {
        let mut wanted: Vec<(usize, Cell)> = Vec::new();
        for (at, (cell, probed)) in cells.iter().zip(probes.iter()).enumerate() {
            if probed.access.class.is_of_the_place() && probed.works.is_empty() {
                wanted.extend(candidates(cell, probed, stage).into_iter().map(|candidate| (at, candidate)));
            }
        }
        let is_known = |cell: &Cell, known: &[Probed]| known.iter().any(|known| is_same(cell, known));
        let mut new: Vec<Cell> = Vec::new();
        for (_, cell) in &wanted {
            let twice = new.iter().any(|other| other.name == cell.name && other.profile == cell.profile);
            if !twice && !is_known(cell, &asked) && !is_known(cell, probes) {
                new.push(cell.clone());
            }
        }
        if !new.is_empty() && bench.stop.borrow().is_none() {
            let opened: Vec<Opened> = new.into_iter().map(|cell| bench.open(cell)).collect();
            let more = announce(bench, &opened, "to find where they work: ");
            most = Usd::from_picos(most.picos.saturating_add(more.picos));
            asked.extend(bench.ask(opened).await);
        }
        for (at, cell) in wanted {
            let works = |known: &&Probed| is_same(&cell, known) && known.access.class == AccessClass::Ok;
            if let Some(found) = asked.iter().chain(probes.iter()).find(works) {
                let name = found.name.clone();
                if !probes[at].works.contains(&name) {
                    probes[at].works.push(name);
                }
            }
        }
    }
    (asked, most)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Here,
    Elsewhere,
}

fn candidates(cell: &Cell, probed: &Probed, stage: Stage) -> Vec<Cell> {
    let Some(region) = &probed.region else { return Vec::new() };
    let model = &cell.name.model;
    let places = match stage {
        Stage::Here => access::here(&cell.row, model, region),
        Stage::Elsewhere => access::elsewhere(&cell.row, model, region, ELSEWHERE_MAX),
    };
    let with = |Place { model, region: there }: Place| {
        // The region that is found by default need not be said.
        let said = cell.name.region.is_some() || there != *region;
        let name = ModelName { provider: cell.name.provider.clone(), region: said.then_some(there), model };
        Cell { row: cell.row.clone(), name, profile: cell.profile.clone() }
    };
    places.into_iter().map(with).collect()
}

/// The same model at the same place with the same credential, however its name was written.
fn is_same(cell: &Cell, known: &Probed) -> bool {
    let there = cell.name.region.is_some() && known.region == cell.name.region;
    known.provider == cell.name.provider
        && known.model == cell.name.model
        && known.profile == cell.profile
        && (there || known.name == cell.name.to_string())
}
