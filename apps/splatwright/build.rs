//! Compiles in the pins of what a command may bring, for runs outside a clone: `vendor/` of the repository, or the copy
//! that a packaged crate carries (the link `vendor` becomes a folder there; where git makes no links it is not looked at).

use std::{env, fs, path::Path};

fn main() {
    let package = env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
    let package = Path::new(&package);
    let in_clone = package.join("../../vendor");
    let vendor = if in_clone.join("requirements").is_dir() { in_clone } else { package.join("vendor") };
    let requirements = vendor.join("requirements");
    println!("cargo::rerun-if-changed={}", requirements.display());
    println!("cargo::rerun-if-changed={}", vendor.join("sources.toml").display());
    let entries = fs::read_dir(&requirements).expect("vendor/requirements can be read");
    let mut files: Vec<String> = entries
        .map(|entry| format!("requirements/{}", entry.expect("an entry").file_name().display()))
        .filter(|name| name.ends_with(".txt"))
        .collect();
    files.push("sources.toml".into());
    files.sort();
    let pins: String = files
        .iter()
        .map(|name| {
            format!("(\"vendor/{name}\", include_str!({:?})),\n", vendor.join(name).display().to_string())
        })
        .collect();
    let out = Path::new(&env::var_os("OUT_DIR").expect("cargo names the output folder")).join("pins.rs");
    fs::write(out, format!("&[\n{pins}]\n")).expect("pins.rs can be written");
}
