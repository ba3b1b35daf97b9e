//! Adam against a loop over single numbers; SSIM against a direct sum over the window and central differences.

use crate::random::Random;
use splat_core::{
    Adam, AdamTensor, Ssim, SsimShape, adam, photometric, photometric_backward, ssim, ssim_backward,
};

/// Ten steps, with rows that are visible now and then.
#[test]
fn adam_is_the_published_algorithm() {
    let (rows, width) = (700, 3);
    let mut r = Random(1);
    let mut param: Vec<f32> = r.list(rows * width, -1.0, 1.0);
    let (mut m, mut v) = (vec![0.0_f32; param.len()], vec![0.0_f32; param.len()]);
    let mut truth: Vec<[f64; 3]> = param.iter().map(|p| [f64::from(*p), 0.0, 0.0]).collect();
    for step in 1..=10 {
        let grad: Vec<f32> = r.list(param.len(), -1.0, 1.0);
        let visible: Vec<i32> = (0..rows).map(|i| ((i + step) % 3) as i32 * 4 - 4).collect();
        let seen = (step % 2 == 0).then_some(visible.as_slice());
        let with = Adam { step: step as u64, lr: 0.01_f32, beta1: 0.9, beta2: 0.999, eps: 1e-8 };
        let before = param.clone();
        let tensor =
            AdamTensor { param: &mut param, grad: &grad, exp_avg: &mut m, exp_avg_sq: &mut v, width };
        adam(tensor, seen, &with).expect("a step");
        for (i, [p, m, v]) in truth.iter_mut().enumerate() {
            if seen.is_some_and(|seen| seen[i / width] <= 0) {
                assert_eq!(param[i], before[i], "a row that is left alone moved");
                continue;
            }
            let (g, lr) = (f64::from(grad[i]), f64::from(with.lr));
            let (b1, b2) = (f64::from(with.beta1), f64::from(with.beta2));
            *m = b1 * *m + (1.0 - b1) * g;
            *v = b2 * *v + (1.0 - b2) * g * g;
            let (mean, square) = (*m / (1.0 - b1.powi(step as i32)), *v / (1.0 - b2.powi(step as i32)));
            *p -= lr * mean / (square.sqrt() + f64::from(with.eps));
        }
    }
    for (i, (p, [truth, ..])) in param.iter().zip(&truth).enumerate() {
        assert!((f64::from(*p) - truth).abs() < 3e-6, "number {i}: {p} and {truth}");
    }
}

#[test]
fn adam_refuses_lengths_that_do_not_agree() {
    let with = Adam { step: 1, lr: 0.1_f32, beta1: 0.9, beta2: 0.99, eps: 1e-8 };
    let (mut p, mut m, mut v) = (vec![0.0; 6], vec![0.0; 6], vec![0.0; 5]);
    let tensor = AdamTensor { param: &mut p, grad: &[0.0; 6], exp_avg: &mut m, exp_avg_sq: &mut v, width: 3 };
    let text = adam(tensor, None, &with).expect_err("5 numbers").to_string();
    assert!(text.contains("`exp_avg_sq` has 5 numbers, but 6"), "{text}");
    let mut v = vec![0.0; 6];
    let tensor = AdamTensor { param: &mut p, grad: &[0.0; 6], exp_avg: &mut m, exp_avg_sq: &mut v, width: 3 };
    assert!(adam(tensor, Some(&[1; 3]), &with).is_err(), "three rows of three are not six numbers");
    let tensor = AdamTensor { param: &mut p, grad: &[0.0; 6], exp_avg: &mut m, exp_avg_sq: &mut v, width: 3 };
    assert!(adam(tensor, None, &Adam { step: 0, ..with }).is_err(), "steps count from 1");
}

/// The similarity at one pixel from its definition: sums over the 121 pixels of the window.
fn direct(x: &[f64], y: &[f64], [w, h]: [usize; 2], at: usize) -> f64 {
    let (mut total, mut sums) = (0.0, [0.0; 5]);
    for dy in -5_i64..=5 {
        for dx in -5_i64..=5 {
            let weight = (-((dx * dx + dy * dy) as f64) / 4.5).exp();
            total += weight;
            let (px, py) = ((at % w) as i64 + dx, (at / w) as i64 + dy);
            if px < 0 || py < 0 || px >= w as i64 || py >= h as i64 {
                continue;
            }
            let i = py as usize * w + px as usize;
            let values = [x[i], y[i], x[i] * x[i], y[i] * y[i], x[i] * y[i]];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
        }
    }
    let [mx, my, xx, yy, xy] = sums.map(|s| s / total);
    let (c1, c2) = (1e-4, 9e-4);
    (2.0 * mx * my + c1) * (2.0 * (xy - mx * my) + c2)
        / ((mx * mx + my * my + c1) * (xx - mx * mx + yy - my * my + c2))
}

#[test]
fn ssim_is_its_definition() {
    let (w, h, planes) = (23, 14, 2);
    let mut r = Random(2);
    let n = w * h;
    let x: Vec<f64> = r.list(planes * n, 0.0, 1.0);
    let y: Vec<f64> = x.iter().map(|x| 0.6 * x + 0.3).collect();
    for valid in [false, true] {
        let shape = SsimShape { planes, width: w, height: h, valid };
        let Ssim { map, mean, .. } = ssim(&x, &y, shape).expect("two images");
        let (mut sum, mut count) = (0.0, 0);
        for plane in 0..planes {
            for at in 0..n {
                let range = plane * n..(plane + 1) * n;
                let truth = direct(&x[range.clone()], &y[range], [w, h], at);
                assert!((map[plane * n + at] - truth).abs() < 1e-12, "plane {plane}, pixel {at}");
                let (px, py) = (at % w, at / w);
                if !valid || (px >= 5 && py >= 5 && px + 5 < w && py + 5 < h) {
                    sum += truth;
                    count += 1;
                }
            }
        }
        assert!((mean - sum / f64::from(count)).abs() < 1e-12, "valid {valid}: {mean}");
    }
    let same = ssim(&x, &x, SsimShape { planes, width: w, height: h, valid: false }).expect("one image");
    assert!((same.mean - 1.0).abs() < 1e-12);
    let small = SsimShape { planes: 1, width: 10, height: 30, valid: true };
    assert!(ssim(&[0.0_f64; 300], &[0.0; 300], small).is_err(), "no pixel is 5 from every border");
}

#[test]
fn ssim_gradient_is_the_derivative() {
    let (w, h, planes) = (15, 13, 2);
    let mut r = Random(3);
    let n = planes * w * h;
    let (x, y): (Vec<f64>, Vec<f64>) = (r.list(n, 0.0, 1.0), r.list(n, 0.0, 1.0));
    let weights: Vec<f64> = r.list(n, -1.0, 1.0);
    for valid in [false, true] {
        let shape = SsimShape { planes, width: w, height: h, valid };
        let loss = |x: &[f64]| {
            let s = ssim(x, &y, shape).expect("images");
            3.0 * s.mean + weights.iter().zip(&s.map).map(|(a, b)| a * b).sum::<f64>()
        };
        let s = ssim(&x, &y, shape).expect("images");
        let grad = ssim_backward(&x, &y, &s.partials, shape, 3.0, Some(&weights)).expect("a gradient");
        let without = ssim_backward(&x, &y, &s.partials, shape, 3.0, None).expect("a gradient");
        for i in (0..n).step_by(7) {
            let at = |step: f64, f: &dyn Fn(&[f64]) -> f64| {
                let mut moved = x.clone();
                moved[i] += step;
                f(&moved)
            };
            let slope = |f: &dyn Fn(&[f64]) -> f64| (at(1e-5, f) - at(-1e-5, f)) / 2e-5;
            assert!((grad[i] - slope(&loss)).abs() < 1e-7, "number {i}: {} and {}", grad[i], slope(&loss));
            let mean = |x: &[f64]| 3.0 * ssim(x, &y, shape).expect("images").mean;
            assert!((without[i] - slope(&mean)).abs() < 1e-8, "number {i} of the mean");
        }
    }
}

/// The loss from its two parts, and its gradient by central differences; where the images are equal the absolute
/// difference has no gradient.
#[test]
fn the_photometric_loss_is_its_formula_and_its_gradient_the_derivative() {
    let (w, h, planes, lambda) = (15, 13, 2, 0.2_f64);
    let mut r = Random(4);
    let n = planes * w * h;
    let (x, mut y): (Vec<f64>, Vec<f64>) = (r.list(n, 0.0, 1.0), r.list(n, 0.0, 1.0));
    y[100] = x[100];
    for valid in [false, true] {
        let shape = SsimShape { planes, width: w, height: h, valid };
        let counts = |i: usize| {
            let (px, py) = (i % w, i / w % h);
            !valid || (px >= 5 && py >= 5 && px + 5 < w && py + 5 < h)
        };
        let counted: Vec<usize> = (0..n).filter(|i| counts(*i)).collect();
        let loss = photometric(&x, &y, shape, lambda).expect("images");
        let apart = counted.iter().map(|i| (x[*i] - y[*i]).abs()).sum::<f64>() / counted.len() as f64;
        let plain = ssim(&x, &y, shape).expect("images");
        assert!((loss.mean - 0.8 * apart - 0.2 * (1.0 - plain.mean)).abs() < 1e-12, "valid {valid}");
        assert_eq!((&loss.map, &loss.partials), (&plain.map, &plain.partials));
        let grad =
            photometric_backward(&x, &y, &loss.partials, shape, lambda, 3.0, None).expect("a gradient");
        let similar = ssim_backward(&x, &y, &loss.partials, shape, -0.6, None).expect("a gradient");
        assert!((grad[100] - similar[100]).abs() < 1e-15, "valid {valid}: a corner pulls");
        for i in (0..n).step_by(7).filter(|i| (x[*i] - y[*i]).abs() > 1e-4) {
            let at = |step: f64| {
                let mut moved = x.clone();
                moved[i] += step;
                3.0 * photometric(&moved, &y, shape, lambda).expect("images").mean
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((grad[i] - slope).abs() < 1e-8, "valid {valid}, number {i}: {} and {slope}", grad[i]);
        }
    }
}
