//! The weights per Gaussian are those with which it contributes to the pixels: a feature that only one Gaussian has, rendered,
//! is that Gaussian's weight in every pixel.

use crate::common::{HEIGHT, Random, Scene, WIDTH, camera, camera_on, numbers};
use splat_tch::{Camera, Settings, render, render_batch};
use tch::{Device, Kind, Tensor};

const P: i64 = 30;

fn settings(image: Tensor) -> Settings {
    Settings { weight_sum: true, weight_max: true, weight_image: Some(image), ..Settings::default() }
}

fn image(cameras: &[i64]) -> Tensor {
    let shape: Vec<i64> = cameras.iter().copied().chain([HEIGHT.into(), WIDTH.into()]).collect();
    let n = shape.iter().product::<i64>() as usize;
    Tensor::from_slice(&Random::new(5).vec(n)).view(shape.as_slice())
}

fn close(name: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.size(), expected.size(), "{name}");
    let off = (found - expected).abs().max().double_value(&[]);
    let largest = expected.abs().max().double_value(&[]);
    assert!(off < 1e-5 * largest && largest > 0.0, "{name}: off by {off} of {largest}");
}

#[test]
fn weights_are_what_a_feature_of_one_gaussian_shows() {
    let scene = Scene::new(P as usize);
    let own = Tensor::eye(P, (Kind::Float, Device::Cpu));
    let image = image(&[]);
    let gaussians = scene.gaussians(true, false).features(&own);
    let got = render(&gaussians, &camera_on(Device::Cpu), &settings(image.shallow_clone())).unwrap();
    // [P,H*W]
    let weights = got.features.as_ref().unwrap().detach().view([P, -1]);
    let sum = |t: Tensor| t.sum_dim_intlist([1_i64].as_slice(), false, Kind::Float);
    close("weight_sum", got.weight_sum.as_ref().unwrap(), &sum(weights.shallow_clone()));
    close("weight_max", got.weight_max.as_ref().unwrap(), &weights.max_dim(1, false).0);
    close("weight_image", got.weight_image.as_ref().unwrap(), &sum(&weights * image.view([1, -1])));
    for weights in [&got.weight_sum, &got.weight_max, &got.weight_image] {
        assert!(!weights.as_ref().unwrap().requires_grad(), "weights have no gradient");
    }
    got.color.sum(Kind::Float).backward();
    assert!(numbers(&scene.leaves.means3d.grad()).iter().any(|g| *g != 0.0), "the images still have theirs");
}

#[test]
fn every_camera_of_a_batch_has_its_own_weights() {
    let scene = Scene::new(P as usize);
    let [one, other] = [[0.3, -0.4, -4.0], [-1.0, 0.2, -3.5]].map(|eye| {
        let model = splat_tch::CameraModel::look_at(WIDTH, HEIGHT, 50.0, eye, [0.0; 3], [0.0, -1.0, 0.0]);
        Camera::new(model, Device::Cpu).unwrap()
    });
    let images = image(&[2]);
    let gaussians = splat_tch::Gaussians { means2d: None, ..scene.gaussians(true, false) };
    let both = render_batch(&gaussians, &[&one, &other], &settings(images.shallow_clone())).unwrap();
    for (i, camera) in [&one, &other].into_iter().enumerate() {
        let i = i as i64;
        let alone = render(&gaussians, camera, &settings(images.get(i))).unwrap();
        for (batch, alone) in [
            (&both.weight_sum, &alone.weight_sum),
            (&both.weight_max, &alone.weight_max),
            (&both.weight_image, &alone.weight_image),
        ] {
            close("camera", &batch.as_ref().unwrap().get(i), alone.as_ref().unwrap());
        }
    }
}

#[test]
fn nothing_is_asked_for_unasked_and_images_of_other_sizes_are_refused() {
    let scene = Scene::new(5);
    let gaussians = scene.gaussians(true, false);
    let got = render(&gaussians, &camera_on(Device::Cpu), &Settings::default()).unwrap();
    assert!(got.weight_sum.is_none() && got.weight_max.is_none() && got.weight_image.is_none());
    let small = Tensor::zeros([3, 4], (Kind::Float, Device::Cpu));
    let text = render(&gaussians, &Camera::new(camera(), Device::Cpu).unwrap(), &settings(small));
    let text = text.unwrap_err().to_string();
    assert!(text.contains("`weight_image` has shape [3, 4]") && text.contains("[29, 37]"), "{text}");
    let empty = Scene::new(0);
    let got = render(&empty.gaussians(true, false), &camera_on(Device::Cpu), &settings(image(&[]))).unwrap();
    assert_eq!(got.weight_sum.unwrap().size(), [0]);
}
