//! Reads `splat_engine.h` into items: constants, enums, structs and the exported function, each with its comment.
//!
//! The header keeps to a small part of C, and these patterns know that part alone: integer `#define`s, `typedef struct`,
//! anonymous `enum`, opaque structs, members with pointers, arrays and function pointers, one declaration per line.
//! Anything else is an error with its line. Whether sizes, offsets and values are what a C compiler makes of the header
//! is for `splat-engine/tests/layout.rs`, which asks one.

use std::sync::LazyLock;

use anyhow::{Context, bail};
use regex_lite::{Captures, Regex};

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
    Function(Member),
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

/// `const base *name[array]`: a member of a struct or a parameter; with parameters of its own a function, or a pointer
/// to one, whose result is `const base *`.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) constant: bool,
    pub(super) base: String,
    /// The number of stars.
    pub(super) pointers: usize,
    /// The length of an array: a number or the name of a `#define`.
    pub(super) array: Option<String>,
    pub(super) parameters: Option<Vec<Member>>,
    pub(super) doc: String,
}

macro_rules! pattern {
    ($name:ident, $pattern:expr) => {
        static $name: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($pattern).expect("a pattern that compiles"));
    };
}
pattern!(COMMENT, r"(?s)/\*(.*?)\*/");
// Lines for the preprocessor, and blocks that other languages or systems alone see.
pattern!(DIRECTIVE, r"(?ms)^#(?:ifdef|if )(?s:.*?)^#endif$|^#(?:include|ifndef|endif)[^\n]*$|^#define \w+$");
pattern!(
    ITEM,
    r"(?sx)\s* (?<doc>(?:/\*.*?\*/\s*)*)
    (?: \#define\ (?<define>\w+)\ +(?<value>\w+)
      | enum\ \{ (?<values>[^{}]*) \};
      | typedef\ struct\ (?<name>\w+)\ (?:\{(?<members>[^{}]*)\}\ )? \w+;
      | typedef\ (?<to>\w+)\ (?<alias>\w+);
      | SPLAT_API\ (?<function>[^;]*); )
    (?:[\ \t]*(?<after>/\*.*?\*/))?"
);
pattern!(VALUE, r"(?s)\s*(?<doc>(?:/\*.*?\*/\s*)*)(?<code>[^,/\s][^,/\n]*),?(?:[ \t]*(?<after>/\*.*?\*/))?");
pattern!(MEMBER, r"(?s)\s*(?<doc>(?:/\*.*?\*/\s*)*)(?<code>[^;/\s][^;/\n]*);(?:[ \t]*(?<after>/\*.*?\*/))?");
pattern!(FUNCTION, r"^(const )?(\w+) (\**)(?:\(\*(\w+)\)|(\w+))\((.*)\)$");
pattern!(NAMES, r"^(const )?(\w+) (.*)$");
pattern!(NAME, r"^(\**)(\w+)(?:\[(\w+)\])?$");

/// Everything that `text` declares.
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<Item>> {
    // Line numbers stay.
    let lines = |found: &Captures| "\n".repeat(found[0].matches('\n').count());
    let text = &*DIRECTIVE.replace_all(text, lines);
    // The comment at the head of the file describes no item.
    let head = COMMENT.find(text).filter(|head| head.start() == 0).map_or(0, |head| head.end());
    let mut items = Vec::new();
    for found in each(&ITEM, text, head, text.len())? {
        let item = item(text, &found, items.last()).with_context(|| place(text, &found))?;
        items.push(item);
    }
    Ok(items)
}

/// The matches of `pattern` from `start` to `end`, one right after the other; between the last and `end` there are only
/// comments.
fn each<'t>(pattern: &Regex, text: &'t str, start: usize, end: usize) -> anyhow::Result<Vec<Captures<'t>>> {
    let (mut all, mut at, within) = (Vec::new(), start, &text[..end]);
    while let Some(found) =
        pattern.captures_at(within, at).filter(|f| f.get(0).is_some_and(|m| m.start() == at))
    {
        at = found.get(0).map_or(end, |whole| whole.end());
        all.push(found);
    }
    let rest = COMMENT.replace_all(&within[at..], "");
    if let Some(first) = rest.trim().lines().next() {
        let line = text[..at].matches('\n').count() + 1;
        let blank = within[at..].chars().take_while(|c| c.is_whitespace()).filter(|c| *c == '\n').count();
        bail!("line {}: `{first}` is not a declaration that the generator knows", line + blank);
    }
    Ok(all)
}

/// Where the code of a match stands.
fn place(text: &str, found: &Captures) -> String {
    let start = found
        .get(0)
        .map_or(0, |whole| whole.start() + whole.as_str().len() - whole.as_str().trim_start().len());
    let start = found.name("code").map_or(start, |code| code.start());
    format!("line {}", text[..start].matches('\n').count() + 1)
}

fn item(text: &str, found: &Captures, before: Option<&Item>) -> anyhow::Result<Item> {
    let named = |group: &str| found.name(group).map(|m| m.as_str().to_owned());
    let (doc, after) = (comments(found, "doc"), comments(found, "after"));
    if let (Some(name), Some(value)) = (named("define"), named("value")) {
        // A comment over several lines of `#define` is their heading.
        let end = found.get(0).map_or(0, |whole| whole.end());
        let doc = if text[end..].starts_with("\n#define ") { after } else { joined(after, doc) };
        return Ok(Item::Define(Constant { name, value: integer(&value)?, doc }));
    }
    if let Some(body) = found.name("values") {
        let mut values = Vec::new();
        for value in each(&VALUE, text, body.start(), body.end())? {
            let (name, number) = value["code"].split_once(" = ").with_context(|| place(text, &value))?;
            let (number, shift) = number.trim().split_once(" << ").unwrap_or((number.trim(), "0"));
            let value_doc = joined(comments(&value, "after"), comments(&value, "doc"));
            let number = integer(number)? << integer(shift)?;
            values.push(Constant { name: name.to_owned(), value: number, doc: value_doc });
        }
        let of = match before {
            Some(Item::Alias { name, .. }) => Some(name.clone()),
            _ => None,
        };
        return Ok(Item::Enum { of, doc, values });
    }
    if let (Some(name), Some(to)) = (named("alias"), named("to")) {
        return Ok(Item::Alias { name, to });
    }
    if let Some(code) = named("function") {
        return Ok(Item::Function(declared(&code, &doc)?.remove(0)));
    }
    let name = named("name").unwrap_or_default();
    let Some(body) = found.name("members") else { return Ok(Item::Opaque { name, doc }) };
    let mut members = Vec::new();
    for member in each(&MEMBER, text, body.start(), body.end())? {
        let own = joined(comments(&member, "after"), comments(&member, "doc"));
        members.append(&mut declared(&member["code"], &own).with_context(|| place(text, &member))?);
    }
    Ok(Item::Struct(Struct { name, doc, members }))
}

/// One type and the names declared with it: `const float *image, *target`.
fn declared(code: &str, doc: &str) -> anyhow::Result<Vec<Member>> {
    let member = |constant: bool, base: &str, stars: &str, name: &str| Member {
        name: name.to_owned(),
        constant,
        base: base.to_owned(),
        pointers: stars.len(),
        array: None,
        parameters: None,
        doc: doc.to_owned(),
    };
    if let Some(found) = FUNCTION.captures(code) {
        let name = found.get(4).or(found.get(5)).map_or("", |name| name.as_str());
        let mut parameters = Vec::new();
        for parameter in found[6].split(", ").filter(|parameter| *parameter != "void") {
            parameters.append(&mut declared(parameter, "")?);
        }
        let function = member(found.get(1).is_some(), &found[2], &found[3], name);
        return Ok(vec![Member { parameters: Some(parameters), ..function }]);
    }
    let unknown = || format!("`{code}` is not a declaration that the generator knows");
    let found = NAMES.captures(code).with_context(unknown)?;
    let each = found[3].split(", ").map(|name| {
        let one = NAME.captures(name).with_context(unknown)?;
        let plain = member(found.get(1).is_some() && !one[1].is_empty(), &found[2], &one[1], &one[2]);
        Ok(Member { array: one.get(3).map(|length| length.as_str().to_owned()), ..plain })
    });
    each.collect()
}

fn integer(text: &str) -> anyhow::Result<i64> {
    text.trim_end_matches('u').parse().with_context(|| format!("`{text}` is not an integer"))
}

/// The comments in a group of a match, each as a paragraph on one line.
fn comments(found: &Captures, group: &str) -> String {
    let text = found.name(group).map_or("", |m| m.as_str());
    let paragraphs = COMMENT.captures_iter(text).map(|comment| {
        let lines = comment[1].lines().map(|line| line.trim().trim_start_matches("* ").trim().to_owned());
        lines.filter(|line| !line.is_empty() && *line != "*").collect::<Vec<_>>().join(" ")
    });
    paragraphs.filter(|paragraph| !paragraph.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// Two comments as two paragraphs.
fn joined(first: String, second: String) -> String {
    let both = [first, second];
    both.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
}
