//! What the tests of both CUDA engines share: an engine's library, and calls that are right in all that can be checked
//! without a device.
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeSet;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object::read::elf::{Dyn, FileHeader};
use object::{Object, ObjectSection, ObjectSymbol};
use splat_engine::{EngineError, SharedEngine, TableEngine, abi};
use splat_toolchain::fatbin;

/// The shared library, or `None` after the line that counts as a skip.
pub(crate) fn library(name: &str, built: Option<&Path>) -> Option<PathBuf> {
    // On another machine cargo's output folder does not exist; the bundle names its own.
    let given = std::env::var_os("SPLAT_ENGINES").unwrap_or_default();
    let file = format!("{DLL_PREFIX}splat_{name}{DLL_SUFFIX}");
    let gathered = std::env::split_paths(&given).map(|place| place.join(&file));
    let path = built.map(Path::to_owned).into_iter().chain(gathered).find(|p| p.exists());
    if path.is_none() {
        println!("skipped: engine {name} is not part of this build (feature `compile` of splat-{name})");
    }
    path
}

/// The engine as Rust links it and as a C caller loads it: both must behave alike.
pub(crate) fn both(linked: Result<SharedEngine, EngineError>, library: &Path) -> [SharedEngine; 2] {
    let loaded = TableEngine::open(library).expect("the library is an engine of our ABI");
    [linked.expect("it is built"), Arc::new(loaded)]
}

#[cfg(target_os = "linux")]
pub(crate) fn exports_the_header_alone(path: &Path) {
    let bytes = std::fs::read(path).expect("the library is there");
    let file = object::File::parse(&*bytes).expect("it is an ELF file");
    let exported: BTreeSet<_> = file
        .dynamic_symbols()
        .filter(|s| s.is_definition())
        .map(|s| s.name().expect("a name").to_owned())
        .collect();
    assert_eq!(exported, BTreeSet::from(["splat_engine_get".to_owned()]));

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

pub(crate) fn has_code_for(path: &Path, asked: &str) {
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

/// Never called by a call that is refused; null rather than host memory.
unsafe extern "C" fn no_memory(_: *mut c_void, _: u32, _: u64) -> *mut c_void {
    std::ptr::null_mut()
}

pub(crate) static NUMBERS: [f32; 64] = [0.0; 64];

/// The structs of a call, which refer to each other: one Gaussian, 4x4 pixels, SH degree 0, colour alone. Pointers to
/// numbers are host memory, which is never read: without a GPU a call ends before.
pub(crate) struct Call {
    pub(crate) context: abi::Context,
    pub(crate) camera: [abi::Camera; 2],
    pub(crate) gaussians: abi::Gaussians,
    pub(crate) settings: abi::Settings,
    pub(crate) channels: [abi::Channel; 2],
    pub(crate) saved: abi::Saved,
    pub(crate) gradients: abi::Gradients,
    pub(crate) cameras: u32,
    pub(crate) channel_count: u32,
    pub(crate) radii: *mut i32,
}

pub(crate) fn call() -> Box<Call> {
    let data = NUMBERS.as_ptr();
    let out = data.cast_mut();
    let camera = abi::Camera {
        width: 4,
        height: 4,
        tan_fovx: 0.5,
        tan_fovy: 0.5,
        view: data,
        proj: data,
        campos: data,
        ..abi::Camera::EMPTY
    };
    let channel = abi::Channel { source: abi::COLOR, data: out, gradient: data, ..abi::Channel::EMPTY };
    Box::new(Call {
        context: abi::Context { device: 0, alloc: Some(no_memory), ..abi::Context::EMPTY },
        camera: [camera; 2],
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
        settings: abi::Settings { background: data, scale_modifier: 1.0, ..abi::Settings::EMPTY },
        channels: [channel, abi::Channel { source: abi::INV_DEPTH, ..channel }],
        saved: abi::Saved::EMPTY,
        gradients: abi::Gradients::EMPTY,
        cameras: 1,
        channel_count: 1,
        radii: out.cast(),
    })
}

impl Call {
    pub(crate) fn forward(&mut self) -> abi::ForwardArgs {
        abi::ForwardArgs {
            camera_count: self.cameras,
            channel_count: self.channel_count,
            context: &raw const self.context,
            cameras: self.camera.as_ptr(),
            gaussians: &raw const self.gaussians,
            settings: &raw const self.settings,
            channels: self.channels.as_ptr(),
            radii: self.radii,
            saved: &raw mut self.saved,
            ..abi::ForwardArgs::EMPTY
        }
    }

    pub(crate) fn backward(&mut self) -> abi::BackwardArgs {
        abi::BackwardArgs {
            camera_count: self.cameras,
            channel_count: self.channel_count,
            context: &raw const self.context,
            cameras: self.camera.as_ptr(),
            gaussians: &raw const self.gaussians,
            settings: &raw const self.settings,
            channels: self.channels.as_ptr(),
            radii: self.radii,
            saved: &raw const self.saved,
            gradients: &raw const self.gradients,
            ..abi::BackwardArgs::EMPTY
        }
    }
}

/// A change of a call, and what the refusal must say.
pub(crate) type Case = (fn(&mut Call), &'static str);

/// Every case is refused by both passes' common checks, with that text, and as that kind of error.
pub(crate) fn refuses(engine: &SharedEngine, cases: &[Case], kind: fn(String) -> EngineError) {
    for (change, expected) in cases {
        let mut call = call();
        change(&mut call);
        let args = call.forward();
        // SAFETY: a refused call follows no pointer to numbers.
        let error = unsafe { engine.forward(&args) }.expect_err(expected);
        assert!(error.to_string().contains(expected), "{error:?} does not say {expected:?}");
        assert_eq!(error, kind(error.to_string()), "{expected}");
    }
}

/// What any engine refuses as a wrong argument before it needs a device.
pub(crate) const WRONG: &[Case] = &[
    (|c| c.context.struct_size = 0, "`splat_context.struct_size` is 0"),
    (|c| c.camera[0].struct_size = 13, "`splat_camera.struct_size` is 13"),
    (|c| c.settings.struct_size = u32::MAX, "`splat_settings.struct_size` is 4294967295"),
    (|c| c.saved.struct_size -= 8, "`splat_saved.struct_size` is"),
    // A size without the later members: they are zero.
    (|c| c.camera[0].struct_size = 8, "4x0 pixels"),
    (|c| c.gaussians.struct_size = 16, "`sh` and `colors`"),
    (|c| c.camera[0].width = 0, "0x4 pixels"),
    (|c| c.camera[0].tan_fovy = f32::NAN, "`tan_fovy` is nan"),
    (|c| c.camera[0].view = std::ptr::null(), "`view` is NULL"),
    (|c| c.camera[0].model = 7, "`model` of camera 0 is 7"),
    (|c| (c.cameras, c.camera[1].height) = (2, 5), "camera 1 has 4x5 pixels"),
    (|c| (c.cameras, c.camera[1].struct_size) = (2, 8), "`splat_camera.struct_size` is 8 in element 1"),
    (|c| c.settings.sh_degree = 1, "`sh_degree` 1 needs 4 coefficients, but `sh` has 1"),
    (|c| c.settings.sh_degree = 4, "`sh_degree` is 4"),
    (|c| c.settings.scale_modifier = f32::INFINITY, "`scale_modifier` is inf"),
    (|c| c.settings.flags = 1 << 30, "`settings.flags` is 0x40000000"),
    (|c| c.settings.background = std::ptr::null(), "`background` is NULL"),
    (|c| c.gaussians.count = -1, "`count` is -1"),
    (|c| c.gaussians.means3d = abi::In { data: std::ptr::null(), stride: [0; 3] }, "`means3d` is NULL"),
    (|c| c.gaussians.colors = abi::In::contiguous(NUMBERS.as_ptr(), &[1, 3]), "`sh` and `colors`"),
    (|c| c.gaussians.scales.data = std::ptr::null(), "`scales` with `rotations` and `cov3d`"),
    (|c| c.gaussians.rotations.data = std::ptr::null(), "`rotations` is NULL"),
    (|c| c.gaussians.means3d.stride = [3, 2, 0], "needs it contiguous: [3,1]"),
    (|c| c.gaussians.feature_count = 65, "`feature_count` is 65"),
    (|c| c.radii = std::ptr::null_mut(), "`radii` is NULL"),
    (|c| c.context.alloc = None, "`context.alloc` is NULL"),
    (|c| c.cameras = 0, "`camera_count` is 0"),
    (|c| c.channels[0].data = std::ptr::null_mut(), "`data` of channel `color` is NULL"),
    (|c| (c.channel_count, c.channels[1].source) = (2, abi::COLOR), "channel `color` is listed twice"),
    (|c| c.channels[0].image = NUMBERS.as_ptr(), "`image` of channel `color` is given"),
    (|c| c.channel_count = 9, "`channel_count` is 9"),
];

/// A caller of a newer header: a member beyond ours is unsupported if it is set, and nothing if it is zero.
pub(crate) fn knows_its_own_members_alone(engine: &SharedEngine) {
    #[repr(C)]
    struct Newer {
        settings: abi::Settings,
        further: u64,
    }
    for further in [0, 1 << 40] {
        let mut call = call();
        let newer = Newer {
            settings: abi::Settings { struct_size: size_of::<Newer>() as u32, ..call.settings },
            further,
        };
        // What stops the call is then behind the check of the settings.
        call.radii = std::ptr::null_mut();
        let args = abi::ForwardArgs { settings: (&raw const newer).cast(), ..call.forward() };
        // SAFETY: a refused call follows no pointer to numbers.
        let error = unsafe { engine.forward(&args) }.expect_err("refused in any case");
        if further == 0 {
            assert!(matches!(&error, EngineError::InvalidArgument(t) if t.contains("`radii`")), "{error:?}");
        } else {
            assert!(
                matches!(&error, EngineError::Unsupported(t) if t.contains("`splat_settings.struct_size`")),
                "{error:?}"
            );
        }
    }
}

/// Without a device each of these ends with the reason and both versions.
pub(crate) fn says_that_there_is_no_device(engine: &SharedEngine) {
    let Err(ready) = engine.device_ready(0) else {
        println!("skipped: this machine has a CUDA device");
        return;
    };
    let mut call = call();
    let forward = call.forward();
    // SAFETY: without a device no pointer to numbers is followed.
    let forward = unsafe { engine.forward(&forward) };
    let backward = call.backward();
    // SAFETY: as above.
    let backward = unsafe { engine.backward(&backward) };
    for error in [Err(ready), forward, backward, engine.device(0).map(drop)] {
        let Err(EngineError::NoDevice(text)) = error else { panic!("not NoDevice: {error:?}") };
        assert!(text.contains("driver") && text.contains("runtime"), "names neither version: {text}");
    }
}
