//! `cargo xtask torch` on tiny wheels that bear the real names: real pip, a real virtual environment, and a server on
//! this machine that cuts connections. No package index is used.
#![cfg(unix)]

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
fn packages_are_installed_and_replaced_whole() {
    let place = Place::new();
    place.wheel("torch", "1.0", "py3-none-any", "old = True", &[]);
    place.install_folder().succeeded();
    assert_eq!(place.python("import torch; print(torch.__version__, hasattr(torch, 'old'))"), "1.0 True");
    place.clear();
    place.wheel("torch", "2.0", "py3-none-any", "", &["nvidia_runtime"]);
    place.wheel("nvidia_runtime", "12.6", "py3-none-any", "", &[]);
    let said = place.install_folder().succeeded();
    assert!(said.stdout.contains("torch 2.0 imports"), "{}", said.stdout);
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
