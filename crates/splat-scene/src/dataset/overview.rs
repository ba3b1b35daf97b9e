//! A dataset seen from above: cameras and points, to see at a glance whether the poses make sense.

use crate::{Dataset, Photo};

type Vec3 = [f64; 3];

fn dot(a: Vec3, b: Vec3) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn unit(a: Vec3) -> Option<Vec3> {
    let n = dot(a, a).sqrt();
    (n > 1e-6 && n.is_finite()).then(|| a.map(|x| x / n))
}

fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

impl Dataset {
    /// The upward direction in world coordinates, a unit vector: the mean of the cameras' upward directions, as people
    /// hold cameras upright. If these cancel out, it is the negative y axis of the world.
    #[must_use]
    pub fn up(&self) -> [f64; 3] {
        let mut sum = [0.0; 3];
        for view in &self.views {
            // The second row of the rotation is the camera's y axis, which points down.
            (0..3).for_each(|k| sum[k] -= f64::from(view.camera.view[4 * k + 1]));
        }
        unit(sum.map(|x| x / self.views.len().max(1) as f64)).unwrap_or([0.0, -1.0, 0.0])
    }

    /// A picture of `side` x `side` pixels of the dataset seen from above: points in their colours on white, and for
    /// each camera a wedge that opens in its viewing direction, blue for training views and red for held-out ones. The
    /// square shown contains all cameras and, along each axis, nine tenths of the points.
    #[must_use]
    pub fn top_view(&self, side: u32) -> Photo {
        let up = self.up();
        // Right and forward on the ground, from the world axis that is closest to level.
        let axis = (0..3).min_by(|&a, &b| up[a].abs().total_cmp(&up[b].abs())).unwrap_or(0);
        let mut right = [0.0; 3];
        right[axis] = 1.0;
        let right = unit(std::array::from_fn(|k| right[k] - up[k] * up[axis])).unwrap_or([1.0, 0.0, 0.0]);
        let ahead = cross(up, right);
        let ground = |p: Vec3| [dot(p, right), dot(p, ahead)];
        let cameras: Vec<[f64; 2]> = self.views.iter().map(|v| ground(v.center)).collect();
        let points: Vec<[f64; 2]> = self.points.iter().map(|p| ground(p.position.map(f64::from))).collect();
        let mut low = [f64::INFINITY; 2];
        let mut high = [f64::NEG_INFINITY; 2];
        for k in 0..2 {
            let mut values: Vec<f64> = points.iter().map(|p| p[k]).collect();
            values.sort_by(f64::total_cmp);
            let n = values.len();
            let most = if n > 0 { &values[n / 20..n - n / 20] } else { &[] };
            for x in cameras.iter().map(|c| c[k]).chain(most.first().copied()).chain(most.last().copied()) {
                (low[k], high[k]) = (low[k].min(x), high[k].max(x));
            }
        }
        let size = (high[0] - low[0]).max(high[1] - low[1]).max(1e-9) * 1.1;
        let corner = [0, 1].map(|k| (low[k] + high[k] - size) / 2.0);
        let to_pixel = |p: [f64; 2]| {
            let scale = f64::from(side) / size;
            // Forward is up in the picture.
            [(p[0] - corner[0]) * scale, f64::from(side) - (p[1] - corner[1]) * scale]
        };
        let mut canvas = Canvas::new(side);
        for (p, point) in points.iter().zip(&self.points) {
            canvas.dot(to_pixel(*p), point.color);
        }
        let length = (f64::from(side) / 40.0).max(4.0);
        for (i, view) in self.views.iter().enumerate() {
            let color = if self.test.contains(&i) { [200, 30, 30] } else { [30, 60, 200] };
            let eye = to_pixel(cameras[i]);
            let row = |r: usize| -> Vec3 { std::array::from_fn(|k| f64::from(view.camera.view[4 * k + r])) };
            let tan = f64::from(view.camera.tan_fovx);
            let tip = |side: f64| {
                let (x, z) = (row(0), row(2));
                let way: Vec3 = std::array::from_fn(|k| z[k] + side * tan * x[k]);
                let [dx, dy] = ground(unit(way).unwrap_or([0.0; 3]));
                [eye[0] + length * dx, eye[1] - length * dy]
            };
            let (a, b) = (tip(-1.0), tip(1.0));
            [(eye, a), (a, b), (b, eye)].into_iter().for_each(|(p, q)| canvas.line(p, q, color));
        }
        Photo { width: side, height: side, channels: 3, pixels: canvas.pixels }
    }
}

struct Canvas {
    side: u32,
    pixels: Vec<u8>,
}

impl Canvas {
    fn new(side: u32) -> Self {
        Self { side, pixels: vec![255; 3 * side as usize * side as usize] }
    }

    fn dot(&mut self, [x, y]: [f64; 2], color: [u8; 3]) {
        let inside = |c: f64| c >= 0.0 && c < f64::from(self.side);
        if inside(x) && inside(y) {
            let i = 3 * (y as usize * self.side as usize + x as usize);
            self.pixels[i..i + 3].copy_from_slice(&color);
        }
    }

    fn line(&mut self, a: [f64; 2], b: [f64; 2], color: [u8; 3]) {
        let steps = (b[0] - a[0]).abs().max((b[1] - a[1]).abs()).clamp(1.0, f64::from(self.side)).ceil();
        for i in 0..=steps as u32 {
            let t = f64::from(i) / steps;
            self.dot([a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])], color);
        }
    }
}
