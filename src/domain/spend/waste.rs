//! What was paid for nothing in a period, as a value. A call is in one part at most.

use std::cmp::Reverse;

use super::heading::Heading;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waste {
    pub heading: Heading,
    /// A request is the same again within so many milliseconds.
    pub within_ms: i64,
    /// Requests of the period that ended and are no simulation, and what they are booked at, in picodollars.
    pub calls: u64,
    pub picos: i128,
    /// Of these: without an amount, so that every sum is at least so much.
    pub unpriced: u64,
    pub simulated: u64,
    /// Calls whose conversation is not kept: nobody can say whether they are the same as others.
    pub without_text: u64,
    /// In the order in which they claim a call.
    pub parts: [(Kind, Part); 7],
}

/// Why a call is looked at. The first that fits claims the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It has not ended, and holds its ceiling: nothing is spent yet.
    Held,
    /// It was billed, and another attempt was made in its place.
    Replaced,
    /// It was billed and failed, and no other attempt was made.
    Failed,
    /// The same model was asked the same before, and had answered.
    Again,
    /// A prompt that a cache had held was written to it anew: what a read would have cost less.
    Rebuilt,
    /// The answer ended at the output cap. Not in the sum.
    Cut,
    /// The user or the reader went away. Not in the sum.
    Stopped,
}

impl Kind {
    pub const ALL: [Kind; 7] =
        [Kind::Held, Kind::Replaced, Kind::Failed, Kind::Again, Kind::Rebuilt, Kind::Cut, Kind::Stopped];

    /// Its word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Held => "held",
            Kind::Replaced => "replaced",
            Kind::Failed => "failed",
            Kind::Again => "again",
            Kind::Rebuilt => "rebuilt",
            Kind::Cut => "cut",
            Kind::Stopped => "stopped",
        }
    }

    /// Whether what it comes to was paid for nothing: else it may have been, or is not spent.
    #[must_use]
    pub fn is_lost(self) -> bool {
        match self {
            Kind::Replaced | Kind::Failed | Kind::Again | Kind::Rebuilt => true,
            Kind::Held | Kind::Cut | Kind::Stopped => false,
        }
    }
}

/// The calls of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    pub calls: u64,
    /// Of these: without a known amount.
    pub unknown: u64,
    /// Of these: the amount is an estimate or a ceiling.
    pub uncertain: u64,
    /// Picodollars.
    pub picos: i128,
    /// The dearest, at most as many as were asked for.
    pub top: Vec<Item>,
}

/// A call to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub id: String,
    pub opened_ms: i64,
    /// `provider/model`, as it was asked for.
    pub model: String,
    pub project: Option<String>,
    /// Picodollars that were lost with it; `None`: nobody knows.
    pub picos: Option<i128>,
    /// What happened, in a few words.
    pub why: String,
}

impl Part {
    /// Adds a call, and keeps it where it is among the `most` dearest; of equals the oldest.
    pub fn add(&mut self, item: Item, uncertain: bool, most: usize) {
        self.calls += 1;
        self.unknown += u64::from(item.picos.is_none());
        self.uncertain += u64::from(uncertain);
        self.picos += item.picos.unwrap_or_default();
        let place = self.top.partition_point(|kept| Reverse(kept.picos) <= Reverse(item.picos));
        if place < most {
            self.top.insert(place, item);
            self.top.truncate(most);
        }
    }
}

impl Waste {
    /// Picodollars that were paid for nothing.
    #[must_use]
    pub fn lost(&self) -> i128 {
        self.parts.iter().filter(|(kind, _)| kind.is_lost()).map(|(_, part)| part.picos).sum()
    }

    #[must_use]
    pub fn part(&self, wanted: Kind) -> Option<&Part> {
        self.parts.iter().find(|(kind, _)| *kind == wanted).map(|(_, part)| part)
    }
}

#[cfg(test)]
mod tests {
    use super::{Item, Part};

    #[test]
    fn the_dearest_are_kept_and_all_are_counted() {
        let mut part = Part::default();
        for (id, picos) in [("a", Some(2)), ("b", None), ("c", Some(9)), ("d", Some(2)), ("e", Some(5))] {
            let item = Item { id: id.into(), opened_ms: 0, model: "m".into(), project: None, picos, why: "".into() };
            part.add(item, false, 3);
        }
        assert_eq!((part.calls, part.unknown, part.picos), (5, 1, 18));
        assert_eq!(part.top.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["c", "e", "a"]);
    }
}
