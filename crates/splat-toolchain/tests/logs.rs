//! Every log of the catalogue shows exactly its own failure, a clean log shows nothing, and no code with a pattern is
//! without a log.

use std::{collections::BTreeMap, path::PathBuf};

use splat_toolchain::{
    catalogue::{self, Weight},
    explain::{Report, scan},
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs")
}

fn read(name: &str) -> Vec<u8> {
    fs_err::read(folder().join(name)).unwrap()
}

fn codes(report: &Report) -> Vec<&'static str> {
    report.hits.iter().map(|hit| hit.code).collect()
}

/// Logs of one code, by name: `E01.log`, `E01-tuple.log`.
fn logs() -> BTreeMap<String, String> {
    let entries = fs_err::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    entries
        .map(|name| name.to_str().unwrap().to_owned())
        .filter_map(|name| Some((name.clone(), name.strip_suffix(".log")?.split('-').next()?.to_owned())))
        .filter(|(_, code)| catalogue::of(code).is_some())
        .collect()
}

/// Logs in which a second failure stands as well, because the first one brings it about.
const ALSO: &[(&str, &[&str])] = &[];

#[test]
fn every_log_shows_its_failure_and_no_other() {
    for (name, code) in logs() {
        let report = scan(&read(&name));
        let mut expected = vec![code.as_str()];
        expected.extend(ALSO.iter().filter(|(log, _)| *log == name).flat_map(|(_, codes)| codes.iter()));
        assert_eq!(codes(&report), expected, "{name}");
        let quoted = &report.hits[0];
        assert!(!quoted.text.is_empty() && quoted.line >= 1 && quoted.count >= 1, "{name}");
    }
}

#[test]
fn every_code_with_a_pattern_has_a_log() {
    let logs = logs();
    for entry in catalogue::all().filter(|entry| !entry.patterns.is_empty()) {
        assert!(
            logs.values().any(|code| code == entry.code),
            "{} has no log in {}",
            entry.code,
            folder().display()
        );
    }
}

#[test]
fn every_pattern_is_shown_by_a_line() {
    // Each pattern's own texts make a line that it matches, so that none contradicts itself.
    for entry in catalogue::all() {
        for pattern in entry.patterns.iter().filter(|pattern| pattern.when.is_none()) {
            assert!(pattern.matches(&pattern.all.join(" ")), "{}: {:?}", entry.code, pattern.all);
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

/// Both wordings of torch's refusal: formatted (to 2.10), and the pair of text and versions (from 2.11).
#[test]
fn both_wordings_of_torch_are_one_failure() {
    for log in ["E01.log", "E01-tuple.log"] {
        assert_eq!(scan(&read(log)).first().map(|hit| hit.code), Some("E01"), "{log}");
    }
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
