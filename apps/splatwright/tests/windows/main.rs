//! The Windows side, run as Windows programs (in CI under wine): Visual Studio 2022 and 2026 found by a stand-in
//! vswhere and entered through real batch files, toolkits with a stand-in nvcc.exe and with the real one, shells.
//! `SPLATWRIGHT_SAYS` names the stand-in program, `SPLATWRIGHT_NVCC` the folder of the real toolkit.
#![cfg(windows)]

mod place;

use std::process::Command;

use place::Place;
use splat_toolchain::{
    Env, Repo, Request,
    env::Os,
    ext::{self, ExtRequest},
    machine::CompilerKind,
    probe, windows_env,
};
use splatwright::windows::build_environment;

/// The founding machine: torch 2.4.0+cu124, toolkits 13.1 and 12.6, and a Visual Studio that 13.1 does not take.
#[test]
fn toolsets_of_two_visual_studios_are_found_and_ranked_by_the_toolkit() {
    let Some(place) = Place::new("two") else { return };
    let machine = place.machine();
    let msvc: Vec<String> = machine
        .host_compilers
        .iter()
        .filter(|compiler| compiler.kind == CompilerKind::Msvc && compiler.msvc.is_some())
        .map(|compiler| compiler.version.to_string())
        .collect();
    assert_eq!(msvc, ["19.50.35717", "19.42.34433", "19.38.33130"]);
    let torch = machine.torches.iter().find(|torch| torch.explicit).unwrap();
    let plan = ext::plan(
        &machine,
        torch,
        &ExtRequest { archs: Some(vec![86]), ..ExtRequest::default() },
        &Repo::default(),
    );
    assert_eq!(plan.cuda.version().unwrap().to_string(), "12.6.77", "{:?}", plan.findings);
    let compiler = plan.compiler.as_ref().unwrap();
    assert_eq!(compiler.version.to_string(), "19.42.34433", "12.6 takes no 19.50: {:?}", plan.choices);
    assert_eq!(plan.blockers().count(), 0, "{:?}", plan.findings);
}

#[test]
fn the_chosen_toolsets_prompt_is_entered_and_read() {
    let Some(place) = Place::new("prompt 王") else { return };
    let machine = place.machine();
    for version in ["19.42.34433", "19.38.33130", "19.50.35717"] {
        let compiler = machine.host_compilers.iter().find(|c| c.version.to_string() == version).unwrap();
        let env = build_environment(Some(compiler)).unwrap();
        let toolset = version.replacen("19", "14", 1);
        assert!(env["INCLUDE"].ends_with(&format!(r"MSVC\{toolset}\include")), "{}", env["INCLUDE"]);
        assert!(env["INCLUDE"].contains('王'), "the code page keeps every letter: {}", env["INCLUDE"]);
        assert!(env["PATH"].contains(&format!(r"MSVC\{toolset}\bin\Hostx64\x64;")), "{}", env["PATH"]);
        assert_eq!(env["VSCMD_ARG_TGT_ARCH"], "x64");
        assert_eq!(env["VSLANG"], "1033");
        // And a child that gets it finds that cl, by PATH alone.
        let mut cl = Command::new("cmd");
        let said = cl.args(["/d", "/c", "cl"]).envs(&env).output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains(version), "{said}");
    }
}

#[test]
fn a_toolset_that_is_gone_is_an_error_with_its_number() {
    let Some(place) = Place::new("gone") else { return };
    let machine = place.machine();
    let mut compiler = machine.host_compilers.iter().find(|c| c.msvc.is_some()).unwrap().clone();
    if let Some(msvc) = &mut compiler.msvc {
        msvc.toolset = "14.29.30133".parse().unwrap();
    }
    let error = build_environment(Some(&compiler)).unwrap_err();
    assert!(error.to_string().contains("E27") && error.to_string().contains("14.29.30133"), "{error:#}");
    if let Some(msvc) = &mut compiler.msvc {
        msvc.vcvars = None;
    }
    assert!(build_environment(Some(&compiler)).unwrap_err().to_string().contains("E30"));
}

#[test]
fn the_real_nvcc_says_its_version_its_architectures_and_its_ceiling() {
    let Some(place) = Place::new("real") else { return };
    let Ok(root) = std::env::var("SPLATWRIGHT_NVCC") else {
        println!("skipped: SPLATWRIGHT_NVCC names no toolkit");
        return;
    };
    let mut vars = place.vars();
    vars.push(("CUDA_HOME".into(), root.clone()));
    let machine = probe(&Env::new(vars, "/", Os::Windows), &Repo::default(), &Request::default());
    let toolkit =
        machine.toolkits.iter().find(|toolkit| toolkit.root == std::path::Path::new(&root)).unwrap();
    assert_eq!(toolkit.version.as_ref().unwrap().value.to_string(), "13.0.88");
    assert!(
        toolkit.gpu_codes.starts_with(&[75, 80]) && toolkit.gpu_codes.contains(&121),
        "{:?}",
        toolkit.gpu_codes
    );
    assert_eq!(toolkit.ceiling.msvc, Some((1920, 1950)));
    assert!(toolkit.lacks().is_empty(), "{:?}", toolkit.lacks());
    assert!(toolkit.dll_folders.iter().any(|folder| folder.ends_with("x86_64")), "{:?}", toolkit.dll_folders);
    // Of the three toolsets it takes those of 2022.
    let compilers = machine.host_compilers.iter().filter(|compiler| ext::admits(&toolkit.ceiling, compiler));
    let taken: Vec<String> = compilers.map(|compiler| compiler.version.to_string()).collect();
    assert_eq!(taken, ["19.42.34433", "19.38.33130"]);
}

#[test]
fn the_program_plans_an_extension_and_tells_why() {
    let Some(place) = Place::new("plan") else { return };
    let venv = place.at("venv").display().to_string();
    fs_err::create_dir_all(place.at("source")).unwrap();
    fs_err::write(place.at("source/setup.py"), "from setuptools import setup\nsetup()\n").unwrap();
    let source = place.at("source").display().to_string();
    let said = place.splatwright(&[
        "ext",
        "build",
        &source,
        "--python",
        &venv,
        "--arch",
        "86",
        "--dry-run",
        "--json",
    ]);
    let plan: serde_json::Value =
        serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}{}", said.stdout, said.stderr));
    assert!(said.ok, "{}{}", said.stdout, said.stderr);
    assert_eq!(plan["cuda"]["installed"]["version"], "12.6.77", "{plan:#}");
    assert_eq!(plan["compiler"]["version"], "19.42.34433");
    let rejected = plan["choices"].to_string();
    assert!(rejected.contains("it is CUDA 13.1, and torch was built with 12.4"), "{rejected}");
}

#[test]
fn the_doctor_lists_compilers_toolkits_and_switch_puts_one_in_force() {
    let Some(place) = Place::new("doctor") else { return };
    let said = place.splatwright(&["doctor"]);
    for part in ["windows x86_64", "19.50.35717", "19.38.33130", "12.6.77", "13.1.80", "2.4.0+cu124"] {
        assert!(said.stdout.contains(part), "`{part}` is not in:\n{}{}", said.stdout, said.stderr);
    }
    let said = place.splatwright(&["switch", "cuda", "12.6"]);
    assert!(said.ok && said.stdout.contains("release 12.6, V12.6.77"), "{}{}", said.stdout, said.stderr);
    let file = fs_err::read_to_string(place.at("repo/.cargo/toolchain.toml")).unwrap();
    assert!(file.contains("cuda = \"12.6\""), "{file}");
}

#[test]
fn an_open_prompt_is_switched_by_one_word() {
    let Some(place) = Place::new("shell (x86) & co") else { return };
    let folder = place.at("shell").display().to_string();
    let said = place.splatwright(&["switch", "--install-shell", "cmd", "--into", &folder]);
    assert!(said.ok, "{}", said.stderr);
    let order = format!(
        "@echo off\r\ncall \"{folder}\\splat-cuda.bat\" 12.6\r\necho \"HOME=%CUDA_HOME%\"\r\nnvcc --version\r\n\
         call \"{folder}\\splat-cuda.bat\" 9.9\r\necho REFUSED=%ERRORLEVEL%\r\necho \"STILL=%CUDA_HOME%\"\r\n"
    );
    place.file("repo/order.bat", &order);
    let said = place.run(Command::new("cmd").args(["/d", "/c", "order.bat"]));
    let home = place.at("cuda-12.6").display().to_string();
    assert!(said.stdout.contains(&format!("HOME={home}")), "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("release 12.6"), "{}", said.stdout);
    assert!(
        said.stdout.contains("REFUSED=1") && said.stdout.contains(&format!("STILL={home}")),
        "{}",
        said.stdout
    );
}

#[test]
fn switch_tells_the_folder_of_dlls_that_cuda_13_moved() {
    let Some(place) = Place::new("dlls") else { return };
    let said = place.splatwright(&["switch", "cuda", "13.1"]);
    assert!(said.stdout.contains(r"cuda-13.1\bin\x64"), "{}{}", said.stdout, said.stderr);
    let said = place.splatwright(&["switch", "cuda", "12.6", "--print-env", "powershell"]);
    assert!(said.stdout.contains("$env:CUDA_HOME = '"), "{}{}", said.stdout, said.stderr);
    assert!(!said.stdout.contains(r"cuda-13.1\bin"), "the other toolkit leaves PATH: {}", said.stdout);
}

#[test]
fn long_and_foreign_paths_are_read_and_written() {
    let Some(place) = Place::new("lang") else { return };
    let mut inner = String::from("深い");
    for _ in 0..6 {
        inner += "/a folder with a rather long name of its own, 0123456789";
    }
    let path = place.file(&format!("{inner}/kernel.cu"), "float x = FLT_MAX;");
    assert!(path.as_os_str().len() > 260, "{}", path.as_os_str().len());
    assert!(fs_err::read_to_string(&path).unwrap().contains("FLT_MAX"));
    assert!(!windows_env::fits(&path, "kernel.cu").1);
}
