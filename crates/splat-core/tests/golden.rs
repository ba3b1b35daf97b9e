//! Golden parity
mod common;
use std::path::PathBuf;
use common::Golden;
use splat_core::*;

fn rel_l2(a: &[f32], b: &[f32]) -> f64 {
    let d: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    let n: f64 = b.iter().map(|b| f64::from(*b).powi(2)).sum();
    if n == 0.0 { d.sqrt() } else { (d / n).sqrt() }
}

#[test]
fn cases() {
    let dir = PathBuf::from("/work/shared/golden");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "npz")).collect();
    files.sort();
    for f in files {
        let mut g = Golden::open(&f);
        let out = forward(&g.scene(), &g.camera, &g.settings).unwrap();
        let tun = Tuning { cull_tiles: false, ..Tuning::default() };
        let full = forward_with(&g.scene(), &g.camera, &g.settings, &tun).unwrap();
        let worst = |a: &[f32], b: &[f32]| {
            let mut d: Vec<f32> = a.iter().zip(b).map(|(a, b)| (a - b).abs()).collect();
            d.sort_by(f32::total_cmp);
            let over = d.iter().filter(|x| **x > 1e-5).count();
            format!("max {:.2e} 2nd {:.2e} 99% {:.2e} over {over}", d[d.len()-1], d[d.len()-4], d[d.len()*99/100])
        };
        println!("{}: color {} | inv {}", g.name, worst(&out.color, &g.color), worst(&out.inv_depth, &g.inv_depth));
        let bad: Vec<_> = out.radii.iter().zip(&g.radii).enumerate().filter(|(_, (a,b))| a != b).collect();
        println!("   radii bad {:?} rendered {} culled {} want {}", bad, full.saved.rendered(), out.saved.rendered(), g.num_rendered);
        let up = Upstream { color: Some(&g.grad_color), inv_depth: Some(&g.grad_inv_depth), depth: None, alpha: None };
        eprintln!("CASE {}", g.name);
        let grad = backward(&g.scene(), &g.camera, &g.settings, out.saved.as_ref(), &out.radii, &up).unwrap();
        for (k, v) in [("d_means2D", &grad.means2d), ("d_means3D", &grad.means3d), ("d_opacities", &grad.opacities), ("d_shs", &grad.sh), ("d_colors_precomp", &grad.colors), ("d_scales", &grad.scales), ("d_rotations", &grad.rotations), ("d_cov3D_precomp", &grad.cov3d)] {
            if let Some(want) = g.gradient(k) { if !v.is_empty() { print!("   {k} {:.1e}", rel_l2(v, &want)); } }
        }
        let bytes: Vec<u8> = grad.cov3d.iter().flat_map(|x| x.to_le_bytes()).collect(); std::fs::write(format!("/tmp/{}_cov.bin", g.name), bytes).unwrap();
        println!();
        for (k, v, e) in [("d_means3D", &grad.means3d, 3), ("d_cov3D_precomp", &grad.cov3d, 6), ("d_means2D", &grad.means2d, 3)] {
            let Some(want) = g.gradient(k) else { continue };
            let total: f64 = want.iter().map(|x| f64::from(*x).powi(2)).sum();
            let mut rows: Vec<(f64, usize)> = (0..want.len()/e).map(|i| ((0..e).map(|j| f64::from(v[i*e+j]-want[i*e+j]).powi(2)).sum::<f64>(), i)).collect();
            rows.sort_by(|a,b| b.0.total_cmp(&a.0));
            println!("   {k}: total {:.2e}", total.sqrt());
            for (d, i) in rows.iter().take(3) {
                println!("      #{i} err {:.2e} want {:?} got {:?} radius {} ", d.sqrt()/total.sqrt(), &want[i*e..i*e+e], &v[i*e..i*e+e], out.radii[*i]);
                if let Some(s) = &g.scales { println!("         scale {:?} mean {:?}", &s[3*i..3*i+3], &g.means3d[3*i..3*i+3]); }
            }
        }
    }
}
