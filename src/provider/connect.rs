//! The way to a connection in steps, each with its own limit: name look-up and TCP, then TLS. The HTTP client knows only
//! one limit for all of it, and cannot say which step hung.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use tokio::time::{Instant, sleep};
use tower_layer::Layer;
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A step on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Name,
    /// Also a proxy's answer, before TLS.
    Tcp,
    Tls,
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Step::Name => "the name was not looked up",
            Step::Tcp => "no connection",
            Step::Tls => "connected, but no TLS handshake",
        })
    }
}

/// A step took longer than its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{step} within {limit:?}")]
pub struct Stalled {
    pub step: Step,
    pub limit: Duration,
}

tokio::task_local! {
    /// Where the connection stands that is being made: set by those who are asked on the way.
    static STEP: Cell<Step>;
}

fn reached(step: Step) {
    // Outside of a connection there is nobody to tell.
    let _ = STEP.try_with(|current| current.set(step));
}

/// Puts the limits around a client's connector.
#[derive(Debug, Clone, Copy)]
pub struct Steps {
    /// Name look-up and TCP.
    pub connect: Duration,
    pub tls: Duration,
}

impl<S> Layer<S> for Steps {
    type Service = Stepwise<S>;

    fn layer(&self, inner: S) -> Stepwise<S> {
        Stepwise { inner, steps: *self }
    }
}

/// A connector with limits around it.
#[derive(Debug, Clone)]
pub struct Stepwise<S> {
    inner: S,
    steps: Steps,
}

impl<S, Target> Service<Target> for Stepwise<S>
where
    S: Service<Target, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        let (connecting, steps) = (self.inner.call(target), self.steps);
        Box::pin(STEP.scope(Cell::new(Step::Tcp), within(connecting, steps)))
    }
}

async fn within<T>(connecting: impl Future<Output = Result<T, BoxError>>, steps: Steps) -> Result<T, BoxError> {
    let mut connecting = pin!(connecting);
    let mut limit = steps.connect;
    let mut late = pin!(sleep(limit));
    let mut secured = false;
    poll_fn(move |context| {
        if let Poll::Ready(made) = connecting.as_mut().poll(context) {
            return Poll::Ready(made);
        }
        let step = STEP.with(Cell::get);
        if step == Step::Tls && !secured {
            (secured, limit) = (true, steps.tls);
            late.as_mut().reset(Instant::now() + limit);
        }
        late.as_mut().poll(context).map(|()| Err(Stalled { step, limit }.into()))
    })
    .await
}

/// The system's name look-up, which says when it begins and ends.
#[derive(Debug)]
pub struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        reached(Step::Name);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            reached(Step::Tcp);
            let addresses: Vec<_> = found?.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// A memory of TLS sessions that says when a handshake begins, since that is when it is asked.
#[must_use]
pub fn sessions() -> Resumption {
    Resumption::store(Arc::new(Sessions(ClientSessionMemoryCache::new(64))))
}

#[derive(Debug)]
struct Sessions(ClientSessionMemoryCache);

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(server, value);
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.0.remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(server, value);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        reached(Step::Tls);
        self.0.take_tls13_ticket(server)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;
    use std::time::Duration;

    use super::{BoxError, STEP, Stalled, Step, Steps, reached, within};

    /// What a connection ends with that stays at this step for ever.
    async fn stalled_at(at: Step) -> Option<Stalled> {
        let stays = async move {
            reached(at);
            pending::<Result<(), BoxError>>().await
        };
        let steps = Steps { connect: Duration::from_millis(2), tls: Duration::from_millis(1) };
        let made = STEP.scope(Cell::new(Step::Tcp), within(stays, steps)).await;
        made.err()?.downcast_ref().copied()
    }

    #[tokio::test]
    async fn each_step_has_its_own_limit_and_its_name() {
        for (step, millis) in [(Step::Name, 2), (Step::Tcp, 2), (Step::Tls, 1)] {
            assert_eq!(stalled_at(step).await, Some(Stalled { step, limit: Duration::from_millis(millis) }));
        }
    }
}
