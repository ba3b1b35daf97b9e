//! Installing packages: two builds at once, interruption at every step, damage, altered downloads.

use std::{
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};

use fs_err as fs;
use splat_toolchain::managed::TOOLS;

use crate::fixture::{Fixture, Order, python, sha256};

#[test]
fn of_two_builds_at_once_one_installs_and_the_other_waits_and_says_for_whom() {
    let fixture = Fixture::new();
    let slow = Order { pause: Some(("Prepared".into(), 3000)), ..fixture.tools() };
    let mut first = fixture.start(&slow);
    first.until("step: Prepared");
    let second = fixture.start(&fixture.tools());
    let pid = first.pid();
    let first = first.end().succeeded();
    let second = second.end().succeeded();
    let waiting = second.line("say: waiting for another build: ");
    assert!(waiting.contains(&format!("process {pid} ")), "{waiting}");
    assert!(waiting.contains("(bringing tools)"), "{waiting}");
    assert!(!second.says("say: bringing"), "the work was done already: {}", second.text());
    assert_eq!(first.line("tools: "), second.line("tools: "));
}

#[test]
fn kill_9_at_any_step_leaves_what_the_next_run_repairs() {
    for step in ["Prepared", "Filled", "Stamped", "Placed"] {
        let fixture = Fixture::new();
        let mut build = fixture.start(&Order { pause: Some((step.into(), 600_000)), ..fixture.tools() });
        build.until(&format!("step: {step}"));
        build.kill();
        let placed = fixture.placed();
        assert_eq!(placed.len(), usize::from(step == "Placed"), "killed at {step}");
        let next = fixture.run(&fixture.tools()).succeeded();
        assert_eq!(fixture.placed().len(), 1, "killed at {step}: {}", next.text());
        if step != "Placed" {
            assert!(fixture.left_over().is_empty(), "killed at {step}: {}", next.text());
        }
    }
}

#[test]
fn kill_9_between_the_removal_of_a_damaged_folder_and_its_replacement_is_repaired() {
    let fixture = Fixture::new();
    let first = fixture.run(&fixture.tools()).succeeded();
    let tools = Path::new(first.line("tools: "));
    fs::remove_file(tools.join("cmake/data/bin/cmake")).unwrap();
    let mut build = fixture.start(&Order { pause: Some(("Displaced".into(), 600_000)), ..fixture.tools() });
    build.until("step: Displaced");
    build.kill();
    assert!(!tools.exists());
    fixture.run(&fixture.tools()).succeeded();
    assert!(tools.join("cmake/data/bin/cmake").exists() && fixture.left_over().is_empty());
}

/// An index that accepts and never answers keeps pip busy; the build is killed under it.
#[cfg(target_os = "linux")]
#[test]
fn kill_9_while_pip_runs_ends_pip_too_and_the_next_run_installs() {
    let fixture = Fixture::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let build = fixture.start_with(&fixture.tools(), |command| {
        command.env("PIP_INDEX_URL", format!("http://{}/simple", silent.local_addr().unwrap()));
    });
    let connection = silent.accept().unwrap();
    let tmp = fixture.left_over();
    assert_eq!(tmp.len(), 1);
    assert!(!processes_naming(&tmp[0]).is_empty(), "pip is running");
    build.kill();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !processes_naming(&tmp[0]).is_empty() {
        assert!(Instant::now() < deadline, "pip lives on without its build");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(connection);
    let next = fixture.run(&fixture.tools()).succeeded();
    assert!(next.says("left by an interrupted run"), "{}", next.text());
    assert!(fixture.left_over().is_empty());
}

/// Processes with `path` in their command line.
#[cfg(target_os = "linux")]
fn processes_naming(path: &Path) -> Vec<String> {
    let needle = path.to_str().unwrap();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("cmdline")).ok())
        .filter(|command| command.contains(needle))
        .collect()
}

#[test]
fn a_damaged_installation_is_seen_and_repaired() {
    let fixture = Fixture::with_ballast(2 << 20);
    let first = fixture.run(&fixture.tools()).succeeded();
    let tools = Path::new(first.line("tools: "));
    let damages: [(&str, &dyn Fn()); 3] = [
        ("`unearth/__init__.py` is gone", &|| fs::remove_file(tools.join("unearth/__init__.py")).unwrap()),
        ("`cmake/ballast` has 5 bytes, and 2097152 were installed", &|| {
            fs::write(tools.join("cmake/ballast"), "short").unwrap();
        }),
        ("its stamp cannot be read", &|| fs::remove_file(tools.join(".splatwright.json")).unwrap()),
    ];
    for (why, damage) in damages {
        damage();
        let repaired = fixture.run(&fixture.tools()).succeeded();
        assert!(
            repaired.says("is damaged and is brought again") && repaired.says(why),
            "{}",
            repaired.text()
        );
        assert_eq!(fs::metadata(tools.join("cmake/ballast")).unwrap().len(), 2 << 20);
        assert!(tools.join("unearth/__init__.py").exists() && fixture.left_over().is_empty());
    }
}

#[test]
fn an_altered_or_truncated_wheel_is_refused_with_both_hashes_and_leaves_nothing() {
    let fixture = Fixture::new();
    let good = fs::read(fixture.wheel()).unwrap();
    let expected = sha256(&fixture.wheel());
    let mut altered = good.clone();
    altered[100] ^= 1;
    for bad in [&altered[..], &good[..good.len() / 2], &[]] {
        fs::write(fixture.wheel(), bad).unwrap();
        let got = sha256(&fixture.wheel());
        let ended = fixture.run(&fixture.tools()).failed_saying(&["is not what is pinned", &expected, &got]);
        assert!(ended.line("hint: ").contains("pip cache purge"), "{}", ended.text());
        assert!(fixture.placed().is_empty() && fixture.left_over().is_empty());
    }
    fs::write(fixture.wheel(), good).unwrap();
    fixture.run(&fixture.tools()).succeeded();
}

#[test]
fn what_no_source_offers_is_named() {
    let fixture = Fixture::new();
    fs::remove_file(fixture.wheel()).unwrap();
    let ended = fixture
        .run(&fixture.tools())
        .failed_saying(&["no package source that pip reached offers tiny-tools==1.0"]);
    assert!(ended.line("hint: ").contains("pip config list"), "{}", ended.text());
    assert!(fixture.left_over().is_empty());
}

#[test]
fn an_index_that_cannot_be_reached_is_said_to_be_so() {
    let fixture = Fixture::new();
    // A port that was free a moment ago refuses connections.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = fixture
        .start_with(&fixture.tools(), |command| {
            command.env("PIP_INDEX_URL", format!("http://{address}/simple")).env("PIP_RETRIES", "1");
        })
        .end()
        .failed_saying(&["the package index could not be reached"]);
    assert!(ended.line("hint: ").contains("PIP_NO_INDEX=1 PIP_FIND_LINKS=DIR"), "{}", ended.text());
}

#[test]
fn users_settings_of_where_to_install_do_not_count() {
    let fixture = Fixture::new();
    let elsewhere = fixture.dir.path().join("elsewhere");
    let constraints = fixture.dir.path().join("constraints.txt");
    fs::write(&constraints, "tiny-tools==0.9\n").unwrap();
    fixture
        .start_with(&fixture.tools(), |command| {
            command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", &fixture.wheels);
            command.env("PIP_TARGET", &elsewhere).env("PIP_USER", "1").env("PIP_REQUIRE_VIRTUALENV", "1");
            command.env("PIP_CONSTRAINT", &constraints).env("PIP_NO_BINARY", ":all:").env("PIP_DRY_RUN", "1");
        })
        .end()
        .succeeded();
    assert!(!elsewhere.exists());
}

#[cfg(unix)]
#[test]
fn a_python_without_pip_is_told_apart() {
    use std::os::unix::fs::PermissionsExt;

    let fixture = Fixture::new();
    let script = fixture.dir.path().join("python-without-pip");
    fs::write(&script, "#!/bin/sh\necho \"$0: No module named pip\" >&2\nexit 1\n").unwrap();
    fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let ended = fixture.run(&Order { python: script, ..fixture.tools() }).failed_saying(&["has no pip"]);
    assert!(ended.line("hint: ").contains("ensurepip"), "{}", ended.text());
}

#[test]
fn a_python_without_wheels_takes_those_of_the_nearest_and_says_what_they_are_good_for() {
    let fixture = Fixture::new();
    fixture.write_requirements("# python: 3.90-3.95\n");
    let ended = fixture.run(&fixture.tools()).succeeded();
    assert!(ended.says("wheels of Python 3.90"), "{}", ended.text());
    let stamp = Path::new(ended.line("tools: ")).join(".splatwright.json");
    assert!(fs::read_to_string(stamp).unwrap().contains("\"3.90\""));
}

#[test]
fn another_pin_is_another_folder_and_another_comment_is_not() {
    let fixture = Fixture::new();
    let folder = || fixture.run(&fixture.tools()).succeeded().line("tools: ").to_owned();
    let first = folder();
    fixture.write_requirements("# a comment more\n");
    assert_eq!(first, folder());
    // A second hash for the same file: pip takes either, but the pin is another.
    let pins = fixture.repo.join(TOOLS.requirements);
    let text = fs::read_to_string(&pins).unwrap();
    fs::write(&pins, format!("{} --hash=sha256:{}\n", text.trim_end(), "0".repeat(64))).unwrap();
    assert_ne!(first, folder());
    assert_eq!(fixture.placed().len(), 2, "{:?} of {}", fixture.placed(), python().display());
}
