//! Patterns over event types, by which destinations say what they take.

/// A pattern over event types. Segments are separated by `.`; `*` stands for one segment; a pattern matches a type and
/// all below it, so `pull_request` takes `pull_request.opened`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypePattern(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Any,
    Exactly(Box<str>),
}

/// A pattern that can match nothing sensible.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The pattern, or a segment of it, is empty.
    #[error("a type pattern has no empty segment: write \"push\" or \"pull_request.opened\"")]
    EmptySegment,
    /// A `*` stands beside other characters.
    #[error("\"*\" stands for one whole segment: write \"invoice.*\", not \"invoice.pa*\"")]
    PartialWildcard,
}

impl TypePattern {
    /// Parses a pattern such as `push`, `release.published`, `*.deleted`.
    ///
    /// # Errors
    /// [`PatternError`] for an empty segment, or a `*` inside one.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        pattern
            .split('.')
            .map(|segment| match segment {
                "" => Err(PatternError::EmptySegment),
                "*" => Ok(Segment::Any),
                text if text.contains('*') => Err(PatternError::PartialWildcard),
                text => Ok(Segment::Exactly(text.into())),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether the type, or a parent of it, fits the pattern.
    pub fn matches(&self, event_type: &str) -> bool {
        let mut segments = event_type.split('.').filter(|segment| !segment.is_empty());
        self.0.iter().all(|wanted| match (wanted, segments.next()) {
            (_, None) => false,
            (Segment::Any, Some(_)) => true,
            (Segment::Exactly(text), Some(segment)) => **text == *segment,
        })
    }
}

impl std::fmt::Display for TypePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            match segment {
                Segment::Any => write!(f, "{dot}*")?,
                Segment::Exactly(text) => write!(f, "{dot}{text}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_a_type_and_all_below_it() {
        let cases = [
            ("push", "push", true),
            ("pull_request", "pull_request.opened", true),
            ("pull_request.opened", "pull_request", false),
            ("pull_request", "pull_request_review", false),
            ("*", "push", true),
            ("*", "", false),
            ("invoice.*.done", "invoice.payment.done", true),
            ("invoice.*.done", "invoice.payment.begun", false),
            ("*.deleted", "customer.deleted", true),
        ];
        for (pattern, event_type, expected) in cases {
            assert_eq!(TypePattern::parse(pattern).unwrap().matches(event_type), expected, "{pattern} {event_type}");
        }
    }

    #[test]
    fn a_pattern_that_matches_nothing_sensible_is_an_error() {
        assert_eq!(TypePattern::parse(""), Err(PatternError::EmptySegment));
        assert_eq!(TypePattern::parse("a..b"), Err(PatternError::EmptySegment));
        assert_eq!(TypePattern::parse("invoice.pa*"), Err(PatternError::PartialWildcard));
    }
}
