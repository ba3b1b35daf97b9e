//! Every text that stands in the sources: what the catalogues must have, and what they may have.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::{Command, CommandFactory as _};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use splat_toolchain::catalogue;

/// Asked themselves, or patterns of logs.
const APART: &[&str] = &["splat-toolchain/src/catalogue/", "splat-toolchain/src/explain/"];

/// What takes a message as an argument: two words are one then. Elsewhere three are.
const SPEAKERS: &[&str] = &[
    "new",
    "hint",
    "hinted",
    "with_hint",
    "context",
    "bail",
    "ensure",
    "anyhow",
    "note",
    "data",
    "error",
    "evidence",
];

/// What takes texts that nobody is told.
const MUTE: &[&str] = &[
    "strip_prefix",
    "assert",
    "assert_eq",
    "expect",
    "contains",
    "has",
    "starts_with",
    "ends_with",
    "arg",
    "args",
    "command",
    "env",
    "join",
    "split_once",
    "in",
    "write",
    "writeln",
    "var",
    "get",
    "json",
];

/// Texts with the form of a message that are none: what other programs say or read, and what cannot happen.
const OTHERS: &[&str] = &[
    "cargo's output is piped",
    "the child's output is piped",
    "/d /u /s /c \"call \"{}\" -vcvars_ver={} && echo {MARK}&& set\"",
    "torch.cuda.is_available() and (torch.zeros(1, device='cuda'), torch.cuda.synchronize())",
    "undefined reference to",
    "ld: cannot find",
    "no managed item is called `{name}`",
    "Microsoft Visual Studio/Installer/vswhere.exe",
    "RTX PRO 6000 Blackwell",
    "the header's names are ASCII",
    "Drop-in differentiable 3D Gaussian Splatting rasterizer for any torch from 2.0, on CPU and CUDA",
    "Mean squared distances to three nearest neighbours, for any torch from 2.0",
    "Differentiable SSIM for any torch from 2.0, on CPU and CUDA",
    "Trains, renders, edits and shows 3D Gaussian Splatting scenes; mends CUDA and PyTorch toolchains",
];

/// A text of the source.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) place: String,
    pub(crate) text: String,
    /// Whether people read it.
    pub(crate) message: bool,
}

/// As the catalogues have it: a part of a sentence without what joins it to the one before.
pub(crate) fn key(text: &str) -> String {
    text.trim().trim_start_matches([',', ';']).trim().to_owned()
}

/// Every text of both crates, of the catalogue and of the help.
pub(crate) fn all() -> Vec<Text> {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in [root.join("src"), root.join("../../crates/splat-toolchain/src")] {
        let mut files = Vec::new();
        walk(&folder, &mut files);
        for file in files {
            let place = file.display().to_string().replace('\\', "/");
            let shown =
                !APART.iter().any(|apart| place.contains(apart)) && !place.ends_with("src/language.rs");
            let tokens: TokenStream = std::fs::read_to_string(&file).unwrap().parse().unwrap();
            texts(tokens, "", &mut |context, text, line| {
                let message = shown && !MUTE.contains(&context) && is_message(context, text);
                found.push(Text { place: format!("{place}:{line}"), text: key(text), message });
            });
        }
    }
    for entry in catalogue::all() {
        let kinds =
            entry.patterns.iter().map(|pattern| pattern.kind.meaning).filter(|meaning| !meaning.is_empty());
        let own = [entry.title, entry.cause, entry.consequence, entry.action, entry.own];
        let told = own.into_iter().chain(kinds);
        found.extend(told.map(|text| Text { place: entry.code.into(), text: key(text), message: true }));
    }
    let mut command = splatwright::commands::Cli::command();
    command.build();
    help(&command, &mut found);
    found
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => walk(&entry.path(), files),
            false if entry.path().extension().is_some_and(|end| end == "rs") => files.push(entry.path()),
            false => {}
        }
    }
}

/// String literals outside of tests and attributes, with what they are an argument of.
fn texts(tokens: TokenStream, context: &str, found: &mut impl FnMut(&str, &str, usize)) {
    let mut tokens = tokens.into_iter().peekable();
    let (mut last, mut attribute) = (String::new(), false);
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => attribute = true,
            TokenTree::Punct(punct) if punct.as_char() == '!' => {}
            TokenTree::Group(group) if attribute && group.delimiter() == Delimiter::Bracket => {
                attribute = false;
                match group.stream().to_string().replace(' ', "") {
                    // The item below is a test: it ends with its block.
                    text if text.starts_with("cfg(test)") => {
                        let block = |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
                        tokens.find(block);
                    }
                    text if text.starts_with("error(") => texts(group.stream(), "error", found),
                    _ => {}
                }
            }
            TokenTree::Group(group) => {
                let inner = if group.delimiter() == Delimiter::Brace { "" } else { last.as_str() };
                texts(group.stream(), if inner.is_empty() { context } else { inner }, found);
            }
            TokenTree::Ident(ident) => last = ident.to_string(),
            TokenTree::Literal(literal) => {
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    found(context, &text.value(), literal.span().start().line);
                }
            }
            TokenTree::Punct(_) => attribute = false,
        }
    }
}

fn is_message(context: &str, text: &str) -> bool {
    let text = &key(text);
    // A command that is the whole hint, a program in another language, and what only looks like words.
    let programs = [
        "cargo ", "git ", "python", "{} -m ", "rustup ", "winget ", "conda ", "import ", "alias ", "export ",
    ];
    let command = programs.iter().any(|program| text.starts_with(program)) && !text.contains('`');
    if command
        || OTHERS.contains(&text.as_str())
        || (text.contains('\n') && !SPEAKERS.contains(&context) && context != "format")
    {
        return false;
    }
    if ["# ", "@echo", "#pragma", "format 1", "Metadata-Version", "Wheel-Version"]
        .iter()
        .any(|start| text.starts_with(start))
    {
        return false;
    }
    let outside: String = text.split('`').step_by(2).collect();
    let plain: String =
        outside.split('{').map(|part| part.split_once('}').map_or(part, |(_, after)| after)).collect();
    let word = |word: &&str| {
        word.len() > 1 && word.chars().all(|c| c.is_ascii_alphabetic() || "'.:;,()".contains(c))
    };
    plain.split_whitespace().filter(word).count() >= if SPEAKERS.contains(&context) { 2 } else { 3 }
}

fn help(command: &Command, found: &mut Vec<Text>) {
    let of_command = [command.get_about(), command.get_long_about(), command.get_after_help()];
    let of_arguments = command.get_arguments().flat_map(|arg| [arg.get_help(), arg.get_long_help()]);
    for text in of_command.into_iter().chain(of_arguments).flatten() {
        let paragraphs: BTreeSet<String> = text.to_string().split("\n\n").map(key).collect();
        found.extend(paragraphs.into_iter().map(|text| Text {
            place: format!("help of {command}"),
            text,
            message: true,
        }));
    }
    command.get_subcommands().for_each(|command| help(command, found));
}
