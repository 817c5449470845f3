//! From the parser's tree to ours: names resolved, types inferred, every fault reported with its place.

use super::super::diagnostic::{Code, Place, suggest};
use super::super::walk::Faults;
use super::eval::{FUNCTIONS, Function};
use super::types::{Arith, Compare, Expr, Literal, Type};
use super::words::{arithmetic, comparison, constant, within};
use super::{Condition, schema};
use cel::common::ast::{
    self, CallExpr, ComprehensionExpr, IdedExpr, LiteralValue, SelectExpr, operators as op,
};
use cel::parser::Parser;
use std::{collections::BTreeMap, sync::Arc};

/// Longer conditions are programs.
const LONGEST: usize = 8192;

/// The shared clauses by name, already checked.
pub(in crate::rules) type Definitions = BTreeMap<String, (Arc<Expr>, Type)>;

/// Compiles `text`, which stands at `place` and must be of type `wanted`.
pub(in crate::rules) fn compile(
    text: &str,
    place: &Place,
    wanted: Type,
    definitions: &Definitions,
    when: &[String],
    faults: &mut Faults,
) -> Option<Condition> {
    let (expr, found) = compile_any(text, place, definitions, when, faults)?;
    if !wanted.comparable(&found) {
        let hint = format!("compare it with something, so that it gives {wanted}");
        faults
            .add(Code::Condition, place, format!("this gives {found}, where {wanted} is needed"))
            .hint = Some(hint);
        return None;
    }
    Some(Condition { expr })
}

/// Compiles `text` of whatever type.
pub(in crate::rules) fn compile_any(
    text: &str,
    place: &Place,
    definitions: &Definitions,
    when: &[String],
    faults: &mut Faults,
) -> Option<(Expr, Type)> {
    if text.len() > LONGEST {
        faults.add(Code::TooLarge, place, format!("a condition of more than {LONGEST} bytes"));
        return None;
    }
    let (tree, info) = match Parser::new().max_recursion_depth(48).parse_with_source_info(text) {
        Ok(parsed) => parsed,
        Err(errors) => {
            for error in errors.errors {
                let line =
                    text.lines().nth(usize::try_from(error.pos.0 - 1).unwrap_or(0)).unwrap_or(text);
                let column = usize::try_from(error.pos.1).unwrap_or(0);
                let start =
                    (line.as_ptr() as usize - text.as_ptr() as usize) + column.min(line.len());
                let at = within(place, text, start..start + 1);
                let message = error
                    .msg
                    .split(" expecting ")
                    .next()
                    .unwrap_or("not a CEL expression")
                    .to_owned();
                faults.add(Code::Condition, &at, format!("not a CEL expression: {message}"));
            }
            return None;
        }
    };
    let alerts_only =
        !when.is_empty() && when.iter().all(|kind| kind.starts_with("alertmanager.alert."));
    let before = faults.0.len();
    let mut checker =
        Checker { text, place, info: &info, definitions, alerts_only, locals: vec![], faults };
    let checked = checker.expr(&tree);
    if faults.0.len() > before { None } else { checked }
}

struct Checker<'a> {
    text: &'a str,
    place: &'a Place,
    info: &'a ast::SourceInfo,
    definitions: &'a Definitions,
    alerts_only: bool,
    locals: Vec<(String, Type)>,
    faults: &'a mut Faults,
}

type Typed = Option<(Expr, Type)>;

impl Checker<'_> {
    fn fault(&mut self, at: &IdedExpr, code: Code, message: String, hint: Option<String>) -> Typed {
        let (start, stop) = self.info.offset_for(at.id).unwrap_or((0, 0));
        let range = start as usize..(stop as usize + 1).max(start as usize + 1);
        let place = within(self.place, self.text, range);
        self.faults.add(code, &place, message).hint = hint;
        None
    }

    /// Where a field's name stands: the parser remembers the dot before it.
    fn field_range(&self, tree: &IdedExpr, field: &str) -> std::ops::Range<usize> {
        let dot = self.info.offset_for(tree.id).map_or(0, |(start, _)| start as usize);
        let after = self.text.get(dot..).and_then(|rest| rest.find(field));
        let start = after.map_or(dot, |after| dot + after);
        start..start + field.len()
    }

    fn expr(&mut self, tree: &IdedExpr) -> Typed {
        match &tree.expr {
            ast::Expr::Literal(literal) => match constant(literal) {
                Some(typed) => Some(typed),
                None => self.fault(
                    tree,
                    Code::Condition,
                    "bytes are not supported; use a string".into(),
                    None,
                ),
            },
            ast::Expr::Ident(name) => self.name(tree, name),
            ast::Expr::Select(select) => self.select(tree, select),
            ast::Expr::Call(call) => self.call(tree, call),
            ast::Expr::Comprehension(of) => self.comprehension(tree, of),
            ast::Expr::List(list) => {
                let items: Vec<(Expr, Type)> =
                    list.elements.iter().map(|item| self.expr(item)).collect::<Option<_>>()?;
                let of = match items.split_first() {
                    Some(((_, first), rest)) if rest.iter().all(|(_, of)| of == first) => {
                        first.clone()
                    }
                    _ => Type::Any,
                };
                Some((
                    Expr::List(items.into_iter().map(|(item, _)| item).collect()),
                    Type::List(Box::new(of)),
                ))
            }
            ast::Expr::Map(_) | ast::Expr::Struct(_) => self.fault(
                tree,
                Code::Condition,
                "maps and messages cannot be built in a condition".into(),
                Some("compare field by field".into()),
            ),
            ast::Expr::Unspecified => {
                self.fault(tree, Code::Condition, "an empty expression".into(), None)
            }
        }
    }

    fn name(&mut self, tree: &IdedExpr, name: &str) -> Typed {
        if let Some(at) = self.locals.iter().rposition(|(local, _)| local == name) {
            return Some((Expr::Local(at), self.locals[at].1.clone()));
        }
        if let Some((clause, of)) = self.definitions.get(name) {
            return Some((Expr::Shared(Arc::clone(clause)), of.clone()));
        }
        if let Some((root, of)) = schema::root(name, self.alerts_only) {
            return Some((Expr::Root(root), of));
        }
        let known: Vec<&str> = schema::ROOTS
            .iter()
            .copied()
            .chain(self.definitions.keys().map(String::as_str))
            .collect();
        let hint = suggest(name, known.iter().copied());
        self.fault(tree, Code::UnknownName, format!("there is no `{name}`"), Some(hint))
    }

    fn select(&mut self, tree: &IdedExpr, select: &SelectExpr) -> Typed {
        let (of, kind) = self.expr(&select.operand)?;
        let found = match &kind {
            Type::Any => Type::Any,
            Type::Map(value) => (**value).clone(),
            Type::Object(object) => match object.field(&select.field) {
                Some(kind) => kind,
                None if object.open => Type::Any,
                None => {
                    let message = format!("`{}` has no field `{}`", object.name, select.field);
                    let hint = suggest(&select.field, object.names());
                    let range = self.field_range(tree, &select.field);
                    let place = within(self.place, self.text, range);
                    self.faults.add(Code::UnknownField, &place, message).hint = Some(hint);
                    return None;
                }
            },
            other => {
                let message = format!("a {other} has no fields, so no `{}`", select.field);
                return self.fault(tree, Code::Condition, message, None);
            }
        };
        let (of, name) = (Box::new(of), Arc::from(select.field.as_str()));
        if select.test {
            return Some((Expr::Has { of, name }, Type::Bool));
        }
        Some((Expr::Field { of, name, as_time: found == Type::Time }, found))
    }

    fn call(&mut self, tree: &IdedExpr, call: &CallExpr) -> Typed {
        let mut args = vec![];
        for arg in call.target.as_deref().into_iter().chain(&call.args) {
            args.push(self.expr(arg)?);
        }
        let name = call.func_name.as_str();
        let taken = std::mem::take(&mut args);
        match <[(Expr, Type); 1]>::try_from(taken) {
            Ok([one]) => self.unary(tree, name, one),
            Err(taken) => match <[(Expr, Type); 2]>::try_from(taken) {
                Ok([a, b]) => self.binary(tree, name, a, b),
                Err(taken) => match <[(Expr, Type); 3]>::try_from(taken) {
                    Ok([test, then, otherwise]) if name == op::CONDITIONAL => {
                        self.conditional(tree, test, then, otherwise)
                    }
                    Ok(_) | Err(_) => self.unknown(tree, name),
                },
            },
        }
    }

    fn unknown(&mut self, tree: &IdedExpr, name: &str) -> Typed {
        let known =
            FUNCTIONS.iter().map(|(name, _, _)| *name).chain(["matches", "has", "exists", "all"]);
        let hint = suggest(name, known);
        self.fault(
            tree,
            Code::UnknownName,
            format!("there is no function `{name}` with these arguments"),
            Some(hint),
        )
    }

    fn conditional(
        &mut self,
        tree: &IdedExpr,
        test: (Expr, Type),
        a: (Expr, Type),
        b: (Expr, Type),
    ) -> Typed {
        self.want(tree, &test.1, Type::Bool, "`?`")?;
        let of = if a.1 == b.1 { a.1 } else { Type::Any };
        Some((Expr::If(Box::new(test.0), Box::new(a.0), Box::new(b.0)), of))
    }

    fn want(&mut self, tree: &IdedExpr, found: &Type, wanted: Type, what: &str) -> Option<()> {
        if wanted.comparable(found) {
            return Some(());
        }
        self.fault(
            tree,
            Code::Condition,
            format!("{what} needs {wanted}, and this is {found}"),
            None,
        );
        None
    }

    fn unary(&mut self, tree: &IdedExpr, name: &str, (expr, of): (Expr, Type)) -> Typed {
        let boxed = Box::new(expr);
        match name {
            op::LOGICAL_NOT => {
                self.want(tree, &of, Type::Bool, "`!`")?;
                Some((Expr::Not(boxed), Type::Bool))
            }
            op::NEGATE if of.number() => Some((Expr::Negate(boxed), of)),
            op::NEGATE => self.fault(
                tree,
                Code::Condition,
                format!("`-` needs a number, and this is {of}"),
                None,
            ),
            op::NOT_STRICTLY_FALSE => Some((*boxed, of)),
            _ => self.function(tree, name, vec![(*boxed, of)]),
        }
    }

    fn binary(&mut self, tree: &IdedExpr, name: &str, a: (Expr, Type), b: (Expr, Type)) -> Typed {
        let pair = |a: (Expr, Type), b: (Expr, Type)| (Box::new(a.0), Box::new(b.0));
        if let Some(how) = comparison(name) {
            return self.compare(tree, how, a, b);
        }
        if let Some(how) = arithmetic(name) {
            return self.reckon(tree, how, name, a, b);
        }
        match name {
            op::LOGICAL_AND | op::LOGICAL_OR => {
                let word = if name == op::LOGICAL_AND { "`&&`" } else { "`||`" };
                self.want(tree, &a.1, Type::Bool, word)?;
                self.want(tree, &b.1, Type::Bool, word)?;
                let (a, b) = pair(a, b);
                let both = if name == op::LOGICAL_AND { Expr::And(a, b) } else { Expr::Or(a, b) };
                Some((both, Type::Bool))
            }
            op::IN => match &b.1 {
                Type::List(of) if !of.comparable(&a.1) => {
                    let message = format!("a {} is never in a list of {of}", a.1);
                    self.fault(tree, Code::Condition, message, None)
                }
                Type::Any | Type::List(_) | Type::Map(_) => {
                    let (a, b) = pair(a, b);
                    Some((Expr::In(a, b), Type::Bool))
                }
                other => {
                    let message = format!("`in` needs a list or a map, and this is {other}");
                    self.fault(tree, Code::Condition, message, None)
                }
            },
            op::INDEX => {
                let of = match &a.1 {
                    Type::Map(of) | Type::List(of) => (**of).clone(),
                    Type::Any => Type::Any,
                    other => {
                        let message = format!("a {other} has no `[…]`");
                        return self.fault(
                            tree,
                            Code::Condition,
                            message,
                            Some("write `.name` for a field".into()),
                        );
                    }
                };
                let (a, b) = pair(a, b);
                Some((Expr::Index(a, b), of))
            }
            "matches" => self.matches(tree, a, b),
            _ => self.function(tree, name, vec![a, b]),
        }
    }

    fn compare(
        &mut self,
        tree: &IdedExpr,
        how: Compare,
        a: (Expr, Type),
        b: (Expr, Type),
    ) -> Typed {
        if !a.1.comparable(&b.1) {
            let message = format!("a {} never compares with a {}", a.1, b.1);
            let hint = match (&a.1, &b.1) {
                (Type::Text, Type::Int) | (Type::Int, Type::Text) => {
                    Some("put the number in quotes, or use int(…)")
                }
                (Type::Bool, _) | (_, Type::Bool) => {
                    Some("compare with true or false, without quotes")
                }
                _ => None,
            };
            return self.fault(tree, Code::Condition, message, hint.map(str::to_owned));
        }
        Some((Expr::Compare(how, Box::new(a.0), Box::new(b.0)), Type::Bool))
    }

    fn reckon(
        &mut self,
        tree: &IdedExpr,
        how: Arith,
        name: &str,
        a: (Expr, Type),
        b: (Expr, Type),
    ) -> Typed {
        let of = match (how, &a.1, &b.1) {
            (_, Type::Any, _) | (_, _, Type::Any) => Type::Any,
            (_, Type::Int, Type::Int) => Type::Int,
            (_, x, y) if x.number() && y.number() => Type::Double,
            (Arith::Add, Type::Text, Type::Text) => Type::Text,
            (Arith::Subtract, Type::Time, Type::Time) => Type::Span,
            (Arith::Add | Arith::Subtract, Type::Time, Type::Span) => Type::Time,
            (Arith::Add, Type::Span, Type::Time) => Type::Time,
            (Arith::Add | Arith::Subtract, Type::Span, Type::Span) => Type::Span,
            (_, x, y) => {
                let sign = name.trim_matches('_');
                return self.fault(
                    tree,
                    Code::Condition,
                    format!("`{sign}` does not go with {x} and {y}"),
                    None,
                );
            }
        };
        Some((Expr::Arith(how, Box::new(a.0), Box::new(b.0)), of))
    }

    fn matches(&mut self, tree: &IdedExpr, a: (Expr, Type), b: (Expr, Type)) -> Typed {
        self.want(tree, &a.1, Type::Text, "`matches`")?;
        let Expr::Literal(Literal::Text(pattern)) = &b.0 else {
            return self.fault(
                tree,
                Code::Condition,
                "`matches` takes a pattern written as a string".into(),
                None,
            );
        };
        match regex_lite::RegexBuilder::new(pattern).size_limit(1 << 20).build() {
            Ok(regex) => Some((Expr::Matches(Box::new(a.0), Arc::new(regex)), Type::Bool)),
            Err(error) => self.fault(
                tree,
                Code::Condition,
                format!("not a regular expression: {error}"),
                None,
            ),
        }
    }

    fn function(&mut self, tree: &IdedExpr, name: &str, args: Vec<(Expr, Type)>) -> Typed {
        let known =
            FUNCTIONS.iter().find(|(known, _, arity)| *known == name && *arity == args.len());
        let Some((_, function, _)) = known else { return self.unknown(tree, name) };
        let of = match function {
            Function::Size | Function::Int => Type::Int,
            Function::Double => Type::Double,
            Function::Duration => Type::Span,
            Function::Timestamp => Type::Time,
            Function::String | Function::LowerAscii => Type::Text,
            Function::Contains | Function::StartsWith | Function::EndsWith => Type::Bool,
        };
        if !matches!(function, Function::Size | Function::Int | Function::Double | Function::String)
        {
            for (_, found) in &args {
                self.want(tree, found, Type::Text, &format!("`{name}`"))?;
            }
        }
        let exprs: Vec<Expr> = args.into_iter().map(|(arg, _)| arg).collect();
        if let (Function::Duration, [Expr::Literal(Literal::Text(text))]) =
            (function, exprs.as_slice())
        {
            let span = text
                .parse::<crate::model::Span>()
                .ok()
                .and_then(|span| i64::try_from(span.0.as_millis()).ok());
            let Some(millis) = span else {
                let message =
                    format!("`{text}` is not a duration; write for example `30s`, `5m`, `1h30m`");
                return self.fault(tree, Code::BadValue, message, None);
            };
            return Some((Expr::Literal(Literal::Span(millis)), of));
        }
        if let (Function::Timestamp, [Expr::Literal(Literal::Text(text))]) =
            (function, exprs.as_slice())
        {
            let Ok(at) = text.parse() else {
                let message =
                    format!("`{text}` is not a time; write for example 2026-09-18T08:20:00Z");
                return self.fault(tree, Code::BadValue, message, None);
            };
            return Some((Expr::Literal(Literal::Time(at)), of));
        }
        Some((Expr::Call(*function, exprs), of))
    }

    /// `exists` and `all` are what the parser makes of them: a fold from false by `||`, from true by `&&`.
    fn comprehension(&mut self, tree: &IdedExpr, of: &ComprehensionExpr) -> Typed {
        let all = match (&of.accu_init.expr, &of.loop_step.expr) {
            (ast::Expr::Literal(LiteralValue::Boolean(start)), ast::Expr::Call(step))
                if step.args.len() == 2 && of.iter_var2.is_none() =>
            {
                **start
            }
            _ => {
                return self.fault(
                    tree,
                    Code::Condition,
                    "`map`, `filter` and `exists_one` are not supported".into(),
                    Some("use `exists` or `all`, which need no list to be built".into()),
                );
            }
        };
        let (range, kind) = self.expr(&of.iter_range)?;
        let item = match kind {
            Type::List(of) => *of,
            Type::Map(_) => Type::Text,
            Type::Any => Type::Any,
            other => {
                let message = format!("a {other} is nothing to go through");
                return self.fault(&of.iter_range, Code::Condition, message, None);
            }
        };
        let ast::Expr::Call(step) = &of.loop_step.expr else { return None };
        self.locals.push((of.iter_var.clone(), item));
        let test = self.expr(&step.args[1]);
        self.locals.pop();
        let (test, found) = test?;
        self.want(tree, &found, Type::Bool, if all { "`all`" } else { "`exists`" })?;
        Some((Expr::Every { range: Box::new(range), test: Box::new(test), all }, Type::Bool))
    }
}
