//! Figures as pixels, on white: the same marks, drawn with plotters and the project's own font.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Anchor, CATEGORIES, Figure, Ink, Mark, cividis};
use crate::report::chart::{FONT, know_font};
use crate::report::picture::Picture;

/// Everything is drawn this many times as large and then shrunk: soft edges.
const LARGER: f64 = 3.0;

/// Paints a figure, `times` as many pixels as it has points.
///
/// # Panics
/// It has no size.
pub fn paint(figure: &Figure, times: f64) -> Picture {
    know_font();
    let pixels = |points: f64| (points * times).ceil().max(1.0) as usize * LARGER as usize;
    let mut large = Picture::white(pixels(figure.size.0), pixels(figure.size.1));
    let size = (large.width as u32, large.height as u32);
    let area = BitMapBackend::with_buffer(&mut large.pixels, size).into_drawing_area();
    for mark in &figure.marks {
        paint_mark(mark, times * LARGER, &area).expect("drawing into memory does not fail");
    }
    area.present().expect("drawing into memory does not fail");
    drop(area);
    large.shrunk(LARGER as usize)
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;
type Painted<'a> = Result<(), DrawingAreaErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

fn paint_mark<'a>(mark: &Mark, times: f64, area: &Area<'a>) -> Painted<'a> {
    let at = |(x, y): (f64, f64)| ((x * times).round() as i32, (y * times).round() as i32);
    match mark {
        Mark::Line { points, ink, width, opacity } => {
            let style = colour(*ink).mix(*opacity).stroke_width((width * times).round().max(1.0) as u32);
            // Piece by piece: the library's own joints run out into long spikes where a line turns sharply.
            points.windows(2).try_for_each(|ends| area.draw(&PathElement::new(vec![at(ends[0]), at(ends[1])], style)))
        }
        Mark::Rectangle { place: [x, y, width, height], ink, .. } => {
            area.draw(&Rectangle::new([at((*x, *y)), at((x + width, y + height))], colour(*ink).filled()))
        }
        Mark::Dot { at: middle, radius, ink, opacity, .. } => {
            let radius = (radius * times).round() as i32;
            area.draw(&Circle::new(at(*middle), radius, colour(*ink).mix(*opacity).filled()))
        }
        Mark::Text { at: place, text, size, ink, anchor, upwards, bold: _ } => {
            let horizontal = match anchor {
                Anchor::Start => HPos::Left,
                Anchor::Middle => HPos::Center,
                Anchor::End => HPos::Right,
            };
            let font = (FONT, size * times).into_font();
            let font = if *upwards { font.transform(FontTransform::Rotate270) } else { font };
            let style = font.color(&colour(*ink)).pos(Pos::new(horizontal, VPos::Center));
            area.draw(&Text::new(text.clone(), at(*place), style))
        }
        Mark::Area { .. } => Ok(()),
    }
}

fn colour(ink: Ink) -> RGBColor {
    let [red, green, blue] = match ink {
        Ink::Text => [34; 3],
        Ink::Muted => [102; 3],
        Ink::Grid => [221; 3],
        Ink::Empty => [238; 3],
        Ink::Paper => [255; 3],
        Ink::Diverged => [176, 48, 122],
        Ink::Category(number) => CATEGORIES[number % CATEGORIES.len()].0,
        Ink::Value(value) => cividis(value),
    };
    RGBColor(red, green, blue)
}
