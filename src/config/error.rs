//! What is wrong with a configuration: every problem with its file, line and key, and never with a secret's value.

use std::fmt;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name, or `command line`.
    pub file: String,
    /// The line, from 1, where there is one.
    pub line: Option<usize>,
    /// The key's path, such as `sources.stripe.provider`, or the flag; empty when the file as a whole is meant.
    pub key: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A configuration that cannot be used. Prints one problem a line, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// An error of these problems, at least one.
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        debug_assert!(!problems.is_empty(), "an error has a problem");
        Self { problems }
    }

    /// An error about a file or a command line as a whole.
    pub(super) fn whole(file: &str, message: impl Into<String>) -> Self {
        Self::new(vec![Problem { file: file.to_owned(), line: None, key: String::new(), message: message.into() }])
    }

    /// Everything that was found, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            let newline = if at == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// The most senders that are suggested.
const MOST_SENDERS: usize = 4;

/// The end of a message about an unknown name: the nearest allowed one, or all of them when nothing is near.
pub(crate) fn suggestion<'a>(text: &str, allowed: impl IntoIterator<Item = &'a str>) -> String {
    let allowed: Vec<&str> = allowed.into_iter().collect();
    let near = allowed.iter().map(|name| (strsim::damerau_levenshtein(text, name), *name)).min();
    match near {
        Some((distance, name)) if distance <= (text.chars().count() / 3).clamp(1, 4) => format!("; did you mean \"{name}\"?"),
        Some(_) => format!("; allowed: {}", allowed.join(", ")),
        None => String::new(),
    }
}

/// As [`suggestion`], for a sender that is known by a part of its name: `sns`, `azure`.
pub(super) fn nearest_sender<'a>(text: &str, senders: impl IntoIterator<Item = &'a str>) -> String {
    let senders: Vec<&str> = senders.into_iter().collect();
    let end = suggestion(text, senders.iter().copied());
    let alike = senders.iter().filter(|name| !text.is_empty() && name.contains(text)).take(MOST_SENDERS);
    let alike: Vec<_> = alike.map(|name| format!("\"{name}\"")).collect();
    match end.contains("did you mean") || alike.is_empty() {
        true => end,
        false => format!("; did you mean {}?", alike.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_and_otherwise_all_are_listed() {
        assert_eq!(suggestion("strip", ["github", "stripe"]), "; did you mean \"stripe\"?");
        assert_eq!(suggestion("paypal", ["github", "stripe"]), "; allowed: github, stripe");
        assert_eq!(suggestion("paypal", []), "");
    }

    #[test]
    fn a_sender_is_found_by_a_part_of_its_name() {
        let names = ["aws-sns", "azure-devops", "azure-eventgrid", "stripe"];
        assert_eq!(nearest_sender("sns", names), "; did you mean \"aws-sns\"?");
        assert_eq!(nearest_sender("azure", names), "; did you mean \"azure-devops\" or \"azure-eventgrid\"?");
        assert_eq!(nearest_sender("strpie", names), suggestion("strpie", names));
        assert_eq!(nearest_sender("", names), suggestion("", names));
    }

    #[test]
    fn a_problem_prints_as_compilers_do() {
        let problem = Problem {
            file: "onceward.toml".into(),
            line: Some(12),
            key: "sources.stripe.provider".into(),
            message: "unknown provider \"strip\"; did you mean \"stripe\"?".into(),
        };
        let expected = "onceward.toml:12: sources.stripe.provider: unknown provider \"strip\"; did you mean \"stripe\"?";
        assert_eq!(problem.to_string(), expected);
        assert_eq!(ConfigError::whole("command line", "no").to_string(), "command line: no");
    }
}
