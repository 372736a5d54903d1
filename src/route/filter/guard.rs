//! Puts the bounds into an expression that CEL itself does not have: each turn of a loop looks at the clock, and what a loop
//! collects is weighed.
//!
//! The names begin with `@`, which no text of a filter can. A loop asks for the variable `@time`, which is true until the time
//! is over and then not there, so that the evaluation ends with an error; every variable of an event is asked for in the same
//! way, so that what is costly outside of loops, which can only be costly through a variable, ends as well.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, operators};
use cel::common::types::{CelBytes, CelList, CelMap, CelMapKey, CelString};
use cel::common::value::Val;

/// The variable that is there while there is time.
pub(super) const TIME: &str = "@time";
/// The function that weighs its argument and gives it back.
pub(super) const KEPT: &str = "@kept";
/// What a value weighs at least, in bytes.
const VALUE: usize = 48;

/// The same expression within bounds.
pub(super) fn guarded(mut expression: IdedExpr) -> IdedExpr {
    guard(&mut expression);
    expression
}

fn guard(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Select(select) => guard(&mut select.operand),
        Expr::Call(call) => call.target.iter_mut().map(|target| &mut **target).chain(&mut call.args).for_each(guard),
        Expr::List(list) => list.elements.iter_mut().for_each(guard),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| match &mut entry.expr {
            EntryExpr::MapEntry(entry) => [&mut entry.key, &mut entry.value].into_iter().for_each(guard),
            EntryExpr::StructField(field) => guard(&mut field.value),
        }),
        Expr::Comprehension(comprehension) => guard_loop(comprehension),
        Expr::Literal(_) | Expr::Ident(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
}

/// The evaluator builds a list in place where the condition is a literal and the step has one of two shapes (`@result + [x]`,
/// or the same within a condition), and otherwise copies the list in each turn. Both shapes are kept.
fn guard_loop(comprehension: &mut ComprehensionExpr) {
    [&mut comprehension.iter_range, &mut comprehension.loop_step].into_iter().for_each(guard);
    let accumulator = IdedExpr { id: 0, expr: Expr::Ident(comprehension.accu_var.clone()) };
    if !matches!(comprehension.accu_init.expr, Expr::List(_)) {
        comprehension.loop_cond = in_time(std::mem::take(&mut comprehension.loop_cond));
        return;
    }
    let step = std::mem::take(&mut comprehension.loop_step);
    let (condition, added) = match step.expr {
        Expr::Call(CallExpr { func_name, args, .. }) if func_name == operators::CONDITIONAL && args.len() == 3 => {
            let mut args = args.into_iter();
            (args.next().unwrap_or_default(), args.next().unwrap_or_default())
        }
        expr => (literal(true), IdedExpr { id: step.id, expr }),
    };
    comprehension.loop_step = conditional(in_time(condition), weighed(added), accumulator);
}

/// `@result + [x]` with `x` weighed.
fn weighed(mut added: IdedExpr) -> IdedExpr {
    if let Expr::Call(CallExpr { args, .. }) = &mut added.expr
        && let Some(Expr::List(ListExpr { elements, .. })) = args.last_mut().map(|list| &mut list.expr)
    {
        for element in elements {
            let inner = std::mem::take(element);
            *element = call(KEPT, vec![inner]);
        }
    }
    added
}

fn in_time(condition: IdedExpr) -> IdedExpr {
    conditional(IdedExpr { id: 0, expr: Expr::Ident(TIME.to_owned()) }, condition, literal(false))
}

fn conditional(condition: IdedExpr, then: IdedExpr, otherwise: IdedExpr) -> IdedExpr {
    call(operators::CONDITIONAL, vec![condition, then, otherwise])
}

fn call(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args }) }
}

fn literal(value: bool) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::Boolean(value.into())) }
}

/// About how many bytes a value takes.
pub(super) fn weight(value: &dyn Val) -> usize {
    let inner = if let Some(text) = value.downcast_ref::<CelString>() {
        text.inner().len()
    } else if let Some(bytes) = value.downcast_ref::<CelBytes>() {
        bytes.inner().len()
    } else if let Some(list) = value.downcast_ref::<CelList>() {
        list.inner().iter().map(|item| weight(&**item)).sum()
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        let name = |name: &CelMapKey<'_>| if let CelMapKey::String(name) = name { name.inner().len() } else { 0 };
        map.inner().iter().map(|(key, value)| VALUE + name(key) + weight(&**value)).sum()
    } else {
        0
    };
    VALUE + inner
}
