//! Other people's sources before anything is compiled: what stops a build is said by `ext build --dry-run`, and
//! `doctor --for ext` finds the same in them. torch is read, so the one here is two files.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::fixture::Place;

const SETUP: &str =
    "from setuptools import setup\nfrom torch.utils.cpp_extension import CUDAExtension\nsetup(name='dgr')\n";
const USES_GLM: &str = "#include <glm/glm.hpp>\n";

/// An environment with a torch of CUDA 13 and a folder of sources.
fn place(files: &[(&str, &str)]) -> Place {
    let place = Place::new();
    let version = "__version__ = '2.11.0+cu130'\ncuda = '13.0'\n";
    let all = files.iter().map(|(path, text)| (place.at("fork").join(path), *text));
    let torch = [("__init__.py", ""), ("version.py", version)];
    let torch = torch.map(|(path, text)| (place.site().join("torch").join(path), text));
    for (path, text) in all.chain(torch).chain([(place.at("fork/setup.py"), SETUP)]) {
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    place
}

/// What `ext build --dry-run` finds: whether it stops, and code, severity and message of each finding.
fn dry_run(place: &Place, more: &[&str], vars: &[(&str, &str)]) -> (bool, Vec<(String, String)>) {
    let fork = place.at("fork").display().to_string();
    let arguments = [&["ext", "build", &fork, "--dry-run", "--json"], more].concat();
    let said = place.for_venv(&arguments, vars);
    let plan: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
    (!said.ok, findings(&plan["findings"]))
}

/// What `doctor --for ext` finds in the sources: whether it says that a build cannot go ahead, and the findings.
fn doctor(place: &Place, more: &[&str]) -> (bool, Vec<(String, String)>) {
    let fork = place.at("fork").display().to_string();
    let arguments = [&["doctor", "--for=ext", "--json", "--source", &fork], more].concat();
    let said = place.for_venv(&arguments, &[]);
    let report: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
    (!said.ok, findings(&report["findings"]))
}

fn findings(list: &Value) -> Vec<(String, String)> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let one =
        |finding| (text(finding, "code"), format!("{}: {}", finding["severity"], text(finding, "message")));
    list.as_array().unwrap().iter().map(one).collect()
}

fn of<'a>(found: &'a [(String, String)], code: &str) -> Vec<&'a str> {
    found.iter().filter(|(known, _)| known == code).map(|(_, text)| text.as_str()).collect()
}

#[test]
fn what_is_missing_stops_a_dry_run_as_it_stops_the_build() {
    let glm = "[submodule \"glm\"]\n\tpath = third_party/glm\n\turl = x\n";
    let place = place(&[(".gitmodules", glm), ("auxiliary.h", USES_GLM)]);
    let (stops, found) = dry_run(&place, &[], &[]);
    assert!(!stops && of(&found, "E42")[0].contains("is lent to the build"), "{found:?}");
    // Nothing can be lent where nothing may be fetched.
    let (stops, found) = dry_run(&place, &["--offline"], &[]);
    assert!(stops && of(&found, "E42")[0].contains("nothing may be fetched"), "{found:?}");
    let (stops, found) = doctor(&place, &["--offline"]);
    assert!(stops && of(&found, "E42")[0].contains("nothing may be fetched"), "{found:?}");
    let eigen = "[submodule \"eigen\"]\n\tpath = third_party/eigen\n\turl = x\n";
    fs_err::write(place.at("fork/.gitmodules"), eigen).unwrap();
    let (stops, found) = dry_run(&place, &[], &[]);
    assert!(stops && of(&found, "E42").iter().any(|text| text.contains("third_party/eigen")), "{found:?}");
}

#[test]
fn a_compiler_that_is_not_there_stops_it() {
    let place = place(&[]);
    for name in ["CXX", "CC"] {
        let (stops, found) = dry_run(&place, &[], &[(name, "/opt/none/g++-77")]);
        assert!(stops && of(&found, "S02")[0].contains("g++-77"), "{name}: {found:?}");
    }
}

/// GLM from its master branch, a stale object, a header that is not included, a setup.py that asks for a GPU.
#[test]
fn doctor_and_build_judge_sources_by_the_same_rules() {
    let place = place(&[
        ("third_party/glm/glm/glm.hpp", ""),
        (
            "third_party/glm/glm/detail/setup.hpp",
            "#define GLM_VERSION_MAJOR 1\n#define GLM_VERSION_MINOR 1\n#define GLM_VERSION_PATCH 0\n",
        ),
        // GLM's own tests are not this project's faults.
        ("third_party/glm/test/core.cpp", "uint32_t n;\n"),
        ("auxiliary.h", USES_GLM),
        ("backward.cu", "#include <cub/cub.cuh>\nfloat best = reduce.Reduce(FLT_MAX, cub::Max());\n"),
        ("build/temp/backward.o", "stale"),
    ]);
    for more in [&[][..], &["--offline"]] {
        let (stops, build) = dry_run(&place, more, &[]);
        let (stops_too, doctor) = doctor(&place, more);
        assert!(!stops && !stops_too, "{more:?}: {build:?}, {doctor:?}");
        for found in [&build, &doctor] {
            for code in ["E14", "E41", "E43", "E70", "E80"] {
                assert_eq!(of(found, code).len(), 1, "{more:?}, {code}: {found:?}");
            }
            assert!(of(found, "E43")[0].contains("GLM 1.1.0") && of(found, "E40").is_empty(), "{found:?}");
        }
        let codes =
            |found: &[(String, String)]| found.iter().map(|(code, _)| code.clone()).collect::<BTreeSet<_>>();
        assert_eq!(codes(&build), codes(&doctor), "{more:?}");
    }
}
