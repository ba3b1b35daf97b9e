//! Running cargo from inside cargo: the same cargo that started us, in the repository's root, and without the
//! variables that our own run was given and that would not hold for the child.

use std::{collections::BTreeMap, env, path::Path, process::Command, sync::OnceLock};

use splat_toolchain::config;

/// The cargo that runs us, ready for arguments.
pub fn command(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    // `cargo run` describes our own package to us; a build script or a test of another package must not see it.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST") || text == "CARGO_BIN_NAME" {
            command.env_remove(&name);
        }
    }
    // What cargo gave us from `.cargo/toolchain.toml` would reach the child as if the user had exported it, and win
    // over the file that may have been written since. The child's cargo reads the file itself.
    for (name, value) in given(root) {
        if env::var(name).as_ref() == Ok(value) {
            command.env_remove(name);
        }
    }
    command
}

/// What `.cargo/toolchain.toml` set when this process started. Must be asked for before the file is written anew.
pub fn given(root: &Path) -> &'static BTreeMap<String, String> {
    static GIVEN: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    GIVEN.get_or_init(|| {
        let text = fs_err::read_to_string(root.join(config::PATH)).unwrap_or_default();
        // A damaged file sets nothing that could be told; the doctor reports it.
        config::parse(&text).map(|(_, env)| env).unwrap_or_default()
    })
}
