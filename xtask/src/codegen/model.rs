//! What follows from the header's items: which types constants have, what a name links to, how large a struct is.

use super::camel;
use super::header::{Constant, Item, Member, Struct};

/// The items, with answers about them.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) items: Vec<Item>,
}

impl Model {
    pub(super) fn new(items: Vec<Item>) -> Self {
        Self { items }
    }

    pub(super) fn structs(&self) -> impl Iterator<Item = &Struct> {
        self.items.iter().filter_map(|item| match item {
            Item::Struct(it) => Some(it),
            _ => None,
        })
    }

    pub(super) fn structure(&self, name: &str) -> Option<&Struct> {
        self.structs().find(|it| it.name == name)
    }

    pub(super) fn constants(&self) -> impl Iterator<Item = &Constant> {
        self.items.iter().flat_map(|item| match item {
            Item::Define(constant) => std::slice::from_ref(constant),
            Item::Enum { values, .. } => values,
            _ => &[],
        })
    }

    /// Struct (without prefix) and member that a limit is for, and whether it is the member's length: the first
    /// member that has it as its length or whose comment names it.
    pub(super) fn use_of(&self, define: &str) -> Option<(&str, &str, bool)> {
        self.structs().flat_map(|it| it.members.iter().map(move |member| (it, member))).find_map(
            |(it, member)| {
                let length = member.array.as_deref() == Some(define);
                (length || names(&member.doc).any(|name| name == define))
                    .then(|| (short(&it.name), member.name.as_str(), length))
            },
        )
    }

    /// The Rust type of a `#define`: that of the member that it limits.
    pub(super) fn type_of_define(&self, define: &str) -> &'static str {
        match self.use_of(define) {
            Some((_, _, true)) => "usize",
            Some((owner, member, false)) => match self.integer_of(&format!("splat_{owner}.{member}")) {
                Some("int32_t") => "i32",
                Some("int64_t") => "i64",
                _ => "u32",
            },
            None => "u32",
        }
    }

    /// The C type of an enum's constants: the `typedef` before it, else the type of the first member that its comment
    /// names, else `uint32_t`.
    pub(super) fn type_of_enum(&self, item: &Item) -> String {
        let Item::Enum { of, doc, .. } = item else { return String::new() };
        if let Some(of) = of {
            return of.clone();
        }
        names(doc).find_map(|name| self.integer_of(name)).unwrap_or("uint32_t").to_owned()
    }

    /// The C type of `splat_struct.member` if that is an integer.
    fn integer_of(&self, path: &str) -> Option<&str> {
        let it = self.member(path)?;
        (it.parameters.is_none() && it.pointers == 0 && it.base.contains("int")).then_some(&*it.base)
    }

    fn member(&self, path: &str) -> Option<&Member> {
        let (owner, member) = path.split_once('.')?;
        self.structure(owner)?.members.iter().find(|it| it.name == member)
    }

    /// The Rust name that a name of the header is documented under.
    pub(super) fn link(&self, name: &str) -> Option<String> {
        if let Some((owner, member)) = name.split_once('.') {
            return self.member(name).map(|_| format!("{}::{member}", camel(owner)));
        }
        let known = self.constants().any(|constant| constant.name == name);
        if known {
            return Some(short(name).to_owned());
        }
        let declared = self.items.iter().any(|item| match item {
            Item::Struct(Struct { name: it, .. })
            | Item::Opaque { name: it, .. }
            | Item::Alias { name: it, .. }
            | Item::Function(Member { name: it, .. }) => it == name,
            _ => false,
        });
        declared.then(|| camel(name))
    }

    /// `sizeof` a struct where pointers have 8 bytes.
    pub(super) fn size(&self, name: &str) -> usize {
        self.extent(name).0
    }

    /// Size and alignment of a type.
    fn extent(&self, base: &str) -> (usize, usize) {
        let Some(it) = self.structure(base) else {
            let bytes = match base {
                "char" | "uint8_t" => 1,
                "uint16_t" => 2,
                "int64_t" | "uint64_t" => 8,
                _ => 4,
            };
            return (bytes, bytes);
        };
        let (end, align) = it.members.iter().fold((0, 1), |(at, align), member| {
            let value = member.parameters.is_none() && member.pointers == 0;
            let (bytes, own) = if value { self.extent(&member.base) } else { (8, 8) };
            let count = member.array.as_deref().map_or(1, |length| self.length(length));
            (usize::next_multiple_of(at, own) + bytes * count, align.max(own))
        });
        (end.next_multiple_of(align), align)
    }

    /// The length of an array: a number, or the value of a `#define`.
    pub(super) fn length(&self, text: &str) -> usize {
        text.parse().unwrap_or_else(|_| {
            let define = self.constants().find(|constant| constant.name == text);
            define.and_then(|constant| constant.value.try_into().ok()).unwrap_or(0)
        })
    }
}

/// A name of the header without its prefix.
pub(super) fn short(name: &str) -> &str {
    name.strip_prefix("splat_").or_else(|| name.strip_prefix("SPLAT_")).unwrap_or(name)
}

/// The words of a comment that may be names: `SPLAT_X`, `splat_x`, `splat_x.member`.
fn names(doc: &str) -> impl Iterator<Item = &str> {
    doc.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| word.to_lowercase().starts_with("splat_"))
}
