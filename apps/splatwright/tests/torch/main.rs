//! `cargo xtask torch` on tiny wheels that bear the real names: real pip, a real virtual environment, and a server on
//! this machine that cuts connections. No package index is used.
#![cfg(unix)]

mod extension;
mod fixture;
mod server;

use fixture::Place;
use server::Server;

#[test]
fn a_plan_names_files_sizes_and_hashes() {
    let place = Place::new();
    place.wheel("torch", "2.7.1", "py3-none-any", "", &["nvidia_runtime"]);
    place.wheel("torchvision", "0.22.1", "py3-none-any", "", &["torch==2.7.1"]);
    place.wheel("torchvision", "0.23.0", "py3-none-any", "", &["torch==2.8.0"]);
    place.wheel("torchaudio", "2.7.1", "py3-none-any", "", &["torch==2.7.1"]);
    place.wheel("nvidia_runtime", "12.6", "py3-none-any", "", &[]);
    let out = place.folder_only(&["torch", "plan", "--json"]).succeeded();
    let plan: serde_json::Value = serde_json::from_str(&out.stdout).unwrap();
    let wheels = plan["wheels"].as_array().unwrap();
    let files: Vec<&str> = wheels.iter().map(|wheel| wheel["file"].as_str().unwrap()).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    assert!(
        files.contains(&"torchvision-0.22.1-py3-none-any.whl"),
        "the one that belongs to torch: {files:?}"
    );
    for wheel in wheels {
        let path = place.wheels().join(wheel["file"].as_str().unwrap());
        assert_eq!(wheel["size"].as_u64(), Some(fs_err::metadata(&path).unwrap().len()));
        assert_eq!(wheel["sha256"].as_str().unwrap(), fixture::sha256(&path));
    }
    let urls = place.folder_only(&["torch", "plan", "--urls", "aria2"]).succeeded().stdout;
    assert!(urls.contains("\n  out=torch-2.7.1-py3-none-any.whl\n  checksum=sha-256="), "{urls}");
    let plain = place.folder_only(&["torch", "plan", "--alone", "--urls"]).succeeded().stdout;
    assert_eq!(plain.lines().count(), 2, "{plain}");
}

#[test]
fn companions_that_declare_no_torch_are_those_of_its_release() {
    let place = Place::new();
    place.wheel("torch", "2.4.0", "py3-none-any", "", &[]);
    place.wheel("torch", "2.11.0", "py3-none-any", "", &[]);
    for version in ["0.19.0", "0.26.0"] {
        place.wheel("torchvision", version, "py3-none-any", "", &[]);
    }
    for version in ["2.4.0", "2.11.0"] {
        place.wheel("torchaudio", version, "py3-none-any", "", &[]);
    }
    let chosen = |arguments: &[&str]| {
        let said = place.folder_only(&[&["torch", "plan", "--json"], arguments].concat()).succeeded();
        let plan: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        let pair = |w: &serde_json::Value| {
            format!("{} {}", w["name"].as_str().unwrap(), w["version"].as_str().unwrap())
        };
        let mut wheels: Vec<String> = plan["wheels"].as_array().unwrap().iter().map(pair).collect();
        wheels.sort();
        wheels
    };
    assert_eq!(chosen(&["--torch", "2.4.0"]), ["torch 2.4.0", "torchaudio 2.4.0", "torchvision 0.19.0"]);
    assert_eq!(chosen(&[]), ["torch 2.11.0", "torchaudio 2.11.0", "torchvision 0.26.0"]);
    // Where there is none of that release it is left out with a word; asked for by name, it is an error.
    place.wheel("torch", "2.7.1", "py3-none-any", "", &[]);
    assert_eq!(chosen(&["--torch", "2.7.1"]), ["torch 2.7.1"]);
    place.folder_only(&["torch", "plan", "--torch", "2.7.1", "--with", "torchaudio"]).failed_saying(&[
        "torchaudio 2.7",
        "torch 2.7.1",
        "2.4.0",
    ]);
}

#[test]
fn companions_must_import_too_or_nothing_changes() {
    let place = Place::new();
    place.wheel("torch", "2.4.0", "py3-none-any", "", &[]);
    place.wheel(
        "torchaudio",
        "2.4.0",
        "py3-none-any",
        "import torch; assert torch.__version__ == '2.4.0', 'libcudart.so.12'",
        &[],
    );
    let said = place.install_folder().succeeded();
    assert!(said.stdout.contains("torch 2.4.0, torchaudio 2.4.0"), "{}", said.stdout);
    let before = place.state();
    // Another torch alone would leave an audio package that no longer imports.
    place.clear();
    place.wheel("torch", "2.11.0", "py3-none-any", "", &[]);
    place.install_folder().failed_saying(&[
        "torchaudio does not import",
        "libcudart.so.12",
        "old packages are back",
    ]);
    assert_eq!(place.state(), before);
    place.wheel(
        "torchaudio",
        "2.11.0",
        "py3-none-any",
        "raise ImportError('libcudart.so.13: cannot open')",
        &[],
    );
    place.install_folder().failed_saying(&["torchaudio does not import", "libcudart.so.13"]);
    assert_eq!(place.state(), before);
}

#[test]
fn an_index_that_does_not_answer_is_named_with_the_one_that_has_the_wheels() {
    let place = Place::new();
    // A port that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    place
        .indexed(
            &format!("http://127.0.0.1:{port}/simple"),
            &["torch", "plan", "--torch", "2.4.0", "--cuda", "12.4"],
        )
        .failed_saying(&[&format!("127.0.0.1:{port} could not be reached"), "proxy", "/whl/cu124"]);
}

#[test]
fn a_plan_for_a_machine_that_is_not_here() {
    let place = Place::new();
    place.wheel(
        "torch",
        "2.7.1",
        "cp312-cp312-win_amd64",
        "",
        &["nvidia_runtime; platform_system == 'Linux'", "colorama; sys_platform == 'win32'"],
    );
    place.wheel(
        "torch",
        "2.7.1",
        "cp312-cp312-manylinux_2_28_x86_64",
        "",
        &["nvidia_runtime; platform_system == 'Linux'", "colorama; sys_platform == 'win32'"],
    );
    place.wheel("nvidia_runtime", "12.6", "py3-none-any", "", &[]);
    place.wheel("colorama", "0.4", "py3-none-any", "", &[]);
    let links = place.wheels().display().to_string();
    let files = |platform: &str| {
        let said = place.splatwright(
            &[
                "torch",
                "plan",
                "--platform",
                platform,
                "--python-version",
                "3.12",
                "--alone",
                "--urls",
                "aria2",
            ],
            &[("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", &links)],
        );
        said.succeeded().stdout
    };
    let windows = files("win_amd64");
    assert!(windows.contains("out=torch-2.7.1-cp312-cp312-win_amd64.whl"), "{windows}");
    assert!(windows.contains("colorama") && !windows.contains("nvidia_runtime"), "{windows}");
    let linux = files("linux_x86_64");
    assert!(linux.contains("out=torch-2.7.1-cp312-cp312-manylinux_2_28_x86_64.whl"), "{linux}");
    assert!(!linux.contains("colorama") && linux.contains("nvidia_runtime"), "{linux}");
}

#[test]
fn packages_are_installed_and_replaced_whole() {
    let place = Place::new();
    place.wheel("torch", "1.0", "py3-none-any", "old = True", &[]);
    place.install_folder().succeeded();
    assert_eq!(place.python("import torch; print(torch.__version__, hasattr(torch, 'old'))"), "1.0 True");
    place.clear();
    place.wheel("torch", "2.0", "py3-none-any", "", &["nvidia_runtime"]);
    place.wheel("nvidia_runtime", "12.6", "py3-none-any", "", &[]);
    let said = place.install_folder().succeeded();
    assert!(said.stdout.contains("these import: torch 2.0;"), "{}", said.stdout);
    assert_eq!(
        place.python("import torch, nvidia_runtime; print(torch.__version__, hasattr(torch, 'old'))"),
        "2.0 False"
    );
    assert!(!place.site().join("torch-1.0.dist-info").exists());
    assert!(place.install_folder().succeeded().stdout.contains("nothing was changed"));
}

#[test]
fn wheels_for_another_python_or_system_are_refused_with_both_tags() {
    let place = Place::new();
    place.wheel("torch", "2.0", "cp36-cp36m-win_amd64", "", &[]);
    let before = place.state();
    place.install_folder().failed_saying(&["torch-2.0-cp36-cp36m-win_amd64.whl", "cp36", &place.tag()]);
    place.clear();
    place.wheel("torch", "2.0", "py3-none-win_amd64", "", &[]);
    place.install_folder().failed_saying(&["win_amd64", "linux_x86_64"]);
    assert_eq!(place.state(), before);
}

#[test]
fn an_altered_wheel_is_refused_with_both_hashes() {
    let place = Place::new();
    place.wheel("torch", "2.0", "py3-none-any", "", &[]);
    let wheels = place.wheels().display().to_string();
    place.folder_only(&["torch", "plan", "--alone", "--save", &wheels]).succeeded();
    let path = place.wheels().join("torch-2.0-py3-none-any.whl");
    let good = fixture::sha256(&path);
    let mut bytes = fs_err::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&path, &bytes).unwrap();
    let before = place.state();
    place.install_folder().failed_saying(&["sha256", &good, &fixture::sha256(&path)]);
    // Without the saved hashes the archive's own checksum tells.
    fs_err::remove_file(place.wheels().join("splatwright-torch.json")).unwrap();
    place.install_folder().failed_saying(&["is damaged"]);
    assert_eq!(place.state(), before);
}

#[test]
fn what_is_missing_is_named_and_nothing_changes() {
    let place = Place::new();
    place.wheel("torch", "1.0", "py3-none-any", "", &[]);
    place.install_folder().succeeded();
    place.clear();
    place.wheel("torch", "2.0", "py3-none-any", "", &["nvidia_runtime"]);
    let before = place.state();
    place.install_folder().failed_saying(&["nvidia_runtime"]);
    fs_err::write(place.wheels().join("x.whl.part"), "").unwrap();
    place.install_folder().failed_saying(&["unfinished download"]);
    assert_eq!(place.state(), before);
}

#[test]
fn a_torch_that_does_not_import_is_taken_back() {
    let place = Place::new();
    place.wheel("torch", "1.0", "py3-none-any", "", &[]);
    place.install_folder().succeeded();
    place.clear();
    place.wheel("torch", "2.0", "py3-none-any", "raise ImportError('libcudart.so.12: cannot open')", &[]);
    let before = place.state();
    place.install_folder().failed_saying(&["old packages are back", "libcudart.so.12"]);
    assert_eq!(place.state(), before);
    assert_eq!(place.python("import torch; print(torch.__version__)"), "1.0");
}

#[test]
fn a_download_that_is_cut_goes_on_where_it_ended() {
    let place = Place::new();
    place.wheel("torch", "2.0", "py3-none-any", "", &[]);
    let server = Server::start(&place.wheels(), 60_000);
    place.indexed(&server.index(), &["torch", "install", "--alone"]).succeeded();
    assert_eq!(place.python("import torch; print(torch.__version__)"), "2.0");
    let starts = server.ranges();
    assert!(starts.len() >= 3, "200 kB in pieces of 60 kB: {starts:?}");
    assert!(starts.windows(2).all(|pair| pair[0] < pair[1]), "each goes on after the last: {starts:?}");
}

#[test]
fn a_download_that_gets_nowhere_keeps_what_it_has() {
    let place = Place::new();
    place.wheel("torch", "2.0", "py3-none-any", "", &[]);
    let server = Server::start(&place.wheels(), 60_000);
    server.stop_after(2);
    let before = place.state();
    place.indexed(&server.index(), &["torch", "install", "--alone"]).failed_saying(&["are kept"]);
    assert_eq!(place.state(), before);
    server.stop_after(usize::MAX);
    let said = place.indexed(&server.index(), &["torch", "install", "--alone"]).succeeded();
    assert!(said.stderr.contains("going on at"), "{}", said.stderr);
}

#[test]
fn a_system_python_is_left_alone() {
    let place = Place::new();
    place.wheel("torch", "2.0", "py3-none-any", "", &[]);
    let base = place.python("import sys; print(sys._base_executable)");
    let wheels = place.wheels().display().to_string();
    place
        .splatwright(&["torch", "install", "--python", &base, "--from", &wheels], &[])
        .failed_saying(&["is left alone", "-m venv"]);
}
