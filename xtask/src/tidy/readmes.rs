//! README.md and its translation say the same: as many sections, the same commands in the same places, the same links.
//! Pure functions of two texts; what the words mean is for people.

use super::Complaint;

/// The two files.
pub(super) const PAIR: [&str; 2] = ["README.md", "README.zh-CN.md"];

/// A section's commands and links, in order, with the line it begins at.
#[derive(Debug, Default, PartialEq, Eq)]
struct Section {
    line: usize,
    title: String,
    commands: Vec<String>,
    links: Vec<String>,
}

/// What the translation lacks or has too much.
pub(super) fn check(english: &str, other: &str) -> Vec<Complaint> {
    let (ours, theirs) = (sections(english), sections(other));
    let path = PAIR[1];
    let complaint = |line: usize, what: String, remedy: &str| Complaint {
        path: path.to_owned(),
        line,
        what,
        remedy: remedy.to_owned(),
    };
    if ours.len() != theirs.len() {
        let titles = |list: &[Section]| list.iter().map(|s| s.title.clone()).collect::<Vec<_>>().join(", ");
        return vec![complaint(
            0,
            format!(
                "{} sections ({}), and {} has {} ({})",
                theirs.len(),
                titles(&theirs),
                PAIR[0],
                ours.len(),
                titles(&ours)
            ),
            "translate what is new",
        )];
    }
    let mut found = Vec::new();
    for (ours, theirs) in ours.iter().zip(&theirs) {
        for (kind, mine, other) in
            [("command", &ours.commands, &theirs.commands), ("link", &ours.links, &theirs.links)]
        {
            let mut mine: Vec<&String> = mine.iter().collect();
            let mut other: Vec<&String> = other.iter().collect();
            if kind == "link" {
                mine.sort();
                other.sort();
            }
            if mine == other {
                continue;
            }
            let lacks = mine.iter().find(|text| !other.contains(text));
            let extra = other.iter().find(|text| !mine.contains(text));
            let what = match (lacks, extra) {
                (Some(text), _) => {
                    format!("its section `{}` lacks the {kind} `{text}` of {}", theirs.title, PAIR[0])
                }
                (None, Some(text)) => {
                    format!("its section `{}` has the {kind} `{text}`, which {} lacks", theirs.title, PAIR[0])
                }
                (None, None) => {
                    format!("its section `{}` has the {kind}s in another order or number", theirs.title)
                }
            };
            found.push(complaint(theirs.line, what, "make both say the same"));
        }
    }
    found
}

fn sections(text: &str) -> Vec<Section> {
    let mut list = vec![Section { line: 1, ..Section::default() }];
    let mut fenced = false;
    for (i, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if let (false, Some(title)) = (fenced, line.strip_prefix("## ")) {
            list.push(Section { line: i + 1, title: title.to_owned(), ..Section::default() });
            continue;
        }
        let Some(section) = list.last_mut() else { continue };
        if fenced {
            section.commands.push(line.trim_end().to_owned());
        } else if let Some(command) = line.strip_prefix("    ") {
            // What follows `#` is said in each one's own words.
            section.commands.push(command.split(" # ").next().unwrap_or_default().trim().to_owned());
        } else {
            section.commands.extend(code(line).filter(|code| code.contains(' ') && !code.contains('=')));
            // The two name each other, each in its own words.
            section.links.extend(links(line).filter(|link| !PAIR.contains(&link.as_str())));
        }
    }
    list
}

/// Texts between single back ticks.
fn code(line: &str) -> impl Iterator<Item = String> {
    line.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// Targets of `[text](target)`.
fn links(line: &str) -> impl Iterator<Item = String> {
    line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH: &str = "# A\n\n    cargo xtask build   # builds\n\n## Train\ntext [x](y)\n\n    cargo run\n\n```rust\nlet a = 1;\n```\n## End\n`cargo xtask doctor` helps\n";

    fn told(other: &str) -> Vec<String> {
        check(ENGLISH, other).into_iter().map(|c| format!("{}: {}", c.line, c.what)).collect()
    }

    #[test]
    fn a_true_translation_passes() {
        let chinese = ENGLISH
            .replace("builds", "构建")
            .replace("Train", "训练")
            .replace("text", "文")
            .replace("helps", "有用");
        assert!(told(&chinese).is_empty(), "{:?}", told(&chinese));
    }

    #[test]
    fn a_lost_section_command_or_link_is_told() {
        assert!(told("# A\n")[0].contains("1 sections"));
        let lost = told(&ENGLISH.replace("    cargo run\n", ""));
        assert_eq!(lost.len(), 1);
        assert!(lost[0].starts_with("5: ") && lost[0].contains("`cargo run`"), "{lost:?}");
        assert!(told(&ENGLISH.replace("](y)", "](z)"))[0].contains("link `y`"));
        assert!(told(&ENGLISH.replace("xtask doctor", "xtask clean"))[0].contains("cargo xtask doctor"));
        assert!(told(&ENGLISH.replace("a = 1", "a = 2"))[0].contains("let a = 1;"));
    }

    #[test]
    fn the_committed_pair_agrees() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let [ours, theirs] = PAIR.map(|path| fs_err::read_to_string(root.join(path)).unwrap());
        assert_eq!(check(&ours, &theirs), []);
    }
}
