//! Rendering in stages is rendering: the same images bit for bit and the same gradients, also when the records come
//! from several calls. And the channels that have a number per Gaussian.
#![expect(unsafe_code, reason = "calls the ABI as a C program would")]

mod support;

use std::ptr::{null, null_mut};

use splat_core::{Camera, Channel, Gradients, Scene, Settings, Tuning, Wanted};
use splat_cpu::host;
use splat_engine::{Engine, EngineError, abi};

use support::both;
use support::call::{Blocks, context};
use support::rich::{CHANNELS, Rich, Up, cameras, settings};

const W: usize = 37;
const H: usize = 23;

/// Cameras, Gaussians and settings in the header's terms.
struct Given<'a> {
    cameras: Vec<abi::Camera>,
    gaussians: abi::Gaussians,
    settings: abi::Settings,
    blob: &'a Rich,
}

impl<'a> Given<'a> {
    /// Gaussians `from` to `to` of the blob.
    fn new(blob: &'a Rich, range: std::ops::Range<usize>, cameras: &[Camera], settings: &Settings) -> Self {
        let p = range.len() as i64;
        let input = |v: &[f32], shape: &[i64]| {
            let each: i64 = shape.iter().product();
            let shape: Vec<i64> = std::iter::once(p).chain(shape.iter().copied()).collect();
            abi::In::contiguous(v[range.start * each as usize..].as_ptr(), &shape)
        };
        let view = |c: &Camera| abi::Camera {
            width: W as i32,
            height: H as i32,
            tan_fovx: c.tan_fovx,
            tan_fovy: c.tan_fovy,
            view: c.view.as_ptr(),
            proj: c.proj.as_ptr(),
            campos: c.campos.as_ptr(),
            ..abi::Camera::EMPTY
        };
        Self {
            cameras: cameras.iter().map(view).collect(),
            gaussians: abi::Gaussians {
                count: p,
                sh_coeffs: 4,
                // Stages do not read it here.
                feature_count: CHANNELS as i64,
                means3d: input(&blob.means3d, &[3]),
                opacities: input(&blob.opacities, &[]),
                sh: input(&blob.sh, &[1, 3]),
                sh_rest: input(&blob.sh_rest, &[3, 3]),
                scales: input(&blob.scales, &[3]),
                rotations: input(&blob.rotations, &[4]),
                ..abi::Gaussians::EMPTY
            },
            settings: abi::Settings {
                flags: abi::EXACT | abi::RAW,
                background: settings.background.as_ptr(),
                scale_modifier: settings.scale_modifier,
                sh_degree: settings.sh_degree as i32,
                ..abi::Settings::EMPTY
            },
            blob,
        }
    }

    /// `[C,P]` records.
    fn project(&self, engine: &dyn Engine) -> Vec<abi::Record> {
        let mut records = vec![abi::Record::EMPTY; self.cameras.len() * self.gaussians.count as usize];
        let context = abi::Context::EMPTY;
        let args = abi::ProjectArgs {
            camera_count: self.cameras.len() as u32,
            context: &raw const context,
            cameras: self.cameras.as_ptr(),
            gaussians: &raw const self.gaussians,
            settings: &raw const self.settings,
            records: records.as_mut_ptr(),
            ..abi::ProjectArgs::EMPTY
        };
        // SAFETY: arrays of the extents that the header states.
        unsafe { engine.project(&args) }.expect("project");
        records
    }

    fn rasterize(&self, engine: &dyn Engine, records: &[abi::Record]) -> Images {
        let (c, n) = (self.cameras.len(), records.len() / self.cameras.len());
        let pixels = c * W * H;
        let mut out = Images {
            color: vec![f32::NAN; 3 * pixels],
            depth: vec![f32::NAN; pixels],
            features: vec![f32::NAN; CHANNELS * pixels],
            saved: abi::Saved::EMPTY,
            blocks: Box::default(),
        };
        let channel = |source, data: &mut Vec<f32>| abi::Channel {
            source,
            data: data.as_mut_ptr(),
            ..abi::Channel::EMPTY
        };
        let channels = [
            channel(abi::FEATURES, &mut out.features),
            channel(abi::COLOR, &mut out.color),
            channel(abi::DEPTH, &mut out.depth),
        ];
        let context = context(&mut out.blocks);
        let args = abi::RasterizeArgs {
            context: &raw const context,
            channel_count: 3,
            channels: channels.as_ptr(),
            saved: &raw mut out.saved,
            ..self.rasterize_args(records, n)
        };
        // SAFETY: as above.
        unsafe { engine.rasterize(&args) }.expect("rasterize");
        out
    }

    fn rasterize_args(&self, records: &[abi::Record], n: usize) -> abi::RasterizeArgs {
        let f = CHANNELS as i64;
        abi::RasterizeArgs {
            image_count: self.cameras.len() as u32,
            width: W as i32,
            height: H as i32,
            count: n as i64,
            feature_count: f,
            settings: &raw const self.settings,
            records: records.as_ptr(),
            // All images share them.
            features: abi::In { data: self.blob.features.as_ptr(), stride: [0, f, 1] },
            ..abi::RasterizeArgs::EMPTY
        }
    }

    /// Gradients of every input, features and background among them.
    fn backward(
        &self,
        engine: &dyn Engine,
        records: &[abi::Record],
        images: &mut Images,
        up: &Up,
    ) -> Gradients {
        let (c, p) = (self.cameras.len(), self.gaussians.count as usize);
        let mut record_gradients = vec![abi::RecordGradient::EMPTY; c * p];
        let mut features = vec![f32::NAN; c * p * CHANNELS];
        let mut out = Gradients {
            means3d: vec![f32::NAN; 3 * p],
            means2d: vec![f32::NAN; 3 * c * p],
            means2d_abs: vec![f32::NAN; 2 * c * p],
            opacities: vec![f32::NAN; p],
            sh: vec![f32::NAN; 3 * p],
            sh_rest: vec![f32::NAN; 9 * p],
            colors: vec![f32::NAN; 3 * p],
            scales: vec![f32::NAN; 3 * p],
            rotations: vec![f32::NAN; 4 * p],
            cov3d: vec![f32::NAN; 6 * p],
            ..Gradients::default()
        };
        let channel = |source, gradient: &Vec<f32>| abi::Channel {
            source,
            gradient: gradient.as_ptr(),
            ..abi::Channel::EMPTY
        };
        let channels = [
            channel(abi::COLOR, &up.color),
            channel(abi::DEPTH, &up.depth),
            channel(abi::FEATURES, &up.features),
        ];
        let context = abi::Context::EMPTY;
        let args = abi::RasterizeArgs {
            absolute: 1,
            context: &raw const context,
            channel_count: 3,
            channels: channels.as_ptr(),
            saved: &raw mut images.saved,
            record_gradients: record_gradients.as_mut_ptr(),
            feature_gradients: features.as_mut_ptr(),
            background_gradient: out.background.as_mut_ptr(),
            ..self.rasterize_args(records, p)
        };
        // SAFETY: as above; `saved` is what `rasterize` left.
        unsafe { engine.rasterize_backward(&args) }.expect("rasterize_backward");
        out.features =
            (0..p * CHANNELS).map(|i| features.iter().skip(i).step_by(p * CHANNELS).sum()).collect();
        let mut poses = vec![[f32::NAN; 16]; c];
        let gradients = abi::Gradients {
            means3d: out.means3d.as_mut_ptr(),
            means2d: out.means2d.as_mut_ptr(),
            means2d_abs: out.means2d_abs.as_mut_ptr(),
            opacities: out.opacities.as_mut_ptr(),
            sh: out.sh.as_mut_ptr(),
            sh_rest: out.sh_rest.as_mut_ptr(),
            colors: out.colors.as_mut_ptr(),
            scales: out.scales.as_mut_ptr(),
            rotations: out.rotations.as_mut_ptr(),
            cov3d: out.cov3d.as_mut_ptr(),
            view: poses.as_mut_ptr().cast(),
            ..abi::Gradients::EMPTY
        };
        self.project_backward(engine, records, &record_gradients, &gradients).expect("project_backward");
        out.view = poses[0];
        out
    }

    fn project_backward(
        &self,
        engine: &dyn Engine,
        records: &[abi::Record],
        record_gradients: &[abi::RecordGradient],
        gradients: &abi::Gradients,
    ) -> Result<(), EngineError> {
        let context = abi::Context::EMPTY;
        let args = abi::ProjectBackwardArgs {
            camera_count: self.cameras.len() as u32,
            context: &raw const context,
            cameras: self.cameras.as_ptr(),
            gaussians: &raw const self.gaussians,
            settings: &raw const self.settings,
            records: records.as_ptr(),
            record_gradients: record_gradients.as_ptr(),
            gradients,
            ..abi::ProjectBackwardArgs::EMPTY
        };
        // SAFETY: as above.
        unsafe { engine.project_backward(&args) }
    }
}

struct Images {
    color: Vec<f32>,
    depth: Vec<f32>,
    features: Vec<f32>,
    saved: abi::Saved,
    blocks: Box<Blocks>,
}

/// `a` is `b` but for what rounding record gradients to f32 costs.
fn near(name: &str, a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "{name}");
    let largest = b.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    assert!(largest > 0.0, "{name} is not all zero");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 1e-5 * largest, "{name}[{i}]: {a} and {b}, the largest is {largest}");
    }
}

#[test]
fn stages_render_what_the_whole_call_renders() {
    let (blob, cameras, settings, up) = (Rich::new(40), cameras(), settings(), Up::new(3));
    for engine in both() {
        let scene = blob.scene();
        let whole = host::forward_batch(&*engine, &scene, &cameras, &settings, None).expect("whole");
        let (expected, _) =
            host::backward_batch(&*engine, &scene, &cameras, &settings, &whole, &up.of(None)).expect("whole");
        let given = Given::new(&blob, 0..40, &cameras, &settings);
        let records = given.project(&*engine);
        let radii: Vec<i32> = records.iter().map(|r| r.radius).collect();
        assert_eq!(radii, whole.radii);
        let mut images = given.rasterize(&*engine, &records);
        assert_eq!((&images.color, Some(&images.depth)), (&whole.color, whole.depth.as_ref()));
        assert_eq!(Some(&images.features), whole.features.as_ref());
        assert_eq!((images.saved.rendered, images.saved.rejected), (whole.pairs(), 0));
        let found = given.backward(&*engine, &records, &mut images, &up);
        near("means3d", &found.means3d, &expected.means3d);
        near("means2d", &found.means2d, &expected.means2d);
        near("means2d_abs", &found.means2d_abs, &expected.means2d_abs);
        near("opacities", &found.opacities, &expected.opacities);
        near("sh", &found.sh, &expected.sh);
        near("sh_rest", &found.sh_rest, &expected.sh_rest);
        near("colors", &found.colors, &expected.colors);
        near("scales", &found.scales, &expected.scales);
        near("rotations", &found.rotations, &expected.rotations);
        near("cov3d", &found.cov3d, &expected.cov3d);
        near("features", &found.features, &expected.features);
        near("background", &found.background, &expected.background);
        near("view", &found.view, &expected.view);
    }
}

#[test]
fn records_of_two_engines_make_one_image() {
    let (blob, settings) = (Rich::new(40), settings());
    let cameras = &cameras()[..1];
    let [one, other] = both();
    let whole = host::forward_batch(&*one, &blob.scene(), cameras, &settings, None).expect("whole");
    let first = Given::new(&blob, 0..25, cameras, &settings);
    let second = Given::new(&blob, 25..40, cameras, &settings);
    let records = [first.project(&*one), second.project(&*other)].concat();
    let images = first.rasterize(&*other, &records);
    assert_eq!((&images.color, Some(&images.features)), (&whole.color, whole.features.as_ref()));
}

#[test]
fn stages_refuse_what_is_not_theirs() {
    let (blob, settings) = (Rich::new(3), settings());
    let cameras = &cameras()[..1];
    let given = Given::new(&blob, 0..3, cameras, &settings);
    let mut number = [0.0_f32; 9];
    for engine in both() {
        let records = given.project(&*engine);
        let none = vec![abi::RecordGradient::EMPTY; 3];
        let gradients = abi::Gradients { background: number.as_mut_ptr(), ..abi::Gradients::EMPTY };
        let error = given.project_backward(&*engine, &records, &none, &gradients).expect_err("not here");
        assert!(error.to_string().contains("`gradients.background` must be NULL"), "{error}");
        let context = abi::Context::EMPTY;
        let mut args = abi::RasterizeArgs {
            context: &raw const context,
            records: null(),
            ..given.rasterize_args(&records, 3)
        };
        // SAFETY: refused before anything is read.
        let error = unsafe { engine.rasterize(&args) }.expect_err("no records");
        assert!(error.to_string().contains("`records` is NULL"), "{error}");
        args.image_count = 33;
        // SAFETY: as above.
        let error = unsafe { engine.rasterize(&args) }.expect_err("too many images");
        assert!(error.to_string().contains("`image_count` is 33"), "{error}");
    }
}

/// The three channels per Gaussian, and alpha.
fn weights(engine: &dyn Engine, given: &Given, image: &[f32]) -> [Vec<f32>; 4] {
    let (c, p) = (given.cameras.len(), given.gaussians.count as usize);
    let mut out = [c * p, c * p, c * p, c * W * H].map(|n| vec![f32::NAN; n]);
    let sources = [abi::WEIGHT_SUM, abi::WEIGHT_MAX, abi::WEIGHT_IMAGE, abi::ALPHA];
    let mut channels = Vec::new();
    for (source, data) in sources.into_iter().zip(&mut out) {
        let image = if source == abi::WEIGHT_IMAGE { image.as_ptr() } else { null() };
        channels.push(abi::Channel { source, data: data.as_mut_ptr(), image, ..abi::Channel::EMPTY });
    }
    let gaussians = abi::Gaussians { feature_count: 0, ..given.gaussians };
    let settings = abi::Settings { flags: given.settings.flags | abi::FORWARD_ONLY, ..given.settings };
    let (context, mut saved, mut radii) = (abi::Context::EMPTY, abi::Saved::EMPTY, vec![-1; c * p]);
    let args = abi::ForwardArgs {
        camera_count: c as u32,
        channel_count: 4,
        context: &raw const context,
        cameras: given.cameras.as_ptr(),
        gaussians: &raw const gaussians,
        settings: &raw const settings,
        channels: channels.as_ptr(),
        radii: radii.as_mut_ptr(),
        saved: &raw mut saved,
        ..abi::ForwardArgs::EMPTY
    };
    // SAFETY: as above.
    unsafe { engine.forward(&args) }.expect("weights");
    out
}

#[test]
fn weights_arrive_per_camera_and_gaussian() {
    let (blob, cameras, settings) = (Rich::new(40), cameras(), settings());
    let image: Vec<f32> = (0..3 * W * H).map(|i| (i as f32 * 0.1).sin()).collect();
    let scene = Scene { features: Default::default(), ..blob.scene() };
    for engine in both() {
        let given = Given::new(&blob, 0..40, &cameras, &settings);
        let [sum, max, of_image, alpha] = weights(&*engine, &given, &image);
        for (i, camera) in cameras.iter().enumerate() {
            let part = &image[i * W * H..(i + 1) * W * H];
            let wanted = Wanted::nothing().and(Channel::WeightSum).and(Channel::WeightMax);
            let wanted = wanted.and_weight_image(part);
            let truth = splat_core::forward_with(&scene, camera, &settings, &wanted, &Tuning::default())
                .expect("the core")
                .outputs;
            let own = 40 * i..40 * (i + 1);
            assert_eq!(sum[own.clone()], truth[Channel::WeightSum]);
            assert_eq!(max[own.clone()], truth[Channel::WeightMax]);
            assert_eq!(of_image[own.clone()], truth[Channel::WeightImage]);
            let (gaussians, pixels): (f32, f32) =
                (sum[own].iter().sum(), alpha[i * W * H..(i + 1) * W * H].iter().sum());
            assert!((gaussians - pixels).abs() < 1e-3 * pixels && pixels > 1.0, "{gaussians}, {pixels}");
        }
        let one = vec![1.0; 3 * W * H];
        let [sum, _, of_ones, _] = weights(&*engine, &given, &one);
        assert_eq!(sum, of_ones);
    }
}

#[test]
fn a_gradient_for_a_channel_that_has_none_is_refused() {
    let (blob, settings) = (Rich::new(3), settings());
    let cameras = &cameras()[..1];
    let given = Given::new(&blob, 0..3, cameras, &settings);
    for engine in both() {
        let records = given.project(&*engine);
        let mut images = given.rasterize(&*engine, &records);
        let gradient = [1.0_f32; 3];
        let channel =
            abi::Channel { source: abi::WEIGHT_SUM, gradient: gradient.as_ptr(), ..abi::Channel::EMPTY };
        let context = abi::Context::EMPTY;
        let args = abi::RasterizeArgs {
            context: &raw const context,
            channel_count: 1,
            channels: &raw const channel,
            saved: &raw mut images.saved,
            record_gradients: null_mut(),
            ..given.rasterize_args(&records, 3)
        };
        // SAFETY: as above.
        let error = unsafe { engine.rasterize_backward(&args) }.expect_err("no gradient");
        assert!(error.to_string().contains("channel `WeightSum`, which has none"), "{error}");
    }
}
