//! Every log of the catalogue shows exactly its own failure, in the words of every tool; what comes first is the cause;
//! a clean log shows nothing; and no code with a pattern is without a log.

use std::{collections::BTreeMap, path::PathBuf};

use splat_toolchain::{
    catalogue::{self, Weight},
    explain::{Report, scan},
};

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn read(name: &str) -> Vec<u8> {
    fs_err::read(fixtures().join("logs").join(name)).unwrap()
}

fn codes(report: &Report) -> Vec<&'static str> {
    report.hits.iter().map(|hit| hit.code).collect()
}

/// Logs of one code, by name: `E01.log`, `E01-tuple.log`.
fn logs(folder: &str) -> BTreeMap<String, String> {
    let entries = fs_err::read_dir(fixtures().join(folder)).unwrap().map(|entry| entry.unwrap().file_name());
    entries
        .map(|name| name.to_str().unwrap().to_owned())
        .filter_map(|name| Some((name.clone(), name.strip_suffix(".log")?.split('-').next()?.to_owned())))
        .filter(|(_, code)| catalogue::of(code).is_some())
        .collect()
}

#[test]
fn every_log_shows_its_failure_and_no_other() {
    for (name, code) in logs("logs") {
        let report = scan(&read(&name));
        assert_eq!(codes(&report), [code], "{name}");
        let quoted = &report.hits[0];
        assert!(!quoted.text.is_empty() && quoted.line >= 1 && quoted.count >= 1, "{name}");
    }
}

/// Logs as people send them: the cause, what follows from it, and what is said around both.
#[test]
fn what_comes_first_is_the_cause() {
    let logs = logs("explain");
    assert!(logs.len() >= 20, "{logs:?}");
    for (name, code) in logs {
        let report = scan(&fs_err::read(fixtures().join("explain").join(&name)).unwrap());
        assert_eq!(report.first().map(|hit| hit.code), Some(code.as_str()), "{name}: {:?}", report.hits);
        assert!(report.is_explained(), "{name}");
    }
}

/// Every wording of every tool, English, German and Chinese, and texts that resemble one and mean something else.
#[test]
fn every_wording_shows_its_failure_and_no_other() {
    let text = fs_err::read_to_string(fixtures().join("explain/wordings.txt")).unwrap();
    let rows = text.lines().filter(|row| !row.starts_with('#'));
    let mut failures = Vec::new();
    let mut count = 0;
    for (code, said) in rows.filter_map(|row| row.split_once(' ')) {
        count += 1;
        let report = scan(said.replace('⏎', "\n").as_bytes());
        let expected: &[&str] = if code == "none" { &[] } else { &[code] };
        if codes(&report) != expected {
            failures.push(format!("{:?} instead of {code}: {said}", codes(&report)));
        }
    }
    assert!(count > 150, "{count}");
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
}

/// The same in the code page of a Chinese Windows, as its compilers write it into a file.
#[test]
fn chinese_wordings_are_read_in_their_code_page() {
    let text = fs_err::read_to_string(fixtures().join("explain/wordings.txt")).unwrap();
    let rows = text.lines().filter_map(|row| row.split_once(' ')).filter(|(code, _)| *code != "none");
    let mut count = 0;
    for (code, said) in rows.filter(|(_, said)| said.chars().any(|c| ('\u{4e00}'..'\u{9fff}').contains(&c))) {
        let said = said.replace('⏎', "\n");
        let (bytes, _, lost) = encoding_rs::GBK.encode(&said);
        assert!(!lost, "{said}");
        assert_eq!(codes(&scan(&bytes)), [code], "{said}");
        count += 1;
    }
    assert!(count > 15, "{count}");
}

#[test]
fn every_code_with_a_pattern_has_a_log() {
    let logs = logs("logs");
    for entry in catalogue::all().filter(|entry| !entry.patterns.is_empty()) {
        assert!(logs.values().any(|code| code == entry.code), "{} has no log", entry.code);
    }
}

#[test]
fn every_pattern_is_shown_by_a_line() {
    // Each wording's own texts make a line that it matches, so that none contradicts itself.
    for entry in catalogue::all() {
        for pattern in entry.patterns.iter().filter(|pattern| pattern.when.is_none()) {
            for glob in pattern.globs() {
                let line = glob.to_string();
                assert!(glob.matches(&line) && pattern.allows(&line), "{}: {line}", entry.code);
            }
        }
    }
}

#[test]
fn a_clean_build_shows_nothing() {
    let report = scan(&read("clean.log"));
    assert_eq!((codes(&report), report.unexplained), (vec![], None));
}

/// The founding article's build with toolkit 12.6: five warnings, all harmless, and a good result.
#[test]
fn the_five_warnings_of_the_article_are_harmless() {
    let report = scan(&read("article-12.6-passes.log"));
    let mut found = codes(&report);
    found.sort_unstable();
    assert_eq!(found, ["E02", "H01", "H02", "H03", "H04"]);
    assert!(report.hits.iter().all(|hit| hit.weight == Weight::Harmless));
    assert_eq!((report.first(), &report.unexplained), (None, &None));
}

#[test]
fn all_logs_together_put_the_fatal_first() {
    let mut log = read("article-12.6-passes.log");
    for code in ["E70.log", "E50.log", "E41.log", "E40.log"] {
        log.extend(read(code));
    }
    let report = scan(&log);
    let weights: Vec<Weight> = report.hits.iter().map(|hit| hit.weight).collect();
    assert!(weights.windows(2).all(|pair| pair[0] >= pair[1]), "{weights:?}");
    assert_eq!(codes(&report)[..2], ["E41", "E40"]);
}

/// The first error that nobody knows is the compiler's, not the one with which pip or ninja reports it.
#[test]
fn an_unknown_error_is_the_compilers_own() {
    let log = "  error: subprocess-exited-with-error\n\
        a.cu(7): error: class \"Foo\" has no member \"bar\"\n\
        ninja: build stopped: subcommand failed.\n\
        RuntimeError: Error compiling objects for extension\n";
    let report = scan(log.as_bytes());
    assert_eq!(
        report.unexplained,
        Some((2, "a.cu(7): error: class \"Foo\" has no member \"bar\"".to_owned()))
    );
    assert!(!report.is_explained());
}
