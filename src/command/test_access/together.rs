//! Many waits at once on one thread, and the gate that lets only so many through as the test may afford.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::domain::money::Usd;

/// Something that is waited for.
pub type Job<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Waits for all of them; their results in their order.
pub async fn together<T>(jobs: Vec<Job<'_, T>>) -> Vec<T> {
    let mut jobs: Vec<(Option<T>, Job<'_, T>)> = jobs.into_iter().map(|job| (None, job)).collect();
    poll_fn(|context| {
        let mut waits = false;
        for (result, job) in jobs.iter_mut().filter(|(result, _)| result.is_none()) {
            match job.as_mut().poll(context) {
                Poll::Ready(value) => *result = Some(value),
                Poll::Pending => waits = true,
            }
        }
        if waits { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    jobs.into_iter().filter_map(|(result, _)| result).collect()
}

/// Lets probes through: so many at once, and those whose ceilings fit beside what is spent and held. One that does not fit
/// waits for others to end; one that fits beside nothing goes on, and the books refuse it.
#[derive(Debug)]
pub struct Gate {
    slots: Semaphore,
    limit: Usd,
    held: Cell<Usd>,
    spent: Cell<Usd>,
    /// Something has come back.
    changed: Notify,
}

/// A probe on its way.
#[derive(Debug)]
pub struct Pass<'a> {
    gate: &'a Gate,
    ceiling: Usd,
    _slot: Option<SemaphorePermit<'a>>,
}

impl Gate {
    #[must_use]
    pub fn new(at_once: u16, limit: Usd) -> Gate {
        Gate {
            slots: Semaphore::new(usize::from(at_once)),
            limit,
            held: Cell::default(),
            spent: Cell::default(),
            changed: Notify::new(),
        }
    }

    /// Waits for a slot and for room. `ceiling`: the most that the probe can cost.
    pub async fn enter(&self, ceiling: Usd) -> Pass<'_> {
        loop {
            let changed = self.changed.notified();
            let held = self.held.get();
            let sum = self.spent.get().picos.saturating_add(held.picos).saturating_add(ceiling.picos);
            if sum <= self.limit.picos || held.picos == 0 {
                break;
            }
            changed.await;
        }
        self.held.set(Usd::from_picos(self.held.get().picos.saturating_add(ceiling.picos)));
        // Held before it waits for a slot: those behind it see what it may cost.
        Pass { gate: self, ceiling, _slot: self.slots.acquire().await.ok() }
    }
}

impl Pass<'_> {
    /// The probe is over: what it held is free again but for what it was charged.
    pub fn pay(self, charged: Usd) {
        let spent = &self.gate.spent;
        spent.set(Usd::from_picos(spent.get().picos.saturating_add(charged.picos)));
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let held = &self.gate.held;
        held.set(Usd::from_picos(held.get().picos - self.ceiling.picos));
        self.gate.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::{Gate, together};
    use crate::domain::money::Usd;

    #[tokio::test(start_paused = true)]
    async fn no_more_are_under_way_than_the_slots_and_the_money_allow() {
        for (slots, limit, most) in [(40, 1000, 40), (3, 1000, 3), (40, 35, 3), (40, 5, 1)] {
            let gate = Gate::new(slots, Usd::from_picos(limit));
            let (now, peak) = (Cell::new(0), Cell::new(0));
            let jobs = (0..40).map(|number| {
                let (gate, now, peak) = (&gate, &now, &peak);
                Box::pin(async move {
                    let pass = gate.enter(Usd::from_picos(10)).await;
                    now.set(now.get() + 1);
                    peak.set(peak.get().max(now.get()));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    now.set(now.get() - 1);
                    pass.pay(Usd::default());
                    number
                }) as super::Job<'_, i32>
            });
            assert_eq!(together(jobs.collect()).await, (0..40).collect::<Vec<_>>());
            assert_eq!(peak.get(), most, "{slots} slots, {limit} of money");
        }
    }
}
