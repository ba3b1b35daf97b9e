//! What the built engines are from outside, on any machine: the file's symbols, dependencies and GPU code,
//! and how it refuses calls before a device is needed. Rendering on a GPU is tested in `tests/` of the workspace.
#![expect(unsafe_code, reason = "calls an engine with pointers")]
#![expect(clippy::print_stdout, reason = "a skip is counted by its line")]

use std::collections::BTreeSet;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::c_void;
use std::path::{Path, PathBuf};

use object::read::elf::{Dyn, FileHeader};
use object::{Object, ObjectSection, ObjectSymbol};
use splat_engine::{DeviceKind, Engine, EngineError, Features, LoadedEngine, Outputs, SYMBOLS, abi};
use splat_toolchain::fatbin;

const ENGINES: [&str; 2] = ["cuda", "inria"];

/// The shared library, or `None` after the line that counts as a skip.
fn library(name: &str) -> Option<PathBuf> {
    let built = splat_cuda::library(name).map(Path::to_owned);
    // On another machine cargo's output folder does not exist; the bundle names its own.
    let gathered = std::env::var_os("SPLATWRIGHT_ENGINE_DIR")
        .map(|folder| Path::new(&folder).join(format!("{DLL_PREFIX}splat_{name}{DLL_SUFFIX}")));
    let path = [built, gathered].into_iter().flatten().find(|p| p.exists());
    if path.is_none() {
        println!("skipped: engine {name} is not part of this build (SPLATWRIGHT_ENGINES)");
    }
    path
}

/// The engine as Rust links it and as a C caller loads it: both must behave alike.
fn both(name: &str) -> Option<[Box<dyn Engine>; 2]> {
    let loaded = LoadedEngine::open(&library(name)?).expect("the library is an engine of our ABI");
    Some([Box::new(Shared(splat_cuda::engine(name).expect("it is built"))), Box::new(loaded)])
}

/// A shared engine as a box.
#[derive(Debug)]
struct Shared(splat_engine::SharedEngine);

impl Engine for Shared {
    fn capabilities(&self) -> splat_engine::Capabilities {
        self.0.capabilities()
    }
    fn device_ready(&self, device: i32) -> Result<(), EngineError> {
        self.0.device_ready(device)
    }
    unsafe fn forward(&self, args: &mut abi::ForwardArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded.
        unsafe { self.0.forward(args) }
    }
    unsafe fn backward(&self, args: &mut abi::BackwardArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded.
        unsafe { self.0.backward(args) }
    }
    unsafe fn mark_visible(&self, args: &mut abi::MarkVisibleArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded.
        unsafe { self.0.mark_visible(args) }
    }
}

/// Never called by a call that is refused; it would abort the test rather than hand out host memory.
unsafe extern "C" fn no_memory(_: *mut c_void, _: u32, _: u64) -> *mut c_void {
    std::ptr::null_mut()
}

static NUMBERS: [f32; 64] = [0.0; 64];

/// A call that is right in all that can be checked without a device: one splat, 4x4 pixels, SH degree 0. Its
/// pointers are host memory, which is never read: without a GPU the call ends before.
fn forward_args(camera: &abi::Camera) -> abi::ForwardArgs {
    let data = NUMBERS.as_ptr();
    let out = data.cast_mut();
    abi::ForwardArgs {
        context: abi::Context { device: 0, alloc: Some(no_memory), ..abi::Context::EMPTY },
        camera_count: 1,
        cameras: camera,
        gaussians: abi::Gaussians {
            count: 1,
            sh_coeffs: 1,
            means3d: abi::In::contiguous(data, &[1, 3]),
            opacities: abi::In::contiguous(data, &[1]),
            sh: abi::In::contiguous(data, &[1, 1, 3]),
            scales: abi::In::contiguous(data, &[1, 3]),
            rotations: abi::In::contiguous(data, &[1, 4]),
            ..abi::Gaussians::EMPTY
        },
        settings: abi::Settings { background: data, ..abi::Settings::EMPTY },
        color: out,
        radii: out.cast(),
        ..abi::ForwardArgs::EMPTY
    }
}

fn camera() -> abi::Camera {
    let data = NUMBERS.as_ptr();
    abi::Camera {
        width: 4,
        height: 4,
        tan_fovx: 0.5,
        tan_fovy: 0.5,
        view: data,
        proj: data,
        campos: data,
        ..abi::Camera::EMPTY
    }
}

fn backward_args(camera: &abi::Camera) -> abi::BackwardArgs {
    let forward = forward_args(camera);
    abi::BackwardArgs {
        context: forward.context,
        camera_count: 1,
        cameras: forward.cameras,
        gaussians: forward.gaussians,
        settings: forward.settings,
        radii: NUMBERS.as_ptr().cast(),
        grad_color: NUMBERS.as_ptr(),
        ..abi::BackwardArgs::EMPTY
    }
}

#[test]
fn an_engine_that_was_not_built_is_an_error_that_says_how_to_build_it() {
    for name in ENGINES {
        let built = splat_cuda::BUILT.contains(&name);
        match splat_cuda::engine(name) {
            Ok(engine) => assert!(built && engine.capabilities().name == name),
            Err(EngineError::Unsupported(text)) => {
                let hint = format!("cargo xtask build --engines cpu,{name}");
                assert!(!built && text.contains(&hint), "{text}");
            }
            Err(other) => panic!("not Unsupported: {other:?}"),
        }
        assert_eq!(splat_cuda::library(name).is_some(), built);
    }
    let unknown = splat_cuda::engine("metal").expect_err("there is no such engine");
    assert!(matches!(&unknown, EngineError::Unsupported(text) if text.contains("metal")), "{unknown}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_library_exports_the_header_alone_and_needs_neither_torch_nor_a_cuda_runtime() {
    for path in ENGINES.into_iter().filter_map(library) {
        exports_the_header_alone(&path);
    }
}

#[cfg(target_os = "linux")]
fn exports_the_header_alone(path: &Path) {
    let bytes = std::fs::read(path).expect("the library is there");
    let file = object::File::parse(&*bytes).expect("it is an ELF file");
    let exported: BTreeSet<_> = file
        .dynamic_symbols()
        .filter(|s| s.is_definition())
        .map(|s| s.name().expect("a name").to_owned())
        .collect();
    assert_eq!(exported, SYMBOLS.iter().map(|s| (*s).to_owned()).collect());

    let header = object::elf::FileHeader64::<object::Endianness>::parse(&*bytes).expect("64-bit ELF");
    let endian = header.endian().expect("an endianness");
    let sections = header.sections(endian, &*bytes).expect("sections");
    let (dynamic, strings) = sections.dynamic(endian, &*bytes).expect("a dynamic section").expect("one");
    let strings = sections.strings(endian, &*bytes, strings).expect("its strings");
    for entry in dynamic.iter().filter(|d| d.tag(endian) == object::elf::DT_NEEDED) {
        let name = String::from_utf8_lossy(entry.string(endian, strings).expect("a name"));
        assert!(
            ["libc.", "libm.", "libdl.", "librt.", "libpthread.", "ld-linux", "libgcc_s.", "libstdc++."]
                .iter()
                .any(|own| name.starts_with(own)),
            "the library needs {name}: only libc's family may be needed"
        );
    }
}

#[test]
fn the_library_has_code_for_the_architectures_it_was_built_for() {
    let asked = [option_env!("SPLAT_CUDA_ARCHS"), option_env!("SPLAT_INRIA_ARCHS")];
    for (name, asked) in ENGINES.into_iter().zip(asked) {
        if let Some(path) = library(name) {
            has_code_for(&path, asked.expect("build.rs sets it with the library"));
        }
    }
}

fn has_code_for(path: &Path, asked: &str) {
    let bytes = std::fs::read(path).expect("the library is there");
    let file = object::File::parse(&*bytes).expect("it is an object file");
    let section = file
        .sections()
        .find(|s| s.name().is_ok_and(|name| name.starts_with(".nv_fatb")))
        .expect("a section with GPU code");
    let found = fatbin::architectures(section.data().expect("its bytes"));
    let number = |arch: &str| arch.trim_end_matches("-real").trim_end_matches(['a', 'f']).parse::<u32>();
    let sass: Vec<u32> = asked.split(';').map(|a| number(a).expect("a number")).collect();
    let ptx: Vec<u32> =
        asked.split(';').filter(|a| !a.ends_with("-real")).map(|a| number(a).expect("a number")).collect();
    assert_eq!(found, fatbin::Architectures { sass, ptx });
}

#[test]
fn the_library_carries_the_notice_of_its_licence() {
    let Some(path) = library("inria") else { return };
    let bytes = std::fs::read(&path).expect("the library is there");
    let notice = b"non-commercial research and evaluation only";
    assert!(bytes.windows(notice.len()).any(|w| w == notice), "the notice is not in the library");
    let beside = path.with_file_name("NOTICE.splat_inria");
    assert!(std::fs::read_to_string(&beside).is_ok_and(|t| t.contains("LICENSE.md")), "{}", beside.display());
}

#[test]
fn it_says_what_it_is_without_a_device() {
    for name in ENGINES {
        let Some(engines) = both(name) else { continue };
        let [first, second] = engines.map(|e| e.capabilities());
        assert_eq!(first, second);
        assert_eq!((first.name.as_str(), first.abi, first.device), (name, abi::ABI, DeviceKind::Cuda));
        let original = Outputs::COLOR.0 | Outputs::RADII.0 | Outputs::INV_DEPTH.0;
        assert_eq!(first.outputs.0, if name == "inria" { original } else { 63 });
        assert!(!first.features.contains(Features::STRIDED_INPUTS) && first.max_sh_degree == 3);
        assert!(!first.version.is_empty());
    }
}

#[test]
fn without_a_device_every_call_says_so() {
    for engine in ENGINES.into_iter().filter_map(both).flatten() {
        let Err(ready) = engine.device_ready(0) else {
            println!("skipped: this machine has a CUDA device");
            return;
        };
        let view = camera();
        // SAFETY: without a device no pointer is followed.
        let (forward, backward) =
            unsafe { (engine.forward(&mut forward_args(&view)), engine.backward(&mut backward_args(&view))) };
        for error in [Err(ready), forward, backward] {
            let Err(EngineError::NoDevice(text)) = error else { panic!("not NoDevice: {error:?}") };
            assert!(text.contains("driver") && text.contains("runtime"), "names neither version: {text}");
        }
    }
}

#[test]
fn wrong_arguments_are_refused_by_name_before_a_device_is_needed() {
    type Change = fn(&mut abi::ForwardArgs, &mut abi::Camera);
    let cases: &[(Change, &str)] = &[
        (|a, _| a.struct_size -= 8, "`splat_forward_args.struct_size` is"),
        (|a, _| a.context.struct_size = 0, "`splat_context.struct_size` is 0"),
        (|_, c| c.struct_size += 8, "`splat_camera.struct_size` is"),
        (|a, _| a.gaussians.struct_size += 8, "`splat_gaussians.struct_size` is"),
        (|a, _| a.settings.struct_size += 8, "`splat_settings.struct_size` is"),
        (|a, _| a.saved.struct_size += 8, "`splat_saved.struct_size` is"),
        (|_, c| c.width = 0, "0x4 pixels"),
        (|_, c| c.tan_fovy = f32::NAN, "`tan_fovy` is nan"),
        (|_, c| c.view = std::ptr::null(), "`view` is NULL"),
        (|a, _| a.settings.sh_degree = 1, "`sh_degree` 1 needs 4 coefficients, but `sh` has 1"),
        (|a, _| a.settings.sh_degree = 4, "`sh_degree` is 4"),
        (|a, _| a.settings.scale_modifier = f32::INFINITY, "`scale_modifier` is inf"),
        (|a, _| a.settings.flags = 1 << 30, "`settings.flags` is 0x40000000"),
        (|a, _| a.gaussians.count = -1, "`count` is -1"),
        (|a, _| a.gaussians.means3d = abi::In::ABSENT, "`means3d` is NULL"),
        (|a, _| a.gaussians.colors = abi::In::contiguous(NUMBERS.as_ptr(), &[1, 3]), "`sh` and `colors`"),
        (|a, _| a.gaussians.scales = abi::In::ABSENT, "`scales` with `rotations` and `cov3d`"),
        (|a, _| a.gaussians.rotations = abi::In::ABSENT, "`rotations` is NULL"),
        (|a, _| a.gaussians.means3d.stride = [3, 2, 0], "needs it contiguous: [3,1]"),
        (|a, _| a.color = std::ptr::null_mut(), "`color` is NULL"),
        (|a, _| a.radii = std::ptr::null_mut(), "`radii` is NULL"),
        (|a, _| a.context.alloc = None, "`context.alloc` is NULL"),
        (|a, _| a.camera_count = 0, "`camera_count` is 0"),
        (|a, _| a.gaussians.feature_count = 65, "`feature_count` is 65"),
        (|_, c| c.model = 7, "`model` of camera 0 is 7"),
    ];
    for engine in ENGINES.into_iter().filter_map(both).flatten() {
        for (change, expected) in cases {
            let (mut other, view) = (camera(), camera());
            change(&mut forward_args(&view), &mut other);
            let mut args = forward_args(&other);
            change(&mut args, &mut camera());
            // SAFETY: a refused call follows no pointer.
            let error = unsafe { engine.forward(&mut args) }.expect_err(expected);
            let EngineError::InvalidArgument(text) = &error else { panic!("{expected}: {error:?}") };
            assert!(text.contains(expected), "{text:?} does not say {expected:?}");
        }
    }
}

#[test]
fn what_the_original_cannot_do_is_unsupported_not_wrong() {
    type Change = fn(&mut abi::ForwardArgs, &mut abi::Camera);
    let cases: &[(Change, &str)] = &[
        (|a, _| a.depth = a.color, "no output `depth`"),
        (|a, _| a.alpha = a.color, "no output `alpha`"),
        (|a, _| a.gaussians.count = 1 << 31, "32 bits"),
        (|_, c| (c.width, c.height) = (40_000, 40_000), "40000x40000 pixels"),
    ];
    let Some(engines) = both("inria") else { return };
    for engine in &engines {
        for (change, expected) in cases {
            let (mut other, view) = (camera(), camera());
            change(&mut forward_args(&view), &mut other);
            let mut args = forward_args(&other);
            change(&mut args, &mut camera());
            // SAFETY: a refused call follows no pointer.
            let error = unsafe { engine.forward(&mut args) }.expect_err(expected);
            assert!(
                matches!(&error, EngineError::Unsupported(text) if text.contains(expected)),
                "{error:?} is not Unsupported with {expected:?}"
            );
        }
        let view = camera();
        let mut args = backward_args(&view);
        args.grad_alpha = args.grad_color;
        // SAFETY: a refused call follows no pointer.
        let error = unsafe { engine.backward(&mut args) }.expect_err("there is no alpha");
        assert!(
            matches!(&error, EngineError::Unsupported(t) if t.contains("no output `alpha`")),
            "{error:?}"
        );
    }
}
