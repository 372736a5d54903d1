//! What is found wrong with a filter before any event has come: names, calls, results that cannot be true or false, and what
//! could take longer than its data warrants.
//!
//! Comprehensions are the only loops of CEL: `exists` within `all` within `filter` is of the third power. Everything else is
//! linear in what it works on, and there are only so many places for it in a bounded text.

use std::collections::HashMap;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use regex::{Regex, RegexBuilder};

use super::error::FilterError;
use super::{MATCHES, VARIABLES};

/// How deeply an expression may be nested: the evaluator is recursive, and takes up to 40 KiB of stack for each level. Long rows of
/// `||` and `&&` are not deep, since the parser balances them.
const MOST_NESTED: usize = 24;
/// How many comprehensions there may be, and how many within each other.
const MOST_LOOPS: usize = 16;
const MOST_LOOPS_NESTED: usize = 2;
/// How large a regular expression may become, in bytes.
const MOST_PATTERN: usize = 1 << 18;
/// How many of them there may be.
const MOST_PATTERNS: usize = 16;

/// Names of kinds, for `type(body.x) == string`.
const KINDS: &[&str] = &["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];

/// A function: its name, how many arguments it takes as `f(…)` and as `x.f(…)`, how it is called, and what it comes to where
/// that is not true or false.
type Function = (&'static str, Option<usize>, Option<usize>, &'static str, Option<&'static str>);

const FUNCTIONS: &[Function] = &[
    ("size", Some(1), Some(0), "`size(x)`", Some("a number")),
    ("contains", None, Some(1), "`text.contains(\"…\")`", None),
    ("startsWith", None, Some(1), "`text.startsWith(\"…\")`", None),
    ("endsWith", None, Some(1), "`text.endsWith(\"…\")`", None),
    (MATCHES, Some(2), Some(1), "`text.matches(\"…\")`", None),
    ("bool", Some(1), None, "`bool(x)`", None),
    ("int", Some(1), None, "`int(x)`", Some("a number")),
    ("uint", Some(1), None, "`uint(x)`", Some("a number")),
    ("double", Some(1), None, "`double(x)`", Some("a number")),
    ("string", Some(1), None, "`string(x)`", Some("text")),
    ("bytes", Some(1), None, "`bytes(x)`", Some("bytes")),
    ("type", Some(1), None, "`type(x)`", Some("a type")),
    ("dyn", Some(1), None, "`dyn(x)`", None),
];

/// Macros, which the parser has replaced where they were called as they should be.
const MACROS: &[(&str, &str)] = &[
    ("has", "`has(body.x)`"),
    ("all", "`list.all(item, …)`"),
    ("exists", "`list.exists(item, …)`"),
    ("exists_one", "`list.exists_one(item, …)`"),
    ("map", "`list.map(item, …)`"),
    ("filter", "`list.filter(item, …)`"),
];

/// Operators that come to a number or a text.
const SUMS: &[&str] = &[operators::ADD, operators::SUBSTRACT, operators::MULTIPLY, operators::DIVIDE, operators::MODULO, operators::NEGATE];

/// What a filter is made of.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Whether it looks at the body.
    pub(super) body: bool,
    /// Whether it looks at anything of an event.
    pub(super) variable: bool,
    /// How many comprehensions it has.
    pub(super) loops: usize,
    /// Its regular expressions by their text.
    pub(super) patterns: HashMap<String, Regex>,
}

/// Checks an expression, and says what it is made of.
pub(super) fn check(expression: &IdedExpr) -> Result<Parts, FilterError> {
    let mut walk = Walk { parts: Parts::default(), scope: Vec::new(), depth: 0, loops: 0 };
    walk.expression(expression)?;
    truth(expression)?;
    Ok(walk.parts)
}

struct Walk {
    parts: Parts,
    /// Variables of the comprehensions around this place.
    scope: Vec<String>,
    depth: usize,
    /// How many comprehensions are around this place.
    loops: usize,
}

impl Walk {
    fn expression(&mut self, expression: &IdedExpr) -> Result<(), FilterError> {
        self.depth += 1;
        if self.depth > MOST_NESTED {
            return Err(FilterError::Heavy("is nested too deeply"));
        }
        match &expression.expr {
            Expr::Literal(_) => {}
            Expr::Ident(name) => self.name(name)?,
            Expr::Select(select) => self.expression(&select.operand)?,
            Expr::Call(call) => self.call(call)?,
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.expression(element))?,
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| self.entry(&entry.expr))?,
            Expr::Comprehension(comprehension) => self.comprehension(comprehension)?,
            Expr::Struct(made) => return Err(unknown("type", &made.type_name, KINDS)),
            Expr::Unspecified => return Err(FilterError::Unreadable),
        }
        self.depth -= 1;
        Ok(())
    }

    fn entry(&mut self, entry: &EntryExpr) -> Result<(), FilterError> {
        match entry {
            EntryExpr::MapEntry(entry) => {
                self.expression(&entry.key)?;
                self.expression(&entry.value)
            }
            EntryExpr::StructField(field) => self.expression(&field.value),
        }
    }

    fn name(&mut self, name: &str) -> Result<(), FilterError> {
        if self.scope.iter().any(|known| known == name) || KINDS.contains(&name) && !VARIABLES.contains(&name) {
            return Ok(());
        }
        let name = name.strip_prefix('.').unwrap_or(name);
        if !VARIABLES.contains(&name) {
            return Err(unknown("variable", name, VARIABLES));
        }
        self.parts.variable = true;
        self.parts.body |= name == "body";
        Ok(())
    }

    fn call(&mut self, call: &CallExpr) -> Result<(), FilterError> {
        let name = call.func_name.as_str();
        // Names that cannot be written belong to operators, and to what the parser makes of macros.
        if name.chars().all(|c| c.is_alphanumeric() || "_.".contains(c)) {
            let known = FUNCTIONS.iter().find(|(known, ..)| *known == name);
            let Some((known, alone, on, usage, _)) = known else {
                let names = FUNCTIONS.iter().map(|(name, ..)| *name).chain(MACROS.iter().map(|(name, _)| *name));
                return Err(match MACROS.iter().find(|(known, _)| *known == name) {
                    Some((known, usage)) => FilterError::Called(known, usage),
                    None => unknown("function", name, &names.collect::<Vec<_>>()),
                });
            };
            if *(if call.target.is_some() { on } else { alone }) != Some(call.args.len()) {
                return Err(FilterError::Called(known, usage));
            }
            if *known == MATCHES {
                self.pattern(call.args.last())?;
            }
        }
        call.target.iter().try_for_each(|target| self.expression(target))?;
        call.args.iter().try_for_each(|argument| self.expression(argument))
    }

    /// Made ready here: making one costs more than most filters, and one that comes with an event could be of any size.
    fn pattern(&mut self, argument: Option<&IdedExpr>) -> Result<(), FilterError> {
        let Some(Expr::Literal(LiteralValue::String(text))) = argument.map(|argument| &argument.expr) else {
            return Err(FilterError::Pattern(""));
        };
        let made = RegexBuilder::new(text.inner()).size_limit(MOST_PATTERN).dfa_size_limit(2 * MOST_PATTERN).build();
        let pattern = made.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => FilterError::Pattern(", and this one is too large"),
            _ => FilterError::Pattern(", and this one cannot be read"),
        })?;
        self.parts.patterns.insert(text.inner().to_owned(), pattern);
        if self.parts.patterns.len() > MOST_PATTERNS {
            return Err(FilterError::Heavy("has too many patterns"));
        }
        Ok(())
    }

    fn comprehension(&mut self, made: &ComprehensionExpr) -> Result<(), FilterError> {
        self.parts.loops += 1;
        if self.parts.loops > MOST_LOOPS {
            return Err(FilterError::Heavy("has too many of `all`, `exists`, `exists_one`, `map` and `filter`"));
        }
        self.expression(&made.iter_range)?;
        self.loops += 1;
        if self.loops > MOST_LOOPS_NESTED {
            return Err(FilterError::Heavy("has more than two of `all`, `exists`, `exists_one`, `map` and `filter` within each other"));
        }
        let outside = self.scope.len();
        self.scope.extend([made.iter_var.clone(), made.accu_var.clone()]);
        [&made.accu_init, &made.loop_cond, &made.loop_step, &made.result].into_iter().try_for_each(|part| self.expression(part))?;
        self.scope.truncate(outside);
        self.loops -= 1;
        Ok(())
    }
}

/// Whether an expression can be true or false, as far as that can be told without an event.
fn truth(expression: &IdedExpr) -> Result<(), FilterError> {
    if let Expr::Call(call) = &expression.expr {
        match call.func_name.as_str() {
            operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT => return call.args.iter().try_for_each(truth),
            operators::CONDITIONAL => return call.args.iter().try_for_each(truth),
            _ => {}
        }
    }
    kind(expression).map_or(Ok(()), |kind| Err(FilterError::NotBool(kind)))
}

/// What an expression comes to, where that is certain and not true or false.
fn kind(expression: &IdedExpr) -> Option<&'static str> {
    match &expression.expr {
        Expr::Literal(LiteralValue::Boolean(_)) => None,
        Expr::Literal(LiteralValue::String(_)) => Some("text"),
        Expr::Literal(LiteralValue::Bytes(_)) => Some("bytes"),
        Expr::Literal(LiteralValue::Null) => Some("null"),
        Expr::Literal(_) => Some("a number"),
        Expr::List(_) => Some("a list"),
        Expr::Map(_) => Some("a map"),
        Expr::Ident(name) if name == "headers" => Some("a map"),
        Expr::Ident(name) if ["type", "source"].contains(&name.as_str()) => Some("text"),
        Expr::Ident(name) if KINDS.contains(&name.as_str()) => Some("a type"),
        Expr::Call(call) if SUMS.contains(&call.func_name.as_str()) => Some("a number or text"),
        Expr::Call(call) => FUNCTIONS.iter().find(|(name, ..)| *name == call.func_name).and_then(|(.., kind)| *kind),
        Expr::Comprehension(made) => matches!(made.accu_init.expr, Expr::List(_)).then_some("a list"),
        _ => None,
    }
}

fn unknown(what: &'static str, name: &str, known: &[&str]) -> FilterError {
    let near = known.iter().map(|known| (strsim::damerau_levenshtein(name, known), *known)).min();
    let nearest = match near {
        Some((distance, near)) if distance <= (name.chars().count() / 3).clamp(1, 4) => format!("; did you mean `{near}`?"),
        _ => format!("; there are {}", known.join(", ")),
    };
    FilterError::Unknown { what, name: name.to_owned(), nearest }
}
