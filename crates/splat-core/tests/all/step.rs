//! The step that a fused backward pass ends in, against Adam in f32; the roundings of its storage by counting.

use crate::random::Random;
use splat_core::{
    Adam, AdamTensor, Draws, Pull, Stored, adam, compact_columns, from_bfloat, from_half, step, to_bfloat,
    to_half, to_signed, to_unsigned, unit,
};

const ADAM: Adam<f32> = Adam { step: 1, lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-15 };

/// The mean over many draws is the number, and each rounding is one of its two neighbours.
#[test]
fn roundings_have_the_right_mean_and_are_neighbours() {
    let draws = Draws::new(3, 2, 1);
    let n = 1 << 16;
    for x in [0.1234567_f32, -0.3333333, 6.1e-5, 3.3e-6, -1e-8, 1023.7, 0.0, 0.5] {
        let each = (0..n).map(|i| draws.bits(i, 7));
        type Round = fn(f32, u32) -> f32;
        let kinds: [(Round, f64); 2] = [
            (|x, r| from_half(to_half(x, r)), f64::from(x.abs() / 1024.0).max(1.0 / 16_777_216.0)),
            (|x, r| from_bfloat(to_bfloat(x, r)), f64::from(x.abs() / 128.0)),
        ];
        for (round, unit) in kinds {
            let (mut sum, mut least, mut most) = (0.0, f32::MAX, f32::MIN);
            for random in each.clone() {
                let y = round(x, random);
                (least, most) = (least.min(y), most.max(y));
                sum += f64::from(y);
            }
            assert!(least <= x && x <= most && f64::from(most - least) <= unit, "{x}: {least} to {most}");
            // The deviation of one rounding is at most half a unit; that of the mean a 512th of a unit.
            let mean = sum / f64::from(n);
            assert!((mean - f64::from(x)).abs() <= unit / 100.0, "{x}: {mean}");
        }
    }
}

/// Every number of 16 bits stays itself whatever is drawn; what is beyond the range becomes the largest.
#[test]
fn numbers_that_fit_are_kept() {
    for bits in 0..0x7C00_u16 {
        for random in [0, 0x1FFF, 0xFFFF_FFFF, 0x1234_5678] {
            for bits in [bits, bits | 0x8000] {
                assert_eq!(to_half(from_half(bits), random), bits);
                assert_eq!(to_bfloat(from_bfloat(bits), random), bits);
            }
        }
    }
    assert_eq!((to_half(1e9, 5), to_half(f32::NEG_INFINITY, 0)), (0x7BFF, 0xFBFF));
    assert!(from_half(to_half(f32::NAN, 9)).is_nan() && from_bfloat(to_bfloat(f32::NAN, 0)).is_nan());
}

/// In units of the largest: the largest is exact, whole multiples stay, others have the right mean, and only 0 becomes 0.
#[test]
fn codes_are_multiples_of_the_rows_unit() {
    let draws = Draws::new(1, 2, 3);
    let largest = 3.7e-5_f32;
    let (signed, unsigned) = (unit(largest, 127.0), unit(largest, 255.0));
    let n = 1 << 14;
    for code in 0..=127_i8 {
        for i in 0..64 {
            let random = draws.bits(i, 0);
            assert_eq!(to_signed(-f32::from(code) * signed, signed, random), -code);
            let twice = 2 * code as u8;
            assert_eq!(to_unsigned(f32::from(twice) * unsigned, unsigned, random), twice);
        }
    }
    let x = 0.3217_f32 * largest;
    let mean =
        |of: &dyn Fn(u32) -> f32| (0..n).map(|i| f64::from(of(draws.bits(i, 1)))).sum::<f64>() / f64::from(n);
    assert!((mean(&|r| f32::from(to_signed(x, signed, r))) - 127.0 * 0.3217).abs() < 0.03);
    assert!((mean(&|r| f32::from(to_unsigned(x, unsigned, r))) - 255.0 * 0.3217).abs() < 0.03);
    assert_eq!(to_unsigned(1e-9 * largest, unsigned, 0), 1);
    assert_eq!((to_unsigned(0.0, unsigned, u32::MAX), to_signed(0.0, 0.0, 3), unit(0.0, 127.0)), (0, 0, 0.0));
}

/// Draws differ where seed, target, step, row or column do, and their bits are fair.
#[test]
fn draws_depend_on_everything_they_are_drawn_from() {
    let of = |seed, target, step, row, column| Draws::new(seed, target, step).bits(row, column);
    let base = of(1, 2, 3, 4, 5);
    assert_eq!(base, of(1, 2, 3, 4, 5));
    for other in
        [of(2, 2, 3, 4, 5), of(1, 3, 3, 4, 5), of(1, 2, 4, 4, 5), of(1, 2, 3, 5, 5), of(1, 2, 3, 4, 6)]
    {
        assert_ne!(base, other);
    }
    let mut ones = [0_u32; 32];
    let draws = Draws::new(9, 0, 1);
    for i in 0..40_000 {
        let bits = draws.bits(i / 45, i % 45);
        ones.iter_mut().enumerate().for_each(|(k, n)| *n += bits >> k & 1);
    }
    // 20,000 expected, standard deviation 100.
    assert!(ones.iter().all(|n| (19_500..20_500).contains(n)), "{ones:?}");
}

/// Stored whole, the step is Adam on the gradient with its pull, to the bit.
#[test]
fn a_whole_step_is_adam_on_the_pulled_gradient() {
    let mut r = Random(5);
    let (rows, width) = (700, 3);
    let (start, grad): (Vec<f32>, Vec<f32>) =
        (r.list(rows * width, -3.0, 1.0), r.list(rows * width, -1.0, 1.0));
    let visible: Vec<i32> = (0..rows).map(|i| i as i32 % 3 - 1).collect();
    type Derivative = fn(f64) -> f64;
    let cases: [(Pull, Derivative); 3] = [
        (Pull::None, |_| 0.0),
        (Pull::Opacity(0.3), |x| 0.3 * (1.0 / (1.0 + (-x).exp())) * (1.0 - 1.0 / (1.0 + (-x).exp()))),
        (Pull::Scale(0.2), |x| 0.2 * x.exp()),
    ];
    for (pull, derivative) in cases {
        let pulled: Vec<f32> = grad
            .iter()
            .zip(&start)
            .map(|(g, p)| (f64::from(*g) + derivative(f64::from(*p))) as f32)
            .collect();
        let (mut a, mut b) = (start.clone(), start.clone());
        let zeros = vec![0.0_f32; grad.len()];
        let [mut m, mut v, mut m2, mut v2] = [(); 4].map(|()| zeros.clone());
        let tensor = AdamTensor { param: &mut a, grad: &pulled, exp_avg: &mut m, exp_avg_sq: &mut v, width };
        adam(tensor, Some(&visible), &ADAM).expect("a step");
        let stored = Stored::Full { param: &mut b, exp_avg: &mut m2, exp_avg_sq: &mut v2 };
        step(stored, &grad, width, Some(&visible), pull, &ADAM, Draws::new(0, 0, 1)).expect("a step");
        let apart = m.iter().zip(&m2).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart <= if pull == Pull::None { 0.0 } else { 2e-8 }, "{pull:?}: moments {apart} apart");
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6), "{pull:?}");
        assert!((0..rows).filter(|i| i % 3 == 1).all(|i| b[3 * i..3 * i + 3] == start[3 * i..3 * i + 3]));
    }
}

/// A quadratic bowl whose gradients are noisy: compact numbers end where whole ones do, and the same run gives the same bits.
#[test]
fn compact_steps_follow_whole_ones() {
    let (rows, width) = (600, 45);
    let columns = compact_columns(width);
    assert_eq!((columns, compact_columns(9), compact_columns(24), compact_columns(0)), (48, 16, 32, 0));
    let mut r = Random(6);
    let target: Vec<f32> = r.list(rows * width, -0.4, 0.4);
    let run = |seed: u64| {
        let mut noise = Random(7);
        let zeros = vec![0.0_f32; rows * width];
        let [mut p, mut m, mut v, mut q, mut grad] = [(); 5].map(|()| zeros.clone());
        let (mut m16, mut r16) = (vec![0_u16; rows * width], vec![0_u16; rows * width]);
        let mut compact =
            (vec![0_u16; rows * columns], vec![0_i8; rows * columns], vec![0_u8; rows * columns]);
        let mut units = vec![0.0_f32; 2 * rows];
        let mut mean = zeros.clone();
        for at in 1..=400 {
            let with = Adam { step: at, lr: 4e-3, ..ADAM };
            let noises: Vec<f32> = noise.list(rows * width, -0.3, 0.3);
            let mut gradient = |of: &dyn Fn(usize) -> f32| {
                (0..rows * width).for_each(|k| grad[k] = of(k) - target[k] + noises[k]);
                grad.clone()
            };
            let whole = gradient(&|k| p[k]);
            let stored = Stored::Full { param: &mut p, exp_avg: &mut m, exp_avg_sq: &mut v };
            step(stored, &whole, width, None, Pull::None, &with, Draws::new(seed, 2, at)).expect("a step");
            let half = gradient(&|k| q[k]);
            let stored = Stored::Half { param: &mut q, exp_avg: &mut m16, root: &mut r16 };
            step(stored, &half, width, None, Pull::None, &with, Draws::new(seed, 1, at)).expect("a step");
            let small = gradient(&|k| from_half(compact.0[k / width * columns + k % width]));
            let stored = Stored::Compact {
                param: &mut compact.0,
                exp_avg: &mut compact.1,
                root: &mut compact.2,
                units: &mut units,
            };
            step(stored, &small, width, None, Pull::None, &with, Draws::new(seed, 2, at)).expect("a step");
            if at > 300 {
                for (k, mean) in mean.iter_mut().enumerate() {
                    *mean += 0.01 * from_half(compact.0[k / width * columns + k % width]);
                }
            }
        }
        (p, q, compact, units, mean)
    };
    let (p, q, compact, units, mean) = run(1);
    let error = |of: &dyn Fn(usize) -> f32| {
        let sum: f64 = (0..rows * width).map(|k| f64::from(of(k) - target[k]).powi(2)).sum();
        (sum / (rows * width) as f64).sqrt()
    };
    let whole = error(&|k| p[k]);
    for (name, found) in [
        ("half", error(&|k| q[k])),
        ("compact", error(&|k| from_half(compact.0[k / width * columns + k % width]))),
    ] {
        assert!(found < 1.1 * whole, "{name}: {found} from the minimum, whole numbers {whole}");
    }
    // The roundings do not push to one side.
    let bias = (0..rows * width).map(|k| f64::from(mean[k] - target[k])).sum::<f64>() / (rows * width) as f64;
    assert!(bias.abs() < 1e-3, "{bias}");
    assert!(
        (0..rows).all(|row| compact.0[row * columns + width..(row + 1) * columns] == [0; 3]),
        "padding is left alone"
    );
    let (_, _, again, same, _) = run(1);
    assert!(again == compact && same == units, "the same seed gives the same bits");
    assert_ne!(run(2).2.0, compact.0);
}

#[test]
fn lengths_that_do_not_agree_are_refused() {
    let (mut p, mut m, mut r, mut u) = (vec![0_u16; 32], vec![0_i8; 32], vec![0_u8; 32], vec![0.0; 2]);
    let stored = Stored::Compact { param: &mut p, exp_avg: &mut m, root: &mut r, units: &mut u };
    let refused =
        step(stored, &[0.0; 18], 9, None, Pull::None, &ADAM, Draws::new(0, 0, 1)).expect_err("2 units");
    assert!(
        refused.to_string().contains("units") && refused.to_string().contains("2 rows of 2"),
        "{refused}"
    );
}
