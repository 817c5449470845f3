//! Lines over time as SVG, readable in the dark and on paper. Outside text is escaped; nothing in it is a script.

use crate::model::{escape_markup, plain};
use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 26.0;
/// Told apart also by those who do not see all colours (Okabe and Ito).
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999"];

/// One series: seconds since 1970, and the value then.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub label: String,
    pub points: Vec<(f64, f64)>,
}

fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (least, most) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), it| (a.min(it), b.max(it)));
    (least <= most).then_some((least, most))
}

fn short(value: f64) -> String {
    let scaled = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match scaled.iter().find(|(each, _)| value.abs() >= *each) {
        Some((each, unit)) => format!("{:.1}{unit}", value / each),
        None if value.fract() == 0.0 => format!("{value}"),
        None => format!("{value:.3}"),
    }
}

fn clock(seconds: f64) -> String {
    let at = jiff::Timestamp::from_second(seconds as i64).unwrap_or_default();
    at.to_string().chars().skip(11).take(5).collect()
}

/// Draws the lines, from their earliest to their latest point.
pub fn svg(title: &str, lines: &[Line]) -> String {
    let safe = |text: &str| escape_markup(&plain(text)).chars().take(120).collect::<String>();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" font-family=\"sans-serif\" font-size=\"11\"><title>{0}</title><rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/><text x=\"{LEFT}\" y=\"18\" font-size=\"13\" font-weight=\"bold\">{0}</text>",
        safe(title)
    );
    let all = || lines.iter().flat_map(|line| line.points.iter());
    let (Some((from, to)), Some((low, high))) =
        (bounds(all().map(|it| it.0)), bounds(all().map(|it| it.1)))
    else {
        return out + "<text x=\"64\" y=\"130\">no data</text></svg>";
    };
    // A line that does not move is drawn in the middle; what is never below zero begins there.
    let low = if low >= 0.0 { 0.0 } else { low };
    let (low, high) = if high > low { (low, high) } else { (low - 1.0, high + 1.0) };
    let span = if to > from { to - from } else { 1.0 };
    let x = |at: f64| LEFT + (at - from) / span * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM);
    let mut draw = |text: std::fmt::Arguments<'_>| out.write_fmt(text).unwrap_or_default();
    for part in 0..=4 {
        let value = low + (high - low) * f64::from(part) / 4.0;
        let (right, at) = (WIDTH - RIGHT, y(value));
        draw(format_args!(
            "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#dddddd\"/><text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            short(value)
        ));
    }
    for (at, anchor) in [(from, "start"), ((from + to) / 2.0, "middle"), (to, "end")] {
        draw(format_args!(
            "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"{anchor}\">{} UTC</text>",
            x(at),
            HEIGHT - 8.0,
            clock(at)
        ));
    }
    for (nth, line) in lines.iter().enumerate() {
        let colour = COLOURS[nth % COLOURS.len()];
        let path: Vec<String> = line
            .points
            .iter()
            .map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value)))
            .collect();
        draw(format_args!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"><title>{}</title></polyline>",
            path.join(" "),
            safe(&line.label)
        ));
        if nth < 6 && !line.label.is_empty() {
            let label: String = safe(&line.label).chars().take(16).collect();
            draw(format_args!(
                "<text x=\"{:.0}\" y=\"30\" fill=\"{colour}\">{label}</text>",
                LEFT + 104.0 * nth as f64
            ));
        }
    }
    out + "</svg>"
}
