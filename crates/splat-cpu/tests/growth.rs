//! Callers and engines of different minor versions, in both directions, through the tables of the C library: structs
//! and tables that end before what this header has, and ones that go on after it.
#![expect(unsafe_code, reason = "calls the ABI as programs of other versions would")]

mod support;

use std::ffi::c_void;
use std::mem::offset_of;
use std::sync::LazyLock;

use splat_engine::abi::{self, EngineGet, Growable};
use splat_engine::{EngineError, TableEngine};

use support::call::{Blocks, context};
use support::library;
use support::rich::{CHANNELS, Rich, cameras, settings};

static GET: LazyLock<EngineGet> = LazyLock::new(|| {
    // SAFETY: an engine library, which stays loaded.
    unsafe {
        let library = libloading::Library::new(library()).expect("the library loads");
        let get = *library.get::<EngineGet>(abi::ENGINE_GET).expect("its entry");
        std::mem::forget(library);
        get
    }
});

fn table<T: Growable>(interface: u32) -> T {
    // SAFETY: the engine's table of that interface.
    unsafe { abi::table(GET(interface, abi::ENGINE_ABI)) }.expect("the engine has it")
}

/// A caller of another version than the engine.
#[derive(Clone, Copy)]
enum Caller {
    /// Of this version.
    Same,
    /// Before the last members of several structs were added; what lies behind its structs is no member of theirs.
    Older,
    /// With 16 more bytes in every struct, all zero.
    Newer,
    /// The same, but it sets the new member of this struct.
    Asking(&'static str),
}

/// Structs as that caller lays them out, one after the other, with foreign bytes behind the last.
fn laid_out<T: Growable>(caller: Caller, values: &[T], older: usize) -> Vec<u64> {
    let ours = size_of::<T>();
    let step = match caller {
        Caller::Same => ours,
        Caller::Older => older,
        Caller::Newer | Caller::Asking(_) => ours + 16,
    };
    assert_eq!(step % 8, 0, "{}", T::NAME);
    let mut bytes = vec![0_u8; step * values.len()];
    for (to, value) in bytes.chunks_exact_mut(step).zip(values) {
        // SAFETY: structs of the header have no padding.
        let from = unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u8>(), ours) };
        let known = step.min(ours);
        to[..known].copy_from_slice(&from[..known]);
        to[..4].copy_from_slice(&(step as u32).to_ne_bytes());
        if matches!(caller, Caller::Asking(name) if name == T::NAME) {
            to[ours + 8] = 1;
        }
    }
    bytes.extend([0xAB; 128]);
    bytes.chunks_exact(8).map(|c| u64::from_ne_bytes(c.try_into().expect("eight bytes"))).collect()
}

#[derive(Debug, PartialEq)]
struct Answer {
    color: Vec<f32>,
    depth: Vec<f32>,
    radii: Vec<i32>,
    rendered: i64,
    means3d: Vec<f32>,
    sh: Vec<f32>,
    done: u32,
}

/// Renders and differentiates as that caller would; Err is the status and the message.
fn render(caller: Caller) -> Result<Answer, (i32, String)> {
    let (engine, raster) = (table::<abi::EngineTable>(abi::ENGINE), table::<abi::RasterTable>(abi::RASTER));
    let checked = |status: i32| match status {
        abi::OK => Ok(()),
        // SAFETY: never null, valid until this thread's next call.
        _ => Err((status, unsafe {
            std::ffi::CStr::from_ptr(engine.last_error.expect("offered")()).to_string_lossy().into_owned()
        })),
    };
    let (blob, settings, camera) = (Rich::new(20), settings(), cameras().swap_remove(0));
    let p = 20;
    let input = |v: &Vec<f32>, shape: &[i64]| abi::In::contiguous(v.as_ptr(), shape);
    let mut blocks = Blocks::default();
    // SAFETY: a device number is ignored; `workspace` is a place for a pointer.
    let workspace = unsafe {
        let mut workspace = std::ptr::null_mut();
        checked(raster.workspace_new.expect("offered")(-1, &raw mut workspace))?;
        workspace
    };
    let context = abi::Context { workspace, ..context(&mut blocks) };
    let context = laid_out(caller, &[context], size_of::<abi::Context>());
    let view = abi::Camera {
        width: 37,
        height: 23,
        tan_fovx: camera.tan_fovx,
        tan_fovy: camera.tan_fovy,
        view: camera.view.as_ptr(),
        proj: camera.proj.as_ptr(),
        campos: camera.campos.as_ptr(),
        ..abi::Camera::EMPTY
    };
    let view = laid_out(caller, &[view, view], size_of::<abi::Camera>());
    let gaussians = abi::Gaussians {
        count: p,
        sh_coeffs: 4,
        means3d: input(&blob.means3d, &[p, 3]),
        opacities: input(&blob.opacities, &[p]),
        sh: input(&blob.sh, &[p, 1, 3]),
        sh_rest: input(&blob.sh_rest, &[p, 3, 3]),
        scales: input(&blob.scales, &[p, 3]),
        rotations: input(&blob.rotations, &[p, 4]),
        ..abi::Gaussians::EMPTY
    };
    let gaussians = laid_out(caller, &[gaussians], offset_of!(abi::Gaussians, features));
    let settings = abi::Settings {
        flags: abi::RAW | abi::EXACT,
        background: settings.background.as_ptr(),
        scale_modifier: 1.0,
        ..abi::Settings::EMPTY
    };
    // The scale modifier and the degree share eight bytes, so that an older caller of this test has both.
    let settings = laid_out(caller, &[settings], size_of::<abi::Settings>());
    let pixels = 37 * 23;
    let (mut color, mut depth) = (vec![f32::NAN; 6 * pixels], vec![f32::NAN; 2 * pixels]);
    let upstream: Vec<f32> = (0..6 * pixels).map(|i| (i as f32 * 0.3).sin()).collect();
    let channel = |source, data: &mut Vec<f32>| abi::Channel {
        source,
        data: data.as_mut_ptr(),
        gradient: upstream.as_ptr(),
        ..abi::Channel::EMPTY
    };
    let channels = [channel(abi::COLOR, &mut color), channel(abi::DEPTH, &mut depth)];
    let channels = laid_out(caller, &channels, offset_of!(abi::Channel, image));
    let mut radii = vec![-1_i32; 2 * p as usize];
    let mut saved = laid_out(caller, &[abi::Saved::EMPTY], size_of::<abi::Saved>());
    let behind = saved.len() - 16;
    let args = abi::ForwardArgs {
        camera_count: 2,
        channel_count: 2,
        context: context.as_ptr().cast(),
        cameras: view.as_ptr().cast(),
        gaussians: gaussians.as_ptr().cast(),
        settings: settings.as_ptr().cast(),
        channels: channels.as_ptr().cast(),
        radii: radii.as_mut_ptr(),
        saved: saved.as_mut_ptr().cast(),
        ..abi::ForwardArgs::EMPTY
    };
    let args = laid_out(caller, &[args], size_of::<abi::ForwardArgs>());
    // SAFETY: arrays of the extents that the header states for two cameras, alive through the call.
    checked(unsafe { raster.forward.expect("offered")(args.as_ptr().cast()) })?;
    assert!(
        saved[behind..].iter().all(|b| *b == u64::from_ne_bytes([0xAB; 8])),
        "written beyond the caller's size"
    );
    assert!(saved[size_of::<abi::Saved>() / 8..behind].iter().all(|b| *b == 0), "{saved:?}");

    let (mut means3d, mut sh) = (vec![f32::NAN; 3 * p as usize], vec![f32::NAN; 3 * p as usize]);
    let gradients =
        abi::Gradients { means3d: means3d.as_mut_ptr(), sh: sh.as_mut_ptr(), ..abi::Gradients::EMPTY };
    let gradients = laid_out(caller, &[gradients], offset_of!(abi::Gradients, features));
    let args = abi::BackwardArgs {
        camera_count: 2,
        channel_count: 2,
        context: context.as_ptr().cast(),
        cameras: view.as_ptr().cast(),
        gaussians: gaussians.as_ptr().cast(),
        settings: settings.as_ptr().cast(),
        channels: channels.as_ptr().cast(),
        radii: radii.as_ptr(),
        saved: saved.as_ptr().cast(),
        gradients: gradients.as_ptr().cast(),
        ..abi::BackwardArgs::EMPTY
    };
    let args = laid_out(caller, &[args], size_of::<abi::BackwardArgs>());
    // SAFETY: as above.
    checked(unsafe { raster.backward.expect("offered")(args.as_ptr().cast()) })?;

    let mut progress = laid_out(caller, &[abi::Progress::EMPTY], offset_of!(abi::Progress, capacity));
    // SAFETY: the workspace and what its call left; `progress` is as large as it says.
    unsafe {
        let poll = raster.poll.expect("offered");
        checked(poll(workspace, saved.as_ptr().cast(), 1, progress.as_mut_ptr().cast()))?;
        raster.workspace_free.expect("offered")(workspace);
    }
    let behind = progress.len() - 16;
    assert!(
        progress[behind..].iter().all(|b| *b == u64::from_ne_bytes([0xAB; 8])),
        "written beyond its size"
    );
    // Second word of the struct, in the machine's order of bytes.
    let done = u32::from_ne_bytes(progress[0].to_ne_bytes()[4..].try_into().expect("four bytes"));
    Ok(Answer { color, depth, radii, rendered: saved[1] as i64, means3d, sh, done })
}

#[test]
fn callers_of_other_versions_get_the_same_answer() {
    let same = render(Caller::Same).expect("this version");
    assert!(same.color.iter().any(|c| *c > 0.3) && same.rendered > 0 && same.done == 1);
    assert!(same.means3d.iter().chain(&same.sh).all(|g| g.is_finite()));
    assert_eq!(render(Caller::Older).expect("an older caller"), same);
    assert_eq!(render(Caller::Newer).expect("a newer caller that asks for nothing new"), same);
}

#[test]
fn a_newer_caller_that_asks_for_something_new_is_told_what_it_set() {
    let structs = [
        ("splat_forward_args", size_of::<abi::ForwardArgs>()),
        ("splat_backward_args", size_of::<abi::BackwardArgs>()),
        ("splat_context", size_of::<abi::Context>()),
        ("splat_camera", size_of::<abi::Camera>()),
        ("splat_gaussians", size_of::<abi::Gaussians>()),
        ("splat_settings", size_of::<abi::Settings>()),
        ("splat_channel", size_of::<abi::Channel>()),
        ("splat_gradients", size_of::<abi::Gradients>()),
    ];
    for (name, size) in structs {
        let (status, text) = render(Caller::Asking(name)).expect_err(name);
        assert_eq!(status, abi::UNSUPPORTED, "{text}");
        let sizes = [size.to_string(), (size + 16).to_string()];
        assert!(text.contains(name) && sizes.iter().all(|s| text.contains(s)), "{text}");
    }
}

#[test]
fn an_older_caller_learns_what_it_knows_of_the_engine() {
    let mut out =
        laid_out(Caller::Older, &[abi::Capabilities::EMPTY], offset_of!(abi::Capabilities, version));
    let behind = offset_of!(abi::Capabilities, version) / 8;
    // SAFETY: a struct as large as it says.
    let status = unsafe {
        table::<abi::EngineTable>(abi::ENGINE).capabilities.expect("offered")(out.as_mut_ptr().cast())
    };
    assert_eq!(status, abi::OK);
    assert!(out[behind..].iter().all(|b| *b == u64::from_ne_bytes([0xAB; 8])), "written beyond its size");
    assert_ne!(out[behind - 1], 0, "the name, its last member");
}

/// An engine of an older version: its raster table ends before the stages, and it has no IMAGE.
extern "C" fn older_engine(interface: u32, version: u32) -> *const c_void {
    static OLDER: LazyLock<abi::RasterTable> = LazyLock::new(|| abi::RasterTable {
        // What lies behind the size is there, but must not be taken for the table's.
        struct_size: offset_of!(abi::RasterTable, project) as u32,
        ..table(abi::RASTER)
    });
    match interface {
        abi::RASTER => std::ptr::from_ref(&*OLDER).cast(),
        abi::IMAGE => std::ptr::null(),
        // SAFETY: the real engine's.
        _ => unsafe { GET(interface, version) },
    }
}

#[test]
fn what_an_older_engine_s_tables_do_not_reach_is_not_offered() {
    // SAFETY: tables of the real engine, one of them shorter.
    let engine = unsafe { TableEngine::from_get(older_engine) }.expect("older, but whole");
    let engine: splat_engine::SharedEngine = std::sync::Arc::new(engine);
    let (blob, settings) = (Rich::new(5), settings());
    let camera = cameras().swap_remove(0);
    splat_cpu::host::forward(&*engine, &blob.scene(), &camera, &settings).expect("the whole call is there");
    let not_offered = |result: Result<(), EngineError>, name: &str| {
        let Err(EngineError::Unsupported(text)) = result else { panic!("{name} was offered") };
        assert_eq!(text, format!("engine `cpu` does not offer `{name}`"));
    };
    // SAFETY: nothing is called.
    unsafe {
        not_offered(engine.project(&abi::ProjectArgs::EMPTY), "project");
        not_offered(engine.rasterize(&abi::RasterizeArgs::EMPTY), "rasterize");
        not_offered(engine.ssim(&abi::SsimArgs::EMPTY), "ssim");
    }
    not_offered(engine.workspace_new(0).map(|_| ()), "workspace_new");
    assert!(engine.capabilities().optimize && !engine.capabilities().image);
}

/// The raster table of a newer version.
#[repr(C)]
#[derive(Clone, Copy)]
struct NewerTable {
    known: abi::RasterTable,
    fused: Option<unsafe extern "C" fn(*const c_void) -> i32>,
}

// SAFETY: as the header's tables, with a function behind.
unsafe impl Growable for NewerTable {
    const NAME: &'static str = "splat_raster_table";
    const EMPTY: Self = Self {
        known: abi::RasterTable { struct_size: abi::size::<Self>(), ..abi::RasterTable::EMPTY },
        fused: None,
    };
}

unsafe extern "C" fn fused(_: *const c_void) -> i32 {
    abi::INTERNAL
}

/// An engine of a newer version: its raster table goes on.
extern "C" fn newer_engine(interface: u32, version: u32) -> *const c_void {
    static NEWER: LazyLock<NewerTable> = LazyLock::new(|| {
        let known = abi::RasterTable { struct_size: abi::size::<NewerTable>(), ..table(abi::RASTER) };
        NewerTable { known, fused: Some(fused) }
    });
    match interface {
        abi::RASTER => std::ptr::from_ref(&*NEWER).cast(),
        // SAFETY: the real engine's.
        _ => unsafe { GET(interface, version) },
    }
}

#[test]
fn a_newer_table_is_what_each_side_knows_of_it() {
    // A newer caller on this engine: the function is not offered.
    let found: NewerTable = table(abi::RASTER);
    assert!(found.fused.is_none() && found.known.poll.is_some());
    // This caller on a newer engine.
    // SAFETY: tables of the real engine, one of them longer.
    let engine = unsafe { TableEngine::from_get(newer_engine) }.expect("newer, but whole");
    let (blob, settings) = (Rich::new(5), settings());
    let out = splat_cpu::host::forward(&engine, &blob.scene(), &cameras()[0], &settings).expect("as ever");
    assert_eq!(out.features.map(|f| f.len()), Some(CHANNELS * 37 * 23));
    // A newer caller on a newer engine.
    // SAFETY: the table of `newer_engine`.
    let found = unsafe { abi::table::<NewerTable>(newer_engine(abi::RASTER, abi::ENGINE_ABI)) };
    assert!(found.expect("there").fused.is_some());
}
