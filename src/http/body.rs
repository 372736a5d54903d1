//! Reading a body within its bounds of size and time.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use crate::domain::Code;

/// Reads the body whole. A body that arrives in one piece is not copied.
pub(super) async fn read(request: &HttpRequest, payload: Payload, max: usize, time: Duration) -> Result<Bytes, Code> {
    let announced = announced_length(request)?;
    if announced.is_some_and(|length| length > max as u64) {
        return Err(Code::BodyTooLarge);
    }
    tokio::time::timeout(time, collect(payload, announced, max)).await.unwrap_or(Err(Code::RequestTimeout))
}

fn announced_length(request: &HttpRequest) -> Result<Option<u64>, Code> {
    let Some(value) = request.headers().get(header::CONTENT_LENGTH) else { return Ok(None) };
    value.to_str().ok().and_then(|text| text.parse().ok()).map(Some).ok_or(Code::BodyUnreadable)
}

async fn collect(mut payload: Payload, announced: Option<u64>, max: usize) -> Result<Bytes, Code> {
    let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(|_| Code::BodyUnreadable)?;
    if announced == Some(first.len() as u64) {
        return Ok(first);
    }
    let mut body = BytesMut::with_capacity(announced.map_or(first.len(), |length| length as usize).min(max));
    append(&mut body, &first, max)?;
    while let Some(chunk) = payload.next().await {
        append(&mut body, &chunk.map_err(|_| Code::BodyUnreadable)?, max)?;
    }
    Ok(body.freeze())
}

fn append(body: &mut BytesMut, chunk: &[u8], max: usize) -> Result<(), Code> {
    if body.len() + chunk.len() > max {
        return Err(Code::BodyTooLarge);
    }
    body.extend_from_slice(chunk);
    Ok(())
}
