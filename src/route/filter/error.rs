//! What is wrong with a filter's text, and why a filter fails on an event.

use cel::ExecutionError;

use super::facts::Unread;

/// What is wrong with a filter's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It says nothing.
    #[error("is empty; leave the key out to take every event")]
    Empty,
    /// It is longer than a filter may be.
    #[error("is longer than {} KiB", super::MOST_TEXT >> 10)]
    Long,
    /// It is no CEL.
    #[error("is no CEL expression, at {line}:{column}: {message}")]
    Syntax {
        /// The line within the text, from 1.
        line: usize,
        /// The column in it, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// The parser gave up without a reason.
    #[error("is no CEL expression that can be read")]
    Unreadable,
    /// A name or function that there is none of.
    #[error("there is no {what} `{name}`{nearest}")]
    Unknown {
        /// Variable or function.
        what: &'static str,
        /// Its name.
        name: String,
        /// What may have been meant, led by a semicolon.
        nearest: String,
    },
    /// A function with more or fewer arguments than it takes, or called on nothing where it needs something.
    #[error("`{0}` is not called like that; write {1}")]
    Called(&'static str, &'static str),
    /// A pattern that is no regular expression, or too large a one, or only known when it is needed.
    #[error("a pattern for `matches` is a regular expression in quotes{0}")]
    Pattern(&'static str),
    /// It is true or false of nothing.
    #[error("must be true or false, and is {0}")]
    NotBool(&'static str),
    /// It has no variables, and fails.
    #[error("always fails: {0}")]
    AlwaysFails(String),
    /// It might take too long.
    #[error("{0}")]
    Heavy(&'static str),
}

impl FilterError {
    /// What can be said where the text came out of a variable and must not be shown.
    pub fn without_text(&self) -> String {
        match self {
            Self::Syntax { line, column, .. } => format!("is no CEL expression, at {line}:{column} of the variable's value"),
            Self::Unknown { what, .. } => format!("the variable's value names a {what} that there is none of"),
            other => other.to_string(),
        }
    }
}

/// Why a filter fails on an event. Says nothing of what the event holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Fault {
    /// What is asked for is not there: no failure, and no match.
    #[error("what is asked for is not there")]
    Absent,
    #[error("it took more than {} ms", super::TIME.as_millis())]
    Late,
    #[error("no thread was free in time")]
    Busy,
    #[error(transparent)]
    Unread(#[from] Unread),
    #[error("it came to {0} instead of true or false")]
    NotBool(String),
    #[error("it collects too much")]
    Large,
    #[error("the text is too long for `matches`")]
    LongText,
    #[error("the evaluation broke off")]
    Broken,
    #[error("{0}")]
    Cel(String),
}

impl From<ExecutionError> for Fault {
    /// Operators that look something up fail with an overload error where there is nothing to look into: a field of a string is
    /// as absent as one that an object does not have. Everything else is told without the values that the errors hold.
    fn from(error: ExecutionError) -> Self {
        let told = match &error {
            ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_) | ExecutionError::UnsupportedIndex(..) => {
                return Self::Absent;
            }
            ExecutionError::NoSuchOverload(overload) if ["_._", "_[_]"].contains(&overload.function()) => return Self::Absent,
            // Names have been checked, so that this is how our own say no.
            ExecutionError::UndeclaredReference(_) => return Self::Late,
            ExecutionError::FunctionError { function, .. } if function == super::guard::KEPT => return Self::Large,
            ExecutionError::FunctionError { function, message } if function == super::MATCHES && message == super::TOO_LONG => {
                return Self::LongText;
            }
            // Shows kinds and no values.
            ExecutionError::NoSuchOverload(overload) => overload.to_string(),
            ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
                format!("cannot {operator} {} and {}", left.type_of(), right.type_of())
            }
            ExecutionError::FunctionError { function, .. } => format!("`{function}` failed"),
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".to_owned(),
            ExecutionError::Overflow(..) => "a number became too large".to_owned(),
            ExecutionError::UnexpectedType { want, .. } => format!("something else came where {want} was needed"),
            ExecutionError::DuplicateKey(_) => "a map has a key twice".to_owned(),
            _ => "values of these kinds do not go together".to_owned(),
        };
        Self::Cel(told)
    }
}
