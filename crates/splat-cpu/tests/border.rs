//! The C border of the CPU engine: the same numbers through the trait, through the C library and with any
//! strides; wrong calls refused by name; nothing crosses it as a panic.
mod support;

use splat_core::{Settings, Upstream};
use splat_cpu::{engine, host};
use splat_engine::{Engine, EngineError, LoadError, TableEngine, abi};

use support::blob::{Blob, camera};
use support::call::{Call, no_memory};
use support::{c_library, library};

#[test]
fn a_loaded_library_answers_as_the_linked_engine_bit_for_bit() {
    let loaded = TableEngine::open(library()).expect("the cdylib is an engine");
    assert_eq!(loaded.capabilities(), engine().capabilities());
    let blob = Blob::new(40);
    let (scene, camera, settings) = (blob.scene(), camera(), Settings::default());
    let a = host::forward(&*engine(), &scene, &camera, &settings).expect("linked forward");
    let b = host::forward(&loaded, &scene, &camera, &settings).expect("loaded forward");
    assert!(a.color.iter().any(|c| *c > 0.1), "the scene is visible");
    assert_eq!((&a.color, &a.radii, &a.depth, &a.alpha), (&b.color, &b.radii, &b.depth, &b.alpha));
    let up = vec![1.0; a.color.len()];
    let upstream = Upstream { color: Some(&up), ..Upstream::default() };
    let ga = host::backward(&*engine(), &scene, &camera, &settings, &a, &upstream).expect("linked backward");
    let gb = host::backward(&loaded, &scene, &camera, &settings, &b, &upstream).expect("loaded backward");
    assert!(ga.means3d.iter().any(|g| *g != 0.0), "gradients are not all zero");
    assert_eq!((ga.means3d, ga.scales, ga.rotations), (gb.means3d, gb.scales, gb.rotations));
}

#[test]
fn something_that_is_no_engine_is_refused_by_name() {
    let missing = TableEngine::open("no/such/engine.so").expect_err("nothing there");
    assert!(matches!(missing, LoadError::Open { .. }) && missing.to_string().contains("no/such/engine.so"));
    let dir = tempfile::tempdir().expect("a temporary folder");
    let refused = |name: &str, source: &str| {
        let library = c_library(dir.path(), name, source);
        let error = TableEngine::open(&library).expect_err("no engine of ours");
        assert!(error.to_string().contains(name), "{error}");
        error
    };
    let other = refused("other", "int answer(void) { return 42; }");
    assert!(matches!(other, LoadError::Symbol { .. }), "{other}");
    let newer = refused(
        "newer",
        "static const unsigned table[2] = {8, 0}; \
         const void *splat_engine_get(unsigned id, unsigned version) { return version == 9 ? table : 0; }",
    );
    assert!(matches!(newer, LoadError::Abi { found: Some(9), expected: 4, .. }), "{newer}");
    let empty = refused(
        "empty",
        "static const unsigned table[2] = {8, 0}; \
         const void *splat_engine_get(unsigned id, unsigned version) { return version == 4 ? table : 0; }",
    );
    assert!(empty.to_string().contains("lacks `capabilities`"), "{empty}");
}

fn refusal(spoil: impl FnOnce(&mut Call)) -> String {
    let blob = Blob::new(3);
    let mut call = Call::new(&blob);
    spoil(&mut call);
    call.run(&*engine()).expect_err("the call is refused").to_string()
}

#[test]
fn wrong_calls_are_refused_with_the_two_values() {
    let has = |text: String, parts: &[&str]| {
        assert!(parts.iter().all(|p| text.contains(p)), "`{text}` should name {parts:?}");
    };
    has(refusal(|c| c.args.struct_size = 2), &["`args.struct_size` is 2", "72"]);
    has(refusal(|c| c.view.struct_size = 0), &["`cameras.struct_size` is 0", "48"]);
    has(refusal(|c| c.gaussians.count = -1), &["count", "-1"]);
    has(refusal(|c| c.gaussians.count = i64::MAX), &["count", "2^48"]);
    has(refusal(|c| c.view.width = 0), &["0x23"]);
    has(refusal(|c| c.settings.sh_degree = -2), &["sh_degree", "-2"]);
    has(refusal(|c| c.settings.flags = 1 << 20), &["`settings.flags` is 0x100000", "0x3f"]);
    has(refusal(|c| c.channel.data = std::ptr::null_mut()), &["channel `Color` is NULL"]);
    has(refusal(|c| c.channel.source = 8), &["`channels[0].source` is 8", "0 to 7"]);
    has(refusal(|c| c.channel.image = c.channel.data), &["`channels[0].image` is given", "source 7"]);
    has(refusal(|c| c.channel.source = abi::WEIGHT_IMAGE), &["`channels[0].image` is NULL"]);
    has(refusal(|c| c.gaussians.colors = abi::In::EMPTY), &["`sh` and `colors`", "none"]);
    has(refusal(|c| c.gaussians.cov3d = c.gaussians.scales), &["`cov3d`", "both"]);
    has(refusal(|c| c.settings.background = std::ptr::null()), &["`background` is NULL"]);
    has(refusal(|c| c.no_context = true), &["`context` is NULL", "splat_context"]);
    has(refusal(|c| c.twice = true), &["`channels[1].source` is 0", "twice"]);
}

#[test]
fn an_allocator_without_memory_is_an_error_and_not_a_crash() {
    let blob = Blob::new(3);
    let mut call = Call::new(&blob);
    call.context.alloc = Some(no_memory);
    let error = call.run(&*engine()).expect_err("no memory");
    assert!(matches!(error, EngineError::OutOfMemory(_)), "{error}");
    call.context.alloc = None;
    assert!(matches!(call.run(&*engine()), Err(EngineError::InvalidArgument(_))));
}

#[test]
fn strides_do_not_change_a_bit() {
    let blob = Blob::new(50);
    let mut dense = Call::new(&blob);
    dense.run(&*engine()).expect("contiguous inputs");
    // The same means, transposed in memory; scales reversed in memory under a negative stride; one opacity for all
    // under stride zero against fifty equal ones.
    let p = 50;
    let means_t: Vec<f32> =
        (0..3).flat_map(|k| (0..p).map(move |i| (i, k))).map(|(i, k)| blob.means3d[3 * i + k]).collect();
    let scales_r: Vec<f32> = blob.scales.iter().rev().copied().collect();
    let mut strided = Call::new(&blob);
    strided.gaussians.means3d = abi::In { data: means_t.as_ptr(), stride: [1, p as i64, 0] };
    strided.gaussians.scales = abi::In { data: &raw const scales_r[3 * p - 1], stride: [-3, -1, 0] };
    strided.run(&*engine()).expect("strided inputs");
    assert_eq!(dense.color, strided.color);
    let flat = Blob { opacities: vec![0.3; p], ..Blob::new(p) };
    let (mut many, mut one) = (Call::new(&flat), Call::new(&flat));
    one.gaussians.opacities = abi::In { data: flat.opacities.as_ptr(), stride: [0; 3] };
    many.run(&*engine()).expect("fifty opacities");
    one.run(&*engine()).expect("one opacity");
    assert_eq!(many.color, one.color);
    assert_ne!(many.color, dense.color);
}

#[test]
fn no_gaussians_give_the_background() {
    let empty = Blob::new(0);
    let settings = Settings { background: [0.1, 0.2, 0.3], ..Settings::default() };
    let r = host::forward(&*engine(), &empty.scene(), &camera(), &settings).expect("P = 0 is legal");
    let plane = r.color.len() / 3;
    for (c, value) in settings.background.into_iter().enumerate() {
        assert!(r.color[c * plane..(c + 1) * plane].iter().all(|x| *x == value));
    }
    assert_eq!(r.pairs(), 0);
    let up = vec![1.0; 3 * plane];
    let upstream = Upstream { color: Some(&up), ..Upstream::default() };
    let g = host::backward(&*engine(), &empty.scene(), &camera(), &settings, &r, &upstream).expect("P = 0");
    assert!(g.means3d.is_empty());
}

#[test]
fn upstream_gradients_of_another_size_are_refused() {
    let blob = Blob::new(3);
    let settings = Settings::default();
    let r = host::forward(&*engine(), &blob.scene(), &camera(), &settings).expect("forward");
    let wrong = vec![0.0; 5];
    let upstream = Upstream { color: Some(&wrong), ..Upstream::default() };
    let e = host::backward(&*engine(), &blob.scene(), &camera(), &settings, &r, &upstream)
        .expect_err("5 numbers");
    assert!(e.to_string().contains('5') && e.to_string().contains("3x23x37"), "{e}");
}
