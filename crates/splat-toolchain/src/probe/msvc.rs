//! Microsoft's compilers: every toolset of every Visual Studio and Build Tools that the installer knows, and the
//! Windows SDKs. Reads vswhere's JSON, folders and the registry; enters no environment and compiles nothing.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{
    env::{Env, Os},
    machine::{CompilerKind, Fact, HostCompiler, Msvc},
    version::Version,
};

/// Build Tools are left out unless every product is asked for.
const QUESTION: &[&str] = &["-all", "-prerelease", "-products", "*", "-format", "json", "-utf8"];

/// One installation, as vswhere lists it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// The folder of the installation.
    pub installation_path: PathBuf,
    /// Its version.
    #[serde(default)]
    pub installation_version: String,
    /// Its name for people.
    #[serde(default)]
    pub display_name: String,
}

/// vswhere's answer. What is not JSON, and entries without a path, are left out.
pub fn parse_vswhere(text: &str) -> Vec<Instance> {
    let text = text.trim_start_matches('\u{feff}');
    let entries: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
    entries.into_iter().filter_map(|entry| serde_json::from_value(entry).ok()).collect()
}

/// The CUDA that a standard library demands: `error STL1002: Unexpected compiler version, expected CUDA 12.4 or newer`.
pub fn parse_yvals(text: &str) -> Option<Version> {
    let (_, after) = text.split_once("expected CUDA ")?;
    let (version, rest) = after.split_once(' ')?;
    rest.starts_with("or newer").then(|| version.parse().ok())?
}

/// Toolset 14.42.34433 holds cl 19.42.34433.
pub fn cl_version(toolset: &Version) -> Version {
    let text = toolset.to_string();
    let rest = text.strip_prefix("14").unwrap_or_default();
    format!("19{rest}").parse().unwrap_or_default()
}

/// Toolsets, the newest installation first, in it the default one first.
pub(crate) fn toolsets(env: &Env) -> Vec<HostCompiler> {
    if env.os != Os::Windows {
        return Vec::new();
    }
    let Some(vswhere) = vswhere(env) else { return Vec::new() };
    let mut instances = env.run(&vswhere, QUESTION).map(|text| parse_vswhere(&text)).unwrap_or_default();
    instances.sort_by_key(|instance| std::cmp::Reverse(version(&instance.installation_version)));
    instances.iter().flat_map(of_instance).collect()
}

fn version(text: &str) -> Version {
    text.parse().unwrap_or_default()
}

fn vswhere(env: &Env) -> Option<PathBuf> {
    let installer = "Microsoft Visual Studio/Installer/vswhere.exe";
    let programs = ["ProgramFiles(x86)", "ProgramFiles"];
    let beside = programs.into_iter().filter_map(|name| Some(Path::new(env.var(name)?).join(installer)));
    beside.into_iter().find(|path| path.is_file()).or_else(|| env.on_path("vswhere"))
}

fn of_instance(instance: &Instance) -> Vec<HostCompiler> {
    let root = &instance.installation_path;
    let build = root.join("VC/Auxiliary/Build");
    let default = fs_err::read_to_string(build.join("Microsoft.VCToolsVersion.default.txt"));
    let default = default.map(|text| version(&text)).unwrap_or_default();
    let vcvars = Some(build.join("vcvars64.bat")).filter(|path| path.is_file());
    let mut found: Vec<(Version, PathBuf)> = fs_err::read_dir(root.join("VC/Tools/MSVC"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .collect();
    found.sort_by(|a, b| (b.0 == default, &b.0).cmp(&(a.0 == default, &a.0)));
    let compiler = |(toolset, folder): (Version, PathBuf)| {
        let cl = ["bin/Hostx64/x64/cl.exe", "bin/HostX64/x64/cl.exe"];
        let path = cl.iter().map(|inner| folder.join(inner)).find(|path| path.is_file())?;
        let yvals = fs_err::read(folder.join("include/yvals_core.h")).unwrap_or_default();
        Some(HostCompiler {
            path,
            kind: CompilerKind::Msvc,
            version: cl_version(&toolset),
            source: format!("vswhere: {}", instance.display_name),
            explicit: false,
            msvc: Some(Msvc {
                product: instance.display_name.clone(),
                product_version: version(&instance.installation_version),
                default: toolset == default,
                toolset,
                vcvars: vcvars.clone(),
                stl_cuda: parse_yvals(&String::from_utf8_lossy(&yvals)),
            }),
        })
    };
    found.into_iter().filter_map(compiler).collect()
}

/// Windows SDKs with headers, newest first.
pub(crate) fn sdks(env: &Env) -> Vec<Fact<Version>> {
    if env.os != Os::Windows {
        return Vec::new();
    }
    let key = r"HKLM\SOFTWARE\WOW6432Node\Microsoft\Windows Kits\Installed Roots";
    let registered = registry(env, key, "KitsRoot10").map(PathBuf::from);
    let usual = env.var("ProgramFiles(x86)").map(|programs| Path::new(programs).join("Windows Kits/10"));
    let Some(root) = registered.into_iter().chain(usual).find(|root| root.is_dir()) else {
        return Vec::new();
    };
    let include = root.join("Include");
    let mut found: Vec<Fact<Version>> = fs_err::read_dir(&include)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("um/windows.h").is_file() || entry.path().join("um").is_dir())
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some(Fact::new(version, entry.path().display().to_string()))
        })
        .collect();
    found.sort_by(|a, b| b.value.cmp(&a.value));
    found
}

/// One value of the registry, as `reg query` prints it.
pub(crate) fn registry(env: &Env, key: &str, name: &str) -> Option<String> {
    let reg = env.on_path("reg").or_else(|| {
        let system = Path::new(env.var("SystemRoot")?).join("System32/reg.exe");
        system.is_file().then_some(system)
    })?;
    parse_registry(&env.run(&reg, &["query", key, "/v", name])?, name)
}

/// That value of a key and of every key below it.
pub(crate) fn registry_all(env: &Env, key: &str, name: &str) -> Vec<String> {
    let Some(reg) = env.on_path("reg") else { return Vec::new() };
    let text = env.run(&reg, &["query", key, "/s", "/v", name]).unwrap_or_default();
    text.lines().filter_map(|line| parse_registry(line, name)).collect()
}

/// `    KitsRoot10    REG_SZ    C:\Program Files (x86)\Windows Kits\10\`.
pub fn parse_registry(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(name))?;
    let (_, after) = line.trim_start().split_once("REG_")?;
    let (_, value) = after.split_once(char::is_whitespace)?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vswhere_of_two_products() {
        let text = r#"[{"instanceId":"1","installationPath":"C:\\VS\\2022","installationVersion":"17.12.35527.113","displayName":"Visual Studio Community 2022"},
                       {"installationPath":"C:\\BT","isPrerelease":false}, {"noPath":1}]"#;
        let found = parse_vswhere(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].installation_version, "17.12.35527.113");
        assert!(parse_vswhere("Error 0x57: unknown option").is_empty());
        assert_eq!(parse_vswhere("\u{feff}[]"), []);
    }

    #[test]
    fn toolsets_and_their_compiler() {
        for (toolset, cl) in [("14.42.34433", "19.42.34433"), ("14.50.35717", "19.50.35717")] {
            assert_eq!(cl_version(&toolset.parse().unwrap()).to_string(), cl);
        }
    }

    #[test]
    fn the_cuda_that_the_library_demands() {
        let text =
            "_EMIT_STL_ERROR(STL1002, \"Unexpected compiler version, expected CUDA 12.4 or newer.\");\n";
        assert_eq!(parse_yvals(text).unwrap().to_string(), "12.4");
        assert_eq!(parse_yvals("expected Clang 18.0.0 or newer"), None);
    }

    #[test]
    fn one_value_of_the_registry() {
        let text = "\r\nHKEY_LOCAL_MACHINE\\SYSTEM\\X\r\n    LongPathsEnabled    REG_DWORD    0x1\r\n\r\n";
        assert_eq!(parse_registry(text, "LongPathsEnabled").as_deref(), Some("0x1"));
        let text = "HKEY\r\n    KitsRoot10    REG_SZ    C:\\Program Files (x86)\\Windows Kits\\10\\\r\n";
        assert_eq!(parse_registry(text, "KitsRoot10").unwrap(), r"C:\Program Files (x86)\Windows Kits\10\");
        assert_eq!(parse_registry("ERROR: The system was unable to find", "KitsRoot10"), None);
    }
}
