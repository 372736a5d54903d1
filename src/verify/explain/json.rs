//! JSON that was parsed and written anew on its way. The document is read without judging it: numbers stay as they are
//! written, keys in their order and repeated; only white space, escapes and, in half of the variants, the order change.

use std::fmt::Write as _;

use serde::de::IgnoredAny;

use super::trial::Bench;

/// The deepest nesting that is read: each level takes some of the stack.
const MAX_DEPTH: usize = 100;
/// The longest text that is indented: deep nesting makes much white space of little content.
const MAX_INDENTED: usize = 4 << 20;

/// A JSON document.
enum Node<'a> {
    /// A number, `true`, `false` or `null`, as written.
    Word(&'a str),
    Text(String),
    List(Vec<Node<'a>>),
    Map(Vec<(String, Node<'a>)>),
}

/// White space as a writer puts it.
struct Layout {
    /// For each level of depth; `None` for all on one line.
    indent: Option<&'static str>,
    item: &'static str,
    pair: &'static str,
    name: &'static str,
}

const LAYOUTS: &[Layout] = &[
    Layout { indent: None, item: ",", pair: ":", name: "compact JSON" },
    Layout { indent: None, item: ", ", pair: ": ", name: "JSON with a space behind commas and colons, as Python writes it" },
    Layout { indent: Some("  "), item: ",", pair: ": ", name: "JSON indented by two spaces" },
    Layout { indent: Some("    "), item: ",", pair: ": ", name: "JSON indented by four spaces" },
    Layout { indent: Some("\t"), item: ",", pair: ": ", name: "JSON indented by tabs" },
    Layout { indent: None, item: ",", pair: ": ", name: "JSON with a space behind colons" },
];

/// Which characters a writer escapes beside those that it must.
struct Escapes {
    beyond_ascii: bool,
    /// The characters of ASCII that are written as `\uXXXX`.
    ascii: &'static str,
    slash: bool,
    upper: bool,
    name: &'static str,
}

const ESCAPES: &[Escapes] = &[
    Escapes { beyond_ascii: false, ascii: "", slash: false, upper: false, name: "" },
    Escapes { beyond_ascii: true, ascii: "\u{7f}", slash: false, upper: false, name: ", all beyond ASCII escaped" },
    Escapes { beyond_ascii: true, ascii: "", slash: true, upper: false, name: ", slashes and all beyond ASCII escaped, as PHP writes it" },
    Escapes { beyond_ascii: false, ascii: "", slash: true, upper: false, name: ", slashes escaped" },
    Escapes { beyond_ascii: false, ascii: "<>&", slash: false, upper: false, name: ", <, > and & escaped, as Go writes it" },
    Escapes { beyond_ascii: true, ascii: "", slash: false, upper: true, name: ", all beyond ASCII escaped in upper case" },
    Escapes { beyond_ascii: true, ascii: "<>&'+\"`", slash: false, upper: true, name: ", escaped as .NET writes it" },
];

/// The JSON as another writer would have it.
pub(super) fn find(bench: &Bench<'_>) -> Option<String> {
    let body = bench.body()?;
    let mut document = parse(body)?;
    let found = in_any_style(bench, &document, "").or_else(|| {
        document.sort();
        in_any_style(bench, &document, ", its keys sorted")
    })?;
    Some(format!("it holds for the body as {found}: something on the way parses the JSON and writes it anew"))
}

fn in_any_style(bench: &Bench<'_>, document: &Node<'_>, order: &str) -> Option<String> {
    let mut known: Vec<String> = Vec::new();
    for escapes in ESCAPES {
        // Most documents have nothing to escape: then all of these write the same.
        let compact = document.write(&LAYOUTS[0], escapes);
        if known.contains(&compact) {
            continue;
        }
        known.push(compact);
        for layout in LAYOUTS {
            if bench.is_spent() {
                return None;
            }
            let text = document.write(layout, escapes);
            for (end, what) in [("", ""), ("\n", ", with a line end behind it")] {
                if bench.try_body(format!("{text}{end}")) {
                    return Some(format!("{}{}{order}{what}", layout.name, escapes.name));
                }
            }
        }
    }
    None
}

/// Reads a document; `None` for what is no JSON, or is nested too deep.
fn parse(body: &[u8]) -> Option<Node<'_>> {
    serde_json::from_slice::<IgnoredAny>(body).ok()?;
    let mut reader = Reader(std::str::from_utf8(body).ok()?);
    let node = reader.node(MAX_DEPTH)?;
    // A scalar alone has one form.
    matches!(node, Node::List(_) | Node::Map(_)).then_some(node)
}

/// Reads text that is known to be JSON.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    /// A value, nested at most so deep.
    fn node(&mut self, depth: usize) -> Option<Node<'a>> {
        match self.next()? {
            '{' => self.map(depth.checked_sub(1)?).map(Node::Map),
            '[' => self.list(depth.checked_sub(1)?).map(Node::List),
            '"' => self.text().map(Node::Text),
            _ => {
                let end = self.0.find(|c: char| c.is_ascii_whitespace() || ",]}".contains(c)).unwrap_or(self.0.len());
                let (word, rest) = self.0.split_at(end);
                self.0 = rest;
                Some(Node::Word(word))
            }
        }
    }

    /// The next character that is no white space, which stays to be read.
    fn next(&mut self) -> Option<char> {
        self.0 = self.0.trim_ascii_start();
        self.0.chars().next()
    }

    fn skip(&mut self) {
        self.0 = &self.0[1..];
    }

    fn list(&mut self, depth: usize) -> Option<Vec<Node<'a>>> {
        let mut nodes = Vec::new();
        self.skip();
        while self.next()? != ']' {
            nodes.push(self.node(depth)?);
            if self.next()? == ',' {
                self.skip();
            }
        }
        self.skip();
        Some(nodes)
    }

    fn map(&mut self, depth: usize) -> Option<Vec<(String, Node<'a>)>> {
        let mut pairs = Vec::new();
        self.skip();
        while self.next()? != '}' {
            let key = self.text()?;
            self.next()?;
            self.skip();
            pairs.push((key, self.node(depth)?));
            if self.next()? == ',' {
                self.skip();
            }
        }
        self.skip();
        Some(pairs)
    }

    /// A string, decoded; `None` where an escape stands for half a character, which no writer would keep.
    fn text(&mut self) -> Option<String> {
        let mut escaped = true;
        let end = self.0.bytes().position(|byte| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes
        })?;
        let (text, rest) = self.0.split_at(end + 1);
        self.0 = rest;
        serde_json::from_str(text).ok()
    }
}

impl Node<'_> {
    /// Sorts the keys of every object.
    fn sort(&mut self) {
        match self {
            Self::Map(pairs) => {
                pairs.iter_mut().for_each(|(_, node)| node.sort());
                pairs.sort_by(|(left, _), (right, _)| left.cmp(right));
            }
            Self::List(nodes) => nodes.iter_mut().for_each(Self::sort),
            Self::Word(_) | Self::Text(_) => {}
        }
    }

    fn write(&self, layout: &Layout, escapes: &Escapes) -> String {
        let mut text = String::new();
        self.put(&mut text, layout, escapes, 0);
        text
    }

    fn put(&self, text: &mut String, layout: &Layout, escapes: &Escapes, depth: usize) {
        match self {
            Self::Word(word) => text.push_str(word),
            Self::Text(value) => escapes.put(text, value),
            Self::List(nodes) => layout.put(text, '[', nodes, ']', depth, |text, node| node.put(text, layout, escapes, depth + 1)),
            Self::Map(pairs) => layout.put(text, '{', pairs, '}', depth, |text, (key, node)| {
                escapes.put(text, key);
                text.push_str(layout.pair);
                node.put(text, layout, escapes, depth + 1);
            }),
        }
    }
}

impl Layout {
    fn put<T>(&self, text: &mut String, open: char, items: &[T], close: char, depth: usize, put: impl Fn(&mut String, &T)) {
        text.push(open);
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                text.push_str(self.item);
            }
            self.line(text, depth + 1);
            put(text, item);
        }
        if !items.is_empty() {
            self.line(text, depth);
        }
        text.push(close);
    }

    fn line(&self, text: &mut String, depth: usize) {
        if let Some(indent) = self.indent.filter(|_| text.len() < MAX_INDENTED) {
            text.push('\n');
            (0..depth).for_each(|_| text.push_str(indent));
        }
    }
}

impl Escapes {
    fn put(&self, text: &mut String, value: &str) {
        text.push('"');
        for c in value.chars() {
            match c {
                c if self.ascii.contains(c) || (self.beyond_ascii && !c.is_ascii()) => self.put_code(text, c),
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{8}' => text.push_str("\\b"),
                '\u{c}' => text.push_str("\\f"),
                '/' if self.slash => text.push_str("\\/"),
                c if c.is_ascii_control() && c != '\u{7f}' => self.put_code(text, c),
                c => text.push(c),
            }
        }
        text.push('"');
    }

    /// A character as one `\uXXXX`, or as two.
    fn put_code(&self, text: &mut String, c: char) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = if self.upper { write!(text, "\\u{unit:04X}") } else { write!(text, "\\u{unit:04x}") };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_written_in_every_style_and_its_numbers_stay() {
        let text = r#" {"b" : [1.0, 1e3,-0 ,{}, []], "a":"\u00e9\/<\"\n", "a":null , "😀":true} "#;
        let mut document = parse(text.as_bytes()).unwrap();
        let write = |document: &Node<'_>, layout: usize, escapes: usize| document.write(&LAYOUTS[layout], &ESCAPES[escapes]);
        assert_eq!(write(&document, 0, 0), "{\"b\":[1.0,1e3,-0,{},[]],\"a\":\"é/<\\\"\\n\",\"a\":null,\"😀\":true}");
        assert_eq!(
            write(&document, 1, 1),
            "{\"b\": [1.0, 1e3, -0, {}, []], \"a\": \"\\u00e9/<\\\"\\n\", \"a\": null, \"\\ud83d\\ude00\": true}"
        );
        document.sort();
        assert_eq!(write(&document, 0, 4), "{\"a\":\"é/\\u003c\\\"\\n\",\"a\":null,\"b\":[1.0,1e3,-0,{},[]],\"😀\":true}");
        assert!(write(&document, 2, 0).starts_with("{\n  \"a\": \"é/<"), "{}", write(&document, 2, 0));
    }

    #[test]
    fn what_is_nested_without_end_is_not_read() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_some());
        assert!(parse(nested(MAX_DEPTH + 1).as_bytes()).is_none());
        assert!(parse(nested(500_000).as_bytes()).is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_not_without_a_panic(text in "[\\[\\]{}\",:0-9a-z\\\\ ]{0,40}") {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn what_serde_writes_is_the_compact_style(keys in proptest::collection::vec(".{0,8}", 0..5), value in ".{0,20}") {
            let map: serde_json::Map<_, _> = keys.into_iter().map(|key| (key, serde_json::Value::from(value.clone()))).collect();
            let text = serde_json::to_string(&map).unwrap();
            let pretty = serde_json::to_string_pretty(&map).unwrap();
            let document = parse(pretty.as_bytes()).unwrap();
            proptest::prop_assert_eq!(document.write(&LAYOUTS[0], &ESCAPES[0]), text);
            proptest::prop_assert_eq!(document.write(&LAYOUTS[2], &ESCAPES[0]), pretty);
        }
    }
}
