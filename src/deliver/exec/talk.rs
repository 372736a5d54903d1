//! What goes into a command and what comes out of it.

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::Receiver;
use tokio::process::ChildStdin;

/// How much is read at a time.
const CHUNK: usize = 8 * 1024;

/// Gives the body to the command. Whether it reads it is its own business, so a pipe that it has closed is no failure.
pub(super) async fn feed(stdin: Option<ChildStdin>, body: Bytes) {
    if let Some(mut stdin) = stdin {
        stdin.write_all(&body).await.ok();
    }
}

/// Reads until the end, so that the command never waits for us, and keeps the first `most` bytes.
pub(super) async fn read(mut output: Receiver, kept: &mut Vec<u8>, most: usize) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = output.read(&mut chunk).await {
        let room = most.saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..count.min(room)]);
    }
}
