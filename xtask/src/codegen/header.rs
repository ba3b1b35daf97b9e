//! Reads `splat_engine.h` into items: constants, enums, structs and the exported function, each with its comment.
//!
//! The header keeps to a small part of C, and this reads that part alone: integer `#define`s, `typedef struct`,
//! anonymous `enum`, opaque structs, members with pointers, arrays and function pointers. Anything else is an error
//! with its line. Whether sizes, offsets and values are what a C compiler makes of the header is for
//! `splat-engine/tests/layout.rs`, which asks one.

use anyhow::{Context, bail, ensure};

/// One thing that the header declares, in its order.
#[derive(Debug)]
pub(super) enum Item {
    /// `#define NAME integer`
    Define(Constant),
    /// An anonymous `enum`; `of` is the type whose `typedef` stands right before it.
    Enum { of: Option<String>, doc: String, values: Vec<Constant> },
    /// `typedef integer name;`
    Alias { name: String, to: String },
    /// `typedef struct name name;`
    Opaque { name: String, doc: String },
    /// `typedef struct name { ... } name;`
    Struct(Struct),
    /// The exported function.
    Function { name: String, doc: String, function: Function },
}

/// A named integer.
#[derive(Debug)]
pub(super) struct Constant {
    pub(super) name: String,
    pub(super) value: i64,
    pub(super) doc: String,
}

/// A struct whose members are known.
#[derive(Debug)]
pub(super) struct Struct {
    pub(super) name: String,
    pub(super) doc: String,
    pub(super) members: Vec<Member>,
}

impl Struct {
    /// Whether it begins with `struct_size`, as every struct does that may grow.
    pub(super) fn is_sized(&self) -> bool {
        self.members.first().is_some_and(|m| m.name == "struct_size")
    }
}

/// A member of a struct, or a parameter of a function.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The length of an array: a number or the name of a `#define`.
    pub(super) array: Option<String>,
    pub(super) doc: String,
}

#[derive(Debug)]
pub(super) enum Kind {
    Plain(Type),
    Function(Function),
}

/// `const base *`: what is pointed at, whether that is constant, and the number of stars.
#[derive(Debug)]
pub(super) struct Type {
    pub(super) base: String,
    pub(super) constant: bool,
    pub(super) pointers: usize,
}

#[derive(Debug)]
pub(super) struct Function {
    pub(super) result: Type,
    pub(super) parameters: Vec<Member>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Word,
    Sign,
    Comment,
    Define,
}

#[derive(Debug, Clone)]
struct Token {
    class: Class,
    text: String,
    /// The lines where it begins and ends, from 1.
    line: usize,
    end: usize,
}

/// Everything that `text` declares.
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<Item>> {
    Reader { tokens: tokens(text)?, at: 0 }.items()
}

fn tokens(text: &str) -> anyhow::Result<Vec<Token>> {
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (class, length) = if rest.starts_with("/*") {
            let end = rest.find("*/").with_context(|| format!("line {line}: the comment does not end"))?;
            (Some(Class::Comment), end + 2)
        } else if c == '#' {
            directive(rest)
        } else if c.is_alphanumeric() || c == '_' || c == '"' {
            let end = rest[1..].find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '"'));
            (Some(Class::Word), end.map_or(rest.len(), |end| end + 1))
        } else {
            ((!c.is_whitespace()).then_some(Class::Sign), c.len_utf8())
        };
        let token = &rest[..length];
        let end = line + token.matches('\n').count();
        if let Some(class) = class {
            found.push(Token { class, text: token.to_owned(), line, end });
        }
        (at, line) = (at + length, end);
    }
    Ok(found)
}

/// The length of a preprocessor line, of the whole block if other languages or systems alone see it. Of all of them
/// only an integer `#define` says something.
fn directive(rest: &str) -> (Option<Class>, usize) {
    let first = rest.lines().next().unwrap_or("");
    if first.starts_with("#ifdef") || first.starts_with("#if ") {
        return (None, rest.find("#endif").map_or(rest.len(), |at| at + "#endif".len()));
    }
    let code = first.find("/*").map_or(first, |at| &first[..at]).trim_end();
    let integer = code.starts_with("#define ") && code.split_whitespace().count() == 3;
    (integer.then_some(Class::Define), code.len().max(1))
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn items(mut self) -> anyhow::Result<Vec<Item>> {
        let mut items = Vec::new();
        // The comment at the head of the file describes no item.
        self.at += usize::from(self.tokens.first().is_some_and(|token| token.class == Class::Comment));
        while self.at < self.tokens.len() {
            let doc = self.comment();
            let Some(token) = self.tokens.get(self.at).cloned() else { break };
            let item = self.item(&token, doc, items.last());
            items.push(item.with_context(|| format!("line {}: `{}`", token.line, token.text))?);
        }
        Ok(items)
    }

    fn item(&mut self, token: &Token, doc: String, before: Option<&Item>) -> anyhow::Result<Item> {
        match (token.class, token.text.as_str()) {
            (Class::Define, text) => {
                self.at += 1;
                let mut words = text.split_whitespace().skip(1);
                let (name, value) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
                let own = self.trailing();
                // A comment over several lines of `#define` is their heading.
                let group = self
                    .tokens
                    .get(self.at)
                    .is_some_and(|next| next.class == Class::Define && next.line == token.line + 1);
                let doc = if group { own } else { joined(own, doc) };
                Ok(Item::Define(Constant { name: name.to_owned(), value: integer(value)?, doc }))
            }
            (_, "enum") => {
                self.at += 1;
                let of = match before {
                    Some(Item::Alias { name, .. }) => Some(name.clone()),
                    _ => None,
                };
                Ok(Item::Enum { of, values: self.values()?, doc })
            }
            (_, "typedef") => {
                self.at += 1;
                self.typedef(doc)
            }
            (_, "SPLAT_API") => {
                self.at += 1;
                let mut declared = self.declaration()?;
                self.expect(";")?;
                match declared.remove(0) {
                    Member { name, kind: Kind::Function(function), .. } => {
                        Ok(Item::Function { name, doc, function })
                    }
                    _ => bail!("only functions are exported"),
                }
            }
            _ => bail!("not a declaration that the generator knows"),
        }
    }

    fn values(&mut self) -> anyhow::Result<Vec<Constant>> {
        let mut values = Vec::new();
        self.expect("{")?;
        loop {
            let leading = self.comment();
            if self.take("}") {
                self.expect(";")?;
                return Ok(values);
            }
            let name = self.word()?;
            self.expect("=")?;
            let mut value = integer(&self.word()?)?;
            if self.take("<") {
                self.expect("<")?;
                value <<= integer(&self.word()?)?;
            }
            self.take(",");
            values.push(Constant { name, value, doc: joined(self.trailing(), leading) });
        }
    }

    fn typedef(&mut self, doc: String) -> anyhow::Result<Item> {
        if !self.take("struct") {
            let (to, name) = (self.word()?, self.word()?);
            self.expect(";")?;
            return Ok(Item::Alias { name, to });
        }
        let name = self.word()?;
        let members = if self.take("{") { Some(self.members()?) } else { None };
        ensure!(self.word()? == name, "struct {name} has another name after its members");
        self.expect(";")?;
        Ok(match members {
            Some(members) => Item::Struct(Struct { name, doc, members }),
            None => Item::Opaque { name, doc },
        })
    }

    /// The members of a struct, up to its closing brace.
    fn members(&mut self) -> anyhow::Result<Vec<Member>> {
        let mut members = Vec::new();
        loop {
            let leading = self.comment();
            if self.take("}") {
                return Ok(members);
            }
            let mut declared = self.declaration()?;
            self.expect(";")?;
            let doc = joined(self.trailing(), leading);
            declared.iter_mut().for_each(|member| member.doc.clone_from(&doc));
            members.append(&mut declared);
        }
    }

    /// One type and the names declared with it: `const float *image, *target`.
    fn declaration(&mut self) -> anyhow::Result<Vec<Member>> {
        let constant = self.take("const");
        let base = self.word()?;
        let mut declared = Vec::new();
        loop {
            let mut kind = Type { base: base.clone(), constant, pointers: self.stars() };
            let (mut array, doc) = (None, String::new());
            if self.take("(") {
                self.expect("*")?;
                let name = self.word()?;
                self.expect(")")?;
                let kind = Kind::Function(self.function(kind)?);
                declared.push(Member { name, kind, array, doc });
            } else {
                // A parameter `void` has no name.
                let name = if self.is(")") { String::new() } else { self.word()? };
                if self.is("(") {
                    let kind = Kind::Function(self.function(kind)?);
                    declared.push(Member { name, kind, array, doc });
                    return Ok(declared);
                }
                if self.take("[") {
                    array = Some(self.word()?);
                    self.expect("]")?;
                }
                kind.constant &= kind.pointers > 0;
                declared.push(Member { name, kind: Kind::Plain(kind), array, doc });
            }
            // In a list of parameters the comma begins another type.
            if !self.is(",") || self.in_parameters() {
                return Ok(declared);
            }
            self.expect(",")?;
        }
    }

    fn function(&mut self, result: Type) -> anyhow::Result<Function> {
        self.expect("(")?;
        let mut parameters = Vec::new();
        while !self.take(")") {
            parameters.append(&mut self.declaration()?);
            self.take(",");
        }
        parameters.retain(|parameter| !parameter.name.is_empty());
        Ok(Function { result, parameters })
    }

    /// Whether a parenthesis is open in the statement that is being read.
    fn in_parameters(&self) -> bool {
        let signs = self.tokens[..self.at].iter().rev().map(|token| token.text.as_str());
        signs
            .take_while(|text| !matches!(*text, ";" | "{"))
            .fold(0, |open, text| open + i32::from(text == "(") - i32::from(text == ")"))
            > 0
    }

    fn stars(&mut self) -> usize {
        let mut stars = 0;
        while self.take("*") {
            stars += 1;
        }
        stars
    }

    /// The comments before the next item, as one text.
    fn comment(&mut self) -> String {
        let mut text = String::new();
        while let Some(token) = self.tokens.get(self.at).filter(|token| token.class == Class::Comment) {
            text = joined(text, words(&token.text));
            self.at += 1;
        }
        text
    }

    /// The comment that begins on the line where the last token ended.
    fn trailing(&mut self) -> String {
        let line = self.at.checked_sub(1).map(|last| self.tokens[last].end);
        match self.tokens.get(self.at) {
            Some(token) if token.class == Class::Comment && Some(token.line) == line => {
                self.at += 1;
                words(&self.tokens[self.at - 1].text)
            }
            _ => String::new(),
        }
    }

    fn is(&self, text: &str) -> bool {
        self.tokens.get(self.at).is_some_and(|token| token.text == text)
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.is(text);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, text: &str) -> anyhow::Result<()> {
        let found = self.tokens.get(self.at).map(|token| (token.line, token.text.clone()));
        let (line, found) = found.unwrap_or_default();
        ensure!(self.take(text), "line {line}: `{text}` was expected, not `{found}`");
        Ok(())
    }

    fn word(&mut self) -> anyhow::Result<String> {
        let token = self.tokens.get(self.at).context("the header ends too early")?;
        ensure!(token.class == Class::Word, "line {}: a name was expected, not `{}`", token.line, token.text);
        self.at += 1;
        Ok(token.text.clone())
    }
}

fn integer(text: &str) -> anyhow::Result<i64> {
    text.trim_end_matches('u').parse().with_context(|| format!("`{text}` is not an integer"))
}

/// A comment's text on one line.
fn words(comment: &str) -> String {
    let inside = comment.trim_start_matches("/*").trim_end_matches("*/");
    let lines = inside.lines().map(|line| line.trim().trim_start_matches("* ").trim());
    lines.filter(|line| !line.is_empty() && *line != "*").collect::<Vec<_>>().join(" ")
}

/// Two comments as two paragraphs.
fn joined(first: String, second: String) -> String {
    match (first.is_empty(), second.is_empty()) {
        (true, _) => second,
        (_, true) => first,
        _ => format!("{first}\n\n{second}"),
    }
}
