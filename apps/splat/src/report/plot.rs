//! Curves over steps as SVG, written by hand: panels under one another that share the horizontal axis.
//!
//! Readable on light and dark backgrounds (the file follows the viewer's preference). Opens in browsers.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 20.0;
const PANEL: f64 = 190.0;
/// Above each panel, for its title and legend.
const HEAD: f64 = 34.0;
/// Below the last panel, for the numbers and name of the horizontal axis.
const FOOT: f64 = 46.0;
/// Seen well on white and on near-black, and told apart by the colour-blind.
const COLORS: [&str; 5] = ["#2f81d6", "#d9730d", "#1f9e77", "#b0579e", "#8a8a3a"];

/// A curve.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// What the vertical axis shows, such as `PSNR, dB`. Series of one axis share a panel; panels stand in the
    /// order in which axes first appear.
    pub(crate) axis: String,
    /// Which of the axis' curves it is, such as `held out`; shown in the legend with the last value.
    pub(crate) name: String,
    /// Step and value, steps rising. A value that is not finite interrupts the line.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Series {
    /// A curve of `points` on `axis`.
    #[must_use]
    pub(crate) fn new(axis: impl Into<String>, name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { axis: axis.into(), name: name.into(), points }
    }
}

/// Writes [`svg`] of `series` to `path`.
pub(crate) fn plot(path: &Path, series: &[Series]) -> Result<()> {
    Ok(splat_scene::write_atomically(path, |out| out.write_all(svg(series).as_bytes()))?)
}

/// The plot as SVG text. Series without finite points are left out; without any, it says so.
#[must_use]
pub(crate) fn svg(series: &[Series]) -> String {
    let finite = |s: &&Series| s.points.iter().any(|p| p.0.is_finite() && p.1.is_finite());
    let mut panels: Vec<(&str, Vec<&Series>)> = Vec::new();
    for s in series.iter().filter(finite) {
        match panels.iter_mut().find(|(axis, _)| *axis == s.axis) {
            Some((_, members)) => members.push(s),
            None => panels.push((&s.axis, vec![s])),
        }
    }
    let height = panels.len().max(1) as f64 * (HEAD + PANEL) + FOOT;
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<style>\n\
         .paper {{ fill: #ffffff }} text {{ fill: #33373d }} .grid {{ stroke: #e3e5e8 }} .frame {{ stroke: #9aa0a8; fill: none }}\n\
         @media (prefers-color-scheme: dark) {{ .paper {{ fill: #16181c }} text {{ fill: #d3d6db }} \
         .grid {{ stroke: #2c3036 }} .frame {{ stroke: #6a7078 }} }}\n\
         .curve {{ fill: none; stroke-width: 1.6; stroke-linejoin: round }}\n</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n"
    );
    if panels.is_empty() {
        let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{HEAD}\">nothing was recorded</text>");
    }
    let steps = panels.iter().flat_map(|(_, members)| members.iter().flat_map(|s| &s.points));
    let x = Axis::over(steps.map(|p| p.0), LEFT, WIDTH - RIGHT, false);
    let last = panels.len().saturating_sub(1);
    for (i, (name, members)) in panels.iter().enumerate() {
        panel(&mut out, i as f64 * (HEAD + PANEL), name, members, &x, i == last);
    }
    out.push_str("</svg>\n");
    out
}

fn panel(out: &mut String, top: f64, name: &str, members: &[&Series], x: &Axis, with_steps: bool) {
    let (first, end) = (top + HEAD, top + HEAD + PANEL - 14.0);
    let values = members.iter().flat_map(|s| s.points.iter().map(|p| p.1));
    let y = Axis::over(values, end, first, true);
    let right = WIDTH - RIGHT;
    for t in &y.ticks {
        let at = y.place(*t);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            label(*t, y.step)
        );
    }
    for t in &x.ticks {
        let at = x.place(*t);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{first:.1}\" y2=\"{end:.1}\"/>"
        );
        if with_steps {
            let _ = writeln!(
                out,
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                end + 18.0,
                label(*t, x.step)
            );
        }
    }
    if with_steps {
        let middle = (LEFT + right) / 2.0;
        let _ = writeln!(
            out,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">step</text>",
            end + 38.0
        );
    }
    let _ = writeln!(
        out,
        "<rect class=\"frame\" x=\"{LEFT}\" y=\"{first:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>\
         <text x=\"{LEFT}\" y=\"{:.1}\" font-weight=\"600\">{}</text>",
        right - LEFT,
        end - first,
        first - 9.0,
        escaped(name)
    );
    let mut legend = right;
    for (k, s) in members.iter().enumerate() {
        let color = COLORS[k % COLORS.len()];
        curve(out, s, x, &y, color);
        let value = s.points.iter().rev().map(|p| p.1).find(|v| v.is_finite()).unwrap_or_default();
        let text = format!("{} {}", s.name, precise(value));
        let _ = writeln!(
            out,
            "<text x=\"{legend:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            first - 9.0,
            escaped(text.trim())
        );
        // Without font metrics: a little more than the mean width of a character.
        legend -= 6.6 * text.chars().count() as f64 + 8.0;
        let _ = writeln!(
            out,
            "<line x1=\"{:.1}\" x2=\"{legend:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"{color}\" stroke-width=\"3\"/>",
            legend - 14.0,
            first - 13.0,
            first - 13.0
        );
        legend -= 30.0;
    }
}

fn curve(out: &mut String, s: &Series, x: &Axis, y: &Axis, color: &str) {
    let points = thinned(&s.points, x);
    for run in points.split(|p| !(p.0.is_finite() && p.1.is_finite())).filter(|run| !run.is_empty()) {
        let mut path = String::new();
        for (i, p) in run.iter().enumerate() {
            let command = if i == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", x.place(p.0), y.place(p.1));
        }
        let _ = writeln!(out, "<path class=\"curve\" stroke=\"{color}\" d=\"{path}\"/>");
    }
    // Few values are measurements, which a reader wants to see; a single one has no line at all.
    if points.len() <= 40 {
        for p in points.iter().filter(|p| p.0.is_finite() && p.1.is_finite()) {
            let (cx, cy) = (x.place(p.0), y.place(p.1));
            let _ = writeln!(out, "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"2.4\" fill=\"{color}\"/>");
        }
    }
}

/// At most the lowest and highest value of each half pixel: the picture is the same, the file stays small.
fn thinned(points: &[(f64, f64)], x: &Axis) -> Vec<(f64, f64)> {
    if points.len() < 2000 {
        return points.to_vec();
    }
    let column = |p: &(f64, f64)| (2.0 * x.place(p.0)).floor();
    let same = |a: &(f64, f64), b: &(f64, f64)| column(a) == column(b);
    let mut kept = Vec::new();
    for group in points.chunk_by(same) {
        let finite = || group.iter().enumerate().filter(|(_, p)| p.1.is_finite());
        let low = finite().min_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let high = finite().max_by(|a, b| a.1.1.total_cmp(&b.1.1));
        match (low, high) {
            (Some((i, low)), Some((j, high))) => {
                kept.extend(if i <= j { [*low, *high] } else { [*high, *low] });
            }
            _ => kept.push(group[0]),
        }
    }
    kept
}

/// From values to places on the page, and the round values that are written at it.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    step: f64,
    ticks: Vec<f64>,
}

impl Axis {
    /// Over all finite `values`. A vertical one has some `room` above and below, so that curves do not touch the
    /// frame, and its numbers may stand closer.
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64, room: bool) -> Self {
        let bounds = values.filter(|v| v.is_finite()).fold(None, |b: Option<(f64, f64)>, v| {
            Some(b.map_or((v, v), |(low, high)| (low.min(v), high.max(v))))
        });
        let (mut low, mut high) = bounds.unwrap_or((0.0, 1.0));
        if high - low <= 1e-9 * high.abs().max(low.abs()) {
            let half = if low == 0.0 { 1.0 } else { 0.05 * low.abs() };
            (low, high) = (low - half, high + half);
        } else if room {
            let margin = 0.05 * (high - low);
            // What is never negative, such as a loss, does not get an axis that begins below 0.
            low = if low >= 0.0 { (low - margin).max(0.0) } else { low - margin };
            high += margin;
        }
        let apart = if room { 34.0 } else { 64.0 };
        let step = round_step((high - low) / ((to - from).abs() / apart).max(2.0));
        let first = (low / step).ceil() as i64;
        let ticks = (first..=(high / step).floor() as i64).map(|k| k as f64 * step).collect();
        Self { low, high, from, to, step, ticks }
    }

    fn place(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }
}

/// The next of 1, 2, 5, 10, ... at or above `least`, at every power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|k| k * power).find(|s| *s >= least * (1.0 - 1e-9)).unwrap_or(power)
}

/// A value on an axis whose neighbours are `step` away: `0.05`, `20k`, `1.5M`.
fn label(value: f64, step: f64) -> String {
    let (unit, suffix) = match value.abs() {
        a if a >= 1e6 => (1e6, "M"),
        a if a >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let decimals = (-(step / unit).log10().floor()).clamp(0.0, 9.0) as usize;
    format!("{:.decimals$}{suffix}", value / unit)
}

/// A last value in a legend.
fn precise(value: f64) -> String {
    match value.abs() {
        a if a >= 1000.0 || (a > 0.0 && value.fract() == 0.0) => format!("{value:.0}"),
        a if a >= 10.0 => format!("{value:.2}"),
        a if a >= 0.1 || a == 0.0 => format!("{value:.3}"),
        a if a >= 1e-4 => format!("{value:.5}"),
        _ => format!("{value:.2e}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of `attribute="..."` in the text.
    fn numbers(svg: &str, attribute: &str) -> Vec<f64> {
        let key = format!(" {attribute}=\"");
        svg.split(&key).skip(1).map(|s| s.split('"').next().unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn axes_have_panels_and_curves_stay_in_them() {
        let ramp = |a: f64, b: f64| (0..=10).map(|i| (f64::from(i) * 700.0, a + b * f64::from(i))).collect();
        let text = svg(&[
            Series::new("loss", "training", ramp(0.3, -0.02)),
            Series::new("PSNR, dB", "training", ramp(12.0, 1.5)),
            Series::new("PSNR, dB", "held <out>", ramp(11.0, 1.2)),
            Series::new("Gaussians", "", ramp(1000.0, 40000.0)),
        ]);
        assert_eq!(text.matches("class=\"frame\"").count(), 3, "two curves share a panel");
        assert_eq!(text.matches("class=\"curve\"").count(), 4);
        for shown in ["held &lt;out&gt; 23", ">PSNR, dB<", ">step<", ">401000<", ">7000<", ">0.25<", ">200k<"]
        {
            assert!(text.contains(shown), "{shown} in {text}");
        }
        for cx in numbers(&text, "cx") {
            assert!((LEFT..=WIDTH - RIGHT).contains(&cx), "{cx}");
        }
        // Up is more: PSNR's last point is above its first.
        let cy = numbers(&text, "cy");
        assert!(cy[21] < cy[11] && cy[10] > cy[0], "{cy:?}");
        assert_eq!(text.matches('<').count(), text.matches('>').count());
    }

    #[test]
    fn gaps_single_values_and_nothing_are_drawn() {
        let gap = svg(&[Series::new("loss", "x", vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)])]);
        assert_eq!((gap.matches("<path").count(), gap.matches("<circle").count()), (2, 2));
        let one = svg(&[Series::new("loss", "x", vec![(5.0, 0.0)])]);
        assert_eq!(one.matches("<circle").count(), 1);
        let none = svg(&[Series::new("loss", "x", vec![(0.0, f64::INFINITY)])]);
        assert!(none.contains("nothing was recorded") && !none.contains("NaN") && !one.contains("NaN"));
    }

    /// A long run does not give a large file, and its extremes stay.
    #[test]
    fn many_points_are_thinned_to_pixels() {
        let points: Vec<_> =
            (0..200_000).map(|i| (f64::from(i), if i == 77_777 { 9.0 } else { 1.0 })).collect();
        let text = svg(&[Series::new("loss", "x", points)]);
        assert!(text.len() < 60_000, "{}", text.len());
        let top = HEAD + 0.05 / 1.1 * (PANEL - 14.0);
        assert!(text.contains(&format!(" {:.1}L", top)), "the spike is drawn: {top}");
    }

    #[test]
    fn labels_are_round_and_tell_neighbours_apart() {
        assert_eq!([0.7, 1.0, 1.3, 3.0, 60.0].map(round_step), [1.0, 1.0, 2.0, 5.0, 100.0]);
        let shown = [
            (0.0, 0.05),
            (0.15, 0.05),
            (25_000.0, 5000.0),
            (1.5e6, 5e5),
            (7000.0, 1000.0),
            (12_000.0, 2000.0),
        ]
        .map(|(v, s)| label(v, s));
        assert_eq!(shown, ["0.00", "0.15", "25k", "1.5M", "7000", "12k"]);
    }
}
