//! How far a request has left this machine: what a call costs that broke or was given up depends on it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// A body is handed over in pieces of this size, in bytes.
const PIECE: usize = 16 << 10;

const HERE: u8 = 0;
const LEAVING: u8 = 1;
const GONE: u8 = 2;

/// Watches one request on its way out. Clones watch the same one.
#[derive(Debug, Clone, Default)]
pub struct Departure(Arc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    step: AtomicU8,
    /// When the last piece was taken.
    last: Mutex<Option<Instant>>,
    moved: Notify,
}

impl Departure {
    /// Whether anything was handed to a connection that stands: before that, nothing can have been billed.
    #[must_use]
    pub fn left(&self) -> bool {
        self.0.step.load(Ordering::Acquire) >= LEAVING
    }

    /// Whether all of it was: only a request that came whole can be answered. The connection keeps some hundred KiB
    /// before it writes them, so that a small request which broke early counts as gone.
    #[must_use]
    pub fn gone(&self) -> bool {
        self.0.step.load(Ordering::Acquire) >= GONE
    }

    /// A body of these bytes, with their exact length, that tells when it is taken.
    #[must_use]
    pub fn carry(&self, body: impl Into<Bytes>) -> reqwest::Body {
        self.0.step.store(HERE, Ordering::Release);
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
        reqwest::Body::wrap(Carried { rest: body.into(), departure: self.clone() })
    }

    /// The request went as a whole, where no body tells.
    pub fn set_gone(&self) {
        self.moved(GONE);
    }

    /// Ends when a head has been waited for too long: `head` after the last piece was taken, or after `connecting` where
    /// none was.
    pub async fn overdue(&self, connecting: Duration, head: Duration) {
        let began = Instant::now();
        loop {
            let last = *self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
            tokio::select! {
                () = sleep_until(last.unwrap_or(began + connecting) + head) => return,
                () = self.0.moved.notified() => {}
            }
        }
    }

    fn moved(&self, step: u8) {
        self.0.step.store(step, Ordering::Release);
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.0.moved.notify_one();
    }
}

struct Carried {
    rest: Bytes,
    departure: Departure,
}

impl http_body::Body for Carried {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        self.departure.moved(if self.rest.is_empty() { GONE } else { LEAVING });
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::time::Duration;

    use http_body::Body as _;

    use super::{Departure, PIECE};

    #[tokio::test]
    async fn a_body_tells_when_its_first_and_its_last_piece_are_taken() {
        let departure = Departure::default();
        let mut body = departure.carry(vec![7; 2 * PIECE + 1]);
        assert_eq!(body.size_hint().exact(), Some(2 * PIECE as u64 + 1));
        let mut seen = vec![(departure.left(), departure.gone())];
        let mut bytes = 0;
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            bytes += frame.ok().and_then(|frame| frame.into_data().ok()).map_or(0, |data| data.len());
            seen.push((departure.left(), departure.gone()));
        }
        assert_eq!(bytes, 2 * PIECE + 1);
        assert_eq!(seen, [(false, false), (true, false), (true, false), (true, true)]);
    }

    #[tokio::test]
    async fn the_head_is_waited_for_from_the_last_piece_on() {
        let departure = Departure::default();
        let minute = Duration::from_secs(60);
        // Where nothing leaves, the time for connecting counts; it is over at once here.
        departure.overdue(Duration::ZERO, Duration::ZERO).await;
        let mut body = departure.carry("x");
        let overdue = tokio::spawn({
            let departure = departure.clone();
            async move { departure.overdue(minute, Duration::from_millis(1)).await }
        });
        tokio::task::yield_now().await;
        assert!(!overdue.is_finished());
        assert!(poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await.is_some());
        overdue.await.expect("ends well before the minute");
    }
}
