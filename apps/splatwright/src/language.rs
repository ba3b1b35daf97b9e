//! The language of what people read. English stands in the source, and in everything that programs read: JSON, snapshots,
//! files. For readers of Chinese a text is looked up at the moment it is shown, in gettext catalogues (`language/zh`) whose
//! keys are the texts of the source with their placeholders. A text made from such a template is recognised by the fixed
//! words around its placeholders, and what stands in them is looked up in turn; so a finding out of a saved snapshot and
//! an error of a library are shown in Chinese like one that was made here. A text that no catalogue has stays as it is.

use std::{borrow::Cow, cmp::Reverse, collections::BTreeMap, ffi::OsString, sync::OnceLock};

/// The languages that `--lang` takes.
pub const LANGUAGES: [&str; 2] = ["en", "zh"];

const CATALOGUES: [&str; 3] = [
    include_str!("../language/zh/catalogue.po"),
    include_str!("../language/zh/help.po"),
    include_str!("../language/zh/messages.po"),
];

static CHINESE: OnceLock<Messages> = OnceLock::new();

/// From now on this process speaks the language that `--lang` names among its arguments, else the user's.
pub fn choose(arguments: impl IntoIterator<Item = OsString>) {
    // clap, which checks the value later, needs the language for its help.
    let arguments = arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned());
    let mut arguments = arguments.take_while(|argument| argument != "--");
    let asked = arguments.find_map(|argument| match argument.strip_prefix("--lang")? {
        "" => Some(String::new()),
        value => value.strip_prefix('=').map(str::to_owned),
    });
    let asked = if asked.as_deref() == Some("") { arguments.next() } else { asked };
    let language = asked.or_else(sys_locale::get_locale).unwrap_or_default();
    if language.to_ascii_lowercase().starts_with("zh") {
        CHINESE.get_or_init(|| Messages::read(&CATALOGUES));
    }
}

/// Whether this process speaks Chinese.
pub fn is_chinese() -> bool {
    CHINESE.get().is_some()
}

/// `text` in the language of this process.
pub fn said(text: &str) -> Cow<'_, str> {
    match CHINESE.get().and_then(|messages| messages.render(text)) {
        Some(rendered) => rendered.into(),
        None => text.into(),
    }
}

/// The same for a word with a colon, and the space after it where the language has one there.
pub fn label(text: &str) -> String {
    let said = said(text);
    if said.ends_with(is_wide) { said.into_owned() } else { format!("{said} ") }
}

/// A text with placeholders as `format!` reads them: fixed words, and between each two of them a name.
#[derive(Debug)]
struct Template {
    fixed: Vec<String>,
    names: Vec<String>,
}

impl Template {
    fn parse(text: &str) -> Self {
        let (mut fixed, mut names, mut unnamed) = (vec![String::new()], Vec::new(), 0);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if (c == '{' || c == '}') && chars.peek() == Some(&c) {
                chars.next();
            } else if c == '{' {
                let inner: String = chars.by_ref().take_while(|c| *c != '}').collect();
                let name = inner.split(':').next().unwrap_or_default();
                names.push(if name.is_empty() { unnamed.to_string() } else { name.to_owned() });
                unnamed += usize::from(name.is_empty());
                fixed.push(String::new());
                continue;
            }
            fixed.iter_mut().last().into_iter().for_each(|text| text.push(c));
        }
        Self { fixed, names }
    }

    /// What stands in the placeholders if the text was made from this template.
    fn values<'a>(&self, text: &'a str) -> Option<Vec<&'a str>> {
        let (first, rest) = self.fixed.split_first()?;
        let (last, middle) = rest.split_last()?;
        let mut rest = text.strip_prefix(first.as_str())?.strip_suffix(last.as_str())?;
        let mut values = Vec::new();
        for fixed in middle {
            let (value, after) = rest.split_once(fixed.as_str())?;
            values.push(value);
            rest = after;
        }
        values.push(rest);
        Some(values)
    }

    fn letters(&self) -> usize {
        self.fixed.iter().flat_map(|fixed| fixed.chars()).filter(|c| c.is_alphabetic()).count()
    }

    fn filled(&self, values: &BTreeMap<&str, String>) -> String {
        let values = self.names.iter().map(|name| values.get(name.as_str()).map_or("", String::as_str));
        let text: Vec<char> = self
            .fixed
            .iter()
            .map(String::as_str)
            .zip(values.chain([""]))
            .flat_map(|(a, b)| [a, b])
            .flat_map(str::chars)
            .collect();
        // A space sets code off from Chinese; between Chinese and Chinese there is none.
        let between = |at: usize| {
            at > 0 && text.get(at + 1).is_some_and(|next| is_wide(*next)) && is_wide(text[at - 1])
        };
        (0..text.len()).filter(|at| text[*at] != ' ' || !between(*at)).map(|at| text[at]).collect()
    }
}

/// Chinese characters and punctuation.
fn is_wide(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}')
}

/// Whether three words in a row are plain ones, as in a sentence.
fn is_prose(text: &str) -> bool {
    let words: Vec<&str> = text.split(' ').collect();
    let plain = |word: &&str| word.len() > 1 && word.chars().all(|c| c.is_ascii_lowercase());
    words.windows(3).any(|three| three.iter().all(plain))
}

/// Texts of the source and what they are in another language.
#[derive(Debug, Default)]
struct Messages {
    whole: BTreeMap<String, String>,
    /// The ones with the most fixed words first: they say the most.
    templates: Vec<(Template, Template)>,
}

impl Messages {
    fn read(catalogues: &[&str]) -> Self {
        let mut messages = Self::default();
        // A test reads every catalogue; one that cannot be read leaves its texts in English.
        let parsed =
            catalogues.iter().filter_map(|text| polib::po_file::parse_from_reader(text.as_bytes()).ok());
        for catalogue in parsed {
            for message in catalogue.messages().filter(|message| !message.msgid().is_empty()) {
                let Ok(translation) = message.msgstr() else { continue };
                let (source, target) = (Template::parse(message.msgid()), Template::parse(translation));
                if source.names.is_empty() {
                    messages.whole.insert(source.fixed.concat(), target.fixed.concat());
                } else {
                    messages.templates.push((source, target));
                }
            }
        }
        let length = |template: &Template| template.fixed.iter().map(String::len).sum::<usize>();
        messages.templates.sort_by_key(|(source, _)| Reverse(length(source)));
        messages
    }

    fn render(&self, text: &str) -> Option<String> {
        let core = text.trim();
        let joined = || {
            [("\n", "\n"), ("; ", "；"), (": ", "："), (", ", "，")]
                .iter()
                .find_map(|(cut, join)| self.parts(core, cut, join))
        };
        let rendered = self.whole.get(core).cloned().or_else(|| self.by_template(core)).or_else(joined)?;
        Some(text.replacen(core, &rendered, 1))
    }

    fn by_template(&self, text: &str) -> Option<String> {
        self.templates.iter().find_map(|(source, target)| {
            let values = source.values(text)?;
            let known: Vec<_> = values.iter().map(|value| self.render(value)).collect();
            // `{} at {}` is for a version and a path, not for every text that has the word.
            let weak = source.letters() < 9 && !source.fixed.concat().contains('\n');
            // Of several texts that were joined, `{} on disk` has the last alone.
            let several = |value: &str| {
                [": ", ", "].iter().any(|cut| value.contains(cut))
                    && !self.whole.contains_key(value)
                    && self.by_template(value).is_none()
            };
            let name = |(value, known): (&&str, &Option<String>)| {
                !value.contains([';', '\n']) && !several(value) && (known.is_some() || !is_prose(value))
            };
            if weak && !values.iter().zip(&known).all(name) {
                return None;
            }
            let values =
                known.into_iter().zip(values).map(|(known, value)| known.unwrap_or(value.to_owned()));
            Some(target.filled(&source.names.iter().map(String::as_str).zip(values).collect()))
        })
    }

    /// Sentences that were joined, each by itself.
    fn parts(&self, text: &str, separator: &str, joined: &str) -> Option<String> {
        if !text.contains(separator) {
            return None;
        }
        // A single word, such as `error` in a quoted line, is no sentence of ours.
        let render = |part: &str| self.render(part).filter(|_| part.trim().contains(' '));
        let parts: Vec<_> = text.split(separator).map(|part| (part, render(part))).collect();
        parts.iter().find(|(_, rendered)| rendered.is_some())?;
        let parts = parts.into_iter().map(|(part, rendered)| rendered.unwrap_or_else(|| part.to_owned()));
        Some(parts.collect::<Vec<_>>().join(joined))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages() -> Messages {
        Messages::read(&[r#"
msgid ""
msgstr "Language: zh_CN\n"

msgid "none"
msgstr "无"

msgid "{} at {}"
msgstr "{}（{}）"

msgid "driver {} is older than the {least} that CUDA {} needs"
msgstr "CUDA {1} 要求驱动不低于 {least}，而现有的是 {0}"

msgid "it lacks {}"
msgstr "缺少 {}"

msgid "bringing {}"
msgstr "正在下载 {}"

msgid "build {} with {}, prove"
msgstr "用 {1} 编译 {0}，再验证"

msgid "would do, {}"
msgstr "将要做的：{}"

msgid "{} to download"
msgstr "需下载 {}"

msgid "{} on disk"
msgstr "占磁盘 {}"

msgid "no {{}} at all"
msgstr "没有 {{}}"
"#])
    }

    #[test]
    fn templates_are_recognised_and_their_values_looked_up() {
        let messages = messages();
        for (english, chinese) in [
            ("none", Some("无")),
            ("  none\n", Some("  无\n")),
            ("no {} at all", Some("没有 {}")),
            (
                "driver 450.80 is older than the 525.60 that CUDA 12.4 needs",
                Some("CUDA 12.4 要求驱动不低于 525.60，而现有的是 450.80"),
            ),
            ("it lacks none", Some("缺少无")),
            ("it lacks nvcc; it lacks glm", Some("缺少 nvcc；缺少 glm")),
            ("12.4 at /usr/local/cuda", Some("12.4（/usr/local/cuda）")),
            ("12.4 at /usr; it lacks nvcc", Some("12.4（/usr）；缺少 nvcc")),
            (
                "bringing cuda-13.0: 105 MB to download, 280 MB on disk",
                Some("正在下载 cuda-13.0：需下载 105 MB，占磁盘 280 MB"),
            ),
            ("would do, build knn with c++, prove", Some("将要做的：用 c++ 编译 knn，再验证")),
            ("nobody at home knows this by heart", None),
            ("", None),
        ] {
            assert_eq!(messages.render(english).as_deref(), chinese, "{english}");
        }
    }

    #[test]
    fn every_catalogue_can_be_read() {
        for text in CATALOGUES {
            let catalogue = polib::po_file::parse_from_reader(text.as_bytes()).unwrap();
            assert!(catalogue.count() > 50);
        }
    }
}
