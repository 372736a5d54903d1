//! Just enough of an HTTP/1.1 client: one answer to one request, framed by Content-Length.

/// One complete answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// Whether the server closes the connection after it.
    pub(crate) closes: bool,
}

/// What keeps an answer from being understood; each ends the connection.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum Malformed {
    /// Not `HTTP/1.1 NNN`.
    #[error("status line")]
    StatusLine,
    /// A header that is not `name: value` text.
    #[error("header")]
    Header,
    /// No Content-Length where there may be a body.
    #[error("no content-length")]
    NoLength,
    /// More bytes than the answer has.
    #[error("bytes after the answer")]
    Surplus,
}

/// Reads one answer from the bytes so far; `None` when it is not complete yet.
///
/// # Errors
/// [`Malformed`] when no further byte could make it an answer.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Response>, Malformed> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| Malformed::Header)?;
    let mut lines = head.split("\r\n");
    let status = status(lines.next().unwrap_or_default())?;
    let mut length = matches!(status, 204 | 304).then_some(0);
    let mut closes = false;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Malformed::Header)?;
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<usize>().map_err(|_| Malformed::Header)?);
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.trim().eq_ignore_ascii_case("close");
        }
    }
    let total = end + 4 + length.ok_or(Malformed::NoLength)?;
    match bytes.len().cmp(&total) {
        std::cmp::Ordering::Less => Ok(None),
        std::cmp::Ordering::Equal => Ok(Some(Response { status, closes })),
        std::cmp::Ordering::Greater => Err(Malformed::Surplus),
    }
}

fn status(line: &str) -> Result<u16, Malformed> {
    let rest = line.strip_prefix("HTTP/1.1 ").ok_or(Malformed::StatusLine)?;
    rest.get(..3).and_then(|code| code.parse().ok()).ok_or(Malformed::StatusLine)
}

/// Checks the parser against whole, partial and broken answers.
///
/// # Panics
/// When it is wrong.
pub(crate) fn self_check() {
    let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nDate: x\r\n\r\nok";
    assert_eq!(parse(whole), Ok(Some(Response { status: 200, closes: false })));
    for cut in 0..whole.len() {
        assert_eq!(parse(&whole[..cut]), Ok(None), "{cut} bytes are not an answer");
    }
    let close = b"HTTP/1.1 503 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(parse(close), Ok(Some(Response { status: 503, closes: true })));
    assert_eq!(parse(b"HTTP/1.0 200 OK\r\n\r\n"), Err(Malformed::StatusLine));
    assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\n"), Err(Malformed::NoLength));
    assert_eq!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nx"), Err(Malformed::Surplus));
}
