//! The C border of the CPU engine: the same numbers through the trait, through the exported symbols and with any
//! strides; wrong calls refused by name; nothing crosses it as a panic.
#![expect(unsafe_code, reason = "calls the ABI as a C program would")]

use std::ffi::c_void;
use std::path::PathBuf;

use splat_core::{Camera, Color, Features, Scene, Settings, Shape, Upstream};
use splat_engine::{Engine, EngineError, LoadError, LoadedEngine, abi, cpu, host};

struct Blob {
    means3d: Vec<f32>,
    opacities: Vec<f32>,
    colors: Vec<f32>,
    scales: Vec<f32>,
    rotations: Vec<f32>,
}

impl Blob {
    fn new(p: usize) -> Self {
        let wave = |i: usize, k: f32| (i as f32 * k).sin();
        let mut b = Self {
            means3d: Vec::new(),
            opacities: Vec::new(),
            colors: Vec::new(),
            scales: Vec::new(),
            rotations: Vec::new(),
        };
        for i in 0..p {
            b.means3d.extend([wave(i, 1.3), wave(i, 2.1), 4.0 + wave(i, 0.7)]);
            b.opacities.push(0.5 + 0.4 * wave(i, 3.3));
            b.colors.extend([0.5 + 0.5 * wave(i, 0.3), 0.4, 0.5 - 0.5 * wave(i, 0.9)]);
            b.scales.extend([0.1, 0.05 + 0.02 * wave(i, 5.0), 0.2]);
            b.rotations.extend([1.0, wave(i, 1.0), 0.3, wave(i, 0.2)]);
        }
        b
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            means3d: &self.means3d,
            opacities: &self.opacities,
            color: Color::Rgb(&self.colors),
            shape: Shape::ScaleRotation { scales: &self.scales, rotations: &self.rotations },
            features: Features::default(),
        }
    }
}

fn camera() -> Camera {
    Camera::look_at(37, 23, 50.0, [0.0; 3], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0])
}

/// The cdylib that cargo built beside this test program.
fn library() -> PathBuf {
    let deps = std::env::current_exe().expect("this test's path");
    let name = format!("{}splat_engine{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    deps.with_file_name(name)
}

#[test]
fn a_loaded_library_answers_as_the_linked_engine_bit_for_bit() {
    let loaded = LoadedEngine::open(&library()).expect("the cdylib is an engine");
    assert_eq!(loaded.capabilities(), cpu().capabilities());
    let blob = Blob::new(40);
    let (scene, camera, settings) = (blob.scene(), camera(), Settings::default());
    let a = host::forward(&*cpu(), &scene, &camera, &settings).expect("linked forward");
    let b = host::forward(&loaded, &scene, &camera, &settings).expect("loaded forward");
    assert!(a.color.iter().any(|c| *c > 0.1), "the scene is visible");
    assert_eq!((&a.color, &a.radii, &a.depth, &a.alpha), (&b.color, &b.radii, &b.depth, &b.alpha));
    let up = vec![1.0; a.color.len()];
    let upstream = Upstream { color: Some(&up), ..Upstream::default() };
    let ga = host::backward(&*cpu(), &scene, &camera, &settings, &a, &upstream).expect("linked backward");
    let gb = host::backward(&loaded, &scene, &camera, &settings, &b, &upstream).expect("loaded backward");
    assert!(ga.means3d.iter().any(|g| *g != 0.0), "gradients are not all zero");
    assert_eq!((ga.means3d, ga.scales, ga.rotations), (gb.means3d, gb.scales, gb.rotations));
}

#[test]
fn something_that_is_no_engine_is_refused_by_name() {
    let missing = LoadedEngine::open("no/such/engine.so".as_ref()).expect_err("nothing there");
    assert!(matches!(missing, LoadError::Open { .. }) && missing.to_string().contains("no/such/engine.so"));
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (c, so) = (dir.path().join("other.c"), dir.path().join("other.so"));
    std::fs::write(&c, "unsigned splat_engine_abi_version(void) { return 99; }").expect("written");
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let built = std::process::Command::new(cc).args(["-shared", "-fPIC", "-o"]).arg(&so).arg(&c).status();
    assert!(built.expect("a C compiler").success());
    let other = LoadedEngine::open(&so).expect_err("it lacks most functions");
    assert!(matches!(other, LoadError::Symbol { symbol: "splat_engine_capabilities", .. }), "{other}");
}

/// What the allocator gave; boxed, so that its address holds while a `Call` moves.
#[derive(Default)]
struct Blocks(Vec<Vec<u64>>);

/// A forward call whose members a test may spoil.
struct Call {
    args: abi::ForwardArgs,
    view: abi::Camera,
    color: Vec<f32>,
    _radii: Vec<i32>,
    _camera: Camera,
    _background: Box<[f32; 3]>,
    _blocks: Box<Blocks>,
}

unsafe extern "C" fn alloc(user: *mut c_void, _kind: u32, bytes: u64) -> *mut c_void {
    // SAFETY: `user` is the boxed list of `Call::new`.
    let Blocks(blocks) = unsafe { &mut *user.cast::<Blocks>() };
    blocks.push(vec![0; bytes as usize / 8 + 64]);
    let at = blocks.last_mut().expect("just pushed").as_mut_ptr();
    // SAFETY: 512 spare bytes were allocated, so an aligned address lies inside.
    unsafe { at.cast::<u8>().add(at.cast::<u8>().align_offset(256)).cast() }
}

unsafe extern "C" fn no_memory(_user: *mut c_void, _kind: u32, _bytes: u64) -> *mut c_void {
    std::ptr::null_mut()
}

impl Call {
    fn new(blob: &Blob) -> Self {
        let camera = camera();
        let (w, h, p) = (camera.width as usize, camera.height as usize, blob.opacities.len());
        let mut color = vec![f32::NAN; 3 * w * h];
        let mut radii = vec![-1; p];
        let background = Box::new([0.0_f32; 3]);
        let mut blocks: Box<Blocks> = Box::default();
        let input = |v: &Vec<f32>, n: i64| abi::In::contiguous(v.as_ptr(), &[p as i64, n]);
        let args = abi::ForwardArgs {
            context: abi::Context {
                alloc: Some(alloc),
                user: std::ptr::from_mut(&mut *blocks).cast(),
                ..abi::Context::EMPTY
            },
            camera_count: 1,
            gaussians: abi::Gaussians {
                count: p as i64,
                means3d: input(&blob.means3d, 3),
                opacities: abi::In::contiguous(blob.opacities.as_ptr(), &[p as i64]),
                colors: input(&blob.colors, 3),
                scales: input(&blob.scales, 3),
                rotations: input(&blob.rotations, 4),
                ..abi::Gaussians::EMPTY
            },
            settings: abi::Settings { background: background.as_ptr(), ..abi::Settings::EMPTY },
            color: color.as_mut_ptr(),
            radii: radii.as_mut_ptr(),
            ..abi::ForwardArgs::EMPTY
        };
        let view = abi::Camera {
            width: w as i32,
            height: h as i32,
            tan_fovx: camera.tan_fovx,
            tan_fovy: camera.tan_fovy,
            ..abi::Camera::EMPTY
        };
        Self { args, view, color, _radii: radii, _camera: camera, _background: background, _blocks: blocks }
    }

    fn run(&mut self) -> Result<(), EngineError> {
        self.view.view = self._camera.view.as_ptr();
        self.view.proj = self._camera.proj.as_ptr();
        self.view.campos = self._camera.campos.as_ptr();
        self.args.cameras = &raw const self.view;
        // SAFETY: every pointer set by `new` and above is valid; tests null or resize only what must be refused.
        unsafe { cpu().forward(&mut self.args) }
    }
}

fn refusal(spoil: impl FnOnce(&mut abi::ForwardArgs, &mut abi::Camera)) -> String {
    let blob = Blob::new(3);
    let mut call = Call::new(&blob);
    spoil(&mut call.args, &mut call.view);
    call.run().expect_err("the call is refused").to_string()
}

#[test]
fn wrong_calls_are_refused_with_the_two_values() {
    let has = |text: String, parts: &[&str]| {
        assert!(parts.iter().all(|p| text.contains(p)), "`{text}` should name {parts:?}");
    };
    has(refusal(|a, _| a.struct_size = 8), &["splat_forward_args.struct_size", "8"]);
    has(refusal(|_, c| c.struct_size = 4), &["splat_camera.struct_size", "4"]);
    has(refusal(|a, _| a.gaussians.count = -1), &["count", "-1"]);
    has(refusal(|a, _| a.gaussians.count = i64::MAX), &["count", "2^48"]);
    has(refusal(|_, c| c.width = 0), &["0x23"]);
    has(refusal(|a, _| a.settings.sh_degree = -2), &["sh_degree", "-2"]);
    has(refusal(|a, _| a.color = std::ptr::null_mut()), &["`color` is NULL"]);
    has(refusal(|a, _| a.gaussians.colors = abi::In::ABSENT), &["`sh` and `colors`", "none"]);
    has(refusal(|a, _| a.gaussians.cov3d = a.gaussians.scales), &["`cov3d`", "both"]);
    has(refusal(|a, _| a.settings.background = std::ptr::null()), &["`background` is NULL"]);
}

#[test]
fn an_allocator_without_memory_is_an_error_and_not_a_crash() {
    let blob = Blob::new(3);
    let mut call = Call::new(&blob);
    call.args.context.alloc = Some(no_memory);
    let error = call.run().expect_err("no memory");
    assert!(matches!(error, EngineError::OutOfMemory(_)), "{error}");
    call.args.context.alloc = None;
    assert!(matches!(call.run(), Err(EngineError::InvalidArgument(_))));
}

#[test]
fn strides_do_not_change_a_bit() {
    let blob = Blob::new(50);
    let mut dense = Call::new(&blob);
    dense.run().expect("contiguous inputs");
    // The same means, transposed in memory; scales reversed in memory under a negative stride; one opacity for all
    // under stride zero against fifty equal ones.
    let p = 50;
    let means_t: Vec<f32> =
        (0..3).flat_map(|k| (0..p).map(move |i| (i, k))).map(|(i, k)| blob.means3d[3 * i + k]).collect();
    let scales_r: Vec<f32> = blob.scales.iter().rev().copied().collect();
    let mut strided = Call::new(&blob);
    strided.args.gaussians.means3d = abi::In { data: means_t.as_ptr(), stride: [1, p as i64, 0] };
    strided.args.gaussians.scales = abi::In { data: &raw const scales_r[3 * p - 1], stride: [-3, -1, 0] };
    strided.run().expect("strided inputs");
    assert_eq!(dense.color, strided.color);
    let flat = Blob { opacities: vec![0.3; p], ..Blob::new(p) };
    let (mut many, mut one) = (Call::new(&flat), Call::new(&flat));
    one.args.gaussians.opacities = abi::In { data: flat.opacities.as_ptr(), stride: [0; 3] };
    many.run().expect("fifty opacities");
    one.run().expect("one opacity");
    assert_eq!(many.color, one.color);
    assert_ne!(many.color, dense.color);
}

#[test]
fn no_splats_give_the_background() {
    let empty = Blob::new(0);
    let settings = Settings { background: [0.1, 0.2, 0.3], ..Settings::default() };
    let r = host::forward(&*cpu(), &empty.scene(), &camera(), &settings).expect("P = 0 is legal");
    let plane = r.color.len() / 3;
    for (c, value) in settings.background.into_iter().enumerate() {
        assert!(r.color[c * plane..(c + 1) * plane].iter().all(|x| *x == value));
    }
    assert_eq!(r.pairs(), 0);
    let up = vec![1.0; 3 * plane];
    let upstream = Upstream { color: Some(&up), ..Upstream::default() };
    let g = host::backward(&*cpu(), &empty.scene(), &camera(), &settings, &r, &upstream).expect("P = 0");
    assert!(g.means3d.is_empty());
}

#[test]
fn upstream_gradients_of_another_size_are_refused() {
    let blob = Blob::new(3);
    let settings = Settings::default();
    let r = host::forward(&*cpu(), &blob.scene(), &camera(), &settings).expect("forward");
    let wrong = vec![0.0; 5];
    let upstream = Upstream { color: Some(&wrong), ..Upstream::default() };
    let e =
        host::backward(&*cpu(), &blob.scene(), &camera(), &settings, &r, &upstream).expect_err("5 numbers");
    assert!(e.to_string().contains('5') && e.to_string().contains("3x23x37"), "{e}");
}
