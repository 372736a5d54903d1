//! Pages of the documentation: the blocks in them, and the commands in those.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A fenced block.
#[derive(Debug)]
pub(super) struct Block {
    /// The page's file and the line of the fence.
    pub(super) at: String,
    /// What stands behind the fence: `sh run 409`.
    pub(super) info: String,
    /// What stands between the fences, without the indentation of the first one.
    pub(super) text: String,
}

/// The page of that name below the repository.
pub(super) fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks of a page, in order.
pub(super) fn blocks(name: &str, page: &str) -> Vec<Block> {
    let (mut blocks, mut open) = (Vec::new(), None::<(usize, Block)>);
    for (number, line) in page.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(info)) => {
                let at = format!("{name}:{}", number + 1);
                open = Some((line.len() - line.trim_start().len(), Block { at, info: info.trim().to_owned(), text: String::new() }));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(_, block)| block)),
            (Some((indentation, block)), None) => {
                block.text.push_str(line.get(*indentation..).unwrap_or_default());
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{name}: a block without an end");
    blocks
}

impl Block {
    /// The words behind `sh run`, where this is such a block.
    pub(super) fn run(&self) -> Option<&str> {
        self.info.strip_prefix("sh run").map(str::trim)
    }

    /// The commands, each in one line, without comments.
    pub(super) fn commands(&self) -> Vec<String> {
        let joined = self.text.replace("\\\n", " ");
        joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
    }
}

/// A command's words, as a shell reads them: quotes, and variables outside single ones. A variable must be known.
pub(super) fn words(command: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut rest = command.chars().peekable();
    while let Some(char) = rest.next() {
        match (char, quote) {
            ('\'' | '"', None) => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (char, Some(open)) if char == open => quote = None,
            (' ', None) => words.extend(word.take()),
            ('$', None | Some('"')) => {
                let mut name = String::new();
                while let Some(char) = rest.next_if(|char| char.is_ascii_alphanumeric() || *char == '_') {
                    name.push(char);
                }
                let value = variables.get(&name).unwrap_or_else(|| panic!("${name} is not set: {command}"));
                word.get_or_insert_default().push_str(value);
            }
            ('|' | '>' | '<' | '&' | ';' | '`', None) => panic!("more than one plain command: {command}"),
            (char, _) => word.get_or_insert_default().push(char),
        }
    }
    assert!(quote.is_none(), "a quote without an end: {command}");
    words.extend(word);
    words
}

#[test]
fn blocks_and_words_are_read_as_a_reader_does() {
    let page = "# A\n\n- one\n  ```sh run 409\n  # why\n  a 'b c' \\\n      \"$X d\"$X e\n  ```\n```json\n{}\n```\n";
    let found = blocks("a.md", page);
    assert_eq!((found.len(), found[0].run(), found[1].run(), &*found[1].text), (2, Some("409"), None, "{}\n"));
    assert_eq!(found[1].at, "a.md:9");
    let commands = found[0].commands();
    assert_eq!(commands.len(), 1);
    let variables = BTreeMap::from([("X".to_owned(), "x".to_owned())]);
    assert_eq!(words(&commands[0], &variables), ["a", "b c", "x dx", "e"]);
}
