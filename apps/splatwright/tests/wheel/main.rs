//! Wheels as they are written and as they are checked: a good one passes, each damaged one is refused by name.
//! Pure wheels only, as nothing is compiled here; `.ci/steps/wheel` builds the one with engines.

mod launcher;

use std::{
    collections::BTreeMap,
    io::{Cursor, Read as _, Write as _},
    path::{Path, PathBuf},
};

use splatwright::wheel::{check, pure};

fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).to_owned()
}

/// A wheel's files by name.
type Files = BTreeMap<String, Vec<u8>>;

fn files(wheel: &Path) -> Files {
    let mut zip = zip::ZipArchive::new(Cursor::new(fs_err::read(wheel).unwrap())).unwrap();
    (0..zip.len())
        .map(|i| {
            let mut entry = zip.by_index(i).unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.name().unwrap().into_owned(), bytes)
        })
        .collect()
}

fn write(wheel: &Path, files: &Files) {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    fs_err::write(wheel, zip.finish().unwrap().into_inner()).unwrap();
}

const INFO: &str = "fused_ssim-0.1.0.dist-info";

#[test]
fn the_same_contents_give_the_same_bytes_and_an_older_wheel_goes() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let old = one.path().join("simple_knn-0.0.9-py3-none-any.whl");
    fs_err::write(&old, "old").unwrap();
    for package in ["simple_knn", "fused_ssim"] {
        let first = pure(&root(), package, one.path()).unwrap();
        let second = pure(&root(), package, two.path()).unwrap();
        assert_eq!(fs_err::read(&first).unwrap(), fs_err::read(&second).unwrap(), "{package}");
    }
    assert!(!old.exists(), "pip would find two wheels of one package");
}

#[test]
fn a_wheel_has_code_types_licences_and_says_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(&pure(&root(), "fused_ssim", folder.path()).unwrap());
    for name in [
        "fused_ssim/__init__.py",
        "fused_ssim/__init__.pyi",
        "fused_ssim/py.typed",
        "fused_ssim-0.1.0.dist-info/licenses/LICENSE-MIT",
    ] {
        assert!(files.contains_key(name), "{name} is not in {:?}", files.keys());
    }
    let metadata = String::from_utf8_lossy(&files[&format!("{INFO}/METADATA")]).into_owned();
    for line in
        ["Requires-Dist: diff-gaussian-rasterization==0.1.0", "Requires-Python: >=3.8", "Version: 0.1.0"]
    {
        assert!(metadata.lines().any(|l| l == line), "no `{line}` in {metadata}");
    }
    assert!(!metadata.contains("Requires-Dist: torch"), "torch is the user's choice");
    assert!(!files.keys().any(|n| n.contains("__pycache__") || n.starts_with('/')));
}

#[test]
fn the_rasterizer_is_also_there_under_the_name_that_fastgs_imports() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = pure(&root(), "diff_gaussian_rasterization", folder.path()).unwrap();
    check(&wheel).unwrap();
    let files = files(&wheel);
    assert!(files.contains_key("diff_gaussian_rasterization_fastgs/__init__.py"), "{:?}", files.keys());
    let names = &files["diff_gaussian_rasterization-0.1.0.dist-info/top_level.txt"];
    assert_eq!(
        String::from_utf8_lossy(names),
        "diff_gaussian_rasterization\ndiff_gaussian_rasterization_fastgs\n"
    );
}

#[test]
fn every_damage_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let good = pure(&root(), "fused_ssim", folder.path()).unwrap();
    check(&good).unwrap();
    let whole = files(&good);
    let refused = |name: &str, words: &[&str], change: &dyn Fn(&mut Files)| {
        let mut changed = whole.clone();
        change(&mut changed);
        let path = folder.path().join(name);
        write(&path, &changed);
        let error = format!("{:#}", check(&path).unwrap_err());
        for word in words {
            assert!(error.contains(word), "`{word}` is not in: {error}");
        }
    };
    let name = "fused_ssim-0.1.0-py3-none-any.whl";
    let code = "fused_ssim/__init__.py";
    refused(name, &["RECORD says", code], &|f| f.get_mut(code).unwrap().push(b'\n'));
    refused(name, &["RECORD does not list `fused_ssim/more.py`"], &|f| {
        f.insert("fused_ssim/more.py".into(), Vec::new());
    });
    refused(name, &["RECORD lists", "which is not there"], &|f| {
        f.remove(code);
    });
    refused(name, &["no name inside a wheel"], &|f| {
        f.insert("../x.py".into(), Vec::new());
        let record = f.get_mut(&format!("{INFO}/RECORD")).unwrap();
        record.extend_from_slice(b"../x.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n");
    });
    refused("fused_ssim-0.1.0-py3-none-manylinux_2_17_x86_64.whl", &["WHEEL says"], &|_| {});
    refused("fused_ssim-0.2.0-py3-none-any.whl", &["there is no fused_ssim-0.2.0.dist-info"], &|_| {});
    refused("fused_ssim.whl", &["name-version-python-abi-platform"], &|_| {});
}
