//! Engines that fail: their text reaches the caller, in render and in backward, and a panic ends nothing.

use crate::common::engines::{Hooked, hooked};
use crate::common::{Scene, camera_on};
use splat_engine::EngineError;
use splat_tch::{Error, Settings, render};
use tch::{Device, Kind};

fn with(engine: Hooked) -> Settings {
    Settings { backend: Some(engine.backend()), ..Settings::default() }
}

/// Renders; if that works, the text of backward's error.
fn outcome(settings: &Settings) -> Result<String, Error> {
    let scene = Scene::new(5);
    let got = render(&scene.gaussians(true, false), &camera_on(Device::Cpu), settings)?;
    let text = got.color.sum(Kind::Float).f_backward().unwrap_err().to_string();
    assert!(!scene.leaves.means3d.grad().defined(), "a failed backward leaves no gradient");
    Ok(text)
}

/// After a failure everything still works.
fn still_works() {
    let scene = Scene::new(5);
    let got = render(&scene.gaussians(true, false), &camera_on(Device::Cpu), &Settings::default()).unwrap();
    got.color.sum(Kind::Float).backward();
}

#[test]
fn an_engines_error_reaches_the_caller_of_render_as_it_is() {
    let mut engine = hooked();
    engine.forward = Box::new(|_| Err(EngineError::Device("kernel `preprocess`: it was raining".into())));
    match outcome(&with(engine)) {
        Err(Error::Engine { engine, reason: EngineError::Device(text) }) => {
            assert_eq!((engine.as_str(), text.as_str()), ("hooked", "kernel `preprocess`: it was raining"));
        }
        other => panic!("{other:?}"),
    }
    still_works();
}

#[test]
fn an_engines_error_in_backward_reaches_the_caller_of_backward() {
    let mut engine = hooked();
    engine.backward = Box::new(|_| Err(EngineError::Device("kernel `blend`: it was raining".into())));
    let text = outcome(&with(engine)).unwrap();
    assert!(text.contains("engine `hooked`: kernel `blend`: it was raining"), "{text}");
    still_works();
}

#[test]
fn an_engines_panic_is_an_error() {
    let mut engine = hooked();
    engine.forward = Box::new(|_| panic!("index {} out of range", 7));
    let text = outcome(&with(engine)).unwrap_err().to_string();
    assert!(text.contains("engine `hooked` panicked: index 7 out of range"), "{text}");

    let mut engine = hooked();
    engine.backward = Box::new(|_| panic!("index {} out of range", 8));
    let text = outcome(&with(engine)).unwrap();
    assert!(text.contains("engine `hooked` panicked: index 8 out of range"), "{text}");
    still_works();
}

#[test]
fn a_background_that_is_not_a_number_is_refused_with_the_engines_sentence() {
    let settings = Settings { background: [0.1, f32::NAN, 0.3].into(), ..Settings::default() };
    let scene = Scene::new(5);
    let text = render(&scene.gaussians(true, false), &camera_on(Device::Cpu), &settings).unwrap_err();
    let text = text.to_string();
    assert!(text.starts_with("engine `cpu`: `bg`[1] is NaN"), "{text}");
}
