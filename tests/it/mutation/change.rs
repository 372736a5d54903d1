//! Single-byte changes of a part of a request.

use std::fmt;
use std::ops::Range;

/// Every position of what is shorter is tried, and of what is longer as many, evenly spread.
const POSITIONS: usize = 40;

/// One byte that was changed, left out or put in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    /// The bits of this mask are turned.
    Turned(usize, u8),
    LeftOut(usize),
    PutIn(usize),
}

impl Change {
    /// Where.
    pub(super) fn at(self) -> usize {
        match self {
            Self::Turned(at, _) | Self::LeftOut(at) | Self::PutIn(at) => at,
        }
    }

    /// Whether it concerns a byte of that range.
    pub(super) fn is_within(self, span: &Range<usize>) -> bool {
        match self {
            Self::PutIn(at) => span.start < at && at < span.end,
            other => span.contains(&other.at()),
        }
    }

    fn apply(self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        match self {
            Self::Turned(at, mask) => bytes[at] ^= mask,
            Self::LeftOut(at) => drop(bytes.remove(at)),
            Self::PutIn(at) => bytes.insert(at, b'0'),
        }
        bytes
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turned(at, mask) => write!(f, "byte {at} turned by {mask:#04x}"),
            Self::LeftOut(at) => write!(f, "byte {at} left out"),
            Self::PutIn(at) => write!(f, "a byte put in before {at}"),
        }
    }
}

/// Changes of these bytes, spread over all of them.
pub(super) fn changes(bytes: &[u8]) -> Vec<(Change, Vec<u8>)> {
    let mut found = changes_within(bytes, 0..bytes.len());
    let end = Change::PutIn(bytes.len());
    found.push((end, end.apply(bytes)));
    found
}

/// Changes of a range of these bytes: at each place the lowest bit, and by turns another kind of change.
pub(super) fn changes_within(bytes: &[u8], span: Range<usize>) -> Vec<(Change, Vec<u8>)> {
    let length = span.len();
    let positions: Vec<_> = (0..length.min(POSITIONS)).map(|step| span.start + step * length / length.min(POSITIONS)).collect();
    let last = length.checked_sub(1).map(|last| span.start + last).filter(|last| positions.last() != Some(last));
    let mut found = Vec::new();
    for (turn, at) in positions.into_iter().chain(last).enumerate() {
        let other = match turn % 4 {
            // Another case of a letter, another sign of a base64 alphabet.
            0 => Change::Turned(at, 0x20),
            1 => Change::LeftOut(at),
            2 => Change::PutIn(at),
            _ => Change::Turned(at, 0x80),
        };
        found.extend([Change::Turned(at, 0x01), other].map(|change| (change, change.apply(bytes))));
    }
    // What only doubles its neighbour changes nothing.
    found.retain(|(_, new)| new != bytes);
    found
}

/// Where the value of a field stands in a body, by the field's name in rows: `json:/a/b` or `form:name`.
pub(super) fn field_spans(body: &[u8], place: &str) -> Vec<Range<usize>> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    match place.split_once(':') {
        Some(("json", pointer)) => {
            // In a body of several parts the document stands between its first and its last bracket.
            let document = text.find('{').zip(text.rfind('}')).map_or(text, |(start, end)| &text[start..=end]);
            let document: serde_json::Value = serde_json::from_str(document).unwrap_or_default();
            let own = values(&document, pointer).into_iter().filter_map(|value| value.as_str().map(str::to_owned));
            let alone = own.filter(|value| !value.is_empty() && text.matches(value.as_str()).count() == 1);
            alone.filter_map(|value| text.find(&value).map(|start| start..start + value.len())).collect()
        }
        Some(("form", name)) => {
            let mut start = 0;
            let pairs = text.split('&').map(|pair| {
                let begin = start;
                start += pair.len() + 1;
                (begin, pair)
            });
            let own = pairs.filter_map(|(begin, pair)| {
                pair.split_once('=').filter(|(field, _)| *field == name).map(|(field, value)| {
                    let begin = begin + field.len() + 1;
                    begin..begin + value.len()
                })
            });
            own.collect()
        }
        _ => Vec::new(),
    }
}

/// The values under a pointer in which `*` stands for every item of an array.
fn values<'v>(document: &'v serde_json::Value, pointer: &str) -> Vec<&'v serde_json::Value> {
    match pointer.split_once("/*") {
        None => document.pointer(pointer).into_iter().collect(),
        Some((array, rest)) => {
            let items = document.pointer(array).and_then(serde_json::Value::as_array);
            items.into_iter().flatten().flat_map(|item| values(item, rest)).collect()
        }
    }
}
