//! `--offline`: everything missing is named at once, and the printed way out works as printed.

use std::process::Command;

use fs_err as fs;

use crate::fixture::{Fixture, Order};

#[test]
fn offline_names_all_that_is_missing_and_the_printed_commands_bring_it() {
    let fixture = Fixture::new();
    fixture.write_requirements("# download: 94 MB\n# installed: 200 MB\n");
    let order = Order { offline: true, tools: true, ..fixture.original() };
    let start_offline = || fixture.start_with(&order, |_| {}).end();
    let ended = start_offline().failed_saying(&[
        "lacks 2 things",
        "tools: 94.0 MB to download, 200 MB on disk",
        "inria-2.11.0: ",
        "python3 -m pip download --require-hashes --no-deps",
        "-r vendor/requirements/tools.txt -d DIR",
        "unearth --no-binary --download DIR 'tiny-splatting==1.0'",
    ]);
    assert!(ended.line("hint: ").contains("PIP_NO_INDEX=1 PIP_FIND_LINKS=/path/to/DIR cargo xtask build"));
    assert!(!ended.says("say: bringing"));

    // The connected machine: here its index is the folder of wheels.
    let carried = fixture.dir.path().join("carried");
    let download = ended.lines.iter().find(|line| line.contains("pip download")).unwrap();
    let downloaded = Command::new("sh")
        .args(["-c", &download.replace("DIR", carried.to_str().unwrap())])
        .current_dir(&fixture.repo)
        .env("PIP_NO_INDEX", "1")
        .env("PIP_FIND_LINKS", &fixture.wheels)
        .status()
        .unwrap();
    assert!(downloaded.success(), "{download}");
    fs::copy(fixture.archive(), carried.join("tiny_splatting-1.0.tar.gz")).unwrap();

    for offline in [false, true] {
        let fresh = Fixture { home: fixture.dir.path().join(format!("home-{offline}")), ..Fixture::new() };
        let order = Order { offline, home: fresh.home.clone(), ..order.clone() };
        let built = fixture
            .start_with(&order, |command| {
                command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", &carried);
            })
            .end()
            .succeeded();
        assert!(built.says("path: "), "{}", built.text());
    }
    fixture.run(&Order { offline: false, ..order.clone() }).succeeded();
    start_offline().succeeded();
}

#[test]
fn offline_needs_no_tools_when_the_archive_is_there() {
    let fixture = Fixture::new();
    fixture.keep_archive();
    let ended = fixture.start_with(&Order { offline: true, ..fixture.original() }, |_| {}).end().succeeded();
    assert!(!ended.says("say: bringing tools"), "{}", ended.text());
}
