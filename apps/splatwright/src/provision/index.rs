//! pip's configuration of package sources, read from `pip config list` and handed to `unearth`, which has none
//! of its own. Pure, but for running that one command.

use std::path::Path;

use anyhow::Result;

use super::pip;

/// Where packages may come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) index_url: Option<String>,
    pub(crate) extra: Vec<String>,
    pub(crate) find_links: Vec<String>,
    pub(crate) trusted_hosts: Vec<String>,
    pub(crate) no_index: bool,
    pub(crate) proxy: Option<String>,
    pub(crate) cert: Option<String>,
}

impl Index {
    /// Asks this Python's pip. One that does not answer (older than 10, or none) leaves the defaults.
    pub(crate) fn of_pip(python: &Path) -> Result<Self> {
        let mut command = pip::module(python, "pip");
        command.args(["config", "list"]);
        let finished = pip::run(command, false)?;
        Ok(Self::parse(if finished.status.success() { &finished.stdout } else { "" }))
    }

    /// Reads lines such as `global.index-url='…'` and `:env:.find-links='a b'`. A variable goes before a
    /// command's own section, which goes before the global one.
    pub(crate) fn parse(list: &str) -> Self {
        let get = |key: &str| {
            [":env:", "download", "install", "global"].iter().find_map(|section| {
                let line = list.lines().find_map(|line| {
                    line.strip_prefix(section)?.strip_prefix('.')?.strip_prefix(key)?.strip_prefix('=')
                })?;
                Some(unquote(line)).filter(|value| !value.trim().is_empty())
            })
        };
        let many = |key: &str| -> Vec<String> {
            get(key).map(|value| value.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
        };
        Self {
            index_url: get("index-url"),
            extra: many("extra-index-url"),
            find_links: many("find-links"),
            trusted_hosts: many("trusted-host"),
            no_index: get("no-index").is_some_and(|value| is_true(&value)),
            proxy: get("proxy"),
            cert: get("cert"),
        }
    }

    /// The arguments of `unearth` for each attempt, in order. The default index is asked by giving no source at
    /// all, and so only alone: its address is not ours to write down.
    pub(crate) fn attempts(&self) -> Vec<Vec<String>> {
        let mut sources = Vec::new();
        if !self.no_index {
            for url in self.index_url.iter().chain(&self.extra) {
                sources.extend(["--index-url".to_owned(), url.clone()]);
            }
        }
        // unearth fails on a folder that is not there; pip only warns.
        for link in self.find_links.iter().filter(|link| link.contains("://") || Path::new(link).exists()) {
            sources.extend(["--find-link".to_owned(), link.clone()]);
        }
        let mut attempts = Vec::new();
        if !sources.is_empty() {
            attempts.push(sources);
        }
        if self.index_url.is_none() && !self.no_index {
            attempts.push(Vec::new());
        }
        for attempt in &mut attempts {
            for host in &self.trusted_hosts {
                attempt.extend(["--trusted-host".to_owned(), host.clone()]);
            }
        }
        attempts
    }
}

/// What pip takes for yes.
pub(crate) fn is_true(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "1" | "y" | "yes" | "t" | "true" | "on")
}

/// A Python string literal without prefix, as `repr` writes it.
fn unquote(literal: &str) -> String {
    let literal = literal.trim();
    let inner = ['\'', '"']
        .iter()
        .find_map(|&quote| literal.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(literal);
    let mut text = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        text.push(match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(other) => other,
                None => '\\',
            },
            (c, false) => c,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_goes_before_a_section_before_global() {
        let list = "global.index-url='https://global.example/simple'\n\
                    download.index-url='https://download.example/simple'\n\
                    global.extra-index-url='\\nhttps://a.example/simple\\nhttps://b.example/simple'\n\
                    :env:.find-links='/opt/wheels \"x'\n\
                    :env:.index-url-of-mine='no'\n\
                    global.no-index='false'\n\
                    global.cert='/etc/it''s.pem'\n";
        let index = Index::parse(list);
        assert_eq!(index.index_url.as_deref(), Some("https://download.example/simple"));
        assert_eq!(index.extra, ["https://a.example/simple", "https://b.example/simple"]);
        assert_eq!(index.find_links, ["/opt/wheels", "\"x"]);
        assert!(!index.no_index);
        let env = Index::parse(&format!("{list}:env:.index-url='https://env.example'\n"));
        assert_eq!(env.index_url.as_deref(), Some("https://env.example"));
    }

    #[test]
    fn the_default_index_is_asked_alone_and_only_where_allowed() {
        let none: Vec<Vec<String>> = vec![vec![]];
        assert_eq!(Index::default().attempts(), none);
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().to_str().unwrap().to_owned();
        let folder = Index { find_links: vec![dir.clone(), "/not/there".into()], ..Index::default() };
        let only_folder = vec!["--find-link".to_owned(), dir];
        assert_eq!(folder.attempts(), [only_folder.clone(), vec![]]);
        assert_eq!(Index { no_index: true, ..folder }.attempts(), [only_folder]);
        let mirror = Index { index_url: Some("https://mirror.example".into()), ..Index::default() };
        assert_eq!(mirror.attempts(), [["--index-url", "https://mirror.example"]]);
        let nothing = Index { no_index: true, ..Index::default() };
        assert!(nothing.attempts().is_empty());
    }
}
