//! Templates over a request: signed content, event types, answers.

use super::locator::{Locator, LocatorError};

/// Text with places: `{timestamp}.{body}`. A part in square brackets, `[.{json:/action}]`, is left out when a place in it
/// is empty. `{{`, `}}`, `[[` and `]]` stand for the single character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text as it stands.
    Text(String),
    /// What is found there.
    Value(Locator),
    /// Parts that stand or fall together.
    Optional(Vec<Part>),
}

/// A template that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A bracket without its partner, or square brackets inside square brackets.
    #[error("\"{0}\": unbalanced brackets; a literal one is written twice, such as \"{{{{\"")]
    Unbalanced(String),
    /// Braces around something that is no place.
    #[error(transparent)]
    Locator(#[from] LocatorError),
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// [`TemplateError`] for unbalanced brackets or an unknown place.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parser = Parser { text, rest: text.chars().peekable() };
        let parts = parser.parts(false)?;
        Ok(Self(parts))
    }

    /// Its parts in order.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Every place in it, optional ones included.
    pub fn locators(&self) -> Vec<&Locator> {
        let mut found = Vec::new();
        collect(&self.0, &mut found);
        found
    }
}

fn collect<'a>(parts: &'a [Part], found: &mut Vec<&'a Locator>) {
    for part in parts {
        match part {
            Part::Text(_) => {}
            Part::Value(locator) => found.push(locator),
            Part::Optional(inner) => collect(inner, found),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: std::iter::Peekable<std::str::Chars<'a>>,
}

impl Parser<'_> {
    fn parts(&mut self, inside: bool) -> Result<Vec<Part>, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        loop {
            let next = self.rest.next();
            let doubled = next.is_some() && self.rest.peek() == next.as_ref();
            match next {
                Some(c @ ('{' | '}' | '[' | ']')) if doubled && !(inside && c == ']') => {
                    self.rest.next();
                    literal.push(c);
                    continue;
                }
                Some(c) if !matches!(c, '{' | '}' | '[' | ']') => {
                    literal.push(c);
                    continue;
                }
                _ => {}
            }
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            match next {
                Some('{') => parts.push(Part::Value(self.locator()?)),
                Some('[') if !inside => parts.push(Part::Optional(self.parts(true)?)),
                Some(']') if inside => return Ok(parts),
                None if !inside => return Ok(parts),
                _ => return Err(TemplateError::Unbalanced(self.text.to_owned())),
            }
        }
    }

    fn locator(&mut self) -> Result<Locator, TemplateError> {
        let mut name = String::new();
        loop {
            match self.rest.next() {
                Some('}') => return Ok(Locator::parse(&name)?),
                Some(c) => name.push(c),
                None => return Err(TemplateError::Unbalanced(self.text.to_owned())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_places_and_optional_parts() {
        let template = Template::parse("v0:{header:X-T}[.{json:/action}]").unwrap();
        assert_eq!(
            template.parts(),
            [
                Part::Text("v0:".into()),
                Part::Value(Locator::Header("x-t".into())),
                Part::Optional(vec![Part::Text(".".into()), Part::Value(Locator::Json("/action".into()))]),
            ]
        );
        assert_eq!(template.locators().len(), 2);
    }

    #[test]
    fn doubled_brackets_are_literal() {
        let template = Template::parse("{{\"a\":[[1]]}}").unwrap();
        assert_eq!(template.parts(), [Part::Text("{\"a\":[1]}".into())]);
    }

    #[test]
    fn unbalanced_brackets_and_unknown_places_are_errors() {
        for wrong in ["{body", "body}", "[{body}", "{body}]", "[a[b]]", "{nowhere}"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_template_or_an_error(text in ".{0,60}") {
            let _ = Template::parse(&text);
        }
    }
}
