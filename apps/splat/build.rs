//! Tells the program where to look for libtorch when it is started without cargo, and embeds the libraries of the viewer if
//! `cargo xtask build` has fetched them. It uses no network: without these libraries the program compiles all the same.

use std::{env, fmt::Write as _, fs, path::Path};

fn main() {
    print!("{}", torch_link::torch_directives());
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("viewer.rs"), viewer()).expect("OUT_DIR can be written");
}

/// A list of `(name, bytes)` in Rust: the files of `$SPLATWRIGHT_VIEWER`, or none.
fn viewer() -> String {
    println!("cargo:rerun-if-env-changed=SPLATWRIGHT_VIEWER");
    let mut files = Vec::new();
    if let Some(folder) = env::var_os("SPLATWRIGHT_VIEWER") {
        let folder = Path::new(&folder);
        println!("cargo:rerun-if-changed={}", folder.display());
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // The stamp of the cache does not belong to the page.
            if !name.starts_with('.') {
                files.push((name, entry.path()));
            }
        }
    }
    files.sort();
    let mut text = String::from("&[\n");
    for (name, path) in files {
        let _ = writeln!(text, "    ({name:?}, include_bytes!({:?})),", path.display().to_string());
    }
    text + "]\n"
}
