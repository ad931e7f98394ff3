//! Filters: comparisons joined by AND.

use std::cmp::Ordering;

use super::fields::field_of;
use super::like::is_like;
use super::{Field, FieldType, LONGEST, SearchError, Searchable, Value};

/// A filter that has been checked against the fields of what is searched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    clauses: Vec<Clause>,
}

#[derive(Clone, Debug, PartialEq)]
struct Clause {
    field: Field,
    operator: Operator,
    operand: Operand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
    CaselessLike,
    In,
    NotIn,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Number(f64),
    Text(String),
    List(Vec<String>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A name with its dots, such as `tags.team`; the parts in quotes or backticks are taken as they are.
    Name(String),
    /// In single or double quotes.
    Text(String),
    Number(f64),
    Operator(Operator),
    Open,
    Close,
    Comma,
}

const MAX_CLAUSES: usize = 100;

impl Filter {
    /// Reads a filter over `T`; an empty one lets everything through.
    pub fn parse<T: Searchable>(text: &str) -> Result<Self, SearchError> {
        if text.len() > LONGEST {
            return Err(SearchError(format!("Invalid filter: it is longer than {LONGEST} bytes")));
        }
        let wrong = |reason: String| SearchError(format!("Invalid filter '{text}': {reason}"));
        let tokens = tokens(text).map_err(wrong)?;
        let mut rest = tokens.as_slice();
        let mut clauses = Vec::new();
        while !rest.is_empty() {
            if !clauses.is_empty() {
                rest = match rest {
                    [Token::Name(word), rest @ ..] if word.eq_ignore_ascii_case("and") => rest,
                    _ => return Err(wrong("comparisons are joined by AND".to_owned())),
                };
            }
            let clause = clause(&mut rest).map_err(wrong)?;
            clause.check::<T>()?;
            clauses.push(clause);
            if clauses.len() > MAX_CLAUSES {
                return Err(wrong(format!("it has more than {MAX_CLAUSES} comparisons")));
            }
        }
        Ok(Self { clauses })
    }

    #[must_use]
    pub fn fits<T: Searchable>(&self, row: &T) -> bool {
        self.clauses.iter().all(|clause| row.any(&clause.field, &|value| clause.holds(value)))
    }
}

impl Clause {
    fn check<T: Searchable>(&self) -> Result<(), SearchError> {
        let found = T::field_type(&self.field)?;
        let (name, operator) = (&self.field.key, self.operator);
        let only_text = matches!(operator, Operator::Like | Operator::CaselessLike | Operator::In | Operator::NotIn);
        match (found, &self.operand) {
            (FieldType::Number, Operand::Number(_)) if !only_text => Ok(()),
            (FieldType::Number, _) => {
                Err(SearchError(format!("Expected a numeric value for '{name}' and a comparison of numbers")))
            }
            (FieldType::Text, Operand::Number(_)) => {
                Err(SearchError(format!("Expected a quoted string value for '{name}'")))
            }
            (FieldType::Text, _) if only_text || matches!(operator, Operator::Equal | Operator::NotEqual) => Ok(()),
            (FieldType::Text, _) => {
                Err(SearchError(format!("'{name}' is text, which is compared by =, !=, LIKE, ILIKE, IN or NOT IN")))
            }
        }
    }

    fn holds(&self, value: &Value<'_>) -> bool {
        match (value, &self.operand) {
            (Value::Number(number), Operand::Number(operand)) => self.operator.orders(number.partial_cmp(operand)),
            (Value::Text(text), Operand::Text(operand)) => match self.operator {
                Operator::Like => is_like(text, operand),
                Operator::CaselessLike => is_like(&text.to_lowercase(), &operand.to_lowercase()),
                operator => operator.orders(Some((*text).cmp(operand.as_str()))),
            },
            (Value::Text(text), Operand::List(list)) => {
                list.iter().any(|item| item == text) == (self.operator == Operator::In)
            }
            _ => false,
        }
    }
}

impl Operator {
    fn orders(self, order: Option<Ordering>) -> bool {
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
            Self::Like | Self::CaselessLike | Self::In | Self::NotIn => false,
        }
    }
}

fn clause(rest: &mut &[Token]) -> Result<Clause, String> {
    let [Token::Name(name), after @ ..] = *rest else {
        return Err("a comparison begins with a name, such as tags.team".to_owned());
    };
    let field = field_of(name)?;
    let (operator, after) = match after {
        [Token::Operator(operator), after @ ..] => (*operator, after),
        [Token::Name(not), Token::Name(within), after @ ..] if is(not, "not") && is(within, "in") => {
            (Operator::NotIn, after)
        }
        [Token::Name(word), after @ ..] if is(word, "like") => (Operator::Like, after),
        [Token::Name(word), after @ ..] if is(word, "ilike") => (Operator::CaselessLike, after),
        [Token::Name(word), after @ ..] if is(word, "in") => (Operator::In, after),
        _ => return Err(format!("after '{name}' comes one of =, !=, <, <=, >, >=, LIKE, ILIKE, IN, NOT IN")),
    };
    let is_list = matches!(operator, Operator::In | Operator::NotIn);
    let (operand, after) = match after {
        [Token::Number(number), after @ ..] if !is_list => (Operand::Number(*number), after),
        [Token::Text(text), after @ ..] if !is_list => (Operand::Text(text.clone()), after),
        [Token::Open, after @ ..] if is_list => list(after)?,
        _ => {
            return Err(format!(
                "'{name}' is compared with a number, a string in quotes, or after IN a list of strings"
            ));
        }
    };
    *rest = after;
    Ok(Clause { field, operator, operand })
}

fn list(mut rest: &[Token]) -> Result<(Operand, &[Token]), String> {
    let mut items = Vec::new();
    loop {
        match rest {
            [Token::Text(item), Token::Comma, after @ ..] => {
                items.push(item.clone());
                rest = after;
            }
            [Token::Text(item), Token::Close, after @ ..] => {
                items.push(item.clone());
                return Ok((Operand::List(items), after));
            }
            _ => return Err("a list is written as ('a', 'b')".to_owned()),
        }
    }
}

fn is(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '=' => (Token::Operator(Operator::Equal), if rest.starts_with("==") { 2 } else { 1 }),
            '!' if rest.starts_with("!=") => (Token::Operator(Operator::NotEqual), 2),
            '<' if rest.starts_with("<=") => (Token::Operator(Operator::LessOrEqual), 2),
            '>' if rest.starts_with(">=") => (Token::Operator(Operator::GreaterOrEqual), 2),
            '<' => (Token::Operator(Operator::Less), 1),
            '>' => (Token::Operator(Operator::Greater), 1),
            '\'' | '"' if !ends_with_dot(rest, first) => quoted(rest, first)?,
            '-' | '+' | '.' | '0'..='9' => number(rest)?,
            _ => name(rest)?,
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// Whether a quoted text is the first part of a name, as in `"tags".team`.
fn ends_with_dot(text: &str, quote: char) -> bool {
    text[1..].find(quote).is_some_and(|end| text[end + 2..].starts_with('.'))
}

fn quoted(text: &str, quote: char) -> Result<(Token, usize), String> {
    let end = text[1..].find(quote).ok_or_else(|| format!("the string that begins with {quote} does not end"))?;
    Ok((Token::Text(text[1..=end].to_owned()), end + 2))
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-');
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let number = text[..end].parse().map_err(|_| format!("'{}' is no number", &text[..end]))?;
    Ok((Token::Number(number), end))
}

/// Parts separated by dots; the first quoted part ends the name.
fn name(text: &str) -> Result<(Token, usize), String> {
    let mut at = 0;
    let mut name = String::new();
    while let Some(c) = text[at..].chars().next() {
        match c {
            '`' | '"' | '\'' => {
                let end =
                    text[at + 1..].find(c).ok_or_else(|| format!("the name that begins with {c} does not end"))?;
                name.push_str(&text[at + 1..at + 1 + end]);
                at += end + 2;
                if !text[at..].starts_with('.') {
                    break;
                }
            }
            c if c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ':') => {
                name.push(c);
                at += c.len_utf8();
            }
            _ => break,
        }
    }
    if at == 0 {
        return Err(format!("'{}' is not understood", text.chars().take(20).collect::<String>()));
    }
    Ok((Token::Name(name), at))
}
