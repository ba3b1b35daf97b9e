//! What a photographer is told: why photographs fell out of a reconstruction, or why there is none.

use std::collections::BTreeMap;

use super::LeftOut;
use super::stages::Tally;
use crate::cli::Hinted;

/// Fewer features than this are too few to place a photograph.
const FEW_FEATURES: u64 = 100;
/// Fewer places in common with any other photograph are too few.
const FEW_SHARED: u64 = 30;
/// Names that a sentence lists.
const LISTED: usize = 8;

const DETAIL: &str = "few details were found: blurred, dark, or a surface without texture";
const OVERLAP: &str = "too little in common with the others";
const APART: &str = "a group of its own, with too little in common with the largest one";

/// Why the photograph `name` is not in the model; `elsewhere` if it is in another one.
pub(super) fn reason(name: &str, tally: &Tally, elsewhere: bool) -> &'static str {
    match tally.features.get(name) {
        _ if elsewhere => APART,
        Some(&features) if features < FEW_FEATURES => DETAIL,
        _ => OVERLAP,
    }
}

/// The warning about photographs that fell out, one sentence per reason.
pub(crate) fn left_out(list: &[LeftOut]) -> Vec<String> {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for LeftOut { name, why } in list {
        reasons.entry(why).or_default().push(name);
    }
    reasons.into_iter().map(|(why, names)| format!("left out {}: {why}", listed(&names))).collect()
}

/// `3 photographs (a.jpg, b.jpg, c.jpg)`.
fn listed(names: &[&str]) -> String {
    let more = names.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shown = names[..names.len().min(LISTED)].join(", ");
    format!("{} ({shown}{more})", photographs(names.len()))
}

pub(crate) fn photographs(n: usize) -> String {
    if n == 1 { "1 photograph".into() } else { format!("{n} photographs") }
}

/// The error where no photograph could be placed.
pub(super) fn nothing(tally: &Tally) -> anyhow::Error {
    let all = tally.features.len();
    let poor: Vec<&str> =
        tally.features.iter().filter(|&(_, n)| *n < FEW_FEATURES).map(|(name, _)| name.as_str()).collect();
    if 2 * poor.len() > all {
        return Hinted::error(
            format!("no reconstruction: too few details were found in {} of {all}", listed(&poor)),
            "photographs need texture, light and sharpness: no blank walls, no motion blur, no noise",
        );
    }
    let most = tally.shared.values().max();
    if let Some(most) = most.filter(|most| **most < FEW_SHARED) {
        return Hinted::error(
            format!(
                "no reconstruction: the photographs have too little in common; no two of these {all} share more than {most} places"
            ),
            "take more photographs with more overlap: a small step between shots, each part of the scene in at least three",
        );
    }
    Hinted::error(
        format!("no reconstruction: from these {} no positions of the camera follow", photographs(all)),
        "move between shots: photographs that turn about one spot show no depth; and let neighbours overlap by two thirds",
    )
}

/// The error where there are too few photographs to begin with.
pub(super) fn too_few(usable: usize, list: &[LeftOut]) -> anyhow::Error {
    let why: String = left_out(list).iter().map(|line| format!("\n{line}")).collect();
    Hinted::error(
        format!("{} can be used, and poses need at least 3{why}", photographs(usable)),
        "take 20 or more from all around, as JPEG or PNG, each part of the scene in at least three",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(features: &[(&str, u64)], shared: u64) -> Tally {
        Tally {
            features: features.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
            shared: features.iter().map(|(name, _)| ((*name).to_owned(), shared)).collect(),
        }
    }

    #[test]
    fn each_cause_has_its_words() {
        let blank = nothing(&tally(&[("a", 0), ("b", 3), ("c", 900)], 0)).to_string();
        assert!(blank.contains("2 photographs (a, b) of 3"), "{blank}");
        let apart = nothing(&tally(&[("a", 900), ("b", 900)], 12)).to_string();
        assert!(apart.contains("no two of these 2 share more than 12"), "{apart}");
        let turned = nothing(&tally(&[("a", 900), ("b", 900)], 500)).to_string();
        assert!(turned.contains("from these 2 photographs no positions"), "{turned}");
        let unknown = nothing(&Tally { shared: BTreeMap::new(), ..tally(&[("a", 900)], 0) }).to_string();
        assert!(unknown.contains("from these 1 photograph no"), "{unknown}");
    }

    #[test]
    fn names_are_listed_by_reason() {
        let tally = tally(&[("a", 5), ("b", 800), ("c", 800)], 40);
        let out = |name: &str, elsewhere| LeftOut {
            name: name.into(),
            why: reason(name, &tally, elsewhere).into(),
        };
        let mut list = vec![out("a", false), out("b", true), out("c", false)];
        list.extend((0..9).map(|i| out(&format!("x{i}"), false)));
        let said = left_out(&list);
        assert_eq!(said.len(), 3);
        assert!(said.iter().any(|s| s.starts_with("left out 1 photograph (a): few details")), "{said:?}");
        assert!(
            said.iter().any(|s| s.contains("10 photographs (c, x0,") && s.contains("x6 and 2 more")),
            "{said:?}"
        );
        assert!(said.iter().any(|s| s.contains("(b): a group of its own")), "{said:?}");
    }
}
