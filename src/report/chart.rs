//! Charts: series of points over two axes, drawn with plotters and the project's own font.

use std::ops::Range;
use std::sync::Once;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;
use plotters::style::register_font;

use super::picture::Picture;

/// Everything is drawn this many times as large and then shrunk: soft edges.
const LARGER: i32 = 3;
/// The plotting library's name for the one font that it is given.
pub(super) const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(40, 40, 40);
const PALE: RGBColor = RGBColor(224, 224, 224);

/// An axis: what stands beside it, from where to where it goes, and its ticks.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What is measured, with its unit.
    pub label: String,
    /// Lowest and highest value.
    pub range: Range<f64>,
    /// Values that are named, with their names.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From `low` to `high`, with ticks at round numbers between them.
    pub fn between(label: &str, low: f64, high: f64) -> Self {
        let (low, high) = if low < high { (low, high) } else { (low - 0.5, low + 0.5) };
        let step = round_step(high - low);
        let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
        let decimals = (-step.log10()).ceil().clamp(0.0, 12.0) as usize;
        let count = (last - first) as usize;
        let tick = |number: usize| (first + number as f64) * step;
        // Adding zero turns the minus zero into zero.
        let ticks = (0..=count).map(|number| (tick(number), format!("{:.decimals$}", tick(number) + 0.0))).collect();
        Self { label: label.to_owned(), range: low..high, ticks }
    }

    /// From 0 to `high`, with ticks at whole numbers.
    pub fn counting(label: &str, high: f64) -> Self {
        let mut axis = Self::between(label, 0.0, high);
        axis.ticks.retain(|(value, _)| value.fract() == 0.0);
        for (value, name) in &mut axis.ticks {
            *name = value.to_string();
        }
        axis
    }

    /// As wide as `values` need, and on to the next round number.
    pub fn around(label: &str, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = extremes(values).unwrap_or((0.0, 1.0));
        let step = round_step(high - low);
        Self::between(label, (low / step).floor() * step, (high / step).ceil() * step)
    }

    /// For decimal logarithms of values; the ticks are named after the values.
    pub fn of_logarithms(label: &str, logarithms: impl Iterator<Item = f64>) -> Self {
        let (low, high) = extremes(logarithms).unwrap_or((0.0, 1.0));
        let (low, high) = (low.floor() as i32, high.ceil().max(low.floor() + 1.0) as i32);
        let every = ((high - low) as usize).div_ceil(8);
        let name = |exponent: i32| match exponent {
            -3..=5 => 10_f64.powi(exponent).to_string(),
            _ => format!("1e{exponent}"),
        };
        let ticks = (low..=high).step_by(every).map(|exponent| (f64::from(exponent), name(exponent))).collect();
        Self { label: label.to_owned(), range: f64::from(low)..f64::from(high), ticks }
    }

    /// Names at 0, 1, 2, …: steps of one width, whatever they stand for.
    pub fn named(label: &str, names: impl IntoIterator<Item = String>) -> Self {
        let ticks: Vec<_> = names.into_iter().enumerate().map(|(at, name)| (at as f64, name)).collect();
        Self { label: label.to_owned(), range: -0.3..ticks.len() as f64 - 0.7, ticks }
    }
}

/// How the plotting library takes an axis: only the ticks named here, under their names.
impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(value, _)| *value).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.ticks.iter().find(|(tick, _)| tick == value).map_or(String::new(), |(_, name)| name.clone())
    }
}

/// The smallest and the largest finite value.
fn extremes(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.filter(|value| value.is_finite());
    finite.fold(None, |found, value| {
        let (low, high) = found.unwrap_or((value, value));
        Some((f64::min(low, value), f64::max(high, value)))
    })
}

/// The smallest of 1, 2, 5, 10, … × 10^n that cuts `span` into at most 8 steps.
fn round_step(span: f64) -> f64 {
    let least = if span > 0.0 { span / 8.0 } else { 0.125 };
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A thin pale line: the background of another series.
    Faint,
    /// A line.
    Line,
    /// A line with a dot at every point.
    Dots,
    /// Dots alone: points without an order.
    Points,
}

/// Points in the order of their x.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// x and y.
    pub points: Vec<(f64, f64)>,
    /// Bars this far above and below each point; none where it is empty.
    pub spread: Vec<f64>,
    /// How it is drawn.
    pub look: Look,
    /// Its number among the [colours](COLOURS).
    pub colour: usize,
}

/// Colours that people with any colour vision can distinguish (Okabe and Ito): blue, vermilion, green, purple.
pub const COLOURS: [[u8; 3]; 4] = [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167]];

/// Where in a chart its legend stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Legend {
    /// Right, above.
    UpperRight,
    /// Right, below.
    LowerRight,
}

/// Series over two axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// What is drawn, the later over the earlier.
    pub series: Vec<Series>,
    /// Where the legend stands.
    pub legend: Legend,
}

/// Draws charts into a grid of so many columns, filled row by row, with one line above them all.
///
/// # Panics
/// There are no columns, or width or height are too small for text.
pub fn draw(headline: &str, charts: &[Chart], columns: usize, (width, height): (usize, usize)) -> Picture {
    know_font();
    let mut large = Picture::white(width * LARGER as usize, height * LARGER as usize);
    let size = (large.width as u32, large.height as u32);
    let area = BitMapBackend::with_buffer(&mut large.pixels, size).into_drawing_area();
    paint(headline, charts, columns, &area).expect("drawing into memory does not fail");
    drop(area);
    large.shrunk(LARGER as usize)
}

/// Makes the font known to the plotting library, once.
pub(super) fn know_font() {
    static FONT_IS_KNOWN: Once = Once::new();
    FONT_IS_KNOWN.call_once(|| {
        let font = include_bytes!("../../assets/DejaVuSans-subset.ttf");
        assert!(register_font(FONT, FontStyle::Normal, font).is_ok(), "the font is one");
    });
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Painted<'a> = Result<(), DrawingAreaErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

fn paint<'a>(headline: &str, charts: &[Chart], columns: usize, area: &Area<'a>) -> Painted<'a> {
    area.fill(&WHITE)?;
    let area = area.margin(12 * LARGER, 0, 0, 0).titled(headline, text(21))?;
    let cells = area.split_evenly((charts.len().div_ceil(columns), columns));
    for (chart, cell) in charts.iter().zip(&cells) {
        paint_chart(chart, cell)?;
    }
    area.present()
}

fn paint_chart<'a>(chart: &Chart, area: &Area<'a>) -> Painted<'a> {
    let mut context = ChartBuilder::on(area)
        .caption(&chart.title, text(19))
        .margin(10 * LARGER)
        .margin_right(26 * LARGER)
        .x_label_area_size(46 * LARGER)
        .y_label_area_size(66 * LARGER)
        .build_cartesian_2d(chart.x.clone(), chart.y.clone())?;
    context
        .configure_mesh()
        .x_desc(&chart.x.label)
        .y_desc(&chart.y.label)
        .bold_line_style(PALE.stroke_width(LARGER as u32))
        .light_line_style(TRANSPARENT)
        .axis_style(INK.stroke_width(LARGER as u32))
        .label_style(text(15))
        .axis_desc_style(text(16))
        .set_all_tick_mark_size(5 * LARGER)
        .draw()?;
    for series in &chart.series {
        let style = style(series);
        // Piece by piece with round joints: the library's own joints run out into long spikes where a line turns sharply.
        let connected = if series.look == Look::Points { &[][..] } else { &series.points[..] };
        let line = connected.windows(2).map(|ends| PathElement::new(ends.to_vec(), style));
        context.draw_series(line)?.label(&series.name).legend(move |(x, y)| {
            let end = 26 * LARGER;
            PathElement::new(vec![(x, y), (x + end, y)], style)
        });
        let joint = |&point| Circle::new(point, style.stroke_width / 2, style.filled());
        context.draw_series(connected.iter().map(joint))?;
        for (&(x, y), spread) in series.points.iter().zip(&series.spread) {
            let bar = PathElement::new(vec![(x, y - spread), (x, y + spread)], style);
            context.draw_series([bar])?;
        }
        if matches!(series.look, Look::Dots | Look::Points) {
            let dot = |&point| Circle::new(point, 4 * LARGER, style.filled());
            context.draw_series(series.points.iter().map(dot))?;
        }
    }
    let position = match chart.legend {
        Legend::UpperRight => SeriesLabelPosition::UpperRight,
        Legend::LowerRight => SeriesLabelPosition::LowerRight,
    };
    context
        .configure_series_labels()
        .position(position)
        .margin(12 * LARGER)
        .legend_area_size(34 * LARGER)
        .label_font(text(15))
        .background_style(WHITE.mix(0.85))
        .border_style(PALE.stroke_width(LARGER as u32))
        .draw()
}

fn text(size: i32) -> TextStyle<'static> {
    (FONT, size * LARGER).into_font().color(&INK)
}

fn style(series: &Series) -> ShapeStyle {
    let [red, green, blue] = COLOURS[series.colour % COLOURS.len()];
    match series.look {
        Look::Faint => {
            let [red, green, blue] = [red, green, blue].map(|value| u8::MAX - (u8::MAX - value) / 3);
            RGBColor(red, green, blue).stroke_width(LARGER as u32)
        }
        Look::Line | Look::Dots | Look::Points => RGBColor(red, green, blue).stroke_width(2 * LARGER as u32),
    }
}
