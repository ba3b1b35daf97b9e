//! Real toolkits, real compilers: what the probe reads from a toolkit's header is what its nvcc does. Every compiler
//! that is admitted compiles the original's kernels, and one made one version too new (`-D__GNUC__`) is refused with
//! the message that `explain` knows. SPLATWRIGHT_TOOLKITS lists the toolkits' roots (`:` between them),
//! SPLATWRIGHT_INRIA_SOURCE the original's sources; `.ci/steps/toolkits` brings both.
#![cfg(unix)]
#![expect(clippy::print_stdout, reason = "what was compared or skipped is read from the test's output")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Mutex,
};

use splat_toolchain::{
    Env, Machine, Repo, Request,
    env::Os,
    explain::scan,
    ext,
    machine::{CompilerKind, HostCompiler, Toolkit},
    probe,
};

/// A toolkit as the probe sees it when CUDA_HOME names it, and the machine around it.
fn probed(root: &str) -> (Machine, Toolkit) {
    let vars = std::env::vars()
        .filter(|(name, _)| !name.starts_with("CUDA"))
        .chain([("CUDA_HOME".into(), root.into())]);
    let machine = probe(&Env::new(vars, "/", Os::HERE), &Repo::default(), &Request::default());
    let toolkit = machine.toolkits.iter().find(|toolkit| toolkit.root == Path::new(root)).cloned();
    (machine, toolkit.unwrap_or_else(|| panic!("{root} is no toolkit")))
}

fn nvcc(toolkit: &Toolkit, compiler: &HostCompiler, source: &Path, glm: &Path, more: &[&str]) -> Output {
    let out = tempfile::tempdir().unwrap();
    let arch = toolkit.gpu_codes.iter().find(|code| **code >= 80).unwrap();
    Command::new(toolkit.nvcc.as_ref().unwrap())
        .args(["-std=c++17", "-include", "cstdint", "-ccbin"])
        .arg(&compiler.path)
        .arg(format!("-gencode=arch=compute_{arch},code=sm_{arch}"))
        .arg("-I")
        .arg(glm)
        .args(more)
        .arg("-c")
        .arg(source)
        .arg("-o")
        .arg(out.path().join("kernel.o"))
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[test]
fn what_the_header_admits_compiles_and_one_version_more_does_not() {
    // The managed one (set by `.cargo/toolchain.toml`) is added to those that are listed.
    let listed = std::env::var("SPLATWRIGHT_TOOLKITS").unwrap_or_default();
    let managed = std::env::var("SPLATWRIGHT_CUDA_HOME").unwrap_or_default();
    let mut roots: Vec<&str> = listed.split(':').filter(|root| !root.is_empty()).collect();
    if !roots.is_empty() && !managed.is_empty() && !roots.contains(&managed.as_str()) {
        roots.push(&managed);
    }
    let sources = std::env::var("SPLATWRIGHT_INRIA_SOURCE").map(PathBuf::from).unwrap_or_default();
    if roots.is_empty() || !sources.join("cuda_rasterizer").is_dir() {
        println!("skipped: SPLATWRIGHT_TOOLKITS and SPLATWRIGHT_INRIA_SOURCE name no toolkits and sources");
        return;
    }
    let glm = sources.join("third_party/glm");
    let kernels = |name: &str| sources.join("cuda_rasterizer").join(name);
    let mut work: Vec<(Toolkit, HostCompiler, PathBuf)> = Vec::new();
    for root in roots {
        let (machine, toolkit) = probed(root);
        let ceiling = &toolkit.ceiling;
        assert!(
            ceiling.gcc_max.is_some() && ceiling.clang_below.is_some() && ceiling.msvc.is_some(),
            "{ceiling:?}"
        );
        assert!(
            toolkit.gpu_codes.len() > 8 && toolkit.version.is_some() && toolkit.guards.known,
            "{toolkit:?}"
        );
        let admitted: Vec<&HostCompiler> =
            machine.host_compilers.iter().filter(|compiler| ext::admits(ceiling, compiler)).collect();
        assert!(admitted.len() >= 2, "{root}: {:?}", machine.host_compilers);
        for compiler in &admitted {
            work.push((toolkit.clone(), (*compiler).clone(), kernels("forward.cu")));
        }
        // Once a toolkit, the file with most host code in it: CUB, std::function, streams.
        work.push((toolkit.clone(), admitted[0].clone(), kernels("rasterizer_impl.cu")));

        let gcc =
            admitted.iter().find(|compiler| compiler.kind == CompilerKind::Gcc).expect("a GCC is admitted");
        let above = ceiling.gcc_max.unwrap() + 1;
        let define = format!("-D__GNUC__={above}");
        let refused = nvcc(
            &toolkit,
            gcc,
            &kernels("forward.cu"),
            &glm,
            &["-Xcompiler", "-U__GNUC__", "-Xcompiler", &define],
        );
        assert!(!refused.status.success(), "{root} takes GCC {above}, and its header says it does not");
        let report = scan(text(&refused).as_bytes());
        assert_eq!(report.first().map(|hit| hit.code), Some("E20"), "{}", text(&refused));
        println!("{} refuses GCC {above}: {}", root_name(&toolkit), report.hits[0].text);
    }
    let (queue, failed) = (Mutex::new(work), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(4) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().pop();
                    let Some((toolkit, compiler, source)) = next else { break };
                    let output = nvcc(&toolkit, &compiler, &source, &glm, &[]);
                    let name = format!(
                        "{}, {} {}, {}",
                        root_name(&toolkit),
                        compiler.path.display(),
                        compiler.version,
                        source.file_name().unwrap().display()
                    );
                    if output.status.success() {
                        println!("compiled: {name}");
                    } else {
                        failed.lock().unwrap().push(format!("{name}\n{}", text(&output)));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn root_name(toolkit: &Toolkit) -> String {
    format!("CUDA {}", toolkit.version.as_ref().map(|fact| fact.value.to_string()).unwrap_or_default())
}
