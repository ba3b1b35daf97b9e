//! A dataset seen from above: points, cameras and the way they look, with a legend and a scale, to see at a glance whether the
//! poses make sense.

use std::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::FONT_8X13;
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{DrawTarget, Drawable, Primitive};
use embedded_graphics::primitives::{
    Circle, Line, PrimitiveStyle, PrimitiveStyleBuilder, Rectangle, Triangle,
};
use embedded_graphics::text::Text;
use splat_init::linear::{Vec3, along, cross, dot, unit};
use splat_scene::{Dataset, View};

use super::Rgb8;

const TRAINED: Rgb888 = Rgb888::new(30, 60, 200);
const HELD_OUT: Rgb888 = Rgb888::new(200, 30, 30);
const INK: Rgb888 = Rgb888::new(40, 40, 40);
/// Below the map, for the legend.
const FOOT: u32 = 56;

/// A picture, `side` wide and a little higher: points in their colours on white, and for each camera a dot with a wedge as wide
/// as its field of view and a line in its viewing direction, blue for training views and red for held-out ones. The square shown
/// contains all cameras and, along each axis, nine tenths of the points. Below are the legend and the scale.
pub(crate) fn from_above(dataset: &Dataset, side: u32) -> Rgb8 {
    let map = Map::of(dataset, side);
    let mut canvas = Canvas::new(side, side + FOOT);
    for point in &dataset.points {
        let [r, g, b] = point.color;
        canvas.dot(map.place(point.position.map(f64::from)), Rgb888::new(r, g, b));
    }
    for (i, view) in dataset.views.iter().enumerate() {
        let color = if dataset.test.contains(&i) { HELD_OUT } else { TRAINED };
        camera(&mut canvas, &map, view, color);
    }
    legend(&mut canvas, &map, dataset);
    Rgb8 { width: side, height: side + FOOT, pixels: canvas.pixels }
}

/// From world coordinates to pixels; forward is up in the picture.
struct Map {
    up: Vec3,
    right: Vec3,
    ahead: Vec3,
    corner: [f64; 2],
    /// Pixels per unit.
    scale: f64,
    side: f64,
}

impl Map {
    fn of(dataset: &Dataset, side: u32) -> Self {
        let up = dataset.up();
        // Right and forward on the ground, from the world axis that is closest to level.
        let axis = (0..3).min_by(|&a, &b| up[a].abs().total_cmp(&up[b].abs())).unwrap_or(0);
        let level = std::array::from_fn(|k| f64::from(u8::from(k == axis)));
        let right = unit(along(level, up, -up[axis])).unwrap_or([1.0, 0.0, 0.0]);
        let ahead = cross(up, right);
        let mut low = [f64::INFINITY; 2];
        let mut high = [f64::NEG_INFINITY; 2];
        for (k, direction) in [right, ahead].into_iter().enumerate() {
            let mut values: Vec<f64> =
                dataset.points.iter().map(|p| dot(p.position.map(f64::from), direction)).collect();
            values.sort_by(f64::total_cmp);
            let n = values.len();
            let most = if n > 0 { &values[n / 20..n - n / 20] } else { &[] };
            let cameras = dataset.views.iter().map(|v| dot(v.center, direction));
            for x in cameras.chain(most.first().copied()).chain(most.last().copied()) {
                (low[k], high[k]) = (low[k].min(x), high[k].max(x));
            }
        }
        let size = (high[0] - low[0]).max(high[1] - low[1]).max(1e-9) * 1.15;
        let corner = [0, 1].map(|k| (low[k] + high[k] - size) / 2.0);
        Self { up, right, ahead, corner, scale: f64::from(side) / size, side: f64::from(side) }
    }

    fn place(&self, p: Vec3) -> [f64; 2] {
        let x = (dot(p, self.right) - self.corner[0]) * self.scale;
        let y = (dot(p, self.ahead) - self.corner[1]) * self.scale;
        [x, self.side - y]
    }
}

fn camera(canvas: &mut Canvas, map: &Map, view: &View, color: Rgb888) {
    let eye = map.place(view.center);
    let length = (map.side / 45.0).max(4.0);
    let row = |r: usize| -> Vec3 { std::array::from_fn(|k| f64::from(view.camera.view[4 * k + r])) };
    let tan = f64::from(view.camera.tan_fovx);
    let tip = |side: f64, length: f64| -> [f64; 2] {
        let way = unit(along(row(2), row(0), side * tan)).unwrap_or_default();
        [eye[0] + length * dot(way, map.right), eye[1] - length * dot(way, map.ahead)]
    };
    let stroke = PrimitiveStyle::with_stroke(color, 1);
    let [a, b, c] = [eye, tip(-1.0, length), tip(1.0, length)].map(at);
    let Ok(()) = Triangle::new(a, b, c).into_styled(stroke).draw(canvas);
    // The wedge of a wide lens is as wide as it is long: the line and the dot tell its ends apart.
    let Ok(()) = Line::new(a, at(tip(0.0, 1.8 * length))).into_styled(stroke).draw(canvas);
    let Ok(()) = Circle::with_center(a, 5).into_styled(PrimitiveStyle::with_fill(color)).draw(canvas);
}

fn legend(canvas: &mut Canvas, map: &Map, dataset: &Dataset) {
    let top = map.side as i32;
    let box_style = PrimitiveStyleBuilder::new().fill_color(Rgb888::new(244, 244, 244)).build();
    let all = Rectangle::new(Point::new(0, top), Size::new(canvas.width, FOOT));
    let Ok(()) = all.into_styled(box_style).draw(canvas);
    let mut text = |words: &str, x: i32, y: i32, color: Rgb888| -> i32 {
        let written = Text::new(words, Point::new(x, y), MonoTextStyle::new(&FONT_8X13, color)).draw(canvas);
        written.map_or(x, |end| end.x)
    };
    let (first, second) = (top + 20, top + 44);
    let x = text(&format!("{} training cameras", dataset.train.len()), 12, first, TRAINED);
    let x = text(&format!("{} held out", dataset.test.len()), x + 24, first, HELD_OUT);
    let x = text("dot: camera, line: where it looks", x + 24, first, INK);
    text(&format!("{} points", dataset.points.len()), x + 24, first, INK);
    let up = map.up.map(|x| format!("{x:.2}")).join(" ");
    text(&format!("seen from above; up is {up}"), 12, second, INK);
    let units = round_below(map.side / 4.0 / map.scale);
    let (right, long) = (map.side as i32 - 12, (units * map.scale) as i32);
    let words = format!("{units} units");
    text(&words, right - long - 8 * words.len() as i32 - 12, second, INK);
    let stroke = PrimitiveStyle::with_stroke(INK, 2);
    let y = second - 5;
    for (from, to) in [
        ((right - long, y), (right, y)),
        ((right - long, y - 5), (right - long, y + 5)),
        ((right, y - 5), (right, y + 5)),
    ] {
        let line = Line::new(Point::new(from.0, from.1), Point::new(to.0, to.1));
        let Ok(()) = line.into_styled(stroke).draw(canvas);
    }
}

/// The largest of 1, 2, 5, 10, ... at every power of ten that is not above `most`.
fn round_below(most: f64) -> f64 {
    let power = 10f64.powf(most.log10().floor());
    [5.0, 2.0, 1.0].into_iter().map(|k| k * power).find(|x| *x <= most).unwrap_or(power)
}

/// Far outside is as good as anywhere outside, and fits the whole numbers.
fn at([x, y]: [f64; 2]) -> Point {
    let whole = |x: f64| x.round().clamp(-1e6, 1e6) as i32;
    Point::new(whole(x), whole(y))
}

struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Canvas {
    fn new(width: u32, height: u32) -> Self {
        Self { width, height, pixels: vec![255; 3 * width as usize * height as usize] }
    }

    fn dot(&mut self, place: [f64; 2], color: Rgb888) {
        let Ok(()) = self.draw_iter([Pixel(at(place), color)]);
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, color) in pixels {
            let (Ok(x), Ok(y)) = (u32::try_from(at.x), u32::try_from(at.y)) else { continue };
            if x < self.width && y < self.height {
                let i = 3 * (y as usize * self.width as usize + x as usize);
                self.pixels[i..i + 3].copy_from_slice(&[color.r(), color.g(), color.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: u32 = 200;

    /// Nine cameras in a row that look along -z of the world, upright; with `points` in front.
    fn picture(dir: &std::path::Path) -> Rgb8 {
        let frames: Vec<String> = (0..9)
            .map(|i| {
                format!(
                    r#"{{"file_path": "{i}.png", "transform_matrix": [[1,0,0,{i}],[0,1,0,0],[0,0,1,0],[0,0,0,1]]}}"#
                )
            })
            .collect();
        let json = format!(r#"{{"fl_x": 35, "w": 40, "h": 20, "frames": [{}]}}"#, frames.join(","));
        fs_err::write(dir.join("transforms.json"), json).unwrap();
        (0..9).for_each(|i| {
            splat_scene::save_png(dir.join(format!("{i}.png")), 40, 20, &[90; 2400]).unwrap();
        });
        let dataset = Dataset::open(dir, &splat_scene::OpenOptions::default()).unwrap();
        from_above(&dataset, SIDE)
    }

    fn count(picture: &Rgb8, rows: std::ops::Range<u32>, color: Rgb888) -> usize {
        let row = 3 * picture.width as usize;
        let part = &picture.pixels[rows.start as usize * row..rows.end as usize * row];
        part.chunks_exact(3).filter(|p| *p == [color.r(), color.g(), color.b()]).count()
    }

    #[test]
    fn cameras_show_where_they_look_and_the_legend_stands_below() {
        let dir = tempfile::tempdir().unwrap();
        let p = picture(dir.path());
        assert_eq!((p.width, p.height), (SIDE, SIDE + FOOT));
        // They stand in the middle row; up in the picture is ahead of the ground's axes, on one side of them only.
        let (above, below) = (count(&p, 0..SIDE / 2 - 4, TRAINED), count(&p, SIDE / 2 + 4..SIDE, TRAINED));
        assert!(above.min(below) == 0 && above.max(below) > 8, "{above} {below}");
        assert!(count(&p, 0..SIDE, HELD_OUT) > 4);
        for color in [TRAINED, HELD_OUT, INK] {
            assert!(count(&p, SIDE..SIDE + FOOT, color) > 30, "the legend has it");
        }
        // The scale: 2 units of 9.2 over 200 pixels are 43 pixels.
        let longest = |y: u32| {
            let row = &p.pixels[3 * (y * SIDE) as usize..][..3 * SIDE as usize];
            let pixels: Vec<&[u8]> = row.chunks_exact(3).collect();
            pixels.split(|p| *p != [40; 3]).map(<[_]>::len).max().unwrap_or(0)
        };
        let ink = (SIDE + 36..SIDE + 42).map(longest).max().unwrap_or(0);
        assert!((41..=47).contains(&ink), "{ink}");
    }

    #[test]
    fn scales_are_round_and_empty_datasets_have_a_picture() {
        assert_eq!(
            [0.7, 1.0, 4.9, 60.0, 0.03].map(round_below).map(|x| format!("{x}")),
            ["0.5", "1", "2", "50", "0.02"]
        );
        let empty = from_above(&Dataset::default(), 16);
        assert!(empty.pixels[..3 * 16 * 16].iter().all(|&p| p == 255));
    }
}
