//! What an event must be like for a destination to take it: a CEL expression over `body`, `headers`, `type` and `source`.
//!
//! **Absent.** What is not there makes a filter false rather than fail: a field that an object does not have, a field of
//! something that is no object, an item past the end of a list. `||` and `&&` decide by the side that decides, whatever is wrong
//! with the other, so that `body.a == 1 || body.b == 2` holds where only `b` is there. `has(body.a)` asks whether `a` is there;
//! `has(body.a.b)` asks about `b` alone, and is as absent as `a` where that is not there.
//!
//! **Bounds.** The expression comes from the operator and is believed to be sensible; the body comes from whoever sends. CEL
//! always ends, but not soon. So a text has a length, a depth and a number of loops (`check`); a body has a size, a depth and a
//! number of values (`facts`); each turn of a loop and each look at a variable sees the clock, and what loops collect is weighed
//! (`guard`). What does not end by [`TIME`] fails. A single operation is not interrupted, but is linear in what it works on.
//!
//! Where this happens is the matter of `super::judge`.

mod check;
mod error;
mod facts;
mod guard;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use cel::common::ast::IdedExpr;
use cel::common::types::{CelBool, CelString};
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, FunctionContext, ParseErrors, Value};
use regex::Regex;

pub(super) use error::Fault;
pub use error::FilterError;
pub(super) use facts::{Asked, Facts};

/// How long all filters of an event may take together, once it is their turn.
pub(super) const TIME: Duration = Duration::from_millis(100);
/// The longest text of a filter.
const MOST_TEXT: usize = 4 << 10;
/// How much the lists may weigh that the loops of one evaluation build.
const MOST_KEPT: usize = 16 << 20;
/// The longest text that a pattern is looked for in: with hostile patterns and texts it takes their product.
const MOST_MATCHED: usize = 256 << 10;
/// The stack on which a text is parsed: the parser is recursive and has its own idea of a bound.
const PARSER_STACK: usize = 64 << 20;

const VARIABLES: &[&str] = &["body", "headers", "type", "source"];
/// The function for regular expressions: ours, so that none is made while an event waits.
const MATCHES: &str = "matches";
const TOO_LONG: &str = "the text is too long";

/// Without optional values: their `optMap` could double a text over and over.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// A filter that has been checked.
#[derive(Clone)]
pub struct Filter(Arc<Checked>);

struct Checked {
    expression: IdedExpr,
    patterns: Arc<HashMap<String, Regex>>,
    reads_body: bool,
    has_loops: bool,
}

impl Filter {
    /// Parses and checks a filter.
    ///
    /// # Errors
    /// [`FilterError`]: everything that can be known to be wrong before an event comes.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.trim().is_empty() {
            return Err(FilterError::Empty);
        }
        if text.len() > MOST_TEXT {
            return Err(FilterError::Long);
        }
        let text = text.to_owned();
        // On a thread of its own: for its stack, and because a parser that panics is a text that cannot be read.
        let parsing = std::thread::Builder::new().name("filter".into()).stack_size(PARSER_STACK).spawn(move || Self::checked(&text));
        let parsed = parsing.map_err(drop).and_then(|thread| thread.join().map_err(drop));
        let (filter, has_variables) = parsed.map_err(|()| FilterError::Unreadable)??;
        if !has_variables {
            filter.constant()?;
        }
        Ok(filter)
    }

    fn checked(text: &str) -> Result<(Self, bool), FilterError> {
        let program = ENVIRONMENT.compile(text).map_err(|errors| syntax(&errors))?;
        let parts = check::check(program.expression())?;
        let filter = Checked {
            expression: guard::guarded(program.expression().clone()),
            patterns: Arc::new(parts.patterns),
            reads_body: parts.body,
            has_loops: parts.loops > 0,
        };
        Ok((Self(Arc::new(filter)), parts.variable))
    }

    /// Whether it looks at the body.
    pub(super) fn reads_body(&self) -> bool {
        self.0.reads_body
    }

    /// Whether it can take longer than a look at its variables.
    pub(super) fn has_loops(&self) -> bool {
        self.0.has_loops
    }

    /// Whether the event fits, as far as that is known by `deadline`.
    pub(super) fn decide(&self, facts: &Facts, deadline: Instant) -> Result<bool, Fault> {
        if self.reads_body()
            && let Err(unread) = &facts.body
        {
            return Err((*unread).into());
        }
        match catch_unwind(AssertUnwindSafe(|| self.evaluate(facts, deadline))) {
            Ok(Err(Fault::Absent)) => Ok(false),
            Ok(decided) => decided,
            Err(_) => Err(Fault::Broken),
        }
    }

    fn evaluate(&self, facts: &Facts, deadline: Instant) -> Result<bool, Fault> {
        let known = Known { facts, deadline };
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        context.set_variable_resolver(&known);
        self.add_functions(&mut context).map_err(|_| Fault::Broken)?;
        let value = Value::resolve_val(&self.0.expression, &context)?;
        match value.downcast_ref::<CelBool>() {
            Some(decided) => Ok(*decided.inner()),
            None => Err(Fault::NotBool(value.get_type().name().to_owned())),
        }
    }

    fn add_functions(&self, context: &mut Context<'_, '_>) -> Result<(), cel::DeclarationError> {
        if !self.0.patterns.is_empty() {
            let patterns = Arc::clone(&self.0.patterns);
            context.add_function(MATCHES, boxed(move |call| matches(&patterns, call)))?;
        }
        if self.0.has_loops {
            let left = AtomicUsize::new(MOST_KEPT);
            context.add_function(guard::KEPT, boxed(move |call| kept(&left, call)))?;
        }
        Ok(())
    }

    /// Evaluates what depends on nothing.
    fn constant(&self) -> Result<(), FilterError> {
        let nothing = Facts::nothing();
        match self.decide(&nothing, Instant::now() + TIME) {
            Ok(_) => Ok(()),
            Err(fault) => Err(FilterError::AlwaysFails(fault.to_string())),
        }
    }
}

/// Shows nothing of the text: parts of it may come out of variables.
impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("reads_body", &self.0.reads_body).field("has_loops", &self.0.has_loops).finish_non_exhaustive()
    }
}

/// The variables of an event, while there is time.
struct Known<'f> {
    facts: &'f Facts,
    deadline: Instant,
}

impl VariableResolver for Known<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let value = match name {
            guard::TIME => return (Instant::now() < self.deadline).then(|| CowVal::owned(CelBool::from(true))),
            "body" => self.facts.body.as_ref().ok()?,
            "headers" => &self.facts.headers,
            "type" => &self.facts.event_type,
            "source" => &self.facts.source,
            _ => return None,
        };
        (Instant::now() < self.deadline).then_some(CowVal::Borrowed(&**value))
    }
}

type Called<'c, 'v> = Result<CowVal<'c, 'v>, ExecutionError>;
type Function = Box<dyn for<'c, 'v> Fn(&mut FunctionContext<'c, 'v>) -> Called<'c, 'v> + Send + Sync>;

fn boxed(function: impl for<'c, 'v> Fn(&mut FunctionContext<'c, 'v>) -> Called<'c, 'v> + Send + Sync + 'static) -> Function {
    Box::new(function)
}

/// `text.matches("pattern")`, and `matches(text, "pattern")`.
fn matches<'c, 'v>(patterns: &HashMap<String, Regex>, call: &mut FunctionContext<'c, 'v>) -> Called<'c, 'v> {
    let pattern = call.args.pop();
    let text = call.this.take().or_else(|| call.args.pop());
    let (Some(text), Some(pattern)) = (text, pattern) else { return Err(ExecutionError::missing_argument_or_target()) };
    let kinds = || vec![text.get_type().name().to_owned(), pattern.get_type().name().to_owned()];
    let (Some(text), Some(pattern)) = (text.downcast_ref::<CelString>(), pattern.downcast_ref::<CelString>()) else {
        return Err(ExecutionError::no_such_overload(MATCHES, kinds()));
    };
    if text.inner().len() > MOST_MATCHED {
        return Err(ExecutionError::function_error(MATCHES, TOO_LONG));
    }
    let pattern = patterns.get(pattern.inner()).ok_or_else(ExecutionError::missing_argument_or_target)?;
    Ok(CowVal::owned(CelBool::from(pattern.is_match(text.inner()))))
}

/// Gives its argument back, while there is room for more.
fn kept<'c, 'v>(left: &AtomicUsize, call: &mut FunctionContext<'c, 'v>) -> Called<'c, 'v> {
    let value = call.args.pop().ok_or_else(ExecutionError::missing_argument_or_target)?;
    let weight = guard::weight(&*value);
    let room = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(weight));
    room.map(|_| value).map_err(|_| ExecutionError::function_error(guard::KEPT, ""))
}

/// The first thing that is wrong, on one line.
fn syntax(errors: &ParseErrors) -> FilterError {
    let Some(first) = errors.errors.first() else { return FilterError::Unreadable };
    let [line, column] = [first.pos.0, first.pos.1].map(|at| usize::try_from(at).unwrap_or_default());
    let message = first.msg.lines().next().unwrap_or_default();
    // Lists of everything that could have come instead help nobody.
    let message = message.split(" expecting {").next().unwrap_or_default().trim_start_matches("Syntax error: ");
    FilterError::Syntax { line, column, message: message.chars().take(120).collect() }
}
