//! The stages of structure from motion: features, matches, poses. Runs them, tells how far each is, and keeps what it hears
//! about each photograph.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use anyhow::Result;

use super::child::{self, Ended};
use super::tool::{Files, Tool};
use crate::cli::Hinted;

/// Up to so many photographs, each is compared with every other one.
pub(super) const ALL_PAIRS: usize = 300;
/// Above that, so many photographs, spread over the whole, are, so that the ends of a walk that closes find each other.
const ANCHORS: usize = 60;
/// The smallest model that is one.
pub(super) const SMALLEST: usize = 3;
const BROKEN: &str =
    "run it again with another program: --sfm pycolmap, or --sfm colmap with an installed COLMAP";

/// What is reconstructed, and by what.
pub(super) struct Job<'a> {
    pub(super) tool: &'a Tool,
    pub(super) files: Files<'a>,
    /// For files of the way; exists.
    pub(super) work: &'a Path,
    /// Names of photographs by camera.
    pub(super) groups: &'a [Vec<String>],
    /// Neighbours by name show the same: frames of a video.
    pub(super) in_order: bool,
    pub(super) model: &'a str,
    pub(super) masks: Option<PathBuf>,
    pub(super) stop: &'a AtomicBool,
}

/// What was heard about the photographs.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Features by name.
    pub(super) features: BTreeMap<String, u64>,
    /// The most places that a photograph has in common with another one, by name; empty if the program cannot tell.
    pub(super) shared: BTreeMap<String, u64>,
}

/// A line of COLMAP's log that says something.
#[derive(Debug, PartialEq)]
enum Heard<'a> {
    Done(u64, u64),
    Name(&'a str),
    Features(u64),
    Placed(u64),
}

/// Runs all stages; None if the user stopped. `listen` hears what is being done, how much of it is done, and how much there is
/// (0: not known). Models lie in `models` afterwards, if there are any.
pub(super) fn run(
    job: &Job<'_>,
    models: &Path,
    listen: &mut dyn FnMut(&str, u64, u64),
) -> Result<Option<Tally>> {
    let mut tally = Tally::default();
    let all = job.groups.iter().map(Vec::len).sum::<usize>();
    // Photographs that share their camera with none need one call together.
    let (many, alone): (Vec<_>, Vec<_>) = job.groups.iter().cloned().partition(|group| group.len() > 1);
    let alone: Vec<String> = alone.into_iter().flatten().collect();
    let calls = many.into_iter().map(|group| (group, true)).chain([(alone, false)]);
    let list = job.work.join("names.txt");
    let what = "looking for features";
    listen(what, 0, all as u64);
    for (names, shared) in calls.filter(|(names, _)| !names.is_empty()) {
        fs_err::write(&list, names.join("\n") + "\n")?;
        let command = job.tool.features(&job.files, &list, shared, job.model, job.masks.as_deref());
        let mut name = None;
        let mut hear = |line: &str| match heard(line) {
            Some(Heard::Name(of)) => name = Some(of.to_owned()),
            Some(Heard::Features(n)) => {
                tally.features.extend(name.take().map(|name| (name, n)));
                listen(what, tally.features.len() as u64, all as u64);
            }
            _ => {}
        };
        if !stage(job, command, "the search for features", &mut hear)? {
            return Ok(None);
        }
    }
    for (command, what) in matching(job, all)? {
        listen(what, 0, 0);
        let mut hear = |line: &str| {
            if let Some(Heard::Done(done, of)) = heard(line) {
                listen(what, done, of);
            }
        };
        if !stage(job, command, "the comparison of photographs", &mut hear)? {
            return Ok(None);
        }
    }
    if let Some(command) = job.tool.shared(&job.files) {
        let mut hear = |line: &str| {
            if let Ok(shared) = serde_json::from_str(line) {
                tally.shared = shared;
            }
        };
        if !stage(job, command, "the count of matches", &mut hear)? {
            return Ok(None);
        }
    }
    let what = "placing the cameras";
    listen(what, 0, all as u64);
    let mut hear = |line: &str| {
        if let Some(Heard::Placed(n)) = heard(line) {
            listen(what, n, all as u64);
        }
    };
    // COLMAP's program ends as failed where nothing could be reconstructed; that is told apart by what it leaves.
    fs_err::create_dir_all(models)?;
    let mapping = &mut job.tool.mapping(&job.files, models, SMALLEST);
    Ok(match child::run(mapping, job.stop, BROKEN, &mut hear)? {
        Ended::Stopped => None,
        Ended::Done => Some(tally),
        Ended::Failed(_, last) if nothing(&last) => Some(tally),
        Ended::Failed(status, last) => return Err(broken(job, "the search for poses", status, &last)),
    })
}

/// Whether these are the last words of a mapper that works and has found nothing.
fn nothing(last: &str) -> bool {
    ["failed to create sparse model", "No good initial image pair", "No images with matches"]
        .iter()
        .any(|words| last.contains(words))
}

/// Runs a stage; false if the user stopped.
fn stage(job: &Job<'_>, mut command: Command, what: &str, hear: &mut dyn FnMut(&str)) -> Result<bool> {
    match child::run(&mut command, job.stop, BROKEN, hear)? {
        Ended::Done => Ok(true),
        Ended::Stopped => Ok(false),
        Ended::Failed(status, last) => Err(broken(job, what, status, &last)),
    }
}

fn broken(job: &Job<'_>, what: &str, status: std::process::ExitStatus, last: &str) -> anyhow::Error {
    Hinted::error(format!("{what} by {} failed ({status}); its last lines:\n{last}", job.tool.name), BROKEN)
}

/// The commands that compare photographs, and what each does.
fn matching(job: &Job<'_>, all: usize) -> Result<Vec<(Command, &'static str)>> {
    if all <= ALL_PAIRS && !job.in_order {
        // Small blocks, so that there is progress to show.
        let block = (all / 6).clamp(10, 50);
        return Ok(vec![(job.tool.exhaustive(&job.files, block), "comparing the photographs")]);
    }
    let mut commands = vec![(job.tool.sequential(&job.files), "comparing neighbours")];
    if !job.in_order {
        commands.push((job.tool.spatial(&job.files), "comparing photographs from the same place"));
    }
    let list = job.work.join("pairs.txt");
    let pairs = anchors(job.groups.iter().flatten());
    if !pairs.is_empty() {
        fs_err::write(&list, pairs)?;
        commands.push((job.tool.pairs(&job.files, &list), "comparing the beginning with the end"));
    }
    Ok(commands)
}

/// All pairs among some of the photographs. COLMAP's list cannot name those with white space in their names.
fn anchors<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let mut names: Vec<&String> = names.filter(|name| !name.contains(char::is_whitespace)).collect();
    names.sort();
    let chosen: Vec<&&String> = names.iter().step_by(names.len().div_ceil(ANCHORS).max(1)).collect();
    let pairs = chosen
        .iter()
        .enumerate()
        .flat_map(|(i, a)| chosen[i + 1..].iter().map(move |b| format!("{a} {b}\n")));
    pairs.collect()
}

/// What a line of COLMAP's log says, of any release from 3.8 on.
fn heard(line: &str) -> Option<Heard<'_>> {
    // `I20261130 11:56:47.090134 140388346078912 sift.cc:270] Processed file [1/50]` since 3.9.
    let text = match line.split_once("] ") {
        Some((head, text)) if head.starts_with(['I', 'W', 'E']) && head.contains(".cc:") => text,
        _ => line,
    };
    let text = text.trim();
    let number = |text: &str| text.split([' ', '=', ')']).find_map(|word| word.parse().ok());
    if let Some(name) = text.strip_prefix("Name:") {
        return Some(Heard::Name(name.trim()));
    }
    if let Some(count) = text.strip_prefix("Features:") {
        return Some(Heard::Features(number(count.trim())?));
    }
    if text.starts_with("Registering image") {
        return Some(Heard::Placed(number(text.split_once('(')?.1)?));
    }
    let counted = ["Processing", "Matching"].iter().any(|verb| text.starts_with(verb));
    let (_, count) = text.split_once('[').filter(|_| counted)?;
    let numbers: Vec<u64> =
        count.split(']').next()?.split([',', '/', ' ']).filter_map(|n| n.parse().ok()).collect();
    match numbers[..] {
        // It is begun, not done.
        [i, n] => Some(Heard::Done(i.saturating_sub(1), n)),
        [i, n, j, m] => Some(Heard::Done(i.saturating_sub(1) * m + j.saturating_sub(1), n * m)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logs_of_old_and_new_releases_are_understood() {
        let prefix = "I20261130 11:56:47.090134 140388346078912 feature_extraction.cc:270] ";
        for (text, expected) in [
            ("  Name:            sub/a [1] b.jpg", Heard::Name("sub/a [1] b.jpg")),
            ("  Features:        3167 (SIFT)", Heard::Features(3167)),
            ("  Features:        648", Heard::Features(648)),
            ("Registering image #39 (num_reg_frames=39)", Heard::Placed(39)),
            ("Registering image #4 (17)", Heard::Placed(17)),
            ("Processing block [2/3, 1/3]", Heard::Done(3, 9)),
            ("Matching block [1/1, 1/1] in 0.373s", Heard::Done(0, 1)),
            ("Matching image [5/50]", Heard::Done(4, 50)),
        ] {
            assert_eq!(heard(text), Some(expected), "{text}");
            assert_eq!(heard(text), heard(&format!("{prefix}{text}")), "{text}");
        }
        for text in ["", "=== Feature extraction ===", "Matching took long", "Processed file [1/50]"] {
            assert_eq!(heard(text), None, "{text}");
        }
    }

    #[test]
    fn anchors_are_spread_over_all_photographs() {
        let names: Vec<String> = (0..120).map(|i| format!("{i:03}.jpg")).chain(["a b.jpg".into()]).collect();
        let pairs = anchors(names.iter());
        assert_eq!(pairs.lines().count(), 60 * 59 / 2);
        assert!(pairs.contains("000.jpg 118.jpg\n") && !pairs.contains("a b"));
        assert_eq!(anchors(names[..1].iter()), "");
    }
}
