//! Reading a body within its bounds of size and time, and all bodies together within theirs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use crate::domain::Code;

/// The largest body that says what the API is to do, and the most time for it.
pub(super) const MAX_ORDER: usize = 64 << 10;
pub(super) const ORDER_TIMEOUT: Duration = Duration::from_secs(10);

/// The bytes of all bodies being received, within a bound.
pub(super) struct Budget {
    left: AtomicUsize,
}

/// A part of the budget, given back when it is dropped.
struct Share<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self { left: AtomicUsize::new(bytes) }
    }
}

impl Share<'_> {
    fn grow(&mut self, bytes: usize) -> Result<(), Code> {
        let taken = self.budget.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.map_err(|_| Code::QueueFull)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// Reads the body whole. A body that arrives in one piece is not copied.
pub(super) async fn read(request: &HttpRequest, payload: Payload, max: usize, time: Duration, budget: &Budget) -> Result<Bytes, Code> {
    let announced = announced_length(request)?;
    if announced.is_some_and(|length| length > max as u64) {
        return Err(Code::BodyTooLarge);
    }
    tokio::time::timeout(time, collect(payload, announced, max, budget)).await.unwrap_or(Err(Code::RequestTimeout))
}

fn announced_length(request: &HttpRequest) -> Result<Option<u64>, Code> {
    let Some(value) = request.headers().get(header::CONTENT_LENGTH) else { return Ok(None) };
    value.to_str().ok().and_then(|text| text.parse().ok()).map(Some).ok_or(Code::BodyUnreadable)
}

async fn collect(mut payload: Payload, announced: Option<u64>, max: usize, budget: &Budget) -> Result<Bytes, Code> {
    let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(|_| Code::BodyUnreadable)?;
    if announced == Some(first.len() as u64) {
        return Ok(first);
    }
    // Only what has come counts: an announcement costs its sender nothing.
    let mut share = Share { budget, bytes: 0 };
    let mut body = BytesMut::with_capacity(announced.map_or(first.len(), |length| length as usize).min(max));
    append(&mut body, &first, max, &mut share)?;
    while let Some(chunk) = payload.next().await {
        append(&mut body, &chunk.map_err(|_| Code::BodyUnreadable)?, max, &mut share)?;
    }
    Ok(body.freeze())
}

fn append(body: &mut BytesMut, chunk: &[u8], max: usize, share: &mut Share<'_>) -> Result<(), Code> {
    if body.len() + chunk.len() > max {
        return Err(Code::BodyTooLarge);
    }
    share.grow(chunk.len())?;
    body.extend_from_slice(chunk);
    Ok(())
}
