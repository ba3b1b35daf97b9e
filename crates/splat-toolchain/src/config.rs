//! `.cargo/toolchain.toml`: the plan as cargo reads it, and the choices that led to it. Text in, text out; writing
//! the file is xtask's work.
//!
//! Which values win over the shell's: those that follow from the plan alone (`SPLATWRIGHT_*`, the C++ ABI). Those
//! that users also set to choose something (LIBTORCH, CUDAHOSTCXX, SPLAT_ENGINES) do not.

use std::{collections::BTreeMap, fmt::Write};

use crate::{plan::Plan, request::Settings};

/// In the repository; ignored by git, included by the committed `.cargo/config.toml`.
pub const PATH: &str = ".cargo/toolchain.toml";

const HEADER: &str = "\
# Written by `cargo xtask switch` and `cargo xtask build`; included by config.toml and ignored by git.
# It tells cargo, rust-analyzer and the build scripts which torch, CUDA toolkit and target directory are in force.
# Change it with `cargo xtask switch`; deleting it is safe: the next `cargo xtask build` writes it again.
";

/// Whether the plan's value wins over one exported by the shell.
pub fn forced(name: &str) -> bool {
    !matches!(name, "LIBTORCH" | "CUDAHOSTCXX" | "SPLAT_ENGINES")
}

/// The file for a plan.
pub fn render(plan: &Plan) -> String {
    let mut text = HEADER.to_owned();
    let settings = toml::to_string(&plan.settings).unwrap_or_default();
    let _ = write!(
        text,
        "\n# What was chosen explicitly; the rest follows from the machine.\n[splatwright]\n{settings}"
    );
    let _ = write!(text, "\n[build]\ntarget-dir = {}\n\n[env]\n", quoted(&plan.target_dir));
    for (name, value) in &plan.env {
        let _ = if forced(name) {
            writeln!(text, "{name} = {{ value = {}, force = true }}", quoted(value))
        } else {
            writeln!(text, "{name} = {}", quoted(value))
        };
    }
    text
}

fn quoted(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

/// Why the file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not TOML.
    #[error("`{PATH}` is not TOML: {0}")]
    Toml(#[from] toml::de::Error),
    /// A value is not of the kind that its key takes.
    #[error("`{PATH}`: `[env] {0}` is neither a text nor a table with `value`")]
    Value(String),
}

/// The recorded choices and the variables it sets.
pub fn parse(text: &str) -> Result<(Settings, BTreeMap<String, String>), ConfigError> {
    let table: toml::Table = text.parse()?;
    let settings = match table.get("splatwright") {
        Some(value) => value.clone().try_into()?,
        None => Settings::default(),
    };
    let mut env = BTreeMap::new();
    for (name, value) in table.get("env").and_then(toml::Value::as_table).into_iter().flatten() {
        let text = value.as_str().or_else(|| value.get("value")?.as_str());
        let text = text.ok_or_else(|| ConfigError::Value(name.clone()))?;
        env.insert(name.clone(), text.to_owned());
    }
    Ok((settings, env))
}

/// A shell that `--print-env` writes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// sh, bash and zsh.
    Sh,
    /// fish.
    Fish,
    /// The command prompt of Windows.
    Cmd,
    /// PowerShell.
    Powershell,
}

/// Lines that set the variables in a shell.
pub fn exports(env: &BTreeMap<String, String>, shell: Shell) -> String {
    let mut text = String::new();
    for (name, value) in env {
        let _ = match shell {
            Shell::Sh => writeln!(text, "export {name}='{}'", value.replace('\'', r"'\''")),
            Shell::Fish => {
                writeln!(text, "set -gx {name} '{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
            }
            // Quotes around the whole keep `&` and `;` literal; `%` would start a variable.
            Shell::Cmd => writeln!(text, "set \"{name}={}\"", value.replace('%', "%%")),
            Shell::Powershell => writeln!(text, "$env:{name} = '{}'", value.replace('\'', "''")),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_choices_come_back() {
        let text = "[splatwright]\nrow = \"2.4\"\nengines = [\"cpu\", \"inria\"]\narchs = [80, 90]\n\n[env]\nLIBTORCH = \"/t\"\nSPLATWRIGHT_ROW = { value = \"2.4\", force = true }\n";
        let (settings, env) = parse(text).unwrap();
        assert_eq!(settings.row.as_deref(), Some("2.4"));
        assert_eq!(settings.archs, Some(vec![80, 90]));
        assert_eq!(env["LIBTORCH"], "/t");
        assert_eq!(env["SPLATWRIGHT_ROW"], "2.4");
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        for text in ["[env\n", "[env]\nA = 3\n", "[splatwright]\ncolour = 1\n"] {
            assert!(
                parse(text).unwrap_err().to_string().contains(".cargo/toolchain.toml")
                    || text.contains("colour")
            );
        }
        assert!(parse("[splatwright]\ncolour = 1\n").is_err());
    }

    #[test]
    fn quoting_survives_each_shell() {
        let env = BTreeMap::from([("A".to_owned(), "it's; 75;80".to_owned())]);
        assert_eq!(exports(&env, Shell::Sh), "export A='it'\\''s; 75;80'\n");
        assert_eq!(exports(&env, Shell::Fish), "set -gx A 'it\\'s; 75;80'\n");
        assert_eq!(exports(&env, Shell::Cmd), "set \"A=it's; 75;80\"\n");
        assert_eq!(exports(&env, Shell::Powershell), "$env:A = 'it''s; 75;80'\n");
    }
}
