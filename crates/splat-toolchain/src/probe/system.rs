//! The machine itself: C library, memory that may be used, free space, our cache's folder and what is in it.

use std::path::{Path, PathBuf};

use crate::{
    env::{Env, Os},
    machine::{Disk, Fact},
    managed::{BUCKET, ITEMS, ManagedState},
    version::Version,
};

/// `getconf` is part of the C library's own programs and starts in a millisecond.
pub(crate) fn glibc(env: &Env) -> Option<Fact<Version>> {
    if env.os != Os::Linux {
        return None;
    }
    let text = env.run(&env.on_path("getconf")?, &["GNU_LIBC_VERSION"])?;
    Some(Fact::new(text.trim().strip_prefix("glibc ")?.parse().ok()?, "getconf GNU_LIBC_VERSION"))
}

/// Free memory, or what the control group leaves where that is less.
pub(crate) fn memory(env: &Env) -> Option<Fact<u64>> {
    let available = parse_meminfo(&env.read("/proc/meminfo")?)?;
    let number = |file: &str| env.read(file).and_then(|text| text.trim().parse::<u64>().ok());
    let left = |limit: &str, used: &str| Some(number(limit)?.saturating_sub(number(used).unwrap_or(0)));
    let group = left("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current").or_else(|| {
        left("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes")
    });
    Some(match group {
        Some(left) if left < available => Fact::new(left, "the control group's limit"),
        _ => Fact::new(available, "/proc/meminfo"),
    })
}

fn parse_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// As Rust names it. A fixture says it in `ARCH`.
pub(crate) fn arch(env: &Env) -> String {
    let stated = env.var("ARCH").filter(|_| env.is_fixture());
    stated.unwrap_or(std::env::consts::ARCH).to_owned()
}

/// Processors that may be used. A fixture says it in `NUMBER_OF_PROCESSORS`.
pub(crate) fn cpus(env: &Env) -> usize {
    if env.is_fixture() {
        return env.var("NUMBER_OF_PROCESSORS").and_then(|text| text.parse().ok()).unwrap_or(1);
    }
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Free space where the repository and the cache lie; a fixture's disk is not the machine's.
pub(crate) fn disks(env: &Env, repo: &Path, cache: Option<&Path>) -> Vec<Disk> {
    if env.is_fixture() {
        return Vec::new();
    }
    disk("repository", repo).into_iter().chain(cache.and_then(|cache| disk("cache", cache))).collect()
}

/// Free space where `path` lies or will lie.
fn disk(holds: &str, path: &Path) -> Option<Disk> {
    let existing = path.ancestors().find(|folder| folder.is_dir())?;
    let free = fs4::available_space(existing).ok()?;
    Some(Disk { holds: holds.into(), path: path.to_owned(), free })
}

/// `$SPLATWRIGHT_HOME`, or the platform's cache folder + `splatwright`.
pub(crate) fn cache_root(env: &Env) -> Option<Fact<PathBuf>> {
    let absolute = |name: &str| env.var(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(home) = absolute("SPLATWRIGHT_HOME") {
        return Some(Fact::new(home, "SPLATWRIGHT_HOME"));
    }
    let (folder, source) = match env.os {
        Os::Windows => (absolute("LOCALAPPDATA"), "LOCALAPPDATA"),
        Os::Macos => (absolute("HOME").map(|home| home.join("Library/Caches")), "HOME"),
        // As the XDG specification says: a relative XDG_CACHE_HOME does not count.
        Os::Linux => match absolute("XDG_CACHE_HOME") {
            Some(cache) => (Some(cache), "XDG_CACHE_HOME"),
            None => (absolute("HOME").map(|home| home.join(".cache")), "HOME"),
        },
    };
    Some(Fact::new(folder?.join("splatwright"), source))
}

/// Folders of the cache's bucket that bear an item's name, whole or not.
pub(crate) fn managed(cache_root: &Path) -> Vec<ManagedState> {
    let entries = fs_err::read_dir(cache_root.join(BUCKET)).into_iter().flatten().flatten();
    let mut found: Vec<ManagedState> = entries
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let items = ITEMS.iter().chain([&crate::managed::INRIA, &crate::managed::GLM]);
            // `torch-2.1` would also begin `torch-2.11`: the dash after the name decides.
            let item = *items.into_iter().find(|item| name.starts_with(&format!("{}-", item.name)))?;
            let dir = entry.path();
            let lacks = item.lacks(&dir).into_iter().map(str::to_owned).collect();
            dir.is_dir().then_some(ManagedState { item, dir, lacks })
        })
        .collect();
    found.sort_by(|a, b| a.dir.cmp(&b.dir));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(vars: &[(&str, &str)], root: &Path, os: Os) -> Env {
        Env::new(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())), root, os)
    }

    #[test]
    fn the_control_group_counts_when_it_is_tighter() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = root.path().join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        let env = env(&[], root.path(), Os::Linux);
        write("proc/meminfo", "MemTotal: 99 kB\nMemAvailable:   8000000 kB\n");
        assert_eq!(memory(&env).unwrap().value, 8_192_000_000);
        write("sys/fs/cgroup/memory.max", "max\n");
        assert_eq!(memory(&env).unwrap().source, "/proc/meminfo");
        write("sys/fs/cgroup/memory.max", "4000000000\n");
        write("sys/fs/cgroup/memory.current", "1000000000\n");
        assert_eq!(memory(&env).unwrap().value, 3_000_000_000);
    }

    // `/h` is no absolute path of Windows.
    #[cfg(unix)]
    #[test]
    fn the_cache_lies_where_the_platform_says() {
        let root = Path::new("/");
        let at = |vars: &[(&str, &str)]| cache_root(&env(vars, root, Os::Linux)).map(|fact| fact.value);
        assert_eq!(at(&[("HOME", "/h")]), Some("/h/.cache/splatwright".into()));
        assert_eq!(at(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), Some("/x/splatwright".into()));
        assert_eq!(at(&[("HOME", "/h"), ("SPLATWRIGHT_HOME", "/s")]), Some("/s".into()));
        assert_eq!(at(&[]), None);
    }

    #[test]
    fn half_an_installation_is_listed_with_what_it_lacks() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(root.path().join("v1/tools-cp311-0123456789ab/bin")).unwrap();
        fs_err::create_dir_all(root.path().join("v1/something-else")).unwrap();
        let found = managed(root.path());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].item.name, "tools");
        assert_eq!(found[0].lacks.len(), 3);
    }
}
